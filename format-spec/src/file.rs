//! The header of `trace.bin` (SPEC section 9).

use crate::bytes::{Reader, crc32, put_at};
use crate::error::{Error, ErrorKind, Result};

/// The first bytes of every `trace.bin`: like PNG's, they show a transfer that changed line ends.
pub const MAGIC: [u8; 8] = *b"\x89RTR\r\n\x1a\n";
/// The major version that is written, and the only one that is read.
pub const MAJOR: u16 = 1;
/// The minor version that is written.
pub const MINOR: u16 = 0;
/// Length of the header, in bytes.
pub const HEADER_LEN: usize = 64;
/// The incompatible features that this build knows.
pub const KNOWN_FEATURES: u32 = 0;

/// The header of `trace.bin`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileHeader {
    /// Major version.
    pub major: u16,
    /// Minor version.
    pub minor: u16,
    /// Compatible features; bits that are not known mean nothing.
    pub features: u32,
    /// The session's uuid.
    pub uuid: [u8; 16],
    /// When the file was made, in ns since the epoch.
    pub created_ns: u64,
}

impl FileHeader {
    /// A header of the version that is written.
    pub fn new(uuid: [u8; 16], created_ns: u64) -> FileHeader {
        FileHeader { major: MAJOR, minor: MINOR, features: 0, uuid, created_ns }
    }

    /// The header's bytes.
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut header = [0; HEADER_LEN];
        put_at(&mut header, 0, &MAGIC);
        put_at(&mut header, 8, &self.major.to_le_bytes());
        put_at(&mut header, 10, &self.minor.to_le_bytes());
        put_at(&mut header, 12, &(HEADER_LEN as u32).to_le_bytes());
        put_at(&mut header, 20, &self.features.to_le_bytes());
        put_at(&mut header, 24, &self.uuid);
        put_at(&mut header, 40, &self.created_ns.to_le_bytes());
        let crc = crc32(&header[..60]);
        put_at(&mut header, 60, &crc.to_le_bytes());
        header
    }

    /// Reads a header.
    ///
    /// # Errors
    /// Too short, not ours, a major version or a feature that this build does
    /// not know, a checksum that does not hold.
    pub fn parse(bytes: &[u8]) -> Result<FileHeader> {
        let mut reader = Reader::new(bytes, "the header of the trace");
        let magic = bytes.get(..8).unwrap_or(bytes);
        if magic.is_empty() || magic != &MAGIC[..magic.len()] {
            return Err(Error::new(ErrorKind::BadMagic("an rtrace file"), 0));
        }
        reader.skip(8)?;
        let (major, minor) = (reader.u16()?, reader.u16()?);
        check_major(major, 8)?;
        let header = reader.take(HEADER_LEN - 12)?;
        let mut fields = Reader::new(header, "the header of the trace");
        fields.skip(4)?;
        let incompatible = fields.u32()?;
        let features = fields.u32()?;
        let (uuid, created_ns) = (fields.uuid()?, fields.u64()?);
        fields.skip(12)?;
        if fields.u32()? != crc32(&bytes[..60]) {
            return Err(Error::new(ErrorKind::BadChecksum("the header of the trace"), 60));
        }
        if incompatible & !KNOWN_FEATURES != 0 {
            return Err(Error::new(ErrorKind::Feature(incompatible & !KNOWN_FEATURES), 16));
        }
        Ok(FileHeader { major, minor, features, uuid, created_ns })
    }
}

/// Refuses every major version but the one that this build reads.
pub(crate) fn check_major(found: u16, offset: u64) -> Result<()> {
    if found == MAJOR {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Version { found, supported: MAJOR }, offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> [u8; HEADER_LEN] {
        FileHeader::new([5; 16], 77).encode()
    }

    #[test]
    fn headers_come_back() {
        assert_eq!(FileHeader::parse(&header()), Ok(FileHeader::new([5; 16], 77)));
    }

    #[test]
    fn what_is_not_ours_is_said() {
        let kind = |bytes: &[u8]| FileHeader::parse(bytes).unwrap_err().kind().clone();
        assert_eq!(kind(b""), ErrorKind::BadMagic("an rtrace file"));
        assert_eq!(
            kind(b"hello world, this is a text file"),
            ErrorKind::BadMagic("an rtrace file")
        );
        assert_eq!(kind(&header()[..30]), ErrorKind::Truncated("the header of the trace"));
        let mut other = header();
        other[8] = 9;
        assert_eq!(kind(&other), ErrorKind::Version { found: 9, supported: 1 });
        let mut damaged = header();
        damaged[40] ^= 1;
        assert_eq!(kind(&damaged), ErrorKind::BadChecksum("the header of the trace"));
        let mut newer = header();
        newer[16] = 4;
        let crc = crc32(&newer[..60]);
        newer[60..].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(kind(&newer), ErrorKind::Feature(4));
    }
}
