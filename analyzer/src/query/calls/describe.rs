//! All about one call: its end, its callers, its own time.

use std::ops::ControlFlow;

use rtrace_format::{Kind, Step};

use super::{Call, CallAt, CallEnd, Cancelled, Sight, callers, scan};
use crate::model::{Thread, TickRange};
use crate::query::timeline::events_within;
use crate::trace::{Event, Trace};

/// The children of a call with more events than this within it are not counted: the answer is
/// wanted while the hand is still on the key.
const COUNTED: u64 = 4_000_000;

/// Looks up all that is known of a call; `None` if nobody waits.
pub fn describe(trace: &Trace, at: CallAt, cancelled: Cancelled<'_>) -> Option<Call> {
    let thread = at.lane.thread(trace)?;
    let now = TickRange { from: at.seen, to: at.seen.saturating_add(1) };
    let mut around = None;
    let stack = scan(trace, at.lane, now, cancelled, |sight| {
        // Its callers are those of the moment in which it was entered, or of any later one.
        if let Sight::Event(event) = sight
            && event.step == (Step::Entered { depth: at.depth })
            && event.record.tick == at.frame.tick
        {
            around = Some(callers(&event.lane.stack, at.depth));
        }
        ControlFlow::Continue(())
    })?;
    let end = end(trace, at, cancelled)?;
    let within = TickRange { from: at.frame.tick.min(at.seen), to: end.tick() };
    let counted = (events_within(thread, within) <= COUNTED)
        .then(|| own(trace, at, within, cancelled))
        .flatten();
    Some(Call {
        at,
        end,
        callers: around.unwrap_or_else(|| callers(&stack, at.depth)),
        self_ticks: counted.map(|(ticks, _)| ticks),
        children: counted.map(|(_, children)| children),
    })
}

/// How and when a call ended; `None` if nobody waits.
pub(super) fn end(trace: &Trace, at: CallAt, cancelled: Cancelled<'_>) -> Option<CallEnd> {
    let thread = at.lane.thread(trace)?;
    let known = skip(trace, thread, at, at.seen);
    let range = TickRange { from: known, to: u64::MAX };
    let mut found = None;
    // Whether the call was seen on the stack; exits before that are of others.
    let mut seen = false;
    // Where records broke off: the end, if it is not open any more behind that.
    let mut broken = None;
    scan(trace, at.lane, range, cancelled, |sight| {
        match sight {
            Sight::Begin(stack, tick) => {
                let here = stack.frame(at.depth);
                if here.is_some_and(|f| !f.is_known() || f.tick == at.frame.tick) {
                    seen = true;
                } else if seen && found.is_none() {
                    found = Some(CallEnd::Unknown(broken.unwrap_or(tick)));
                }
            }
            Sight::Broken(tick) => broken = Some(tick),
            Sight::Event(event) if found.is_none() => found = exit(event, at, &mut seen),
            Sight::Event(_) => {}
        }
        if found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Some(found.unwrap_or_else(|| CallEnd::Open(trace.lane_end(thread))))
}

/// How an event ended the call, if it did.
fn exit(event: &Event<'_>, at: CallAt, seen: &mut bool) -> Option<CallEnd> {
    let tick = event.record.tick;
    match event.step {
        Step::Entered { depth } if depth == at.depth && tick == at.frame.tick => *seen = true,
        Step::Left { depth, frame, .. } if *seen && depth <= at.depth => {
            let own = depth == at.depth && (!frame.is_known() || frame.tick == at.frame.tick);
            return Some(match event.record.word.kind() {
                _ if !own => CallEnd::Unknown(tick),
                Some(Kind::Unwind | Kind::CException) => CallEnd::Unwound(tick),
                Some(Kind::Yield) => CallEnd::Yielded(tick),
                _ => CallEnd::Returned(tick),
            });
        }
        _ => {}
    }
    None
}

/// The start of the last block at which the call is known to be open still, or `from`. Halving:
/// a frame with the same start at two keyframes was open all the time between.
fn skip(trace: &Trace, thread: &Thread, at: CallAt, from: u64) -> u64 {
    let first = thread.blocks.partition_point(|block| block.base_tick <= from);
    if !thread.has_one_lane() {
        return from;
    }
    let open = |index: usize| {
        let keyframe = trace.keyframe(&thread.blocks[index]);
        keyframe.is_some_and(|keyframe| {
            let stack = rtrace_format::Stack::from_keyframe(&keyframe);
            stack.frame(at.depth).is_some_and(|f| f.is_known() && f.tick == at.frame.tick)
        })
    };
    let (mut low, mut high) = (first, thread.blocks.len());
    while low < high {
        let middle = low + (high - low) / 2;
        if open(middle) { low = middle + 1 } else { high = middle }
    }
    if low == first { from } else { thread.blocks[low - 1].base_tick.max(from) }
}

/// Ticks of the call in none of the calls that it made, and their number.
fn own(
    trace: &Trace,
    at: CallAt,
    within: TickRange,
    cancelled: Cancelled<'_>,
) -> Option<(u64, u64)> {
    let mut children = 0;
    let mut inside = 0;
    let range = TickRange { to: within.to.saturating_add(1), ..within };
    let mut entered: Option<u64> = None;
    let mut ours = false;
    let mut done = false;
    scan(trace, at.lane, range, cancelled, |sight| {
        match sight {
            Sight::Begin(stack, tick) => {
                ours = stack.frame(at.depth).is_some_and(|f| f.tick == at.frame.tick);
                entered = (ours && stack.depth() > at.depth + 1).then_some(tick);
            }
            Sight::Event(event) => {
                let tick = event.record.tick;
                match event.step {
                    Step::Entered { depth } if depth == at.depth && tick == at.frame.tick => {
                        ours = true;
                    }
                    Step::Entered { depth } if ours && depth == at.depth + 1 => {
                        children += 1;
                        entered = Some(tick);
                    }
                    Step::Left { depth, .. } if ours && depth == at.depth + 1 => {
                        inside += entered.take().map_or(0, |start| tick - start);
                    }
                    Step::Left { depth, .. } if ours && depth <= at.depth => done = true,
                    _ => {}
                }
            }
            Sight::Broken(tick) => {
                inside += entered.take().map_or(0, |start| tick.saturating_sub(start));
            }
        }
        if done { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    inside += entered.map_or(0, |start| within.to.saturating_sub(start));
    let all = within.to.saturating_sub(within.from);
    Some((all.saturating_sub(inside), children))
}
