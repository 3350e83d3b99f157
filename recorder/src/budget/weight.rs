//! What the records of the threads weigh, by function, until the controller fetches it.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Mutex, MutexGuard};

use crate::recording::lock;

/// What a function did since it was last looked at.
#[derive(Debug, Clone, Copy, Default)]
pub struct Weight {
    /// Events: entries, exits, lines, instructions, those taken back among them.
    pub events: u64,
    /// Events of C calls from its code.
    pub c_events: u64,
    /// Calls begun.
    pub calls: u64,
    /// Entries that ended.
    pub spans: u64,
    /// Their ticks.
    pub ticks: u64,
    /// Whether it is a C function.
    pub is_c: bool,
}

impl Weight {
    /// Adds another one of the same function.
    pub fn add(&mut self, other: &Weight) {
        self.events += other.events;
        self.c_events += other.c_events;
        self.calls += other.calls;
        self.spans += other.spans;
        self.ticks = self.ticks.wrapping_add(other.ticks);
        self.is_c |= other.is_c;
    }

    /// Whether it holds calls that the figures do not know.
    pub fn is_uncounted(&self) -> bool {
        self.calls | self.spans != 0
    }

    /// The figures know its calls now.
    pub fn counted(&mut self) {
        (self.calls, self.spans, self.ticks) = (0, 0, 0);
    }
}

/// Spreads ids, which are consecutive multiples, over a table.
#[derive(Debug, Default)]
pub struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u32(byte.into());
        }
    }

    fn write_u32(&mut self, id: u32) {
        let mixed = (self.0 ^ u64::from(id)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = mixed ^ mixed >> 32;
    }
}

/// Weights by id.
pub type Inbox = HashMap<u32, Weight, BuildHasherDefault<IdHasher>>;

static INBOX: Mutex<Option<Inbox>> = Mutex::new(None);

/// Adds what `fill` finds.
pub fn fill(fill: impl FnOnce(&mut Inbox)) {
    fill(lock(&INBOX).get_or_insert_with(Inbox::default));
}

/// Takes out everything; the room that it had stays for the next.
pub fn drain(take: impl FnOnce(&Inbox)) {
    if let Some(inbox) = lock(&INBOX).as_mut() {
        take(inbox);
        inbox.clear();
    }
}

/// Forgets everything.
pub fn clear() {
    *lock(&INBOX) = None;
}

/// The lock, for a fork.
pub fn hold() -> MutexGuard<'static, Option<Inbox>> {
    lock(&INBOX)
}
