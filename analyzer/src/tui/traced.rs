//! The source that is a trace.

mod diff;
mod events;
mod labels;
mod moment;
mod source;
mod tables;

use std::collections::HashSet;
use std::sync::Arc;

use crate::escape;
use crate::model::{End, Missing, SymbolId, Thread, TickRange};
use crate::query::calls::{self, Call, CallAt, CallEnd};
use crate::query::timeline::{self, Gap, GapKind, Lane, LaneOf};
use crate::trace::{OpenOptions, Selection, Trace};

use super::source::{
    CallTree, Density, DiffAsk, DiffPage, Ended, EventPage, EventsAsk, Exceptions, Find, Functions,
    Hits, Label, LaneAsk, LaneInfo, Moment, MomentAsk, Overview, Part, Selected, Source, SourceAsk,
    SourcePage, State, Step,
};
use super::worker::Ticket;

/// Up to so many events are decoded for a lane's cells before anything is shown: with a screen
/// full of lanes that is a tenth of a second.
const AT_ONCE: u64 = 300_000;
/// Beyond so many the summaries' picture is left as it is.
const AT_ALL: u64 = 40_000_000;
/// How many events the first screen of a killed program holds, about.
const LAST_EVENTS: u64 = 300;

/// A trace as the screens see it.
pub struct Traced {
    trace: Trace,
    options: OpenOptions,
    /// A trace to compare with.
    other: Option<Arc<Trace>>,
    /// What is to be shown first, where that was asked for.
    range: (Option<i64>, Option<i64>),
    lanes: Vec<LaneOf>,
    labels: Arc<Vec<Label>>,
}

impl Traced {
    /// The source of a trace that was opened with `options`, to show `range` first.
    pub fn new(trace: Trace, options: OpenOptions, range: (Option<i64>, Option<i64>)) -> Traced {
        let lanes = timeline::lanes(&trace);
        let labels = Arc::new(labels::of(&trace));
        Traced { trace, options, other: None, range, lanes, labels }
    }

    /// With a trace to compare with, the one before.
    pub fn against(mut self, other: Option<Arc<Trace>>) -> Traced {
        self.other = other;
        self
    }

    fn ns(&self, tick: u64) -> i64 {
        self.trace.clock.ns(tick)
    }

    fn ticks(&self, from: i64, to: i64) -> TickRange {
        TickRange { from: self.trace.clock.tick_at(from), to: self.trace.clock.tick_at(to) }
    }

    /// A part of the trace as the queries take it.
    fn selection(&self, part: &Part) -> Selection {
        let mut selection = Selection::everything(&self.trace);
        selection.range = self.ticks(part.from, part.to);
        if let Some(of) = part.lane.and_then(|lane| self.lanes.get(lane)) {
            selection.threads = vec![of.thread];
            selection.all_threads = self.trace.threads.len() == 1;
        }
        selection.functions = part.functions.as_ref().map(|functions| {
            (0..self.trace.symbols.len() as u32).map(|id| functions.contains(&id)).collect()
        });
        selection
    }

