//! Small traces written by hand, each for one rule.

use rtrace_format::frame::BEGAN_BEFORE;
use rtrace_format::{Cause, Frame, Kind, Symbol, SymbolKind, Value};

use crate::filter::Filter;
use crate::model::{End, Missing, TickRange};
use crate::query::events::{Detail, events};
use crate::query::exceptions::{Outcome, exceptions, way_out};
use crate::query::info::info;
use crate::query::report::report;
use crate::query::stacks::{Level, stacks};
use crate::query::tree::tree;
use crate::query::verify::verify;
use crate::testing::{BASE, Pen, TraceBuilder, open};
use crate::trace::{Selection, Trace};

const KEEP: (usize, usize) = (8, 1024);

fn builder(mode: &str, hook: &str) -> TraceBuilder {
    let mut builder = TraceBuilder::new(mode);
    builder.process(0, hook, &[("end", Value::text("clean"))]);
    builder.thread(0, 0, b"MainThread", &[]);
    builder
}

fn everything(trace: &Trace) -> Selection {
    Selection::everything(trace)
}

/// (kind, depth) of every event, `lost` lines too.
fn kinds(trace: &Trace) -> Vec<(&'static str, u32)> {
    let mut found = Vec::new();
    events(trace, &everything(trace), &mut |row| {
        found.push((row.kind, row.depth));
        Ok(())
    })
    .unwrap();
    found
}

#[test]
fn generators_are_folded_where_the_hook_has_no_word_for_them() {
    let record = |hook| {
        let mut builder = builder("full", hook);
        let f = builder.python("f");
        let mut pen = Pen::new(0, &[]);
        pen.put(Kind::Call, f, 1).put(Kind::Yield, f, 1).put(Kind::Resume, f, 1);
        pen.put(Kind::Yield, f, 1).put(Kind::Throw, f, 1).put(Kind::Unwind, f, 1);
        builder.events(&mut pen, KEEP);
        open(&builder.finish())
    };
    let (trace, _dir) = record("monitoring");
    let names: Vec<_> = kinds(&trace).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(names, ["call", "yield", "resume", "yield", "throw", "unwind"]);
    let (trace, _dir) = record("profile");
    let names: Vec<_> = kinds(&trace).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(names, ["call", "return", "call", "return", "call", "unwind"]);
    // Under every hook a resumption is no new call, and each entry is a span.
    let row = &report(&trace, &everything(&trace)).functions[0];
    assert_eq!((row.calls, row.spans.as_ref().unwrap().sums.count), (1, 3));
}

#[test]
fn recursion_counts_once_in_total() {
    let mut builder = builder("full", "monitoring");
    let f = builder.python("f");
    let mut pen = Pen::new(0, &[]);
    pen.put(Kind::Call, f, 0).put(Kind::Call, f, 10);
    pen.put(Kind::Return, f, 10).put(Kind::Return, f, 10);
    builder.events(&mut pen, KEEP);
    let (trace, _dir) = open(&builder.finish());
    let row = &report(&trace, &everything(&trace)).functions[0];
    assert_eq!((row.calls, row.self_ticks, row.total_ticks), (2, 30, 30));
    let spans = row.spans.as_ref().unwrap();
    assert_eq!((spans.min, spans.max), (10, 30));
    let lanes = tree(&trace, &everything(&trace)).lanes;
    assert_eq!(lanes[0].nodes.len(), 2, "one node for each path");
}

#[test]
fn frames_open_at_start_have_no_call_but_stand_in_stacks_and_tree() {
    let mut builder = builder("full", "monitoring");
    let (main, f) = (builder.python("main"), builder.python("f"));
    let mut pen = Pen::new(0, &[Frame::new(main, BEGAN_BEFORE, BASE)]);
    pen.put(Kind::Call, f, 5).put(Kind::Line, 12, 5);
    builder.events(&mut pen, KEEP);
    let (trace, _dir) = open(&builder.finish());
    assert_eq!(kinds(&trace), [("call", 1), ("line", 1)]);
    let levels = &stacks(&trace, &everything(&trace))[0].levels;
    let frame =
        |symbol, open, began_before| Level::Frame { symbol, open_ticks: Some(open), began_before };
    assert_eq!(*levels, [frame(main, 10, true), frame(f, 5, false)]);
    let lane = &tree(&trace, &everything(&trace)).lanes[0];
    let node = |i: u32| &lane.nodes[i as usize];
    let root = node(lane.roots[0]);
    assert_eq!((root.calls, root.total_ticks, root.began_before, root.open), (0, 10, true, true));
    let child = node(root.children[0]);
    assert_eq!((child.calls, child.total_ticks, child.began_before), (1, 5, false));
    // A span whose start is not known is not counted, and neither is one that goes on.
    assert!(report(&trace, &everything(&trace)).functions.iter().all(|f| f.spans.is_none()));
}

