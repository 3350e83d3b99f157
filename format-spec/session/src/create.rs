//! Making the files of a session.
//!
//! Every file is created exclusively, mode 0600, never through a symbolic link,
//! and with all its blocks allocated, so that the recorder may map it without
//! the risk of SIGBUS. The magic is written last: a reader that finds a file
//! without it takes it as not there yet. The recorder makes the hot stores
//! through its own mapping; what is done here is rare.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rtrace_format::figures;
use rtrace_format::process::ProcessHeader;
use rtrace_format::ring::{self, Extent, RingHeader};
use rtrace_format::session::{self, SessionHeader};
use rtrace_format::symbol;
use rustix::fs::OFlags;

use crate::alloc::allocate;
use crate::error::{Error, Result};

/// How many segments a new ring has.
pub const FIRST_SEGMENTS: u32 = 2;

/// Parts of a ring file begin at multiples of this, as mappings do.
pub const PAGE: u64 = 4096;

/// Where the session file of `dir` is.
pub fn session_path(dir: &Path) -> PathBuf {
    dir.join("session")
}

/// Where the symbols file of `dir` is.
pub fn symbols_path(dir: &Path) -> PathBuf {
    dir.join("symbols")
}

/// Where the file of a process is.
pub fn process_path(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("process-{number}"))
}

/// Where the figures of a process are, if it has any.
pub fn figures_path(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("figures-{number}"))
}

/// Where the ring of a thread is.
pub fn ring_path(dir: &Path, serial: u64) -> PathBuf {
    dir.join(format!("ring-{serial}"))
}

/// Creates the session file: control page and metadata.
///
/// # Errors
///
/// It exists, or there is no room ([`Error::is_no_space`]).
pub fn session_file(dir: &Path, header: &SessionHeader) -> Result<File> {
    create_with(&session_path(dir), &header.encode(), PAGE)
}

/// Creates the symbols file with its header and the first page of entries.
///
/// The tail in the session file begins at [`symbol::HEADER_LEN`].
///
/// # Errors
///
/// As [`session_file`].
pub fn symbols_file(dir: &Path, uuid: &[u8; 16]) -> Result<File> {
    create_with(&symbols_path(dir), &symbol::encode_header(uuid), PAGE)
}

/// Creates the file of a process; before a fork with state
/// [`FORKING`](rtrace_format::process::FORKING) and pid 0.
///
/// # Errors
///
/// As [`session_file`].
pub fn process_file(dir: &Path, header: &ProcessHeader) -> Result<File> {
    create_with(&process_path(dir, header.number), &header.encode(), PAGE)
}

/// The bytes that [`process_file`] allocates.
pub fn process_len(header: &ProcessHeader) -> u64 {
    (header.encode().len() as u64).next_multiple_of(PAGE)
}

/// The bytes that [`figures_file`] allocates.
pub const FIGURES_LEN: u64 = 64 << 10;

/// Creates the figures file of a process, with an empty table.
///
/// # Errors
///
/// As [`session_file`].
pub fn figures_file(dir: &Path, uuid: &[u8; 16], number: u32) -> Result<File> {
    create_with(&figures_path(dir, number), &figures::encode_header(uuid, number), FIGURES_LEN)
}

/// Makes a figures file longer, from `offset` on by `bytes`, which are allocated and zero.
///
/// # Errors
///
/// It is gone; no room ([`Error::is_no_space`]).
pub fn grow_figures(path: &Path, offset: u64, bytes: u64) -> Result<File> {
    let file = open_rw(path)?;
    allocate(&file, path, offset, bytes)?;
    Ok(file)
}

/// Creates a ring with a shadow stack of [`ring::STACK_FRAMES`] frames and
/// [`FIRST_SEGMENTS`] segments. The extents of `header` are filled in here.
///
/// # Errors
///
/// As [`session_file`].
pub fn ring_file(dir: &Path, header: &mut RingHeader) -> Result<File> {
    let path = ring_path(dir, header.serial);
    let stack = Extent {
        offset: ring::HEADER_LEN as u64,
        kind: ring::STACK,
        count: ring::STACK_FRAMES as u32,
    };
    let offset = (stack.offset + stack.len(header.segment_len)).next_multiple_of(PAGE);
    let segments = Extent { offset, kind: ring::SEGMENTS, count: FIRST_SEGMENTS };
    let end = (offset + segments.len(header.segment_len)).next_multiple_of(PAGE);
    header.extents = vec![stack, segments];
    create_with(&path, &header.encode(), end)
}

/// The bytes that [`ring_file`] allocates for segments of `segment_len`.
pub fn first_ring_len(segment_len: u32) -> u64 {
    let stack = (ring::STACK_FRAMES * ring::STACK_FRAME_LEN) as u64;
    let before = (ring::HEADER_LEN as u64 + stack).next_multiple_of(PAGE);
    (before + u64::from(FIRST_SEGMENTS) * u64::from(segment_len)).next_multiple_of(PAGE)
}

