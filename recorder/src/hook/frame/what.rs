//! From 3.12: what happens to a frame, told by the thread's state.
//!
//! The profile function is itself called by `sys.monitoring`, and the state keeps
//! the number of the event that it is called for in the public field
//! `what_event`. On 3.12 that is the only way to see an unwinding frame: its
//! argument is `None` there instead of NULL.
#![allow(unsafe_code, reason = "reads a field of the thread's state")]

use std::ffi::c_int;

use pyo3::ffi;
use rtrace_format::Kind;

/// Where `what_event` lies in a `PyThreadState`.
#[cfg(not(Py_3_13))]
const WHAT_EVENT: usize = 48;
#[cfg(all(Py_3_13, not(Py_3_15)))]
const WHAT_EVENT: usize = 64;
#[cfg(Py_3_15)]
const WHAT_EVENT: usize = 68;

const PY_RESUME: c_int = 1;
const PY_YIELD: c_int = 3;
#[cfg(not(Py_3_14))]
const PY_UNWIND: c_int = 12;
#[cfg(not(Py_3_14))]
const PY_THROW: c_int = 13;
#[cfg(Py_3_14)]
const PY_UNWIND: c_int = 13;
#[cfg(Py_3_14)]
const PY_THROW: c_int = 14;

fn what_event() -> c_int {
    // SAFETY: the GIL is held in an event.
    let thread = unsafe { ffi::PyThreadState_Get() };
    // SAFETY: the field is an int at this place in every release of this minor version.
    unsafe { *thread.cast::<u8>().wrapping_add(WHAT_EVENT).cast::<c_int>() }
}

/// How a generator's frame is entered.
pub fn entry() -> Kind {
    match what_event() {
        PY_RESUME => Kind::Resume,
        PY_THROW => Kind::Throw,
        _ => Kind::Call,
    }
}

/// How a frame is left.
pub fn exit(generator: bool) -> Kind {
    match what_event() {
        PY_UNWIND => Kind::Unwind,
        PY_YIELD if generator => Kind::Yield,
        _ => Kind::Return,
    }
}
