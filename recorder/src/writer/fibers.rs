//! Fibers: a thread's stacks, one of which is live at a time.
//!
//! Each lane's shadow stack and depth lie in a place of their own, so that a switch is
//! a change of pointers and one `switch` record, and the hot path knows nothing of it.
//! The stack that the incoming fiber had is in its place before the record says that it
//! runs; the outgoing one's is left as it is. A process may die between any two of the
//! stores, and a reader who goes by the records finds every lane exactly (SPEC 5.1).
#![allow(unsafe_code, reason = "stores through pointers into the mappings that the ring keeps")]

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use rtrace_format::frame::{BEGAN_BEFORE, INNER_MAX};
use rtrace_format::record::{ID_MASK, Subkind, UNNUMBERED};
use rtrace_format::ring::field as ring_field;
use rtrace_format::{Cause, Frame, long};

use crate::ring::fibers::Block;
use crate::writer::Writer;

/// What the interpreter's side is asked for at an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// See to it that switches are told from now on; the flag says whether the event at
    /// hand enters a Python frame. True when there is nothing more to do.
    Watch {
        /// The innermost Python frame is not open yet.
        entering: bool,
    },
    /// Say whether switches are still told.
    Check,
}

/// After so many events at which switches could not be watched, nobody asks any more.
const TRIES_MAX: u32 = 1 << 16;

/// A lane that does not run.
#[derive(Debug, Default)]
struct Parked {
    depth: usize,
    block: Option<Block>,
    hidden: Vec<u32>,
    refused: bool,
    /// The last lap in which readers were told of its stack.
    lap: u64,
}

/// The lanes of a thread that goes on elsewhere: in a forked child, or in the ring to come.
#[derive(Debug, Default)]
struct Carried {
    fiber: u32,
    lanes: Vec<(u32, Vec<Frame>)>,
}

/// What a lane that does not run has open.
pub(super) struct Waiting {
    /// Outermost first.
    pub(super) frames: Vec<Frame>,
    /// Whether these are all.
    pub(super) is_whole: bool,
}

/// The lanes of one thread.
#[derive(Debug, Default)]
pub(super) struct Fibers {
    current: u32,
    /// Where the running fiber's stack lies; none for the thread's own, and while nothing is open.
    block: Option<Block>,
    parked: HashMap<u32, Parked>,
    switches: u32,
    /// Somebody has to see to it that switches are told.
    unwatched: bool,
    /// They are told, as far as is known.
    watched: bool,
    /// It is time to look whether they still are.
    unchecked: bool,
    tries: u32,
    carried: Option<Carried>,
    /// The depth of a lane without a place, for nobody to see.
    nowhere: Box<AtomicU64>,
}

impl Fibers {
    /// Whether something is to be done at the next event.
    pub(super) fn wants_attention(&self) -> bool {
        self.unwatched || self.unchecked
    }
}

impl Writer {
    /// The running fiber.
    pub fn fiber(&self) -> u32 {
        self.cold.fibers.current
    }

    /// From the next event on the interpreter's side is asked to tell of switches.
    pub fn watch_fibers(&mut self) {
        self.cold.fibers.unwatched = true;
        self.cold.fibers.tries = 0;
        if self.is_attached() {
            self.rearm();
        }
    }

    /// A new segment begins: it is time to look whether switches are still told.
    pub(super) fn recheck_fibers(&mut self) {
        self.cold.fibers.unchecked = self.cold.fibers.watched;
    }

    /// Does what is due at an event that is about to be recorded.
    pub fn attend_fibers(&mut self, entering: bool) {
        if !self.cold.fibers.wants_attention() || !self.is_attached() {
            return;
        }
        let ask = self.cold.helpers.fibers;
        if std::mem::take(&mut self.cold.fibers.unwatched) {
            self.cold.fibers.tries += 1;
            // Unless it turns out at once that they cannot be.
            self.cold.fibers.watched = true;
            let done = ask(self, Ask::Watch { entering });
            self.cold.fibers.watched &= done;
            self.cold.fibers.unwatched |= !done && self.cold.fibers.tries < TRIES_MAX;
        }
        if std::mem::take(&mut self.cold.fibers.unchecked) {
            self.check_fibers();
        }
        self.rearm();
    }

    /// Somebody else is told of switches now, and we are not: said once.
    pub(super) fn check_fibers(&mut self) {
        let ask = self.cold.helpers.fibers;
        if self.cold.fibers.watched && !ask(self, Ask::Check) {
            self.lose_fibers();
        }
    }

