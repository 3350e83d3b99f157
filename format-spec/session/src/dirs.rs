//! Where sessions live: `<base>/rtrace-<uid>/<UTC>-<pid>-<uuid8>/`.
//!
//! The base is tmpfs where there is one, because dirty pages of a disk stall
//! the thread that stores to them. Both directories of ours are 0700; one that
//! is a symbolic link or another user's is refused, since `/dev/shm` and `/tmp`
//! let anybody create names.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::Access;

use crate::error::{Error, Result};
use crate::host;

/// The environment variable that places the rings elsewhere.
pub const RING_DIR_VARIABLE: &str = "RTRACE_RING_DIR";

/// The directory that rings go to: the asked one, `RTRACE_RING_DIR`, `/dev/shm`,
/// `$XDG_RUNTIME_DIR`, or the temporary directory; the first that can be used.
///
/// # Errors
///
/// The asked directory (or the variable's) is not a writable directory: that
/// one is not silently replaced by another.
pub fn choose_base(asked: Option<&Path>) -> Result<PathBuf> {
    let variable = env::var_os(RING_DIR_VARIABLE).filter(|v| !v.is_empty()).map(PathBuf::from);
    if let Some(dir) = asked.map(Path::to_owned).or(variable) {
        let dir = std::path::absolute(&dir).map_err(|e| Error::io(&dir, "resolve", e))?;
        user_dir(&dir)?;
        return Ok(dir);
    }
    let mut refused = None;
    for dir in default_bases() {
        match user_dir(&dir) {
            Ok(_) => return Ok(dir),
            Err(error) => refused = Some(error),
        }
    }
    Err(refused.unwrap_or_else(|| {
        Error::refused(Path::new("/"), "no directory for the rings; name one with --ring-dir")
    }))
}

/// The directories that are tried in turn when none was asked for.
fn default_bases() -> Vec<PathBuf> {
    let mut bases = vec![PathBuf::from("/dev/shm")];
    bases.extend(env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|p| p.is_absolute()));
    let temp = env::temp_dir();
    bases.push(if temp.is_absolute() { temp } else { PathBuf::from("/tmp") });
    bases
}

/// Creates (or checks) this user's directory under `base` and gives its path.
///
/// # Errors
///
/// It cannot be created, or it is a link, not a directory, another user's, or
/// open to others and cannot be closed to them.
pub fn user_dir(base: &Path) -> Result<PathBuf> {
    let path = base.join(format!("rtrace-{}", host::uid()));
    match fs::DirBuilder::new().mode(0o700).create(&path) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(Error::io(&path, "create", error)),
    }
    check_own_dir(&path)?;
    if rustix::fs::access(&path, Access::WRITE_OK | Access::EXEC_OK).is_err() {
        return Err(Error::refused(&path, "this directory cannot be written to"));
    }
    Ok(path)
}

/// Refuses a directory that somebody else could have put there.
fn check_own_dir(path: &Path) -> Result<()> {
    let meta = fs::symlink_metadata(path).map_err(|e| Error::io(path, "look at", e))?;
    if meta.is_symlink() {
        return Err(Error::refused(
            path,
            "is a symbolic link, which could lead anywhere: remove it",
        ));
    }
    if !meta.is_dir() {
        return Err(Error::refused(path, "is not a directory: remove it"));
    }
    if meta.uid() != host::uid() {
        let owner = meta.uid();
        return Err(Error::refused(
            path,
            format!("belongs to another user (uid {owner}); choose another place with --ring-dir"),
        ));
    }
    if meta.mode() & 0o077 != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))
            .map_err(|e| Error::io(path, "close to other users", e))?;
    }
    Ok(())
}

/// Creates the directory of a new session under `base`, exclusively, mode 0700.
///
/// The name is `<UTC>-<pid>-<first 8 hex digits of the uuid>`.
///
/// # Errors
///
/// As [`user_dir`]; or a directory of that name exists.
pub fn create_session_dir(
    base: &Path,
    started_ns: u64,
    pid: u32,
    uuid: &[u8; 16],
) -> Result<PathBuf> {
    let uuid8 = &host::uuid_text(uuid)[..8];
    let path = user_dir(base)?.join(format!("{}-{pid}-{uuid8}", host::utc_stamp(started_ns)));
    fs::DirBuilder::new().mode(0o700).create(&path).map_err(|e| Error::io(&path, "create", e))?;
    Ok(path)
}

/// The sessions that this user may have a look at, oldest first.
///
/// Looks below `extra` (a `--ring-dir`, or a user directory itself), the
/// variable and the default bases. Only names: nothing is opened or judged.
pub fn list(extra: Option<&Path>) -> Vec<PathBuf> {
    let mut bases: Vec<PathBuf> = extra.map(Path::to_owned).into_iter().collect();
    bases.extend(env::var_os(RING_DIR_VARIABLE).map(PathBuf::from));
    bases.extend(default_bases());
    let user = format!("rtrace-{}", host::uid());
    let mut found: Vec<PathBuf> = Vec::new();
    for base in bases {
        for parent in [base.join(&user), base] {
            let Ok(entries) = fs::read_dir(&parent) else { continue };
            for entry in entries.flatten() {
                let path = entry.path();
                if looks_like_session(&entry.file_name()) && path.join("session").is_file() {
                    found.push(path);
                }
            }
        }
    }
    found.sort_by(|a, b| a.file_name().cmp(&b.file_name()).then_with(|| a.cmp(b)));
    found.dedup();
    found
}

