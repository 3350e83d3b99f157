//! `sys.monitoring`: the default from 3.12 on.
//!
//! The callables are objects of one static type with a vectorcall slot, one
//! object for each kind of event, never freed: the interpreter calls them
//! borrowed. They return `None`, or `DISABLE` for code that is not recorded,
//! which makes that location free until somebody's `restart_events`.
#![allow(unsafe_code, reason = "callbacks of the interpreter and the type they are of")]
#![allow(
    clippy::multiple_unsafe_ops_per_block,
    reason = "getting at an argument or a field and using it are one step"
)]

use std::ffi::c_int;
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicPtr, Ordering};

use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi::{self, PyObject, PyTypeObject};
use pyo3::prelude::*;
use pyo3::types::PyAnyMethods;
use rtrace_format::record::{ID_MASK, Subkind};
use rtrace_format::{Kind, Word, long};

use crate::attach;
use crate::names::{SKIP, callable, code, exception};
use crate::options::Options;

/// A callable: what the interpreter calls, and nothing else.
#[repr(C)]
struct Callback {
    ob_base: PyObject,
    vectorcall: ffi::vectorcallfunc,
}

/// The tool ids that are tried, in this order: the ones that no known tool takes first.
const TOOL_IDS: [i32; 4] = [3, 4, 2, 5];

/// Every event that may be registered for.
const EVENTS: [&str; 12] = [
    "PY_START",
    "PY_RESUME",
    "PY_THROW",
    "PY_RETURN",
    "PY_YIELD",
    "PY_UNWIND",
    "RAISE",
    "CALL",
    "C_RETURN",
    "C_RAISE",
    "LINE",
    "INSTRUCTION",
];

/// The tool id that is ours while installed, else -1.
static TOOL: AtomicI32 = AtomicI32::new(-1);
static DISABLE: AtomicPtr<PyObject> = AtomicPtr::new(ptr::null_mut());

#[inline(always)]
fn none() -> *mut PyObject {
    // Immortal in every version that has `sys.monitoring`.
    // SAFETY: the address of a static.
    unsafe { ffi::Py_None() }
}

/// Tells the interpreter to leave this location alone.
#[cold]
#[inline(never)]
fn disable() -> *mut PyObject {
    let object = DISABLE.load(Ordering::Relaxed);
    if object.is_null() {
        return none();
    }
    // SAFETY: kept alive by `sys.monitoring`, and by us; callbacks have the GIL.
    unsafe { ffi::Py_NewRef(object) }
}

/// The argument `index` of a callback.
///
/// # Safety
/// - the interpreter called with more than `index` arguments.
#[inline(always)]
unsafe fn argument(args: *const *mut PyObject, index: usize) -> *mut PyObject {
    // SAFETY: the caller's promise.
    unsafe { *args.add(index) }
}

/// Defines the callback of an event that enters or leaves a Python frame.
macro_rules! frame_callback {
    ($name:ident, $method:ident, $kind:expr, $skipped:expr) => {
        unsafe extern "C" fn $name(
            _callable: *mut PyObject,
            args: *const *mut PyObject,
            _count: usize,
            _names: *mut PyObject,
        ) -> *mut PyObject {
            // SAFETY: every event's first argument is the code object.
            let id = unsafe { code::id(argument(args, 0)) };
            if id & SKIP != 0 {
                return $skipped;
            }
            let writer = attach::writer();
            // SAFETY: the current thread's own writer, with the GIL held.
            unsafe { (*writer).$method($kind, id & ID_MASK) };
            none()
        }
    };
}

frame_callback!(on_start, enter, Kind::Call, disable());
frame_callback!(on_resume, enter, Kind::Resume, disable());
// Throws and unwinds have no location: disabling one would remove the callback.
frame_callback!(on_throw, enter, Kind::Throw, none());
frame_callback!(on_return, leave, Kind::Return, disable());
frame_callback!(on_yield, leave, Kind::Yield, disable());
frame_callback!(on_unwind, leave, Kind::Unwind, none());

/// Defines the callback of an event of a call: its arguments are the caller's
/// code, the offset, the callable and its first argument.
macro_rules! call_callback {
    ($name:ident, $writer:ident, $id:ident, $write:expr) => {
        unsafe extern "C" fn $name(
            _callable: *mut PyObject,
            args: *const *mut PyObject,
            _count: usize,
            _names: *mut PyObject,
        ) -> *mut PyObject {
            // SAFETY: the third argument of these events is the callable.
            let $id = unsafe { callable::id(argument(args, 2)) };
            if $id & SKIP != 0 {
                return none();
            }
            // SAFETY: every event's first argument is the code object.
            if unsafe { code::id(argument(args, 0)) } & SKIP != 0 {
                return none();
            }
            // SAFETY: the current thread's own writer, with the GIL held.
            let $writer = unsafe { &mut *attach::writer() };
            $write;
            none()
        }
    };
}

