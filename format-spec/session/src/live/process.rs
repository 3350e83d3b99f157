//! The processes of a session and how each one ended.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use rtrace_format::Meta;
use rtrace_format::process::{self, ProcessHeader};

use crate::error::{Error, Result};
use crate::live::META_MAX;
use crate::liveness::{self, Here, Liveness, Recorded};
use crate::read;

/// How a process stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    /// It still records.
    Running,
    /// It wrote an end mark: `stop`, or the interpreter's exit.
    Clean,
    /// It is gone without one.
    Killed,
    /// It cannot be judged from here.
    Unknown,
}

impl End {
    /// The value of `end` in `info`.
    pub fn name(self) -> &'static str {
        match self {
            End::Running => "running",
            End::Clean => "clean",
            End::Killed => "killed",
            End::Unknown => "unknown",
        }
    }

    /// Whether nothing more will come from it, for certain.
    pub fn is_over(self) -> bool {
        matches!(self, End::Clean | End::Killed)
    }
}

/// A process of a session.
#[derive(Debug, Clone)]
pub struct Process {
    /// What its file says.
    pub header: ProcessHeader,
    /// How it stands, as of the last refresh.
    pub end: End,
    /// Its file was made just now.
    pub(crate) is_new: bool,
}

/// A forked child that has not even begun to run says nothing for this long at most.
const FORK_MAX: Duration = Duration::from_secs(2);

/// Reads a process file; none while its parent is still making it.
pub(crate) fn read(path: &Path, number: u32) -> Result<Option<Process>> {
    let bytes = read::whole(path, process::HEADER_LEN + META_MAX)?;
    // A store through a mapping does not count as a change of the file here,
    // and would only make it newer.
    let made = std::fs::metadata(path).and_then(|meta| meta.modified()).ok();
    let is_new = made.is_some_and(|made| made.elapsed().is_ok_and(|age| age < FORK_MAX));
    if read::starts_unwritten(&bytes) {
        return Ok(None);
    }
    let header = ProcessHeader::parse(&bytes).map_err(|e| Error::format(path, e))?;
    Ok((header.number == number).then_some(Process { header, end: End::Unknown, is_new }))
}

/// Fills in `end`. A child whose fork is under way is as alive as its parent.
pub(crate) fn judge_all(
    here: &Here,
    session: &Meta,
    session_name: &[u8],
    processes: &mut BTreeMap<u32, Process>,
) {
    let mut ends: BTreeMap<u32, End> = BTreeMap::new();
    // A child's number is larger than its parent's, so the parent is judged first.
    for (&number, process) in processes.iter_mut() {
        let header = &process.header;
        process.end = if header.state == process::ENDED {
            End::Clean
        } else if header.state == process::REPLACED {
            End::Killed
        } else if header.pid == 0 {
            let parent = header.parent.and_then(|parent| ends.get(&parent));
            match parent {
                Some(End::Running) => End::Running,
                Some(End::Unknown) => End::Unknown,
                // It outlives its parent (a daemon), and says so as soon as it runs.
                _ if process.is_new => End::Unknown,
                _ => End::Killed,
            }
        } else {
            match judge(here, session, session_name, header, true) {
                Liveness::Live => End::Running,
                Liveness::Dead => End::Killed,
                Liveness::Unknown => End::Unknown,
            }
        };
        ends.insert(number, process.end);
    }
}

/// Judges the process of a file; `mappings` says whether to read those too.
pub(crate) fn judge(
    here: &Here,
    session: &Meta,
    session_name: &[u8],
    header: &ProcessHeader,
    mappings: bool,
) -> Liveness {
    let recorded = Recorded {
        boot_id: session.get_text("boot_id").unwrap_or_default(),
        pid_namespace: session.get_u64("pid_namespace").unwrap_or(0),
        pid: header.pid,
        start_time: header.start_time,
        session_name,
    };
    if mappings {
        liveness::judge(here, &recorded)
    } else {
        liveness::judge_without_mappings(here, &recorded)
    }
}
