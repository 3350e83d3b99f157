//! Exceptions: where they were raised, and whether anybody handled them.
//!
//! The recorder writes one `exception` record for each frame that an exception
//! passes. This file puts those of one propagation together again. A propagation is
//! *in* a frame of the lane; an unwind of that frame takes it one frame outward, where
//! the next `exception` record of the same type and message goes on with it.

mod gather;
mod lane;

pub use lane::{Outcome, Passed};

use std::collections::{BTreeMap, HashMap};

use self::gather::gather;
use self::lane::Raised;
use super::parallel;
use crate::model::{Hook, SymbolId, Thread, TickRange};
use crate::trace::{Selection, Trace};

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The exceptions, most frequent first.
    pub exceptions: Vec<Exception>,
    /// Some of the selected threads were recorded by the profile hook, which sees none.
    pub without_exceptions: bool,
    /// Of those threads the functions that an exception left, most frequent first.
    pub unwinds: Vec<Unwind>,
}

/// One row: all exceptions of one type and message from one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    /// Its type.
    pub type_symbol: SymbolId,
    /// Its message, WTF-8.
    pub message: Vec<u8>,
    /// The function that raised it.
    pub function: SymbolId,
    /// The line at which it was raised.
    pub line: u32,
    /// How often.
    pub count: u64,
    /// How many a frame stopped that they had reached.
    pub handled: u64,
    /// How many left the lane's outermost frame.
    pub escaped: u64,
    /// Of how many the end is not in the trace.
    pub unknown: u64,
    /// When the first was raised.
    pub first_tick: u64,
    /// When the last was raised.
    pub last_tick: u64,
}

/// How often an exception left a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unwind {
    /// The function.
    pub symbol: SymbolId,
    /// How often.
    pub count: u64,
    /// When first.
    pub first_tick: u64,
    /// When last.
    pub last_tick: u64,
}

/// Gathers the exceptions that were raised in a selection.
pub fn exceptions(trace: &Trace, selection: &Selection) -> Answer {
    let gathered = parallel::map(&selection.threads, |&index| {
        let thread = &trace.threads[index];
        let mut rows: HashMap<Key, Exception> = HashMap::new();
        let add = |raised: Raised, outcome| {
            let (key, row) = row(raised, outcome);
            rows.entry(key).and_modify(|sum| sum.merge(&row)).or_insert(row);
        };
        let unwinds = gather(trace, thread, selection.range, add);
        (rows, unwinds, trace.process_of(thread).hook == Hook::Profile)
    });
    let mut answer = Answer::default();
    let mut all: BTreeMap<Key, Exception> = BTreeMap::new();
    let mut unwinds: BTreeMap<SymbolId, Unwind> = BTreeMap::new();
    for (rows, unwound, profile) in gathered {
        for (key, row) in rows.into_iter().filter(|(key, _)| selection.wants(key.function)) {
            all.entry(key).and_modify(|sum| sum.merge(&row)).or_insert(row);
        }
        if !profile {
            continue;
        }
        answer.without_exceptions = true;
        for (symbol, unwind) in unwound.into_iter().filter(|(symbol, _)| selection.wants(*symbol)) {
            unwinds.entry(symbol).and_modify(|sum| sum.merge(&unwind)).or_insert(unwind);
        }
    }
    answer.exceptions = all.into_values().collect();
    answer.exceptions.sort_by_key(|row| (std::cmp::Reverse(row.count), row.first_tick));
    answer.unwinds = unwinds.into_values().collect();
    answer.unwinds.sort_by_key(|row| (std::cmp::Reverse(row.count), row.first_tick));
    answer
}

/// One exception on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WayOut {
    /// The frames that it reached beyond the one that raised it.
    pub passed: Passed,
    /// How it ended: handled in the last of these, or in the one that raised it.
    pub outcome: Outcome,
}

/// The way of the first exception that `function` raised at `line` within a range of a thread.
pub fn way_out(
    trace: &Trace,
    thread: &Thread,
    range: TickRange,
    function: SymbolId,
    line: u32,
) -> Option<WayOut> {
    let mut first: Option<(u64, WayOut)> = None;
    gather(trace, thread, range, |raised, outcome| {
        let same = raised.function == function && raised.line == line;
        if same && first.as_ref().is_none_or(|(tick, _)| raised.tick < *tick) {
            first = Some((raised.tick, WayOut { passed: raised.passed, outcome }));
        }
    });
    first.map(|(_, way)| way)
}

fn row(raised: Raised, outcome: Outcome) -> (Key, Exception) {
    let key = Key {
        type_symbol: raised.type_symbol,
        message: raised.message,
        function: raised.function,
        line: raised.line,
    };
    let row = Exception {
        type_symbol: key.type_symbol,
        message: key.message.clone(),
        function: key.function,
        line: key.line,
        count: 1,
        handled: u64::from(outcome == Outcome::Handled),
        escaped: u64::from(outcome == Outcome::Escaped),
        unknown: u64::from(outcome == Outcome::Unknown),
        first_tick: raised.tick,
        last_tick: raised.tick,
    };
    (key, row)
}

/// What makes two exceptions one row.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Key {
    type_symbol: SymbolId,
    message: Vec<u8>,
    function: SymbolId,
    line: u32,
}

impl Exception {
    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.handled += other.handled;
        self.escaped += other.escaped;
        self.unknown += other.unknown;
        self.first_tick = self.first_tick.min(other.first_tick);
        self.last_tick = self.last_tick.max(other.last_tick);
    }
}

impl Unwind {
    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.first_tick = self.first_tick.min(other.first_tick);
        self.last_tick = self.last_tick.max(other.last_tick);
    }
}
