//! In which blocks of a thread functions did anything: the grain of a search over all of it.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::ops::Range;

use crate::model::{NodeSpan, SymbolId, Thread};
use crate::trace::{Cover, Told, Trace};

/// By block, whether any of `symbols` may have begun a call in it, been innermost, or ended
/// a span. Only blocks of which no summary tells are given the benefit of the doubt.
pub fn places(trace: &Trace, thread: &Thread, symbols: &HashSet<SymbolId>) -> Vec<bool> {
    let mut may = vec![true; thread.blocks.len()];
    for cover in thread.cover(0..thread.blocks.len()) {
        match cover {
            Cover::Node(span) => descend(trace, thread, &span, symbols, &mut may),
            Cover::Block(at) => {
                let told = trace.summary(&thread.blocks[at]);
                if let Some(functions) = told.and_then(|told| told.functions()) {
                    may[at] = functions.iter().any(|f| symbols.contains(&f.id) && f.acted());
                }
            }
        }
    }
    may
}

fn descend(
    trace: &Trace,
    thread: &Thread,
    span: &NodeSpan,
    symbols: &HashSet<SymbolId>,
    may: &mut [bool],
) {
    let Some((count, mask)) = trace.node(span).and_then(|node| node.acted_in(symbols)) else {
        return;
    };
    if mask == 0 {
        may[span.blocks.clone()].fill(false);
        return;
    }
    let held = |child: usize| mask >> child & 1 == 1;
    if span.level == 1 {
        for (child, may) in may[span.blocks.clone()].iter_mut().enumerate() {
            *may = held(child);
        }
        return;
    }
    let children: Vec<&NodeSpan> = children(thread, span).collect();
    // Where one of them is damaged, nothing says which bit is whose.
    let all_known = children.len() == count as usize;
    for (at, child) in children.into_iter().enumerate() {
        if all_known && !held(at) {
            may[child.blocks.clone()].fill(false);
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

/// Blocks, by how long a span of one function that ended in them may be, longest first. Only
/// as many summaries are read as it takes to name the next.
pub struct Bounds<'t> {
    trace: &'t Trace,
    thread: &'t Thread,
    symbol: SymbolId,
    heap: BinaryHeap<(u64, Reverse<(usize, usize)>)>,
}

impl<'t> Bounds<'t> {
    /// Of some blocks of a thread.
    pub fn new(
        trace: &'t Trace,
        thread: &'t Thread,
        blocks: Range<usize>,
        symbol: SymbolId,
    ) -> Bounds<'t> {
        let mut bounds = Bounds { trace, thread, symbol, heap: BinaryHeap::new() };
        for cover in thread.cover(blocks) {
            match cover {
                Cover::Node(span) => bounds.add_node(&span, u64::MAX),
                Cover::Block(at) => bounds.add_block(at, u64::MAX),
            }
        }
        bounds
    }

    /// The longest that `told` has of the function, if it tells.
    fn longest(&self, told: Option<Told<'_>>) -> Option<u64> {
        let functions = told?.functions()?;
        let at = functions.binary_search_by_key(&self.symbol, |function| function.id).ok();
        let spans = at.map(|at| &functions[at].spans).filter(|spans| spans.count > 0);
        Some(spans.map_or(0, |spans| spans.max))
    }

    fn push(&mut self, bound: u64, blocks: Range<usize>) {
        if bound > 0 {
            self.heap.push((bound, Reverse((blocks.start, blocks.end))));
        }
    }

    fn add_node(&mut self, span: &NodeSpan, above: u64) {
        let bound = self.longest(self.trace.node(span)).unwrap_or(u64::MAX);
        self.push(bound.min(above), span.blocks.clone());
    }

    fn add_block(&mut self, at: usize, above: u64) {
        let bound = self.longest(self.trace.summary(&self.thread.blocks[at])).unwrap_or(u64::MAX);
        self.push(bound.min(above), at..at + 1);
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
        let wanted = HashSet::from([self.symbol]);
        let acted = self.trace.node(span).and_then(|node| node.acted_in(&wanted));
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
