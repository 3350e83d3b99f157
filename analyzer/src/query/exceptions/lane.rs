//! The propagations under way on one lane.

use crate::model::{SymbolId, TickRange};

/// An exception as it was raised, and the frames that it reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raised {
    /// Its type.
    pub type_symbol: SymbolId,
    /// Its message, WTF-8.
    pub message: Vec<u8>,
    /// The innermost function.
    pub function: SymbolId,
    /// The line there.
    pub line: u32,
    /// When.
    pub tick: u64,
    /// The frames that it reached on its way out, innermost first: function and line.
    pub passed: Passed,
}

/// How many frames of one way out are kept: the first ones, and the last.
const PASSED_MAX: usize = 64;

/// Frames that an exception reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Function and line of those that are kept, innermost first.
    pub frames: Vec<(SymbolId, u32)>,
    /// How many are left out before the last one.
    pub left_out: u64,
}

impl Passed {
    fn push(&mut self, frame: (SymbolId, u32)) {
        if self.frames.len() < PASSED_MAX {
            return self.frames.push(frame);
        }
        self.left_out += 1;
        self.frames[PASSED_MAX - 1] = frame;
    }
}

/// How a propagation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A frame that it reached went on: it returned, yielded, or raised another one.
    Handled,
    /// It left the lane's outermost frame.
    Escaped,
    /// The history breaks off.
    Unknown,
}

/// One propagation, in the frame at `depth`.
#[derive(Debug)]
pub struct Propagation {
    raised: Raised,
    depth: u32,
    /// It came from the frame above, and no record of this frame has named it yet.
    arrived: bool,
}

impl Propagation {
    /// What was raised.
    pub fn into_raised(self) -> Raised {
        self.raised
    }

    fn is_like(&self, raised: &Raised) -> bool {
        self.raised.type_symbol == raised.type_symbol && self.raised.message == raised.message
    }
}

/// How many exceptions one frame may have seen before and raise again.
const KEPT_MAX: usize = 8;

/// All propagations of one lane, the newest last. Depths never fall towards the end:
/// a frame above another is entered later.
#[derive(Debug, Default)]
pub struct LaneState {
    under_way: Vec<Propagation>,
}

type Ended = Vec<(Raised, Outcome)>;

