//! What a recording is asked to do.

use std::path::PathBuf;

use crate::filter::Filter;

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The last part of every thread, in memory until stop or snapshot.
    Flight,
    /// Everything: a collector drains the rings while the program runs.
    Full,
}

impl Mode {
    /// The name on the command line and in the metadata.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Flight => "flight",
            Mode::Full => "full",
        }
    }
}

/// Which of the interpreter's hooks is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookKind {
    /// `sys.monitoring`.
    Monitoring,
    /// `PyEval_SetProfile`.
    Profile,
}

impl HookKind {
    /// Every hook.
    pub const ALL: [HookKind; 2] = [HookKind::Monitoring, HookKind::Profile];

    /// The name on the command line and in the metadata.
    pub fn name(self) -> &'static str {
        match self {
            HookKind::Monitoring => "monitoring",
            HookKind::Profile => "profile",
        }
    }
}

/// Everything that a recording can be asked for, checked.
#[derive(Debug, Clone)]
pub struct Options {
    /// The trace file.
    pub output: PathBuf,
    /// How much is kept.
    pub mode: Mode,
    /// The hook.
    pub hook: HookKind,
    /// Whether calls of C functions are recorded.
    pub c_calls: bool,
    /// Whether lines are recorded.
    pub lines: bool,
    /// Whether instructions are recorded.
    pub opcodes: bool,
    /// The most bytes that one thread's ring may hold.
    pub ring_size: u64,
    /// The most bytes that the session may keep; none for the default of this machine.
    pub max_memory: Option<u64>,
    /// Where the rings go; none for the default.
    pub ring_dir: Option<PathBuf>,
    /// Which functions are recorded.
    pub filter: Filter,
    /// Frames at this depth and deeper are not recorded.
    pub max_depth: Option<u32>,
    /// Whether forked children record too.
    pub children: bool,
    /// Whether the frames that are open in the starting thread are the runner's own.
    pub runner: bool,
    /// The traced program's command line.
    pub argv: Vec<Vec<u8>>,
}
