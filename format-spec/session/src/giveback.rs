//! Giving the room of rings back that are in `trace.bin` to their end.
//!
//! The budget has two counters (SPEC section 7): what recorders took, which they
//! change together, and what packers gave back, which only the holder of the
//! trace's lock stores. A removal is announced first, so that whoever goes on for a
//! packer that died in the middle of one finishes it, and each ring is counted once.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rtrace_format::bytes::u64_at;
use rtrace_format::session::field;

use crate::create::{open_rw, remove_ring, ring_path, session_path};
use crate::error::{Error, Result};
use crate::read;

/// Removes rings of a session. Made by whoever holds the lock of its trace.
pub(crate) struct GiveBack {
    dir: PathBuf,
    path: PathBuf,
    control: File,
    /// Bytes given back until now.
    total: u64,
}

impl GiveBack {
    /// Goes on where the last one stopped.
    ///
    /// # Errors
    ///
    /// The session file cannot be read or written, or a ring not be removed.
    pub(crate) fn open(dir: &Path) -> Result<GiveBack> {
        let path = session_path(dir);
        let control = open_rw(&path)?;
        let mut bytes = [0; 24];
        read::read_at(&control, &path, &mut bytes, field::GIVEN_BACK as u64)?;
        let get = |at: usize| u64_at(&bytes, at - field::GIVEN_BACK).unwrap_or(0);
        let (total, then) = (get(field::GIVEN_BACK), get(field::GIVEN_BACK_THEN));
        let mut give = GiveBack { dir: dir.to_owned(), path, control, total };
        match get(field::REMOVING).checked_sub(1) {
            // Where it is gone, the one that died had most likely removed it.
            Some(serial) => remove_ring(&give.dir, serial).and_then(|_| give.count(then))?,
            None => give.put(field::GIVEN_BACK_THEN, total)?,
        }
        Ok(give)
    }

    /// Removes the ring of a thread that is over, all of which is in the trace.
    ///
    /// # Errors
    ///
    /// The system refuses; the next one that is [opened](GiveBack::open) tries again.
    pub(crate) fn remove(&mut self, serial: u64) -> Result<()> {
        let path = ring_path(&self.dir, serial);
        // Gone already: its room was given back by whoever removed it.
        let Ok(meta) = std::fs::symlink_metadata(&path) else { return Ok(()) };
        let then = self.total.saturating_add(meta.len());
        self.put(field::GIVEN_BACK_THEN, then)?;
        self.put(field::REMOVING, serial.saturating_add(1))?;
        self.take(serial, then)
    }

    /// Removes an announced ring, unless a recorder was faster and has released its bytes.
    fn take(&mut self, serial: u64, then: u64) -> Result<()> {
        if remove_ring(&self.dir, serial)? {
            return self.count(then);
        }
        self.put(field::GIVEN_BACK_THEN, self.total)?;
        self.put(field::REMOVING, 0)
    }

    fn count(&mut self, then: u64) -> Result<()> {
        self.put(field::GIVEN_BACK, then)?;
        self.put(field::REMOVING, 0)?;
        self.total = then;
        Ok(())
    }

    fn put(&self, at: usize, value: u64) -> Result<()> {
        self.control
            .write_all_at(&value.to_le_bytes(), at as u64)
            .map_err(|e| Error::io(&self.path, "write", e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::SessionReader;
    use crate::testing::World;

    fn given_back(world: &World) -> u64 {
        SessionReader::open(&world.dir).unwrap().header().given_back
    }

    #[test]
    fn each_ring_counts_once_wherever_a_removal_stopped() {
        let world = World::new("full");
        for serial in 0..6 {
            world.ring(serial, 0, 2);
        }
        let len = std::fs::metadata(ring_path(&world.dir, 0)).unwrap().len();
        let mut give = GiveBack::open(&world.dir).unwrap();
        give.remove(0).unwrap();
        give.remove(0).unwrap();
        assert_eq!(given_back(&world), len);
        // Stopped after the first store: the ring is there, and nothing is given back.
        give.put(field::GIVEN_BACK_THEN, 2 * len).unwrap();
        assert_eq!(given_back(&world), len);
        drop(give);
        let give = GiveBack::open(&world.dir).unwrap();
        assert!(ring_path(&world.dir, 1).exists());
        assert_eq!((given_back(&world), give.total), (len, len));
        // After the second.
        give.put(field::GIVEN_BACK_THEN, 2 * len).unwrap();
        give.put(field::REMOVING, 2).unwrap();
        assert_eq!(given_back(&world), len);
        drop(give);
        let give = GiveBack::open(&world.dir).unwrap();
        assert!(!ring_path(&world.dir, 1).exists());
        assert_eq!((given_back(&world), give.total), (2 * len, 2 * len));
        // After the file was removed.
        give.put(field::GIVEN_BACK_THEN, 3 * len).unwrap();
        give.put(field::REMOVING, 3).unwrap();
        assert!(remove_ring(&world.dir, 2).unwrap());
        assert_eq!(given_back(&world), 2 * len);
        drop(GiveBack::open(&world.dir).unwrap());
        assert_eq!(given_back(&world), 3 * len);
        // After the third store.
        let give = GiveBack::open(&world.dir).unwrap();
        give.put(field::GIVEN_BACK_THEN, 4 * len).unwrap();
        give.put(field::REMOVING, 4).unwrap();
        assert!(remove_ring(&world.dir, 3).unwrap());
        give.put(field::GIVEN_BACK, 4 * len).unwrap();
        drop(GiveBack::open(&world.dir).unwrap());
        assert_eq!(given_back(&world), 4 * len);
        drop(GiveBack::open(&world.dir).unwrap());
        assert_eq!(given_back(&world), 4 * len);
    }
    #[test]
    fn a_ring_that_a_recorder_removes_first_does_not_count() {
        let world = World::new("flight");
        world.ring(0, 0, 2);
        world.ring(1, 0, 2);
        let len = std::fs::metadata(ring_path(&world.dir, 0)).unwrap().len();
        let mut give = GiveBack::open(&world.dir).unwrap();
        give.put(field::GIVEN_BACK_THEN, len).unwrap();
        give.put(field::REMOVING, 1).unwrap();
        assert!(remove_ring(&world.dir, 0).unwrap());
        give.take(0, len).unwrap();
        assert_eq!(given_back(&world), 0);
        // The next one counts as ever, and so does whoever goes on.
        give.remove(1).unwrap();
        assert_eq!(given_back(&world), len);
        assert_eq!(GiveBack::open(&world.dir).unwrap().total, len);
    }
}
