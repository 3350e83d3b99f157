//! The selection: moving it, searching with it, and keeping it in sight.

use std::sync::Arc;

use crate::tui::layout::Layout;
use crate::tui::model::{Model, View};
use crate::tui::msg::Effect;
use crate::tui::source::{Find, Selected, Step};
use crate::tui::worker::Job;

use super::ask;

/// From the selected call to another; with nothing selected, what is at the caret.
pub(super) fn step(model: &mut Model, step: Step, effects: &mut Vec<Effect>) {
    match model.selection.clone() {
        Some(from) => find(model, Find::Step { from: Box::new(from), step }, effects),
        None => at_caret(model, u32::MAX, effects),
    }
}

/// The call at the caret in the focused lane.
pub(super) fn at_caret(model: &mut Model, depth: u32, effects: &mut Vec<Effect>) {
    let grid = model.camera.grid();
    let col = grid.col_of(model.caret);
    let (from, to) = (grid.edge(col), grid.edge(col + 1));
    // A screen without selection starts from the top of what is visible, not from its depths.
    let depth =
        if depth == u32::MAX { model.depths.get(&model.lane).copied().unwrap_or(0) } else { depth };
    find(model, Find::At { lane: model.lane, from, to, depth }, effects);
}

pub(super) fn find(model: &mut Model, find: Find, effects: &mut Vec<Effect>) {
    ask(model, Job::Find(find), effects);
}

/// The next or previous call that the search matches.
pub(super) fn hit(model: &mut Model, forward: bool, effects: &mut Vec<Effect>) {
    if !model.search.active() {
        return model.say("no search: / begins one");
    }
    if model.search.symbols.is_empty() {
        return model.say(format!("no function matches {}", model.search.text));
    }
    if model.view == View::Functions {
        let rows = model.table.shown.len();
        let by = if forward { 1 } else { rows.saturating_sub(1) };
        model.table.list.cursor = (model.table.list.cursor + by) % rows.max(1);
        return;
    }
    model.leave();
    let ns = start_of_search(model);
    let symbols = Arc::clone(&model.search.symbols);
    find(model, Find::Match { symbols, ns, forward }, effects);
}

/// The next or previous exception of all lanes.
pub(super) fn exception(model: &mut Model, forward: bool, effects: &mut Vec<Effect>) {
    model.leave();
    let ns = model.caret;
    find(model, Find::Exception { ns, forward }, effects);
}

fn start_of_search(model: &Model) -> i64 {
    model.selection.as_ref().map_or(model.caret, |call| call.start)
}

/// Focuses the lane above or below, at the same time and depth.
pub(super) fn lane(model: &mut Model, down: bool, effects: &mut Vec<Effect>) {
    let shown = model.shown_lanes();
    let at = shown.iter().position(|&lane| lane == model.lane).unwrap_or(0);
    let next = if down { at + 1 } else { at.wrapping_sub(1) };
    let lane = shown.get(next).copied().unwrap_or(model.lane);
    if lane == model.lane {
        return model.say(if down {
            "this is the last thread"
        } else {
            "this is the first thread"
        });
    }
    focus_lane(model, lane);
    let depth = model.selection.take().map_or(u32::MAX, |call| call.depth);
    at_caret(model, depth, effects);
}

/// Focuses a lane and scrolls it onto the screen.
pub(super) fn focus_lane(model: &mut Model, lane: usize) {
    model.lane = lane;
    // A lane that the filter leaves out takes the filter away.
    if model.only.is_some_and(|only| only != lane) {
        model.only = None;
    }
    let places = Layout::of(model).lanes.len();
    let Some(at) = model.shown_lanes().iter().position(|&of| of == lane) else { return };
    let top = model.top_lane.min(model.shown_lanes().len().saturating_sub(places));
    if at < top {
        model.top_lane = at;
    } else if places > 0 && at >= top + places {
        model.top_lane = at + 1 - places;
    }
}

/// Scrolls the lanes by a screen.
pub(super) fn scroll_lanes(model: &mut Model, screens: i64) {
    let shown = Layout::of(model).lanes.len();
    let lanes = model.shown_lanes().len();
    let most = lanes.saturating_sub(shown);
    if most == 0 {
        return model.say("all threads are on the screen");
    }
    let by = shown.saturating_sub(1).max(1);
    model.top_lane = match screens {
        ..0 => model.top_lane.saturating_sub(by),
        _ => (model.top_lane + by).min(most),
    };
}

/// A call was found: it is selected, and brought into sight.
pub(super) fn found(model: &mut Model, call: Selected) {
    model.view = View::Timeline;
    focus_lane(model, call.lane);
    let grid = model.camera.grid();
    let sought = call.moment.unwrap_or(call.start);
    let touches = call.start < grid.end() && call.end.max(call.start + 1) > grid.start();
    let visible = match call.moment {
        Some(moment) => grid.col_within(moment).is_some(),
        None => touches,
    };
    if !visible {
        model.camera.reveal(sought);
        super::camera::held(model);
    }
    let grid = model.camera.grid();
    model.caret = sought.clamp(grid.start(), grid.end() - 1);
    show_depth(model, call.lane, call.depth);
    model.function = Some(call.symbol);
    model.selection = Some(call);
}

/// Scrolls within a lane so that a depth is among its rows.
pub(super) fn show_depth(model: &mut Model, lane: usize, depth: u32) {
    let layout = Layout::of(model);
    let Some(place) = layout.lanes.iter().find(|place| place.lane == lane) else { return };
    let rows = u32::from(place.rows).max(1);
    if depth < place.depth {
        model.depths.insert(lane, depth);
    } else if depth >= place.depth + rows {
        model.depths.insert(lane, depth + 1 - rows);
    }
}
