//! Names of what is seen for the first time, read without running the program's code.
#![allow(unsafe_code, reason = "reads the interpreter's objects")]
#![allow(
    clippy::multiple_unsafe_ops_per_block,
    reason = "getting at an argument or a field and using it are one step"
)]

pub mod callable;
pub mod code;
pub mod exception;

use std::sync::atomic::{AtomicU32, Ordering};

use pyo3::ffi::{self, PyTypeObject};

use crate::ffi::{c_text, dict_get, text};
use crate::recording;

/// Bit of an id as cached: nothing of it is recorded.
pub const SKIP: u32 = 1 << 28;
/// The id of code that cannot be named this time, but may be the next.
pub const UNKNOWN: u32 = SKIP | rtrace_format::record::ID_MASK;

/// Bit of an id as cached: it is to be demoted as soon as nothing of it is open.
pub const WATCHED: u32 = 1 << 30;
/// Bit of an id as cached: skipped to keep the budget.
pub const DEMOTED: u32 = 1 << 31;

/// What cached ids carry: they hold while it is this. Numbers grow, and those of one recording
/// are at least its generation.
pub static STAMP: AtomicU32 = AtomicU32::new(0);

/// From here on every cached id is looked at again before it is used.
pub fn new_stamp() {
    STAMP.store(recording::next_generation(), Ordering::Relaxed);
}

/// Bit of an id as cached: a generator, coroutine or async generator.
pub const GENERATOR: u32 = 1 << 29;

/// Makes ready to name what will be seen. False where the interpreter has no slot left for
/// the ids of code objects.
///
/// # Safety
/// - the GIL is held.
pub unsafe fn prepare() -> bool {
    // SAFETY: the caller's promise.
    unsafe { callable::prepare() };
    // SAFETY: as above.
    unsafe { code::prepare() }
}

/// Module and qualified name of a type.
///
/// # Safety
/// - the GIL is held; `kind` is alive.
pub unsafe fn type_name(kind: *mut PyTypeObject) -> (Vec<u8>, Vec<u8>) {
    // SAFETY: a live type.
    let full = unsafe { c_text((*kind).tp_name) };
    // SAFETY: a live type.
    let flags = unsafe { ffi::PyType_GetFlags(kind) };
    if flags & ffi::Py_TPFLAGS_HEAPTYPE != 0 {
        // SAFETY: the flag says that it is a heap type.
        let qualname = unsafe { text((*kind.cast::<ffi::PyHeapTypeObject>()).ht_qualname) };
        // SAFETY: a live type; its dict is read, not its attributes, which a metaclass may compute.
        let module = unsafe { text(dict_get((*kind).tp_dict, c"__module__")) };
        return (module.unwrap_or_default(), qualname.unwrap_or_else(|| full.to_vec()));
    }
    // A static type's name carries its module, or it is a builtin.
    match full.iter().rposition(|&byte| byte == b'.') {
        Some(dot) => (full[..dot].to_vec(), full[dot + 1..].to_vec()),
        None => (b"builtins".to_vec(), full.to_vec()),
    }
}
