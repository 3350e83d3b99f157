//! What each function cost.

mod ledger;
mod plan;

use std::sync::Mutex;

use rtrace_format::summary::Spans as SpanSums;

use self::ledger::Figures;
use self::plan::{Task, plan};
use super::parallel;
use crate::model::SymbolId;
use crate::trace::{Selection, Trace};

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// No lost or overwritten records fall inside the asked range.
    pub complete: bool,
    /// The functions that ran, in order of their ids.
    pub functions: Vec<Function>,
}

/// One function's figures, in ticks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Which.
    pub symbol: SymbolId,
    /// First entries: a generator's resumptions are not new calls.
    pub calls: u64,
    /// Time during which it was innermost.
    pub self_ticks: u64,
    /// Time during which it was on the stack at least once.
    pub total_ticks: u64,
    /// Single entries to their exits, that ended in the range; `None` if none did.
    pub spans: Option<Spans>,
}

/// The lengths of single spans, in ticks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spans {
    /// The shortest.
    pub min: u64,
    /// The median, by the histogram.
    pub p50: u64,
    /// The 99th percentile, by the histogram.
    pub p99: u64,
    /// The longest.
    pub max: u64,
    /// All of them.
    pub sums: SpanSums,
}

/// Adds up what the functions of a selection cost: by the summaries of what lies wholly in
/// the range, and by the records at its ends.
pub fn report(trace: &Trace, selection: &Selection) -> Report {
    let range = selection.range;
    let threads = selection.threads.iter();
    let tasks: Vec<Task> = threads.flat_map(|&index| plan(trace, index, range)).collect();
    report_of(trace, selection, &tasks)
}

/// The same by every record, threads cut into pieces of so many blocks. Every figure is
/// clipped to its range, so the figures of adjoining ranges add up to those of both.
#[cfg(test)]
pub(super) fn report_by_replay(trace: &Trace, selection: &Selection, blocks: usize) -> Report {
    let range = selection.range;
    let threads = selection.threads.iter();
    let tasks: Vec<Task> =
        threads.flat_map(|&index| plan::pieces(trace, index, range, blocks)).collect();
    report_of(trace, selection, &tasks)
}

fn report_of(trace: &Trace, selection: &Selection, tasks: &[Task]) -> Report {
    let sums: Mutex<Vec<Figures>> = Mutex::new(Vec::new());
    parallel::map(tasks, |task| {
        let figures = task.run(trace, selection.range);
        let mut all = sums.lock().unwrap_or_else(|held| held.into_inner());
        if figures.len() > all.len() {
            all.resize_with(figures.len(), Figures::default);
        }
        for (sum, part) in all.iter_mut().zip(&figures) {
            sum.merge(part);
        }
    });
    let all = sums.into_inner().unwrap_or_else(|held| held.into_inner());
    let functions = (0..)
        .zip(&all)
        .filter(|(symbol, figures)| figures.is_worth_a_row() && selection.wants(*symbol))
        .map(|(symbol, figures)| figures.row(symbol))
        .collect();
    Report { complete: trace.is_complete(selection), functions }
}
