//! Exceptions: where they were raised, and whether anybody handled them.
//!
//! The recorder writes one `exception` record for each frame that an exception
//! passes. This file puts those of one propagation together again. A propagation is
//! *in* a frame of the lane; an unwind of that frame takes it one frame outward, where
//! the next `exception` record of the same type and message goes on with it.

mod lane;

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

use rtrace_format::record::Subkind;
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
        gatherer.give_up();
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

/// Gathers the exceptions of one thread.
#[derive(Debug, Default)]
struct Gatherer {
    range: TickRange,
    lanes: HashMap<u32, LaneState>,
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
        let ended: Vec<_> = self.lanes.values_mut().flat_map(LaneState::give_up).collect();
        self.close(ended);
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
        let ended = self.lanes.entry(lane.fiber).or_default().give_up();
        self.close(ended);
    }

    fn event(&mut self, event: &Event<'_>) -> ControlFlow<()> {
        let tick = event.record.tick;
        let state = self.lanes.entry(event.lane.fiber).or_default();
        let past = tick >= self.range.from && !self.range.contains(tick);
        match (event.step, event.record.word.kind()) {
            (Step::Left { depth, repaired, .. }, kind) => {
                let raising = matches!(kind, Some(Kind::Unwind | Kind::CException));
                if kind == Some(Kind::Unwind) {
                    self.unwound(event.record.word.id(), tick);
                }
                let Some(state) = self.lanes.get_mut(&event.lane.fiber) else {
                    return ControlFlow::Continue(());
                };
                if !state.is_idle() {
                    let mut ended = Vec::new();
                    if repaired > 0 {
                        ended.extend(state.forget_above(depth));
                    }
                    if raising {
                        ended.extend(state.unwind(depth));
                    } else {
                        ended.extend(state.leave(depth));
                    }
                    self.close(ended);
                }
            }
            (_, Some(Kind::Long)) if event.record.word.subkind() == Subkind::EXCEPTION => {
                let long = Long::parse(event.record.word, event.record.payload);
                if let Long::Exception { function, line, type_symbol, message } = long {
                    let raised = lane::Raised { type_symbol, message, function, line, tick };
                    let ended = state.exception(event.depth(), raised);
                    self.close(ended);
                }
            }
            _ => {}
        }
        if past && self.lanes.values().all(|lane| !lane.has_any_in(self.range)) {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    fn gap(&mut self, _: &Gap) {
        self.give_up();
    }
}
