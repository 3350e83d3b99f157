//! One thread's ring, read while its writer goes on.

use std::fs::File;
use std::path::{Path, PathBuf};

use rtrace_format::fiber::{self, FiberStack};
use rtrace_format::ring::{self, RingHeader};
use rtrace_format::segment::{self, Segment, field};

use crate::error::{Error, Result};
use crate::read;

/// How often a copy is tried again when its writer changed it meanwhile.
const TRIES: usize = 8;

/// More segments than any ring has; a table that claims more is cut there.
const SLOTS_MAX: usize = 1 << 20;

/// An open ring file.
#[derive(Debug)]
pub struct Ring {
    file: File,
    path: PathBuf,
    header: RingHeader,
    len: u64,
}

/// A place in the file that held a segment when it was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot {
    /// The segment's number in its thread, from 1.
    pub lap: u64,
    /// Where it lies in the file.
    pub offset: u64,
}

/// What became of the attempt to read a segment.
#[derive(Debug)]
pub enum Taken {
    /// A consistent copy.
    Segment(Segment),
    /// The writer has begun to use the place for another lap.
    Overwritten,
    /// The writer took records back at every try: a copy now would be a mixture.
    Torn,
    /// The bytes are no segment of this thread, or its checksum does not hold.
    Damaged(rtrace_format::Error),
}

/// Everything that could be read from a ring at once.
#[derive(Debug, Default)]
pub struct Copied {
    /// The segments, by lap.
    pub segments: Vec<Segment>,
    /// Segments that were overwritten or kept changing while they were read.
    pub torn: u64,
    /// What could not be read, and where in the ring file.
    pub damaged: Vec<(u64, rtrace_format::Error)>,
}

impl Ring {
    /// Opens a ring to read.
    ///
    /// # Errors
    ///
    /// It is gone, not a ring, or not yet complete.
    pub fn open(path: &Path) -> Result<Ring> {
        Ring::from_file(read::open(path)?, path)
    }

    /// Takes over an open file, for the collector, which also writes to it.
    pub(crate) fn from_file(file: File, path: &Path) -> Result<Ring> {
        let mut page = vec![0; ring::HEADER_LEN];
        let header = read_header(&file, path, &mut page)?;
        let len = read::len(&file, path)?;
        Ok(Ring { file, path: path.to_owned(), header, len })
    }

    /// The header, as of the last [`refresh`](Ring::refresh).
    pub fn header(&self) -> &RingHeader {
        &self.header
    }

    /// Where the file is, or was.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Reads the header again, and the file's length.
    ///
    /// # Errors
    ///
    /// It can no longer be read.
    pub fn refresh(&mut self) -> Result<()> {
        // In this order: an extent of the table is always within the length read after it.
        let mut page = vec![0; ring::HEADER_LEN];
        self.header = read_header(&self.file, &self.path, &mut page)?;
        self.len = read::len(&self.file, &self.path)?;
        Ok(())
    }

    /// The places of segments that lie in the file, in the order of the table.
    ///
    /// An extent that overlaps another one, or the file's end, is cut: a table
    /// of damaged numbers costs no more than the file is long.
    pub fn offsets(&self) -> Vec<u64> {
        let segment_len = u64::from(self.header.segment_len);
        let mut taken: Vec<(u64, u64)> = vec![(0, ring::HEADER_LEN as u64)];
        let mut offsets = Vec::new();
        for extent in self.header.extents.iter().filter(|e| e.kind == ring::SEGMENTS) {
            let room = self.len.saturating_sub(extent.offset) / segment_len;
            let count = u64::from(extent.count).min(room);
            let end = extent.offset + count * segment_len;
            if taken.iter().any(|&(from, to)| extent.offset < to && from < end) {
                continue;
            }
            taken.push((extent.offset, end));
            let room = SLOTS_MAX - offsets.len();
            offsets.extend((0..count).map(|i| extent.offset + i * segment_len).take(room));
        }
        offsets
    }

    /// The length of the file, as of the last [`refresh`](Ring::refresh).
    pub fn file_len(&self) -> u64 {
        self.len
    }

    /// How many events its thread has had: those that the newest readable segment leads to.
    ///
    /// # Errors
    ///
    /// The file can no longer be read.
    pub fn events(&self) -> Result<u64> {
        let newest = self.newest(&mut Vec::new())?;
        Ok(newest.map_or(0, |segment| segment.rows.first_record + segment.rows.numbered()))
    }

    /// The segments that are there with a lap above `after`, by lap.
    ///
    /// # Errors
    ///
    /// The file can no longer be read.
    pub fn slots(&self, after: u64) -> Result<Vec<Slot>> {
        let mut slots = Vec::new();
        for offset in self.offsets() {
            if let Some((lap, _)) = self.version(offset)?
                && lap > after
            {
                slots.push(Slot { lap, offset });
            }
        }
        slots.sort_unstable();
        // Two places never hold one lap; of a damaged file the first is taken.
        slots.dedup_by_key(|slot| slot.lap);
        Ok(slots)
    }

    /// Lap and rewinds of the segment at `offset`; none where there is no segment.
    pub(crate) fn version(&self, offset: u64) -> Result<Option<(u64, u32)>> {
        let mut head = [0; segment::HEADER_LEN];
        let got = read::read_at(&self.file, &self.path, &mut head, offset)?;
        if got < head.len() || head[..8] != segment::MAGIC {
            return Ok(None);
        }
        Ok(segment::version(&head).filter(|&(lap, _)| lap != 0))
    }