call_callback!(on_call, writer, id, writer.enter_c(id));
call_callback!(on_c_return, writer, id, writer.leave(Kind::CReturn, id));
call_callback!(on_c_raise, writer, id, writer.leave(Kind::CException, id));

unsafe extern "C" fn on_line(
    _callable: *mut PyObject,
    args: *const *mut PyObject,
    _count: usize,
    _names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: every event's first argument is the code object.
    if unsafe { code::id(argument(args, 0)) } & SKIP != 0 {
        return disable();
    }
    // SAFETY: the second argument of this event is an int.
    let line = unsafe { ffi::PyLong_AsLong(argument(args, 1)) };
    let line = u32::try_from(line).unwrap_or(0).min(ID_MASK);
    // SAFETY: the current thread's own writer, with the GIL held.
    unsafe { (*attach::writer()).point(Kind::Line, line) };
    none()
}

unsafe extern "C" fn on_instruction(
    _callable: *mut PyObject,
    args: *const *mut PyObject,
    _count: usize,
    _names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: every event's first argument is the code object.
    let object = unsafe { argument(args, 0) };
    // SAFETY: alive for the call.
    if unsafe { code::id(object) } & SKIP != 0 {
        return disable();
    }
    // SAFETY: the second argument of this event is an int.
    let offset = unsafe { ffi::PyLong_AsLong(argument(args, 1)) };
    let offset = u32::try_from(offset).unwrap_or(0);
    // SAFETY: a code object, else it would have been skipped.
    let opcode = unsafe { code::opcode_at(object, offset) };
    let word = Word::opcode(offset, opcode, 0);
    // SAFETY: the current thread's own writer, with the GIL held.
    unsafe { (*attach::writer()).point(Kind::Opcode, word.id()) };
    none()
}

unsafe extern "C" fn on_raise(
    _callable: *mut PyObject,
    args: *const *mut PyObject,
    _count: usize,
    _names: *mut PyObject,
) -> *mut PyObject {
    let written = std::panic::catch_unwind(|| {
        // SAFETY: code, offset and exception are this event's arguments.
        unsafe { raise(argument(args, 0), argument(args, 1), argument(args, 2)) }
    });
    drop(written);
    none()
}

/// # Safety
/// - the arguments of a RAISE event, in an event.
unsafe fn raise(code: *mut PyObject, offset: *mut PyObject, raised: *mut PyObject) {
    // SAFETY: the caller's promise.
    let id = unsafe { code::id(code) };
    if id & SKIP != 0 {
        return;
    }
    // SAFETY: the current thread's own writer, with the GIL held.
    let writer = unsafe { &mut *attach::writer() };
    if !writer.is_recording_here() {
        return;
    }
    let Some(recording) = crate::recording::current() else { return };
    // SAFETY: an int.
    let offset = unsafe { ffi::PyLong_AsLong(offset) } as c_int;
    // SAFETY: a code object, else it would have been skipped.
    let line = unsafe { ffi::PyCode_Addr2Line(code.cast(), offset) };
    // SAFETY: an exception, alive for the call.
    let type_symbol = unsafe { exception::type_symbol(&recording, raised) };
    // SAFETY: as above.
    let message = unsafe { exception::message(raised) };
    let mut payload = Vec::with_capacity(34);
    let line = u32::try_from(line).unwrap_or(0);
    long::encode_exception(&mut payload, id & ID_MASK, line, type_symbol, &message);
    writer.long(Subkind::EXCEPTION, 0, &payload);
}

/// The type of the callbacks, made once and never freed.
fn callback_type(py: Python<'_>) -> PyResult<*mut PyTypeObject> {
    static TYPE: AtomicPtr<PyTypeObject> = AtomicPtr::new(ptr::null_mut());
    let known = TYPE.load(Ordering::Acquire);
    if !known.is_null() {
        return Ok(known);
    }
    // SAFETY: an all-zero type object is the beginning of every static type.
    let mut made: Box<PyTypeObject> = Box::new(unsafe { std::mem::zeroed() });
    made.tp_name = c"rtrace._core.callback".as_ptr();
    made.tp_basicsize = size_of::<Callback>() as ffi::Py_ssize_t;
    made.tp_flags = ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_HAVE_VECTORCALL;
    made.tp_vectorcall_offset = std::mem::offset_of!(Callback, vectorcall) as ffi::Py_ssize_t;
    made.tp_call = Some(ffi::PyVectorcall_Call);
    made.ob_base.ob_base = ffi::PyObject_HEAD_INIT;
    let made = Box::into_raw(made);
    // SAFETY: a static type with the GIL held.
    if unsafe { ffi::PyType_Ready(made) } != 0 {
        return Err(PyErr::fetch(py));
    }
    TYPE.store(made, Ordering::Release);
    Ok(made)
}

