//! Random programs, packed into random chunks, asked about random ranges.

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;
use rtrace_format::frame::{BEGAN_BEFORE, C_FUNCTION};
use rtrace_format::{Change, Frame, Kind, Stack, Step, SummaryBuilder, Value};

use super::naive::{self, Figures};
use crate::query::calls::{CallEnd, Lasting, lasting};
use crate::query::events::events;
use crate::query::places::{Bounds, places, stretches};
use crate::query::report::{report, report_by_replay};
use crate::query::stacks::{Level, stacks};
use crate::query::tree::{LaneTree, tree};
use crate::testing::{BASE, Pen, TraceBuilder, open};
use crate::trace::{Selection, Trace};

const IDS: u32 = 6;

/// A step of a random program: what to do, with which function, after how long.
type Op = (u8, u32, u64);

fn any_op() -> impl Strategy<Value = Op> {
    let ticks = prop_oneof![8 => 0u64..40, 1 => Just(0), 1 => 1u64 << 33..1 << 34];
    (0u8..12, 0..IDS, ticks)
}

/// Threads of ops, each with what was open before; and how many records a chunk holds.
pub type Plan = (Vec<(Vec<u32>, Vec<Op>)>, usize);

pub fn any_plan() -> impl Strategy<Value = Plan> {
    let open = prop::collection::vec(0..IDS, 0..12);
    let thread = (open, prop::collection::vec(any_op(), 0..120));
    (prop::collection::vec(thread, 1..4), 1usize..40)
}

struct Made {
    trace: Trace,
    threads: Vec<naive::Thread>,
    _dir: tempfile::TempDir,
}

/// The file of a plan.
pub fn bytes_of(plan: &Plan) -> Vec<u8> {
    record(plan, (8, 24)).0
}

/// Records a plan, notes what was recorded, and opens it.
fn make(plan: &Plan, keep: (usize, usize)) -> Made {
    let (bytes, threads) = record(plan, keep);
    let (trace, dir) = open(&bytes);
    Made { trace, threads, _dir: dir }
}

fn record(plan: &Plan, keep: (usize, usize)) -> (Vec<u8>, Vec<naive::Thread>) {
    record_with(plan, keep, |_| {})
}

/// The same, with something done before every chunk but a thread's first. The naive threads
/// know nothing of it.
fn record_with(
    (plan, chunk_rows): &Plan,
    keep: (usize, usize),
    mut before_chunk: impl FnMut(&mut Pen),
) -> (Vec<u8>, Vec<naive::Thread>) {
    let mut builder = TraceBuilder::new("full");
    builder.nodes = true;
    builder.untold = plan.len() % 2 == 0;
    builder.process(0, "monitoring", &[("end", Value::text("clean"))]);
    let ids: Vec<u32> = (0..IDS)
        .map(|i| {
            let name = format!("f{i}");
            if i % 3 == 2 { builder.c(&name) } else { builder.python(&name) }
        })
        .collect();
    let mut threads = Vec::new();
    for (serial, (open, ops)) in (0u64..).zip(plan) {
        builder.thread(serial, 0, format!("t{serial}").as_bytes(), &[]);
        let flags = |i: u32| BEGAN_BEFORE | if i % 3 == 2 { C_FUNCTION } else { 0 };
        let frames: Vec<Frame> =
            open.iter().map(|&i| Frame::new(ids[i as usize], flags(i), BASE)).collect();
        let mut pen = Pen::new(serial, &frames);
        let mut thread = naive::Thread {
            open: frames.iter().map(|frame| (frame.id(), BASE, false)).collect(),
            base: BASE,
            ..naive::Thread::default()
        };
        let mut stack: Vec<u32> = frames.iter().map(Frame::id).collect();
        for &(what, function, ticks) in ops {
            let id = ids[function as usize];
            let is_c = function % 3 == 2;
            let (kind, id) = match (what, stack.last().copied()) {
                (0..=4, _) if is_c => (Kind::CCall, id),
                (0..=2, _) => (Kind::Call, id),
                (3, _) => (Kind::Resume, id),
                (4, _) => (Kind::Throw, id),
                (5..=9, Some(top)) if (top - 4) % 3 == 2 => {
                    (if what == 5 { Kind::CException } else { Kind::CReturn }, top)
                }
                (5..=7, Some(top)) => (Kind::Return, top),
                (8, Some(top)) => (Kind::Unwind, top),
                (9, Some(top)) => (Kind::Yield, top),
                _ => (Kind::Line, 7),
            };
            match kind {
                Kind::Call | Kind::CCall | Kind::Resume | Kind::Throw => stack.push(id),
                Kind::Line => {}
                _ => drop(stack.pop()),
            }
            pen.put(kind, id, ticks);
            thread.records.push((pen.tick, kind, id));
            if pen.rows.len() >= *chunk_rows {
                builder.events(&mut pen, keep);
                before_chunk(&mut pen);
            }
        }
        builder.events(&mut pen, keep);
        threads.push(thread);
    }
    let end = threads.iter().flat_map(|t| &t.records).map(|r| r.0).max().unwrap_or(BASE);
    for thread in &mut threads {
        thread.end = end;
    }
    (builder.finish(), threads)
}

