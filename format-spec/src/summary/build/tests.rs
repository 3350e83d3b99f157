//! The builder against a naive replay that looks at every tick.

use std::collections::BTreeMap;

use super::*;
use proptest::prelude::*;

/// Records of a well-behaved lane: (push this id, or pop) and the ticks before it.
fn any_records() -> impl Strategy<Value = Vec<(Option<u32>, u32)>> {
    prop::collection::vec((prop::option::of(4u32..9), 0u32..5), 1..120)
}

fn rows_of(records: &[(Option<u32>, u32)], open: &mut Vec<u32>) -> Rows {
    let mut rows = Rows { base_tick: 1000, ..Rows::default() };
    for &(push, delta) in records {
        let word = match push {
            Some(id) => {
                open.push(id);
                Word::new(Kind::Call, id, delta)
            }
            None => match open.pop() {
                Some(id) => Word::new(Kind::Return, id, delta),
                None => continue,
            },
        };
        rows.rows.push(word.0);
    }
    rows
}

/// Self and total ticks and calls by function, one tick after another.
fn naive(rows: &Rows) -> BTreeMap<u32, (u64, u64, u64)> {
    let mut result: BTreeMap<u32, (u64, u64, u64)> = BTreeMap::new();
    let mut open: Vec<u32> = Vec::new();
    let mut now = rows.base_tick;
    for record in rows.iter() {
        for _ in now..record.tick {
            if let Some(&top) = open.last() {
                result.entry(top).or_default().1 += 1;
            }
            let mut seen: Vec<u32> = open.clone();
            seen.sort_unstable();
            seen.dedup();
            for id in seen {
                result.entry(id).or_default().2 += 1;
            }
        }
        now = record.tick;
        let id = record.word.id();
        if record.word.kind() == Some(Kind::Call) {
            open.push(id);
            result.entry(id).or_default().0 += 1;
        } else {
            open.pop();
        }
    }
    result
}

proptest! {
    #[test]
    fn one_chunk_equals_the_naive_replay(records in any_records()) {
        let rows = rows_of(&records, &mut Vec::new());
        let mut stack = Stack::default();
        let summary = SummaryBuilder::new(100).summarize(&rows, &mut stack);
        let found: BTreeMap<_, _> = summary
            .functions
            .iter()
            .flatten()
            .map(|f| (f.id, (f.calls, f.self_ticks, f.total_ticks)))
            .collect();
        prop_assert_eq!(found, naive(&rows));
        prop_assert_eq!(Summary::parse(&summary.encode(1 << 20)), Ok(summary));
    }

    #[test]
    fn chunks_add_up_to_the_whole(records in any_records(), cut: prop::sample::Index) {
        let whole = rows_of(&records, &mut Vec::new());
        let cut = cut.index(whole.rows.len() + 1);
        let (head, tail) = whole.rows.split_at(cut);
        let first = Rows { rows: head.to_vec(), ..whole.clone() };
        let second = Rows { base_tick: first.end_tick(), rows: tail.to_vec(), ..whole.clone() };
        let mut builder = SummaryBuilder::new(100);
        let expected = builder.summarize(&whole, &mut Stack::default());
        let mut stack = Stack::default();
        let mut sum: BTreeMap<u32, FunctionSummary> = BTreeMap::new();
        for part in [first, second] {
            for function in builder.summarize(&part, &mut stack).functions.unwrap() {
                let into = sum.entry(function.id).or_default();
                into.id = function.id;
                into.merge(&function);
            }
        }
        prop_assert_eq!(Some(sum.into_values().collect()), expected.functions);
    }

    #[test]
    fn the_outermost_row_is_the_busy_time(records in any_records()) {
        let rows = rows_of(&records, &mut Vec::new());
        let summary = SummaryBuilder::new(100).summarize(&rows, &mut Stack::default());
        let len = rows.end_tick() - rows.base_tick;
        if let Some(row) = summary.rows.first() && len >= 16 {
            let share: f64 = row.iter().map(|slice| f64::from(slice.share) / 255.0).sum::<f64>() / 16.0;
            let busy = summary.head.busy_ticks as f64 / len as f64;
            // Each share is rounded up by less than 1/255, and slices differ by one tick in length.
            prop_assert!((share - busy).abs() < 0.25, "{share} {busy}");
        } else if len >= 16 {
            prop_assert_eq!(summary.head.busy_ticks, 0);
        }
    }

    /// An exit of nothing leaves the straight path: what follows is taken record by record.
    #[test]
    fn the_straight_path_leads_where_the_other_does(
        records in prop::collection::vec((0u64..16, 4u64..8, 0u64..40), 0..200),
        open in prop::collection::vec((4u32..8, 900u64..1001), 0..4),
        later in 0u64..2,
    ) {
        let rows: Vec<u64> = records.iter().map(|(k, id, delta)| k << 60 | id << 32 | delta).collect();
        let frames = || open.iter().map(|&(id, tick)| crate::Frame::new(id, 0, tick)).collect();
        let mut builder = SummaryBuilder::new(9);
        let mut of = |rows: Vec<u64>| {
            let rows = Rows { base_tick: 1000 + later, rows, ..Rows::default() };
            let mut stack = Stack::from_frames(frames());
            (builder.summarize(&rows, &mut stack), stack)
        };
        let nobody = Word::new(Kind::Return, 99, 0).0;
        prop_assert_eq!(of([vec![nobody], rows.clone()].concat()), of(rows));
    }

    #[test]
    fn any_rows_are_summarized(rows: Vec<u64>, base: u64) {
        let rows = Rows { base_tick: base, rows, ..Rows::default() };
        let summary = SummaryBuilder::new(10).summarize(&rows, &mut Stack::default());
        prop_assert!(summary.functions.iter().flatten().all(|f| f.id < 10));
    }
}

#[test]
fn recursion_counts_once_and_hidden_frames_not_at_all() {
    let words =
        [Word::new(Kind::Call, 4, 1), Word::new(Kind::Call, 4, 1), Word::new(Kind::Return, 4, 5)];
    let rows = Rows { rows: words.map(|word| word.0).to_vec(), ..Rows::default() };
    let keyframe = crate::Keyframe { depth: 3, outer: 1, frames: vec![crate::Frame::new(5, 0, 0)] };
    let mut stack = Stack::from_keyframe(&keyframe);
    let summary = SummaryBuilder::new(10).summarize(&rows, &mut stack);
    let by_id = |id| summary.functions.iter().flatten().find(|f| f.id == id).unwrap();
    assert_eq!((by_id(4).calls, by_id(4).total_ticks, by_id(4).spans.count), (2, 6, 1));
    assert_eq!(by_id(5).total_ticks, 7);
    assert_eq!(summary.head.max_depth, 5);
    assert_eq!(by_id(UNKNOWN_ID).self_ticks, 1, "the hidden frame was innermost for a tick");
}
