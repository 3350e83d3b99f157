//! The cells of a lane from its records.

use std::ops::ControlFlow;

use rtrace_format::record::Subkind;
use rtrace_format::{Frame, Kind, Step};

use super::{Flags, Grid, Lane, LaneOf, Raster, edges};
use crate::model::{Block, Gap, Thread, TickRange};
use crate::trace::{Event, Trace, Visitor, replay, replay_alone};

/// How many events pass between two looks at whether the answer is still wanted.
const LOOK: u32 = 8_192;

/// So many events of a lane without summaries are read for its first picture, about.
const SAMPLED: u64 = 1_000_000;

/// The cells of `rows` rows from `depth` on, from every record of the grid's range; `None` if
/// `cancelled` said so before the end.
pub fn exact(
    trace: &Trace,
    of: LaneOf,
    grid: Grid,
    depth: u32,
    rows: u32,
    cancelled: &dyn Fn() -> bool,
) -> Option<Lane> {
    let raster = Raster::new(grid, edges(grid, &trace.clock), depth, rows);
    let range = TickRange { from: raster.start(), to: raster.end() };
    let Some(thread) = of.thread(trace).filter(|_| range.from < range.to) else {
        return Some(raster.finish(false, |tick| trace.clock.ns(tick)));
    };
    let mut cells = Cells::new(raster, of.fiber, depth.saturating_add(rows).max(1), cancelled);
    replay(trace, thread, behind_gap(thread, range), &mut cells);
    if cells.stopped || cancelled() {
        return None;
    }
    let end = trace.lane_end(thread);
    cells.close(end, range.to);
    Some(cells.raster.finish(false, |tick| trace.clock.ns(tick)))
}

/// The cells of a lane of a thread that switches from some of its blocks, evenly spread, as
/// many as hold about [`SAMPLED`] events: such blocks have no summary. What a fiber that
/// waits has open is known from where a block tells of it.
pub(super) fn sampled(
    trace: &Trace,
    of: LaneOf,
    blocks: &[Block],
    raster: Raster,
    limit: u32,
    cancelled: &dyn Fn() -> bool,
) -> Option<Lane> {
    let range = TickRange { from: raster.start(), to: raster.end() };
    let mut cells = Cells::new(raster, of.fiber, limit, cancelled);
    let events: u64 = blocks.iter().map(|block| block.events).sum();
    let step = usize::try_from(events.div_ceil(SAMPLED)).unwrap_or(usize::MAX).max(1);
    let mut last = None;
    for block in blocks.iter().step_by(step) {
        if let Some(last) = last
            && (step > 1 || !block.gaps.is_empty())
        {
            cells.broken.get_or_insert(last);
        }
        last = Some(block.end_tick);
        let Ok(decoded) = trace.decode(block) else { continue };
        if replay_alone(&decoded, &mut cells).is_break() || cancelled() {
            return None;
        }
    }
    let end = of.thread(trace).map_or(0, |thread| trace.lane_end(thread));
    cells.close(end, range.to);
    Some(cells.raster.finish(true, |tick| trace.clock.ns(tick)))
}

/// The range, longer if it ends where records are missing: the frames that were open all through
/// are told by the block behind.
fn behind_gap(thread: &Thread, range: TickRange) -> TickRange {
    let ends_in = |gap: &&Gap| gap.from_tick < range.to && range.to <= gap.to_tick;
    match thread.gaps().find(ends_in) {
        Some(gap) => TickRange { to: gap.to_tick.saturating_add(1), ..range },
        None => range,
    }
}

struct Cells<'a> {
    raster: Raster,
    fiber: u32,
    /// Frames from this depth on are not drawn, and not kept.
    limit: u32,
    /// The open frames down to `limit`.
    open: Vec<Frame>,
    /// Where records broke off; what was open then is in `open` until it is known again.
    broken: Option<u64>,
    /// From here on the present stack is known: where an unknown frame is drawn from.
    since: u64,
    cancelled: &'a dyn Fn() -> bool,
    look: u32,
    stopped: bool,
}

