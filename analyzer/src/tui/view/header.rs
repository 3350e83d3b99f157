//! The line at the top: the views, what trace this is, and how whole it is.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;

use crate::tui::model::{Model, View};
use crate::tui::source::State;
use crate::tui::{text, units};

use super::{lists, paint};

/// From this width on all views are named, not only the present one.
const NAMED: u16 = 130;

/// The labels of the views with the columns at which they stand.
fn labels(model: &Model, width: u16) -> Vec<(View, u16, String)> {
    let mut x = 0;
    let label = |view: &View| {
        let named = width >= NAMED || *view == model.view;
        let text =
            if named { format!("{} {}", view.key(), view.name()) } else { view.key().to_string() };
        let at = x + 1;
        x = at + text.len() as u16;
        (*view, at, text)
    };
    View::ALL.iter().map(label).collect()
}

/// The view whose label is at a column of the header.
pub fn view_at(model: &Model, x: u16) -> Option<View> {
    let hit = |(_, at, text): &(View, u16, String)| *at <= x && x < at + text.len() as u16;
    labels(model, model.size.0).into_iter().find(hit).map(|(view, ..)| view)
}

pub(super) fn paint(model: &Model, area: Rect, buf: &mut Buffer) {
    let theme = &model.theme;
    let bar = theme.bar();
    paint::clear(buf, area, bar);
    let mut x = area.x;
    for (view, at, label) in labels(model, area.width) {
        let here = view == model.view;
        let style =
            if here { bar.add_modifier(Modifier::BOLD | Modifier::UNDERLINED) } else { bar };
        x = paint::text(buf, area, area.x + at, area.y, &label, style);
    }
    x = paint::text(buf, area, x, area.y, "  ", bar);
    let mut edge = area;
    // From the right: the badge, then what is missing, so that neither is ever pushed out.
    let (badge, style) = match model.overview.state {
        State::Live if model.follow => (" LIVE ", theme.live()),
        State::Live => (" LIVE held ", theme.live()),
        State::Dead => (" KILLED ", theme.exception()),
        State::Unknown => (" state unknown ", bar),
        State::Finished => ("", bar),
    };
    edge.width = paint::right(buf, edge, x, area.y, badge, style) - edge.x;
    let overview = &model.overview;
    let mut missing = Vec::new();
    if overview.killed > 0 && overview.state != State::Dead {
        missing.push((format!(" {} killed ", overview.killed), theme.exception()));
    }
    if overview.lost > 0 {
        missing.push((format!(" lost {} ", units::short(overview.lost)), theme.exception()));
    }
    if overview.problems > 0 {
        missing.push((format!(" {} damaged ", overview.problems), theme.exception()));
    }
    if overview.overwritten > 0 && area.width >= 70 {
        missing.push((format!(" overwritten {} ", units::short(overview.overwritten)), bar));
    }
    for (what, style) in missing {
        edge.width = paint::right(buf, edge, x, area.y, &what, style) - edge.x;
    }
    edge.width = edge.width.saturating_sub(1);
    let name_room = usize::from(edge.right().saturating_sub(x)).min(40);
    let name = text::fit_end(&overview.file, name_room, theme.ascii());
    x = paint::text(buf, edge, x, area.y, &name, bar.add_modifier(Modifier::BOLD));
    x = crumbs(model, x, edge, buf);
    let plural = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let mut facts = Vec::new();
    if overview.processes > 1 {
        facts.push(plural(overview.processes, "process").replace("processs", "processes"));
    }
    facts.push(plural(overview.lanes.len(), "thread"));
    facts.push(format!("{} events", units::short(overview.events)));
    let length = (overview.end - overview.begin).max(0) as u64;
    facts.push(units::duration(length, theme.ascii()));
    for fact in facts {
        let fact = format!("  {fact}");
        if usize::from(edge.right().saturating_sub(x)) < text::width(&fact) {
            break;
        }
        x = paint::text(buf, edge, x, area.y, &fact, bar);
    }
}

/// The way from the whole trace to what is on the screen. Gives the column after it.
fn crumbs(model: &Model, mut x: u16, area: Rect, buf: &mut Buffer) -> u16 {
    let theme = &model.theme;
    let mut crumbs = Vec::new();
    if !model.camera.shows_all() {
        let grid = model.camera.grid();
        let (begin, end) = model.camera.bounds();
        crumbs.push(lists::range_text(model, (grid.start().max(begin), grid.end().min(end))));
    }
    if let Some(mark) = model.mark {
        let (from, to) = mark.range();
        let length = units::duration((to - from) as u64, theme.ascii());
        crumbs.push(format!("{} {length}", theme.pick("⟦⟧", "[]")));
    }
    crumbs.extend(lists::filters(model));
    if crumbs.is_empty() {
        return x;
    }
    let arrow = theme.pick(" › ", " > ");
    let line = format!("  all{arrow}{}", crumbs.join(arrow));
    let room = usize::from(area.right().saturating_sub(x));
    if room >= 16 {
        let line = text::fit(&line, room, theme.ascii());
        x = paint::text(buf, area, x, area.y, &line, theme.bar());
    }
    x
}
