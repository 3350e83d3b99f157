//! From calls in order of their ends to cells.
//!
//! Works in any unit of time (ticks of the trace's clock, so that nothing is converted per call);
//! the column edges are given in that unit. Cost per merged call is a comparison and a lookup
//! among the few functions of the present cell.

use super::{Cell, Flags, Grid, Lane, MANY, NO_CALL, Span};

/// A call as the replay of records gives it, in the unit of the raster's edges.
#[derive(Clone, Copy, Debug)]
struct Wide {
    start: u64,
    end: u64,
    symbol: u32,
    flags: Flags,
}

#[derive(Debug)]
struct Row {
    cells: Vec<Cell>,
    /// The cell whose merged functions `tally` holds.
    tallied: usize,
    tally: Vec<(u32, u64)>,
}

/// Builds the cells of one lane.
#[derive(Debug)]
pub struct Raster {
    grid: Grid,
    /// `cols + 1` times: column `c` is `[edges[c], edges[c + 1])`.
    edges: Vec<u64>,
    depth: u32,
    rows: Vec<Row>,
    calls: Vec<Wide>,
    busy: Vec<u64>,
    deepest: u32,
    /// The column of the last call's end: ends come in order, so it rarely moves far.
    hint: usize,
}

/// How much of `[a, b)` lies within `[start, end)`.
pub fn cover(start: u64, end: u64, a: u64, b: u64) -> u64 {
    end.min(b).saturating_sub(start.max(a))
}

impl Raster {
    /// A raster of `rows` rows from `depth` on. `edges` are the `cols + 1` column edges of `grid`
    /// in the unit of time that calls will be given in, in ascending order.
    pub fn new(grid: Grid, edges: Vec<u64>, depth: u32, rows: u32) -> Raster {
        debug_assert_eq!(edges.len(), usize::from(grid.cols) + 1);
        let cols = usize::from(grid.cols);
        let row = || Row { cells: vec![Cell::EMPTY; cols], tallied: usize::MAX, tally: Vec::new() };
        Raster {
            grid,
            edges,
            depth,
            rows: (0..rows).map(|_| row()).collect(),
            calls: Vec::new(),
            busy: vec![0; cols],
            deepest: 0,
            hint: 0,
        }
    }

    /// First time on the grid, in the raster's unit.
    pub fn start(&self) -> u64 {
        self.edges.first().copied().unwrap_or(0)
    }

    /// First time after the grid, in the raster's unit.
    pub fn end(&self) -> u64 {
        self.edges.last().copied().unwrap_or(0)
    }

    /// A call at `depth`. Of one depth, calls must come in order of time.
    pub fn call(&mut self, depth: u32, symbol: u32, start: u64, end: u64, flags: Flags) {
        self.add(depth, symbol, start, end, flags, 1);
    }

    /// A stretch of which only a summary is known: `symbol` held most of it. A stretch that it
    /// held (nearly) alone is drawn as a call, else as merged calls of unknown number.
    pub fn slice(&mut self, depth: u32, symbol: u32, start: u64, end: u64, alone: bool) {
        if alone {
            let flags = Flags { approximate: true, ..Flags::default() };
            self.add(depth, symbol, start, end, flags, MANY);
            return;
        }
        let Some(range) = self.columns(start, end) else { return };
        self.reached(depth);
        for col in range {
            let share = cover(start, end, self.edges[col], self.edges[col + 1]);
            self.merge(depth, col, symbol, share, MANY);
        }
    }

    /// Marks the cell of `tick` in the row of `depth` as one where an exception passed.
    pub fn exception(&mut self, depth: u32, tick: u64) {
        let Some(range) = self.columns(tick, tick) else { return };
        let row = depth.checked_sub(self.depth).and_then(|row| self.rows.get_mut(row as usize));
        if let Some(cell) = row.and_then(|row| row.cells.get_mut(range.start)) {
            cell.exception = true;
        }
    }

    /// The stack was not empty during `[start, end)`.
    pub fn busy(&mut self, start: u64, end: u64) {
        let Some(range) = self.columns(start, end) else { return };
        for col in range {
            self.busy[col] += cover(start, end, self.edges[col], self.edges[col + 1]);
        }
    }

