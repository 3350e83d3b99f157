//! Chunks: how `trace.bin` is framed, and how it is walked when it is damaged
//! (SPEC section 9.1).

use crate::bytes::{Reader, crc32, pad, put_at};
use crate::error::{Error, ErrorKind, Result};
use crate::index::{TRAILER_LEN, Trailer};

/// The first bytes of every chunk.
pub const MARKER: [u8; 4] = *b"RTCK";
/// Length of a chunk's header, in bytes.
pub const HEADER_LEN: usize = 32;
/// Chunks begin at multiples of this.
pub const ALIGN: usize = 8;

/// The tags of this version.
pub mod tag {
    /// The session's metadata.
    pub const SESSION: [u8; 4] = *b"SESS";
    /// A process's metadata.
    pub const PROCESS: [u8; 4] = *b"PROC";
    /// A thread's metadata.
    pub const THREAD: [u8; 4] = *b"THRD";
    /// Symbols.
    pub const SYMBOLS: [u8; 4] = *b"SYMB";
    /// Events of one thread.
    pub const EVENTS: [u8; 4] = *b"EVNT";
    /// The summary of consecutive event chunks of one thread.
    pub const NODE: [u8; 4] = *b"NODE";
    /// The index of the chunks before it.
    pub const INDEX: [u8; 4] = *b"INDX";
}

/// The header of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkHeader {
    /// What the payload is.
    pub tag: [u8; 4],
    /// Length of the payload, in bytes.
    pub len: u64,
    /// The payload's crc32.
    pub crc: u32,
}

impl ChunkHeader {
    /// The header of a chunk with this payload.
    pub fn of(tag: [u8; 4], payload: &[u8]) -> ChunkHeader {
        ChunkHeader { tag, len: payload.len() as u64, crc: crc32(payload) }
    }

    /// The header's bytes.
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut header = [0; HEADER_LEN];
        put_at(&mut header, 0, &MARKER);
        put_at(&mut header, 4, &self.tag);
        put_at(&mut header, 8, &self.len.to_le_bytes());
        put_at(&mut header, 16, &self.crc.to_le_bytes());
        let crc = crc32(&header[..28]);
        put_at(&mut header, 28, &crc.to_le_bytes());
        header
    }

    /// Reads a header.
    ///
    /// # Errors
    /// Too short, no marker, a checksum that does not hold.
    pub fn parse(bytes: &[u8]) -> Result<ChunkHeader> {
        let mut reader = Reader::new(bytes, "a chunk's header");
        let header = reader.take(HEADER_LEN)?;
        if header[..4] != MARKER {
            return Err(Error::new(ErrorKind::BadMagic("a chunk"), 0));
        }
        let mut fields = Reader::new(&header[4..], "a chunk's header");
        let tag = fields.u32()?.to_le_bytes();
        let (len, crc) = (fields.u64()?, fields.u32()?);
        fields.skip(8)?;
        if fields.u32()? != crc32(&header[..28]) {
            return Err(Error::new(ErrorKind::BadChecksum("a chunk's header"), 28));
        }
        Ok(ChunkHeader { tag, len, crc })
    }

    /// The tag as text, for messages.
    pub fn tag_name(&self) -> String {
        self.tag.escape_ascii().to_string()
    }

    /// How many bytes the chunk takes in the file, header and padding included.
    pub fn file_len(&self) -> u64 {
        (HEADER_LEN as u64)
            .saturating_add(self.len)
            .checked_next_multiple_of(ALIGN as u64)
            .unwrap_or(u64::MAX)
    }

    /// Checks the payload against the header.
    ///
    /// # Errors
    /// A length or checksum that differs; the offset counts from the payload's start.
    pub fn check(&self, payload: &[u8]) -> Result<()> {
        if payload.len() as u64 != self.len {
            return Err(Error::new(ErrorKind::Truncated("a chunk"), payload.len() as u64));
        }
        if crc32(payload) != self.crc {
            return Err(Error::new(ErrorKind::BadChecksum("a chunk"), 0));
        }
        Ok(())
    }
}

/// A whole chunk: header, payload, padding.
pub fn encode(tag: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_LEN + payload.len() + ALIGN);
    bytes.extend(ChunkHeader::of(tag, payload).encode());
    bytes.extend_from_slice(payload);
    pad(&mut bytes, ALIGN);
    bytes
}

/// What a walk over the chunks finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found<'a> {
    /// A chunk whose header holds. Its payload's checksum is for the reader to check.
    Chunk {
        /// Where the chunk begins in the file.
        offset: u64,
        /// Its header.
        header: ChunkHeader,
        /// Its payload.
        payload: &'a [u8],
    },
    /// The file's end cuts off what begins here.
    Torn {
        /// Where it begins.
        offset: u64,
        /// How many bytes of it there are.
        len: u64,
    },
    /// Bytes that belong to no chunk.
    Damaged {
        /// Where they begin.
        offset: u64,
        /// How many there are, up to the next chunk or the end.
        len: u64,
    },
}

