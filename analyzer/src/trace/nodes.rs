//! Nodes: which runs of a thread's blocks have a summary of their own.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::ops::Range;

use rtrace_format::events::EventChunk;
use rtrace_format::node::{Node, NodeHeader};
use rtrace_format::summary::{FunctionSummary, Head, SLICES, Slice, View};

use super::{Source, Trace};
use crate::model::{Block, NodeSpan, SymbolId, Thread};

/// What tells the figures of a run of blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cover {
    /// A node, of all of them.
    Node(NodeSpan),
    /// The one block itself: its own summary, or its records.
    Block(usize),
}

/// Finds the blocks of each node. One that is not of the blocks that there are is left out.
pub(super) fn place(nodes: &[(u64, NodeHeader)], blocks: &[Block]) -> Vec<NodeSpan> {
    let mut placed: Vec<NodeSpan> = nodes
        .iter()
        .filter_map(|(offset, node)| {
            let key = (node.first_record, node.base_tick);
            let first = blocks.partition_point(|b| (b.first_record, b.base_tick) < key);
            let behind = first.checked_add(node.chunks as usize)?;
            let run = blocks.get(first..behind)?;
            let (from, to) = (run.first()?, run.last()?);
            let records = run.iter().fold(0u64, |sum, block| sum.saturating_add(block.events));
            let fits = (from.first_record, from.base_tick) == key
                && to.end_tick == node.end_tick
                && records == node.records
                && run.iter().all(Block::is_summarized)
                && run.windows(2).all(|pair| pair[1].adjoins(&pair[0]));
            fits.then_some(NodeSpan { blocks: first..behind, level: node.level, offset: *offset })
        })
        .collect();
    // One block has its own summary, and no run needs two.
    placed.retain(|node| node.blocks.len() > 1);
    placed.sort_by_key(|node| (node.blocks.start, Reverse(node.blocks.end)));
    placed.dedup_by(|next, one| next.blocks == one.blocks);
    placed
}

impl Block {
    /// Whether a summary tells all of it.
    pub(crate) fn is_summarized(&self) -> bool {
        self.one_lane && self.knows_stack && matches!(self.source, Source::Chunk(_))
    }

    /// Whether no time lies between the block before and this one, but what is missing.
    pub(crate) fn adjoins(&self, before: &Block) -> bool {
        self.base_tick == before.end_tick
            || (self.base_tick > before.end_tick && !self.gaps.is_empty())
    }
}

impl Thread {
    /// Covers a run of blocks by as few summaries as there are.
    pub fn cover(&self, blocks: Range<usize>) -> Vec<Cover> {
        let mut covers = Vec::new();
        let mut at = blocks.start;
        while at < blocks.end {
            let first = self.nodes.partition_point(|node| node.blocks.start < at);
            let mut here = self.nodes[first..].iter().take_while(|node| node.blocks.start == at);
            match here.find(|node| node.blocks.end <= blocks.end) {
                Some(node) => {
                    covers.push(Cover::Node(node.clone()));
                    at = node.blocks.end;
                }
                None => {
                    covers.push(Cover::Block(at));
                    at += 1;
                }
            }
        }
        covers
    }
}

impl Trace {
    /// What a node says; `None` if it is damaged.
    pub fn node(&self, span: &NodeSpan) -> Option<Told<'_>> {
        let (header, payload) = self.chunk(span.offset).ok()?;
        header.check(payload).ok()?;
        Some(Told { trace: self, of: Of::Node(Node::parse(payload).ok()?) })
    }

    /// What a block that is a whole chunk says of itself; its columns are not looked at.
    pub fn summary(&self, block: &Block) -> Option<Told<'_>> {
        let Source::Chunk(offset) = &block.source else { return None };
        if !block.one_lane {
            return None;
        }
        let (_, payload) = self.chunk(*offset).ok()?;
        let chunk = EventChunk::parse(payload).ok()?;
        chunk.check_front().ok()?;
        if chunk.header.first_record != block.first_record {
            return None;
        }
        Some(Told { trace: self, of: Of::Chunk(View::parse(chunk.summary).ok()?) })
    }
}

