//! The writer's lock on `trace.bin`: an exclusive `flock`.
//!
//! A lock belongs to the open file, not to the process: it goes when the last
//! descriptor is closed, whatever ends the process. Whoever holds one must not
//! fork and leave the child holding it too; the recorder therefore locks only
//! for as long as one call takes.

use std::fs::File;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::error::{Error, Result};

/// Takes the writer's lock without waiting; `path` is for the message.
///
/// # Errors
///
/// [`ErrorKind::Busy`](crate::ErrorKind::Busy) where another open file has it.
/// File systems that know no locks (some network mounts) are let through: the
/// alternative would be no recording at all.
pub fn try_exclusive(file: &File, path: &Path) -> Result<()> {
    loop {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) | Err(Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
                return Ok(());
            }
            Err(Errno::INTR) => {}
            Err(Errno::WOULDBLOCK) => return Err(Error::busy(path)),
            Err(errno) => return Err(Error::io(path, "lock", errno)),
        }
    }
}

/// As [`try_exclusive`], but waits up to `limit` for the other writer.
///
/// # Errors
///
/// As [`try_exclusive`], busy only after the whole wait.
pub fn exclusive_within(file: &File, path: &Path, limit: std::time::Duration) -> Result<()> {
    let end = std::time::Instant::now() + limit;
    loop {
        match try_exclusive(file, path) {
            Err(error) if matches!(error.kind(), crate::ErrorKind::Busy) => {
                if std::time::Instant::now() >= end {
                    return Err(error);
                }
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            other => return other,
        }
    }
}
