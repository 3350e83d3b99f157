//! The ring file's header and extents (SPEC section 5).

use crate::bytes::{Reader, put_at, u64_at};
use crate::error::{Error, ErrorKind, Result};
use crate::file::{MAJOR, MINOR, check_major};
use crate::segment::SEGMENT_LEN_MAX;

/// The first bytes of every ring file.
pub const MAGIC: [u8; 8] = *b"RTRING\r\n";
/// Length of the header, in bytes.
pub const HEADER_LEN: usize = 4096;
/// Length of a shadow stack's frame, in bytes.
pub const STACK_FRAME_LEN: usize = 16;
/// How many frames the first shadow stack holds.
pub const STACK_FRAMES: usize = 256;
/// How many extents the table holds.
pub const EXTENTS_MAX: usize = 64;
/// Length of an extent's entry, in bytes.
pub const EXTENT_LEN: usize = 16;
/// The longest thread name, in bytes.
pub const NAME_MAX: usize = 256;
/// State: the thread runs.
pub const LIVE: u64 = 0;
/// State: the thread has ended, or recording has stopped.
pub const ENDED: u64 = 1;
/// Kind of an extent: segments.
pub const SEGMENTS: u32 = 1;
/// Kind of an extent: a shadow stack.
pub const STACK: u32 = 2;
/// Kind of an extent: the stacks of fibers.
pub const FIBERS: u32 = 3;

/// Where each field of the header lies.
pub mod field {
    #![allow(missing_docs, reason = "the table in SPEC.md section 5 says what each one is")]
    pub const MAGIC: usize = 0;
    pub const MAJOR: usize = 8;
    pub const MINOR: usize = 10;
    pub const HEADER_LEN: usize = 12;
    pub const UUID: usize = 16;
    pub const SERIAL: usize = 32;
    pub const PID: usize = 40;
    pub const TID: usize = 44;
    pub const PROCESS: usize = 48;
    pub const SEGMENT_LEN: usize = 52;
    pub const STATE: usize = 56;
    pub const EXTENTS_USED: usize = 64;
    pub const DEPTH: usize = 72;
    pub const HEAD: usize = 80;
    pub const DRAINED: usize = 88;
    pub const BORN_TICK: usize = 96;
    pub const END_TICK: usize = 104;
    pub const FIBER: usize = 112;
    pub const SWITCHES: usize = 116;
    pub const LOST: usize = 120;
    pub const LOST_CAUSE: usize = 128;
    pub const NAME_LEN: usize = 136;
    pub const NAME: usize = 144;
    pub const EXTENTS: usize = 1024;
}

/// A part of the ring file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Where it begins in the file.
    pub offset: u64,
    /// [`SEGMENTS`], [`STACK`] or [`FIBERS`].
    pub kind: u32,
    /// How many segments, frames or units of a frame's length it holds.
    pub count: u32,
}

impl Extent {
    /// The entry's bytes.
    pub fn encode(&self) -> [u8; EXTENT_LEN] {
        let mut bytes = [0; EXTENT_LEN];
        put_at(&mut bytes, 0, &self.offset.to_le_bytes());
        put_at(&mut bytes, 8, &self.kind.to_le_bytes());
        put_at(&mut bytes, 12, &self.count.to_le_bytes());
        bytes
    }

