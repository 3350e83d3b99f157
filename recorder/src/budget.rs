//! `--budget`: what recording may cost, and which functions are given up to keep to it.
//!
//! Each thread weighs its own records every few hundred events, off the hot path, into an
//! [inbox](weight). From time to time the controller compares what the events cost, by the
//! calibrated price, with the CPU time that the threads had. Where it is too much the hottest
//! functions are *demoted*: their ids get [`SKIP`], so that the hook answers DISABLE.
//!
//! What must stay true:
//!
//! 1. A function is demoted only while no recorded activation of it is open in any lane of
//!    any thread: its exit would be dropped, and the stacks would be false from there on. One
//!    that is open is *pending*: [`WATCHED`], and looked at again at each of its entries.
//! 2. Ids are cached in code objects and for callables, by a stamp. Whoever changes the state
//!    of a function changes the stamp, and each cached id is then [reviewed] at its next use.
//! 3. The controller's lock is only taken with the GIL held. It comes before those of the
//!    threads' list and of the inbox; no Python code runs under it.

pub mod weight;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

use rtrace_format::record::ID_MASK;
use rtrace_format::symbol::FIRST_ID;

use self::weight::{Inbox, Weight};
use crate::names::{self, DEMOTED, SKIP, WATCHED};
use crate::recording::{Recording, lock};
use crate::thread;

/// CPU time between two decisions, in ns.
const WINDOW: u64 = 4_000_000;
/// What is aimed at, as a share of what may be: some costs are not seen in events.
const AIM: f64 = 0.7;
/// CPU time after which the demoted are tried again, in ns; doubles with each try.
const FIRST_RETRY: u64 = 8_000_000_000;
/// The longest of these times, in ns.
const LAST_RETRY: u64 = 256_000_000_000;
/// They are tried again while recording costs less than this share of what may be.
const QUIET: f64 = 0.25;
/// Entries of pending functions, or closings of call sites, that pass between two looks at
/// all threads.
const PATIENCE: u32 = 64;

/// How a function stands that is not simply recorded.
#[derive(Debug, Clone, Copy)]
enum State {
    /// It is not recorded.
    Off,
    /// It is to be demoted when nothing of it is open; the thread and the place in its
    /// stack at which something was when last looked at, and the looks that were saved.
    Pending(Option<(usize, usize)>, u32),
}

/// What is known and decided in this process.
#[derive(Debug)]
struct Controller {
    generation: u32,
    process: u32,
    /// The highest cost, as a share of the program's own CPU time.
    limit: f64,
    /// Prices of an event of Python code and of a C call, in ns.
    prices: [f64; 2],
    states: HashMap<u32, State>,
    window: HashMap<u32, Weight>,
    own_ns: f64,
    cpu_ns: u64,
    /// CPU time since the states changed.
    calm_ns: u64,
    retry_ns: u64,
    saved_closings: u32,
}

static CONTROLLER: Mutex<Option<Controller>> = Mutex::new(None);
/// Whether the running recording has a budget, and demotes.
static ACTIVE: AtomicBool = AtomicBool::new(false);

/// Whether functions may be demoted.
#[inline(always)]
pub fn is_active() -> bool {
    ACTIVE.load(Ordering::Relaxed)
}

/// Begins to keep a recording within its budget, if it has one that its hook can keep by
/// leaving functions out. Prices are those that were measured.
pub fn begin(recording: &Recording) {
    let percent = recording.options.budget.filter(|_| recording.options.can_demote());
    let mut controller = lock(&CONTROLLER);
    let usable = percent.filter(|_| recording.figures().is_some());
    *controller = usable.map(|percent| Controller {
        generation: recording.generation,
        process: recording.rings.process,
        limit: percent / 100.0,
        prices: prices(recording),
        states: HashMap::new(),
        window: HashMap::new(),
        own_ns: 0.0,
        cpu_ns: 0,
        calm_ns: 0,
        retry_ns: FIRST_RETRY,
        saved_closings: 0,
    });
    weight::clear();
    ACTIVE.store(controller.is_some(), Ordering::Relaxed);
}

