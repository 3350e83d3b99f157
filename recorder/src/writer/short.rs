//! Short calls: their records are taken back at the exit (SPEC section 4.3).
//!
//! The entry of the frame that is left must be the last thing in the active segment, but for
//! lines and instructions of that frame. Only entries and those are ever taken back, so that
//! whatever is behind another record is there to stay.
#![allow(unsafe_code, reason = "stores through pointers into the mappings that the ring keeps")]

use std::sync::atomic::Ordering;

use rtrace_format::{Kind, Word};

use crate::recording::Recording;
use crate::writer::Writer;

/// Whether an exit of this kind says no more than that the call is over.
#[inline(always)]
pub(super) const fn may_go(kind: Kind) -> bool {
    matches!(kind, Kind::Return | Kind::Yield | Kind::CReturn)
}

/// The number of ticks below which calls are short; 0 where none are to be taken back.
pub(super) fn bound(recording: &Recording) -> u64 {
    let Some(ns) = recording.options.min_duration_ns.filter(|&ns| ns > 0) else { return 0 };
    // Without a place to count them nothing is taken back.
    if recording.figures().is_none() {
        return 0;
    }
    let clock = &recording.clock;
    let ticks = (u128::from(ns) << clock.shift).div_ceil(clock.mult.into());
    u64::try_from(ticks).unwrap_or(u64::MAX)
}

impl Writer {
    /// The innermost frame, of `id`, is left, perhaps after a short time: then its records are
    /// taken back. Else, or where something of it stays, its exit is recorded. The writer is ready.
    #[inline(never)]
    pub(super) fn leave_perhaps_short(&mut self, kind: Kind, id: u32, tick: u64) -> bool {
        // SAFETY: a frame is open that the stack had room for, or the writer were not ready.
        let (start, _) = unsafe { self.frame(self.depth.wrapping_sub(1)) };
        let start = start.load(Ordering::Relaxed);
        let ticks = tick.wrapping_sub(start);
        if ticks >= self.short || !self.take_back(id, start, ticks) {
            let delta = tick.wrapping_sub(self.last_tick);
            // SAFETY: the caller's promise; the frame is open.
            unsafe { self.pop(kind, id, delta, tick) };
        }
        false
    }

    /// Takes the records of the innermost frame back, which was entered at `start` and is
    /// left after `ticks`. False if something of it stays, and the exit is to be recorded.
    fn take_back(&mut self, id: u32, start: u64, ticks: u64) -> bool {
        let (Some(place), Some(recording)) = (&self.cold.place, &self.cold.recording) else {
            return false;
        };
        let mut at = self.cursor;
        let entry = loop {
            if at <= self.cold.barrier {
                return false;
            }
            at = at.wrapping_sub(1);
            // SAFETY: behind the barrier, so in the active segment, which the ring keeps mapped.
            let word = Word(unsafe { &*at }.load(Ordering::Relaxed));
            match word.kind() {
                Some(Kind::Line | Kind::Opcode) => {}
                Some(Kind::Call | Kind::Resume | Kind::CCall) if word.id() == id => break word,
                _ => return false,
            }
        };
        let Some(figures) = recording.figures() else { return false };
        figures.take_back(id, ticks);
        let count = (self.cursor as usize - at as usize) / 8;
        // SAFETY: from the entry to the cursor, in the active segment.
        place.take_back((0..count).map(|i| unsafe { &*at.wrapping_add(i) }));
        self.cursor = at;
        self.last_tick = start.wrapping_sub(entry.delta().into());
        self.weigh_taken_back(id, at, entry.kind() == Some(Kind::CCall));
        let top = self.depth - 1;
        // SAFETY: there is a ring, or there would be no place.
        unsafe { self.set_depth(top) };
        true
    }
}
