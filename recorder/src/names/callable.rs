//! Callables without Python code: what `c_call` records name.
//!
//! The object that is called is no identity: a bound method of a list is a new
//! object each time. The key is the method's definition and its type, compared
//! on each use, so that a definition freed and reused names its new function;
//! by content the symbols are the same ones anyway.
#![allow(unsafe_code, reason = "reads the interpreter's objects")]
#![allow(
    clippy::multiple_unsafe_ops_per_block,
    reason = "a call and taking over the reference that it returns are one step"
)]

use std::cell::UnsafeCell;
use std::sync::atomic::Ordering;

use pyo3::ffi::{self, PyObject, PyTypeObject};
use rtrace_format::{Symbol, SymbolKind};

use crate::ffi::{
    _PyType_Lookup, CFunction, Method, MethodDescriptor, MethodWrapper, Owned, c_text, text,
};
use crate::names::{SKIP, type_name};
use crate::recording::{self, GENERATION};

/// The name of the type of `(3).__add__`, which CPython does not export everywhere.
const METHOD_WRAPPER: &[u8] = b"method-wrapper";

#[derive(Clone, Copy, PartialEq, Eq)]
struct Key(usize, usize, usize);

#[derive(Clone, Copy)]
struct Slot {
    key: Key,
    generation: u32,
    id: u32,
}

const SLOTS: usize = 4096;

/// A direct-mapped cache; two callables that share a place evict each other,
/// which costs time and nothing else.
struct Cache(UnsafeCell<[Slot; SLOTS]>);

// SAFETY: only touched with the GIL held.
unsafe impl Sync for Cache {}

static CACHE: Cache =
    Cache(UnsafeCell::new([Slot { key: Key(0, 0, 0), generation: 0, id: 0 }; SLOTS]));

/// The id of a callable, with [`SKIP`]; Python functions and methods of them are skipped.
///
/// # Safety
/// - the GIL is held; `callable` is alive.
#[inline]
pub unsafe fn id(callable: *mut PyObject) -> u32 {
    let mut callable = callable;
    // SAFETY: the caller's promise.
    let mut kind = unsafe { ffi::Py_TYPE(callable) };
    // A method of a method is legal; one level is what calls are made of.
    if kind == &raw mut crate::ffi::PyMethod_Type {
        // SAFETY: exactly a method, which keeps its function alive.
        callable = unsafe { (*callable.cast::<Method>()).function };
        // SAFETY: alive.
        kind = unsafe { ffi::Py_TYPE(callable) };
    }
    if kind == &raw mut ffi::PyFunction_Type {
        return SKIP;
    }
    // SAFETY: the caller's promise.
    let key = unsafe { key(callable, kind) };
    let hash = (key.0 >> 4).wrapping_mul(31) ^ (key.2 >> 4).wrapping_mul(17);
    let place = (hash ^ (hash >> 12)) % SLOTS;
    // SAFETY: the GIL is held, and the copy ends the access.
    let slot = unsafe { (*CACHE.0.get())[place] };
    if slot.key == key && slot.generation == GENERATION.load(Ordering::Relaxed) {
        return slot.id;
    }
    // SAFETY: the caller's promise.
    unsafe { first_sight(callable, kind, key, place) }
}

