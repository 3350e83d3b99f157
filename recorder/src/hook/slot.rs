//! The place for one profile function and one trace function in each thread's state.
//!
//! There is one of each per thread, and the program, a debugger or a coverage tool may
//! hold it. Whoever came first keeps it: recording is refused where a place is taken,
//! and ends silently in a thread whose place is taken later. What is taken is never
//! taken back, and at the end only what is ours is cleared.
#![allow(unsafe_code, reason = "reads fields of the threads' states")]
#![allow(
    clippy::multiple_unsafe_ops_per_block,
    reason = "getting at a field or an attribute and using it are one step"
)]

use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi::{self, Py_tracefunc, PyObject, PyThreadState};
use pyo3::prelude::*;

use super::{new_threads, profile, trace};
use crate::ffi::{Method, PyMethod_Type, attribute, is_exactly, text};
use crate::names::type_name;
use crate::thread;

/// Where the four fields begin: profile function, trace function, profile object, trace object.
#[cfg(not(Py_3_13))]
const FIELDS: usize = 64;
#[cfg(all(Py_3_13, not(Py_3_15)))]
const FIELDS: usize = 80;
#[cfg(Py_3_15)]
const FIELDS: usize = 104;

/// Where the thread's ident lies.
#[cfg(not(Py_3_12))]
const IDENT: usize = 152;
#[cfg(all(Py_3_12, not(Py_3_13)))]
const IDENT: usize = 136;
#[cfg(all(Py_3_13, not(Py_3_15)))]
const IDENT: usize = 152;
#[cfg(Py_3_15)]
const IDENT: usize = 176;

/// One of the two places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// `PyEval_SetProfile`'s.
    Profile,
    /// `PyEval_SetTrace`'s.
    Trace,
}

static INSTALLED: [AtomicBool; 2] = [AtomicBool::new(false), AtomicBool::new(false)];

/// A word of a thread's state.
///
/// # Safety
/// - the GIL is held; `thread` is a live thread state; the layout is known ([`layout_is_known`]).
unsafe fn word(thread: *mut PyThreadState, offset: usize) -> usize {
    let field = thread.cast::<u8>().wrapping_add(offset).cast::<usize>();
    // SAFETY: inside the thread's state in every release of this minor version.
    unsafe { *field }
}

/// Whether thread states are laid out as this module was made for. Asked with the GIL held.
pub fn layout_is_known() -> bool {
    // SAFETY: the GIL is held by whoever asks.
    let thread = unsafe { ffi::PyThreadState_Get() };
    // SAFETY: the struct is longer than this in every supported version.
    unsafe { word(thread, IDENT) == thread::current_ident() }
}

/// The states of all threads of this interpreter.
///
/// # Safety
/// - the GIL is held, and nothing gives it up before the list is dropped.
unsafe fn threads() -> Vec<*mut PyThreadState> {
    let mut found = Vec::new();
    // SAFETY: the caller's promise.
    let mut thread = unsafe { ffi::PyInterpreterState_ThreadHead(ffi::PyInterpreterState_Get()) };
    while !thread.is_null() {
        found.push(thread);
        // SAFETY: a live thread state; none is freed while the GIL is held.
        thread = unsafe { ffi::PyThreadState_Next(thread) };
    }
    found
}

impl Slot {
    fn index(self) -> usize {
        match self {
            Slot::Profile => 0,
            Slot::Trace => 1,
        }
    }

    /// Our function for this place.
    pub fn function(self) -> Py_tracefunc {
        match self {
            Slot::Profile => profile::on_event,
            Slot::Trace => trace::on_event,
        }
    }

    /// Whether recording uses this place.
    pub fn is_installed(self) -> bool {
        INSTALLED[self.index()].load(Ordering::Relaxed)
    }

