//! Where code objects keep their extra values: read in two loads, where asking takes a call.
//!
//! The place is not written down here but found, on an object of our own: the one word of it
//! that changes when it is given its first extra value. Where what that word leads to is not
//! what is expected, the interpreter is asked each time.
#![allow(unsafe_code, reason = "reads the interpreter's objects")]

use std::ffi::c_void;
use std::ptr;

use pyo3::ffi::{self, PyObject};

use crate::ffi::Owned;

/// A value that an extra has by intent only.
const MARK: usize = 0x5254_5243_4d41_524b;

/// The offset of the pointer to a code object's extras; 0 where it cannot be told.
///
/// # Safety
/// - the GIL is held; `slot` is of extras that need not be freed.
pub unsafe fn find(slot: isize) -> usize {
    let (file, name) = (c"<rtrace>", c"<rtrace>");
    // SAFETY: the GIL is held; a new reference comes back.
    let code = unsafe { Owned::take(ffi::PyCode_NewEmpty(file.as_ptr(), name.as_ptr(), 1).cast()) };
    let Some(code) = code else { return 0 };
    // SAFETY: the address of a static type.
    let size = usize::try_from(unsafe { ffi::PyCode_Type.tp_basicsize }).unwrap_or(0);
    let words = |code: &Owned| -> Vec<usize> {
        let first = code.as_ptr().cast::<usize>();
        // SAFETY: inside the fixed part of a live code object.
        (0..size / 8).map(|index| unsafe { first.add(index).read() }).collect()
    };
    let before = words(&code);
    // SAFETY: a code object and a slot of ours.
    let failed = unsafe { ffi::PyUnstable_Code_SetExtra(code.as_ptr(), slot, MARK as *mut c_void) };
    if failed != 0 {
        // SAFETY: the GIL is held.
        unsafe { ffi::PyErr_Clear() };
        return 0;
    }
    let after = words(&code);
    let mut changed = (0..after.len()).filter(|&index| before[index] != after[index]);
    let (Some(index), None) = (changed.next(), changed.next()) else { return 0 };
    // The word was empty, and leads to memory that was made for the extras since.
    let offset = index * 8;
    // SAFETY: as far as `read` looks there is at least the value that was just set.
    let found = unsafe { read(code.as_ptr(), offset, slot) };
    let as_expected = before[index] == 0 && found == Some(MARK as u64);
    if as_expected { offset } else { 0 }
}

/// The value in a slot of a code object, if it has one there.
///
/// # Safety
/// - the GIL is held; `code` is a live code object; `offset` is what [`find`] gave.
#[inline(always)]
pub unsafe fn read(code: *mut PyObject, offset: usize, slot: isize) -> Option<u64> {
    let place = code.cast::<u8>().wrapping_add(offset).cast::<*const isize>();
    // SAFETY: inside the code object.
    let extras = unsafe { *place };
    // A count, and as many values.
    // SAFETY: null, or memory of the code object's that begins with the count.
    if extras.is_null() || unsafe { *extras } <= slot {
        return None;
    }
    // SAFETY: below the count.
    Some(unsafe { *extras.offset(1 + slot) as u64 })
}

/// The same, by asking the interpreter.
///
/// # Safety
/// - the GIL is held; `code` is a live code object and `slot` one of ours.
#[cold]
#[inline(never)]
pub unsafe fn ask(code: *mut PyObject, slot: isize) -> u64 {
    let mut extra: *mut c_void = ptr::null_mut();
    // SAFETY: the caller's promise.
    unsafe { ffi::PyUnstable_Code_GetExtra(code, slot, &raw mut extra) };
    extra as u64
}
