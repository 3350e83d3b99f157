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

use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;
use pyo3::types::{PyAnyMethods, PyString};
use rtrace_format::record::ID_MASK;
use rtrace_format::{Kind, Word};

use super::raised;
use crate::ffi::callables::{CallableType, Layout};
use crate::names::{DEMOTED, SKIP, UNKNOWN, WATCHED, callable, code};
use crate::options::Options;
use crate::recording::{self, lock};
use crate::{attach, budget, thread};

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

/// What we hold of `sys.monitoring`.
struct Tool {
    id: i32,
    /// The events that are asked for, as the interpreter gives them back.
    mask: i64,
    name: Py<PyAny>,
}

static TOOL: Mutex<Option<Tool>> = Mutex::new(None);
static DISABLE: AtomicPtr<PyObject> = AtomicPtr::new(ptr::null_mut());

#[inline(always)]
fn none() -> *mut PyObject {
    // Immortal in every version that has `sys.monitoring`.
    // SAFETY: the address of a static.
    unsafe { ffi::Py_None() }
}

/// Tells the interpreter to leave a location of the code `id` alone, if that is sure.
#[cold]
#[inline(never)]
fn disable(id: u32) -> *mut PyObject {
    if id == UNKNOWN {
        return none();
    }
    let object = DISABLE.load(Ordering::Relaxed);
    if object.is_null() {
        return none();
    }
    // SAFETY: kept alive by `sys.monitoring`, and by us; callbacks have the GIL.
    unsafe { ffi::Py_NewRef(object) }
}

/// What a callback answers for the code with this id, which is not recorded.
type Skipped = fn(u32) -> *mut PyObject;

/// The argument `index` of a callback.
///
/// # Safety
/// - the interpreter called with more than `index` arguments.
#[inline(always)]
unsafe fn argument(args: *const *mut PyObject, index: usize) -> *mut PyObject {
    // SAFETY: the caller's promise.
    unsafe { *args.add(index) }
}

/// Defines callbacks: what each does with the arguments that the interpreter gives it.
macro_rules! callbacks {
    ($($name:ident: $body:expr;)*) => {$(
        unsafe extern "C" fn $name(
            _callable: *mut PyObject,
            args: *const *mut PyObject,
            _count: usize,
            _names: *mut PyObject,
        ) -> *mut PyObject {
            // SAFETY: the arguments of the event that this is registered for.
            unsafe { $body(args) }
        }
    )*};
}

callbacks! {
    on_start: |args| on_entry(args, disable, Kind::Call);
    on_resume: |args| on_entry(args, disable, Kind::Resume);
    on_return: |args| on_exit(args, disable, Kind::Return);
    on_yield: |args| on_exit(args, disable, Kind::Yield);
    // Throws and unwinds have no location: disabling one would remove the callback.
    on_throw: |args| on_entry(args, |_| none(), Kind::Throw);
    on_unwind: |args| on_exit(args, |_| none(), Kind::Unwind);
    on_call: |args| on_call_site(args);
    on_c_return: |args| on_callable(args, Kind::CReturn);
    on_c_raise: |args| on_callable(args, Kind::CException);
    on_line: |args| on_place(args, Kind::Line, |_, line| line.min(ID_MASK));
    on_instruction: |args| on_place(args, Kind::Opcode, |code, offset| {
        Word::opcode(offset, code::opcode_at(code, offset), 0).id()
    });
    on_raise: |args| on_exception(args);
}

