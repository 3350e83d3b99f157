//! Exceptions: where they were raised, and whether anybody handled them.
//!
//! The recorder writes one `exception` record for each frame that an exception
//! passes. This file puts those of one propagation together again. A propagation is
//! *in* a frame of the lane; an unwind of that frame takes it one frame outward, where
//! the next `exception` record of the same type and message goes on with it.

mod lane;

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

use rtrace_format::{Kind, Long, Step};

use self::lane::{LaneState, Outcome};
use super::parallel;
use crate::model::{Gap, Hook, SymbolId, TickRange};
use crate::trace::{Event, Lane, Selection, Trace, Visitor, replay};

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
        let range = selection.range;
        // Begin with the whole block, so that an exception already under way at the
        // range's start is not taken for a new one; go on behind the range until the
        // fate of the last one is known.
        let start = thread.blocks.partition_point(|block| block.end_tick < range.from);
        let from = thread.blocks.get(start).map_or(range.from, |block| block.base_tick);
        let mut gatherer = Gatherer { range, ..Gatherer::default() };
        let wide = TickRange { from: from.min(range.from), to: u64::MAX };
        replay(trace, thread, wide, &mut gatherer);
        gatherer.finish();
        let profile = trace.process_of(thread).hook == Hook::Profile;
        (gatherer.rows, gatherer.unwinds, profile)
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

/// How many suspended frames of one function are remembered with what waits in them.
const WAITING_MAX: usize = 256;

/// Gathers the exceptions of one thread.
#[derive(Debug, Default)]
struct Gatherer {
    range: TickRange,
    /// The lanes that do not run.
    parked: HashMap<u32, LaneState>,
    /// The running lane.
    fiber: u32,
    running: LaneState,
    /// By function what waits in its suspended frames. Records do not tell two
    /// suspended frames of one function apart; the one that waited last goes on first.
    waiting: HashMap<SymbolId, Vec<Vec<lane::Propagation>>>,
    rows: HashMap<Key, Exception>,
    unwinds: HashMap<SymbolId, Unwind>,
}

impl Gatherer {
    fn close(&mut self, ended: Vec<(lane::Raised, Outcome)>) {
        for (raised, outcome) in ended {
            if !self.range.contains(raised.tick) {
                continue;
            }
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
            self.rows.entry(key).and_modify(|sum| sum.merge(&row)).or_insert(row);
        }
    }

    /// Nothing more is known of any propagation.
    fn give_up(&mut self) {
        let mut ended = self.running.give_up();
        ended.extend(self.parked.values_mut().flat_map(LaneState::give_up));
        self.close(ended);
    }

    /// The end of the recording.
    fn finish(&mut self) {
        self.give_up();
        // What waits in a frame that nobody resumed got no further.
        let waiting = std::mem::take(&mut self.waiting).into_values().flatten().flatten();
        let ended = waiting.map(|p| (p.into_raised(), Outcome::Handled)).collect();
        self.close(ended);
    }

    /// A frame of `function` is suspended at `depth`.
    fn suspend(&mut self, function: SymbolId, depth: u32) {
        let suspended = self.running.suspend(depth);
        if suspended.is_empty() {
            return;
        }
        let waiting = self.waiting.entry(function).or_default();
        waiting.push(suspended);
        if waiting.len() > WAITING_MAX {
            let oldest = waiting.remove(0).into_iter();
            let ended = oldest.map(|p| (p.into_raised(), Outcome::Handled)).collect();
            self.close(ended);
        }
    }

    /// Whether the fate of every exception raised in the range is known.
    fn is_settled(&self) -> bool {
        let range = self.range;
        !self.running.has_any_in(range) && self.parked.values().all(|l| !l.has_any_in(range))
    }

    fn unwound(&mut self, symbol: SymbolId, tick: u64) {
        if !self.range.contains(tick) {
            return;
        }
        let row = Unwind { symbol, count: 1, first_tick: tick, last_tick: tick };
        self.unwinds.entry(symbol).and_modify(|sum| sum.merge(&row)).or_insert(row);
    }
}

impl Visitor for Gatherer {
    fn begin(&mut self, lane: &Lane, _: u64) {
        let ended = if lane.fiber == self.fiber {
            self.running.give_up()
        } else {
            self.parked.entry(lane.fiber).or_default().give_up()
        };
        self.close(ended);
    }

    fn switched(&mut self, lane: &Lane, _: u64) {
        if lane.fiber != self.fiber {
            let next = self.parked.remove(&lane.fiber).unwrap_or_default();
            let before = std::mem::replace(&mut self.running, next);
            self.parked.insert(self.fiber, before);
            self.fiber = lane.fiber;
        }
    }

    #[inline]
    fn event(&mut self, event: &Event<'_>) -> ControlFlow<()> {
        let (tick, word) = (event.record.tick, event.record.word);
        match event.step {
            Step::Left { depth, repaired, .. } => {
                if word.kind() == Some(Kind::Unwind) {
                    self.unwound(word.id(), tick);
                }
                if !self.running.is_idle() && word.kind() == Some(Kind::Yield) && repaired == 0 {
                    self.suspend(word.id(), depth);
                } else if !self.running.is_idle() {
                    let mut ended = Vec::new();
                    if repaired > 0 {
                        ended.extend(self.running.forget_above(depth));
                    }
                    let raising = matches!(word.kind(), Some(Kind::Unwind | Kind::CException));
                    ended.extend(if raising {
                        self.running.unwind(depth)
                    } else {
                        self.running.leave(depth)
                    });
                    self.close(ended);
                }
            }
            Step::Other if word.kind() == Some(Kind::Long) => {
                if let Long::Exception { function, line, type_symbol, message } =
                    Long::parse(word, event.record.payload)
                {
                    let raised = lane::Raised { type_symbol, message, function, line, tick };
                    let ended = self.running.exception(event.depth(), raised);
                    self.close(ended);
                }
            }
            Step::Entered { depth } => {
                if !self.waiting.is_empty()
                    && matches!(word.kind(), Some(Kind::Resume | Kind::Throw))
                    && let Some(waiting) = self.waiting.get_mut(&word.id()).and_then(Vec::pop)
                {
                    self.running.resume(depth, waiting);
                }
            }
            Step::Unmatched { .. } | Step::Other => {}
        }
        let past = tick >= self.range.from && !self.range.contains(tick);
        if past && self.is_settled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn gap(&mut self, _: &Gap) {
        self.give_up();
    }
}
