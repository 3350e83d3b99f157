//! The tables of a trace: functions and exceptions of a range, in parts between which a question
//! can be cancelled.

use std::collections::HashMap;

use rtrace_format::summary::Spans;

use crate::model::{SymbolId, Thread, TickRange};
use crate::query::exceptions::exceptions;
use crate::query::report::report;
use crate::trace::Selection;
use crate::tui::source::{ExceptionRow, Exceptions, FunctionRow, Functions};
use crate::tui::worker::Ticket;

use super::Traced;

/// How many events of the function table are counted between two looks at the ticket.
const PORTION: u64 = 1_000_000;
impl Traced {
    /// The functions of `[from, to)`; `None` if cancelled.
    pub(super) fn function_table(&self, from: i64, to: i64, ticket: &Ticket) -> Option<Functions> {
        let range = self.ticks(from, to);
        let mut sums: HashMap<SymbolId, Sum> = HashMap::new();
        let mut complete = true;
        let portions: Vec<(usize, TickRange)> = (0..self.trace.threads.len())
            .flat_map(|thread| portions(&self.trace.threads[thread], thread, range))
            .collect();
        for (done, &(thread, range)) in portions.iter().enumerate() {
            if ticket.cancelled() {
                return None;
            }
            let mut selection = Selection::everything(&self.trace);
            selection.threads = vec![thread];
            selection.all_threads = self.trace.threads.len() == 1;
            selection.range = range;
            let part = report(&self.trace, &selection);
            complete &= part.complete;
            for function in part.functions {
                let sum = sums.entry(function.symbol).or_default();
                sum.calls += function.calls;
                sum.own += function.self_ticks;
                sum.total += function.total_ticks;
                if let Some(spans) = &function.spans {
                    sum.spans.merge(&spans.sums);
                }
            }
            if portions.len() > 4 {
                ticket.progress(done as u64 + 1, portions.len() as u64);
            }
        }
        let ns = |ticks| self.trace.clock.duration_ns(ticks);
        let rows = sums.into_iter().map(|(symbol, sum)| FunctionRow {
            symbol,
            calls: sum.calls,
            self_ns: ns(sum.own),
            total_ns: ns(sum.total),
            p50_ns: sum.spans.quantile(500).map(ns),
            p99_ns: sum.spans.quantile(990).map(ns),
            max_ns: (sum.spans.count > 0).then(|| ns(sum.spans.max)),
        });
        Some(Functions { range: (from, to), rows: rows.collect(), complete })
    }

    /// The exceptions of `[from, to)`; `None` if cancelled.
    pub(super) fn exception_table(
        &self,
        from: i64,
        to: i64,
        ticket: &Ticket,
    ) -> Option<Exceptions> {
        let trace = &self.trace;
        let mut rows: HashMap<(String, u32, u32), ExceptionRow> = HashMap::new();
        for thread in 0..trace.threads.len() {
            if ticket.cancelled() {
                return None;
            }
            let mut selection = Selection::everything(trace);
            selection.threads = vec![thread];
            selection.range = self.ticks(from, to);
            let part = exceptions(trace, &selection);
            let raised = part.exceptions.into_iter().map(|e| ExceptionRow {
                what: self.exception_text(e.type_symbol, &e.message),
                symbol: e.function,
                line: e.line,
                count: e.count,
                handled: Some(e.handled),
                escaped: Some(e.escaped),
                first: self.ns(e.first_tick),
                last: self.ns(e.last_tick),
            });
            let unwound = part.unwinds.into_iter().map(|u| ExceptionRow {
                what: "(left by an exception)".to_owned(),
                symbol: u.symbol,
                line: 0,
                count: u.count,
                handled: None,
                escaped: None,
                first: self.ns(u.first_tick),
                last: self.ns(u.last_tick),
            });
            for row in raised.chain(unwound) {
                let same = (row.what.clone(), row.symbol, row.line);
                match rows.get_mut(&same) {
                    Some(sum) => add_up(sum, &row),
                    None => drop(rows.insert(same, row)),
                }
            }
        }
        let mut rows: Vec<ExceptionRow> = rows.into_values().collect();
        rows.sort_by(|a, b| b.count.cmp(&a.count).then(a.first.cmp(&b.first)));
        Some(Exceptions { range: (from, to), rows })
    }
}

fn add_up(sum: &mut ExceptionRow, row: &ExceptionRow) {
    sum.count += row.count;
    sum.handled = sum.handled.zip(row.handled).map(|(a, b)| a + b);
    sum.escaped = sum.escaped.zip(row.escaped).map(|(a, b)| a + b);
    sum.first = sum.first.min(row.first);
    sum.last = sum.last.max(row.last);
}

#[derive(Default)]
struct Sum {
    calls: u64,
    own: u64,
    total: u64,
    spans: Spans,
}

/// Cuts a range into parts of about a million events of one thread each.
fn portions(thread: &Thread, index: usize, range: TickRange) -> Vec<(usize, TickRange)> {
    let mut portions = Vec::new();
    let mut from = range.from;
    let mut events = 0;
    for block in thread.blocks.iter().filter(|b| b.base_tick < range.to && b.end_tick >= range.from)
    {
        if events >= PORTION && block.base_tick > from {
            portions.push((index, TickRange { from, to: block.base_tick }));
            from = block.base_tick;
            events = 0;
        }
        events += block.events;
    }
    portions.push((index, TickRange { from, to: range.to }));
    portions
}
