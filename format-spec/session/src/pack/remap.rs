//! Replacing ids, record by record.

use rtrace_format::record::{ID_MASK, Subkind};
use rtrace_format::{Keyframe, Kind, Long, Word};

use crate::pack::symbols::Symbols;

/// By kind number: whether the id is a symbol's.
const NAMES_A_SYMBOL: u16 = {
    let mut bits = 0;
    let mut number = Kind::Call as u16;
    while number <= Kind::CException as u16 {
        bits |= 1 << number;
        number += 1;
    }
    bits
};

/// The record with the id of `trace.bin`.
#[inline]
pub(crate) fn word(word: Word, symbols: &mut Symbols) -> Word {
    if NAMES_A_SYMBOL >> (word.0 >> 60) & 1 != 0 {
        word.with_id(symbols.map(word.id()))
    } else {
        word
    }
}

/// By how much a record moves the depth where no repair is needed.
#[inline]
pub(crate) fn depth_change(word: Word) -> i64 {
    // Two bits a kind, in the order of their numbers: 1 pushes, 2 pops.
    const CHANGES: [i64; 16] = [0, 1, -1, -1, 1, -1, 1, 1, -1, -1, 0, 0, 0, 0, 0, 0];
    CHANGES[(word.0 >> 60) as usize]
}

/// Appends a payload, its ids replaced.
pub(crate) fn payload(word: Word, words: &[u64], symbols: &mut Symbols, out: &mut Vec<u64>) {
    let start = out.len();
    out.extend_from_slice(words);
    let copy = &mut out[start..];
    let low = |word: u64, id: u32| word & !u64::from(u32::MAX) | u64::from(id);
    match (word.subkind(), copy) {
        (Subkind::EXCEPTION, [function, kind, ..]) => {
            *function = low(*function, symbols.map(*function as u32));
            *kind = low(*kind, symbols.map(*kind as u32));
        }
        (Subkind::SWITCH, [_, depth_and_count, frames @ ..]) => {
            let count = (*depth_and_count >> 32) as usize;
            for pair in frames.chunks_exact_mut(2).take(count) {
                let frame = pair[1] as u32;
                let id = symbols.map(frame & ID_MASK);
                pair[1] = low(pair[1], frame & !ID_MASK | id);
            }
        }
        _ => {}
    }
}

/// The fiber that a record switches to, and its depth.
#[inline]
pub(crate) fn switch(word: Word, payload: &[u64]) -> Option<(u32, u32)> {
    if word.kind() != Some(Kind::Long) || word.subkind() != Subkind::SWITCH {
        return None;
    }
    match Long::parse(word, payload) {
        Long::Switch { fiber, depth, .. } => Some((fiber, depth)),
        _ => None,
    }
}

impl Symbols {
    /// A keyframe with the ids of `trace.bin`.
    pub(crate) fn keyframe(&mut self, keyframe: &Keyframe) -> Keyframe {
        let frames = keyframe.frames.iter();
        let frames = frames.map(|frame| frame.with_id(self.map(frame.id()))).collect();
        Keyframe { frames, ..*keyframe }
    }
}
