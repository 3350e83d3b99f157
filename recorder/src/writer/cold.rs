//! What happens off the hot path: first events, full segments, odd exits, long records.
#![allow(unsafe_code, reason = "stores through pointers into the mappings that the ring keeps")]

use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rtrace_format::frame::{INNER_MAX, OUTER_MAX};
use rtrace_format::record::{Subkind, UNNUMBERED};
use rtrace_format::ring::field as ring_field;
use rtrace_format::{Cause, Frame, Kind, Word, long};

use crate::clock::{Ticks, thread_cpu_ns};
use crate::recording::Recording;
use crate::ring::segment::{Opening, Place};
use crate::ring::{Refused, Ring};
use crate::thread;
use crate::writer::fibers::{Ask, Fibers};
use crate::writer::spare::Memory;
use crate::writer::weigh::Scales;
use crate::writer::{Writer, frame_flags, short};

/// What a writer cannot do by itself, because it needs the interpreter.
#[derive(Debug, Clone, Copy)]
pub struct Helpers {
    /// Gives the writer a ring, if the thread is to have one. The flag says whether
    /// the event at hand enters a Python frame, which then is not open yet.
    pub attach: fn(&mut Writer, entering: bool) -> bool,
    /// Gives the thread's name, once it has one that can be read without running code.
    pub name: fn() -> Option<Vec<u8>>,
    /// Sees to it that switches of fibers are told, or says whether they still are.
    pub fibers: fn(&mut Writer, Ask) -> bool,
}

/// The part of a writer that the hot path never touches.
#[derive(Debug)]
pub struct Cold {
    pub(super) helpers: Helpers,
    pub(super) recording: Option<Arc<Recording>>,
    pub(super) ring: Option<Ring>,
    pub(super) fibers: Fibers,
    pub(super) scales: Scales,
    /// What a [spare](super::spare) writer writes into.
    pub(super) memory: Memory,
    tid: u32,
    pub(super) place: Option<Place>,
    /// First word of the active segment's records.
    body: *const AtomicU64,
    body_index: usize,
    /// Nothing before this word is taken back any more.
    pub(super) barrier: *const AtomicU64,
    /// End of the active segment.
    end: *const AtomicU64,
    first_record: u64,
    /// Words of the active segment that are not numbered records: payloads, extends.
    unnumbered: u64,
    /// Whether the thread still has to get its name.
    nameless: bool,
    /// Ids of open frames deeper than the asked limit, which are not recorded.
    pub(super) hidden: Vec<u32>,
    max_depth: usize,
    pub(super) stack_refused: bool,
    /// Whether the records say that a stack could not grow.
    refusal_told: bool,
    /// Whether the ring says that the hook was taken from the thread.
    hook_taken: bool,
    /// Events that had no ring to go to.
    waited: u32,
    /// Why there is no ring, if one was asked for.
    refused: Option<Refused>,
}

/// How many events a thread without a ring lets pass before it asks again, come what may.
const RETRY: u32 = 4096;

/// Until it has a name a new thread looks for one at each event, but no longer
/// than this many words: it may block at any of them for ever, and a thread that
/// the interpreter does not know never gets one.
const NAMING: usize = 256;

impl Cold {
    /// The cold half of a writer of the thread `tid`.
    pub fn new(helpers: Helpers, tid: u32) -> Cold {
        Cold {
            helpers,
            recording: None,
            ring: None,
            fibers: Fibers::default(),
            scales: Scales::default(),
            memory: Memory::default(),
            tid,
            place: None,
            body: ptr::null(),
            body_index: 0,
            barrier: ptr::null(),
            end: ptr::null(),
            first_record: 0,
            unnumbered: 0,
            nameless: true,
            hidden: Vec::new(),
            max_depth: usize::MAX,
            stack_refused: false,
            refusal_told: false,
            hook_taken: false,
            waited: 0,
            refused: None,
        }
    }
}

impl Writer {
    /// The kernel's number of the thread.
    pub fn tid(&self) -> u32 {
        self.cold.tid
    }

    /// Says that the thread has another number now, as after a fork.
    pub fn set_tid(&mut self, tid: u32) {
        self.cold.tid = tid;
    }

    /// The recording that the writer belongs to.
    pub fn recording(&self) -> Option<&Arc<Recording>> {
        self.cold.recording.as_ref()
    }

