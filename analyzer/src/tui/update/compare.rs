//! Two ranges, or two traces.

use std::cmp::Reverse;

use crate::tui::keys::Command;
use crate::tui::model::{DiffColumn, Model};
use crate::tui::msg::Effect;
use crate::tui::source::{DiffAsk, DiffPage, DiffRow, Find, Part};
use crate::tui::units;
use crate::tui::worker::Job;

use super::{lists, motion, select, want};

/// Keeps the range, to be compared with another.
pub(super) fn keep_range(model: &mut Model) {
    let (from, to) = model.range();
    model.base = Some((from, to));
    let length = units::duration((to - from) as u64, model.theme.ascii());
    model.say(format!("to be compared: this range of {length}; go to another, then 7"));
}

/// Asks for the comparison, if there are two things to be compared.
pub(super) fn settle(model: &mut Model, effects: &mut Vec<Effect>) {
    let b = model.part();
    let a = match model.base {
        Some((from, to)) => Some(Part { from, to, ..b.clone() }),
        None if model.overview.other.is_some() => None,
        None => return,
    };
    // Another trace is compared as a whole, unless a range is marked.
    let (from, to) = (i64::MIN / 4, i64::MAX / 4);
    let b = if a.is_none() && model.mark.is_none() { Part { from, to, ..b } } else { b };
    want(model, Job::Diff(DiffAsk { a, b }), effects);
}

/// A comparison came.
pub(super) fn page(model: &mut Model, page: DiffPage) {
    model.diff.page = Some(page);
    arrange(model);
}

pub(super) fn sort(model: &mut Model, command: Command) {
    use DiffColumn as D;
    let all = [D::SelfTime, D::Total, D::Calls, D::Name];
    let at = all.iter().position(|&column| column == model.diff.sort).unwrap_or(0);
    match command {
        Command::SortNext => model.diff.sort = all[(at + 1) % all.len()],
        Command::SortPrevious => model.diff.sort = all[(at + all.len() - 1) % all.len()],
        _ => model.diff.reverse = !model.diff.reverse,
    }
    model.diff.list.cursor = 0;
    arrange(model);
}

/// Sorts the rows: what changed most comes first.
fn arrange(model: &mut Model) {
    let (sort, reverse) = (model.diff.sort, model.diff.reverse);
    let Some(page) = &mut model.diff.page else { return };
    let key = |row: &DiffRow| match sort {
        DiffColumn::SelfTime => row.self_delta().unsigned_abs(),
        DiffColumn::Total => row.total_delta().unsigned_abs(),
        DiffColumn::Calls => row.calls_delta().unsigned_abs(),
        DiffColumn::Name => 0,
    };
    page.rows.sort_by_cached_key(|row| (Reverse(key(row)), row.name.clone()));
    if reverse {
        page.rows.reverse();
    }
    lists::keep(model);
}

/// Enter: on the first row the call at which the sequences part, else the function's slowest.
pub(super) fn open(model: &mut Model, effects: &mut Vec<Effect>) {
    let Some(page) = &model.diff.page else { return model.say("there is nothing to compare with") };
    if model.diff.list.cursor > 0 {
        let row = page.rows.get(model.diff.list.cursor - 1);
        match row.and_then(|row| row.symbol) {
            Some(symbol) => {
                model.function = Some(symbol);
                return motion::slowest(model, effects);
            }
            None => return model.say("it ran only in the other trace"),
        }
    }
    match page.parting.as_ref().and_then(|parting| parting.b.clone()) {
        Some((_, ns, lane, depth)) => {
            model.leave();
            let to = ns.saturating_add(1);
            select::find(model, Find::At { lane, from: ns, to, depth }, effects);
            motion::go(model, ns);
        }
        None => model.say("there is no call to show"),
    }
}
