//! Going places: ranges, filters, bookmarks, gaps, and back to where one was.

use crate::query::timeline::GapKind;
use crate::tui::model::{Mark, Model, Search, View};
use crate::tui::msg::Effect;
use crate::tui::source::Find;
use crate::tui::{text, units};

use super::{camera, lists, select, table};

/// The open end of a mark goes with the caret.
pub(super) fn follow_caret(model: &mut Model) {
    let caret = model.caret;
    if let Some(mark) = model.mark.as_mut().filter(|mark| mark.open) {
        mark.end = caret;
    }
}

/// Begins a range at the caret, or ends the one that was begun.
pub(super) fn mark(model: &mut Model) {
    let caret = model.caret;
    match &mut model.mark {
        Some(mark) if mark.open => {
            (mark.end, mark.open) = (caret, false);
            say_range(model);
        }
        _ => {
            model.mark = Some(Mark { anchor: caret, end: caret, open: true });
            model.say("range begins here; move, then v ends it");
        }
    }
}

fn say_range(model: &mut Model) {
    let Some((from, to)) = model.mark.map(Mark::range) else { return };
    let length = units::duration((to - from) as u64, model.theme.ascii());
    model.say(format!("range of {length}: all views are about it; Enter fits it, Esc drops it"));
}

/// Marks the selected call's stretch.
pub(super) fn range_of_call(model: &mut Model) {
    let Some((start, end)) = model.selection.as_ref().map(|call| (call.start, call.end)) else {
        return model.say("no call is selected");
    };
    model.leave();
    model.mark = Some(Mark { anchor: start, end: end.max(start + 1), open: false });
    say_range(model);
}

/// A drag of the mouse marks what it passes over.
pub(super) fn drag(model: &mut Model, from: i64, to: i64, done: bool) {
    model.mark = Some(Mark { anchor: from, end: to, open: false });
    if done {
        say_range(model);
    }
}

pub(super) fn travel(model: &mut Model, forward: bool) {
    model.replay.playing = false;
    if !model.travel(forward) {
        return model.say(if forward {
            "nothing to go forward to"
        } else {
            "nothing to go back to"
        });
    }
    table::arrange(model);
    lists::enter(model, model.view);
    camera::held(model);
}

/// Sets a bookmark at the caret, or removes the one there.
pub(super) fn bookmark(model: &mut Model) {
    match model.bookmarks.binary_search(&model.caret) {
        Ok(at) => {
            model.bookmarks.remove(at);
            model.say("bookmark removed");
        }
        Err(at) => {
            model.bookmarks.insert(at, model.caret);
            model.say(format!("bookmark at {}; u and U go there", units::moment(model.caret)));
        }
    }
}

pub(super) fn to_bookmark(model: &mut Model, forward: bool) {
    let caret = model.caret;
    let found = if forward {
        model.bookmarks.iter().copied().find(|&ns| ns > caret)
    } else {
        model.bookmarks.iter().copied().rfind(|&ns| ns < caret)
    };
    match found {
        Some(ns) => go(model, ns),
        None if model.bookmarks.is_empty() => model.say("no bookmarks: m sets one"),
        None if forward => model.say("no bookmark after this"),
        None => model.say("no bookmark before this"),
    }
}

/// Goes to a moment.
pub(super) fn go(model: &mut Model, ns: i64) {
    model.leave();
    let (begin, end) = model.camera.bounds();
    model.caret = ns.clamp(begin, end - 1);
    if model.camera.grid().col_within(model.caret).is_none() {
        model.camera.centre(model.caret);
    }
    camera::held(model);
    if model.view == View::Events {
        model.replay.place = (model.caret, None);
    }
}

/// The next or previous stretch without records, in any lane.
pub(super) fn gap(model: &mut Model, forward: bool) {
    let caret = model.caret;
    let missing = |kind| matches!(kind, GapKind::Lost | GapKind::Overwritten);
    let lanes = model.overview.lanes.iter().enumerate();
    let gaps = lanes.flat_map(|(lane, info)| info.gaps.iter().map(move |gap| (lane, *gap)));
    let gaps = gaps.filter(|(_, gap)| missing(gap.kind));
    // A gap is gone to where it ends: there the records begin again.
    let found = if forward {
        gaps.filter(|(_, gap)| gap.end > caret).min_by_key(|(_, gap)| gap.end)
    } else {
        gaps.filter(|(_, gap)| gap.end < caret).max_by_key(|(_, gap)| gap.end)
    };
    let Some((lane, gap)) = found else {
        let which = if forward { "after" } else { "before" };
        return model.say(format!("no gap in the records {which} this"));
    };
    go(model, gap.end);
    if model.view == View::Timeline {
        select::focus_lane(model, lane);
    }
    let what = if gap.kind == GapKind::Lost { "lost" } else { "overwritten" };
    let events = match gap.events {
        0 => "events".to_owned(),
        n => format!("{} events", units::count(n)),
    };
    model.say(format!("{events} {what} up to here"));
}

/// The longest call of the function that all views share, within the range.
pub(super) fn slowest(model: &mut Model, effects: &mut Vec<Effect>) {
    let Some(symbol) = model.function else {
        return model.say("no function is selected");
    };
    let (from, to) = model.range();
    model.leave();
    select::find(model, Find::Longest { symbol, from, to }, effects);
}

/// Searches for the function that all views share.
pub(super) fn search_this(model: &mut Model) {
    let label = model.function.and_then(|symbol| model.label(symbol));
    let Some(name) = label.map(|label| label.name.clone()) else {
        return model.say("no function is selected");
    };
    model.leave();
    model.search = Search::new(&format!("^{}$", regex::escape(&name)), &model.overview);
    table::arrange(model);
    model.say(format!("searching {name}; n and N go to its calls"));
}

/// Only the focused thread, or all of them again.
pub(super) fn only_thread(model: &mut Model) {
    model.leave();
    model.only = match model.only {
        Some(_) => None,
        None => Some(model.lane),
    };
    model.top_lane = 0;
    let name = model.only.and_then(|lane| model.overview.lanes.get(lane));
    let said = name.map_or("all threads".to_owned(), |lane| format!("only {}", lane.name));
    model.say(said);
}

pub(super) fn clear_filters(model: &mut Model) {
    if !model.filter.active() && model.only.is_none() {
        return model.say("there is no filter: & and t set one");
    }
    model.leave();
    model.filter = Search::default();
    model.only = None;
    model.say("all functions of all threads");
}

/// Pins the focused lane on top, or lets it go.
pub(super) fn pin(model: &mut Model) {
    let lane = model.lane;
    let pinned = model.pinned.iter().position(|&of| of == lane);
    match pinned {
        Some(at) => drop(model.pinned.remove(at)),
        None => model.pinned.push(lane),
    }
    let name = model.overview.lanes.get(lane).map_or("", |info| info.name.as_str());
    let said = if pinned.is_some() { "is where it was" } else { "stands on top" };
    model.say(format!("{} {said}", text::fit(name, 40, model.theme.ascii())));
    model.top_lane = 0;
    select::focus_lane(model, lane);
}
