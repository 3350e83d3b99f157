//! Giving threads their rings: at start for those that run, at their first event for the rest.
#![allow(unsafe_code, reason = "walks the interpreter's frames")]
#![allow(
    clippy::multiple_unsafe_ops_per_block,
    reason = "a call and taking over the reference that it returns are one step"
)]

use std::ptr;
use std::sync::{Arc, Mutex};

use pyo3::ffi::{self, PyFrameObject, PyObject};
use rtrace_format::Frame;
use rtrace_format::frame::BEGAN_BEFORE;
use rtrace_format::process::{FORKING, RECORDING};
use rtrace_format::record::ID_MASK;

use crate::clock::Ticks;
use crate::ffi::{_PyType_Lookup, Owned, dict_get, number, text};
use crate::fork;
use crate::greenlet;
use crate::names::{SKIP, code};
use crate::recording::{self, Recording, lock};
use crate::writer::Writer;
use crate::writer::cold::Helpers;
use crate::{budget, hook, startup, thread};

/// How writers reach the interpreter.
pub const HELPERS: Helpers = Helpers { attach, name: current_name, fibers: greenlet::ask };

/// The current thread's writer, at any event.
#[inline(always)]
pub fn writer() -> *mut Writer {
    let writer = thread::writer();
    if writer.is_null() { first_event() } else { writer }
}

#[cold]
#[inline(never)]
fn first_event() -> *mut Writer {
    let ticks = recording::current().map_or(Ticks::default(), |now| Ticks::of(&now.clock));
    thread::first_event(HELPERS, ticks)
}

/// Does what a writer said at an event that there is to do, when nothing borrows it any more.
#[cold]
#[inline(never)]
pub fn attend() {
    let writer = thread::writer();
    if writer.is_null() {
        return;
    }
    // SAFETY: the current thread's own writer, with the GIL held.
    let writer = unsafe { &mut *writer };
    let Some(recording) = writer.recording().cloned() else { return };
    let spent = writer.spent();
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        if budget::consider(&recording, spent) {
            hook::see_all_again(recording.options.hook);
        }
    }));
    // A panic must not unwind into the interpreter; the budget is then not kept.
    drop(done);
}

/// Gives every thread that runs a ring, with the frames that it has open.
///
/// # Safety
/// - the GIL is held.
pub unsafe fn attach_running(recording: &Arc<Recording>) {
    let own = thread::current_ident();
    let ticks = Ticks::of(&recording.clock);
    // SAFETY: the GIL is held.
    unsafe { greenlet::look() };
    let own_writer = writer();
    if !own_writer.is_null() {
        // SAFETY: the current thread's own writer, with the GIL held.
        let writer = unsafe { &mut *own_writer };
        let frames = match recording.options.runner {
            true => Vec::new(),
            // SAFETY: the GIL is held.
            false => unsafe { open_frames(recording, current_frame(), false, own) },
        };
        give_ring(writer, recording, &frames);
        name_writer(writer, own);
        writer.attend_fibers(false);
    }
    // SAFETY: the GIL is held; borrowed.
    let sys = unsafe { module(c"sys") };
    // SAFETY: a dict's value, borrowed.
    let frames_of = unsafe { dict_get(sys, c"_current_frames") };
    if frames_of.is_null() {
        return;
    }
    // SAFETY: a builtin function that runs no Python code; a new reference comes back.
    let Some(all) = (unsafe { Owned::take(ffi::PyObject_CallNoArgs(frames_of)) }) else { return };
    let (mut at, mut key, mut value) = (0, ptr::null_mut(), ptr::null_mut());
    // SAFETY: a dict that nobody else has.
    while unsafe { ffi::PyDict_Next(all.as_ptr(), &raw mut at, &raw mut key, &raw mut value) } != 0
    {
        // SAFETY: the key is alive in the dict.
        let Some(ident) = (unsafe { number(key) }).map(|ident| ident as usize) else { continue };
        // SAFETY: the GIL is held. Threads that `threading` does not know get
        // their ring at their first event: nothing else tells their number.
        let Some(tid) = (unsafe { native_id(ident) }).filter(|_| ident != own) else { continue };
        // SAFETY: the values are frames.
        let frame = unsafe { Owned::take(ffi::Py_NewRef(value)) };
        // SAFETY: a frame.
        let frames = unsafe { open_frames(recording, frame, false, ident) };
        // SAFETY: the GIL is held.
        let name = unsafe { thread_name(ident) };
        thread::with_writer_of(HELPERS, ticks, ident, tid, |writer| {
            give_ring(writer, recording, &frames);
            if let Some(name) = &name {
                writer.set_name(name);
            }
        });
    }
}

