//! What ids stand for, whatever file they came from.
//!
//! `trace.bin` and the symbols file of a living session number the same functions
//! differently, and one function may have two symbols that differ only in what
//! nobody prints (the source's time stamp, say). All are brought to one numbering
//! here: a *dense* id stands for a distinct (kind, module, name, file, line).

use std::collections::HashMap;

use rtrace_format::symbol::FIRST_ID;
use rtrace_format::{Symbol, SymbolKind};

use crate::escape;
use crate::model::SymbolId;

/// All symbols of a trace, by dense id.
#[derive(Clone, Debug)]
pub struct Symbols {
    all: Vec<Symbol>,
    ids: HashMap<Key, SymbolId>,
}

type Key = (SymbolKind, Vec<u8>, Vec<u8>, Vec<u8>, u32);

/// Brings the ids of one file to dense ids.
#[derive(Clone, Debug)]
pub struct IdMap {
    /// By the file's id where that is small and consecutive.
    dense: Vec<SymbolId>,
    /// By the file's id where it is not.
    sparse: HashMap<u32, SymbolId>,
    /// No id differs from its dense one.
    identity: bool,
}

impl Default for Symbols {
    fn default() -> Self {
        let mut all = vec![Symbol::unknown(), Symbol::overflow()];
        all.resize(FIRST_ID as usize, Symbol::unknown());
        Self { all, ids: HashMap::new() }
    }
}

impl Symbols {
    /// The symbol of `id`; that of nothing known where there is none.
    pub fn get(&self, id: SymbolId) -> &Symbol {
        // The table begins with the symbols of the fixed ids and is never empty.
        self.all.get(id as usize).unwrap_or(&self.all[0])
    }

    /// How many ids there are, the fixed ones among them.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether no file brought a symbol.
    pub fn is_empty(&self) -> bool {
        self.all.len() <= FIRST_ID as usize
    }

    /// Every dense id with its symbol.
    pub fn iter(&self) -> impl Iterator<Item = (SymbolId, &Symbol)> {
        (0..).zip(&self.all)
    }

    /// The name of `id` as a terminal may show it.
    pub fn name(&self, id: SymbolId) -> std::borrow::Cow<'_, str> {
        escape::text(&self.get(id).qualname)
    }

    /// `module.name` of `id`, the name alone where the module is not known: raw
    /// bytes, to be matched and never to be printed.
    pub fn full_name(&self, id: SymbolId) -> Vec<u8> {
        let symbol = self.get(id);
        if symbol.module.is_empty() {
            return symbol.qualname.clone();
        }
        [&symbol.module[..], b".", &symbol.qualname].concat()
    }

    /// Adds a symbol, or finds the one that cannot be told from it.
    pub(crate) fn add(&mut self, symbol: Symbol) -> SymbolId {
        let key = (
            symbol.kind,
            symbol.module.clone(),
            symbol.qualname.clone(),
            symbol.file.clone(),
            symbol.first_line,
        );
        let next = self.all.len() as SymbolId;
        let id = *self.ids.entry(key).or_insert(next);
        if id == next {
            self.all.push(symbol);
        }
        id
    }
}

impl Default for IdMap {
    fn default() -> Self {
        Self::new()
    }
}

impl IdMap {
    /// A map that knows the fixed ids only.
    pub fn new() -> Self {
        Self { dense: (0..FIRST_ID).collect(), sparse: HashMap::new(), identity: true }
    }

    /// Says what the file's `id` is.
    pub fn insert(&mut self, id: u32, dense: SymbolId) {
        self.identity &= id == dense;
        if id as usize == self.dense.len() {
            self.dense.push(dense);
        } else if let Some(slot) = self.dense.get_mut(id as usize) {
            *slot = dense;
        } else {
            self.sparse.insert(id, dense);
        }
    }

    /// Whether nothing needs to be translated.
    pub fn is_identity(&self) -> bool {
        self.identity
    }

    /// The dense id; that of nothing known for an id that the file never explained.
    #[inline]
    pub fn get(&self, id: u32) -> SymbolId {
        match self.dense.get(id as usize) {
            Some(dense) => *dense,
            None => self.sparse.get(&id).copied().unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_that_look_the_same_are_one() {
        let mut symbols = Symbols::default();
        let mut f = Symbol::named(SymbolKind::Python, b"app", b"f");
        let first = symbols.add(f.clone());
        f.source_mtime = 7;
        assert_eq!(symbols.add(f.clone()), first);
        f.first_line = 9;
        assert_ne!(symbols.add(f), first);
        assert_eq!(symbols.full_name(first), b"app.f");
        assert_eq!(symbols.get(12_345).qualname, b"(unknown)");
    }

    #[test]
    fn maps_know_when_they_change_nothing() {
        let mut map = IdMap::new();
        map.insert(4, 4);
        assert!(map.is_identity());
        map.insert(900, 5);
        assert!(!map.is_identity());
        assert_eq!((map.get(4), map.get(900), map.get(7)), (4, 5, 0));
    }
}