/// A Python frame is entered: the first argument is its code.
///
/// # Safety
/// - the arguments of such an event, with the GIL held.
#[inline(always)]
unsafe fn on_entry(args: *const *mut PyObject, skipped: Skipped, kind: Kind) -> *mut PyObject {
    // SAFETY: every event's first argument is the code object, alive for the call.
    let code = unsafe { argument(args, 0) };
    let Some(writer) = thread::latest() else {
        // SAFETY: the caller's promise.
        return unsafe { on_odd_entry(code, skipped, kind) };
    };
    // SAFETY: the caller's promise.
    let Some(id) = (unsafe { code::plain_id(code, SKIP | WATCHED) }) else {
        // SAFETY: as above.
        return unsafe { on_odd_entry(code, skipped, kind) };
    };
    // SAFETY: the current thread's own writer, with the GIL held.
    if unsafe { (*writer).enter(kind, id & ID_MASK) } {
        attach::attend();
    }
    none()
}

/// An entry of code, or in a thread, that nothing is known of yet, or that is not recorded.
///
/// # Safety
/// - the GIL is held, in such an event of the live object `code`.
#[cold]
#[inline(never)]
unsafe fn on_odd_entry(code: *mut PyObject, skipped: Skipped, kind: Kind) -> *mut PyObject {
    // SAFETY: the caller's promise.
    let mut id = unsafe { code::id(code) };
    if id & (SKIP | WATCHED) != 0 {
        if id & SKIP == 0 {
            // SAFETY: as above.
            id = unsafe { watched(code, id) };
        }
        if id & SKIP != 0 {
            return skipped(id);
        }
    }
    // SAFETY: the current thread's own writer, with the GIL held.
    if unsafe { (*attach::writer()).enter(kind, id & ID_MASK) } {
        attach::attend();
    }
    none()
}

/// The id of a function that is about to be entered and shall be left out as soon as nothing
/// of it is open.
///
/// # Safety
/// - the GIL is held; `code` is alive and carries `id`.
#[cold]
#[inline(never)]
unsafe fn watched(code: *mut PyObject, id: u32) -> u32 {
    let demoted = std::panic::catch_unwind(|| {
        let recording = recording::current();
        recording.is_some_and(|recording| budget::demotes_now(&recording, id & ID_MASK))
    });
    if !demoted.unwrap_or(false) {
        return id;
    }
    let id = id & !WATCHED | SKIP | DEMOTED;
    // SAFETY: a code object, or it had no id.
    unsafe { code::store(code, id) };
    id
}

/// A Python frame is left: the first argument is its code.
///
/// # Safety
/// - the arguments of such an event, with the GIL held.
#[inline(always)]
unsafe fn on_exit(args: *const *mut PyObject, skipped: Skipped, kind: Kind) -> *mut PyObject {
    // SAFETY: every event's first argument is the code object, alive for the call.
    let code = unsafe { argument(args, 0) };
    let Some(writer) = thread::latest() else {
        // SAFETY: the caller's promise.
        return unsafe { on_odd_exit(code, skipped, kind) };
    };
    // SAFETY: the caller's promise.
    let Some(id) = (unsafe { code::plain_id(code, SKIP) }) else {
        // SAFETY: as above.
        return unsafe { on_odd_exit(code, skipped, kind) };
    };
    // SAFETY: the current thread's own writer, with the GIL held.
    if unsafe { (*writer).leave(kind, id & ID_MASK) } {
        attach::attend();
    }
    none()
}

/// An exit of what [`on_odd_entry`] is about.
///
/// # Safety
/// - the GIL is held, in such an event of the live object `code`.
#[cold]
#[inline(never)]
unsafe fn on_odd_exit(code: *mut PyObject, skipped: Skipped, kind: Kind) -> *mut PyObject {
    // SAFETY: the caller's promise.
    let id = unsafe { code::id(code) };
    if id & SKIP != 0 {
        return skipped(id);
    }
    // SAFETY: the current thread's own writer, with the GIL held.
    if unsafe { (*attach::writer()).leave(kind, id & ID_MASK) } {
        attach::attend();
    }
    none()
}

