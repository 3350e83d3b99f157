//! Start, stop, and the long records that a program writes itself.
#![allow(unsafe_code, reason = "calls what needs the GIL, which is held here")]

use std::ffi::c_int;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pyo3::exceptions::{PyOSError, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use rtrace_format::record::Subkind;
use rtrace_format::{Cause, long};

use crate::calibrate::Calibration;
use crate::options::{Mode, Options};
use crate::recording::{self, Recording};
use crate::session::Interpreter;
use crate::{attach, base_frame, budget, fork, hook, join, names, session, startup, thread};

/// Begins a session. Events are recorded from [`install`] on.
///
/// # Errors
/// A recording runs already; the output is refused; there is no room.
pub fn prepare(
    py: Python<'_>,
    options: Options,
    interpreter: &Interpreter,
) -> PyResult<(Arc<Recording>, Vec<String>)> {
    if recording::current().is_some() {
        return Err(PyRuntimeError::new_err("a recording is running in this process"));
    }
    check_build(py)?;
    fork::silence();
    // A hook that cannot be had is the environment's fault, as a full disk is.
    hook::check_free(py, options.hook)
        .map_err(|error| PyOSError::new_err(error.value(py).to_string()))?;
    // SAFETY: the GIL is held by whoever has a `PyResult` to give.
    if !unsafe { names::prepare() } {
        return Err(PyRuntimeError::new_err("the interpreter has no place left for our ids"));
    }
    let made = session::begin(options, interpreter);
    let mut made = made.map_err(|error| PyOSError::new_err(error.to_string()))?;
    let leaves_out = options_leave_out(&made.recording.options);
    if leaves_out && made.recording.figures().is_none() {
        made.notes.push("no room to count what is left out: nothing is".into());
    }
    let recording = Arc::new(made.recording);
    recording::set_current(Arc::clone(&recording));
    fork::watch();
    Ok((recording, made.notes))
}

/// Whether anything asked for leaves something out by its cost or length.
fn options_leave_out(options: &Options) -> bool {
    options.min_duration_ns.is_some() || options.budget.is_some()
}

/// Makes this process, whose interpreter is starting, one of the session in `dir`.
///
/// # Errors
/// It records already; the session is gone or cannot be joined; the hook is refused.
pub fn join(
    py: Python<'_>,
    dir: &Path,
    argv: Vec<Vec<u8>>,
    interpreter: &Interpreter,
) -> PyResult<()> {
    if recording::current().is_some() {
        return Err(PyRuntimeError::new_err("a recording is running in this process"));
    }
    check_build(py)?;
    // SAFETY: `py` says that the GIL is held.
    if !unsafe { names::prepare() } {
        return Err(PyRuntimeError::new_err("the interpreter has no place left for our ids"));
    }
    let joined = join::join(dir, argv, interpreter);
    let recording = joined.map_err(|error| PyOSError::new_err(error.to_string()))?;
    let recording = Arc::new(recording);
    recording::set_current(Arc::clone(&recording));
    fork::watch();
    startup::hold();
    budget::begin(&recording);
    hook::install(py, &recording.options).inspect_err(|_| {
        let _ = hook::remove(py, recording.options.hook);
        // Nobody hears of it in the child; in the trace it is a process that has lost something.
        recording.process.count_lost(1, Cause::Hook);
        finish(&recording, None);
    })
}

/// Nothing here was ever run without a GIL, and the layout of threads is another one there.
///
/// # Errors
/// This is a free-threaded build (`sys.abiflags` has a `t`, PEP 703).
fn check_build(py: Python<'_>) -> PyResult<()> {
    let flags = crate::ffi::sys_object(py, c"abiflags").ok();
    let flags = flags.and_then(|flags| crate::ffi::text_of(&flags)).unwrap_or_default();
    if flags.contains(&b't') {
        return Err(PyOSError::new_err(
            "this is a free-threaded build of CPython, which rtrace does not record; \
             use the ordinary build of the same version",
        ));
    }
    Ok(())
}

/// Gives the running threads their rings and installs the hook.
///
/// # Errors
/// The hook is refused; then there is no recording any more.
pub fn install(py: Python<'_>, recording: &Arc<Recording>) -> PyResult<()> {
    budget::begin(recording);
    // SAFETY: `py` says that the GIL is held.
    unsafe { attach::attach_running(recording) };
    let calibration = Calibration::begin(py);
    hook::install(py, &recording.options).inspect_err(|_| {
        let _ = hook::remove(py, recording.options.hook);
        finish(recording, None);
    })?;
    if let Some(prices) = calibration.and_then(|begun| begun.finish(recording)) {
        recording.set_prices(prices);
    }
    Ok(())
}

/// Ends the recording: no more events, every ring sealed, the process marked as ended clean.
///
/// With `wait` it returns when `trace.bin` holds all of this process. Without, where a
/// collector works, that is the collector's to do.
///
/// Where the interpreter is `exiting` the hook stays, and what still comes finds no
/// recording: to remove it the interpreter goes through the frames of every thread, and a
/// thread that C code ended in the middle of a call has left some that are gone.
///
/// # Errors
/// Nothing is being recorded.
pub fn stop(
    py: Python<'_>,
    exit_code: Option<i32>,
    wait: bool,
    exiting: bool,
) -> PyResult<Stopped> {
    let Some(recording) = recording::current() else {
        return Err(PyRuntimeError::new_err("nothing is being recorded"));
    };
    hook::notice_taken(py, recording.options.hook);
    if !exiting {
        // A hook that cannot be removed finds no recording from here on.
        let _ = hook::remove(py, recording.options.hook);
    }
    // SAFETY: `py` says that the GIL is held.
    unsafe { attach::name_all() };
    // SAFETY: as above.
    unsafe { crate::greenlet::unwatch_here() };
    finish(&recording, exit_code);
    let output = recording.output.clone();
    let collected = recording.options.mode == Mode::Full && recording.page.collector_is_alive();
    if collected && !wait {
        return Ok(Stopped { output, note: None });
    }
    let note = py.detach(|| complete(&recording));
    Ok(Stopped { output, note: note.or_else(|| given_up(&recording)) })
}

/// How a recording ended.
#[derive(Debug)]
pub struct Stopped {
    /// The trace.
    pub output: PathBuf,
    /// What the user should hear, if it is not finished.
    pub note: Option<String>,
}

/// How long a stop waits for the collector to take over the rest.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sees to it that `trace.bin` holds all of this process; says what keeps it from that.
fn complete(recording: &Recording) -> Option<String> {
    let dir = &recording.dir;
    if recording.options.mode == Mode::Full {
        let number = recording.rings.process;
        if rtrace_session::collector::wait_for(dir, number, PATIENCE) {
            return None;
        }
        if recording.page.collector_is_alive() {
            return Some("the collector is still writing it".into());
        }
    }
    let packed = rtrace_session::pack::finish(dir);
    packed
        .err()
        .map(|error| format!("it is not finished ({error}); rtrace-view reads it all the same"))
}

/// What recording did without, as far as this process knows.
fn given_up(recording: &Recording) -> Option<String> {
    let why = [
        (Cause::NoSpace, "the file system refused room for their rings"),
        (Cause::ProcessLimit, "the process had no memory or descriptor left for them"),
        (Cause::Budget, "they found no room within --max-memory"),
    ];
    let lost = why.map(|(cause, why)| (recording.process.lost_for(cause), why));
    if let Some((count, why)) = lost.into_iter().find(|&(count, _)| count > 0) {
        return Some(format!("{count} events are lost: {why}"));
    }
    let refused = recording.room.was_refused_growth();
    refused.then(|| "it goes back less far than asked: the system refused larger rings".into())
}

fn finish(recording: &Arc<Recording>, exit_code: Option<i32>) {
    budget::end(recording);
    recording::take_current();
    for entry in thread::entries().iter_mut() {
        entry.writer().end();
    }
    recording.process.end(recording.now(), exit_code);
}

/// Writes a mark, or a span's begin or end, into the current thread's ring.
pub fn named(subkind: u8, name: &[u8]) {
    let mut payload = Vec::new();
    long::encode_named(&mut payload, name);
    write_long(subkind, &payload);
}

/// Writes a counter's value into the current thread's ring.
pub fn counter(name: &[u8], value: f64) {
    let mut payload = Vec::new();
    long::encode_counter(&mut payload, value, name);
    write_long(Subkind::COUNTER, &payload);
}

fn write_long(subkind: u8, payload: &[u64]) {
    if recording::current().is_some() {
        // SAFETY: the current thread's own writer, with the GIL held.
        unsafe { (*attach::writer()).long(subkind, 0, payload) };
    }
}

/// Evaluates the program's code, recorded if a recording was prepared; `module` says
/// that it is what `python -m` runs.
///
/// # Errors
/// What the program raised.
pub fn run<'py>(
    py: Python<'py>,
    code: &Bound<'py, PyAny>,
    globals: &Bound<'py, PyDict>,
    module: bool,
) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: `py` says that the GIL is held.
    let frames = unsafe { attach::frames_here() }.len() as c_int;
    if let Some(recording) = recording::current()
        && let Err(error) = install(py, &recording)
    {
        // The program runs all the same; nowhere to say so is no reason to stop it.
        let _ = writeln!(std::io::stderr(), "rtrace: not recording: {}", error.value(py));
    }
    // Before 3.12 calls between C and Python count too: two more than without us.
    let calls = if cfg!(Py_3_12) { 0 } else { 2 };
    crate::ffi::forgive_recursion(py, frames + calls);
    let globals = globals.as_ptr();
    // SAFETY: a code object and a dict, alive in the caller's frame.
    let result = unsafe { base_frame::evaluate(code.as_ptr(), globals, module) };
    // SAFETY: a new reference, or null with an exception.
    unsafe { Bound::from_owned_ptr_or_err(py, result) }
}

