//! `PyEval_SetProfile`: the default on 3.11, selectable everywhere.
//!
//! A profile function sees an entry and an exit of a frame, not what they were:
//! whether a generator is entered for the first time, whether it yields or
//! returns, whether a frame returns `None` or is left by an exception. From 3.12
//! on the interpreter says so in the thread's state (`what`); on 3.11 the
//! instruction that the frame stands at does ([`code`]).
//!
//! Threads that Python code starts later install the function by
//! `threading.setprofile`. Threads that C code starts have no such hook.
#![allow(unsafe_code, reason = "a callback of the interpreter and how it is installed")]
#![allow(
    clippy::multiple_unsafe_ops_per_block,
    reason = "a call and taking over the reference that it returns are one step"
)]

#[cfg(not(Py_3_12))]
mod instruction;
#[cfg(Py_3_12)]
mod what;

use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use pyo3::ffi::{self, PyFrameObject, PyObject};
use pyo3::prelude::*;
use pyo3::types::PyAnyMethods;
use rtrace_format::Kind;
use rtrace_format::record::ID_MASK;

use crate::attach;
use crate::names::{GENERATOR, SKIP, callable, code};
use crate::options::Options;
use crate::recording::{self, lock};

static C_CALLS: AtomicBool = AtomicBool::new(false);
/// Generation of the recording whose hook is installed, 0 for none.
static INSTALLED: AtomicU32 = AtomicU32::new(0);
/// What `threading` called in new threads before us.
static BEFORE: std::sync::Mutex<Option<Py<PyAny>>> = std::sync::Mutex::new(None);

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

unsafe extern "C" fn on_event(
    _object: *mut PyObject,
    frame: *mut PyFrameObject,
    what: c_int,
    argument: *mut PyObject,
) -> c_int {
    match what {
        ffi::PyTrace_CALL | ffi::PyTrace_RETURN => {
            // SAFETY: the frame of an event is alive; its code is kept by it.
            let id = unsafe { frame_id(frame) };
            if id & SKIP != 0 {
                return 0;
            }
            // SAFETY: the current thread's own writer, with the GIL held.
            let writer = unsafe { &mut *attach::writer() };
            let generator = id & GENERATOR != 0;
            if what == ffi::PyTrace_CALL {
                writer.enter(entry(frame, generator), id & ID_MASK);
            } else {
                writer.leave(exit(frame, generator, argument), id & ID_MASK);
            }
        }
        ffi::PyTrace_C_CALL | ffi::PyTrace_C_RETURN | ffi::PyTrace_C_EXCEPTION => {
            if !C_CALLS.load(Ordering::Relaxed) || argument.is_null() {
                return 0;
            }
            // SAFETY: these events pass the callable.
            let id = unsafe { callable::id(argument) };
            // SAFETY: the frame of an event is alive.
            if id & SKIP != 0 || unsafe { frame_id(frame) } & SKIP != 0 {
                return 0;
            }
            // SAFETY: the current thread's own writer, with the GIL held.
            let writer = unsafe { &mut *attach::writer() };
            match what {
                ffi::PyTrace_C_CALL => writer.enter_c(id),
                ffi::PyTrace_C_RETURN => writer.leave(Kind::CReturn, id),
                _ => writer.leave(Kind::CException, id),
            }
        }
        _ => {}
    }
    0
}

/// The id of a frame's code.
///
/// # Safety
/// - the GIL is held; `frame` is alive.
#[inline(always)]
unsafe fn frame_id(frame: *mut PyFrameObject) -> u32 {
    // SAFETY: the caller's promise; a new reference comes back.
    let object = unsafe { ffi::PyFrame_GetCode(frame) }.cast::<PyObject>();
    // SAFETY: alive: the frame has a reference of its own.
    unsafe { ffi::Py_DECREF(object) };
    // SAFETY: as above.
    unsafe { code::id(object) }
}

/// Begins in all threads that run and that Python code will start.
///
/// # Errors
/// The interpreter refuses.
pub fn install(py: Python<'_>, options: &Options) -> PyResult<()> {
    C_CALLS.store(options.c_calls, Ordering::Relaxed);
    let generation = recording::GENERATION.load(Ordering::Relaxed);
    INSTALLED.store(generation, Ordering::Relaxed);
    // A program that has not imported `threading` must not find it imported by us:
    // what it does when the interpreter ends would be in the trace.
    if let Some(threading) = imported_threading(py)? {
        hook_new_threads(py, &threading)?;
    }
    set_everywhere(Some(on_event));
    Ok(())
}

