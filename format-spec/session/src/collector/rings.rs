//! The rings that the collector drains.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rtrace_format::bytes::u64_at;
use rtrace_format::ring::{self, field};

use crate::create::{open_rw, ring_path};
use crate::error::{Error, Result};
use crate::giveback::GiveBack;
use crate::live::{Ring, Slot, Taken};
use crate::pack::packer::Packer;
use crate::pack::ring::{Unread, Writer, announce, close, drain, gap_cause};
use crate::read;

/// A ring with fewer segments is left to grow before its drained part is
/// written early: chunks would be too small to compress well.
const EARLY_SEGMENTS: usize = 8;

/// Marks a place after which nothing was seen yet.
const UNSEEN: u32 = u32::MAX;

/// Every ring of the session that is not finished.
pub(super) struct Rings {
    dir: PathBuf,
    uuid: [u8; 16],
    give: GiveBack,
    open: BTreeMap<u64, OpenRing>,
    /// Rings that are in the trace to their end, or are not ours.
    closed: BTreeSet<u64>,
    /// Working space.
    buf: Vec<u8>,
    /// What could not be packed.
    pub(super) unread: Unread,
}

/// A ring and how far it is drained.
struct OpenRing {
    ring: Ring,
    /// Where its segments lie.
    offsets: Vec<u64>,
    /// The index in `offsets` of the last lap that was found.
    at: Option<usize>,
    /// By index in `offsets`: the place that came after it the last time round.
    after: Vec<u32>,
    /// The last lap that was given to the packer.
    lap: u64,
    /// What `drained` in the header says.
    released: u64,
    /// A segment was damaged and left out.
    damaged: bool,
    /// That was so for any segment.
    skipped: bool,
}

/// The fields of a ring's header that change, as one look sees them.
struct Look {
    ended: bool,
    extents: u64,
    head: u64,
}

impl Rings {
    /// # Errors
    ///
    /// The session file cannot be written.
    pub(super) fn new(dir: &Path, uuid: [u8; 16]) -> Result<Rings> {
        Ok(Rings {
            dir: dir.to_owned(),
            uuid,
            give: GiveBack::open(dir)?,
            open: BTreeMap::new(),
            closed: BTreeSet::new(),
            buf: Vec::new(),
            unread: Unread::default(),
        })
    }

    /// Opens the ring of a thread, if it is new and complete.
    pub(super) fn open(&mut self, serial: u64, packer: &mut Packer) -> Result<bool> {
        if self.open.contains_key(&serial) || self.closed.contains(&serial) {
            return Ok(false);
        }
        let path = ring_path(&self.dir, serial);
        // Gone again, or still being made: another look will tell.
        let Ok(file) = open_rw(&path) else { return Ok(false) };
        let Ok(ring) = Ring::from_file(file, &path) else { return Ok(false) };
        if ring.header().uuid != self.uuid || ring.header().serial != serial {
            self.closed.insert(serial);
            return Ok(false);
        }
        let lap = packer.thread(serial)?.lap();
        announce(packer, ring.header())?;
        let released = ring.header().drained;
        let offsets = ring.offsets();
        let after = Vec::new();
        let ring = OpenRing {
            ring,
            offsets,
            at: None,
            after,
            lap,
            released,
            damaged: false,
            skipped: false,
        };
        self.open.insert(serial, ring);
        Ok(true)
    }

    /// Gives every sealed segment that is new to the packer, and takes the last
    /// records of threads that have ended; tells how many segments.
    pub(super) fn drain_sealed(&mut self, packer: &mut Packer) -> Result<usize> {
        let mut drained = 0;
        let mut ended = Vec::new();
        for (&serial, ring) in &mut self.open {
            let look = ring.look()?;
            drained += ring.drain_sealed(&look, packer, &mut self.buf, &mut self.unread)?;
            if look.ended {
                ended.push(serial);
            }
        }
        for serial in ended {
            self.close(serial, packer)?;
            drained += 1;
        }
        Ok(drained)
    }

    /// Says in the headers what is in the trace, so that the room can be used again.
    pub(super) fn release(&mut self, packer: &Packer) -> Result<()> {
        for (&serial, ring) in &mut self.open {
            let written = packer.written(serial).min(ring.lap);
            if written > ring.released {
                ring.release(written)?;
            }
        }
        Ok(())
    }

    /// Takes the last records of every thread of a process that is over.
    pub(super) fn close_process(&mut self, process: u32, packer: &mut Packer) -> Result<()> {
        let serials: Vec<u64> = self
            .open
            .iter()
            .filter(|(_, ring)| ring.ring.header().process == process)
            .map(|(&serial, _)| serial)
            .collect();
        for serial in serials {
            self.close(serial, packer)?;
        }
        Ok(())
    }

