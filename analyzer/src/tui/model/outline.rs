//! The rows of the tree view: what is open of a call tree, seen from above, from below, or from
//! one function in both directions. Rows are made when they are opened, so a tree of any size
//! costs what is on the screen.

use std::collections::HashMap;

use crate::tui::source::{CallTree, NOBODY};

/// How a call tree is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// From the outermost calls to what they called.
    #[default]
    TopDown,
    /// From each function to its callers, by self time.
    BottomUp,
    /// One function: its callers, itself, what it called.
    Butterfly,
}

/// Which way a row opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// To what was called.
    Down,
    /// To the callers.
    Up,
    /// Not at all: the function in the middle.
    Middle,
}

/// A row: some nodes of the tree that stand for the same thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The function.
    pub symbol: u32,
    /// How far it is indented.
    pub depth: u32,
    /// Which way it opens.
    pub way: Way,
    /// First entries.
    pub calls: u64,
    /// Time as the innermost frame.
    pub self_ns: u64,
    /// Time on the stack.
    pub total_ns: u64,
    /// Whether it can be opened.
    pub opens: bool,
    /// Whether it is open.
    pub open: bool,
    /// Nodes of the tree; of a way up, pairs of where the time is and how far one has come.
    nodes: Vec<(u32, u32)>,
}

/// What is shown of a call tree.
#[derive(Clone, Debug, Default)]
pub struct Outline {
    /// How it is looked at.
    pub mode: Mode,
    /// The rows, from top to bottom.
    pub rows: Vec<Row>,
    /// The time of the whole, for shares.
    pub whole_ns: u64,
}

impl Outline {
    /// The outline of a tree, closed but for the way to something worth seeing. `function` is in
    /// the middle of a butterfly.
    pub fn new(tree: &CallTree, mode: Mode, function: Option<u32>) -> Outline {
        let roots = 0..tree.roots;
        let whole_ns = roots.clone().map(|i| tree.nodes[i as usize].total_ns).sum();
        let mut outline = Outline { mode, rows: Vec::new(), whole_ns };
        match mode {
            Mode::TopDown => {
                outline.rows = groups(tree, Way::Down, false, 0, roots.map(|i| (i, i)));
                outline.open_heaviest(tree, 0);
            }
            Mode::BottomUp => {
                let all = (0..tree.nodes.len() as u32).map(|i| (i, i));
                outline.rows = groups(tree, Way::Up, true, 0, all);
            }
            Mode::Butterfly => {
                if let Some(symbol) = function {
                    outline.butterfly(tree, symbol);
                }
            }
        }
        outline
    }

    fn butterfly(&mut self, tree: &CallTree, symbol: u32) {
        let is = |i: u32| tree.nodes.get(i as usize).is_some_and(|node| node.symbol == symbol);
        let all: Vec<u32> = (0..tree.nodes.len() as u32).filter(|&i| is(i)).collect();
        // Of calls within calls of itself the time counts once.
        let mut within = vec![false; tree.nodes.len()];
        for (i, node) in tree.nodes.iter().enumerate() {
            if node.parent != NOBODY {
                within[i] = within[node.parent as usize] || is(node.parent);
            }
        }
        let outer: Vec<u32> = all.iter().copied().filter(|&i| !within[i as usize]).collect();
        let sum = |of: &[u32], what: fn(&crate::tui::source::TreeNode) -> u64| -> u64 {
            of.iter().map(|&i| what(&tree.nodes[i as usize])).sum()
        };
        let callers = outer.iter().map(|&i| (i, tree.nodes[i as usize].parent));
        let mut rows = groups(tree, Way::Up, false, 1, callers.filter(|(_, up)| *up != NOBODY));
        rows.sort_by(|a, b| a.total_ns.cmp(&b.total_ns).then(b.symbol.cmp(&a.symbol)));
        rows.push(Row {
            symbol,
            depth: 0,
            way: Way::Middle,
            calls: sum(&all, |node| node.calls),
            self_ns: sum(&all, |node| node.self_ns),
            total_ns: sum(&outer, |node| node.total_ns),
            opens: false,
            open: true,
            nodes: Vec::new(),
        });
        // What it called itself; of calls to itself what those called.
        let mut called = Vec::new();
        let mut left = outer;
        while let Some(i) = left.pop() {
            let (own, others): (Vec<u32>, Vec<u32>) = children(tree, i).partition(|&i| is(i));
            left.extend(own);
            called.extend(others);
        }
        rows.extend(groups(tree, Way::Down, false, 1, called.into_iter().map(|i| (i, i))));
        self.rows = rows;
    }