/// Ends it: what was counted last goes to the figures.
pub fn end(recording: &Recording) {
    if !is_active() {
        return;
    }
    let mut controller = lock(&CONTROLLER);
    if let Some(controller) = controller.as_mut().filter(|c| c.generation == recording.generation) {
        controller.belong_to(recording);
        thread::weigh_all();
        controller.collect();
        controller.count(recording);
    }
    *controller = None;
    ACTIVE.store(false, Ordering::Relaxed);
}

/// The locks of the budget, for a fork.
pub struct Held {
    _controller: MutexGuard<'static, Option<Controller>>,
}

/// Takes the lock that the fork of a process is to find free in the child.
pub fn hold() -> Held {
    Held { _controller: lock(&CONTROLLER) }
}

/// A cached id of this recording, as it is to be now.
pub fn reviewed(id: u32) -> u32 {
    if !is_active() || (id & SKIP != 0 && id & DEMOTED == 0) {
        return id;
    }
    let plain = id & !(SKIP | WATCHED | DEMOTED);
    let controller = lock(&CONTROLLER);
    let state = controller.as_ref().and_then(|c| c.states.get(&(id & ID_MASK)));
    match state {
        None => plain,
        Some(State::Off) => plain | SKIP | DEMOTED,
        Some(State::Pending(..)) => plain | WATCHED,
    }
}

/// A pending function is about to be entered: whether it is demoted from here on.
#[cold]
#[inline(never)]
pub fn demotes_now(recording: &Recording, id: u32) -> bool {
    let mut controller = lock(&CONTROLLER);
    let Some(controller) = controller.as_mut() else { return false };
    match controller.states.get_mut(&id) {
        Some(State::Off) => return true,
        Some(State::Pending(place, saved)) => {
            let here = thread::current_ident();
            if place.is_some_and(|(ident, at)| ident == here && thread::is_frame_here(at, id)) {
                return false;
            }
            // Where it is open in this thread, that is all there is to know for some time.
            if let Some(index) = thread::index_here(id) {
                *place = Some((here, index));
                return false;
            }
            // An outermost entry: the rare moment at which it may be open nowhere.
            *saved += 1;
            let is_open = place.is_some_and(|(ident, at)| thread::is_frame_in(ident, at, id));
            if is_open && !saved.is_multiple_of(PATIENCE) {
                return false;
            }
            *place = thread::find_open(id);
            if place.is_some() {
                return false;
            }
        }
        None => return false,
    }
    controller.collect();
    controller.count(recording);
    controller.turn_off(recording, id);
    names::new_stamp();
    true
}

/// Whether a call site of the code `caller` may be left alone from here on: nothing that was
/// called from that code is open anywhere.
#[cold]
#[inline(never)]
pub fn may_close(recording: &Recording, caller: u32) -> bool {
    let mut controller = lock(&CONTROLLER);
    let Some(controller) = controller.as_mut() else { return false };
    if controller.saved_closings > 0 {
        controller.saved_closings -= 1;
        return false;
    }
    if thread::has_c_call_of(caller) {
        controller.saved_closings = PATIENCE;
        return false;
    }
    recording.process.count_closed_site();
    true
}

/// A thread has weighed records that cost it `cpu_ns` of CPU time. True if everything that was
/// left out is to be tried again.
pub fn consider(recording: &Recording, cpu_ns: u64) -> bool {
    let mut controller = lock(&CONTROLLER);
    let Some(controller) = controller.as_mut().filter(|c| c.generation == recording.generation)
    else {
        return false;
    };
    controller.belong_to(recording);
    controller.prices = prices(recording);
    controller.cpu_ns += cpu_ns;
    controller.cpu_ns >= WINDOW && controller.decide(recording)
}

/// What events cost, in ns: as measured, else as on a machine of the year 2020.
fn prices(recording: &Recording) -> [f64; 2] {
    let prices = recording.prices();
    [prices.python, prices.c].map(|ps| if ps == 0 { 60.0 } else { ps as f64 / 1000.0 })
}

