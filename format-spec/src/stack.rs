//! Replay: from records to which calls are open.
//!
//! One machine serves the packer, the index and every query, so that depth,
//! repair and the treatment of frames that nobody knows are decided once.

use crate::frame::{C_FUNCTION, Frame, Keyframe, RESUMED};
use crate::record::{Effect, Kind, Subkind, Word};

/// The stack of one lane.
///
/// Where a keyframe left frames out, only their number is kept, so that a stack
/// of a billion hidden frames costs nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stack {
    /// The outermost frames; all of them while `hidden` is 0.
    outer: Vec<Frame>,
    /// Frames known by number only.
    hidden: u32,
    /// The innermost frames, above the hidden ones; empty while `hidden` is 0.
    inner: Vec<Frame>,
}

/// What a record did to the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A frame was entered.
    Entered {
        /// The number of frames that were open before.
        depth: u32,
    },
    /// A frame was left.
    Left {
        /// The number of frames open now.
        depth: u32,
        /// The frame; [`Frame::UNKNOWN`] if it was known by number only.
        frame: Frame,
        /// How many frames above it were closed with it, because their exits are missing.
        repaired: u32,
    },
    /// An exit of a frame that is not open; nothing was changed.
    Unmatched {
        /// The number of frames open.
        depth: u32,
    },
    /// The stack is as before.
    Other,
}

/// How far [`Stack::run`] came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Run {
    /// So many rows were applied.
    pub rows: usize,
    /// So many payload words were passed.
    pub payload: usize,
    /// So many of the rows have no record number.
    pub unnumbered: usize,
    /// The most frames that were open at once.
    pub deepest: u32,
}

impl Run {
    /// Passes over a row that leaves every stack as it is; says whether it was one.
    #[cold]
    fn pass(&mut self, word: Word, now: &mut u64) -> bool {
        match word.kind() {
            Some(Kind::Extend) => *now = now.wrapping_add(word.extend_ticks()),
            Some(Kind::Long) if word.subkind() != Subkind::SWITCH => {
                self.payload += word.payload_words();
                *now = now.wrapping_add(word.delta().into());
            }
            _ => return false,
        }
        self.unnumbered += usize::from(!word.is_numbered());
        true
    }
}

/// So many rows are applied between two looks at how deep the stack may get by them.
const BATCH: usize = 1024;

/// What a row of a kind does, as [`Stack::run`] wants it.
#[derive(Clone, Copy)]
struct Class {
    push: bool,
    pop: bool,
    /// More is to be seen to.
    odd: bool,
    /// Flags of the frame.
    flags: u32,
}

const CLASSES: [Class; 16] = {
    let mut classes = [Class { push: false, pop: false, odd: false, flags: 0 }; 16];
    let mut at = 0;
    while at < Kind::ALL.len() {
        let kind = Kind::ALL[at];
        let class = &mut classes[kind as usize];
        class.push = matches!(kind.effect(), Effect::Push);
        class.pop = matches!(kind.effect(), Effect::Pop);
        class.odd = matches!(kind, Kind::Extend | Kind::Long);
        class.flags = kind.flags();
        at += 1;
    }
    classes
};

impl Kind {
    /// The flags of the frame that a record of this kind enters.
    pub(crate) const fn flags(self) -> u32 {
        match self {
            Kind::CCall => C_FUNCTION,
            Kind::Resume | Kind::Throw => RESUMED,
            _ => 0,
        }
    }
}

impl Stack {
    /// The stack that a keyframe describes.
    pub fn from_keyframe(keyframe: &Keyframe) -> Stack {
        let hidden = keyframe.hidden();
        let split = (keyframe.outer as usize).min(keyframe.frames.len());
        let (outer, inner) = keyframe.frames.split_at(split);
        let mut stack = Stack { outer: outer.to_vec(), hidden, inner: inner.to_vec() };
        stack.settle();
        stack
    }

    /// A stack of frames that are all known, outermost first.
    pub fn from_frames(frames: Vec<Frame>) -> Stack {
        Stack { outer: frames, hidden: 0, inner: Vec::new() }
    }

    /// Takes all frames out, if all are known; they are put back as those of a new stack.
    pub(crate) fn take_known(&mut self) -> Option<Vec<Frame>> {
        (self.hidden == 0).then(|| std::mem::take(&mut self.outer))
    }

