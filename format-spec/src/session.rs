//! The session file: the counters that the processes of a session share (SPEC section 7).

use crate::bytes::{Reader, crc32, put_at, u64_at};
use crate::error::{Error, ErrorKind, Result};
use crate::file::{MAJOR, MINOR, check_major};
use crate::meta::Meta;

/// The first bytes of every session file.
pub const MAGIC: [u8; 8] = *b"RTSESS\r\n";
/// Length of the control page, in bytes; the metadata follows it.
pub const HEADER_LEN: usize = 4096;
/// Collector: none was started.
pub const COLLECTOR_NONE: u64 = 0;
/// Collector: started, and has not yet said more.
pub const COLLECTOR_STARTED: u64 = 1;
/// Collector: drains the rings.
pub const COLLECTOR_DRAINING: u64 = 2;
/// Collector: has finished `trace.bin`.
pub const COLLECTOR_FINISHED: u64 = 3;

/// Where each field of the control page lies.
pub mod field {
    #![allow(missing_docs, reason = "the table in SPEC.md section 7 says what each one is")]
    pub const MAGIC: usize = 0;
    pub const MAJOR: usize = 8;
    pub const MINOR: usize = 10;
    pub const HEADER_LEN: usize = 12;
    pub const UUID: usize = 16;
    pub const NEXT_SERIAL: usize = 32;
    pub const NEXT_PROCESS: usize = 40;
    pub const SYMBOLS_TAIL: usize = 48;
    pub const MEMORY_USED: usize = 56;
    pub const MEMORY_MAX: usize = 64;
    pub const COLLECTOR_PID: usize = 72;
    pub const COLLECTOR_STATE: usize = 80;
    pub const META_LEN: usize = 88;
    pub const META_CRC: usize = 96;
    pub const CLOSING: usize = 104;
    pub const GIVEN_BACK: usize = 112;
    pub const REMOVING: usize = 120;
    pub const GIVEN_BACK_THEN: usize = 128;
    pub const SYMBOLS_PAID: usize = 136;
}

/// A session file as read.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionHeader {
    /// The session's uuid, and the trace's.
    pub uuid: [u8; 16],
    /// The serial that the next thread gets.
    pub next_serial: u64,
    /// The number that the next process gets.
    pub next_process: u64,
    /// How far the symbols file is taken, in bytes.
    pub symbols_tail: u64,
    /// Bytes taken for files of the session, those that were given back still among them.
    pub memory_used: u64,
    /// The most bytes that may be.
    pub memory_max: u64,
    /// The collector's pid, 0 for none.
    pub collector_pid: u64,
    /// What the collector does: one of the `COLLECTOR_` numbers.
    pub collector_state: u64,
    /// Bytes of rings that packers removed.
    pub given_back: u64,
    /// What is said of the session as a whole.
    pub meta: Meta,
}

impl SessionHeader {
    /// The bytes of a session file.
    pub fn encode(&self) -> Vec<u8> {
        let meta = self.meta.encode();
        let mut file = vec![0; HEADER_LEN];
        put_at(&mut file, field::MAGIC, &MAGIC);
        put_at(&mut file, field::MAJOR, &MAJOR.to_le_bytes());
        put_at(&mut file, field::MINOR, &MINOR.to_le_bytes());
        put_at(&mut file, field::HEADER_LEN, &(HEADER_LEN as u32).to_le_bytes());
        put_at(&mut file, field::UUID, &self.uuid);
        put_at(&mut file, field::NEXT_SERIAL, &self.next_serial.to_le_bytes());
        put_at(&mut file, field::NEXT_PROCESS, &self.next_process.to_le_bytes());
        put_at(&mut file, field::SYMBOLS_TAIL, &self.symbols_tail.to_le_bytes());
        put_at(&mut file, field::MEMORY_USED, &self.memory_used.to_le_bytes());
        put_at(&mut file, field::MEMORY_MAX, &self.memory_max.to_le_bytes());
        put_at(&mut file, field::COLLECTOR_PID, &self.collector_pid.to_le_bytes());
        put_at(&mut file, field::COLLECTOR_STATE, &self.collector_state.to_le_bytes());
        put_at(&mut file, field::META_LEN, &(meta.len() as u64).to_le_bytes());
        put_at(&mut file, field::META_CRC, &crc32(&meta).to_le_bytes());
        put_at(&mut file, field::GIVEN_BACK, &self.given_back.to_le_bytes());
        put_at(&mut file, field::GIVEN_BACK_THEN, &self.given_back.to_le_bytes());
        file.extend(meta);
        file
    }

