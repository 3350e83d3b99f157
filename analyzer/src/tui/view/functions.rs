//! The function table of the range on the screen.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::tui::model::{Column, Model};
use crate::tui::source::FunctionRow;
use crate::tui::units;
use crate::tui::worker::Slot;

use super::{latency, lists, paint};

/// One column on the screen, and the order that a click on its head asks for.
struct Place {
    column: Option<Column>,
    head: &'static str,
    x: u16,
    width: u16,
}

/// The columns that fit, figures first; the function takes what is left.
fn places(area: Rect) -> Vec<Place> {
    let all = [
        (Some(Column::SelfTime), "self", 10, 0),
        (Some(Column::SelfTime), "self%", 7, 56),
        (Some(Column::Total), "total", 10, 48),
        (Some(Column::Calls), "calls", 9, 0),
        (Some(Column::P50), "p50", 10, 90),
        (Some(Column::P99), "p99", 10, 72),
        (Some(Column::Max), "max", 10, 80),
        (None, latency::HEAD, latency::BARS + 2, 120),
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
    places.push(Place { column: Some(Column::Name), head: "function", x: x + 2, width });
    places
}

/// The column whose head is at a column of the screen.
pub fn column_at(model: &Model, x: u16) -> Option<Column> {
    let area = crate::tui::layout::Layout::of(model).table;
    let hit = |place: &Place| place.x <= x && x < place.x + place.width;
    places(area).iter().find(|place| hit(place)).and_then(|place| place.column)
}

pub(super) fn paint(model: &Model, area: Rect, buf: &mut Buffer) {
    let theme = &model.theme;
    let table = &model.table;
    title(model, area, buf);
    let places = places(area);
    let head_y = area.y + 1;
    for place in &places {
        let sorted = place.column == Some(table.sort) && place.head != "self%";
        let down = theme.pick("▼", "v");
        let up = theme.pick("▲", "^");
        let mark = if sorted { if table.reverse { up } else { down } } else { "" };
        let head = format!("{mark}{}", place.head);
        let style = if sorted { theme.focus() } else { theme.dim() };
        put(place, head_y, &head, style, area, buf);
    }
    let Some(functions) = &table.functions else { return };
    let all: u64 = functions.rows.iter().map(|row| row.self_ns).sum();
    let partial = |symbol| model.label(symbol).is_some_and(|label| label.left_out.is_some());
    let first = area.y + 2;
    for (y, (i, row)) in
        (first..area.bottom()).zip(table.shown.iter().enumerate().skip(table.list.top))
    {
        let selected = i == table.list.cursor;
        let style = lists::row_style(model, selected, Rect { y, height: 1, ..area }, buf);
        for place in &places {
            let cell = Rect { x: place.x, y, width: place.width, height: 1 };
            match place.column {
                Some(Column::Name) => {
                    let cell = Rect { x: cell.x.saturating_sub(1), width: cell.width + 1, ..cell };
                    lists::function(model, row.symbol, cell.intersection(area), style, buf);
                }
                Some(column) => {
                    let mut shown = figure(row, place, all, theme.ascii());
                    let adds_up =
                        matches!(column, Column::SelfTime | Column::Total | Column::Calls);
                    if adds_up && place.head != "self%" && partial(row.symbol) {
                        shown.insert_str(0, theme.pick("≥", ">"));
                    }
                    put(place, y, &shown, style, area, buf);
                }
                None => {
                    let bars = Rect { x: cell.x + 2, width: latency::BARS, ..cell };
                    latency::bars(theme, &row.latency, bars.intersection(area), style, buf);
                }
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
    if place.column == Some(Column::Name) {
        paint::text(buf, cell, cell.x, y, shown, style);
    } else {
        paint::right(buf, cell, cell.x, y, shown, style);
    }
}

fn figure(row: &FunctionRow, place: &Place, all: u64, ascii: bool) -> String {
    let time = |ns: Option<u64>| ns.map_or("-".to_owned(), |ns| units::duration(ns, ascii));
    match (place.column, place.head) {
        (Some(Column::SelfTime), "self%") => {
            format!("{:.1}", row.self_ns as f64 * 100.0 / all.max(1) as f64)
        }
        (Some(Column::SelfTime), _) => time(Some(row.self_ns)),
        (Some(Column::Total), _) => time(Some(row.total_ns)),
        (Some(Column::Calls), _) if row.calls < 10_000_000 => units::count(row.calls),
        (Some(Column::Calls), _) => units::short(row.calls),
        (Some(Column::P50), _) => time(row.p50_ns),
        (Some(Column::P99), _) => time(row.p99_ns),
        (Some(Column::Max), _) => time(row.max_ns),
        (Some(Column::Name) | None, _) => String::new(),
    }
}
