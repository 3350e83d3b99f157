//! Code objects: their ids, cached in `co_extra`.
#![allow(unsafe_code, reason = "reads the interpreter's objects")]
#![allow(
    clippy::multiple_unsafe_ops_per_block,
    reason = "a call and taking over the reference that it returns are one step"
)]

mod extras;
mod lines;

use std::ffi::c_void;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering};

use pyo3::ffi::{self, PyObject};
use rtrace_format::symbol::FILTERED;
use rtrace_format::{Cause, Symbol, SymbolKind};

use crate::budget;
use crate::ffi::{
    attribute, dict_get, is_exactly, number, request_code_extra, text, unless_memory_ran_out,
};
use crate::fork;
use crate::names::{DEMOTED, GENERATOR, SKIP, STAMP, UNKNOWN};
use crate::recording::{self, GENERATION};

/// Bit of the generation of a cached id: what it is the id of is to be noticed each time.
const NOTICED: u32 = 1 << 31;

/// What `threading` calls in each of its threads when that is over, while it still has a name.
const THREAD_ENDS: &[u8] = b"Thread._delete";

static SLOT: AtomicIsize = AtomicIsize::new(-1);
/// Where in a code object the pointer to what it carries lies; 0 where that is not known.
static EXTRAS: AtomicUsize = AtomicUsize::new(0);
static HOME: OnceLock<Vec<u8>> = OnceLock::new();

/// Says where this package's own Python files are; code from there is never recorded.
pub fn set_home(directory: Vec<u8>) {
    // The first one holds: a module is imported once.
    let _ = HOME.set(directory);
}

/// Makes sure that code objects can carry an id. False where the interpreter has no slot left.
///
/// # Safety
/// - the GIL is held.
pub unsafe fn prepare() -> bool {
    if SLOT.load(Ordering::Relaxed) < 0 {
        // SAFETY: the GIL is held.
        let slot = unsafe { request_code_extra() };
        SLOT.store(slot, Ordering::Relaxed);
        // SAFETY: the GIL is held, and the slot is ours.
        EXTRAS.store(if slot < 0 { 0 } else { unsafe { extras::find(slot) } }, Ordering::Relaxed);
    }
    SLOT.load(Ordering::Relaxed) >= 0
}

/// What a code object carries for us: stamp and id, or 0.
///
/// # Safety
/// - the GIL is held; `code` is a live code object.
#[inline(always)]
unsafe fn extra(code: *mut PyObject) -> u64 {
    let (offset, slot) = (EXTRAS.load(Ordering::Relaxed), SLOT.load(Ordering::Relaxed));
    if offset == 0 {
        // SAFETY: the caller's promise.
        return unsafe { extras::ask(code, slot) };
    }
    // SAFETY: the interpreter keeps the extras of code objects as `find` saw.
    unsafe { extras::read(code, offset, slot) }.unwrap_or(0)
}

/// The id of a code object in the running recording, with [`SKIP`] and [`GENERATOR`];
/// [`UNKNOWN`] where it cannot be told this time.
///
/// Anything that is not a code object (Cython passes others) is skipped.
///
/// # Safety
/// - the GIL is held; `code` is alive.
#[inline(always)]
pub unsafe fn id(code: *mut PyObject) -> u32 {
    // SAFETY: the caller's promise.
    match unsafe { cached(code) } {
        Some(id) => id,
        // SAFETY: a code object; an event's globals are those of the current frame.
        None => unsafe { first_sight(code, ffi::PyEval_GetGlobals()) },
    }
}

/// The id that a code object carries, if it was seen in the running recording.
///
/// # Safety
/// - as [`id`].
#[inline(always)]
unsafe fn cached(code: *mut PyObject) -> Option<u32> {
    // SAFETY: the caller's promise.
    if !unsafe { is_exactly(code, &raw mut ffi::PyCode_Type) } {
        return Some(SKIP);
    }
    // SAFETY: exactly a code object.
    let extra = unsafe { extra(code) };
    ((extra >> 32) as u32 == STAMP.load(Ordering::Relaxed)).then_some(extra as u32)
}

/// The id that a code object carries, if it was seen in the running recording and carries none
/// of the bits `unless`: all that most events need, and nothing is called for it. Where
/// nothing can be read (see [`extras`]) it is none, too.
///
/// # Safety
/// - as [`id`].
#[inline(always)]
pub unsafe fn plain_id(code: *mut PyObject, unless: u32) -> Option<u32> {
    // SAFETY: the caller's promise.
    if !unsafe { is_exactly(code, &raw mut ffi::PyCode_Type) } {
        return None;
    }
    let (offset, slot) = (EXTRAS.load(Ordering::Relaxed), SLOT.load(Ordering::Relaxed));
    if offset == 0 {
        return None;
    }
    // SAFETY: exactly a code object, and what `find` gave.
    let extra = unsafe { extras::read(code, offset, slot) }?;
    let stamp = u64::from(STAMP.load(Ordering::Relaxed)) << 32;
    let compared = 0xFFFF_FFFF << 32 | u64::from(unless);
    (extra & compared == stamp).then_some(extra as u32)
}

