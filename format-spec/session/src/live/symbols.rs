//! The symbols file, looked up by id.

use std::fs::File;
use std::path::{Path, PathBuf};

use rtrace_format::Symbol;
use rtrace_format::bytes::u32_at;
use rtrace_format::symbol::{self, ENTRY_HEADER_LEN, FIRST_ID, HEADER_LEN, UNIT};

use crate::error::{Error, Result};
use crate::read;

/// The longest entry that is read: far above what the recorder writes.
const ENTRY_MAX: usize = 1 << 20;

/// An open symbols file.
///
/// An id is a place in the file, so that one symbol is found by one read and
/// nothing has to be scanned before.
#[derive(Debug)]
pub struct SymbolFile {
    file: File,
    path: PathBuf,
    buf: Vec<u8>,
}

impl SymbolFile {
    /// Opens the file and checks that it belongs to the session `uuid`.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is another session's.
    pub fn open(path: &Path, uuid: &[u8; 16]) -> Result<SymbolFile> {
        let file = read::open(path)?;
        let mut header = [0; HEADER_LEN];
        let got = read::read_at(&file, path, &mut header, 0)?;
        let found = symbol::parse_header(&header[..got]).map_err(|e| Error::format(path, e))?;
        if found != *uuid {
            return Err(Error::refused(path, "belongs to another session"));
        }
        Ok(SymbolFile { file, path: path.to_owned(), buf: Vec::new() })
    }

    /// The file's length in bytes, which bounds every id in use.
    ///
    /// # Errors
    ///
    /// The system refuses.
    pub fn len(&self) -> Result<u64> {
        read::len(&self.file, &self.path)
    }

    /// Whether there are no symbols.
    ///
    /// # Errors
    ///
    /// The system refuses.
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? <= HEADER_LEN as u64)
    }

    /// The symbol of an id as records carry it; none if there is no whole entry there.
    ///
    /// An entry is complete before any record uses its id, so that what is
    /// missing for a record already seen stays missing.
    ///
    /// # Errors
    ///
    /// The file can no longer be read.
    pub fn get(&mut self, id: u32) -> Result<Option<Symbol>> {
        const FIRST_READ: usize = 512;
        if id == symbol::OVERFLOW_ID {
            return Ok(Some(Symbol::overflow()));
        }
        if id < FIRST_ID {
            return Ok(None);
        }
        let at = u64::from(id) * UNIT as u64;
        self.buf.resize(FIRST_READ, 0);
        let mut got = read::read_at(&self.file, &self.path, &mut self.buf, at)?;
        let payload = u32_at(&self.buf[..got], 4).unwrap_or(0) as usize;
        let whole = ENTRY_HEADER_LEN + payload;
        if whole > got && got == FIRST_READ && whole <= ENTRY_MAX {
            self.buf.resize(whole, 0);
            got = read::read_at(&self.file, &self.path, &mut self.buf, at)?;
        }
        let first = symbol::scan(&self.buf[..got], at).next();
        Ok(first.filter(|&(found, _)| found == id).map(|(_, symbol)| symbol))
    }

    /// Every symbol from file offset `from` on (0: all), and the offset from
    /// which to ask for what comes later.
    ///
    /// # Errors
    ///
    /// The file can no longer be read.
    pub fn scan_from(&self, from: u64) -> Result<(Vec<(u32, Symbol)>, u64)> {
        let from = from.max(HEADER_LEN as u64).next_multiple_of(UNIT as u64);
        let len = usize::try_from(self.len()?.saturating_sub(from)).unwrap_or(0);
        let mut bytes = vec![0; len];
        let got = read::read_at(&self.file, &self.path, &mut bytes, from)?;
        let mut scan = symbol::scan(&bytes[..got], from);
        let symbols = scan.by_ref().collect();
        Ok((symbols, scan.offset()))
    }
}
