//! What the views of source and of differences consist of.

use super::Part;

/// Which source is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceAsk {
    /// What its figures are about.
    pub part: Part,
    /// A function: its whole file is shown.
    pub symbol: u32,
}

/// Calls of one function, made from one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeRow {
    /// The function.
    pub symbol: u32,
    /// How many that ended.
    pub calls: u64,
    /// Time in them.
    pub total_ns: u64,
}

/// A line of source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceLine {
    /// Its number, from 1.
    pub number: u32,
    /// What it says, escaped.
    pub text: String,
    /// How often it began; of a definition where no lines were recorded, calls.
    pub hits: u64,
    /// Time on it and in no call made from it.
    pub self_ns: u64,
    /// Time on it.
    pub total_ns: u64,
    /// Exceptions that passed it.
    pub raised: u64,
    /// The calls made from it, the longest first.
    pub made: Vec<MadeRow>,
    /// The function whose definition begins here.
    pub defines: Option<u32>,
}

/// The source of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourcePage {
    /// What was asked.
    pub ask: SourceAsk,
    /// The file's name, escaped.
    pub file: String,
    /// Its lines; where the file cannot be read, only those of definitions.
    pub lines: Vec<SourceLine>,
    /// What is wrong with the file: that it changed, or cannot be read.
    pub banner: Option<String>,
    /// Whether lines were recorded; else the figures are those of functions, at their definitions.
    pub recorded: bool,
}

/// What is compared: two ranges of the trace, or another trace with this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiffAsk {
    /// Before; of the other trace all, where there is one.
    pub a: Option<Part>,
    /// After.
    pub b: Part,
}

/// The figures of one function on one side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// First entries.
    pub calls: u64,
    /// Time as the innermost function.
    pub self_ns: u64,
    /// Time on the stack.
    pub total_ns: u64,
}

/// A function on both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiffRow {
    /// Its name with its module, escaped.
    pub name: String,
    /// The function in this trace, if it ran there.
    pub symbol: Option<u32>,
    /// Before, if it ran.
    pub a: Option<Figures>,
    /// After, if it ran.
    pub b: Option<Figures>,
}

impl DiffRow {
    /// How much longer it took itself after than before.
    pub fn self_delta(&self) -> i64 {
        let own = |side: Option<Figures>| side.map_or(0, |side| side.self_ns as i64);
        own(self.b) - own(self.a)
    }

    /// How much longer it was on the stack.
    pub fn total_delta(&self) -> i64 {
        let total = |side: Option<Figures>| side.map_or(0, |side| side.total_ns as i64);
        total(self.b) - total(self.a)
    }

    /// How many more calls.
    pub fn calls_delta(&self) -> i64 {
        let calls = |side: Option<Figures>| side.map_or(0, |side| side.calls as i64);
        calls(self.b) - calls(self.a)
    }
}

/// The first call at which the sequences part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartingRow {
    /// So many calls of the thread before were the same.
    pub alike: u64,
    /// The other call before, and when; `None` where there were no more.
    pub a: Option<(String, i64)>,
    /// The call after, when, in which lane, how deep; `None` where there were no more.
    pub b: Option<(String, i64, usize, u32)>,
}

/// Two parts side by side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiffPage {
    /// What was asked.
    pub ask: DiffAsk,
    /// What is called before: a file's name, or nothing for a range of this trace.
    pub other: Option<String>,
    /// The functions of either side, in no order.
    pub rows: Vec<DiffRow>,
    /// Where the calls part.
    pub parting: Option<PartingRow>,
    /// So many calls were the same on both sides.
    pub compared: u64,
    /// Whether nothing is missing on either side.
    pub complete: bool,
}
