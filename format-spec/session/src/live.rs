//! Reading a session, running or dead, without touching it.
//!
//! ```no_run
//! # fn main() -> rtrace_session::Result<()> {
//! let mut session = rtrace_session::SessionReader::open("/dev/shm/rtrace-0/x".as_ref())?;
//! session.refresh()?;
//! for thread in session.threads() {
//!     let ring = thread.open()?;
//!     for segment in ring.copy_after(0)?.segments {
//!         println!("lap {} of thread {}", segment.lap, segment.serial);
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Ids in what is read here are those of the symbols file; [`SymbolFile`] says
//! what they mean.

pub mod figures;
mod over;
mod process;
mod ring;
mod stack;
mod symbols;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rtrace_format::session::{self, SessionHeader};
use rtrace_format::{Clock, Meta};

pub use over::{Over, Stage};
pub use process::{End, Process};
pub(crate) use process::{judge as judge_process, read as read_process};
pub use ring::{Copied, Ring, Slot, Taken};
pub use stack::StackNow;
pub(crate) use stack::arrange;
pub use symbols::SymbolFile;

use crate::create;
use crate::dirs;
use crate::error::{Error, Result};
use crate::liveness::{Here, Liveness};
use crate::read;

/// The most metadata that is read: the format's own limit on a structured value.
pub(crate) const META_MAX: usize = 1 << 24;

/// A session as seen from outside.
#[derive(Debug)]
pub struct SessionReader {
    dir: PathBuf,
    here: Here,
    header: SessionHeader,
    processes: BTreeMap<u32, Process>,
    threads: BTreeMap<u64, Thread>,
    problems: Vec<Error>,
}

/// A thread of a session, as its ring file describes it.
#[derive(Debug, Clone)]
pub struct Thread {
    path: PathBuf,
    /// The ring's header, as of the last refresh.
    pub header: rtrace_format::ring::RingHeader,
}

impl Thread {
    /// Opens the ring; it is gone if the recorder has used its room for another thread.
    ///
    /// # Errors
    ///
    /// The file cannot be opened or is no ring.
    pub fn open(&self) -> Result<Ring> {
        Ring::open(&self.path)
    }
}

impl SessionReader {
    /// Opens the session in `dir` and reads what is there now.
    ///
    /// # Errors
    ///
    /// There is no session file, or it cannot be read. A process or a ring that
    /// cannot be read is a [problem](SessionReader::problems) instead.
    pub fn open(dir: &Path) -> Result<SessionReader> {
        let header = read_session(dir)?;
        let mut reader = SessionReader {
            // The last component is the session's name, also where `.` was asked for.
            dir: std::fs::canonicalize(dir).map_err(|e| Error::io(dir, "open", e))?,
            here: Here::now(),
            header,
            processes: BTreeMap::new(),
            threads: BTreeMap::new(),
            problems: Vec::new(),
        };
        reader.refresh()?;
        Ok(reader)
    }

    /// Reads again: the counters, new processes and threads, who still lives.
    ///
    /// # Errors
    ///
    /// The session file is gone: the session was finished and removed.
    pub fn refresh(&mut self) -> Result<()> {
        self.header = read_session(&self.dir)?;
        self.problems.clear();
        let entries = std::fs::read_dir(&self.dir).map_err(|e| Error::io(&self.dir, "list", e))?;
        let (mut processes, mut threads) = (BTreeMap::new(), BTreeMap::new());
        for entry in entries.flatten() {
            let name = entry.file_name();
            if let Some(number) = file_number(&name, b"process-") {
                let read = self.read_process(number);
                self.keep(read, u32::try_from(number).ok(), &mut processes);
            } else if let Some(serial) = file_number(&name, b"ring-") {
                let read = read_thread(&self.dir, serial, &self.header.uuid);
                self.keep(read, Some(serial), &mut threads);
            }
        }
        process::judge_all(&self.here, &self.header.meta, self.name(), &mut processes);
        self.processes = processes;
        self.threads = threads;
        Ok(())
    }

