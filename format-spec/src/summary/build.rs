//! Makes summaries, in one pass over a chunk's records.

use super::{FunctionSummary, Longest, ROWS_MAX, SLICES, Slice, Spans, Summary};
use crate::histogram::{self, Histogram};
use crate::record::{Effect, Kind, Subkind, Word};
use crate::rows::{Rows, ticks_of};
use crate::stack::{Stack, Step};
use crate::symbol::UNKNOWN_ID;

/// Makes summaries; keeps its tables from chunk to chunk.
///
/// Per-function sums lie in a table indexed by id, so ids are bounded when the
/// builder is made: an id at or above the bound counts as unknown.
pub struct SummaryBuilder {
    functions: Vec<Sums>,
    touched: Vec<u32>,
    spans: SpanCounts,
    rows: Vec<[Vote; SLICES]>,
}

/// Running sums of one function.
#[derive(Clone, Copy, Default)]
struct Sums {
    touched: bool,
    /// How many of its frames are open.
    open: u32,
    /// Since when at least one has been.
    since: u64,
    calls: u64,
    self_ticks: u64,
    total_ticks: u64,
    spans: u64,
    min: u64,
    max: u64,
}

/// A weighted majority vote over one slice of one depth.
#[derive(Clone, Copy, Default)]
struct Vote {
    id: u32,
    weight: u64,
    ticks: u64,
}

impl Vote {
    #[inline]
    fn cast(&mut self, id: u32, ticks: u64) {
        self.ticks += ticks;
        if self.id == id {
            self.weight += ticks;
        } else if self.weight >= ticks {
            self.weight -= ticks;
        } else {
            self.weight = ticks - self.weight;
            self.id = id;
        }
    }
}

/// The span of time that a chunk covers.
#[derive(Clone, Copy)]
struct Window {
    base: u64,
    end: u64,
}

impl Window {
    /// The tick at which slice `k` begins, and the one before it ends.
    fn edge(&self, k: usize) -> u64 {
        let len = u128::from(self.end - self.base);
        self.base + (len * k as u128 / SLICES as u128) as u64
    }

    fn slice_of(&self, tick: u64) -> usize {
        let len = u128::from(self.end - self.base).max(1);
        let k = (u128::from(tick - self.base) * SLICES as u128 / len) as usize;
        // Division rounds edges down, so that the slice found may end before the tick.
        let k = k.min(SLICES - 1);
        if k + 1 < SLICES && self.edge(k + 1) <= tick { k + 1 } else { k }
    }
}

impl SummaryBuilder {
    /// A builder for symbols with ids below `ids`.
    pub fn new(ids: usize) -> SummaryBuilder {
        SummaryBuilder {
            functions: vec![Sums::default(); ids.max(1)],
            touched: Vec::new(),
            spans: SpanCounts::default(),
            rows: Vec::new(),
        }
    }

    /// Raises the bound of ids.
    pub fn grow(&mut self, ids: usize) {
        if ids > self.functions.len() {
            self.functions.resize(ids, Sums::default());
        }
    }

