//! Nodes against the summary of all their records at once.

use super::*;
use crate::record::{Kind, Word};
use crate::stack::Stack;
use crate::summary::SummaryBuilder;
use proptest::prelude::*;

/// (push this id, or pop) and the ticks before it.
fn any_rows() -> impl Strategy<Value = Rows> {
    prop::collection::vec((prop::option::of(4u32..9), 0u32..90), 1..200).prop_map(|steps| {
        let mut open = Vec::new();
        let mut rows = Rows { base_tick: 1000, first_record: 7, ..Rows::default() };
        for (push, delta) in steps {
            let kind = if push.is_some() { Kind::Call } else { Kind::Return };
            open.extend(push);
            let id = push.or_else(|| open.pop());
            rows.rows.extend(id.map(|id| Word::new(kind, id, delta).0));
        }
        rows
    })
}

/// The rows in runs of `size`, each with its summary.
fn children(rows: &Rows, size: usize) -> Vec<Child> {
    let mut builder = SummaryBuilder::new(100);
    let mut stack = Stack::default();
    let mut children = Vec::new();
    let mut at = (rows.base_tick, rows.first_record);
    for part in rows.rows.chunks(size) {
        let part =
            Rows { base_tick: at.0, first_record: at.1, rows: part.to_vec(), ..Rows::default() };
        at = (part.end_tick(), part.end_record());
        let summary = builder.summarize(&part, &mut stack);
        children.push(Child::of_chunk(3, &part, &summary));
    }
    children
}

fn nodes(children: &[Child], width: usize) -> Vec<Child> {
    children
        .chunks(width)
        .map(|children| {
            let (header, payload) = encode(children).unwrap().unwrap();
            let node = Node::parse(&payload).unwrap();
            assert_eq!(node.header, header);
            let masks = node.functions().unwrap().iter().map(|f| (f.id, f.children)).collect();
            assert_eq!(node.masks(), Ok(masks));
            // The mask says which children a function did anything in.
            for function in node.functions().unwrap() {
                for (at, child) in children.iter().enumerate() {
                    let part = child.part().unwrap();
                    let of = part.summary.functions.unwrap();
                    let acted = of.iter().any(|of| of.id == function.id && of.acted());
                    assert_eq!(function.children >> at & 1 == 1, acted);
                }
            }
            Child::of_node(&payload).unwrap()
        })
        .collect()
}

proptest! {
    #[test]
    fn a_node_of_nodes_is_the_summary_of_all(rows in any_rows(), size in 1usize..30, width in 1usize..17) {
        prop_assume!(!rows.rows.is_empty());
        let mut level = children(&rows, size);
        loop {
            level = nodes(&level, width.max(2));
            if level.len() == 1 {
                break;
            }
        }
        let found = level[0].part().unwrap();
        let mut stack = Stack::default();
        let whole = SummaryBuilder::new(100).summarize(&rows, &mut stack);
        prop_assert_eq!((found.base, found.end), (rows.base_tick, rows.end_tick()));
        prop_assert_eq!(level[0].header.records, rows.numbered());
        prop_assert_eq!(level[0].header.chunks as usize, rows.rows.len().div_ceil(size));
        let expected = Head { longest: found.summary.head.longest, ..whole.head };
        prop_assert_eq!(found.summary.head, expected);
        prop_assert_eq!(found.summary.head.longest.ticks, whole.head.longest.ticks);
        let mut functions = found.summary.functions.unwrap();
        functions.iter_mut().for_each(|function| function.children = 0);
        prop_assert_eq!(functions, whole.functions.unwrap());
        // Shares are rounded up at each level, and no stretch in use disappears.
        prop_assert_eq!(found.summary.rows.len(), whole.rows.len());
        for (found, whole) in found.summary.rows.iter().zip(&whole.rows) {
            let sum = |row: &[Slice; SLICES]| row.iter().map(|s| u32::from(s.share)).sum::<u32>();
            prop_assert!(sum(found) + 16 * 3 >= sum(whole), "{found:?} {whole:?}");
        }
    }

    #[test]
    fn any_bytes_give_a_result_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(child) = Child::of_node(&bytes) {
            let _ = encode(&[child.clone(), child]);
        }
    }
}
