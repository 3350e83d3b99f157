//! The calls that took longest, over all threads.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::ops::{ControlFlow, Range};

use rtrace_format::{Frame, Kind, Step};

use super::CallEnd;
use crate::model::{SymbolId, Thread, TickRange};
use crate::query::parallel;
use crate::query::places::Bounds;
use crate::query::stacks::{Level, stacks};
use crate::trace::{Event, Lane, Selection, Trace, Visitor, replay, replay_blocks};

/// So many blocks are looked at between two looks at what may still be worth it.
const BATCH: usize = 16;

/// A call, from one entry to its exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lasting {
    /// Index of the thread.
    pub thread: usize,
    /// The fiber.
    pub fiber: u32,
    /// Number of frames around it.
    pub depth: u32,
    /// Its function.
    pub symbol: SymbolId,
    /// The tick at which it was entered.
    pub start: u64,
    /// How and when it ended.
    pub end: CallEnd,
}

impl Lasting {
    /// Its length in ticks.
    pub fn ticks(&self) -> u64 {
        self.end.tick().saturating_sub(self.start)
    }

    /// The longest first; of those that are alike the earlier.
    fn rank(&self) -> impl Ord + use<> {
        (Reverse(self.ticks()), self.start, self.thread, self.fiber, self.depth)
    }
}

/// The calls of the selection's functions that ended in its range or are open at its end, and
/// for which `is_long` holds of their ticks, longest first, as many as the selection's limit
/// lets. Where a call's start is not known, its length is not, and it is not told.
pub fn lasting(
    trace: &Trace,
    selection: &Selection,
    is_long: &(dyn Fn(u64) -> bool + Sync),
) -> Vec<Lasting> {
    let limit = selection.limit.unwrap_or(usize::MAX);
    let range = selection.range;
    let ids = 0..trace.symbols.len() as SymbolId;
    let wanted: HashSet<SymbolId> = ids.filter(|&id| selection.wants(id)).collect();
    let mut found = open_at_the_end(trace, selection, is_long);
    let mut places: Vec<Places<'_>> =
        parallel::map(&selection.threads, |&index| Places::of(trace, index, range, &wanted));
    let next = |places: &mut Vec<Places<'_>>, at: usize| {
        places[at].next().map(|(bound, blocks)| (bound, Reverse(at), blocks))
    };
    let mut heap: BinaryHeap<_> =
        (0..places.len()).filter_map(|at| next(&mut places, at)).collect();
    loop {
        keep(&mut found, limit);
        // What is as long as the last of a full list comes behind it only if it is later.
        let full = found.len() >= limit;
        let least = if full { found.last().map_or(u64::MAX, Lasting::ticks) } else { 0 };
        let mut batch = Vec::new();
        while batch.len() < BATCH
            && let Some((bound, Reverse(at), work)) = heap.pop()
        {
            if bound < least || !is_long(bound) {
                heap.clear();
                break;
            }
            heap.extend(next(&mut places, at));
            batch.push((places[at].index, work));
        }
        if batch.is_empty() || limit == 0 {
            return found;
        }
        let more = parallel::map(&batch, |(index, work)| {
            let mut collect = Collect {
                index: *index,
                wanted: &wanted,
                is_long,
                least,
                limit,
                numbers: 0..u64::MAX,
                found: Vec::new(),
            };
            look(trace, *index, work, range, &mut collect);
            collect.found
        });
        found.extend(more.into_iter().flatten());
    }
}

/// Sorts, and keeps as many as are wanted.
fn keep(found: &mut Vec<Lasting>, limit: usize) {
    found.sort_unstable_by_key(Lasting::rank);
    found.truncate(limit);
}

/// Where calls may have ended: one block, or all of a thread whose fibers take turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Work {
    Block(usize),
    Thread,
}

/// The places of one thread, those of the longest calls first.
struct Places<'t> {
    index: usize,
    bounds: Option<Bounds<'t>>,
    whole: bool,
}

impl<'t> Places<'t> {
    fn of(
        trace: &'t Trace,
        index: usize,
        range: TickRange,
        wanted: &'t HashSet<SymbolId>,
    ) -> Places<'t> {
        let thread = &trace.threads[index];
        if !thread.has_one_lane() {
            return Places { index, bounds: None, whole: true };
        }
        let blocks = &thread.blocks;
        let first = blocks.partition_point(|block| block.end_tick < range.from);
        let behind = match range.to {
            u64::MAX => blocks.len(),
            to => blocks.partition_point(|block| block.base_tick < to),
        };
        let bounds = Bounds::new(trace, thread, first..behind.max(first), wanted);
        Places { index, bounds: Some(bounds), whole: false }
    }
}