    /// The row of the function in the middle of a butterfly.
    pub fn middle(&self) -> Option<usize> {
        self.rows.iter().position(|row| row.way == Way::Middle)
    }

    /// Opens a row; says whether that changed anything.
    pub fn open(&mut self, tree: &CallTree, at: usize) -> bool {
        let Some(row) = self.rows.get_mut(at).filter(|row| row.opens && !row.open) else {
            return false;
        };
        row.open = true;
        let (way, depth, own) = (row.way, row.depth + 1, self.mode == Mode::BottomUp);
        let below = match way {
            Way::Middle => return false,
            Way::Down => {
                let below = row.nodes.iter().flat_map(|&(i, _)| children(tree, i));
                groups(tree, way, own, depth, below.map(|i| (i, i)))
            }
            Way::Up => {
                let above = row.nodes.iter().filter_map(|&(time, at)| {
                    let up = tree.nodes.get(at as usize)?.parent;
                    (up != NOBODY).then_some((time, up))
                });
                groups(tree, way, own, depth, above)
            }
        };
        self.rows.splice(at + 1..at + 1, below);
        true
    }

    /// Closes a row; of one that is closed, gives the row above that holds it.
    pub fn close(&mut self, at: usize) -> usize {
        let Some(row) = self.rows.get_mut(at) else { return at };
        let depth = row.depth;
        if row.open && row.opens {
            row.open = false;
            let end = self.rows[at + 1..].iter().position(|row| row.depth <= depth);
            let end = end.map_or(self.rows.len(), |behind| at + 1 + behind);
            self.rows.drain(at + 1..end);
            return at;
        }
        self.rows[..at].iter().rposition(|row| row.depth < depth).unwrap_or(at)
    }

    /// Opens the heaviest path below a row, down to where most of its time is. Gives the last row
    /// of it.
    pub fn open_heaviest(&mut self, tree: &CallTree, mut at: usize) -> usize {
        // A path is no longer than the tree is deep; a limit all the same, for the screen's sake.
        for _ in 0..400 {
            let Some(row) = self.rows.get(at) else { return at };
            let (depth, total) = (row.depth, row.total_ns);
            if row.opens && !row.open {
                self.open(tree, at);
            }
            let Some(next) = self.rows.get(at + 1).filter(|next| next.depth > depth) else {
                return at;
            };
            if next.total_ns.saturating_mul(2) < total {
                return at;
            }
            at += 1;
        }
        at
    }
}

fn children(tree: &CallTree, of: u32) -> std::ops::Range<u32> {
    tree.nodes.get(of as usize).map_or(0..0, |node| node.children.0..node.children.1)
}

/// Rows of nodes, one for each function, the longest first. Of a pair the first says where the
/// time is, the second whose row it is; with `own` the time is that of the innermost frame alone.
fn groups(
    tree: &CallTree,
    way: Way,
    own: bool,
    depth: u32,
    pairs: impl Iterator<Item = (u32, u32)>,
) -> Vec<Row> {
    let mut by_symbol: HashMap<u32, usize> = HashMap::new();
    let mut rows: Vec<Row> = Vec::new();
    for (time, at) in pairs {
        let (Some(of), Some(who)) = (tree.nodes.get(time as usize), tree.nodes.get(at as usize))
        else {
            continue;
        };
        let row = *by_symbol.entry(who.symbol).or_insert_with(|| {
            rows.push(Row {
                symbol: who.symbol,
                depth,
                way,
                calls: 0,
                self_ns: 0,
                total_ns: 0,
                opens: false,
                open: false,
                nodes: Vec::new(),
            });
            rows.len() - 1
        });
        let row = &mut rows[row];
        row.calls += of.calls;
        row.self_ns += of.self_ns;
        row.total_ns += if own { of.self_ns } else { of.total_ns };
        row.opens |= match way {
            Way::Down => who.children.0 < who.children.1,
            Way::Up => who.parent != NOBODY,
            Way::Middle => false,
        };
        row.nodes.push((time, at));
    }
    rows.sort_by(|a, b| b.total_ns.cmp(&a.total_ns).then(a.symbol.cmp(&b.symbol)));
    rows
}

#[cfg(test)]
mod tests;
