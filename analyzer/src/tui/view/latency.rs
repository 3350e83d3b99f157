//! How long the calls of a function took: a row of bars, and a larger picture of the selected one.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::tui::model::Model;
use crate::tui::source::{FunctionRow, LATENCY_COLS, Latency};
use crate::tui::theme::Theme;
use crate::tui::{text, units};

use super::{lists, paint};

/// Columns of a row of bars: two to each power of ten.
pub const BARS: u16 = (LATENCY_COLS / 2) as u16;

/// What the head of a row of bars says: its two ends.
pub const HEAD: &str = "10ns            100s";

const UTF8: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
const ASCII: [&str; 8] = [".", ".", ":", ":", "=", "=", "#", "#"];

fn glyph(theme: &Theme, eighths: u64) -> &'static str {
    let glyphs = if theme.ascii() { ASCII } else { UTF8 };
    glyphs[(eighths.clamp(1, 8) - 1) as usize]
}

/// How high a bar is, in `of` steps: the highest has all of them, what is there at least one.
fn height(count: u64, most: u64, of: u64) -> u64 {
    match count {
        0 => 0,
        _ => ((u128::from(count) * u128::from(of)).div_ceil(u128::from(most.max(1)))) as u64,
    }
}

/// One row of bars, from a column on.
pub(super) fn bars(theme: &Theme, latency: &Latency, area: Rect, style: Style, buf: &mut Buffer) {
    let cols: Vec<u64> = latency.cols(2).collect();
    let most = cols.iter().copied().max().unwrap_or(0);
    for (x, &count) in (area.x..).zip(&cols) {
        if count > 0 {
            paint::cell(buf, area, x, area.y, glyph(theme, height(count, most, 8)), style);
        }
    }
}

/// The selected function: how many calls took how long, with the median and the 99th percentile
/// marked below the bars.
pub(super) fn drawer(model: &Model, area: Rect, buf: &mut Buffer) {
    if area.height < 4 {
        return;
    }
    let theme = &model.theme;
    paint::rule(buf, area, area.y, theme.pick("─", "-"), theme.dim());
    let Some(row) = model.table.shown.get(model.table.list.cursor) else { return };
    title(model, row, area, buf);
    let wide = (area.width.saturating_sub(4) / LATENCY_COLS as u16).clamp(1, 4);
    let cols: Vec<u64> = row.latency.cols(1).collect();
    let most = cols.iter().copied().max().unwrap_or(0);
    if most == 0 {
        let none = "no call of it ended in this range";
        paint::text(buf, area, area.x + 2, area.y + 2, none, theme.dim());
        return;
    }
    let left = area.x + 2;
    let at = |col: usize| left + col as u16 * wide;
    let tint = model.label(row.symbol).map_or(theme.strong(), |label| theme.merged(label.tint));
    for (col, &count) in cols.iter().enumerate().filter(|(_, count)| **count > 0) {
        let steps = height(count, most, 16);
        for x in at(col)..at(col) + wide {
            if steps > 8 {
                paint::cell(buf, area, x, area.y + 1, glyph(theme, steps - 8), tint);
            }
            paint::cell(buf, area, x, area.y + 2, glyph(theme, steps.min(8)), tint);
        }
    }
    let axis = area.y + 3;
    for (decade, label) in (0..10).zip(["10ns", "", "1us", "", "100us", "", "10ms", "", "1s", ""]) {
        let x = at(decade * 4);
        paint::text(buf, area, x, axis, theme.pick("╵", "'"), theme.dim());
        let label = if theme.ascii() { label.to_owned() } else { label.replace("us", "µs") };
        paint::text(buf, area, x + 1, axis, &label, theme.dim());
    }
    for (quantile, mark) in [(row.p99_ns, "p99"), (row.p50_ns, "p50")] {
        let Some(ns) = quantile else { continue };
        let mark = format!("{}{mark}", theme.pick("↑", "^"));
        let x = at(Latency::col_of(ns)) + wide / 2;
        // At the right edge the arrow still stands below its bar.
        paint::text(buf, area, x.min(area.right().saturating_sub(1)), axis, &mark, theme.focus());
    }
}

fn title(model: &Model, row: &FunctionRow, area: Rect, buf: &mut Buffer) {
    let ascii = model.theme.ascii();
    let name = model.label(row.symbol).map_or("(unknown)", |label| label.name.as_str());
    let time = |what: &str, ns: Option<u64>| {
        ns.map(|ns| format!("   {what} {}", units::duration(ns, ascii))).unwrap_or_default()
    };
    let ended: u64 = row.latency.cols(LATENCY_COLS).next().unwrap_or(0);
    let figures = format!(
        "  {} ended here{}{}{} ",
        units::count(ended),
        time("p50", row.p50_ns),
        time("p99", row.p99_ns),
        time("max", row.max_ns),
    );
    let room = usize::from(area.width).saturating_sub(text::width(&figures) + 4);
    let name = text::fit(&lists::plain(model, name), room.max(8), ascii);
    let x = paint::text(buf, area, area.x + 2, area.y, " ", model.theme.dim());
    let x = paint::text(buf, area, x, area.y, &name, model.theme.strong());
    let x = paint::text(buf, area, x, area.y, &figures, model.theme.dim());
    let left_out = model.label(row.symbol).and_then(|label| label.left_out.as_deref());
    if let Some(words) = left_out {
        let room = usize::from(area.right().saturating_sub(x + 1));
        let words = text::fit(&lists::plain(model, words), room, ascii);
        paint::text(buf, area, x, area.y, &words, model.theme.alarm());
    }
}
