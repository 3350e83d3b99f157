//! The replay: going through events, by ones, over calls, or played.

use crate::tui::keys::Command;
use crate::tui::model::{Model, View};
use crate::tui::msg::Effect;
use crate::tui::source::{Ended, EventPage, EventRow, EventsAsk, Find};
use crate::tui::worker::{Job, Slot};

use super::{camera, lists, select, want};

/// Events on each side of the place that are read.
const AROUND: usize = 400;
/// With fewer than this left on a side, more are asked for.
const NEAR: usize = 100;
/// The slowest and the fastest replay, in events in ten beats.
const SPEEDS: [u32; 7] = [1, 2, 5, 10, 50, 200, 1_000];

pub(super) fn run(model: &mut Model, command: Command, effects: &mut Vec<Effect>) {
    use Command as C;
    match command {
        C::Play => {
            model.replay.playing = !model.replay.playing;
            model.say(if model.replay.playing {
                "playing; Space stops, + - speed"
            } else {
                "stopped"
            });
        }
        C::Faster | C::Slower => {
            let at = SPEEDS.iter().position(|&s| s >= model.replay.speed).unwrap_or(0);
            let at = if command == C::Faster { at + 1 } else { at.saturating_sub(1) };
            model.replay.speed = SPEEDS[at.min(SPEEDS.len() - 1)];
            model.say(format!("{} events a second", model.replay.speed));
        }
        C::StepOver => over(model, effects),
        C::StepOut => match model.selection.clone() {
            Some(from) => select::find(model, Find::Out { from: Box::new(from) }, effects),
            None => model.say("no call is known here"),
        },
        _ => {}
    }
}

/// Over a call to its end; from an end, or a line, to the next event of the thread.
fn over(model: &mut Model, effects: &mut Vec<Effect>) {
    let Some(row) = model.replay.row().cloned() else { return };
    let same = |call: &crate::tui::source::Selected| {
        Some(call.lane) == row.lane && call.depth == row.depth && call.start == row.ns
    };
    if row.edge() == Some(true) {
        match model.selection.clone().filter(same) {
            Some(call) if matches!(call.ended, Ended::Open | Ended::Unknown) => {
                return model.say("its end was not recorded");
            }
            Some(call) => return to_end(model, &call),
            None => return model.say("still looking for its end"),
        }
    }
    let next = model.replay.page.as_ref().and_then(|page| {
        let rows = page.rows.iter().enumerate().skip(model.replay.list.cursor + 1);
        rows.into_iter().find(|(_, next)| next.lane == row.lane).map(|(at, _)| at)
    });
    match next {
        Some(at) => move_to(model, at, effects),
        None => model.say("no more events of this thread are near"),
    }
}

/// To the event that ended a call.
pub(super) fn to_end(model: &mut Model, call: &crate::tui::source::Selected) {
    let ends = |row: &EventRow| {
        row.ns == call.end
            && row.lane == Some(call.lane)
            && row.depth == call.depth
            && row.edge() == Some(false)
    };
    let near = model.replay.page.as_ref().and_then(|page| page.rows.iter().position(ends));
    model.caret = call.end;
    match near {
        Some(at) => {
            model.replay.list.cursor = at;
            let row = &model.replay.page.as_ref().map(|page| page.rows[at].clone());
            if let Some(row) = row {
                model.replay.place = (row.ns, row.lane.map(|lane| (lane, row.number)));
            }
            lists::keep(model);
        }
        None => model.replay.place = (call.end, None),
    }
}

/// A beat of the replay.
pub(super) fn beat(model: &mut Model, effects: &mut Vec<Effect>) {
    if !model.replay.playing || model.view != View::Events {
        model.replay.playing = false;
        return;
    }
    // Ten beats a second.
    let due = model.replay.rest + model.replay.speed;
    model.replay.rest = due % 10;
    let at_end = model
        .replay
        .page
        .as_ref()
        .is_some_and(|page| page.last && model.replay.list.cursor + 1 >= page.rows.len());
    if at_end {
        model.replay.playing = false;
        return model.say("this is the last event");
    }
    if due >= 10 {
        move_by(model, (due / 10) as isize, effects);
    }
}

