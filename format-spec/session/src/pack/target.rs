//! Finding the `trace.bin` of a session and the session of a `trace.bin`.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rtrace_format::file::{FileHeader, HEADER_LEN};
use rtrace_format::{Meta, chunk};

use crate::create::open_rw;
use crate::error::{Error, Result};
use crate::live::{META_MAX, SessionReader};
use crate::output::is_same;
use crate::walk::{Found, Walk, payload};
use crate::{dirs, lock, read};

/// Beside a trace, only so many other files are looked at.
const BESIDE_MAX: usize = 4096;

/// The uuid of a trace, and the metadata of its `SESS` chunk.
///
/// # Errors
///
/// It cannot be read, or is no trace.
pub fn identify(path: &Path) -> Result<([u8; 16], Meta)> {
    let file = read::open(path)?;
    identify_open(&file, path)
}

fn identify_open(file: &File, path: &Path) -> Result<([u8; 16], Meta)> {
    let mut bytes = [0; HEADER_LEN];
    let got = read::read_at(file, path, &mut bytes, 0)?;
    let header = FileHeader::parse(&bytes[..got]).map_err(|e| Error::format(path, e))?;
    let mut walk = Walk::new(file, path)?;
    let mut session = Meta::default();
    // It is the first chunk; looking further would cost a walk over the whole file.
    if let Some(Found::Chunk { offset, header }) = walk.next()?
        && header.tag == chunk::tag::SESSION
        && let Ok(payload) = payload(file, path, offset, &header, META_MAX)
    {
        session = Meta::decode(&payload).unwrap_or_default();
    }
    Ok((header.uuid, session))
}

/// The session directory behind a trace: the one that its metadata names, one
/// beside the trace, or one below `hint` (a session's directory itself, a base
/// given as `--ring-dir`). None where it is gone, or the trace is self-contained.
///
/// # Errors
///
/// The trace cannot be read.
pub fn session_of(trace: &Path, hint: Option<&Path>) -> Result<Option<PathBuf>> {
    let (uuid, meta) = identify(trace)?;
    Ok(session_with(&uuid, &meta, trace, hint))
}

pub(crate) fn session_with(
    uuid: &[u8; 16],
    meta: &Meta,
    trace: &Path,
    hint: Option<&Path>,
) -> Option<PathBuf> {
    if meta.get_bool(SNAPSHOT_KEY) == Some(true) {
        return None;
    }
    let is_it =
        |dir: &Path| SessionReader::open(dir).is_ok_and(|session| session.header().uuid == *uuid);
    let named = meta.get_text("session_dir").map(|dir| PathBuf::from(OsStr::from_bytes(dir)));
    let name = named.as_deref().and_then(Path::file_name).map(OsStr::to_owned);
    let parent = trace.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    let mut places: Vec<PathBuf> = Vec::new();
    places.extend(hint.map(Path::to_owned));
    places.extend(named);
    if let Some(name) = &name {
        places.push(parent.join(name));
        places.extend(hint.map(|hint| hint.join(name)));
    }
    if let Some(hint) = hint {
        places.extend(dirs::list(Some(hint)));
    }
    places.into_iter().find(|dir| is_it(dir))
}

/// Key of the `SESS` chunk of a copy: it is whole as it is, and no session is
/// to be laid over it.
pub(crate) const SNAPSHOT_KEY: &str = "snapshot";

/// The trace of a session: where its metadata says, or beside that under
/// another name, since an unfinished trace may have been renamed.
///
/// # Errors
///
/// There is none any more.
pub fn trace_of(session: &SessionReader) -> Result<PathBuf> {
    let output = session.meta().get_text("output").unwrap_or_default();
    let output = PathBuf::from(OsStr::from_bytes(output));
    let uuid = session.header().uuid;
    let is_it = |path: &Path| {
        identify(path)
            .is_ok_and(|(found, meta)| found == uuid && meta.get_bool(SNAPSHOT_KEY) != Some(true))
    };
    if is_it(&output) {
        return Ok(output);
    }
    let parent = output.parent().unwrap_or(Path::new("/"));
    let entries = std::fs::read_dir(parent).map_err(|e| Error::io(parent, "list", e))?;
    let beside = entries.flatten().take(BESIDE_MAX).map(|entry| entry.path());
    let mut beside: Vec<PathBuf> =
        beside.filter(|path| path.extension() == output.extension()).collect();
    beside.sort();
    beside.into_iter().find(|path| is_it(path)).ok_or_else(|| {
        Error::io(&output, "find the trace of the session", std::io::ErrorKind::NotFound)
    })
}

/// Opens a trace to append to it, and takes the writer's lock.
///
/// # Errors
///
/// Another process has the lock for longer than `patience`.
pub(crate) fn open_locked(path: &Path, patience: Duration) -> Result<File> {
    for _ in 0..10 {
        let file = open_rw(path)?;
        lock::exclusive_within(&file, path, patience)?;
        // Whoever had the lock may have put another file here.
        if is_same(&file, path) {
            return Ok(file);
        }
    }
    Err(Error::busy(path))
}
