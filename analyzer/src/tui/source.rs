//! What the screens are drawn from: plain data, and the questions that workers answer with it.
//!
//! Screens know no trace, only this seam; a trace stands behind it in the program, a handful of
//! invented calls in the tests.

mod latency;
mod moment;
mod pages;
mod rows;

pub use latency::{COLS as LATENCY_COLS, Latency};
pub use moment::{Fate, LaneFrames, Moment, MomentAsk};
pub use pages::{
    DiffAsk, DiffPage, DiffRow, Figures, MadeRow, PartingRow, SourceAsk, SourceLine, SourcePage,
};
pub use rows::{
    CallTree, EventPage, EventRow, EventsAsk, ExceptionRow, Exceptions, FunctionRow, Functions,
    Hits, NOBODY, TreeNode,
};

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

pub use crate::query::calls::Step;
use crate::query::timeline::{Gap, Grid, Lane};

use super::theme::Tint;
use super::worker::Ticket;

/// A function's names as they are shown: escaped, so that nothing in them moves the cursor.
#[derive(Clone, Debug)]
pub struct Label {
    /// Qualified name.
    pub name: String,
    /// Module, empty if unknown.
    pub module: String,
    /// `file:line` of the definition, empty for C functions.
    pub place: String,
    /// The file of the definition, as it would lie here, and its line; not for showing.
    pub source: Option<(PathBuf, u32)>,
    /// Its colour.
    pub tint: Tint,
    /// Whether it is a C function.
    pub c: bool,
    /// What of its calls is not in the records, and why; `None` where nothing was left out.
    pub left_out: Option<String>,
}

/// Whether the recording goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// All of its processes ended clean.
    Finished,
    /// A process is being recorded.
    Live,
    /// The process that began it was killed.
    Dead,
    /// It cannot be judged from here.
    Unknown,
}

/// One lane, a thread and a fiber.
#[derive(Clone, Debug)]
pub struct LaneInfo {
    /// The thread's serial.
    pub serial: u64,
    /// The process's id.
    pub pid: u32,
    /// The thread's name, escaped.
    pub name: String,
    /// Events.
    pub events: u64,
    /// Events lost.
    pub lost: u64,
    /// Events that a flight ring overwrote.
    pub overwritten: u64,
    /// Greatest number of frames open at once; 0 where it is not known without decoding.
    pub deepest: u32,
    /// When its last record is.
    pub last: i64,
    /// Where there is no history, in order of time.
    pub gaps: Vec<Gap>,
}

/// What the header tells, and what everything else hangs on.
#[derive(Clone, Debug)]
pub struct Overview {
    /// The file's name, escaped.
    pub file: String,
    /// Whether it goes on.
    pub state: State,
    /// Number of processes.
    pub processes: usize,
    /// How many of them were killed.
    pub killed: usize,
    /// Number of events.
    pub events: u64,
    /// Number of lost events.
    pub lost: u64,
    /// Number of overwritten events.
    pub overwritten: u64,
    /// Number of damaged places in the file.
    pub problems: usize,
    /// First nanosecond.
    pub begin: i64,
    /// First nanosecond after the last.
    pub end: i64,
    /// What is shown first: of a killed program its last moment, of a flight recording what is
    /// left of the history.
    pub opening: (i64, i64),
    /// The lanes, in the order of the screen.
    pub lanes: Vec<LaneInfo>,
    /// The name of the trace that this one is compared with, escaped.
    pub other: Option<String>,
    /// By symbol id.
    pub labels: Arc<Vec<Label>>,
}

/// A call that was found, for the selection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selected {
    /// Index of its lane.
    pub lane: usize,
    /// Number of frames around it.
    pub depth: u32,
    /// Its function.
    pub symbol: u32,
    /// The tick at which it began: with lane and depth, its identity.
    pub key: u64,
    /// When it began, in nanoseconds since the trace did.
    pub start: i64,
    /// When it ended, or the lane's last moment if it did not.
    pub end: i64,
    /// The moment that was sought, where that is not its start: an exception within it.
    pub moment: Option<i64>,
    /// A tick at which it was seen to be open.
    pub seen: u64,
    /// Time in it and not in calls that it made, where that was counted.
    pub self_ns: Option<u64>,
    /// Calls that it made itself, where they were counted.
    pub children: Option<u64>,
    /// Whether its beginning was not recorded.
    pub began_before: bool,
    /// How it ended.
    pub ended: Ended,
    /// Its callers, outermost first; `None` for a stretch that nobody knows any more.
    pub callers: Vec<Option<u32>>,
    /// What was raised, where the search was for an exception: type and message, escaped.
    pub raised: Option<String>,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It returned.
    Returned,
    /// It was left by an exception.
    Unwound,
    /// A generator gave a value and waits.
    Yielded,
    /// It was open at the end of the lane's records.
    Open,
    /// Its end was not recorded.
    Unknown,
}