#[test]
fn depth_of_lines_and_c_calls() {
    let mut builder = builder("full", "monitoring");
    let (f, len) = (builder.python("f"), builder.c("len"));
    let kind = builder.exception_type("ValueError");
    let mut pen = Pen::new(0, &[]);
    pen.put(Kind::Call, f, 1).put(Kind::CCall, len, 1).put(Kind::Line, 3, 1);
    pen.put(Kind::CException, len, 1).exception(f, 3, kind, b"bad").put(Kind::Unwind, f, 1);
    builder.events(&mut pen, KEEP);
    let (trace, _dir) = open(&builder.finish());
    assert_eq!(
        kinds(&trace),
        [
            ("call", 0),
            ("c_call", 1),
            ("line", 0),
            ("c_exception", 1),
            ("exception", 0),
            ("unwind", 0)
        ]
    );
}

#[test]
fn losses_are_counted_and_explained() {
    let mut builder = builder("full", "monitoring");
    let f = builder.python("f");
    let mut pen = Pen::new(0, &[]);
    pen.put(Kind::Call, f, 1).put(Kind::Return, f, 1).lost(5, Cause::Hook);
    builder.events(&mut pen, KEEP);
    pen.skip(7, 100, &[]);
    pen.cause = Cause::CollectorBehind;
    pen.put(Kind::Call, f, 1).put(Kind::Return, f, 1);
    builder.events(&mut pen, KEEP);
    let (trace, _dir) = open(&builder.finish());
    let found = info(&trace, &Filter::default());
    assert_eq!((found.events, found.lost_events, found.overwritten_events), (4, 12, 0));
    assert_eq!(found.threads[0].causes, [(Cause::CollectorBehind, 7), (Cause::Hook, 5)]);
    let mut lost = Vec::new();
    events(&trace, &everything(&trace), &mut |row| {
        if let Detail::Lost { count, cause } = row.detail {
            lost.push((row.tick, count, cause));
        }
        Ok(())
    })
    .unwrap();
    let hook = BASE + 3;
    assert_eq!(lost, [(hook, 5, Cause::Hook), (hook, 7, Cause::CollectorBehind)]);
    assert!(!report(&trace, &everything(&trace)).complete);
    let mut later = everything(&trace);
    later.range.from = BASE + 103;
    assert!(report(&trace, &later).complete);
    later.range.to = BASE + 50;
    later.range.from = BASE + 40;
    assert!(!report(&trace, &later).complete, "inside of the gap");
    assert!(verify(&trace).ok(), "a loss is no damage");
}

#[test]
fn a_flight_ring_overwrites_and_loses_nothing() {
    let mut builder = builder("flight", "monitoring");
    let (main, f) = (builder.python("main"), builder.python("f"));
    let mut pen = Pen::new(0, &[]);
    pen.skip(1000, 500, &[Frame::new(main, 0, BASE + 7)]);
    pen.put(Kind::Call, f, 1).put(Kind::Return, f, 1);
    builder.events(&mut pen, KEEP);
    let (trace, _dir) = open(&builder.finish());
    let found = info(&trace, &Filter::default());
    assert_eq!((found.events, found.lost_events, found.overwritten_events), (2, 0, 1000));
    assert_eq!(trace.threads[0].blocks[0].gaps[0].why, Missing::Overwritten);
    assert_eq!(kinds(&trace).len(), 2, "what was overwritten is no event");
    assert!(!report(&trace, &everything(&trace)).complete);
    let levels = &stacks(&trace, &everything(&trace))[0].levels;
    let main = Level::Frame { symbol: main, open_ticks: Some(495), began_before: false };
    assert_eq!(*levels, [main], "its start is known although its call was overwritten");
}