    /// Puts what could be read into its map; what could not be is a problem,
    /// except where the file is merely not there (yet, or any more).
    fn keep<K: Ord, V>(
        &mut self,
        read: Result<Option<V>>,
        key: Option<K>,
        map: &mut BTreeMap<K, V>,
    ) {
        match (read, key) {
            (Ok(Some(value)), Some(key)) => {
                map.insert(key, value);
            }
            (Err(error), _) if !error.is_not_found() => self.problems.push(error),
            _ => {}
        }
    }

    fn read_process(&self, number: u64) -> Result<Option<Process>> {
        let Ok(number) = u32::try_from(number) else { return Ok(None) };
        process::read(&create::process_path(&self.dir, number), number)
    }

    /// The session's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The last component of the directory's path.
    pub(crate) fn name(&self) -> &[u8] {
        self.dir.file_name().map_or(&[], OsStrExt::as_bytes)
    }

    /// The control page, as of the last refresh.
    pub fn header(&self) -> &SessionHeader {
        &self.header
    }

    /// What is said of the session as a whole.
    pub fn meta(&self) -> &Meta {
        &self.header.meta
    }

    /// The session's clock.
    ///
    /// # Errors
    ///
    /// The metadata describes none.
    pub fn clock(&self) -> Result<Clock> {
        Clock::from_meta(&self.header.meta)
            .map_err(|e| Error::format(&create::session_path(&self.dir), e))
    }

    /// Whether the session is in `full` mode, in which a collector drains the rings.
    pub fn is_full(&self) -> bool {
        self.header.meta.get_text("mode") == Some(b"full")
    }

    /// The processes, by number.
    pub fn processes(&self) -> impl Iterator<Item = &Process> {
        self.processes.values()
    }

    /// The process with this number.
    pub fn process(&self, number: u32) -> Option<&Process> {
        self.processes.get(&number)
    }

    /// What the process with this number left out of its records, by function.
    ///
    /// # Errors
    ///
    /// Its figures file is there and cannot be read.
    pub fn figures(&self, number: u32) -> Result<Vec<rtrace_format::figures::Figures>> {
        figures::read(&self.dir, number, &self.header.uuid)
    }

    /// The threads whose rings are there, by serial.
    pub fn threads(&self) -> impl Iterator<Item = &Thread> {
        self.threads.values()
    }

    /// The thread with this serial.
    pub fn thread(&self, serial: u64) -> Option<&Thread> {
        self.threads.get(&serial)
    }

    /// The symbols file, to look ids up.
    ///
    /// # Errors
    ///
    /// It cannot be opened, or belongs to another session.
    pub fn symbols(&self) -> Result<SymbolFile> {
        SymbolFile::open(&create::symbols_path(&self.dir), &self.header.uuid)
    }

    /// Whether anybody still records: live if one process is, else unknown if
    /// one cannot be judged, else dead.
    pub fn liveness(&self) -> Liveness {
        let any = |end| self.processes.values().any(|process| process.end == end);
        if any(End::Running) {
            Liveness::Live
        } else if any(End::Unknown) {
            Liveness::Unknown
        } else {
            Liveness::Dead
        }
    }

    /// What could not be read at the last refresh.
    pub fn problems(&self) -> &[Error] {
        &self.problems
    }
}

fn file_number(name: &OsStr, prefix: &[u8]) -> Option<u64> {
    dirs::numbered(name.as_bytes(), prefix)
}

fn read_session(dir: &Path) -> Result<SessionHeader> {
    let path = create::session_path(dir);
    let bytes = read::whole(&path, session::HEADER_LEN + META_MAX)?;
    SessionHeader::parse(&bytes).map_err(|e| Error::format(&path, e))
}

/// None for a ring that is still being made, or belongs to another session.
fn read_thread(dir: &Path, serial: u64, uuid: &[u8; 16]) -> Result<Option<Thread>> {
    let path = create::ring_path(dir, serial);
    match Ring::open(&path) {
        Ok(ring) => {
            let header = ring.header().clone();
            let ours = header.uuid == *uuid && header.serial == serial;
            Ok(ours.then_some(Thread { path, header }))
        }
        Err(_) if read::is_unwritten(&path) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
