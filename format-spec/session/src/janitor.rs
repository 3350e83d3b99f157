//! Sessions of the dead, kept under a budget by packing them.
//!
//! Rings of programs that were killed stay where they are until somebody packs them, and
//! fill memory. Whoever begins a recording looks how much there is, by one read for each
//! session; where it is too much a process of its own packs the dead ones in place, oldest
//! first. Nothing is deleted that is not in its trace, and what cannot be judged from here,
//! or has no trace any more to be packed into, stays as it is.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rtrace_format::bytes::u64_at;
use rtrace_format::session::{HEADER_LEN, MAGIC, field};

use crate::live::SessionReader;
use crate::liveness::Liveness;
use crate::{create, dirs, pack, read};

/// The environment variable that says how many bytes sessions may keep.
pub const KEEP_VARIABLE: &str = "RTRACE_KEEP";

/// The most bytes that the sessions of a user keep before the dead ones are packed.
const KEEP_MAX: u64 = 1 << 30;

/// How many bytes the sessions below `user_dir` may keep: what the variable says, else
/// 1 GiB, and at most a quarter of the file system.
pub fn budget(user_dir: &Path) -> u64 {
    let asked = std::env::var(KEEP_VARIABLE).ok().and_then(|text| text.parse().ok());
    let quarter =
        rustix::fs::statvfs(user_dir).map_or(u64::MAX, |fs| fs.f_blocks * fs.f_frsize / 4);
    asked.unwrap_or(KEEP_MAX.min(quarter))
}

/// Bytes that all sessions below `user_dir` keep, as they say themselves.
pub fn kept(user_dir: &Path) -> u64 {
    sessions(user_dir).iter().map(|dir| bytes_of(dir)).fold(0, u64::saturating_add)
}

/// Packs dead sessions below `user_dir`, oldest first, until no more than `budget` bytes
/// are kept; tells how many.
pub fn tidy(user_dir: &Path, budget: u64) -> usize {
    let mut packed = 0;
    for dir in sessions(user_dir) {
        if kept(user_dir) <= budget {
            break;
        }
        let Ok(session) = SessionReader::open(&dir) else { continue };
        if session.liveness() != Liveness::Dead {
            continue;
        }
        let done = pack::trace_of(&session)
            .and_then(|trace| pack::finish_into(session.dir(), &trace, Duration::ZERO));
        packed += usize::from(done.is_ok_and(|packed| packed.removed));
    }
    packed
}

/// The sessions below `user_dir`; their names begin with the time, so the oldest are first.
fn sessions(user_dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(user_dir).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .filter(|entry| dirs::pid_of_session_name(&entry.file_name()).is_some())
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

/// What a session keeps, by its own count.
fn bytes_of(dir: &Path) -> u64 {
    let path = create::session_path(dir);
    let mut page = [0; HEADER_LEN];
    let got = read::open(&path).and_then(|file| read::read_at(&file, &path, &mut page, 0));
    let page = &page[..got.unwrap_or(0)];
    let get = |at| u64_at(page, at).unwrap_or(0);
    if !page.starts_with(&MAGIC) {
        return 0;
    }
    let back = get(field::GIVEN_BACK).min(get(field::GIVEN_BACK_THEN));
    get(field::MEMORY_USED).saturating_sub(back)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_session_keeps_nothing() {
        let base = tempfile::tempdir().unwrap();
        let user = dirs::user_dir(base.path()).unwrap();
        assert_eq!(kept(&user), 0);
        let dir = user.join("20261121T000000Z-1-01234567");
        std::fs::create_dir(&dir).unwrap();
        assert_eq!(kept(&user), 0);
        std::fs::write(create::session_path(&dir), [0xff; 4096]).unwrap();
        assert_eq!((kept(&user), tidy(&user, 0)), (0, 0));
        assert!(dir.exists());
    }
}
