//! What workers found, taken into the model.

use std::sync::Arc;

use crate::query::timeline::{Cell, Lane, NO_CALL};
use crate::tui::layout::Layout;
use crate::tui::model::Model;
use crate::tui::msg::{Answer, Effect};
use crate::tui::source::{Ended, Find, Overview, Selected, State, Step};
use crate::tui::worker::{Job, Slot};

use super::{compare, listing, lists, motion, replay, select, table, tree};

/// Lanes with fewer rows than this are low.
const LOW: u16 = 4;

pub(super) fn answer(model: &mut Model, slot: Slot, answer: Answer, effects: &mut Vec<Effect>) {
    match (answer, slot) {
        (Answer::Lane(cells), Slot::Lane(lane)) => lane_cells(model, lane, cells),
        (Answer::Density(density), _) => model.density = density,
        (Answer::Functions(functions), _) => {
            model.table.functions = Some(functions);
            table::arrange(model);
        }
        (Answer::Exceptions(exceptions), _) => {
            model.exceptions.exceptions = Some(exceptions);
            lists::keep(model);
        }
        (Answer::Moment(moment), _) => model.exceptions.moment = Some(moment),
        (Answer::Tree(calls, part), _) => {
            model.tree.tree = Some((calls, part));
            tree::outlined(model);
        }
        (Answer::Events(page), _) => replay::page(model, page, effects),
        (Answer::Source(page), _) => listing::page(model, page),
        (Answer::Diff(page), _) => compare::page(model, page),
        (Answer::Hits(hits), _) => model.hits = Some(hits),
        (Answer::Number(Some(ns), number), _) => {
            motion::go(model, ns);
            model.say(format!("event {}", crate::tui::units::count(number)));
        }
        (Answer::Number(None, number), _) => {
            model.alarm(format!("there is no event {}", crate::tui::units::count(number)));
        }
        (Answer::Found(Some(call), Find::Again { .. }), _) => model.selection = Some(call),
        (Answer::Found(call, Find::Event { .. }), _) => model.selection = call,
        (Answer::Found(Some(call), Find::Out { .. }), _) => replay::to_end(model, &call),
        (Answer::Found(Some(call), find), _) => found(model, call, &find),
        (Answer::Found(None, find), _) => not_found(model, &find),
        (Answer::Refreshed(Some(overview)), _) => {
            refreshed(model, overview);
            keep_selection(model, effects);
        }
        _ => {}
    }
}

fn lane_cells(model: &mut Model, lane: usize, cells: Lane) {
    if let Some(deepest) = model.deepest.get_mut(lane) {
        *deepest = (*deepest).max(cells.deepest);
    }
    let selected = model.selection.as_ref().is_some_and(|call| call.lane == lane);
    if cells.depth == 0 && !selected {
        unfold(model, lane, &cells);
    }
    model.lanes.insert(lane, cells);
}

/// A lane of two or three rows would show nothing but the frames that every thread begins with:
/// there, rows that hold a single call are scrolled past.
fn unfold(model: &mut Model, lane: usize, cells: &Lane) {
    let place = Layout::of(model).lanes.into_iter().find(|place| place.lane == lane);
    let Some(place) = place.filter(|place| place.rows < LOW && place.rows > 0) else { return };
    let single = |row: &&Vec<Cell>| {
        let mut calls = row.iter().filter(|cell| !cell.is_empty()).map(|cell| cell.call);
        let first = calls.next();
        first.is_some_and(|first| first != NO_CALL && calls.all(|call| call == first))
    };
    let alone = cells.rows.iter().take_while(single).count() as u32;
    let most = cells.deepest.saturating_sub(u32::from(place.rows));
    match alone.min(most) {
        0 => drop(model.depths.remove(&lane)),
        depth => drop(model.depths.insert(lane, depth)),
    }
}

fn found(model: &mut Model, call: Selected, find: &Find) {
    match (&call.raised, find) {
        (Some(raised), _) => model.say(raised.clone()),
        (None, Find::Exception { .. }) => {
            model.say("left by an exception; this hook does not record which")
        }
        _ => {}
    }
    let caret = model.caret;
    select::found(model, call);
    // What was asked for by a place leaves the caret there; other steps take it along.
    if matches!(find, Find::At { .. }) {
        model.caret = caret;
    }
}

fn not_found(model: &mut Model, find: &Find) {
    let text = match find {
        Find::At { depth: 0, .. } => "nothing ran here",
        Find::At { .. } => "no call here",
        Find::Step { step, .. } => match step {
            Step::Parent => "this is the outermost frame",
            Step::FirstChild | Step::HeaviestChild => "it made no calls that were recorded",
            Step::PreviousSibling => "its caller made no call before this one",
            Step::NextSibling => "its caller made no call after this one",
            Step::Previous => "this is the first call of the thread",
            Step::Next => "this is the last call of the thread",
        },
        Find::Again { .. } | Find::Event { .. } => return,
        Find::Out { .. } => "this is the outermost frame",
        Find::Last { .. } => "no frame was open at the end",
        Find::Longest { .. } => "no call of it was found",
        Find::Match { forward: true, .. } => "no more hits after this",
        Find::Match { .. } => "no more hits before this",
        Find::Exception { forward: true, .. } => "no more exceptions after this",
        Find::Exception { .. } => "no more exceptions before this",
    };
    if matches!(find, Find::At { .. }) {
        model.selection = None;
    }
    model.say(text);
}

/// An open call has grown longer, or ended meanwhile.
fn keep_selection(model: &mut Model, effects: &mut Vec<Effect>) {
    let busy = model.pending.get(&Slot::Find).is_some_and(|pending| pending.open);
    let open = model.selection.clone().filter(|call| call.ended == Ended::Open && !busy);
    if let Some(call) = open {
        super::ask(model, Job::Find(Find::Again { call: Box::new(call) }), effects);
    }
}

/// A live session went on: what was asked of the older state is asked again by `settle`, and the
/// picture moves with the end unless it is held.
fn refreshed(model: &mut Model, overview: Overview) {
    let ended = overview.state != State::Live && model.live();
    model.camera.rebound(overview.begin, overview.end);
    model.deepest.resize(overview.lanes.len().max(model.deepest.len()), 0);
    for (seen, lane) in model.deepest.iter_mut().zip(&overview.lanes) {
        *seen = (*seen).max(lane.deepest);
    }
    let symbols = overview.labels.len() != model.overview.labels.len();
    model.overview = Arc::new(overview);
    model.version += 1;
    if symbols && model.search.active() {
        let text = model.search.text.clone();
        model.search = crate::tui::model::Search::new(&text, &model.overview);
    }
    if model.follow {
        let before = model.camera.grid().start();
        model.camera.go_to_end();
        // The caret keeps its column.
        model.caret = model.caret.saturating_add(model.camera.grid().start() - before);
        super::camera::keep_caret(model);
    }
    if ended {
        let how = match model.overview.state {
            State::Dead if model.follow => "the program was killed: this is its last moment",
            State::Dead => "the program was killed",
            State::Finished => "the program has ended",
            State::Live | State::Unknown => "the recording cannot be followed any more",
        };
        model.follow = false;
        model.say(how);
    }
}