/// Grows a ring by `count` segments or stack frames (`kind`: [`ring::SEGMENTS`]
/// or [`ring::STACK`]), and gives the new extent, which begins on a page.
///
/// The blocks are allocated first, then the entry is stored in the table, then
/// the count of extents in use, so that a reader never sees an extent that is
/// not there. A new shadow stack is empty: since the last one holds as soon as
/// it is in the table, a caller that has frames to carry over does so between
/// [`allocate_extent`] and [`publish_extent`].
///
/// # Errors
///
/// No room ([`Error::is_no_space`]); a full table; a header that cannot be read.
pub fn add_extent(file: &File, path: &Path, kind: u32, count: u32) -> Result<Extent> {
    let extent = allocate_extent(file, path, kind, count)?;
    publish_extent(file, path, extent)?;
    Ok(extent)
}

/// The first half of [`add_extent`]: the blocks, zeroed, at the end of the file.
///
/// # Errors
///
/// As [`add_extent`].
pub fn allocate_extent(file: &File, path: &Path, kind: u32, count: u32) -> Result<Extent> {
    let header = read_ring_header(file, path)?;
    if header.extents.len() >= ring::EXTENTS_MAX {
        return Err(Error::refused(path, "the ring's table of extents is full"));
    }
    let len = file.metadata().map_err(|e| Error::io(path, "look at", e))?.len();
    let extent = Extent { offset: len.next_multiple_of(PAGE), kind, count };
    let bytes = extent.len(header.segment_len).next_multiple_of(PAGE);
    allocate(file, path, extent.offset, bytes)?;
    Ok(extent)
}

/// The second half of [`add_extent`]: the entry, then the count in use.
///
/// # Errors
///
/// As [`add_extent`].
pub fn publish_extent(file: &File, path: &Path, extent: Extent) -> Result<()> {
    let used = read_ring_header(file, path)?.extents.len();
    if used >= ring::EXTENTS_MAX {
        return Err(Error::refused(path, "the ring's table of extents is full"));
    }
    let at = ring::field::EXTENTS + used * ring::EXTENT_LEN;
    write(file, path, &extent.encode(), at as u64)?;
    let count = (used as u64 + 1).to_le_bytes();
    write(file, path, &count, ring::field::EXTENTS_USED as u64)
}

/// Makes the symbols file hold at least `len` bytes, for real.
///
/// Processes of a session may call this at once: growth never shrinks a file.
///
/// # Errors
///
/// No room ([`Error::is_no_space`]).
pub fn grow_symbols(file: &File, path: &Path, len: u64) -> Result<()> {
    let now = file.metadata().map_err(|e| Error::io(path, "look at", e))?.len();
    if len <= now {
        return Ok(());
    }
    allocate(file, path, now, len - now)
}

/// Writes an encoded symbol at `offset`, which the tail in the session file
/// was moved over before. By `pwrite`: it cannot raise SIGBUS, whatever room
/// the file system has left.
///
/// # Errors
///
/// No room ([`Error::is_no_space`]).
pub fn write_symbol(file: &File, path: &Path, entry: &[u8], offset: u64) -> Result<()> {
    // The marker goes last, so that the entry is seen whole or not at all.
    let (marker, rest) = entry.split_at(entry.len().min(symbol::ENTRY_MARKER.len()));
    write(file, path, rest, offset + marker.len() as u64)?;
    write(file, path, marker, offset)
}

/// Opens a file of a session for its owner, to read, write and map.
///
/// # Errors
///
/// It is not there, is a symbolic link, or may not be written.
pub fn open_rw(path: &Path) -> Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(nofollow())
        .open(path)
        .map_err(|e| Error::io(path, "open", e))
}

/// Removes the ring of a thread that is over, to make room for another. False where it
/// was not there: whoever removed it has given its room back.
///
/// # Errors
///
/// The system refuses.
pub fn remove_ring(dir: &Path, serial: u64) -> Result<bool> {
    let path = ring_path(dir, serial);
    match std::fs::remove_file(&path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io(&path, "remove", error)),
    }
}

/// Stores the collector's pid and state in the session file.
///
/// # Errors
///
/// The write fails.
pub fn set_collector(file: &File, path: &Path, pid: u32, state: u64) -> Result<()> {
    write(file, path, &u64::from(pid).to_le_bytes(), session::field::COLLECTOR_PID as u64)?;
    write(file, path, &state.to_le_bytes(), session::field::COLLECTOR_STATE as u64)
}

fn read_ring_header(file: &File, path: &Path) -> Result<RingHeader> {
    let mut page = vec![0; ring::HEADER_LEN];
    file.read_exact_at(&mut page, 0).map_err(|e| Error::io(path, "read", e))?;
    RingHeader::parse(&page).map_err(|e| Error::format(path, e))
}