fn ranged(trace: &Trace, range: (u64, u64)) -> Selection {
    let mut selection = Selection::everything(trace);
    (selection.range.from, selection.range.to) = range;
    selection
}

/// A range of ticks around what happens in a plan.
fn any_range() -> impl Strategy<Value = (u64, u64)> {
    let near = || BASE - 10..BASE + 800;
    prop_oneof![
        2 => Just((0, u64::MAX)),
        4 => (near(), near()).prop_map(|(a, b)| (a.min(b), a.max(b))),
        1 => near().prop_map(|from| (from, u64::MAX)),
        1 => (1u64 << 33..1 << 36).prop_map(|to| (0, to)),
    ]
}

fn quantile(spans: &mut [u64], per_mille: usize) -> Option<u64> {
    spans.sort_unstable();
    let rank = (spans.len() * per_mille).div_ceil(1000).max(1);
    let value = *spans.get(rank - 1)?;
    let edge = rtrace_format::histogram::upper_edge(rtrace_format::histogram::bin_of(value));
    Some(edge.min(*spans.last()?))
}

fn paths(lane: &LaneTree) -> BTreeMap<Vec<u32>, naive::Path> {
    let mut found = BTreeMap::new();
    for node in &lane.nodes {
        let mut path = vec![node.symbol];
        let mut at = node.parent;
        while let Some(parent) = at {
            path.insert(0, lane.nodes[parent as usize].symbol);
            at = lane.nodes[parent as usize].parent;
        }
        let figures = (node.calls, node.self_ticks, node.total_ticks, node.began_before, node.open);
        found.insert(path, figures);
    }
    found
}

/// So many cases, or as many as PROPTEST_CASES says.
pub fn cases(cases: u32) -> ProptestConfig {
    let asked = std::env::var_os("PROPTEST_CASES").is_some();
    if asked { ProptestConfig::default() } else { ProptestConfig::with_cases(cases) }
}

