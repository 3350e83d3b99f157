//! Sections: parts of a summary, each compressed by itself (SPEC section 10).

use std::borrow::Cow;

use crate::bytes::{Reader, put_varint};
use crate::error::{ErrorKind, Result};

/// No section is longer.
pub const SECTION_MAX: usize = 1 << 24;

/// The level at which sections are compressed: higher ones gain nothing on them.
const LEVEL: i32 = 1;

/// A section as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Section<'a> {
    len: usize,
    stored: &'a [u8],
}

impl<'a> Section<'a> {
    /// Reads a section, without unpacking it.
    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<Section<'a>> {
        let len = reader.varint()?;
        let len = usize::try_from(len).ok().filter(|&len| len <= SECTION_MAX);
        let len = len.ok_or_else(|| reader.error(ErrorKind::TooLarge("a section")))?;
        let stored = reader.count(1, "a section")?;
        if stored > len {
            return Err(reader.error(ErrorKind::BadValue("a section")));
        }
        Ok(Section { len, stored: reader.take(stored)? })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Its bytes.
    pub(crate) fn unpack(&self) -> Result<Cow<'a, [u8]>> {
        if self.stored.len() == self.len {
            return Ok(Cow::Borrowed(self.stored));
        }
        let damaged = || crate::error::Error::new(ErrorKind::Compression, 0);
        let bytes = zstd::bulk::decompress(self.stored, self.len).map_err(|_| damaged())?;
        if bytes.len() != self.len {
            return Err(damaged());
        }
        Ok(Cow::Owned(bytes))
    }
}

/// Appends a section of these bytes; compressed where that is shorter and `pack` says so.
pub(crate) fn put(out: &mut Vec<u8>, bytes: &[u8], pack: bool) {
    let packed = if pack { zstd::bulk::compress(bytes, LEVEL).ok() } else { None };
    let packed = packed.filter(|packed| packed.len() < bytes.len());
    let stored = packed.as_deref().unwrap_or(bytes);
    put_varint(out, bytes.len() as u64);
    put_varint(out, stored.len() as u64);
    out.extend_from_slice(stored);
}
