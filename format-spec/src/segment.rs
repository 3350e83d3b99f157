//! Segments: runs of records that describe themselves (SPEC section 4).
//!
//! The writer is in the recorder and stores fields one by one into a mapping,
//! at the offsets given here; this module reads what it left.
//!
//! Invariants a writer keeps, and a reader relies on:
//!
//! 1. The lap is 0 from before the first byte is changed until after the last
//!    one is in place, and it is larger than every lap the thread had before.
//! 2. Words are stored in order, each whole; a long record's payload before
//!    its header. The first zero word ends the records.
//! 3. What is sealed never changes until the lap does, except by a rewind,
//!    which is counted.

pub mod live;

use crate::bytes::{Reader, crc32_without, put_at, u32_at, u64_at};
use crate::error::{Error, ErrorKind, Result};
use crate::frame::Keyframe;
use crate::record::{Cause, Effect, Kind, Word};
use crate::rows::Rows;

/// The first bytes of every segment.
pub const MAGIC: [u8; 8] = *b"RTSEG\r\n\x01";
/// Length of the fixed header, in bytes.
pub const HEADER_LEN: usize = 128;
/// Length of a segment unless the ring file says otherwise, in bytes.
pub const SEGMENT_LEN: usize = 16 * 1024;
/// The longest segment that a reader accepts, in bytes.
pub const SEGMENT_LEN_MAX: usize = 1 << 20;
/// Flag: the segment is full, and its count and checksum hold.
pub const SEALED: u16 = 1;

/// Where each field of the header lies.
pub mod field {
    #![allow(missing_docs, reason = "the table in SPEC.md section 4 says what each one is")]
    pub const MAGIC: usize = 0;
    pub const LAP: usize = 8;
    pub const SERIAL: usize = 16;
    pub const FIRST_RECORD: usize = 24;
    pub const BASE_TICK: usize = 32;
    pub const CPU_NS: usize = 40;
    pub const FIBER: usize = 48;
    pub const DEPTH: usize = 52;
    pub const OUTER: usize = 56;
    pub const INNER: usize = 57;
    pub const FLAGS: usize = 58;
    pub const REWINDS: usize = 60;
    pub const LOST_BEFORE: usize = 64;
    pub const LOST_CAUSE: usize = 72;
    pub const BODY: usize = 76;
    pub const USED: usize = 80;
    pub const RECORDS: usize = 84;
    pub const END_TICK: usize = 88;
    pub const CRC: usize = 96;
}

/// A segment as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// The thread's segment number, from 1.
    pub lap: u64,
    /// The thread.
    pub serial: u64,
    /// CPU time of the thread when the segment began, in ns.
    pub cpu_ns: u64,
    /// The fiber that ran when the segment began.
    pub fiber: u32,
    /// The frames open then.
    pub keyframe: Keyframe,
    /// Whether it is full and its checksum held.
    pub sealed: bool,
    /// How often records of it were taken back.
    pub rewinds: u32,
    /// Events dropped between the segment before and this one.
    pub lost_before: u64,
    /// Why they were dropped.
    pub lost_cause: Cause,
    /// Its records.
    pub rows: Rows,
}

/// The lap and the rewind counter of a segment's bytes: what a reader of a living ring compares
/// before and after copying.
pub fn version(bytes: &[u8]) -> Option<(u64, u32)> {
    Some((u64_at(bytes, field::LAP)?, (u64_at(bytes, field::REWINDS - 4)? >> 32) as u32))
}

/// Where the part of a segment's bytes ends that its writer will never take back: behind its
/// last record that is neither an entry nor a point. None where the bytes are no segment.
pub fn settled(bytes: &[u8]) -> Option<usize> {
    let body = u32_at(bytes, field::BODY)? as usize;
    let (mut at, mut settled) = (body, body);
    while let Some(word) = u64_at(bytes, at).filter(|&word| word != 0).map(Word) {
        let kind = word.kind();
        at += 8;
        if kind == Some(Kind::Long) {
            at += 8 * word.payload_words();
        }
        let goes = kind.is_some_and(|kind| {
            kind.effect() == Effect::Push || matches!(kind, Kind::Line | Kind::Opcode)
        });
        if !goes && at <= bytes.len() {
            settled = at;
        }
    }
    (settled <= bytes.len()).then_some(settled)
}

