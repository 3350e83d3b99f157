//! One thread's account: who was open, who was innermost, for how long.

use std::collections::HashMap;
use std::ops::ControlFlow;

use rtrace_format::summary::{FunctionSummary, Spans as SpanSums};
use rtrace_format::{Kind, Stack, Step};

use super::{Function, Spans};
use crate::model::{Gap, SymbolId, TickRange};
use crate::query::FastHash;
use crate::trace::{Event, Lane, Visitor};

/// Running sums of one function.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    calls: u64,
    self_ticks: u64,
    total_ticks: u64,
    spans: SpanSums,
    seen: bool,
}

impl Figures {
    /// Adds what another thread or range gave.
    pub fn merge(&mut self, other: &Self) {
        if !other.is_worth_a_row() {
            return;
        }
        self.calls += other.calls;
        self.self_ticks = self.self_ticks.saturating_add(other.self_ticks);
        self.total_ticks = self.total_ticks.saturating_add(other.total_ticks);
        self.spans.merge(&other.spans);
        self.seen |= other.seen;
    }

    /// Adds what a summary says of a stretch of time.
    pub fn add(&mut self, summary: &FunctionSummary) {
        self.calls += summary.calls;
        self.self_ticks = self.self_ticks.saturating_add(summary.self_ticks);
        self.total_ticks = self.total_ticks.saturating_add(summary.total_ticks);
        self.spans.merge(&summary.spans);
        self.seen = true;
    }

    /// Whether it ran, or stood on a stack.
    pub fn is_worth_a_row(&self) -> bool {
        self.seen || self.self_ticks > 0
    }

    /// The row of this function.
    pub fn row(&self, symbol: SymbolId) -> Function {
        let sums = &self.spans;
        let spans = sums.quantile(500).zip(sums.quantile(990)).map(|(p50, p99)| Spans {
            min: sums.min,
            p50,
            p99,
            max: sums.max,
            sums: sums.clone(),
        });
        Function {
            symbol,
            calls: self.calls,
            self_ticks: self.self_ticks,
            total_ticks: self.total_ticks,
            spans,
        }
    }
}

/// How often a function is open on a lane, and since when it is at least once.
#[derive(Clone, Copy, Debug, Default)]
struct Open {
    count: u32,
    since: u64,
}

/// What is open on a lane, by function. A thread's own stack has a place for every id,
/// which is quick; greenlets may be thousands and have places for what they use.
#[derive(Debug)]
enum OpenTable {
    Dense(Vec<Open>),
    Sparse(HashMap<SymbolId, Open, FastHash>),
}

impl OpenTable {
    fn of_fiber(fiber: u32) -> Self {
        if fiber == 0 { Self::Dense(Vec::new()) } else { Self::Sparse(HashMap::default()) }
    }

    #[inline]
    fn slot(&mut self, id: SymbolId) -> &mut Open {
        match self {
            Self::Dense(all) => {
                let at = id as usize;
                if at >= all.len() {
                    all.resize(at + 1, Open::default());
                }
                &mut all[at]
            }
            Self::Sparse(some) => some.entry(id).or_default(),
        }
    }

    /// Empties the table and gives what was open.
    fn drain(&mut self) -> Vec<(SymbolId, Open)> {
        let all: Vec<(SymbolId, Open)> = match self {
            Self::Dense(all) => (0..).zip(all.drain(..)).collect(),
            Self::Sparse(some) => some.drain().collect(),
        };
        all.into_iter().filter(|(_, open)| open.count > 0).collect()
    }
}

/// One lane's account. A lane that waits is as a thread that does: what it has open stays open.
#[derive(Debug)]
struct Account {
    /// Up to when its time is counted.
    now: u64,
    /// The innermost function, if a frame is open.
    top: Option<SymbolId>,
    open: OpenTable,
}

impl Account {
    fn of_fiber(fiber: u32) -> Self {
        Self { now: 0, top: None, open: OpenTable::of_fiber(fiber) }
    }
}

/// Adds up one thread.
#[derive(Debug)]
pub struct Ledger {
    range: TickRange,
    /// The sums, by symbol.
    pub figures: Vec<Figures>,
    /// The lanes that do not run.
    parked: HashMap<u32, Account>,
    /// The running lane's fiber, once there is one, and its account.
    current: Option<u32>,
    running: Account,
}