impl Controller {
    /// In a forked child the demoted are told anew, in its own figures.
    fn belong_to(&mut self, recording: &Recording) {
        if self.process == recording.rings.process {
            return;
        }
        self.process = recording.rings.process;
        self.window.clear();
        let off = self.states.iter().filter(|(_, state)| matches!(state, State::Off));
        if let Some(figures) = recording.figures() {
            off.for_each(|(&id, _)| figures.demote(id, recording.now()));
        }
    }

    /// Takes over what the threads have weighed.
    fn collect(&mut self) {
        let [python, c] = self.prices;
        weight::drain(|inbox: &Inbox| {
            for (&id, weight) in inbox {
                self.own_ns += weight.events as f64 * if weight.is_c { c } else { python };
                self.window.entry(id).or_default().add(weight);
            }
        });
    }

    /// Adds the window's calls to the figures.
    fn count(&mut self, recording: &Recording) {
        let Some(figures) = recording.figures() else { return };
        for (&id, weight) in self.window.iter_mut().filter(|(_, weight)| weight.is_uncounted()) {
            figures.count(id, weight.calls, weight.spans, weight.ticks);
            weight.counted();
        }
    }

    fn turn_off(&mut self, recording: &Recording, id: u32) {
        self.states.insert(id, State::Off);
        if let Some(figures) = recording.figures() {
            figures.demote(id, recording.now());
        }
        self.calm_ns = 0;
    }

    /// Ends a window. True if everything that was left out is to be tried again.
    fn decide(&mut self, recording: &Recording) -> bool {
        // Everything up to here: afterwards a demoted function has no calls to be counted.
        thread::weigh_all();
        self.collect();
        self.count(recording);
        let rest = (self.cpu_ns as f64 - self.own_ns).max(1.0);
        let excess = self.own_ns - self.limit * AIM * rest;
        let is_quiet = self.own_ns < self.limit * QUIET * rest;
        self.calm_ns += self.cpu_ns;
        if excess > 0.0 {
            self.demote(recording, excess);
        }
        let again = is_quiet && self.calm_ns >= self.retry_ns && !self.states.is_empty();
        if again {
            self.restore(recording);
        }
        self.window.clear();
        self.own_ns = 0.0;
        self.cpu_ns = 0;
        again
    }

    /// Gives up the functions that cost most, until `excess` ns are saved.
    fn demote(&mut self, recording: &Recording, mut excess: f64) {
        let [python, c] = self.prices;
        let cost = |weight: &Weight| {
            let own = weight.events as f64 * if weight.is_c { c } else { python };
            own + weight.c_events as f64 * c
        };
        let known = &self.states;
        let mut candidates: Vec<(f64, u32, bool)> = (self.window.iter())
            .filter(|(id, _)| **id >= FIRST_ID && !known.contains_key(id))
            .map(|(&id, weight)| (cost(weight), id, weight.is_c))
            .collect();
        candidates.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        let open = thread::open_ids();
        let mut changed = false;
        for (cost, id, is_c) in candidates {
            if excess <= 0.0 {
                break;
            }
            match open.as_ref().is_some_and(|open| !open.contains(&id)) {
                true => self.turn_off(recording, id),
                // A C function that is open is looked at again in the next window.
                false if is_c => continue,
                false => {
                    self.states.insert(id, State::Pending(None, 0));
                }
            }
            excess -= cost;
            changed = true;
        }
        if changed {
            names::new_stamp();
        }
    }

    fn restore(&mut self, recording: &Recording) {
        if let Some(figures) = recording.figures() {
            let off = self.states.iter().filter(|(_, state)| matches!(state, State::Off));
            off.for_each(|(&id, _)| figures.restore(id));
        }
        self.states.clear();
        self.calm_ns = 0;
        self.retry_ns = (self.retry_ns * 2).min(LAST_RETRY);
        names::new_stamp();
    }
}
