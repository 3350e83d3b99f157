//! A writer into memory of its own, for calibration: it takes the hot path, and what it
//! writes is nobody's.

use std::sync::atomic::AtomicU64;

use rtrace_format::Clock;

use crate::clock::Ticks;
use crate::writer::Writer;
use crate::writer::cold::{Cold, Helpers};

/// Frames that its stack has room for.
const FRAMES: usize = 64;

/// It never gets a ring; past its memory its events are dropped.
const HELPERS: Helpers = Helpers { attach: |_, _| false, name: || None, fibers: |_, _| true };

/// Where it writes.
#[derive(Debug, Default)]
pub(super) struct Memory {
    words: Vec<AtomicU64>,
    stack: Vec<AtomicU64>,
    depth: Box<AtomicU64>,
}

impl Writer {
    /// Makes one with room for so many words.
    pub fn spare(clock: &Clock, tid: u32, words: usize) -> Box<Writer> {
        let ticks = Ticks::of(clock);
        let mut writer = Box::new(Writer::detached(Cold::new(HELPERS, tid), ticks));
        let zeroes = |count: usize| (0..count).map(|_| AtomicU64::new(0)).collect::<Vec<_>>();
        let memory =
            Memory { words: zeroes(words), stack: zeroes(FRAMES * 2), depth: Box::default() };
        writer.stack = memory.stack.as_ptr();
        writer.live_depth = &raw const *memory.depth;
        writer.capacity = FRAMES;
        writer.cold.memory = memory;
        writer.rewind_spare();
        writer
    }

    /// Begins at the start of its memory again.
    pub fn rewind_spare(&mut self) {
        let words = self.cold.memory.words.as_ptr_range();
        (self.cursor, self.limit) = (words.start, words.end);
        self.last_tick = self.ticks.now();
        self.depth = 0;
    }
}
