//! What identifies this machine, this boot and this process from outside.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::rand::{GetRandomFlags, getrandom};

/// The kernel's boot id, empty where `/proc` does not say.
///
/// It changes at every boot, so that a process id of an earlier boot is known
/// to be dead even where the number is in use again.
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

/// The inode of this process's pid namespace, 0 where `/proc` does not say.
pub fn pid_namespace() -> u64 {
    fs::metadata("/proc/self/ns/pid").map(|meta| meta.ino()).unwrap_or(0)
}

/// The machine's name as `uname` gives it.
pub fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The effective user id, which owns every file that this crate makes.
pub fn uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Start time of a process in clock ticks since boot: field 22 of its `stat`.
///
/// None where there is no such process, or `/proc` hides it.
pub fn start_time(pid: u32) -> Option<u64> {
    stat_fields(pid).map(|(_, start)| start)
}

/// The pid of a process's parent; none where there is no such process, or `/proc` hides it.
pub fn parent_of(pid: u32) -> Option<u32> {
    stat(pid).map(|stat| stat.parent)
}

/// State letter and start time of a process.
pub(crate) fn stat_fields(pid: u32) -> Option<(u8, u64)> {
    stat(pid).map(|stat| (stat.state, stat.start))
}

struct Stat {
    state: u8,
    parent: u32,
    start: u64,
}

fn stat(pid: u32) -> Option<Stat> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The command name (field 2) is in parentheses and may hold any byte, a
    // parenthesis or a newline included: fields count from the last one.
    let close = stat.iter().rposition(|&b| b == b')')?;
    let mut fields = stat[close + 1..].split(|&b| b == b' ').filter(|f| !f.is_empty());
    let state = *fields.next()?.first()?;
    let mut number = |skipped: usize| -> Option<u64> {
        std::str::from_utf8(fields.nth(skipped)?).ok()?.trim().parse().ok()
    };
    let parent = u32::try_from(number(0)?).ok()?;
    let start = number(17)?; // field 22, as the parent is field 4
    Some(Stat { state, parent, start })
}

/// Nanoseconds since the Unix epoch; 0 before it.
pub fn unix_ns() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX))
}

/// A random session uuid (version 4).
pub fn new_uuid() -> [u8; 16] {
    let mut uuid = [0u8; 16];
    if getrandom(&mut uuid, GetRandomFlags::empty()).map_or(0, |n| n) != uuid.len() {
        // No getrandom (a seccomp filter): time and pid are unique enough on one machine,
        // and the directory is created exclusively in any case.
        uuid[..8].copy_from_slice(&unix_ns().to_le_bytes());
        uuid[8..12].copy_from_slice(&std::process::id().to_le_bytes());
    }
    uuid[6] = uuid[6] & 0x0f | 0x40;
    uuid[8] = uuid[8] & 0x3f | 0x80;
    uuid
}

/// A uuid as 32 hex digits.
pub fn uuid_text(uuid: &[u8; 16]) -> String {
    use std::fmt::Write;
    uuid.iter().fold(String::with_capacity(32), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// `20261121T231503Z`: a point in time as file and directory names carry it.
pub fn utc_stamp(unix_ns: u64) -> String {
    let seconds = unix_ns / 1_000_000_000;
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Days to civil date, by eras of 400 years beginning on a first of March.
    let z = days + 719_468;
    let (era, doe) = (z / 146_097, z % 146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + u64::from(month <= 2);
    let (h, m, s) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}{month:02}{day:02}T{h:02}{m:02}{s:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_agree_with_the_date_command() {
        for seconds in [0u64, 951_782_400, 1_709_164_799, 1_709_164_800, 4_102_444_799] {
            let date = std::process::Command::new("date")
                .args(["-u", "-d", &format!("@{seconds}"), "+%Y%m%dT%H%M%SZ"])
                .output()
                .unwrap();
            assert_eq!(
                utc_stamp(seconds * 1_000_000_000 + 999_999_999),
                String::from_utf8(date.stdout).unwrap().trim()
            );
        }
    }

    #[test]
    fn start_time_counts_fields_from_the_last_parenthesis() {
        // A process whose name holds parentheses and spaces.
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("a) R 1 (b");
        std::fs::copy("/bin/sleep", &program).unwrap();
        let mut child = std::process::Command::new(&program).arg("30").spawn().unwrap();
        let mine = start_time(std::process::id()).unwrap();
        let its = start_time(child.id());
        child.kill().unwrap();
        child.wait().unwrap();
        let its = its.unwrap();
        assert!(its >= mine && its < mine + 1_000_000, "{mine} {its}");
        assert_eq!(start_time(child.id()), None);
    }
}