    /// A frame was entered at `depth`, whether or not it is drawn.
    pub fn reached(&mut self, depth: u32) {
        self.deepest = self.deepest.max(depth.saturating_add(1));
    }

    /// The finished cells; `to_ns` converts a time of the raster's unit.
    pub fn finish(self, approximate: bool, to_ns: impl Fn(u64) -> i64) -> Lane {
        let calls = self.calls.iter().map(|call| Span {
            start: to_ns(call.start),
            end: if call.end == u64::MAX { i64::MAX } else { to_ns(call.end) },
            symbol: call.symbol,
            flags: call.flags,
        });
        let width = |col: usize| (self.edges[col + 1] - self.edges[col]).max(1);
        let share =
            |(col, ticks): (usize, &u64)| (*ticks * 255).div_ceil(width(col)).min(255) as u8;
        Lane {
            grid: self.grid,
            depth: self.depth,
            calls: calls.collect(),
            busy: self.busy.iter().enumerate().map(share).collect(),
            rows: self.rows.into_iter().map(|row| row.cells).collect(),
            deepest: self.deepest,
            approximate,
        }
    }

    fn add(&mut self, depth: u32, symbol: u32, start: u64, end: u64, flags: Flags, count: u32) {
        let Some(range) = self.columns(start, end) else { return };
        self.reached(depth);
        let Some(row) = depth.checked_sub(self.depth) else { return };
        if row as usize >= self.rows.len() {
            return;
        }
        let mut drawn = NO_CALL;
        let mut best = (range.start, 0);
        for col in range.clone() {
            let (a, b) = (self.edges[col], self.edges[col + 1]);
            let covered = cover(start, end, a, b);
            if covered > best.1 {
                best = (col, covered);
            }
            if covered == 0 || covered * 2 < b - a {
                continue;
            }
            // Two calls may cover exactly half each: the earlier keeps the cell.
            if self.rows[row as usize].cells[col].call != NO_CALL {
                continue;
            }
            if drawn == NO_CALL {
                drawn = self.calls.len() as u32;
                self.calls.push(Wide { start, end, symbol, flags });
            }
            self.rows[row as usize].cells[col].call = drawn;
        }
        if drawn == NO_CALL {
            self.merge(depth, best.0, symbol, best.1, count);
        }
        if flags.unwound && range.end > 0 {
            let last = self.edges[range.end];
            if end <= last {
                self.rows[row as usize].cells[range.end - 1].exception = true;
            }
        }
    }

    fn merge(&mut self, depth: u32, col: usize, symbol: u32, ticks: u64, count: u32) {
        let row = depth.checked_sub(self.depth).and_then(|row| self.rows.get_mut(row as usize));
        let Some(row) = row else { return };
        if row.tallied != col {
            row.tallied = col;
            row.tally.clear();
        }
        let place = match row.tally.iter().position(|&(s, _)| s == symbol) {
            Some(place) => place,
            None => {
                row.tally.push((symbol, 0));
                row.tally.len() - 1
            }
        };
        row.tally[place].1 += ticks;
        let cell = &mut row.cells[col];
        let leader = row.tally.iter().find(|&&(s, _)| s == cell.symbol).map_or(0, |t| t.1);
        if cell.merged == 0 || row.tally[place].1 > leader {
            cell.symbol = symbol;
        }
        cell.merged = if count == MANY { MANY } else { cell.merged.saturating_add(count) };
    }

    /// The columns that `[start, end)` touches; that of `start` for an empty one.
    fn columns(&mut self, start: u64, end: u64) -> Option<std::ops::Range<usize>> {
        let cols = self.edges.len() - 1;
        if cols == 0 || start >= self.end() || (end <= self.start() && start < self.start()) {
            return None;
        }
        // The common case at a glance: all of it within the column that the last call ended in.
        let (a, b) = (self.edges[self.hint], self.edges[self.hint + 1]);
        if a <= start && start < b && end <= b {
            return Some(self.hint..self.hint + 1);
        }
        let column = |time: u64| self.edges.partition_point(|&edge| edge <= time).max(1) - 1;
        let first = column(start);
        let last = column(end.saturating_sub(1).max(start)).min(cols - 1);
        self.hint = last;
        Some(first..last + 1)
    }
}

#[cfg(test)]
mod tests;
