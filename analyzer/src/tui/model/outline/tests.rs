use super::*;
use crate::tui::invented::{Call, Invented};
use crate::tui::source::{Part, Source};
use crate::tui::worker::Ticket;

/// `a` calls `b` and `c`; `b` calls `c`, and itself, which calls `c`.
fn tree() -> CallTree {
    let calls = [
        (0, 1, 0, 100),
        (1, 2, 0, 60),
        (2, 3, 0, 10),
        (2, 2, 20, 50),
        (3, 3, 20, 40),
        (1, 3, 70, 80),
    ];
    let call = |(depth, symbol, start, end)| Call { depth, symbol, start, end, ..Call::default() };
    let source =
        Invented::new(&["main"], &["(unknown)", "m.a", "m.b", "m.c"], calls.map(call).into());
    let part = Part { from: 0, to: 100, lane: None, functions: None };
    source.tree(&part, &Ticket::free()).unwrap()
}

fn shown(outline: &Outline) -> Vec<(u32, u32, u64, u64)> {
    outline.rows.iter().map(|row| (row.depth, row.symbol, row.total_ns, row.calls)).collect()
}

#[test]
fn from_above_the_heaviest_path_is_open() {
    let tree = tree();
    let mut outline = Outline::new(&tree, Mode::TopDown, None);
    assert_eq!(outline.whole_ns, 100);
    assert_eq!(
        shown(&outline),
        [(0, 1, 100, 1), (1, 2, 60, 1), (2, 2, 30, 1), (3, 3, 20, 1), (2, 3, 10, 1), (1, 3, 10, 1)]
    );
    assert_eq!(outline.close(1), 1);
    assert_eq!(shown(&outline), [(0, 1, 100, 1), (1, 2, 60, 1), (1, 3, 10, 1)]);
    assert_eq!(outline.close(2), 0, "a closed row leads to the one that holds it");
    assert!(outline.open(&tree, 1) && !outline.open(&tree, 1));
}

#[test]
fn from_below_every_moment_is_told_once() {
    let tree = tree();
    let mut outline = Outline::new(&tree, Mode::BottomUp, None);
    let all: u64 = outline.rows.iter().map(|row| row.total_ns).sum();
    assert_eq!(all, 100);
    let c = outline.rows.iter().position(|row| row.symbol == 3).unwrap();
    assert_eq!((outline.rows[c].total_ns, outline.rows[c].calls), (40, 3));
    outline.open(&tree, c);
    let callers: Vec<_> = shown(&outline).into_iter().filter(|row| row.0 == 1).collect();
    assert_eq!(callers, [(1, 2, 30, 2), (1, 1, 10, 1)]);
}

#[test]
fn a_butterfly_counts_recursion_once() {
    let outline = Outline::new(&tree(), Mode::Butterfly, Some(2));
    assert_eq!(shown(&outline), [(1, 1, 60, 1), (0, 2, 60, 2), (1, 3, 30, 2)]);
    assert_eq!(outline.middle(), Some(1));
    assert_eq!(Outline::new(&tree(), Mode::Butterfly, Some(9)).rows[0].calls, 0);
}
