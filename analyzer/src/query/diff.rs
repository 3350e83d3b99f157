//! Two parts of traces side by side: what each function cost in both, and the first call at which
//! the sequences of calls part.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::ControlFlow;

use rtrace_format::{Step, SymbolKind};

use super::report::{Function, report};
use crate::model::SymbolId;
use crate::trace::{Event, Lane, Selection, Trace, Visitor, replay};

/// Sequences are compared over so many calls of a thread at most.
const LONGEST: usize = 20_000_000;
/// How many events pass between two looks at whether the answer is still wanted.
const LOOK: u32 = 8_192;

/// A part of a trace.
#[derive(Clone, Copy, Debug)]
pub struct Side<'t> {
    /// The trace.
    pub trace: &'t Trace,
    /// The part of it.
    pub selection: &'t Selection,
}

/// One function on both sides. It is the same function if kind, module and qualified name are:
/// lines and files move from version to version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Before: its figures, of one of the symbols that have its name.
    pub a: Option<Function>,
    /// After.
    pub b: Option<Function>,
}

/// A call in a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Index of the thread.
    pub thread: usize,
    /// When it began.
    pub tick: u64,
    /// Its function.
    pub symbol: SymbolId,
    /// Number of frames around it.
    pub depth: u32,
}

/// Where the calls of two threads part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parting {
    /// So many calls before were the same.
    pub alike: u64,
    /// The call on each side that differs; `None` where that side had no more.
    pub a: Option<Place>,
    /// As above.
    pub b: Option<Place>,
}

/// The answer.
#[derive(Clone, Debug)]
pub struct Diff {
    /// Every function of either side, in no order.
    pub functions: Vec<Pair>,
    /// The first parting, of the first thread that has one.
    pub parting: Option<Parting>,
    /// So many calls were compared up to there.
    pub compared: u64,
    /// No lost or overwritten records fall inside of either side.
    pub complete: bool,
}

/// Compares two parts; `None` if nobody waits.
pub fn diff(a: Side<'_>, b: Side<'_>, cancelled: &dyn Fn() -> bool) -> Option<Diff> {
    let (before, after) = (report(a.trace, a.selection), report(b.trace, b.selection));
    if cancelled() {
        return None;
    }
    let mut pairs: HashMap<Name<'_>, Pair> = HashMap::new();
    for function in before.functions {
        let pair = pairs.entry(name(a.trace, function.symbol)).or_insert(Pair { a: None, b: None });
        add(&mut pair.a, function);
    }
    for function in after.functions {
        let pair = pairs.entry(name(b.trace, function.symbol)).or_insert(Pair { a: None, b: None });
        add(&mut pair.b, function);
    }
    let (parting, compared) = first_parting(a, b, cancelled)?;
    let complete = before.complete && after.complete;
    Some(Diff { functions: pairs.into_values().collect(), parting, compared, complete })
}

type Name<'t> = (SymbolKind, &'t [u8], &'t [u8]);

fn name(trace: &Trace, symbol: SymbolId) -> Name<'_> {
    let symbol = trace.symbols.get(symbol);
    (symbol.kind, &symbol.module, &symbol.qualname)
}

/// Functions of the same name count together.
fn add(slot: &mut Option<Function>, function: Function) {
    let Some(sum) = slot else {
        *slot = Some(function);
        return;
    };
    sum.calls += function.calls;
    sum.self_ticks += function.self_ticks;
    sum.total_ticks += function.total_ticks;
    match (&mut sum.spans, function.spans) {
        (Some(sum), Some(more)) => {
            let mut sums = sum.sums.clone();
            sums.merge(&more.sums);
            (sum.min, sum.max) = (sums.min, sums.max);
            sum.p50 = sums.quantile(500).unwrap_or(sum.p50);
            sum.p99 = sums.quantile(990).unwrap_or(sum.p99);
            sum.sums = sums;
        }
        (none @ None, more) => *none = more,
        (Some(_), None) => {}
    }
}

/// Compares the calls of threads, the first of one side with the first of the other and so on.
fn first_parting(
    a: Side<'_>,
    b: Side<'_>,
    cancelled: &dyn Fn() -> bool,
) -> Option<(Option<Parting>, u64)> {
    let mut compared = 0;
    for (&one, &other) in a.selection.threads.iter().zip(&b.selection.threads) {
        let before = calls(a, one, usize::MAX, cancelled)?;
        let after = calls(b, other, usize::MAX, cancelled)?;
        let alike = before.hashes.iter().zip(&after.hashes).take_while(|(x, y)| x == y).count();
        compared += alike as u64;
        if alike < before.hashes.len().max(after.hashes.len()) {
            let place = |side, thread, len| -> Option<Option<Place>> {
                if alike >= len {
                    return Some(None);
                }
                Some(calls(side, thread, alike, cancelled)?.wanted)
            };
            let parting = Parting {
                alike: alike as u64,
                a: place(a, one, before.hashes.len())?,
                b: place(b, other, after.hashes.len())?,
            };
            return Some((Some(parting), compared));
        }
    }
    Some((None, compared))
}

