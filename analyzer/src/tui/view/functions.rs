//! The function table of the range on the screen.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::tui::model::{Column, Model};
use crate::tui::source::FunctionRow;
use crate::tui::units;
use crate::tui::worker::Slot;

use super::{lists, paint};

/// One column on the screen.
struct Place {
    column: Column,
    head: &'static str,
    x: u16,
    width: u16,
}

/// The columns that fit, figures first; the function takes what is left.
fn places(area: Rect) -> Vec<Place> {
    let all = [
        (Column::SelfTime, "self", 10, 0),
        (Column::SelfTime, "self%", 7, 56),
        (Column::Total, "total", 10, 48),
        (Column::Calls, "calls", 9, 0),
        (Column::P50, "p50", 10, 90),
        (Column::P99, "p99", 10, 72),
        (Column::Max, "max", 10, 80),
    ];
    let mut x = area.x;
    let mut places = Vec::new();
    for (column, head, width, least) in all {
        if area.width >= least {
            places.push(Place { column, head, x, width });
            x += width;
        }
    }
    let width = area.right().saturating_sub(x + 2);
    places.push(Place { column: Column::Name, head: "function", x: x + 2, width });
    places
}

/// The column whose head is at a column of the screen.
pub fn column_at(model: &Model, x: u16) -> Option<Column> {
    let area = crate::tui::layout::Layout::of(model).table;
    let hit = |place: &Place| place.x <= x && x < place.x + place.width;
    places(area).iter().find(|place| hit(place)).map(|place| place.column)
}

pub(super) fn paint(model: &Model, area: Rect, buf: &mut Buffer) {
    let theme = &model.theme;
    let table = &model.table;
    title(model, area, buf);
    let places = places(area);
    let head_y = area.y + 1;
    for place in &places {
        let sorted = place.column == table.sort && place.head != "self%";
        let down = theme.pick("▼", "v");
        let up = theme.pick("▲", "^");
        let mark = if sorted { if table.reverse { up } else { down } } else { "" };
        let head = format!("{mark}{}", place.head);
        let style = if sorted { theme.focus() } else { theme.dim() };
        put(place, head_y, &head, style, area, buf);
    }
    let Some(functions) = &table.functions else { return };
    let all: u64 = functions.rows.iter().map(|row| row.self_ns).sum();
    let first = area.y + 2;
    for (y, (i, row)) in
        (first..area.bottom()).zip(table.shown.iter().enumerate().skip(table.list.top))
    {
        let selected = i == table.list.cursor;
        let style = lists::row_style(model, selected, Rect { y, height: 1, ..area }, buf);
        for place in &places {
            if place.column == Column::Name {
                let cell =
                    Rect { x: place.x.saturating_sub(1), y, width: place.width + 1, height: 1 };
                lists::function(model, row.symbol, cell.intersection(area), style, buf);
            } else {
                put(place, y, &figure(row, place, all, theme.ascii()), style, area, buf);
            }
        }
    }
    if table.shown.is_empty() {
        let why =
            if model.search.active() { "no function matches" } else { "no calls in this range" };
        paint::text(buf, area, area.x + 2, first, why, theme.dim());
    }
}

fn title(model: &Model, area: Rect, buf: &mut Buffer) {
    let functions = model.table.functions.as_ref();
    let range = functions.map_or(model.range(), |of| (of.part.from, of.part.to));
    let shown = model.table.shown.len();
    let what = match functions {
        Some(_) => format!("{shown} function{}", if shown == 1 { "" } else { "s" }),
        None => String::new(),
    };
    let complete = functions.is_none_or(|of| of.complete);
    lists::title(model, area, range, &what, Slot::Functions, complete, buf);
}

/// A text in its column: figures to the right, names to the left.
fn put(place: &Place, y: u16, shown: &str, style: Style, area: Rect, buf: &mut Buffer) {
    let cell = Rect { x: place.x, y, width: place.width, height: 1 }.intersection(area);
    if place.column == Column::Name {
        paint::text(buf, cell, cell.x, y, shown, style);
    } else {
        paint::right(buf, cell, cell.x, y, shown, style);
    }
}

fn figure(row: &FunctionRow, place: &Place, all: u64, ascii: bool) -> String {
    let time = |ns: Option<u64>| ns.map_or("-".to_owned(), |ns| units::duration(ns, ascii));
    match (place.column, place.head) {
        (Column::SelfTime, "self%") => {
            format!("{:.1}", row.self_ns as f64 * 100.0 / all.max(1) as f64)
        }
        (Column::SelfTime, _) => time(Some(row.self_ns)),
        (Column::Total, _) => time(Some(row.total_ns)),
        (Column::Calls, _) if row.calls < 10_000_000 => units::count(row.calls),
        (Column::Calls, _) => units::short(row.calls),
        (Column::P50, _) => time(row.p50_ns),
        (Column::P99, _) => time(row.p99_ns),
        (Column::Max, _) => time(row.max_ns),
        (Column::Name, _) => String::new(),
    }
}
