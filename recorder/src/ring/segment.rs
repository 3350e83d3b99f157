//! One segment in the mapping: begun, sealed (SPEC section 4).
#![allow(unsafe_code, reason = "reads its own mapped bytes for the checksum, and empties them")]

use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU64, Ordering};

use rtrace_format::segment::{HEADER_LEN, MAGIC, SEALED, SEGMENT_LEN, field};
use rtrace_format::{Cause, Frame, Keyframe};

/// Words in a segment.
pub const WORDS: usize = SEGMENT_LEN / 8;

/// What a new segment says about itself.
#[derive(Debug, Clone)]
pub struct Opening<'a> {
    /// The thread's segment number.
    pub lap: u64,
    /// The thread.
    pub serial: u64,
    /// Number of the first record that it will hold.
    pub first_record: u64,
    /// The tick that the first delta counts from.
    pub base_tick: u64,
    /// CPU time of the thread, in ns.
    pub cpu_ns: u64,
    /// The fiber that runs.
    pub fiber: u32,
    /// Frames open on it; `frames` are the outermost 8 and innermost 24 of them.
    pub depth: u32,
    /// The frames of the keyframe, outermost first.
    pub frames: &'a [Frame],
    /// How many of `frames` are outermost ones.
    pub outer: u32,
    /// Events dropped just before, and why.
    pub lost: (u64, Cause),
}

/// A place for a segment inside a ring's mappings.
///
/// The place stays mapped while the ring that gave it lives; the ring's writer
/// is the only one that stores to it.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    start: NonNull<AtomicU64>,
}

impl Place {
    /// The place at `words`, of which the first [`WORDS`] are taken.
    ///
    /// # Safety
    /// - the mapping that `words` lies in outlives every use of the place;
    /// - no two places overlap.
    pub unsafe fn new(words: &[AtomicU64]) -> Option<Place> {
        let start = NonNull::new(words.as_ptr().cast_mut())?;
        (words.len() >= WORDS).then_some(Place { start })
    }

    fn words(&self) -> &[AtomicU64] {
        // SAFETY: `new` checked the length, and its caller vouched for the life of the mapping.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), WORDS) }
    }

    /// The words from `at` on.
    pub fn from(&self, at: usize) -> &[AtomicU64] {
        &self.words()[at.min(WORDS)..]
    }

    /// The lap that stands there.
    pub fn lap(&self) -> u64 {
        self.words()[field::LAP / 8].load(Ordering::Relaxed)
    }

    /// Rewrites the place as an empty segment and gives the word at which records begin.
    pub fn begin(&self, opening: &Opening<'_>) -> usize {
        let words = self.words();
        let put = |at: usize, value: u64| words[at / 8].store(value, Ordering::Relaxed);
        let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        words[field::LAP / 8].store(0, Ordering::Release);
        // A reader that copied before this point sees the old lap change; one that
        // copies after it sees 0 until everything below is in place.
        std::sync::atomic::fence(Ordering::Release);
        let count = opening.frames.len();
        let body = HEADER_LEN + Keyframe::encoded_len(count);
        put(field::MAGIC, u64::from_le_bytes(MAGIC));
        put(field::SERIAL, opening.serial);
        put(field::FIRST_RECORD, opening.first_record);
        put(field::BASE_TICK, opening.base_tick);
        put(field::CPU_NS, opening.cpu_ns);
        put(field::FIBER, pair(opening.fiber, opening.depth));
        let inner = count as u64 - u64::from(opening.outer);
        put(field::OUTER, u64::from(opening.outer) | inner << 8);
        put(field::LOST_BEFORE, opening.lost.0);
        put(field::LOST_CAUSE, pair(opening.lost.1 as u32, body as u32));
        for word in &words[field::USED / 8..HEADER_LEN / 8] {
            word.store(0, Ordering::Relaxed);
        }
        for (i, frame) in opening.frames.iter().enumerate() {
            put(HEADER_LEN + i * 8, frame.tick);
        }
        let frame_words = HEADER_LEN + count * 8;
        for (i, two) in opening.frames.chunks(2).enumerate() {
            put(frame_words + i * 8, pair(two[0].word, two.get(1).map_or(0, |frame| frame.word)));
        }
        let empty = &words[body / 8..];
        // All at once, where storing word by word costs as much as a seventh of the events that
        // come to stand here.
        // SAFETY: inside the place, to which only this writer stores; a reader is another
        // process, and what it copies while the lap is 0 it does not use.
        unsafe { ptr::write_bytes(empty.as_ptr().cast_mut(), 0, empty.len()) };
        words[field::LAP / 8].store(opening.lap, Ordering::Release);
        body / 8
    }

    /// Says that records were taken back: what a reader copied meanwhile may be a mixture.
    pub fn rewind(&self) {
        let state = &self.words()[field::OUTER / 8];
        let counted = state.load(Ordering::Relaxed).wrapping_add(1 << 32);
        state.store(counted, Ordering::Release);
    }

    /// Marks the segment full: `body` and `used` are word counts, `records` the numbered ones.
    pub fn seal(&self, body: usize, used: usize, records: u64, end_tick: u64) {
        let words = self.words();
        let load = |at: usize| words[at / 8].load(Ordering::Relaxed);
        let counts = used as u64 | records << 32;
        let state = load(field::OUTER) | u64::from(SEALED) << 16;
        // The checksum covers the header as it will be, with its own four bytes as zero.
        let mut header = [0; HEADER_LEN];
        for at in (0..HEADER_LEN).step_by(8) {
            let word = match at {
                field::OUTER => state,
                field::USED => counts,
                field::END_TICK => end_tick,
                field::CRC => 0,
                _ => load(at),
            };
            header[at..at + 8].copy_from_slice(&word.to_le_bytes());
        }
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&header);
        hasher.update(self.bytes(HEADER_LEN, (body + used) * 8));
        let put = |at: usize, value: u64| words[at / 8].store(value, Ordering::Relaxed);
        put(field::USED, counts);
        put(field::END_TICK, end_tick);
        put(field::CRC, hasher.finalize().into());
        words[field::OUTER / 8].store(state, Ordering::Release);
    }

    /// The bytes from `start` to `end`, which the calling writer alone stores to.
    fn bytes(&self, start: usize, end: usize) -> &[u8] {
        let (start, end) = (start.min(SEGMENT_LEN), end.min(SEGMENT_LEN));
        // SAFETY: inside the place; only the writer, which is here and not
        // storing, writes to it, and it borrows nothing mutably.
        let whole =
            unsafe { std::slice::from_raw_parts(self.start.as_ptr().cast::<u8>(), SEGMENT_LEN) };
        &whole[start..end.max(start)]
    }
}