impl Ledger {
    /// An account of what lies in `range`.
    pub fn new(range: TickRange) -> Self {
        Self {
            range,
            figures: Vec::new(),
            parked: HashMap::new(),
            current: None,
            running: Account::of_fiber(0),
        }
    }

    /// Counts what is open up to `end`.
    pub fn finish(&mut self, end: u64) {
        self.close_all(end);
    }

    #[inline]
    fn figures(&mut self, id: SymbolId) -> &mut Figures {
        let at = id as usize;
        if at >= self.figures.len() {
            self.figures.resize_with(at + 1, Figures::default);
        }
        &mut self.figures[at]
    }

    /// Counts the running lane's time up to `tick`.
    #[inline]
    fn advance(&mut self, tick: u64) {
        if tick <= self.running.now {
            return;
        }
        let spent = tick - self.running.now;
        self.running.now = tick;
        if let Some(top) = self.running.top {
            self.figures(top).self_ticks += spent;
        }
    }

    #[inline]
    fn enter(&mut self, id: SymbolId) {
        let now = self.running.now;
        let open = self.running.open.slot(id);
        if open.count == 0 {
            open.since = now;
        }
        open.count += 1;
        self.figures(id).seen = true;
    }

    #[inline]
    fn leave(&mut self, id: SymbolId) {
        let now = self.running.now;
        let open = self.running.open.slot(id);
        if open.count == 0 {
            return;
        }
        open.count -= 1;
        if open.count == 0 {
            let spent = now - open.since;
            self.figures(id).total_ticks += spent;
        }
    }

    /// Ends what is open on the running lane, and counts its time so far.
    fn close_running(&mut self) {
        let now = self.running.now;
        for (id, open) in self.running.open.drain() {
            self.figures(id).total_ticks += now - open.since;
        }
        self.running.top = None;
    }

    /// Opens every frame of `stack` on the running lane.
    fn open_all(&mut self, stack: &Stack) {
        for frame in stack.outer().iter().chain(stack.inner()) {
            self.enter(frame.id());
        }
        self.running.top = stack.top().map(|frame| frame.id());
    }

    /// Makes `fiber` the lane that the methods above work on.
    fn turn_to(&mut self, fiber: Option<u32>) {
        if fiber == self.current {
            return;
        }
        let account = fiber.and_then(|fiber| self.parked.remove(&fiber));
        let account = account.unwrap_or_else(|| Account::of_fiber(fiber.unwrap_or(0)));
        let before = std::mem::replace(&mut self.running, account);
        if let Some(parked) = self.current {
            self.parked.insert(parked, before);
        }
        self.current = fiber;
    }

    fn close_all(&mut self, tick: u64) {
        self.turn_to(None);
        for (_, account) in std::mem::take(&mut self.parked) {
            self.running = account;
            self.advance(tick);
            self.close_running();
        }
        self.running = Account::of_fiber(0);
    }
}

impl Visitor for Ledger {
    fn begin(&mut self, lane: &Lane, tick: u64) {
        let before = self.current;
        self.turn_to(Some(lane.fiber));
        self.advance(tick);
        self.close_running();
        self.open_all(&lane.stack);
        self.turn_to(before);
    }

    fn switched(&mut self, lane: &Lane, tick: u64) {
        self.turn_to(Some(lane.fiber));
        self.advance(tick);
    }

    #[inline]
    fn event(&mut self, event: &Event<'_>) -> ControlFlow<()> {
        let word = event.record.word;
        match event.step {
            Step::Entered { .. } => {
                self.advance(event.record.tick);
                self.enter(word.id());
                let first = matches!(word.kind(), Some(Kind::Call | Kind::CCall));
                self.figures(word.id()).calls += u64::from(first);
                self.running.top = Some(word.id());
            }
            Step::Left { frame, repaired, .. } => {
                self.advance(event.record.tick);
                if repaired > 0 {
                    // The frames above it are gone as well; what is left says which.
                    self.close_running();
                    self.open_all(&event.lane.stack);
                } else if frame.is_known() {
                    self.leave(frame.id());
                }
                if frame.has_start() {
                    let ticks = event.record.tick.saturating_sub(frame.tick);
                    self.figures(frame.id()).spans.record(ticks);
                }
                self.running.top = event.lane.stack.top().map(|frame| frame.id());
            }
            Step::Unmatched { .. } | Step::Other => {}
        }
        ControlFlow::Continue(())
    }

    fn gap(&mut self, gap: &Gap) {
        self.close_all(self.range.clamp(gap.from_tick));
    }
}
