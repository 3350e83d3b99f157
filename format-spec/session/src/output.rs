//! Where a new recording's `trace.bin` goes, and making it.
//!
//! It exists from the moment recording starts, with a header and the `SESS`
//! chunk that leads to the rings. What stands at the path already decides:
//! nothing, or an empty file: it is used; a trace that ended clean is
//! overwritten; a trace that a live recording writes (or one that cannot be
//! judged from here) stays, and the new one takes `trace.<pid>.bin`; any other
//! trace of ours is renamed to `trace.<UTC>.<pid>.bin`, since it may be all
//! that is left of a crash; and a file that is not ours is refused.

mod existing;

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rtrace_format::file::FileHeader;
use rtrace_format::{Meta, chunk};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::create::{create_new, open_rw};
use crate::error::{Error, ErrorKind, Result};
use crate::{host, lock};

pub use existing::{Existing, judge};

/// How long to wait for the collector of a recording that is over.
const FINISHING: Duration = Duration::from_secs(2);

/// A path that this process may write its trace to, locked until it is written.
///
/// Dropped unwritten, it leaves no trace: what stood there is still there.
#[derive(Debug)]
pub struct Output {
    path: PathBuf,
    file: File,
    stands: Stands,
    written: bool,
    renamed: Option<PathBuf>,
}

/// What stands at a reserved path until it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stands {
    /// An empty file made by the reservation.
    Made,
    /// An empty file that somebody else made.
    Empty,
    /// A trace that ended clean, or an earlier copy, to be replaced at the last moment.
    Clean,
}

/// Finds the path for a new trace that was asked to go to `asked`, and locks it.
///
/// `pid` is the recording process. Next come the files of the session (whose
/// metadata holds the path that was found), then [`Output::write`].
///
/// # Errors
///
/// Something that is not ours stands there, or the directory cannot be written.
pub fn reserve(asked: &Path, pid: u32) -> Result<Output> {
    reserve_over(asked, pid, None)
}

/// As [`reserve`], for a copy of the session `uuid`: an earlier copy of the same
/// session is overwritten.
///
/// # Errors
///
/// As [`reserve`].
pub(crate) fn reserve_for_copy(asked: &Path, pid: u32, uuid: &[u8; 16]) -> Result<Output> {
    reserve_over(asked, pid, Some(uuid))
}

fn reserve_over(asked: &Path, pid: u32, copy_of: Option<&[u8; 16]>) -> Result<Output> {
    let asked = std::path::absolute(asked).map_err(|e| Error::io(asked, "resolve", e))?;
    let mut path = asked.clone();
    // Each try fails only because somebody else is recording to that very path.
    for n in 1..100 {
        match try_reserve(&path, copy_of) {
            Err(error) if matches!(error.kind(), ErrorKind::Busy) => {
                let infix = if n == 1 { format!("{pid}") } else { format!("{pid}-{n}") };
                path = with_infix(&asked, &infix);
            }
            other => return other,
        }
    }
    Err(Error::busy(&asked))
}

/// [`ErrorKind::Busy`] where a live recording has the path.
fn try_reserve(path: &Path, copy_of: Option<&[u8; 16]>) -> Result<Output> {
    let mut renamed = None;
    // The path may change hands between looking and locking: look again then.
    for _ in 0..100 {
        match std::fs::symlink_metadata(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let file = match create_new(path) {
                    Err(error) if is_exists(&error) => continue,
                    other => other?,
                };
                lock::try_exclusive(&file, path)?;
                if is_same(&file, path) {
                    return Ok(Output {
                        path: path.to_owned(),
                        file,
                        stands: Stands::Made,
                        written: false,
                        renamed,
                    });
                }
                continue;
            }
            Err(error) => return Err(Error::io(path, "look at", error)),
            Ok(meta) if meta.is_dir() => {
                return Err(Error::refused(path, "is a directory; give the path of a file"));
            }
            Ok(meta) if !meta.is_file() => {
                return Err(Error::refused(
                    path,
                    "is not a regular file, so it is left alone; choose another path with -o",
                ));
            }
            Ok(_) => {}
        }
        let file = match open_rw(path) {
            Err(error) if error.is_not_found() => continue,
            other => other?,
        };
        let owner = file.metadata().map_err(|e| Error::io(path, "look at", e))?.uid();
        if owner != host::uid() {
            // Somebody else could go on reading and changing it.
            let what =
                format!("belongs to another user (uid {owner}); choose another path with -o");
            return Err(Error::refused(path, what));
        }
        let existing = judge(&file, path)?;
        if existing == Existing::NotOurs {
            return Err(Error::refused(
                path,
                "exists and is not an rtrace file, so it is left alone; choose another path with -o",
            ));
        }
        // No process of it is live: if somebody has the lock, he is finishing it.
        let patience = match existing {
            Existing::Busy => return Err(Error::busy(path)),
            Existing::Empty => Duration::ZERO,
            _ => FINISHING,
        };
        lock::exclusive_within(&file, path, patience)?;
        if !is_same(&file, path) || judge(&file, path)? != existing {
            continue;
        }
        let stands = match existing {
            Existing::Empty => Stands::Empty,
            Existing::Clean => Stands::Clean,
            Existing::Copy { uuid, .. } if copy_of == Some(&uuid) => Stands::Clean,
            Existing::Copy { created_ns, .. } => {
                renamed = Some(rename_away(path, created_ns, None)?);
                continue;
            }
            Existing::Unfinished { created_ns, pid } => {
                renamed = Some(rename_away(path, created_ns, Some(pid))?);
                continue;
            }
            Existing::NotOurs | Existing::Busy => continue,
        };
        return Ok(Output { path: path.to_owned(), file, stands, written: false, renamed });
    }
    Err(Error::busy(path))
}

