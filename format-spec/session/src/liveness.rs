//! Whether a recorded process still runs.
//!
//! A pid alone proves nothing: it is used again after the process ended, after
//! a reboot, and in another container it names somebody else. A process is the
//! recorded one if boot, pid namespace, pid and start time agree, and it still
//! maps a file of its session: after `exec` the first four agree, but nobody
//! records any more. What cannot be judged from here is [`Liveness::Unknown`],
//! and the unknown is never packed, renamed or deleted.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind};

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use crate::host;

/// What can be said about a process from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Liveness {
    /// It runs and still records.
    Live,
    /// It is gone, or has become another program by `exec`.
    Dead,
    /// Another pid namespace, or no access: nobody here can tell.
    Unknown,
}

/// The machine and namespace from which a judgement is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Here {
    /// The kernel's boot id; empty where it is not known.
    pub boot_id: String,
    /// The inode of the pid namespace; 0 where it is not known.
    pub pid_namespace: u64,
}

impl Here {
    /// This process's own view.
    pub fn now() -> Here {
        Here { boot_id: host::boot_id(), pid_namespace: host::pid_namespace() }
    }
}

/// A process as its session describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded<'a> {
    /// Boot id in the session's metadata.
    pub boot_id: &'a [u8],
    /// Inode of the pid namespace in the session's metadata.
    pub pid_namespace: u64,
    /// Its pid, as that namespace counts.
    pub pid: u32,
    /// Field 22 of `/proc/<pid>/stat`; 0 where it could not be read.
    pub start_time: u64,
    /// The last component of the session directory's path, unique to the
    /// session; a mapped file below it proves that the process records. The
    /// components above are not compared: they differ between mount namespaces.
    pub session_name: &'a [u8],
}

/// Judges one process by everything, its mappings included.
pub fn judge(here: &Here, recorded: &Recorded<'_>) -> Liveness {
    match judge_without_mappings(here, recorded) {
        Liveness::Live => maps_session(recorded),
        other => other,
    }
}

/// Judges one process without reading its mappings, which holds a lock of its
/// memory for a moment: for a poll. `Live` means only that the process that was
/// recorded has not ended; it may have become another program by `exec`.
pub fn judge_without_mappings(here: &Here, recorded: &Recorded<'_>) -> Liveness {
    if here.boot_id.is_empty() || recorded.boot_id.is_empty() {
        return Liveness::Unknown;
    }
    if here.boot_id.as_bytes() != recorded.boot_id {
        // No process survives a boot. A container shares its host's boot id.
        return Liveness::Dead;
    }
    if here.pid_namespace == 0 || here.pid_namespace != recorded.pid_namespace {
        return Liveness::Unknown;
    }
    match host::stat_fields(recorded.pid) {
        Some((_, start)) if recorded.start_time != 0 && start != recorded.start_time => {
            Liveness::Dead
        }
        // Zombie and dead: no memory is left, and nothing will be recorded.
        Some((b'Z' | b'X' | b'x', _)) => Liveness::Dead,
        Some(_) => Liveness::Live,
        None => gone_or_hidden(recorded.pid),
    }
}

/// Without a `stat` to read: `/proc` may hide the processes of other users.
fn gone_or_hidden(pid: u32) -> Liveness {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return Liveness::Dead;
    };
    match test_kill_process(pid) {
        Err(Errno::SRCH) => Liveness::Dead,
        _ => Liveness::Unknown,
    }
}

/// Whether a mapped file's path has a component that is the session's name.
fn maps_session(recorded: &Recorded<'_>) -> Liveness {
    let file = match File::open(format!("/proc/{}/maps", recorded.pid)) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return gone_or_hidden(recorded.pid),
        Err(_) => return Liveness::Unknown,
    };
    let mut lines = BufReader::with_capacity(64 * 1024, file);
    let mut line = Vec::new();
    loop {
        line.clear();
        match lines.read_until(b'\n', &mut line) {
            Ok(0) => return Liveness::Dead,
            Ok(_) if has_component(&line, recorded.session_name) => return Liveness::Live,
            Ok(_) => {}
            // The process ended under the reader.
            Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => {
                return Liveness::Dead;
            }
            Err(_) => return Liveness::Unknown,
        }
    }
}

