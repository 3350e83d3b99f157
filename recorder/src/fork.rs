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

use rtrace_format::process::{FORKING, ProcessHeader};
use rtrace_format::{Frame, Value};
use rtrace_session::{create, host};

use crate::options::HookKind;
use crate::recording::{self, Recording};
use crate::session::process_meta;
use crate::shared::ProcessPage;
use crate::thread::{self, Entry};

/// What is carried over a fork.
struct Prepared {
    /// No other thread may be in the middle of its end when the memory is copied.
    entries: MutexGuard<'static, Vec<Entry>>,
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

/// Whether the hook is still installed in a child that is not to be recorded; true once.
pub fn take_unwanted() -> bool {
    UNWANTED.swap(false, Ordering::Relaxed)
}

unsafe extern "C" fn before() {
    let done = std::panic::catch_unwind(|| {
        let recording = recording::current();
        let child = recording.as_ref().and_then(|recording| prepare_child(recording));
        let mut entries = thread::entries();
        let frames = thread::open_frames(&mut entries);
        let prepared = Prepared { entries, frames, recording, child };
        PREPARED.with_borrow_mut(|place| *place = Some(prepared));
    });
    drop(done);
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
        meta,
    };
    let file = create::process_file(&recording.dir, &header).ok()?;
    Some((ProcessPage::new(&file).ok()?, number))
}

unsafe extern "C" fn in_parent() {
    let done = std::panic::catch_unwind(|| PREPARED.with_borrow_mut(Option::take));
    drop(done);
}

unsafe extern "C" fn in_child() {
    let done = std::panic::catch_unwind(|| {
        let Some(mut prepared) = PREPARED.with_borrow_mut(Option::take) else { return };
        thread::after_fork(&mut prepared.entries, prepared.frames);
        let Some(recording) = prepared.recording else { return };
        let Some((page, number)) = prepared.child else {
            recording::take_current();
            UNWANTED.store(true, Ordering::Relaxed);
            return;
        };
        let pid = std::process::id();
        page.identify(pid, recording.pid, host::start_time(pid).unwrap_or(0));
        let ours = recording.in_child(page, number);
        recording::set_current(Arc::new(ours));
    });
    drop(done);
}

/// Removes the hook from a child that is not to be recorded, at its first event.
pub fn silence() {
    pyo3::Python::attach(|py| {
        for hook in HookKind::ALL {
            // A hook that stays costs time and records nothing.
            let _ = crate::hook::remove(py, hook);
        }
    });
}
