//! The cells of a lane from the summaries of its blocks, for ranges too long to decode at once.

use rtrace_format::summary::SLICES;

use super::exact::sampled;
use super::{Grid, Lane, LaneOf, Raster, edges};
use crate::trace::Trace;

/// From this share of a slice on (of 255), its function held it alone.
const ALONE: u8 = 235;

/// A stretch of one row held by one function, while it grows.
#[derive(Clone, Copy)]
struct Stretch {
    symbol: u32,
    start: u64,
    end: u64,
    alone: bool,
}

/// The cells of `rows` rows from `depth` on as far as summaries tell them: no call is exact, none
/// is counted, and blocks without a summary stay empty. Where fibers take turns there are no
/// summaries, and some of the blocks are read. `None` if `cancelled` said so.
pub fn sketch(
    trace: &Trace,
    of: LaneOf,
    grid: Grid,
    depth: u32,
    rows: u32,
    cancelled: &dyn Fn() -> bool,
) -> Option<Lane> {
    let mut raster = Raster::new(grid, edges(grid, &trace.clock), depth, rows);
    let (start, end) = (raster.start(), raster.end());
    let blocks = of.thread(trace).map_or(&[][..], |thread| &thread.blocks);
    let first = blocks.partition_point(|block| block.end_tick < start);
    let behind = first + blocks[first..].partition_point(|block| block.base_tick < end);
    if blocks[first..behind].iter().any(|block| !block.one_lane) {
        let limit = depth.saturating_add(rows).max(1);
        return sampled(trace, of, &blocks[first..behind], raster, limit, cancelled);
    }
    let mut stretches: Vec<Option<Stretch>> = Vec::new();
    for block in &blocks[first..behind] {
        if cancelled() {
            return None;
        }
        let Some(summary) = trace.summary(block).filter(|_| block.fiber == of.fiber) else {
            continue;
        };
        let rows = summary.rows();
        let length = block.end_tick - block.base_tick;
        raster.busy(block.base_tick, block.base_tick + summary.head().busy_ticks.min(length));
        raster.reached(summary.head().max_depth.saturating_sub(1));
        let edge = |slice: usize| {
            let part = u128::from(length) * slice as u128 / SLICES as u128;
            block.base_tick + part as u64
        };
        if stretches.len() < rows.len() {
            stretches.resize(rows.len(), None);
        }
        for (at, row) in rows.iter().enumerate() {
            for (slice, held) in row.iter().enumerate() {
                let alone = held.share >= ALONE;
                let (start, end) = (edge(slice), edge(slice + 1));
                match &mut stretches[at] {
                    Some(last) if last.alone && alone && last.symbol == held.id => last.end = end,
                    last => {
                        if let Some(done) = last.take() {
                            raster.slice(at as u32, done.symbol, done.start, done.end, done.alone);
                        }
                        if held.share > 0 {
                            *last = Some(Stretch { symbol: held.id, start, end, alone });
                        }
                    }
                }
            }
        }
    }
    for (at, last) in stretches.into_iter().enumerate() {
        if let Some(done) = last {
            raster.slice(at as u32, done.symbol, done.start, done.end, done.alone);
        }
    }
    Some(raster.finish(true, |tick| trace.clock.ns(tick)))
}