/// Walks over the chunks of a file from `offset` on, going from header to
/// header, and after damage from marker to marker. `file` is the whole file.
pub fn scan(file: &[u8], offset: u64) -> Scan<'_> {
    let at = usize::try_from(offset).unwrap_or(file.len()).next_multiple_of(ALIGN);
    Scan { file, at }
}

/// See [`scan`].
#[derive(Debug, Clone)]
pub struct Scan<'a> {
    file: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    /// Where the walk stands.
    pub fn offset(&self) -> u64 {
        self.at as u64
    }
}

impl<'a> Iterator for Scan<'a> {
    type Item = Found<'a>;

    fn next(&mut self) -> Option<Found<'a>> {
        self.skip_trailers();
        let rest = self.file.get(self.at..).filter(|rest| !rest.is_empty())?;
        let offset = self.at as u64;
        match ChunkHeader::parse(rest) {
            Ok(header) => {
                let end =
                    usize::try_from(header.len).ok().and_then(|len| HEADER_LEN.checked_add(len));
                match end.and_then(|end| rest.get(HEADER_LEN..end)) {
                    Some(payload) => {
                        let len = usize::try_from(header.file_len()).unwrap_or(usize::MAX);
                        self.at = self.at.saturating_add(len);
                        Some(Found::Chunk { offset, header, payload })
                    }
                    // Its end lies beyond the file's: torn, unless another chunk follows.
                    None => Some(self.resync(true)),
                }
            }
            Err(_) => Some(self.resync(rest.len() < HEADER_LEN)),
        }
    }
}

impl<'a> Scan<'a> {
    /// A trailer is no chunk and no damage. One in the middle belongs to an
    /// index that something was appended to.
    fn skip_trailers(&mut self) {
        while let Some(bytes) = self.file.get(self.at..self.at + TRAILER_LEN)
            && Trailer::parse(bytes).is_ok()
        {
            self.at += TRAILER_LEN;
        }
    }

    /// Moves to the next header that holds.
    fn resync(&mut self, may_be_torn: bool) -> Found<'a> {
        let offset = self.at as u64;
        self.at += ALIGN;
        while self.at < self.file.len() && ChunkHeader::parse(&self.file[self.at..]).is_err() {
            self.at += ALIGN;
        }
        self.at = self.at.min(self.file.len());
        let len = self.at as u64 - offset;
        if self.at == self.file.len() && may_be_torn {
            Found::Torn { offset, len }
        } else {
            Found::Damaged { offset, len }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tags(file: &[u8]) -> Vec<String> {
        scan(file, 0)
            .map(|found| match found {
                Found::Chunk { header, payload, .. } => {
                    assert!(header.check(payload).is_ok());
                    header.tag_name()
                }
                Found::Torn { offset, len } => format!("torn {offset}+{len}"),
                Found::Damaged { offset, len } => format!("damaged {offset}+{len}"),
            })
            .collect()
    }

    #[test]
    fn a_walk_goes_on_behind_damage() {
        let mut file = encode(tag::SESSION, b"one");
        let second = file.len();
        file.extend(encode(*b"NEWS", b"a tag of a later version"));
        let third = file.len();
        file.extend(encode(tag::SYMBOLS, b"three"));
        assert_eq!(tags(&file), ["SESS", "NEWS", "SYMB"]);
        let mut finished = file.clone();
        finished.extend(Trailer { index_offset: 0 }.encode());
        finished.extend(encode(tag::PROCESS, b"appended"));
        finished.extend(Trailer { index_offset: 0 }.encode());
        assert_eq!(tags(&finished), ["SESS", "NEWS", "SYMB", "PROC"]);
        let whole = file.clone();
        file[second + 5] ^= 1;
        let damaged = format!("damaged {second}+{}", third - second);
        assert_eq!(tags(&file), ["SESS", &damaged, "SYMB"]);
        let torn = format!("torn {third}+{}", whole.len() - third - 6);
        assert_eq!(tags(&whole[..whole.len() - 6]), ["SESS", "NEWS", &torn]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_walked_to_the_end(bytes: Vec<u8>, cut in 0usize..100) {
            let mut file = bytes;
            pad(&mut file, ALIGN);
            file.extend(encode(tag::SESSION, b"x"));
            file.truncate(file.len().saturating_sub(cut));
            prop_assert!(scan(&file, 0).count() <= file.len() + 1);
        }
    }
}
