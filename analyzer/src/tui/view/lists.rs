//! What all views that are lists draw alike.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::tui::model::Model;
use crate::tui::worker::Slot;
use crate::tui::{text, units};

use super::paint;

/// A range of time as a title says it.
pub(super) fn range_text(model: &Model, range: (i64, i64)) -> String {
    if range.0 <= model.overview.begin && range.1 >= model.overview.end {
        return "the whole trace".to_owned();
    }
    let decimals = ((range.1 - range.0) / 1_000).max(1);
    let (from, to) = (units::moment_for(range.0, decimals), units::moment_for(range.1, decimals));
    format!("{from} {} {to}", model.theme.pick("–", "-"))
}

/// The title of a list: the range, what it is, what filters hold, and at the right whether it is
/// being computed and whether records are missing.
pub(super) fn title(
    model: &Model,
    area: Rect,
    range: (i64, i64),
    what: &str,
    slot: Slot,
    complete: bool,
    buf: &mut Buffer,
) {
    let theme = &model.theme;
    let y = area.y;
    let range = format!(" {}", range_text(model, range));
    let mut x = paint::text(buf, area, area.x, y, &range, theme.strong());
    for crumb in filters(model) {
        x = paint::text(buf, area, x, y, theme.pick(" › ", " > "), theme.dim());
        x = paint::text(buf, area, x, y, &crumb, theme.focus());
    }
    let mut edge = area;
    if let Some(pending) = model.pending.get(&slot).filter(|pending| pending.open) {
        let busy = match pending.progress {
            Some((done, total)) if total > 0 => format!("computing {}% ", done * 100 / total),
            _ => "computing ".to_owned(),
        };
        edge.width = paint::right(buf, edge, x + 1, y, &busy, theme.caret()) - edge.x;
    }
    if !complete {
        let words = format!("{} records are missing here ", theme.pick("≥", ">="));
        edge.width = paint::right(buf, edge, x + 1, y, &words, theme.alarm()) - edge.x;
    }
    let room = usize::from(edge.right().saturating_sub(x + 3));
    if room >= 6 {
        paint::text(buf, edge, x + 3, y, &text::fit(what, room, theme.ascii()), theme.dim());
    }
}

/// The filters that hold, for titles and breadcrumbs.
pub(super) fn filters(model: &Model) -> Vec<String> {
    let mut out = Vec::new();
    if let Some(lane) = model.only.and_then(|lane| model.overview.lanes.get(lane)) {
        out.push(text::fit(&plain(model, &lane.name), 24, model.theme.ascii()));
    }
    if model.filter.active() {
        let typed = text::fit(&plain(model, &model.filter.text), 24, model.theme.ascii());
        out.push(format!("&{typed}"));
    }
    out
}

/// The style of a row; the selected one is filled with it.
pub(super) fn row_style(model: &Model, selected: bool, area: Rect, buf: &mut Buffer) -> Style {
    if !selected {
        return Style::new();
    }
    let style = model.theme.selected();
    paint::clear(buf, area, style);
    style
}

/// A text as the terminal can show it.
pub(super) fn plain(model: &Model, text: &str) -> String {
    if model.theme.ascii() { text::to_ascii(text) } else { text.to_owned() }
}

/// A function: a swatch of the colour that it has on the timeline, its name, and where it is
/// defined if there is room. Gives the column after it.
pub(super) fn function(
    model: &Model,
    symbol: u32,
    area: Rect,
    style: Style,
    buf: &mut Buffer,
) -> u16 {
    let theme = &model.theme;
    let ascii = theme.ascii();
    let Some(label) = model.label(symbol) else {
        return paint::text(buf, area, area.x, area.y, "(unknown)", style);
    };
    let mut x = area.x;
    let swatch = theme.call(label.tint);
    if swatch.bg.is_some() {
        paint::cell(buf, area, x, area.y, " ", swatch);
        x += 2;
    }
    let hit = model.search.active() && model.search.hits(symbol);
    let named = if hit { style.patch(theme.hit()) } else { style };
    let room = usize::from(area.right().saturating_sub(x));
    let name = text::fit(&plain(model, &label.name), room, ascii);
    let x = paint::text(buf, area, x, area.y, &name, named);
    let more = plain(model, if label.c { &label.module } else { &label.place });
    let room = usize::from(area.right().saturating_sub(x + 2));
    if room < 10 {
        return x;
    }
    let dim = if style == Style::new() { theme.dim() } else { style };
    paint::text(buf, area, x + 2, area.y, &text::fit_end(&more, room, ascii), dim)
}
