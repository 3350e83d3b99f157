//! Two ranges, or two traces, side by side.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::tui::model::{DiffColumn, Model};
use crate::tui::source::{DiffPage, DiffRow, Figures};
use crate::tui::worker::Slot;
use crate::tui::{text, units};

use super::{lists, paint};

/// Columns of figures: their heads and widths, and from which width of the screen on.
const FIGURES: [(&str, u16, u16); 5] = [
    ("Δself", 11, 0),
    ("before", 10, 80),
    ("after", 10, 64),
    ("Δtotal", 11, 100),
    ("Δcalls", 11, 48),
];

pub(super) fn paint(model: &Model, area: Rect, buf: &mut Buffer) {
    let theme = &model.theme;
    let Some(page) = &model.diff.page else {
        lists::title(model, area, model.range(), "differences", Slot::Diff, true, buf);
        if model.base.is_none() && model.overview.other.is_none() {
            let hints = [
                "mark a range (v, or a drag) and press x; go to another range; 7 compares them",
                "or give another trace:  rtrace-view AFTER --diff BEFORE",
            ];
            for (y, hint) in (area.y + 2..area.bottom()).zip(hints) {
                paint::text(buf, area, area.x + 2, y, hint, theme.dim());
            }
        }
        return;
    };
    title(model, page, area, buf);
    let figures: Vec<_> = FIGURES.iter().filter(|(_, _, least)| area.width >= *least).collect();
    let mut x = area.x;
    for (name, width, _) in &figures {
        let sorted = matches!(
            (*name, model.diff.sort),
            ("Δself", DiffColumn::SelfTime)
                | ("Δtotal", DiffColumn::Total)
                | ("Δcalls", DiffColumn::Calls)
        );
        let style = if sorted { theme.focus() } else { theme.dim() };
        let cell = Rect { x, y: area.y + 1, width: *width, height: 1 };
        let name = if theme.ascii() { name.replace('Δ', "+-") } else { (*name).to_owned() };
        paint::right(buf, cell, x, area.y + 1, &name, style);
        x += width;
    }
    paint::text(buf, area, x + 2, area.y + 1, "function", theme.dim());
    let list = model.diff.list;
    for (y, i) in (area.y + 2..area.bottom()).zip(list.top..=page.rows.len()) {
        let row = Rect { y, height: 1, ..area };
        let style = lists::row_style(model, i == list.cursor, row, buf);
        match i.checked_sub(1).and_then(|i| page.rows.get(i)) {
            None => parting(model, page, row, style, buf),
            Some(of) => {
                let mut x = area.x;
                for (name, width, _) in &figures {
                    let cell = Rect { x, y, width: *width, height: 1 };
                    paint::right(buf, cell, x, y, &figure(model, of, name), style);
                    x += width;
                }
                let width = area.right().saturating_sub(x + 2);
                function(model, of, Rect { x: x + 2, y, width, height: 1 }, style, buf);
            }
        }
    }
}

fn title(model: &Model, page: &DiffPage, area: Rect, buf: &mut Buffer) {
    let before = match (&page.other, &page.ask.a) {
        (Some(name), _) => lists::plain(model, name),
        (None, Some(part)) => lists::range_text(model, (part.from, part.to)),
        (None, None) => String::new(),
    };
    let count = |is: fn(&&DiffRow) -> bool| page.rows.iter().filter(is).count();
    let new = count(|row| row.a.is_none());
    let gone = count(|row| row.b.is_none());
    let both = page.rows.len() - new - gone;
    let what = format!("compared with {before}: {both} functions in both, {new} new, {gone} gone");
    let range = (page.ask.b.from, page.ask.b.to);
    lists::title(model, area, range, &what, Slot::Diff, page.complete, buf);
}

/// The first row: where the calls part.
fn parting(model: &Model, page: &DiffPage, area: Rect, style: Style, buf: &mut Buffer) {
    let none = || "no more calls".to_owned();
    let words = match &page.parting {
        None => format!(" the same {} calls on both sides", units::count(page.compared)),
        Some(parting) => {
            let before = parting.a.as_ref().map_or_else(none, |(name, _)| name.clone());
            let after = parting.b.as_ref().map_or_else(none, |(name, ns, ..)| {
                format!("{name} at {}", units::moment_for(*ns, 1_000))
            });
            let alike = units::count(parting.alike);
            format!(" after {alike} equal calls they part: before {before}, after {after}")
        }
    };
    let room = usize::from(area.width.saturating_sub(1));
    let shown = text::fit(&lists::plain(model, &words), room, model.theme.ascii());
    paint::text(buf, area, area.x, area.y, &shown, model.theme.focus().patch(style));
}

fn figure(model: &Model, row: &DiffRow, name: &str) -> String {
    let ascii = model.theme.ascii();
    let signed = |ns: i64| {
        let sign = match ns {
            0 => "",
            1.. => "+",
            _ => "-",
        };
        format!("{sign}{}", units::duration(ns.unsigned_abs(), ascii))
    };
    let own =
        |side: Option<Figures>| side.map_or("-".to_owned(), |s| units::duration(s.self_ns, ascii));
    match name {
        "Δself" => signed(row.self_delta()),
        "before" => own(row.a),
        "after" => own(row.b),
        "Δtotal" => signed(row.total_delta()),
        _ => {
            let calls = row.calls_delta();
            let sign = if calls < 0 { "-" } else { "+" };
            if calls == 0 {
                "0".to_owned()
            } else {
                format!("{sign}{}", units::short(calls.unsigned_abs()))
            }
        }
    }
}

fn function(model: &Model, row: &DiffRow, area: Rect, style: Style, buf: &mut Buffer) {
    let word = match (row.a, row.b) {
        (None, _) => "new ",
        (_, None) => "gone ",
        _ => "",
    };
    let x = paint::text(buf, area, area.x, area.y, word, model.theme.focus().patch(style));
    let rest = Rect { x, width: area.right().saturating_sub(x), ..area };
    match row.symbol {
        Some(symbol) => {
            lists::function(model, symbol, rest, style, buf);
        }
        None => {
            let room = usize::from(rest.width);
            let name = text::fit(&lists::plain(model, &row.name), room, model.theme.ascii());
            paint::text(buf, rest, x, area.y, &name, style);
        }
    }
}
