//! The call tree.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::tui::model::{Mode, Model, Row, Way};
use crate::tui::units;
use crate::tui::worker::Slot;

use super::{lists, paint};

/// Columns of figures: their heads and widths, and from which width of the screen on.
const FIGURES: [(&str, u16, u16); 4] =
    [("total", 10, 0), ("share", 7, 56), ("self", 10, 64), ("calls", 10, 48)];

/// Deeper rows are not indented further than this share of the width.
const INDENT: u16 = 3;

pub(super) fn paint(model: &Model, area: Rect, buf: &mut Buffer) {
    let theme = &model.theme;
    let outline = &model.tree.outline;
    let mode = match outline.mode {
        Mode::TopDown => "top-down",
        Mode::BottomUp => "bottom-up, by self time",
        Mode::Butterfly => "callers and callees",
    };
    let tree = model.tree.tree.as_ref();
    let complete = tree.is_none_or(|(tree, _)| tree.complete);
    let range = tree.map_or(model.range(), |(_, part)| (part.from, part.to));
    lists::title(model, area, range, mode, Slot::Tree, complete, buf);
    let figures: Vec<_> = FIGURES.iter().filter(|(_, _, least)| area.width >= *least).collect();
    let mut x = area.x;
    for (name, width, _) in &figures {
        // From below, the time is that of the function itself, wherever it was called.
        let name =
            if outline.mode == Mode::BottomUp && *name == "total" { "self in" } else { name };
        let cell = Rect { x, y: area.y + 1, width: *width, height: 1 };
        paint::right(buf, cell, x, area.y + 1, name, theme.dim());
        x += width;
    }
    paint::text(buf, area, x + 2, area.y + 1, "function", theme.dim());
    let first = area.y + 2;
    if outline.rows.is_empty() && tree.is_some() {
        let none = match outline.mode {
            Mode::Butterfly if model.function.is_none() => "no function is selected",
            Mode::Butterfly => "this function did not run in this range",
            _ => "no calls in this range",
        };
        paint::text(buf, area, area.x + 2, first, none, theme.dim());
    }
    let list = model.tree.list;
    for (y, (i, row)) in (first..area.bottom()).zip(outline.rows.iter().enumerate().skip(list.top))
    {
        let style = lists::row_style(model, i == list.cursor, Rect { y, height: 1, ..area }, buf);
        let mut x = area.x;
        for (name, width, _) in &figures {
            let cell = Rect { x, y, width: *width, height: 1 };
            paint::right(buf, cell, x, y, &figure(model, row, name), style);
            x += width;
        }
        let width = area.right().saturating_sub(x + 1);
        function(model, row, Rect { x: x + 1, y, width, height: 1 }, style, buf);
    }
}

fn figure(model: &Model, row: &Row, name: &str) -> String {
    let ascii = model.theme.ascii();
    match name {
        "total" => units::duration(row.total_ns, ascii),
        "share" => {
            let whole = model.tree.outline.whole_ns.max(1);
            format!("{:.1}%", row.total_ns as f64 * 100.0 / whole as f64)
        }
        "self" => units::duration(row.self_ns, ascii),
        _ if row.calls < 100_000_000 => units::count(row.calls),
        _ => units::short(row.calls),
    }
}

fn function(model: &Model, row: &Row, area: Rect, style: Style, buf: &mut Buffer) {
    let theme = &model.theme;
    let most = area.width / INDENT;
    let indent = (row.depth.min(1_000) as u16 * 2).min(most);
    let mut x = area.x + indent;
    if row.depth * 2 > u32::from(most) {
        x = paint::text(buf, area, x, area.y, &format!("{} ", row.depth), theme.dim());
    }
    let sign = match (row.way, row.opens, row.open) {
        (Way::Middle, ..) => theme.pick("■ ", "* "),
        (_, false, _) => theme.pick("· ", "- "),
        (Way::Down, true, false) => theme.pick("▸ ", "+ "),
        (Way::Up, true, false) => theme.pick("◂ ", "+ "),
        (_, true, true) => theme.pick("▾ ", "v "),
    };
    x = paint::text(buf, area, x, area.y, sign, style);
    lists::function(
        model,
        row.symbol,
        Rect { x, width: area.right().saturating_sub(x), ..area },
        style,
        buf,
    );
}