/// # Safety
/// - as [`id`]; `kind` is the callable's type.
#[inline(always)]
unsafe fn key(callable: *mut PyObject, kind: *mut PyTypeObject) -> Key {
    if kind == &raw mut ffi::PyCFunction_Type || kind == &raw mut ffi::PyCMethod_Type {
        // SAFETY: a C function; one that knows its class has its fields first.
        let function = unsafe { &*callable.cast::<CFunction>() };
        // SAFETY: alive as long as the function.
        let owner = unsafe { owner(function.bound) };
        // SAFETY: the definition outlives the function object.
        let name = unsafe { (*function.method).ml_name };
        return Key(function.method as usize, name as usize, owner as usize);
    }
    if kind == &raw mut ffi::PyMethodDescr_Type || kind == &raw mut ffi::PyClassMethodDescr_Type {
        // SAFETY: a descriptor that has a definition.
        let method = unsafe { &*callable.cast::<MethodDescriptor>() };
        // SAFETY: the definition outlives the descriptor.
        let name = unsafe { (*method.method).ml_name };
        return Key(method.method as usize, name as usize, method.owner as usize);
    }
    // SAFETY: the caller's promise.
    if unsafe { ffi::PyType_Check(callable) } != 0 {
        // SAFETY: a live type.
        return unsafe { type_key(callable.cast()) };
    }
    if kind == &raw mut ffi::PyWrapperDescr_Type {
        // SAFETY: exactly a slot wrapper, which shares its first fields with method descriptors.
        let owner = unsafe { (*callable.cast::<MethodDescriptor>()).owner };
        return Key(callable as usize, owner as usize, 2);
    }
    // SAFETY: a live type, whose name is a C string.
    if unsafe { c_text((*kind).tp_name) } == METHOD_WRAPPER {
        // SAFETY: a slot wrapper bound to an object.
        let descriptor = unsafe { (*callable.cast::<MethodWrapper>()).descriptor };
        // SAFETY: kept alive by the wrapper.
        let owner = unsafe { (*descriptor).owner };
        return Key(descriptor as usize, owner as usize, 4);
    }
    // SAFETY: a live type.
    unsafe { type_key(kind) }
}

/// A type, by what its name is made of: at the same address there may be another
/// one by now, of the same `__name__`.
///
/// # Safety
/// - `kind` is alive.
#[inline(always)]
unsafe fn type_key(kind: *mut PyTypeObject) -> Key {
    // SAFETY: the caller's promise.
    let (name, flags) = unsafe { ((*kind).tp_name, ffi::PyType_GetFlags(kind)) };
    if flags & ffi::Py_TPFLAGS_HEAPTYPE == 0 {
        return Key(kind as usize, name as usize, 1);
    }
    // SAFETY: a heap type has the longer struct.
    let qualname = unsafe { (*kind.cast::<ffi::PyHeapTypeObject>()).ht_qualname };
    Key(kind as usize, name as usize, qualname as usize)
}

/// What a C function is bound to, if that is a module or a type; else its type.
///
/// # Safety
/// - `bound` is null or alive.
#[inline(always)]
unsafe fn owner(bound: *mut PyObject) -> *mut PyObject {
    if bound.is_null() {
        return bound;
    }
    // SAFETY: the caller's promise.
    let stands_for_itself =
        unsafe { ffi::PyModule_Check(bound) != 0 || ffi::PyType_Check(bound) != 0 };
    if stands_for_itself {
        return bound;
    }
    // SAFETY: the caller's promise.
    unsafe { ffi::Py_TYPE(bound) }.cast()
}

/// # Safety
/// - as [`id`]; `place` is below [`SLOTS`].
#[cold]
#[inline(never)]
unsafe fn first_sight(
    callable: *mut PyObject,
    kind: *mut PyTypeObject,
    key: Key,
    place: usize,
) -> u32 {
    let named = std::panic::catch_unwind(|| {
        let recording = recording::current()?;
        // SAFETY: the caller's promise.
        let (module, qualname) = unsafe { name(callable, kind) };
        if module == b"rtrace._core" {
            return Some((recording.generation, SKIP));
        }
        let filtered = !recording.options.filter.admits(&module, &qualname, b"");
        let id = recording.intern(Symbol::named(SymbolKind::C, &module, &qualname));
        Some((recording.generation, if filtered { id | SKIP } else { id }))
    });
    let Some((generation, id)) = named.ok().flatten() else { return SKIP };
    // SAFETY: the GIL is held, and the reference ends with the statement.
    unsafe { (*CACHE.0.get())[place] = Slot { key, generation, id } };
    id
}

