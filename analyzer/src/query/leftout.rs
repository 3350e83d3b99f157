//! What the recorder left out of the records on purpose: short calls that it took back, and
//! functions that it stopped recording to keep within its budget.
//!
//! It is counted by process and function, for the whole recording, so that it belongs to a
//! report of all threads and of all time. That a figure is a lower bound holds for any.

use std::collections::BTreeMap;

use rtrace_format::figures::{DEMOTED, Figures, OFF};
use rtrace_format::symbol::FILTERED;

use super::report::{Function, Report};
use crate::model::{Process, SymbolId};
use crate::trace::{Selection, Trace};

/// What was left out of one function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    figures: Figures,
}

/// When and how a function stopped being recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demoted {
    /// When, the last time, in ticks.
    pub tick: u64,
    /// Whether it was not recorded at the end either.
    pub at_end: bool,
    /// Its calls while it was recorded.
    pub calls: u64,
    /// Entries that ended while it was recorded, and their ticks.
    pub spans: u64,
    /// As `spans`.
    pub ticks: u64,
}

impl LeftOut {
    /// Entries whose records were taken back, and their ticks.
    pub fn taken_back(&self) -> (u64, u64) {
        (self.figures.taken, self.figures.taken_ticks)
    }

    /// When the budget stopped its recording, if it did.
    pub fn demoted(&self) -> Option<Demoted> {
        let f = &self.figures;
        (f.flags & DEMOTED != 0).then_some(Demoted {
            tick: f.demoted_tick,
            at_end: f.flags & OFF != 0,
            calls: f.calls,
            spans: f.spans,
            ticks: f.ticks,
        })
    }

    /// Whether what the records tell of the function is less than what it did.
    pub fn is_partial(&self) -> bool {
        self.figures.taken > 0 || self.figures.flags & DEMOTED != 0
    }

    /// What all processes left out together.
    pub fn of_processes<'a>(
        processes: impl IntoIterator<Item = &'a Process>,
    ) -> BTreeMap<SymbolId, LeftOut> {
        let mut all: BTreeMap<SymbolId, LeftOut> = BTreeMap::new();
        for (symbol, figures) in processes.into_iter().flat_map(|process| &process.figures) {
            let sum = all.entry(*symbol).or_default();
            sum.figures.merge(figures);
        }
        all.retain(|_, left| left.is_partial());
        all
    }
}

/// What was left out of the functions that a selection asks for.
pub fn left_out(trace: &Trace, selection: &Selection) -> BTreeMap<SymbolId, LeftOut> {
    let chosen = |index: usize| {
        let mut threads = selection.threads.iter().map(|&thread| &trace.threads[thread]);
        selection.all_threads || threads.any(|thread| thread.process == index)
    };
    let processes = trace.processes.iter().enumerate().filter(|(index, _)| chosen(*index));
    let mut all = LeftOut::of_processes(processes.map(|(_, process)| process));
    all.retain(|symbol, _| selection.wants(*symbol));
    all
}

/// The functions that were asked for by name and met, but not recorded, by the recorder's
/// filters; by name. None where no function was asked for: there may be thousands.
pub fn filtered(trace: &Trace, selection: &Selection) -> Vec<SymbolId> {
    if selection.functions.is_none() {
        return Vec::new();
    }
    let symbols = trace.symbols.iter();
    let filtered =
        symbols.filter(|(id, symbol)| symbol.flags & FILTERED != 0 && selection.wants(*id));
    let mut found: Vec<SymbolId> = filtered.map(|(id, _)| id).collect();
    found.sort_by_cached_key(|&id| trace.symbols.full_name(id));
    found
}

/// Adds a row for each function of which nothing but what was left out is known.
pub fn add_rows(report: &mut Report, left_out: &BTreeMap<SymbolId, LeftOut>) {
    let known: std::collections::BTreeSet<SymbolId> =
        report.functions.iter().map(|function| function.symbol).collect();
    let missing = left_out.keys().filter(|symbol| !known.contains(symbol));
    report.functions.extend(missing.map(|&symbol| Function {
        symbol,
        calls: 0,
        self_ticks: 0,
        total_ticks: 0,
        spans: None,
    }));
}
