//! `PyEval_SetTrace`: lines, exceptions and, where asked for, instructions; no C calls.
//!
//! As with [`profile`](super::profile), the place that it takes is in
//! [`slot`](super::slot) and later threads are in [`new_threads`](super::new_threads).
#![allow(unsafe_code, reason = "a callback of the interpreter")]
#![allow(
    clippy::multiple_unsafe_ops_per_block,
    reason = "a call and taking over the reference that it returns are one step"
)]

use std::ffi::{CStr, c_int};
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::ffi::{self, PyFrameObject, PyObject};
use pyo3::prelude::*;
use pyo3::types::{PyAnyMethods, PyDict, PyDictMethods};
use rtrace_format::record::ID_MASK;
use rtrace_format::{Kind, Word};

use super::slot::Slot;
use super::{frame, raised};
use crate::attach;
use crate::ffi::{Owned, attribute};
use crate::names::{SKIP, code};
use crate::options::Options;

static OPCODES: AtomicBool = AtomicBool::new(false);

/// The C function that the interpreter calls.
///
/// # Safety
/// - called by the interpreter, or as it does: with the GIL held, in an event of
///   `frame`, with the argument that this kind of event has.
pub unsafe extern "C" fn on_event(
    _object: *mut PyObject,
    frame: *mut PyFrameObject,
    what: c_int,
    argument: *mut PyObject,
) -> c_int {
    if !Slot::Trace.is_installed() {
        // Recording ended while another tool's function in some thread kept us from
        // clearing all at once.
        Slot::Trace.clear_here();
        return 0;
    }
    match what {
        ffi::PyTrace_CALL => {
            // SAFETY: called in an event of this frame.
            unsafe { frame::on_call(frame) };
            if OPCODES.load(Ordering::Relaxed) {
                // SAFETY: as above.
                unsafe { want_opcodes(frame) };
            }
        }
        // SAFETY: as above.
        ffi::PyTrace_RETURN => unsafe { frame::on_return(frame, argument) },
        // SAFETY: as above.
        ffi::PyTrace_LINE => unsafe { on_line(frame) },
        // SAFETY: as above; this event passes type, value and traceback.
        ffi::PyTrace_EXCEPTION => unsafe { on_exception(frame, argument) },
        // SAFETY: as above.
        ffi::PyTrace_OPCODE => unsafe { on_opcode(frame) },
        _ => {}
    }
    0
}

/// # Safety
/// - the GIL is held, in an event of `frame`.
#[inline(always)]
unsafe fn on_line(frame: *mut PyFrameObject) {
    // SAFETY: the caller's promise.
    if unsafe { frame::id(frame) } & SKIP != 0 {
        return;
    }
    // SAFETY: the caller's promise.
    let line = unsafe { ffi::PyFrame_GetLineNumber(frame) };
    let line = u32::try_from(line).unwrap_or(0).min(ID_MASK);
    // SAFETY: the current thread's own writer, with the GIL held.
    if unsafe { (*attach::writer()).point(Kind::Line, line) } {
        attach::attend();
    }
}

/// # Safety
/// - the GIL is held, in an event of `frame`.
unsafe fn on_opcode(frame: *mut PyFrameObject) {
    // SAFETY: the caller's promise.
    if unsafe { frame::id(frame) } & SKIP != 0 {
        return;
    }
    // SAFETY: the caller's promise.
    let offset = u32::try_from(unsafe { ffi::PyFrame_GetLasti(frame) }).unwrap_or(0);
    // SAFETY: a new reference comes back.
    let Some(code) = (unsafe { Owned::take(ffi::PyFrame_GetCode(frame).cast()) }) else { return };
    // SAFETY: a code object, kept alive by `code`.
    let opcode = unsafe { code::opcode_at(code.as_ptr(), offset) };
    let word = Word::opcode(offset, opcode, 0);
    // SAFETY: the current thread's own writer, with the GIL held.
    if unsafe { (*attach::writer()).point(Kind::Opcode, word.id()) } {
        attach::attend();
    }
}