/// Makes a copy of a segment one that was not sealed yet.
pub fn unseal(bytes: &mut [u8]) {
    if let Some(flags) = bytes.get_mut(field::FLAGS) {
        *flags &= !(SEALED as u8);
    }
}

impl Segment {
    /// Reads a segment.
    ///
    /// # Errors
    /// Missing magic, lap 0, a header that contradicts itself, a sealed
    /// segment whose checksum or counts do not hold.
    pub fn parse(bytes: &[u8]) -> Result<Segment> {
        let mut reader = Reader::new(bytes, "a segment");
        if reader.take(8)? != MAGIC {
            return Err(Error::new(ErrorKind::BadMagic("a segment"), 0));
        }
        let bad = |at: usize| Error::new(ErrorKind::BadValue("a segment's header"), at as u64);
        let lap = reader.u64()?;
        if lap == 0 {
            return Err(bad(field::LAP));
        }
        let serial = reader.u64()?;
        let first_record = reader.u64()?;
        let base_tick = reader.u64()?;
        let cpu_ns = reader.u64()?;
        let fiber = reader.u32()?;
        let depth = reader.u32()?;
        let (outer, inner) = (reader.u8()?, reader.u8()?);
        let sealed = reader.u16()? & SEALED != 0;
        let rewinds = reader.u32()?;
        let lost_before = reader.u64()?;
        let lost_cause = Cause::from_number(reader.u32()?);
        let body = reader.u32()? as usize;
        let used = reader.u32()? as usize;
        let records = reader.u32()?;
        let end_tick = reader.u64()?;
        let crc = reader.u32()?;
        if !body.is_multiple_of(8) || body < HEADER_LEN || body > bytes.len() {
            return Err(bad(field::BODY));
        }
        let mut end = bytes.len();
        if sealed {
            end = body.saturating_add(used.saturating_mul(8));
            if end > bytes.len() {
                return Err(bad(field::USED));
            }
            if crc32_without(&bytes[..end], field::CRC) != crc {
                return Err(Error::new(ErrorKind::BadChecksum("a segment"), field::CRC as u64));
            }
        }
        let mut keyframe_reader = Reader::new(&bytes[HEADER_LEN..body], "a segment's keyframe");
        let keyframe = Keyframe::decode(&mut keyframe_reader, depth, outer.into(), inner.into())
            .map_err(|error| error.at(HEADER_LEN as u64))?;
        let mut rows = Rows { base_tick, first_record, ..Rows::default() };
        rows.rows.reserve((end - body) / 8);
        let words = bytes[body..end].chunks_exact(8);
        let taken = rows.split(words.map(|word| u64_at(word, 0).unwrap_or(0)));
        if sealed
            && (taken != used || rows.numbered() != records.into() || rows.end_tick() != end_tick)
        {
            return Err(bad(field::USED));
        }
        Ok(Segment {
            lap,
            serial,
            cpu_ns,
            fiber,
            keyframe,
            sealed,
            rewinds,
            lost_before,
            lost_cause,
            rows,
        })
    }
}

/// The checksum that sealing stores: of `bytes`, from the segment's start to its last word.
pub fn checksum(bytes: &[u8]) -> u32 {
    crc32_without(bytes, field::CRC)
}

/// Everything that makes a segment, for those who write one outside a mapping: tests and tools.
#[derive(Debug, Clone)]
pub struct Builder<'a> {
    /// The segment, whose `sealed` and rows say what to write.
    pub segment: &'a Segment,
    /// The length to fill, in bytes.
    pub len: usize,
}