/// Something is about to be called from Python code; the arguments are those of [`on_callable`].
///
/// # Safety
/// - the arguments of such an event, with the GIL held.
#[inline(always)]
unsafe fn on_call_site(args: *const *mut PyObject) -> *mut PyObject {
    // SAFETY: every event's first argument is the code object; the third is what is called.
    let (caller, callee) = unsafe { (argument(args, 0), argument(args, 2)) };
    // SAFETY: alive for the call.
    let Some(id) = (unsafe { callable::known_id(callee) }) else {
        // SAFETY: the caller's promise.
        return unsafe { on_odd_call_site(caller, callee) };
    };
    // SAFETY: as above.
    if unsafe { code::plain_id(caller, SKIP) }.is_none() {
        // SAFETY: the caller's promise.
        return unsafe { on_odd_call_site(caller, callee) };
    }
    if id & SKIP != 0 && !budget::is_active() {
        return none();
    }
    let (Some(writer), 0) = (thread::latest(), id & SKIP) else {
        // SAFETY: the caller's promise.
        return unsafe { on_odd_call_site(caller, callee) };
    };
    // SAFETY: the current thread's own writer, with the GIL held.
    if unsafe { (*writer).enter_c(id) } {
        attach::attend();
    }
    none()
}

/// A call of what nothing is known of yet, or what is not recorded, or by that.
///
/// # Safety
/// - the GIL is held, in such an event; both are alive.
#[cold]
#[inline(never)]
unsafe fn on_odd_call_site(code: *mut PyObject, callee: *mut PyObject) -> *mut PyObject {
    // SAFETY: the caller's promise.
    let caller = unsafe { code::id(code) };
    if caller & SKIP != 0 {
        return disable(caller);
    }
    // SAFETY: the caller's promise.
    let id = unsafe { callable::id(callee) };
    if id & SKIP == 0 {
        // SAFETY: the current thread's own writer, with the GIL held.
        if unsafe { (*attach::writer()).enter_c(id) } {
            attach::attend();
        }
    } else if budget::is_active() {
        // SAFETY: the caller's promise.
        return unsafe { at_skipped_callee(caller, callee, id) };
    }
    // A call site of a recorded function is not disabled: another time it may call
    // something else.
    none()
}

/// A recorded function calls what is not recorded: where that is so to keep the budget the
/// call site is left alone as well, for it would cost as much as before.
///
/// # Safety
/// - the GIL is held; `callable` is alive.
#[cold]
#[inline(never)]
unsafe fn at_skipped_callee(caller: u32, callable: *mut PyObject, id: u32) -> *mut PyObject {
    let may_close = std::panic::catch_unwind(|| {
        // SAFETY: the caller's promise.
        let code = unsafe { callable::python_code(callable) };
        // SAFETY: alive as long as the function.
        let demoted = id & DEMOTED != 0 || (!code.is_null() && unsafe { code::is_demoted(code) });
        let recording = demoted.then(recording::current).flatten();
        recording.is_some_and(|recording| budget::may_close(&recording, caller & ID_MASK))
    });
    if may_close.unwrap_or(false) { disable(caller) } else { none() }
}

/// A call from Python code has ended: the arguments are the caller's code, the
/// offset, the callable and its first argument.
///
/// # Safety
/// - the arguments of such an event, with the GIL held.
#[inline(always)]
unsafe fn on_callable(args: *const *mut PyObject, kind: Kind) -> *mut PyObject {
    // SAFETY: every event's first argument is the code object; the third is what was called.
    let (caller, callee) = unsafe { (argument(args, 0), argument(args, 2)) };
    // SAFETY: both are alive for the call.
    let (id, caller_id) = unsafe { (callable::known_id(callee), code::plain_id(caller, SKIP)) };
    let (Some(id), Some(_), Some(writer)) = (id, caller_id, thread::latest()) else {
        // SAFETY: the caller's promise.
        return unsafe { on_odd_callable(caller, callee, kind) };
    };
    // SAFETY: the current thread's own writer, with the GIL held.
    if id & SKIP == 0 && unsafe { (*writer).leave(kind, id) } {
        attach::attend();
    }
    none()
}

