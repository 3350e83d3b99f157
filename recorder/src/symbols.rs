//! Symbols by content: the same function compiled a million times is one id.

use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;

use rtrace_format::Symbol;
use rtrace_format::symbol::{OVERFLOW_ID, UNIT, encode_entry};
use rtrace_session::create;

use crate::held::HeldFile;
use crate::shared::SessionPage;

/// The session's symbols file as this process sees it.
#[derive(Debug)]
pub struct Symbols {
    file: HeldFile,
    ids: HashMap<Symbol, u32>,
    bound: u64,
}

impl Symbols {
    /// The symbols file of a session that may keep `memory_max` bytes. An eighth of
    /// them is far more than the names of any program need, and a bound.
    pub fn new(file: File, path: PathBuf, memory_max: u64) -> Symbols {
        let bound = memory_max / 8;
        Symbols { file: HeldFile::new(file, path), ids: HashMap::new(), bound }
    }

    /// Takes over what other processes of the session have named: a thousand short-lived
    /// children would fill the file with the same names.
    pub fn know(&mut self, symbols: impl IntoIterator<Item = (u32, Symbol)>) {
        self.ids.extend(symbols.into_iter().map(|(id, symbol)| (symbol, id)));
    }

    /// The id of `symbol`, which is complete in the file when this returns.
    ///
    /// Past the bound, and where the file system has no room, it is
    /// [`OVERFLOW_ID`]: recording goes on without the name.
    pub fn intern(&mut self, page: &SessionPage, symbol: Symbol) -> u32 {
        if let Some(&id) = self.ids.get(&symbol) {
            return id;
        }
        let Some(id) = self.append(page, &symbol) else {
            // Not kept: what cannot be named must not fill the program's memory either.
            return OVERFLOW_ID;
        };
        self.ids.insert(symbol, id);
        id
    }

    fn append(&mut self, page: &SessionPage, symbol: &Symbol) -> Option<u32> {
        let entry = encode_entry(symbol);
        let len = entry.len() as u64;
        if page.symbols_tail() + len > self.bound {
            return None;
        }
        let (file, path) = self.file.get().ok()?;
        let offset = page.take_symbols(len);
        create::write_symbol(file, path, &entry, offset).ok()?;
        u32::try_from(offset / UNIT as u64).ok().filter(|&id| id <= rtrace_format::record::ID_MASK)
    }
}
