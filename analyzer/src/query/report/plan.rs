//! How a report over a range is put together: which blocks are summed up by summaries, which
//! by their records.
//!
//! Every figure is clipped to its stretch of time, so the figures of adjoining stretches add
//! up. A stretch may begin where a block does, if that knows all that is open there.

use std::ops::Range;

use rtrace_format::summary::FunctionSummary;
use rtrace_format::{Stack, SummaryBuilder};

use super::ledger::{Figures, Ledger};
use crate::model::{Block, NodeSpan, Thread, TickRange};
use crate::trace::{Cover, Trace, replay, replay_blocks};

/// How many blocks of a thread one worker replays at a time.
const PIECE_BLOCKS: usize = 8;
/// Replayed in one piece where blocks cannot begin anew.
const PIECE_BLOCKS_MAX: usize = 32;

/// A stretch of one thread, for one worker.
#[derive(Clone, Debug)]
pub(super) struct Task {
    thread: usize,
    work: Work,
}

#[derive(Clone, Debug)]
enum Work {
    /// The records of a range, from wherever what is open in it is known.
    Records(TickRange),
    /// The records of some blocks.
    Blocks(Range<usize>),
    /// All of a block that lies in the range as a whole.
    Whole(usize),
    /// A node.
    Node(NodeSpan),
}

/// The tasks for a range of a thread.
pub(super) fn plan(trace: &Trace, index: usize, range: TickRange) -> Vec<Task> {
    let thread = &trace.threads[index];
    let blocks = &thread.blocks;
    let mut start = blocks.partition_point(|block| block.end_tick < range.from);
    if start > 0 && blocks.get(start).is_none_or(|block| block.base_tick > range.from) {
        start -= 1;
    }
    let behind = match range.to {
        u64::MAX => blocks.len(),
        to => blocks.partition_point(|block| block.base_tick < to),
    };
    if start >= behind || !can_be_cut(thread) {
        return pieces(trace, index, range, PIECE_BLOCKS_MAX);
    }
    let mut tasks = Vec::new();
    let mut add = |work| tasks.push(Task { thread: index, work });
    let mut at = start;
    while at < behind {
        let whole = is_whole(trace, thread, at, range);
        let first = at;
        while at < behind && is_whole(trace, thread, at, range) == whole {
            at += 1;
            let full = !whole && at - first >= PIECE_BLOCKS;
            if full && at < behind && blocks[at].adjoins(&blocks[at - 1]) {
                break;
            }
        }
        if !whole {
            add(Work::Blocks(first..at));
            continue;
        }
        for cover in thread.cover(first..at) {
            add(match cover {
                Cover::Node(node) => Work::Node(node),
                Cover::Block(block) => Work::Whole(block),
            });
        }
    }
    tasks
}

/// The tasks that replay a range, cut where blocks begin, if all that is open there is known.
pub(super) fn pieces(trace: &Trace, index: usize, range: TickRange, size: usize) -> Vec<Task> {
    let thread = &trace.threads[index];
    let mut pieces = Vec::new();
    let mut from = range.from;
    let mut add =
        |from, to| pieces.push(Task { thread: index, work: Work::Records(TickRange { from, to }) });
    // Of a fiber that does not run where a block begins, that block knows nothing.
    let one_lane = thread.has_one_lane();
    for block in thread.blocks.iter().step_by(size).skip(1).filter(|_| one_lane) {
        let to = block.base_tick;
        let inside = to > from && range.contains(to);
        if inside && trace.keyframe(block).is_some_and(|keyframe| keyframe.hidden() == 0) {
            add(from, to);
            from = to;
        }
    }
    add(from, range.to);
    pieces
}

/// Whether every block of a thread knows all that is open where it begins, and no block
/// begins before the one before it ends.
fn can_be_cut(thread: &Thread) -> bool {
    thread.has_one_lane()
        && thread.blocks.iter().all(|block| block.knows_stack)
        && thread.blocks.windows(2).all(|pair| pair[0].end_tick <= pair[1].base_tick)
}