/// What a summary tells, in dense ids.
#[derive(Clone, Copy, Debug)]
pub struct Told<'t> {
    trace: &'t Trace,
    of: Of<'t>,
}

#[derive(Clone, Copy, Debug)]
enum Of<'t> {
    Chunk(View<'t>),
    Node(Node<'t>),
}

impl Told<'_> {
    /// The whole; the longest call's function is one of the file's ids.
    pub fn head(&self) -> &Head {
        match &self.of {
            Of::Chunk(view) => &view.head,
            Of::Node(node) => node.head(),
        }
    }

    /// What each depth looked like, from the outermost; nothing where that is damaged.
    pub fn rows(&self) -> Vec<[Slice; SLICES]> {
        let rows = match &self.of {
            Of::Chunk(view) => view.rows(),
            Of::Node(node) => node.rows(),
        };
        let mut rows = rows.unwrap_or_default();
        for slice in rows.iter_mut().flatten().filter(|slice| slice.share > 0) {
            slice.id = self.trace.file_ids.get(slice.id);
        }
        rows
    }

    /// What each function did, by id; `None` where that is not told. Of two of the file's
    /// functions that cannot be told apart, and are one here, the total times are added.
    pub fn functions(&self) -> Option<Vec<FunctionSummary>> {
        let mut functions = self.in_dense_ids()?;
        functions.dedup_by(|next, into| {
            let same = next.id == into.id;
            if same {
                into.merge(next);
            }
            same
        });
        Some(functions)
    }

    /// The same, but `None` where two functions would become one: their total times are not
    /// that one's.
    pub fn functions_exactly(&self) -> Option<Vec<FunctionSummary>> {
        let functions = self.in_dense_ids()?;
        let apart = functions.windows(2).all(|pair| pair[0].id < pair[1].id);
        apart.then_some(functions)
    }

    /// Of a node: how many children it has, and the mask of those in which any of `symbols`
    /// did anything.
    pub fn acted_in(&self, symbols: &HashSet<SymbolId>) -> Option<(u32, u16)> {
        let Of::Node(node) = &self.of else { return None };
        let ids = &self.trace.file_ids;
        let masks = node.masks().ok()?;
        let wanted = masks.iter().filter(|(id, _)| symbols.contains(&ids.get(*id)));
        Some((node.header.children, wanted.fold(0, |mask, (_, children)| mask | children)))
    }

    /// The longest span of any of `symbols`, if there is one; `u64::MAX` where that is not told.
    pub fn longest_of(&self, symbols: &HashSet<SymbolId>) -> Option<u64> {
        let Some(functions) = self.functions() else { return Some(u64::MAX) };
        let wanted = functions.iter().filter(|f| f.spans.count > 0 && symbols.contains(&f.id));
        wanted.map(|function| function.spans.max).max()
    }

    /// Whether [`functions`](Told::functions) are told.
    pub fn tells_functions(&self) -> bool {
        match &self.of {
            Of::Chunk(view) => view.tells_functions(),
            Of::Node(_) => true,
        }
    }

    fn in_dense_ids(&self) -> Option<Vec<FunctionSummary>> {
        let mut functions = match &self.of {
            Of::Chunk(view) => view.functions().ok()??,
            Of::Node(node) => node.functions().ok()?,
        };
        let ids = &self.trace.file_ids;
        let known = self.trace.symbols.len();
        let ascend = functions.last().is_none_or(|last| (last.id as usize) < known);
        if !(ids.is_identity() && ascend) {
            functions.iter_mut().for_each(|function| function.id = ids.get(function.id));
            functions.sort_by_key(|function| function.id);
        }
        Some(functions)
    }
}
