//! The line at the bottom: the prompt, what there is to say, or the most useful keys.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::tui::keys;
use crate::tui::model::{Ask, Model, Overlay};
use crate::tui::text;

use super::paint;

pub(super) fn paint(model: &Model, area: Rect, buf: &mut Buffer) -> Option<(u16, u16)> {
    let theme = &model.theme;
    if let Some(Overlay::Prompt(prompt)) = model.overlays.last() {
        return Some(typed(model, prompt.ask, &prompt.text, area, buf));
    }
    if let Some(status) = &model.status {
        let style = if status.alarm { theme.alarm() } else { theme.strong() };
        let line =
            text::fit(&status.text, usize::from(area.width.saturating_sub(2)), theme.ascii());
        paint::text(buf, area, area.x + 1, area.y, &line, style);
        return None;
    }
    let mut edge = area;
    if model.search.active() {
        let found = model.search.symbols.len();
        let plural = if found == 1 { "" } else { "s" };
        let search = format!(" /{}  {found} function{plural} ", model.search.text);
        edge.width = paint::right(buf, edge, area.x + 10, area.y, &search, theme.hit()) - edge.x;
    }
    let mut x = area.x;
    for (keys, what) in hints(model) {
        if usize::from(edge.right().saturating_sub(x)) < text::width(&keys) + what.len() + 3 {
            break;
        }
        x = paint::text(buf, edge, x + 1, area.y, &keys, theme.strong());
        x = paint::text(buf, edge, x + 1, area.y, what, theme.dim());
        x += 1;
    }
    None
}

/// Keys and words of the footer. Bindings without a word of their own that follow one with a word
/// stand beside it: `w s zoom`. Help and quit come first, so that no width hides them.
fn hints(model: &Model) -> Vec<(String, &'static str)> {
    let mut hints: Vec<(String, &'static str)> = Vec::new();
    let mut last: Vec<(String, &'static str)> = Vec::new();
    let bindings: Vec<_> = keys::of_view(model.view).collect();
    for (i, binding) in bindings.iter().enumerate() {
        if binding.footer.is_empty() {
            continue;
        }
        let mut shown = binding.keys[0].label();
        let paired = ["zoom", "pan", "select", "thread", "move"].contains(&binding.footer);
        if paired {
            let run = if binding.footer == "select" { 3 } else { 1 };
            for next in bindings.iter().skip(i + 1).take(run) {
                shown = format!("{shown} {}", next.keys[0].label());
            }
        }
        let first = ["help", "quit"].contains(&binding.footer);
        if first { &mut last } else { &mut hints }.push((shown, binding.footer));
    }
    last.extend(hints);
    last
}

fn typed(model: &Model, ask: Ask, input: &str, area: Rect, buf: &mut Buffer) -> (u16, u16) {
    let theme = &model.theme;
    let (mark, after) = match ask {
        Ask::Search if model.search.error.is_some() => ("/", "not a regular expression".to_owned()),
        Ask::Search if input.is_empty() => ("/", "a regex of function names".to_owned()),
        Ask::Search => {
            let found = model.search.symbols.len();
            ("/", format!("{found} function{}", if found == 1 { "" } else { "s" }))
        }
        Ask::Goto => ("go to: ", "12.5s  +3ms  50%".to_owned()),
    };
    paint::clear(buf, area, ratatui::style::Style::new());
    let x = paint::text(buf, area, area.x, area.y, mark, theme.strong());
    let room = usize::from(area.right().saturating_sub(x)).saturating_sub(1);
    let shown = text::fit_end(input, room, theme.ascii());
    let x = paint::text(buf, area, x, area.y, &shown, theme.strong());
    paint::right(buf, area, x + 2, area.y, &format!("{after} "), theme.dim());
    (x.min(area.right().saturating_sub(1)), area.y)
}