proptest! {
    #![proptest_config(cases(128))]

    #[test]
    fn report_is_that_of_the_naive_replay(plan in any_plan(), range in any_range()) {
        let made = make(&plan, (8, 1024));
        let mut expected: BTreeMap<u32, Figures> = BTreeMap::new();
        for thread in &made.threads {
            for (id, (calls, own, total, spans)) in thread.report(range.0, range.1) {
                let sum = expected.entry(id).or_default();
                sum.0 += calls;
                sum.1 += own;
                sum.2 += total;
                sum.3.extend(spans);
            }
        }
        expected.retain(|_, figures| *figures != Figures::default());
        let found = report(&made.trace, &ranged(&made.trace, range));
        prop_assert!(found.complete);
        for size in [1, 3] {
            let by_pieces = report_by_replay(&made.trace, &ranged(&made.trace, range), size);
            prop_assert_eq!(&by_pieces, &found, "in pieces of {} blocks", size);
        }
        let found: BTreeMap<u32, _> = found
            .functions
            .into_iter()
            .filter(|f| f.calls + f.self_ticks + f.total_ticks > 0 || f.spans.is_some())
            .map(|f| {
                let spans = f.spans.map(|s| (s.min, s.p50, s.p99, s.max));
                (f.symbol, (f.calls, f.self_ticks, f.total_ticks, spans))
            })
            .collect();
        let expected: BTreeMap<u32, _> = expected
            .into_iter()
            .map(|(id, (calls, own, total, mut spans))| {
                let p50 = quantile(&mut spans, 500);
                let p99 = quantile(&mut spans, 990);
                let quantiles = p50.zip(p99).map(|(p50, p99)| {
                    (spans[0], p50, p99, spans[spans.len() - 1])
                });
                (id, (calls, own, total, quantiles))
            })
            .collect();
        prop_assert_eq!(found, expected);
    }

    /// Losses with and without numbers, stacks that are others behind them, and exits of
    /// frames that are not the innermost any more.
    #[test]
    fn summaries_tell_what_the_records_tell(
        plan in any_plan(),
        losses in prop::collection::vec((0u8..6, 0usize..9), 1..9),
        ranges in prop::collection::vec(any_range(), 4),
    ) {
        let mut losses = losses.iter().cycle();
        let (bytes, _) = record_with(&plan, (8, 1024), |pen| match losses.next() {
            Some((0, _)) => pen.lost_before = 7,
            Some((1, keep)) => {
                let open: Vec<Frame> = pen.open.iter().take(*keep).copied().collect();
                pen.skip(3, 11, &open);
            }
            Some((2, ticks)) => pen.skip(1, *ticks as u64, &pen.open.clone()),
            _ => {}
        });
        let (trace, _dir) = open(&bytes);
        for range in ranges {
            let selection = ranged(&trace, range);
            let by_records = report_by_replay(&trace, &selection, usize::MAX);
            prop_assert_eq!(report(&trace, &selection), by_records);
        }
    }

    /// Where functions are, and how long their longest spans, by nodes and by every record.
    #[test]
    fn places_and_bounds_are_those_of_the_records(plan in any_plan(), wanted in 0..IDS) {
        let made = make(&plan, (8, 1024));
        let symbol = wanted + 4;
        for thread in &made.trace.threads {
            let wanted = HashSet::from([symbol]);
            let may = places(&made.trace, thread, &wanted);
            let bounds: Vec<(u64, usize)> =
                Bounds::new(&made.trace, thread, 0..thread.blocks.len(), &wanted).collect();
            prop_assert!(bounds.windows(2).all(|pair| pair[0].0 >= pair[1].0));
            for (at, block) in thread.blocks.iter().enumerate() {
                let decoded = made.trace.decode(block).unwrap();
                let mut lanes = decoded.lanes();
                let mut called = false;
                let mut longest = None;
                for record in decoded.rows.iter() {
                    let kind = record.word.kind();
                    called |= matches!(kind, Some(Kind::Call | Kind::CCall)) && record.word.id() == symbol;
                    if let Change::Step(Step::Left { frame, .. }) = lanes.apply(&record)
                        && frame.id() == symbol && frame.has_start()
                    {
                        longest = longest.max(Some(record.tick - frame.tick));
                    }
                }
                prop_assert!(may[at] || (!called && longest.is_none()), "block {}", at);
                let bound = bounds.iter().find(|(_, of)| *of == at).map_or(0, |(bound, _)| *bound);
                prop_assert!(bound >= longest.unwrap_or(0), "block {}: {} {:?}", at, bound, longest);
                let told = made.trace.summary(block).and_then(|told| told.functions());
                if let Some(functions) = told {
                    let acted = functions.iter().any(|f| f.id == symbol && f.acted());
                    prop_assert_eq!(may[at], acted);
                }
            }
        }
    }

    /// The longest calls against all of the naive replay, whatever the limit and the least length.
    #[test]
    fn the_longest_calls_are_those_of_the_naive_replay(
        plan in any_plan(),
        range in any_range(),
        wanted in 0..IDS,
        limit in 1usize..30,
        least in 0u64..60,
    ) {
        let made = make(&plan, (8, 1024));
        let mut expected: BTreeMap<(usize, u32), Vec<u64>> = BTreeMap::new();
        for (index, thread) in made.threads.iter().enumerate() {
            for (id, (.., spans)) in thread.report(range.0, range.1) {
                expected.entry((index, id)).or_default().extend(spans);
            }
        }
        expected.values_mut().for_each(|spans| spans.sort_unstable());
        expected.retain(|_, spans| !spans.is_empty());
        let all = lasting(&made.trace, &ranged(&made.trace, range), &|_| true);
        prop_assert!(all.windows(2).all(|pair| pair[0].ticks() >= pair[1].ticks()));
        let mut found: BTreeMap<(usize, u32), Vec<u64>> = BTreeMap::new();
        for call in all.iter().rev().filter(|call| !matches!(call.end, CallEnd::Open(_))) {
            found.entry((call.thread, call.symbol)).or_default().push(call.ticks());
        }
        prop_assert_eq!(found, expected);
        let of_one = Selection {
            functions: Some((0..IDS + 4).map(|id| id == wanted + 4).collect()),
            limit: Some(limit),
            ..ranged(&made.trace, range)
        };
        let some = lasting(&made.trace, &of_one, &|ticks| ticks >= least);
        let fits = |call: &&Lasting| call.symbol == wanted + 4 && call.ticks() >= least;
        let expected: Vec<Lasting> = all.iter().filter(fits).take(limit).copied().collect();
        prop_assert_eq!(some, expected);
    }

    /// Where a function ran, by nodes, summaries and records, against the records alone.
    #[test]
    fn a_function_is_found_where_it_ran(plan in any_plan(), wanted in 0..IDS) {
        let made = make(&plan, (8, 1024));
        let symbols = HashSet::from([wanted + 4]);
        let found = stretches(&made.trace, &Selection::everything(&made.trace), &symbols);
        for (index, thread) in made.trace.threads.iter().enumerate() {
            let mut ran = 0;
            for block in &thread.blocks {
                let decoded = made.trace.decode(block).unwrap();
                let mut stack = Stack::from_keyframe(&decoded.keyframe);
                let summary = SummaryBuilder::new(99).summarize(&decoded.rows, &mut stack);
                let functions = summary.functions.unwrap_or_default();
                let acted = functions.iter().any(|f| f.id == wanted + 4 && f.acted());
                let on_top = decoded.lanes().current().stack.top().is_some_and(|f| f.id() == wanted + 4)
                    || functions.iter().any(|f| f.id == wanted + 4);
                let mut here = found.iter().filter(|s| s.thread == index);
                let told = here.any(|s| s.from <= block.base_tick && block.end_tick <= s.to);
                prop_assert!(told || !acted, "{:?} {:?}", block, found);
                ran += usize::from(on_top);
            }
            let blocks: usize =
                found.iter().filter(|s| s.thread == index).map(|s| s.blocks).sum();
            prop_assert!(blocks <= ran, "{} {}", blocks, ran);
        }
    }

    #[test]
    fn tree_is_that_of_the_naive_replay(plan in any_plan(), range in any_range()) {
        let made = make(&plan, (8, 1024));
        let found = tree(&made.trace, &ranged(&made.trace, range));
        for (index, thread) in made.threads.iter().enumerate() {
            let mut expected = thread.tree(range.0, range.1);
            let lane = found.lanes.iter().find(|lane| lane.thread == index);
            let mut seen = lane.map(paths).unwrap_or_default();
            // Frames that are open at both ends of an empty stretch may be told or not.
            expected.retain(|_, path| (path.0, path.1, path.2) != (0, 0, 0));
            seen.retain(|_, path| (path.0, path.1, path.2) != (0, 0, 0));
            prop_assert_eq!(seen, expected);
        }
    }

    #[test]
    fn stacks_are_those_of_the_naive_replay(plan in any_plan(), at in BASE + 1..BASE + 900) {
        let made = make(&plan, (8, 1024));
        let found = stacks(&made.trace, &ranged(&made.trace, (0, at)));
        prop_assert_eq!(found.len(), made.threads.len());
        for (lane, thread) in found.iter().zip(&made.threads) {
            let until = at.min(thread.end);
            let expected: Vec<_> = thread
                .stack_at(at)
                .iter()
                .map(|&(symbol, since, known)| Level::Frame {
                    symbol,
                    open_ticks: Some(until.saturating_sub(since)),
                    began_before: !known,
                })
                .collect();
            prop_assert_eq!(&lane.levels, &expected);
        }
    }

    #[test]
    fn short_keyframes_change_nothing(mut plan in any_plan(), range in any_range()) {
        // Nobody knows the frames that the very first keyframe leaves out, and no walk
        // goes back more than so many blocks for others.
        plan.0.iter_mut().for_each(|(open, _)| open.truncate(3));
        plan.1 += 3;
        let (whole, short) = (make(&plan, (8, 1024)), make(&plan, (1, 2)));
        prop_assert_eq!(
            report(&whole.trace, &ranged(&whole.trace, range)),
            report(&short.trace, &ranged(&short.trace, range))
        );
    }

    #[test]
    fn events_are_merged_in_order_and_cut_by_the_range(plan in any_plan(), range in any_range()) {
        let made = make(&plan, (8, 1024));
        let mut expected: Vec<(u64, usize, usize, u32)> = Vec::new();
        for (index, thread) in made.threads.iter().enumerate() {
            let mut depth = thread.open.len() as u32;
            for (number, &(tick, kind, _)) in thread.records.iter().enumerate() {
                let shown = match kind {
                    Kind::Call | Kind::CCall | Kind::Resume | Kind::Throw => {
                        depth += 1;
                        depth - 1
                    }
                    Kind::Line => {
                        let stack = thread.stack_at_record(number);
                        let python = stack.iter().rposition(|call| (call.0 - 4) % 3 != 2);
                        python.unwrap_or(0) as u32
                    }
                    _ => {
                        depth -= 1;
                        depth
                    }
                };
                if tick >= range.0 && tick < range.1 {
                    expected.push((tick, index, number, shown));
                }
            }
        }
        expected.sort_unstable();
        let mut found = Vec::new();
        events(&made.trace, &ranged(&made.trace, range), &mut |row| {
            found.push((row.tick, row.thread.unwrap(), row.number as usize, row.depth));
            Ok(())
        })
        .unwrap();
        prop_assert_eq!(found, expected);
    }
}
