//! Callables without Python code: what `c_call` records name.
//!
//! The object that is called is no identity: a bound method of a list is a new
//! object each time. The key is the method's definition and the type that it is
//! looked up in. Either may be freed and its address used again: what the name
//! hangs on is compared on each use ([`Slot::holds`]), and every object that is
//! compared by address is held by the cache, so that its address means it.
#![allow(unsafe_code, reason = "reads the interpreter's objects")]
#![allow(
    clippy::multiple_unsafe_ops_per_block,
    reason = "a call and taking over the reference that it returns are one step"
)]

use std::cell::UnsafeCell;
use std::hash::{Hash, Hasher};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::ffi::{self, PyObject, PyTypeObject};
use rtrace_format::{Cause, Symbol, SymbolKind};

use crate::budget;
use crate::ffi::{
    CFunction, Method, MethodDescriptor, MethodWrapper, Owned, attribute, c_text, dict_get,
    is_exactly, text, type_dict, unless_memory_ran_out,
};
use crate::names::{SKIP, STAMP, type_name};
use crate::recording;

/// The type of `(3).__add__`: known by its address, because any class may have its name.
static METHOD_WRAPPER: AtomicPtr<PyTypeObject> = AtomicPtr::new(ptr::null_mut());

/// Learns the types that the interpreter has no exported name for.
///
/// # Safety
/// - the GIL is held.
pub unsafe fn prepare() {
    // SAFETY: the caller's promise; a new reference comes back.
    let number = unsafe { Owned::take(ffi::PyLong_FromLong(3)) };
    // SAFETY: alive; an int computes no attribute by Python code.
    let bound = number.and_then(|number| unsafe { attribute(number.as_ptr(), c"__add__") });
    if let Some(bound) = bound {
        // SAFETY: alive; its type is a static one.
        METHOD_WRAPPER.store(unsafe { ffi::Py_TYPE(bound.as_ptr()) }, Ordering::Relaxed);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Key(usize, usize, usize);

/// What a callable is found by.
struct Subject {
    key: Key,
    /// The type that the name is made of where it may die or change: a heap type; else null.
    owner: *mut PyTypeObject,
    /// The C function, where it is one; else null.
    function: *const CFunction,
}

#[derive(Clone, Copy)]
struct Slot {
    key: Key,
    stamp: u32,
    id: u32,
    /// The version of the owner when it was last compared; 0 for none.
    version: u32,
    /// Whether the definition may be freed, so that [`digest`] must be compared.
    is_dynamic: bool,
    digest: u64,
    /// The owner's qualified name and module, held; null where there is no owner.
    qualname: *mut PyObject,
    module: *mut PyObject,
}

impl Slot {
    const EMPTY: Slot = Slot {
        key: Key(0, 0, 0),
        stamp: 0,
        id: 0,
        version: 0,
        is_dynamic: false,
        digest: 0,
        qualname: ptr::null_mut(),
        module: ptr::null_mut(),
    };

    /// Whether the name is still that of the subject, whose key is the slot's, as the two
    /// comparisons show that are made at every call.
    ///
    /// # Safety
    /// - the GIL is held; the subject is alive.
    #[inline(always)]
    unsafe fn surely_holds(&self, subject: &Subject) -> bool {
        if self.is_dynamic {
            return false;
        }
        if subject.owner.is_null() {
            return true;
        }
        // SAFETY: a live heap type.
        let (qualname, version) =
            unsafe { (qualname(subject.owner), (*subject.owner).tp_version_tag) };
        qualname == self.qualname && version == self.version && version != 0
    }

    /// The same, where more must be looked at.
    ///
    /// # Safety
    /// - the GIL is held; the subject is alive.
    unsafe fn holds(&mut self, subject: &Subject) -> bool {
        if !subject.owner.is_null() {
            // SAFETY: a live heap type.
            let (qualname, version) =
                unsafe { (qualname(subject.owner), (*subject.owner).tp_version_tag) };
            if qualname != self.qualname {
                return false;
            }
            // A version is of one type only, and ends when the type is changed.
            if version != self.version || version == 0 {
                // SAFETY: the caller's promise.
                if unsafe { module_of(subject.owner) } != self.module {
                    return false;
                }
                self.version = version;
            }
        }
        // SAFETY: the caller's promise.
        !self.is_dynamic || unsafe { digest(subject.function) } == self.digest
    }
}

/// The code of a Python function, or of the one that a method is of; null for anything else.
///
/// # Safety
/// - the GIL is held; `callable` is alive.
pub unsafe fn python_code(callable: *mut PyObject) -> *mut PyObject {
    let mut callable = callable;
    // SAFETY: the caller's promise.
    while unsafe { is_exactly(callable, &raw mut crate::ffi::PyMethod_Type) } {
        // SAFETY: exactly a method, which keeps its function alive.
        callable = unsafe { (*callable.cast::<Method>()).function };
    }
    // SAFETY: alive.
    if !unsafe { is_exactly(callable, &raw mut ffi::PyFunction_Type) } {
        return ptr::null_mut();
    }
    // SAFETY: exactly a function; borrowed.
    unsafe { ffi::PyFunction_GetCode(callable) }
}

const SLOTS: usize = 4096;

/// A direct-mapped cache; two callables that share a place evict each other,
/// which costs time and nothing else.
struct Cache(UnsafeCell<[Slot; SLOTS]>);

// SAFETY: only touched with the GIL held.
unsafe impl Sync for Cache {}

static CACHE: Cache = Cache(UnsafeCell::new([Slot::EMPTY; SLOTS]));

/// The qualified name of a heap type, borrowed.
///
/// # Safety
/// - `kind` is a live heap type.
#[inline(always)]
unsafe fn qualname(kind: *mut PyTypeObject) -> *mut PyObject {
    // SAFETY: a heap type has the longer struct.
    unsafe { (*kind.cast::<ffi::PyHeapTypeObject>()).ht_qualname }
}

/// The module that a heap type says it is from, borrowed; null for none.
///
/// # Safety
/// - the GIL is held; `kind` is a live heap type.
#[cold]
unsafe fn module_of(kind: *mut PyTypeObject) -> *mut PyObject {
    // SAFETY: the dict of a heap type is its own in every version.
    unsafe { dict_get((*kind).tp_dict, c"__module__") }
}

/// The content of a C function's name and module, for definitions that may be freed.
///
/// # Safety
/// - the GIL is held; `function` is null or alive.
unsafe fn digest(function: *const CFunction) -> u64 {
    // SAFETY: the caller's promise.
    let Some(function) = (unsafe { function.as_ref() }) else { return 0 };
    // SAFETY: the definition outlives the function object.
    let name = unsafe { c_text((*function.method).ml_name) };
    // SAFETY: null or alive.
    let module = unsafe { text(function.module) }.unwrap_or_default();
    let mut hasher = std::hash::DefaultHasher::new();
    (name, module).hash(&mut hasher);
    hasher.finish()
}

/// Whether a definition lies in memory that may be freed, and not in a loaded library.
fn is_dynamic(method: *const ffi::PyMethodDef) -> bool {
    // SAFETY: all zero is a value of this struct of pointers.
    let mut found: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: any address may be asked for.
    unsafe { libc::dladdr(method.cast(), &raw mut found) == 0 }
}

/// The id of a callable, with [`SKIP`]; Python functions and methods of them are skipped.
///
/// # Safety
/// - the GIL is held; `callable` is alive.
#[inline(never)]
pub unsafe fn id(callable: *mut PyObject) -> u32 {
    // SAFETY: the caller's promise.
    if let Some(id) = unsafe { known_id(callable) } {
        return id;
    }
    // SAFETY: the caller's promise.
    let (callable, kind) = unsafe { innermost(callable) };
    // SAFETY: as above.
    let subject = unsafe { subject(callable, kind) };
    let place = place(&subject.key);
    // SAFETY: the GIL is held, and nothing writes before this is done with.
    let slot = unsafe { &mut (*CACHE.0.get())[place] };
    if slot.key == subject.key && slot.stamp == STAMP.load(Ordering::Relaxed) {
        // SAFETY: the subject is the callable, which is alive.
        if unsafe { slot.holds(&subject) } {
            return slot.id;
        }
    }
    // SAFETY: as above.
    unsafe { first_sight(callable, kind, &subject, place) }
}

/// The same, if it is known already, and sure without a look at anything that takes a call.
///
/// # Safety
/// - as [`id`].
#[inline(always)]
pub unsafe fn known_id(callable: *mut PyObject) -> Option<u32> {
    // SAFETY: the caller's promise.
    let (callable, kind) = unsafe { innermost(callable) };
    if kind == &raw mut ffi::PyFunction_Type {
        return Some(SKIP);
    }
    // SAFETY: the caller's promise.
    let subject = unsafe { subject(callable, kind) };
    // SAFETY: the GIL is held, and nothing writes before this is done with.
    let slot = unsafe { &(*CACHE.0.get())[place(&subject.key)] };
    let is_its = slot.key == subject.key && slot.stamp == STAMP.load(Ordering::Relaxed);
    // SAFETY: the subject is the callable, which is alive.
    (is_its && unsafe { slot.surely_holds(&subject) }).then_some(slot.id)
}

/// What is called in the end, and its type. A method of a method is legal: what counts is
/// whether Python code is at the end.
///
/// # Safety
/// - `callable` is alive.
#[inline(always)]
unsafe fn innermost(mut callable: *mut PyObject) -> (*mut PyObject, *mut PyTypeObject) {
    // SAFETY: the caller's promise.
    let mut kind = unsafe { ffi::Py_TYPE(callable) };
    while kind == &raw mut crate::ffi::PyMethod_Type {
        // SAFETY: exactly a method, which keeps its function alive.
        callable = unsafe { (*callable.cast::<Method>()).function };
        // SAFETY: alive.
        kind = unsafe { ffi::Py_TYPE(callable) };
    }
    (callable, kind)
}

/// Where in the cache a key has its place.
#[inline(always)]
fn place(key: &Key) -> usize {
    let hash = (key.0 >> 4).wrapping_mul(31) ^ (key.2 >> 4).wrapping_mul(17);
    (hash ^ (hash >> 12)) % SLOTS
}

/// # Safety
/// - as [`id`]; `kind` is the callable's type.
#[inline(always)]
unsafe fn subject(callable: *mut PyObject, kind: *mut PyTypeObject) -> Subject {
    if kind == &raw mut ffi::PyCFunction_Type || kind == &raw mut ffi::PyCMethod_Type {
        // SAFETY: a C function; one that knows its class has its fields first.
        let function = unsafe { &*callable.cast::<CFunction>() };
        // SAFETY: alive as long as the function.
        let (owner, named_by) = unsafe { owner(function.bound) };
        // SAFETY: the definition outlives the function object.
        let name = unsafe { (*function.method).ml_name };
        let key = Key(function.method as usize, name as usize, owner as usize);
        return Subject { key, owner: named_by, function };
    }
    let is_method =
        kind == &raw mut ffi::PyMethodDescr_Type || kind == &raw mut ffi::PyClassMethodDescr_Type;
    if is_method || kind == &raw mut ffi::PyWrapperDescr_Type {
        // SAFETY: a descriptor; slot wrappers have their static definition in the same place.
        let method = unsafe { &*callable.cast::<MethodDescriptor>() };
        // SAFETY: alive as long as the descriptor.
        return unsafe { descriptor_subject(method) };
    }
    // SAFETY: the caller's promise.
    if unsafe { ffi::PyType_Check(callable) } != 0 {
        // SAFETY: a live type.
        return unsafe { type_subject(callable.cast()) };
    }
    if kind == METHOD_WRAPPER.load(Ordering::Relaxed) {
        // SAFETY: a slot wrapper bound to an object, which keeps the wrapper alive.
        return unsafe { descriptor_subject(&*(*callable.cast::<MethodWrapper>()).descriptor) };
    }
    // SAFETY: a live type.
    unsafe { type_subject(kind) }
}

/// # Safety
/// - the descriptor is alive.
#[inline(always)]
unsafe fn descriptor_subject(descriptor: &MethodDescriptor) -> Subject {
    // The name is an interned constant of the definition, or one of its own.
    let key = Key(descriptor.method as usize, descriptor.name as usize, descriptor.owner as usize);
    // SAFETY: the owner is kept alive by the descriptor.
    Subject { key, owner: unsafe { heap_type(descriptor.owner) }, function: ptr::null() }
}

/// # Safety
/// - `kind` is alive.
#[inline(always)]
unsafe fn type_subject(kind: *mut PyTypeObject) -> Subject {
    // SAFETY: the caller's promise.
    let owner = unsafe { heap_type(kind) };
    Subject { key: Key(kind as usize, 0, 1), owner, function: ptr::null() }
}

/// The type, if it is one that can be freed and renamed; else null.
///
/// # Safety
/// - `kind` is alive.
#[inline(always)]
unsafe fn heap_type(kind: *mut PyTypeObject) -> *mut PyTypeObject {
    // SAFETY: the caller's promise.
    let is_heap = unsafe { ffi::PyType_HasFeature(kind, ffi::Py_TPFLAGS_HEAPTYPE) } != 0;
    if is_heap { kind } else { ptr::null_mut() }
}

/// Whether something is a module. Of its types all but the first are made by programs, which
/// saves a walk through the bases of everything else.
///
/// # Safety
/// - `object` is alive.
#[inline(always)]
unsafe fn is_module(object: *mut PyObject) -> bool {
    // SAFETY: the caller's promise.
    if unsafe { is_exactly(object, &raw mut ffi::PyModule_Type) } {
        return true;
    }
    // SAFETY: as above.
    let kind = unsafe { heap_type(ffi::Py_TYPE(object)) };
    // SAFETY: null or a live type.
    !kind.is_null() && unsafe { ffi::PyType_IsSubtype(kind, &raw mut ffi::PyModule_Type) } != 0
}

/// What a C function is bound to, if that is a module or a type, else its type; and
/// the heap type among these that its name may be made of, or null.
///
/// # Safety
/// - `bound` is null or alive.
#[inline(always)]
unsafe fn owner(bound: *mut PyObject) -> (*mut PyObject, *mut PyTypeObject) {
    // SAFETY: the caller's promise.
    if bound.is_null() || unsafe { is_module(bound) } {
        return (bound, ptr::null_mut());
    }
    // SAFETY: the caller's promise.
    let is_type = unsafe { ffi::PyType_Check(bound) } != 0;
    // SAFETY: the caller's promise.
    let kind = if is_type { bound.cast() } else { unsafe { ffi::Py_TYPE(bound) } };
    // SAFETY: a live type.
    (kind.cast(), unsafe { heap_type(kind) })
}

/// # Safety
/// - as [`id`]; `place` is below [`SLOTS`].
#[cold]
#[inline(never)]
unsafe fn first_sight(
    callable: *mut PyObject,
    kind: *mut PyTypeObject,
    subject: &Subject,
    place: usize,
) -> u32 {
    let named = std::panic::catch_unwind(|| {
        let recording = recording::current()?;
        // SAFETY: the caller's promise.
        let Some((module, qualname)) = unless_memory_ran_out(|| unsafe { name(callable, kind) })
        else {
            recording.process.count_lost(1, Cause::ProcessLimit);
            return None;
        };
        if module == b"rtrace._core" {
            return Some((STAMP.load(Ordering::Relaxed), SKIP));
        }
        let filtered = !recording.options.filter.admits_c(&module, &qualname);
        let id = recording.intern(Symbol::named(SymbolKind::C, &module, &qualname));
        let id = budget::reviewed(if filtered { id | SKIP } else { id });
        Some((STAMP.load(Ordering::Relaxed), id))
    });
    let Some((stamp, id)) = named.ok().flatten() else { return SKIP };
    let mut slot = Slot { key: subject.key, stamp, id, ..Slot::EMPTY };
    if !subject.owner.is_null() {
        // SAFETY: a live heap type.
        let Some(module) = unless_memory_ran_out(|| unsafe { module_of(subject.owner) }) else {
            return id;
        };
        slot.module = module;
        // SAFETY: as above.
        unsafe {
            slot.version = (*subject.owner).tp_version_tag;
            slot.qualname = qualname(subject.owner);
        }
        // Anything else may have a destructor, which is not ours to call, nor to put off.
        // SAFETY: null or alive.
        if !unsafe { is_plain_text(slot.qualname) && is_plain_text(slot.module) } {
            return id;
        }
    }
    if !subject.function.is_null() {
        // SAFETY: the callable, which is alive.
        slot.is_dynamic = is_dynamic(unsafe { (*subject.function).method });
        // SAFETY: as above.
        slot.digest = if slot.is_dynamic { unsafe { digest(subject.function) } } else { 0 };
    }
    // SAFETY: the GIL is held. Freeing a text runs no code.
    unsafe {
        ffi::Py_XINCREF(slot.qualname);
        ffi::Py_XINCREF(slot.module);
        let before = std::mem::replace(&mut (*CACHE.0.get())[place], slot);
        ffi::Py_XDECREF(before.qualname);
        ffi::Py_XDECREF(before.module);
    }
    id
}

/// # Safety
/// - `object` is null or alive.
unsafe fn is_plain_text(object: *mut PyObject) -> bool {
    // SAFETY: the caller's promise.
    object.is_null() || unsafe { is_exactly(object, &raw mut ffi::PyUnicode_Type) }
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
    if kind == METHOD_WRAPPER.load(Ordering::Relaxed) {
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
    if bound.is_null() || unsafe { is_module(bound) } {
        // SAFETY: null or alive.
        let module = unsafe { text(function.module) };
        return (module.unwrap_or_default(), name.to_vec());
    }
    // SAFETY: alive.
    let (kind, _) = unsafe { owner(bound) };
    // SAFETY: live types and a definition; a method of a type may be its metaclass's.
    let definer = unsafe {
        definer(kind.cast(), function.method)
            .or_else(|| definer(ffi::Py_TYPE(bound), function.method))
            .unwrap_or(kind.cast())
    };
    // SAFETY: a live type.
    let (module, owner) = unsafe { type_name(definer) };
    (module, [owner.as_slice(), name].join(&b'.'))
}

/// The type in the resolution order of `kind` whose method this definition is: a
/// method that a subclass inherits is named like the one that it is.
///
/// # Safety
/// - the GIL is held; `kind` is alive.
unsafe fn definer(
    kind: *mut PyTypeObject,
    method: *const ffi::PyMethodDef,
) -> Option<*mut PyTypeObject> {
    // SAFETY: a live type.
    let order = unsafe { (*kind).tp_mro };
    // SAFETY: null or alive.
    if order.is_null() || unsafe { ffi::PyTuple_Check(order) } == 0 {
        return None;
    }
    // SAFETY: the definition's name is a C string.
    let name = unsafe { std::ffi::CStr::from_ptr((*method).ml_name) };
    // SAFETY: a tuple.
    for index in 0..unsafe { ffi::PyTuple_Size(order) } {
        // SAFETY: below the size; the order holds types only.
        let base = unsafe { ffi::PyTuple_GetItem(order, index) }.cast::<PyTypeObject>();
        // SAFETY: a live type.
        let Some(dict) = (unsafe { type_dict(base) }) else { continue };
        // SAFETY: alive; borrowed from it.
        let found = unsafe { dict_get(dict.as_ptr(), name) };
        if found.is_null() {
            continue;
        }
        // SAFETY: alive in the type's dict.
        let found_kind = unsafe { ffi::Py_TYPE(found) };
        let is_method = found_kind == &raw mut ffi::PyMethodDescr_Type
            || found_kind == &raw mut ffi::PyClassMethodDescr_Type;
        // SAFETY: a descriptor that has a definition.
        if is_method && unsafe { (*found.cast::<MethodDescriptor>()).method } == method {
            return Some(base);
        }
    }
    None
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
