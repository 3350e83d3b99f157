//! The collector: drains the rings of a session into its `trace.bin` while the
//! program runs, and finishes the trace when the program has ended, in
//! whatever way.
//!
//! It is a process of its own. It never stops a writer: it copies what is
//! sealed, writes it as chunks, and only then says in the ring's header that
//! the place may be used again. If it falls behind, the writer overwrites the
//! oldest segment, and the gap in the record numbers is the exact loss; if it
//! dies, whoever packs next goes on from what the trace holds.

mod processes;
mod rings;

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use rtrace_format::session;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::create::{open_rw, process_path, session_path, set_collector};
use crate::error::Result;
use crate::live::SessionReader;
use crate::pack::packer::Packer;
use crate::pack::{Packed, open_locked, trace_of};
use crate::{dirs, host, join, read};

use processes::Processes;
use rings::Rings;

/// The shortest and the longest pause between two looks at the rings.
const PAUSE_MIN: Duration = Duration::from_millis(1);
const PAUSE_BUSY_MAX: Duration = Duration::from_millis(20);
const PAUSE_IDLE_MAX: Duration = Duration::from_millis(50);

/// Records wait no longer than this for their chunk to fill up.
const FLUSH_AGE: Duration = Duration::from_millis(500);

/// New files are looked for at least this often.
const LIST_EVERY: Duration = Duration::from_millis(100);

/// How long a trace that cannot be written (a full disk) is tried again after
/// the program has ended; then the session stays, for `pack`.
const GIVE_UP: Duration = Duration::from_secs(10);

/// How long to wait for another process that packs the same trace.
const PATIENCE: Duration = Duration::from_secs(10);

/// Drains the session in `dir` until all its processes are over, finishes its
/// trace and removes the directory.
///
/// # Errors
///
/// There is no such session, its trace is gone or locked by another writer, or
/// the trace could not be written to the end: then the session is still there.
pub fn run(dir: &Path) -> Result<Packed> {
    let session = SessionReader::open(dir)?;
    let path = trace_of(&session)?;
    let file = open_locked(&path, PATIENCE)?;
    raise_file_limit();
    let control_path = session_path(session.dir());
    let control = open_rw(&control_path)?;
    let pid = std::process::id();
    set_collector(&control, &control_path, pid, session::COLLECTOR_DRAINING)?;
    let packer = Packer::resume(file, &path, session.symbols().ok())?;
    let mut collector = Collector {
        control,
        packer,
        rings: Rings::new(session.dir(), session.header().uuid)?,
        processes: Processes::new(&session),
        counters: [u8::MAX; 16],
        listed: None,
        session,
    };
    collector.drain_to_the_end()?;
    let session_dir = collector.session.dir();
    set_collector(&collector.control, &control_path, pid, session::COLLECTOR_FINISHED)?;
    dirs::remove_session_dir(session_dir)?;
    Ok(Packed {
        path,
        is_final: true,
        removed: true,
        damaged: collector.rings.unread.damaged,
        torn: collector.rings.unread.torn,
    })
}