/// Whether a name has the shape `<UTC>-<pid>-<uuid8>`.
fn looks_like_session(name: &OsStr) -> bool {
    pid_of_session_name(name).is_some()
}

/// The pid in a session directory's name.
pub(crate) fn pid_of_session_name(name: &OsStr) -> Option<u32> {
    let mut parts = name.as_bytes().split(|&b| b == b'-');
    let (stamp, pid, uuid8) = (parts.next()?, parts.next()?, parts.next()?);
    let shaped = stamp.len() >= 16
        && stamp.last() == Some(&b'Z')
        && uuid8.len() == 8
        && uuid8.iter().all(u8::is_ascii_hexdigit)
        && parts.next().is_none();
    if !shaped {
        return None;
    }
    std::str::from_utf8(pid).ok()?.parse().ok()
}

/// Removes the directory of a session that is over: its files, then itself.
///
/// Only names that the format knows are removed, and no link is followed, so
/// that a wrong path costs nothing. The session file goes last: a removal that
/// was cut short can be found and repeated.
///
/// # Errors
///
/// It is not a session's directory, or a file could not be removed.
pub fn remove_session_dir(dir: &Path) -> Result<()> {
    if !dir.file_name().is_some_and(looks_like_session) {
        return Err(Error::refused(dir, "is not a session's directory; not removed"));
    }
    check_own_dir(dir)?;
    let entries = fs::read_dir(dir).map_err(|e| Error::io(dir, "list", e))?;
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.as_bytes();
        let ours = name == b"symbols"
            || numbered(name, b"ring-").is_some()
            || numbered(name, b"process-").is_some()
            || numbered(name, b"figures-").is_some();
        if ours {
            let path = entry.path();
            fs::remove_file(&path).map_err(|e| Error::io(&path, "remove", e))?;
        }
    }
    let session = dir.join("session");
    match fs::remove_file(&session) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(Error::io(&session, "remove", error)),
    }
    fs::remove_dir(dir).map_err(|e| Error::io(dir, "remove", e))
}

/// The number in a name like `ring-17`; only the canonical spelling counts.
pub fn numbered(name: &[u8], prefix: &[u8]) -> Option<u64> {
    let digits = name.strip_prefix(prefix)?;
    if digits.is_empty() || (digits[0] == b'0' && digits.len() > 1) {
        return None;
    }
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_dir_is_private_exclusive_and_found_again() {
        let base = tempfile::tempdir().unwrap();
        let uuid = host::new_uuid();
        let dir = create_session_dir(base.path(), 1_000_000_000, 77, &uuid).unwrap();
        assert_eq!(fs::metadata(&dir).unwrap().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(dir.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
        assert!(dir.file_name().unwrap().to_str().unwrap().starts_with("19700101T000001Z-77-"));
        assert!(create_session_dir(base.path(), 1_000_000_000, 77, &uuid).is_err());
        fs::write(dir.join("session"), b"x").unwrap();
        assert!(list(Some(base.path())).contains(&dir));
        assert!(list(Some(dir.parent().unwrap())).contains(&dir));
    }

    #[test]
    fn a_link_or_an_open_user_directory_is_not_used_as_it_is() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join(format!("rtrace-{}", host::uid()));
        std::os::unix::fs::symlink("/etc", &path).unwrap();
        assert!(user_dir(base.path()).unwrap_err().to_string().contains("symbolic link"));
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        user_dir(base.path()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn removal_takes_only_what_is_ours() {
        let base = tempfile::tempdir().unwrap();
        assert!(remove_session_dir(base.path()).is_err());
        let dir = create_session_dir(base.path(), 0, 1, &host::new_uuid()).unwrap();
        for name in ["session", "symbols", "ring-0", "ring-12", "process-0", "ring-01"] {
            fs::write(dir.join(name), b"x").unwrap();
        }
        // A stranger's file keeps the directory, and stays.
        assert!(remove_session_dir(&dir).is_err());
        assert!(dir.join("ring-01").exists() && !dir.join("ring-12").exists());
        fs::remove_file(dir.join("ring-01")).unwrap();
        remove_session_dir(&dir).unwrap();
        assert!(!dir.exists());
    }

    #[test]
    fn an_asked_directory_is_never_replaced_by_another() {
        let error = choose_base(Some(Path::new("/proc/nowhere"))).unwrap_err();
        assert!(error.to_string().starts_with("/proc/nowhere/"), "{error}");
    }
}
