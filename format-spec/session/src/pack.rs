//! Making a finished `trace.bin` out of a session.
//!
//! Three callers, one packer: `stop` and the collector append to the trace in
//! place ([`finish`]); `rtrace-view pack` and `snapshot` make another file that
//! stands for itself ([`copy()`]) and leave the session as it is.
//!
//! What the trace already holds is known by its record numbers: packing again
//! adds nothing, and packing after a collector died adds what it had not yet
//! drained.

mod copy;
mod describe;
pub(crate) mod packer;
mod pyramid;
mod remap;
mod resume;
pub(crate) mod ring;
mod stacks;
mod symbols;
mod taken;
mod target;
mod thread;
mod writer;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rtrace_format::{Value, figures};

use crate::error::{Error, ErrorKind, Result};
use crate::giveback::GiveBack;
use crate::live::{self, Process, SessionReader};
use crate::liveness::Liveness;
use crate::{create, dirs, join};

pub use copy::copy;
pub use describe::losses;
pub(crate) use packer::Sink;
pub(crate) use target::{SNAPSHOT_KEY, open_locked};
pub use target::{identify, session_of, trace_of};

use packer::Packer;
use ring::{Unread, Writer};

/// How long [`finish`] waits for another process that packs the same trace.
const PATIENCE: Duration = Duration::from_secs(10);

/// What packing did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Packed {
    /// The trace that was written.
    pub path: PathBuf,
    /// Whether no process of the session was live, so that the trace is whole.
    pub is_final: bool,
    /// Whether the session's directory was removed, everything of it being in the trace.
    pub removed: bool,
    /// Segments that were damaged and are missing.
    pub damaged: u64,
    /// Segments that kept changing while they were read and are missing.
    pub torn: u64,
}

/// Packs a session in place: the threads of every process that is over go to
/// the session's own trace. If no process is left, the trace is finished and
/// the session's directory removed.
///
/// A process that stops marks its own process file as ended before it calls this.
///
/// # Errors
///
/// The trace is gone, or another process has its lock for ten seconds
/// ([`ErrorKind::Busy`]); no room. The session is then as it was.
pub fn finish(session_dir: &Path) -> Result<Packed> {
    let session = SessionReader::open(session_dir)?;
    let path = trace_of(&session)?;
    finish_into(session_dir, &path, PATIENCE)
}

pub(crate) fn finish_into(session_dir: &Path, path: &Path, patience: Duration) -> Result<Packed> {
    let file = open_locked(path, patience)?;
    let mut session = match SessionReader::open(session_dir) {
        Ok(session) => session,
        // Whoever had the lock before has finished it.
        Err(error) if error.is_not_found() => {
            return Ok(Packed {
                path: path.to_owned(),
                is_final: true,
                removed: true,
                ..Packed::default()
            });
        }
        Err(error) => return Err(error),
    };
    let mut packer = Packer::resume(file, path, session.symbols().ok())?;
    if packer.uuid() != session.header().uuid {
        return Err(Error::refused(path, "is the trace of another session"));
    }
    session.refresh()?;
    let mut give = GiveBack::open(session.dir())?;
    let unread = pack_threads(&mut packer, &session, Which::Over(&mut give))?;
    let is_final = close(&mut session)?;
    packer.flush_all()?;
    // A tree may have thousands of children that end one by one, and each index
    // lists everything: only the end, and that of the program itself, has one.
    if is_final || packer.announced_end_of(0) {
        packer.index(is_final)?;
    }
    let readable = session.problems().is_empty();
    if is_final && readable {
        dirs::remove_session_dir(session.dir())?;
    }
    Ok(Packed {
        path: path.to_owned(),
        is_final,
        removed: is_final && readable,
        damaged: unread.damaged,
        torn: unread.torn,
    })
}

/// Whether every process is over, and none can join any more.
fn close(session: &mut SessionReader) -> Result<bool> {
    if session.liveness() != Liveness::Dead {
        return Ok(false);
    }
    let known = session.processes().count();
    let path = create::session_path(session.dir());
    let file = create::open_rw(&path)?;
    join::set_closing(&file, &path, true)?;
    session.refresh()?;
    let closed = session.liveness() == Liveness::Dead && session.processes().count() == known;
    if !closed {
        join::set_closing(&file, &path, false)?;
    }
    Ok(closed)
}

/// Packs `input`, a `trace.bin` or a session's directory, to `output`. The same
/// path packs [in place](finish); another one makes a [`copy()`].
///
/// # Errors
///
/// As for those.
pub fn pack_session(input: &Path, output: &Path) -> Result<Packed> {
    let source = Source::find(input, None)?;
    let same = source.trace.as_deref().is_some_and(|trace| is_same_file(trace, output));
    match (same, &source.session, &source.trace) {
        (true, Some(session), Some(trace)) => finish_into(session, trace, PATIENCE),
        (true, None, Some(trace)) => index_only(trace),
        _ => copy(&source, output, None),
    }
}

