//! The source of a function, with what its lines cost.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::tui::model::{Heat, Model};
use crate::tui::source::{SourceLine, SourcePage};
use crate::tui::worker::Slot;
use crate::tui::{text, units};

use super::{lists, paint};

/// Columns of figures: their heads and widths, and from which width of the screen on.
const FIGURES: [(&str, u16, u16); 3] = [("hits", 8, 56), ("self", 9, 48), ("total", 9, 72)];
/// Columns of the bar of heat.
const HEAT: u16 = 4;
/// From this width on the calls made from a line stand beside it.
const BESIDE: u16 = 110;

pub(super) fn paint(model: &Model, area: Rect, buf: &mut Buffer) {
    let theme = &model.theme;
    let source = &model.source;
    let page = source.page.as_ref().filter(|page| Some(page.ask.symbol) == source.symbol);
    let Some(page) = page else {
        lists::title(model, area, model.range(), "source", Slot::Source, true, buf);
        if source.symbol.is_none() {
            let hint = "select a Python function in any view, then 6 shows its source";
            paint::text(buf, area, area.x + 2, area.y + 2, hint, theme.dim());
        }
        return;
    };
    let heat = match source.heat {
        Heat::SelfTime => "self time",
        Heat::Total => "total time",
        Heat::Hits => "hits",
    };
    let file = lists::plain(model, &page.file);
    let what = format!("{}   heat: {heat}", text::fit_end(&file, 40, theme.ascii()));
    lists::title(
        model,
        area,
        (page.ask.part.from, page.ask.part.to),
        &what,
        Slot::Source,
        true,
        buf,
    );
    banner(model, page, Rect { y: area.y + 1, height: 1, ..area }, buf);
    let beside = area.width >= BESIDE;
    let made_width = if beside { area.width / 3 } else { 0 };
    let code = Rect { width: area.width - made_width, ..area };
    let hottest = page.lines.iter().map(|line| heat_of(line, source.heat)).max().unwrap_or(0);
    let digits = page.lines.last().map_or(1, |line| line.number.to_string().len()) as u16;
    let first = area.y + 2;
    let rows = page.lines.iter().enumerate().skip(source.list.top);
    for (y, (i, line)) in (first..area.bottom()).zip(rows) {
        let row = Rect { y, height: 1, ..code };
        let style = lists::row_style(model, i == source.list.cursor, row, buf);
        let dim = if i == source.list.cursor { style } else { theme.dim() };
        let mut x = row.x;
        for (name, width, least) in FIGURES {
            if area.width < least {
                continue;
            }
            let cell = Rect { x, y, width, height: 1 };
            paint::right(buf, cell, x, y, &figure(model, line, name), style);
            x += width;
        }
        bar(model, line, hottest, Rect { x: x + 1, y, width: HEAT, height: 1 }, buf);
        x += HEAT + 2;
        let number = Rect { x, y, width: digits, height: 1 };
        paint::right(buf, number, x, y, &line.number.to_string(), dim);
        x += digits + 1;
        let sign = if line.raised > 0 { theme.exception_glyph() } else { " " };
        x = paint::text(buf, row, x, y, sign, theme.alarm().patch(style));
        let room = usize::from(row.right().saturating_sub(x + 1));
        let shown = text::fit(&lists::plain(model, &line.text), room, theme.ascii());
        let comment = line.text.trim_start().starts_with('#');
        let style = if line.defines.is_some() { style.patch(theme.strong()) } else { style };
        let x = paint::text(buf, row, x + 1, y, &shown, if comment { dim } else { style });
        let defined = line.defines.and_then(|symbol| model.label(symbol));
        if let Some(words) = defined.and_then(|label| label.left_out.as_deref()) {
            let room = usize::from(row.right().saturating_sub(x + 3));
            let words = text::fit(&lists::plain(model, words), room, theme.ascii());
            paint::text(buf, row, x + 3, y, &words, theme.alarm().patch(style));
        }
    }
    if beside {
        let x = code.right() + 1;
        made(
            model,
            page,
            Rect { x, y: first, width: made_width - 1, height: area.height - 2 },
            buf,
        );
    }
}

/// What is wrong with the file, or what is known of its lines.
fn banner(model: &Model, page: &SourcePage, area: Rect, buf: &mut Buffer) {
    let theme = &model.theme;
    let (words, style) = match &page.banner {
        Some(wrong) => (wrong.as_str(), theme.alarm()),
        None if page.recorded => ("as it was when it ran: by line", theme.dim()),
        None => (
            "no lines were recorded (--lines): figures are of functions, at their definitions",
            theme.dim(),
        ),
    };
    let room = usize::from(area.width.saturating_sub(2));
    paint::text(buf, area, area.x + 1, area.y, &text::fit(words, room, theme.ascii()), style);
}

fn heat_of(line: &SourceLine, heat: Heat) -> u64 {
    match heat {
        Heat::SelfTime => line.self_ns,
        Heat::Total => line.total_ns,
        Heat::Hits => line.hits,
    }
}

fn figure(model: &Model, line: &SourceLine, name: &str) -> String {
    let ascii = model.theme.ascii();
    match name {
        "hits" if line.hits > 0 => units::short(line.hits),
        "self" if line.total_ns > 0 => units::duration(line.self_ns, ascii),
        "total" if line.total_ns > 0 => units::duration(line.total_ns, ascii),
        _ => String::new(),
    }
}

/// A bar as long as the line is hot.
fn bar(model: &Model, line: &SourceLine, hottest: u64, area: Rect, buf: &mut Buffer) {
    let theme = &model.theme;
    let heat = heat_of(line, model.source.heat);
    if heat == 0 {
        return;
    }
    const PARTS: [&str; 8] = ["▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"];
    let eighths = u128::from(heat) * u128::from(HEAT) * 8 / u128::from(hottest.max(1));
    let eighths = (eighths as u16).clamp(1, HEAT * 8);
    for i in 0..HEAT {
        let left = eighths.saturating_sub(i * 8).min(8);
        if left > 0 {
            let glyph = theme.pick(PARTS[usize::from(left) - 1], "#");
            paint::cell(buf, area, area.x + i, area.y, glyph, theme.heat());
        }
    }
}

/// The calls made from the line under the cursor.
fn made(model: &Model, page: &SourcePage, area: Rect, buf: &mut Buffer) {
    let theme = &model.theme;
    for y in area.top()..area.bottom() {
        paint::cell(
            buf,
            Rect { x: area.x - 1, width: 1, ..area },
            area.x - 1,
            y,
            theme.pick("│", "|"),
            theme.dim(),
        );
    }
    let Some(line) = model.source.line() else { return };
    let whole = line.defines.is_some() && !page.recorded;
    let title = if whole { "calls made by it" } else { "calls made from here" };
    let title = format!(" {title}: {}", if line.made.is_empty() { "none" } else { "" });
    paint::text(buf, area, area.x, area.y, &title, theme.strong());
    for (y, row) in (area.y + 1..area.bottom()).zip(&line.made) {
        let calls = Rect { x: area.x, y, width: 8, height: 1 };
        paint::right(buf, calls, area.x, y, &units::short(row.calls), theme.dim());
        let time = Rect { x: area.x + 8, y, width: 9, height: 1 };
        let shown = units::duration(row.total_ns, theme.ascii());
        paint::right(buf, time, time.x, y, &shown, ratatui::style::Style::new());
        let width = area.width.saturating_sub(18);
        let name = Rect { x: area.x + 18, y, width, height: 1 };
        lists::function(model, row.symbol, name, ratatui::style::Style::new(), buf);
    }
}
