//! Two ranges of a trace, or another trace and this one.

use crate::escape;
use crate::query::diff::{Side, diff};
use crate::query::report::Function;
use crate::query::timeline::LaneOf;
use crate::trace::{Selection, Trace};
use crate::tui::source::{DiffAsk, DiffPage, DiffRow, Figures, PartingRow};
use crate::tui::worker::Ticket;

use super::Traced;

impl Traced {
    /// Compares; `None` if nobody waits.
    pub(super) fn diff_page(&self, ask: &DiffAsk, ticket: &Ticket) -> Option<DiffPage> {
        let after = self.selection(&ask.b);
        let other = self.other.as_deref().filter(|_| ask.a.is_none());
        let (before, of) = match (&ask.a, other) {
            (Some(part), _) => (self.selection(part), &self.trace),
            (None, Some(other)) => (Selection::everything(other), other),
            (None, None) => return None,
        };
        let (a, b) = (
            Side { trace: of, selection: &before },
            Side { trace: &self.trace, selection: &after },
        );
        let found = diff(a, b, &|| ticket.cancelled())?;
        let figures = |trace: &Trace, function: &Function| Figures {
            calls: function.calls,
            self_ns: trace.clock.duration_ns(function.self_ticks),
            total_ns: trace.clock.duration_ns(function.total_ticks),
        };
        let full =
            |trace: &Trace, symbol| escape::text(&trace.symbols.full_name(symbol)).into_owned();
        let rows = found.functions.iter().map(|pair| DiffRow {
            name: match (&pair.a, &pair.b) {
                (_, Some(b)) => full(&self.trace, b.symbol),
                (Some(a), None) => full(of, a.symbol),
                (None, None) => String::new(),
            },
            symbol: match (&pair.b, &pair.a) {
                (Some(b), _) => Some(b.symbol),
                // Of a range of this trace, it is the same table of symbols.
                (None, Some(a)) if other.is_none() => Some(a.symbol),
                _ => None,
            },
            a: pair.a.as_ref().map(|a| figures(of, a)),
            b: pair.b.as_ref().map(|b| figures(&self.trace, b)),
        });
        let parting = found.parting.map(|parting| PartingRow {
            alike: parting.alike,
            a: parting.a.map(|a| (full(of, a.symbol), of.clock.ns(a.tick))),
            b: parting.b.map(|b| {
                let lane = LaneOf { thread: b.thread, fiber: 0 };
                let lane = self.lanes.iter().position(|&of| of == lane).unwrap_or(0);
                (full(&self.trace, b.symbol), self.ns(b.tick), lane, b.depth)
            }),
        });
        let name = other.map(|other| {
            let file = other.path.file_name().unwrap_or(other.path.as_os_str());
            escape::text(file.as_encoded_bytes()).into_owned()
        });
        Some(DiffPage {
            ask: ask.clone(),
            other: name,
            rows: rows.collect(),
            parting,
            compared: found.compared,
            complete: found.complete,
        })
    }
}
