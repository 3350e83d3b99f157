//! Recordings of several processes.

use rtrace_format::symbol::FILTERED;
use rtrace_format::{Kind, Symbol, SymbolKind, Value};

use crate::testing::{Pen, TraceBuilder, open};
use crate::trace::OpenOptions;
use crate::tui::source::{Source, State};
use crate::tui::traced::Traced;

use super::script::{Driven, TRUE};

/// A process and a child of it, each with a thread that makes a call; how each ended.
fn pair(parent: &str, child: &str) -> (Driven, tempfile::TempDir) {
    let mut builder = TraceBuilder::new("full");
    let f = builder.python("f");
    for (number, end) in [(0, parent), (1, child)] {
        builder.process(number, "monitoring", &[("end", Value::text(end))]);
        builder.thread(number.into(), number, b"MainThread", &[]);
        let mut pen = Pen::new(number.into(), &[]);
        pen.put(Kind::Call, f, 5).put(Kind::Return, f, 1_000).put(Kind::Call, f, 7);
        builder.events(&mut pen, (8, 1024));
    }
    let (trace, dir) = open(&builder.finish());
    let traced = Traced::new(trace, OpenOptions::default(), (None, None));
    (Driven::new(traced, (120, 24), TRUE), dir)
}

#[test]
fn a_killed_child_does_not_make_the_program_killed() {
    let (screen, _dir) = pair("clean", "killed");
    let overview = screen.source.overview();
    assert_eq!((overview.state, overview.killed), (State::Finished, 1));
    assert!(screen.text().contains(" 1 killed"), "{}", screen.text());
    assert_eq!(overview.opening, (overview.begin, overview.end));
}

#[test]
fn a_killed_parent_does() {
    let (screen, _dir) = pair("killed", "clean");
    assert_eq!(screen.source.overview().state, State::Dead);
    assert!(screen.text().contains(" KILLED"), "{}", screen.text());
}

#[test]
fn what_filters_and_budget_left_out_is_told_of_the_function() {
    let mut builder = TraceBuilder::new("full");
    let f = builder.python("f");
    let mut left_out = Symbol::named(SymbolKind::Python, b"app", b"g");
    left_out.flags = FILTERED;
    let g = builder.symbol(left_out);
    builder.process(0, "monitoring", &[("end", Value::text("clean"))]);
    builder.thread(0, 0, b"MainThread", &[]);
    let mut pen = Pen::new(0, &[]);
    pen.put(Kind::Call, f, 5).put(Kind::Return, f, 1_000);
    builder.events(&mut pen, (8, 1024));
    let (trace, _dir) = open(&builder.finish());
    let traced = Traced::new(trace, OpenOptions::default(), (None, None));
    let labels = traced.overview().labels;
    let words = |id: u32| labels[id as usize].left_out.clone();
    assert_eq!(words(f), None);
    assert_eq!(words(g).as_deref(), Some("not recorded: a filter leaves it out"));
}