#[test]
fn a_damaged_chunk_costs_only_itself() {
    let mut builder = builder("full", "monitoring");
    let f = builder.python("f");
    let mut pen = Pen::new(0, &[]);
    for _ in 0..3 {
        pen.put(Kind::Call, f, 5).put(Kind::Return, f, 5);
        builder.events(&mut pen, KEEP);
    }
    let mut bytes = builder.finish();
    let second = bytes.windows(4).enumerate().filter(|(_, w)| *w == b"EVNT").nth(1).unwrap().0;
    bytes[second + 28 + 98] ^= 1;
    let (trace, _dir) = open(&bytes);
    let names: Vec<_> = kinds(&trace).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(names, ["call", "return", "lost", "call", "return"]);
    let found = info(&trace, &Filter::default());
    assert_eq!((found.events, found.lost_events), (4, 2));
    let verdict = verify(&trace);
    assert_eq!((verdict.ok(), verdict.events, verdict.problems.len()), (false, 4, 1));
    assert_eq!(verdict.problems[0].offset, second as u64 + 28);
    assert!(!report(&trace, &everything(&trace)).complete);
}

#[test]
fn exceptions_are_put_together_and_judged() {
    let mut builder = builder("full", "monitoring");
    let (main, f) = (builder.python("main"), builder.python("f"));
    let (value, key) = (builder.exception_type("ValueError"), builder.exception_type("KeyError"));
    let mut pen = Pen::new(0, &[]);
    pen.put(Kind::Call, main, 1);
    for _ in 0..2 {
        // Raised in f, handled in main, which goes on.
        pen.put(Kind::Call, f, 1).exception(f, 5, value, b"bad").put(Kind::Unwind, f, 1);
        pen.exception(main, 9, value, b"bad");
    }
    // Raised and handled in f.
    pen.put(Kind::Call, f, 1).exception(f, 7, key, b"").put(Kind::Return, f, 1);
    // Leaves the program.
    pen.put(Kind::Call, f, 1).exception(f, 7, key, b"").put(Kind::Unwind, f, 1);
    pen.exception(main, 11, key, b"").put(Kind::Unwind, main, 1);
    // Of another call the end is not there.
    pen.put(Kind::Call, main, 1).exception(main, 12, value, b"open");
    builder.events(&mut pen, KEEP);
    let (trace, _dir) = open(&builder.finish());
    let answer = exceptions(&trace, &everything(&trace));
    let rows: Vec<_> = answer
        .exceptions
        .iter()
        .map(|e| (e.type_symbol, e.function, e.line, e.count, e.handled, e.escaped, e.unknown))
        .collect();
    assert_eq!(
        rows,
        [(value, f, 5, 2, 2, 0, 0), (key, f, 7, 2, 1, 1, 0), (value, main, 12, 1, 0, 0, 1)]
    );
    assert!(!answer.without_exceptions);
    // A range that begins between the two frames of a propagation does not count it.
    let mut late = everything(&trace);
    late.range.from = answer.exceptions[0].last_tick + 1;
    let first = &exceptions(&trace, &late).exceptions[0];
    assert_eq!((first.type_symbol, first.function, first.line), (key, f, 7));
}

#[test]
fn the_way_of_an_exception_is_every_frame_that_it_reached() {
    let mut builder = builder("full", "monitoring");
    let names = ["main", "a", "b", "f"];
    let [main, a, b, f] = names.map(|name| builder.python(name));
    let value = builder.exception_type("ValueError");
    let mut pen = Pen::new(0, &[]);
    pen.put(Kind::Call, main, 1);
    for handler in [a, main] {
        pen.put(Kind::Call, a, 1).put(Kind::Call, b, 1).put(Kind::Call, f, 1);
        pen.exception(f, 5, value, b"bad").put(Kind::Unwind, f, 1);
        pen.exception(b, 6, value, b"bad").put(Kind::Unwind, b, 1);
        pen.exception(a, 7, value, b"bad");
        if handler == main {
            pen.put(Kind::Unwind, a, 1).exception(main, 8, value, b"bad");
        } else {
            pen.put(Kind::Return, a, 1);
        }
    }
    pen.put(Kind::Return, main, 1);
    builder.events(&mut pen, KEEP);
    let (trace, _dir) = open(&builder.finish());
    let row = &exceptions(&trace, &everything(&trace)).exceptions[0];
    let way = |tick| {
        let range = TickRange { from: tick, to: tick + 1 };
        way_out(&trace, &trace.threads[0], range, f, 5).map(|way| (way.passed.frames, way.outcome))
    };
    assert_eq!(way(row.first_tick), Some((vec![(b, 6), (a, 7)], Outcome::Handled)));
    assert_eq!(way(row.last_tick), Some((vec![(b, 6), (a, 7), (main, 8)], Outcome::Handled)));
    assert_eq!(way(row.first_tick + 1), None);
}

