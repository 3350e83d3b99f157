//! How a segment is stored to while others may read it (SPEC section 4.1).
//!
//! Generic over what a word is: the recorder's are words of its mapping, those of the model
//! check (`tests/tests/model.rs`) are loom's, so that what is checked is what is used.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use super::{HEADER_LEN, MAGIC, SEALED, field};
use crate::frame::{Frame, Keyframe};
use crate::record::Cause;

/// A word that others may read at any time.
pub trait Cell {
    /// The word.
    fn load(&self, order: Ordering) -> u64;
    /// Stores the word, as a whole.
    fn store(&self, value: u64, order: Ordering);
    /// Orders this thread's stores.
    fn fence(order: Ordering);
}

impl Cell for AtomicU64 {
    #[inline(always)]
    fn load(&self, order: Ordering) -> u64 {
        self.load(order)
    }

    #[inline(always)]
    fn store(&self, value: u64, order: Ordering) {
        self.store(value, order);
    }

    #[inline(always)]
    fn fence(order: Ordering) {
        fence(order);
    }
}

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

/// Rewrites `words` as an empty segment and gives the word at which records begin.
///
/// `words` must hold header and keyframe; nobody else stores to them. `empty` stores zero to
/// all the words that it is given.
pub fn begin<C: Cell>(words: &[C], opening: &Opening<'_>, empty: impl FnOnce(&[C])) -> usize {
    let put = |at: usize, value: u64| words[at / 8].store(value, Ordering::Relaxed);
    let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    words[field::LAP / 8].store(0, Ordering::Release);
    // A reader that copied before this point sees the old lap change; one that
    // copies after it sees 0 until everything below is in place.
    C::fence(Ordering::Release);
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
    empty(&words[body / 8..]);
    words[field::LAP / 8].store(opening.lap, Ordering::Release);
    body / 8
}

/// Stores a one-word record. What was stored before it is there for who sees it.
#[inline(always)]
pub fn append<C: Cell>(cell: &C, word: u64) {
    cell.store(word, Ordering::Release);
}

/// Takes the records in `words` back, of which there is at least one. `state` is the word
/// of the header that holds the count of rewinds.
pub fn take_back<'a, C: Cell + 'a>(state: &C, words: impl DoubleEndedIterator<Item = &'a C>) {
    // Backwards, so that what a reader sees always ends at a zero; the counter last, but
    // before anything new is stored: who saw any of both compares it and looks again.
    for word in words.rev() {
        word.store(0, Ordering::Release);
    }
    let counted = state.load(Ordering::Relaxed).wrapping_add(1 << 32);
    state.store(counted, Ordering::Release);
}

/// What a sealed segment says of its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closing {
    /// Words used and numbered records, as the word of the header that holds both.
    pub counts: u64,
    /// Tick of the last record.
    pub end_tick: u64,
    /// Checksum of all that is used, these fields among it.
    pub crc: u32,
}

/// Stores what a full segment says of its end, the flag last.
pub fn seal<C: Cell>(words: &[C], closing: &Closing) {
    let put = |at: usize, value: u64| words[at / 8].store(value, Ordering::Relaxed);
    put(field::USED, closing.counts);
    put(field::END_TICK, closing.end_tick);
    put(field::CRC, closing.crc.into());
    let state = &words[field::OUTER / 8];
    state.store(sealed(state.load(Ordering::Relaxed)), Ordering::Release);
}

/// The word of the header that holds the flags, with the segment sealed.
pub const fn sealed(state: u64) -> u64 {
    state | (SEALED as u64) << 16
}
