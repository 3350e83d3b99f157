//! Reading and writing little-endian fields, with every bound checked.

use crate::error::{Error, ErrorKind, Result};

/// A cursor over bytes that remembers where it is, for the error's offset.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    what: &'static str,
}

impl<'a> Reader<'a> {
    /// Reads `bytes` from their start; `what` names the structure in errors.
    pub fn new(bytes: &'a [u8], what: &'static str) -> Reader<'a> {
        Reader { bytes, at: 0, what }
    }

    /// How many bytes have been read.
    pub fn offset(&self) -> u64 {
        self.at as u64
    }

    /// How many bytes are left.
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// An error of `kind` at the current place.
    pub fn error(&self, kind: ErrorKind) -> Error {
        Error::new(kind, self.offset())
    }

    /// The next `n` bytes.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        if n > self.remaining() {
            return Err(self.error(ErrorKind::Truncated(self.what)));
        }
        let taken = &self.bytes[self.at..self.at + n];
        self.at += n;
        Ok(taken)
    }

    /// Passes over `n` bytes.
    pub fn skip(&mut self, n: usize) -> Result<()> {
        self.take(n).map(|_| ())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    /// The next byte.
    pub fn u8(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    /// The next two bytes.
    pub fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_le_bytes)
    }

    /// The next four bytes.
    pub fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// The next eight bytes.
    pub fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// The next sixteen bytes.
    pub fn uuid(&mut self) -> Result<[u8; 16]> {
        self.array()
    }

    /// The next varint (SPEC section 2).
    ///
    /// # Errors
    /// Truncated input, or more than 64 bits.
    pub fn varint(&mut self) -> Result<u64> {
        let mut value = 0u64;
        for shift in (0..).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7F);
            if shift > 63 || (shift == 63 && bits > 1) {
                return Err(self.error(ErrorKind::BadValue("a varint")));
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        Ok(value)
    }

    /// A varint that counts things of at least `each` bytes that must follow.
    pub fn count(&mut self, each: usize, what: &'static str) -> Result<usize> {
        let count = self.varint()?;
        match usize::try_from(count).ok().and_then(|n| n.checked_mul(each).map(|b| (n, b))) {
            Some((n, bytes)) if bytes <= self.remaining() => Ok(n),
            _ => Err(self.error(ErrorKind::TooLarge(what))),
        }
    }
}

/// Appends a varint.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends zero bytes up to a multiple of `to`.
pub fn pad(out: &mut Vec<u8>, to: usize) {
    out.resize(out.len().next_multiple_of(to), 0);
}

/// The u32 at `at`, if it is there.
pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_le_bytes)
}

/// The u64 at `at`, if it is there.
pub fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at.checked_add(8)?)?.try_into().ok().map(u64::from_le_bytes)
}

/// Stores `field` at `at`; the caller made `bytes` long enough.
pub(crate) fn put_at(bytes: &mut [u8], at: usize, field: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + field.len()) {
        place.copy_from_slice(field);
    }
}

/// The crc32 of `bytes` with the four at `hole` taken as zero.
pub fn crc32_without(bytes: &[u8], hole: usize) -> u32 {
    let split = hole.min(bytes.len());
    let rest = (split + 4).min(bytes.len());
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[..split]);
    hasher.update(&[0; 4][..rest - split]);
    hasher.update(&bytes[rest..]);
    hasher.finalize()
}

/// The crc32 of `bytes`.
pub fn crc32(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn crc32_is_the_one_of_zlib() {
        // The check value that every catalogue of CRCs gives for CRC-32/ISO-HDLC.
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(crc32_without(b"12ABCD789", 2), crc32(b"12\0\0\0\x00789"));
    }

    #[test]
    fn a_varint_of_more_than_64_bits_is_refused() {
        assert!(Reader::new(&[0xFF; 11], "x").varint().is_err());
        let mut most = vec![0xFF; 9];
        most.push(1);
        assert_eq!(Reader::new(&most, "x").varint(), Ok(u64::MAX));
        most[9] = 2;
        assert!(Reader::new(&most, "x").varint().is_err());
    }

    proptest! {
        #[test]
        fn varints_come_back(value: u64) {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            let mut reader = Reader::new(&bytes, "x");
            prop_assert_eq!(reader.varint(), Ok(value));
            prop_assert_eq!(reader.remaining(), 0);
        }
    }
}
