//! The interpreter's hooks, behind one seam.
//!
//! A hook is installed and removed; in between it calls the current thread's
//! [`Writer`](crate::writer::Writer). All hooks write the same records.

pub mod frame;
#[cfg(Py_3_12)]
pub mod monitoring;
pub mod new_threads;
pub mod profile;
pub mod raised;
pub mod slot;
pub mod trace;

use pyo3::prelude::*;

use self::slot::Slot;
use crate::options::{HookKind, Options};
use crate::thread;

impl HookKind {
    /// The place in the threads' states that a hook takes, if it takes one.
    pub fn slot(self) -> Option<Slot> {
        match self {
            HookKind::Monitoring => None,
            HookKind::Profile => Some(Slot::Profile),
            HookKind::Trace => Some(Slot::Trace),
        }
    }
}

/// Whether the hook can be had, before anything is made for it.
///
/// # Errors
/// Another tool holds what the hook needs; the text names it.
pub fn check_free(py: Python<'_>, hook: HookKind) -> PyResult<()> {
    match hook.slot() {
        Some(slot) => slot.check_free(py),
        #[cfg(Py_3_12)]
        None => monitoring::check_free(py),
        #[cfg(not(Py_3_12))]
        None => Ok(()),
    }
}

/// Begins to call the writers.
///
/// # Errors
/// The interpreter refuses, or another tool holds what the hook needs.
pub fn install(py: Python<'_>, options: &Options) -> PyResult<()> {
    match options.hook {
        #[cfg(Py_3_12)]
        HookKind::Monitoring => monitoring::install(py, options),
        #[cfg(not(Py_3_12))]
        HookKind::Monitoring => Err(pyo3::exceptions::PyValueError::new_err(NO_MONITORING)),
        HookKind::Profile => profile::install(py, options),
        HookKind::Trace => trace::install(py, options),
    }
}

/// Stops calling them. What another tool holds by now is left to it.
///
/// # Errors
/// The interpreter refuses; then the hook stays and its events are dropped.
pub fn remove(py: Python<'_>, hook: HookKind) -> PyResult<()> {
    match hook.slot() {
        Some(slot) => slot.remove(py),
        #[cfg(Py_3_12)]
        None => monitoring::remove(py),
        #[cfg(not(Py_3_12))]
        None => Ok(()),
    }
}

/// Has the hook report again what it was told to leave alone.
pub fn see_all_again(hook: HookKind) {
    #[cfg(Py_3_12)]
    if hook == HookKind::Monitoring {
        monitoring::see_all_again();
    }
    #[cfg(not(Py_3_12))]
    let _ = hook;
}

/// Looks whether the hook is still ours, and records the loss in the threads where it is not.
pub fn notice_taken(py: Python<'_>, hook: HookKind) {
    // Threads that began after somebody else's function took the place of ours in
    // `threading` have no ring to say so in; the current thread says it for them.
    let elsewhere = hook.slot().map(|slot| new_threads::holder(py, slot));
    let elsewhere = matches!(elsewhere, Some(Ok(Some(_))));
    let here = thread::current_ident();
    let is_taken: Box<dyn Fn(usize) -> bool> = match hook.slot() {
        Some(slot) => {
            let taken = slot.taken_in();
            Box::new(move |ident| taken.contains(&ident) || elsewhere && ident == here)
        }
        #[cfg(Py_3_12)]
        None => {
            let taken = !monitoring::is_ours(py);
            Box::new(move |_| taken)
        }
        #[cfg(not(Py_3_12))]
        None => return,
    };
    for entry in thread::entries().iter_mut() {
        if is_taken(entry.ident()) {
            entry.writer().hook_taken();
        }
    }
}

/// A function of `threading` was seen for the first time.
#[cold]
pub fn threading_seen(hook: HookKind) {
    if let Some(slot) = hook.slot() {
        new_threads::threading_seen(slot);
    }
}

/// The hook that a name stands for on this interpreter.
///
/// # Errors
/// What is wrong with the name, in one line.
pub fn choose(name: &str) -> Result<HookKind, String> {
    let monitoring = cfg!(Py_3_12);
    match name {
        "auto" if monitoring => Ok(HookKind::Monitoring),
        "auto" | "profile" => Ok(HookKind::Profile),
        "monitoring" if monitoring => Ok(HookKind::Monitoring),
        "monitoring" => Err(NO_MONITORING.into()),
        "trace" => Ok(HookKind::Trace),
        other => Err(format!("there is no hook {other:?}")),
    }
}

const NO_MONITORING: &str = "the hook 'monitoring' needs Python 3.12 or later; use 'profile'";

/// What the chosen hook cannot give of what is asked.
///
/// # Errors
/// The option and the hook, in one line.
pub fn check(hook: HookKind, c_calls: bool, lines: bool, opcodes: bool) -> Result<(), String> {
    match hook {
        HookKind::Profile if lines => Err("the hook 'profile' sees no lines".into()),
        HookKind::Profile if opcodes => Err("the hook 'profile' sees no opcodes".into()),
        HookKind::Trace if c_calls => Err("the hook 'trace' sees no C calls".into()),
        _ => Ok(()),
    }
}