/// Module and qualified name of a callable.
///
/// # Safety
/// - as [`id`].
unsafe fn name(callable: *mut PyObject, kind: *mut PyTypeObject) -> (Vec<u8>, Vec<u8>) {
    if kind == &raw mut ffi::PyCFunction_Type || kind == &raw mut ffi::PyCMethod_Type {
        // SAFETY: a C function.
        return unsafe { function_name(&*callable.cast::<CFunction>()) };
    }
    let is_descriptor = kind == &raw mut ffi::PyMethodDescr_Type
        || kind == &raw mut ffi::PyClassMethodDescr_Type
        || kind == &raw mut ffi::PyWrapperDescr_Type;
    if is_descriptor {
        // SAFETY: a descriptor; what these share comes first in their structs.
        return unsafe { descriptor_name(&*callable.cast::<MethodDescriptor>()) };
    }
    // SAFETY: a live type.
    if unsafe { c_text((*kind).tp_name) } == METHOD_WRAPPER {
        // SAFETY: a slot wrapper bound to an object, which keeps the wrapper alive.
        return unsafe { descriptor_name(&*(*callable.cast::<MethodWrapper>()).descriptor) };
    }
    // SAFETY: the caller's promise.
    if unsafe { ffi::PyType_Check(callable) } != 0 {
        // SAFETY: a live type.
        return unsafe { type_name(callable.cast()) };
    }
    // SAFETY: a live type.
    unsafe { type_name(kind) }
}

/// # Safety
/// - the GIL is held.
unsafe fn function_name(function: &CFunction) -> (Vec<u8>, Vec<u8>) {
    // SAFETY: the definition outlives the function object.
    let name = unsafe { c_text((*function.method).ml_name) };
    let bound = function.bound;
    // SAFETY: null, or kept alive by the function.
    if bound.is_null() || unsafe { ffi::PyModule_Check(bound) } != 0 {
        // SAFETY: null or alive.
        let module = unsafe { text(function.module) };
        return (module.unwrap_or_default(), name.to_vec());
    }
    // SAFETY: alive, not null.
    let kind = unsafe { owner(bound) }.cast();
    // SAFETY: a live type and a definition.
    let definer = unsafe { definer(kind, function.method) };
    // SAFETY: a live type.
    let (module, owner) = unsafe { type_name(definer) };
    (module, [owner.as_slice(), name].join(&b'.'))
}

/// The type in the resolution order of `kind` whose method this definition is: a
/// method that a subclass inherits is named like the one that it is.
///
/// # Safety
/// - the GIL is held; `kind` is alive.
unsafe fn definer(kind: *mut PyTypeObject, method: *const ffi::PyMethodDef) -> *mut PyTypeObject {
    // SAFETY: the definition's name is a C string; a new reference or null comes back.
    let name = unsafe { Owned::take(ffi::PyUnicode_FromString((*method).ml_name)) };
    let Some(name) = name else { return kind };
    // SAFETY: a live type; a borrowed reference or null comes back, and no code is run.
    let found = unsafe { _PyType_Lookup(kind, name.as_ptr()) };
    if found.is_null() {
        return kind;
    }
    // SAFETY: alive in the type's dict.
    let found_kind = unsafe { ffi::Py_TYPE(found) };
    let is_method = found_kind == &raw mut ffi::PyMethodDescr_Type
        || found_kind == &raw mut ffi::PyClassMethodDescr_Type;
    if !is_method {
        return kind;
    }
    // SAFETY: a descriptor that has a definition.
    let descriptor = unsafe { &*found.cast::<MethodDescriptor>() };
    if descriptor.method == method { descriptor.owner } else { kind }
}

/// # Safety
/// - the GIL is held.
unsafe fn descriptor_name(descriptor: &MethodDescriptor) -> (Vec<u8>, Vec<u8>) {
    // SAFETY: alive as long as the descriptor.
    let (module, owner) = unsafe { type_name(descriptor.owner) };
    // SAFETY: alive as long as the descriptor.
    let name = unsafe { text(descriptor.name) }.unwrap_or_default();
    (module, [owner, name].join(&b'.'))
}