    /// How many frames are open.
    #[inline]
    pub fn depth(&self) -> u32 {
        // Saturating: a damaged keyframe may claim as many frames as there are numbers.
        ((self.outer.len() + self.inner.len()) as u32).saturating_add(self.hidden)
    }

    /// How many of them are known by number only.
    pub fn hidden(&self) -> u32 {
        self.hidden
    }

    /// The outermost frames that are known, down to the first hidden one.
    pub fn outer(&self) -> &[Frame] {
        &self.outer
    }

    /// The innermost frames, above the hidden ones; empty where none is hidden.
    pub fn inner(&self) -> &[Frame] {
        &self.inner
    }

    /// The frame at `depth`, 0 the outermost; [`Frame::UNKNOWN`] if it is hidden.
    pub fn frame(&self, depth: u32) -> Option<Frame> {
        let at = depth as usize;
        if at < self.outer.len() {
            return Some(self.outer[at]);
        }
        let above = at - self.outer.len();
        match above.checked_sub(self.hidden as usize) {
            None => Some(Frame::UNKNOWN),
            Some(at) => self.inner.get(at).copied(),
        }
    }

    /// The innermost frame.
    #[inline]
    pub fn top(&self) -> Option<Frame> {
        match self.inner.last().or(if self.hidden == 0 { self.outer.last() } else { None }) {
            Some(frame) => Some(*frame),
            None => (self.hidden > 0).then_some(Frame::UNKNOWN),
        }
    }

    /// The depth of the innermost Python frame; 0 where there is none.
    pub fn python_depth(&self) -> u32 {
        let known = if self.hidden == 0 { &self.outer } else { &self.inner };
        let above = known.iter().rev().take_while(|frame| frame.is_c()).count() as u32;
        self.depth().saturating_sub(above + 1)
    }

    /// The innermost Python frame that is known.
    pub fn python_top(&self) -> Option<Frame> {
        let known = if self.hidden == 0 { &self.outer } else { &self.inner };
        known.iter().rev().find(|frame| !frame.is_c()).copied()
    }

    /// A keyframe of at most so many outermost and innermost frames.
    pub fn keyframe(&self, outer_max: usize, inner_max: usize) -> Keyframe {
        if self.hidden == 0 {
            return Keyframe::of(&self.outer, outer_max, inner_max);
        }
        let outer = self.outer.len().min(outer_max);
        let inner = self.inner.len().min(inner_max);
        let mut frames = self.outer[..outer].to_vec();
        frames.extend_from_slice(&self.inner[self.inner.len() - inner..]);
        Keyframe { depth: self.depth(), outer: outer as u32, frames }
    }

    /// Fills in hidden frames from `known`, all frames of the same moment, outermost first.
    /// Does nothing unless `known` is as deep as this stack and agrees with what it knows.
    pub fn reveal(&mut self, known: &[Frame]) {
        let agrees = |depth: usize, frame: &Frame| known[depth].id() == frame.id();
        let base = self.outer.len() + self.hidden as usize;
        if self.hidden > 0
            && known.len() == self.depth() as usize
            && self.outer.iter().enumerate().all(|(i, frame)| agrees(i, frame))
            && self.inner.iter().enumerate().all(|(i, frame)| agrees(base + i, frame))
        {
            self.outer.extend_from_slice(&known[self.outer.len()..base]);
            self.hidden = 0;
            self.settle();
        }
    }

    /// Enters a frame.
    #[inline]
    pub fn push(&mut self, frame: Frame) {
        if self.hidden == 0 { self.outer.push(frame) } else { self.inner.push(frame) }
    }

    /// Applies one record.
    #[inline]
    pub fn apply(&mut self, word: Word, tick: u64) -> Step {
        let Some(kind) = word.kind() else { return Step::Other };
        match kind.effect() {
            Effect::Push => {
                let depth = self.depth();
                self.push(Frame::new(word.id(), kind.flags(), tick));
                Step::Entered { depth }
            }
            Effect::Pop => self.leave(word.id()),
            Effect::None => Step::Other,
        }
    }