fn give_ring(writer: &mut Writer, recording: &Arc<Recording>, frames: &[Frame]) -> bool {
    match recording.new_ring(writer.tid()) {
        Ok(ring) => {
            // A forked child is one of the session's processes from its first event on:
            // most children become other programs before they have one.
            if recording.process.state() == FORKING {
                recording.process.set_state(RECORDING);
            }
            writer.attach(Arc::clone(recording), ring, frames);
            if greenlet::is_there() {
                writer.watch_fibers();
            }
            true
        }
        Err(why) => {
            writer.refuse(why);
            false
        }
    }
}

fn name_writer(writer: &mut Writer, ident: usize) {
    // SAFETY: called with the GIL held.
    if let Some(name) = unsafe { thread_name(ident) } {
        writer.set_name(&name);
    }
}

/// The current thread is about to end: the name that it has now is the one that stays.
///
/// # Safety
/// - the GIL is held.
pub unsafe fn thread_ends() {
    let writer = thread::writer();
    if !writer.is_null() {
        // SAFETY: the current thread's own writer, with the GIL held.
        name_writer(unsafe { &mut *writer }, thread::current_ident());
    }
}

/// Names every thread once more: a name given late, or changed, is the one that stays.
///
/// # Safety
/// - the GIL is held.
pub unsafe fn name_all() {
    // Names are looked for without the list's lock: objects are made on the way, and a
    // garbage collection may run the program's code.
    let threads: Vec<_> =
        thread::entries().iter().map(|entry| (entry.ident(), entry.tid())).collect();
    for (ident, tid) in threads {
        // SAFETY: the caller's promise.
        let Some(name) = (unsafe { thread_name(ident) }) else { continue };
        let mut entries = thread::entries();
        let entry = entries.iter_mut().find(|entry| (entry.ident(), entry.tid()) == (ident, tid));
        if let Some(entry) = entry {
            entry.writer().set_name(&name);
        }
    }
}

/// A thread's first event, or its first since a fork.
fn attach(writer: &mut Writer, entering: bool) -> bool {
    let attached = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let Some(recording) = recording::current() else {
            fork::silence();
            return false;
        };
        // SAFETY: events come with the GIL held.
        if unsafe { startup::is_going_on(&recording, entering) } {
            return false;
        }
        if !writer.may_try_again(&recording) {
            recording.process.count_lost(1, writer.refusal());
            return false;
        }
        let mut frames = thread::take_inherited();
        if frames.is_empty() {
            // SAFETY: events come with the GIL held.
            let ident = thread::current_ident();
            // SAFETY: as above.
            frames = unsafe { open_frames(&recording, current_frame(), entering, ident) };
        }
        let given = give_ring(writer, &recording, &frames);
        if given {
            name_writer(writer, thread::current_ident());
        } else {
            recording.process.count_lost(1, writer.refusal());
        }
        given
    }));
    attached.unwrap_or(false)
}

/// The frames open below and with `innermost` in the thread `ident`, outermost first.
///
/// # Safety
/// - the GIL is held; `innermost` is a frame.
pub unsafe fn open_frames(
    recording: &Recording,
    innermost: Option<Owned>,
    without_innermost: bool,
    ident: usize,
) -> Vec<Frame> {
    let now = recording.now();
    // One for each frame, none for those that are not shown.
    let mut frames: Vec<Option<Frame>> = Vec::new();
    let mut next = innermost;
    let mut skip = without_innermost;
    while let Some(frame) = next {
        let object = frame.as_ptr().cast::<PyFrameObject>();
        let shown = !std::mem::take(&mut skip);
        // SAFETY: a live frame.
        let id = if shown { unsafe { code::id_of_frame(object) } } else { SKIP };
        frames.push((id & SKIP == 0).then(|| Frame::new(id & ID_MASK, BEGAN_BEFORE, now)));
        // SAFETY: a live frame; a new reference or null comes back.
        let back = unsafe { ffi::PyFrame_GetBack(object) };
        // SAFETY: owned; null without an exception is the outermost.
        next = if back.is_null() { None } else { unsafe { Owned::take(back.cast()) } };
    }
    frames.truncate(frames.len().saturating_sub(runner_frames(ident)));
    frames.into_iter().rev().flatten().collect()
}

/// The thread that runs a program for `rtrace run`, and how many frames lie below the program's.
static RUNNER: Mutex<(usize, usize)> = Mutex::new((0, 0));

/// From here on the frames that the current thread has open are the runner's, and not shown.
pub fn hide_runner(frames: usize) {
    *lock(&RUNNER) = (thread::current_ident(), frames);
}

/// How many of a thread's outermost frames are the runner's.
fn runner_frames(ident: usize) -> usize {
    let (runner, frames) = *lock(&RUNNER);
    if ident == runner { frames } else { 0 }
}

