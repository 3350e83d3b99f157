//! Joining the session of the process that started this one.
//!
//! A forked child goes on in its parent's session by itself ([`fork`](crate::fork)).
//! Any other Python process finds the session's directory in an environment variable;
//! the package's start-up file calls [`join`] before the program begins.

use std::path::Path;
use std::sync::{Arc, Mutex};

use rtrace_format::Clock;
use rtrace_format::process::{ProcessHeader, RECORDING};
use rtrace_format::session::SessionHeader;
use rtrace_session::{Error, create, host, live};

use crate::hook;
use crate::options::{HookKind, Mode, Options};
use crate::recording::{Prices, Recording, next_generation};
use crate::ring::RingOptions;
use crate::session::{Interpreter, process_meta};
use crate::shared::{ProcessPage, SessionPage};
use crate::symbols::Symbols;

/// Makes this process one of the session in `dir`; `argv` is its command line.
///
/// # Errors
/// The session is gone, or belongs to another user, boot or pid namespace; no room.
pub fn join(dir: &Path, argv: Vec<Vec<u8>>, interpreter: &Interpreter) -> Result<Recording, Error> {
    let session = rtrace_session::join::open(dir)?;
    let refused = |why: &str| Error::refused(dir, why);
    let SessionHeader { uuid, meta, memory_max, .. } = &session.header;
    let clock = Clock::from_meta(meta).map_err(|error| Error::format(dir, error))?;
    let options = with_hook(Options::from_meta(meta, HookKind::Profile, argv), meta);
    let map_error = |error| Error::io(dir, "map", error);
    let page = SessionPage::new(&session.file).map_err(map_error)?;

    let mut symbols = Symbols::new(create::symbols_path(dir), *memory_max);
    symbols.know(live::SymbolFile::open(&create::symbols_path(dir), uuid)?.scan_from(0)?.0);

    let pid = std::process::id();
    let relatives = session.relatives(pid);
    let number = page.take_process();
    let number = u32::try_from(number).map_err(|_| refused("has no number left"))?;
    let header = ProcessHeader {
        number,
        pid,
        parent: relatives.parent,
        ppid: std::os::unix::process::parent_id(),
        start_time: host::start_time(pid).unwrap_or(0),
        state: RECORDING,
        end_tick: 0,
        exit_code: None,
        lost: 0,
        lost_causes: Default::default(),
        overwritten_threads: 0,
        overwritten_events: 0,
        event_cost_ps: 0,
        c_event_cost_ps: 0,
        filtered: 0,
        closed_sites: 0,
        meta: process_meta(&options, interpreter, &clock, pid),
    };
    if !page.reserve(create::process_len(&header), 0) {
        return Err(refused("has no room left in its memory budget"));
    }
    let file = create::process_file(dir, &header)?;
    let process = ProcessPage::new(&file).map_err(map_error)?;
    if !session.may_stay() {
        process.end(0, None);
        return Err(refused("is being finished"));
    }
    session.replace(&relatives.before_exec);
    let rings = RingOptions {
        dir: dir.to_owned(),
        uuid: *uuid,
        process: number,
        ring_size: options.ring_size,
        drained: options.mode == Mode::Full,
    };
    let recording = Recording::new(
        next_generation(),
        clock,
        options.clone(),
        options.output,
        rings,
        Arc::new(page),
        process,
        Arc::new(Mutex::new(symbols)),
        interpreter.clone(),
    );
    // Not measured again: a process that only lives for a moment would wait for it.
    if let Some(prices) = session.prices() {
        recording.set_prices(Prices { python: prices.0, c: prices.1 });
    }
    Ok(recording)
}

/// The session's hook, or the nearest that this interpreter has, which may be another version.
fn with_hook(options: Options, meta: &rtrace_format::Meta) -> Options {
    let name = meta.get_text("hook").and_then(|name| std::str::from_utf8(name).ok());
    let asked = name.and_then(|name| hook::choose(name).ok());
    let hook = asked.or_else(|| hook::choose("auto").ok()).unwrap_or(HookKind::Profile);
    let lines = options.lines && hook::check(hook, false, true, false).is_ok();
    let opcodes = options.opcodes && hook::check(hook, false, false, true).is_ok();
    Options { hook, lines, opcodes, ..options }
}
