//! The call at a place.

use std::ops::ControlFlow;

use rtrace_format::{Frame, Step};

use super::{CallAt, Cancelled, Sight, scan};
use crate::model::TickRange;
use crate::query::timeline::LaneOf;
use crate::trace::Trace;

/// What was open within `range` on a lane no deeper than `depth`: the deepest, and of these the
/// one that held most of the range.
pub fn at(
    trace: &Trace,
    lane: LaneOf,
    range: TickRange,
    depth: u32,
    cancelled: Cancelled<'_>,
) -> Option<CallAt> {
    let mut best: Option<(u32, u64, CallAt)> = None;
    let mut offer = |depth: u32, frame: Frame, seen: u64, end: u64| {
        if !frame.is_known() {
            return;
        }
        let held = end.min(range.to).saturating_sub(frame.tick.max(range.from));
        if best.is_none_or(|(d, h, _)| (depth, held) > (d, h)) {
            best = Some((depth, held, CallAt { lane, depth, frame, seen }));
        }
    };
    let mut since = range.from;
    let stack = scan(trace, lane, range, cancelled, |sight| {
        match sight {
            Sight::Begin(_, tick) => since = tick,
            Sight::Event(event) => {
                let tick = event.record.tick;
                if let Step::Left { depth: left, frame, .. } = event.step
                    && left <= depth
                    // What ended as the range begins was open before it; a call of no length
                    // has no other place.
                    && (tick > range.from || frame.tick == tick)
                {
                    offer(left, frame, frame.tick.max(since).min(tick), tick);
                }
            }
            Sight::Broken(_) => {}
        }
        ControlFlow::Continue(())
    })?;
    let thread = lane.thread(trace)?;
    // What is left on the stack is open up to the lane's end, and not behind it.
    let end = range.to.min(trace.lane_end(thread).saturating_add(1));
    if range.from < end {
        for at in 0..stack.depth().min(depth.saturating_add(1)) {
            if let Some(frame) = stack.frame(at) {
                offer(at, frame, frame.tick.max(since), end);
            }
        }
    }
    best.map(|(_, _, call)| call)
}

/// The innermost frame open at the end of a lane.
pub fn last(trace: &Trace, lane: LaneOf, cancelled: Cancelled<'_>) -> Option<CallAt> {
    let end = lane.thread(trace)?.last_tick()?;
    let range = TickRange { from: end, to: u64::MAX };
    let stack = scan(trace, lane, range, cancelled, |_| ControlFlow::Continue(()))?;
    let frame = stack.top().filter(Frame::is_known)?;
    Some(CallAt { lane, depth: stack.depth() - 1, frame, seen: end })
}