/// The calls of a thread, each as a hash of its function and depth.
fn calls<'t>(
    side: Side<'t>,
    thread: usize,
    wanted: usize,
    cancelled: &'t dyn Fn() -> bool,
) -> Option<Calls<'t>> {
    let mut calls = Calls {
        trace: side.trace,
        names: vec![None; side.trace.symbols.len()],
        hashes: Vec::new(),
        at: wanted,
        thread,
        wanted: None,
        cancelled,
        look: LOOK,
    };
    let of = side.trace.threads.get(thread)?;
    replay(side.trace, of, side.selection.range, &mut calls);
    (!cancelled()).then_some(calls)
}

struct Calls<'t> {
    trace: &'t Trace,
    /// Hashes of names, by symbol, where they were needed.
    names: Vec<Option<u64>>,
    hashes: Vec<u64>,
    /// The call of this number is wanted.
    at: usize,
    thread: usize,
    wanted: Option<Place>,
    cancelled: &'t dyn Fn() -> bool,
    look: u32,
}

impl Visitor for Calls<'_> {
    fn begin(&mut self, _: &Lane, _: u64) {}

    fn event(&mut self, event: &Event<'_>) -> ControlFlow<()> {
        self.look -= 1;
        if self.look == 0 {
            self.look = LOOK;
            if (self.cancelled)() {
                return ControlFlow::Break(());
            }
        }
        let Step::Entered { depth } = event.step else { return ControlFlow::Continue(()) };
        let symbol = event.record.word.id();
        let trace = self.trace;
        let hash = || {
            let mut hasher = DefaultHasher::new();
            let (kind, module, qualname) = name(trace, symbol);
            (kind, module, qualname).hash(&mut hasher);
            hasher.finish()
        };
        let named = match self.names.get_mut(symbol as usize) {
            Some(slot) => *slot.get_or_insert_with(hash),
            None => 0,
        };
        if self.hashes.len() == self.at {
            let tick = event.record.tick;
            self.wanted = Some(Place { thread: self.thread, tick, symbol, depth });
            return ControlFlow::Break(());
        }
        self.hashes.push(named ^ u64::from(depth).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        if self.hashes.len() >= LONGEST {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}

#[cfg(test)]
mod tests {
    use rtrace_format::Kind;

    use super::*;
    use crate::testing::{Pen, TraceBuilder, open};

    /// `main` calls `f` `times` times, which takes `ticks` and calls `last` in the last of them.
    fn recording(times: u32, ticks: u64, last: &str) -> (Trace, tempfile::TempDir) {
        let mut builder = TraceBuilder::new("full");
        builder.process(0, "monitoring", &[]);
        let (main, f, g) = (builder.python("main"), builder.python("f"), builder.python(last));
        builder.thread(1, 0, b"main", &[]);
        let mut pen = Pen::new(1, &[]);
        pen.put(Kind::Call, main, 10);
        for i in 0..times {
            pen.put(Kind::Call, f, 1);
            if i + 1 == times {
                pen.put(Kind::Call, g, 1).put(Kind::Return, g, 1);
            }
            pen.put(Kind::Return, f, ticks);
        }
        pen.put(Kind::Return, main, 1);
        builder.events(&mut pen, (8, 24));
        open(&builder.finish())
    }

    #[test]
    fn functions_are_paired_by_name_and_the_first_other_call_is_found() {
        let (a, _a) = recording(3, 10, "g");
        let (b, _b) = recording(3, 20, "h");
        let (all_a, all_b) = (Selection::everything(&a), Selection::everything(&b));
        let side = |trace, selection| Side { trace, selection };
        let found = diff(side(&a, &all_a), side(&b, &all_b), &|| false).unwrap();
        let one = found.functions.iter().filter(|pair| pair.a.is_none() || pair.b.is_none());
        assert_eq!((found.functions.len(), one.count()), (4, 2));
        let f = |pair: &&Pair| {
            pair.a.as_ref().is_some_and(|f| a.symbols.get(f.symbol).qualname == b"f")
        };
        let f = found.functions.iter().find(f).unwrap();
        let own = |f: &Option<Function>| f.as_ref().map(|f| (f.calls, f.self_ticks));
        assert_eq!((own(&f.a), own(&f.b)), (Some((3, 31)), Some((3, 61))));
        let parting = found.parting.unwrap();
        assert_eq!(parting.alike, 4);
        assert_eq!(a.symbols.get(parting.a.unwrap().symbol).qualname, b"g");
        assert_eq!(b.symbols.get(parting.b.unwrap().symbol).qualname, b"h");
        assert_eq!(parting.a.unwrap().depth, 2);
        let same = diff(side(&a, &all_a), side(&a, &all_a), &|| false).unwrap();
        assert_eq!((same.parting, same.compared), (None, 5));
    }

    #[test]
    fn a_sequence_may_only_be_longer() {
        let (a, _a) = recording(3, 10, "f");
        let (b, _b) = recording(4, 10, "f");
        let (all_a, all_b) = (Selection::everything(&a), Selection::everything(&b));
        let side = |trace, selection| Side { trace, selection };
        let parting = diff(side(&a, &all_a), side(&b, &all_b), &|| false).unwrap().parting.unwrap();
        assert_eq!(parting.alike, 4);
        assert!(parting.a.is_some() && parting.b.is_some());
    }
}
