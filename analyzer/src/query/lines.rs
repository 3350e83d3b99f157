//! What the lines of some functions cost, and the calls that were made from them.
//!
//! Where the recording has `line` records, a line's time is from its record to the next of the
//! same frame, or to the frame's end. Where it has none, all of a frame is on the line of its
//! definition: what is known then is known by function.

use std::collections::HashMap;
use std::ops::ControlFlow;

use rtrace_format::record::Subkind;
use rtrace_format::{Kind, Long, Stack, Step};

use super::FastHash;
use crate::model::{Gap, SymbolId, TickRange};
use crate::trace::{Event, Lane, Selection, Trace, Visitor, replay};

/// How many events pass between two looks at whether the answer is still wanted.
const LOOK: u32 = 8_192;

/// The figures of one line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineCost {
    /// How often it began; of a definition, calls.
    pub hits: u64,
    /// Ticks on it and in no call made from it.
    pub self_ticks: u64,
    /// Ticks on it, calls and all; where a call made from it comes back to it, once.
    pub total_ticks: u64,
    /// Exceptions that passed it.
    pub raised: u64,
}

/// Calls of one function from one line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Made {
    /// How many that ended.
    pub calls: u64,
    /// Ticks in them; in one within another, once.
    pub ticks: u64,
}

/// The answer.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    /// By line.
    pub costs: HashMap<u32, LineCost>,
    /// By line and called function.
    pub made: HashMap<(u32, SymbolId), Made>,
    /// Whether there were any line records.
    pub recorded: bool,
}

/// Adds up what the lines of the functions for which `wanted` is true cost in a selection; `None`
/// if nobody waits. Lines of different files are not told apart: ask for the functions of one.
pub fn lines(
    trace: &Trace,
    selection: &Selection,
    wanted: &dyn Fn(SymbolId) -> bool,
    cancelled: &dyn Fn() -> bool,
) -> Option<Lines> {
    let mut out = Lines::default();
    for thread in selection.threads.iter().filter_map(|&index| trace.threads.get(index)) {
        let mut counter = Counter {
            trace,
            wanted,
            cancelled,
            range: selection.range,
            lanes: HashMap::default(),
            current: 0,
            out: &mut out,
            last: selection.range.from,
            look: LOOK,
        };
        replay(trace, thread, selection.range, &mut counter);
        let end = trace.lane_end(thread).min(selection.range.to);
        counter.end_all(end);
        if cancelled() {
            return None;
        }
    }
    Some(out)
}

/// An open frame.
#[derive(Clone, Copy, Debug)]
struct Open {
    symbol: SymbolId,
    /// Whether its lines are asked for.
    ours: bool,
    /// The line that it is on.
    line: u32,
    /// Since when it is open, as far as the range shows.
    entered: u64,
    /// Since when it is on that line.
    since: u64,
    /// Ticks in calls made from that line.
    inside: u64,
}

/// The open frames of a fiber, the outermost first, and how many of them are on a line, and in a
/// call of a function made from it: more than one where calls come back to it.
#[derive(Default)]
struct OpenFrames {
    frames: Vec<Open>,
    on_line: HashMap<u32, u32, FastHash>,
    in_call: HashMap<(u32, SymbolId), u32, FastHash>,
}

impl OpenFrames {
    fn push(&mut self, open: Open) {
        if let Some(caller) = self.frames.last().filter(|caller| caller.ours) {
            *self.in_call.entry((caller.line, open.symbol)).or_default() += 1;
        }
        if open.ours {
            *self.on_line.entry(open.line).or_default() += 1;
        }
        self.frames.push(open);
    }
}

/// One less; whether it was the last.
fn was_last<K: Eq + std::hash::Hash>(counts: &mut HashMap<K, u32, FastHash>, key: K) -> bool {
    let Some(count) = counts.get_mut(&key) else { return true };
    *count -= 1;
    let last = *count == 0;
    if last {
        counts.remove(&key);
    }
    last
}

