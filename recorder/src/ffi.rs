//! What the interpreter exports and pyo3's bindings leave out or lay out otherwise.
#![allow(unsafe_code, reason = "declares and calls the interpreter's C functions")]
#![allow(
    clippy::multiple_unsafe_ops_per_block,
    reason = "a call and taking over the reference that it returns are one step"
)]

pub mod callables;

use std::ffi::{CStr, c_char, c_void};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi::{self, PyObject, PyTypeObject};
use pyo3::{Bound, PyAny, PyResult, Python};

/// A C function object as CPython lays it out.
#[repr(C)]
pub struct CFunction {
    ob_base: PyObject,
    /// The definition; static in most modules, on the heap in some bindings.
    pub method: *const ffi::PyMethodDef,
    /// The module, the type or the instance that it is bound to; may be null.
    pub bound: *mut PyObject,
    /// The module's name, or null.
    pub module: *mut PyObject,
}

/// A method of a type written in C, as CPython lays it out.
#[repr(C)]
pub struct MethodDescriptor {
    ob_base: PyObject,
    /// The type that defines it.
    pub owner: *mut PyTypeObject,
    /// Its name.
    pub name: *mut PyObject,
    qualname: *mut PyObject,
    /// The definition; in a slot wrapper that of the slot, which is another struct.
    pub method: *const ffi::PyMethodDef,
}

/// A method object: a callable and what it is bound to.
#[repr(C)]
pub struct Method {
    ob_base: PyObject,
    /// The callable.
    pub function: *mut PyObject,
}

/// A slot wrapper bound to an object.
#[repr(C)]
pub struct MethodWrapper {
    ob_base: PyObject,
    /// The slot wrapper.
    pub descriptor: *mut MethodDescriptor,
}

unsafe extern "C" {
    /// The type of methods bound to an instance.
    pub static mut PyMethod_Type: PyTypeObject;
    /// Sets the profile function of one thread. Declared as data in CPython's
    /// header by a slip, a function in every release from 3.9 on.
    #[cfg(not(Py_3_12))]
    pub fn _PyEval_SetProfile(
        thread: *mut ffi::PyThreadState,
        function: Option<ffi::Py_tracefunc>,
        argument: *mut PyObject,
    ) -> std::ffi::c_int;
    /// Sets the trace function of one thread; exported up to 3.12.
    #[cfg(not(Py_3_12))]
    pub fn _PyEval_SetTrace(
        thread: *mut ffi::PyThreadState,
        function: Option<ffi::Py_tracefunc>,
        argument: *mut PyObject,
    ) -> std::ffi::c_int;
    /// The instructions of a code object as compiled, as `bytes`; a new reference.
    pub fn PyCode_GetCode(code: *mut ffi::PyCodeObject) -> *mut PyObject;
    /// An attribute of a type by the method resolution order; borrowed, no code is run.
    pub fn _PyType_Lookup(kind: *mut PyTypeObject, name: *mut PyObject) -> *mut PyObject;
}

/// Whether memory ran out in one of our calls; touched with the GIL held.
static RAN_OUT: AtomicBool = AtomicBool::new(false);

/// Clears the error of a call of ours, and notes whether memory ran out.
///
/// # Safety
/// - the GIL is held.
unsafe fn clear_error() {
    // SAFETY: the GIL is held; an error is set where one is compared.
    unsafe {
        if !ffi::PyErr_Occurred().is_null()
            && ffi::PyErr_ExceptionMatches(ffi::PyExc_MemoryError) != 0
        {
            RAN_OUT.store(true, Ordering::Relaxed);
        }
        ffi::PyErr_Clear();
    }
}

/// What `look` found; none where memory ran out on the way, so that it may be wrong.
/// The caller holds the GIL.
pub fn unless_memory_ran_out<T>(look: impl FnOnce() -> T) -> Option<T> {
    let before = RAN_OUT.swap(false, Ordering::Relaxed);
    let found = look();
    let ran_out = RAN_OUT.swap(before, Ordering::Relaxed);
    (!ran_out).then_some(found)
}

/// A reference that is given up on drop.
pub struct Owned(*mut PyObject);

impl Owned {
    /// Takes over a new reference; null (with an exception set) gives none and clears it.
    ///
    /// # Safety
    /// - the GIL is held; `object` is null or a reference that the caller owns.
    pub unsafe fn take(object: *mut PyObject) -> Option<Owned> {
        if object.is_null() {
            // SAFETY: the GIL is held.
            unsafe { clear_error() };
            return None;
        }
        Some(Owned(object))
    }

