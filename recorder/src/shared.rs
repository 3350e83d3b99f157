//! The mapped pages that the processes of a session share.

use std::fs::File;
use std::io;
use std::sync::atomic::Ordering;

use rtrace_format::{Cause, process, session};

use crate::recording::Prices;
use crate::ring::map::Mapping;

const PAGE: usize = 4096;

/// The session file's control page: what every process of the tree counts together.
#[derive(Debug)]
pub struct SessionPage {
    map: Mapping,
}

impl SessionPage {
    /// Maps the page of an initialised session file.
    ///
    /// # Errors
    /// The kernel refuses the mapping.
    pub fn new(file: &File) -> io::Result<SessionPage> {
        Ok(SessionPage { map: Mapping::new(file, 0, PAGE)? })
    }

    /// Takes the next thread serial.
    pub fn take_serial(&self) -> u64 {
        self.map.word(session::field::NEXT_SERIAL).fetch_add(1, Ordering::Relaxed)
    }

    /// Takes the next process number.
    pub fn take_process(&self) -> u64 {
        self.map.word(session::field::NEXT_PROCESS).fetch_add(1, Ordering::Relaxed)
    }

    /// Takes `len` bytes of the symbols file and gives their offset.
    pub fn take_symbols(&self, len: u64) -> u64 {
        self.map.word(session::field::SYMBOLS_TAIL).fetch_add(len, Ordering::AcqRel)
    }

    /// How far the symbols file is taken, in bytes.
    pub fn symbols_tail(&self) -> u64 {
        self.map.get(session::field::SYMBOLS_TAIL)
    }

    /// Up to where the symbols file is paid for, in bytes.
    pub fn symbols_paid(&self) -> u64 {
        self.map.get(session::field::SYMBOLS_PAID)
    }

    /// Says that the symbols file is paid for from `from` up to `to`. False where it was
    /// not `from` any more.
    pub fn pay_symbols(&self, from: u64, to: u64) -> bool {
        let paid = self.map.word(session::field::SYMBOLS_PAID);
        paid.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Takes `bytes` of the memory budget such that `kept` stay for others.
    ///
    /// The sum of all processes never passes the limit.
    pub fn reserve(&self, bytes: u64, kept: u64) -> bool {
        let used = self.map.word(session::field::MEMORY_USED);
        // Read first: what is given back meanwhile only makes more room.
        let back = self.given_back();
        let max = self.memory_max().saturating_sub(kept).saturating_add(back);
        let fits = |now: u64| now.checked_add(bytes).filter(|&sum| sum <= max);
        used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }

    /// Bytes that packers gave back. They store two numbers one after the other, and the
    /// smaller is never ahead of what they removed.
    fn given_back(&self) -> u64 {
        let get = |at| self.map.get(at);
        get(session::field::GIVEN_BACK).min(get(session::field::GIVEN_BACK_THEN))
    }

    /// How many bytes are too many for `bytes` to be taken such that `kept` stay.
    pub fn excess(&self, bytes: u64, kept: u64) -> u64 {
        let back = self.given_back();
        let used = self.map.get(session::field::MEMORY_USED).saturating_sub(back);
        let max = self.memory_max().saturating_sub(kept);
        used.saturating_add(bytes).saturating_sub(max)
    }

    /// Counts `bytes` that a session cannot do without, whatever the limit.
    pub fn charge(&self, bytes: u64) {
        self.map.word(session::field::MEMORY_USED).fetch_add(bytes, Ordering::Relaxed);
    }

    /// Gives back what [`reserve`](SessionPage::reserve) took.
    pub fn release(&self, bytes: u64) {
        let used = self.map.word(session::field::MEMORY_USED);
        used.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// The most bytes that the session may keep.
    pub fn memory_max(&self) -> u64 {
        self.map.get(session::field::MEMORY_MAX)
    }

    /// Whether the collector still works on the session.
    pub fn collector_is_alive(&self) -> bool {
        let pid = self.map.get(session::field::COLLECTOR_PID);
        pid != 0 && rtrace_session::collector::may_live(pid)
    }

    /// Notes that a collector was started.
    pub fn set_collector(&self, pid: u32, state: u64) {
        self.map.put(session::field::COLLECTOR_PID, pid.into());
        self.map.put(session::field::COLLECTOR_STATE, state);
    }
}

/// The file of one process.
#[derive(Debug)]
pub struct ProcessPage {
    map: Mapping,
}

impl ProcessPage {
    /// Maps the page of an initialised process file.
    ///
    /// # Errors
    /// The kernel refuses the mapping.
    pub fn new(file: &File) -> io::Result<ProcessPage> {
        Ok(ProcessPage { map: Mapping::new(file, 0, PAGE)? })
    }

    /// Says who this is, in a child after its fork.
    pub fn identify(&self, pid: u32, ppid: u32, start_time: u64) {
        self.map.put_u32(process::field::PPID, ppid);
        self.map.put(process::field::START_TIME, start_time);
        self.map.put_u32(process::field::PID, pid);
    }

    /// Stores the state; see [`process::RECORDING`] and its siblings.
    pub fn set_state(&self, state: u64) {
        self.map.put(process::field::STATE, state);
    }

    /// The state.
    pub fn state(&self) -> u64 {
        self.map.get(process::field::STATE)
    }

    /// Marks the end as clean, with the exit code where it is known.
    pub fn end(&self, tick: u64, exit_code: Option<i32>) {
        self.map.put(process::field::END_TICK, tick);
        if let Some(code) = exit_code {
            self.map.put_u32(process::field::EXIT_CODE, code as u32);
            self.map.put_u32(process::field::EXIT_KNOWN, 1);
        }
        self.map.put(process::field::STATE, process::ENDED);
    }

    /// Stores what events were measured to cost.
    pub fn set_prices(&self, prices: Prices) {
        self.map.put(process::field::EVENT_COST, prices.python);
        self.map.put(process::field::C_EVENT_COST, prices.c);
    }

    /// Counts a function that the filters leave out.
    pub fn count_filtered(&self) {
        self.map.word(process::field::FILTERED).fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a call site that is left alone from here on, to keep the budget.
    pub fn count_closed_site(&self) {
        self.map.word(process::field::CLOSED_SITES).fetch_add(1, Ordering::Relaxed);
    }

    /// Counts events of threads that have no ring.
    pub fn count_lost(&self, events: u64, cause: Cause) {
        let add = |at| self.map.word(at).fetch_add(events, Ordering::Relaxed);
        if let Some(at) = (cause as usize).checked_sub(1) {
            add(process::field::LOST_CAUSES + at * 8);
        }
        add(process::field::LOST);
    }

    /// How many were counted for a cause.
    pub fn lost_for(&self, cause: Cause) -> u64 {
        let at = (cause as usize).checked_sub(1);
        at.map_or(0, |at| self.map.get(process::field::LOST_CAUSES + at * 8))
    }

    /// Counts ended threads whose rings are given up, and their events.
    pub fn overwrite(&self, threads: u64, events: u64) {
        let add = |at, count| self.map.word(at).fetch_add(count, Ordering::Relaxed);
        add(process::field::OVERWRITTEN_THREADS, threads);
        add(process::field::OVERWRITTEN_EVENTS, events);
    }

    /// Takes back what [`overwrite`](ProcessPage::overwrite) counted.
    pub fn take_back(&self, threads: u64, events: u64) {
        let sub = |at, count| self.map.word(at).fetch_sub(count, Ordering::Relaxed);
        sub(process::field::OVERWRITTEN_THREADS, threads);
        sub(process::field::OVERWRITTEN_EVENTS, events);
    }
}
