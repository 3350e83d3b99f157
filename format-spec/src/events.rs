//! Event chunks: consecutive records of one thread, by column (SPEC section 9.2).

use crate::bytes::{Reader, crc32, pad, put_at, u32_at};
use crate::columns;
use crate::error::{Error, ErrorKind, Result};
use crate::frame::Keyframe;
use crate::record::{Cause, Kind, Word};
use crate::rows::Rows;
use crate::summary::Summary;

/// Length of the fixed header, in bytes.
pub const HEADER_LEN: usize = 96;
/// The most record words of a chunk, and the most payload words.
pub const WORDS_MAX: usize = 1 << 17;
/// The most outermost frames of a keyframe, and the most innermost ones.
pub const KEYFRAME_MAX: u32 = 1 << 16;
/// Length of the checksum behind the summary.
const CHECKSUM_LEN: usize = 4;
/// Offset of the summary's length in the header; that of the columns follows.
const SUMMARY_LEN_AT: usize = 80;

/// What an event chunk says before its columns are decoded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventHeader {
    /// The thread.
    pub serial: u64,
    /// The record number of the first numbered record.
    pub first_record: u64,
    /// The tick from which the first delta counts.
    pub base_tick: u64,
    /// The tick of the last record.
    pub end_tick: u64,
    /// CPU time of the thread at the base tick, in ns.
    pub cpu_ns: u64,
    /// Events dropped just before this chunk.
    pub lost_before: u64,
    /// The number of the cause of that loss.
    pub lost_cause: u32,
    /// How many numbered records there are.
    pub records: u32,
    /// How many record words there are.
    pub rows: u32,
    /// How many payload words there are.
    pub payload_words: u32,
    /// The fiber that ran at the start.
    pub fiber: u32,
    /// The highest lap that went into this chunk.
    pub lap: u64,
    /// The frames open at the start.
    pub keyframe: Keyframe,
}

impl EventHeader {
    /// Why events were dropped just before this chunk.
    pub fn cause(&self) -> Cause {
        Cause::from_number(self.lost_cause)
    }

    /// The record number after the last.
    pub fn end_record(&self) -> u64 {
        self.first_record.saturating_add(self.records.into())
    }

    /// Reads the header from the first bytes of a payload, and gives what of
    /// the summary there is among them: for those who pass over many chunks.
    ///
    /// # Errors
    /// As [`EventChunk::parse`].
    pub fn parse(prefix: &[u8]) -> Result<(EventHeader, &[u8])> {
        let mut reader = Reader::new(prefix, "an event chunk");
        let (header, summary_len, _) = EventHeader::decode(&mut reader)?;
        let summary = reader.remaining().min(summary_len as usize);
        Ok((header, reader.take(summary)?))
    }

    /// Also gives the lengths of the summary and the columns, which follow.
    fn decode(reader: &mut Reader<'_>) -> Result<(EventHeader, u32, u32)> {
        let mut header = EventHeader {
            serial: reader.u64()?,
            first_record: reader.u64()?,
            base_tick: reader.u64()?,
            end_tick: reader.u64()?,
            cpu_ns: reader.u64()?,
            lost_before: reader.u64()?,
            lost_cause: reader.u32()?,
            records: reader.u32()?,
            rows: reader.u32()?,
            payload_words: reader.u32()?,
            fiber: reader.u32()?,
            ..EventHeader::default()
        };
        let depth = reader.u32()?;
        let (outer, inner) = (reader.u32()?, reader.u32()?);
        let (summary_len, columns_len) = (reader.u32()?, reader.u32()?);
        header.lap = reader.u64()?;
        let limit = WORDS_MAX as u32;
        if header.rows > limit || header.payload_words > limit || header.records > header.rows {
            return Err(Error::new(ErrorKind::TooLarge("an event chunk"), 52));
        }
        if outer > KEYFRAME_MAX || inner > KEYFRAME_MAX {
            return Err(Error::new(ErrorKind::TooLarge("a keyframe"), 72));
        }
        header.keyframe = Keyframe::decode(reader, depth, outer, inner)?;
        Ok((header, summary_len, columns_len))
    }
}

/// An event chunk's payload, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventChunk<'a> {
    /// The header and the keyframe.
    pub header: EventHeader,
    /// The summary's bytes; see [`crate::Summary::parse`].
    pub summary: &'a [u8],
    /// Everything before the columns' padding: what a checksum of its own covers.
    front: &'a [u8],
    /// The columns, still compressed.
    pub columns: &'a [u8],
}

