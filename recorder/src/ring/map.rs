//! Memory that other processes read while we write it.
//!
//! A mapping is seen as 64-bit atomics, never as plain memory: a reader in
//! another process may look at any instant, and an atomic store of a word is
//! one that it sees whole. On the machines we run on a relaxed or release store
//! is an ordinary move, so this costs nothing.
#![allow(unsafe_code, reason = "turns a mapping into atomics; the bounds are checked here")]

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::{MmapOptions, MmapRaw};

/// A shared, writable mapping of a part of a file whose blocks are allocated.
///
/// Dropping it unmaps; the file stays.
#[derive(Debug)]
pub struct Mapping {
    raw: MmapRaw,
}

impl Mapping {
    /// Maps `len` bytes from `offset` on; both are multiples of the page size. The pages are there
    /// at once: met one by one they would cost as much as the events that come to stand in them.
    ///
    /// The caller has allocated the file's blocks: a store into a hole on a full
    /// disk would kill the traced program with SIGBUS.
    ///
    /// # Errors
    /// The kernel refuses the mapping.
    pub fn new(file: &File, offset: u64, len: usize) -> io::Result<Mapping> {
        let raw = MmapOptions::new().offset(offset).len(len).populate().map_raw(file)?;
        Ok(Mapping { raw })
    }

    /// Its length in bytes.
    pub fn bytes(&self) -> u64 {
        self.raw.len() as u64
    }

    /// The mapping as words.
    #[inline]
    pub fn words(&self) -> &[AtomicU64] {
        // SAFETY: the mapping is page aligned, lives as long as `self`, and is
        // only ever accessed through atomics, by us and by readers elsewhere.
        unsafe {
            std::slice::from_raw_parts(
                self.raw.as_mut_ptr().cast::<AtomicU64>(),
                self.raw.len() / 8,
            )
        }
    }

    /// The word at a byte offset; offsets past the end give the last word.
    #[inline]
    pub fn word(&self, offset: usize) -> &AtomicU64 {
        let words = self.words();
        &words[(offset / 8).min(words.len() - 1)]
    }

    /// Reads the word at a byte offset.
    pub fn get(&self, offset: usize) -> u64 {
        self.word(offset).load(Ordering::Acquire)
    }

    /// Stores the word at a byte offset, after everything stored before it.
    pub fn put(&self, offset: usize, value: u64) {
        self.word(offset).store(value, Ordering::Release);
    }

    /// Stores 32 bits at a byte offset. Only for words that nobody else writes.
    pub fn put_u32(&self, offset: usize, value: u32) {
        let shift = (offset % 8) * 8;
        let cell = self.word(offset);
        let rest = cell.load(Ordering::Relaxed) & !(0xFFFF_FFFF << shift);
        cell.store(rest | u64::from(value) << shift, Ordering::Release);
    }

    /// Whether these bytes stand at a word-aligned offset.
    pub fn holds(&self, offset: usize, bytes: &[u8]) -> bool {
        let mut chunks = bytes.chunks(8).enumerate();
        chunks.all(|(i, chunk)| self.get(offset + i * 8).to_le_bytes()[..chunk.len()] == *chunk)
    }

    /// Stores bytes at a word-aligned offset, the last word padded with zeroes.
    pub fn put_bytes(&self, offset: usize, bytes: &[u8]) {
        for (i, chunk) in bytes.chunks(8).enumerate() {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.put(offset + i * 8, u64::from_le_bytes(word));
        }
    }
}
