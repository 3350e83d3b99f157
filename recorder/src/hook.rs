//! The interpreter's hooks, behind one seam.
//!
//! A hook is installed and removed; in between it calls the current thread's
//! [`Writer`](crate::writer::Writer). All hooks write the same records.

#[cfg(Py_3_12)]
pub mod monitoring;
pub mod profile;

use pyo3::prelude::*;

use crate::options::{HookKind, Options};

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
    }
}

/// Stops calling them.
///
/// # Errors
/// The interpreter refuses; then the hook stays and its events are dropped.
pub fn remove(py: Python<'_>, hook: HookKind) -> PyResult<()> {
    match hook {
        #[cfg(Py_3_12)]
        HookKind::Monitoring => monitoring::remove(py),
        #[cfg(not(Py_3_12))]
        HookKind::Monitoring => Ok(()),
        HookKind::Profile => profile::remove(py),
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
        "trace" => Err("the hook 'trace' is not in this version of rtrace; \
                        use 'monitoring' or 'profile'"
            .into()),
        other => Err(format!("there is no hook {other:?}")),
    }
}

const NO_MONITORING: &str = "the hook 'monitoring' needs Python 3.12 or later; use 'profile'";

/// What the chosen hook cannot give of what is asked.
///
/// # Errors
/// The option and the hook, in one line.
pub fn check(hook: HookKind, lines: bool, opcodes: bool) -> Result<(), String> {
    match (hook, lines, opcodes) {
        (HookKind::Profile, true, _) => Err("the hook 'profile' sees no lines".into()),
        (HookKind::Profile, _, true) => Err("the hook 'profile' sees no opcodes".into()),
        _ => Ok(()),
    }
}
