//! A filter, resolved against an open trace.

use super::Trace;
use crate::escape;
use crate::filter::Filter;
use crate::model::{SymbolId, Thread, TickRange};

/// What to look at.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Indices of the threads, ascending, and so ordered by serial.
    pub threads: Vec<usize>,
    /// The range of time.
    pub range: TickRange,
    /// By dense id whether the function is asked for; `None` for all.
    pub functions: Option<Vec<bool>>,
    /// At most so many rows.
    pub limit: Option<usize>,
    /// No thread was left out.
    pub all_threads: bool,
    /// Names and serials asked for that no thread has.
    pub unmatched: Vec<String>,
}

impl Selection {
    /// Everything in a trace.
    pub fn everything(trace: &Trace) -> Self {
        trace.select(&Filter::default())
    }

    /// Whether the function is asked for.
    #[inline]
    pub fn wants(&self, symbol: SymbolId) -> bool {
        match &self.functions {
            None => true,
            Some(wanted) => wanted.get(symbol as usize).copied().unwrap_or(false),
        }
    }
}

impl Trace {
    /// Resolves a filter.
    pub fn select(&self, filter: &Filter) -> Selection {
        let mut unmatched = Vec::new();
        let mut chosen = vec![filter.threads.is_empty(); self.threads.len()];
        for wanted in &filter.threads {
            let mut any = false;
            // A serial is unique and comes first; a thread that is named `7` is
            // found by it where no thread has that serial.
            let serial: Option<u64> = wanted.parse().ok();
            let by_serial = self.threads.iter().any(|thread| Some(thread.serial) == serial);
            for (thread, chosen) in self.threads.iter().zip(&mut chosen) {
                let this = match serial {
                    Some(serial) if by_serial => thread.serial == serial,
                    _ => is_named(thread, wanted),
                };
                *chosen |= this;
                any |= this;
            }
            if !any {
                unmatched.push(wanted.clone());
            }
        }
        let functions = filter.function.as_ref().map(|pattern| {
            self.symbols
                .iter()
                .map(|(id, _)| pattern.is_match(&self.symbols.full_name(id)))
                .collect()
        });
        Selection {
            threads: (0..self.threads.len()).filter(|&i| chosen[i]).collect(),
            range: TickRange {
                from: filter.from_ns.map_or(0, |ns| self.clock.tick_at(ns)),
                to: filter.to_ns.map_or(u64::MAX, |ns| self.clock.tick_at(ns)),
            },
            functions,
            limit: filter.limit,
            all_threads: filter.threads.is_empty(),
            unmatched,
        }
    }
}

/// By the name itself, or as it is printed: an escaped name can be copied and pasted.
fn is_named(thread: &Thread, wanted: &str) -> bool {
    thread.name == wanted.as_bytes() || escape::text(&thread.name) == wanted
}
