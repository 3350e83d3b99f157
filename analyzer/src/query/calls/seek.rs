//! The next call of a kind, over all lanes, passing over blocks that hold none.

use std::collections::HashSet;
use std::ops::ControlFlow;

use rtrace_format::record::Subkind;
use rtrace_format::{Frame, Kind, Long, Step};

use super::{CallAt, Cancelled, Sight, backwards, scan};
use crate::model::{Block, Hook, SymbolId, Thread, TickRange};
use crate::query::places::{Bounds, places};
use crate::query::timeline::LaneOf;
use crate::trace::{Event, Told, Trace};

/// An exception that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raised {
    /// The frame in which it was raised, or through which it passed.
    pub call: CallAt,
    /// When.
    pub tick: u64,
    /// Its type and message (WTF-8); `None` where the hook tells no more than that it passed.
    pub what: Option<(SymbolId, Vec<u8>)>,
}

/// The next exception after `tick` in any lane, or the last before it.
pub fn exception(
    trace: &Trace,
    lanes: &[LaneOf],
    tick: u64,
    forward: bool,
    cancelled: Cancelled<'_>,
) -> Option<Raised> {
    let raises = |told: Told<'_>| told.head().exceptions + told.head().unwinds > 0;
    let holds =
        |_: &Thread| -> Holds<'_> { Box::new(|_, block| trace.summary(block).is_none_or(raises)) };
    // A hook that records exceptions also unwinds where none was raised: closed generators. Of
    // one that records none, the unwinds are all there is.
    let by_unwinds = |lane: LaneOf| {
        lane.thread(trace).is_some_and(|thread| trace.process_of(thread).hook == Hook::Profile)
    };
    let see = |lane: LaneOf, event: &Event<'_>| {
        let tick = event.record.tick;
        let word = event.record.word;
        let call = |depth, frame: Frame| CallAt { lane, depth, frame, seen: frame.tick.min(tick) };
        match (word.kind()?, event.step) {
            (Kind::Unwind | Kind::CException, Step::Left { depth, frame, .. })
                if by_unwinds(lane) =>
            {
                Some(Raised { call: call(depth, frame), tick, what: None })
            }
            (Kind::Long, _) if word.subkind() == Subkind::EXCEPTION => {
                let depth = event.depth();
                let frame = event.lane.stack.frame(depth).unwrap_or(Frame::UNKNOWN);
                let Long::Exception { type_symbol, message, .. } =
                    Long::parse(word, event.record.payload)
                else {
                    return None;
                };
                Some(Raised {
                    call: call(depth, frame),
                    tick,
                    what: Some((type_symbol, message.to_vec())),
                })
            }
            _ => None,
        }
    };
    seek(trace, lanes, tick, forward, cancelled, &holds, &see).map(|(_, raised)| raised)
}

/// The next call of one of `symbols` that began after `tick` in any lane, or the last before it.
pub fn matching(
    trace: &Trace,
    lanes: &[LaneOf],
    symbols: &HashSet<SymbolId>,
    tick: u64,
    forward: bool,
    cancelled: Cancelled<'_>,
) -> Option<CallAt> {
    let holds = |thread: &Thread| -> Holds<'_> {
        let places = places(trace, thread, symbols);
        Box::new(move |at, _| places.get(at).copied().unwrap_or(true))
    };
    let see = |lane: LaneOf, event: &Event<'_>| {
        let Step::Entered { depth } = event.step else { return None };
        let frame = event.lane.stack.top().filter(|frame| symbols.contains(&frame.id()))?;
        Some(CallAt { lane, depth, frame, seen: event.record.tick })
    };
    seek(trace, lanes, tick, forward, cancelled, &holds, &see).map(|(_, call)| call)
}

/// Whether a block, of this index, may hold what is sought.
type Holds<'a> = Box<dyn Fn(usize, &Block) -> bool + 'a>;

