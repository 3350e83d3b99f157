//! From the ids of a symbols file to those of `trace.bin`.
//!
//! Ids of the symbols file are offsets, and two processes may have appended
//! the same symbol at once. Those of `trace.bin` are consecutive and no two of them are one
//! to a reader, so that it can index tables by them, and add summaries up.

use std::collections::HashMap;

use rtrace_format::Symbol;
use rtrace_format::chunk::tag;
use rtrace_format::index::IndexEntry;
use rtrace_format::record::ID_MASK;
use rtrace_format::symbol::{FILTERED, FIRST_ID, OVERFLOW_ID, UNIT, UNKNOWN_ID};

use crate::error::Result;
use crate::live::SymbolFile;
use crate::pack::writer::TraceWriter;

/// Marks a raw id that was not looked up yet; no dense id is that large.
const UNSEEN: u32 = u32::MAX;

/// A `SYMB` chunk is cut where it gets longer, in bytes.
const CHUNK_LEN: usize = 1 << 20;

/// The symbols of one `trace.bin`.
#[derive(Debug)]
pub(crate) struct Symbols {
    /// The symbols file, while there is a session.
    file: Option<SymbolFile>,
    /// The id of each symbol that readers can tell from the others.
    ids: HashMap<Identity, u32>,
    /// The next id to be given.
    next: u32,
    /// Structured values that are not in the file yet; the last has id `next - 1`.
    pending: Vec<Vec<u8>>,
    /// By raw id; grows up to the symbols file's length.
    raw: Vec<u32>,
    /// Raw ids at or above are nowhere in the symbols file.
    raw_end: usize,
    /// The offset in the symbols file up to which filtered functions were looked for.
    filtered_to: u64,
}

/// What readers tell symbols apart by: kind, module, qualified name, file and first line. A
/// summary of two ids that are one to its reader would be of no use.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Identity(u8, Vec<u8>, Vec<u8>, Vec<u8>, u32);

impl Identity {
    fn of(symbol: &Symbol) -> Identity {
        let Symbol { module, qualname, file, first_line, .. } = symbol;
        let kind = symbol.kind.number();
        Identity(kind, module.clone(), qualname.clone(), file.clone(), *first_line)
    }
}

impl Symbols {
    pub(crate) fn new(file: Option<SymbolFile>) -> Symbols {
        Symbols {
            file,
            ids: HashMap::new(),
            next: FIRST_ID,
            pending: Vec::new(),
            raw: vec![UNKNOWN_ID, OVERFLOW_ID, UNKNOWN_ID, UNKNOWN_ID],
            raw_end: 0,
            filtered_to: 0,
        }
    }

    /// Ids are below this.
    pub(crate) fn end(&self) -> usize {
        self.next as usize
    }

    /// Takes a symbol that is in `trace.bin` already. Ids count up from 4; one
    /// that is missing there (a damaged chunk) is never given again.
    pub(crate) fn known(&mut self, id: u32, value: &[u8]) {
        if id > ID_MASK {
            return;
        }
        if let Ok(symbol) = Symbol::decode(value) {
            self.ids.entry(Identity::of(&symbol)).or_insert(id);
        }
        self.next = self.next.max(id + 1);
    }

    /// Leaves room for ids that a damaged stretch may have given out.
    pub(crate) fn skip(&mut self, ids: u64) {
        let ids = u32::try_from(ids).unwrap_or(ID_MASK).min(ID_MASK);
        self.next = self.next.saturating_add(ids.saturating_add(1)).min(ID_MASK);
    }

    /// The id in `trace.bin` for an id of the symbols file.
    ///
    /// Symbols are read once, and what cannot be read is 0, unknown: an entry
    /// is complete before a record uses it, so that it is missing for good.
    #[inline]
    pub(crate) fn map(&mut self, raw: u32) -> u32 {
        match self.raw.get(raw as usize) {
            Some(&id) if id != UNSEEN => id,
            _ => self.look_up(raw),
        }
    }

    /// The structured value of an id of the symbols file, if it can be read.
    pub(crate) fn value(&mut self, raw: u32) -> Option<Vec<u8>> {
        let symbol = self.file.as_mut().and_then(|file| file.get(raw).ok().flatten());
        symbol.map(|symbol| symbol.encode())
    }