    /// Its length in bytes, for segments of `segment_len`.
    pub fn len(&self, segment_len: u32) -> u64 {
        let each = match self.kind {
            STACK | FIBERS => STACK_FRAME_LEN as u64,
            _ => segment_len.into(),
        };
        u64::from(self.count) * each
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// The header of a ring file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RingHeader {
    /// The session's uuid.
    pub uuid: [u8; 16],
    /// The thread's serial.
    pub serial: u64,
    /// The process, as the system numbers it in the traced process's pid namespace.
    pub pid: u32,
    /// The thread, as the system numbers it.
    pub tid: u32,
    /// The number of the process in the session.
    pub process: u32,
    /// Length of a segment in bytes.
    pub segment_len: u32,
    /// [`LIVE`] or [`ENDED`].
    pub state: u64,
    /// How many frames were open on the thread's own stack when this was read.
    pub depth: u64,
    /// Lap of the active segment.
    pub head: u64,
    /// Every segment up to this lap is in `trace.bin`.
    pub drained: u64,
    /// When the thread was first seen, in ticks.
    pub born_tick: u64,
    /// When it ended, in ticks.
    pub end_tick: u64,
    /// The fiber that runs.
    pub fiber: u32,
    /// How often another fiber began to run, modulo 2^32.
    pub switches: u32,
    /// Events dropped since the active segment began.
    pub lost: u64,
    /// The number of the cause of that loss.
    pub lost_cause: u32,
    /// The thread's name, WTF-8; empty where it is not known.
    pub name: Vec<u8>,
    /// The parts of the file.
    pub extents: Vec<Extent>,
}

impl RingHeader {
    /// The bytes of the header page of a new ring file.
    pub fn encode(&self) -> Vec<u8> {
        let mut page = vec![0; HEADER_LEN];
        put_at(&mut page, field::MAGIC, &MAGIC);
        put_at(&mut page, field::MAJOR, &MAJOR.to_le_bytes());
        put_at(&mut page, field::MINOR, &MINOR.to_le_bytes());
        put_at(&mut page, field::HEADER_LEN, &(HEADER_LEN as u32).to_le_bytes());
        put_at(&mut page, field::UUID, &self.uuid);
        put_at(&mut page, field::SERIAL, &self.serial.to_le_bytes());
        put_at(&mut page, field::PID, &self.pid.to_le_bytes());
        put_at(&mut page, field::TID, &self.tid.to_le_bytes());
        put_at(&mut page, field::PROCESS, &self.process.to_le_bytes());
        put_at(&mut page, field::SEGMENT_LEN, &self.segment_len.to_le_bytes());
        put_at(&mut page, field::STATE, &self.state.to_le_bytes());
        put_at(&mut page, field::DEPTH, &self.depth.to_le_bytes());
        put_at(&mut page, field::HEAD, &self.head.to_le_bytes());
        put_at(&mut page, field::DRAINED, &self.drained.to_le_bytes());
        put_at(&mut page, field::BORN_TICK, &self.born_tick.to_le_bytes());
        put_at(&mut page, field::END_TICK, &self.end_tick.to_le_bytes());
        put_at(&mut page, field::FIBER, &self.fiber.to_le_bytes());
        put_at(&mut page, field::SWITCHES, &self.switches.to_le_bytes());
        put_at(&mut page, field::LOST, &self.lost.to_le_bytes());
        put_at(&mut page, field::LOST_CAUSE, &self.lost_cause.to_le_bytes());
        let name = crate::long::cut_text(&self.name, NAME_MAX);
        put_at(&mut page, field::NAME_LEN, &(name.len() as u64).to_le_bytes());
        put_at(&mut page, field::NAME, name);
        let extents = &self.extents[..self.extents.len().min(EXTENTS_MAX)];
        put_at(&mut page, field::EXTENTS_USED, &(extents.len() as u64).to_le_bytes());
        for (i, extent) in extents.iter().enumerate() {
            put_at(&mut page, field::EXTENTS + i * EXTENT_LEN, &extent.encode());
        }
        page
    }