    /// Whether the writer has a ring.
    pub fn is_attached(&self) -> bool {
        self.cold.ring.is_some()
    }

    /// Whether a thread without a ring should ask for one at this event: at the first, as
    /// soon as the budget that refused it has room again, and else now and again.
    pub fn may_try_again(&mut self, recording: &Recording) -> bool {
        let ask = self.cold.waited.is_multiple_of(RETRY);
        self.cold.waited = self.cold.waited.wrapping_add(1);
        ask || (self.cold.refused == Some(Refused::Budget) && Ring::may_be_had(&recording.room))
    }

    /// Takes note that a ring was refused.
    pub fn refuse(&mut self, why: Refused) {
        self.cold.refused = Some(why);
    }

    /// Why there is no ring.
    pub fn refusal(&self) -> Cause {
        self.cold.refused.map_or(Cause::Budget, Refused::cause)
    }

    /// Begins to write into `ring`, with `frames` (outermost first) open.
    pub fn attach(&mut self, recording: Arc<Recording>, ring: Ring, frames: &[Frame]) {
        self.detach();
        self.ticks = Ticks::of(&recording.clock);
        self.cold.max_depth =
            recording.options.max_depth.map_or(usize::MAX, |depth| depth as usize);
        self.short = short::bound(&recording);
        self.cold.recording = Some(recording);
        self.cold.ring = Some(ring);
        self.cold.first_record = 0;
        self.cold.nameless = true;
        self.begin_weighing();
        let others = self.take_carried();
        self.use_stack();
        self.push_frames(frames);
        let tick = self.ticks.now();
        self.begin_segment(tick);
        self.announce(&others);
    }

    /// Ends the thread's ring at `tick`: the active segment is sealed, the file marked.
    pub fn end(&mut self) {
        if self.cold.ring.is_none() {
            return;
        }
        let tick = self.ticks.now().max(self.last_tick);
        self.seal();
        let (ring, events) = (self.cold.ring.take(), self.cold.first_record);
        self.detach();
        self.drop_carried();
        if let Some(ring) = ring {
            ring.end(tick, events);
        }
    }

    /// Lets go of the ring as it is. The next event takes the cold path.
    pub fn detach(&mut self) {
        self.limit = ptr::null();
        self.cursor = ptr::null();
        self.short = 0;
        self.capacity = 0;
        self.depth = 0;
        self.stack = ptr::null();
        self.live_depth = ptr::null();
        self.drop_fibers();
        self.cold.scales = Scales::default();
        self.cold.place = None;
        self.cold.ring = None;
        self.cold.recording = None;
        self.cold.hidden.clear();
        self.cold.stack_refused = false;
        self.cold.refusal_told = false;
        self.cold.hook_taken = false;
        self.cold.waited = 0;
        self.cold.refused = None;
    }

    /// The open frames, outermost first.
    pub fn frames(&self) -> Vec<Frame> {
        let known = self.depth.min(self.stack_room());
        (0..known).map(|index| self.frame_at(index)).collect()
    }

    /// Stores the thread's name in the ring file.
    pub fn set_name(&mut self, name: &[u8]) {
        if let Some(ring) = &self.cold.ring {
            ring.set_name(name);
            self.cold.nameless = false;
            self.rearm();
        }
    }

    #[cold]
    #[inline(never)]
    pub(super) fn enter_cold(&mut self, kind: Kind, id: u32, tick: u64) -> bool {
        self.enter_now(kind, id, tick);
        self.weigh_in_time()
    }

    fn enter_now(&mut self, kind: Kind, id: u32, tick: u64) {
        let python = kind != Kind::CCall;
        self.attend_fibers(python);
        if !self.cold.hidden.is_empty() || self.depth >= self.cold.max_depth {
            return self.hide(id);
        }
        let Some((delta, tick)) = self.room(1, tick, python) else { return };
        if !python && self.depth == 0 {
            return;
        }
        // Attaching may have found frames that were open already.
        if self.depth >= self.cold.max_depth {
            return self.hide(id);
        }
        let kept = self.depth < self.stack_room() || self.grow_stack();
        if kept {
            // SAFETY: there is room for this frame, checked or just made.
            let (start, word) = unsafe { self.frame(self.depth) };
            start.store(tick, Ordering::Relaxed);
            word.store((id | frame_flags(kind)).into(), Ordering::Relaxed);
        }
        // SAFETY: `room` gave a ring.
        unsafe { self.set_depth(self.depth + 1) };
        // SAFETY: `room` left the cursor at a free word of the active segment.
        unsafe { self.append(self.cursor, kind, id, delta.into(), tick) };
        if !kept {
            self.tell_refusal();
        }
    }

