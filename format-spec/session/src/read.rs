//! Reading files that another process writes, or that anybody may have put there.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

use crate::error::{Error, Result};

/// Opens a regular file to read, never through a link in its last component.
///
/// # Errors
///
/// It is not there, is not a regular file, or may not be read.
pub(crate) fn open(path: &Path) -> Result<File> {
    // Without O_NONBLOCK a fifo in the file's place would hold the reader for ever.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits() as i32)
        .open(path)
        .map_err(|e| Error::io(path, "open", e))?;
    let meta = file.metadata().map_err(|e| Error::io(path, "look at", e))?;
    if !meta.is_file() {
        return Err(Error::refused(path, "is not a regular file"));
    }
    Ok(file)
}

/// The file's length in bytes.
///
/// # Errors
///
/// The system refuses.
pub(crate) fn len(file: &File, path: &Path) -> Result<u64> {
    file.metadata().map(|meta| meta.len()).map_err(|e| Error::io(path, "look at", e))
}

/// Reads into `buf` from `at`; gives how many bytes there were before the end.
///
/// # Errors
///
/// The system refuses.
pub(crate) fn read_at(file: &File, path: &Path, buf: &mut [u8], at: u64) -> Result<usize> {
    let mut done = 0;
    while done < buf.len() {
        match file.read_at(&mut buf[done..], at + done as u64) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::io(path, "read", error)),
        }
    }
    Ok(done)
}

/// Reads a whole file, at most `max` bytes of it.
///
/// # Errors
///
/// As [`open`], or the system refuses.
pub(crate) fn whole(path: &Path, max: usize) -> Result<Vec<u8>> {
    let file = open(path)?;
    let len = usize::try_from(len(&file, path)?).unwrap_or(usize::MAX).min(max);
    let mut bytes = vec![0; len];
    let got = read_at(&file, path, &mut bytes, 0)?;
    bytes.truncate(got);
    Ok(bytes)
}

/// Whether a file's magic is not there yet: it is written last.
pub(crate) fn starts_unwritten(bytes: &[u8]) -> bool {
    bytes.iter().take(8).all(|&byte| byte == 0)
}

/// [`starts_unwritten`] of the file at `path`.
pub(crate) fn is_unwritten(path: &Path) -> bool {
    whole(path, 8).is_ok_and(|bytes| starts_unwritten(&bytes))
}
