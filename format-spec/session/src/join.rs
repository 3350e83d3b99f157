//! Taking part in a session that another process began.
//!
//! A Python process that is started by a recorded one (not forked) finds the
//! session by an environment variable, usually while its parent runs. It may
//! also come when the last process has just ended and the session is being
//! finished: then the two must agree on who was first. Whoever finishes says so
//! in the session file ([`set_closing`]) and looks for processes once more; whoever
//! joins makes its process file and then looks whether somebody finishes
//! ([`may_stay`](Joinable::may_stay)). So at least one of them sees the other.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rtrace_format::bytes::{u32_at, u64_at};
use rtrace_format::process::{self, field};
use rtrace_format::session::{self, SessionHeader};

use crate::create::{open_rw, process_path, session_path};
use crate::error::{Error, Result};
use crate::{dirs, host, read};

/// How long a joining process waits for one that is about to finish the session.
const PATIENCE: Duration = Duration::from_millis(200);

/// How many ancestors are looked through for one that records: a shell or two stand
/// between Python programs, rarely more.
const ANCESTORS_MAX: usize = 16;

/// A session that this process may join.
#[derive(Debug)]
pub struct Joinable {
    /// The session file, to map.
    pub file: File,
    /// What it says.
    pub header: SessionHeader,
    dir: PathBuf,
}

/// Opens the session in `dir` for a process that wants to record into it.
///
/// # Errors
///
/// It is gone or about to be, of another user, boot or pid namespace, or cannot be read.
pub fn open(dir: &Path) -> Result<Joinable> {
    let path = session_path(dir);
    let file = open_rw(&path)?;
    let bytes = read::whole(&path, session::HEADER_LEN + crate::live::META_MAX)?;
    let header = SessionHeader::parse(&bytes).map_err(|e| Error::format(&path, e))?;
    let is = |key: &str, value: u64| header.meta.get_u64(key) == Some(value);
    let boot = host::boot_id();
    let same_boot = header.meta.get_text("boot_id") == Some(boot.as_bytes());
    if !same_boot || !is("pid_namespace", host::pid_namespace()) || !is("uid", host::uid().into()) {
        return Err(Error::refused(&path, "belongs to another user, boot or pid namespace"));
    }
    Ok(Joinable { file, header, dir: dir.to_owned() })
}

/// How a process that joins is related to those that record already.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Relatives {
    /// The nearest ancestor that records.
    pub parent: Option<u32>,
    /// What this very process recorded as before it became another program by `exec`.
    pub before_exec: Vec<u32>,
}

impl Joinable {
    /// Finds the relatives of the process `pid` among those of the session.
    pub fn relatives(&self, pid: u32) -> Relatives {
        let all = self.identities();
        let of = |pid: u32| {
            let start = host::start_time(pid);
            all.iter().filter(move |known| known.pid == pid && Some(known.start_time) == start)
        };
        let before: Vec<&Identity> = of(pid).collect();
        let mut ancestor = host::parent_of(pid);
        let mut parent = None;
        for _ in 0..ANCESTORS_MAX {
            let Some(pid) = ancestor.filter(|&pid| pid > 1) else { break };
            parent = of(pid).map(|known| known.number).max();
            if parent.is_some() {
                break;
            }
            ancestor = host::parent_of(pid);
        }
        // A program that replaced another has the other's parent, who may be gone.
        let last = before.iter().max_by_key(|known| known.number);
        let parent = parent.or_else(|| last.and_then(|known| known.parent));
        let open = before.into_iter().filter(|known| known.state != process::ENDED);
        Relatives { parent, before_exec: open.map(|known| known.number).collect() }
    }

    /// What the session's first process measured that an event costs: one of Python code and
    /// one of a C call, in picoseconds.
    pub fn prices(&self) -> Option<(u64, u64)> {
        let bytes = read::whole(&process_path(&self.dir, 0), process::HEADER_LEN).ok()?;
        let price = |at| u64_at(&bytes, at);
        Some((price(field::EVENT_COST)?, price(field::C_EVENT_COST)?))
    }