/// The current thread's frames, innermost first.
///
/// # Safety
/// - the GIL is held.
pub unsafe fn frames_here() -> Vec<Owned> {
    let mut frames = Vec::new();
    // SAFETY: the GIL is held.
    let mut next = unsafe { current_frame() };
    while let Some(frame) = next {
        // SAFETY: a live frame; a new reference or null comes back.
        let back = unsafe { ffi::PyFrame_GetBack(frame.as_ptr().cast()) };
        frames.push(frame);
        // SAFETY: owned; null without an exception is the outermost.
        next = if back.is_null() { None } else { unsafe { Owned::take(back.cast()) } };
    }
    frames
}

/// The current thread's innermost frame.
///
/// # Safety
/// - the GIL is held.
pub unsafe fn current_frame() -> Option<Owned> {
    // SAFETY: the GIL is held; a new reference or null comes back.
    let frame = unsafe { ffi::PyThreadState_GetFrame(ffi::PyThreadState_Get()) };
    // SAFETY: owned; null without an exception is no frame.
    if frame.is_null() { None } else { unsafe { Owned::take(frame.cast()) } }
}

fn current_name() -> Option<Vec<u8>> {
    // SAFETY: chores are done in events, which come with the GIL held.
    unsafe { thread_name(thread::current_ident()) }
}

/// The dict of an imported module, borrowed; null where it is not imported.
///
/// # Safety
/// - the GIL is held.
pub unsafe fn module(name: &std::ffi::CStr) -> *mut PyObject {
    // SAFETY: borrowed, alive as long as the interpreter.
    let modules = unsafe { ffi::PyImport_GetModuleDict() };
    // SAFETY: a dict, or null is given.
    let module = unsafe { dict_get(modules, name) };
    // SAFETY: null or alive.
    if module.is_null() || unsafe { ffi::PyModule_Check(module) } == 0 {
        return ptr::null_mut();
    }
    // SAFETY: a module; borrowed.
    unsafe { ffi::PyModule_GetDict(module) }
}

/// The `threading.Thread` of an ident, if there is one.
///
/// # Safety
/// - the GIL is held.
unsafe fn thread_object(ident: usize) -> Option<Owned> {
    // SAFETY: the GIL is held.
    let threading = unsafe { module(c"threading") };
    // SAFETY: null or a dict.
    let active = unsafe { dict_get(threading, c"_active") };
    // SAFETY: null or alive.
    if active.is_null() || unsafe { ffi::PyDict_Check(active) } == 0 {
        return None;
    }
    // SAFETY: a new reference comes back.
    let key = unsafe { Owned::take(ffi::PyLong_FromSize_t(ident)) }?;
    // SAFETY: an int among ints: no comparison runs Python code.
    let thread = unsafe { ffi::PyDict_GetItemWithError(active, key.as_ptr()) };
    if thread.is_null() {
        // SAFETY: the GIL is held.
        unsafe { ffi::PyErr_Clear() };
        return None;
    }
    // SAFETY: alive in the dict.
    unsafe { Owned::take(ffi::Py_NewRef(thread)) }
}

/// An attribute that lies in an object's own dict; none where the class computes it.
///
/// # Safety
/// - the GIL is held; `object` is alive.
unsafe fn plain_attribute(object: &Owned, name: &std::ffi::CStr) -> Option<Owned> {
    // SAFETY: a new reference comes back.
    let name = unsafe { Owned::take(ffi::PyUnicode_InternFromString(name.as_ptr())) }?;
    // SAFETY: a live object.
    let kind = unsafe { ffi::Py_TYPE(object.as_ptr()) };
    // A property of that name in a subclass would be the program's code.
    // SAFETY: a live type; borrowed or null, no code is run.
    if !unsafe { _PyType_Lookup(kind, name.as_ptr()) }.is_null() {
        return None;
    }
    // SAFETY: with nothing in the type this only looks into the object's dict.
    let value = unsafe { ffi::PyObject_GenericGetAttr(object.as_ptr(), name.as_ptr()) };
    // SAFETY: a new reference or null.
    unsafe { Owned::take(value) }
}

/// # Safety
/// - the GIL is held.
unsafe fn thread_name(ident: usize) -> Option<Vec<u8>> {
    // SAFETY: the GIL is held.
    let thread = unsafe { thread_object(ident) };
    let Some(thread) = thread else {
        // Without `threading` there is one thread that has a name all the same.
        let main = ident == thread::current_ident() && thread::current_tid() == std::process::id();
        return main.then(|| b"MainThread".to_vec());
    };
    // SAFETY: the GIL is held.
    let name = unsafe { plain_attribute(&thread, c"_name") }?;
    // SAFETY: alive.
    unsafe { text(name.as_ptr()) }
}

/// # Safety
/// - the GIL is held.
unsafe fn native_id(ident: usize) -> Option<u32> {
    // SAFETY: the GIL is held.
    let thread = unsafe { thread_object(ident) }?;
    // SAFETY: the GIL is held.
    let id = unsafe { plain_attribute(&thread, c"_native_id") }?;
    // SAFETY: alive.
    unsafe { number(id.as_ptr()) }.and_then(|id| u32::try_from(id).ok())
}
