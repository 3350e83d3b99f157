//! Forks: a child never writes into its parent's rings.
//!
//! The handlers run around every `fork` of the C library, whoever calls it. The
//! process that forks makes its child's file before the fork, so that the
//! session is known to have another process from the first moment. The child
//! keeps only the thread that forked, with the frames that it had open, and gets
//! rings of its own at its first event.
#![allow(unsafe_code, reason = "registers and runs the fork handlers")]

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard, Once};

use pyo3::ffi;
use rtrace_format::process::{FORKING, ProcessHeader};
use rtrace_format::{Cause, Frame, Value};
use rtrace_session::{create, host};

use crate::budget;
use crate::budget::weight::{self, Inbox};
use crate::options::HookKind;
use crate::recording::{self, Recording};
use crate::ring::Refused;
use crate::session::process_meta;
use crate::shared::ProcessPage;
use crate::symbols::Symbols;
use crate::thread::{self, Entry};

/// What is carried over a fork. Fields are dropped in this order.
struct Prepared {
    /// Every lock of ours is held while the memory is copied: in the child nobody is left
    /// to release one that another thread had. The order in which they are taken is free,
    /// because nobody else ever holds two of them but the budget's controller. (That of the room comes behind all others
    /// and is not held: the child has a room of its own.)
    current: MutexGuard<'static, Option<Arc<Recording>>>,
    entries: MutexGuard<'static, Vec<Entry>>,
    _budget: budget::Held,
    _inbox: MutexGuard<'static, Option<Inbox>>,
    /// Of `recording`, which is kept below.
    _symbols: Option<MutexGuard<'static, Symbols>>,
    /// Whether the forking thread has the GIL. A thread of C that forks may not, and then
    /// another thread can be in the middle of an event.
    has_gil: bool,
    /// The forking thread's open frames. Read before the fork: the shadow stack lies in
    /// a shared mapping, and when the child looks the parent has long gone on.
    frames: Vec<Frame>,
    recording: Option<Arc<Recording>>,
    child: Option<(ProcessPage, u32)>,
}

thread_local! {
    static PREPARED: RefCell<Option<Prepared>> = const { RefCell::new(None) };
}

/// In a child that is not to be recorded: the hook is still there, and to be removed.
static UNWANTED: AtomicBool = AtomicBool::new(false);

/// Registers the handlers, once in a process's life.
pub fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: functions that live for ever: this library is never unloaded.
        unsafe { libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child)) };
    });
}

/// Whether the current thread has the GIL. `PyGILState_Check` says yes to everybody once
/// there was a second interpreter.
fn has_gil() -> bool {
    // SAFETY: may be asked by any thread.
    let running = unsafe { ffi::compat::PyThreadState_GetUnchecked() };
    // Before 3.12 that is the state of whoever has the GIL, and not of the thread that asks.
    // SAFETY: may be asked by any thread.
    let own = cfg!(Py_3_12) || running == unsafe { ffi::PyGILState_GetThisThreadState() };
    !running.is_null() && own
}

unsafe extern "C" fn before() {
    let done = std::panic::catch_unwind(|| {
        let current = recording::hold_current();
        let recording = current.clone();
        let child = recording.as_ref().and_then(|recording| prepare_child(recording));
        // The controller looks at the threads, and so comes before their list.
        let _budget = budget::hold();
        let mut entries = thread::entries();
        let _inbox = weight::hold();
        let _symbols = recording.as_ref().map(hold_symbols);
        let has_gil = has_gil();
        let frames = thread::open_frames(&mut entries);
        let prepared = Prepared {
            current,
            entries,
            _budget,
            _inbox,
            _symbols,
            has_gil,
            frames,
            recording,
            child,
        };
        PREPARED.with_borrow_mut(|place| *place = Some(prepared));
    });
    drop(done);
}

/// Locks the symbols of a recording that the caller keeps for longer than the lock.
fn hold_symbols(recording: &Arc<Recording>) -> MutexGuard<'static, Symbols> {
    let guard = recording.hold_symbols();
    // SAFETY: only the lifetime changes; `Prepared` keeps the recording, and with it the
    // mutex, until after the guard is dropped.
    unsafe { std::mem::transmute::<MutexGuard<'_, Symbols>, MutexGuard<'static, Symbols>>(guard) }
}

fn prepare_child(recording: &Recording) -> Option<(ProcessPage, u32)> {
    if !recording.options.children {
        return None;
    }
    let number = u32::try_from(recording.page.take_process()).ok()?;
    let mut meta = process_meta(&recording.options, &recording.interpreter, &recording.clock, 0);
    // The child's parent is this process.
    meta.set("ppid", Value::U64(recording.pid.into()));
    let header = ProcessHeader {
        number,
        pid: 0,
        parent: Some(recording.rings.process),
        ppid: recording.pid,
        start_time: 0,
        state: FORKING,
        end_tick: 0,
        exit_code: None,
        lost: 0,
        lost_causes: Default::default(),
        overwritten_threads: 0,
        overwritten_events: 0,
        event_cost_ps: 0,
        c_event_cost_ps: 0,
        filtered: 0,
        closed_sites: 0,
        meta,
    };
    let bytes = create::process_len(&header);
    if !recording.room.take(bytes, 0) {
        // Of what the child will do nothing is known, except that it is one event at least.
        recording.process.count_lost(1, Cause::Budget);
        return None;
    }
    let file = create::process_file(&recording.dir, &header);
    let file = file.inspect_err(|error| {
        recording.room.release(bytes);
        recording.process.count_lost(1, Refused::of(error).cause());
    });
    let file = file.ok()?;
    Some((ProcessPage::new(&file).ok()?, number))
}

unsafe extern "C" fn in_parent() {
    let done = std::panic::catch_unwind(|| PREPARED.with_borrow_mut(Option::take));
    drop(done);
}

unsafe extern "C" fn in_child() {
    let done = std::panic::catch_unwind(|| {
        let Some(mut prepared) = PREPARED.with_borrow_mut(Option::take) else { return };
        let frames = std::mem::take(&mut prepared.frames);
        thread::after_fork(&mut prepared.entries, frames, prepared.has_gil);
        let Some(recording) = &prepared.recording else { return };
        let Some((page, number)) = prepared.child.take() else {
            recording::replace_current(&mut prepared.current, None);
            UNWANTED.store(true, Ordering::Relaxed);
            return;
        };
        let pid = std::process::id();
        page.identify(pid, recording.pid, host::start_time(pid).unwrap_or(0));
        let ours = recording.in_child(page, number);
        recording::replace_current(&mut prepared.current, Some(Arc::new(ours)));
        drop(prepared);
        // What the parent's threads did is not the child's.
        weight::clear();
    });
    drop(done);
}

/// Removes the hook from a child that is not to be recorded, once. Called where an event
/// finds no recording, and before there is one of the child's own.
#[cold]
pub fn silence() {
    if !UNWANTED.swap(false, Ordering::Relaxed) {
        return;
    }
    pyo3::Python::attach(|py| {
        for hook in HookKind::ALL {
            // A hook that stays costs time and records nothing.
            let _ = crate::hook::remove(py, hook);
        }
    });
}