#[test]
fn of_a_long_way_the_beginning_and_the_end_are_kept() {
    let mut builder = builder("full", "monitoring");
    let f = builder.python("f");
    let value = builder.exception_type("ValueError");
    let mut pen = Pen::new(0, &[]);
    for _ in 0..100 {
        pen.put(Kind::Call, f, 1);
    }
    for line in 1..=100 {
        pen.exception(f, line, value, b"").put(Kind::Unwind, f, 1);
    }
    builder.events(&mut pen, KEEP);
    let (trace, _dir) = open(&builder.finish());
    let way = way_out(&trace, &trace.threads[0], TickRange::ALL, f, 1).unwrap();
    let lines: Vec<u32> = way.passed.frames.iter().map(|(_, line)| *line).collect();
    assert_eq!(lines, (2..=64).chain([100]).collect::<Vec<_>>());
    assert_eq!((way.passed.left_out, way.outcome), (35, Outcome::Escaped));
}

#[test]
fn an_exception_waits_while_its_frame_is_suspended() {
    let mut builder = builder("full", "monitoring");
    let (main, f) = (builder.python("main"), builder.python("f"));
    let value = builder.exception_type("ValueError");
    let mut pen = Pen::new(0, &[]);
    pen.put(Kind::Call, main, 1).put(Kind::Call, f, 1).exception(f, 5, value, b"");
    // `finally: await …` in f: the loop runs something else, then f goes on and is left.
    pen.put(Kind::Yield, f, 1).put(Kind::Yield, main, 1);
    pen.put(Kind::Resume, main, 1).put(Kind::Resume, f, 1).put(Kind::Unwind, f, 1);
    pen.exception(main, 9, value, b"").put(Kind::Unwind, main, 1);
    builder.events(&mut pen, KEEP);
    let (trace, _dir) = open(&builder.finish());
    let rows = exceptions(&trace, &everything(&trace)).exceptions;
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].function, rows[0].count, rows[0].escaped), (f, 1, 1));
}

#[test]
fn the_profile_hook_has_unwinds_only() {
    let mut builder = builder("full", "profile");
    let f = builder.python("f");
    let mut pen = Pen::new(0, &[]);
    pen.put(Kind::Call, f, 1).put(Kind::Unwind, f, 1);
    builder.events(&mut pen, KEEP);
    let (trace, _dir) = open(&builder.finish());
    let answer = exceptions(&trace, &everything(&trace));
    assert!(answer.without_exceptions && answer.exceptions.is_empty());
    assert_eq!((answer.unwinds[0].symbol, answer.unwinds[0].count), (f, 1));
}

#[test]
fn a_deep_stack_keeps_its_ends_and_is_filled_in_at_the_end() {
    let mut builder = builder("full", "monitoring");
    let f = builder.python("f");
    let frames: Vec<Frame> = (0..100).map(|i| Frame::new(f, 0, BASE + i)).collect();
    let mut pen = Pen::new(0, &frames);
    pen.put(Kind::Line, 3, 200);
    builder.events(&mut pen, (8, 24));
    let bytes = builder.finish();
    let (trace, _dir) = open(&bytes);
    let levels = &stacks(&trace, &everything(&trace))[0].levels;
    assert_eq!((levels.len(), levels[8]), (33, Level::Hidden { count: 68 }));

    let mut stack = 100u32.to_le_bytes().to_vec();
    stack.extend(100u32.to_le_bytes());
    stack.extend(frames.iter().flat_map(|frame| frame.tick.to_le_bytes()));
    stack.extend(frames.iter().flat_map(|frame| frame.word.to_le_bytes()));
    let mut builder = super::by_hand::builder("full", "monitoring");
    builder.python("f");
    builder.thread(0, 0, b"MainThread", &[("stack", Value::Text(stack))]);
    let mut pen = Pen::new(0, &frames);
    pen.put(Kind::Line, 3, 200);
    builder.events(&mut pen, (8, 24));
    let (trace, _dir) = open(&builder.finish());
    assert_eq!(stacks(&trace, &everything(&trace))[0].levels.len(), 100);
}

