//! What all views that are lists have in common: rows, a cursor, and when to ask for them anew.

use crate::tui::keys::Command;
use crate::tui::layout::Layout;
use crate::tui::model::{List, Model, View};
use crate::tui::msg::Effect;
use crate::tui::source::{ExceptionRow, Find};
use crate::tui::worker::{Job, Slot};

use super::{compare, listing, replay, select, table, tree, want};

/// The list of the view, and how many rows it has; `None` in the timeline.
fn of(model: &mut Model) -> Option<(&mut List, usize)> {
    Some(match model.view {
        View::Timeline => return None,
        View::Functions => {
            let rows = model.table.shown.len();
            (&mut model.table.list, rows)
        }
        View::Tree => {
            let rows = model.tree.outline.rows.len();
            (&mut model.tree.list, rows)
        }
        View::Events => {
            let rows = model.replay.page.as_ref().map_or(0, |page| page.rows.len());
            (&mut model.replay.list, rows)
        }
        View::Exceptions => {
            let rows = model.exceptions.len();
            (&mut model.exceptions.list, rows)
        }
        View::Source => {
            let rows = model.source.page.as_ref().map_or(0, |page| page.lines.len());
            (&mut model.source.list, rows)
        }
        View::Diff => {
            let rows = model.diff.len();
            (&mut model.diff.list, rows)
        }
    })
}

/// Rows of a list on the screen: it has a title and a head.
pub(super) fn visible(model: &Model) -> usize {
    usize::from(Layout::of(model).table.height.saturating_sub(2)).max(1)
}

/// Keeps the cursor on the screen.
pub(super) fn keep(model: &mut Model) {
    let rows = visible(model);
    if let Some((list, len)) = of(model) {
        list.keep(len, rows);
    }
}

/// Goes to another view.
pub(super) fn show(model: &mut Model, view: View) {
    if view == model.view {
        return;
    }
    model.leave();
    model.replay.playing = false;
    enter(model, view);
}

/// Shows a view; its cursor goes to what all views share.
pub(super) fn enter(model: &mut Model, view: View) {
    model.view = view;
    match view {
        View::Functions => table::to_function(model),
        View::Tree => tree::to_function(model),
        View::Events => replay::to_caret(model),
        View::Source => listing::to_function(model),
        View::Timeline | View::Exceptions | View::Diff => {}
    }
    keep(model);
}

/// Asks for what the view needs.
pub(super) fn settle(model: &mut Model, effects: &mut Vec<Effect>) {
    match model.view {
        View::Timeline => {}
        View::Functions => want(model, Job::Functions(model.part()), effects),
        View::Exceptions => {
            want(model, Job::Exceptions(model.part()), effects);
            let row = model.exceptions.row().filter(|_| Layout::of(model).details.height > 0);
            if let Some(ask) = row.map(ExceptionRow::moment) {
                want(model, Job::Moment(ask), effects);
            }
        }
        View::Tree => want(model, Job::Tree(model.part()), effects),
        View::Events => replay::settle(model, effects),
        View::Source => listing::settle(model, effects),
        View::Diff => compare::settle(model, effects),
    }
    keep(model);
}

/// Moves the cursor.
pub(super) fn row(model: &mut Model, command: Command, effects: &mut Vec<Effect>) {
    use Command as C;
    let page = visible(model).saturating_sub(2).max(1) as isize;
    let by = match command {
        C::RowUp => -1,
        C::RowDown => 1,
        C::RowsUp => -page,
        C::RowsDown => page,
        C::FirstRow => isize::MIN / 2,
        _ => isize::MAX / 2,
    };
    move_by(model, by, effects);
}

/// Moves the cursor by so many rows.
pub(super) fn move_by(model: &mut Model, by: isize, effects: &mut Vec<Effect>) {
    if model.view == View::Events {
        return replay::move_by(model, by, effects);
    }
    if let Some((list, len)) = of(model) {
        list.move_by(by, len);
    }
    moved(model);
}

/// Puts the cursor on a row of the screen, counted from the first below the head.
pub(super) fn click(model: &mut Model, row: usize, effects: &mut Vec<Effect>) {
    let Some((list, _)) = of(model) else { return };
    let by = (list.top + row) as isize - list.cursor as isize;
    move_by(model, by, effects);
}

/// What is under the cursor is what all views share.
fn moved(model: &mut Model) {
    let under = match model.view {
        View::Functions => model.table.shown.get(model.table.list.cursor).map(|row| row.symbol),
        View::Tree => model.tree.outline.rows.get(model.tree.list.cursor).map(|row| row.symbol),
        View::Exceptions => model.exceptions.row().map(|row| row.symbol),
        View::Source => listing::function_here(model),
        View::Diff => {
            let row = model.diff.list.cursor.checked_sub(1);
            let rows = model.diff.page.as_ref().map(|page| &page.rows);
            row.and_then(|row| rows?.get(row)?.symbol)
        }
        View::Timeline | View::Events => None,
    };
    if under.is_some() {
        model.function = under;
    }
    keep(model);
}

/// Enter: what is under the cursor, on the timeline.
pub(super) fn open(model: &mut Model, effects: &mut Vec<Effect>) {
    moved(model);
    match model.view {
        View::Timeline => {}
        View::Events => replay::open(model),
        View::Exceptions => {
            let Some(first) = model.exceptions.row().map(|row| row.first) else {
                return nothing(model, Slot::Exceptions, "there is no exception to show");
            };
            model.leave();
            select::find(model, Find::Exception { ns: first - 1, forward: true }, effects);
        }
        View::Functions if model.table.shown.is_empty() => {
            nothing(model, Slot::Functions, "there is no function to show");
        }
        View::Tree if model.tree.outline.rows.is_empty() => {
            nothing(model, Slot::Tree, "there is no call to show");
        }
        View::Source if model.source.page.is_none() => {
            nothing(model, Slot::Source, "there is no source to show");
        }
        View::Diff => compare::open(model, effects),
        View::Functions | View::Tree | View::Source => super::motion::slowest(model, effects),
    }
}

fn nothing(model: &mut Model, slot: Slot, none: &str) {
    let computing = model.pending.get(&slot).is_some_and(|pending| pending.open);
    model.say(if computing { "still computing" } else { none });
}

/// Changes the order.
pub(super) fn sort(model: &mut Model, command: Command) {
    match model.view {
        View::Diff => compare::sort(model, command),
        _ => table::sort(model, command),
    }
}