/// Calls `function` without an event for any hook.
///
/// # Errors
/// What it raises.
pub fn quietly(function: &Bound<'_, PyAny>) -> PyResult<()> {
    // SAFETY: a bound object means that the GIL is held.
    let thread = unsafe { pyo3::ffi::PyThreadState_Get() };
    // SAFETY: the current thread's state, here and below.
    unsafe { pyo3::ffi::PyThreadState_EnterTracing(thread) };
    let called = function.call0();
    // SAFETY: entered above.
    unsafe { pyo3::ffi::PyThreadState_LeaveTracing(thread) };
    called.map(drop)
}

/// Writes what the rings hold now to `output`; recording goes on.
///
/// # Errors
/// Nothing is being recorded, or the file cannot be written.
pub fn snapshot(py: Python<'_>, output: &Path, reason: &str) -> PyResult<PathBuf> {
    let Some(recording) = recording::current() else {
        return Err(PyRuntimeError::new_err("nothing is being recorded"));
    };
    hook::notice_taken(py, recording.options.hook);
    // SAFETY: `py` says that the GIL is held.
    unsafe { attach::name_all() };
    let written = py.detach(|| rtrace_session::pack::snapshot(&recording.dir, output, reason));
    let packed = written.map_err(|error| PyOSError::new_err(error.to_string()))?;
    Ok(packed.path)
}
