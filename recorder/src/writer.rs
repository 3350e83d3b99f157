//! The hot path: what happens in the traced program on every event.
//!
//! A [`Writer`] belongs to one thread. An event costs one clock read, a few
//! comparisons that always go the same way, one push or pop of the shadow stack
//! and one 8-byte store. There is no allocation, no lock, no atomic
//! read-modify-write and no panic on this path, and it must stay so: everything
//! that happens less than once in a few hundred events is behind a
//! `#[cold]` function in [`cold`], reached when one of the comparisons fails.
//!
//! As machine code a callback is straight: no call, and no register saved for one, so that
//! whatever is not a comparison that fails returns at once, and nothing is used after it.
//! `tests/python/test_instructions.py` counts the instructions.
//!
//! The order of the stores is the crash contract (SPEC section 5): an entry
//! stores its frame, then the depth, then the record; an exit the record, then
//! the depth. A process can be killed between any two of them.
#![allow(unsafe_code, reason = "stores through pointers into the mappings that the ring keeps")]

pub mod cold;
pub mod fibers;
pub mod open;
mod short;
mod spare;
#[cfg(test)]
pub(crate) mod tests;
mod weigh;

use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};

use rtrace_format::Kind;
use rtrace_format::frame::{C_FUNCTION, RESUMED};
use rtrace_format::record::ID_MASK;
use rtrace_format::segment::live;

use crate::clock::Ticks;
use crate::writer::cold::Cold;

/// Appends a thread's records to its ring.
///
/// A writer without a ring (before a thread's first event, after stop, in a
/// forked child, past the memory budget) has `limit` at zero, so that every
/// event takes the cold path, which decides what to do.
#[derive(Debug)]
#[repr(C)]
pub struct Writer {
    /// Where the next record goes; moves towards `limit`.
    cursor: *const AtomicU64,
    /// Where the hot path stops: the segment's end, or an earlier place at which
    /// there is something to do.
    limit: *const AtomicU64,
    /// The tick of the record before.
    last_tick: u64,
    /// Frames open.
    depth: usize,
    /// Frames that the shadow stack can hold before the cold path must look.
    capacity: usize,
    /// The shadow stack, two words a frame.
    stack: *const AtomicU64,
    /// The depth as readers see it, in the ring file's header.
    live_depth: *const AtomicU64,
    /// Calls that take fewer ticks are taken back; 0 for none.
    short: u64,
    ticks: Ticks,
    cold: Cold,
}

/// The flags of the frame that an entry of `kind` opens.
#[inline(always)]
const fn frame_flags(kind: Kind) -> u32 {
    match kind {
        Kind::Resume | Kind::Throw => RESUMED,
        Kind::CCall => C_FUNCTION,
        _ => 0,
    }
}

impl Writer {
    /// Whether the next record fits without a look at anything rare, given its delta.
    #[inline(always)]
    fn is_ready(&self, delta: u64) -> bool {
        self.cursor < self.limit && delta <= u32::MAX as u64
    }

    /// Stores a one-word record at `cursor`, which is the writer's: looked up once.
    ///
    /// # Safety
    /// - `cursor` is inside the active segment, which the ring keeps mapped.
    #[inline(always)]
    unsafe fn append(
        &mut self,
        cursor: *const AtomicU64,
        kind: Kind,
        id: u32,
        delta: u64,
        tick: u64,
    ) {
        let word = (kind as u64) << 60 | u64::from(id) << 32 | delta;
        // SAFETY: the caller's promise.
        let cell = unsafe { &*cursor };
        live::append(cell, word);
        self.cursor = cursor.wrapping_add(1);
        self.last_tick = tick;
    }

    /// The words of frame `index` of the shadow stack.
    ///
    /// # Safety
    /// - `index` is below `capacity`.
    #[inline(always)]
    unsafe fn frame(&self, index: usize) -> (&AtomicU64, &AtomicU64) {
        // SAFETY: the caller's promise; the ring keeps the stack mapped.
        let pair = unsafe { &*self.stack.wrapping_add(index * 2).cast::<[AtomicU64; 2]>() };
        (&pair[0], &pair[1])
    }

    /// Shows the depth to readers.
    ///
    /// # Safety
    /// - the writer has a ring, which keeps its header mapped.
    #[inline(always)]
    unsafe fn set_depth(&mut self, depth: usize) {
        self.depth = depth;
        // SAFETY: the caller's promise.
        let cell = unsafe { &*self.live_depth };
        cell.store(depth as u64, Ordering::Release);
    }

    /// A frame is entered: `call`, `resume`, `throw` or `c_call` of the symbol `id`.
    ///
    /// True, here and below, where there is something to do when the writer is let go of:
    /// [`attach::attend`](crate::attach::attend). The hot path never says so.
    #[inline(always)]
    pub fn enter(&mut self, kind: Kind, id: u32) -> bool {
        match self.ticks.counter() {
            Some(tick) => self.enter_at(kind, id, tick),
            None => self.enter_by_system_clock(kind, id),
        }
    }

