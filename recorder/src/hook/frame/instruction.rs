//! 3.11: what happens to a generator's frame, told by the instruction it stands at.
#![allow(unsafe_code, reason = "reads the code object's instructions")]
#![allow(
    clippy::multiple_unsafe_ops_per_block,
    reason = "a call and taking over the reference that it returns are one step"
)]

use pyo3::ffi::{self, PyFrameObject};
use rtrace_format::Kind;

use crate::ffi::Owned;

/// `RESUME`: at the start of a function with argument 0, after a yield with 1 to 3.
const RESUME: u8 = 151;
/// What `RESUME` becomes in code that has been executed eight times.
const RESUME_QUICK: u8 = 150;
/// `YIELD_VALUE`; `await` and `yield from` end in it too.
const YIELD_VALUE: u8 = 86;

/// How a generator's frame is entered.
pub fn entry(frame: *mut PyFrameObject) -> Kind {
    match here(frame) {
        Some((RESUME | RESUME_QUICK, 0)) => Kind::Call,
        Some((RESUME | RESUME_QUICK, _)) => Kind::Resume,
        // `throw` and `close` enter without executing anything.
        _ => Kind::Throw,
    }
}

/// How a generator's frame is left, where it is not by an exception.
pub fn exit(frame: *mut PyFrameObject) -> Kind {
    match here(frame) {
        Some((YIELD_VALUE, _)) => Kind::Yield,
        _ => Kind::Return,
    }
}

/// The instruction at which a frame stands, and its argument.
fn here(frame: *mut PyFrameObject) -> Option<(u8, u8)> {
    // SAFETY: the frame of an event is alive.
    let offset = unsafe { ffi::PyFrame_GetLasti(frame) };
    let offset = usize::try_from(offset).ok()?;
    // SAFETY: a new reference comes back.
    let code = unsafe { Owned::take(ffi::PyFrame_GetCode(frame).cast()) }?;
    // The instructions are the variable part of a code object and begin where its
    // fixed part ends. `YIELD_VALUE` is never replaced by another instruction.
    // SAFETY: the address of a static type.
    let start = unsafe { ffi::PyCode_Type.tp_basicsize };
    let start = usize::try_from(start).ok()?;
    // SAFETY: a frame's offset is inside its code's instructions.
    let place = unsafe { code.as_ptr().cast::<u8>().add(start + offset) };
    // SAFETY: as above; an instruction is two bytes.
    let bytes = unsafe { *place.cast::<[u8; 2]>() };
    Some((bytes[0], bytes[1]))
}
