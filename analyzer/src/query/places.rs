//! In which blocks of a thread functions did anything: the grain of a search over all of it.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::ops::{ControlFlow, Range};

use rtrace_format::Step;

use super::parallel;
use crate::model::{Block, NodeSpan, SymbolId, Thread, TickRange};
use crate::trace::{Cover, Event, Lane, Selection, Told, Trace, Visitor, replay_alone};

/// By block, whether any of `symbols` may have begun a call in it, been innermost, or ended
/// a span. Only blocks of which no summary tells are given the benefit of the doubt.
pub fn places(trace: &Trace, thread: &Thread, symbols: &HashSet<SymbolId>) -> Vec<bool> {
    let told = told(trace, thread, 0..thread.blocks.len(), symbols);
    told.into_iter().map(|told| told.unwrap_or(true)).collect()
}

/// The same of some blocks; `None` where no summary tells.
fn told(
    trace: &Trace,
    thread: &Thread,
    blocks: Range<usize>,
    symbols: &HashSet<SymbolId>,
) -> Vec<Option<bool>> {
    let mut may = vec![None; thread.blocks.len()];
    for cover in thread.cover(blocks.clone()) {
        match cover {
            Cover::Node(span) => descend(trace, thread, &span, symbols, &mut may),
            Cover::Block(at) => {
                let told = trace.summary(&thread.blocks[at]);
                let functions = told.and_then(|told| told.functions());
                may[at] =
                    functions.map(|all| all.iter().any(|f| symbols.contains(&f.id) && f.acted()));
            }
        }
    }
    may.truncate(blocks.end);
    may.split_off(blocks.start.min(may.len()))
}

/// A run of blocks of a thread in all of which a function ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Index of the thread.
    pub thread: usize,
    /// The tick at which the first of them begins.
    pub from: u64,
    /// That of the last record of the last of them.
    pub to: u64,
    /// How many.
    pub blocks: usize,
}

/// Where any of `symbols` began a call, was innermost or ended one, at the grain of blocks, of
/// those that the selection's range meets: by thread, in order of time.
pub fn stretches(
    trace: &Trace,
    selection: &Selection,
    symbols: &HashSet<SymbolId>,
) -> Vec<Stretch> {
    let of_thread: Vec<(usize, usize, Vec<Option<bool>>)> =
        parallel::map(&selection.threads, |&index| {
            let thread = &trace.threads[index];
            let met = met(thread, selection.range);
            (index, met.start, told(trace, thread, met, symbols))
        });
    let unsure: Vec<(usize, usize)> = of_thread
        .iter()
        .flat_map(|(index, first, told)| {
            let unsure = told.iter().enumerate().filter(|(_, told)| told.is_none());
            unsure.map(move |(at, _)| (*index, first + at))
        })
        .collect();
    let mut looked_at = parallel::map(&unsure, |&(index, at)| {
        shows(trace, &trace.threads[index].blocks[at], symbols)
    })
    .into_iter();
    let mut stretches: Vec<Stretch> = Vec::new();
    for (index, first, told) in of_thread {
        let blocks = &trace.threads[index].blocks;
        let mut open = false;
        for (at, told) in (first..).zip(told) {
            let ran = told.or_else(|| looked_at.next()).unwrap_or(true);
            let block = &blocks[at];
            match stretches.last_mut() {
                Some(last) if ran && open => {
                    (last.to, last.blocks) = (block.end_tick, last.blocks + 1)
                }
                _ if ran => stretches.push(Stretch {
                    thread: index,
                    from: block.base_tick,
                    to: block.end_tick,
                    blocks: 1,
                }),
                _ => {}
            }
            open = ran;
        }
    }
    stretches
}

/// The blocks that a range meets.
fn met(thread: &Thread, range: TickRange) -> Range<usize> {
    let first = thread.blocks.partition_point(|block| block.end_tick < range.from);
    let behind = match range.to {
        u64::MAX => thread.blocks.len(),
        to => thread.blocks.partition_point(|block| block.base_tick < to),
    };
    first..behind.max(first)
}

/// Whether the records of a block show any of `symbols`; where they cannot be read, they may.
fn shows(trace: &Trace, block: &Block, symbols: &HashSet<SymbolId>) -> bool {
    let Ok(decoded) = trace.decode(block) else { return true };
    let mut seen = Seen { symbols, seen: false };
    let _ = replay_alone(&decoded, &mut seen);
    seen.seen
}

/// Looks for functions that are entered, left, or innermost.
struct Seen<'a> {
    symbols: &'a HashSet<SymbolId>,
    seen: bool,
}

impl Seen<'_> {
    fn look(&mut self, lane: &Lane) {
        self.seen |= lane.stack.top().is_some_and(|top| self.symbols.contains(&top.id()));
    }
}