/// A callable for one kind of event, never freed.
fn callback(py: Python<'_>, function: ffi::vectorcallfunc) -> PyResult<Bound<'_, PyAny>> {
    let kind = callback_type(py)?;
    let made = Callback { ob_base: ffi::PyObject_HEAD_INIT, vectorcall: function };
    let made = Box::into_raw(Box::new(made)).cast();
    // The reference that this begins with is never given back: it lives for ever.
    // SAFETY: memory for an object of this type, which is ready.
    unsafe { ffi::PyObject_Init(made, kind) };
    // SAFETY: alive.
    Ok(unsafe { Bound::from_borrowed_ptr(py, made) })
}

/// The events that are asked for, and what is called for each.
fn wanted(options: &Options) -> Vec<(&'static str, ffi::vectorcallfunc)> {
    let mut events: Vec<(&'static str, ffi::vectorcallfunc)> = vec![
        ("PY_START", on_start),
        ("PY_RESUME", on_resume),
        ("PY_THROW", on_throw),
        ("PY_RETURN", on_return),
        ("PY_YIELD", on_yield),
        ("PY_UNWIND", on_unwind),
        ("RAISE", on_raise),
    ];
    if options.c_calls {
        events.extend([
            ("CALL", on_call as ffi::vectorcallfunc),
            ("C_RETURN", on_c_return),
            ("C_RAISE", on_c_raise),
        ]);
    }
    if options.lines {
        events.push(("LINE", on_line));
    }
    if options.opcodes {
        events.push(("INSTRUCTION", on_instruction));
    }
    events
}

/// Takes a tool id and begins.
///
/// # Errors
/// Every id is another tool's, or the interpreter refuses.
pub fn install(py: Python<'_>, options: &Options) -> PyResult<()> {
    let monitoring = py.import("sys")?.getattr("monitoring")?;
    let numbers = monitoring.getattr("events")?;
    let object = monitoring.getattr("DISABLE")?.unbind().into_ptr();
    DISABLE.store(object, Ordering::Relaxed);
    let tool = take_tool(&monitoring)?;
    TOOL.store(tool, Ordering::Relaxed);
    let mut mask = 0;
    for (name, function) in wanted(options) {
        let number: i64 = numbers.getattr(name)?.extract()?;
        monitoring.call_method1("register_callback", (tool, number, callback(py, function)?))?;
        mask |= number;
    }
    // What an earlier recording, or another tool, disabled comes back.
    monitoring.call_method0("restart_events")?;
    monitoring.call_method1("set_events", (tool, mask))?;
    Ok(())
}

fn take_tool(monitoring: &Bound<'_, PyAny>) -> PyResult<i32> {
    let mut holders = Vec::new();
    for id in TOOL_IDS {
        let holder = monitoring.call_method1("get_tool", (id,))?;
        if holder.is_none() && monitoring.call_method1("use_tool_id", (id, "rtrace")).is_ok() {
            return Ok(id);
        }
        holders.push(holder.str().map_or_else(|_| String::new(), |name| name.to_string()));
    }
    let holders = holders.join(", ");
    Err(PyRuntimeError::new_err(format!(
        "sys.monitoring's tool ids 2 to 5 are in use, by {holders}; use the hook 'profile'"
    )))
}

/// Ends, and gives the tool id back.
///
/// # Errors
/// The interpreter refuses.
pub fn remove(py: Python<'_>) -> PyResult<()> {
    let tool = TOOL.swap(-1, Ordering::Relaxed);
    if tool < 0 {
        return Ok(());
    }
    let monitoring = py.import("sys")?.getattr("monitoring")?;
    monitoring.call_method1("set_events", (tool, 0))?;
    let events = monitoring.getattr("events")?;
    // 3.12 and 3.13 leave the callbacks of a freed id in place.
    for name in EVENTS {
        let number: i64 = events.getattr(name)?.extract()?;
        monitoring.call_method1("register_callback", (tool, number, py.None()))?;
    }
    monitoring.call_method1("free_tool_id", (tool,))?;
    Ok(())
}
