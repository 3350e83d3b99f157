//! Painting into the buffer, never outside of an area.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::tui::text;

/// A text from a column of `area` on, cut at its right edge. Gives the column after it.
pub(super) fn text(buf: &mut Buffer, area: Rect, x: u16, y: u16, text: &str, style: Style) -> u16 {
    let area = area.intersection(buf.area);
    if x < area.left() || x >= area.right() || y < area.top() || y >= area.bottom() {
        return x;
    }
    buf.set_stringn(x, y, text, usize::from(area.right() - x), style).0
}

/// A text that ends at the right edge of `area`; left out if it does not fit after `from`.
/// Gives the column in which it begins.
pub(super) fn right(
    buf: &mut Buffer,
    area: Rect,
    from: u16,
    y: u16,
    shown: &str,
    style: Style,
) -> u16 {
    let width = text::width(shown) as u16;
    let x = area.right().saturating_sub(width);
    if x < from || width == 0 {
        return area.right();
    }
    text(buf, area, x, y, shown, style);
    x
}

/// Fills an area with blanks of a style, so that nothing below shines through.
pub(super) fn clear(buf: &mut Buffer, area: Rect, style: Style) {
    let area = area.intersection(buf.area);
    for y in area.top()..area.bottom() {
        for x in area.left()..area.right() {
            let cell = &mut buf[(x, y)];
            cell.reset();
            cell.set_style(style);
        }
    }
}

/// One cell.
pub(super) fn cell(buf: &mut Buffer, area: Rect, x: u16, y: u16, glyph: &str, style: Style) {
    if area.intersection(buf.area).contains((x, y).into()) {
        let cell = &mut buf[(x, y)];
        cell.set_symbol(glyph);
        cell.set_style(style);
    }
}

/// A horizontal line.
pub(super) fn rule(buf: &mut Buffer, area: Rect, y: u16, glyph: &str, style: Style) {
    for x in area.left()..area.right() {
        cell(buf, area, x, y, glyph, style);
    }
}