impl Output {
    /// Where the trace goes; not always the path that was asked for.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where an unfinished trace that stood at the path is now.
    pub fn renamed(&self) -> Option<&Path> {
        self.renamed.as_deref()
    }

    /// Writes header and `SESS` chunk, and lets go of the lock.
    ///
    /// `created_ns` is the session's start, ns since the epoch. The files of the
    /// session must be there before: they prove to the next one who asks that
    /// this path is taken.
    ///
    /// # Errors
    ///
    /// The file system refuses; then the path is as it was before.
    pub fn write(mut self, uuid: &[u8; 16], created_ns: u64, meta: &Meta) -> Result<PathBuf> {
        let bytes = beginning(uuid, created_ns, meta);
        if self.stands == Stands::Clean {
            // A viewer may have the old file mapped: it keeps that one whole.
            if let Ok((part, file)) = self.part() {
                let written = file.write_all_at(&bytes, 0);
                if let Err(error) = written {
                    let _ = std::fs::remove_file(&part);
                    return Err(Error::io(&part, "write", error));
                }
                return self.put(&part);
            }
            self.overwrite(&bytes)?;
        } else {
            // An empty file may have been made for everybody to read. Where that cannot be
            // changed (a file system without modes), it is as its owner wanted it.
            let _ = self.file.set_permissions(std::fs::Permissions::from_mode(0o600));
            self.file.write_all_at(&bytes, 0).map_err(|e| Error::io(&self.path, "write", e))?;
        }
        self.written = true;
        Ok(self.path.clone())
    }

    /// A new file next to the path, to become the trace with [`put`](Self::put).
    ///
    /// # Errors
    ///
    /// It cannot be created.
    pub(crate) fn part(&self) -> Result<(PathBuf, File)> {
        let mut name = OsString::from(".");
        name.push(self.path.file_name().unwrap_or_default());
        name.push(format!(".{}.part", host::uuid_text(&host::new_uuid())));
        let part = self.path.with_file_name(name);
        let file = create_new(&part)?;
        Ok((part, file))
    }

    /// Puts the file at `part` in place, and lets go of the lock.
    ///
    /// # Errors
    ///
    /// The file system refuses; then `part` is gone and the path as it was before.
    pub(crate) fn put(mut self, part: &Path) -> Result<PathBuf> {
        if let Err(error) = std::fs::rename(part, &self.path) {
            let _ = std::fs::remove_file(part);
            return Err(Error::io(&self.path, "replace", error));
        }
        self.written = true;
        Ok(self.path.clone())
    }

    /// Overwrites what is there, in a directory that takes no new file.
    fn overwrite(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.set_len(0).map_err(|e| Error::io(&self.path, "empty", e))?;
        self.file.write_all_at(bytes, 0).map_err(|e| Error::io(&self.path, "write", e))
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // A beginning that could be written only in part is taken back.
        if self.written || self.stands == Stands::Clean {
            return;
        }
        let _ = match self.stands {
            Stands::Made if is_same(&self.file, &self.path) => std::fs::remove_file(&self.path),
            _ => self.file.set_len(0),
        };
    }
}

/// The first bytes of a trace: header and `SESS` chunk.
pub(crate) fn beginning(uuid: &[u8; 16], created_ns: u64, meta: &Meta) -> Vec<u8> {
    let mut bytes = FileHeader::new(*uuid, created_ns).encode().to_vec();
    bytes.extend(chunk::encode(chunk::tag::SESSION, &meta.encode()));
    bytes
}

/// Renames `trace.bin` to `trace.<UTC>.<pid>.bin` next to it; a copy does not say
/// which process was recorded.
fn rename_away(path: &Path, created_ns: u64, pid: Option<u32>) -> Result<PathBuf> {
    let stamp = host::utc_stamp(created_ns);
    let name = pid.map_or_else(|| stamp.clone(), |pid| format!("{stamp}.{pid}"));
    for n in 1..1000 {
        let infix = if n == 1 { name.clone() } else { format!("{name}-{n}") };
        let new = with_infix(path, &infix);
        match renameat_with(CWD, path, CWD, &new, RenameFlags::NOREPLACE) {
            Ok(()) => return Ok(new),
            Err(Errno::EXIST) => {}
            Err(Errno::INVAL | Errno::NOSYS) if !new.exists() => {
                // A file system without the exclusive form; the lock is held.
                std::fs::rename(path, &new).map_err(|e| Error::io(path, "rename", e))?;
                return Ok(new);
            }
            Err(Errno::INVAL | Errno::NOSYS) => {}
            Err(errno) => return Err(Error::io(path, "rename", errno)),
        }
    }
    Err(Error::refused(path, "cannot be renamed: every name beside it is taken"))
}

/// `trace.bin` with `x` between: `trace.x.bin`.
pub(crate) fn with_infix(path: &Path, infix: &str) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(".");
    name.push(infix);
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

fn is_exists(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Io { source, .. }
        if source.kind() == std::io::ErrorKind::AlreadyExists)
}

/// Whether `path` still names the open file.
pub(crate) fn is_same(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::symlink_metadata(path)) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
