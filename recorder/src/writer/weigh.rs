//! Weighing: what a thread's own records cost, every few hundred events.
#![allow(unsafe_code, reason = "reads the records of the active segment")]

use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};

use rtrace_format::record::Subkind;
use rtrace_format::{Effect, Kind, Word};

use crate::budget;
use crate::budget::weight::{self, Inbox, Weight};
use crate::clock::thread_cpu_ns;
use crate::writer::Writer;

/// Words after which a thread weighs what it wrote, and events taken back that count as much.
const PORTION: usize = 512;

/// How far a thread's records are weighed; idle where nobody wants to know.
#[derive(Debug)]
pub(super) struct Scales {
    wanted: bool,
    /// The first word that is not weighed yet.
    at: *const AtomicU64,
    /// The tick of the record before it.
    tick: u64,
    /// The frames that the weighed records leave open: id, tick of entry, whether in C.
    open: Vec<(u32, u64, bool)>,
    /// Entries that were taken back since, by function.
    taken: Inbox,
    taken_count: usize,
    /// The thread's CPU time when it last weighed.
    cpu_ns: u64,
    /// A new segment was begun.
    changed: bool,
}

impl Default for Scales {
    fn default() -> Scales {
        Scales {
            wanted: false,
            at: ptr::null(),
            tick: 0,
            open: Vec::new(),
            taken: Inbox::default(),
            taken_count: 0,
            cpu_ns: 0,
            changed: false,
        }
    }
}

impl Writer {
    /// Begins to weigh with a new ring, if there is a budget.
    pub(super) fn begin_weighing(&mut self) {
        self.cold.scales = Scales {
            wanted: budget::is_active(),
            cpu_ns: if budget::is_active() { thread_cpu_ns(self.tid()) } else { 0 },
            ..Scales::default()
        };
    }

    /// A new segment begins at `tick`; all before it is weighed.
    pub(super) fn weigh_from_here(&mut self, tick: u64) {
        self.cold.scales.at = self.cursor;
        self.cold.scales.tick = tick;
        self.cold.scales.changed = true;
    }

    /// Where the hot path has to stop to weigh; null where it need not.
    pub(super) fn next_weighing(&self) -> Option<*const AtomicU64> {
        let scales = &self.cold.scales;
        scales.wanted.then(|| match scales.taken_count * 2 >= PORTION {
            true => ptr::null(),
            false => scales.at.wrapping_add(PORTION),
        })
    }

    /// The records from `at` on were taken back: a call of `id`.
    pub(super) fn weigh_taken_back(&mut self, id: u32, at: *const AtomicU64, is_c: bool) {
        let scales = &mut self.cold.scales;
        if !scales.wanted {
            return;
        }
        if at < scales.at {
            scales.at = at;
            scales.tick = self.last_tick;
            scales.open.pop();
        }
        let weight = scales.taken.entry(id).or_default();
        weight.events += 2;
        weight.is_c = is_c;
        scales.taken_count += 1;
        if scales.taken_count * 2 >= PORTION {
            self.rearm();
        }
    }

    /// Weighs if it is time. Then the budget's controller is to look, with the event at hand on
    /// the stack or off it: [`spent`](Self::spent) is for it.
    pub(super) fn weigh_in_time(&mut self) -> bool {
        let scales = &self.cold.scales;
        if !scales.wanted || self.cold.ring.is_none() {
            return false;
        }
        let words = (self.cursor as usize).saturating_sub(scales.at as usize) / 8;
        // A segment that was changed meanwhile has been weighed.
        if words < PORTION && scales.taken_count * 2 < PORTION && !scales.changed {
            return false;
        }
        self.weigh();
        self.cold.scales.changed = false;
        self.rearm();
        true
    }

    /// The CPU time that the thread had since this was asked last, in ns.
    pub fn spent(&mut self) -> u64 {
        let now = thread_cpu_ns(self.tid());
        now.saturating_sub(std::mem::replace(&mut self.cold.scales.cpu_ns, now))
    }

    /// Puts everything that was not weighed yet into the inbox.
    pub fn weigh(&mut self) {
        if !self.cold.scales.wanted {
            return;
        }
        let mut scales = std::mem::take(&mut self.cold.scales);
        let mut at = scales.at;
        weight::fill(|inbox| {
            for (id, taken) in scales.taken.drain() {
                inbox.entry(id).or_default().add(&taken);
            }
            while at < self.cursor {
                // SAFETY: between the last place that was weighed and the cursor, in the active
                // segment, which the ring keeps mapped.
                let word = Word(unsafe { &*at }.load(Ordering::Relaxed));
                at = at.wrapping_add(1);
                if word.kind() == Some(Kind::Long) {
                    at = at.wrapping_add(word.payload_words());
                }
                scales.record(inbox, word);
            }
        });
        scales.at = self.cursor;
        scales.tick = self.last_tick;
        scales.taken_count = 0;
        self.cold.scales = scales;
    }
}

impl Scales {
    #[inline]
    fn record(&mut self, inbox: &mut Inbox, word: Word) {
        let Some(kind) = word.kind() else { return };
        if kind == Kind::Extend {
            self.tick = self.tick.wrapping_add(word.extend_ticks());
            return;
        }
        self.tick = self.tick.wrapping_add(word.delta().into());
        let id = word.id();
        match kind.effect() {
            Effect::Push => {
                let is_c = kind == Kind::CCall;
                if is_c {
                    self.count_c_event(inbox);
                }
                let weight = inbox.entry(id).or_default();
                weight.events += 1;
                weight.is_c = is_c;
                weight.calls += u64::from(matches!(kind, Kind::Call | Kind::CCall));
                self.open.push((id, self.tick, is_c));
            }
            Effect::Pop => {
                let found = self.open.iter().rposition(|frame| frame.0 == id);
                let weight: &mut Weight = inbox.entry(id).or_default();
                weight.events += 1;
                if let Some(index) = found {
                    weight.spans += 1;
                    weight.ticks =
                        weight.ticks.wrapping_add(self.tick.wrapping_sub(self.open[index].1));
                    self.open.truncate(index);
                }
                if matches!(kind, Kind::CReturn | Kind::CException) {
                    self.count_c_event(inbox);
                }
            }
            Effect::None if kind == Kind::Long => {
                // Another fiber's stack is not known here.
                if word.subkind() == Subkind::SWITCH {
                    self.open.clear();
                }
            }
            Effect::None => {
                if let Some(&(id, _, false)) = self.open.last() {
                    inbox.entry(id).or_default().events += 1;
                }
            }
        }
    }

    /// The innermost Python frame has one more event of a C call.
    fn count_c_event(&self, inbox: &mut Inbox) {
        if let Some(&(caller, _, _)) = self.open.iter().rev().find(|frame| !frame.2) {
            inbox.entry(caller).or_default().c_events += 1;
        }
    }
}