struct Counter<'a> {
    trace: &'a Trace,
    wanted: &'a dyn Fn(SymbolId) -> bool,
    cancelled: &'a dyn Fn() -> bool,
    range: TickRange,
    /// By fiber.
    lanes: HashMap<u32, OpenFrames, FastHash>,
    current: u32,
    out: &'a mut Lines,
    last: u64,
    look: u32,
}

impl Counter<'_> {
    fn open(&self, symbol: SymbolId, tick: u64) -> Open {
        let ours = (self.wanted)(symbol);
        let line = if ours { self.trace.symbols.get(symbol).first_line } else { 0 };
        Open { symbol, ours, line, entered: tick, since: tick, inside: 0 }
    }

    /// Adds up the line that a frame leaves; it is the last frame on it, or not.
    fn leave_line(&mut self, open: &Open, last: bool, tick: u64) {
        let ticks = tick.saturating_sub(open.since);
        let cost = self.out.costs.entry(open.line).or_default();
        cost.total_ticks += if last { ticks } else { 0 };
        cost.self_ticks += ticks.saturating_sub(open.inside);
    }

    /// Leaves the frames of the running lane from `depth` on.
    fn leave(&mut self, depth: usize, tick: u64) {
        while let Some(lane) = self.lanes.get_mut(&self.current).filter(|l| l.frames.len() > depth)
        {
            let Some(open) = lane.frames.pop() else { return };
            let ticks = tick.saturating_sub(open.entered);
            let caller = lane.frames.last_mut().filter(|caller| caller.ours).map(|caller| {
                caller.inside += ticks;
                caller.line
            });
            if let Some(line) = caller {
                let made = self.out.made.entry((line, open.symbol)).or_default();
                made.calls += 1;
                made.ticks +=
                    if was_last(&mut lane.in_call, (line, open.symbol)) { ticks } else { 0 };
            }
            if open.ours {
                let last = was_last(&mut lane.on_line, open.line);
                self.leave_line(&open, last, tick);
            }
        }
    }

    fn end_all(&mut self, tick: u64) {
        let fibers: Vec<u32> = self.lanes.keys().copied().collect();
        for fiber in fibers {
            self.current = fiber;
            self.leave(0, tick);
        }
    }

    fn line(&mut self, depth: u32, line: u32, tick: u64) {
        self.out.recorded = true;
        let Some(lane) = self.lanes.get_mut(&self.current) else { return };
        let Some(open) = lane.frames.get_mut(depth as usize) else { return };
        let before = *open;
        (open.line, open.since, open.inside) = (line, tick, 0);
        if before.ours {
            let last = was_last(&mut lane.on_line, before.line);
            *lane.on_line.entry(line).or_default() += 1;
            self.leave_line(&before, last, tick);
            self.out.costs.entry(line).or_default().hits += 1;
        }
    }
}

impl Visitor for Counter<'_> {
    fn begin(&mut self, lane: &Lane, tick: u64) {
        self.current = lane.fiber;
        self.leave(0, tick);
        let mut open = OpenFrames::default();
        frames(&lane.stack).into_iter().for_each(|symbol| open.push(self.open(symbol, tick)));
        self.lanes.insert(lane.fiber, open);
    }

    fn switched(&mut self, lane: &Lane, _: u64) {
        self.current = lane.fiber;
    }

    fn event(&mut self, event: &Event<'_>) -> ControlFlow<()> {
        self.look -= 1;
        if self.look == 0 {
            self.look = LOOK;
            if (self.cancelled)() {
                return ControlFlow::Break(());
            }
        }
        self.current = event.lane.fiber;
        let tick = event.record.tick;
        self.last = tick;
        match event.step {
            Step::Entered { depth } => {
                self.leave(depth as usize, tick);
                let open = self.open(event.record.word.id(), tick);
                let first = matches!(event.record.word.kind(), Some(Kind::Call | Kind::CCall));
                if open.ours && first {
                    self.out.costs.entry(open.line).or_default().hits += 1;
                }
                self.lanes.entry(self.current).or_default().push(open);
            }
            Step::Left { depth, .. } => self.leave(depth as usize, tick),
            Step::Unmatched { .. } | Step::Other => match event.record.word.kind() {
                Some(Kind::Line) => {
                    self.line(event.lane.stack.python_depth(), event.record.word.id(), tick);
                }
                Some(Kind::Long) if event.record.word.subkind() == Subkind::EXCEPTION => {
                    let long = Long::parse(event.record.word, event.record.payload);
                    if let Long::Exception { function, line, .. } = long
                        && (self.wanted)(function)
                    {
                        self.out.costs.entry(line).or_default().raised += 1;
                    }
                }
                _ => {}
            },
        }
        ControlFlow::Continue(())
    }

    fn gap(&mut self, gap: &Gap) {
        let tick = self.range.clamp(gap.from_tick);
        self.end_all(tick);
    }
}

