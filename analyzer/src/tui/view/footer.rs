//! The line at the bottom: the prompt, what there is to say, or the most useful keys.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::tui::model::{Ask, Model, Overlay};
use crate::tui::{text, units};

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
        let search = format!(" /{} ", found(model));
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

/// The search and what it found: which of how many calls is selected, where that is known.
fn found(model: &Model) -> String {
    let search = &model.search;
    let functions = search.symbols.len();
    let plural = if functions == 1 { "" } else { "s" };
    let typed = text::fit(&search.text, 30, model.theme.ascii());
    let Some(hits) = &model.hits else { return format!("{typed}  {functions} function{plural}") };
    let all = units::count(hits.count);
    let at = model.selection.as_ref().filter(|call| search.hits(call.symbol));
    let at = at.and_then(|call| hits.starts.binary_search(&call.start).ok());
    match at {
        Some(at) => format!("{typed}  {}/{all}", units::count(at as u64 + 1)),
        None => format!("{typed}  {all} calls of {functions} function{plural}"),
    }
}

/// Keys and words of the footer; keys that belong together stand before one word: `w s zoom`. Help and quit come first, so that no width hides them.
fn hints(model: &Model) -> Vec<(String, &'static str)> {
    let mut hints: Vec<(String, &'static str)> = Vec::new();
    let mut last: Vec<(String, &'static str)> = Vec::new();
    for (binding, keys) in model.keys.of_view(model.view) {
        let Some(key) = keys.first().filter(|_| !binding.footer.is_empty()) else { continue };
        if binding.footer == "\"" {
            if let Some((shown, _)) = hints.last_mut() {
                *shown = format!("{shown} {}", key.label());
            }
            continue;
        }
        let first = ["help", "quit"].contains(&binding.footer);
        if first { &mut last } else { &mut hints }.push((key.label(), binding.footer));
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
        Ask::Filter if model.filter.error.is_some() => ("&", "not a regular expression".to_owned()),
        Ask::Filter if input.is_empty() => ("&", "a regex: nothing else is shown".to_owned()),
        Ask::Filter => {
            let found = model.filter.symbols.len();
            ("&", format!("{found} function{}", if found == 1 { "" } else { "s" }))
        }
        Ask::Goto => ("go to: ", "12.5s  +3ms  50%  #1234".to_owned()),
    };
    paint::clear(buf, area, ratatui::style::Style::new());
    let x = paint::text(buf, area, area.x, area.y, mark, theme.strong());
    let room = usize::from(area.right().saturating_sub(x)).saturating_sub(1);
    let shown = text::fit_end(input, room, theme.ascii());
    let x = paint::text(buf, area, x, area.y, &shown, theme.strong());
    paint::right(buf, area, x + 2, area.y, &format!("{after} "), theme.dim());
    (x.min(area.right().saturating_sub(1)), area.y)
}
