//! Events around a place, and their numbers in the order of the whole trace.

use std::collections::VecDeque;
use std::io;

use super::{Row, events};
use crate::model::{Block, Thread, TickRange};
use crate::trace::{Selection, Trace};

/// Events around a place.
#[derive(Debug)]
pub struct Window<T> {
    /// Those before the place, then those from it on.
    pub rows: Vec<T>,
    /// How many lie before the place.
    pub before: usize,
    /// Nothing of the selection comes before the first row.
    pub first: bool,
    /// Nothing of the selection comes after the last.
    pub last: bool,
}

/// The last `before` events of a selection before `tick`, and `after` events from it on; each
/// becomes what `keep` makes of it. `None` if nobody waits.
pub fn window<T>(
    trace: &Trace,
    selection: &Selection,
    tick: u64,
    (before, after): (usize, usize),
    cancelled: &dyn Fn() -> bool,
    keep: &mut dyn FnMut(&Row<'_>) -> T,
) -> Option<Window<T>> {
    let tick = selection.range.clamp(tick);
    let (mut rows, first) = backwards(trace, selection, tick, before, cancelled, keep)?;
    let before = rows.len();
    let mut ahead = selection.clone();
    ahead.range = TickRange { from: tick, to: selection.range.to };
    ahead.limit = Some(after.saturating_add(1));
    gather(trace, &ahead, cancelled, &mut |row| rows.push_back(keep(row)))?;
    let last = rows.len() - before <= after;
    rows.truncate(before + after);
    Some(Window { rows: rows.into(), before, first, last })
}

/// Gives the events to `see` until nobody waits.
fn gather(
    trace: &Trace,
    selection: &Selection,
    cancelled: &dyn Fn() -> bool,
    see: &mut dyn FnMut(&Row<'_>),
) -> Option<()> {
    let mut seen = 0_u32;
    let all = events(trace, selection, &mut |row| {
        see(row);
        seen = seen.wrapping_add(1);
        let stop = seen.is_multiple_of(4_096) && cancelled();
        if stop { Err(io::Error::from(io::ErrorKind::Interrupted)) } else { Ok(()) }
    });
    all.ok().filter(|()| !cancelled())
}

/// The last events before a tick, and whether they are all that there are.
fn backwards<T>(
    trace: &Trace,
    selection: &Selection,
    tick: u64,
    wanted: usize,
    cancelled: &dyn Fn() -> bool,
    keep: &mut dyn FnMut(&Row<'_>) -> T,
) -> Option<(VecDeque<T>, bool)> {
    let threads = || selection.threads.iter().filter_map(|&i| trace.threads.get(i));
    let mut blocks: Vec<&Block> = threads()
        .flat_map(|thread| &thread.blocks)
        .filter(|block| block.base_tick < tick && block.end_tick >= selection.range.from)
        .collect();
    blocks.sort_by_key(|block| std::cmp::Reverse(block.base_tick));
    let mut enough = wanted as u64;
    loop {
        // So many blocks back, there are enough events if no filter leaves them out.
        let mut events = 0_u64;
        let back = blocks.iter().position(|block| {
            events = events.saturating_add(block.events);
            events > enough
        });
        let from = back.map_or(selection.range.from, |at| blocks[at].base_tick);
        let from = from.max(selection.range.from);
        let mut part = selection.clone();
        (part.range, part.limit) = (TickRange { from, to: tick }, None);
        let mut rows = VecDeque::new();
        let mut dropped = false;
        if from < tick {
            gather(trace, &part, cancelled, &mut |row| {
                rows.push_back(keep(row));
                if rows.len() > wanted {
                    rows.pop_front();
                    dropped = true;
                }
            })?;
        }
        if rows.len() >= wanted || back.is_none() {
            return Some((rows, back.is_none() && !dropped));
        }
        enough = enough.saturating_mul(16).max(1 << 16);
    }
}

/// How many numbered events of the whole trace come before the one at `ns`, of the thread with
/// this serial, with this record number: its own number from 0, in the order of `events`.
pub fn count_before(trace: &Trace, ns: i64, serial: u64, number: u64) -> u64 {
    trace.threads.iter().map(|thread| before_in(trace, thread, (ns, serial, number))).sum()
}

fn before_in(trace: &Trace, thread: &Thread, place: (i64, u64, u64)) -> u64 {
    let mut count = 0;
    for block in &thread.blocks {
        if trace.clock.ns(block.end_tick) < place.0 {
            count += block.events;
        } else if trace.clock.ns(block.base_tick) <= place.0 {
            // What cannot be decoded has no events in `events` either.
            let Ok(decoded) = trace.decode(block) else { continue };
            let numbered = decoded.rows.iter().filter(|r| r.numbered && r.row >= decoded.skip);
            count += numbered
                .take_while(|r| (trace.clock.ns(r.tick), thread.serial, r.number) < place)
                .count() as u64;
        } else {
            break;
        }
    }
    count
}

/// When the event of this number happened, counted from 0 over the whole trace; `None` if there
/// is no such event, or nobody waits.
pub fn number_to_ns(trace: &Trace, number: u64, cancelled: &dyn Fn() -> bool) -> Option<i64> {
    let (mut low, mut high) = (0_i64, trace.clock.ns(trace.last_tick).saturating_add(1));
    if number >= count_before(trace, high, 0, 0) {
        return None;
    }
    // The last moment before which there are no more events than that.
    while low + 1 < high {
        if cancelled() {
            return None;
        }
        let middle = low + (high - low) / 2;
        if count_before(trace, middle, 0, 0) <= number { low = middle } else { high = middle }
    }
    Some(low)
}
