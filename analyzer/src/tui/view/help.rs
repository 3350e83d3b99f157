//! The keys of the view, from the table of keys.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::tui::model::{Model, View};
use crate::tui::text;

use super::paint;

/// Width of the column of keys.
const KEYS: usize = 12;
/// A column of help is as wide as its longest line, keys included.
const COLUMN: usize = 54;

/// The lines of help: heads, and keys with what they do.
pub fn lines(model: &Model) -> Vec<(String, String)> {
    let (view, size) = (model.view, model.size);
    let mut own = vec![(String::new(), view.name().to_owned())];
    let mut global = vec![(String::new(), "Everywhere".to_owned())];
    for (binding, keys) in model.keys.of_view(view) {
        let labels: Vec<String> = keys.iter().map(|key| key.label()).collect();
        let line = (labels.join(" "), binding.help.to_owned());
        if binding.scope.is_global() { &mut global } else { &mut own }.push(line);
    }
    if view == View::Timeline {
        own.push((String::new(), String::new()));
        own.push((String::new(), "Mouse".to_owned()));
        for (act, what) in [
            ("click", "select a call; a view's name; the minimap"),
            ("drag", "mark a range"),
            ("middle", "drag with it to pan"),
            ("wheel", "zoom at the pointer, scroll names"),
        ] {
            own.push((act.to_owned(), what.to_owned()));
        }
    }
    if usize::from(size.0) >= 2 * COLUMN + 4 {
        // Side by side: told apart by a tab, which no key or text holds.
        let rows = own.len().max(global.len());
        own.resize(rows, (String::new(), String::new()));
        global.resize(rows, (String::new(), String::new()));
        let pair = |(a, b): ((String, String), (String, String))| {
            (format!("{}\t{}", a.0, b.0), format!("{}\t{}", a.1, b.1))
        };
        return own.into_iter().zip(global).map(pair).collect();
    }
    own.push((String::new(), String::new()));
    own.extend(global);
    own
}

pub(super) fn paint(model: &Model, top: usize, screen: Rect, buf: &mut Buffer) {
    let theme = &model.theme;
    let lines = lines(model);
    let columns = if lines.iter().any(|line| line.1.contains('\t')) { 2 } else { 1 };
    let width = (columns * COLUMN + 4).min(usize::from(screen.width)) as u16;
    let rows = (lines.len() + 3).min(usize::from(screen.height)) as u16;
    let area =
        Rect { x: (screen.width - width) / 2, y: (screen.height - rows) / 2, width, height: rows };
    paint::clear(buf, area, theme.bar());
    let title = " Keys    j k scroll    q or Esc closes ";
    paint::text(buf, area, area.x + 1, area.y, title, theme.bar().patch(theme.strong()));
    let inner = Rect { y: area.y + 2, height: rows.saturating_sub(3), ..area };
    let top = top.min(lines.len().saturating_sub(usize::from(inner.height)));
    for (y, (keys, what)) in (inner.top()..inner.bottom()).zip(lines.iter().skip(top)) {
        for (column, (keys, what)) in keys.split('\t').zip(what.split('\t')).enumerate() {
            let x = inner.x + 2 + (column * COLUMN) as u16;
            if keys.is_empty() {
                paint::text(buf, inner, x, y, what, theme.bar().patch(theme.strong()));
                continue;
            }
            let keys_shown = if theme.ascii() { text::to_ascii(keys) } else { keys.to_owned() };
            paint::text(buf, inner, x, y, &keys_shown, theme.bar().patch(theme.strong()));
            let end = x + text::width(&keys_shown).max(KEYS - 1) as u16 + 1;
            paint::text(buf, inner, end, y, what, theme.bar());
        }
    }
}