    #[cold]
    #[inline(never)]
    pub(super) fn leave_cold(&mut self, kind: Kind, id: u32, tick: u64) -> bool {
        self.leave_now(kind, id, tick);
        self.weigh_in_time()
    }

    fn leave_now(&mut self, kind: Kind, id: u32, tick: u64) {
        self.attend_fibers(false);
        if self.unhide(id) {
            return;
        }
        // A first event that leaves: the frames walked while attaching hold it.
        if self.cold.ring.is_none() && self.room(1, tick, false).is_none() {
            return;
        }
        let known = self.stack_room();
        if self.depth <= known {
            // What is above the frame that is left was left unseen (a hook that was
            // taken from us, a fiber switch): readers drop it by the same rule.
            let open = (0..self.depth).rev().find(|&index| self.frame_at(index).id() == id);
            if open.is_none_or(|index| index + 1 != self.depth) {
                self.check_fibers();
            }
            let Some(index) = open else { return };
            if index + 1 != self.depth {
                // SAFETY: a writer with a ring.
                unsafe { self.set_depth(index + 1) };
            }
        }
        if self.depth == 0 {
            return;
        }
        let Some((delta, tick)) = self.room(1, tick, false) else { return };
        // SAFETY: `room` left the cursor at a free word of the active segment.
        unsafe { self.append(self.cursor, kind, id, delta.into(), tick) };
        // SAFETY: `room` gave a ring.
        unsafe { self.set_depth(self.depth - 1) };
        if self.depth <= known {
            self.cold.stack_refused = false;
        }
    }

    #[cold]
    #[inline(never)]
    pub(super) fn point_cold(&mut self, kind: Kind, id: u32, tick: u64) -> bool {
        self.point_now(kind, id, tick);
        self.weigh_in_time()
    }

    fn point_now(&mut self, kind: Kind, id: u32, tick: u64) {
        self.attend_fibers(false);
        if !self.cold.hidden.is_empty() {
            return;
        }
        let Some((delta, tick)) = self.room(1, tick, false) else { return };
        if self.depth != 0 {
            // SAFETY: `room` left the cursor at a free word of the active segment.
            unsafe { self.append(self.cursor, kind, id, delta.into(), tick) };
        }
    }

    /// Appends a long record; at most 255 payload words are stored.
    #[cold]
    #[inline(never)]
    pub fn long(&mut self, subkind: u8, flags: u16, payload: &[u64]) {
        self.attend_fibers(false);
        self.long_at(self.ticks.now(), subkind, flags, payload);
    }

    /// Says, once, that the hook was taken from this thread: what happened after its
    /// last record is lost, no one knows how much.
    #[cold]
    #[inline(never)]
    pub fn hook_taken(&mut self) {
        if self.cold.ring.is_some() && !self.cold.hook_taken {
            self.cold.hook_taken = true;
            let mut payload = Vec::new();
            long::encode_lost(&mut payload, 0, Cause::Hook);
            self.long_at(self.last_tick, Subkind::LOST, UNNUMBERED, &payload);
        }
    }

    /// The thread ends: where frames are still open, their exits went to somebody else's
    /// function in the place of ours. (A tool's place in `sys.monitoring` is not a thread's.)
    pub fn notice_taken_at_end(&mut self) {
        let hook = self.cold.recording.as_ref().map(|recording| recording.options.hook);
        if self.depth > 0 && hook.is_some_and(|hook| hook.slot().is_some()) {
            self.hook_taken();
        }
    }

    fn long_at(&mut self, tick: u64, subkind: u8, flags: u16, payload: &[u64]) {
        let payload = &payload[..payload.len().min(255)];
        let Some((delta, tick)) = self.room(1 + payload.len(), tick, false) else { return };
        self.put_long(subkind, flags, payload, delta, tick);
    }