#[test]
fn threads_are_chosen_by_serial_or_name() {
    let mut builder = TraceBuilder::new("full");
    builder.process(0, "monitoring", &[]);
    for (serial, name) in [(0, &b"main"[..]), (1, b"worker"), (2, b"worker"), (5, b"1")] {
        builder.thread(serial, 0, name, &[]);
    }
    builder.thread(6, 0, b"\x1b[31m", &[]);
    let (trace, _dir) = open(&builder.finish());
    let chosen = |wanted: &str| {
        let filter = Filter { threads: vec![wanted.to_owned()], ..Filter::default() };
        let selection = trace.select(&filter);
        let serials: Vec<u64> =
            selection.threads.iter().map(|&index| trace.threads[index].serial).collect();
        (serials, selection.unmatched)
    };
    assert_eq!(chosen("worker").0, [1, 2]);
    assert_eq!(chosen("1").0, [1], "a serial comes before a name");
    assert_eq!(chosen("work"), (vec![], vec!["work".to_owned()]), "names are exact");
    assert_eq!(chosen("\x1b[31m").0, [6]);
    assert_eq!(chosen(r"\u001b[31m").0, [6], "as it is printed");
}

#[test]
fn functions_that_look_the_same_are_one_row() {
    let mut builder = builder("full", "monitoring");
    let f = builder.python("f");
    let mut twin = Symbol::named(SymbolKind::Python, b"app", b"f");
    (twin.file, twin.first_line, twin.source_mtime) = (b"app.py".to_vec(), 40, 99);
    let twin = builder.symbol(twin);
    let mut pen = Pen::new(0, &[]);
    pen.put(Kind::Call, f, 0).put(Kind::Call, twin, 10);
    pen.put(Kind::Return, twin, 10).put(Kind::Return, f, 10);
    builder.events(&mut pen, KEEP);
    let (trace, _dir) = open(&builder.finish());
    let functions = report(&trace, &everything(&trace)).functions;
    assert_eq!(functions.len(), 1);
    assert_eq!((functions[0].calls, functions[0].total_ticks), (2, 30));
}

#[test]
fn an_unfinished_file_shows_what_it_has() {
    let mut builder = TraceBuilder::new("full");
    builder.process(0, "monitoring", &[]);
    builder.thread(0, 0, b"MainThread", &[]);
    let f = builder.python("f");
    let mut pen = Pen::new(0, &[]);
    pen.put(Kind::Call, f, 1);
    builder.events(&mut pen, KEEP);
    let mut bytes = builder.unfinished();
    bytes.extend(b"RTCK torn");
    let (trace, _dir) = open(&bytes);
    assert_eq!(info(&trace, &Filter::default()).events, 1);
    assert_eq!(trace.processes[0].end, End::Unknown, "its end mark may have been cut off");
    assert_eq!((trace.notes.len(), trace.cut.is_some()), (1, true));
    bytes.truncate(bytes.len() - 9);
    let (trace, _dir) = open(&bytes);
    assert_eq!(trace.processes[0].end, End::Killed, "another boot has none of its processes");
    assert_eq!((trace.notes.len(), trace.cut), (1, None));
}

#[test]
fn the_tail_of_an_open_c_call_lasts_until_the_process_ends() {
    let mut builder = TraceBuilder::new("full");
    let end = BASE + 1000;
    let more = [("end", Value::text("clean")), ("end_tick", Value::U64(end))];
    builder.process(0, "monitoring", &more);
    builder.thread(0, 0, b"MainThread", &[]);
    let (f, sleep) = (builder.python("f"), builder.c("sleep"));
    let mut pen = Pen::new(0, &[]);
    pen.put(Kind::Call, f, 10).put(Kind::CCall, sleep, 10);
    builder.events(&mut pen, KEEP);
    let (trace, _dir) = open(&builder.finish());
    let functions = report(&trace, &everything(&trace)).functions;
    assert_eq!((functions[1].symbol, functions[1].self_ticks), (sleep, 980));
    assert_eq!((functions[0].self_ticks, functions[0].total_ticks), (10, 990));
}
