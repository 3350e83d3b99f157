//! The program's outermost frame, with none of the runner's below it.
//!
//! What a program sees of the stack (`inspect.stack`, `sys._getframe`, the stack level
//! of a warning, a debugger's `where`) goes from frame to frame by a link that each
//! takes from the thread's state as it is entered. While the program is evaluated the
//! thread's state says what it says when `python` runs the program itself: that no frame
//! is there, or, for a module, those of `runpy`. greenlet begins its stacks in the same way.
#![allow(unsafe_code, reason = "reads and writes a field of the thread's state")]
#![allow(
    clippy::multiple_unsafe_ops_per_block,
    reason = "a call and taking over the reference that it returns are one step"
)]

use std::ffi::c_void;
use std::ptr;

use pyo3::ffi::{self, PyFrameObject, PyObject};

use crate::attach;
use crate::ffi::{Owned, attribute, text};
use crate::hook::slot;

/// An interpreter's frame, which is no object.
type Raw = *mut c_void;

/// The object of a frame, as far as it is needed.
#[repr(C)]
struct FrameObject {
    ob_base: PyObject,
    back: *mut PyFrameObject,
    raw: Raw,
}

/// Where the thread's state says which frame is innermost.
///
/// # Safety
/// - the GIL is held, and the layout is known.
unsafe fn place() -> *mut Raw {
    // SAFETY: the caller's promise.
    let thread = unsafe { ffi::PyThreadState_Get() }.cast::<u8>();
    #[cfg(Py_3_13)]
    return thread.wrapping_add(72).cast();
    // Before 3.13 it stands in a struct of the innermost evaluation's, after a flag on 3.11.
    #[cfg(not(Py_3_13))]
    {
        let offset = if cfg!(Py_3_12) { 0 } else { 8 };
        // SAFETY: inside the thread's state in every release of these minor versions.
        let evaluation = unsafe { *thread.wrapping_add(56).cast::<*mut u8>() };
        evaluation.wrapping_add(offset).cast()
    }
}

/// What stands there in a thread that has no frame.
///
/// # Safety
/// - as [`place`].
unsafe fn nothing() -> Raw {
    #[cfg(Py_3_15)]
    {
        // A sentinel, which the next field points to.
        // SAFETY: inside the thread's state in every release of this minor version.
        return unsafe { *place().wrapping_add(1) };
    }
    #[cfg(not(Py_3_15))]
    ptr::null_mut()
}

/// Evaluates a code object with nothing of ours below it. Gives a new reference, or
/// null with an exception set.
///
/// # Safety
/// - the GIL is held; a code object and a dict, alive for the call.
pub unsafe fn evaluate(code: *mut PyObject, globals: *mut PyObject, module: bool) -> *mut PyObject {
    // SAFETY: the caller's promise.
    let eval = || unsafe { ffi::PyEval_EvalCode(code, globals, globals) };
    // SAFETY: the GIL is held.
    let frames = unsafe { attach::frames_here() };
    let raw = |frame: &Owned| {
        // SAFETY: a live frame object, laid out so in every supported version.
        unsafe { (*frame.as_ptr().cast::<FrameObject>()).raw }
    };
    let ours = frames.first().map_or(ptr::null_mut(), raw);
    // SAFETY: the caller's promise; the layout is checked first.
    if !slot::layout_is_known() || unsafe { *place() } != ours || ours.is_null() {
        attach::hide_runner(frames.len());
        return eval();
    }
    let runpy = frames.iter().rev().take_while(|frame| is_runpy(frame)).count();
    let kept = if module { runpy } else { 0 };
    attach::hide_runner(kept);
    let below = match frames.len().checked_sub(kept) {
        Some(at) if at < frames.len() => raw(&frames[at]),
        // SAFETY: the layout is known.
        _ => unsafe { nothing() },
    };
    // SAFETY: as above. The frames left out are those of calls that wait for this one.
    unsafe { *place() = below };
    let result = eval();
    // SAFETY: every frame that the evaluation entered is left.
    unsafe { *place() = ours };
    result
}

/// Whether a frame is one of those of `runpy`, which `python -m` has below a module's own.
fn is_runpy(frame: &Owned) -> bool {
    // SAFETY: a live frame; a new reference comes back.
    let code = unsafe { Owned::take(ffi::PyFrame_GetCode(frame.as_ptr().cast()).cast()) };
    // SAFETY: a live code object, which computes no attribute by Python code.
    let file = code.and_then(|code| unsafe { attribute(code.as_ptr(), c"co_filename") });
    // SAFETY: alive.
    let file = file.and_then(|file| unsafe { text(file.as_ptr()) });
    file.is_some_and(|file| file.ends_with(b"runpy>") || file.ends_with(b"/runpy.py"))
}
