//! Lanes: the stacks of one thread while its records are replayed.
//!
//! A lane is a thread and a fiber. Fiber 0 is the thread's own stack; others are
//! greenlets, each with a stack of its own that lies still while another runs.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::frame::{Frame, Keyframe};
use crate::long::Long;
use crate::record::{Kind, Subkind};
use crate::rows::RecordRef;
use crate::stack::{Stack, Step};

/// Lanes that are kept while others run. Of a thread that has more the stack of one that
/// waits is known again when it runs.
const LANES_MAX: usize = 1 << 17;

/// One lane's stack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lane {
    /// The fiber.
    pub fiber: u32,
    /// Its open frames.
    pub stack: Stack,
}

/// All lanes of one thread that have frames open, one of which is running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lanes {
    all: Vec<Lane>,
    index: HashMap<u32, usize>,
    current: usize,
}

/// What a record did to the lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// This, to the stack of the running lane.
    Step(Step),
    /// Another lane runs now, and its stack was known.
    Switched,
    /// A lane runs now whose stack is not what was known of it: what the record says is
    /// all there is.
    Appeared,
}

impl Default for Lanes {
    fn default() -> Self {
        Self::running(0, Stack::default())
    }
}

impl Lanes {
    /// One lane, which runs.
    pub fn running(fiber: u32, stack: Stack) -> Self {
        Self { all: vec![Lane { fiber, stack }], index: HashMap::from([(fiber, 0)]), current: 0 }
    }

    /// The running lane.
    #[inline]
    pub fn current(&self) -> &Lane {
        // `current` is an index of `all` at all times: the running lane is never removed.
        &self.all[self.current]
    }

    /// The running lane's stack, to be amended.
    #[inline]
    pub fn stack_mut(&mut self) -> &mut Stack {
        &mut self.all[self.current].stack
    }

    /// The running lane and every other that is known to have frames open.
    pub fn all(&self) -> &[Lane] {
        &self.all
    }

    /// Whether nothing is known of any lane but a thread's own, which runs.
    pub fn is_one(&self) -> bool {
        self.all.len() == 1 && self.all[0].fiber == 0
    }

    /// Forgets every lane but the running one, which is this.
    pub fn restart(&mut self, fiber: u32, stack: Stack) {
        *self = Self::running(fiber, stack);
    }

    /// Learns of lanes that wait; one that is known already stays as it is.
    pub fn wait(&mut self, lanes: impl IntoIterator<Item = Lane>) {
        for lane in lanes {
            if let Entry::Vacant(place) = self.index.entry(lane.fiber) {
                place.insert(self.all.len());
                self.all.push(lane);
            }
        }
    }

    /// Applies one record.
    #[inline]
    pub fn apply(&mut self, record: &RecordRef<'_>) -> Change {
        if record.word.kind() == Some(Kind::Long) && record.word.subkind() == Subkind::SWITCH {
            return self.apply_switch(record);
        }
        Change::Step(self.all[self.current].stack.apply(record.word, record.tick))
    }

    #[cold]
    fn apply_switch(&mut self, record: &RecordRef<'_>) -> Change {
        match Long::parse(record.word, record.payload) {
            Long::Switch { fiber, depth, frames } => self.switch(fiber, depth, frames),
            _ => Change::Step(Step::Other),
        }
    }

    /// Makes `fiber` run, with `depth` frames open, of which `frames` are the innermost.
    pub fn switch(&mut self, fiber: u32, depth: u32, frames: Vec<Frame>) -> Change {
        let before = self.current().fiber;
        let known = self.index.get(&fiber).copied();
        if let Some(at) = known
            && agrees(&self.all[at].stack, depth, &frames)
        {
            let stack = &mut self.all[at].stack;
            if stack.hidden() > 0 && frames.len() > stack.inner().len() {
                *stack = widened(stack, depth, &frames);
            }
            self.current = at;
            self.leave(before);
            return Change::Switched;
        }
        let stack = Stack::from_keyframe(&Keyframe { depth, outer: 0, frames });
        match known {
            Some(at) => {
                self.all[at].stack = stack;
                self.current = at;
            }
            None => {
                self.current = self.all.len();
                self.index.insert(fiber, self.current);
                self.all.push(Lane { fiber, stack });
            }
        }
        self.leave(before);
        // An empty stack of a fiber that was not known is all there is to know.
        if known.is_none() && depth == 0 { Change::Switched } else { Change::Appeared }
    }

