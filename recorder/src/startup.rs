//! Where a program begins in a process that joined a session while the interpreter started.
//!
//! What the interpreter does before it runs the program (`site`, the search for the
//! module to run) is not the program's. The thread that starts records nothing until
//! `__main__` is entered, or, in a program that has none, the first frame with no
//! frame below it that is not the interpreter's own.
#![allow(unsafe_code, reason = "walks the interpreter's frames")]
#![allow(
    clippy::multiple_unsafe_ops_per_block,
    reason = "a call and taking over the reference that it returns are one step"
)]

use std::sync::atomic::{AtomicUsize, Ordering};

use pyo3::ffi::{self, PyFrameObject};

use crate::ffi::{Owned, attribute, dict_get, text};
use crate::recording::Recording;
use crate::{attach, thread};

/// The thread that starts the interpreter, 0 where none does.
static STARTING: AtomicUsize = AtomicUsize::new(0);

/// Modules whose code the interpreter runs by itself before the program.
const OWN: [&[u8]; 6] = [b"runpy", b"zipimport", b"site", b"codecs", b"encodings", b"linecache"];

/// From here on the current thread starts the interpreter.
pub fn hold() {
    STARTING.store(thread::current_ident(), Ordering::Relaxed);
}

/// Whether the current thread still starts the interpreter; `entering` says that the
/// event at hand enters a Python frame.
///
/// # Safety
/// - the GIL is held.
pub unsafe fn is_going_on(recording: &Recording, entering: bool) -> bool {
    let starting = STARTING.load(Ordering::Relaxed);
    if starting == 0 || starting != thread::current_ident() {
        return false;
    }
    if !entering {
        return true;
    }
    // SAFETY: the GIL is held.
    let Some(hidden) = (unsafe { frames_below_program(recording) }) else { return true };
    STARTING.store(0, Ordering::Relaxed);
    attach::hide_runner(hidden);
    false
}

/// How many frames lie below the program's outermost one; none before it was entered.
///
/// # Safety
/// - the GIL is held.
unsafe fn frames_below_program(recording: &Recording) -> Option<usize> {
    // A filter may leave the program's own outermost frame out.
    let look_below = !recording.options.filter.is_empty();
    let mut main = None;
    let mut count = 0;
    // SAFETY: the GIL is held.
    let mut frame = unsafe { attach::current_frame() }?;
    loop {
        let object = frame.as_ptr().cast::<PyFrameObject>();
        // SAFETY: a live frame.
        if unsafe { is_main(object) } {
            main = Some(count);
        }
        count += 1;
        // SAFETY: a live frame; a new reference or null comes back.
        let back = unsafe { ffi::PyFrame_GetBack(object) };
        if back.is_null() {
            break;
        }
        if main.is_none() && !look_below {
            return None;
        }
        // SAFETY: owned and not null.
        frame = unsafe { Owned::take(back.cast()) }?;
    }
    if let Some(at) = main {
        return Some(count - at - 1);
    }
    // SAFETY: a live frame.
    let module = unsafe { module_of(frame.as_ptr().cast()) };
    let own = OWN.contains(&module.as_slice())
        || module.starts_with(b"importlib.")
        || module.starts_with(b"_frozen_importlib")
        || module.starts_with(b"encodings.");
    (!own).then_some(0)
}

/// Whether a frame is the body of `__main__`.
///
/// # Safety
/// - the GIL is held; `frame` is alive.
unsafe fn is_main(frame: *mut PyFrameObject) -> bool {
    // SAFETY: a live frame; a new reference comes back.
    let Some(code) = (unsafe { Owned::take(ffi::PyFrame_GetCode(frame).cast()) }) else {
        return false;
    };
    // SAFETY: a live code object, which computes no attribute by Python code.
    let name = unsafe { attribute(code.as_ptr(), c"co_name") };
    // SAFETY: alive.
    let name = name.and_then(|name| unsafe { text(name.as_ptr()) });
    // SAFETY: a live frame.
    name.is_some_and(|name| name == b"<module>") && unsafe { module_of(frame) } == b"__main__"
}

/// # Safety
/// - the GIL is held; `frame` is alive.
unsafe fn module_of(frame: *mut PyFrameObject) -> Vec<u8> {
    // SAFETY: a live frame; a new reference comes back.
    let globals = unsafe { Owned::take(ffi::PyFrame_GetGlobals(frame)) };
    // SAFETY: alive.
    let name = globals.and_then(|globals| unsafe { text(dict_get(globals.as_ptr(), c"__name__")) });
    name.unwrap_or_default()
}
