//! Replay: one thread's records in order, with the stacks that they mean.
//!
//! A replay may begin at any block, since each carries a keyframe. Within a run of
//! blocks whose record numbers follow one another the stacks are carried on, which
//! keeps frames that a keyframe would have left out; behind a gap the keyframe holds.

use std::ops::{ControlFlow, Range};

use rtrace_format::{Cause, Change, Lane, Lanes, RecordRef, Stack, Step};

use super::Trace;
use super::blocks::Decoded;
use crate::model::{Gap, Missing, Thread, TickRange};

/// How many blocks a replay begins earlier, at most, to learn of frames that the
/// keyframe of its first block hides.
const BACK_MAX: usize = 64;

/// Walks over the blocks of a thread that a range of time needs.
#[derive(Debug)]
pub struct Walk<'t> {
    trace: &'t Trace,
    thread: &'t Thread,
    next: usize,
    /// The block behind the last that it comes to.
    behind: usize,
    range: TickRange,
    /// How many of the next block's gaps were given out already.
    gaps_done: usize,
}

/// What a [`Walk`] comes to.
#[derive(Debug)]
pub enum Piece {
    /// Events are missing here.
    Gap(Gap),
    /// Records. `follows` says whether they go on where the last block ended.
    Block {
        /// The records.
        block: Decoded,
        /// Nothing is missing between the block before and this one.
        follows: bool,
    },
}

impl<'t> Walk<'t> {
    /// Begins so early that every record in `range` and the stacks at its start are covered.
    pub fn new(trace: &'t Trace, thread: &'t Thread, range: TickRange) -> Self {
        let blocks = &thread.blocks;
        let mut next = blocks.partition_point(|block| block.end_tick < range.from);
        // A block that begins after the range's start says nothing of what was open
        // at the start; the one before it does.
        if next > 0 && blocks.get(next).is_none_or(|block| block.base_tick > range.from) {
            next -= 1;
        }
        if !thread.has_one_lane() {
            // What lies on a fiber that is not running is told only by its past.
            next = 0;
        }
        let earliest = next.saturating_sub(BACK_MAX);
        while next > earliest
            && blocks[next].gaps.is_empty()
            && trace.keyframe(&blocks[next]).is_some_and(|keyframe| keyframe.hidden() > 0)
        {
            next -= 1;
        }
        Self { trace, thread, next, behind: blocks.len(), range, gaps_done: 0 }
    }

    /// Of some blocks only, those that the range meets.
    pub fn over(
        trace: &'t Trace,
        thread: &'t Thread,
        blocks: Range<usize>,
        range: TickRange,
    ) -> Self {
        let behind = blocks.end.min(thread.blocks.len());
        Self { trace, thread, next: blocks.start, behind, range, gaps_done: 0 }
    }

    /// A tick before which nothing follows any more; `None` at the end.
    pub fn earliest(&self) -> Option<u64> {
        let blocks = &self.thread.blocks[..self.behind];
        let block = blocks.get(self.next).filter(|b| self.wants(b.base_tick))?;
        match block.gaps.get(self.gaps_done) {
            Some(gap) => Some(gap.from_tick.min(block.base_tick)),
            None => Some(block.base_tick),
        }
    }

    fn wants(&self, base_tick: u64) -> bool {
        base_tick < self.range.to || self.range.to == u64::MAX
    }
}

impl Iterator for Walk<'_> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        let block = self.thread.blocks[..self.behind].get(self.next)?;
        if let Some(gap) = block.gaps.get(self.gaps_done) {
            self.gaps_done += 1;
            return Some(Piece::Gap(*gap));
        }
        if !self.wants(block.base_tick) {
            return None;
        }
        self.next += 1;
        let follows = std::mem::take(&mut self.gaps_done) == 0 && self.next > 1;
        match self.trace.decode(block) {
            Ok(block) => Some(Piece::Block { block, follows }),
            // The next block begins anew, as behind any gap: the replay forgets its stacks.
            Err(_) => Some(Piece::Gap(block.damaged())),
        }
    }
}

impl crate::model::Block {
    /// The gap that this block leaves if it cannot be decoded.
    pub(crate) fn damaged(&self) -> Gap {
        Gap {
            count: self.events,
            why: Missing::Lost(Cause::Damaged),
            from_tick: self.base_tick,
            to_tick: self.end_tick,
            record: self.first_record,
        }
    }
}

/// One record of a replay.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// The record.
    pub record: RecordRef<'a>,
    /// What it did to the running lane's stack.
    pub step: Step,
    /// The lane that runs after it.
    pub lane: &'a Lane,
}

impl Event<'_> {
    /// The depth that `events` prints (SPEC section 3).
    #[inline]
    pub fn depth(&self) -> u32 {
        match self.step {
            Step::Entered { depth } | Step::Left { depth, .. } | Step::Unmatched { depth } => depth,
            Step::Other => self.lane.stack.python_depth(),
        }
    }
}

/// Sees a replay go by.
pub trait Visitor {
    /// From `tick` on the lane's stack is known to be this, whatever it was before:
    /// at the start of the range, behind a gap, or where a fiber is first seen.
    fn begin(&mut self, lane: &Lane, tick: u64);

