//! Blocks that really exist before anyone maps them.
//!
//! A store to a mapped page for which the file system has no block raises
//! SIGBUS in the traced program. So every byte of a ring is allocated first,
//! and a full disk is an error value here instead.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use crate::error::{Error, Result};

/// Allocates `[offset, offset + len)` of `file` for real and grows it to there.
///
/// Bytes that the file did not have before read as zero.
///
/// # Errors
///
/// The file system has no room, or the process's file size limit is lower:
/// [`Error::is_no_space`]. The limit is asked beforehand because passing it
/// raises SIGXFSZ, which would end a program that does not ignore it.
pub fn allocate(file: &File, path: &Path, offset: u64, len: u64) -> Result<()> {
    if len == 0 {
        return Ok(());
    }
    let end = offset.checked_add(len).ok_or_else(|| Error::io(path, "allocate", Errno::FBIG))?;
    if getrlimit(Resource::Fsize).current.is_some_and(|limit| end > limit) {
        return Err(Error::io(path, "allocate", Errno::FBIG));
    }
    loop {
        match fallocate(file, FallocateFlags::empty(), offset, len) {
            Ok(()) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => return write_zeros(file, path, offset, len),
            Err(errno) => return Err(Error::io(path, "allocate", errno)),
        }
    }
}

/// What `posix_fallocate` does where the file system cannot: writes the blocks.
fn write_zeros(file: &File, path: &Path, offset: u64, len: u64) -> Result<()> {
    const STEP: usize = 64 * 1024;
    let zeros = [0u8; STEP];
    let (mut at, end) = (offset, offset + len);
    while at < end {
        let step = (end - at).min(STEP as u64) as usize;
        let written = file.write_at(&zeros[..step], at);
        match written {
            Ok(0) => return Err(Error::io(path, "allocate", Errno::NOSPC)),
            Ok(n) => at += n as u64,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::io(path, "allocate", error)),
        }
    }
    Ok(())
}
