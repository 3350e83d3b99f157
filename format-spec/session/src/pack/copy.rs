//! A finished trace of its own, next to a session that goes on.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rtrace_format::file::FileHeader;
use rtrace_format::{Meta, Segment, Value, chunk};

use crate::error::{Error, Result};
use crate::live::SessionReader;
use crate::liveness::Liveness;
use crate::pack::packer::Packer;
use crate::pack::ring::{Unread, announce, gap_cause};
use crate::pack::target::{self, identify};
use crate::pack::{Packed, Source, Which, pack_threads};
use crate::walk::{Found, Walk};
use crate::{host, output, read};

/// Makes a finished trace of its own at `output` and leaves the source alone.
///
/// What stands at `output` is treated as [`output::reserve`] says. The file
/// appears when it is whole. `reason` makes it a snapshot.
///
/// # Errors
///
/// The source cannot be read, the output not be written.
pub fn copy(source: &Source, output: &Path, reason: Option<&str>) -> Result<Packed> {
    let session = source.session.as_deref().map(SessionReader::open).transpose()?;
    let uuid = match (&session, &source.trace) {
        (Some(session), _) => session.header().uuid,
        (None, Some(trace)) => identify(trace)?.0,
        (None, None) => [0; 16],
    };
    let place = output::reserve_for_copy(output, std::process::id(), &uuid)?;
    let (part, file) = place.part()?;
    let done = copy_into(source, session, file, &part, reason);
    match done {
        Ok(mut packed) => {
            packed.path = place.put(&part)?;
            Ok(packed)
        }
        Err(error) => {
            let _ = std::fs::remove_file(&part);
            Err(error)
        }
    }
}

fn copy_into(
    source: &Source,
    mut session: Option<SessionReader>,
    file: File,
    part: &Path,
    reason: Option<&str>,
) -> Result<Packed> {
    // A collector may be draining: what it takes from the rings while this runs
    // is in the trace by the time that is copied, if the rings are read first.
    let full = session.iter().filter(|session| session.is_full());
    let known: Vec<_> = full.flat_map(SessionReader::threads).cloned().collect();
    let early = match &session {
        Some(session) if session.is_full() => read_undrained(session)?,
        _ => Vec::new(),
    };
    copy_chunks(source, session.as_ref(), &file, part, reason)?;
    let symbols = session.as_ref().and_then(|session| session.symbols().ok());
    let mut packer = Packer::resume(file, part, symbols)?;
    let mut unread = Unread::default();
    let mut is_final = true;
    for mut segment in early {
        packer.add(&mut segment, gap_cause(true, false))?;
    }
    if let Some(session) = &mut session {
        // A session that was finished and removed meanwhile is all in the trace.
        if session.refresh().is_ok() {
            for thread in known {
                let serial = thread.header.serial;
                // Taken over and removed by the collector behind what was copied.
                if session.thread(serial).is_none() && !packer.describes(serial) {
                    announce(&mut packer, &thread.header)?;
                }
            }
            unread = pack_threads(&mut packer, session, Which::All)?;
        }
        is_final = session.liveness() == Liveness::Dead;
    }
    packer.finish(is_final)?;
    Ok(Packed { is_final, damaged: unread.damaged, torn: unread.torn, ..Packed::default() })
}

/// Every segment that the collector has not drained yet, by thread and lap.
fn read_undrained(session: &SessionReader) -> Result<Vec<Segment>> {
    let mut segments = Vec::new();
    for thread in session.threads() {
        match thread.open().and_then(|ring| ring.copy_after(ring.header().drained)) {
            Ok(copied) => segments.extend(copied.segments.into_iter().filter(|s| s.sealed)),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(segments)
}

/// The beginning of a copy: a header, the `SESS` chunk marked as a copy's, and
/// every other chunk of the source as it is, except indexes.
fn copy_chunks(
    source: &Source,
    session: Option<&SessionReader>,
    file: &File,
    part: &Path,
    reason: Option<&str>,
) -> Result<()> {
    let from = source.trace.as_deref().map(|path| Ok((read::open(path)?, path))).transpose()?;
    let (header, meta) = match (&from, session) {
        (Some((file, path)), _) => {
            let mut bytes = [0; rtrace_format::file::HEADER_LEN];
            let got = read::read_at(file, path, &mut bytes, 0)?;
            let header = FileHeader::parse(&bytes[..got]).map_err(|e| Error::format(path, e))?;
            (header, identify(path)?.1)
        }
        (None, Some(session)) => {
            let meta = session.meta().clone();
            let started = meta.get_u64("started_at_ns").unwrap_or_else(host::unix_ns);
            (FileHeader::new(session.header().uuid, started), meta)
        }
        (None, None) => {
            return Err(Error::refused(part, "there is neither a trace nor a session to pack"));
        }
    };
    let meta = copied_meta(&meta, reason);
    let beginning = output::beginning(&header.uuid, header.created_ns, &meta);
    let write = |bytes: &[u8], at: u64| {
        file.write_all_at(bytes, at).map_err(|e| Error::io(part, "write", e))
    };
    write(&beginning, 0)?;
    let Some((from, path)) = from else { return Ok(()) };
    let mut at = beginning.len() as u64;
    let mut walk = Walk::new(&from, path)?;
    let mut buf = Vec::new();
    while let Some(found) = walk.next()? {
        let Found::Chunk { offset, header } = found else { continue };
        if [chunk::tag::SESSION, chunk::tag::INDEX].contains(&header.tag) {
            continue;
        }
        let mut left = header.file_len();
        while left > 0 {
            buf.resize(left.min(1 << 20) as usize, 0);
            let got = read::read_at(&from, path, &mut buf, offset + header.file_len() - left)?;
            if got == 0 {
                break;
            }
            write(&buf[..got], at)?;
            at += got as u64;
            left -= got as u64;
        }
    }
    Ok(())
}

/// The metadata without the ways to the session, and marked.
fn copied_meta(meta: &Meta, reason: Option<&str>) -> Meta {
    let mut copied = Meta::default();
    for (key, value) in meta.entries() {
        if !["session_dir", "output"].contains(&key) {
            copied.set(key, value.clone());
        }
    }
    copied.set(target::SNAPSHOT_KEY, Value::Bool(true));
    if let Some(reason) = reason {
        copied.set("reason", Value::text(reason));
    }
    copied
}
