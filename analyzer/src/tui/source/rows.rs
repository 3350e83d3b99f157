//! What tables consist of.

use super::{Latency, MomentAsk, Part};

/// The figures of one function within the asked range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FunctionRow {
    /// The function.
    pub symbol: u32,
    /// First entries.
    pub calls: u64,
    /// Time as the innermost function.
    pub self_ns: u64,
    /// Time on the stack at least once.
    pub total_ns: u64,
    /// Of spans that ended in the range, if any did.
    pub p50_ns: Option<u64>,
    /// As above.
    pub p99_ns: Option<u64>,
    /// As above.
    pub max_ns: Option<u64>,
    /// Their lengths.
    pub latency: Latency,
}

/// The function table of a range.
#[derive(Clone, Debug)]
pub struct Functions {
    /// What it is about.
    pub part: Part,
    /// Its functions, in no order.
    pub rows: Vec<FunctionRow>,
    /// Whether nothing is missing in the range.
    pub complete: bool,
}

/// All exceptions of one type and message from one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExceptionRow {
    /// Type, and message if there is one, escaped.
    pub what: String,
    /// The function that raised it.
    pub symbol: u32,
    /// The line, 0 where it is not known.
    pub line: u32,
    /// A lane of the thread that raised the first.
    pub lane: usize,
    /// How often.
    pub count: u64,
    /// How many a frame stopped; `None` where the hook records unwinds alone.
    pub handled: Option<u64>,
    /// How many left the outermost frame.
    pub escaped: Option<u64>,
    /// When the first was raised.
    pub first: i64,
    /// When the last was.
    pub last: i64,
}

impl ExceptionRow {
    /// What to ask of the moment at which the first was raised.
    pub fn moment(&self) -> MomentAsk {
        MomentAsk { lane: self.lane, ns: self.first, symbol: self.symbol, line: self.line }
    }
}

/// The exceptions of a range.
#[derive(Clone, Debug)]
pub struct Exceptions {
    /// What it is about.
    pub part: Part,
    /// The most frequent first.
    pub rows: Vec<ExceptionRow>,
}

/// In place of an index, for nobody.
pub const NOBODY: u32 = u32::MAX;

/// One call path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeNode {
    /// The function at its end.
    pub symbol: u32,
    /// Who called it, or [`NOBODY`].
    pub parent: u32,
    /// First entries.
    pub calls: u64,
    /// Time as the innermost frame.
    pub self_ns: u64,
    /// Time on the stack.
    pub total_ns: u64,
    /// Its children, as a range of the tree's nodes.
    pub children: (u32, u32),
}

/// The calls of a part by call path, all its threads together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallTree {
    /// All paths: siblings stand together, longest first, behind their parents.
    pub nodes: Vec<TreeNode>,
    /// How many of the nodes, the first ones, are outermost.
    pub roots: u32,
    /// Whether nothing is missing in the range.
    pub complete: bool,
}

/// Which events are asked for: some before a place, and some from it on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventsAsk {
    /// Filters; its times are bounds.
    pub part: Part,
    /// The place in time.
    pub ns: i64,
    /// Of the events at that moment, the place is that of this lane and record number.
    pub exact: Option<(usize, u64)>,
    /// At most so many before the place.
    pub before: usize,
    /// At most so many from the place on.
    pub after: usize,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRow {
    /// When.
    pub ns: i64,
    /// Index of its lane; `None` for losses of threads that had no ring.
    pub lane: Option<usize>,
    /// Its number in its thread.
    pub number: u64,
    /// The kind's name.
    pub kind: &'static str,
    /// Number of frames around what happened.
    pub depth: u32,
    /// The function.
    pub symbol: Option<u32>,
    /// The line, of lines and exceptions.
    pub line: Option<u32>,
    /// What else there is to say, escaped.
    pub text: String,
    /// How long the call took whose end this is.
    pub took: Option<u64>,
}

impl EventRow {
    /// Whether this is one end of a call, and which: `true` for its begin.
    pub fn edge(&self) -> Option<bool> {
        match self.kind {
            "call" | "resume" | "throw" | "c_call" => Some(true),
            "return" | "yield" | "unwind" | "c_return" | "c_exception" => Some(false),
            _ => None,
        }
    }
}

/// Events around a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventPage {
    /// In the order of time.
    pub rows: Vec<EventRow>,
    /// The row at the place; `rows.len()` if all lie before it.
    pub at: usize,
    /// How many events of the whole trace come before the first row.
    pub before: u64,
    /// Nothing comes before the first row.
    pub first: bool,
    /// Nothing comes after the last.
    pub last: bool,
}

/// The calls of some functions in the whole trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hits {
    /// How many.
    pub count: u64,
    /// Columns of the minimap in which at least one began.
    pub cols: Vec<bool>,
    /// When each began, in order; empty if they are too many.
    pub starts: Vec<i64>,
}