    #[cold]
    #[inline(never)]
    fn enter_by_system_clock(&mut self, kind: Kind, id: u32) -> bool {
        self.enter_at(kind, id, self.ticks.now())
    }

    #[inline(always)]
    fn enter_at(&mut self, kind: Kind, id: u32, tick: u64) -> bool {
        let delta = tick.wrapping_sub(self.last_tick);
        let depth = self.depth;
        if !self.is_ready(delta) || depth >= self.capacity {
            return self.enter_cold(kind, id, tick);
        }
        let cursor = self.cursor;
        // SAFETY: below the capacity, checked above.
        let (start, word) = unsafe { self.frame(depth) };
        start.store(tick, Ordering::Relaxed);
        word.store((id | frame_flags(kind)).into(), Ordering::Relaxed);
        // SAFETY: a writer that is ready has a ring.
        unsafe { self.set_depth(depth + 1) };
        // SAFETY: ready, so the cursor is in the active segment.
        unsafe { self.append(cursor, kind, id, delta, tick) };
        false
    }

    /// A frame is left: `return`, `unwind`, `yield`, `c_return` or `c_exception` of `id`.
    ///
    /// Written only for the frame on top; anything else is for the cold path to mend.
    #[inline(always)]
    pub fn leave(&mut self, kind: Kind, id: u32) -> bool {
        match self.ticks.counter() {
            Some(tick) => self.leave_at(kind, id, tick),
            None => self.leave_by_system_clock(kind, id),
        }
    }

    #[cold]
    #[inline(never)]
    fn leave_by_system_clock(&mut self, kind: Kind, id: u32) -> bool {
        self.leave_at(kind, id, self.ticks.now())
    }

    #[inline(always)]
    fn leave_at(&mut self, kind: Kind, id: u32, tick: u64) -> bool {
        let delta = tick.wrapping_sub(self.last_tick);
        let top = self.depth.wrapping_sub(1);
        // SAFETY: below the capacity, where it is asked.
        let is_top = || unsafe { self.frame(top) }.1.load(Ordering::Relaxed) as u32 & ID_MASK == id;
        if !self.is_ready(delta) || top >= self.capacity || !is_top() {
            return self.leave_cold(kind, id, tick);
        }
        if short::may_go(kind) && self.short != 0 {
            return self.leave_perhaps_short(kind, id, tick);
        }
        // SAFETY: ready, with a frame on the stack, which is left.
        unsafe { self.pop(kind, id, delta, tick) };
        false
    }

    /// Records that the frame on top is left.
    ///
    /// # Safety
    /// - the writer is ready; a frame is open.
    #[inline(always)]
    unsafe fn pop(&mut self, kind: Kind, id: u32, delta: u64, tick: u64) {
        let top = self.depth.wrapping_sub(1);
        // SAFETY: ready, so the cursor is in the active segment.
        unsafe { self.append(self.cursor, kind, id, delta, tick) };
        // SAFETY: a writer that is ready has a ring.
        unsafe { self.set_depth(top) };
    }

    /// A `c_call` of `id`. Dropped where no frame is open: its caller is not recorded.
    #[inline(always)]
    pub fn enter_c(&mut self, id: u32) -> bool {
        if self.depth == 0 {
            return self.enter_c_cold(id);
        }
        self.enter(Kind::CCall, id)
    }

    #[cold]
    #[inline(never)]
    fn enter_c_cold(&mut self, id: u32) -> bool {
        // A thread that shall have a ring, or whose events are counted.
        self.cold.ring.is_none() && self.enter_cold(Kind::CCall, id, self.ticks.now())
    }

    /// A `line` or `opcode` record of the innermost frame; dropped where none is open.
    #[inline(always)]
    pub fn point(&mut self, kind: Kind, id: u32) -> bool {
        match self.ticks.counter() {
            Some(tick) => self.point_at(kind, id, tick),
            None => self.point_by_system_clock(kind, id),
        }
    }

    #[cold]
    #[inline(never)]
    fn point_by_system_clock(&mut self, kind: Kind, id: u32) -> bool {
        self.point_at(kind, id, self.ticks.now())
    }

    #[inline(always)]
    fn point_at(&mut self, kind: Kind, id: u32, tick: u64) -> bool {
        let delta = tick.wrapping_sub(self.last_tick);
        if !self.is_ready(delta) || self.depth == 0 {
            return self.point_cold(kind, id, tick);
        }
        // SAFETY: ready, so the cursor is in the active segment.
        unsafe { self.append(self.cursor, kind, id, delta, tick) };
        false
    }

    /// Frames open now.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// A writer that has no ring yet.
    pub fn detached(cold: Cold, ticks: Ticks) -> Writer {
        Writer {
            cursor: ptr::null(),
            limit: ptr::null(),
            last_tick: 0,
            depth: 0,
            capacity: 0,
            stack: ptr::null(),
            live_depth: ptr::null(),
            short: 0,
            ticks,
            cold,
        }
    }
}