    /// Takes the last records of a thread, and gives the room of its ring back. A ring of
    /// which something could not be read stays as long as the session does.
    fn close(&mut self, serial: u64, packer: &mut Packer) -> Result<()> {
        if let Some(ring) = self.open.get_mut(&serial) {
            ring.ring.refresh()?;
            let unread = drain(packer, &ring.ring, Writer::Gone, true)?;
            close(packer, &mut ring.ring)?;
            ring.release(ring.ring.header().head)?;
            self.unread.damaged += unread.damaged;
            self.unread.torn += unread.torn;
            if unread == Unread::default() && !ring.skipped {
                self.give.remove(serial)?;
            }
        }
        self.open.remove(&serial);
        self.closed.insert(serial);
        packer.forget(serial);
        Ok(())
    }
}

impl OpenRing {
    /// Drains what is sealed, and has it written early if it fills the ring.
    fn drain_sealed(
        &mut self,
        look: &Look,
        packer: &mut Packer,
        buf: &mut Vec<u8>,
        unread: &mut Unread,
    ) -> Result<usize> {
        if look.extents != self.ring.header().extents.len() as u64 {
            self.ring.refresh()?;
            self.offsets = self.ring.offsets();
        }
        let mut drained = 0;
        while self.lap + 1 < look.head {
            let Some(slot) = self.find(self.lap + 1)? else { break };
            match self.ring.take(slot, buf)? {
                // Its writer is about to seal it.
                Taken::Segment(segment) if !segment.sealed => break,
                Taken::Segment(mut segment) => {
                    packer.add(&mut segment, gap_cause(true, self.damaged))?;
                    self.damaged = false;
                    drained += 1;
                }
                Taken::Damaged(_) => {
                    self.damaged = true;
                    self.skipped = true;
                    unread.damaged += 1;
                }
                // Overtaken by the writer: look for the oldest one that is left.
                Taken::Overwritten | Taken::Torn => continue,
            }
            self.lap = slot.lap;
        }
        let serial = self.ring.header().serial;
        let held = self.lap.saturating_sub(packer.written(serial)) as usize;
        if self.offsets.len() >= EARLY_SEGMENTS && held * 2 >= self.offsets.len() {
            packer.flush(serial)?;
        }
        Ok(drained)
    }

    fn look(&self) -> Result<Look> {
        const FROM: usize = field::STATE;
        let mut bytes = [0; field::DRAINED - FROM];
        read::read_at(self.ring.file(), self.ring.path(), &mut bytes, FROM as u64)?;
        let get = |at: usize| u64_at(&bytes, at - FROM).unwrap_or(0);
        // A thread's last lap was stored before its end was.
        let ended = get(field::STATE) == ring::ENDED;
        Ok(Look { ended, extents: get(field::EXTENTS_USED), head: get(field::HEAD) })
    }

    /// Where lap `lap` lies, or the oldest one after it if that is gone.
    fn find(&mut self, lap: u64) -> Result<Option<Slot>> {
        // A writer takes the place with the oldest lap, so that the order of
        // one round is that of the next; only growth changes it.
        let len = self.offsets.len() as u32;
        let next = self.at.map_or(0, |at| match self.after.get(at) {
            Some(&next) if next != UNSEEN => next,
            _ => (at as u32 + 1) % len.max(1),
        }) as usize;
        let mut found = None;
        if let Some(&offset) = self.offsets.get(next)
            && self.ring.version(offset)?.map(|(found, _)| found) == Some(lap)
        {
            found = Some((next, Slot { lap, offset }));
        } else if let Some(slot) = self.ring.slots(lap - 1)?.into_iter().next() {
            let at = self.offsets.iter().position(|&offset| offset == slot.offset);
            found = at.map(|at| (at, slot));
        }
        let Some((at, slot)) = found else { return Ok(None) };
        if let Some(before) = self.at
            && before != at
        {
            self.after.resize(self.offsets.len(), UNSEEN);
            if let Some(after) = self.after.get_mut(before) {
                *after = at as u32;
            }
        }
        self.at = Some(at);
        Ok(Some(slot))
    }

    fn release(&mut self, lap: u64) -> Result<()> {
        let path = self.ring.path();
        self.ring
            .file()
            .write_all_at(&lap.to_le_bytes(), field::DRAINED as u64)
            .map_err(|e| Error::io(path, "write", e))?;
        self.released = lap;
        Ok(())
    }
}

/// The header page is in the file from the start, so that writing one field allocates nothing.
const _: () = assert!(field::DRAINED + 8 <= ring::HEADER_LEN);