    /// Summarizes `rows`, which begin on `stack`, and moves `stack` to their end.
    pub fn summarize(&mut self, rows: &Rows, stack: &mut Stack) -> Summary {
        let window = Window { base: rows.base_tick, end: rows.end_tick().max(rows.base_tick) };
        let mut summary = Summary { max_depth: stack.depth(), ..Summary::default() };
        // When each frame entered the chunk, for the depth rows.
        let mut entered = vec![window.base; (stack.depth() as usize).min(ROWS_MAX)];
        for frame in stack.outer().iter().chain(stack.inner()) {
            self.open(frame.id(), window.base);
        }
        let mut tick = window.base;
        let mut last = tick;
        let mut top = self.top(stack);
        for &row in &rows.rows {
            let word = Word(row);
            tick = tick.wrapping_add(ticks_of(word));
            let effect = word.kind().map_or(Effect::None, Kind::effect);
            if effect == Effect::None {
                if word.kind() == Some(Kind::Long) && word.subkind() == Subkind::EXCEPTION {
                    summary.exceptions += 1;
                }
                continue;
            }
            let spent = tick.saturating_sub(last);
            last = tick;
            if let Some(id) = top {
                self.sums(id).self_ticks += spent;
                summary.busy_ticks += spent;
            }
            match stack.apply(word, tick) {
                Step::Entered { depth } => {
                    let id = word.id();
                    self.open(id, tick);
                    let first = matches!(word.kind(), Some(Kind::Call | Kind::CCall));
                    self.sums(id).calls += u64::from(first);
                    summary.calls += u64::from(word.kind() == Some(Kind::Call));
                    summary.max_depth = summary.max_depth.max(depth + 1);
                    if (depth as usize) < ROWS_MAX {
                        entered.truncate(depth as usize);
                        entered.push(tick);
                    }
                    top = Some(self.bound(id));
                }
                Step::Left { depth, frame, repaired } => {
                    summary.unwinds += u64::from(word.kind() == Some(Kind::Unwind));
                    if repaired > 0 {
                        self.reopen(stack, tick);
                    } else if frame.is_known() {
                        self.close(frame.id(), tick);
                    }
                    if frame.has_start() {
                        let ticks = tick.saturating_sub(frame.tick);
                        self.span(frame.id(), ticks);
                        if ticks > summary.longest.ticks {
                            let start = frame.tick.saturating_sub(window.base);
                            summary.longest = Longest { ticks, id: frame.id(), start };
                        }
                    }
                    while entered.len() > depth as usize {
                        let row = entered.len() - 1;
                        let from = entered.pop().unwrap_or(tick);
                        self.occupy(row, word.id(), from, tick, window);
                    }
                    top = self.top(stack);
                }
                Step::Unmatched { .. } | Step::Other => {}
            }
        }
        if let Some(id) = top {
            let spent = window.end.saturating_sub(last);
            self.sums(id).self_ticks += spent;
            summary.busy_ticks += spent;
        }
        for (row, &from) in entered.iter().enumerate() {
            let id = stack.frame(row as u32).map_or(UNKNOWN_ID, |frame| frame.id());
            self.occupy(row, id, from, window.end, window);
        }
        self.finish(window, &mut summary);
        summary
    }

    #[inline]
    fn bound(&self, id: u32) -> u32 {
        if (id as usize) < self.functions.len() { id } else { UNKNOWN_ID }
    }

    /// The function that is innermost, if any frame is open.
    #[inline]
    fn top(&self, stack: &Stack) -> Option<u32> {
        stack.top().map(|frame| self.bound(frame.id()))
    }

    #[inline]
    fn sums(&mut self, id: u32) -> &mut Sums {
        let id = self.bound(id);
        let sums = &mut self.functions[id as usize];
        if !sums.touched {
            sums.touched = true;
            self.touched.push(id);
        }
        sums
    }

    #[inline]
    fn open(&mut self, id: u32, tick: u64) {
        let sums = self.sums(id);
        if sums.open == 0 {
            sums.since = tick;
        }
        sums.open += 1;
    }

    #[inline]
    fn close(&mut self, id: u32, tick: u64) {
        let sums = self.sums(id);
        sums.open = sums.open.saturating_sub(1);
        if sums.open == 0 {
            sums.total_ticks += tick.saturating_sub(sums.since);
        }
    }

    /// Counts open frames anew after a repair closed several at once.
    #[cold]
    fn reopen(&mut self, stack: &Stack, tick: u64) {
        for i in 0..self.touched.len() {
            let sums = &mut self.functions[self.touched[i] as usize];
            if sums.open > 0 {
                sums.total_ticks += tick.saturating_sub(sums.since);
                sums.open = 0;
            }
        }
        for frame in stack.outer().iter().chain(stack.inner()) {
            self.open(frame.id(), tick);
        }
    }

    #[inline]
    fn span(&mut self, id: u32, ticks: u64) {
        let sums = self.sums(id);
        sums.min = if sums.spans == 0 { ticks } else { sums.min.min(ticks) };
        sums.max = sums.max.max(ticks);
        sums.spans += 1;
        let id = self.bound(id);
        self.spans.add(id, histogram::bin_of(ticks));
    }