    /// Reads a session file.
    ///
    /// # Errors
    /// Missing magic, another major version, damaged metadata.
    pub fn parse(file: &[u8]) -> Result<SessionHeader> {
        let mut reader = Reader::new(file, "a session file");
        if reader.take(8)? != MAGIC {
            return Err(Error::new(ErrorKind::BadMagic("a session file"), 0));
        }
        check_major(reader.u16()?, field::MAJOR as u64)?;
        reader.skip(6)?;
        Ok(SessionHeader {
            uuid: reader.uuid()?,
            next_serial: reader.u64()?,
            next_process: reader.u64()?,
            symbols_tail: reader.u64()?,
            memory_used: reader.u64()?,
            memory_max: reader.u64()?,
            collector_pid: reader.u64()?,
            collector_state: reader.u64()?,
            given_back: given_back(file),
            meta: trailing_meta(file, field::META_LEN, HEADER_LEN)?,
        })
    }

    /// Bytes of the budget that are in use.
    pub fn memory_in_use(&self) -> u64 {
        self.memory_used.saturating_sub(self.given_back)
    }
}

/// Of the two fields the smaller holds: it is never ahead of what was removed, in
/// whichever instant between their stores this looks.
fn given_back(file: &[u8]) -> u64 {
    let get = |at| u64_at(file, at).unwrap_or(0);
    get(field::GIVEN_BACK).min(get(field::GIVEN_BACK_THEN))
}

/// The metadata behind a header that gives its length at `len_at` and its
/// crc32 right after that.
pub(crate) fn trailing_meta(file: &[u8], len_at: usize, header_len: usize) -> Result<Meta> {
    let truncated = || Error::new(ErrorKind::Truncated("the metadata"), header_len as u64);
    let len = u64_at(file, len_at).ok_or_else(truncated)?;
    let crc = crate::bytes::u32_at(file, len_at + 8).ok_or_else(truncated)?;
    let end = usize::try_from(len).ok().and_then(|len| header_len.checked_add(len));
    let meta = end.and_then(|end| file.get(header_len..end)).ok_or_else(truncated)?;
    if crc32(meta) != crc {
        return Err(Error::new(ErrorKind::BadChecksum("the metadata"), header_len as u64));
    }
    Meta::decode(meta).map_err(|error| error.at(header_len as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::Value;
    use proptest::prelude::*;

    #[test]
    fn session_files_come_back() {
        let mut meta = Meta::default();
        meta.set("mode", Value::text("flight"));
        let session = SessionHeader {
            uuid: [1; 16],
            next_serial: 2,
            next_process: 3,
            symbols_tail: 64,
            memory_used: 5,
            memory_max: 6,
            collector_pid: 7,
            collector_state: COLLECTOR_DRAINING,
            given_back: 4,
            meta,
        };
        let mut bytes = session.encode();
        assert_eq!(SessionHeader::parse(&bytes), Ok(session));
        *bytes.last_mut().unwrap() ^= 1;
        let error = SessionHeader::parse(&bytes).unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::BadChecksum("the metadata"));
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_result_or_an_error(mut bytes in prop::collection::vec(any::<u8>(), 0..5000)) {
            let _ = SessionHeader::parse(&bytes);
            if bytes.len() > 10 {
                bytes[..10].copy_from_slice(b"RTSESS\r\n\x01\0");
                let _ = SessionHeader::parse(&bytes);
            }
        }
    }
}