    fn identities(&self) -> Vec<Identity> {
        let entries = std::fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let numbers = entries.filter_map(|entry| {
            let name = entry.file_name();
            let name = std::os::unix::ffi::OsStrExt::as_bytes(name.as_os_str());
            dirs::numbered(name, b"process-").and_then(|number| u32::try_from(number).ok())
        });
        numbers.filter_map(|number| Identity::read(&process_path(&self.dir, number))).collect()
    }

    /// Says that the processes `numbers` have become this one by `exec`.
    pub fn replace(&self, numbers: &[u32]) {
        for &number in numbers {
            let path = process_path(&self.dir, number);
            let state = process::REPLACED.to_le_bytes();
            // One that cannot be written is judged by its mappings, as any other.
            let _ = open_rw(&path).map(|file| file.write_all_at(&state, field::STATE as u64));
        }
    }

    /// Whether this process, whose file is made, is one of the session's: false
    /// where the session was finished without it.
    pub fn may_stay(&self) -> bool {
        let end = Instant::now() + PATIENCE;
        loop {
            let gone = self.file.metadata().map_or(true, |meta| meta.nlink() == 0);
            if gone {
                return false;
            }
            if !is_closing(&self.file) {
                return true;
            }
            if Instant::now() >= end {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Says in the session file whether somebody is about to finish the session.
///
/// # Errors
///
/// The file cannot be written.
pub fn set_closing(file: &File, path: &Path, closing: bool) -> Result<()> {
    file.write_all_at(&u64::from(closing).to_le_bytes(), session::field::CLOSING as u64)
        .map_err(|e| Error::io(path, "write", e))
}

fn is_closing(file: &File) -> bool {
    let mut bytes = [0; 8];
    let read = file.read_exact_at(&mut bytes, session::field::CLOSING as u64);
    read.is_err() || bytes != [0; 8]
}

/// What the head of a process file says of who it is.
struct Identity {
    number: u32,
    pid: u32,
    parent: Option<u32>,
    start_time: u64,
    state: u64,
}

impl Identity {
    fn read(path: &Path) -> Option<Identity> {
        let file = read::open(path).ok()?;
        let mut head = [0; field::END_TICK];
        let got = read::read_at(&file, path, &mut head, 0).ok()?;
        if got < head.len() || head[..8] != process::MAGIC {
            return None;
        }
        Some(Identity {
            number: u32_at(&head, field::NUMBER)?,
            pid: u32_at(&head, field::PID)?,
            parent: u32_at(&head, field::PARENT)?.checked_sub(1),
            start_time: u64_at(&head, field::START_TIME)?,
            state: u64_at(&head, field::STATE)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::World;

    #[test]
    fn relatives_are_found_by_pid_and_start() {
        let session = World::new("flight");
        session.process(0, std::process::id(), 1, process::RECORDING);
        let own_start = host::start_time(std::process::id()).unwrap();
        session.process(1, std::process::id(), own_start, process::RECORDING);
        let parent = host::parent_of(std::process::id()).unwrap();
        session.process(2, parent, host::start_time(parent).unwrap(), process::RECORDING);
        let joinable = open(&session.dir).unwrap();
        let found = joinable.relatives(std::process::id());
        assert_eq!(found, Relatives { parent: Some(2), before_exec: vec![1] });
        joinable.replace(&found.before_exec);
        let found = crate::SessionReader::open(&session.dir).unwrap();
        assert_eq!(found.process(1).unwrap().end, crate::live::End::Killed);
    }

    #[test]
    fn whoever_comes_while_the_session_is_closed_does_not_stay() {
        let session = World::new("flight");
        let joinable = open(&session.dir).unwrap();
        assert!(joinable.may_stay());
        let path = session_path(&session.dir);
        set_closing(&joinable.file, &path, true).unwrap();
        assert!(!joinable.may_stay());
        set_closing(&joinable.file, &path, false).unwrap();
        assert!(joinable.may_stay());
        std::fs::remove_file(&path).unwrap();
        assert!(!joinable.may_stay());
    }
}
