//! The times over the flame rows.

use ratatui::buffer::Buffer;

use crate::query::timeline::Grid;
use crate::tui::layout::Layout;
use crate::tui::model::Model;
use crate::tui::{text, units};

use super::paint;

/// Least columns from one label to the next.
const APART: i64 = 12;

pub(super) fn paint(model: &Model, layout: &Layout, buf: &mut Buffer) {
    let area = layout.ruler;
    let theme = &model.theme;
    let grid = model.camera.grid();
    let mut gutter = layout.gutter;
    (gutter.y, gutter.height, gutter.width) = (area.y, 1, gutter.width.saturating_sub(1));
    let approximate = layout
        .lanes
        .iter()
        .any(|place| model.lanes.get(&place.lane).is_none_or(|lane| lane.approximate));
    let window = units::duration(grid.width() as u64, theme.ascii());
    let window = format!("{}{window}", if approximate { "~" } else { "" });
    paint::right(buf, gutter, gutter.x, area.y, &window, theme.strong());
    let dim = theme.dim();
    let mut free = area.x;
    for (col, label) in labels(grid, theme.ascii()) {
        let x = area.x + col;
        let label = format!("{}{label}", theme.pick("╷", "|"));
        if x >= free && usize::from(area.right() - x) > text::width(&label) {
            free = paint::text(buf, area, x, area.y, &label, dim) + 1;
        }
    }
    for col in model.bookmarks.iter().filter_map(|&ns| grid.col_within(ns)) {
        paint::cell(buf, area, area.x + col, area.y, theme.pick("◆", "B"), theme.caret());
    }
    if let Some((from, to)) = model.mark.map(crate::tui::model::Mark::range) {
        let cols = 0..i64::from(grid.cols);
        let (from, to) = (grid.col_of(from), grid.col_of(to.saturating_sub(1)));
        for col in cols.filter(|col| from <= *col && *col <= to) {
            let x = area.x + col as u16;
            if let Some(cell) = buf.cell_mut((x, area.y)) {
                if cell.symbol() == " " {
                    cell.set_symbol(theme.pick("━", "="));
                }
                cell.set_style(theme.marked());
            }
        }
    }
    if let Some(col) = grid.col_within(model.caret) {
        let under = buf.cell((area.x + col, area.y)).map_or(" ", |cell| cell.symbol()).to_owned();
        // On a label the caret is a colour, so that both can be read.
        if under == " " {
            paint::cell(buf, area, area.x + col, area.y, theme.pick("▼", "v"), theme.caret());
        } else {
            let style = theme.caret().patch(theme.selected());
            paint::cell(buf, area, area.x + col, area.y, &under, style);
        }
    }
}

/// Columns and texts of the labels: multiples of a round step; between full milliseconds (or
/// microseconds, on the ground) the distance to the last of them.
fn labels(grid: Grid, ascii: bool) -> Vec<(u16, String)> {
    let step = step(grid.npc.saturating_mul(APART));
    let mut out = Vec::new();
    let mut at = grid.start().div_euclid(step) * step;
    while at < grid.end() {
        if let Some(col) = grid.col_within(at) {
            out.push((col, label(at, step, ascii)));
        }
        at += step;
    }
    out
}

fn label(at: i64, step: i64, ascii: bool) -> String {
    let base = match step {
        1_000_000.. => return units::moment_for(at, step),
        1_000.. => 1_000_000,
        _ => 1_000,
    };
    match at.rem_euclid(base) {
        0 => units::moment_for(at, base),
        over => format!("+{}", units::duration(over as u64, ascii)),
    }
}

/// The least of 1, 2, 5, 10, 20, 50… that is not below `least`.
fn step(least: i64) -> i64 {
    let mut unit = 1_i64;
    loop {
        for factor in [1, 2, 5] {
            if unit.saturating_mul(factor) >= least {
                return unit.saturating_mul(factor);
            }
        }
        unit = unit.saturating_mul(10);
        if unit == i64::MAX {
            return unit;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(first: i64, npc: i64) -> Vec<String> {
        labels(Grid { first, npc, cols: 60 }, true).into_iter().map(|l| l.1).collect()
    }

    #[test]
    fn labels_are_round_and_need_no_more_digits_than_they_show() {
        assert_eq!(texts(0, 10_000_000), ["0.0s", "0.2s", "0.4s"]);
        assert_eq!(texts(1_200, 10_000_000), ["12.0s", "12.2s", "12.4s"]);
        let ground = texts(12_611_990, 1_000);
        assert_eq!(ground, ["12.612s", "+20.0 us", "+40.0 us"]);
    }

    #[test]
    fn steps_are_one_two_five() {
        assert_eq!([1, 3, 14, 501, 1_000].map(step), [1, 5, 20, 1_000, 1_000]);
    }
}