    /// The object, borrowed.
    pub fn as_ptr(&self) -> *mut PyObject {
        self.0
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: `take`'s caller gave the reference and holds the GIL.
        unsafe { ffi::Py_DECREF(self.0) };
    }
}

/// An attribute of an object whose type runs no code for it (code objects and the like).
///
/// # Safety
/// - the GIL is held; `object` is alive.
pub unsafe fn attribute(object: *mut PyObject, name: &CStr) -> Option<Owned> {
    // SAFETY: the caller's promise.
    let value = unsafe { ffi::PyObject_GetAttrString(object, name.as_ptr()) };
    // SAFETY: a new reference or null.
    unsafe { Owned::take(value) }
}

/// Whether an object is exactly of a type.
///
/// # Safety
/// - `object` is alive.
#[inline(always)]
pub unsafe fn is_exactly(object: *mut PyObject, kind: *mut PyTypeObject) -> bool {
    // SAFETY: the caller's promise.
    unsafe { ffi::Py_TYPE(object) == kind }
}

/// The attributes that a type has itself, as a dict.
///
/// # Safety
/// - the GIL is held; `kind` is alive.
pub unsafe fn type_dict(kind: *mut PyTypeObject) -> Option<Owned> {
    // The dicts of static types belong to the interpreter since 3.12, not to the type.
    #[cfg(Py_3_12)]
    // SAFETY: the caller's promise; a new reference comes back.
    return unsafe { Owned::take(ffi::PyType_GetDict(kind)) };
    #[cfg(not(Py_3_12))]
    // SAFETY: the caller's promise.
    return unsafe { Owned::take(ffi::Py_XNewRef((*kind).tp_dict)) };
}

/// The text of a `str` as WTF-8; none for anything else.
///
/// # Safety
/// - the GIL is held; `object` is null or alive.
pub unsafe fn text(object: *mut PyObject) -> Option<Vec<u8>> {
    // SAFETY: the caller's promise.
    if object.is_null() || unsafe { ffi::PyUnicode_Check(object) } == 0 {
        return None;
    }
    let mut len = 0;
    // SAFETY: a str; the buffer lives as long as it.
    let utf8 = unsafe { ffi::PyUnicode_AsUTF8AndSize(object, &raw mut len) };
    if !utf8.is_null() {
        // SAFETY: `len` bytes, as the interpreter says.
        return Some(unsafe { bytes(utf8, len) }.to_vec());
    }
    // A lone surrogate: encoded by the same three-byte rule as any other character.
    // SAFETY: the GIL is held.
    unsafe { clear_error() };
    let (codec, errors) = (c"utf-8".as_ptr(), c"surrogatepass".as_ptr());
    // SAFETY: a str; a new reference or null comes back.
    let encoded = unsafe { Owned::take(ffi::PyUnicode_AsEncodedString(object, codec, errors)) }?;
    // SAFETY: bytes that `encoded` keeps alive.
    Some(unsafe { bytes_of(encoded.as_ptr()) }.to_vec())
}

/// The content of a `bytes`.
///
/// # Safety
/// - the GIL is held; `object` is a `bytes` that lives long enough.
pub unsafe fn bytes_of<'a>(object: *mut PyObject) -> &'a [u8] {
    // SAFETY: the caller's promise.
    unsafe { bytes(ffi::PyBytes_AsString(object), ffi::PyBytes_Size(object)) }
}

/// # Safety
/// - `start` is null or points to `len` bytes that live long enough.
unsafe fn bytes<'a>(start: *const c_char, len: ffi::Py_ssize_t) -> &'a [u8] {
    if start.is_null() {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(start.cast(), usize::try_from(len).unwrap_or(0)) }
}

/// The bytes of a C string; empty for null.
///
/// # Safety
/// - `start` is null or a C string that lives long enough.
pub unsafe fn c_text<'a>(start: *const c_char) -> &'a [u8] {
    if start.is_null() {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(start) }.to_bytes()
}