impl LaneState {
    /// Whether no propagation is under way.
    pub fn is_idle(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Whether one is under way that was raised in `range`.
    pub fn has_any_in(&self, range: TickRange) -> bool {
        self.under_way.iter().any(|p| range.contains(p.raised.tick))
    }

    /// An `exception` record of the frame at `depth`.
    pub fn exception(&mut self, depth: u32, raised: Raised) -> Ended {
        let mut ended = self.forget_above(depth);
        let here = self.under_way.partition_point(|p| p.depth < depth);
        let same = self.under_way[here..].iter().rposition(|p| p.arrived && p.is_like(&raised));
        // What else arrived here was replaced on the way. What this frame saw before may
        // still be raised again behind an `except` that failed in turn: it stays.
        let mut kept = None;
        let mut stay = Vec::new();
        for (i, propagation) in self.under_way.drain(here..).enumerate() {
            if Some(i) == same {
                kept = Some(propagation);
            } else if propagation.arrived || propagation.is_like(&raised) {
                ended.push((propagation.raised, Outcome::Handled));
            } else {
                stay.push(propagation);
            }
        }
        // A loop that tries again and again leaves one behind each time.
        let surplus = stay.len().saturating_sub(KEPT_MAX);
        ended.extend(stay.drain(..surplus).map(|p| (p.raised, Outcome::Handled)));
        self.under_way.append(&mut stay);
        self.under_way.push(match kept {
            Some(mut going_on) => {
                going_on.arrived = false;
                going_on.raised.passed.push((raised.function, raised.line));
                going_on
            }
            None => Propagation { raised, depth, arrived: false },
        });
        ended
    }

    /// The frame at `depth` was left by an exception.
    pub fn unwind(&mut self, depth: u32) -> Ended {
        let mut ended = self.forget_above(depth);
        let here = self.under_way.partition_point(|p| p.depth < depth);
        if depth == 0 {
            // Of several the newest is on its way out; it replaced the others.
            let last = (self.under_way.len() - here).saturating_sub(1);
            let leaving = self.under_way.drain(here..).enumerate();
            ended.extend(leaving.map(|(i, p)| {
                (p.raised, if i == last { Outcome::Escaped } else { Outcome::Handled })
            }));
            return ended;
        }
        for propagation in &mut self.under_way[here..] {
            // Which of several it was, the next record of the frame below will tell.
            propagation.depth = depth - 1;
            propagation.arrived = true;
        }
        ended
    }

    /// The frame at `depth` was left in the ordinary way: what was in it was handled.
    pub fn leave(&mut self, depth: u32) -> Ended {
        let here = self.under_way.partition_point(|p| p.depth < depth);
        self.under_way.drain(here..).map(|p| (p.raised, Outcome::Handled)).collect()
    }

    /// The frame at `depth` is suspended: what is in it will wait there. An exception
    /// that passes an `await` of a `finally` is still on its way when that goes on.
    pub fn suspend(&mut self, depth: u32) -> Vec<Propagation> {
        let here = self.under_way.partition_point(|p| p.depth < depth);
        self.under_way.drain(here..).collect()
    }

    /// A frame that was suspended goes on at `depth`, with what was in it.
    pub fn resume(&mut self, depth: u32, waiting: Vec<Propagation>) {
        self.under_way.extend(waiting.into_iter().map(|p| Propagation {
            depth,
            arrived: false,
            ..p
        }));
    }

    /// Frames above `depth` were closed without their exits being known.
    pub fn forget_above(&mut self, depth: u32) -> Ended {
        let here = self.under_way.partition_point(|p| p.depth <= depth);
        self.under_way.drain(here..).map(|p| (p.raised, Outcome::Unknown)).collect()
    }

    /// The history breaks off.
    pub fn give_up(&mut self) -> Ended {
        self.under_way.drain(..).map(|p| (p.raised, Outcome::Unknown)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raised(type_symbol: SymbolId, tick: u64) -> Raised {
        Raised {
            type_symbol,
            message: Vec::new(),
            function: 9,
            line: 1,
            tick,
            passed: Passed::default(),
        }
    }

    fn outcomes(ended: Ended) -> Vec<(SymbolId, Outcome)> {
        ended.into_iter().map(|(raised, outcome)| (raised.type_symbol, outcome)).collect()
    }

    #[test]
    fn one_propagation_through_three_frames_is_one() {
        let mut lane = LaneState::default();
        assert!(lane.exception(2, raised(7, 1)).is_empty());
        assert!(lane.unwind(2).is_empty());
        assert!(lane.exception(1, raised(7, 2)).is_empty());
        assert!(lane.unwind(1).is_empty());
        assert!(lane.exception(0, raised(7, 3)).is_empty());
        assert_eq!(outcomes(lane.unwind(0)), [(7, Outcome::Escaped)]);
        assert!(lane.is_idle());
    }

    #[test]
    fn a_return_of_a_frame_it_reached_handles_it() {
        let mut lane = LaneState::default();
        lane.exception(2, raised(7, 1));
        lane.unwind(2);
        lane.exception(1, raised(7, 2));
        assert_eq!(outcomes(lane.leave(1)), [(7, Outcome::Handled)]);
    }

    #[test]
    fn calls_made_while_it_passes_do_not_handle_it() {
        let mut lane = LaneState::default();
        lane.exception(1, raised(7, 1));
        // `__exit__` at depth 2 raises and handles one of its own.
        lane.exception(2, raised(8, 2));
        assert_eq!(outcomes(lane.leave(2)), [(8, Outcome::Handled)]);
        assert!(lane.unwind(1).is_empty());
        assert_eq!(outcomes(lane.give_up()), [(7, Outcome::Unknown)]);
    }

    #[test]
    fn of_two_in_one_frame_the_newer_leaves_it() {
        let mut lane = LaneState::default();
        lane.exception(0, raised(7, 1));
        lane.exception(0, raised(8, 2));
        assert_eq!(outcomes(lane.unwind(0)), [(7, Outcome::Handled), (8, Outcome::Escaped)]);
    }

    #[test]
    fn a_frame_does_not_remember_for_ever() {
        let mut lane = LaneState::default();
        let ended: usize = (0..1000).map(|n| lane.exception(0, raised(n, 0)).len()).sum();
        assert_eq!(ended, 1000 - KEPT_MAX - 1);
    }

    #[test]
    fn a_retry_loop_counts_each() {
        let mut lane = LaneState::default();
        for tick in 0..3 {
            let ended = lane.exception(0, raised(7, tick));
            assert_eq!(ended.len(), usize::from(tick > 0));
        }
    }

    #[test]
    fn a_reraise_behind_a_nested_one_goes_on() {
        let mut lane = LaneState::default();
        lane.exception(1, raised(7, 1));
        lane.exception(2, raised(8, 2));
        lane.unwind(2);
        lane.exception(1, raised(8, 3));
        // Frame 1 catches 8 as well and raises 7 again, which is not recorded.
        assert!(lane.unwind(1).is_empty());
        assert_eq!(outcomes(lane.exception(0, raised(7, 3))), [(8, Outcome::Handled)]);
        assert_eq!(outcomes(lane.unwind(0)), [(7, Outcome::Escaped)]);
    }
}