    /// From here on switches may go unseen.
    pub fn lose_fibers(&mut self) {
        self.cold.fibers.watched = false;
        let mut payload = Vec::new();
        long::encode_lost(&mut payload, 0, Cause::Hook);
        self.long(Subkind::LOST, UNNUMBERED, &payload);
    }

    /// Another fiber runs from here on. `frames` are those that it has open, outermost
    /// first, where that is not what was known of it.
    pub fn switch(&mut self, fiber: u32, frames: Option<&[Frame]>) {
        if !self.is_attached() {
            // The ring to come begins on it.
            let carried = self.cold.fibers.carried.get_or_insert_default();
            carried.fiber = fiber;
            return;
        }
        let tick = self.ticks.now();
        let Some((delta, tick)) = self.room(3 + 2 * INNER_MAX, tick, false) else { return };
        let lap = self.lap();
        let told = self.exchange(fiber, lap);
        if let Some(frames) = frames {
            self.depth = 0;
            self.push_frames(frames);
        }
        let depth = self.depth;
        let from = if told && frames.is_none() { depth } else { depth.saturating_sub(INNER_MAX) };
        let inner: Vec<Frame> = (from..depth).map(|index| self.frame_at(index)).collect();
        let mut payload = Vec::with_capacity(2 + 2 * INNER_MAX);
        let shown = u32::try_from(depth).unwrap_or(u32::MAX);
        long::encode_switch(&mut payload, fiber, shown, &inner);
        self.put_long(Subkind::SWITCH, 0, &payload, delta, tick);
        self.show_fiber();
        self.tell_refusal();
        self.rearm();
    }

    /// Opens frames that readers are told of by other means than records.
    pub(super) fn push_frames(&mut self, frames: &[Frame]) {
        for &frame in frames {
            // Past what the stack can hold only the depth is kept.
            if self.depth < self.stack_room() || self.grow_stack() {
                // SAFETY: there is room for this frame, checked or just made.
                let (start, word) = unsafe { self.frame(self.depth) };
                start.store(frame.tick, Ordering::Relaxed);
                word.store(frame.word.into(), Ordering::Relaxed);
            }
            self.depth += 1;
        }
        // SAFETY: only called with a ring, and every lane's depth has a place.
        unsafe { self.set_depth(self.depth) };
    }

    /// Parks the running lane and takes the other out. True if readers of the active
    /// segment know its stack.
    fn exchange(&mut self, fiber: u32, lap: u64) -> bool {
        let cold = &mut self.cold;
        if fiber == cold.fibers.current {
            return true;
        }
        let out = Parked {
            depth: self.depth,
            block: cold.fibers.block.take(),
            hidden: std::mem::take(&mut cold.hidden),
            refused: cold.stack_refused,
            lap,
        };
        let before = std::mem::replace(&mut cold.fibers.current, fiber);
        if out.depth > 0 || !out.hidden.is_empty() {
            cold.fibers.parked.insert(before, out);
        } else if let (Some(block), Some(ring)) = (out.block, &mut cold.ring) {
            ring.fibers().give_back(block);
        }
        let known = cold.fibers.parked.remove(&fiber);
        let lane = known.unwrap_or(Parked { lap, ..Parked::default() });
        let told = lane.lap == lap;
        cold.fibers.block = lane.block;
        cold.hidden = lane.hidden;
        cold.stack_refused = lane.refused;
        self.depth = lane.depth;
        self.use_stack();
        told
    }

    /// Tells live readers which fiber runs, and that another one did before.
    fn show_fiber(&mut self) {
        let fibers = &mut self.cold.fibers;
        fibers.switches = fibers.switches.wrapping_add(1);
        let word = u64::from(fibers.current) | u64::from(fibers.switches) << 32;
        if let Some(ring) = &self.cold.ring {
            ring.header().put(ring_field::FIBER, word);
        }
    }

    /// A fiber that is gone: its place is free for others.
    pub fn forget_fiber(&mut self, fiber: u32) {
        let Some(gone) = self.cold.fibers.parked.remove(&fiber) else { return };
        if let (Some(block), Some(ring)) = (gone.block, &mut self.cold.ring) {
            ring.fibers().give_back(block);
        }
    }

    /// The place of the running lane's stack: its frames, how many, and its depth.
    pub(super) fn lane_place(&self) -> (*const AtomicU64, usize, *const AtomicU64) {
        let fibers = &self.cold.fibers;
        match (&self.cold.ring, fibers.block) {
            (Some(ring), _) if fibers.current == 0 => {
                let (words, frames) = ring.stack();
                (words.as_ptr(), frames, ring.header().word(ring_field::DEPTH))
            }
            (Some(_), Some(block)) => (block.frames(), block.capacity(), block.depth()),
            _ => (std::ptr::null(), 0, &raw const *fibers.nowhere),
        }
    }