impl<'a> EventChunk<'a> {
    /// Reads everything but the columns.
    ///
    /// # Errors
    /// Truncated input, counts beyond the format's limits.
    pub fn parse(payload: &'a [u8]) -> Result<EventChunk<'a>> {
        let mut reader = Reader::new(payload, "an event chunk");
        let (header, summary_len, columns_len) = EventHeader::decode(&mut reader)?;
        let summary = reader.take(summary_len as usize)?;
        reader.skip(CHECKSUM_LEN)?;
        let front = &payload[..reader.offset() as usize];
        reader.skip(front.len().next_multiple_of(8) - front.len())?;
        let columns = reader.take(columns_len as usize)?;
        Ok(EventChunk { header, summary, front, columns })
    }

    /// Checks all but the columns.
    ///
    /// # Errors
    /// The checksum is not that of header, keyframe and summary.
    pub fn check_front(&self) -> Result<()> {
        let at = self.front.len() - CHECKSUM_LEN;
        if u32_at(self.front, at) != Some(crc32(&self.front[..at])) {
            let what = ErrorKind::BadChecksum("the beginning of an event chunk");
            return Err(Error::new(what, at as u64));
        }
        Ok(())
    }

    /// Decodes the columns. `scratch` is memory to be used again from chunk to chunk.
    ///
    /// # Errors
    /// Damaged compression, or columns that are not what the header says.
    pub fn rows(&self, scratch: &mut Vec<u8>) -> Result<Rows> {
        let at = self.front.len().next_multiple_of(8) as u64;
        let damaged = |_| Error::new(ErrorKind::Compression, at);
        let (rows, payload) = (self.header.rows as usize, self.header.payload_words as usize);
        let len = 8 * (rows + payload);
        scratch.clear();
        scratch.reserve(len);
        let mut zstd = zstd::bulk::Decompressor::new().map_err(damaged)?;
        zstd.decompress_to_buffer(self.columns, scratch).map_err(damaged)?;
        if scratch.len() != len {
            return Err(Error::new(ErrorKind::BadValue("the length of the columns"), at));
        }
        let (planes, words) = scratch.split_at(8 * rows);
        let rows = Rows {
            base_tick: self.header.base_tick,
            first_record: self.header.first_record,
            rows: columns::join(planes),
            payload: words
                .chunks_exact(8)
                .map(|word| word.try_into().map_or(0, u64::from_le_bytes))
                .collect(),
        };
        let words_of = |row: &u64| {
            if row >> 60 == Kind::Long as u64 { Word(*row).payload_words() } else { 0 }
        };
        let owed: usize = rows.rows.iter().map(words_of).sum();
        if owed != payload || rows.numbered() != self.header.records.into() {
            return Err(Error::new(ErrorKind::BadValue("the number of records"), at));
        }
        Ok(rows)
    }
}

/// Writes event chunks; holds the compressor and its buffers.
pub struct Encoder {
    zstd: zstd::bulk::Compressor<'static>,
    planes: Vec<u8>,
}

impl Encoder {
    /// An encoder of zstd level 1.
    ///
    /// # Errors
    /// zstd could not allocate its state.
    pub fn new() -> Result<Encoder> {
        let failed = |_| Error::new(ErrorKind::Compression, 0);
        let mut zstd = zstd::bulk::Compressor::new(1).map_err(failed)?;
        zstd.include_checksum(true).map_err(failed)?;
        zstd.include_contentsize(true).map_err(failed)?;
        Ok(Encoder { zstd, planes: Vec::new() })
    }

