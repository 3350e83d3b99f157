//! The palette: commands by name.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::tui::model::Model;
use crate::tui::text;
use crate::tui::update::palette_matches;

use super::paint;

pub(super) fn paint(
    model: &Model,
    typed: &str,
    cursor: usize,
    screen: Rect,
    buf: &mut Buffer,
) -> (u16, u16) {
    let theme = &model.theme;
    let bar = theme.bar();
    let width = screen.width.min(72);
    let height = screen.height.saturating_sub(2).min(18);
    let area = Rect { x: (screen.width - width) / 2, y: 1, width, height };
    paint::clear(buf, area, bar);
    let strong = bar.patch(theme.strong());
    let x = paint::text(buf, area, area.x + 1, area.y, ": ", strong);
    let room = usize::from(area.right().saturating_sub(x + 1));
    let end = paint::text(buf, area, x, area.y, &text::fit_end(typed, room, theme.ascii()), strong);
    let found = palette_matches(model, typed);
    let rows = usize::from(height).saturating_sub(1).max(1);
    let cursor = cursor.min(found.len().saturating_sub(1));
    let top = (cursor + 1).saturating_sub(rows);
    if found.is_empty() {
        paint::text(buf, area, area.x + 3, area.y + 1, "no command of that name", bar);
    }
    for (y, (i, (binding, keys))) in
        (area.y + 1..area.bottom()).zip(found.iter().enumerate().skip(top))
    {
        let line = Rect { y, height: 1, ..area };
        let style = if i == cursor { bar.patch(theme.selected()) } else { bar };
        paint::clear(buf, line, style);
        let mut edge = line;
        let keys = format!(" {keys} ");
        edge.width = paint::right(buf, line, line.x + 20, y, &keys, style) - line.x;
        let x = paint::text(buf, edge, line.x + 3, y, binding.name, style.patch(theme.strong()));
        paint::text(buf, edge, x.max(line.x + 22) + 1, y, binding.help, style);
    }
    (end.min(area.right().saturating_sub(1)), area.y)
}