/// What part of a trace the tables are about: shared by all views.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// First nanosecond.
    pub from: i64,
    /// First nanosecond after.
    pub to: i64,
    /// Only this lane's thread.
    pub lane: Option<usize>,
    /// Only these functions.
    pub functions: Option<Arc<HashSet<u32>>>,
}

/// Which call is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Find {
    /// In a lane, what was open within `[from, to)`, no deeper than `depth`: the deepest, and of
    /// these the longest.
    At { lane: usize, from: i64, to: i64, depth: u32 },
    /// The same call, as it is now.
    Again { call: Box<Selected> },
    /// From a call to another.
    Step { from: Box<Selected>, step: Step },
    /// The call that an event belongs to: in a lane, at `ns`, `depth` frames deep. The view stays.
    Event { lane: usize, ns: i64, depth: u32 },
    /// The caller of a call, to go to its end.
    Out { from: Box<Selected> },
    /// The innermost frame open at the end of a lane.
    Last { lane: usize },
    /// The longest call of a function within `[from, to)`.
    Longest { symbol: u32, from: i64, to: i64 },
    /// The next call of one of these functions that began after `ns`, or the last before it.
    Match { symbols: Arc<HashSet<u32>>, ns: i64, forward: bool },
    /// The next exception after `ns`, or the last before it.
    Exception { ns: i64, forward: bool },
}

/// What a column of the minimap shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Density {
    /// Events in all lanes.
    pub events: u64,
    /// Whether an exception passed here.
    pub exception: bool,
}

/// Which cells of a lane are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneAsk {
    /// Index of the lane.
    pub lane: usize,
    /// The columns.
    pub grid: Grid,
    /// Depth of the first row.
    pub depth: u32,
    /// Number of rows.
    pub rows: u32,
}

/// Answers questions. Every method may be slow and is called on a worker; each looks at its
/// ticket now and then and gives up when that was cancelled.
pub trait Source: Send + Sync {
    /// Everything that is known without decoding records.
    fn overview(&self) -> Overview;

    /// The cells of a lane, given to `emit`: a first picture at once, and a better one later
    /// where the first was not exact.
    fn lane(&self, ask: LaneAsk, ticket: &Ticket, emit: &mut dyn FnMut(Lane));

    /// The whole trace in `cols` columns.
    fn density(&self, cols: u16, ticket: &Ticket) -> Vec<Density>;

    /// The functions of a part; `None` if cancelled.
    fn functions(&self, part: &Part, ticket: &Ticket) -> Option<Functions>;

    /// The exceptions of a part; `None` if cancelled.
    fn exceptions(&self, part: &Part, ticket: &Ticket) -> Option<Exceptions>;

    /// What happened around an exception; `None` if cancelled.
    fn moment(&self, ask: &MomentAsk, ticket: &Ticket) -> Option<Moment>;

    /// The calls of a part by call path; `None` if cancelled.
    fn tree(&self, part: &Part, ticket: &Ticket) -> Option<CallTree>;

    /// Events around a place; `None` if cancelled.
    fn events(&self, ask: &EventsAsk, ticket: &Ticket) -> Option<EventPage>;

    /// The calls of some functions in the whole trace, and when they began; `None` if cancelled.
    fn hits(&self, symbols: &HashSet<u32>, cols: u16, ticket: &Ticket) -> Option<Hits>;

    /// The source of a function; `None` if it has none, or cancelled.
    fn source(&self, ask: &SourceAsk, ticket: &Ticket) -> Option<SourcePage>;

    /// Two parts side by side; `None` if cancelled.
    fn diff(&self, ask: &DiffAsk, ticket: &Ticket) -> Option<DiffPage>;

    /// When the event of this number happened, counted over the whole trace in the order of time;
    /// `None` if there is none.
    fn time_of_event(&self, number: u64, ticket: &Ticket) -> Option<i64>;

    /// Finds a call; `None` if there is none.
    fn find(&self, find: &Find, ticket: &Ticket) -> Option<Selected>;

    /// What the recording has become, if it went on.
    fn refresh(&self, ticket: &Ticket) -> Option<Arc<dyn Source>>;
}