    /// The payload of an `EVNT` chunk. Counts, base tick and record number are
    /// those of `rows`; the rest of `header` is taken as it is.
    ///
    /// # Errors
    /// More words than a chunk holds, or zstd failed.
    pub fn encode(
        &mut self,
        header: &EventHeader,
        rows: &Rows,
        summary: Option<&Summary>,
    ) -> Result<Vec<u8>> {
        if rows.rows.len() > WORDS_MAX || rows.payload.len() > WORDS_MAX {
            return Err(Error::new(ErrorKind::TooLarge("an event chunk"), 52));
        }
        self.planes.clear();
        columns::split(&rows.rows, &mut self.planes);
        self.planes.extend(rows.payload.iter().flat_map(|word| word.to_le_bytes()));
        let columns =
            self.zstd.compress(&self.planes).map_err(|_| Error::new(ErrorKind::Compression, 0))?;
        let summary = summary.map_or(Vec::new(), |summary| summary.encode(columns.len()));
        let keyframe = &header.keyframe;
        let inner = keyframe.frames.len() as u32 - keyframe.outer.min(keyframe.frames.len() as u32);
        let mut out = Vec::with_capacity(HEADER_LEN + summary.len() + columns.len() + 1024);
        for field in [
            header.serial,
            rows.first_record,
            rows.base_tick,
            rows.end_tick(),
            header.cpu_ns,
            header.lost_before,
        ] {
            out.extend(field.to_le_bytes());
        }
        for field in [
            header.lost_cause,
            rows.numbered() as u32,
            rows.rows.len() as u32,
            rows.payload.len() as u32,
            header.fiber,
            keyframe.depth,
            keyframe.outer,
            inner,
            0,
            0,
        ] {
            out.extend(field.to_le_bytes());
        }
        out.extend(header.lap.to_le_bytes());
        keyframe.encode(&mut out);
        let lens = [(summary.len() as u32).to_le_bytes(), (columns.len() as u32).to_le_bytes()];
        put_at(&mut out, SUMMARY_LEN_AT, &lens.concat());
        out.extend_from_slice(&summary);
        out.extend(crc32(&out).to_le_bytes());
        pad(&mut out, 8);
        out.extend(columns);
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Frame;
    use crate::record::ID_MASK;
    use proptest::prelude::*;

    fn any_rows() -> impl Strategy<Value = Rows> {
        let row = prop_oneof![
            (0usize..12, 0u32..=ID_MASK, any::<u32>())
                .prop_map(|(kind, id, delta)| (Word::new(Kind::ALL[kind], id, delta), vec![])),
            (any::<u8>(), prop::collection::vec(any::<u64>(), 0..9), any::<u32>()).prop_map(
                |(subkind, payload, delta)| {
                    (Word::long(subkind, payload.len() as u8, 0, delta), payload)
                }
            ),
        ];
        (any::<u64>(), any::<u64>(), prop::collection::vec(row, 0..300)).prop_map(
            |(base_tick, first_record, records)| {
                let mut rows = Rows { base_tick, first_record, ..Rows::default() };
                for (word, payload) in records {
                    rows.rows.push(word.0);
                    rows.payload.extend(payload);
                }
                rows
            },
        )
    }

    proptest! {
        #[test]
        fn chunks_come_back(rows in any_rows(), depth in 0u32..50, summarized: bool) {
            let frames: Vec<Frame> = (0..depth).map(|i| Frame::new(i, 0, 5)).collect();
            let header = EventHeader {
                serial: 3,
                cpu_ns: 4,
                lost_before: 5,
                lost_cause: 1,
                fiber: 6,
                lap: 7,
                keyframe: Keyframe::of(&frames, 8, 1024),
                ..EventHeader::default()
            };
            let summary = summarized.then(|| {
                let mut stack = crate::Stack::from_keyframe(&header.keyframe);
                crate::SummaryBuilder::new(99).summarize(&rows, &mut stack)
            });
            let payload =
                Encoder::new().unwrap().encode(&header, &rows, summary.as_ref()).unwrap();
            let chunk = EventChunk::parse(&payload).unwrap();
            prop_assert_eq!(chunk.check_front(), Ok(()));
            if let Some(mut summary) = summary {
                let found = Summary::parse(chunk.summary).unwrap();
                if found.functions.is_none() {
                    summary.functions = None;
                }
                prop_assert_eq!(found, summary);
            } else {
                prop_assert!(chunk.summary.is_empty());
            }
            prop_assert_eq!(&chunk.header.keyframe, &header.keyframe);
            let prefix = &payload[..payload.len() - chunk.columns.len()];
            prop_assert_eq!(EventHeader::parse(prefix), Ok((chunk.header.clone(), chunk.summary)));
            prop_assert_eq!(chunk.header.cause(), Cause::CollectorBehind);
            prop_assert_eq!(chunk.header.end_tick, rows.end_tick());
            prop_assert_eq!(chunk.header.lap, 7);
            prop_assert_eq!(chunk.rows(&mut Vec::new()), Ok(rows));
        }

        #[test]
        fn a_changed_byte_gives_a_result_or_an_error(rows in any_rows(), at: prop::sample::Index, byte: u8) {
            let mut payload = Encoder::new().unwrap().encode(&EventHeader::default(), &rows, None).unwrap();
            let at = at.index(payload.len());
            payload[at] = byte;
            if let Ok(chunk) = EventChunk::parse(&payload) {
                let _ = chunk.rows(&mut Vec::new());
            }
        }

        #[test]
        fn any_bytes_give_a_result_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(chunk) = EventChunk::parse(&bytes) {
                let _ = chunk.rows(&mut Vec::new());
            }
        }
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_unpacked() {
        let mut header = EventHeader::default();
        header.keyframe.depth = 0;
        let rows = Rows { rows: vec![Word::new(Kind::Call, 4, 1).0; WORDS_MAX], ..Rows::default() };
        let mut payload = Encoder::new().unwrap().encode(&header, &rows, None).unwrap();
        put_at(&mut payload, 52, &1u32.to_le_bytes());
        put_at(&mut payload, 56, &1u32.to_le_bytes());
        let chunk = EventChunk::parse(&payload).unwrap();
        let mut scratch = Vec::new();
        assert!(chunk.rows(&mut scratch).is_err());
        assert!(scratch.capacity() < 4096, "no more than the header asked for");
    }
}
