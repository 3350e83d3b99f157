//! What a timeline draws: for one lane and one grid of columns, the cells of its flame rows.
//!
//! The result is plain data. Its rule is the promise that the picture makes:
//!
//! - a call is drawn in every cell of which it covers at least half;
//! - a call that covers half of no cell is *merged* into the cell that holds most of it, where it
//!   is counted. No call is ever dropped.
//!
//! Cells are aligned to multiples of the column's width in absolute time, so panning shifts cells
//! and never re-buckets them.

mod exact;
mod grid;
mod raster;
mod sketch;

pub use exact::exact;
pub use grid::Grid;
pub use raster::{Raster, cover};
pub use sketch::sketch;

use std::collections::BTreeSet;

use rtrace_format::record::Subkind;
use rtrace_format::{Clock, Kind};

use super::parallel;
use crate::model::{Block, Thread, TickRange};
use crate::trace::Trace;

/// `Cell::call` of a cell that no call covers by half.
pub const NO_CALL: u32 = u32::MAX;
/// `Cell::merged` where calls were merged but only a summary was read, so their number is unknown.
pub const MANY: u32 = u32::MAX;

/// One cell of a flame row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Index into [`Lane::calls`] of the call that covers at least half of the cell, or [`NO_CALL`].
    pub call: u32,
    /// Calls merged into the cell; [`MANY`] if there were some and their number is not known.
    pub merged: u32,
    /// Among the merged calls, the function that held most of the time.
    pub symbol: u32,
    /// A frame of this row was left by an exception, or saw one, within the cell.
    pub exception: bool,
}

impl Cell {
    /// Nothing ran here.
    pub const EMPTY: Cell = Cell { call: NO_CALL, merged: 0, symbol: 0, exception: false };

    /// Whether nothing is drawn in the cell.
    pub fn is_empty(&self) -> bool {
        self.call == NO_CALL && self.merged == 0 && !self.exception
    }
}

/// What is known about a drawn call beyond its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// Began before the recording did, or before the oldest record that is left.
    pub began_before: bool,
    /// Still open where the lane's records end, or where they break off.
    pub open: bool,
    /// Left by an exception.
    pub unwound: bool,
    /// Entered by a resumption.
    pub resumed: bool,
    /// From a summary: the function that held the stretch, perhaps in several calls.
    pub approximate: bool,
}

/// A call wide enough to be drawn as itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First nanosecond, since the trace began; may lie before the grid.
    pub start: i64,
    /// First nanosecond after it; `i64::MAX` where it goes on past what was read.
    pub end: i64,
    /// The function.
    pub symbol: u32,
    /// How it began and ended.
    pub flags: Flags,
}

/// Why a stretch of a lane holds no records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapKind {
    /// A flight ring overwrote it, as it should.
    Overwritten,
    /// Records are missing.
    Lost,
    /// The thread did not yet exist, or was not yet seen.
    NotBegun,
    /// The thread had ended.
    Ended,
}

/// A stretch of a lane without records, `[start, end)` in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// First nanosecond.
    pub start: i64,
    /// First nanosecond after it.
    pub end: i64,
    /// Why.
    pub kind: GapKind,
    /// Events missing, where their number is known; else 0.
    pub events: u64,
}

/// The cells of one lane on one grid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    /// The columns.
    pub grid: Grid,
    /// Depth of the first row.
    pub depth: u32,
    /// Rows from `depth` on; each has `grid.cols` cells.
    pub rows: Vec<Vec<Cell>>,
    /// The calls that cells refer to.
    pub calls: Vec<Span>,
    /// Per column, the share of it during which the lane's stack was not empty, in 1/255.
    pub busy: Vec<u8>,
    /// Number of frames open at once at most within the grid.
    pub deepest: u32,
    /// Whether this was drawn from summaries alone.
    pub approximate: bool,
}

impl Lane {
    /// A lane in which nothing was read yet.
    pub fn empty(grid: Grid, depth: u32, rows: u32) -> Lane {
        Lane {
            grid,
            depth,
            rows: vec![vec![Cell::EMPTY; usize::from(grid.cols)]; rows as usize],
            calls: Vec::new(),
            busy: vec![0; usize::from(grid.cols)],
            deepest: 0,
            approximate: true,
        }
    }

