//! Lanes: the stacks of one thread while its records are replayed.
//!
//! A lane is a thread and a fiber. Fiber 0 is the thread's own stack; others are
//! greenlets, each with a stack of its own that lies still while another runs.

use std::collections::HashMap;

use rtrace_format::record::Subkind;
use rtrace_format::{Kind, Long, RecordRef, Stack, Step};

use super::blocks::Decoded;

/// One lane's stack.
#[derive(Clone, Debug, Default)]
pub struct Lane {
    /// The fiber.
    pub fiber: u32,
    /// Its open frames, in dense ids.
    pub stack: Stack,
}

/// All lanes of one thread, one of which is running.
#[derive(Clone, Debug)]
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
    /// Another lane runs now, and all that is known of its stack is what the record says.
    Appeared,
}

impl Default for Lanes {
    fn default() -> Self {
        Self { all: vec![Lane::default()], index: HashMap::from([(0, 0)]), current: 0 }
    }
}

impl Lanes {
    /// The lanes as a block's keyframe describes them: the running one.
    pub fn from_keyframe(block: &Decoded) -> Self {
        let lane = Lane { fiber: block.fiber, stack: Stack::from_keyframe(&block.keyframe) };
        Self { index: HashMap::from([(lane.fiber, 0)]), all: vec![lane], current: 0 }
    }

    /// Whether going on with these lanes agrees with the keyframe of `block`.
    pub fn agree(&self, block: &Decoded) -> bool {
        let lane = self.current();
        lane.fiber == block.fiber && lane.stack.depth() == block.keyframe.depth
    }

    /// The running lane.
    #[inline]
    pub fn current(&self) -> &Lane {
        // `current` is an index of `all` from construction on, and lanes are never removed.
        &self.all[self.current]
    }

    /// Every lane known so far.
    pub fn all(&self) -> &[Lane] {
        &self.all
    }

    /// Every lane known so far, to be amended.
    pub fn all_mut(&mut self) -> &mut [Lane] {
        &mut self.all
    }

    /// Applies one record.
    #[inline]
    pub fn apply(&mut self, record: &RecordRef<'_>) -> Change {
        if record.word.kind() == Some(Kind::Long) && record.word.subkind() == Subkind::SWITCH {
            return self.switch(record);
        }
        Change::Step(self.all[self.current].stack.apply(record.word, record.tick))
    }

    #[cold]
    fn switch(&mut self, record: &RecordRef<'_>) -> Change {
        let Long::Switch { fiber, depth, frames } = Long::parse(record.word, record.payload) else {
            return Change::Step(Step::Other);
        };
        if let Some(&known) = self.index.get(&fiber)
            && self.all[known].stack.depth() == depth
        {
            self.current = known;
            return Change::Switched;
        }
        let keyframe = rtrace_format::Keyframe { depth, outer: 0, frames };
        let lane = Lane { fiber, stack: Stack::from_keyframe(&keyframe) };
        self.current = match self.index.get(&fiber) {
            Some(&known) => {
                self.all[known] = lane;
                known
            }
            None => {
                self.index.insert(fiber, self.all.len());
                self.all.push(lane);
                self.all.len() - 1
            }
        };
        Change::Appeared
    }
}