/// A function of `threading` was seen for the first time: the module is there now,
/// and no thread was started by it yet.
#[cold]
pub fn threading_seen() {
    if INSTALLED.load(Ordering::Relaxed) == 0 || lock(&BEFORE).is_some() {
        return;
    }
    Python::attach(|py| {
        let hooked = imported_threading(py)
            .and_then(|threading| threading.map_or(Ok(()), |module| hook_new_threads(py, &module)));
        if let Err(error) = hooked {
            // Its new threads are not seen; the program goes on.
            drop(error);
        }
    });
}

fn imported_threading(py: Python<'_>) -> PyResult<Option<Bound<'_, PyAny>>> {
    let modules = py.import("sys")?.getattr("modules")?;
    let threading = modules.get_item("threading").ok();
    // While it is being imported it has no such name yet.
    Ok(threading.filter(|module| module.hasattr("_profile_hook").unwrap_or(false)))
}

fn hook_new_threads(py: Python<'_>, threading: &Bound<'_, PyAny>) -> PyResult<()> {
    *lock(&BEFORE) = Some(threading.getattr("_profile_hook")?.unbind());
    let first = py.import("rtrace._core")?.getattr("_profile_new_thread")?;
    threading.setattr("_profile_hook", first)
}

/// Ends in all threads.
///
/// # Errors
/// The interpreter refuses.
pub fn remove(py: Python<'_>) -> PyResult<()> {
    if INSTALLED.swap(0, Ordering::Relaxed) == 0 {
        return Ok(());
    }
    set_everywhere(None);
    let before = lock(&BEFORE).take();
    let (Some(before), Some(threading)) = (before, imported_threading(py)?) else { return Ok(()) };
    let first = py.import("rtrace._core")?.getattr("_profile_new_thread")?;
    // Somebody else's hook that came after ours stays.
    if threading.getattr("_profile_hook")?.is(&first) {
        threading.setattr("_profile_hook", before)?;
    }
    Ok(())
}

/// What `threading` has each new thread call with its first event: puts our
/// function in its own place and hands that event on.
pub fn new_thread(frame: &Bound<'_, PyAny>, event: &str, argument: &Bound<'_, PyAny>) {
    if INSTALLED.load(Ordering::Relaxed) == 0 {
        // A thread that was told to call us before recording stopped.
        // SAFETY: the GIL is held.
        unsafe { ffi::PyEval_SetProfile(None, std::ptr::null_mut()) };
        return;
    }
    // SAFETY: the GIL is held; sets it for this thread.
    unsafe { ffi::PyEval_SetProfile(Some(on_event), std::ptr::null_mut()) };
    let what = match event {
        "call" => ffi::PyTrace_CALL,
        "return" => ffi::PyTrace_RETURN,
        "c_call" => ffi::PyTrace_C_CALL,
        "c_return" => ffi::PyTrace_C_RETURN,
        "c_exception" => ffi::PyTrace_C_EXCEPTION,
        _ => return,
    };
    // SAFETY: the interpreter's own arguments of a profile event.
    unsafe { on_event(std::ptr::null_mut(), frame.as_ptr().cast(), what, argument.as_ptr()) };
}

#[cfg(Py_3_12)]
fn set_everywhere(function: Option<ffi::Py_tracefunc>) {
    // SAFETY: the GIL is held by whoever installs or removes.
    unsafe { ffi::PyEval_SetProfileAllThreads(function, std::ptr::null_mut()) };
}

#[cfg(not(Py_3_12))]
fn set_everywhere(function: Option<ffi::Py_tracefunc>) {
    // SAFETY: the GIL is held by whoever installs or removes.
    let mut thread = unsafe { ffi::PyInterpreterState_ThreadHead(ffi::PyInterpreterState_Get()) };
    while !thread.is_null() {
        // SAFETY: a live thread state; none is freed while the GIL is held.
        let refused =
            unsafe { crate::ffi::_PyEval_SetProfile(thread, function, std::ptr::null_mut()) };
        if refused < 0 {
            // An audit hook said no. The thread stays as it was.
            // SAFETY: the GIL is held.
            unsafe { ffi::PyErr_Clear() };
        }
        // SAFETY: as above.
        thread = unsafe { ffi::PyThreadState_Next(thread) };
    }
}
