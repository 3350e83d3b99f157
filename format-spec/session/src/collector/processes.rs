//! The processes that the collector waits for.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rtrace_format::Meta;
use rtrace_format::bytes::u64_at;
use rtrace_format::process::{self, field};

use crate::create::{open_rw, process_path};
use crate::error::{Error, Result};
use crate::live::{End, Process, SessionReader, judge_process, read_process};
use crate::liveness::{Here, Liveness};
use crate::pack::describe_process;
use crate::pack::packer::Packer;
use crate::{dirs, read};

/// How often a process is asked for without looking at its mappings, and with.
const GLANCE_EVERY: Duration = Duration::from_millis(100);
const JUDGE_EVERY: Duration = Duration::from_secs(1);

/// How long a process that became another program by `exec` has to join the session again:
/// far longer than an interpreter takes to start.
const EXEC_MAX: Duration = Duration::from_secs(5);

/// A process and what has been done about it.
struct Watched {
    process: Process,
    /// Its end is in the trace.
    closed: bool,
    /// Since when it runs and maps nothing of the session: it became another program.
    left: Option<Instant>,
}

/// Every process of the session.
pub(super) struct Processes {
    dir: PathBuf,
    meta: Meta,
    name: Vec<u8>,
    here: Here,
    all: BTreeMap<u32, Watched>,
    glanced: Option<Instant>,
    judged: Option<Instant>,
}

impl Processes {
    pub(super) fn new(session: &SessionReader) -> Processes {
        Processes {
            dir: session.dir().to_owned(),
            meta: session.meta().clone(),
            name: session.name().to_vec(),
            here: Here::now(),
            all: BTreeMap::new(),
            glanced: None,
            judged: None,
        }
    }

    /// Takes up a process, if it is new and its file complete; says in the trace who it is, so
    /// that a trace which is cut off tells it too.
    pub(super) fn open(&mut self, number: u64, packer: &mut Packer) -> Result<bool> {
        let Ok(number) = u32::try_from(number) else { return Ok(false) };
        if self.all.contains_key(&number) {
            return Ok(false);
        }
        let Ok(Some(process)) = read_process(&process_path(&self.dir, number), number) else {
            return Ok(false);
        };
        let watched = watched(process);
        describe_process(packer, &self.dir, &watched.process)?;
        self.all.insert(number, watched);
        Ok(true)
    }

    /// Whether no process is left to wait for.
    pub(super) fn all_closed(&self) -> bool {
        !self.all.is_empty() && self.all.values().all(|watched| watched.closed)
    }

    /// Looks who has ended and is not closed yet.
    pub(super) fn refresh(&mut self) -> Vec<u32> {
        let mut glance = due(&mut self.glanced, GLANCE_EVERY);
        let mut judge = due(&mut self.judged, JUDGE_EVERY);
        let mut ended = Vec::new();
        let numbers: Vec<u32> = self.all.keys().copied().collect();
        for number in numbers {
            let end = self.end_of(number, glance || judge, judge);
            if let Some(watched) = self.all.get_mut(&number) {
                watched.process.end = end;
                if end.is_over() && !watched.closed {
                    ended.push(number);
                    // Whoever started the program may look at the trace now: what has
                    // ended before it is to be in it.
                    (glance, judge) = (glance || number == 0, judge || number == 0);
                }
            }
        }
        ended
    }

    /// How a process stands now.
    fn end_of(&mut self, number: u32, ask: bool, mappings: bool) -> End {
        let path = process_path(&self.dir, number);
        let Some(Watched { process, left, .. }) = self.all.get_mut(&number) else {
            return End::Unknown;
        };
        if process.end.is_over() {
            return process.end;
        }
        // Ask first, read then: an end mark that was written before death is seen.
        let liveness = if process.header.pid == 0 || !ask {
            Liveness::Live
        } else {
            judge_process(&self.here, &self.meta, &self.name, &process.header, mappings)
        };
        if (process.header.pid == 0 || state(&path) != Some(process::RECORDING))
            && let Ok(Some(read)) = read_process(&path, number)
        {
            process.header = read.header;
            process.is_new = read.is_new;
        }
        if process.header.state == process::ENDED {
            return End::Clean;
        }
        if process.header.state == process::REPLACED {
            return End::Killed;
        }
        if process.header.pid == 0 {
            // The fork is under way for as long as the parent lives; a child
            // that outlives it says so as soon as it runs.
            let (is_new, parent) = (process.is_new, process.header.parent);
            let parent = parent.and_then(|parent| self.all.get(&parent));
            let waits = is_new || parent.is_some_and(|parent| !parent.process.end.is_over());
            return if waits { End::Running } else { End::Killed };
        }
        // What cannot be judged here is waited for: nobody else finishes the trace.
        if liveness != Liveness::Dead {
            return End::Running;
        }
        let runs = judge_process(&self.here, &self.meta, &self.name, &process.header, false);
        let waits = mappings && runs == Liveness::Live;
        let left = *left.get_or_insert_with(Instant::now);
        if waits && left.elapsed() < EXEC_MAX { End::Running } else { End::Killed }
    }

    /// Writes the process's end to the trace and says in its file that all of it is there.
    pub(super) fn close(&mut self, number: u32, packer: &mut Packer) -> Result<()> {
        let Some(watched) = self.all.get_mut(&number) else { return Ok(()) };
        let process = &mut watched.process;
        let path = process_path(&self.dir, number);
        // The child filled in its own metadata after the parent had made the file.
        if let Ok(Some(read)) = read_process(&path, number) {
            process.header = read.header;
        }
        describe_process(packer, &self.dir, process)?;
        if number == 0 {
            // Whoever started the program looks at the trace now.
            packer.index(false)?;
        }
        let file = open_rw(&path)?;
        file.write_all_at(&1u64.to_le_bytes(), field::PACKED as u64)
            .map_err(|e| Error::io(&path, "write", e))?;
        watched.closed = true;
        Ok(())
    }
}

/// Every process is waited for until this collector has seen its end itself.
fn watched(process: Process) -> Watched {
    Watched { process: Process { end: End::Running, ..process }, closed: false, left: None }
}

fn due(last: &mut Option<Instant>, every: Duration) -> bool {
    let due = last.is_none_or(|last| last.elapsed() >= every);
    if due {
        *last = Some(Instant::now());
    }
    due
}

fn field_of(path: &Path, at: usize) -> Option<u64> {
    let file = read::open(path).ok()?;
    let mut bytes = [0; 8];
    read::read_at(&file, path, &mut bytes, at as u64).ok()?;
    u64_at(&bytes, 0)
}

fn state(path: &Path) -> Option<u64> {
    field_of(path, field::STATE)
}

/// Whether the collector has said that everything of a process is in the trace.
pub(super) fn is_packed(path: &Path) -> bool {
    field_of(path, field::PACKED) == Some(1)
}

/// Whether that is so for every process of the session in `dir`.
pub(super) fn are_all_packed(dir: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(dir) else { return true };
    let mut processes = entries
        .flatten()
        .filter(|entry| dirs::numbered(entry.file_name().as_bytes(), b"process-").is_some());
    processes.all(|entry| is_packed(&entry.path()))
}