/// The functions on a stack, outermost first; those known by number only stand as unknown.
fn frames(stack: &Stack) -> Vec<SymbolId> {
    // A damaged keyframe may claim any depth; nobody shows as many lines.
    let depth = stack.depth().min(100_000);
    (0..depth).map(|at| stack.frame(at).map_or(0, |frame| frame.id())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Pen, TraceBuilder, open};

    /// `f` is on lines 41 (20 ticks, 10 of them in `g`) and 42 (5 ticks).
    #[test]
    fn lines_are_charged_from_their_records_on() {
        let mut builder = TraceBuilder::new("full");
        builder.process(0, "trace", &[]);
        let (f, g) = (builder.python("f"), builder.python("g"));
        builder.thread(1, 0, b"main", &[]);
        let mut pen = Pen::new(1, &[]);
        pen.put(Kind::Call, f, 10).put(Kind::Line, 41, 2).put(Kind::Call, g, 5);
        pen.put(Kind::Line, 51, 1).put(Kind::Return, g, 9).put(Kind::Line, 42, 5);
        pen.put(Kind::Return, f, 5);
        builder.events(&mut pen, (8, 24));
        let (trace, _dir) = open(&builder.finish());
        let everything = Selection::everything(&trace);
        let id = |name: &[u8]| trace.symbols.iter().find(|(_, s)| s.qualname == name).unwrap().0;
        let (f, g) = (id(b"f"), id(b"g"));
        let found = lines(&trace, &everything, &|id| id == f, &|| false).unwrap();
        assert!(found.recorded);
        let cost =
            |hits, own, total| LineCost { hits, self_ticks: own, total_ticks: total, raised: 0 };
        let line = trace.symbols.get(f).first_line;
        assert_eq!(found.costs[&line], cost(1, 2, 2));
        assert_eq!(found.costs[&41], cost(1, 10, 20));
        assert_eq!(found.costs[&42], cost(1, 5, 5));
        assert_eq!(found.made, HashMap::from([((41, g), Made { calls: 1, ticks: 10 })]));
    }

    /// `f` calls itself twice over: the time of all three is that of the outermost.
    #[test]
    fn a_recursion_is_no_longer_than_its_outermost_call() {
        for with_lines in [false, true] {
            let mut builder = TraceBuilder::new("full");
            builder.process(0, "trace", &[]);
            let f = builder.python("f");
            builder.thread(1, 0, b"main", &[]);
            let mut pen = Pen::new(1, &[]);
            for _ in 0..3 {
                pen.put(Kind::Call, f, 10);
                if with_lines {
                    pen.put(Kind::Line, 41, 0);
                }
            }
            for _ in 0..3 {
                pen.put(Kind::Return, f, 5);
            }
            builder.events(&mut pen, (8, 24));
            let (trace, _dir) = open(&builder.finish());
            let everything = Selection::everything(&trace);
            let found = lines(&trace, &everything, &|_| true, &|| false).unwrap();
            let f = trace.symbols.iter().find(|(_, s)| s.qualname == b"f").unwrap().0;
            let line = if with_lines { 41 } else { trace.symbols.get(f).first_line };
            // 10 + 10 + 5 + 5 + 5 ticks, of which all are spent in `f` itself.
            let cost = LineCost { hits: 3, self_ticks: 35, total_ticks: 35, raised: 0 };
            assert_eq!(found.costs[&line], cost, "lines: {with_lines}");
            assert_eq!(found.made[&(line, f)], Made { calls: 2, ticks: 25 - 5 });
        }
    }
}
