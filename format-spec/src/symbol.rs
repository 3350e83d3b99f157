//! Symbols: what ids stand for, and the file that they are appended to (SPEC section 6).

use bincode::{Decode, Encode};

use crate::bytes::{Reader, crc32, pad, put_at, u32_at};
use crate::error::{Error, ErrorKind, Result};
use crate::file::{MAJOR, MINOR, check_major};
use crate::wire;

/// The first bytes of every symbols file.
pub const MAGIC: [u8; 8] = *b"RTSYMS\r\n";
/// Length of the symbols file's header, in bytes.
pub const HEADER_LEN: usize = 64;
/// The first bytes of every entry.
pub const ENTRY_MARKER: [u8; 4] = *b"RSYM";
/// Length of an entry's header, in bytes.
pub const ENTRY_HEADER_LEN: usize = 16;
/// Entries begin at multiples of this, and an id is the offset divided by it.
pub const UNIT: usize = 16;
/// The longest structured value of an entry, in bytes: longer names are cut by
/// who writes them, so that a damaged length costs a reader no more than this.
pub const PAYLOAD_MAX: usize = 1 << 16;
/// The longest module, name or file, in bytes; see [`Symbol::cut`].
pub const NAME_MAX: usize = 16 * 1024;
/// The id of nothing known.
pub const UNKNOWN_ID: u32 = 0;
/// The id of every symbol that no longer fitted.
pub const OVERFLOW_ID: u32 = 1;
/// The first id that a symbol can have.
pub const FIRST_ID: u32 = (HEADER_LEN / UNIT) as u32;
/// Symbol flag: its calls are not recorded.
pub const FILTERED: u32 = 1;

/// What kind of thing a symbol names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SymbolKind {
    /// A function written in Python.
    Python,
    /// A function written in C, or another callable without Python code of its own.
    C,
    /// The type of an exception.
    ExceptionType,
    /// A kind of a later version, by its number.
    Other(u8),
}

impl SymbolKind {
    /// The number in the file.
    pub fn number(self) -> u8 {
        match self {
            SymbolKind::Python => 1,
            SymbolKind::C => 2,
            SymbolKind::ExceptionType => 3,
            SymbolKind::Other(number) => number,
        }
    }

    /// The kind with this number.
    pub fn from_number(number: u8) -> SymbolKind {
        match number {
            1 => SymbolKind::Python,
            2 => SymbolKind::C,
            3 => SymbolKind::ExceptionType,
            other => SymbolKind::Other(other),
        }
    }
}

/// What an id stands for. Two symbols that are equal are one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Symbol {
    /// What it names.
    pub kind: SymbolKind,
    /// [`FILTERED`] and later flags.
    pub flags: u32,
    /// `co_flags`.
    pub code_flags: u32,
    /// The line of the definition, a decorator's where there is one (`co_firstlineno`).
    pub first_line: u32,
    /// The last line of its code; 0 where unknown.
    pub last_line: u32,
    /// Length of the source file in bytes; 0 where unknown.
    pub source_size: u64,
    /// When the source file was last changed, in ns since the epoch; 0 where unknown.
    pub source_mtime: u64,
    /// The crc32 of the source file; 0 where unknown.
    pub source_hash: u64,
    /// The module, WTF-8.
    pub module: Vec<u8>,
    /// The qualified name, WTF-8.
    pub qualname: Vec<u8>,
    /// The source file, WTF-8; empty for none.
    pub file: Vec<u8>,
}

impl Symbol {
    /// A symbol of `kind` with a name and nothing else.
    pub fn named(kind: SymbolKind, module: &[u8], qualname: &[u8]) -> Symbol {
        Symbol {
            kind,
            flags: 0,
            code_flags: 0,
            first_line: 0,
            last_line: 0,
            source_size: 0,
            source_mtime: 0,
            source_hash: 0,
            module: module.to_vec(),
            qualname: qualname.to_vec(),
            file: Vec::new(),
        }
    }

    /// The symbol of [`OVERFLOW_ID`].
    pub fn overflow() -> Symbol {
        Symbol::named(SymbolKind::Other(0), b"", b"(overflow)")
    }

    /// The symbol of [`UNKNOWN_ID`].
    pub fn unknown() -> Symbol {
        Symbol::named(SymbolKind::Other(0), b"", b"(unknown)")
    }

    /// The same symbol, its names cut at [`NAME_MAX`] on a character.
    #[must_use]
    pub fn cut(mut self) -> Symbol {
        for name in [&mut self.module, &mut self.qualname, &mut self.file] {
            name.truncate(crate::long::cut_text(name, NAME_MAX).len());
        }
        self
    }

    /// The structured value.
    pub fn encode(&self) -> Vec<u8> {
        wire::encode(&WireSymbol {
            kind: self.kind.number(),
            flags: self.flags,
            code_flags: self.code_flags,
            first_line: self.first_line,
            last_line: self.last_line,
            source_size: self.source_size,
            source_mtime: self.source_mtime,
            source_hash: self.source_hash,
            module: self.module.clone(),
            qualname: self.qualname.clone(),
            file: self.file.clone(),
        })
    }

    /// Reads a structured value.
    ///
    /// # Errors
    /// Truncated or impossible bytes.
    pub fn decode(bytes: &[u8]) -> Result<Symbol> {
        let (wire, _) = wire::decode::<WireSymbol>(bytes, "a symbol")?;
        Ok(Symbol {
            kind: SymbolKind::from_number(wire.kind),
            flags: wire.flags,
            code_flags: wire.code_flags,
            first_line: wire.first_line,
            last_line: wire.last_line,
            source_size: wire.source_size,
            source_mtime: wire.source_mtime,
            source_hash: wire.source_hash,
            module: wire.module,
            qualname: wire.qualname,
            file: wire.file,
        })
    }
}

