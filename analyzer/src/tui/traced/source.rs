//! The source of a function, as it lies on this machine, with what its lines cost.

use std::collections::HashMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rtrace_format::{Symbol, SymbolKind};

use crate::escape;
use crate::query::lines::lines;
use crate::tui::source::{MadeRow, SourceAsk, SourceLine, SourcePage};
use crate::tui::worker::Ticket;

use super::Traced;
use super::labels::{cwd_of, shown};

/// Longer files are no source of a person's.
const LONGEST: u64 = 8 << 20;
/// Columns of a tab.
const TAB: &str = "    ";

impl Traced {
    /// The file of a function; `None` if it has none, or nobody waits.
    pub(super) fn source_page(&self, ask: &SourceAsk, ticket: &Ticket) -> Option<SourcePage> {
        let symbols = &self.trace.symbols;
        let symbol = symbols.get(ask.symbol);
        let path = &self.labels.get(ask.symbol as usize)?.source.as_ref()?.0;
        let is_here = |of: &Symbol| of.kind == SymbolKind::Python && of.file == symbol.file;
        let ours: Vec<bool> = symbols.iter().map(|(_, of)| is_here(of)).collect();
        let wanted = |id: u32| ours.get(id as usize).copied().unwrap_or(false);
        let mut selection = self.selection(&ask.part);
        selection.functions = None;
        let found = lines(&self.trace, &selection, &wanted, &|| ticket.cancelled())?;
        let (texts, banner) = match read(path, symbol) {
            Ok((texts, banner)) => (texts, banner),
            Err(why) => (Vec::new(), Some(why)),
        };
        let mut by_number: HashMap<u32, SourceLine> = HashMap::new();
        let line = |number| SourceLine { number, ..SourceLine::default() };
        for (number, text) in (1..).zip(texts) {
            by_number.insert(number, SourceLine { text, ..line(number) });
        }
        for (id, of) in symbols.iter().filter(|(id, _)| wanted(*id)) {
            let number = of.first_line.max(1);
            let at = by_number.entry(number).or_insert_with(|| SourceLine {
                text: format!("def {}", symbols.name(id)),
                ..line(number)
            });
            at.defines = Some(id);
        }
        let ns = |ticks| self.trace.clock.duration_ns(ticks);
        for (&number, cost) in &found.costs {
            let at = by_number.entry(number).or_insert_with(|| line(number));
            (at.hits, at.raised) = (cost.hits, cost.raised);
            (at.self_ns, at.total_ns) = (ns(cost.self_ticks), ns(cost.total_ticks));
        }
        for (&(number, symbol), made) in &found.made {
            let row = MadeRow { symbol, calls: made.calls, total_ns: ns(made.ticks) };
            by_number.entry(number).or_insert_with(|| line(number)).made.push(row);
        }
        let mut all: Vec<SourceLine> = by_number.into_values().collect();
        all.sort_by_key(|line| line.number);
        for line in &mut all {
            line.made.sort_by_key(|made| (std::cmp::Reverse(made.total_ns), made.symbol));
        }
        Some(SourcePage {
            ask: ask.clone(),
            file: escape::text(shown(&symbol.file, cwd_of(&self.trace))).into_owned(),
            lines: all,
            banner,
            recorded: found.recorded,
        })
    }
}

/// The lines of a file, and a word of warning where it is not the one that ran.
fn read(path: &Path, symbol: &Symbol) -> Result<(Vec<String>, Option<String>), String> {
    let cannot = |why: &dyn std::fmt::Display| {
        format!("the file is not here ({why}): only definitions are shown")
    };
    let metadata = std::fs::metadata(path).map_err(|error| cannot(&error))?;
    // A pipe would be waited for.
    if !metadata.is_file() {
        return Err(cannot(&"no regular file"));
    }
    if metadata.len() > LONGEST {
        return Err(cannot(&"too long"));
    }
    let bytes = std::fs::read(path).map_err(|error| cannot(&error))?;
    let text = |line: &[u8]| escape::text(&expand(line)).into_owned();
    let mut lines: Vec<String> = bytes
        .split(|byte| *byte == b'\n')
        .map(|line| text(line.strip_suffix(b"\r").unwrap_or(line)))
        .collect();
    if lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    Ok((lines, changed(&metadata, symbol)))
}

/// Whether the file is another than the one that ran, as far as the recording tells.
fn changed(metadata: &Metadata, symbol: &Symbol) -> Option<String> {
    if symbol.source_size == 0 && symbol.source_mtime == 0 {
        return None;
    }
    let mtime =
        metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec());
    let other_time = symbol.source_mtime != 0 && symbol.source_mtime != mtime as u64;
    let other_size = symbol.source_size != 0 && symbol.source_size != metadata.len();
    (other_time || other_size)
        .then(|| "the file has changed since the recording: lines may not fit".to_owned())
}

fn expand(line: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(line.len());
    for &byte in line {
        if byte == b'\t' { out.extend_from_slice(TAB.as_bytes()) } else { out.push(byte) }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.py");
        std::fs::write(&path, "def f():\r\n\treturn '\u{1b}'\n").unwrap();
        let mut symbol = Symbol::named(SymbolKind::Python, b"a", b"f");
        assert_eq!(
            read(&path, &symbol),
            Ok((vec!["def f():".to_owned(), "    return '\\u001b'".to_owned()], None))
        );
        let metadata = std::fs::metadata(&path).unwrap();
        symbol.source_size = metadata.len();
        symbol.source_mtime = (metadata.mtime() * 1_000_000_000 + metadata.mtime_nsec()) as u64;
        assert_eq!(read(&path, &symbol).unwrap().1, None);
        symbol.source_size += 1;
        assert!(read(&path, &symbol).unwrap().1.unwrap().contains("changed"));
        assert!(read(&dir.path().join("b.py"), &symbol).unwrap_err().contains("not here"));
        assert!(read(dir.path(), &symbol).unwrap_err().contains("no regular file"));
    }
}