    /// A record in the range.
    ///
    /// Breaking ends the replay.
    fn event(&mut self, event: &Event<'_>) -> ControlFlow<()>;

    /// The lane runs again from `tick` on, with the stack that it had.
    fn switched(&mut self, lane: &Lane, tick: u64) {
        let _ = (lane, tick);
    }

    /// Events are missing; what was open before is not known to be open any more.
    fn gap(&mut self, gap: &Gap) {
        let _ = gap;
    }
}

/// Replays what lies in `range` of a thread, and gives the lanes as they were at its end.
pub fn replay(
    trace: &Trace,
    thread: &Thread,
    range: TickRange,
    visitor: &mut impl Visitor,
) -> Lanes {
    if thread.blocks.is_empty() {
        return stand_still(thread, range, visitor);
    }
    replay_walk(Walk::new(trace, thread, range), range, visitor)
}

/// Replays what lies in `range` of some blocks of a thread, and nothing else: what was
/// open before the first is what that one tells.
pub fn replay_blocks(
    trace: &Trace,
    thread: &Thread,
    blocks: Range<usize>,
    range: TickRange,
    visitor: &mut impl Visitor,
) -> Lanes {
    replay_walk(Walk::over(trace, thread, blocks, range), range, visitor)
}

fn replay_walk(walk: Walk<'_>, range: TickRange, visitor: &mut impl Visitor) -> Lanes {
    let mut lanes = Lanes::default();
    // Whether the visitor knows of the lanes: not before the range, not behind a gap.
    let mut begun = false;
    let mut known = false;
    let mut last_tick = 0;
    for piece in walk {
        let (block, follows) = match piece {
            Piece::Gap(gap) => {
                if known && range.meets(gap.from_tick, gap.to_tick) {
                    visitor.gap(&gap);
                }
                (begun, known) = (false, false);
                continue;
            }
            Piece::Block { block, follows } => (block, follows),
        };
        let carried = known && follows && block.follows(&lanes);
        if !carried {
            if known {
                visitor.gap(&Gap {
                    count: 0,
                    why: Missing::Lost(Cause::Unknown),
                    from_tick: last_tick,
                    to_tick: block.rows.base_tick,
                    record: block.rows.first_record,
                });
            }
            lanes = block.lanes();
            begun = false;
            last_tick = block.rows.base_tick;
        }
        known = true;
        for record in block.rows.iter() {
            if record.row < block.skip {
                // Held by the block before, too. Where that one was not replayed,
                // the stacks still need it.
                if !carried {
                    lanes.apply(&record);
                }
                continue;
            }
            if !begun && record.tick >= range.from {
                begun = true;
                for lane in lanes.all() {
                    visitor.begin(lane, last_tick.max(range.from));
                }
                visitor.switched(lanes.current(), last_tick.max(range.from));
            }
            if !range.contains(record.tick) && record.tick >= range.from {
                return lanes;
            }
            let change = lanes.apply(&record);
            last_tick = record.tick;
            if !begun {
                continue;
            }
            if show(&lanes, record, change, visitor).is_break() {
                return lanes;
            }
        }
    }
    if known && !begun {
        // No record lies in the range, but what was open still is.
        for lane in lanes.all() {
            visitor.begin(lane, last_tick.max(range.from));
        }
        visitor.switched(lanes.current(), last_tick.max(range.from));
    }
    lanes
}

/// Replays one block by itself: of the lanes only as much is known as it tells.
pub fn replay_alone(block: &Decoded, visitor: &mut impl Visitor) -> ControlFlow<()> {
    let mut lanes = block.lanes();
    visitor.begin(lanes.current(), block.rows.base_tick);
    visitor.switched(lanes.current(), block.rows.base_tick);
    for record in block.rows.iter() {
        let change = lanes.apply(&record);
        show(&lanes, record, change, visitor)?;
    }
    ControlFlow::Continue(())
}

/// Lets a visitor see what a record did.
#[inline]
fn show(
    lanes: &Lanes,
    record: RecordRef<'_>,
    change: Change,
    visitor: &mut impl Visitor,
) -> ControlFlow<()> {
    let lane = lanes.current();
    let step = match change {
        Change::Step(step) => step,
        Change::Switched => {
            visitor.switched(lane, record.tick);
            Step::Other
        }
        Change::Appeared => {
            visitor.begin(lane, record.tick);
            visitor.switched(lane, record.tick);
            Step::Other
        }
    };
    visitor.event(&Event { record, step, lane })
}

/// A thread without a record: its lanes stayed as they were from the first on.
fn stand_still(thread: &Thread, range: TickRange, visitor: &mut impl Visitor) -> Lanes {
    let mut lanes = Lanes::default();
    if let Some(known) = &thread.final_stack
        && thread.born_tick < range.to
    {
        lanes.restart(thread.final_fiber.unwrap_or(0), Stack::from_keyframe(known));
        lanes.wait(
            thread
                .waiting
                .iter()
                .map(|(fiber, known)| Lane { fiber: *fiber, stack: Stack::from_keyframe(known) }),
        );
        // Of one whose records are lost its frames tell since when.
        let entered = lanes.all().iter().filter_map(|lane| lane.stack.top()).map(|top| top.tick);
        let from = entered.max().unwrap_or(0).max(thread.born_tick).max(range.from);
        if from >= range.to {
            return lanes;
        }
        for lane in lanes.all() {
            visitor.begin(lane, from);
        }
        visitor.switched(lanes.current(), from);
    }
    lanes
}