impl Iterator for Places<'_> {
    /// How long a call may be that ended there.
    type Item = (u64, Work);

    fn next(&mut self) -> Option<(u64, Work)> {
        if std::mem::take(&mut self.whole) {
            return Some((u64::MAX, Work::Thread));
        }
        self.bounds.as_mut()?.next().map(|(bound, at)| (bound, Work::Block(at)))
    }
}

fn look(trace: &Trace, index: usize, work: &Work, range: TickRange, collect: &mut Collect<'_>) {
    let thread: &Thread = &trace.threads[index];
    match *work {
        Work::Thread => {
            replay(trace, thread, range, collect);
        }
        Work::Block(at) => {
            let block = &thread.blocks[at];
            let end = block.end_tick.saturating_add(1).min(range.to);
            let within = TickRange { from: block.base_tick.max(range.from), to: end };
            // Of the blocks beside it only what is open counts, even at the same tick.
            collect.numbers = block.first_record..block.end_record();
            if block.is_summarized() {
                replay_blocks(trace, thread, at..at + 1, within, collect);
            } else {
                // What lies below its frames is told by the blocks before it.
                replay(trace, thread, within, collect);
            }
        }
    }
}

/// Collects calls as they end.
struct Collect<'a> {
    index: usize,
    wanted: &'a HashSet<SymbolId>,
    is_long: &'a dyn Fn(u64) -> bool,
    /// Shorter ones are of no use.
    least: u64,
    limit: usize,
    /// Records of other numbers were looked at elsewhere.
    numbers: Range<u64>,
    found: Vec<Lasting>,
}

impl Visitor for Collect<'_> {
    fn begin(&mut self, _: &Lane, _: u64) {}

    fn event(&mut self, event: &Event<'_>) -> ControlFlow<()> {
        let Step::Left { depth, frame, .. } = event.step else { return ControlFlow::Continue(()) };
        let tick = event.record.tick;
        let ticks = tick.saturating_sub(frame.tick);
        if !self.numbers.contains(&event.record.number) {
            return ControlFlow::Continue(());
        }
        if ticks < self.least || !frame.has_start() || !self.wanted.contains(&frame.id()) {
            return ControlFlow::Continue(());
        }
        if (self.is_long)(ticks) {
            let end = match event.record.word.kind() {
                Some(Kind::Unwind | Kind::CException) => CallEnd::Unwound(tick),
                Some(Kind::Yield) => CallEnd::Yielded(tick),
                _ => CallEnd::Returned(tick),
            };
            let Frame { tick: start, .. } = frame;
            let (thread, fiber) = (self.index, event.lane.fiber);
            self.found.push(Lasting { thread, fiber, depth, symbol: frame.id(), start, end });
            if self.found.len() / 2 > self.limit {
                keep(&mut self.found, self.limit);
                self.least = self.found.last().map_or(self.least, Lasting::ticks);
            }
        }
        ControlFlow::Continue(())
    }
}

/// The calls that are open where the range ends.
fn open_at_the_end(
    trace: &Trace,
    selection: &Selection,
    is_long: &dyn Fn(u64) -> bool,
) -> Vec<Lasting> {
    let mut open = Vec::new();
    for lane in stacks(trace, &Selection { functions: None, ..selection.clone() }) {
        let thread = &trace.threads[lane.thread];
        let end = trace.lane_end(thread).min(selection.range.to);
        let mut depth = 0;
        for level in lane.levels {
            match level {
                Level::Frame { symbol, open_ticks: Some(ticks), began_before: false }
                    if selection.wants(symbol) && is_long(ticks) =>
                {
                    open.push(Lasting {
                        thread: lane.thread,
                        fiber: lane.fiber,
                        depth,
                        symbol,
                        start: end.saturating_sub(ticks),
                        end: CallEnd::Open(end),
                    });
                    depth += 1;
                }
                Level::Frame { .. } => depth += 1,
                Level::Hidden { count } => depth += count,
            }
        }
    }
    open
}