impl<'a> Cells<'a> {
    fn new(raster: Raster, fiber: u32, limit: u32, cancelled: &'a dyn Fn() -> bool) -> Self {
        Self {
            since: raster.start(),
            raster,
            fiber,
            limit,
            open: Vec::new(),
            broken: None,
            cancelled,
            look: LOOK,
            stopped: false,
        }
    }

    fn emit(&mut self, depth: u32, frame: Frame, end: u64, flags: Flags) {
        let start = if frame.is_known() { frame.tick } else { self.since };
        let began_before = frame.began_before() || !frame.has_start();
        let flags = Flags { began_before, resumed: frame.resumed(), ..flags };
        if depth == 0 {
            self.raster.busy(start, end);
        }
        self.raster.call(depth, frame.id(), start, end.max(start), flags);
    }

    /// Ends the frames from `depth` on, the innermost first.
    fn end_from(&mut self, depth: usize, end: u64, flags: Flags) {
        while self.open.len() > depth {
            let at = self.open.len() as u32 - 1;
            if let Some(frame) = self.open.pop() {
                self.emit(at, frame, end, flags);
            }
        }
    }

    /// What is open at the end goes on past the grid, or is open where the lane ends.
    fn close(&mut self, lane_end: u64, grid_end: u64) {
        let unended = Flags { open: true, ..Flags::default() };
        match self.broken {
            Some(tick) => self.end_from(0, tick, unended),
            None if lane_end >= grid_end => self.end_from(0, u64::MAX, Flags::default()),
            None => self.end_from(0, lane_end, unended),
        }
    }
}

impl Visitor for Cells<'_> {
    fn begin(&mut self, lane: &crate::trace::Lane, tick: u64) {
        if lane.fiber != self.fiber {
            return;
        }
        let depth = lane.stack.depth().min(self.limit);
        let frame = |at: u32| lane.stack.frame(at).unwrap_or(Frame::UNKNOWN);
        // Frames that were open before the records broke off, and are the same now, went on.
        let same = (0..depth)
            .zip(&self.open)
            .take_while(|(at, open)| open.is_known() && **open == frame(*at))
            .count();
        let unended = Flags { open: true, ..Flags::default() };
        let until = self.broken.take().unwrap_or(tick);
        self.end_from(same, until, unended);
        self.since = tick;
        self.open.extend((same as u32..depth).map(frame));
    }

    fn event(&mut self, event: &Event<'_>) -> ControlFlow<()> {
        self.look -= 1;
        if self.look == 0 {
            self.look = LOOK;
            if (self.cancelled)() {
                self.stopped = true;
                return ControlFlow::Break(());
            }
        }
        if event.lane.fiber != self.fiber {
            return ControlFlow::Continue(());
        }
        let tick = event.record.tick;
        match event.step {
            Step::Entered { depth } if depth < self.limit => {
                if let Some(frame) = event.lane.stack.top() {
                    self.open.truncate(depth as usize);
                    self.open.push(frame);
                }
            }
            Step::Entered { depth } => self.raster.reached(depth),
            Step::Left { depth, .. } if depth < self.limit => {
                let kind = event.record.word.kind();
                let unwound = matches!(kind, Some(Kind::Unwind | Kind::CException));
                // Frames above it, whose exits are missing, end with it.
                self.end_from(depth as usize + 1, tick, Flags { open: true, ..Flags::default() });
                self.end_from(depth as usize, tick, Flags { unwound, ..Flags::default() });
            }
            Step::Other
                if event.record.word.kind() == Some(Kind::Long)
                    && event.record.word.subkind() == Subkind::EXCEPTION =>
            {
                self.raster.exception(event.depth(), tick);
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn gap(&mut self, gap: &Gap) {
        self.broken.get_or_insert(gap.from_tick);
    }
}
