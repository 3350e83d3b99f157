//! Figures files: what a process leaves out of its records, per function (SPEC section 8.1).

use crate::bytes::{Reader, put_at, u32_at, u64_at};
use crate::error::{Error, ErrorKind, Result};

/// The first bytes of every figures file.
pub const MAGIC: [u8; 8] = *b"RTFIGS\r\n";
/// Length of the header, in bytes; the table follows it.
pub const HEADER_LEN: usize = 64;
/// Length of an entry of the table, in bytes.
pub const ENTRY_LEN: usize = 64;
/// Flag of an entry: the function is not recorded any more, or was not for a time.
pub const DEMOTED: u32 = 1;
/// Flag of an entry: it is not recorded now.
pub const OFF: u32 = 2;

/// Where each field of an entry lies.
pub mod field {
    #![allow(missing_docs, reason = "the table in SPEC.md section 8.1 says what each one is")]
    pub const ID: usize = 0;
    pub const FLAGS: usize = 4;
    pub const CALLS: usize = 8;
    pub const SPANS: usize = 16;
    pub const TICKS: usize = 24;
    pub const TAKEN: usize = 32;
    pub const TAKEN_TICKS: usize = 40;
    pub const DEMOTED_TICK: usize = 48;
}

/// What is known of one function beside its records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// The symbol.
    pub id: u32,
    /// [`DEMOTED`], [`OFF`].
    pub flags: u32,
    /// Calls begun while it was recorded; counted under a budget only.
    pub calls: u64,
    /// Single entries to their exits that ended while it was recorded; as `calls`.
    pub spans: u64,
    /// Their ticks.
    pub ticks: u64,
    /// Entries whose records were taken back, being shorter than asked for.
    pub taken: u64,
    /// Their ticks.
    pub taken_ticks: u64,
    /// When it was last demoted; 0 for never.
    pub demoted_tick: u64,
}

impl Figures {
    /// The bytes of an entry.
    pub fn encode(&self) -> [u8; ENTRY_LEN] {
        let mut entry = [0; ENTRY_LEN];
        put_at(&mut entry, field::ID, &self.id.to_le_bytes());
        put_at(&mut entry, field::FLAGS, &self.flags.to_le_bytes());
        for (at, value) in [
            (field::CALLS, self.calls),
            (field::SPANS, self.spans),
            (field::TICKS, self.ticks),
            (field::TAKEN, self.taken),
            (field::TAKEN_TICKS, self.taken_ticks),
            (field::DEMOTED_TICK, self.demoted_tick),
        ] {
            put_at(&mut entry, at, &value.to_le_bytes());
        }
        entry
    }

    /// Reads an entry; none where it is shorter than one.
    pub fn parse(entry: &[u8]) -> Option<Figures> {
        let number = |at| u64_at(entry, at);
        Some(Figures {
            id: u32_at(entry, field::ID)?,
            flags: u32_at(entry, field::FLAGS)?,
            calls: number(field::CALLS)?,
            spans: number(field::SPANS)?,
            ticks: number(field::TICKS)?,
            taken: number(field::TAKEN)?,
            taken_ticks: number(field::TAKEN_TICKS)?,
            demoted_tick: number(field::DEMOTED_TICK)?,
        })
    }

    /// Adds what is known of the same function elsewhere, in another process.
    pub fn merge(&mut self, other: &Figures) {
        self.flags |= other.flags;
        self.calls = self.calls.saturating_add(other.calls);
        self.spans = self.spans.saturating_add(other.spans);
        self.ticks = self.ticks.saturating_add(other.ticks);
        self.taken = self.taken.saturating_add(other.taken);
        self.taken_ticks = self.taken_ticks.saturating_add(other.taken_ticks);
        self.demoted_tick = self.demoted_tick.max(other.demoted_tick);
    }
}

/// The bytes of a new file of an empty table.
pub fn encode_header(uuid: &[u8; 16], process: u32) -> Vec<u8> {
    let mut header = vec![0; HEADER_LEN];
    put_at(&mut header, 0, &MAGIC);
    put_at(&mut header, 8, &uuid[..]);
    put_at(&mut header, 24, &process.to_le_bytes());
    header
}

/// Reads a file of the session `uuid`: the entries in use, in their order.
///
/// # Errors
/// Missing magic, truncated header, another session's.
pub fn parse(file: &[u8], uuid: &[u8; 16]) -> Result<Vec<Figures>> {
    let mut reader = Reader::new(file, "a figures file");
    if reader.take(8)? != MAGIC {
        return Err(Error::new(ErrorKind::BadMagic("a figures file"), 0));
    }
    if reader.take(16)? != uuid {
        return Err(Error::new(ErrorKind::BadValue("a figures file's session"), 8));
    }
    let table = file.get(HEADER_LEN..).unwrap_or_default();
    let entries = table.chunks_exact(ENTRY_LEN);
    Ok(entries.filter_map(Figures::parse).filter(|entry| entry.id != 0).collect())
}

/// The value of a `PROC` chunk's key `figures`: entries as in the file, with the symbols'
/// structured values instead of their ids.
pub fn encode_list<'a>(figures: impl IntoIterator<Item = (&'a Figures, Vec<u8>)>) -> Vec<Vec<u8>> {
    let entry = |(figures, symbol): (&Figures, Vec<u8>)| {
        let mut item = Figures { id: 0, ..*figures }.encode().to_vec();
        item.extend(symbol);
        item
    };
    figures.into_iter().map(entry).collect()
}

/// Reads one item of that list: the figures, and the symbol's structured value.
pub fn decode_item(item: &[u8]) -> Option<(Figures, &[u8])> {
    let (entry, symbol) = item.split_at_checked(ENTRY_LEN)?;
    Some((Figures::parse(entry)?, symbol))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    prop_compose! {
        fn any_figures()(n in any::<[u64; 6]>(), id in 1u32..1 << 28, flags in 0u32..4) -> Figures {
            Figures {
                id, flags, calls: n[0], spans: n[1], ticks: n[2],
                taken: n[3], taken_ticks: n[4], demoted_tick: n[5],
            }
        }
    }

    proptest! {
        #[test]
        fn tables_come_back(figures in prop::collection::vec(any_figures(), 0..20)) {
            let mut file = encode_header(&[7; 16], 3);
            for entry in &figures {
                file.extend(entry.encode());
                file.extend([0; ENTRY_LEN]);
            }
            prop_assert_eq!(parse(&file, &[7; 16]), Ok(figures.clone()));
            prop_assert!(parse(&file, &[8; 16]).is_err());
            let list = encode_list(figures.iter().map(|f| (f, vec![1, 2])));
            for (item, entry) in list.iter().zip(&figures) {
                let expected = (Figures { id: 0, ..*entry }, &[1u8, 2][..]);
                prop_assert_eq!(decode_item(item), Some(expected));
            }
        }

        #[test]
        fn any_bytes_give_a_result_or_an_error(mut bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let _ = parse(&bytes, &[0; 16]);
            let _ = decode_item(&bytes);
            if bytes.len() > 8 {
                bytes[..8].copy_from_slice(&MAGIC);
                let _ = parse(&bytes, &[0; 16]);
            }
        }
    }
}