    /// Stores a long record, for which [`room`](Self::room) was made.
    pub(super) fn put_long(
        &mut self,
        subkind: u8,
        flags: u16,
        payload: &[u64],
        delta: u32,
        tick: u64,
    ) {
        for (i, &word) in payload.iter().enumerate() {
            // SAFETY: `room` left this many free words behind the cursor.
            let cell = unsafe { &*self.cursor.wrapping_add(1 + i) };
            cell.store(word, Ordering::Relaxed);
        }
        let header = Word::long(subkind, payload.len() as u8, flags, delta);
        // The header goes last: a reader that sees it sees the payload.
        // SAFETY: `room` left the cursor at a free word of the active segment.
        let cell = unsafe { &*self.cursor };
        cell.store(header.0, Ordering::Release);
        self.cursor = self.cursor.wrapping_add(1 + payload.len());
        self.last_tick = tick;
        self.cold.unnumbered += payload.len() as u64;
        if flags & UNNUMBERED != 0 {
            self.cold.unnumbered += 1;
        }
        self.cold.barrier = self.cursor;
    }

    /// Whether nothing was recorded in this ring yet.
    pub fn is_fresh(&self) -> bool {
        self.cold.first_record == 0 && self.words_here() == 0
    }

    /// Whether the innermost frame is one that is recorded.
    pub fn is_recording_here(&self) -> bool {
        self.cold.hidden.is_empty() && (self.depth != 0 || self.cold.ring.is_none())
    }

    /// Makes room for `words` at `tick`, attaching, changing the segment or
    /// extending the clock as needed. Gives the delta to store and the tick it
    /// leads to; none where the event cannot be recorded.
    pub(super) fn room(&mut self, words: usize, tick: u64, entering: bool) -> Option<(u32, u64)> {
        if self.cold.ring.is_none() {
            let attach = self.cold.helpers.attach;
            if !attach(self, entering) {
                return None;
            }
            self.attend_fibers(entering);
        }
        // The counters of two cores may differ by a few ticks: time never runs back.
        let tick = tick.max(self.last_tick);
        let long_ago = tick - self.last_tick > u64::from(u32::MAX);
        if self.free_words() < words + usize::from(long_ago) {
            self.seal();
            self.begin_segment(tick);
        } else if self.cold.nameless {
            self.look_for_name();
        }
        let delta = tick - self.last_tick;
        let Ok(delta) = u32::try_from(delta) else {
            // SAFETY: a word more than asked for is free, see above.
            let cell = unsafe { &*self.cursor };
            cell.store(Word::extend(delta).0, Ordering::Release);
            self.cursor = self.cursor.wrapping_add(1);
            self.cold.unnumbered += 1;
            self.cold.barrier = self.cursor;
            self.last_tick = tick;
            return Some((0, tick));
        };
        Some((delta, tick))
    }

    fn free_words(&self) -> usize {
        (self.cold.end as usize).saturating_sub(self.cursor as usize) / 8
    }

    fn words_here(&self) -> usize {
        (self.cursor as usize).saturating_sub(self.cold.body as usize) / 8
    }

    fn records_here(&self) -> u64 {
        self.words_here() as u64 - self.cold.unnumbered
    }

    fn seal(&mut self) {
        self.weigh();
        if let Some(place) = self.cold.place.take() {
            let records = self.records_here();
            place.seal(self.cold.body_index, self.words_here(), records, self.last_tick);
            self.cold.first_record += records;
        }
    }

    fn begin_segment(&mut self, tick: u64) {
        let (frames, outer) = self.keyframe();
        let depth = u32::try_from(self.depth).unwrap_or(u32::MAX);
        let cpu_ns = thread_cpu_ns(self.cold.tid);
        let fiber = self.fiber();
        let cold = &mut self.cold;
        let Some(ring) = &mut cold.ring else { return };
        let Some((place, lap)) = ring.next_place() else { return };
        let body = place.begin(&Opening {
            lap,
            serial: ring.serial(),
            first_record: cold.first_record,
            base_tick: tick,
            cpu_ns,
            fiber,
            depth,
            frames: &frames,
            outer,
            lost: (0, Cause::Unknown),
        });
        ring.header().put(ring_field::HEAD, lap);
        let words = place.from(body);
        cold.place = Some(place);
        cold.body_index = body;
        cold.body = words.as_ptr();
        cold.barrier = cold.body;
        cold.end = words.as_ptr_range().end;
        cold.unnumbered = 0;
        self.cursor = cold.body;
        self.last_tick = tick;
        self.weigh_from_here(tick);
        self.tell_growth();
        self.recheck_fibers();
        self.rearm();
    }

