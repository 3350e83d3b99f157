//! What is left out of the records, by function: calls that were taken back, calls of
//! functions that were recorded until the budget demoted them (SPEC section 8.1).
//!
//! The tables lie in a file of the session, so that they outlive the process. They are
//! written by whoever has the GIL, and by nobody else: a plain load and store is a count.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use rtrace_format::figures::{self, DEMOTED, ENTRY_LEN, HEADER_LEN, OFF, field};
use rtrace_format::symbol::OVERFLOW_ID;
use rtrace_session::create;

use crate::ring::map::Mapping;
use crate::room::Room;

/// The parts of the file, in bytes: each is made when those before it are full.
const PARTS: [u64; 3] = [create::FIGURES_LEN, 448 << 10, 3584 << 10];

/// Words of an entry.
const WORDS: usize = ENTRY_LEN / 8;

/// One part of the file, as a hash table of entries.
#[derive(Debug)]
struct Part {
    map: Mapping,
    /// The word at which its table begins.
    from: usize,
    used: AtomicUsize,
}

/// The figures of this process.
#[derive(Debug)]
pub struct Figures {
    path: PathBuf,
    room: Arc<Room>,
    parts: [OnceLock<Option<Part>>; PARTS.len()],
}

/// Where a function's entry is, or would be.
enum Place<'a> {
    Known(&'a [AtomicU64]),
    Free(&'a [AtomicU64]),
    Full,
}

impl Part {
    fn capacity(&self) -> usize {
        (self.map.words().len() - self.from) / WORDS
    }

    fn find(&self, id: u32) -> Place<'_> {
        let table = &self.map.words()[self.from..];
        let capacity = self.capacity();
        let mut at = (id.wrapping_mul(0x9E37_79B1) >> 12) as usize % capacity;
        for _ in 0..capacity {
            let entry = &table[at * WORDS..(at + 1) * WORDS];
            match entry[0].load(Ordering::Relaxed) as u32 {
                0 => return Place::Free(entry),
                known if known == id => return Place::Known(entry),
                _ => at = if at + 1 == capacity { 0 } else { at + 1 },
            }
        }
        Place::Full
    }
}

impl Figures {
    /// Makes the file of the process `number`; none where there is no room.
    pub fn create(dir: &Path, uuid: &[u8; 16], number: u32, room: &Arc<Room>) -> Option<Figures> {
        if !room.take(PARTS[0], 0) {
            return None;
        }
        let file = create::figures_file(dir, uuid, number);
        let file = file.inspect_err(|_| room.release(PARTS[0])).ok()?;
        let map = Mapping::new(&file, 0, PARTS[0] as usize).ok()?;
        let figures = Figures {
            path: create::figures_path(dir, number),
            room: Arc::clone(room),
            parts: Default::default(),
        };
        let part = Part { map, from: HEADER_LEN / 8, used: AtomicUsize::new(0) };
        let _ = figures.parts[0].set(Some(part));
        Some(figures)
    }

    fn part(&self, index: usize) -> Option<&Part> {
        let make = || {
            let (bytes, offset) = (PARTS[index], PARTS[..index].iter().sum());
            if !self.room.take(bytes, self.room.max() / 8) {
                return None;
            }
            let grown = create::grow_figures(&self.path, offset, bytes);
            let file = grown.inspect_err(|_| self.room.release(bytes)).ok()?;
            let map = Mapping::new(&file, offset, bytes as usize).ok()?;
            Some(Part { map, from: 0, used: AtomicUsize::new(0) })
        };
        self.parts[index].get_or_init(make).as_ref()
    }

    /// The entry of a function; that of [`OVERFLOW_ID`] where there is no room for it.
    fn entry(&self, id: u32) -> Option<&[AtomicU64]> {
        for index in 0..PARTS.len() {
            let Some(part) = self.part(index) else { break };
            match part.find(id) {
                Place::Known(entry) => return Some(entry),
                Place::Free(entry) => {
                    let used = part.used.load(Ordering::Relaxed);
                    // A quarter stays free, or looking for what is not there takes long.
                    if used < part.capacity() / 4 * 3 || id == OVERFLOW_ID {
                        part.used.store(used + 1, Ordering::Relaxed);
                        entry[0].store(id.into(), Ordering::Release);
                        return Some(entry);
                    }
                }
                Place::Full => {}
            }
        }
        if id == OVERFLOW_ID { None } else { self.entry(OVERFLOW_ID) }
    }

    /// Counts a call of `id`, whose records were taken back.
    pub fn take_back(&self, id: u32, ticks: u64) {
        if let Some(entry) = self.entry(id) {
            add(&entry[field::TAKEN / 8], 1);
            add(&entry[field::TAKEN_TICKS / 8], ticks);
        }
    }

    /// Counts recorded calls of `id`: so many that began, and spans that ended.
    pub fn count(&self, id: u32, calls: u64, spans: u64, ticks: u64) {
        if let Some(entry) = self.entry(id) {
            add(&entry[field::CALLS / 8], calls);
            add(&entry[field::SPANS / 8], spans);
            add(&entry[field::TICKS / 8], ticks);
        }
    }

    /// Notes that `id` is not recorded from `tick` on.
    pub fn demote(&self, id: u32, tick: u64) {
        if let Some(entry) = self.entry(id) {
            entry[field::DEMOTED_TICK / 8].store(tick, Ordering::Relaxed);
            set_flags(entry, DEMOTED | OFF, 0);
        }
    }

    /// Notes that `id` is recorded again.
    pub fn restore(&self, id: u32) {
        if let Some(entry) = self.entry(id) {
            set_flags(entry, 0, OFF);
        }
    }

    /// What is known of `id` now.
    pub fn get(&self, id: u32) -> Option<figures::Figures> {
        let mut bytes = [0; ENTRY_LEN];
        for (to, from) in bytes.chunks_exact_mut(8).zip(self.entry(id)?) {
            to.copy_from_slice(&from.load(Ordering::Relaxed).to_le_bytes());
        }
        figures::Figures::parse(&bytes)
    }
}

fn add(cell: &AtomicU64, count: u64) {
    cell.store(cell.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
}

fn set_flags(entry: &[AtomicU64], on: u32, off: u32) {
    let word = entry[0].load(Ordering::Relaxed);
    let flags = (word >> 32) as u32 & !off | on;
    entry[0].store(word & 0xFFFF_FFFF | u64::from(flags) << 32, Ordering::Release);
}