    /// Takes over the functions that the filters left out: no record names them, and who asks
    /// for one is to learn why. What cannot be read of the symbols file keeps nobody from the rest.
    pub(crate) fn take_filtered(&mut self) {
        let Some(file) = &self.file else { return };
        let Ok((symbols, end)) = file.scan_from(self.filtered_to) else { return };
        self.filtered_to = end;
        for (_, symbol) in symbols.iter().filter(|(_, symbol)| symbol.flags & FILTERED != 0) {
            self.id_of(symbol);
        }
    }

    #[cold]
    fn look_up(&mut self, raw: u32) -> u32 {
        let at = raw as usize;
        if at >= self.raw_end {
            // The table is as long as the symbols file asks for, not as an id claims.
            let len = self.file.as_ref().and_then(|file| file.len().ok()).unwrap_or(0);
            self.raw_end = usize::try_from(len / UNIT as u64).unwrap_or(0);
            if at >= self.raw_end {
                return UNKNOWN_ID;
            }
        }
        if at >= self.raw.len() {
            self.raw.resize(self.raw_end.min((at + 1).next_power_of_two()), UNSEEN);
        }
        let symbol = self.file.as_mut().and_then(|file| file.get(raw).ok().flatten());
        let id = symbol.map_or(UNKNOWN_ID, |symbol| self.id_of(&symbol));
        self.raw[at] = id;
        id
    }

    /// The id of a symbol's content, a new one if it has none.
    fn id_of(&mut self, symbol: &Symbol) -> u32 {
        let identity = Identity::of(symbol);
        if let Some(&id) = self.ids.get(&identity) {
            return id;
        }
        if self.next > ID_MASK {
            return OVERFLOW_ID;
        }
        let id = self.next;
        self.next += 1;
        self.pending.push(symbol.encode());
        self.ids.insert(identity, id);
        id
    }

    /// Writes the symbols that are not in the file yet: before the records that use them.
    pub(crate) fn write(&mut self, writer: &mut TraceWriter) -> Result<()> {
        while !self.pending.is_empty() {
            let first = self.next - self.pending.len() as u32;
            let mut payload = vec![0; 8];
            let mut count = 0;
            for value in &self.pending {
                if count > 0 && payload.len() + value.len() > CHUNK_LEN {
                    break;
                }
                payload.extend((value.len() as u32).to_le_bytes());
                payload.extend_from_slice(value);
                count += 1;
            }
            payload[..4].copy_from_slice(&first.to_le_bytes());
            payload[4..8].copy_from_slice(&(count as u32).to_le_bytes());
            writer.chunk(tag::SYMBOLS, &payload, IndexEntry::default())?;
            self.pending.drain(..count);
        }
        Ok(())
    }
}

/// The ids and structured values of a `SYMB` payload, as far as they can be read.
pub(crate) fn values(payload: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    let u32_at = rtrace_format::bytes::u32_at;
    let first = u32_at(payload, 0).unwrap_or(0);
    let count = u32_at(payload, 4).unwrap_or(0);
    let mut at = 8usize;
    (0..count).map_while(move |i| {
        let len = u32_at(payload, at)? as usize;
        let value = payload.get(at + 4..(at + 4).checked_add(len)?)?;
        at += 4 + len;
        Some((first.checked_add(i)?, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rtrace_format::SymbolKind;

    #[test]
    fn what_a_reader_cannot_tell_apart_has_one_id() {
        let mut symbols = Symbols::new(None);
        let mut first = Symbol::named(SymbolKind::Python, b"app", b"<lambda>");
        first.first_line = 7;
        symbols.known(FIRST_ID, &first.encode());
        let longer = Symbol { last_line: 9, source_mtime: 5, ..first.clone() };
        assert_eq!(symbols.id_of(&longer), FIRST_ID);
        let below = Symbol { first_line: 8, ..first.clone() };
        assert_eq!(symbols.id_of(&below), FIRST_ID + 1);
        let c = Symbol { kind: SymbolKind::C, ..first };
        assert_eq!(symbols.id_of(&c), FIRST_ID + 2);
    }
}
