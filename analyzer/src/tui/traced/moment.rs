//! What happened around an exception: its way out, and what the other threads were doing.

use crate::model::{End, TickRange};
use crate::query::exceptions::{Outcome, way_out};
use crate::query::stacks::{Level, stacks};
use crate::query::timeline::LaneOf;
use crate::trace::Selection;
use crate::tui::source::{Fate, LaneFrames, Moment, MomentAsk};
use crate::tui::worker::Ticket;

use super::Traced;

/// No screen has room for more lanes.
const LANES: usize = 48;

impl Traced {
    /// The moment of an exception; `None` if cancelled or there is no such lane.
    pub(super) fn moment_of(&self, ask: &MomentAsk, ticket: &Ticket) -> Option<Moment> {
        let trace = &self.trace;
        let home = *self.lanes.get(ask.lane)?;
        let thread = home.thread(trace)?;
        let range = self.ticks(ask.ns, ask.ns.saturating_add(1));
        let range = TickRange { to: range.to.max(range.from + 1), ..range };
        let way = way_out(trace, thread, range, ask.symbol, ask.line);
        let mut frames = vec![(ask.symbol, ask.line)];
        let (mut left_out, mut fate) = (0, Fate::Unknown);
        if let Some(way) = way {
            left_out = way.passed.left_out;
            frames.extend(way.passed.frames);
            fate = match way.outcome {
                Outcome::Handled => Fate::Caught,
                Outcome::Escaped => Fate::Escaped,
                Outcome::Unknown => Fate::Unknown,
            };
        }
        let mut open = Vec::new();
        let mut others = 0;
        let alive = |of: &LaneOf| {
            of.thread(trace).is_some_and(|t| {
                t.born_tick <= range.from && t.end_tick.is_none_or(|end| end >= range.from)
            })
        };
        let process_of = |thread: usize| trace.process_of(&trace.threads[thread]);
        let last_seen = |thread: usize| {
            let process = process_of(thread);
            let dead = process.end == End::Killed && process.last_tick < range.from;
            dead.then(|| self.ns(process.last_tick))
        };
        let mut threads: Vec<usize> =
            self.lanes.iter().filter(|of| alive(of)).map(|of| of.thread).collect();
        threads.dedup();
        threads.sort_by_key(|&thread| {
            let apart = process_of(thread).number != process_of(home.thread).number;
            (thread != home.thread, last_seen(thread).is_some(), apart)
        });
        for thread in threads {
            if ticket.cancelled() {
                return None;
            }
            if open.len() >= LANES {
                others += 1;
                continue;
            }
            let mut selection = Selection::everything(trace);
            selection.threads = vec![thread];
            selection.range = TickRange { from: 0, to: range.to };
            for stack in stacks(trace, &selection).into_iter().filter(|s| !s.levels.is_empty()) {
                let of = |lane: &LaneOf| lane.thread == thread && lane.fiber == stack.fiber;
                let Some(lane) = self.lanes.iter().position(of) else { continue };
                let frames = stack.levels.iter().rev().map(|level| match level {
                    Level::Frame { symbol, .. } => Some(*symbol),
                    Level::Hidden { .. } => None,
                });
                let last_seen = last_seen(thread);
                open.push(LaneFrames { lane, frames: frames.collect(), last_seen });
            }
        }
        Some(Moment { ask: ask.clone(), way: frames, left_out, fate, stacks: open, more: others })
    }
}