/// The value of a dict's key, borrowed; null where there is none.
///
/// # Safety
/// - the GIL is held; `dict` is null or alive.
pub unsafe fn dict_get(dict: *mut PyObject, key: &CStr) -> *mut PyObject {
    // SAFETY: the caller's promise.
    if dict.is_null() || unsafe { ffi::PyDict_Check(dict) } == 0 {
        return ptr::null_mut();
    }
    // Not `PyDict_GetItemString`: it tells `sys.unraisablehook` where memory runs out.
    // SAFETY: a C string of ASCII; a new reference or null comes back.
    let key = unsafe { Owned::take(ffi::PyUnicode_FromString(key.as_ptr())) };
    let Some(key) = key else { return ptr::null_mut() };
    // SAFETY: a dict; the lookup compares a str with str keys.
    let value = unsafe { ffi::PyDict_GetItemWithError(dict, key.as_ptr()) };
    if value.is_null() {
        // SAFETY: the GIL is held.
        unsafe { clear_error() };
    }
    value
}

/// An `int` as a number; none where it is something else or does not fit.
///
/// # Safety
/// - the GIL is held; `object` is null or alive.
pub unsafe fn number(object: *mut PyObject) -> Option<i64> {
    // SAFETY: the caller's promise.
    if object.is_null() || unsafe { ffi::PyLong_Check(object) } == 0 {
        return None;
    }
    let mut overflow = 0;
    // SAFETY: an int.
    let value = unsafe { ffi::PyLong_AsLongLongAndOverflow(object, &raw mut overflow) };
    (overflow == 0).then_some(value)
}

/// Where an extra value of code objects is kept: one slot of the interpreter.
///
/// The values are numbers, so nothing is to be freed when a code object dies: its
/// slot goes with it, which is what keeps a reused address from naming the wrong function.
///
/// # Safety
/// - the GIL is held.
pub unsafe fn request_code_extra() -> ffi::Py_ssize_t {
    unsafe extern "C" fn nothing_to_free(_value: *mut c_void) {}
    // SAFETY: the caller's promise.
    unsafe { ffi::PyUnstable_Eval_RequestCodeExtraIndex(nothing_to_free) }
}

/// The text of a `str` as WTF-8; none for anything else.
pub fn text_of(object: &Bound<'_, PyAny>) -> Option<Vec<u8>> {
    // SAFETY: a bound object is alive and means that the GIL is held.
    unsafe { text(object.as_ptr()) }
}

/// What `sys` holds under a name. It is not imported for it: that would be a call of the
/// program's `builtins.__import__`.
///
/// # Errors
/// `sys` has no such name.
pub fn sys_object<'py>(py: Python<'py>, name: &CStr) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: `py` says that the GIL is held; borrowed.
    let found = unsafe { ffi::PySys_GetObject(name.as_ptr()) };
    // SAFETY: null or alive.
    let found = unsafe { Bound::from_borrowed_ptr_or_opt(py, found) };
    found.ok_or_else(|| PyRuntimeError::new_err(format!("sys has no {name:?}")))
}

/// Where the remaining recursion depth lies in a `PyThreadState`; the limit follows it.
#[cfg(not(Py_3_12))]
const RECURSION_REMAINING: usize = 32;
#[cfg(all(Py_3_12, not(Py_3_13)))]
const RECURSION_REMAINING: usize = 28;
#[cfg(all(Py_3_13, not(Py_3_14)))]
const RECURSION_REMAINING: usize = 44;
#[cfg(all(Py_3_14, not(Py_3_15)))]
const RECURSION_REMAINING: usize = 48;
#[cfg(Py_3_15)]
const RECURSION_REMAINING: usize = 52;

/// Gives the current thread `frames` more levels, as if the frames that are open
/// did not count. The limit itself, which a program may ask for, stays.
pub fn forgive_recursion(_py: Python<'_>, frames: std::ffi::c_int) {
    // SAFETY: the GIL is held.
    let limit = unsafe { ffi::Py_GetRecursionLimit() };
    // SAFETY: as above.
    let thread = unsafe { ffi::PyThreadState_Get() };
    let fields = thread.cast::<u8>().wrapping_add(RECURSION_REMAINING);
    let fields = fields.cast::<[std::ffi::c_int; 2]>();
    // SAFETY: inside the thread's state in every release of this minor version.
    let fields = unsafe { &mut *fields };
    // Where the second is not the limit this is another layout: nothing is touched.
    if fields[1] == limit && (0..limit).contains(&fields[0]) {
        fields[0] += frames;
    }
}
