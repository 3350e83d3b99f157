//! What a trace holds.

use rtrace_format::Cause;

use super::events::{self, Row};
use super::parallel;
use crate::filter::Filter;
use crate::model::{Gap, Missing, Thread, TickRange};
use crate::trace::{Selection, Trace};

/// The answer. Counts are of the selected threads and range.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// How many lines `events` prints, `lost` ones aside.
    pub events: u64,
    /// Events that are missing and should not be.
    pub lost_events: u64,
    /// Events that flight rings overwrote as they should.
    pub overwritten_events: u64,
    /// When the last thing happened, in ns since the trace began.
    pub duration_ns: u64,
    /// The selected threads, by serial.
    pub threads: Vec<ThreadInfo>,
}

/// One thread's part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ThreadInfo {
    /// Index of the thread.
    pub thread: usize,
    /// As in [`Info`].
    pub events: u64,
    /// As in [`Info`].
    pub lost_events: u64,
    /// As in [`Info`].
    pub overwritten_events: u64,
    /// The tick of its first event, if it has any.
    pub first_tick: Option<u64>,
    /// The tick of its last event, if it has any.
    pub last_tick: Option<u64>,
    /// What was lost, by cause; a cause occurs once.
    pub causes: Vec<(Cause, u64)>,
}

/// Counts what there is.
pub fn info(trace: &Trace, filter: &Filter) -> Info {
    let selection = trace.select(filter);
    let threads = if filter.from_ns.is_none() && filter.to_ns.is_none() && filter.function.is_none()
    {
        parallel::map(&selection.threads, |&index| by_blocks(trace, index))
    } else {
        by_events(trace, &selection)
    };
    let mut info = Info {
        duration_ns: u64::try_from(trace.clock.ns(trace.last_tick)).unwrap_or(0),
        ..Info::default()
    };
    for thread in &threads {
        info.events += thread.events;
        info.lost_events = info.lost_events.saturating_add(thread.lost_events);
        info.overwritten_events = info.overwritten_events.saturating_add(thread.overwritten_events);
    }
    if selection.all_threads && selection.functions.is_none() {
        for process in &trace.processes {
            info.lost_events = info.lost_events.saturating_add(process.lost_without_ring);
            info.overwritten_events =
                info.overwritten_events.saturating_add(process.overwritten_events);
        }
    }
    info.threads = threads;
    info
}

impl ThreadInfo {
    fn miss(&mut self, gap: &Gap) {
        match gap.why {
            Missing::Overwritten => {
                self.overwritten_events = self.overwritten_events.saturating_add(gap.count);
            }
            Missing::Lost(cause) => {
                self.lost_events = self.lost_events.saturating_add(gap.count);
                match self.causes.iter_mut().find(|(known, _)| *known == cause) {
                    Some((_, count)) => *count = count.saturating_add(gap.count),
                    None => self.causes.push((cause, gap.count)),
                }
            }
        }
    }
}

/// Everything in a thread, by what its blocks say of themselves.
fn by_blocks(trace: &Trace, index: usize) -> ThreadInfo {
    let thread = &trace.threads[index];
    let inventory = trace.inventory(thread, TickRange::ALL);
    let mut info = ThreadInfo { thread: index, events: inventory.events, ..ThreadInfo::default() };
    for gap in thread.gaps().chain(&inventory.losses) {
        info.miss(gap);
    }
    info.first_tick = first_tick(trace, thread);
    info.last_tick = last_tick(trace, thread);
    info
}

/// The tick of a thread's first event: a block's base tick may lie before it.
fn first_tick(trace: &Trace, thread: &Thread) -> Option<u64> {
    thread.blocks.iter().filter(|block| block.events > 0).find_map(|block| {
        let decoded = trace.decode(block).ok()?;
        let mut records = decoded.rows.iter();
        records.find(|r| r.numbered && r.row >= decoded.skip).map(|record| record.tick)
    })
}

fn last_tick(trace: &Trace, thread: &Thread) -> Option<u64> {
    thread.blocks.iter().rev().filter(|block| block.events > 0).find_map(|block| {
        // Where all is numbered the last record is an event.
        if trace.is_sound(block) && trace.tells_no_loss(block) {
            return Some(block.end_tick);
        }
        let decoded = trace.decode(block).ok()?;
        decoded.rows.iter().filter(|r| r.numbered).last().map(|record| record.tick)
    })
}

/// What `events` would print, counted.
fn by_events(trace: &Trace, selection: &Selection) -> Vec<ThreadInfo> {
    let mut threads: Vec<ThreadInfo> = selection
        .threads
        .iter()
        .map(|&thread| ThreadInfo { thread, ..ThreadInfo::default() })
        .collect();
    let unlimited = Selection { limit: None, ..selection.clone() };
    let mut count = |row: &Row<'_>| {
        let Some(index) = row.thread else { return Ok(()) };
        if let Ok(at) = threads.binary_search_by_key(&index, |info| info.thread) {
            let info = &mut threads[at];
            match row.gap() {
                Some(gap) => info.miss(&gap),
                None => {
                    info.events += 1;
                    info.first_tick = info.first_tick.or(Some(row.tick));
                    info.last_tick = Some(row.tick);
                }
            }
        }
        Ok(())
    };
    // Counting writes nothing that could fail.
    let _ = events::events(trace, &unlimited, &mut count);
    for info in &mut threads {
        let gaps = trace.threads[info.thread].gaps();
        let overwritten = gaps.filter(|gap| gap.why == Missing::Overwritten);
        for gap in overwritten.filter(|gap| selection.range.meets(gap.from_tick, gap.to_tick)) {
            info.miss(gap);
        }
    }
    threads
}
