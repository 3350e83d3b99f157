//! What stands at a path that a new trace was asked to go to.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rtrace_format::bytes::u32_at;
use rtrace_format::file::{FileHeader, HEADER_LEN};
use rtrace_format::index::Index;
use rtrace_format::{ErrorKind, Meta, chunk};

use crate::error::Result;
use crate::live::{META_MAX, SessionReader};
use crate::liveness::Liveness;
use crate::pack::SNAPSHOT_KEY;
use crate::walk::{Found, Walk, payload};
use crate::{dirs, read};

/// What stands at the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Nothing was ever written to it.
    Empty,
    /// Not an rtrace file.
    NotOurs,
    /// Its session records, or cannot be judged from here.
    Busy,
    /// A finished trace of which every process ended clean.
    Clean,
    /// A whole copy that stands for itself, of a session that had not ended clean.
    Copy {
        /// The session's uuid.
        uuid: [u8; 16],
        /// When the trace was begun, ns since the epoch.
        created_ns: u64,
    },
    /// Any other trace of ours: killed, not packed, damaged, of a newer version.
    Unfinished {
        /// When it was made, ns since the epoch; 0 where that cannot be read.
        created_ns: u64,
        /// The process that began it; 0 where that cannot be read.
        pid: u32,
    },
}

/// Judges the file at `path`, open as `file`; looks at its session too.
///
/// # Errors
///
/// It cannot be read. A damaged trace is no error but [`Existing::Unfinished`].
pub fn judge(file: &File, path: &Path) -> Result<Existing> {
    let mut bytes = [0; HEADER_LEN];
    let got = read::read_at(file, path, &mut bytes, 0)?;
    if got == 0 {
        return Ok(Existing::Empty);
    }
    let header = match FileHeader::parse(&bytes[..got]) {
        Ok(header) => header,
        Err(error) if matches!(error.kind(), ErrorKind::BadMagic(_)) => {
            return Ok(Existing::NotOurs);
        }
        // A beginning of the magic alone is too little to call it ours.
        Err(_) if got < 8 => return Ok(Existing::NotOurs),
        Err(_) => return Ok(Existing::Unfinished { created_ns: 0, pid: 0 }),
    };
    let ends = Ends::read(file, path)?;
    let dir = ends.session.get_text("session_dir").map(OsStr::from_bytes).map(Path::new);
    // A session that is gone cannot record; neither can one that only looks like it.
    let session = dir.and_then(|dir| SessionReader::open(dir).ok());
    let session = session.filter(|session| session.header().uuid == header.uuid);
    if session.is_some_and(|session| session.liveness() != Liveness::Dead) {
        return Ok(Existing::Busy);
    }
    if ends.indexed && ends.is_final && ends.clean() {
        return Ok(Existing::Clean);
    }
    if ends.indexed && ends.session.get_bool(SNAPSHOT_KEY) == Some(true) {
        return Ok(Existing::Copy { uuid: header.uuid, created_ns: header.created_ns });
    }
    let name = dir.and_then(Path::file_name);
    let pid = name.and_then(dirs::pid_of_session_name).unwrap_or(0);
    Ok(Existing::Unfinished { created_ns: header.created_ns, pid })
}

/// What a trace says of its own end.
struct Ends {
    session: Meta,
    /// How each process ended, by number.
    processes: BTreeMap<u32, bool>,
    /// An index is the last chunk, and nothing but the trailer follows it.
    indexed: bool,
    /// What that index says.
    is_final: bool,
}

impl Ends {
    fn read(file: &File, path: &Path) -> Result<Ends> {
        let mut ends = Ends {
            session: Meta::default(),
            processes: BTreeMap::new(),
            indexed: false,
            is_final: false,
        };
        let mut walk = Walk::new(file, path)?;
        while let Some(found) = walk.next()? {
            let Found::Chunk { offset, header } = found else {
                ends.indexed = false;
                continue;
            };
            ends.indexed = false;
            let wanted = [chunk::tag::SESSION, chunk::tag::PROCESS, chunk::tag::INDEX];
            if !wanted.contains(&header.tag) {
                continue;
            }
            let Ok(payload) = payload(file, path, offset, &header, META_MAX * 8) else { continue };
            if header.tag == chunk::tag::SESSION {
                ends.session = Meta::decode(&payload).unwrap_or_default();
            } else if header.tag == chunk::tag::INDEX {
                if let Ok(index) = Index::parse(&payload) {
                    ends.indexed = true;
                    ends.is_final = index.is_final;
                }
            } else if let Some(number) = u32_at(&payload, 0) {
                let meta = payload.get(8..).and_then(|meta| Meta::decode(meta).ok());
                let end = meta.as_ref().and_then(|meta| meta.get_text("end"));
                ends.processes.insert(number, end == Some(b"clean"));
            }
        }
        // A torn end means that somebody was still writing.
        let rest = read::len(file, path)?.saturating_sub(walk.end());
        ends.indexed &= rest == rtrace_format::index::TRAILER_LEN as u64;
        Ok(ends)
    }

    fn clean(&self) -> bool {
        !self.processes.is_empty() && self.processes.values().all(|&clean| clean)
    }
}