    /// Reads the header page.
    ///
    /// # Errors
    /// Missing magic, another major version, a name, an extent table or a
    /// segment size that cannot be.
    pub fn parse(page: &[u8]) -> Result<RingHeader> {
        let mut reader = Reader::new(page, "a ring file's header");
        if reader.take(8)? != MAGIC {
            return Err(Error::new(ErrorKind::BadMagic("a ring file"), 0));
        }
        check_major(reader.u16()?, field::MAJOR as u64)?;
        reader.skip(6)?;
        let uuid = reader.uuid()?;
        let serial = reader.u64()?;
        let (pid, tid, process, segment_len) =
            (reader.u32()?, reader.u32()?, reader.u32()?, reader.u32()?);
        let bad = |at: usize| Error::new(ErrorKind::BadValue("a ring file's header"), at as u64);
        let len = segment_len as usize;
        if !len.is_multiple_of(8) || !(1024..=SEGMENT_LEN_MAX).contains(&len) {
            return Err(bad(field::SEGMENT_LEN));
        }
        let get = |at| {
            u64_at(page, at)
                .ok_or_else(|| Error::new(ErrorKind::Truncated("a ring file's header"), at as u64))
        };
        let name_len = get(field::NAME_LEN)? as usize;
        let used = get(field::EXTENTS_USED)? as usize;
        if name_len > NAME_MAX {
            return Err(bad(field::NAME_LEN));
        }
        if used > EXTENTS_MAX {
            return Err(bad(field::EXTENTS_USED));
        }
        let name = page.get(field::NAME..field::NAME + name_len).unwrap_or_default().to_vec();
        let mut extents = Vec::with_capacity(used);
        for i in 0..used {
            let at = field::EXTENTS + i * EXTENT_LEN;
            let packed = get(at + 8)?;
            let extent =
                Extent { offset: get(at)?, kind: packed as u32, count: (packed >> 32) as u32 };
            if extent.offset.checked_add(extent.len(segment_len)).is_none() {
                return Err(bad(at));
            }
            extents.push(extent);
        }
        Ok(RingHeader {
            uuid,
            serial,
            pid,
            tid,
            process,
            segment_len,
            state: get(field::STATE)?,
            depth: get(field::DEPTH)?,
            head: get(field::HEAD)?,
            drained: get(field::DRAINED)?,
            born_tick: get(field::BORN_TICK)?,
            end_tick: get(field::END_TICK)?,
            fiber: get(field::FIBER)? as u32,
            switches: (get(field::FIBER)? >> 32) as u32,
            lost: get(field::LOST)?,
            lost_cause: get(field::LOST_CAUSE)? as u32,
            name,
            extents,
        })
    }

    /// The file offset of every segment, in the order of the table.
    pub fn segment_offsets(&self) -> impl Iterator<Item = u64> + '_ {
        let len = u64::from(self.segment_len);
        let extents = self.extents.iter().filter(|extent| extent.kind == SEGMENTS);
        extents.flat_map(move |e| (0..u64::from(e.count)).map(move |i| e.offset + i * len))
    }

    /// The shadow stack that holds: the last of the table.
    pub fn stack(&self) -> Option<Extent> {
        self.extents.iter().rev().find(|extent| extent.kind == STACK).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn headers_come_back() {
        let header = RingHeader {
            uuid: [7; 16],
            serial: 1,
            pid: 2,
            tid: 3,
            process: 4,
            segment_len: 16384,
            state: ENDED,
            depth: 5,
            head: 6,
            drained: 7,
            born_tick: 8,
            end_tick: 9,
            fiber: 10,
            switches: 15,
            lost: 11,
            lost_cause: 2,
            name: b"MainThread".to_vec(),
            extents: vec![
                Extent { offset: 4096, kind: STACK, count: 1024 },
                Extent { offset: 20480, kind: SEGMENTS, count: 2 },
                Extent { offset: 53248, kind: SEGMENTS, count: 2 },
            ],
        };
        let parsed = RingHeader::parse(&header.encode()).unwrap();
        assert_eq!(parsed, header);
        assert_eq!(parsed.segment_offsets().collect::<Vec<_>>(), [20480, 36864, 53248, 69632]);
        assert_eq!(parsed.stack().unwrap().offset, 4096);
    }

    proptest! {
        #[test]
        fn any_page_gives_a_result_or_an_error(mut page in prop::collection::vec(any::<u8>(), 0..4096)) {
            let _ = RingHeader::parse(&page);
            if page.len() > 56 {
                page[..16].copy_from_slice(b"RTRING\r\n\x01\0\0\0\0\x10\0\0");
                page[52..56].copy_from_slice(&16384u32.to_le_bytes());
                let _ = RingHeader::parse(&page);
            }
        }
    }
}
