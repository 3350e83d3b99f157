//! One recording: the session, this process's part in it, and what was asked.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use rtrace_format::{Clock, Symbol};

use crate::clock::Ticks;
use crate::figures::Figures;
use crate::names;
use crate::options::Options;
use crate::ring::{Refused, Ring, RingOptions};
use crate::room::Room;
use crate::session::Interpreter;
use crate::shared::{ProcessPage, SessionPage};
use crate::symbols::Symbols;

/// Number of the recording that runs, 0 for none: what is cached in code objects
/// carries it, so that ids of an older session are never taken for this one's.
pub static GENERATION: AtomicU32 = AtomicU32::new(0);

static CURRENT: Mutex<Option<Arc<Recording>>> = Mutex::new(None);

/// What an event costs, in picoseconds; 0 where it was not measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Prices {
    /// An event of Python code.
    pub python: u64,
    /// An event of a C call.
    pub c: u64,
}

/// A recording in this process.
#[derive(Debug)]
pub struct Recording {
    /// The number that [`GENERATION`] has while it runs.
    pub generation: u32,
    /// The session's clock.
    pub clock: Clock,
    /// What was asked.
    pub options: Options,
    /// The session's directory.
    pub dir: PathBuf,
    /// The trace file, which may differ from the asked one where that was in use.
    pub output: PathBuf,
    /// What new rings are to be.
    pub rings: RingOptions,
    /// The session's counters.
    pub page: Arc<SessionPage>,
    /// The budget.
    pub room: Arc<Room>,
    /// This process's file.
    pub process: Arc<ProcessPage>,
    /// This process.
    pub pid: u32,
    /// The interpreter.
    pub interpreter: Interpreter,
    symbols: Arc<Mutex<Symbols>>,
    figures: OnceLock<Option<Figures>>,
    prices: OnceLock<Prices>,
}

impl Recording {
    /// A recording by these parts.
    #[allow(clippy::too_many_arguments, reason = "called once at start and once in a forked child")]
    pub fn new(
        generation: u32,
        clock: Clock,
        options: Options,
        output: PathBuf,
        rings: RingOptions,
        page: Arc<SessionPage>,
        process: ProcessPage,
        symbols: Arc<Mutex<Symbols>>,
        interpreter: Interpreter,
    ) -> Recording {
        let dir = rings.dir.clone();
        let pid = std::process::id();
        let process = Arc::new(process);
        let room = room(&page, &process, &rings);
        Recording {
            generation,
            clock,
            options,
            dir,
            output,
            rings,
            page,
            room,
            process,
            pid,
            interpreter,
            symbols,
            figures: OnceLock::new(),
            prices: OnceLock::new(),
        }
    }

    /// The same recording in a forked child, with the child's own process file.
    pub fn in_child(&self, process: ProcessPage, number: u32) -> Recording {
        let process = Arc::new(process);
        process.set_prices(self.prices());
        let rings = RingOptions { process: number, ..self.rings.clone() };
        let room = room(&self.page, &process, &rings);
        Recording {
            generation: self.generation,
            clock: self.clock,
            options: self.options.clone(),
            dir: self.dir.clone(),
            output: self.output.clone(),
            rings,
            page: Arc::clone(&self.page),
            room,
            process,
            pid: std::process::id(),
            interpreter: self.interpreter.clone(),
            symbols: Arc::clone(&self.symbols),
            figures: OnceLock::new(),
            prices: self.prices.clone(),
        }
    }

    /// The id of a symbol, written to the session before this returns.
    pub fn intern(&self, symbol: Symbol) -> u32 {
        lock(&self.symbols).intern(&self.page, &self.room, symbol)
    }

    /// Takes note of what events were measured to cost, and says so in the process's file.
    pub fn set_prices(&self, prices: Prices) {
        if self.prices.set(prices).is_ok() {
            self.process.set_prices(prices);
        }
    }

    /// What events cost, as far as that is known.
    pub fn prices(&self) -> Prices {
        self.prices.get().copied().unwrap_or_default()
    }

    /// Where what is left out is counted; made when it is first asked for, none where there
    /// is no room.
    pub fn figures(&self) -> Option<&Figures> {
        let make = || Figures::create(&self.dir, &self.rings.uuid, self.rings.process, &self.room);
        self.figures.get_or_init(make).as_ref()
    }

    /// The session's symbols, for as long as nobody else may look at them.
    pub fn hold_symbols(&self) -> MutexGuard<'_, Symbols> {
        lock(&self.symbols)
    }

    /// A ring for the thread `tid`.
    ///
    /// # Errors
    /// There is no room for it.
    pub fn new_ring(&self, tid: u32) -> Result<Ring, Refused> {
        Ring::create(&self.rings, &self.page, &self.room, self.pid, tid, self.now())
    }

    /// The tick now.
    pub fn now(&self) -> u64 {
        Ticks::of(&self.clock).now()
    }
}

fn room(page: &Arc<SessionPage>, process: &Arc<ProcessPage>, rings: &RingOptions) -> Arc<Room> {
    let (page, process) = (Arc::clone(page), Arc::clone(process));
    Arc::new(Room::new(page, process, rings.process, &rings.dir, !rings.drained))
}

/// The recording that runs in this process.
pub fn current() -> Option<Arc<Recording>> {
    lock(&CURRENT).clone()
}

/// Makes `recording` the one that runs.
pub fn set_current(recording: Arc<Recording>) {
    replace_current(&mut hold_current(), Some(recording));
}

/// Ends the recording that runs, and gives it.
pub fn take_current() -> Option<Arc<Recording>> {
    replace_current(&mut hold_current(), None)
}

/// The place of the recording that runs, for as long as nobody else may look at it.
pub fn hold_current() -> MutexGuard<'static, Option<Arc<Recording>>> {
    lock(&CURRENT)
}

/// Puts `next` where the recording that runs stands, and gives that one.
pub fn replace_current(
    place: &mut Option<Arc<Recording>>,
    next: Option<Arc<Recording>>,
) -> Option<Arc<Recording>> {
    let generation = next.as_ref().map_or(0, |next| next.generation);
    let went_on = place.as_ref().is_some_and(|before| before.generation == generation);
    GENERATION.store(generation, Ordering::Release);
    // What a forked child finds in the caches stays true.
    if !went_on {
        names::STAMP.store(generation, Ordering::Release);
    }
    std::mem::replace(place, next)
}

/// A number for a new recording, never used before in this process.
pub fn next_generation() -> u32 {
    static LAST: AtomicU32 = AtomicU32::new(0);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

/// Locks; a panic elsewhere while it was held is no reason to fail here.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
