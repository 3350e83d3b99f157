//! From a call to another.

use std::ops::ControlFlow;

use rtrace_format::{Frame, Step as Did};

use super::{CallAt, Cancelled, Sight, backwards, describe, scan};
use crate::model::TickRange;
use crate::trace::{Event, Trace};

/// A step in the structure of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// To the caller.
    Parent,
    /// To the first call that it made.
    FirstChild,
    /// To the longest call that it made.
    HeaviestChild,
    /// To the call before it of the same caller.
    PreviousSibling,
    /// To the call after it of the same caller.
    NextSibling,
    /// To the entry before its own.
    Previous,
    /// To the entry after its own.
    Next,
}

/// Takes a step from a call; `None` if it leads nowhere, or nobody waits.
pub fn step(trace: &Trace, from: CallAt, step: Step, cancelled: Cancelled<'_>) -> Option<CallAt> {
    match step {
        Step::Parent => parent(trace, from, cancelled),
        Step::FirstChild => first_child(trace, from, cancelled),
        Step::HeaviestChild => heaviest_child(trace, from, cancelled),
        Step::PreviousSibling => before(trace, from, false, cancelled),
        Step::NextSibling => next_sibling(trace, from, cancelled),
        Step::Previous => before(trace, from, true, cancelled),
        Step::Next => next(trace, from, cancelled),
    }
}

/// The frame that an event entered.
fn entered(event: &Event<'_>, from: CallAt, depth: u32) -> Option<CallAt> {
    let frame = event.lane.stack.top()?;
    Some(CallAt { lane: from.lane, depth, frame, seen: event.record.tick })
}

/// Whether an event is the entry of the call itself.
fn is_own_entry(event: &Event<'_>, of: CallAt) -> bool {
    event.step == (Did::Entered { depth: of.depth }) && event.record.tick == of.frame.tick
}

fn parent(trace: &Trace, from: CallAt, cancelled: Cancelled<'_>) -> Option<CallAt> {
    let depth = from.depth.checked_sub(1)?;
    let now = TickRange { from: from.seen, to: from.seen.saturating_add(1) };
    let mut around = None;
    let stack = scan(trace, from.lane, now, cancelled, |sight| {
        if let Sight::Event(event) = sight
            && is_own_entry(event, from)
        {
            around = event.lane.stack.frame(depth);
        }
        ControlFlow::Continue(())
    })?;
    let frame = around.or_else(|| stack.frame(depth)).filter(Frame::is_known)?;
    Some(CallAt { lane: from.lane, depth, frame, seen: from.seen })
}