    /// Says, once, that the ring keeps less than it was to, where the system refused more.
    fn tell_growth(&mut self) {
        let Some(why) = self.cold.ring.as_mut().and_then(Ring::take_refusal) else { return };
        let mut payload = Vec::new();
        long::encode_lost(&mut payload, 0, why.cause());
        self.put_long(Subkind::LOST, UNNUMBERED, &payload, 0, self.last_tick);
    }

    /// The active segment's lap; 0 without a ring.
    pub(super) fn lap(&self) -> u64 {
        self.cold.ring.as_ref().map_or(0, Ring::lap)
    }

    /// Sets the place at which the hot path has to stop next.
    pub(super) fn rearm(&mut self) {
        let stop_now = !self.cold.hidden.is_empty()
            || self.cold.nameless
            || self.cold.fibers.wants_attention();
        let limit = if stop_now { ptr::null() } else { self.cold.end };
        self.limit = self.next_weighing().map_or(limit, |weighing| weighing.min(limit));
    }

    fn look_for_name(&mut self) {
        // The name that can be had is the current thread's, and others may write here too.
        if thread::current_tid() != self.cold.tid {
            return;
        }
        if let Some(name) = (self.cold.helpers.name)() {
            self.set_name(&name);
        } else if self.words_here() > NAMING || self.cold.first_record > 0 {
            self.cold.nameless = false;
            self.rearm();
        }
    }

    /// The frames of a keyframe (outermost first), and how many are outermost ones.
    fn keyframe(&self) -> (Vec<Frame>, u32) {
        let outer = self.depth.min(OUTER_MAX);
        let inner = (self.depth - outer).min(INNER_MAX);
        let indices = (0..outer).chain(self.depth - inner..self.depth);
        (indices.map(|index| self.frame_at(index)).collect(), outer as u32)
    }

    /// A frame of the shadow stack; an unknown one past what the stack could hold.
    pub(super) fn frame_at(&self, index: usize) -> Frame {
        if index >= self.stack_room() {
            return Frame::UNKNOWN;
        }
        // SAFETY: below what the stack can hold.
        let (start, word) = unsafe { self.frame(index) };
        Frame { tick: start.load(Ordering::Relaxed), word: word.load(Ordering::Relaxed) as u32 }
    }

    pub(super) fn stack_room(&self) -> usize {
        self.lane_place().1
    }

    /// Says, once, that from here on frames may be known by their records alone.
    pub(super) fn tell_refusal(&mut self) {
        if self.cold.stack_refused && !std::mem::replace(&mut self.cold.refusal_told, true) {
            let mut payload = Vec::new();
            long::encode_lost(&mut payload, 0, Cause::Depth);
            self.long_at(self.last_tick, Subkind::LOST, UNNUMBERED, &payload);
        }
    }

    /// Goes on in the place that the running lane's stack has now.
    pub(super) fn use_stack(&mut self) {
        let (words, frames, depth) = self.lane_place();
        self.stack = words;
        self.capacity = frames.min(self.cold.max_depth);
        self.live_depth = depth;
    }

    pub(super) fn grow_stack(&mut self) -> bool {
        if self.cold.stack_refused {
            return false;
        }
        let depth = self.depth;
        let grown = match self.fiber() {
            0 => self.cold.ring.as_mut().is_some_and(|ring| ring.grow_stack(depth)),
            _ => self.grow_fiber(),
        };
        self.cold.stack_refused = !grown;
        self.use_stack();
        grown
    }

    /// A frame deeper than `--max-depth`: only its id is kept, to know its exit.
    fn hide(&mut self, id: u32) {
        self.cold.hidden.push(id);
        self.rearm();
    }

    /// Whether an exit belongs to a hidden frame; takes it off.
    fn unhide(&mut self, id: u32) -> bool {
        if self.cold.hidden.is_empty() {
            return false;
        }
        let Some(index) = self.cold.hidden.iter().rposition(|&hidden| hidden == id) else {
            // Not one of them: where it is the frame below, they were left unseen.
            let top = self.depth.checked_sub(1).map(|top| self.frame_at(top).id());
            if top == Some(id) {
                self.cold.hidden.clear();
                self.rearm();
                return false;
            }
            return true;
        };
        self.cold.hidden.truncate(index);
        self.rearm();
        true
    }
}