impl Visitor for Seen<'_> {
    fn begin(&mut self, lane: &Lane, _: u64) {
        self.look(lane);
    }

    fn event(&mut self, event: &Event<'_>) -> ControlFlow<()> {
        match event.step {
            Step::Entered { .. } => self.look(event.lane),
            Step::Left { frame, .. } => {
                self.seen |= self.symbols.contains(&frame.id());
                self.look(event.lane);
            }
            Step::Unmatched { .. } | Step::Other => {}
        }
        if self.seen { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

fn descend(
    trace: &Trace,
    thread: &Thread,
    span: &NodeSpan,
    symbols: &HashSet<SymbolId>,
    may: &mut [Option<bool>],
) {
    let Some((count, mask)) = trace.node(span).and_then(|node| node.acted_in(symbols)) else {
        return;
    };
    if mask == 0 {
        may[span.blocks.clone()].fill(Some(false));
        return;
    }
    let held = |child: usize| mask >> child & 1 == 1;
    if span.level == 1 {
        for (child, may) in may[span.blocks.clone()].iter_mut().enumerate() {
            *may = Some(held(child));
        }
        return;
    }
    let children: Vec<&NodeSpan> = children(thread, span).collect();
    // Where one of them is damaged, nothing says which bit is whose.
    let all_known = children.len() == count as usize;
    for (at, child) in children.into_iter().enumerate() {
        if all_known && !held(at) {
            may[child.blocks.clone()].fill(Some(false));
        } else {
            descend(trace, thread, child, symbols, may);
        }
    }
}

/// The nodes right below a node.
fn children<'t>(thread: &'t Thread, span: &NodeSpan) -> impl Iterator<Item = &'t NodeSpan> {
    let first = thread.nodes.partition_point(|node| node.blocks.start < span.blocks.start);
    let (end, level) = (span.blocks.end, span.level);
    let within = thread.nodes[first..].iter().take_while(move |node| node.blocks.start < end);
    within.filter(move |node| node.level + 1 == level)
}

/// Blocks, by how long a span of some functions that ended in them may be, longest first. Only
/// as many summaries are read as it takes to name the next.
pub struct Bounds<'t> {
    trace: &'t Trace,
    thread: &'t Thread,
    wanted: &'t HashSet<SymbolId>,
    heap: BinaryHeap<(u64, Reverse<(usize, usize)>)>,
}

impl<'t> Bounds<'t> {
    /// Of some blocks of a thread.
    pub fn new(
        trace: &'t Trace,
        thread: &'t Thread,
        blocks: Range<usize>,
        wanted: &'t HashSet<SymbolId>,
    ) -> Bounds<'t> {
        let mut bounds = Bounds { trace, thread, wanted, heap: BinaryHeap::new() };
        for cover in thread.cover(blocks) {
            match cover {
                Cover::Node(span) => bounds.add_node(&span, u64::MAX),
                Cover::Block(at) => bounds.add_block(at, u64::MAX),
            }
        }
        bounds
    }

    fn add(&mut self, told: Option<Told<'_>>, blocks: Range<usize>, above: u64) {
        let longest = told.map_or(Some(u64::MAX), |told| told.longest_of(self.wanted));
        if let Some(longest) = longest {
            self.heap.push((longest.min(above), Reverse((blocks.start, blocks.end))));
        }
    }

    fn add_node(&mut self, span: &NodeSpan, above: u64) {
        self.add(self.trace.node(span), span.blocks.clone(), above);
    }

    fn add_block(&mut self, at: usize, above: u64) {
        self.add(self.trace.summary(&self.thread.blocks[at]), at..at + 1, above);
    }

    /// Replaces a node by what is below it.
    fn open(&mut self, span: &NodeSpan, bound: u64) {
        if span.level > 1 {
            let children: Vec<NodeSpan> = children(self.thread, span).cloned().collect();
            let mut at = span.blocks.start;
            for child in children {
                // Below a damaged node the blocks themselves are asked.
                (at..child.blocks.start).for_each(|block| self.add_block(block, bound));
                at = child.blocks.end.max(at);
                self.add_node(&child, bound);
            }
            return (at..span.blocks.end).for_each(|block| self.add_block(block, bound));
        }
        let acted = self.trace.node(span).and_then(|node| node.acted_in(self.wanted));
        for (child, at) in span.blocks.clone().enumerate() {
            if acted.is_none_or(|(_, mask)| mask >> child & 1 == 1) {
                self.add_block(at, bound);
            }
        }
    }
}

impl Iterator for Bounds<'_> {
    type Item = (u64, usize);

    fn next(&mut self) -> Option<(u64, usize)> {
        loop {
            let (bound, Reverse((start, end))) = self.heap.pop()?;
            let nodes = &self.thread.nodes;
            let first = nodes.partition_point(|node| node.blocks.start < start);
            let here = nodes[first..].iter().take_while(|node| node.blocks.start == start);
            match here.into_iter().find(|node| node.blocks.end == end).cloned() {
                Some(span) => self.open(&span, bound),
                _ => return Some((bound, start)),
            }
        }
    }
}
