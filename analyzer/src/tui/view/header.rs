//! The line at the top: the views, what trace this is, and how whole it is.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;

use crate::tui::model::{Model, View};
use crate::tui::source::State;
use crate::tui::{text, units};

use super::paint;

pub(super) fn paint(model: &Model, area: Rect, buf: &mut Buffer) {
    let theme = &model.theme;
    let bar = theme.bar();
    paint::clear(buf, area, bar);
    let mut x = area.x;
    let wide = area.width >= 80;
    for view in View::ALL {
        let here = *view == model.view;
        let style =
            if here { bar.add_modifier(Modifier::BOLD | Modifier::UNDERLINED) } else { bar };
        x = paint::text(buf, area, x, area.y, " ", bar);
        let label = if wide || here {
            format!("{} {}", view.key(), view.name())
        } else {
            view.key().to_string()
        };
        x = paint::text(buf, area, x, area.y, &label, style);
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
