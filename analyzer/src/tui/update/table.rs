//! The function table: its order.

use std::cmp::Ordering;

use crate::tui::keys::Command;
use crate::tui::model::{Column, Model, View};
use crate::tui::source::FunctionRow;

use super::lists;

pub(super) fn sort(model: &mut Model, command: Command) {
    match command {
        Command::SortNext => sort_by(model, 1),
        Command::SortPrevious => sort_by(model, Column::ALL.len() - 1),
        _ => {
            model.table.reverse = !model.table.reverse;
            arrange(model);
        }
    }
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
    model.table.list.cursor = 0;
    arrange(model);
}

/// The cursor goes to the function that all views share, unless that would hide what cost most.
pub(super) fn to_function(model: &mut Model) {
    let Some(symbol) = model.function else { return };
    let at = model.table.shown.iter().position(|row| row.symbol == symbol);
    if let Some(at) = at.filter(|&at| at < lists::visible(model)) {
        model.table.list.cursor = at;
    }
}

/// Filters and sorts the rows; the cursor stays with its function where that is still there.
pub(super) fn arrange(model: &mut Model) {
    let table = &model.table;
    let under = table.shown.get(table.list.cursor).map(|row| row.symbol);
    let fresh = table.shown.is_empty();
    let Some(functions) = &table.functions else { return };
    let search = &model.search;
    let wanted = |row: &&FunctionRow| !search.active() || search.hits(row.symbol);
    let mut rows: Vec<FunctionRow> = functions.rows.iter().filter(wanted).copied().collect();
    let labels = &model.overview.labels;
    let name = |row: &FunctionRow| labels.get(row.symbol as usize).map(|l| (&l.name, &l.module));
    let sort = table.sort;
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
    if table.reverse {
        rows.reverse();
    }
    // At the top one stays there, unless the row is that of the function one came with.
    let at_top = table.list.cursor == 0 && !fresh && under != model.function;
    let wanted = if fresh { model.function } else { under };
    let place = wanted.and_then(|symbol| rows.iter().position(|row| row.symbol == symbol));
    let place = place.filter(|&at| !fresh || at < lists::visible(model));
    model.table.shown = rows;
    model.table.list.cursor = if at_top { 0 } else { place.unwrap_or(0) };
    if model.view == View::Functions {
        lists::keep(model);
    }
}