/// The id of the code of a frame that is not the current one.
///
/// # Safety
/// - the GIL is held; `frame` is alive.
pub unsafe fn id_of_frame(frame: *mut ffi::PyFrameObject) -> u32 {
    // SAFETY: a live frame; new references come back.
    let code = unsafe { crate::ffi::Owned::take(ffi::PyFrame_GetCode(frame).cast()) };
    let Some(code) = code else { return SKIP };
    // SAFETY: kept alive by `code`.
    if let Some(id) = unsafe { cached(code.as_ptr()) } {
        return id;
    }
    // SAFETY: a live frame; a new reference comes back.
    let globals = unsafe { crate::ffi::Owned::take(ffi::PyFrame_GetGlobals(frame)) };
    let globals = globals.as_ref().map_or(ptr::null_mut(), crate::ffi::Owned::as_ptr);
    // SAFETY: a code object, kept alive by `code`.
    unsafe { first_sight(code.as_ptr(), globals) }
}

/// The id of a code object whose frame has these globals (borrowed; may be null).
///
/// # Safety
/// - the GIL is held; `code` is a live code object.
#[cold]
#[inline(never)]
unsafe fn first_sight(code: *mut PyObject, globals: *mut PyObject) -> u32 {
    // SAFETY: the caller's promise.
    let extra = unsafe { extra(code) };
    let (stamp, id) = ((extra >> 32) as u32, extra as u32);
    if stamp & NOTICED != 0 && is_of_now(stamp & !NOTICED) {
        // SAFETY: the GIL is held.
        unsafe { crate::attach::thread_ends() };
        return id;
    }
    if is_of_now(stamp) {
        let id = budget::reviewed(id);
        // SAFETY: the caller's promise.
        unsafe { store(code, id) };
        return id;
    }
    let named = unless_memory_ran_out(|| {
        // SAFETY: the caller's promise.
        std::panic::catch_unwind(|| unsafe { name(code, globals) }).ok().flatten()
    });
    if named.is_none() {
        // Half a name would be this code's for ever: the event is dropped instead.
        recording::current()
            .inspect(|recording| recording.process.count_lost(1, Cause::ProcessLimit));
    }
    let Some((noticed, id)) = named.flatten() else { return UNKNOWN };
    if noticed {
        // SAFETY: the GIL is held.
        unsafe { crate::attach::thread_ends() };
        // SAFETY: the caller's promise.
        unsafe { store_as(code, STAMP.load(Ordering::Relaxed) | NOTICED, id) };
        return id;
    }
    let id = budget::reviewed(id);
    // SAFETY: the caller's promise.
    unsafe { store(code, id) };
    id
}

/// Whether what carries this stamp was seen in the recording that runs.
fn is_of_now(stamp: u32) -> bool {
    let generation = GENERATION.load(Ordering::Relaxed);
    generation != 0 && stamp >= generation
}

/// Lets a code object carry `id` from here on.
///
/// # Safety
/// - the GIL is held; `code` is a live code object.
pub unsafe fn store(code: *mut PyObject, id: u32) {
    // SAFETY: the caller's promise.
    unsafe { store_as(code, STAMP.load(Ordering::Relaxed), id) };
}

/// Whether a code object carries the id of a function that the budget leaves out.
///
/// # Safety
/// - the GIL is held; `code` is alive.
pub unsafe fn is_demoted(code: *mut PyObject) -> bool {
    // SAFETY: the caller's promise.
    unsafe { cached(code) }.is_some_and(|id| id & SKIP != 0 && id & DEMOTED != 0)
}

/// # Safety
/// - as [`store`].
unsafe fn store_as(code: *mut PyObject, stamp: u32, id: u32) {
    let extra = (u64::from(stamp) << 32 | u64::from(id)) as *mut c_void;
    // SAFETY: a code object and a slot of ours.
    let failed =
        unsafe { ffi::PyUnstable_Code_SetExtra(code, SLOT.load(Ordering::Relaxed), extra) };
    if failed != 0 {
        // SAFETY: the GIL is held.
        unsafe { ffi::PyErr_Clear() };
    }
}

