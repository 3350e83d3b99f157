//! Exceptions: the type's name and a bounded message.
#![allow(unsafe_code, reason = "reads the interpreter's objects")]
#![allow(
    clippy::multiple_unsafe_ops_per_block,
    reason = "a call and taking over the reference that it returns are one step"
)]

use pyo3::ffi::{self, PyObject};
use rtrace_format::long::{MESSAGE_MAX, cut_text};

use crate::ffi::{Owned, is_exactly, text};
use crate::names;

/// Module and qualified name of an exception's type.
///
/// # Safety
/// - the GIL is held; `exception` is alive.
pub unsafe fn type_name(exception: *mut PyObject) -> (Vec<u8>, Vec<u8>) {
    // SAFETY: the caller's promise.
    unsafe { names::type_name(ffi::Py_TYPE(exception)) }
}

/// The first argument of an exception if it is exactly a `str`, cut to what a record holds.
///
/// # Safety
/// - the GIL is held; `exception` is alive.
pub unsafe fn message(exception: *mut PyObject) -> Vec<u8> {
    // SAFETY: the caller's promise.
    if unsafe { ffi::PyExceptionInstance_Check(exception) } == 0 {
        return Vec::new();
    }
    // The attribute may be overridden in Python; the struct's field may not.
    // SAFETY: an exception.
    let arguments = unsafe { (*exception.cast::<ffi::PyBaseExceptionObject>()).args };
    // SAFETY: null or alive.
    if arguments.is_null() || unsafe { ffi::PyTuple_Check(arguments) } == 0 {
        return Vec::new();
    }
    // SAFETY: a tuple.
    if unsafe { ffi::PyTuple_Size(arguments) } < 1 {
        return Vec::new();
    }
    // SAFETY: it has a first item, borrowed here.
    let first = unsafe { ffi::PyTuple_GetItem(arguments, 0) };
    // SAFETY: a live object.
    if !unsafe { is_exactly(first, &raw mut ffi::PyUnicode_Type) } {
        return Vec::new();
    }
    // A very long text is not encoded whole for the sake of its beginning.
    // SAFETY: a str; a new reference or null comes back.
    let head =
        unsafe { Owned::take(ffi::PyUnicode_Substring(first, 0, MESSAGE_MAX as ffi::Py_ssize_t)) };
    // SAFETY: a str that `head` keeps alive.
    let bytes = head.and_then(|head| unsafe { text(head.as_ptr()) }).unwrap_or_default();
    cut_text(&bytes, MESSAGE_MAX).to_vec()
}
