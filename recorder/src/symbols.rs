//! Symbols by content: the same function compiled a million times is one id.

mod window;

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rtrace_format::symbol::{OVERFLOW_ID, UNIT, encode_entry};
use rtrace_format::{Symbol, SymbolKind};

use crate::room::Room;
use crate::shared::SessionPage;
use crate::symbols::window::Window;

/// The session's symbols file as this process sees it.
#[derive(Debug)]
pub struct Symbols {
    window: Window,
    ids: HashMap<Symbol, u32>,
    /// Size in bytes and time of change (ns since the epoch) of source files when
    /// their first function was seen; zeroes for what is no file.
    sources: HashMap<Vec<u8>, (u64, u64)>,
    bound: u64,
}

/// Source files that are remembered; past that each is looked at again.
const SOURCES_MAX: usize = 1 << 16;

impl Symbols {
    /// The symbols file of a session that may keep `memory_max` bytes. An eighth of
    /// them is far more than the names of any program need, and a bound.
    pub fn new(path: PathBuf, memory_max: u64) -> Symbols {
        let bound = memory_max / 8;
        let window = Window::new(path, memory_max, bound);
        Symbols { window, ids: HashMap::new(), sources: HashMap::new(), bound }
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
    pub fn intern(&mut self, page: &SessionPage, room: &Room, symbol: Symbol) -> u32 {
        // An entry of longer names would be too long to be read.
        let mut symbol = symbol.cut();
        if symbol.kind == SymbolKind::Python {
            (symbol.source_size, symbol.source_mtime) = self.source(&symbol.file);
        }
        if let Some(&id) = self.ids.get(&symbol) {
            return id;
        }
        let Some(id) = self.append(page, room, &symbol) else {
            // Not kept: what cannot be named must not fill the program's memory either.
            return OVERFLOW_ID;
        };
        self.ids.insert(symbol, id);
        id
    }

    fn source(&mut self, file: &[u8]) -> (u64, u64) {
        if let Some(&known) = self.sources.get(file) {
            return known;
        }
        let found = std::fs::metadata(Path::new(OsStr::from_bytes(file)));
        let found = found.ok().filter(std::fs::Metadata::is_file).map_or((0, 0), |about| {
            let since = i128::from(about.mtime()) * 1_000_000_000 + i128::from(about.mtime_nsec());
            (about.len(), u64::try_from(since).unwrap_or(0))
        });
        if self.sources.len() < SOURCES_MAX {
            self.sources.insert(file.to_vec(), found);
        }
        found
    }

    fn append(&mut self, page: &SessionPage, room: &Room, symbol: &Symbol) -> Option<u32> {
        let entry = encode_entry(symbol);
        let len = entry.len() as u64;
        if page.symbols_tail() + len > self.bound {
            return None;
        }
        let offset = self.window.append(page, room, &entry)?;
        u32::try_from(offset / UNIT as u64).ok().filter(|&id| id <= rtrace_format::record::ID_MASK)
    }
}