/// Writes a copy of a running session, while it goes on, to `output`.
///
/// Its processes count as running; `reason` goes into the metadata.
///
/// # Errors
///
/// As [`copy()`].
pub fn snapshot(session_dir: &Path, output: &Path, reason: &str) -> Result<Packed> {
    copy(&Source::find(session_dir, None)?, output, Some(reason))
}

/// What is to be packed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Source {
    /// The trace, if there is one.
    pub trace: Option<PathBuf>,
    /// The session's directory, if it is still there.
    pub session: Option<PathBuf>,
}

impl Source {
    /// Finds the trace and the session that belong to `input`, which is either;
    /// `hint` is a place to look for the session.
    ///
    /// # Errors
    ///
    /// It is neither.
    pub fn find(input: &Path, hint: Option<&Path>) -> Result<Source> {
        if input.is_dir() {
            let session = SessionReader::open(input)?;
            let trace = trace_of(&session).ok();
            return Ok(Source { trace, session: Some(session.dir().to_owned()) });
        }
        let session = session_of(input, hint)?;
        Ok(Source { trace: Some(input.to_owned()), session })
    }
}

/// A trace without a session: it gets what nodes and index it lacks.
fn index_only(path: &Path) -> Result<Packed> {
    let file = open_locked(path, PATIENCE)?;
    let mut packer = Packer::resume(file, path, None)?;
    packer.complete()?;
    packer.index(true)?;
    Ok(Packed { path: path.to_owned(), is_final: true, ..Packed::default() })
}

/// Whose threads are packed.
enum Which<'a> {
    /// Those of processes that are over; the room of their rings is given back.
    Over(&'a mut GiveBack),
    /// All.
    All,
}

/// Packs threads by serial, then describes the processes.
fn pack_threads(
    packer: &mut Packer,
    session: &SessionReader,
    mut which: Which<'_>,
) -> Result<Unread> {
    let mut unread = Unread::default();
    let all_dead = session.liveness() == Liveness::Dead;
    for thread in session.threads() {
        // A thread whose process file cannot be read is over when all others are.
        let process = session.process(thread.header.process);
        let is_over = process.map_or(all_dead, |process| process.end.is_over());
        if !is_over && matches!(which, Which::Over(_)) {
            continue;
        }
        let mut ring = match thread.open() {
            Ok(ring) => ring,
            Err(error) if error.is_not_found() => continue,
            Err(error) => return Err(error),
        };
        let writer = if is_over { Writer::Gone } else { Writer::Goes };
        let found = ring::drain(packer, &ring, writer, session.is_full())?;
        unread.damaged += found.damaged;
        unread.torn += found.torn;
        ring::close(packer, &mut ring)?;
        if let Which::Over(give) = &mut which
            && found == Unread::default()
        {
            give.remove(thread.header.serial)?;
        }
    }
    for process in session.processes() {
        describe_process(packer, session.dir(), process)?;
    }
    Ok(unread)
}

/// Writes the `PROC` chunk of a process, unless it is there already.
pub(crate) fn describe_process(packer: &mut Packer, dir: &Path, process: &Process) -> Result<()> {
    // A child whose parent died before the fork never was a process.
    if process.header.pid == 0 {
        return Ok(());
    }
    let number = process.header.number;
    let mut meta = describe::process(process);
    // What cannot be read of these keeps nobody from the rest.
    let figures = live::figures::read(dir, number, &packer.uuid()).unwrap_or_default();
    if !figures.is_empty() {
        let symbols = &mut packer.sink.symbols;
        let known = figures.iter().filter_map(|entry| Some((entry, symbols.value(entry.id)?)));
        meta.set("figures", Value::List(figures::encode_list(known)));
    }
    if process.header.filtered > 0 {
        let sink = &mut packer.sink;
        sink.symbols.take_filtered();
        sink.symbols.write(&mut sink.writer)?;
    }
    packer.process(number, &meta)
}

fn is_same_file(a: &Path, b: &Path) -> bool {
    File::open(a).is_ok_and(|file| match (file.metadata(), std::fs::metadata(b)) {
        (Ok(a), Ok(b)) => {
            use std::os::unix::fs::MetadataExt;
            (a.dev(), a.ino()) == (b.dev(), b.ino())
        }
        _ => false,
    })
}

/// Whether an error says that another process is writing the trace.
pub fn is_busy(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Busy)
}

#[cfg(test)]
mod tests;