    /// How a program sets it.
    fn setter(self) -> &'static str {
        match self {
            Slot::Profile => "setprofile",
            Slot::Trace => "settrace",
        }
    }

    /// Sets our function in the current thread.
    pub fn set_here(self) {
        self.put_here(Some(self.function()));
    }

    /// Clears the current thread's place: recording has ended.
    #[cold]
    #[inline(never)]
    pub fn clear_here(self) {
        self.put_here(None);
    }

    fn put_here(self, function: Option<Py_tracefunc>) {
        let set = match self {
            Slot::Profile => ffi::PyEval_SetProfile,
            Slot::Trace => ffi::PyEval_SetTrace,
        };
        // SAFETY: the GIL is held by whoever sets or clears.
        unsafe { set(function, std::ptr::null_mut()) };
    }

    /// Function (as an address, 0 for none) and object of a thread.
    ///
    /// # Safety
    /// - as [`word`].
    unsafe fn of(self, thread: *mut PyThreadState) -> (usize, *mut PyObject) {
        let offset = FIELDS + self.index() * 8;
        // SAFETY: the caller's promise.
        unsafe { (word(thread, offset), word(thread, offset + 16) as *mut PyObject) }
    }

    /// Whether a thread has our function.
    ///
    /// # Safety
    /// - as [`word`].
    unsafe fn is_ours(self, thread: *mut PyThreadState) -> bool {
        // SAFETY: the caller's promise.
        unsafe { self.of(thread) }.0 == self.function() as usize
    }

    /// Says who holds the place in some thread, or will in new ones.
    ///
    /// # Errors
    /// Somebody does.
    pub fn check_free(self, py: Python<'_>) -> PyResult<()> {
        let taken = |by: String| {
            let setter = self.setter();
            PyRuntimeError::new_err(format!(
                "sys.{setter} is in use, by {by}, and is left to it; \
                 end that first, or use another hook"
            ))
        };
        if layout_is_known() {
            // SAFETY: the GIL is held, and only pointers are looked at.
            for thread in unsafe { threads() } {
                // SAFETY: a live thread state of a known layout.
                let (function, object) = unsafe { self.of(thread) };
                if function != 0 && function != self.function() as usize {
                    return Err(taken(holder_name(object)));
                }
            }
        }
        match new_threads::holder(py, self)? {
            Some(object) => Err(taken(holder_name(object.as_ptr()))),
            None => Ok(()),
        }
    }

    /// Takes the place in all threads that run and that Python code will start.
    ///
    /// # Errors
    /// Somebody holds it, or the interpreter refuses.
    pub fn install(self, py: Python<'_>) -> PyResult<()> {
        self.check_free(py)?;
        INSTALLED[self.index()].store(true, Ordering::Relaxed);
        new_threads::hook(py, self)?;
        self.put_everywhere(Some(self.function()));
        // SAFETY: the GIL is held, and so the layout may be looked at.
        let here = unsafe { ffi::PyThreadState_Get() };
        // SAFETY: the current thread's state.
        if layout_is_known() && !unsafe { self.is_ours(here) } {
            return Err(PyRuntimeError::new_err("the interpreter, or an audit hook, refused"));
        }
        Ok(())
    }

    /// Clears the place wherever it is ours.
    ///
    /// # Errors
    /// The interpreter refuses.
    pub fn remove(self, py: Python<'_>) -> PyResult<()> {
        if !INSTALLED[self.index()].swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        self.clear_ours();
        new_threads::unhook(py, self)
    }

    #[cfg(Py_3_12)]
    fn put_everywhere(self, function: Option<Py_tracefunc>) {
        let set = match self {
            Slot::Profile => ffi::PyEval_SetProfileAllThreads,
            Slot::Trace => ffi::PyEval_SetTraceAllThreads,
        };
        // On 3.12, before 3.13.10 and in 3.14.0 this loop may meet a thread that ends
        // meanwhile. A thread takes its state off the list with the GIL held, and it is
        // held here throughout (but where an audit hook in Python runs in between, to
        // which setting each thread alone would be open just as well).
        // SAFETY: the GIL is held by whoever installs or removes.
        unsafe { set(function, std::ptr::null_mut()) };
    }

    #[cfg(not(Py_3_12))]
    fn put_everywhere(self, function: Option<Py_tracefunc>) {
        // SAFETY: the GIL is held by whoever installs or removes.
        for thread in unsafe { threads() } {
            self.put(thread, function);
        }
    }

    /// Sets or clears one thread's place.
    #[cfg(not(Py_3_12))]
    fn put(self, thread: *mut PyThreadState, function: Option<Py_tracefunc>) {
        let set = match self {
            Slot::Profile => crate::ffi::_PyEval_SetProfile,
            Slot::Trace => crate::ffi::_PyEval_SetTrace,
        };
        // SAFETY: a live thread state with the GIL held.
        if unsafe { set(thread, function, std::ptr::null_mut()) } < 0 {
            // An audit hook said no. The thread stays as it was.
            // SAFETY: the GIL is held.
            unsafe { ffi::PyErr_Clear() };
        }
    }

    /// 3.11 sets each thread alone.
    #[cfg(not(Py_3_12))]
    fn clear_ours(self) {
        if !layout_is_known() {
            return self.put_everywhere(None);
        }
        // SAFETY: the GIL is held by whoever removes.
        for thread in unsafe { threads() } {
            // SAFETY: a live thread state of a known layout.
            if unsafe { self.is_ours(thread) } {
                self.put(thread, None);
            }
        }
    }

    /// From 3.12 on there is one call for all threads and one for the current thread.
    /// Where somebody else holds a place, the other threads let go of theirs at
    /// their next event.
    #[cfg(Py_3_12)]
    fn clear_ours(self) {
        if !layout_is_known() {
            return self.put_everywhere(None);
        }
        // SAFETY: the GIL is held by whoever removes.
        let others = unsafe { threads() }.into_iter().any(|thread| {
            // SAFETY: a live thread state of a known layout.
            unsafe { self.of(thread).0 != 0 && !self.is_ours(thread) }
        });
        if !others {
            return self.put_everywhere(None);
        }
        // SAFETY: the GIL is held.
        let here = unsafe { ffi::PyThreadState_Get() };
        // SAFETY: the current thread's state.
        if unsafe { self.is_ours(here) } {
            self.clear_here();
        }
    }

    /// The idents of the threads that run and do not have our function; none where
    /// that cannot be told.
    pub fn taken_in(self) -> Vec<usize> {
        if !layout_is_known() {
            return Vec::new();
        }
        // SAFETY: the GIL is held by whoever asks.
        let threads = unsafe { threads() }.into_iter();
        // SAFETY: live thread states of a known layout.
        let others = threads.filter(|&thread| !unsafe { self.is_ours(thread) });
        // SAFETY: as above.
        others.map(|thread| unsafe { word(thread, IDENT) }).collect()
    }
}