/// Whether a line of `maps` names a file directly below a directory `name`.
fn has_component(line: &[u8], name: &[u8]) -> bool {
    !name.is_empty() && line.split(|&b| b == b'/').skip(1).any(|component| component == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command, Stdio};

    /// A child that has `program` mapped because it was started from there.
    struct Running(Child);

    impl Drop for Running {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn start(program: &std::path::Path) -> Running {
        std::fs::copy("/bin/sleep", program).unwrap();
        let child = Command::new(program).arg("60").stdout(Stdio::null()).spawn().unwrap();
        crate::testing::wait_until_mapped(child.id(), program);
        Running(child)
    }

    #[test]
    fn each_mark_of_identity_counts() {
        let base = tempfile::tempdir().unwrap();
        let name = "20261121T000000Z-1-01234567";
        let dir = base.path().join(name);
        std::fs::create_dir(&dir).unwrap();
        let mut running = start(&dir.join("ring-0"));
        let here = Here::now();
        let start_time = host::start_time(running.0.id()).unwrap();
        let recorded = Recorded {
            boot_id: here.boot_id.as_bytes(),
            pid_namespace: here.pid_namespace,
            pid: running.0.id(),
            start_time,
            session_name: name.as_bytes(),
        };
        assert_eq!(judge(&here, &recorded), Liveness::Live);
        // The file is gone from the directory, not from the process.
        std::fs::remove_file(dir.join("ring-0")).unwrap();
        assert_eq!(judge(&here, &recorded), Liveness::Live);

        let recycled = Recorded { start_time: start_time + 1, ..recorded };
        assert_eq!(judge(&here, &recycled), Liveness::Dead);
        let exec = Recorded { session_name: b"20261121T000000Z-1-76543210", ..recorded };
        assert_eq!(judge(&here, &exec), Liveness::Dead, "it maps no file of that session");
        assert_eq!(judge_without_mappings(&here, &exec), Liveness::Live);
        let rebooted = Recorded { boot_id: b"another", ..recorded };
        assert_eq!(judge(&here, &rebooted), Liveness::Dead);
        let contained = Recorded { pid_namespace: 1, ..recorded };
        assert_eq!(judge(&here, &contained), Liveness::Unknown);
        let nowhere = Here { boot_id: String::new(), ..here.clone() };
        assert_eq!(judge(&nowhere, &recorded), Liveness::Unknown);

        running.0.kill().unwrap();
        // Not yet waited for: a zombie records nothing any more.
        let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while judge(&here, &recorded) != Liveness::Dead {
            assert!(std::time::Instant::now() < end);
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        running.0.wait().unwrap();
        assert_eq!(judge(&here, &recorded), Liveness::Dead);
    }

    #[test]
    fn a_process_without_any_mapping_of_ours_is_not_recording() {
        let here = Here::now();
        let me = Recorded {
            boot_id: here.boot_id.as_bytes(),
            pid_namespace: here.pid_namespace,
            pid: std::process::id(),
            start_time: host::start_time(std::process::id()).unwrap(),
            session_name: b"20261121T000000Z-1-0123abcd",
        };
        assert_eq!(judge(&here, &me), Liveness::Dead);
        assert_eq!(judge(&here, &Recorded { pid: 0, start_time: 0, ..me }), Liveness::Dead);
        assert_eq!(judge(&here, &Recorded { pid: u32::MAX, ..me }), Liveness::Dead);
    }

    #[test]
    fn only_whole_components_count() {
        assert!(has_component(b"7f-7f rw-s 0 00:1 9   /dev/shm/x/abc/ring-0\n", b"abc"));
        assert!(!has_component(b"7f-7f rw-s 0 00:1 9   /dev/shm/x/abcd/ring-0\n", b"abc"));
        assert!(!has_component(b"abc", b"abc"));
    }
}
