//! Events of a trace, their numbers, and the hits of a search.

use std::collections::HashSet;

use crate::escape;
use crate::model::TickRange;
use crate::query::events::{Detail, Row, count_before, number_to_ns, window};
use crate::query::places::places;
use crate::query::timeline::LaneOf;
use crate::trace::Cover;
use crate::tui::source::{EventPage, EventRow, EventsAsk, Hits};
use crate::tui::worker::Ticket;

use super::Traced;

/// Up to so many events every one is looked at for hits; beyond that the summaries tell.
const LOOKED_AT: u64 = 20_000_000;
/// No more moments than this are kept of the hits.
const STARTS: usize = 1_000_000;

impl Traced {
    /// Events around a place.
    pub(super) fn event_page(&self, ask: &EventsAsk, ticket: &Ticket) -> Option<EventPage> {
        let trace = &self.trace;
        let mut selection = self.selection(&ask.part);
        // A replay goes on past the range on the screen.
        selection.range = TickRange::ALL;
        let tick = trace.clock.tick_at(ask.ns);
        let cancelled = || ticket.cancelled();
        let amount = (ask.before, ask.after);
        let found = window(trace, &selection, tick, amount, &cancelled, &mut |row| self.row(row))?;
        let at = ask.exact.and_then(|(lane, number)| {
            let is =
                |row: &EventRow| row.lane == Some(lane) && row.number == number && row.ns == ask.ns;
            found.rows.iter().position(is)
        });
        let before = found.rows.first().map_or(0, |row| {
            let serial =
                row.lane.and_then(|lane| self.lanes.get(lane)).and_then(|of| of.thread(trace));
            count_before(trace, row.ns, serial.map_or(u64::MAX, |t| t.serial), row.number)
        });
        Some(EventPage {
            at: at.unwrap_or(found.before),
            rows: found.rows,
            before,
            first: found.first,
            last: found.last,
        })
    }

    fn row(&self, row: &Row<'_>) -> EventRow {
        let trace = &self.trace;
        let lane = row.thread.and_then(|thread| {
            let exact = LaneOf { thread, fiber: row.fiber };
            let own = LaneOf { thread, fiber: 0 };
            let place = |of| self.lanes.iter().position(|&lane| lane == of);
            place(exact).or_else(|| place(own))
        });
        let (symbol, line, text) = match row.detail {
            Detail::Function(symbol) => (Some(symbol), None, String::new()),
            Detail::Line { function, line } => (function, Some(line), String::new()),
            Detail::Opcode { function, offset, opcode } => {
                (function, None, format!("+{offset} opcode {opcode}"))
            }
            Detail::Exception { function, line, type_symbol, message } => {
                (Some(function), Some(line), self.exception_text(type_symbol, message))
            }
            Detail::Named(name) => (None, None, escape::text(name).into_owned()),
            Detail::Counter { name, value } => {
                (None, None, format!("{} = {value}", escape::text(name)))
            }
            Detail::Lost { count: 0, cause } => (None, None, format!("events: {}", cause.name())),
            Detail::Lost { count, cause } => {
                (None, None, format!("{count} events: {}", cause.name()))
            }
            Detail::Other => (None, None, String::new()),
        };
        let took = row.since.map(|since| trace.clock.duration_ns(row.tick.saturating_sub(since)));
        EventRow {
            ns: row.ts_ns,
            lane,
            number: row.number,
            kind: row.kind,
            depth: row.depth,
            symbol,
            line,
            text,
            took,
        }
    }

    /// When the event of a number happened.
    pub(super) fn event_time(&self, number: u64, ticket: &Ticket) -> Option<i64> {
        number_to_ns(&self.trace, number, &|| ticket.cancelled())
    }

    /// The calls of some functions.
    pub(super) fn all_hits(
        &self,
        symbols: &HashSet<u32>,
        cols: u16,
        ticket: &Ticket,
    ) -> Option<Hits> {
        let mut hits = Hits { cols: vec![false; usize::from(cols)], ..Hits::default() };
        let column = self.minimap_column(cols);
        let all: u64 = self.trace.threads.iter().flat_map(|t| &t.blocks).map(|b| b.events).sum();
        if all > LOOKED_AT {
            return self.hits_by_summaries(symbols, hits, &column, ticket);
        }
        let mut starts = Vec::new();
        for block in self.trace.threads.iter().flat_map(|thread| &thread.blocks) {
            if ticket.cancelled() {
                return None;
            }
            let Ok(decoded) = self.trace.decode(block) else { continue };
            for record in decoded.rows.iter().filter(|record| record.row >= decoded.skip) {
                if is_call_of(record.word, symbols) {
                    hits.count += 1;
                    starts.push(self.ns(record.tick));
                    if let Some(col) = hits.cols.get_mut(column(record.tick)) {
                        *col = true;
                    }
                }
            }
        }
        if starts.len() <= STARTS {
            starts.sort_unstable();
            hits.starts = starts;
        }
        Some(hits)
    }

    /// The same for more events than can be looked at one by one: blocks stand for their calls.
    fn hits_by_summaries(
        &self,
        symbols: &HashSet<u32>,
        mut hits: Hits,
        column: &dyn Fn(u64) -> usize,
        ticket: &Ticket,
    ) -> Option<Hits> {
        let trace = &self.trace;
        for thread in &trace.threads {
            let may = places(trace, thread, symbols);
            for (block, _) in thread.blocks.iter().zip(&may).filter(|(_, may)| **may) {
                let (from, to) = (column(block.base_tick), column(block.end_tick));
                hits.cols.get_mut(from..=to).into_iter().flatten().for_each(|col| *col = true);
            }
            for cover in thread.cover(0..thread.blocks.len()) {
                if ticket.cancelled() {
                    return None;
                }
                let told = match &cover {
                    Cover::Block(at) if !may[*at] => continue,
                    Cover::Block(at) => trace.summary(&thread.blocks[*at]),
                    Cover::Node(span) => trace.node(span),
                };
                let functions = told.and_then(|told| told.functions());
                let blocks = match (functions, cover) {
                    (Some(functions), _) => {
                        let of = functions.iter().filter(|f| symbols.contains(&f.id));
                        hits.count += of.map(|f| f.calls).sum::<u64>();
                        continue;
                    }
                    (None, Cover::Block(at)) => at..at + 1,
                    (None, Cover::Node(span)) => span.blocks,
                };
                for block in &thread.blocks[blocks] {
                    let Ok(decoded) = trace.decode(block) else { continue };
                    let calls = decoded.rows.iter().filter(|record| record.row >= decoded.skip);
                    let calls = calls.filter(|record| is_call_of(record.word, symbols));
                    hits.count += calls.count() as u64;
                }
            }
        }
        Some(hits)
    }
}

fn is_call_of(word: rtrace_format::Word, symbols: &HashSet<u32>) -> bool {
    use rtrace_format::Kind::{CCall, Call};
    matches!(word.kind(), Some(Call | CCall)) && symbols.contains(&word.id())
}