/// The end of a call of what nothing is known of yet, or by that.
///
/// # Safety
/// - the GIL is held, in such an event; both are alive.
#[inline(never)]
unsafe fn on_odd_callable(code: *mut PyObject, callee: *mut PyObject, kind: Kind) -> *mut PyObject {
    // SAFETY: the caller's promise.
    let id = unsafe { callable::id(callee) };
    // These cannot be disabled: that would take the callback away.
    // SAFETY: as above.
    if id & SKIP == 0 && unsafe { code::id(code) } & SKIP == 0 {
        // SAFETY: the current thread's own writer, with the GIL held.
        if unsafe { (*attach::writer()).leave(kind, id) } {
            attach::attend();
        }
    }
    none()
}

/// A line or an instruction: the arguments are the code and a number.
///
/// # Safety
/// - the arguments of such an event, with the GIL held.
#[inline(always)]
unsafe fn on_place(
    args: *const *mut PyObject,
    kind: Kind,
    about: impl FnOnce(*mut PyObject, u32) -> u32,
) -> *mut PyObject {
    // SAFETY: the caller's promise.
    let code = unsafe { argument(args, 0) };
    // SAFETY: alive for the call.
    let id = unsafe { code::id(code) };
    if id & SKIP != 0 {
        return disable(id);
    }
    // SAFETY: the second argument of these events is an int.
    let number = unsafe { ffi::PyLong_AsLong(argument(args, 1)) };
    let id = about(code, u32::try_from(number).unwrap_or(0));
    // SAFETY: the current thread's own writer, with the GIL held.
    if unsafe { (*attach::writer()).point(kind, id) } {
        attach::attend();
    }
    none()
}

/// An exception passes: the arguments are the code, the offset and the exception.
///
/// # Safety
/// - the arguments of such an event, with the GIL held.
#[cold]
unsafe fn on_exception(args: *const *mut PyObject) -> *mut PyObject {
    // SAFETY: the caller's promise.
    let code = unsafe { argument(args, 0) };
    // SAFETY: alive for the call.
    let id = unsafe { code::id(code) };
    if id & SKIP == 0 {
        // SAFETY: an int.
        let offset = u32::try_from(unsafe { ffi::PyLong_AsLong(argument(args, 1)) }).unwrap_or(0);
        // SAFETY: a code object, else it would have been skipped.
        let line = unsafe { code::line_at(code, offset) };
        // SAFETY: an exception, alive for the call.
        unsafe { raised::write(id, line, argument(args, 2)) };
    }
    none()
}

/// The type of the callbacks.
static CALLBACK_TYPE: CallableType = CallableType::new(Layout {
    name: c"rtrace._core.callback",
    size: size_of::<Callback>(),
    vectorcall: std::mem::offset_of!(Callback, vectorcall),
    dealloc: None,
});

