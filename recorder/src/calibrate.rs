//! What an event costs on this machine, in this interpreter, by this hook.
//!
//! A loop that calls an empty function is timed before the hook is there and with it. The
//! second time the thread's writer writes into memory of its own, so that nothing of it is
//! in the recording, by the very path that every event takes.
#![allow(unsafe_code, reason = "lends the thread another writer for the time of the loops")]

use std::time::{Duration, Instant};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyAny, PyDict};

use crate::names::code;
use crate::options::HookKind;
use crate::recording::{Prices, Recording};
use crate::writer::Writer;
use crate::{attach, thread};

/// Calls in one loop: their records fit into a segment's worth of memory.
const CALLS: u32 = 400;
/// Loops, of which the fastest counts.
const LOOPS: usize = 7;

/// The symbols that the loop and its function are recorded as, in memory that nobody reads.
const IDS: [u32; 2] = [2, 3];

const PROGRAM: &std::ffi::CStr = c"
def empty():
    pass
def loop(calls, function):
    for _ in calls:
        function()
";

/// The loops, timed without a hook.
pub struct Calibration<'py> {
    py: Python<'py>,
    run: Bound<'py, PyAny>,
    empty: Bound<'py, PyAny>,
    /// A C function that does next to nothing.
    c: Bound<'py, PyAny>,
    calls: Bound<'py, PyAny>,
    bare: [Duration; 2],
}

impl<'py> Calibration<'py> {
    /// Times the loops as they are without us. None where the interpreter refuses anything:
    /// then nothing is known of the cost.
    pub fn begin(py: Python<'py>) -> Option<Calibration<'py>> {
        let begun = (|| {
            let globals = PyDict::new(py);
            py.run(PROGRAM, Some(&globals), None)?;
            let get = |name| globals.get_item(name)?.ok_or_else(|| PyErr::fetch(py));
            let c = crate::ffi::sys_object(py, c"getrecursionlimit")?;
            let calls = py.get_type::<pyo3::types::PyRange>().call1((CALLS,))?;
            let (run, empty) = (get("loop")?, get("empty")?);
            let bare = [Duration::ZERO; 2];
            let mut made = Calibration { py, run, empty, c, calls, bare };
            made.bare = [made.time(&made.empty)?, made.time(&made.c)?];
            Ok::<_, PyErr>(made)
        })();
        begun.ok()
    }

    /// Times the loops with the hook in place.
    pub fn finish(self, recording: &Recording) -> Option<Prices> {
        let codes = [&self.run, &self.empty].map(|function| function.getattr("__code__"));
        for (code, id) in codes.into_iter().zip(IDS) {
            // SAFETY: `py` says that the GIL is held; a function's code.
            unsafe { code::store(code.ok()?.as_ptr(), id) };
        }
        let hooked = self.with_spare_writer(recording, |writer| {
            let python = self.time_with(&self.empty, writer)?;
            let c = match recording.options.c_calls {
                true => self.time_with(&self.c, writer)?,
                false => Duration::ZERO,
            };
            Ok::<_, PyErr>([python, c])
        });
        let hooked = hooked?.ok()?;
        // A call is two events.
        let price = |index: usize| {
            let added = hooked[index].saturating_sub(self.bare[index]);
            u64::try_from(added.as_nanos() * 1000 / u128::from(2 * CALLS)).unwrap_or(0)
        };
        let python = match recording.options.hook {
            // Each call of the function has a line of its own in the loop and in the function.
            HookKind::Trace => price(0) / 2,
            _ => price(0),
        };
        Some(Prices { python, c: price(1) })
    }

    fn once(&self, function: &Bound<'py, PyAny>) -> PyResult<Duration> {
        let begin = Instant::now();
        self.run.call1((&self.calls, function))?;
        Ok(begin.elapsed())
    }

    fn time(&self, function: &Bound<'py, PyAny>) -> PyResult<Duration> {
        let times = (0..LOOPS).map(|_| self.once(function));
        times.reduce(|a, b| Ok(a?.min(b?))).unwrap_or(Ok(Duration::ZERO))
    }

    fn time_with(&self, function: &Bound<'py, PyAny>, writer: *mut Writer) -> PyResult<Duration> {
        let times = (0..LOOPS).map(|_| {
            // SAFETY: the spare writer, which nothing borrows between two loops.
            unsafe { (*writer).rewind_spare() };
            self.once(function)
        });
        times.reduce(|a, b| Ok(a?.min(b?))).unwrap_or(Ok(Duration::ZERO))
    }

    /// Has the current thread write elsewhere while `work` runs.
    fn with_spare_writer<T>(
        &self,
        recording: &Recording,
        work: impl FnOnce(*mut Writer) -> T,
    ) -> Option<T> {
        let writer = attach::writer();
        if writer.is_null() {
            return None;
        }
        let words = CALLS as usize * 8;
        let mut spare = Writer::spare(&recording.clock, thread::current_tid(), words);
        // SAFETY: the current thread's own writer, with the GIL held; both are valid.
        unsafe { std::ptr::swap(writer, &raw mut *spare) };
        let done = work(writer);
        // SAFETY: as above.
        unsafe { std::ptr::swap(writer, &raw mut *spare) };
        // SAFETY: `py` says that the GIL is held.
        unsafe { ffi::PyErr_Clear() };
        let _ = self.py;
        Some(done)
    }
}
