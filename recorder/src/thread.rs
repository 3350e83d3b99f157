//! Threads: who writes where.
//!
//! A writer is made for each thread that was running when recording began, and
//! for each other at its first event. Its owner finds it by a thread local; the
//! list of all is for those who end a recording.
//!
//! What must stay true:
//!
//! 1. A writer is freed by its thread's own end, or when its thread is known to be gone
//!    (the system gave its number to another one; it did not survive a fork). So the
//!    pointer in the thread local, and in the key, is good for as long as its thread asks.
//! 2. A thread uses its own writer while it holds the GIL, and at its end, when it has no
//!    GIL. Anybody else uses it with the GIL *and* under the list's lock, all the time that
//!    it is used: the GIL keeps the thread from an event, the lock from its end.
//! 3. Under the lock nothing runs that may wait for the GIL or come back here: no Python
//!    code, no allocation of an object that a garbage collection could hang on.
//! 4. The lock comes before the one of [`room`](crate::room), and no other is taken under it.
//! 5. A thread of the system is one writer and one serial for its whole life, however often
//!    it takes and drops a thread state of the interpreter. Numbers are used again, by
//!    the system and by the threading library, so neither names a thread: both together do.
//! 6. A thread that never comes back (a daemon of an interpreter that has ended waits
//!    for ever from 3.14 on) leaves its writer in the list and its ring as it is: what is
//!    in there is whole, and whoever packs judges by the process.
#![allow(unsafe_code, reason = "keeps writers by pointer, for their threads' whole life")]

use std::cell::Cell;
use std::collections::HashSet;
use std::ffi::c_void;
use std::ops::ControlFlow;
use std::ptr;
use std::sync::atomic::{AtomicI64, AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use rtrace_format::Frame;
use rtrace_format::frame::C_FUNCTION;

use crate::clock::Ticks;
use crate::recording::lock;
use crate::writer::Writer;
use crate::writer::cold::{Cold, Helpers};
use crate::writer::open::Open;

/// A thread's writer, and which thread it is.
#[derive(Debug)]
pub struct Entry {
    ident: usize,
    tid: u32,
    writer: *mut Writer,
    /// Frames that a forked child found open in the thread that it went on as.
    pub inherited: Vec<Frame>,
}

// SAFETY: the pointer is only followed as invariant 2 says.
unsafe impl Send for Entry {}

impl Entry {
    /// The writer.
    pub fn writer(&mut self) -> &mut Writer {
        // SAFETY: it lives as long as its entry; whoever has an entry has the lock
        // and, unless it is the thread's own end, the GIL (invariants 1 and 2).
        unsafe { &mut *self.writer }
    }

    /// The thread's number in the threading library.
    pub fn ident(&self) -> usize {
        self.ident
    }

    /// The thread's number in the system.
    pub fn tid(&self) -> u32 {
        self.tid
    }
}

static ENTRIES: Mutex<Vec<Entry>> = Mutex::new(Vec::new());

thread_local! {
    static WRITER: Cell<*mut Writer> = const { Cell::new(ptr::null_mut()) };
}

/// The writers of all threads.
pub fn entries() -> MutexGuard<'static, Vec<Entry>> {
    lock(&ENTRIES)
}

/// The thread that had the latest event, by [its pointer](thread_pointer), and its writer.
///
/// A thread local of a loaded library is found by a call; this is two loads. Both are written
/// with the GIL held, and only a thread that is running and [watched](watch_end) ever finds
/// itself here: its own end takes it out, and so does a fork.
static LATEST: AtomicUsize = AtomicUsize::new(0);
static LATEST_WRITER: AtomicPtr<Writer> = AtomicPtr::new(ptr::null_mut());