    /// Forgets the lane that ran before if nothing is open on it.
    fn leave(&mut self, fiber: u32) {
        let Some(&at) = self.index.get(&fiber).filter(|&&at| at != self.current) else { return };
        if self.all[at].stack.depth() > 0 && self.all.len() <= LANES_MAX {
            return;
        }
        self.index.remove(&fiber);
        self.all.swap_remove(at);
        if let Some(moved) = self.all.get(at) {
            self.index.insert(moved.fiber, at);
            if self.current == self.all.len() {
                self.current = at;
            }
        }
    }
}

/// Whether a stack can be the one of which a record says this.
fn agrees(stack: &Stack, depth: u32, frames: &[Frame]) -> bool {
    let same = |(above, frame): (u32, &Frame)| {
        let mine = depth.checked_sub(above + 1).and_then(|at| stack.frame(at));
        mine.is_some_and(|mine| !mine.is_known() || !frame.is_known() || mine.id() == frame.id())
    };
    stack.depth() == depth && (0..).zip(frames.iter().rev()).all(same)
}

/// A stack some of whose frames are hidden, with more of its innermost ones.
fn widened(stack: &Stack, depth: u32, frames: &[Frame]) -> Stack {
    let room = (depth as usize).saturating_sub(frames.len());
    let outer = &stack.outer()[..stack.outer().len().min(room)];
    let all = [outer, frames].concat();
    Stack::from_keyframe(&Keyframe { depth, outer: outer.len() as u32, frames: all })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Word;

    fn call(lanes: &mut Lanes, id: u32) {
        lanes.stack_mut().apply(Word::new(Kind::Call, id, 0), 1);
    }

    fn frames(ids: std::ops::Range<u32>) -> Vec<Frame> {
        ids.map(|id| Frame::new(id, 0, 1)).collect()
    }

    #[test]
    fn stacks_lie_still_while_others_run() {
        let mut lanes = Lanes::default();
        call(&mut lanes, 4);
        assert_eq!(lanes.switch(1, 0, vec![]), Change::Switched);
        call(&mut lanes, 5);
        assert_eq!(lanes.switch(0, 1, vec![]), Change::Switched);
        assert_eq!(lanes.current().stack.top().map(|frame| frame.id()), Some(4));
        assert_eq!(lanes.switch(1, 1, frames(5..6)), Change::Switched);
        assert_eq!((lanes.current().fiber, lanes.all().len()), (1, 2));
    }

    #[test]
    fn what_a_record_says_of_a_stack_holds() {
        let mut lanes = Lanes::default();
        call(&mut lanes, 4);
        assert_eq!(lanes.switch(0, 1, frames(9..10)), Change::Appeared);
        assert_eq!(lanes.current().stack.top().map(|frame| frame.id()), Some(9));
        assert_eq!(lanes.switch(7, 40, frames(30..40)), Change::Appeared);
        assert_eq!(lanes.current().stack.hidden(), 30);
        lanes.switch(0, 1, vec![]);
        assert_eq!(lanes.switch(7, 40, frames(20..40)), Change::Switched);
        assert_eq!(lanes.current().stack.hidden(), 20);
    }

    #[test]
    fn empty_lanes_are_not_kept() {
        let mut lanes = Lanes::default();
        call(&mut lanes, 4);
        for fiber in 1..10_000 {
            lanes.switch(fiber, 0, vec![]);
            lanes.switch(0, 1, vec![]);
        }
        assert_eq!(lanes.all().len(), 1);
        lanes.switch(3, 0, vec![]);
        call(&mut lanes, 5);
        for fiber in 4..10 {
            lanes.switch(fiber, 0, vec![]);
        }
        assert_eq!(lanes.all().len(), 3);
        assert_eq!(lanes.switch(3, 1, vec![]), Change::Switched);
        assert_eq!(lanes.switch(0, 1, vec![]), Change::Switched);
    }
}
