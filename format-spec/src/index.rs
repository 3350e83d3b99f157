//! The index at the end of a finished trace, and its trailer (SPEC section 9.3).

use crate::bytes::{Reader, crc32, put_at};
use crate::error::{Error, ErrorKind, Result};

/// Length of the trailer, in bytes.
pub const TRAILER_LEN: usize = 32;
/// Length of an entry, in bytes.
pub const ENTRY_LEN: usize = 64;
/// The last bytes of a finished trace.
pub const TRAILER_MAGIC: [u8; 8] = *b"RTRACEIX";
/// Flag: no process of the session was live when the index was written.
pub const FINAL: u32 = 1;

/// What the index says of one chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IndexEntry {
    /// What the chunk is.
    pub tag: [u8; 4],
    /// Its level, of `NODE`.
    pub level: u32,
    /// Where it begins in the file.
    pub offset: u64,
    /// Length of its payload, in bytes.
    pub len: u64,
    /// The thread, of `EVNT`, `NODE` and `THRD`.
    pub serial: u64,
    /// Its first record number, of `EVNT` and `NODE`.
    pub first_record: u64,
    /// Its base tick, of `EVNT` and `NODE`.
    pub base_tick: u64,
    /// The tick of its last record, of `EVNT` and `NODE`.
    pub end_tick: u64,
    /// How many numbered records it holds, of `EVNT` and `NODE`.
    pub records: u32,
    /// The greatest depth that it reaches, of `EVNT` and `NODE`.
    pub max_depth: u32,
}

/// The index.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Index {
    /// Whether no process of the session was live any more.
    pub is_final: bool,
    /// Every chunk before the index, in file order.
    pub entries: Vec<IndexEntry>,
}

impl Index {
    /// The payload of the `INDX` chunk.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(8 + self.entries.len() * ENTRY_LEN);
        out.extend(if self.is_final { FINAL } else { 0 }.to_le_bytes());
        out.extend((self.entries.len() as u32).to_le_bytes());
        for entry in &self.entries {
            let mut bytes = [0; ENTRY_LEN];
            put_at(&mut bytes, 0, &entry.tag);
            put_at(&mut bytes, 4, &entry.level.to_le_bytes());
            put_at(&mut bytes, 8, &entry.offset.to_le_bytes());
            put_at(&mut bytes, 16, &entry.len.to_le_bytes());
            put_at(&mut bytes, 24, &entry.serial.to_le_bytes());
            put_at(&mut bytes, 32, &entry.first_record.to_le_bytes());
            put_at(&mut bytes, 40, &entry.base_tick.to_le_bytes());
            put_at(&mut bytes, 48, &entry.end_tick.to_le_bytes());
            put_at(&mut bytes, 56, &entry.records.to_le_bytes());
            put_at(&mut bytes, 60, &entry.max_depth.to_le_bytes());
            out.extend(bytes);
        }
        out
    }

    /// Reads the payload of an `INDX` chunk.
    ///
    /// # Errors
    /// Truncated input, or more entries than it can hold.
    pub fn parse(payload: &[u8]) -> Result<Index> {
        let mut reader = Reader::new(payload, "the index");
        let is_final = reader.u32()? & FINAL != 0;
        let count = reader.u32()? as usize;
        if count > reader.remaining() / ENTRY_LEN {
            return Err(reader.error(ErrorKind::TooLarge("the index")));
        }
        let mut entries = Vec::with_capacity(count);
        for _ in 0..count {
            let tag = reader.u32()?.to_le_bytes();
            entries.push(IndexEntry {
                tag,
                level: reader.u32()?,
                offset: reader.u64()?,
                len: reader.u64()?,
                serial: reader.u64()?,
                first_record: reader.u64()?,
                base_tick: reader.u64()?,
                end_tick: reader.u64()?,
                records: reader.u32()?,
                max_depth: reader.u32()?,
            });
        }
        Ok(Index { is_final, entries })
    }
}

/// The last bytes of a finished trace: where the index is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trailer {
    /// The offset of the `INDX` chunk.
    pub index_offset: u64,
}

impl Trailer {
    /// The trailer's bytes.
    pub fn encode(&self) -> [u8; TRAILER_LEN] {
        let mut bytes = [0; TRAILER_LEN];
        put_at(&mut bytes, 0, &self.index_offset.to_le_bytes());
        let crc = crc32(&bytes[..16]);
        put_at(&mut bytes, 16, &crc.to_le_bytes());
        put_at(&mut bytes, 24, &TRAILER_MAGIC);
        bytes
    }

    /// Reads the trailer at the end of `file`.
    ///
    /// # Errors
    /// There is none, or its checksum does not hold.
    pub fn parse(file: &[u8]) -> Result<Trailer> {
        let missing = || Error::new(ErrorKind::BadMagic("the trailer"), file.len() as u64);
        let at = file.len().checked_sub(TRAILER_LEN).ok_or_else(missing)?;
        let bytes = &file[at..];
        if bytes[24..] != TRAILER_MAGIC {
            return Err(missing());
        }
        let mut reader = Reader::new(bytes, "the trailer");
        let index_offset = reader.u64()?;
        reader.skip(8)?;
        if reader.u32()? != crc32(&bytes[..16]) {
            return Err(Error::new(ErrorKind::BadChecksum("the trailer"), at as u64));
        }
        Ok(Trailer { index_offset })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_index_comes_back() {
        let entry = IndexEntry {
            tag: *b"NODE",
            level: 9,
            offset: 1,
            len: 2,
            serial: 3,
            first_record: 4,
            base_tick: 5,
            end_tick: 6,
            records: 7,
            max_depth: 8,
        };
        let index = Index { is_final: true, entries: vec![entry, IndexEntry::default()] };
        assert_eq!(Index::parse(&index.encode()), Ok(index));
        let trailer = Trailer { index_offset: 99 };
        let mut file = vec![1, 2, 3];
        file.extend(trailer.encode());
        assert_eq!(Trailer::parse(&file), Ok(trailer));
        file[3] ^= 1;
        assert!(Trailer::parse(&file).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_result_or_an_error(bytes: Vec<u8>) {
            let _ = Index::parse(&bytes);
            let _ = Trailer::parse(&bytes);
        }
    }
}