    /// The minimap's column of a tick.
    fn minimap_column(&self, cols: u16) -> impl Fn(u64) -> usize + '_ {
        let (begin, end) = self.bounds();
        let span = i128::from(end - begin).max(1);
        let last = usize::from(cols).saturating_sub(1);
        move |tick| {
            let ns = i128::from(self.ns(tick) - begin).max(0);
            ((ns * i128::from(cols) / span) as usize).min(last)
        }
    }

    /// First nanosecond, and first after the last.
    fn bounds(&self) -> (i64, i64) {
        let born = self.trace.threads.iter().map(|thread| self.ns(thread.born_tick));
        let begin = born.min().unwrap_or(0).max(0);
        (begin, self.ns(self.trace.last_tick).saturating_add(1).max(begin + 1))
    }

    fn state(&self) -> State {
        let any = |end| self.trace.processes.iter().any(|process| process.end == end);
        if any(End::Running) {
            State::Live
        } else if self.trace.processes.first().is_some_and(|first| first.end == End::Killed) {
            State::Dead
        } else if any(End::Unknown) {
            State::Unknown
        } else {
            State::Finished
        }
    }

    fn lane_info(&self, of: LaneOf) -> Option<LaneInfo> {
        let thread = of.thread(&self.trace)?;
        let missing = |wanted: fn(&Missing) -> bool| -> u64 {
            thread.gaps().filter(|gap| wanted(&gap.why)).map(|gap| gap.count).sum()
        };
        let mut name = escape::text(&thread.name).into_owned();
        if name.is_empty() {
            name = format!("thread {}", thread.tid);
        }
        if of.fiber != 0 {
            name = format!("{name} fiber {}", of.fiber);
        }
        Some(LaneInfo {
            serial: thread.serial,
            pid: self.trace.process_of(thread).pid,
            name,
            events: thread.blocks.iter().map(|block| block.events).sum(),
            lost: missing(|why| matches!(why, Missing::Lost(_))),
            overwritten: missing(|why| matches!(why, Missing::Overwritten)),
            deepest: 0,
            last: self.ns(thread.last_tick().unwrap_or(thread.born_tick)),
            gaps: self.gaps(thread),
        })
    }

    fn gaps(&self, thread: &Thread) -> Vec<Gap> {
        let mut gaps = vec![Gap {
            start: i64::MIN,
            end: self.ns(thread.born_tick),
            kind: GapKind::NotBegun,
            events: 0,
        }];
        for gap in thread.gaps() {
            let kind = match gap.why {
                Missing::Overwritten => GapKind::Overwritten,
                Missing::Lost(_) => GapKind::Lost,
            };
            let (start, end) = (self.ns(gap.from_tick), self.ns(gap.to_tick));
            gaps.push(Gap { start, end: end.max(start + 1), kind, events: gap.count });
        }
        if let Some(end) = thread.end_tick {
            gaps.push(Gap { start: self.ns(end), end: i64::MAX, kind: GapKind::Ended, events: 0 });
        }
        gaps
    }

    /// What is shown first.
    fn opening(&self, begin: i64, end: i64) -> (i64, i64) {
        if let (from, to) = self.range
            && (from.is_some() || to.is_some())
        {
            let from = from.unwrap_or(begin).clamp(begin, end - 1);
            return (from, to.unwrap_or(end).clamp(from + 1, end));
        }
        let threads = || self.trace.threads.iter();
        if self.state() == State::Dead {
            let from = threads().filter_map(last_events).max().map_or(begin, |tick| self.ns(tick));
            // What follows the last event belongs to the moment: how long it hung, or nothing.
            return (from.max(begin), end);
        }
        let overwritten = threads()
            .filter_map(|thread| thread.blocks.first())
            .filter(|block| block.gaps.iter().any(|gap| gap.why == Missing::Overwritten))
            .map(|block| block.base_tick);
        match overwritten.min() {
            Some(tick) => {
                let from = self.ns(tick);
                (from.saturating_sub((end - from) / 20).max(begin), end)
            }
            None => (begin, end),
        }
    }

    fn selected(&self, call: Call, lane: usize) -> Selected {
        let frame = call.at.frame;
        let ended = match call.end {
            CallEnd::Returned(_) => Ended::Returned,
            CallEnd::Unwound(_) => Ended::Unwound,
            CallEnd::Yielded(_) => Ended::Yielded,
            CallEnd::Open(_) => Ended::Open,
            CallEnd::Unknown(_) => Ended::Unknown,
        };
        Selected {
            lane,
            depth: call.at.depth,
            symbol: frame.id(),
            key: frame.tick,
            start: self.ns(frame.tick),
            end: self.ns(call.end.tick().max(frame.tick)),
            moment: None,
            seen: call.at.seen,
            self_ns: call.self_ticks.map(|ticks| self.trace.clock.duration_ns(ticks)),
            children: call.children,
            began_before: frame.began_before(),
            ended,
            callers: call.callers,
            raised: None,
        }
    }

    /// The place of a selected call.
    fn place(&self, call: &Selected) -> Option<CallAt> {
        let flags = if call.began_before { rtrace_format::frame::BEGAN_BEFORE } else { 0 };
        let frame = rtrace_format::Frame::new(call.symbol, flags, call.key);
        let lane = *self.lanes.get(call.lane)?;
        Some(CallAt { lane, depth: call.depth, frame, seen: call.seen })
    }

    fn exception(&self, ns: i64, forward: bool, cancelled: &dyn Fn() -> bool) -> Option<Selected> {
        let tick = self.trace.clock.tick_at(if forward { ns.saturating_add(1) } else { ns });
        // `tick_at` rounds up: the moments after `ns` begin at that tick, those before it end there.
        let tick = if forward { tick.saturating_sub(1) } else { tick };
        let raised = calls::exception(&self.trace, &self.lanes, tick, forward, cancelled)?;
        let lane = self.lanes.iter().position(|&lane| lane == raised.call.lane)?;
        let call = calls::describe(&self.trace, raised.call, cancelled)?;
        let mut selected = self.selected(call, lane);
        selected.moment = Some(self.ns(raised.tick));
        selected.raised = raised.what.map(|(kind, message)| self.exception_text(kind, &message));
        Some(selected)
    }

    /// An exception's type, and its message if it has one.
    fn exception_text(&self, kind: SymbolId, message: &[u8]) -> String {
        let kind = self.trace.symbols.name(kind);
        if message.is_empty() {
            kind.into_owned()
        } else {
            format!("{kind}: {}", escape::text(message))
        }
    }
}