/// The entries and exits within a call, itself not among them: `see` gets each event from its
/// entry (or the first moment in which it is known to be open) up to its exit.
fn within(
    trace: &Trace,
    of: CallAt,
    cancelled: Cancelled<'_>,
    mut see: impl FnMut(&Event<'_>) -> ControlFlow<()>,
) -> Option<rtrace_format::Stack> {
    let range = TickRange { from: of.frame.tick.min(of.seen), to: u64::MAX };
    let mut ours = false;
    scan(trace, of.lane, range, cancelled, |sight| match sight {
        Sight::Begin(stack, _) => {
            let same = stack.frame(of.depth).is_some_and(|f| f.tick == of.frame.tick);
            // Behind a gap it may be over.
            ours = same;
            ControlFlow::Continue(())
        }
        Sight::Broken(_) => ControlFlow::Continue(()),
        Sight::Event(event) if is_own_entry(event, of) => {
            ours = true;
            ControlFlow::Continue(())
        }
        Sight::Event(event) if ours => match event.step {
            Did::Left { depth, .. } if depth <= of.depth => ControlFlow::Break(()),
            _ => see(event),
        },
        Sight::Event(event) if event.record.tick > of.seen => ControlFlow::Break(()),
        Sight::Event(_) => ControlFlow::Continue(()),
    })
}

fn first_child(trace: &Trace, from: CallAt, cancelled: Cancelled<'_>) -> Option<CallAt> {
    let mut found = None;
    within(trace, from, cancelled, |event| match event.step {
        Did::Entered { depth } if depth == from.depth + 1 => {
            found = entered(event, from, depth);
            ControlFlow::Break(())
        }
        // A child whose entry was not recorded shows when it is left.
        Did::Left { depth, frame, .. } if depth == from.depth + 1 && frame.is_known() => {
            let seen = frame.tick.max(from.seen).min(event.record.tick);
            found = Some(CallAt { lane: from.lane, depth, frame, seen });
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    })
    .and_then(|stack| found.or_else(|| open_child(&stack, from)))
}

/// The child that is open at the end of the records.
fn open_child(stack: &rtrace_format::Stack, from: CallAt) -> Option<CallAt> {
    let depth = from.depth + 1;
    stack.frame(from.depth).filter(|frame| frame.tick == from.frame.tick)?;
    let frame = stack.frame(depth).filter(Frame::is_known)?;
    Some(CallAt { lane: from.lane, depth, frame, seen: frame.tick.max(from.seen) })
}

fn heaviest_child(trace: &Trace, from: CallAt, cancelled: Cancelled<'_>) -> Option<CallAt> {
    let child = from.depth + 1;
    let mut best: Option<(u64, CallAt)> = None;
    let mut offer = |ticks: u64, call: CallAt| {
        if best.is_none_or(|(most, _)| ticks > most) {
            best = Some((ticks, call));
        }
    };
    let stack = within(trace, from, cancelled, |event| {
        if let Did::Left { depth, frame, .. } = event.step
            && depth == child
            && frame.is_known()
        {
            let tick = event.record.tick;
            let seen = frame.tick.max(from.seen).min(tick);
            let call = CallAt { lane: from.lane, depth, frame, seen };
            offer(tick.saturating_sub(frame.tick), call);
        }
        ControlFlow::Continue(())
    })?;
    if let Some(open) = open_child(&stack, from) {
        let end = trace.lane_end(from.lane.thread(trace)?);
        offer(end.saturating_sub(open.frame.tick), open);
    }
    best.map(|(_, call)| call)
}

fn next_sibling(trace: &Trace, from: CallAt, cancelled: Cancelled<'_>) -> Option<CallAt> {
    let end = describe::end(trace, from, cancelled)?.tick();
    let range = TickRange { from: end, to: u64::MAX };
    let mut found = None;
    scan(trace, from.lane, range, cancelled, |sight| {
        let Sight::Event(event) = sight else { return ControlFlow::Continue(()) };
        match event.step {
            Did::Entered { depth }
                if depth == from.depth
                    && event.record.tick >= end
                    && !is_own_entry(event, from) =>
            {
                found = entered(event, from, depth);
                ControlFlow::Break(())
            }
            // The caller is left: there is no more.
            Did::Left { depth, .. } if depth < from.depth => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    })?;
    found
}

/// The last entry before the call's own: of any depth, or of its depth and its caller.
fn before(trace: &Trace, from: CallAt, any: bool, cancelled: Cancelled<'_>) -> Option<CallAt> {
    let thread = from.lane.thread(trace)?;
    let caller = match from.depth {
        0 => None,
        _ if any => None,
        _ => Some(parent(trace, from, cancelled)?.frame.tick),
    };
    for range in backwards(thread, from.frame.tick) {
        if caller.is_some_and(|tick| range.to <= tick) || cancelled() {
            return None;
        }
        let mut found = None;
        scan(trace, from.lane, range, cancelled, |sight| {
            let Sight::Event(event) = sight else { return ControlFlow::Continue(()) };
            if is_own_entry(event, from) || event.record.tick > from.frame.tick {
                return ControlFlow::Break(());
            }
            match event.step {
                Did::Entered { depth } if any || depth == from.depth => {
                    let after_caller = caller.is_none_or(|tick| event.record.tick >= tick);
                    if after_caller {
                        found = entered(event, from, depth);
                    }
                }
                // The caller itself is entered here: what came before was another's.
                Did::Entered { depth } if !any && depth < from.depth => found = None,
                _ => {}
            }
            ControlFlow::Continue(())
        })?;
        if found.is_some() {
            return found;
        }
    }
    None
}

fn next(trace: &Trace, from: CallAt, cancelled: Cancelled<'_>) -> Option<CallAt> {
    let range = TickRange { from: from.seen, to: u64::MAX };
    let mut found = None;
    let recorded = from.seen == from.frame.tick && from.frame.has_start();
    let mut passed = !recorded;
    scan(trace, from.lane, range, cancelled, |sight| {
        let Sight::Event(event) = sight else { return ControlFlow::Continue(()) };
        if !passed {
            passed = is_own_entry(event, from);
            return ControlFlow::Continue(());
        }
        match event.step {
            Did::Entered { depth } if !is_own_entry(event, from) => {
                found = entered(event, from, depth);
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        }
    })?;
    found
}