    /// Applies rows up to the first that [`apply`](Stack::apply) or [`crate::Lanes::apply`]
    /// must see: an exit that is not that of the frame on top, or a switch. With frames known
    /// by number only that is the first. `tick` is that before the rows, and moves on with them.
    pub fn run(&mut self, rows: &[u64], tick: &mut u64) -> Run {
        let mut run = Run { deepest: self.depth(), ..Run::default() };
        if self.hidden > 0 {
            return run;
        }
        // One frame that is none lies below all others, so that there is always a top.
        let mut frames = std::mem::take(&mut self.outer);
        frames.insert(0, Frame::UNKNOWN);
        let mut top = frames.len() - 1;
        let mut deepest = top;
        let mut now = *tick;
        'rows: for batch in rows.chunks(BATCH) {
            frames.resize(top + 2 + batch.len(), Frame::UNKNOWN);
            for (at, &row) in batch.iter().enumerate() {
                let word = Word(row);
                let class = CLASSES[(row >> 60) as usize];
                // No branch between entries and exits: which of them comes next is what a
                // processor cannot foresee.
                let other = (frames[top].id() != word.id()) | (top == 0);
                if (class.pop & other) | class.odd {
                    if !run.pass(word, &mut now) {
                        run.rows += at;
                        break 'rows;
                    }
                    continue;
                }
                now = now.wrapping_add(word.delta().into());
                frames[top + 1] = Frame { tick: now, word: word.id() | class.flags };
                top = top + usize::from(class.push) - usize::from(class.pop);
                deepest = deepest.max(top);
            }
            run.rows += batch.len();
        }
        frames.truncate(top + 1);
        frames.remove(0);
        run.deepest = deepest as u32;
        self.outer = frames;
        *tick = now;
        run
    }

    #[inline]
    fn leave(&mut self, id: u32) -> Step {
        let known = if self.hidden == 0 { &mut self.outer } else { &mut self.inner };
        match known.last() {
            Some(&frame) if frame.id() == id => {
                known.pop();
                Step::Left { depth: self.depth(), frame, repaired: 0 }
            }
            _ => self.leave_other(id),
        }
    }

    /// An exit that does not name the top frame.
    #[cold]
    fn leave_other(&mut self, id: u32) -> Step {
        if self.inner.is_empty() && self.hidden > 0 {
            // Any id could be that of a hidden frame; the exit is believed.
            self.hidden -= 1;
            return Step::Left { depth: self.depth(), frame: Frame::UNKNOWN, repaired: 0 };
        }
        let known = if self.hidden == 0 { &mut self.outer } else { &mut self.inner };
        match known.iter().rposition(|frame| frame.id() == id) {
            Some(at) => {
                let frame = known[at];
                let repaired = (known.len() - at - 1) as u32;
                known.truncate(at);
                Step::Left { depth: self.depth(), frame, repaired }
            }
            None => Step::Unmatched { depth: self.depth() },
        }
    }

    /// Keeps the rule that all frames are in `outer` while none is hidden.
    fn settle(&mut self) {
        if self.hidden == 0 {
            self.outer.append(&mut self.inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn call(id: u32) -> Word {
        Word::new(Kind::Call, id, 0)
    }

    fn ret(id: u32) -> Word {
        Word::new(Kind::Return, id, 0)
    }

    #[test]
    fn an_exit_further_down_closes_what_is_above() {
        let mut stack = Stack::default();
        for id in [4, 5, 6] {
            stack.apply(call(id), 1);
        }
        assert_eq!(stack.apply(ret(9), 2), Step::Unmatched { depth: 3 });
        let Step::Left { depth, frame, repaired } = stack.apply(ret(5), 2) else { panic!() };
        assert_eq!((depth, frame.id(), repaired), (1, 5, 1));
    }

    #[test]
    fn hidden_frames_are_left_one_by_one() {
        let keyframe =
            Keyframe { depth: 5, outer: 1, frames: vec![Frame::new(4, 0, 1), Frame::new(8, 0, 1)] };
        let mut stack = Stack::from_keyframe(&keyframe);
        assert_eq!((stack.depth(), stack.hidden()), (5, 3));
        assert!(matches!(stack.apply(ret(8), 2), Step::Left { depth: 4, repaired: 0, .. }));
        assert_eq!(stack.top(), Some(Frame::UNKNOWN));
        for depth in [3, 2, 1] {
            let step = stack.apply(ret(77), 2);
            assert_eq!(step, Step::Left { depth, frame: Frame::UNKNOWN, repaired: 0 });
        }
        assert!(matches!(stack.apply(ret(4), 2), Step::Left { depth: 0, .. }));
    }

    #[test]
    fn the_shadow_stack_reveals_what_a_keyframe_hid() {
        let frames: Vec<Frame> = (4..104).map(|id| Frame::new(id, 0, 1)).collect();
        let mut stack = Stack::from_keyframe(&Keyframe::of(&frames, 8, 24));
        let mut other = frames.clone();
        other[99] = Frame::new(3, 0, 0);
        stack.reveal(&other);
        assert_eq!(stack.hidden(), 68, "a stack of another moment reveals nothing");
        stack.reveal(&frames);
        assert_eq!(stack, Stack::from_frames(frames));
    }

    #[test]
    fn c_frames_do_not_own_lines() {
        let mut stack = Stack::default();
        assert_eq!(stack.python_depth(), 0);
        stack.apply(call(4), 1);
        stack.apply(call(5), 1);
        stack.apply(Word::new(Kind::CCall, 6, 0), 1);
        assert_eq!(stack.python_depth(), 1);
        assert_eq!(stack.python_top().map(|frame| frame.id()), Some(5));
    }

    proptest! {
        /// What is run through at once is what is applied one by one.
        #[test]
        fn a_run_is_its_records(kinds in prop::collection::vec((0u8..16, 4u32..7, 0u32..9), 0..300), open in 0u32..4) {
            let word = |&(kind, id, delta): &(u8, u32, u32)| match kind {
                // Marks, of one payload word, and what was lost, which has no number.
                15 => Word::long(if id == 4 { Subkind::LOST } else { Subkind::MARK }, 1, u16::from(id == 4), delta).0,
                kind => u64::from(kind) << 60 | u64::from(id) << 32 | u64::from(delta),
            };
            let rows: Vec<u64> = kinds.iter().map(word).collect();
            let payload = vec![0; rows.iter().filter(|&&row| row >> 60 == 15).count()];
            let rows = crate::Rows { base_tick: 10, first_record: 3, rows, payload };
            let frames = (0..open).map(|at| Frame::new(4 + at, 0, 1)).collect();
            let mut quick = Stack::from_frames(frames);
            let mut slow = quick.clone();
            let (mut records, mut one_by_one) = (rows.iter(), rows.iter());
            loop {
                let mut tick = records.tick();
                let from = records.row();
                let run = quick.run(&rows.rows[from..], &mut tick);
                records.pass(&run, tick);
                let mut deepest = slow.depth();
                let mut before = one_by_one.clone();
                while let Some(record) = one_by_one.next() {
                    if record.row >= from + run.rows {
                        break;
                    }
                    before = one_by_one.clone();
                    let step = slow.apply(record.word, record.tick);
                    prop_assert!(!matches!(step, Step::Unmatched { .. }), "{record:?}");
                    deepest = deepest.max(slow.depth());
                }
                one_by_one = before;
                prop_assert_eq!((&quick, run.deepest), (&slow, deepest));
                let (Some(record), Some(same)) = (records.next(), one_by_one.next()) else {
                    prop_assert!(records.next().is_none() && one_by_one.next().is_none());
                    break;
                };
                prop_assert_eq!(&record, &same);
                let step = quick.apply(record.word, record.tick);
                let odd = matches!(step, Step::Unmatched { .. }) || matches!(step, Step::Left { repaired: 1.., .. });
                prop_assert!(odd, "{record:?} {step:?}");
                slow.apply(record.word, record.tick);
            }
        }

        /// Replay of balanced records against a plain list of ids.
        #[test]
        fn balanced_records_behave_like_a_list(pushes in prop::collection::vec(any::<Option<u8>>(), 0..300), start in 0usize..80) {
            let frames: Vec<Frame> = (0..start).map(|i| Frame::new(i as u32 + 300, 0, 0)).collect();
            let mut naive: Vec<u32> = frames.iter().map(Frame::id).collect();
            let mut stack = Stack::from_keyframe(&Keyframe::of(&frames, 8, 24));
            for push in pushes {
                match push {
                    Some(id) => {
                        let id = u32::from(id) + 4;
                        prop_assert_eq!(stack.apply(call(id), 0), Step::Entered { depth: naive.len() as u32 });
                        naive.push(id);
                    }
                    None => if let Some(id) = naive.pop() {
                        let step = stack.apply(ret(id), 0);
                        let left = matches!(step, Step::Left { depth, repaired: 0, frame } if depth as usize == naive.len() && (frame.id() == id || !frame.is_known()));
                        prop_assert!(left, "{step:?}");
                    }
                }
                prop_assert_eq!(stack.depth() as usize, naive.len());
            }
        }
    }
}