/// A callable for one kind of event, never freed.
fn callback(py: Python<'_>, function: ffi::vectorcallfunc) -> PyResult<Bound<'_, PyAny>> {
    // SAFETY: `py` says that the GIL is held.
    let kind = unsafe { CALLBACK_TYPE.get() };
    if kind.is_null() {
        return Err(PyErr::fetch(py));
    }
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
    let monitoring = monitoring(py)?;
    let numbers = monitoring.getattr("events")?;
    let object = monitoring.getattr("DISABLE")?.unbind().into_ptr();
    DISABLE.store(object, Ordering::Relaxed);
    let tool = free_tool(&monitoring)?;
    // An object of its own, by which the id is known to be ours as long as it is.
    let name = PyString::new(py, "rtrace");
    monitoring.call_method1("use_tool_id", (tool, &name))?;
    let mut mask = 0;
    let mut callbacks = Vec::new();
    for (name, function) in wanted(options) {
        let number: i64 = numbers.getattr(name)?.extract()?;
        callbacks.push((number, function));
        mask |= number;
    }
    *lock(&TOOL) = Some(Tool { id: tool, mask: 0, name: name.into_any().unbind() });
    for (number, function) in callbacks {
        monitoring.call_method1("register_callback", (tool, number, callback(py, function)?))?;
    }
    // What an earlier recording, or another tool, disabled comes back.
    monitoring.call_method0("restart_events")?;
    monitoring.call_method1("set_events", (tool, mask))?;
    // What comes with other events is left out of what the interpreter keeps.
    let mask = monitoring.call_method1("get_events", (tool,))?.extract()?;
    if let Some(tool) = lock(&TOOL).as_mut() {
        tool.mask = mask;
    }
    Ok(())
}

/// Has everything that was disabled reported again, for all tools: the interpreter knows no
/// other way. Called in an event.
pub fn see_all_again() {
    // SAFETY: events come with the GIL held, in an interpreter that runs.
    let py = unsafe { Python::assume_attached() };
    // Where it fails, what was left out stays so.
    let _ = monitoring(py).and_then(|monitoring| monitoring.call_method0("restart_events"));
}

fn monitoring(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    crate::ffi::sys_object(py, c"monitoring")
}

/// Says who holds the tool ids, if none is left.
///
/// # Errors
/// None is left.
pub fn check_free(py: Python<'_>) -> PyResult<()> {
    free_tool(&monitoring(py)?).map(drop)
}

fn free_tool(monitoring: &Bound<'_, PyAny>) -> PyResult<i32> {
    let mut holders = Vec::new();
    for id in TOOL_IDS {
        let holder = monitoring.call_method1("get_tool", (id,))?;
        if holder.is_none() {
            return Ok(id);
        }
        let name = crate::ffi::text_of(&holder).unwrap_or_default();
        holders.push(String::from_utf8_lossy(&name).escape_debug().to_string());
    }
    let holders = holders.join(", ");
    Err(PyRuntimeError::new_err(format!(
        "sys.monitoring's tool ids 2 to 5 are in use, by {holders}; use the hook 'profile'"
    )))
}

/// Whether the tool id is still ours, with the events that we asked for.
pub fn is_ours(py: Python<'_>) -> bool {
    let held = lock(&TOOL).as_ref().map(|tool| (tool.id, tool.mask, tool.name.clone_ref(py)));
    let Some((id, asked_for, name)) = held else { return false };
    let asked = monitoring(py).and_then(|monitoring| {
        let holder = monitoring.call_method1("get_tool", (id,))?;
        let mask: i64 = monitoring.call_method1("get_events", (id,))?.extract()?;
        Ok(holder.is(&name) && mask == asked_for)
    });
    asked.unwrap_or(false)
}

/// Ends, and gives the tool id back. One that is somebody else's by now is left alone.
///
/// # Errors
/// The interpreter refuses.
pub fn remove(py: Python<'_>) -> PyResult<()> {
    // The lock is let go of before the interpreter is called.
    let held = lock(&TOOL).take();
    let Some(tool) = held else { return Ok(()) };
    let monitoring = monitoring(py)?;
    let holder = monitoring.call_method1("get_tool", (tool.id,))?;
    if holder.is_none() {
        // Freed by somebody. Before 3.14 our callbacks are still registered then.
        monitoring.call_method1("use_tool_id", (tool.id, &tool.name))?;
    } else if !holder.is(&tool.name) {
        return Ok(());
    }
    monitoring.call_method1("set_events", (tool.id, 0))?;
    let events = monitoring.getattr("events")?;
    // 3.12 and 3.13 leave the callbacks of a freed id in place.
    for name in EVENTS {
        let number: i64 = events.getattr(name)?.extract()?;
        monitoring.call_method1("register_callback", (tool.id, number, py.None()))?;
    }
    monitoring.call_method1("free_tool_id", (tool.id,))?;
    Ok(())
}
