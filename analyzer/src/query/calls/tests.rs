//! Everything that is asked of random programs, against a plain list of their calls.

use std::collections::HashSet;

use proptest::prelude::*;
use rtrace_format::record::Subkind;
use rtrace_format::{Frame, Kind, Stack, Value, long};

use super::*;
use crate::filter::Filter;
use crate::query::report::report;
use crate::query::timeline::{Flags, Grid, Raster, exact, lanes, sketch};
use crate::testing::{BASE, Pen, TraceBuilder, open};

const FUNCTIONS: u32 = 5;
/// The id of the first function.
const FIRST: u32 = 4;

/// One record: how long after the one before, what, of which function.
type Op = (u32, Kind, u32);

/// The trace of threads that did this, in blocks of at most `block` records.
fn trace(threads: &[Vec<Op>], block: usize) -> (Trace, tempfile::TempDir) {
    let mut file = TraceBuilder::new("full");
    file.process(0, "monitoring", &[("end", Value::text("clean"))]);
    for id in 0..FUNCTIONS {
        file.python(&format!("f{id}"));
    }
    for (serial, ops) in (0..).zip(threads) {
        file.thread(serial, 0, b"a thread", &[]);
        let mut pen = Pen::new(serial, &[]);
        for ops in ops.chunks(block) {
            for &(ticks, kind, id) in ops {
                pen.put(kind, id, ticks.into());
            }
            file.events(&mut pen, (8, 24));
        }
    }
    open(&file.finish())
}

/// A call of the plain list.
#[derive(Clone, Debug, PartialEq)]
struct Plain {
    depth: u32,
    id: u32,
    start: u64,
    end: u64,
    exit: Option<Kind>,
    callers: Vec<Option<u32>>,
    parent: Option<usize>,
}

/// A random walk up and down the stack. Every record is at a tick of its own, so that a tick
/// names a record.
fn program() -> impl Strategy<Value = Vec<Op>> {
    let step = (1_u32..50, 0_u32..10, 0..FUNCTIONS, any::<bool>());
    proptest::collection::vec(step, 1..150).prop_map(|steps| {
        let mut stack = Vec::new();
        let mut ops = Vec::new();
        for (delta, turn, id, raised) in steps {
            if turn < 5 || stack.is_empty() {
                stack.push(FIRST + id);
                ops.push((delta, Kind::Call, FIRST + id));
            } else if let Some(top) = stack.pop() {
                ops.push((delta, if raised { Kind::Unwind } else { Kind::Return }, top));
            }
        }
        ops
    })
}

/// The calls of a program in order of their starts.
fn plain(ops: &[Op]) -> Vec<Plain> {
    let mut calls: Vec<Plain> = Vec::new();
    let mut stack: Vec<usize> = Vec::new();
    let mut tick = BASE;
    for &(delta, kind, id) in ops {
        tick += u64::from(delta);
        if kind == Kind::Call {
            calls.push(Plain {
                depth: stack.len() as u32,
                id,
                start: tick,
                end: u64::MAX,
                exit: None,
                callers: stack.iter().map(|&call| Some(calls[call].id)).collect(),
                parent: stack.last().copied(),
            });
            stack.push(calls.len() - 1);
        } else if let Some(call) = stack.pop() {
            calls[call].end = tick;
            calls[call].exit = Some(kind);
        }
    }
    for call in &mut calls {
        call.end = call.end.min(tick);
    }
    calls
}

fn at_of(lane: LaneOf, call: &Plain) -> CallAt {
    let frame = Frame::new(call.id, 0, call.start);
    CallAt { lane, depth: call.depth, frame, seen: call.start }
}

fn never() -> bool {
    false
}

fn naive_step(calls: &[Plain], from: usize, step: Step) -> Option<usize> {
    let me = &calls[from];
    let children = |of: usize| (0..calls.len()).filter(move |&i| calls[i].parent == Some(of));
    let siblings = || (0..calls.len()).filter(|&i| calls[i].parent == me.parent);
    match step {
        Step::Parent => me.parent,
        Step::FirstChild => children(from).next(),
        Step::HeaviestChild => {
            let length = |&i: &usize| (calls[i].end - calls[i].start, std::cmp::Reverse(i));
            children(from).max_by_key(length)
        }
        Step::PreviousSibling => siblings().rfind(|&i| i < from),
        Step::NextSibling => siblings().find(|&i| i > from),
        Step::Previous => from.checked_sub(1),
        Step::Next => (from + 1 < calls.len()).then_some(from + 1),
    }
}

