//! `PyEval_SetProfile`: the default on 3.11, selectable everywhere.
//!
//! Who else may hold the place that it takes, and how it is given back, is in
//! [`slot`](super::slot); threads that begin later are in
//! [`new_threads`](super::new_threads).
#![allow(unsafe_code, reason = "a callback of the interpreter")]
#![allow(
    clippy::multiple_unsafe_ops_per_block,
    reason = "getting at an argument or a field and using it are one step"
)]

use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use pyo3::ffi::{self, PyFrameObject, PyObject};
use pyo3::prelude::*;
use rtrace_format::Kind;

use super::frame;
use super::slot::Slot;
use crate::attach;
use crate::ffi::{CFunction, is_exactly};
use crate::names::{SKIP, callable};
use crate::options::Options;

static C_CALLS: AtomicBool = AtomicBool::new(false);

/// The definitions of the functions that take the place away: `sys.setprofile`, and
/// what `threading.setprofile_all_threads` calls. 0 where there is none.
static TAKERS: [AtomicUsize; 2] = [AtomicUsize::new(0), AtomicUsize::new(0)];

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
    if !Slot::Profile.is_installed() {
        // Recording ended while another tool's function in some thread kept us from
        // clearing all at once.
        Slot::Profile.clear_here();
        return 0;
    }
    match what {
        // SAFETY: called in an event of this frame.
        ffi::PyTrace_CALL => unsafe { frame::on_call(frame) },
        // SAFETY: as above.
        ffi::PyTrace_RETURN => unsafe { frame::on_return(frame, argument) },
        ffi::PyTrace_C_CALL | ffi::PyTrace_C_RETURN | ffi::PyTrace_C_EXCEPTION
            if !argument.is_null() =>
        {
            // SAFETY: as above; these events pass the callable.
            unsafe { on_c_function(what, frame, argument) };
        }
        _ => {}
    }
    0
}

/// # Safety
/// - the GIL is held, in an event of `frame` about `function`.
#[inline(always)]
unsafe fn on_c_function(what: c_int, frame: *mut PyFrameObject, function: *mut PyObject) {
    // SAFETY: the caller's promise.
    if what == ffi::PyTrace_C_CALL && unsafe { takes_the_slot(function) } {
        // SAFETY: the GIL is held.
        return unsafe { on_taker(frame, function) };
    }
    if C_CALLS.load(Ordering::Relaxed) {
        // SAFETY: the caller's promise.
        unsafe { write_c(what, frame, function) };
    }
}

/// # Safety
/// - the GIL is held, in an event of `frame` about `function`.
#[inline(always)]
unsafe fn write_c(what: c_int, frame: *mut PyFrameObject, function: *mut PyObject) {
    let kind = if what == ffi::PyTrace_C_RETURN { Kind::CReturn } else { Kind::CException };
    // SAFETY: the caller's promise.
    let id = unsafe { callable::id(function) };
    // SAFETY: the caller's promise.
    if id & SKIP != 0 || unsafe { frame::id(frame) } & SKIP != 0 {
        return;
    }
    // SAFETY: the current thread's own writer, with the GIL held.
    let writer = unsafe { &mut *attach::writer() };
    let attend = match what {
        ffi::PyTrace_C_CALL => writer.enter_c(id),
        _ => writer.leave(kind, id),
    };
    if attend {
        attach::attend();
    }
}

/// Whether a C function is one after which this hook is not called any more.
///
/// # Safety
/// - `function` is alive.
#[inline(always)]
unsafe fn takes_the_slot(function: *mut PyObject) -> bool {
    // SAFETY: the caller's promise.
    if !unsafe { is_exactly(function, &raw mut ffi::PyCFunction_Type) } {
        return false;
    }
    // SAFETY: exactly a C function.
    let method = unsafe { (*function.cast::<CFunction>()).method } as usize;
    TAKERS.iter().any(|taker| taker.load(Ordering::Relaxed) == method)
}

/// The program sets a profile function of its own: its call is this thread's last event.
///
/// # Safety
/// - as [`on_c_function`].
#[cold]
#[inline(never)]
unsafe fn on_taker(frame: *mut PyFrameObject, function: *mut PyObject) {
    if C_CALLS.load(Ordering::Relaxed) {
        // SAFETY: the caller's promise.
        unsafe { write_c(ffi::PyTrace_C_CALL, frame, function) };
    }
    // SAFETY: the current thread's own writer, with the GIL held.
    unsafe { (*attach::writer()).hook_taken() };
}

/// Begins in all threads that run and that Python code will start.
///
/// # Errors
/// The interpreter refuses, or somebody else's profile function is set.
pub fn install(py: Python<'_>, options: &Options) -> PyResult<()> {
    C_CALLS.store(options.c_calls, Ordering::Relaxed);
    for (taker, name) in TAKERS.iter().zip([c"setprofile", c"_setprofileallthreads"]) {
        taker.store(definition(name), Ordering::Relaxed);
    }
    Slot::Profile.install(py)
}

/// Where the definition of a function of `sys` lies; 0 where there is none of that name in C.
fn definition(name: &std::ffi::CStr) -> usize {
    // SAFETY: the GIL is held by whoever installs; borrowed.
    let function = unsafe { ffi::PySys_GetObject(name.as_ptr()) };
    // SAFETY: alive in the module.
    if function.is_null() || !unsafe { is_exactly(function, &raw mut ffi::PyCFunction_Type) } {
        return 0;
    }
    // SAFETY: exactly a C function.
    unsafe { (*function.cast::<CFunction>()).method as usize }
}