    /// Depth `row` was `id`'s in `[from, to)`.
    #[inline]
    fn occupy(&mut self, row: usize, id: u32, from: u64, to: u64, window: Window) {
        // Ticks of hostile records wrap and may lie outside the window.
        if row >= ROWS_MAX || from < window.base || from >= to || to > window.end {
            return;
        }
        if row >= self.rows.len() {
            self.rows.resize(row + 1, [Vote::default(); SLICES]);
        }
        let id = self.bound(id);
        let votes = &mut self.rows[row];
        let mut at = from;
        for (k, vote) in votes.iter_mut().enumerate().skip(window.slice_of(from)) {
            let end = window.edge(k + 1).min(to);
            if end > at {
                vote.cast(id, end - at);
                at = end;
            }
            if at >= to {
                break;
            }
        }
    }

    /// Moves the sums into the summary and clears the tables.
    fn finish(&mut self, window: Window, summary: &mut Summary) {
        self.touched.sort_unstable();
        let mut spans = self.spans.drain();
        for &id in &self.touched {
            let sums = std::mem::take(&mut self.functions[id as usize]);
            let mut total_ticks = sums.total_ticks;
            if sums.open > 0 {
                total_ticks += window.end.saturating_sub(sums.since);
            }
            let histogram = Histogram::from_bins(spans.of(id));
            summary.functions.push(FunctionSummary {
                id,
                calls: sums.calls,
                self_ticks: sums.self_ticks,
                total_ticks,
                spans: Spans { count: sums.spans, min: sums.min, max: sums.max, histogram },
            });
        }
        self.touched.clear();
        for votes in self.rows.drain(..) {
            let mut slices = [Slice::default(); SLICES];
            for (k, vote) in votes.iter().enumerate() {
                let len = window.edge(k + 1) - window.edge(k);
                let share = (u128::from(vote.ticks) * 255).div_ceil(u128::from(len.max(1)));
                slices[k] = Slice { id: vote.id, share: share.min(255) as u8 };
            }
            summary.rows.push(slices);
        }
    }
}

/// Counts of (function, bin) pairs: an open hash table, because a sorted list
/// per function would cost more than everything else here together.
#[derive(Default)]
struct SpanCounts {
    keys: Vec<u64>,
    counts: Vec<u32>,
    used: usize,
}

impl SpanCounts {
    #[inline]
    fn add(&mut self, id: u32, bin: u16) {
        if self.used * 2 >= self.keys.len() {
            self.enlarge();
        }
        // Zero marks an empty place.
        let key = (u64::from(id) << 16 | u64::from(bin)) + 1;
        let slot = self.slot(key);
        if self.keys[slot] == 0 {
            self.keys[slot] = key;
            self.used += 1;
        }
        self.counts[slot] += 1;
    }

    #[inline]
    fn slot(&self, key: u64) -> usize {
        let mask = self.keys.len() - 1;
        let mut slot = (key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize & mask;
        while self.keys[slot] != 0 && self.keys[slot] != key {
            slot = (slot + 1) & mask;
        }
        slot
    }

    #[cold]
    fn enlarge(&mut self) {
        let size = (self.keys.len() * 2).max(1024);
        let keys = std::mem::replace(&mut self.keys, vec![0; size]);
        let counts = std::mem::replace(&mut self.counts, vec![0; size]);
        for (key, count) in keys.into_iter().zip(counts).filter(|&(key, _)| key != 0) {
            let slot = self.slot(key);
            self.keys[slot] = key;
            self.counts[slot] = count;
        }
    }

    /// Every pair, sorted, and an empty table.
    fn drain(&mut self) -> SortedCounts {
        let mut pairs = Vec::with_capacity(self.used);
        for (key, count) in self.keys.iter_mut().zip(&mut self.counts) {
            if *key != 0 {
                pairs.push((*key - 1, *count));
                *key = 0;
                *count = 0;
            }
        }
        self.used = 0;
        pairs.sort_unstable();
        SortedCounts { pairs, at: 0 }
    }
}

struct SortedCounts {
    pairs: Vec<(u64, u32)>,
    at: usize,
}

impl SortedCounts {
    /// The bins of `id`; ids are asked for in ascending order.
    fn of(&mut self, id: u32) -> Vec<(u16, u64)> {
        let from = self.at;
        while self.pairs.get(self.at).is_some_and(|&(key, _)| (key >> 16) as u32 == id) {
            self.at += 1;
        }
        self.pairs[from..self.at].iter().map(|&(key, count)| (key as u16, count.into())).collect()
    }
}

#[cfg(test)]
mod tests;
