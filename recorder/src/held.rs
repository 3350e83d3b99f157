//! A file that stays open in a program that may close it under us.
//!
//! Daemons close every descriptor that they do not know and open others under
//! the same numbers: a write through ours would then go into a file of theirs.

use std::fs::File;
use std::os::fd::IntoRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rtrace_session::{Result, create};

/// An open file, looked at before each use, opened again where it is another one.
#[derive(Debug)]
pub struct HeldFile {
    file: Option<File>,
    path: PathBuf,
    identity: Option<(u64, u64)>,
}

impl HeldFile {
    /// Holds `file`, which was opened at `path`.
    pub fn new(file: File, path: PathBuf) -> HeldFile {
        let identity = identity(&file);
        HeldFile { file: Some(file), path, identity }
    }

    /// The file.
    ///
    /// # Errors
    /// It was closed, and cannot be opened again.
    pub fn get(&mut self) -> Result<(&File, &Path)> {
        self.let_go_of_others();
        let file = match self.file.take() {
            Some(file) => file,
            None => create::open_rw(&self.path)?,
        };
        self.identity = identity(&file);
        Ok((self.file.insert(file), &self.path))
    }

    /// A descriptor that is the program's now is not ours to close.
    fn let_go_of_others(&mut self) {
        let same = |file: &mut File| self.identity.is_some() && identity(file) == self.identity;
        if let Some(file) = self.file.take_if(|file| !same(file)) {
            let _ = file.into_raw_fd();
        }
    }
}

impl Drop for HeldFile {
    fn drop(&mut self) {
        self.let_go_of_others();
    }
}

/// Which file it is; none where the descriptor is closed.
fn identity(file: &File) -> Option<(u64, u64)> {
    file.metadata().ok().map(|meta| (meta.dev(), meta.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsRawFd;

    #[test]
    fn a_descriptor_that_became_another_files_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (ours, theirs) = (dir.path().join("ours"), dir.path().join("theirs"));
        let mut held = HeldFile::new(File::create(&ours).unwrap(), ours.clone());
        let other = File::create(&theirs).unwrap();
        let number = held.get().unwrap().0.as_raw_fd();
        // What a daemon does: our number is another file from here on.
        rustix_dup2(&other, number);
        held.get().unwrap().0.write_all(b"x").unwrap();
        assert_eq!(std::fs::read(&theirs).unwrap(), b"");
        assert_eq!(std::fs::read(&ours).unwrap(), b"x");
        drop(held);
        assert!(std::fs::metadata(format!("/proc/self/fd/{number}")).is_ok(), "it was closed");
    }

    #[allow(unsafe_code, reason = "a test that plays the daemon")]
    fn rustix_dup2(file: &File, number: i32) {
        // SAFETY: two open descriptors.
        assert_eq!(unsafe { libc::dup2(file.as_raw_fd(), number) }, number);
    }
}