    /// Copies the segment at `slot`, and makes sure that the copy is of one moment.
    ///
    /// `buf` is working space, to be used again for the next one.
    ///
    /// # Errors
    ///
    /// The file can no longer be read.
    pub fn take(&self, slot: Slot, buf: &mut Vec<u8>) -> Result<Taken> {
        buf.resize(self.header.segment_len as usize, 0);
        for _ in 0..TRIES {
            let before = self.version(slot.offset)?;
            if before.map(|(lap, _)| lap) != Some(slot.lap) {
                return Ok(Taken::Overwritten);
            }
            let got = read::read_at(&self.file, &self.path, buf, slot.offset)?;
            let after = self.version(slot.offset)?;
            if before != after || segment::version(buf) != after {
                continue;
            }
            return Ok(match Segment::parse(&buf[..got]) {
                Ok(segment) if segment.serial == self.header.serial => Taken::Segment(segment),
                Ok(_) => Taken::Damaged(rtrace_format::Error::new(
                    rtrace_format::ErrorKind::BadValue("a segment's thread"),
                    field::SERIAL as u64,
                )),
                // A segment that was sealed while it was copied has header
                // fields of both states; the next copy is whole.
                Err(_) if self.sealed_meanwhile(slot, buf)? => continue,
                Err(error) => Taken::Damaged(error),
            });
        }
        self.take_settled(slot, buf)
    }

    /// Copies what can be had of a segment whose writer takes short calls back all the time.
    ///
    /// Only entries, and lines and instructions behind them, are ever taken back: what stands
    /// before any other record is there to stay. So a second copy is exact up to the last such
    /// record that the first one holds, and what is behind it is left out.
    fn take_settled(&self, slot: Slot, buf: &mut [u8]) -> Result<Taken> {
        let before = self.version(slot.offset)?;
        let got = read::read_at(&self.file, &self.path, buf, slot.offset)?;
        let settled = segment::settled(&buf[..got]);
        let got = read::read_at(&self.file, &self.path, buf, slot.offset)?;
        let lap = |version: Option<(u64, u32)>| version.map(|(lap, _)| lap);
        if lap(before) != Some(slot.lap) || lap(self.version(slot.offset)?) != Some(slot.lap) {
            return Ok(Taken::Overwritten);
        }
        let Some(settled) = settled.filter(|&end| end <= got) else { return Ok(Taken::Torn) };
        buf[settled..].fill(0);
        segment::unseal(buf);
        Ok(match Segment::parse(&buf[..got]) {
            Ok(segment) if segment.serial == self.header.serial => Taken::Segment(segment),
            _ => Taken::Torn,
        })
    }

    /// Whether the flags at `slot` differ from those in the copy.
    fn sealed_meanwhile(&self, slot: Slot, copy: &[u8]) -> Result<bool> {
        let mut head = [0; segment::HEADER_LEN];
        read::read_at(&self.file, &self.path, &mut head, slot.offset)?;
        Ok(head.get(..) != copy.get(..segment::HEADER_LEN))
    }

    /// Copies every segment with a lap above `after`.
    ///
    /// # Errors
    ///
    /// The file can no longer be read.
    pub fn copy_after(&self, after: u64) -> Result<Copied> {
        let mut copied = Copied::default();
        let mut buf = Vec::new();
        for slot in self.slots(after)? {
            match self.take(slot, &mut buf)? {
                Taken::Segment(segment) => copied.segments.push(segment),
                Taken::Overwritten | Taken::Torn => copied.torn += 1,
                Taken::Damaged(error) => copied.damaged.push((slot.offset, error)),
            }
        }
        Ok(copied)
    }

    /// The stacks of all fibers but the thread's own, as they are in the file.
    ///
    /// # Errors
    ///
    /// The file can no longer be read.
    pub fn fibers(&self) -> Result<Vec<FiberStack>> {
        let mut found = Vec::new();
        let mut behind = ring::HEADER_LEN as u64;
        for extent in self.header.extents.iter().filter(|e| e.kind == ring::FIBERS) {
            // Extents are added at the file's end. One that overlaps another is damage,
            // and would have the same bytes read many times.
            if extent.offset < behind {
                continue;
            }
            let len = extent.len(0).min(self.len.saturating_sub(extent.offset));
            behind = extent.offset + len;
            let mut bytes = vec![0; len as usize];
            let got = read::read_at(&self.file, &self.path, &mut bytes, extent.offset)?;
            found.extend(fiber::parse_extent(&bytes[..got]));
        }
        // While a fiber moves into a larger block it has two, which say the same.
        found.sort_by_key(|stack| stack.fiber);
        found.dedup_by_key(|stack| stack.fiber);
        Ok(found)
    }

    /// The first `count` frames of the shadow stack, as many as are there.
    ///
    /// # Errors
    ///
    /// The file can no longer be read.
    pub fn shadow(&self, count: usize) -> Result<Vec<rtrace_format::Frame>> {
        let Some(extent) = self.header.stack() else { return Ok(Vec::new()) };
        let room = self.len.saturating_sub(extent.offset) / ring::STACK_FRAME_LEN as u64;
        let count = room.min(extent.count.into()).min(count as u64) as usize;
        let mut bytes = vec![0; count * ring::STACK_FRAME_LEN];
        let got = read::read_at(&self.file, &self.path, &mut bytes, extent.offset)?;
        let frames = bytes[..got].chunks_exact(ring::STACK_FRAME_LEN);
        Ok(frames
            .map(|frame| rtrace_format::Frame {
                tick: rtrace_format::bytes::u64_at(frame, 0).unwrap_or(0),
                word: rtrace_format::bytes::u32_at(frame, 8).unwrap_or(0),
            })
            .collect())
    }
}

fn read_header(file: &File, path: &Path, page: &mut [u8]) -> Result<RingHeader> {
    let got = read::read_at(file, path, page, 0)?;
    RingHeader::parse(&page[..got]).map_err(|e| Error::format(path, e))
}
