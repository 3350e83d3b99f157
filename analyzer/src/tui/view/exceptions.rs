//! The exceptions of the range on the screen, by type, message and place.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::tui::model::Model;
use crate::tui::source::ExceptionRow;
use crate::tui::worker::Slot;
use crate::tui::{text, units};

use super::{lists, paint};

/// Columns of figures: their heads and widths, and from which width of the screen on.
const FIGURES: [(&str, u16, u16); 4] =
    [("count", 9, 0), ("handled", 9, 60), ("escaped", 9, 60), ("first", 13, 50)];

pub(super) fn paint(model: &Model, area: Rect, buf: &mut Buffer) {
    let theme = &model.theme;
    let shown = model.exceptions.exceptions.as_ref();
    let range = shown.map_or(model.range(), |of| (of.part.from, of.part.to));
    let kinds = shown.map_or(String::new(), |of| match of.rows.len() {
        1 => "1 kind of exceptions".to_owned(),
        types => format!("{types} kinds of exceptions"),
    });
    lists::title(model, area, range, &kinds, Slot::Exceptions, true, buf);
    let figures: Vec<_> = FIGURES.iter().filter(|(_, _, least)| area.width >= *least).collect();
    let head = area.y + 1;
    let mut x = area.x;
    for (name, width, _) in &figures {
        let cell = Rect { x, y: head, width: *width, height: 1 };
        paint::right(buf, cell, x, head, name, theme.dim());
        x += width;
    }
    paint::text(buf, area, x + 2, head, "exception", theme.dim());
    let Some(exceptions) = shown else { return };
    let first = area.y + 2;
    if exceptions.rows.is_empty() {
        paint::text(buf, area, area.x + 2, first, "no exceptions in this range", theme.dim());
    }
    let rows = exceptions.rows.iter().enumerate().skip(model.exceptions.list.top);
    for (y, (i, row)) in (first..area.bottom()).zip(rows) {
        let selected = i == model.exceptions.list.cursor;
        let style = lists::row_style(model, selected, Rect { y, height: 1, ..area }, buf);
        let mut x = area.x;
        for (name, width, _) in &figures {
            let cell = Rect { x, y, width: *width, height: 1 };
            let escaped = *name == "escaped" && row.escaped.is_some_and(|n| n > 0) && !selected;
            let style = if escaped { theme.alarm() } else { style };
            paint::right(buf, cell, x, y, &figure(row, name), style);
            x += width;
        }
        what(
            model,
            row,
            Rect { x: x + 2, y, width: area.right().saturating_sub(x + 2), height: 1 },
            style,
            buf,
        );
    }
}

fn figure(row: &ExceptionRow, name: &str) -> String {
    let known = |n: Option<u64>| n.map_or("-".to_owned(), units::count);
    match name {
        "count" => units::count(row.count),
        "handled" => known(row.handled),
        "escaped" => known(row.escaped),
        _ => units::moment_for(row.first, 1_000),
    }
}

/// The exception and where it was raised; the place goes first where both do not fit.
fn what(model: &Model, row: &ExceptionRow, area: Rect, style: Style, buf: &mut Buffer) {
    let ascii = model.theme.ascii();
    let plain = |text: &str| if ascii { text::to_ascii(text) } else { text.to_owned() };
    let room = usize::from(area.width);
    let name = model.label(row.symbol).map_or("(unknown)", |label| label.name.as_str());
    let file = model.label(row.symbol).and_then(|label| label.place.rsplit_once(':'));
    let place = match (file, row.line) {
        (Some((file, _)), 1..) => {
            let at = text::fit_end(&format!("{file}:{}", row.line), room / 3, ascii);
            format!("  in {name}  {at}")
        }
        _ => format!("  in {name}"),
    };
    let most = room.saturating_sub(text::width(&place)).max(room / 2);
    let shown = text::fit(&plain(&row.what), most, ascii);
    let x = paint::text(buf, area, area.x, area.y, &shown, style);
    let room = usize::from(area.right().saturating_sub(x));
    let dim = if style == Style::new() { model.theme.dim() } else { style };
    paint::text(buf, area, x, area.y, &text::fit(&plain(&place), room, ascii), dim);
}