/// # Safety
/// - the GIL is held, in an event of `frame` with this argument.
#[cold]
unsafe fn on_exception(frame: *mut PyFrameObject, argument: *mut PyObject) {
    // SAFETY: the caller's promise.
    let id = unsafe { frame::id(frame) };
    // SAFETY: null or alive.
    if id & SKIP != 0 || argument.is_null() || unsafe { ffi::PyTuple_Check(argument) } == 0 {
        return;
    }
    // SAFETY: a tuple of three; borrowed.
    let value = unsafe { ffi::PyTuple_GetItem(argument, 1) };
    if value.is_null() {
        // SAFETY: the GIL is held.
        return unsafe { ffi::PyErr_Clear() };
    }
    // SAFETY: the caller's promise.
    let line = unsafe { ffi::PyFrame_GetLineNumber(frame) };
    // SAFETY: alive in the tuple.
    unsafe { raised::write(id, u32::try_from(line).unwrap_or(0), value) };
}

/// Asks for an event at each instruction of a frame that is recorded.
///
/// # Safety
/// - the GIL is held; `frame` is alive.
#[cold]
unsafe fn want_opcodes(frame: *mut PyFrameObject) {
    // SAFETY: the caller's promise.
    if unsafe { code::id_of_frame(frame) } & SKIP == 0 {
        // SAFETY: as above.
        unsafe { set_opcodes(frame, ffi::Py_True()) };
    }
}

/// # Safety
/// - the GIL is held; both are alive.
unsafe fn set_opcodes(frame: *mut PyFrameObject, value: *mut PyObject) {
    let set = |name: &CStr, value| {
        // SAFETY: the caller's promise; an attribute of the struct, no code is run.
        if unsafe { ffi::PyObject_SetAttrString(frame.cast(), name.as_ptr(), value) } != 0 {
            // SAFETY: the GIL is held.
            unsafe { ffi::PyErr_Clear() };
        }
    };
    set(c"f_trace_opcodes", value);
    // From 3.13 on the wish is heard once the frame has a trace function of its own too.
    // SAFETY: alive; the attribute's value is too.
    let own = unsafe { attribute(frame.cast(), c"f_trace") };
    // SAFETY: the address of a static.
    let none = unsafe { ffi::Py_None() };
    if cfg!(Py_3_13) && own.is_some_and(|own| own.as_ptr() == none) {
        set(c"f_trace", value);
        set(c"f_trace", none);
    }
}

/// Begins in all threads that run and that Python code will start.
///
/// # Errors
/// The interpreter refuses, or somebody else's trace function is set.
pub fn install(py: Python<'_>, options: &Options) -> PyResult<()> {
    OPCODES.store(options.opcodes, Ordering::Relaxed);
    if options.opcodes {
        want_opcodes_of_open_frames(py)?;
    }
    Slot::Trace.install(py)
}

/// Asks for the instructions of every frame that is open in any thread. 3.12 gives
/// none at all unless some frame asked before the trace function is set.
fn want_opcodes_of_open_frames(py: Python<'_>) -> PyResult<()> {
    let frames = crate::ffi::sys_object(py, c"_current_frames")?.call0()?;
    for (_, innermost) in frames.cast::<PyDict>()?.iter() {
        let mut next = Some(innermost);
        while let Some(frame) = next.filter(|frame| !frame.is_none()) {
            let object = frame.as_ptr().cast::<PyFrameObject>();
            // SAFETY: a live frame, with the GIL held.
            if unsafe { code::id_of_frame(object) } & SKIP == 0 {
                // SAFETY: as above.
                unsafe { set_opcodes(object, ffi::Py_True()) };
            } else if cfg!(not(Py_3_13)) {
                // SAFETY: as above. Asking is what counts; nothing of this frame is wanted.
                unsafe { set_opcodes(object, ffi::Py_True()) };
                // SAFETY: as above.
                unsafe { set_opcodes(object, ffi::Py_False()) };
            }
            next = frame.getattr("f_back").ok();
        }
    }
    Ok(())
}
