//! A trace, open for questions.
//!
//! [`Trace::open`] reads metadata, symbols and the headers of event chunks; of a
//! session that is still running, or died, it copies the rings as well. Events are
//! decoded block by block when a query asks for them, and never all at once.

mod blocks;
mod complete;
mod describe;
mod error;
mod file;
mod losses;
mod nodes;
mod open;
mod overlay;
mod replay;
mod select;
mod symbols;

pub use blocks::{Decoded, Source};
pub use complete::{Inventory, loss};
pub use describe::place;
pub use error::OpenError;
pub use nodes::{Cover, Told};
pub use open::OpenOptions;
pub use replay::{Event, Piece, Visitor, Walk, replay, replay_alone, replay_blocks};
pub use select::Selection;
pub use symbols::{IdMap, Symbols};

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

pub use rtrace_format::{Change, Lane, Lanes};
use rtrace_format::{Clock, Meta};

use crate::mmap::MappedFile;
use crate::model::{Problem, Process, Thread};

/// An open trace. Everything in it is as of the moment of opening.
#[derive(Debug)]
pub struct Trace {
    /// What was opened.
    pub path: PathBuf,
    /// Major and minor version of the format.
    pub version: (u16, u16),
    /// The session's uuid.
    pub uuid: [u8; 16],
    /// What is said of the session as a whole.
    pub meta: Meta,
    /// What ticks mean.
    pub clock: Clock,
    /// When the trace began, in ns since the Unix epoch.
    pub started_at_ns: i64,
    /// Its processes, by number.
    pub processes: Vec<Process>,
    /// Its threads, by serial.
    pub threads: Vec<Thread>,
    /// What ids stand for.
    pub symbols: Symbols,
    /// Bytes that could not be read as what they should be.
    pub problems: Vec<Problem>,
    /// Where the file's end cuts off a chunk, if nothing tells what follows: it was
    /// truncated, or its session is gone. Also one of the `problems`.
    pub cut: Option<u64>,
    /// What a person should know of this opening, such as rings that are gone.
    pub notes: Vec<String>,
    /// Length of the file in bytes; of a session that of all its files.
    pub file_bytes: u64,
    /// How many chunks the file has.
    pub chunks: u64,
    /// How many segments were read from rings.
    pub segments: u64,
    /// The last tick at which anything is known to have happened.
    pub last_tick: u64,
    pub(crate) file: Option<MappedFile>,
    pub(crate) file_ids: IdMap,
    pub(crate) ring_ids: IdMap,
    /// Chunks of events whose checksum is wrong, once somebody asked.
    pub(crate) damaged: OnceLock<HashSet<u64>>,
}

impl Trace {
    /// Opens a `trace.bin`, finished or not, or the directory of a session.
    ///
    /// # Errors
    /// It is none of these, or nothing of it can be read.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Self::open_with(path, &OpenOptions::default())
    }

    /// The process of a thread.
    pub fn process_of(&self, thread: &Thread) -> &Process {
        // Opening gives every thread an index of `processes`.
        &self.processes[thread.process]
    }

    /// The tick up to which the frames that a thread left open are counted as open:
    /// its own end, else its process's clean end, else the last tick known of any of
    /// the process's threads (for a process that was killed or still runs).
    pub fn lane_end(&self, thread: &Thread) -> u64 {
        let process = self.process_of(thread);
        let end = thread.end_tick.or(process.end_tick).unwrap_or(process.last_tick);
        end.max(thread.last_tick().unwrap_or(0))
    }
}
