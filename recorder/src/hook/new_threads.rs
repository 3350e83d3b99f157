//! Threads that Python code starts later, under the hooks `profile` and `trace`.
//!
//! `threading` has each new thread set a Python function first, which we put there;
//! at its first event it puts the C function in its own place. Threads that C code
//! starts have no such hook.
#![allow(unsafe_code, reason = "calls what needs the GIL, which is held here")]

use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyAnyMethods, PyDict};

use super::slot::Slot;
use crate::attach;

impl Slot {
    /// The name in `threading` of what a new thread sets.
    fn attribute(self) -> &'static str {
        match self {
            Slot::Profile => "_profile_hook",
            Slot::Trace => "_trace_hook",
        }
    }

    /// The name in this module of what we put there.
    fn first(self) -> &'static str {
        match self {
            Slot::Profile => "_profile_new_thread",
            Slot::Trace => "_trace_new_thread",
        }
    }
}

/// `threading`, once it is imported. A program that has not imported it must not find
/// it imported by us: what it does when the interpreter ends would be in the trace.
///
/// Gives its dict and what new threads set now.
fn threading(
    py: Python<'_>,
    slot: Slot,
) -> PyResult<Option<(Bound<'_, PyDict>, Bound<'_, PyAny>)>> {
    // SAFETY: `py` says that the GIL is held; borrowed.
    let names = unsafe { attach::module(c"threading") };
    // SAFETY: null or alive.
    let names = unsafe { Bound::from_borrowed_ptr_or_opt(py, names) };
    let Some(names) = names else { return Ok(None) };
    let names = names.cast_into::<PyDict>()?;
    // While it is being imported it has no such name yet.
    Ok(names.get_item(slot.attribute())?.map(|set| (names, set)))
}

/// Our module. `sys.modules` belongs to the program, which may have taken it out of there.
static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();

/// Says which module has the functions that new threads call first.
pub fn set_module(module: &Bound<'_, PyModule>) {
    // The first one holds: the extension is loaded once.
    let _ = MODULE.set(module.py(), module.clone().unbind());
}

/// What we put into `threading`.
fn ours(py: Python<'_>, slot: Slot) -> PyResult<Bound<'_, PyAny>> {
    let module = MODULE.get(py).ok_or_else(|| PyRuntimeError::new_err("still being loaded"))?;
    module.bind(py).dict().as_any().get_item(slot.first())
}

/// What new threads set now, if it is not ours.
///
/// # Errors
/// The interpreter's own; nothing is known then.
pub fn holder(py: Python<'_>, slot: Slot) -> PyResult<Option<Bound<'_, PyAny>>> {
    let Some((_, set)) = threading(py, slot)? else { return Ok(None) };
    Ok((!set.is_none() && !set.is(&ours(py, slot)?)).then_some(set))
}

/// Has new threads call us, unless they call somebody else.
///
/// # Errors
/// The interpreter's own; new threads are not seen then.
pub fn hook(py: Python<'_>, slot: Slot) -> PyResult<()> {
    let Some((names, set)) = threading(py, slot)? else { return Ok(()) };
    if set.is_none() {
        names.set_item(slot.attribute(), ours(py, slot)?)?;
    }
    Ok(())
}

/// Undoes [`hook`]; what somebody else put there since stays.
///
/// # Errors
/// The interpreter's own.
pub fn unhook(py: Python<'_>, slot: Slot) -> PyResult<()> {
    let Some((names, set)) = threading(py, slot)? else { return Ok(()) };
    if set.is(&ours(py, slot)?) {
        names.set_item(slot.attribute(), py.None())?;
    }
    Ok(())
}

/// A function of `threading` was seen for the first time: the module is there now,
/// and no thread was started by it yet.
#[cold]
pub fn threading_seen(slot: Slot) {
    if slot.is_installed() {
        // On an error its new threads are not seen; the program goes on.
        Python::attach(|py| drop(hook(py, slot)));
    }
}

/// What a new thread calls with its first event: puts our C function in its own place
/// and hands that event on.
pub fn first_event(slot: Slot, frame: &Bound<'_, PyAny>, event: &str, argument: &Bound<'_, PyAny>) {
    if !slot.is_installed() {
        // A thread that was told to call us before recording stopped.
        return slot.clear_here();
    }
    slot.set_here();
    let what = match event {
        "call" => ffi::PyTrace_CALL,
        "return" => ffi::PyTrace_RETURN,
        "line" => ffi::PyTrace_LINE,
        "exception" => ffi::PyTrace_EXCEPTION,
        "opcode" => ffi::PyTrace_OPCODE,
        "c_call" => ffi::PyTrace_C_CALL,
        "c_return" => ffi::PyTrace_C_RETURN,
        "c_exception" => ffi::PyTrace_C_EXCEPTION,
        _ => return,
    };
    // SAFETY: the interpreter's own arguments of an event.
    unsafe {
        slot.function()(std::ptr::null_mut(), frame.as_ptr().cast(), what, argument.as_ptr())
    };
}