/// The cursor is at the event nearest to the caret.
pub(super) fn to_caret(model: &mut Model) {
    let here = model.replay.row().is_some_and(|row| row.ns == model.caret);
    if !here {
        model.replay.place = (model.caret, None);
    }
}

pub(super) fn move_by(model: &mut Model, by: isize, effects: &mut Vec<Effect>) {
    let Some(page) = &model.replay.page else { return };
    if by.unsigned_abs() > usize::MAX / 8 {
        let (begin, end) = model.camera.bounds();
        model.caret = if by < 0 { begin } else { end - 1 };
        let ends_here = if by < 0 { page.first } else { page.last };
        if !ends_here {
            model.replay.place = (model.caret, None);
            return;
        }
    }
    let len = page.rows.len();
    let at = model.replay.list.cursor.saturating_add_signed(by).min(len.saturating_sub(1));
    move_to(model, at, effects);
}

fn move_to(model: &mut Model, at: usize, effects: &mut Vec<Effect>) {
    model.replay.list.cursor = at;
    lists::keep(model);
    arrived(model, effects);
}

/// The event under the cursor is where the caret is, and its call is the selection.
fn arrived(model: &mut Model, effects: &mut Vec<Effect>) {
    let Some(row) = model.replay.row().cloned() else { return };
    model.caret = row.ns;
    if model.camera.grid().col_within(row.ns).is_none() {
        model.camera.reveal(row.ns);
        camera::held(model);
    }
    model.function = row.symbol.or(model.function);
    let Some(lane) = row.lane else { return };
    model.lane = lane;
    model.replay.place = (row.ns, Some((lane, row.number)));
    let depth = row.depth;
    select::find(model, Find::Event { lane, ns: row.ns, depth }, effects);
}

/// Asks for the events around the cursor, before it comes to the end of those that are known.
pub(super) fn settle(model: &mut Model, effects: &mut Vec<Effect>) {
    let mut part = model.part();
    // It goes on past the range; only the filters count.
    (part.from, part.to) = (i64::MIN / 4, i64::MAX / 4);
    let (ns, exact) = model.replay.place;
    let fresh = match (&model.replay.page, model.asked.get(&Slot::Events)) {
        (Some(page), Some((Job::Events(asked), version))) => {
            let cursor = model.replay.list.cursor;
            let row = page.rows.get(cursor);
            let known = exact.is_some()
                && row.is_some_and(|row| {
                    row.ns == ns && row.lane.map(|lane| (lane, row.number)) == exact
                });
            let room =
                (page.first || cursor >= NEAR) && (page.last || cursor + NEAR < page.rows.len());
            let place_asked = (asked.ns, asked.exact) == (ns, exact);
            asked.part == part && *version == model.version && (place_asked || (known && room))
        }
        (None, Some((Job::Events(asked), _))) => {
            asked.part == part && (asked.ns, asked.exact) == (ns, exact)
        }
        _ => false,
    };
    if !fresh {
        let ask = EventsAsk { part, ns, exact, before: AROUND, after: AROUND };
        want(model, Job::Events(ask), effects);
    }
}

/// Events came.
pub(super) fn page(model: &mut Model, page: EventPage, effects: &mut Vec<Effect>) {
    let row = model.replay.list.cursor.saturating_sub(model.replay.list.top);
    let at = page.at.min(page.rows.len().saturating_sub(1));
    let known = model.replay.place.1.is_some();
    model.replay.page = Some(page);
    // The row stays where it is on the screen; of a new place it comes to the middle.
    let above = if known { row } else { lists::visible(model) / 3 };
    model.replay.list.cursor = at;
    model.replay.list.top = at.saturating_sub(above);
    if model.view == View::Events {
        lists::keep(model);
        if !known {
            arrived(model, effects);
        }
    }
}

/// The event under the cursor, on the timeline.
pub(super) fn open(model: &mut Model) {
    let Some(ns) = model.replay.row().map(|row| row.ns) else {
        return model.say("there is no event to show");
    };
    lists::show(model, View::Timeline);
    model.caret = ns;
    model.camera.reveal(ns);
    camera::held(model);
}
