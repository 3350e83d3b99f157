//! Types of objects that the interpreter calls by vectorcall, made once and never freed.
#![allow(unsafe_code, reason = "makes a type of the interpreter's")]

use std::ffi::CStr;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::ffi::{self, PyTypeObject};

/// What the objects of such a type are.
#[derive(Debug)]
pub struct Layout {
    /// The type's name, with its module's.
    pub name: &'static CStr,
    /// The size of an object, in bytes.
    pub size: usize,
    /// Where in it the `vectorcallfunc` lies.
    pub vectorcall: usize,
    /// What frees an object; none where none is ever freed.
    pub dealloc: Option<ffi::destructor>,
}

/// A type that is made at its first use.
#[derive(Debug)]
pub struct CallableType {
    layout: Layout,
    made: AtomicPtr<PyTypeObject>,
}

impl CallableType {
    /// The type of objects of this layout.
    pub const fn new(layout: Layout) -> CallableType {
        CallableType { layout, made: AtomicPtr::new(ptr::null_mut()) }
    }

    /// The type; null where it cannot be made, and then a Python exception is set.
    ///
    /// # Safety
    /// - the GIL is held.
    pub unsafe fn get(&self) -> *mut PyTypeObject {
        let known = self.made.load(Ordering::Acquire);
        if !known.is_null() {
            return known;
        }
        let Layout { name, size, vectorcall, dealloc } = self.layout;
        // SAFETY: an all-zero type object is the beginning of every static type.
        let mut made: Box<PyTypeObject> = Box::new(unsafe { std::mem::zeroed() });
        made.tp_name = name.as_ptr();
        made.tp_basicsize = size as ffi::Py_ssize_t;
        let flags = ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_HAVE_VECTORCALL;
        #[allow(clippy::useless_conversion, reason = "an atomic in free-threaded builds")]
        {
            made.tp_flags = flags.into();
        }
        made.tp_vectorcall_offset = vectorcall as ffi::Py_ssize_t;
        made.tp_call = Some(ffi::PyVectorcall_Call);
        made.tp_dealloc = dealloc;
        made.ob_base.ob_base = ffi::PyObject_HEAD_INIT;
        let made = Box::into_raw(made);
        // SAFETY: a static type with the GIL held.
        if unsafe { ffi::PyType_Ready(made) } != 0 {
            return ptr::null_mut();
        }
        self.made.store(made, Ordering::Release);
        made
    }
}