/// Waits until everything of a process that has ended is in `trace.bin`.
///
/// True when it is, or when the whole session was finished; false when `limit`
/// has passed, or no collector works on the session. For the last process of a
/// session it waits until the trace is finished, too.
pub fn wait_for(dir: &Path, process: u32, limit: Duration) -> bool {
    let end = Instant::now() + limit;
    let path = process_path(dir, process);
    loop {
        let Ok(session) = read::whole(&session_path(dir), 4096) else { return true };
        let state = rtrace_format::bytes::u64_at(&session, session::field::COLLECTOR_STATE);
        if state == Some(session::COLLECTOR_FINISHED) {
            return true;
        }
        let packed = processes::is_packed(&path);
        if packed && !processes::are_all_packed(dir) {
            return true;
        }
        let pid = rtrace_format::bytes::u64_at(&session, session::field::COLLECTOR_PID);
        let works = state != Some(session::COLLECTOR_NONE) && pid.is_none_or(may_live);
        if !works || Instant::now() >= end {
            return packed;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whether there may be a collector with this pid; 0 is one that has not begun yet, and one that
/// has died and that nobody has reaped is none.
pub fn may_live(pid: u64) -> bool {
    match u32::try_from(pid) {
        Ok(0) => true,
        Ok(pid) => host::stat_fields(pid).is_some_and(|(state, _)| !b"ZXx".contains(&state)),
        Err(_) => false,
    }
}

/// Every ring and process is an open file; a thousand is a usual limit.
fn raise_file_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Without it the collector works on with what it has.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

struct Collector {
    session: SessionReader,
    control: File,
    packer: Packer,
    rings: Rings,
    processes: Processes,
    /// Next serial and next process number, as last seen in the control page.
    counters: [u8; 16],
    /// When the directory was last listed.
    listed: Option<Instant>,
}

impl Collector {
    fn drain_to_the_end(&mut self) -> Result<()> {
        let mut pause = PAUSE_MIN;
        let mut failing_since: Option<Instant> = None;
        loop {
            let over = self.processes.all_closed();
            match self.round() {
                // Somebody removed the session under us: nothing more can be found in it.
                Err(error) if !self.session.dir().exists() => {
                    self.packer.finish(false)?;
                    return Err(error);
                }
                // Nothing new since everybody was over: that was the last round.
                Ok(Round { drained: 0, found: false }) if over => match self.finish() {
                    Ok(true) => return Ok(()),
                    Ok(false) => {}
                    Err(error) => Self::bear(error, over, &mut failing_since)?,
                },
                Ok(Round { drained, .. }) => {
                    failing_since = None;
                    pause = next_pause(pause, drained);
                }
                Err(error) => Self::bear(error, over, &mut failing_since)?,
            }
            if failing_since.is_some() {
                pause = PAUSE_IDLE_MAX;
            }
            // Whoever started the program waits for the last round.
            if !self.processes.all_closed() {
                std::thread::sleep(pause);
            }
        }
    }

    /// Finishes the trace; false where a process has joined meanwhile.
    fn finish(&mut self) -> Result<bool> {
        let path = session_path(self.session.dir());
        join::set_closing(&self.control, &path, true)?;
        if self.list()? {
            join::set_closing(&self.control, &path, false)?;
            return Ok(false);
        }
        self.packer.finish(true).map(|()| true)
    }

    /// While the program runs, a full disk may have room again; afterwards
    /// there is a limit to waiting.
    fn bear(error: crate::Error, over: bool, failing_since: &mut Option<Instant>) -> Result<()> {
        let since = *failing_since.get_or_insert_with(Instant::now);
        if over && (!error.is_no_space() || since.elapsed() > GIVE_UP) {
            return Err(error);
        }
        if over {
            std::thread::sleep(PAUSE_IDLE_MAX);
        }
        Ok(())
    }

    /// One look at everything.
    fn round(&mut self) -> Result<Round> {
        let found = self.discover()?;
        let drained = self.rings.drain_sealed(&mut self.packer)?;
        self.packer.flush_older(FLUSH_AGE)?;
        self.rings.release(&self.packer)?;
        // In this order: what a process stored before its end is drained after it.
        let ended = self.processes.refresh();
        // The first process last: when its end is in the trace, those of its children are.
        for number in ended.into_iter().rev() {
            // Again for as long as there are more rings than could be open at once.
            loop {
                self.rings.close_process(number, &mut self.packer)?;
                if !self.list()? {
                    break;
                }
            }
            self.processes.close(number, &mut self.packer)?;
        }
        Ok(Round { drained, found })
    }

    /// Opens rings and processes that are new; true if there were any.
    fn discover(&mut self) -> Result<bool> {
        let mut counters = [0; 16];
        let path = session_path(self.session.dir());
        read::read_at(&self.control, &path, &mut counters, session::field::NEXT_SERIAL as u64)?;
        let due = self.listed.is_none_or(|listed| listed.elapsed() >= LIST_EVERY);
        // A number is taken before its file is there, so that a change alone is no news.
        let changed = counters != self.counters;
        if !changed && !due && !self.processes.all_closed() {
            return Ok(false);
        }
        self.counters = counters;
        self.listed = Some(Instant::now());
        self.list()
    }

    /// Opens what is new in the directory; true if there was anything.
    fn list(&mut self) -> Result<bool> {
        let mut found = false;
        let entries = std::fs::read_dir(self.session.dir());
        let entries = entries.map_err(|e| crate::Error::io(self.session.dir(), "list", e))?;
        for entry in entries.flatten() {
            let name = entry.file_name();
            let name = std::os::unix::ffi::OsStrExt::as_bytes(name.as_os_str());
            if let Some(serial) = dirs::numbered(name, b"ring-") {
                found |= self.rings.open(serial, &mut self.packer)?;
            } else if let Some(number) = dirs::numbered(name, b"process-") {
                found |= self.processes.open(number, &mut self.packer)?;
            }
        }
        Ok(found)
    }
}

/// What a round brought.
struct Round {
    /// Segments drained.
    drained: usize,
    /// Whether a new ring or process appeared.
    found: bool,
}

/// Shorter while there is much to do, longer while there is nothing.
fn next_pause(pause: Duration, drained: usize) -> Duration {
    match drained {
        0 => (pause * 2).min(PAUSE_IDLE_MAX),
        1..8 => (pause * 2).min(PAUSE_BUSY_MAX),
        _ => (pause / 2).max(PAUSE_MIN),
    }
}

#[cfg(test)]
mod tests;