/// Creates `path` with `bytes` at its start and at least `len` bytes allocated.
/// A file that could not be completed is removed again.
fn create_with(path: &Path, bytes: &[u8], len: u64) -> Result<File> {
    const MAGIC_LEN: usize = 8;
    let file = create_new(path)?;
    let len = len.max(bytes.len() as u64).next_multiple_of(PAGE);
    let (magic, rest) = bytes.split_at(bytes.len().min(MAGIC_LEN));
    let done = allocate(&file, path, 0, len)
        .and_then(|()| write(&file, path, rest, magic.len() as u64))
        .and_then(|()| write(&file, path, magic, 0));
    if let Err(error) = done {
        // The caller is told of the first failure; a leftover without magic is ignored.
        let _ = std::fs::remove_file(path);
        return Err(error);
    }
    Ok(file)
}

/// Creates a file that was not there, mode 0600, closed on exec.
pub(crate) fn create_new(path: &Path) -> Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .custom_flags(nofollow())
        .open(path)
        .map_err(|e| Error::io(path, "create", e))
}

/// `O_NOFOLLOW` as the standard library wants it; it adds `O_CLOEXEC` itself.
pub(crate) fn nofollow() -> i32 {
    OFlags::NOFOLLOW.bits() as i32
}

fn write(file: &File, path: &Path, bytes: &[u8], at: u64) -> Result<()> {
    file.write_all_at(bytes, at).map_err(|e| Error::io(path, "write", e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rtrace_format::{Meta, Value};
    use std::os::unix::fs::MetadataExt;

    fn ring_header(serial: u64) -> RingHeader {
        RingHeader {
            uuid: [1; 16],
            serial,
            pid: 2,
            tid: 3,
            process: 0,
            segment_len: 16384,
            state: ring::LIVE,
            depth: 0,
            head: 0,
            drained: 0,
            born_tick: 9,
            end_tick: 0,
            fiber: 0,
            switches: 0,
            lost: 0,
            lost_cause: 0,
            name: b"MainThread".to_vec(),
            extents: Vec::new(),
        }
    }

    #[test]
    fn files_are_private_exclusive_and_really_allocated() {
        let dir = tempfile::tempdir().unwrap();
        let mut meta = Meta::default();
        meta.set("hostname", Value::text("x".repeat(9000)));
        let header = SessionHeader {
            uuid: [1; 16],
            next_serial: 0,
            next_process: 1,
            symbols_tail: 64,
            memory_used: 0,
            memory_max: 1 << 28,
            collector_pid: 0,
            collector_state: 0,
            given_back: 0,
            meta,
        };
        session_file(dir.path(), &header).unwrap();
        symbols_file(dir.path(), &[1; 16]).unwrap();
        let mut ring = ring_header(7);
        ring_file(dir.path(), &mut ring).unwrap();
        for name in ["session", "symbols", "ring-7"] {
            let meta = std::fs::metadata(dir.path().join(name)).unwrap();
            assert_eq!(meta.mode() & 0o777, 0o600, "{name}");
            assert!(meta.blocks() * 512 >= meta.len() && meta.len().is_multiple_of(PAGE), "{name}");
        }
        assert!(session_file(dir.path(), &header).is_err());
        let back = std::fs::read(session_path(dir.path())).unwrap();
        assert_eq!(SessionHeader::parse(&back).unwrap(), header);
        let len = std::fs::metadata(ring_path(dir.path(), 7)).unwrap().len();
        assert_eq!(len, first_ring_len(16384));
        assert_eq!(len, 4096 + 4096 + 32768);
    }

    #[test]
    fn extents_are_added_behind_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let file = ring_file(dir.path(), &mut ring_header(0)).unwrap();
        let path = ring_path(dir.path(), 0);
        let more = add_extent(&file, &path, ring::SEGMENTS, 2).unwrap();
        let stack = add_extent(&file, &path, ring::STACK, 2048).unwrap();
        assert_eq!(more.offset, first_ring_len(16384));
        assert_eq!(stack.offset, more.offset + 32768);
        let header = read_ring_header(&file, &path).unwrap();
        assert_eq!(header.extents.len(), 4);
        assert_eq!(header.stack(), Some(stack));
        let meta = file.metadata().unwrap();
        assert_eq!(meta.len(), stack.offset + 32768);
        assert!(meta.blocks() * 512 >= meta.len());
        for _ in 4..ring::EXTENTS_MAX {
            add_extent(&file, &path, ring::SEGMENTS, 0).unwrap();
        }
        assert!(add_extent(&file, &path, ring::SEGMENTS, 1).is_err());
    }

    #[test]
    fn a_link_in_the_way_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("target");
        std::fs::write(&target, b"precious").unwrap();
        std::os::unix::fs::symlink(&target, ring_path(dir.path(), 0)).unwrap();
        assert!(ring_file(dir.path(), &mut ring_header(0)).is_err());
        assert!(open_rw(&ring_path(dir.path(), 0)).is_err());
        assert_eq!(std::fs::read(&target).unwrap(), b"precious");
    }
}
