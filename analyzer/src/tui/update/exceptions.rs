//! The table of exceptions: its cursor, and when to ask for it anew.

use crate::tui::keys::Command;
use crate::tui::layout::Layout;
use crate::tui::model::Model;
use crate::tui::msg::Effect;
use crate::tui::source::Find;
use crate::tui::worker::{Job, Slot};

use super::{ask, select};

/// Asks for the exceptions of the range on the screen, if they are not shown already.
pub(super) fn settle(model: &mut Model, effects: &mut Vec<Effect>) {
    let grid = model.camera.grid();
    let (begin, end) = model.camera.bounds();
    let (from, to) = (grid.start().max(begin), grid.end().min(end));
    let wanted = (from, to, model.version);
    let busy = model.pending.get(&Slot::Exceptions).is_some_and(|pending| pending.open);
    if model.asked.exceptions == Some(wanted) || (busy && model.live()) {
        return;
    }
    model.asked.exceptions = Some(wanted);
    ask(model, Job::Exceptions { from, to }, effects);
}

pub(super) fn run(model: &mut Model, command: Command, effects: &mut Vec<Effect>) {
    use Command as C;
    let page = usize::from(Layout::of(model).table.height).saturating_sub(4).max(1);
    let table = &mut model.exceptions;
    let last = table.len().saturating_sub(1);
    match command {
        C::RowUp => table.cursor = table.cursor.saturating_sub(1),
        C::RowDown => table.cursor = (table.cursor + 1).min(last),
        C::RowsUp => table.cursor = table.cursor.saturating_sub(page),
        C::RowsDown => table.cursor = (table.cursor + page).min(last),
        C::FirstRow => table.cursor = 0,
        C::LastRow => table.cursor = last,
        C::Open => {
            let rows = table.exceptions.as_ref().map(|exceptions| &exceptions.rows);
            let Some(first) = rows.and_then(|rows| rows.get(table.cursor)).map(|row| row.first)
            else {
                let computing = model.pending.get(&Slot::Exceptions).is_some_and(|p| p.open);
                let none = "there is no exception to show";
                return model.say(if computing { "still computing" } else { none });
            };
            select::find(model, Find::Exception { ns: first - 1, forward: true }, effects);
        }
        _ => {}
    }
    scroll(model);
}

/// Keeps the cursor on the screen.
pub(super) fn scroll(model: &mut Model) {
    let rows = usize::from(Layout::of(model).table.height.saturating_sub(2)).max(1);
    let table = &mut model.exceptions;
    table.cursor = table.cursor.min(table.len().saturating_sub(1));
    table.top = table.top.min(table.cursor).max((table.cursor + 1).saturating_sub(rows));
}