/// # Safety
/// - the GIL is held; `code` is a live code object.
unsafe fn name(code: *mut PyObject, globals: *mut PyObject) -> Option<(bool, u32)> {
    let Some(recording) = recording::current() else {
        fork::silence();
        return None;
    };
    // SAFETY: the caller's promise; code objects compute no attribute by Python code.
    let get = |name| unsafe { attribute(code, name) };
    // SAFETY: what `get` gives is alive while it is looked at.
    let get_text = |name| get(name).and_then(|value| unsafe { text(value.as_ptr()) });
    // SAFETY: as above.
    let get_number = |name| get(name).and_then(|value| unsafe { number(value.as_ptr()) });
    let file = get_text(c"co_filename").unwrap_or_default();
    if HOME.get().is_some_and(|home| file.starts_with(home)) {
        return Some((false, SKIP));
    }
    let qualname = get_text(c"co_qualname").unwrap_or_default();
    // SAFETY: the GIL is held.
    let module = unsafe { text(dict_get(globals, c"__name__")) }.unwrap_or_default();
    if module == b"threading" {
        crate::hook::threading_seen(recording.options.hook);
    }
    if module == b"greenlet" {
        crate::greenlet::seen();
    }
    let code_flags = get_number(c"co_flags").unwrap_or(0) as u32;
    let filtered = !recording.options.filter.admits(&module, &qualname, &file);
    let first_line = u32::try_from(get_number(c"co_firstlineno").unwrap_or(0)).unwrap_or(0);
    let symbol = Symbol {
        flags: if filtered { FILTERED } else { 0 },
        code_flags,
        first_line,
        // SAFETY: the caller's promise.
        last_line: unsafe { last_line(code, NESTED_MAX) },
        file,
        ..Symbol::named(SymbolKind::Python, &module, &qualname)
    };
    let mut id = recording.intern(symbol);
    if filtered {
        recording.process.count_filtered();
        id |= SKIP;
    }
    let generators = ffi::CO_GENERATOR | ffi::CO_COROUTINE | ffi::CO_ASYNC_GENERATOR;
    if code_flags & generators as u32 != 0 {
        id |= GENERATOR;
    }
    let noticed = module == b"threading" && qualname == THREAD_ENDS;
    Some((noticed, id))
}

/// Functions within functions that [`last_line`] looks into.
const NESTED_MAX: usize = 8;

/// The last line that a code object or one defined in it has; 0 where there is none.
///
/// # Safety
/// - the GIL is held; `code` is a live code object.
unsafe fn last_line(code: *mut PyObject, nested: usize) -> u32 {
    // SAFETY: the caller's promise; code objects compute no attribute by Python code.
    let (mut last, constants) =
        unsafe { (with_lines(code, lines::last), attribute(code, c"co_consts")) };
    let Some(constants) = constants.filter(|_| nested > 0) else { return last };
    // SAFETY: a live object.
    if unsafe { ffi::PyTuple_Check(constants.as_ptr()) } == 0 {
        return last;
    }
    // SAFETY: a tuple.
    for index in 0..unsafe { ffi::PyTuple_Size(constants.as_ptr()) } {
        // SAFETY: below the size, borrowed.
        let constant = unsafe { ffi::PyTuple_GetItem(constants.as_ptr(), index) };
        // SAFETY: alive in the tuple.
        if unsafe { is_exactly(constant, &raw mut ffi::PyCode_Type) } {
            // SAFETY: a code object, alive in the tuple.
            last = last.max(unsafe { last_line(constant, nested - 1) });
        }
    }
    last
}

/// The line of the instruction at a byte offset; 0 where it has none.
///
/// `PyCode_Addr2Line` answers -1 for most instructions on 3.14 once somebody listens to lines.
///
/// # Safety
/// - the GIL is held; `code` is a live code object.
pub unsafe fn line_at(code: *mut PyObject, offset: u32) -> u32 {
    // SAFETY: the caller's promise.
    unsafe { with_lines(code, |first, table| lines::at(first, table, offset)) }
}

/// What `read` says of a function's first line and its table of lines; 0 where it has none.
///
/// # Safety
/// - the GIL is held; `code` is a live code object.
unsafe fn with_lines(code: *mut PyObject, read: impl FnOnce(u32, &[u8]) -> u32) -> u32 {
    // SAFETY: the caller's promise; code objects compute no attribute by Python code.
    let (first, table) = unsafe {
        (
            attribute(code, c"co_firstlineno").and_then(|value| number(value.as_ptr())),
            attribute(code, c"co_linetable"),
        )
    };
    let first = first.and_then(|line| u32::try_from(line).ok()).unwrap_or(0);
    // SAFETY: a live object.
    let is_bytes = |table: &crate::ffi::Owned| unsafe { ffi::PyBytes_Check(table.as_ptr()) } != 0;
    let Some(table) = table.filter(is_bytes) else { return 0 };
    // SAFETY: bytes, which `table` keeps alive.
    read(first, unsafe { crate::ffi::bytes_of(table.as_ptr()) })
}

/// The instruction at a byte offset, as it was compiled; 0 where there is none.
///
/// # Safety
/// - the GIL is held; `code` is a live code object.
pub unsafe fn opcode_at(code: *mut PyObject, offset: u32) -> u8 {
    // SAFETY: a code object, which keeps these bytes once they were asked for.
    let bytes = unsafe { crate::ffi::Owned::take(crate::ffi::PyCode_GetCode(code.cast())) };
    let Some(bytes) = bytes else { return 0 };
    // SAFETY: exactly bytes.
    let len = unsafe { ffi::PyBytes_Size(bytes.as_ptr()) };
    if i64::from(offset) >= len as i64 {
        return 0;
    }
    // SAFETY: exactly bytes.
    let start = unsafe { ffi::PyBytes_AsString(bytes.as_ptr()) };
    // SAFETY: below the length.
    unsafe { *start.add(offset as usize) as u8 }
}
