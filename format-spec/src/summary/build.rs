//! Makes summaries, in one pass over a chunk's records.

mod lengths;
mod straight;

use self::lengths::Lengths;
use super::{FunctionSummary, Head, Longest, ROWS_MAX, SLICES, Slice, Spans, Summary};
use crate::histogram::{self, Histogram};
use crate::record::{Effect, ID_MASK, Kind, Subkind, Word};
use crate::rows::{Rows, ticks_of};
use crate::stack::{Stack, Step};
use crate::symbol::UNKNOWN_ID;

/// Makes summaries; keeps its tables from chunk to chunk.
///
/// Per-function sums lie in a table indexed by id, so ids are bounded when the
/// builder is made: an id at or above the bound counts as unknown.
pub struct SummaryBuilder {
    /// By id; one more for the time in which no frame is open.
    functions: Vec<Sums>,
    ids: u32,
    touched: Vec<u32>,
    lengths: Lengths,
    rows: Vec<[Vote; SLICES]>,
}

/// Running sums of one function: a cache line.
#[derive(Clone, Copy, Default)]
#[repr(align(64))]
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

/// Where the pass over a chunk's records is.
struct Pass {
    window: Window,
    head: Head,
    /// When the frame at each depth entered the chunk, for the depth rows.
    entered: [u64; ROWS_MAX],
    tick: u64,
    /// Up to when self time is counted.
    last: u64,
    /// The place of the innermost function's sums.
    top: usize,
}

/// A weighted majority vote over one slice of one depth.
#[derive(Clone, Copy, Default)]
pub(super) struct Vote {
    id: u32,
    weight: u64,
    ticks: u64,
}

impl Vote {
    /// Votes for `id` with so many ticks, or any other measure of time.
    #[inline]
    pub(super) fn cast(&mut self, id: u32, ticks: u64) {
        self.ticks = self.ticks.saturating_add(ticks);
        if self.id == id {
            self.weight = self.weight.saturating_add(ticks);
        } else if self.weight >= ticks {
            self.weight -= ticks;
        } else {
            self.weight = ticks - self.weight;
            self.id = id;
        }
    }
}

/// The sixteenths of the chunk's time, and the one that the replay has reached.
pub(super) struct Window {
    pub(super) edges: [u64; SLICES + 1],
    now: usize,
}

impl Window {
    pub(super) fn new(base: u64, end: u64) -> Window {
        let len = u128::from(end - base);
        let edge = |k: usize| base + (len * k as u128 / SLICES as u128) as u64;
        Window { edges: std::array::from_fn(edge), now: 0 }
    }

    fn base(&self) -> u64 {
        self.edges[0]
    }

    fn end(&self) -> u64 {
        self.edges[SLICES]
    }

    /// Moves on to `tick`, which is not before the one reached.
    #[inline]
    fn reach(&mut self, tick: u64) {
        while self.now + 1 < SLICES && self.edges[self.now + 1] <= tick {
            self.now += 1;
        }
    }

    /// The slice of a tick that has been reached: nearly always the current one.
    #[inline]
    fn slice_of(&self, tick: u64) -> usize {
        if tick >= self.edges[self.now] {
            return self.now;
        }
        self.edges[..=self.now].partition_point(|&edge| edge <= tick).saturating_sub(1)
    }

    /// The slice of any tick.
    pub(super) fn slice_at(&self, tick: u64) -> usize {
        self.edges[..SLICES].partition_point(|&edge| edge <= tick).saturating_sub(1)
    }

    /// What came of the votes; `unit` is what one tick counted in them.
    pub(super) fn slices(&self, votes: &[Vote; SLICES], unit: u64) -> [Slice; SLICES] {
        std::array::from_fn(|k| {
            let vote = &votes[k];
            let len = u128::from((self.edges[k + 1] - self.edges[k]).max(1)) * u128::from(unit);
            let share = (u128::from(vote.ticks) * 255).div_ceil(len);
            Slice { id: vote.id, share: share.min(255) as u8 }
        })
    }
}

impl SummaryBuilder {
    /// A builder for symbols with ids below `ids`.
    pub fn new(ids: usize) -> SummaryBuilder {
        let ids = ids.clamp(1, ID_MASK as usize);
        SummaryBuilder {
            functions: vec![Sums::default(); ids + 1],
            ids: ids as u32,
            touched: Vec::new(),
            lengths: Lengths::default(),
            rows: Vec::new(),
        }
    }