impl Builder<'_> {
    /// The bytes; records that do not fit are left out.
    pub fn bytes(&self) -> Vec<u8> {
        let segment = self.segment;
        let inner = segment.keyframe.frames.len() - segment.keyframe.outer as usize;
        let body = HEADER_LEN + Keyframe::encoded_len(segment.keyframe.frames.len());
        let mut keyframe = Vec::new();
        segment.keyframe.encode(&mut keyframe);
        let mut out = vec![0; HEADER_LEN];
        put_at(&mut out, field::MAGIC, &MAGIC);
        put_at(&mut out, field::LAP, &segment.lap.to_le_bytes());
        put_at(&mut out, field::SERIAL, &segment.serial.to_le_bytes());
        put_at(&mut out, field::FIRST_RECORD, &segment.rows.first_record.to_le_bytes());
        put_at(&mut out, field::BASE_TICK, &segment.rows.base_tick.to_le_bytes());
        put_at(&mut out, field::CPU_NS, &segment.cpu_ns.to_le_bytes());
        put_at(&mut out, field::FIBER, &segment.fiber.to_le_bytes());
        put_at(&mut out, field::DEPTH, &segment.keyframe.depth.to_le_bytes());
        put_at(&mut out, field::OUTER, &[segment.keyframe.outer as u8, inner as u8]);
        put_at(&mut out, field::REWINDS, &segment.rewinds.to_le_bytes());
        put_at(&mut out, field::LOST_BEFORE, &segment.lost_before.to_le_bytes());
        put_at(&mut out, field::LOST_CAUSE, &(segment.lost_cause as u32).to_le_bytes());
        put_at(&mut out, field::BODY, &(body as u32).to_le_bytes());
        out.extend(keyframe);
        let mut payload = segment.rows.payload.as_slice();
        for &row in &segment.rows.rows {
            let word = crate::record::Word(row);
            let long = word.kind() == Some(crate::record::Kind::Long);
            let words = if long { word.payload_words().min(payload.len()) } else { 0 };
            if out.len() + 8 * (1 + words) > self.len {
                break;
            }
            out.extend(row.to_le_bytes());
            out.extend(payload[..words].iter().flat_map(|word| word.to_le_bytes()));
            payload = &payload[words..];
        }
        if segment.sealed {
            let used = ((out.len() - body) / 8) as u32;
            put_at(&mut out, field::FLAGS, &SEALED.to_le_bytes());
            put_at(&mut out, field::USED, &used.to_le_bytes());
            put_at(&mut out, field::RECORDS, &(segment.rows.numbered() as u32).to_le_bytes());
            put_at(&mut out, field::END_TICK, &segment.rows.end_tick().to_le_bytes());
            let crc = checksum(&out);
            put_at(&mut out, field::CRC, &crc.to_le_bytes());
        }
        out.resize(self.len, 0);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Frame, INNER_MAX, OUTER_MAX};
    use crate::record::{Kind, Word};
    use proptest::prelude::*;

    fn any_segment() -> impl Strategy<Value = Segment> {
        let word = (0usize..12, any::<u32>(), any::<u32>())
            .prop_map(|(kind, id, delta)| Word::new(Kind::ALL[kind], id, delta).0);
        let words = prop::collection::vec(word, 0..200);
        (words, 0usize..60, any::<bool>(), any::<u64>(), 1u64..).prop_map(
            |(rows, depth, sealed, base_tick, lap)| {
                let frames: Vec<Frame> = (0..depth).map(|i| Frame::new(i as u32, 0, 1)).collect();
                Segment {
                    lap,
                    serial: 3,
                    cpu_ns: 4,
                    fiber: 0,
                    keyframe: Keyframe::of(&frames, OUTER_MAX, INNER_MAX),
                    sealed,
                    rewinds: 1,
                    lost_before: 2,
                    lost_cause: Cause::Budget,
                    rows: Rows { base_tick, first_record: 9, rows, payload: vec![] },
                }
            },
        )
    }

    proptest! {
        #[test]
        fn segments_come_back(segment in any_segment()) {
            let bytes = Builder { segment: &segment, len: SEGMENT_LEN }.bytes();
            prop_assert_eq!(version(&bytes), Some((segment.lap, 1)));
            prop_assert_eq!(Segment::parse(&bytes), Ok(segment));
        }

        #[test]
        fn a_flipped_bit_of_a_sealed_segment_is_seen(mut segment in any_segment(), at: prop::sample::Index, bit in 0u8..8) {
            segment.sealed = true;
            let mut bytes = Builder { segment: &segment, len: SEGMENT_LEN }.bytes();
            let used = bytes.len().min(HEADER_LEN + Keyframe::encoded_len(segment.keyframe.frames.len()) + 8 * segment.rows.rows.len());
            let at = at.index(used);
            bytes[at] ^= 1 << bit;
            // One bit turns a sealed segment into one still being written.
            if at != field::FLAGS || bit != 0 {
                prop_assert!(Segment::parse(&bytes).is_err());
            }
        }

        #[test]
        fn any_bytes_give_a_result_or_an_error(mut bytes in prop::collection::vec(any::<u8>(), 0..600), real: bool) {
            if real && bytes.len() > 16 {
                bytes[..8].copy_from_slice(&MAGIC);
            }
            let _ = Segment::parse(&bytes);
        }
    }
}
