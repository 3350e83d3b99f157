//! Calls by call path: one node for each distinct path of a lane.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::ops::ControlFlow;

use rtrace_format::symbol::UNKNOWN_ID;
use rtrace_format::{Kind, Stack, Step};

use super::parallel;
use crate::model::{Gap, SymbolId, TickRange};
use crate::trace::{Event, Lane, Selection, Trace, Visitor, replay};

/// The answer.
#[derive(Clone, Debug)]
pub struct Tree {
    /// No lost or overwritten records fall inside the asked range.
    pub complete: bool,
    /// The lanes with calls, by thread and fiber.
    pub lanes: Vec<LaneTree>,
}

/// The calls of one lane.
#[derive(Clone, Debug, Default)]
pub struct LaneTree {
    /// Index of the thread.
    pub thread: usize,
    /// The fiber.
    pub fiber: u32,
    /// The outermost calls: indices of `nodes`, longest first.
    pub roots: Vec<u32>,
    /// All nodes; a node comes after its parent.
    pub nodes: Vec<Node>,
    /// How many nodes the limit left out.
    pub hidden: usize,
}

/// One call path.
#[derive(Clone, Debug)]
pub struct Node {
    /// The function at the path's end.
    pub symbol: SymbolId,
    /// Who called it; `None` for a root.
    pub parent: Option<u32>,
    /// First entries.
    pub calls: u64,
    /// Time during which it was innermost, in ticks.
    pub self_ticks: u64,
    /// Time during which the path was on the stack, in ticks.
    pub total_ticks: u64,
    /// It was open when the range began, or the history left of it.
    pub began_before: bool,
    /// It was open when the range ended.
    pub open: bool,
    /// What it called: indices of the lane's nodes, longest first.
    pub children: Vec<u32>,
}

/// Gathers the call paths of a selection.
///
/// With a limit, the heaviest nodes are kept: a caller is never lighter than what it
/// calls, so they always hang together.
pub fn tree(trace: &Trace, selection: &Selection) -> Tree {
    tree_until(trace, selection, &|| false).unwrap_or(Tree { complete: false, lanes: Vec::new() })
}

/// The same, unless `cancelled` says that nobody waits any more.
pub fn tree_until(
    trace: &Trace,
    selection: &Selection,
    cancelled: &(dyn Fn() -> bool + Sync),
) -> Option<Tree> {
    let lanes = parallel::map(&selection.threads, |&index| {
        let thread = &trace.threads[index];
        let mut grower = Grower::new(selection.range, cancelled);
        replay(trace, thread, selection.range, &mut grower);
        grower.finish(trace.lane_end(thread).min(selection.range.to));
        let mut lanes: Vec<LaneTree> = grower.lanes.into_values().map(|lane| lane.tree).collect();
        lanes.sort_by_key(|lane| lane.fiber);
        for lane in &mut lanes {
            lane.thread = index;
        }
        lanes
    });
    if cancelled() {
        return None;
    }
    let mut lanes: Vec<LaneTree> = lanes.into_iter().flatten().collect();
    let mut shown: Vec<Vec<bool>> = lanes.iter().map(|lane| asked_for(lane, selection)).collect();
    if let Some(limit) = selection.limit {
        keep_heaviest(&mut lanes, &mut shown, limit);
    }
    for (lane, shown) in lanes.iter_mut().zip(&shown) {
        link(lane, shown);
        arrange(trace, lane);
    }
    lanes.retain(|lane| !lane.roots.is_empty());
    Some(Tree { complete: trace.is_complete(selection), lanes })
}

/// A lane while its tree grows.
#[derive(Debug, Default)]
struct Growing {
    tree: LaneTree,
    /// Up to when its time is counted. A lane that waits is as a thread that does: what it
    /// has open stays open.
    now: u64,
    /// The open path, outermost first.
    path: Vec<OpenNode>,
    /// How many frames the path stands for.
    depth: u32,
    index: HashMap<(u32, SymbolId), u32, super::FastHash>,
}

