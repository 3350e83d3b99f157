//! What functions are called on the screen.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rtrace_format::SymbolKind;
use rtrace_format::symbol::FILTERED;

use crate::escape;
use crate::query::leftout::LeftOut;
use crate::trace::Trace;
use crate::tui::source::Label;
use crate::tui::theme::Tint;
use crate::tui::units;

/// The labels of all symbols of a trace, by id.
pub(super) fn of(trace: &Trace) -> Vec<Label> {
    let cwd = cwd_of(trace);
    let left_out = LeftOut::of_processes(&trace.processes);
    let label = |(id, symbol)| Label {
        left_out: words_of(symbol, left_out.get(&id), trace),
        ..label(symbol, cwd)
    };
    trace.symbols.iter().map(label).collect()
}

/// Where the first process of a trace was started.
pub(super) fn cwd_of(trace: &Trace) -> &Path {
    let cwd = trace.processes.first().map(|process| process.cwd.as_slice()).unwrap_or_default();
    Path::new(OsStr::from_bytes(cwd))
}

/// A file as it is shown: from `cwd` on where it lies below that.
pub(super) fn shown<'f>(file: &'f [u8], cwd: &Path) -> &'f [u8] {
    let below = file.strip_prefix(cwd.as_os_str().as_bytes());
    below.and_then(|below| below.strip_prefix(b"/")).unwrap_or(file)
}

/// A symbol's label; files that are not absolute lie below `cwd`.
fn label(symbol: &rtrace_format::Symbol, cwd: &Path) -> Label {
    let c = symbol.kind == SymbolKind::C;
    let file = escape::text(shown(&symbol.file, cwd));
    let place =
        if c || file.is_empty() { String::new() } else { format!("{file}:{}", symbol.first_line) };
    Label {
        name: escape::text(&symbol.qualname).into_owned(),
        module: escape::text(&symbol.module).into_owned(),
        place,
        source: (!c && !file.is_empty())
            .then(|| (cwd.join(OsStr::from_bytes(&symbol.file)), symbol.first_line)),
        tint: Tint::of(&symbol.module, &symbol.qualname, c),
        c,
        left_out: None,
    }
}

/// What of a function's calls is not in the records, and why.
fn words_of(
    symbol: &rtrace_format::Symbol,
    left: Option<&LeftOut>,
    trace: &Trace,
) -> Option<String> {
    if symbol.flags & FILTERED != 0 {
        return Some("not recorded: a filter leaves it out".to_owned());
    }
    let left = left?;
    let mut words = Vec::new();
    if let Some(demoted) = left.demoted() {
        let at = units::moment_for(trace.clock.ns(demoted.tick), 1_000_000);
        words.push(match demoted.at_end {
            true => format!("not recorded from {at} on, to keep the budget"),
            false => format!("not recorded for a while from {at}, to keep the budget"),
        });
    }
    if let (taken @ 1.., _) = left.taken_back() {
        words.push(format!("{} short calls taken back", units::count(taken)));
    }
    Some(words.join("; ")).filter(|words| !words.is_empty())
}
