//! What a trace consists of: plain data, no I/O and nothing of any screen.
//!
//! Times are ticks of the trace's clock. Ids of symbols are *dense*: those of
//! [`Symbols`](crate::trace::Symbols), whatever file a record came from.

use rtrace_format::figures::Figures;
use std::ops::Range;

use rtrace_format::{Cause, Keyframe};

use crate::trace::Source;

/// The dense id of a symbol.
pub type SymbolId = u32;

/// Which hook recorded a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// `sys.monitoring`.
    Monitoring,
    /// `PyEval_SetProfile`.
    Profile,
    /// `PyEval_SetTrace`.
    Trace,
    /// A hook of a later version, or none named.
    Unknown,
}

impl Hook {
    /// The hook of this name.
    pub fn from_name(name: &[u8]) -> Self {
        match name {
            b"monitoring" => Self::Monitoring,
            b"profile" => Self::Profile,
            b"trace" => Self::Trace,
            _ => Self::Unknown,
        }
    }

    /// The name in `info`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Monitoring => "monitoring",
            Self::Profile => "profile",
            Self::Trace => "trace",
            Self::Unknown => "unknown",
        }
    }

    /// Whether a generator's entries and exits are all printed as `call` and
    /// `return`, as the C-API reference has them for this hook.
    pub fn folds_generators(self) -> bool {
        matches!(self, Self::Profile | Self::Trace)
    }
}

/// How much of a run is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The last part of every thread.
    Flight,
    /// All of it.
    Full,
    /// A mode of a later version, or none named.
    Unknown,
}

impl Mode {
    /// The mode of this name.
    pub fn from_name(name: &[u8]) -> Self {
        match name {
            b"flight" => Self::Flight,
            b"full" => Self::Full,
            _ => Self::Unknown,
        }
    }

    /// The name in `info`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Flight => "flight",
            Self::Full => "full",
            Self::Unknown => "unknown",
        }
    }
}

/// How a process of the trace ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It wrote an end mark: stop, or the interpreter's exit.
    Clean,
    /// It is gone without one, whatever the cause.
    Killed,
    /// It is still being recorded.
    Running,
    /// It cannot be judged from here.
    Unknown,
}

impl End {
    /// The name in `info`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Killed => "killed",
            Self::Running => "running",
            Self::Unknown => "unknown",
        }
    }
}

/// One process of the session's tree. Texts are WTF-8.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its number in the session, from 0.
    pub number: u32,
    /// Its process id, in its own pid namespace.
    pub pid: u32,
    /// Its parent's process id.
    pub ppid: u32,
    /// The interpreter's version, `3.12.1`.
    pub python: Vec<u8>,
    /// The hook that recorded it.
    pub hook: Hook,
    /// What was to be kept.
    pub mode: Mode,
    /// The command line.
    pub argv: Vec<Vec<u8>>,
    /// The working directory.
    pub cwd: Vec<u8>,
    /// How it ended.
    pub end: End,
    /// When it ended, if that is known.
    pub end_tick: Option<u64>,
    /// Its exit status, if that is known.
    pub exit_code: Option<i32>,
    /// Events of threads that had no ring at all.
    pub lost_without_ring: u64,
    /// How many of them for each cause.
    pub lost_causes: Vec<(Cause, u64)>,
    /// Ended threads whose rings it gave up for others: nothing of them is left.
    pub overwritten_threads: u64,
    /// Their events.
    pub overwritten_events: u64,
    /// What the recorder measured that an event of Python code costs, in picoseconds; 0 where
    /// it did not.
    pub event_cost_ps: u64,
    /// The same for an event of a C call.
    pub c_event_cost_ps: u64,
    /// Functions that were seen and are not recorded, by the filters.
    pub filtered: u64,
    /// Places that call C functions and were not looked at any more, to keep the budget.
    pub closed_sites: u64,
    /// What it left out of its records, by function.
    pub figures: Vec<(SymbolId, Figures)>,
    /// The last tick that anything in this process is known to have happened at.
    pub last_tick: u64,
}