const STEPS: [Step; 7] = [
    Step::Parent,
    Step::FirstChild,
    Step::HeaviestChild,
    Step::PreviousSibling,
    Step::NextSibling,
    Step::Previous,
    Step::Next,
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..Default::default() })]

    #[test]
    fn calls_are_described_and_stepped_between(ops in program(), block in 1_usize..40) {
        let (trace, _dir) = trace(std::slice::from_ref(&ops), block);
        let lane = lanes(&trace)[0];
        let calls = plain(&ops);
        for (index, call) in calls.iter().enumerate() {
            let told = describe(&trace, at_of(lane, call), &never).unwrap();
            let end = match call.exit {
                Some(Kind::Unwind) => CallEnd::Unwound(call.end),
                Some(_) => CallEnd::Returned(call.end),
                None => CallEnd::Open(call.end),
            };
            prop_assert_eq!(told.end, end, "{:?}", call);
            prop_assert_eq!(&told.callers, &call.callers);
            let children: Vec<&Plain> = calls.iter().filter(|c| c.parent == Some(index)).collect();
            prop_assert_eq!(told.children, Some(children.len() as u64));
            let inside: u64 = children.iter().map(|c| c.end - c.start).sum();
            prop_assert_eq!(told.self_ticks, Some(call.end - call.start - inside), "{:?}", call);
            for way in STEPS {
                let got = step(&trace, at_of(lane, call), way, &never);
                let got = got.map(|to| (to.depth, to.frame.id(), to.frame.tick));
                let want = naive_step(&calls, index, way).map(|i| &calls[i]);
                prop_assert_eq!(got, want.map(|c| (c.depth, c.id, c.start)), "{:?} from {:?}", way, call);
            }
        }
    }

    #[test]
    fn what_is_open_somewhere_is_found(
        ops in program(), block in 1_usize..40, from in 900_u64..4_000, length in 1_u64..200, depth in 0_u32..8,
    ) {
        let (trace, _dir) = trace(std::slice::from_ref(&ops), block);
        let lane = lanes(&trace)[0];
        let calls = plain(&ops);
        let range = TickRange { from, to: from + length };
        let got = at(&trace, lane, range, depth, &never);
        let last = calls.iter().map(|c| c.end).max().unwrap_or(0);
        // A call that ended at a tick is not open at it; one that never ended is open at the last.
        let touches = |c: &&Plain| c.start < range.to && (c.end > from || (c.exit.is_none() && from <= last));
        let deepest = calls.iter().filter(|c| c.depth <= depth).filter(touches).map(|c| c.depth).max();
        prop_assert_eq!(got.map(|call| call.depth), deepest);
        if let Some(got) = got {
            prop_assert!(calls.iter().any(|c| c.start == got.frame.tick && c.id == got.frame.id()));
        }
    }

    #[test]
    fn the_next_and_the_longest_are_found_in_all_lanes(
        one in program(), two in program(), block in 1_usize..40, tick in 900_u64..4_000, id in 0..FUNCTIONS,
    ) {
        let (trace, _dir) = trace(&[one.clone(), two.clone()], block);
        let of = lanes(&trace);
        let all: Vec<Plain> = plain(&one).into_iter().chain(plain(&two)).collect();
        let wanted = FIRST + id;
        let symbols = HashSet::from([wanted]);
        let starts = || all.iter().filter(|c| c.id == wanted).map(|c| c.start);
        let next = matching(&trace, &of, &symbols, tick, true, &never).map(|c| c.frame.tick);
        prop_assert_eq!(next, starts().filter(|&s| s > tick).min());
        let before = matching(&trace, &of, &symbols, tick, false, &never).map(|c| c.frame.tick);
        prop_assert_eq!(before, starts().filter(|&s| s < tick).max());
        let longest = longest(&trace, &of, wanted, TickRange::ALL, &never).map(|call| {
            describe(&trace, call, &never).map(|told| told.end.tick() - call.frame.tick).unwrap()
        });
        // Threads that end earlier than the process have their open frames counted on to its end.
        let ended = all.iter().filter(|c| c.id == wanted && c.exit.is_some()).map(|c| c.end - c.start).max();
        prop_assert!(longest >= ended, "{:?} {:?}", longest, ended);
    }

    #[test]
    fn cells_from_records_are_those_of_the_calls(
        ops in program(), block in 1_usize..40, first in 0_i64..40, npc in 1_i64..300, cols in 1_u16..40,
        depth in 0_u32..3, rows in 1_u32..12,
    ) {
        let (trace, _dir) = trace(std::slice::from_ref(&ops), block);
        let lane = lanes(&trace)[0];
        let grid = Grid { first, npc, cols };
        let got = exact(&trace, lane, grid, depth, rows, &never).unwrap();
        let edges: Vec<u64> =
            (0..=i64::from(cols)).map(|col| trace.clock.tick_at(grid.edge(col))).collect();
        let (grid_start, grid_end) = (edges[0], edges[edges.len() - 1]);
        let mut want = Raster::new(grid, edges, depth, rows);
        let mut calls = plain(&ops);
        calls.sort_by_key(|call| (call.end, std::cmp::Reverse(call.depth)));
        let last = calls.iter().map(|c| c.end).max().unwrap_or(0);
        for call in calls.iter().filter(|c| c.start < grid_end && c.end >= grid_start) {
            let flags = Flags {
                unwound: call.exit == Some(Kind::Unwind) && call.end < grid_end,
                open: call.exit.is_none() && last < grid_end,
                ..Flags::default()
            };
            let end = if call.end >= grid_end { u64::MAX } else { call.end };
            if call.depth == 0 {
                want.busy(call.start, end);
            }
            want.call(call.depth, call.id, call.start, end, flags);
        }
        let want = want.finish(false, |tick| trace.clock.ns(tick));
        prop_assert_eq!(&got.rows, &want.rows);
        prop_assert_eq!(&got.calls, &want.calls);
        prop_assert_eq!(&got.busy, &want.busy);
        prop_assert!(!got.approximate);
        let rough = sketch(&trace, lane, grid, depth, rows, &never).unwrap();
        prop_assert!(rough.approximate && rough.rows.len() == got.rows.len());
    }
}

