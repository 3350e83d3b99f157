//! Threads that answer questions beside the drawing.
//!
//! Every question has a slot. A newer question of the same slot cancels the older one, queued or
//! running, so that holding a key down leaves no backlog; what an older one still sends is known
//! by its generation and dropped.

use std::collections::{HashMap, HashSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::msg::{Answer, Msg};
use super::source::{DiffAsk, EventsAsk, Find, LaneAsk, MomentAsk, Part, Source, SourceAsk};

/// One long question must not keep the short ones waiting, whatever the machine.
const FEWEST_WORKERS: usize = 2;
/// More threads than this gain nothing: the screen has few lanes at a time.
const MOST_WORKERS: usize = 4;
/// How much nicer workers are than the thread that takes keys and draws: that one never waits for
/// them where cores are few. Where the system has another mind about it, nothing is lost.
const NICER: i32 = 5;

/// A question for a worker.
#[derive(Clone, Debug, PartialEq)]
pub enum Job {
    /// Cells of a lane.
    Lane(LaneAsk),
    /// The minimap.
    Density {
        /// Its columns.
        cols: u16,
    },
    /// The function table.
    Functions(Part),
    /// The exceptions.
    Exceptions(Part),
    /// What happened around an exception.
    Moment(MomentAsk),
    /// The call tree.
    Tree(Part),
    /// Events.
    Events(EventsAsk),
    /// The hits of a search.
    Hits {
        /// The functions.
        symbols: Arc<HashSet<u32>>,
        /// Columns of the minimap.
        cols: u16,
    },
    /// Source.
    Source(SourceAsk),
    /// Two parts side by side.
    Diff(DiffAsk),
    /// When an event happened.
    Number(u64),
    /// A call.
    Find(Find),
    /// What became of a live session.
    Refresh,
}

/// What a newer question replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Slot {
    /// Cells of this lane.
    Lane(usize),
    /// The minimap.
    Density,
    /// The function table.
    Functions,
    /// The exceptions.
    Exceptions,
    /// What happened around an exception.
    Moment,
    /// The call tree.
    Tree,
    /// Events.
    Events,
    /// The hits of a search.
    Hits,
    /// Source.
    Source,
    /// Two parts side by side.
    Diff,
    /// A call, or an event.
    Find,
    /// Live sessions.
    Refresh,
}

impl Job {
    /// Its slot.
    pub fn slot(&self) -> Slot {
        match self {
            Job::Lane(ask) => Slot::Lane(ask.lane),
            Job::Density { .. } => Slot::Density,
            Job::Functions(_) => Slot::Functions,
            Job::Exceptions(_) => Slot::Exceptions,
            Job::Moment(_) => Slot::Moment,
            Job::Tree(_) => Slot::Tree,
            Job::Events(_) => Slot::Events,
            Job::Hits { .. } => Slot::Hits,
            Job::Source(_) => Slot::Source,
            Job::Diff(_) => Slot::Diff,
            Job::Find(_) | Job::Number(_) => Slot::Find,
            Job::Refresh => Slot::Refresh,
        }
    }

    /// Answers it; `None` where nobody waits any more. Lanes, which answer twice, and live
    /// sessions are no part of this.
    pub fn answer(self, source: &dyn Source, ticket: &Ticket) -> Option<Answer> {
        Some(match self {
            Job::Lane(_) | Job::Refresh => return None,
            Job::Density { cols } => Answer::Density(source.density(cols, ticket)),
            Job::Functions(part) => Answer::Functions(source.functions(&part, ticket)?),
            Job::Exceptions(part) => Answer::Exceptions(source.exceptions(&part, ticket)?),
            Job::Moment(ask) => Answer::Moment(source.moment(&ask, ticket)?),
            Job::Tree(part) => Answer::Tree(source.tree(&part, ticket)?, part),
            Job::Events(ask) => Answer::Events(source.events(&ask, ticket)?),
            Job::Hits { symbols, cols } => Answer::Hits(source.hits(&symbols, cols, ticket)?),
            Job::Source(ask) => Answer::Source(source.source(&ask, ticket)?),
            Job::Diff(ask) => Answer::Diff(source.diff(&ask, ticket)?),
            Job::Number(number) => Answer::Number(source.time_of_event(number, ticket), number),
            Job::Find(find) => Answer::Found(source.find(&find, ticket), find),
        })
    }
}

/// Which question an answer belongs to.
pub type Generation = u64;

/// A running question's way to hear that nobody waits any more, and to tell how far it is.
pub struct Ticket {
    generation: Generation,
    slot: Slot,
    cancelled: Arc<AtomicBool>,
    messages: Option<Sender<Msg>>,
}

impl Ticket {
    /// A ticket that is never cancelled and tells nobody.
    #[cfg(test)]
    pub fn free() -> Ticket {
        Ticket {
            generation: 0,
            slot: Slot::Find,
            cancelled: Arc::new(AtomicBool::new(false)),
            messages: None,
        }
    }

