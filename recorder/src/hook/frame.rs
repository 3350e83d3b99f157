//! What the hooks `profile` and `trace` share: entries and exits of frames.
//!
//! These hooks see an entry and an exit of a frame, not what they were: whether a
//! generator is entered for the first time, whether it yields or returns, whether a
//! frame returns `None` or is left by an exception. From 3.12 on the interpreter says
//! so in the thread's state (`what`); on 3.11 the instruction that the frame stands at
//! does (`instruction`).
#![allow(unsafe_code, reason = "reads the frame of an event")]

#[cfg(not(Py_3_12))]
mod instruction;
#[cfg(Py_3_12)]
mod what;

use pyo3::ffi::{self, PyFrameObject, PyObject};
use rtrace_format::Kind;
use rtrace_format::record::ID_MASK;

use crate::names::{GENERATOR, SKIP, code};
use crate::{attach, thread};

/// How a frame is entered.
#[cfg_attr(Py_3_12, allow(unused_variables, reason = "3.11 looks at the frame"))]
fn entry(frame: *mut PyFrameObject, generator: bool) -> Kind {
    if !generator {
        return Kind::Call;
    }
    #[cfg(Py_3_12)]
    return what::entry();
    #[cfg(not(Py_3_12))]
    return instruction::entry(frame);
}

/// How a frame is left.
#[cfg_attr(Py_3_12, allow(unused_variables, reason = "3.11 looks at the frame"))]
fn exit(frame: *mut PyFrameObject, generator: bool, value: *mut PyObject) -> Kind {
    if value.is_null() {
        return Kind::Unwind;
    }
    #[cfg(Py_3_12)]
    return what::exit(generator);
    #[cfg(not(Py_3_12))]
    return if generator { instruction::exit(frame) } else { Kind::Return };
}

/// The id of a frame's code, with [`SKIP`] and [`GENERATOR`].
///
/// # Safety
/// - the GIL is held; `frame` is alive.
#[inline(always)]
pub unsafe fn id(frame: *mut PyFrameObject) -> u32 {
    // SAFETY: the caller's promise.
    let code = unsafe { code_of(frame) };
    // SAFETY: as above.
    unsafe { code::id(code) }
}

/// The code of a frame, borrowed from it.
///
/// # Safety
/// - `frame` is alive; the GIL is held.
#[inline(always)]
unsafe fn code_of(frame: *mut PyFrameObject) -> *mut PyObject {
    // SAFETY: the caller's promise; a new reference comes back.
    let object = unsafe { ffi::PyFrame_GetCode(frame) }.cast::<PyObject>();
    // SAFETY: alive: the frame has a reference of its own.
    unsafe { ffi::Py_DECREF(object) };
    object
}

/// `PyTrace_CALL`: the frame is entered.
///
/// # Safety
/// - the GIL is held, in an event of `frame`.
#[inline(always)]
pub unsafe fn on_call(frame: *mut PyFrameObject) {
    // SAFETY: the caller's promise.
    let code = unsafe { code_of(frame) };
    // SAFETY: alive for the call.
    let id = unsafe { code::plain_id(code, SKIP | GENERATOR) };
    let (Some(id), Some(writer)) = (id, thread::latest()) else {
        // SAFETY: the caller's promise.
        return unsafe { on_odd_call(frame, code) };
    };
    // SAFETY: the current thread's own writer, with the GIL held.
    if unsafe { (*writer).enter(Kind::Call, id & ID_MASK) } {
        attach::attend();
    }
}

/// The entry of a generator, or of code, or in a thread, that nothing is known of yet.
///
/// # Safety
/// - the GIL is held, in an event of `frame`, whose code is `code`.
#[inline(never)]
unsafe fn on_odd_call(frame: *mut PyFrameObject, code: *mut PyObject) {
    // SAFETY: the caller's promise.
    let id = unsafe { code::id(code) };
    if id & SKIP == 0 {
        let kind = entry(frame, id & GENERATOR != 0);
        // SAFETY: the current thread's own writer, with the GIL held.
        if unsafe { (*attach::writer()).enter(kind, id & ID_MASK) } {
            attach::attend();
        }
    }
}

/// `PyTrace_RETURN`: the frame is left; `value` is null where an exception does so.
///
/// # Safety
/// - the GIL is held, in an event of `frame`.
#[inline(always)]
pub unsafe fn on_return(frame: *mut PyFrameObject, value: *mut PyObject) {
    // SAFETY: the caller's promise.
    let code = unsafe { code_of(frame) };
    // SAFETY: alive for the call.
    let id = unsafe { code::plain_id(code, SKIP | GENERATOR) };
    let (Some(id), Some(writer)) = (id, thread::latest()) else {
        // SAFETY: the caller's promise.
        return unsafe { on_odd_return(frame, code, value) };
    };
    let kind = exit(frame, false, value);
    // SAFETY: the current thread's own writer, with the GIL held.
    if unsafe { (*writer).leave(kind, id & ID_MASK) } {
        attach::attend();
    }
}

/// The exit of what [`on_odd_call`] is about.
///
/// # Safety
/// - the GIL is held, in an event of `frame`, whose code is `code`.
#[inline(never)]
unsafe fn on_odd_return(frame: *mut PyFrameObject, code: *mut PyObject, value: *mut PyObject) {
    // SAFETY: the caller's promise.
    let id = unsafe { code::id(code) };
    if id & SKIP == 0 {
        let kind = exit(frame, id & GENERATOR != 0, value);
        // SAFETY: the current thread's own writer, with the GIL held.
        if unsafe { (*attach::writer()).leave(kind, id & ID_MASK) } {
            attach::attend();
        }
    }
}