/// Whether this is a system of which [`thread_pointer`] knows how to ask.
const HAS_POINTERS: bool =
    cfg!(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")));

/// What the processor holds to find the current thread by; of no two threads that run the same.
#[inline(always)]
fn thread_pointer() -> usize {
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    {
        let pointer;
        // SAFETY: the ABI has a word there, which is the thread pointer itself.
        unsafe {
            std::arch::asm!("mov {}, fs:0", out(reg) pointer,
                options(nostack, pure, readonly, preserves_flags));
        }
        pointer
    }
    #[cfg(all(target_os = "linux", target_arch = "aarch64"))]
    {
        let pointer;
        // SAFETY: reads a register that user space may read.
        unsafe {
            std::arch::asm!("mrs {}, tpidr_el0", out(reg) pointer,
                options(nostack, nomem, pure, preserves_flags));
        }
        pointer
    }
    #[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
    0
}

/// The current thread's writer, if it had the latest event of all threads. The GIL is held.
#[inline(always)]
pub fn latest() -> Option<*mut Writer> {
    let is_here = HAS_POINTERS && LATEST.load(Ordering::Relaxed) == thread_pointer();
    is_here.then(|| LATEST_WRITER.load(Ordering::Relaxed))
}

/// The current thread's writer; null before its first event. The GIL is held.
pub fn writer() -> *mut Writer {
    let (writer, here) = (WRITER.get(), thread_pointer());
    if HAS_POINTERS && !writer.is_null() && STAGE.get() == Stage::Watched {
        LATEST.store(0, Ordering::Relaxed);
        LATEST_WRITER.store(writer, Ordering::Relaxed);
        LATEST.store(here, Ordering::Relaxed);
    }
    writer
}

/// Takes the current thread out of [`LATEST`], if it is there.
fn forget_latest() {
    let here = thread_pointer();
    // Another thread, which has the GIL, may put itself there at the same time.
    let _ = LATEST.compare_exchange(here, 0, Ordering::Relaxed, Ordering::Relaxed);
}

/// The current thread's writer, made or found at its first event.
#[cold]
#[inline(never)]
pub fn first_event(helpers: Helpers, ticks: Ticks) -> *mut Writer {
    let (ident, tid) = (current_ident(), current_tid());
    let mut entries = entries();
    // A thread that ended without an event leaves its entry, and its ident is soon used again.
    entries.retain_mut(|entry| {
        let stale = entry.ident == ident && entry.tid != tid;
        if stale {
            entry.writer().end();
            // SAFETY: taken off the list, and its thread is gone.
            drop(unsafe { Box::from_raw(entry.writer) });
        }
        !stale
    });
    let known = entries.iter().find(|entry| entry.ident == ident).map(|entry| entry.writer);
    let writer = known.unwrap_or_else(|| add(&mut entries, helpers, ticks, ident, tid));
    WRITER.set(writer);
    watch_end(writer);
    writer
}

/// Calls `work` with the writer of another thread, made if it has had no event yet.
///
/// The GIL is held. `work` runs under the list's lock (invariants 2 and 3).
pub fn with_writer_of(
    helpers: Helpers,
    ticks: Ticks,
    ident: usize,
    tid: u32,
    work: impl FnOnce(&mut Writer),
) {
    let mut entries = entries();
    if !entries.iter().any(|entry| entry.ident == ident && entry.tid == tid) {
        add(&mut entries, helpers, ticks, ident, tid);
    }
    let entry = entries.iter_mut().find(|entry| entry.ident == ident && entry.tid == tid);
    if let Some(entry) = entry {
        work(entry.writer());
    }
}

fn add(
    entries: &mut Vec<Entry>,
    helpers: Helpers,
    ticks: Ticks,
    ident: usize,
    tid: u32,
) -> *mut Writer {
    let writer = Box::into_raw(Box::new(Writer::detached(Cold::new(helpers, tid), ticks)));
    entries.push(Entry { ident, tid, writer, inherited: Vec::new() });
    writer
}

/// The frames that the current thread inherited from before a fork; given once.
pub fn take_inherited() -> Vec<Frame> {
    let ident = current_ident();
    let mut entries = entries();
    let entry = entries.iter_mut().find(|entry| entry.ident == ident);
    entry.map(|entry| std::mem::take(&mut entry.inherited)).unwrap_or_default()
}

/// The current thread's open frames, outermost first, for a child about to be forked.
pub fn open_frames(entries: &mut [Entry]) -> Vec<Frame> {
    let ident = current_ident();
    let entry = entries.iter_mut().find(|entry| entry.ident == ident);
    entry.map(|entry| entry.writer().inherited_frames()).unwrap_or_default()
}

/// In a forked child: only the forking thread is left. It goes on with `frames`, which
/// were open before the fork; no mapping of the parent's rings stays, except where the
/// forking thread had no GIL (`has_gil`): another thread's writer may then have been copied
/// in the middle of a change, and is left as it is for ever.
pub fn after_fork(entries: &mut Vec<Entry>, frames: Vec<Frame>, has_gil: bool) {
    let (ident, tid) = (current_ident(), current_tid());
    let mut frames = Some(frames);
    LATEST.store(0, Ordering::Relaxed);
    entries.retain_mut(|entry| {
        if entry.ident != ident {
            if has_gil {
                // SAFETY: its thread does not exist in this process.
                drop(unsafe { Box::from_raw(entry.writer) });
            }
            return false;
        }
        entry.tid = tid;
        entry.inherited = frames.take().unwrap_or_default();
        entry.writer().detach();
        entry.writer().set_tid(tid);
        true
    });
}

/// The current thread as the threading library and Python's `ident` have it.
pub fn current_ident() -> usize {
    // SAFETY: no arguments, cannot fail.
    unsafe { libc::pthread_self() as usize }
}

/// The current thread as the kernel has it.
pub fn current_tid() -> u32 {
    // SAFETY: no arguments, cannot fail.
    unsafe { libc::gettid() as u32 }
}

/// Whether frame `index` of what the current thread has open is one of `id`.
pub fn is_frame_here(index: usize, id: u32) -> bool {
    let writer = writer();
    // SAFETY: the current thread's own writer, between events, with the GIL held.
    !writer.is_null() && unsafe { &*writer }.frame_id(index) == Some(id)
}

/// Where the current thread has something of `id` open in its running lane: the outermost place.
pub fn index_here(id: u32) -> Option<usize> {
    let writer = writer();
    if writer.is_null() {
        return None;
    }
    // SAFETY: the current thread's own writer, between events, with the GIL held.
    let writer = unsafe { &*writer };
    (0..writer.depth()).map_while(|index| writer.frame_id(index)).position(|open| open == id)
}

/// Whether frame `index` of what the thread `ident` has open is one of `id`; the GIL is held.
pub fn is_frame_in(ident: usize, index: usize, id: u32) -> bool {
    let mut entries = entries();
    let entry = entries.iter_mut().find(|entry| entry.ident == ident);
    entry.is_some_and(|entry| entry.writer().frame_id(index) == Some(id))
}

/// Visits everything that is open in any thread, with the thread's ident; the GIL is held.
/// False where some of it is not known.
fn visit_open(visit: &mut dyn FnMut(usize, Open) -> ControlFlow<()>) -> bool {
    let mut all_known = true;
    for entry in entries().iter_mut() {
        let ident = entry.ident;
        let mut left = false;
        all_known &= entry.writer().visit_open(&mut |open| {
            let flow = visit(ident, open);
            left = flow.is_break();
            flow
        });
        if left {
            break;
        }
    }
    all_known
}

/// Where something of `id` is open: the thread's ident, 0 for nowhere certain, and the place
/// in its running lane. None if nothing is.
pub fn find_open(id: u32) -> Option<(usize, usize)> {
    let mut found = None;
    let all_known = visit_open(&mut |ident, open| {
        if open.frame.id() != id {
            return ControlFlow::Continue(());
        }
        found = Some(open.index.map_or((0, 0), |index| (ident, index)));
        ControlFlow::Break(())
    });
    found.or((!all_known).then_some((0, 0)))
}

/// The ids of all that is open in any thread; none where some of it is not known.
pub fn open_ids() -> Option<HashSet<u32>> {
    let mut ids = HashSet::new();
    let all_known = visit_open(&mut |_, open| {
        ids.insert(open.frame.id());
        ControlFlow::Continue(())
    });
    all_known.then_some(ids)
}

/// Whether a C function that the code `caller` called is open in any thread, or may be.
pub fn has_c_call_of(caller: u32) -> bool {
    let mut found = false;
    let all_known = visit_open(&mut |_, open| {
        let is_c = open.frame.word & C_FUNCTION != 0;
        found = is_c && open.caller.is_none_or(|frame| frame.id() == caller);
        if found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    found || !all_known
}

/// Has every thread weigh what it has recorded; the GIL is held.
pub fn weigh_all() {
    for entry in entries().iter_mut() {
        entry.writer().weigh();
    }
}

/// The key whose destructor is [`at_end`], plus one; 0 is none yet.
static KEY: AtomicI64 = AtomicI64::new(0);

/// How far a thread's life is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Its end would go unseen.
    Unwatched,
    /// [`at_end`] will be called.
    Watched,
    /// [`at_end`] was called before.
    Ending,
}

thread_local! {
    static STAGE: Cell<Stage> = const { Cell::new(Stage::Unwatched) };
}

/// Has [`at_end`] called when the current thread ends. The list's lock is held, so that the
/// key is made once.
fn watch_end(writer: *mut Writer) {
    if KEY.load(Ordering::Acquire) == 0 {
        let mut new: libc::pthread_key_t = 0;
        // SAFETY: a place for the key and a function that lives for ever: this
        // library is never unloaded.
        if unsafe { libc::pthread_key_create(&raw mut new, Some(at_end)) } != 0 {
            return;
        }
        KEY.store(i64::from(new) + 1, Ordering::Release);
    }
    if set_key(writer.cast::<c_void>()) && STAGE.get() == Stage::Unwatched {
        STAGE.set(Stage::Watched);
    }
}

/// False where the thread's end goes unseen, for want of memory.
fn set_key(value: *mut c_void) -> bool {
    let key = KEY.load(Ordering::Acquire) - 1;
    // SAFETY: a key of ours.
    unsafe { libc::pthread_setspecific(key as libc::pthread_key_t, value) == 0 }
}

/// The thread ends: its ring is sealed and marked. It has no GIL here.
///
/// Destructors of other keys may still run Python code, and come in no order. So the
/// first call asks to be called once more, which is after all those: C libraries
/// promise four rounds at least.
unsafe extern "C" fn at_end(value: *mut c_void) {
    forget_latest();
    if STAGE.replace(Stage::Ending) != Stage::Ending && set_key(value) {
        return;
    }
    let ended = std::panic::catch_unwind(|| {
        WRITER.set(ptr::null_mut());
        let mut entries = entries();
        let writer = value.cast::<Writer>();
        let Some(at) = entries.iter().position(|entry| entry.writer == writer) else { return };
        let mut entry = entries.swap_remove(at);
        entry.writer().notice_taken_at_end();
        entry.writer().end();
        // SAFETY: off the list and out of the thread local: nobody else has it.
        drop(unsafe { Box::from_raw(entry.writer) });
    });
    // A panic must not unwind into the threading library; the ring stays as it was.
    drop(ended);
}
