//! What a recording is asked to do.

use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use rtrace_format::{Meta, Value};

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
    /// `PyEval_SetTrace`.
    Trace,
}

impl HookKind {
    /// Every hook.
    pub const ALL: [HookKind; 3] = [HookKind::Monitoring, HookKind::Profile, HookKind::Trace];

    /// The name on the command line and in the metadata.
    pub fn name(self) -> &'static str {
        match self {
            HookKind::Monitoring => "monitoring",
            HookKind::Profile => "profile",
            HookKind::Trace => "trace",
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
    /// Whether lines are recorded; the hook `trace` always does.
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
    /// Calls that take less are taken back, in ns; none to keep all.
    pub min_duration_ns: Option<u64>,
    /// The most that recording may cost, in percent of the program's own CPU time.
    pub budget: Option<f64>,
    /// Frames at this depth and deeper are not recorded.
    pub max_depth: Option<u32>,
    /// Whether child processes record too.
    pub children: bool,
    /// Whether the frames that are open in the starting thread are the runner's own.
    pub runner: bool,
    /// The traced program's command line.
    pub argv: Vec<Vec<u8>>,
}

impl Options {
    /// Whether functions can be left out while they run on: a place at which the hook has
    /// nothing to report any more costs nothing.
    pub fn can_demote(&self) -> bool {
        self.hook == HookKind::Monitoring
    }

    /// Puts into the session's metadata what its other processes are to record.
    ///
    /// Mode, ring size and output stand there already, as what they became.
    pub fn to_meta(&self, meta: &mut Meta) {
        meta.set("hook", Value::text(self.hook.name()));
        meta.set("c_calls", Value::Bool(self.c_calls));
        meta.set("lines", Value::Bool(self.lines));
        meta.set("opcodes", Value::Bool(self.opcodes));
        meta.set("include", Value::List(self.filter.include().to_vec()));
        meta.set("exclude", Value::List(self.filter.exclude().to_vec()));
        if let Some(depth) = self.max_depth {
            meta.set("max_depth", Value::U64(depth.into()));
        }
        if let Some(ns) = self.min_duration_ns {
            meta.set("min_duration_ns", Value::U64(ns));
        }
        if let Some(percent) = self.budget {
            meta.set("budget", Value::F64(percent));
        }
        meta.set("children", Value::Bool(self.children));
    }

    /// The options of a process that joins the session of this metadata, by `hook`,
    /// which is the session's where this interpreter has it.
    pub fn from_meta(meta: &Meta, hook: HookKind, argv: Vec<Vec<u8>>) -> Options {
        let flag = |key| meta.get_bool(key).unwrap_or(false);
        let list = |key| meta.get_list(key).map(<[_]>::to_vec).unwrap_or_default();
        let path = |key| {
            let bytes = meta.get_text(key).unwrap_or_default().to_vec();
            PathBuf::from(std::ffi::OsString::from_vec(bytes))
        };
        let full = meta.get_text("mode") == Some(Mode::Full.name().as_bytes());
        Options {
            output: path("output"),
            mode: if full { Mode::Full } else { Mode::Flight },
            hook,
            c_calls: flag("c_calls"),
            lines: flag("lines"),
            opcodes: flag("opcodes"),
            ring_size: meta.get_u64("ring_size").unwrap_or(0),
            max_memory: meta.get_u64("max_memory"),
            ring_dir: None,
            filter: Filter::new(list("include"), list("exclude")),
            budget: meta.get_f64("budget"),
            min_duration_ns: meta.get_u64("min_duration_ns"),
            max_depth: meta
                .get_u64("max_depth")
                .map(|depth| u32::try_from(depth).unwrap_or(u32::MAX)),
            children: flag("children"),
            runner: false,
            argv,
        }
    }
}
