//! Single calls: which was open where, what stands beside, above and below it, and where the
//! next one of a kind is.
//!
//! Every question decodes as few blocks as it can: the end of a call that spans many is found by
//! the keyframes of blocks (a frame that is open at two of them was open between), and searches
//! pass over blocks whose summary holds nothing that is sought.

mod describe;
mod lasting;
mod near;
mod seek;
mod steps;

pub use describe::describe;
pub use lasting::{Lasting, lasting};
pub use near::{at, last};
pub use seek::{exception, longest, matching};
pub use steps::{Step, step};

use std::ops::ControlFlow;

use rtrace_format::{Frame, Stack};

use crate::model::{SymbolId, Thread, TickRange};
use crate::query::timeline::LaneOf;
use crate::trace::{Event, Lane, Trace, Visitor, replay};

/// A place in the structure of calls: a frame, at a depth of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallAt {
    /// The lane.
    pub lane: LaneOf,
    /// Number of frames around it.
    pub depth: u32,
    /// Its function, its first tick, and whether it began before the recording.
    pub frame: Frame,
    /// A tick at which it was seen to be open, or at which it was entered.
    pub seen: u64,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallEnd {
    /// It returned, at this tick.
    Returned(u64),
    /// An exception left it, at this tick.
    Unwound(u64),
    /// It gave a value at this tick and waits to be resumed.
    Yielded(u64),
    /// It was open when the lane's records ended, at this tick.
    Open(u64),
    /// Records break off at this tick, and behind it the call is not open any more.
    Unknown(u64),
}

impl CallEnd {
    /// The tick up to which it is known to have been open.
    pub fn tick(self) -> u64 {
        match self {
            Self::Returned(tick)
            | Self::Unwound(tick)
            | Self::Yielded(tick)
            | Self::Open(tick)
            | Self::Unknown(tick) => tick,
        }
    }
}

/// All that is known of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Where it is.
    pub at: CallAt,
    /// How it ended.
    pub end: CallEnd,
    /// Its callers, outermost first; `None` where only their number is known.
    pub callers: Vec<Option<SymbolId>>,
    /// Ticks in it and in no call that it made, unless it is too long to count.
    pub self_ticks: Option<u64>,
    /// Calls that it made itself, unless it is too long to count.
    pub children: Option<u64>,
}

/// Says that nobody waits for the answer any more.
pub type Cancelled<'a> = &'a dyn Fn() -> bool;

/// How many events pass between two looks at whether the answer is still wanted.
const LOOK: u32 = 8_192;

/// What a [`scan`] sees of one lane.
enum Sight<'a> {
    /// The stack is known to be this from `tick` on.
    Begin(&'a Stack, u64),
    /// A record.
    Event(&'a Event<'a>),
    /// Records break off at this tick.
    Broken(u64),
}

/// Shows everything in a range of one lane to `see`, until it breaks or nobody waits. Gives the
/// lane's stack as it was then; `None` if nobody waits or the lane never showed.
fn scan(
    trace: &Trace,
    lane: LaneOf,
    range: TickRange,
    cancelled: Cancelled<'_>,
    see: impl FnMut(Sight<'_>) -> ControlFlow<()>,
) -> Option<Stack> {
    let thread = lane.thread(trace)?;
    let mut scan = Scan { fiber: lane.fiber, see, cancelled, look: LOOK, stopped: false };
    let lanes = replay(trace, thread, range, &mut scan);
    if scan.stopped {
        return None;
    }
    lanes.all().iter().find(|of| of.fiber == lane.fiber).map(|of| of.stack.clone())
}

struct Scan<'a, F> {
    fiber: u32,
    see: F,
    cancelled: Cancelled<'a>,
    look: u32,
    stopped: bool,
}

impl<F: FnMut(Sight<'_>) -> ControlFlow<()>> Visitor for Scan<'_, F> {
    fn begin(&mut self, lane: &Lane, tick: u64) {
        if lane.fiber == self.fiber {
            // A beginning cannot end a replay; whoever wants to stop does so at an event.
            let _ = (self.see)(Sight::Begin(&lane.stack, tick));
        }
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
        (self.see)(Sight::Event(event))
    }

    fn gap(&mut self, gap: &crate::model::Gap) {
        let _ = (self.see)(Sight::Broken(gap.from_tick));
    }
}

/// Ranges of blocks from the one that holds `tick` backwards, the last of them up to `tick`.
fn backwards(thread: &Thread, tick: u64) -> impl Iterator<Item = TickRange> + '_ {
    let after = thread.blocks.partition_point(|block| block.base_tick <= tick);
    let to = move |index: usize| {
        let next = thread.blocks.get(index + 1).map_or(u64::MAX, |block| block.base_tick);
        next.min(tick.saturating_add(1))
    };
    let range =
        move |index: usize| TickRange { from: thread.blocks[index].base_tick, to: to(index) };
    (0..after).rev().map(range)
}

/// The frames around `depth` on a stack, outermost first, by function.
fn callers(stack: &Stack, depth: u32) -> Vec<Option<SymbolId>> {
    let mut callers = Vec::new();
    let mut at = 0;
    while at < depth.min(stack.depth()) {
        let frame = stack.frame(at).filter(Frame::is_known);
        callers.push(frame.map(|frame| frame.id()));
        // A stretch of hidden frames is one unknown, however many there are.
        at = match frame {
            Some(_) => at + 1,
            None => (at + stack.hidden().max(1)).min(depth),
        };
    }
    callers
}

#[cfg(test)]
mod tests;