    /// Gives the running fiber a place, or a larger one.
    pub(super) fn grow_fiber(&mut self) -> bool {
        let frames = self.frames();
        let cold = &mut self.cold;
        let now = cold.fibers.block.map_or(0, |block| block.capacity());
        let Some(ring) = &mut cold.ring else { return false };
        let Some(block) = ring.fiber_block(now + 1) else { return false };
        block.publish(cold.fibers.current, &frames);
        if let Some(old) = cold.fibers.block.replace(block) {
            ring.fibers().give_back(old);
        }
        true
    }

    /// Begins on the fiber that was carried over; gives the other lanes that were.
    pub(super) fn take_carried(&mut self) -> Vec<(u32, Vec<Frame>)> {
        let carried = self.cold.fibers.carried.take().unwrap_or_default();
        self.cold.fibers = Fibers { current: carried.fiber, ..Fibers::default() };
        carried.lanes
    }

    /// Tells of lanes that do not run.
    pub(super) fn announce(&mut self, lanes: &[(u32, Vec<Frame>)]) {
        let current = self.cold.fibers.current;
        if let Some(ring) = &self.cold.ring {
            ring.header().put(ring_field::FIBER, current.into());
        }
        for (fiber, frames) in lanes {
            self.switch(*fiber, Some(frames));
        }
        if !lanes.is_empty() {
            self.switch(current, None);
        }
    }

    /// Lets go of all lanes but what is to be carried over.
    pub(super) fn drop_fibers(&mut self) {
        let carried = self.cold.fibers.carried.take();
        self.cold.fibers = Fibers { carried, ..Fibers::default() };
    }

    /// Nothing is carried over the end of a recording.
    pub(super) fn drop_carried(&mut self) {
        self.cold.fibers.carried = None;
    }

    /// The frames that a child process inherits, which were all entered before it began:
    /// those of the running lane. What the other lanes have open is kept for the child,
    /// which finds no mapping of its parent's ring.
    pub fn inherited_frames(&mut self) -> Vec<Frame> {
        let began = |frame: Frame| Frame { word: frame.word | BEGAN_BEFORE, ..frame };
        let of_child = |frames: Vec<Frame>| -> Vec<Frame> {
            frames.into_iter().map(began).filter(|frame| frame.word & ID_MASK != 0).collect()
        };
        let frames = of_child(self.frames());
        if !self.is_attached() {
            return frames;
        }
        let current = self.cold.fibers.current;
        let mut others: Vec<u32> = self.cold.fibers.parked.keys().copied().collect();
        others.sort_unstable();
        let lanes = others.into_iter().map(|fiber| (fiber, of_child(self.parked_frames(fiber))));
        let lanes = lanes.collect();
        self.cold.fibers.carried = Some(Carried { fiber: current, lanes });
        frames
    }

    /// The lanes that wait: what each has open, frames that are not recorded among them.
    pub(super) fn waiting_lanes(&self) -> Vec<Waiting> {
        let lanes = self.cold.fibers.parked.iter().map(|(&fiber, lane)| {
            let mut frames = self.parked_frames(fiber);
            let is_whole = frames.len() == lane.depth;
            frames.extend(lane.hidden.iter().map(|&id| Frame::new(id, 0, 0)));
            Waiting { frames, is_whole }
        });
        let carried = self.cold.fibers.carried.iter().flat_map(|carried| &carried.lanes);
        let carried = carried.map(|(_, frames)| Waiting { frames: frames.clone(), is_whole: true });
        lanes.chain(carried).collect()
    }

    fn parked_frames(&self, fiber: u32) -> Vec<Frame> {
        let Some(lane) = self.cold.fibers.parked.get(&fiber) else { return Vec::new() };
        let (words, capacity) = match (fiber, lane.block, &self.cold.ring) {
            (0, _, Some(ring)) => (ring.stack().0.as_ptr(), ring.stack().1),
            (_, Some(block), Some(_)) => (block.frames(), block.capacity()),
            _ => return Vec::new(),
        };
        let frame = |index: usize| {
            // SAFETY: below what the place has room for, in a mapping that the ring keeps.
            let pair = unsafe { &*words.wrapping_add(index * 2).cast::<[AtomicU64; 2]>() };
            let (tick, word) = (pair[0].load(Ordering::Relaxed), pair[1].load(Ordering::Relaxed));
            Frame { tick, word: word as u32 }
        };
        (0..lane.depth.min(capacity)).map(frame).collect()
    }
}