/// The first thing after `tick` that `see` makes out in any lane, or the last before it.
fn seek<'a, T>(
    trace: &'a Trace,
    lanes: &[LaneOf],
    tick: u64,
    forward: bool,
    cancelled: Cancelled<'_>,
    holds: &dyn Fn(&Thread) -> Holds<'a>,
    see: &dyn Fn(LaneOf, &Event<'_>) -> Option<T>,
) -> Option<(u64, T)> {
    let mut best: Option<(u64, T)> = None;
    for &lane in lanes {
        let thread = lane.thread(trace)?;
        let holds = holds(thread);
        let worth = |range: TickRange| {
            let better = best
                .as_ref()
                .is_none_or(|(at, _)| if forward { range.from < *at } else { range.to > *at });
            let at = block_at(&thread.blocks, range.from);
            better && at.is_none_or(|at| holds(at, &thread.blocks[at]))
        };
        let ranges: Box<dyn Iterator<Item = TickRange>> = if forward {
            Box::new(forwards(&thread.blocks, tick))
        } else {
            Box::new(backwards(thread, tick))
        };
        for range in ranges {
            if cancelled() {
                return None;
            }
            if !worth(range) {
                continue;
            }
            let mut found: Option<(u64, T)> = None;
            scan(trace, lane, range, cancelled, |sight| {
                let Sight::Event(event) = sight else { return ControlFlow::Continue(()) };
                let at = event.record.tick;
                if (forward && at <= tick) || (!forward && at >= tick) {
                    return ControlFlow::Continue(());
                }
                if let Some(thing) = see(lane, event) {
                    found = Some((at, thing));
                    if forward {
                        return ControlFlow::Break(());
                    }
                }
                ControlFlow::Continue(())
            });
            let Some(found) = found else { continue };
            let better = best
                .as_ref()
                .is_none_or(|(at, _)| if forward { found.0 < *at } else { found.0 > *at });
            if better {
                best = Some(found);
            }
            break;
        }
    }
    best
}

/// Ranges of blocks from the one that holds `tick` on.
fn forwards(blocks: &[Block], tick: u64) -> impl Iterator<Item = TickRange> + '_ {
    let first = blocks.partition_point(|block| block.end_tick < tick);
    (first..blocks.len()).map(move |index| {
        let to = blocks.get(index + 1).map_or(u64::MAX, |next| next.base_tick);
        TickRange { from: blocks[index].base_tick, to: to.max(blocks[index].end_tick + 1) }
    })
}

fn block_at(blocks: &[Block], tick: u64) -> Option<usize> {
    blocks.partition_point(|block| block.base_tick <= tick).checked_sub(1)
}

/// The longest call of a function that was open within a range, in any lane.
pub fn longest(
    trace: &Trace,
    lanes: &[LaneOf],
    symbol: SymbolId,
    range: TickRange,
    cancelled: Cancelled<'_>,
) -> Option<CallAt> {
    let wanted = HashSet::from([symbol]);
    let mut best: Option<(u64, CallAt)> = None;
    for &lane in lanes {
        let thread = lane.thread(trace)?;
        let first = thread.blocks.partition_point(|block| block.end_tick < range.from);
        let behind = thread.blocks.partition_point(|block| block.base_tick < range.to);
        // Those that may hold the longest come first.
        let ranked = Bounds::new(trace, thread, first..behind.max(first), &wanted);
        let mut offer = |ticks: u64, call: CallAt| {
            if best.is_none_or(|(most, _)| ticks > most) {
                best = Some((ticks, call));
            }
            best.map_or(0, |(most, _)| most)
        };
        let mut most = offer_open(trace, lane, symbol, range, cancelled, &mut offer)?;
        for (bound, at) in ranked {
            if bound <= most {
                break;
            }
            let block = &thread.blocks[at];
            if cancelled() {
                return None;
            }
            let within = TickRange {
                from: block.base_tick.max(range.from),
                to: block.end_tick.saturating_add(1).min(range.to),
            };
            scan(trace, lane, within, cancelled, |sight| {
                if let Sight::Event(event) = sight
                    && let Step::Left { depth, frame, .. } = event.step
                    && frame.id() == symbol
                    && frame.is_known()
                {
                    let tick = event.record.tick;
                    let call = CallAt { lane, depth, frame, seen: frame.tick.max(block.base_tick) };
                    most = most.max(offer(tick.saturating_sub(frame.tick), call));
                }
                ControlFlow::Continue(())
            })?;
        }
    }
    best.map(|(_, call)| call)
}

/// Offers the calls that are open at the range's end, of which no exit tells.
fn offer_open(
    trace: &Trace,
    lane: LaneOf,
    symbol: SymbolId,
    range: TickRange,
    cancelled: Cancelled<'_>,
    offer: &mut dyn FnMut(u64, CallAt) -> u64,
) -> Option<u64> {
    let thread = lane.thread(trace)?;
    let end = trace.lane_end(thread).min(range.to.saturating_sub(1));
    let Some(last) = thread.last_tick() else { return Some(0) };
    let now = TickRange { from: end.min(last), to: end.min(last).saturating_add(1) };
    let Some(stack) = scan(trace, lane, now, cancelled, |_| ControlFlow::Continue(())) else {
        return if cancelled() { None } else { Some(0) };
    };
    let known = stack.outer().iter().zip(0..);
    let inner = stack.outer().len() as u32 + stack.hidden();
    let mut most = 0;
    for (frame, depth) in known.chain(stack.inner().iter().zip(inner..)) {
        if frame.id() == symbol && frame.is_known() {
            let call = CallAt { lane, depth, frame: *frame, seen: now.from.max(frame.tick) };
            most = offer(end.saturating_sub(frame.tick), call);
        }
    }
    Some(most)
}