/// What a flight ring overwrote is hatched, but the frames that were open all through are known
/// from behind the gap, with the ticks at which they began.
#[test]
fn frames_that_were_open_through_a_gap_are_drawn_through_it() {
    let mut file = TraceBuilder::new("flight");
    file.process(0, "monitoring", &[]);
    let (main, work) = (file.python("main"), file.python("work"));
    file.thread(0, 0, b"MainThread", &[]);
    let mut pen = Pen::new(0, &[]);
    let open_since = [Frame::new(main, 0, BASE + 10)];
    pen.skip(500, 8_000, &open_since);
    pen.put(Kind::Call, work, 100).put(Kind::Return, work, 100);
    file.events(&mut pen, (8, 24));
    let (trace, _dir) = open(&file.finish());
    let lane = lanes(&trace)[0];
    // One grid reaches behind the gap, the other lies within it.
    for (first, npc) in [(0, 400), (20, 100)] {
        let grid = Grid { first, npc, cols: 30 };
        let cells = exact(&trace, lane, grid, 0, 4, &never).unwrap();
        let span = cells.calls[cells.rows[0][10].call as usize];
        assert_eq!((span.symbol, span.start), (main, 10), "{grid:?}");
        assert!(cells.rows[1][10].is_empty());
    }
    let within = TickRange { from: BASE + 9_000, to: BASE + 9_001 };
    let call = at(&trace, lane, within, 0, &never);
    assert_eq!(call, None, "behind the last record nothing is known to be open");
}

/// A thread that switches has no summaries: its first picture is of its records.
#[test]
fn lanes_of_fibers_are_sketched_from_their_records() {
    let mut file = TraceBuilder::new("full");
    file.process(0, "monitoring", &[]);
    let (main, work) = (file.python("main"), file.python("work"));
    file.thread(0, 0, b"MainThread", &[]);
    let mut pen = Pen::new(0, &[]);
    let switch = |pen: &mut Pen, fiber: u32, depth: u32| {
        let mut payload = Vec::new();
        long::encode_switch(&mut payload, fiber, depth, &[]);
        pen.long(Subkind::SWITCH, payload, 0, 10);
    };
    pen.put(Kind::Call, main, 10);
    switch(&mut pen, 1, 0);
    pen.put(Kind::Call, work, 80).put(Kind::Return, work, 400);
    switch(&mut pen, 0, 1);
    pen.put(Kind::Return, main, 90);
    file.events_of_fibers(&mut pen);
    let (trace, _dir) = open(&file.finish());
    let grid = Grid { first: 0, npc: 100, cols: 7 };
    let of = lanes(&trace);
    assert_eq!(of.iter().map(|of| of.fiber).collect::<Vec<_>>(), [0, 1]);
    for of in of {
        let exact = exact(&trace, of, grid, 0, 4, &never).unwrap();
        let rough = sketch(&trace, of, grid, 0, 4, &never).unwrap();
        assert!(rough.approximate && !rough.calls.is_empty());
        assert_eq!((rough.rows, rough.calls, rough.busy), (exact.rows, exact.calls, exact.busy));
    }
}

/// A thread that was in one call from the first on, and recorded nothing.
#[test]
fn a_thread_without_a_record_stands_still() {
    let mut file = TraceBuilder::new("full");
    file.process(
        0,
        "monitoring",
        &[("end", Value::text("clean")), ("end_tick", Value::U64(BASE + 600))],
    );
    let wait = file.python("wait");
    let open_since = Stack::from_frames(vec![Frame::new(wait, 0, BASE)]);
    let known = open_since.keyframe(8, 8).encode_stack();
    file.thread(0, 0, b"worker", &[("stack", Value::text(&known))]);
    let (trace, _dir) = open(&file.finish());
    let lane = lanes(&trace)[0];
    let grid = Grid { first: 0, npc: 100, cols: 6 };
    let cells = exact(&trace, lane, grid, 0, 4, &never).unwrap();
    assert_eq!(cells.calls.iter().map(|call| call.symbol).collect::<Vec<_>>(), [wait]);
    assert!(cells.rows[0].iter().all(|cell| cell.call == 0));
    let functions = report(&trace, &trace.select(&Filter::default())).functions;
    let told: Vec<_> = functions.iter().map(|f| (f.symbol, f.calls, f.self_ticks)).collect();
    assert_eq!(told, [(wait, 0, 600)]);
}