/// One thread. Its [`blocks`](Self::blocks) are in record order and do not overlap.
#[derive(Clone, Debug)]
pub struct Thread {
    /// Its number, unique in the trace.
    pub serial: u64,
    /// Index into the trace's processes.
    pub process: usize,
    /// The kernel's thread id.
    pub tid: u32,
    /// Its name, WTF-8.
    pub name: Vec<u8>,
    /// When it was first seen.
    pub born_tick: u64,
    /// When it ended, if it did.
    pub end_tick: Option<u64>,
    /// Events lost after its last record.
    pub tail: Option<Gap>,
    /// Its open frames at the end with every frame that the shadow stack knew,
    /// in dense ids. `None` where only the records tell.
    pub final_stack: Option<Keyframe>,
    /// The fiber that ran at the end, where the file or the ring says so.
    pub final_fiber: Option<u32>,
    /// What other fibers have open at the end, in dense ids.
    pub waiting: Vec<(u32, Keyframe)>,
    /// Its records.
    pub blocks: Vec<Block>,
    /// Summaries of runs of blocks, by first block, larger ones first.
    pub nodes: Vec<NodeSpan>,
}

/// A node of the file: the summary of a run of blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSpan {
    /// The blocks.
    pub blocks: Range<usize>,
    /// How many levels lie below, blocks among them.
    pub level: u32,
    /// Where its chunk is.
    pub(crate) offset: u64,
}

impl Thread {
    /// Whether no fiber but the thread's own ever ran in it, as far as its blocks tell.
    pub fn has_one_lane(&self) -> bool {
        self.blocks.iter().all(|block| block.one_lane)
    }

    /// The tick of its last record, if it has any.
    pub fn last_tick(&self) -> Option<u64> {
        self.blocks.last().map(|block| block.end_tick)
    }
}

/// A run of consecutive records of one thread, decoded on demand.
#[derive(Clone, Debug)]
pub struct Block {
    /// The record number of its first event that no block before it holds.
    pub first_record: u64,
    /// How many events it holds from there on.
    pub events: u64,
    /// The tick from which its first record counts.
    pub base_tick: u64,
    /// The tick of its last record.
    pub end_tick: u64,
    /// What is missing between the block before and this one: events that had record
    /// numbers, and events that had none.
    pub gaps: Vec<Gap>,
    /// The fiber that ran when it began.
    pub fiber: u32,
    /// No other fiber than the thread's own ran in it.
    pub one_lane: bool,
    /// All frames that were open when it began are known.
    pub knows_stack: bool,
    /// Where its bytes are.
    pub(crate) source: Source,
}

impl Block {
    /// The record number after its last.
    pub fn end_record(&self) -> u64 {
        self.first_record.saturating_add(self.events)
    }
}

/// Events that happened and are not in the trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// How many; 0 where that is not known.
    pub count: u64,
    /// Why they are missing.
    pub why: Missing,
    /// The last tick before them.
    pub from_tick: u64,
    /// The first tick after them.
    pub to_tick: u64,
    /// The record number at which they would stand.
    pub record: u64,
}

/// Why events are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// A flight ring overwrote them, as it should.
    Overwritten,
    /// They were lost.
    Lost(Cause),
}

/// A half-open range of ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TickRange {
    /// The first tick in the range.
    pub from: u64,
    /// The first tick behind it.
    pub to: u64,
}

impl Default for TickRange {
    fn default() -> Self {
        Self::ALL
    }
}

impl TickRange {
    /// All ticks there can be.
    pub const ALL: Self = Self { from: 0, to: u64::MAX };

    /// Whether `tick` lies in the range. The last tick of all belongs to [`ALL`](Self::ALL).
    #[inline]
    pub fn contains(self, tick: u64) -> bool {
        tick >= self.from && (tick < self.to || self.to == u64::MAX)
    }

    /// `tick`, moved into the range.
    #[inline]
    pub fn clamp(self, tick: u64) -> u64 {
        tick.max(self.from).min(self.to)
    }

    /// Whether anything strictly between the two ticks lies in the range.
    pub fn meets(self, after: u64, before: u64) -> bool {
        after < self.to && before > self.from
    }
}

/// Bytes of the trace that could not be read as what they should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where, in bytes from the start of the file.
    pub offset: u64,
    /// What is wrong there, in one line.
    pub what: String,
}