    /// Whether the answer is no longer wanted.
    pub fn cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// Tells that `done` of `total` is done.
    pub fn progress(&self, done: u64, total: u64) {
        let (slot, generation) = (self.slot, self.generation);
        self.send(Msg::Progress { slot, generation, done, total });
    }

    fn send(&self, msg: Msg) {
        // The receiver is gone only when the program is about to end.
        if let Some(messages) = self.messages.as_ref().filter(|_| !self.cancelled()) {
            messages.send(msg).ok();
        }
    }
}

struct Queued {
    job: Job,
    generation: Generation,
    cancelled: Arc<AtomicBool>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Queued>,
    running: HashMap<Slot, Arc<AtomicBool>>,
    closed: bool,
}

impl Queue {
    fn cancel(&mut self, slot: Slot) {
        self.waiting.retain(|queued| queued.job.slot() != slot);
        if let Some(running) = self.running.get(&slot) {
            running.store(true, Ordering::Relaxed);
        }
    }
}

struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    source: Mutex<Arc<dyn Source>>,
}

/// The workers of one screen. They end when it is dropped, each after its present question.
pub struct Pool {
    shared: Arc<Shared>,
}

impl Pool {
    /// Starts workers that answer from `source`.
    pub fn new(source: Arc<dyn Source>, messages: &Sender<Msg>) -> Pool {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            wake: Condvar::new(),
            source: Mutex::new(source),
        });
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..cores.saturating_sub(1).clamp(FEWEST_WORKERS, MOST_WORKERS) {
            let (shared, messages) = (Arc::clone(&shared), messages.clone());
            std::thread::spawn(move || work(&shared, &messages));
        }
        Pool { shared }
    }

    /// Whatever was asked in a slot is cancelled.
    pub fn cancel(&self, slot: Slot) {
        lock(&self.shared.queue).cancel(slot);
    }

    /// Asks; whatever was asked before in the same slot is cancelled.
    pub fn ask(&self, job: Job, generation: Generation) {
        let slot = job.slot();
        let mut queue = lock(&self.shared.queue);
        queue.cancel(slot);
        let cancelled = Arc::new(AtomicBool::new(false));
        let queued = Queued { job, generation, cancelled };
        // Lanes may be many and long; what a hand has just asked for goes before them.
        match slot {
            Slot::Lane(_) => queue.waiting.push_back(queued),
            _ => queue.waiting.push_front(queued),
        }
        drop(queue);
        self.shared.wake.notify_one();
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut queue = lock(&self.shared.queue);
        queue.closed = true;
        queue.waiting.clear();
        for running in queue.running.values() {
            running.store(true, Ordering::Relaxed);
        }
        drop(queue);
        self.shared.wake.notify_all();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What the locks guard is whole at every moment, so a panic elsewhere spoils nothing.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn next(shared: &Shared) -> Option<Queued> {
    let mut queue = lock(&shared.queue);
    loop {
        if queue.closed {
            return None;
        }
        if let Some(queued) = queue.waiting.pop_front() {
            queue.running.insert(queued.job.slot(), Arc::clone(&queued.cancelled));
            return Some(queued);
        }
        queue = shared.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
    }
}

fn work(shared: &Shared, messages: &Sender<Msg>) {
    // Of Linux's threads each has a niceness of its own.
    rustix::process::nice(NICER).ok();
    while let Some(Queued { job, generation, cancelled }) = next(shared) {
        let slot = job.slot();
        let ticket = Ticket {
            generation,
            slot,
            cancelled: Arc::clone(&cancelled),
            messages: Some(messages.clone()),
        };
        let answered = catch_unwind(AssertUnwindSafe(|| answer(shared, job, &ticket)));
        if answered.is_err() {
            ticket.send(Msg::Failed { slot, generation });
        }
        let mut queue = lock(&shared.queue);
        // A newer question of this slot may run already on another thread.
        if queue.running.get(&slot).is_some_and(|flag| Arc::ptr_eq(flag, &cancelled)) {
            queue.running.remove(&slot);
        }
    }
}

fn answer(shared: &Shared, job: Job, ticket: &Ticket) {
    let source = Arc::clone(&lock(&shared.source));
    let send = |answer: Answer, last: bool| {
        let (slot, generation) = (ticket.slot, ticket.generation);
        ticket.send(Msg::Answer { slot, generation, answer: Box::new(answer), last });
    };
    match job {
        Job::Lane(ask) => {
            source.lane(ask, ticket, &mut |lane| send(Answer::Lane(lane), false));
            // An approximate picture may be all that there is.
            ticket.send(Msg::Done { slot: ticket.slot, generation: ticket.generation });
        }
        Job::Refresh => {
            let fresh = source.refresh(ticket);
            let overview = fresh.map(|fresh| {
                let overview = fresh.overview();
                *lock(&shared.source) = fresh;
                overview
            });
            send(Answer::Refreshed(overview), true);
        }
        job => {
            if let Some(answer) = job.answer(&*source, ticket) {
                send(answer, true);
            }
        }
    }
}