/// What holds a place: `object` is what the interpreter would give as `sys.gettrace()`.
fn holder_name(object: *mut PyObject) -> String {
    if object.is_null() {
        return "a C function".into();
    }
    // SAFETY: the thread's state keeps it alive, and the GIL is held.
    let (module, name) = unsafe { function_name(object).unwrap_or_else(|| type_of(object)) };
    let shown = |text: &[u8]| String::from_utf8_lossy(text).escape_debug().to_string();
    match module.is_empty() {
        true => shown(&name),
        false => format!("{}.{}", shown(&module), shown(&name)),
    }
}

/// Module and qualified name of a Python function, or of the one that a method is of.
///
/// # Safety
/// - the GIL is held; `object` is alive.
unsafe fn function_name(object: *mut PyObject) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut function = object;
    // SAFETY: the caller's promise.
    if unsafe { is_exactly(object, &raw mut PyMethod_Type) } {
        // SAFETY: exactly a method, which keeps its function alive.
        function = unsafe { (*object.cast::<Method>()).function };
    }
    // SAFETY: alive.
    if !unsafe { is_exactly(function, &raw mut ffi::PyFunction_Type) } {
        return None;
    }
    // SAFETY: functions compute no attribute by Python code; what comes back is alive.
    let get = |name| unsafe { attribute(function, name).and_then(|value| text(value.as_ptr())) };
    Some((get(c"__module__").unwrap_or_default(), get(c"__qualname__")?))
}

/// # Safety
/// - the GIL is held; `object` is alive.
unsafe fn type_of(object: *mut PyObject) -> (Vec<u8>, Vec<u8>) {
    // SAFETY: the caller's promise.
    unsafe { type_name(ffi::Py_TYPE(object)) }
}