#[derive(Encode, Decode)]
struct WireSymbol {
    kind: u8,
    flags: u32,
    code_flags: u32,
    first_line: u32,
    last_line: u32,
    source_size: u64,
    source_mtime: u64,
    source_hash: u64,
    module: Vec<u8>,
    qualname: Vec<u8>,
    file: Vec<u8>,
}

/// The header of a symbols file.
pub fn encode_header(uuid: &[u8; 16]) -> [u8; HEADER_LEN] {
    let mut header = [0; HEADER_LEN];
    put_at(&mut header, 0, &MAGIC);
    put_at(&mut header, 8, &MAJOR.to_le_bytes());
    put_at(&mut header, 10, &MINOR.to_le_bytes());
    put_at(&mut header, 12, &(HEADER_LEN as u32).to_le_bytes());
    put_at(&mut header, 16, uuid);
    header
}

/// Checks the header of a symbols file and gives the session's uuid.
///
/// # Errors
/// Missing magic, another major version, a truncated header.
pub fn parse_header(bytes: &[u8]) -> Result<[u8; 16]> {
    let mut reader = Reader::new(bytes, "a symbols file's header");
    if reader.take(8)? != MAGIC {
        return Err(Error::new(ErrorKind::BadMagic("a symbols file"), 0));
    }
    check_major(reader.u16()?, 8)?;
    reader.skip(6)?;
    reader.uuid()
}

/// An entry of the symbols file, padded to [`UNIT`].
pub fn encode_entry(symbol: &Symbol) -> Vec<u8> {
    let payload = symbol.encode();
    let mut entry = Vec::with_capacity(ENTRY_HEADER_LEN + payload.len() + UNIT);
    entry.extend(ENTRY_MARKER);
    entry.extend((payload.len() as u32).to_le_bytes());
    entry.extend(crc32(&payload).to_le_bytes());
    entry.extend([0; 4]);
    entry.extend(payload);
    pad(&mut entry, UNIT);
    entry
}

/// The symbols in a stretch of a symbols file, with their ids.
///
/// `bytes` begin at file offset `at`, a multiple of [`UNIT`] behind the header.
/// What is not an entry is stepped over; an entry that the end cuts off ends
/// the scan, and [`Scan::offset`] says where to go on when the file has grown.
pub fn scan(bytes: &[u8], at: u64) -> Scan<'_> {
    Scan { bytes, base: at, at: 0 }
}

/// See [`scan`].
#[derive(Debug, Clone)]
pub struct Scan<'a> {
    bytes: &'a [u8],
    base: u64,
    at: usize,
}

impl Scan<'_> {
    /// The file offset behind the last entry given.
    pub fn offset(&self) -> u64 {
        self.base + self.at as u64
    }
}

impl Iterator for Scan<'_> {
    type Item = (u32, Symbol);

    fn next(&mut self) -> Option<(u32, Symbol)> {
        let mut at = self.at;
        while let Some(header) = self.bytes.get(at..at + ENTRY_HEADER_LEN) {
            if header[..4] == ENTRY_MARKER {
                let len = u32_at(header, 4)? as usize;
                let payload = self.bytes.get(at + ENTRY_HEADER_LEN..at + ENTRY_HEADER_LEN + len);
                if let Some(payload) = payload
                    && len <= PAYLOAD_MAX
                    && Some(crc32(payload)) == u32_at(header, 8)
                    && let Ok(symbol) = Symbol::decode(payload)
                {
                    let id = (self.base + at as u64) / UNIT as u64;
                    self.at = (at + ENTRY_HEADER_LEN + len).next_multiple_of(UNIT);
                    return Some((u32::try_from(id).ok()?, symbol));
                }
            }
            at += UNIT;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample(name: &str) -> Symbol {
        Symbol {
            first_line: 3,
            file: b"app.py".to_vec(),
            ..Symbol::named(SymbolKind::Python, b"app", name.as_bytes())
        }
    }

    #[test]
    fn an_id_is_the_offset_by_sixteen() {
        let mut file = encode_header(&[9; 16]).to_vec();
        assert_eq!(parse_header(&file), Ok([9; 16]));
        file.extend(encode_entry(&sample("first")));
        let second = file.len() as u32 / 16;
        file.extend(encode_entry(&sample("second")));
        let found: Vec<_> = scan(&file[HEADER_LEN..], HEADER_LEN as u64).collect();
        assert_eq!(found, [(FIRST_ID, sample("first")), (second, sample("second"))]);
    }

    #[test]
    fn a_hole_is_stepped_over() {
        let mut bytes = encode_entry(&sample("first"));
        let hole = bytes.len();
        bytes.extend(encode_entry(&sample("never written")));
        let end = bytes.len();
        bytes[hole..end].fill(0);
        bytes.extend(encode_entry(&sample("third")));
        let names: Vec<_> = scan(&bytes, 64).map(|(_, symbol)| symbol.qualname).collect();
        assert_eq!(names, [b"first".to_vec(), b"third".to_vec()]);
    }

    #[test]
    fn a_cut_entry_is_found_when_the_file_has_grown() {
        let entry = encode_entry(&sample("x"));
        let mut scanning = scan(&entry[..entry.len() - 17], 64);
        assert_eq!(scanning.next(), None);
        assert_eq!(scanning.offset(), 64);
        assert!(scan(&entry, scanning.offset()).next().is_some());
    }

    proptest! {
        #[test]
        fn any_bytes_scan_to_an_end(bytes: Vec<u8>, good in 0usize..3) {
            let mut all = bytes;
            for i in 0..good {
                pad(&mut all, UNIT);
                all.extend(encode_entry(&sample(&i.to_string())));
            }
            prop_assert!(scan(&all, 64).count() >= good);
        }
    }
}