    /// The cell of a row and a column, empty outside of what was read.
    pub fn cell(&self, depth: u32, col: usize) -> Cell {
        let row = depth.checked_sub(self.depth).and_then(|row| self.rows.get(row as usize));
        row.and_then(|cells| cells.get(col)).copied().unwrap_or(Cell::EMPTY)
    }

    /// Share of the grid during which the stack was not empty, 0 to 1.
    pub fn busy_share(&self) -> f64 {
        if self.busy.is_empty() {
            return 0.0;
        }
        let sum: u64 = self.busy.iter().map(|&b| u64::from(b)).sum();
        sum as f64 / (255.0 * self.busy.len() as f64)
    }

    /// The same calls on another grid, for the moment until that grid has been read: wide calls
    /// keep their exact edges, merged cells go where their middle lies.
    pub fn regrid(&self, grid: Grid) -> Lane {
        if grid == self.grid {
            return self.clone();
        }
        let mut out = Lane::empty(grid, self.depth, self.rows.len() as u32);
        out.deepest = self.deepest;
        out.calls.clone_from(&self.calls);
        for col in 0..usize::from(grid.cols) {
            let middle = grid.edge(col as i64).saturating_add(grid.npc / 2);
            let old = self.grid.col_of(middle);
            let Some(old) = usize::try_from(old).ok().filter(|&c| c < self.busy.len()) else {
                continue;
            };
            out.busy[col] = self.busy[old];
            for (to, from) in out.rows.iter_mut().zip(&self.rows) {
                to[col] = from[old];
            }
        }
        out
    }
}

/// A lane of a trace: a thread, and a fiber of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LaneOf {
    /// Index of the thread.
    pub thread: usize,
    /// Its fiber; 0 is the thread's own stack.
    pub fiber: u32,
}

impl LaneOf {
    /// The thread, if there is such.
    pub fn thread<'t>(&self, trace: &'t Trace) -> Option<&'t Thread> {
        trace.threads.get(self.thread)
    }
}

/// So many fibers of one thread are listed, those that ran first.
const FIBERS_MAX: usize = 4096;

/// The lanes of a trace, by thread: its own stack, then the fibers that ran or wait in it.
pub fn lanes(trace: &Trace) -> Vec<LaneOf> {
    let mut lanes = Vec::new();
    for (thread, of) in trace.threads.iter().enumerate() {
        let mut fibers = BTreeSet::from([0]);
        if !of.has_one_lane() {
            fibers.extend(parallel::map(&of.blocks, |block| fibers_in(trace, block)).concat());
            fibers.extend(of.waiting.iter().map(|(fiber, _)| *fiber));
        }
        let fibers = fibers.into_iter().take(FIBERS_MAX);
        lanes.extend(fibers.map(|fiber| LaneOf { thread, fiber }));
    }
    lanes
}

/// The fibers that run in a block.
fn fibers_in(trace: &Trace, block: &Block) -> Vec<u32> {
    let mut fibers = vec![block.fiber];
    if !block.one_lane
        && let Ok(block) = trace.decode(block)
    {
        let switches = block.rows.iter().filter(|record| {
            record.word.kind() == Some(Kind::Long) && record.word.subkind() == Subkind::SWITCH
        });
        fibers.extend(switches.filter_map(|record| record.payload.first()).map(|&to| to as u32));
        fibers.sort_unstable();
        fibers.dedup();
    }
    fibers
}

/// How many events the blocks hold that a range of ticks touches.
pub fn events_within(thread: &Thread, range: TickRange) -> u64 {
    let touched =
        thread.blocks.iter().filter(|b| b.base_tick < range.to && b.end_tick >= range.from);
    touched.map(|block| block.events).sum()
}

/// The column edges of a grid in ticks: column `c` is `[edges[c], edges[c + 1])`.
fn edges(grid: Grid, clock: &Clock) -> Vec<u64> {
    (0..=i64::from(grid.cols)).map(|col| clock.tick_at(grid.edge(col))).collect()
}
