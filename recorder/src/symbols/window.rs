//! The end of the symbols file, mapped ahead of need.
//!
//! A name that is first seen while the program has no descriptor left must reach the
//! file all the same, so that the place for it is there beforehand: a stretch behind
//! the tail is paid for, allocated and mapped before anything is stored in it, and the
//! next one is made while the last still has room. No descriptor stays open: one that
//! did would be seen by the program, closed by it, or handed to its children.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use rtrace_session::create::{self, PAGE};

use crate::ring::map::Mapping;
use crate::room::Room;
use crate::shared::SessionPage;

/// The most that is mapped ahead, in bytes: the names of some two thousand functions.
const AHEAD_MAX: u64 = 256 << 10;

/// The stretch of the symbols file that this process can store to.
#[derive(Debug)]
pub(super) struct Window {
    path: PathBuf,
    /// What is mapped now, and where that begins in the file.
    mapped: Option<(u64, Mapping)>,
    ahead: u64,
    /// The file is never longer.
    bound: u64,
}

impl Window {
    /// None yet, onto the file at `path` of a session that may keep `memory_max` bytes,
    /// `bound` of them for names.
    pub(super) fn new(path: PathBuf, memory_max: u64, bound: u64) -> Window {
        let ahead = (memory_max / 1024).clamp(PAGE, AHEAD_MAX);
        Window { path, mapped: None, ahead, bound }
    }

    /// Takes the next `entry.len()` bytes of the file, and stores `entry` there, its first
    /// word last. Gives its offset; none where there is no room.
    pub(super) fn append(&mut self, page: &SessionPage, room: &Room, entry: &[u8]) -> Option<u64> {
        let len = entry.len() as u64;
        // Before the tail moves: what cannot be stored shall leave no hole.
        let tail = page.symbols_tail();
        self.reach(page, room, tail, tail + len)?;
        let offset = page.take_symbols(len);
        let end = offset + len;
        // Another process of the session may have moved it, too.
        self.reach(page, room, offset, end)?;
        let (start, map) = self.mapped.as_ref().filter(|window| covers(window, offset, end))?;
        let words = map.words().get((offset - start) as usize / 8..)?;
        let bytes = entry.chunks_exact(8).zip(words);
        for (bytes, word) in bytes.skip(1) {
            word.store(u64::from_le_bytes(bytes.try_into().ok()?), Ordering::Relaxed);
        }
        // The marker is in the first word: the entry is seen whole or not at all.
        let first = u64::from_le_bytes(entry.get(..8)?.try_into().ok()?);
        words.first()?.store(first, Ordering::Release);
        self.look_ahead(page, room, end);
        Some(offset)
    }

    /// Maps the next window while half of the last one is left. Where that is refused
    /// now, the next name asks again.
    fn look_ahead(&mut self, page: &SessionPage, room: &Room, from: u64) {
        if self.end() < (from + self.ahead / 2).min(self.bound) {
            let _ = self.map(page, room, from, from + self.ahead);
        }
    }

    /// Sees to it that everything from `from` to `end` is mapped.
    fn reach(&mut self, page: &SessionPage, room: &Room, from: u64, end: u64) -> Option<()> {
        if self.mapped.as_ref().is_some_and(|window| covers(window, from, end)) {
            return Some(());
        }
        let ahead = (end + self.ahead).min(self.bound);
        let mapped = self.map(page, room, from, ahead.max(end));
        mapped.or_else(|| self.map(page, room, from, end))
    }

    fn end(&self) -> u64 {
        self.mapped.as_ref().map_or(0, |(start, map)| start + map.bytes())
    }

    /// Maps the file from `from` to `end`, in place of what was mapped before: it is
    /// behind the tail, where nobody stores any more.
    fn map(&mut self, page: &SessionPage, room: &Room, from: u64, end: u64) -> Option<()> {
        let (start, end) = (from / PAGE * PAGE, end.next_multiple_of(PAGE));
        pay(page, room, end).then_some(())?;
        let file = create::open_rw(&self.path).ok()?;
        create::grow_symbols(&file, &self.path, end).ok()?;
        let map = Mapping::new(&file, start, (end - start) as usize).ok()?;
        self.mapped = Some((start, map));
        Some(())
    }
}

fn covers((start, map): &(u64, Mapping), from: u64, to: u64) -> bool {
    *start <= from && to <= start + map.bytes()
}

/// Has the file paid for up to `end`, once, whichever process of the session asks.
fn pay(page: &SessionPage, room: &Room, end: u64) -> bool {
    loop {
        let paid = page.symbols_paid();
        if end <= paid {
            return true;
        }
        if !room.take(end - paid, 0) {
            return false;
        }
        if page.pay_symbols(paid, end) {
            return true;
        }
        room.release(end - paid);
    }
}
