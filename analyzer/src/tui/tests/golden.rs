//! Every view of golden traces at every size, with the style of every cell.

use std::path::Path;
use std::sync::Arc;

use crate::trace::{OpenOptions, Trace};
use crate::tui::traced::Traced;

use super::script::{Driven, SIZES, TRUE};

fn golden(name: &str) -> Trace {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(name);
    Trace::open(&path).unwrap()
}

fn traced(name: &str) -> Traced {
    Traced::new(golden(name), OpenOptions::default(), (None, None))
}

fn at_every_size(view: &str, keys: &str, source: impl Fn() -> Traced) {
    for size in SIZES {
        let mut screen = Driven::new(source(), size, TRUE);
        screen.keys(keys);
        insta::assert_snapshot!(format!("{view}_{}x{}", size.0, size.1), screen.styled());
    }
}

#[test]
fn the_timeline_of_two_threads_with_losses() {
    at_every_size("timeline", "", || traced("threads.bin"));
}

#[test]
fn a_selected_call_of_many() {
    at_every_size("selected", "jjj", || traced("pyramid.bin"));
}

#[test]
fn functions() {
    at_every_size("functions", "2", || traced("pyramid.bin"));
}

#[test]
fn the_tree() {
    at_every_size("tree", "3L", || traced("pyramid.bin"));
}

#[test]
fn events() {
    at_every_size("events", "4", || traced("threads.bin"));
}

#[test]
fn exceptions() {
    at_every_size("exceptions", "5", || traced("exception.bin"));
}

#[test]
fn the_source() {
    at_every_size("source", "5jk6", || traced("exception.bin"));
}

#[test]
fn differences() {
    let other = || Some(Arc::new(golden("one_call.bin")));
    at_every_size("diff", "7", || traced("pyramid.bin").against(other()));
}