/// The tick from which a thread's last few hundred events count.
fn last_events(thread: &Thread) -> Option<u64> {
    let block = thread.blocks.last()?;
    let ticks = block.end_tick - block.base_tick;
    let share = u128::from(ticks) * u128::from(LAST_EVENTS.min(block.events));
    let back = share / u128::from(block.events.max(1));
    Some(block.end_tick - back as u64)
}

impl Source for Traced {
    fn overview(&self) -> Overview {
        let trace = &self.trace;
        let lanes: Vec<LaneInfo> = self.lanes.iter().filter_map(|&of| self.lane_info(of)).collect();
        let own = || self.lanes.iter().zip(&lanes).filter(|(of, _)| of.fiber == 0).map(|(_, l)| l);
        let (begin, end) = self.bounds();
        let without_ring: u64 = trace.processes.iter().map(|p| p.lost_without_ring).sum();
        let given_up: u64 = trace.processes.iter().map(|p| p.overwritten_events).sum();
        let file = trace.path.file_name().unwrap_or(trace.path.as_os_str());
        Overview {
            file: escape::text(file.as_encoded_bytes()).into_owned(),
            state: self.state(),
            processes: trace.processes.len(),
            killed: trace.processes.iter().filter(|p| p.end == End::Killed).count(),
            events: own().map(|lane| lane.events).sum(),
            lost: own().map(|lane| lane.lost).sum::<u64>() + without_ring,
            overwritten: own().map(|lane| lane.overwritten).sum::<u64>() + given_up,
            problems: trace.problems.len(),
            begin,
            end,
            opening: self.opening(begin, end),
            other: self.other.as_ref().map(|other| {
                let file = other.path.file_name().unwrap_or(other.path.as_os_str());
                escape::text(file.as_encoded_bytes()).into_owned()
            }),
            labels: Arc::clone(&self.labels),
            lanes,
        }
    }

    fn lane(&self, ask: LaneAsk, ticket: &Ticket, emit: &mut dyn FnMut(Lane)) {
        let Some(&of) = self.lanes.get(ask.lane) else { return };
        let Some(thread) = of.thread(&self.trace) else { return };
        let LaneAsk { grid, depth, rows, .. } = ask;
        let cancelled = || ticket.cancelled();
        let range = self.ticks(grid.start(), grid.end());
        let events = timeline::events_within(thread, range);
        if events > AT_ONCE {
            let sketch = timeline::sketch(&self.trace, of, grid, depth, rows, &cancelled);
            let Some(sketch) = sketch else { return };
            emit(sketch);
        }
        if events <= AT_ALL {
            let exact = timeline::exact(&self.trace, of, grid, depth, rows, &cancelled);
            if let Some(exact) = exact {
                emit(exact);
            }
        }
    }

