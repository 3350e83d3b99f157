//! The function table: order, cursor, and when to ask for it anew.

use std::cmp::Ordering;

use crate::tui::keys::Command;
use crate::tui::layout::Layout;
use crate::tui::model::{Column, Model};
use crate::tui::msg::Effect;
use crate::tui::source::{Find, FunctionRow};
use crate::tui::worker::{Job, Slot};

use super::{ask, select};

/// Asks for the table of the range on the screen, if it is not that already. A live session grows
/// faster than a long table is computed: there the one under way is awaited first.
pub(super) fn settle(model: &mut Model, effects: &mut Vec<Effect>) {
    let grid = model.camera.grid();
    let (begin, end) = model.camera.bounds();
    let (from, to) = (grid.start().max(begin), grid.end().min(end));
    let wanted = (from, to, model.version);
    let busy = model.pending.get(&Slot::Functions).is_some_and(|pending| pending.open);
    if model.asked.functions == Some(wanted) || (busy && model.live()) {
        return;
    }
    model.asked.functions = Some(wanted);
    ask(model, Job::Functions { from, to }, effects);
}

pub(super) fn run(model: &mut Model, command: Command, effects: &mut Vec<Effect>) {
    use Command as C;
    let page = usize::from(Layout::of(model).table.height).saturating_sub(4).max(1);
    let last = model.table.shown.len().saturating_sub(1);
    let table = &mut model.table;
    match command {
        C::RowUp => table.cursor = table.cursor.saturating_sub(1),
        C::RowDown => table.cursor = (table.cursor + 1).min(last),
        C::RowsUp => table.cursor = table.cursor.saturating_sub(page),
        C::RowsDown => table.cursor = (table.cursor + page).min(last),
        C::FirstRow => table.cursor = 0,
        C::LastRow => table.cursor = last,
        C::SortNext => sort_by(model, 1),
        C::SortPrevious => sort_by(model, Column::ALL.len() - 1),
        C::SortReverse => {
            table.reverse = !table.reverse;
            arrange(model);
        }
        C::Open => {
            let Some(row) = table.shown.get(table.cursor) else {
                let computing = model.pending.get(&Slot::Functions).is_some_and(|p| p.open);
                let none = "there is no function to show";
                return model.say(if computing { "still computing" } else { none });
            };
            let symbol = row.symbol;
            let (from, to) = table.functions.as_ref().map_or((i64::MIN, i64::MAX), |f| f.range);
            select::find(model, Find::Longest { symbol, from, to }, effects);
        }
        _ => {}
    }
    scroll(model);
}

fn sort_by(model: &mut Model, by: usize) {
    let now = Column::ALL.iter().position(|&column| column == model.table.sort).unwrap_or(0);
    set_sort(model, Column::ALL[(now + by) % Column::ALL.len()]);
}

/// Sorts by a column; by the same again, the other way round.
pub(super) fn set_sort(model: &mut Model, column: Column) {
    if model.table.sort == column {
        model.table.reverse = !model.table.reverse;
    } else {
        model.table.sort = column;
        model.table.reverse = false;
    }
    model.table.cursor = 0;
    arrange(model);
}

/// Filters and sorts the rows; the cursor stays with its function where that is still there.
pub(super) fn arrange(model: &mut Model) {
    let under = model.table.shown.get(model.table.cursor).map(|row| row.symbol);
    let Some(functions) = &model.table.functions else { return };
    let search = &model.search;
    let wanted = |row: &&FunctionRow| !search.active() || search.hits(row.symbol);
    let mut rows: Vec<FunctionRow> = functions.rows.iter().filter(wanted).copied().collect();
    let labels = &model.overview.labels;
    let name = |row: &FunctionRow| labels.get(row.symbol as usize).map(|l| (&l.name, &l.module));
    let sort = model.table.sort;
    let order = |a: &FunctionRow, b: &FunctionRow| match sort {
        Column::SelfTime => b.self_ns.cmp(&a.self_ns),
        Column::Total => b.total_ns.cmp(&a.total_ns),
        Column::Calls => b.calls.cmp(&a.calls),
        Column::P50 => b.p50_ns.cmp(&a.p50_ns),
        Column::P99 => b.p99_ns.cmp(&a.p99_ns),
        Column::Max => b.max_ns.cmp(&a.max_ns),
        Column::Name => name(a).cmp(&name(b)),
    };
    let settle = |a: &FunctionRow, b: &FunctionRow| -> Ordering {
        name(a).cmp(&name(b)).then(a.symbol.cmp(&b.symbol))
    };
    rows.sort_by(|a, b| order(a, b).then_with(|| settle(a, b)));
    if model.table.reverse {
        rows.reverse();
    }
    let place = under.and_then(|symbol| rows.iter().position(|row| row.symbol == symbol));
    let at_top = model.table.cursor == 0;
    model.table.shown = rows;
    model.table.cursor = if at_top { 0 } else { place.unwrap_or(0) };
    scroll(model);
}

/// Keeps the cursor on the screen.
pub(super) fn scroll(model: &mut Model) {
    let rows = visible_rows(model);
    let table = &mut model.table;
    table.cursor = table.cursor.min(table.shown.len().saturating_sub(1));
    table.top = table.top.min(table.cursor).max((table.cursor + 1).saturating_sub(rows));
}

/// Rows of figures on the screen: the table without its title and its head.
fn visible_rows(model: &Model) -> usize {
    usize::from(Layout::of(model).table.height.saturating_sub(2)).max(1)
}