    /// Raises the bound of ids.
    pub fn grow(&mut self, ids: usize) {
        let ids = ids.min(ID_MASK as usize);
        if ids > self.ids as usize {
            self.functions.resize(ids + 1, Sums::default());
            self.ids = ids as u32;
        }
    }

    /// Summarizes `rows`, which begin on `stack`, and moves `stack` to their end.
    pub fn summarize(&mut self, rows: &Rows, stack: &mut Stack) -> Summary {
        let base = rows.base_tick;
        let head = Head { max_depth: stack.depth(), ..Head::default() };
        self.open_all(stack, base);
        let window = Window::new(base, rows.end_tick().max(base));
        let top = self.top(stack);
        let mut pass =
            Pass { window, head, entered: [base; ROWS_MAX], tick: base, last: base, top };
        let straight = self.straight(&rows.rows, stack, &mut pass);
        for &row in &rows.rows[straight..] {
            self.step(Word(row), stack, &mut pass);
        }
        let Pass { mut window, head, entered, last, top, .. } = pass;
        self.functions[top].self_ticks += window.end().saturating_sub(last);
        window.reach(window.end());
        for (depth, &from) in entered.iter().enumerate().take(stack.depth() as usize) {
            let id = stack.frame(depth as u32).map_or(UNKNOWN_ID, |frame| frame.id());
            self.occupy(depth, id, from, window.end(), &window);
        }
        self.finish(&window, head)
    }

    /// Takes any record.
    fn step(&mut self, word: Word, stack: &mut Stack, pass: &mut Pass) {
        pass.tick = pass.tick.wrapping_add(ticks_of(word));
        let (tick, head) = (pass.tick, &mut pass.head);
        let Some(kind) = word.kind() else { return };
        if kind.effect() == Effect::None {
            if kind == Kind::Long {
                head.exceptions += u64::from(word.subkind() == Subkind::EXCEPTION);
                head.unnumbered += u64::from(!word.is_numbered());
            }
            return;
        }
        self.functions[pass.top].self_ticks += tick.saturating_sub(pass.last);
        pass.last = tick;
        pass.window.reach(tick);
        let before = stack.depth();
        match stack.apply(word, tick) {
            Step::Entered { depth } => {
                let first = matches!(kind, Kind::Call | Kind::CCall);
                pass.top = self.open(word.id(), tick);
                self.functions[pass.top].calls += u64::from(first);
                head.calls += u64::from(kind == Kind::Call);
                head.max_depth = head.max_depth.max(depth + 1);
                if let Some(entered) = pass.entered.get_mut(depth as usize) {
                    *entered = tick;
                }
            }
            Step::Left { depth, frame, repaired } => {
                head.unwinds += u64::from(kind == Kind::Unwind);
                if repaired > 0 {
                    self.reopen(stack, tick);
                } else {
                    self.close(frame.id(), tick);
                }
                if frame.has_start() {
                    let ticks = tick.saturating_sub(frame.tick);
                    self.span(frame.id(), ticks);
                    if ticks > head.longest.ticks {
                        let start = frame.tick.saturating_sub(pass.window.base());
                        head.longest = Longest { ticks, id: frame.id(), start };
                    }
                }
                for depth in (depth..before).take(ROWS_MAX) {
                    if let Some(&from) = pass.entered.get(depth as usize) {
                        self.occupy(depth as usize, word.id(), from, tick, &pass.window);
                    }
                }
                pass.top = self.top(stack);
            }
            Step::Unmatched { .. } | Step::Other => {}
        }
    }

    #[inline]
    fn bound(&self, id: u32) -> usize {
        if id < self.ids { id as usize } else { UNKNOWN_ID as usize }
    }

    /// The place of the innermost function's sums; that of nobody's while no frame is open.
    #[inline]
    fn top(&self, stack: &Stack) -> usize {
        stack.top().map_or(self.ids as usize, |frame| self.bound(frame.id()))
    }