/// Whether all of a block lies in the range, and no time beside it that nothing else tells of.
/// Behind the last block of all what is open stays open, so that one never does.
fn is_whole(trace: &Trace, thread: &Thread, at: usize, range: TickRange) -> bool {
    let (block, next) = (&thread.blocks[at], thread.blocks.get(at + 1));
    block.base_tick >= range.from
        && block.end_tick < range.to
        && block.is_summarized()
        && next.is_some_and(|next| next.adjoins(block))
        && (at == 0 || block.adjoins(&thread.blocks[at - 1]))
        && trace.is_sound(block)
}

/// The tick up to which what a block leaves open is open, before the block behind it.
fn until(trace: &Trace, thread: &Thread, behind: usize, range: TickRange) -> u64 {
    match thread.blocks.get(behind) {
        None => trace.lane_end(thread).min(range.to),
        Some(Block { base_tick, gaps, .. }) => {
            range.clamp(gaps.first().map_or(*base_tick, |gap| gap.from_tick))
        }
    }
}

impl Task {
    /// The figures of the task, by symbol.
    pub(super) fn run(&self, trace: &Trace, range: TickRange) -> Vec<Figures> {
        let thread = &trace.threads[self.thread];
        match &self.work {
            Work::Records(range) => {
                let mut ledger = Ledger::new(*range);
                replay(trace, thread, *range, &mut ledger);
                ledger.finish(trace.lane_end(thread).min(range.to));
                ledger.figures
            }
            Work::Blocks(blocks) => by_records(trace, thread, blocks.clone(), range),
            Work::Whole(at) => of_block(trace, thread, *at)
                .unwrap_or_else(|| by_records(trace, thread, *at..at + 1, range)),
            Work::Node(span) => of_node(trace, span).unwrap_or_else(|| {
                let pieces = span.blocks.clone().step_by(PIECE_BLOCKS);
                let pieces = pieces.map(|at| at..span.blocks.end.min(at + PIECE_BLOCKS));
                pieces.fold(Vec::new(), |mut sum: Vec<Figures>, blocks| {
                    let figures = by_records(trace, thread, blocks, range);
                    sum.resize_with(sum.len().max(figures.len()), Figures::default);
                    sum.iter_mut().zip(&figures).for_each(|(sum, part)| sum.merge(part));
                    sum
                })
            }),
        }
    }
}

fn by_records(
    trace: &Trace,
    thread: &Thread,
    blocks: Range<usize>,
    range: TickRange,
) -> Vec<Figures> {
    let mut ledger = Ledger::new(range);
    let behind = blocks.end;
    replay_blocks(trace, thread, blocks, range, &mut ledger);
    ledger.finish(until(trace, thread, behind, range));
    ledger.figures
}

/// A whole block: by its summary, or by the summary that it should have.
fn of_block(trace: &Trace, thread: &Thread, at: usize) -> Option<Vec<Figures>> {
    let block = &thread.blocks[at];
    let told = trace.summary(block)?;
    if told.tells_functions() {
        return told.functions_exactly().map(|functions| figures(&functions));
    }
    let decoded = trace.decode(block).ok().filter(|decoded| decoded.skip == 0)?;
    let mut stack = Stack::from_keyframe(&decoded.keyframe);
    let summary = SummaryBuilder::new(trace.symbols.len()).summarize(&decoded.rows, &mut stack);
    summary.functions.map(|functions| figures(&functions))
}

fn of_node(trace: &Trace, span: &NodeSpan) -> Option<Vec<Figures>> {
    trace.node(span)?.functions_exactly().map(|functions| figures(&functions))
}

/// By symbol.
fn figures(functions: &[FunctionSummary]) -> Vec<Figures> {
    let len = functions.last().map_or(0, |last| last.id as usize + 1);
    let mut all = Vec::new();
    all.resize_with(len, Figures::default);
    for function in functions {
        if let Some(figures) = all.get_mut(function.id as usize) {
            figures.add(function);
        }
    }
    all
}
