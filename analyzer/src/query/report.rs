//! What each function cost.

mod ledger;

use rtrace_format::summary::Spans as SpanSums;

use self::ledger::{Figures, Ledger};
use super::parallel;
use crate::model::{SymbolId, Thread, TickRange};
use crate::trace::{Selection, Trace, replay};

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

/// How many blocks of a thread one worker takes at a time.
const PIECE_BLOCKS: usize = 32;

/// Adds up what the functions of a selection cost.
pub fn report(trace: &Trace, selection: &Selection) -> Report {
    report_by_pieces(trace, selection, PIECE_BLOCKS)
}

/// The same, threads cut into pieces of so many blocks. Every figure is clipped to its
/// range, so the figures of adjoining ranges add up to those of both.
pub(super) fn report_by_pieces(trace: &Trace, selection: &Selection, blocks: usize) -> Report {
    let pieces: Vec<(usize, TickRange)> = selection
        .threads
        .iter()
        .flat_map(|&index| {
            let ranges = pieces(trace, &trace.threads[index], selection.range, blocks);
            ranges.into_iter().map(move |range| (index, range))
        })
        .collect();
    let ledgers = parallel::map(&pieces, |&(index, range)| {
        let thread = &trace.threads[index];
        let mut ledger = Ledger::new(range);
        replay(trace, thread, range, &mut ledger);
        ledger.finish(trace.lane_end(thread).min(range.to));
        ledger.figures
    });
    let mut all: Vec<Figures> = Vec::new();
    for figures in ledgers {
        if figures.len() > all.len() {
            all.resize_with(figures.len(), Figures::default);
        }
        for (sum, part) in all.iter_mut().zip(&figures) {
            sum.merge(part);
        }
    }
    let functions = (0..)
        .zip(&all)
        .filter(|(symbol, figures)| figures.is_worth_a_row() && selection.wants(*symbol))
        .map(|(symbol, figures)| figures.row(symbol))
        .collect();
    Report { complete: trace.is_complete(selection), functions }
}

/// Cuts a range where blocks of the thread begin, if all that is open there is known.
fn pieces(trace: &Trace, thread: &Thread, range: TickRange, size: usize) -> Vec<TickRange> {
    let mut pieces = Vec::new();
    let mut from = range.from;
    // Of a fiber that does not run where a block begins, that block knows nothing.
    let one_lane = thread.has_one_lane();
    for block in thread.blocks.iter().step_by(size).skip(1).filter(|_| one_lane) {
        let to = block.base_tick;
        let inside = to > from && range.contains(to);
        if inside && trace.keyframe(block).is_some_and(|keyframe| keyframe.hidden() == 0) {
            pieces.push(TickRange { from, to });
            from = to;
        }
    }
    pieces.push(TickRange { from, to: range.to });
    pieces
}
