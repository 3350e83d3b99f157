//! Walking over the chunks of a `trace.bin` by `pread`, whatever its size.
//!
//! The format crate's scan needs the whole file as a slice; a writer that goes
//! on with a file of many gigabytes needs only the headers and a few payloads.

use std::fs::File;
use std::path::Path;

use rtrace_format::chunk::{ALIGN, ChunkHeader, HEADER_LEN, MARKER};
use rtrace_format::file;
use rtrace_format::index::{TRAILER_LEN, Trailer};

use crate::error::{Error, Result};
use crate::read;

/// What stands at a place of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// A chunk that is there to its end.
    Chunk {
        /// Where it begins.
        offset: u64,
        /// Its header, whose checksum holds.
        header: ChunkHeader,
    },
    /// Bytes that belong to no chunk, up to the next one.
    Damaged,
}

/// A walk from chunk to chunk.
#[derive(Debug)]
pub(crate) struct Walk<'a> {
    file: &'a File,
    path: &'a Path,
    at: u64,
    len: u64,
}

impl<'a> Walk<'a> {
    /// Begins behind the header of the file, which is taken as checked.
    pub(crate) fn new(file: &'a File, path: &'a Path) -> Result<Walk<'a>> {
        let len = read::len(file, path)?;
        Ok(Walk { file, path, at: file::HEADER_LEN as u64, len })
    }

    /// Behind the last whole chunk so far: where a torn end or the trailer
    /// begins once the walk is over, and where the next chunk is to be written.
    pub(crate) fn end(&self) -> u64 {
        self.at
    }

    /// The next chunk or damaged stretch; none at the trailer, at a torn end, at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Found>> {
        let header = match self.header_at(self.at)? {
            Head::Chunk(header) => header,
            // A trailer in the middle: something was appended behind it.
            Head::Trailer if self.at + (TRAILER_LEN as u64) < self.len => {
                return self.resync();
            }
            Head::Trailer | Head::End => return Ok(None),
            Head::Nothing => return self.resync(),
        };
        let offset = self.at;
        match offset.checked_add(header.file_len()).filter(|&end| end <= self.len) {
            Some(end) => {
                self.at = end;
                Ok(Some(Found::Chunk { offset, header }))
            }
            None => self.resync(),
        }
    }

    /// Looks for the next whole chunk; where there is none, the rest is a torn end.
    fn resync(&mut self) -> Result<Option<Found>> {
        const STEP: usize = 256 * 1024;
        let mut buf = vec![0; STEP];
        let mut at = self.at + ALIGN as u64;
        while at < self.len {
            let got = read::read_at(self.file, self.path, &mut buf, at)?;
            for (i, place) in buf[..got].chunks(ALIGN).enumerate() {
                if place.get(..4) != Some(&MARKER) {
                    continue;
                }
                let found = at + (i * ALIGN) as u64;
                if let Head::Chunk(header) = self.header_at(found)?
                    && found.checked_add(header.file_len()).is_some_and(|end| end <= self.len)
                {
                    self.at = found;
                    return Ok(Some(Found::Damaged));
                }
            }
            if got < STEP {
                break;
            }
            at += STEP as u64;
        }
        Ok(None)
    }

    fn header_at(&self, at: u64) -> Result<Head> {
        let mut bytes = [0; HEADER_LEN];
        let got = read::read_at(self.file, self.path, &mut bytes, at)?;
        Ok(match ChunkHeader::parse(&bytes[..got]) {
            _ if got == 0 => Head::End,
            Ok(header) => Head::Chunk(header),
            Err(_) if got == TRAILER_LEN && Trailer::parse(&bytes).is_ok() => Head::Trailer,
            Err(_) => Head::Nothing,
        })
    }
}

enum Head {
    Chunk(ChunkHeader),
    Trailer,
    Nothing,
    End,
}

/// The payload of a chunk that a walk found, if it is at most `max` bytes and
/// its checksum holds.
pub(crate) fn payload(
    file: &File,
    path: &Path,
    offset: u64,
    header: &ChunkHeader,
    max: usize,
) -> Result<Vec<u8>> {
    let damaged = |error: rtrace_format::Error| Error::format(path, error.at(offset));
    let len = usize::try_from(header.len).ok().filter(|&len| len <= max).ok_or_else(|| {
        let kind = rtrace_format::ErrorKind::TooLarge("a chunk");
        damaged(rtrace_format::Error::new(kind, 0))
    })?;
    let mut bytes = vec![0; len];
    let got = read::read_at(file, path, &mut bytes, offset + HEADER_LEN as u64)?;
    bytes.truncate(got);
    header.check(&bytes).map_err(|error| damaged(error.at(HEADER_LEN as u64)))?;
    Ok(bytes)
}
