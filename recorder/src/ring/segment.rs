//! One segment in the mapping: begun, sealed (SPEC section 4).
#![allow(unsafe_code, reason = "reads its own mapped bytes for the checksum, and empties them")]

use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU64, Ordering};

use rtrace_format::segment::live::{self, Closing};
use rtrace_format::segment::{HEADER_LEN, SEGMENT_LEN, field};

/// Words in a segment.
pub const WORDS: usize = SEGMENT_LEN / 8;

pub use rtrace_format::segment::live::Opening;

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
        live::begin(self.words(), opening, |empty| {
            // All at once, where storing word by word costs as much as a seventh of the events
            // that come to stand here.
            // SAFETY: inside the place, to which only this writer stores; a reader is another
            // process, and what it copies while the lap is 0 it does not use.
            unsafe { ptr::write_bytes(empty.as_ptr().cast_mut(), 0, empty.len()) };
        })
    }

    /// Takes records back that lie in the place, and says so: what a reader copied
    /// meanwhile may be a mixture.
    pub fn take_back<'a>(&self, words: impl DoubleEndedIterator<Item = &'a AtomicU64>) {
        live::take_back(&self.words()[field::OUTER / 8], words);
    }

    /// Marks the segment full: `body` and `used` are word counts, `records` the numbered ones.
    pub fn seal(&self, body: usize, used: usize, records: u64, end_tick: u64) {
        let words = self.words();
        let load = |at: usize| words[at / 8].load(Ordering::Relaxed);
        let counts = used as u64 | records << 32;
        let state = live::sealed(load(field::OUTER));
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
        live::seal(words, &Closing { counts, end_tick, crc: hasher.finalize() });
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