#[derive(Clone, Copy, Debug)]
struct OpenNode {
    node: u32,
    since: u64,
    /// 1, or how many frames are known by number only.
    frames: u32,
}

/// In place of a parent's index, for roots.
const NOBODY: u32 = u32::MAX;

impl Growing {
    #[inline]
    fn advance(&mut self, tick: u64) {
        if tick <= self.now {
            return;
        }
        if let Some(top) = self.path.last() {
            self.tree.nodes[top.node as usize].self_ticks += tick - self.now;
        }
        self.now = tick;
    }

    #[inline]
    fn push(&mut self, symbol: SymbolId, frames: u32) -> &mut Node {
        let parent = self.path.last().map_or(NOBODY, |open| open.node);
        let nodes = &mut self.tree.nodes;
        let node = *self.index.entry((parent, symbol)).or_insert_with(|| {
            let node = nodes.len() as u32;
            nodes.push(Node {
                symbol,
                parent: (parent != NOBODY).then_some(parent),
                calls: 0,
                self_ticks: 0,
                total_ticks: 0,
                began_before: false,
                open: false,
                children: Vec::new(),
            });
            node
        });
        self.path.push(OpenNode { node, since: self.now, frames });
        self.depth = self.depth.saturating_add(frames);
        &mut self.tree.nodes[node as usize]
    }

    /// Leaves frames until `depth` are open.
    #[inline]
    fn shrink(&mut self, depth: u32) {
        while self.depth > depth {
            let Some(top) = self.path.last_mut() else { return };
            let surplus = self.depth - depth;
            if top.frames > surplus {
                top.frames -= surplus;
                self.depth = depth;
                return;
            }
            self.depth -= top.frames;
            self.tree.nodes[top.node as usize].total_ticks += self.now - top.since;
            self.path.pop();
        }
    }

    fn open(&mut self, stack: &Stack) {
        self.shrink(0);
        let hidden = (stack.hidden() > 0).then_some((UNKNOWN_ID, stack.hidden()));
        let outer = stack.outer().iter().map(|frame| (frame.id(), 1));
        let inner = stack.inner().iter().map(|frame| (frame.id(), 1));
        for (symbol, frames) in outer.chain(hidden).chain(inner) {
            let node = self.push(symbol, frames);
            node.began_before |= node.calls == 0;
        }
    }
}

/// How many events pass between two looks at whether the answer is still wanted.
const LOOK: u32 = 8_192;

/// Grows the trees of one thread.
struct Grower<'a> {
    range: TickRange,
    /// The lanes that do not run.
    lanes: HashMap<u32, Growing>,
    current: Option<u32>,
    running: Growing,
    cancelled: &'a (dyn Fn() -> bool + Sync),
    look: u32,
}

impl<'a> Grower<'a> {
    fn new(range: TickRange, cancelled: &'a (dyn Fn() -> bool + Sync)) -> Self {
        Self {
            range,
            lanes: HashMap::new(),
            current: None,
            running: Growing::default(),
            cancelled,
            look: LOOK,
        }
    }

    fn park(&mut self) {
        if let Some(fiber) = self.current.take() {
            self.lanes.insert(fiber, std::mem::take(&mut self.running));
        }
    }

    fn finish(&mut self, end: u64) {
        self.park();
        for (&fiber, lane) in &mut self.lanes {
            lane.advance(end);
            lane.tree.fiber = fiber;
            for open in &lane.path {
                lane.tree.nodes[open.node as usize].open = true;
            }
            lane.shrink(0);
        }
    }
}