    fn density(&self, cols: u16, ticket: &Ticket) -> Vec<Density> {
        let mut out = vec![Density::default(); usize::from(cols)];
        let column = self.minimap_column(cols);
        for thread in &self.trace.threads {
            for block in &thread.blocks {
                if out.is_empty() || ticket.cancelled() {
                    return out;
                }
                // A block's events are taken to be spread evenly over its time.
                let (from, to) = (column(block.base_tick), column(block.end_tick));
                let each = block.events / (to - from + 1) as u64;
                for density in &mut out[from..=to] {
                    density.events += each;
                }
                out[to].events += block.events - each * (to - from + 1) as u64;
            }
        }
        out
    }

    fn functions(&self, part: &Part, ticket: &Ticket) -> Option<Functions> {
        self.function_table(part, ticket)
    }

    fn exceptions(&self, part: &Part, ticket: &Ticket) -> Option<Exceptions> {
        self.exception_table(part, ticket)
    }

    fn moment(&self, ask: &MomentAsk, ticket: &Ticket) -> Option<Moment> {
        self.moment_of(ask, ticket)
    }

    fn tree(&self, part: &Part, ticket: &Ticket) -> Option<CallTree> {
        self.call_tree(part, ticket)
    }

    fn events(&self, ask: &EventsAsk, ticket: &Ticket) -> Option<EventPage> {
        self.event_page(ask, ticket)
    }

    fn hits(&self, symbols: &HashSet<u32>, cols: u16, ticket: &Ticket) -> Option<Hits> {
        self.all_hits(symbols, cols, ticket)
    }

    fn source(&self, ask: &SourceAsk, ticket: &Ticket) -> Option<SourcePage> {
        self.source_page(ask, ticket)
    }

    fn diff(&self, ask: &DiffAsk, ticket: &Ticket) -> Option<DiffPage> {
        self.diff_page(ask, ticket)
    }

    fn time_of_event(&self, number: u64, ticket: &Ticket) -> Option<i64> {
        self.event_time(number, ticket)
    }

    fn find(&self, find: &Find, ticket: &Ticket) -> Option<Selected> {
        let cancelled = || ticket.cancelled();
        let trace = &self.trace;
        let lane_of = |lane: usize| self.lanes.get(lane).copied();
        let at = match find {
            Find::At { lane, from, to, depth } => {
                calls::at(trace, lane_of(*lane)?, self.ticks(*from, *to), *depth, &cancelled)
            }
            Find::Step { from, step } => calls::step(trace, self.place(from)?, *step, &cancelled),
            Find::Event { lane, ns, depth } => {
                let range = self.ticks(*ns, ns.saturating_add(1));
                let range = TickRange { to: range.to.max(range.from + 1), ..range };
                calls::at(trace, lane_of(*lane)?, range, *depth, &cancelled)
            }
            Find::Out { from } => calls::step(trace, self.place(from)?, Step::Parent, &cancelled),
            Find::Again { call } => self.place(call),
            Find::Last { lane } => calls::last(trace, lane_of(*lane)?, &cancelled),
            Find::Longest { symbol, from, to } => {
                let range = self.ticks(*from, *to);
                calls::longest(trace, &self.lanes, *symbol, range, &cancelled)
            }
            Find::Match { symbols, ns, forward } => {
                let tick = trace.clock.tick_at(ns.saturating_add(i64::from(*forward)));
                let tick = if *forward { tick.saturating_sub(1) } else { tick };
                calls::matching(trace, &self.lanes, symbols, tick, *forward, &cancelled)
            }
            Find::Exception { ns, forward } => return self.exception(*ns, *forward, &cancelled),
        }?;
        let lane = self.lanes.iter().position(|&lane| lane == at.lane)?;
        Some(self.selected(calls::describe(trace, at, &cancelled)?, lane))
    }

    fn refresh(&self, _: &Ticket) -> Option<Arc<dyn Source>> {
        // A session that cannot be read at this moment stays as it was last seen.
        let trace = Trace::open_with(&self.trace.path, &self.options).ok()?;
        let fresh = Traced::new(trace, self.options.clone(), self.range);
        Some(Arc::new(fresh.against(self.other.clone())))
    }
}
