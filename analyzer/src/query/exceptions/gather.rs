//! The exceptions of one thread, each with the way that it ended.

use std::collections::HashMap;
use std::ops::ControlFlow;

use rtrace_format::{Kind, Long, Step};

use super::Unwind;
use super::lane::{LaneState, Outcome, Passed, Propagation, Raised};
use crate::model::{Gap, SymbolId, Thread, TickRange};
use crate::trace::{Event, Lane, Trace, Visitor, replay};

/// Gives every exception raised in a range of a thread to `ended`, with its end; gives the
/// functions that exceptions left.
pub fn gather(
    trace: &Trace,
    thread: &Thread,
    range: TickRange,
    ended: impl FnMut(Raised, Outcome),
) -> HashMap<SymbolId, Unwind> {
    // Begin with the whole block, so that an exception already under way at the
    // range's start is not taken for a new one; go on behind the range until the
    // fate of the last one is known.
    let start = thread.blocks.partition_point(|block| block.end_tick < range.from);
    let from = thread.blocks.get(start).map_or(range.from, |block| block.base_tick);
    let mut gatherer = Gatherer {
        range,
        parked: HashMap::new(),
        fiber: 0,
        running: LaneState::default(),
        waiting: HashMap::new(),
        unwinds: HashMap::new(),
        ended,
    };
    let wide = TickRange { from: from.min(range.from), to: u64::MAX };
    replay(trace, thread, wide, &mut gatherer);
    gatherer.finish();
    gatherer.unwinds
}

/// How many suspended frames of one function are remembered with what waits in them.
const WAITING_MAX: usize = 256;

/// Gathers the exceptions of one thread.
struct Gatherer<F> {
    range: TickRange,
    /// The lanes that do not run.
    parked: HashMap<u32, LaneState>,
    /// The running lane.
    fiber: u32,
    running: LaneState,
    /// By function what waits in its suspended frames. Records do not tell two
    /// suspended frames of one function apart; the one that waited last goes on first.
    waiting: HashMap<SymbolId, Vec<Vec<Propagation>>>,
    unwinds: HashMap<SymbolId, Unwind>,
    /// Takes those whose end is known.
    ended: F,
}

impl<F: FnMut(Raised, Outcome)> Gatherer<F> {
    fn close(&mut self, ended: Vec<(Raised, Outcome)>) {
        let range = self.range;
        let of_range = ended.into_iter().filter(|(raised, _)| range.contains(raised.tick));
        of_range.for_each(|(raised, outcome)| (self.ended)(raised, outcome));
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

impl<F: FnMut(Raised, Outcome)> Visitor for Gatherer<F> {
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
                    let raised = Raised {
                        type_symbol,
                        message,
                        function,
                        line,
                        tick,
                        passed: Passed::default(),
                    };
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