impl Visitor for Grower<'_> {
    fn begin(&mut self, lane: &Lane, tick: u64) {
        let known = match self.current == Some(lane.fiber) {
            true => &mut self.running,
            false => self.lanes.entry(lane.fiber).or_default(),
        };
        known.advance(tick);
        known.open(&lane.stack);
    }

    fn switched(&mut self, lane: &Lane, tick: u64) {
        self.park();
        self.running = self.lanes.remove(&lane.fiber).unwrap_or_default();
        self.running.advance(tick);
        self.current = Some(lane.fiber);
    }

    #[inline]
    fn event(&mut self, event: &Event<'_>) -> ControlFlow<()> {
        self.look -= 1;
        if self.look == 0 {
            self.look = LOOK;
            if (self.cancelled)() {
                return ControlFlow::Break(());
            }
        }
        match event.step {
            Step::Entered { .. } => {
                self.running.advance(event.record.tick);
                let word = event.record.word;
                let first = matches!(word.kind(), Some(Kind::Call | Kind::CCall));
                self.running.push(word.id(), 1).calls += u64::from(first);
            }
            Step::Left { depth, .. } => {
                self.running.advance(event.record.tick);
                self.running.shrink(depth);
            }
            Step::Unmatched { .. } | Step::Other => {}
        }
        ControlFlow::Continue(())
    }

    fn gap(&mut self, gap: &Gap) {
        self.park();
        for lane in self.lanes.values_mut() {
            lane.advance(self.range.clamp(gap.from_tick));
            lane.shrink(0);
        }
    }
}

/// Which nodes lie on the way to a function that is asked for, or below one.
fn asked_for(lane: &LaneTree, selection: &Selection) -> Vec<bool> {
    let mut shown = vec![true; lane.nodes.len()];
    if selection.functions.is_none() {
        return shown;
    }
    for (i, node) in lane.nodes.iter().enumerate() {
        shown[i] = selection.wants(node.symbol) || node.parent.is_some_and(|p| shown[p as usize]);
    }
    for (i, node) in lane.nodes.iter().enumerate().rev() {
        if let Some(parent) = node.parent.filter(|_| shown[i]) {
            shown[parent as usize] = true;
        }
    }
    shown
}

/// Hides all but the `limit` heaviest nodes. A parent has a lower index than its
/// children, so that of two that took equally long it is the parent that stays.
fn keep_heaviest(lanes: &mut [LaneTree], shown: &mut [Vec<bool>], limit: usize) {
    let mut ranked: Vec<(Reverse<u64>, usize, usize)> = Vec::new();
    for (at, (lane, shown)) in lanes.iter().zip(shown.iter()).enumerate() {
        let nodes = lane.nodes.iter().enumerate().filter(|(i, _)| shown[*i]);
        ranked.extend(nodes.map(|(i, node)| (Reverse(node.total_ticks), at, i)));
    }
    ranked.sort_unstable();
    for &(_, lane, node) in ranked.iter().skip(limit) {
        shown[lane][node] = false;
        lanes[lane].hidden += 1;
    }
}

/// Links the nodes that are to be seen to their callers.
fn link(lane: &mut LaneTree, shown: &[bool]) {
    for (i, _) in shown.iter().enumerate().filter(|(_, shown)| **shown) {
        match lane.nodes[i].parent {
            Some(parent) => lane.nodes[parent as usize].children.push(i as u32),
            None => lane.roots.push(i as u32),
        }
    }
}

/// Longest first; of two that took equally long by name.
fn arrange(trace: &Trace, lane: &mut LaneTree) {
    let order = |siblings: &mut Vec<u32>, nodes: &[Node]| {
        siblings.sort_by(|&a, &b| {
            let (one, other) = (&nodes[a as usize], &nodes[b as usize]);
            let name = |node: &Node| &trace.symbols.get(node.symbol).qualname;
            let by_time = other.total_ticks.cmp(&one.total_ticks);
            by_time.then_with(|| name(one).cmp(name(other))).then(a.cmp(&b))
        });
    };
    order(&mut lane.roots, &lane.nodes);
    for i in 0..lane.nodes.len() {
        let mut children = std::mem::take(&mut lane.nodes[i].children);
        order(&mut children, &lane.nodes);
        lane.nodes[i].children = children;
    }
}