    /// One more frame of `id` is open. Gives the place of its sums.
    #[inline]
    fn open(&mut self, id: u32, tick: u64) -> usize {
        let at = self.bound(id);
        let sums = &mut self.functions[at];
        if !sums.touched {
            sums.touched = true;
            self.touched.push(at as u32);
        }
        if sums.open == 0 {
            sums.since = tick;
        }
        sums.open = sums.open.saturating_add(1);
        at
    }

    #[inline]
    fn close(&mut self, id: u32, tick: u64) {
        let at = self.bound(id);
        let sums = &mut self.functions[at];
        debug_assert!(sums.open > 0, "only open frames are left");
        sums.open = sums.open.saturating_sub(1);
        if sums.open == 0 {
            sums.total_ticks += tick.saturating_sub(sums.since);
        }
    }

    /// Counts every frame of `stack` as open.
    fn open_all(&mut self, stack: &Stack, tick: u64) {
        for frame in stack.outer().iter().chain(stack.inner()) {
            self.open(frame.id(), tick);
        }
        if stack.hidden() > 0 {
            let at = self.open(UNKNOWN_ID, tick);
            let open = &mut self.functions[at].open;
            *open = open.saturating_add(stack.hidden() - 1);
        }
    }

    /// Counts open frames anew after a repair closed several at once.
    #[cold]
    fn reopen(&mut self, stack: &Stack, tick: u64) {
        for &at in &self.touched {
            let sums = &mut self.functions[at as usize];
            if sums.open > 0 {
                sums.total_ticks += tick.saturating_sub(sums.since);
                sums.open = 0;
            }
        }
        self.open_all(stack, tick);
    }

    #[inline]
    fn span(&mut self, id: u32, ticks: u64) {
        let at = self.bound(id);
        let sums = &mut self.functions[at];
        sums.min = if sums.spans == 0 { ticks } else { sums.min.min(ticks) };
        sums.max = sums.max.max(ticks);
        sums.spans += 1;
        self.lengths.add(at as u32, histogram::bin_of(ticks));
    }

    /// Depth `row` was `id`'s in `[from, to)`.
    #[inline]
    fn occupy(&mut self, row: usize, id: u32, from: u64, to: u64, window: &Window) {
        // Ticks of hostile records wrap and may lie outside the window.
        if from < window.base() || from >= to || to > window.end() {
            return;
        }
        if row >= self.rows.len() {
            self.rows.resize(row + 1, [Vote::default(); SLICES]);
        }
        let id = self.bound(id) as u32;
        let votes = &mut self.rows[row];
        let first = window.slice_of(from);
        if window.edges[first + 1] >= to {
            votes[first].cast(id, to - from);
            return;
        }
        let mut at = from;
        for (vote, &edge) in votes.iter_mut().zip(&window.edges[1..]).skip(first) {
            let end = edge.min(to);
            if end > at {
                vote.cast(id, end - at);
                at = end;
            }
        }
    }

    /// Moves the sums into a summary and clears the tables.
    fn finish(&mut self, window: &Window, mut head: Head) -> Summary {
        let idle = std::mem::take(&mut self.functions[self.ids as usize]).self_ticks;
        head.busy_ticks = (window.end() - window.base()).saturating_sub(idle);
        self.touched.sort_unstable();
        let counts = self.touched.iter().map(|&id| self.functions[id as usize].spans as usize);
        let mut lengths = self.lengths.sorted(&self.touched, counts);
        let mut functions = Vec::with_capacity(self.touched.len());
        for &id in &self.touched {
            let sums = std::mem::take(&mut self.functions[id as usize]);
            let mut total_ticks = sums.total_ticks;
            if sums.open > 0 {
                total_ticks += window.end().saturating_sub(sums.since);
            }
            let histogram = Histogram::of_ascending(lengths.next(sums.spans as usize));
            functions.push(FunctionSummary {
                id,
                calls: sums.calls,
                self_ticks: sums.self_ticks,
                total_ticks,
                spans: Spans { count: sums.spans, min: sums.min, max: sums.max, histogram },
                children: 0,
            });
        }
        self.touched.clear();
        let mut rows = Vec::with_capacity(self.rows.len());
        for votes in self.rows.drain(..) {
            rows.push(window.slices(&votes, 1));
        }
        Summary { head, rows, functions: Some(functions) }
    }
}

#[cfg(test)]
mod tests;
