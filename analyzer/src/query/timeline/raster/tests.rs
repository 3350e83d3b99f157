use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

type Call = (u32, u32, u64, u64);

/// The rule of the module's documentation, cell by cell and call by call.
fn naive(grid: Grid, depth: u32, rows: u32, calls: &[Call]) -> Vec<Vec<(Option<Call>, u32, u32)>> {
    let mut out = vec![vec![(None, 0, 0); usize::from(grid.cols)]; rows as usize];
    let mut times: HashMap<(usize, usize, u32), (u64, usize)> = HashMap::new();
    for (order, &call) in calls.iter().enumerate() {
        let (d, symbol, start, end) = call;
        let Some(row) = d.checked_sub(depth).map(|r| r as usize).filter(|&r| r < rows as usize)
        else {
            continue;
        };
        let mut home: Option<(usize, u64)> = None;
        let mut drawn = false;
        for (col, cell) in out[row].iter_mut().enumerate() {
            let (a, b) = (grid.edge(col as i64) as u64, grid.edge(col as i64 + 1) as u64);
            let touches = (start < b && end > a) || (start == end && a <= start && start < b);
            if !touches {
                continue;
            }
            let covered = end.min(b) - start.max(a);
            if home.is_none_or(|(_, most)| covered > most) {
                home = Some((col, covered));
            }
            if covered > 0 && covered * 2 >= b - a && cell.0.is_none() {
                cell.0 = Some(call);
                drawn = true;
            }
        }
        if let (false, Some((col, covered))) = (drawn, home) {
            out[row][col].1 += 1;
            let entry = times.entry((row, col, symbol)).or_insert((0, order));
            entry.0 += covered;
        }
    }
    for (&(row, col, symbol), &(ticks, _)) in &times {
        let best = times.iter().filter(|(k, _)| k.0 == row && k.1 == col).map(|(_, v)| v.0).max();
        if best == Some(ticks) {
            // Several may share the lead; 0 says that any of them will do.
            let cell = &mut out[row][col].2;
            let tied = times.iter().filter(|(k, v)| k.0 == row && k.1 == col && v.0 == ticks);
            *cell = if tied.count() == 1 { symbol } else { 0 };
        }
    }
    out
}

/// Calls of a few rows, each row's in order of time and disjoint.
fn calls() -> impl Strategy<Value = Vec<Call>> {
    let row = proptest::collection::vec((0_u64..40, 0_u64..60, 1_u32..4), 0..40);
    proptest::collection::vec(row, 1..4).prop_map(|rows| {
        let mut out = Vec::new();
        for (depth, row) in rows.into_iter().enumerate() {
            let mut at = 0;
            for (gap, length, symbol) in row {
                out.push((depth as u32, symbol, at + gap, at + gap + length));
                at += gap + length;
            }
        }
        out.sort_by_key(|call| call.3);
        out
    })
}

proptest! {
    #[test]
    fn agrees_with_the_rule_applied_call_by_call(
        calls in calls(), first in 0_i64..40, npc in 1_i64..50, cols in 1_u16..30,
        depth in 0_u32..2, rows in 1_u32..4,
    ) {
        let grid = Grid { first, npc, cols };
        let edges = (0..=i64::from(cols)).map(|c| grid.edge(c) as u64).collect();
        let mut raster = Raster::new(grid, edges, depth, rows);
        for &(d, symbol, start, end) in &calls {
            raster.call(d, symbol, start, end, Flags::default());
        }
        let lane = raster.finish(false, |t| t as i64);
        let want = naive(grid, depth, rows, &calls);
        for (row, cells) in want.iter().enumerate() {
            for (col, &(call, merged, symbol)) in cells.iter().enumerate() {
                let cell = lane.rows[row][col];
                prop_assert_eq!(cell.merged, merged, "merged at {},{}", row, col);
                if symbol != 0 {
                    prop_assert_eq!(cell.symbol, symbol, "leader at {},{}", row, col);
                }
                let got = lane.calls.get(cell.call as usize);
                let got = got.map(|s| (s.symbol, s.start as u64, s.end as u64));
                prop_assert_eq!(got, call.map(|c| (c.1, c.2, c.3)), "call at {},{}", row, col);
            }
        }
    }

    /// Whatever the grid, every call that touches it is somewhere in the picture.
    #[test]
    fn no_call_is_dropped(calls in calls(), npc in 1_i64..90) {
        let grid = Grid { first: 0, npc, cols: 60 };
        let edges = (0..=60).map(|c| grid.edge(c) as u64).collect();
        let mut raster = Raster::new(grid, edges, 0, 4);
        let inside = calls.iter().filter(|c| (c.2 as i64) < grid.end()).count();
        for &(d, symbol, start, end) in &calls {
            raster.call(d, symbol, start, end, Flags::default());
        }
        let lane = raster.finish(false, |t| t as i64);
        let merged: u32 = lane.rows.iter().flatten().map(|cell| cell.merged).sum();
        prop_assert_eq!(lane.calls.len() + merged as usize, inside);
    }
}

#[test]
fn an_exception_marks_the_cell_in_which_the_frame_was_left() {
    let grid = Grid { first: 0, npc: 10, cols: 4 };
    let mut raster = Raster::new(grid, vec![0, 10, 20, 30, 40], 0, 2);
    raster.call(1, 7, 2, 24, Flags { unwound: true, ..Flags::default() });
    raster.exception(0, 31);
    let lane = raster.finish(false, |t| t as i64);
    let marked = |row: usize| lane.rows[row].iter().map(|c| c.exception).collect::<Vec<_>>();
    assert_eq!(marked(1), [false, false, true, false]);
    assert_eq!(marked(0), [false, false, false, true]);
}

#[test]
fn a_slice_that_nobody_holds_alone_is_merged_calls_of_unknown_number() {
    let grid = Grid { first: 0, npc: 10, cols: 4 };
    let mut raster = Raster::new(grid, vec![0, 10, 20, 30, 40], 0, 1);
    raster.slice(0, 5, 0, 20, true);
    raster.slice(0, 6, 20, 40, false);
    let lane = raster.finish(true, |t| t as i64);
    assert!(lane.calls[0].flags.approximate);
    assert_eq!(lane.rows[0][3], Cell { call: NO_CALL, merged: MANY, symbol: 6, exception: false });
}
