//! The whole trace in one line: how much happened when, and which part is on the screen.

use ratatui::buffer::Buffer;
use ratatui::style::Modifier;

use crate::tui::layout::Layout;
use crate::tui::model::Model;
use crate::tui::units;

use super::paint;

const BARS: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
const ASCII_BARS: [&str; 9] = [" ", ".", ".", ":", ":", "-", "=", "+", "#"];

pub(super) fn paint(model: &Model, layout: &Layout, buf: &mut Buffer) {
    let area = layout.minimap;
    if area.height == 0 {
        return;
    }
    let theme = &model.theme;
    let (begin, end) = model.camera.bounds();
    let length = units::duration((end - begin) as u64, theme.ascii());
    let mut gutter = layout.gutter;
    (gutter.y, gutter.height, gutter.width) = (area.y, 1, gutter.width.saturating_sub(1));
    paint::right(buf, gutter, gutter.x, area.y, &format!("all {length}"), theme.dim());

    let bars = if theme.ascii() { ASCII_BARS } else { BARS };
    let most = model.density.iter().map(|d| d.events).max().unwrap_or(0).max(1) as f64;
    let width = i128::from(area.width.max(1));
    let span = i128::from(end - begin).max(1);
    let column = |ns: i64| (i128::from(ns - begin) * width / span).clamp(0, width) as u16;
    let grid = model.camera.grid();
    let (from, to) = (column(grid.start()), column(grid.end().saturating_sub(1)));
    let caret = column(model.caret).min(area.width.saturating_sub(1));
    let marked = model.mark.map(|mark| {
        let (from, to) = mark.range();
        (column(from), column(to.saturating_sub(1)))
    });
    for x in 0..area.width {
        let density = model.density.get(usize::from(x)).copied().unwrap_or_default();
        // The square root, so that a quiet stretch beside a busy one is still to be seen.
        let level = (density.events as f64 / most).sqrt() * 8.0;
        let level = if density.events == 0 { 0 } else { (level.round() as usize).clamp(1, 8) };
        let mut style = theme.dim();
        let inside = !model.camera.shows_all() && from <= x && x <= to;
        if inside {
            style = style.patch(theme.bar());
        }
        let mut glyph = bars[level];
        let hit = model.hits.as_ref().is_some_and(|h| h.cols.get(usize::from(x)) == Some(&true));
        if hit {
            style = style.patch(theme.caret()).patch(theme.hit());
            glyph = if level == 0 { theme.pick("•", "*") } else { glyph };
        }
        if marked.is_some_and(|(from, to)| from <= x && x <= to) {
            style = style.patch(theme.marked());
        }
        if model.bookmarks.iter().any(|&ns| column(ns) == x) {
            glyph = theme.pick("◆", "B");
            style = style.patch(theme.caret());
        }
        if density.exception {
            glyph = theme.exception_glyph();
            style = style.patch(theme.alarm());
        }
        if x == caret && !model.camera.shows_all() {
            style = style.patch(theme.caret()).add_modifier(Modifier::BOLD);
        }
        paint::cell(buf, area, area.x + x, area.y, glyph, style);
    }
}
