//! The drawer with what is known about the selected call.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::tui::model::Model;
use crate::tui::source::{Ended, Selected};
use crate::tui::{text, units};

use super::{lists, paint};

pub(super) fn paint(model: &Model, area: Rect, buf: &mut Buffer) {
    if area.height == 0 {
        return;
    }
    let theme = &model.theme;
    let mut rows = area;
    if area.height >= 2 {
        paint::rule(buf, area, area.y, theme.pick("─", "-"), theme.dim());
        rows.y += 1;
        rows.height -= 1;
    }
    let Some(call) = &model.selection else {
        let caret = format!(" at {}", units::moment(model.caret));
        let x = paint::text(buf, rows, rows.x, rows.y, &caret, theme.strong());
        let hint = "   h j k l or a click selects a call";
        paint::text(buf, rows, x, rows.y, hint, theme.dim());
        return;
    };
    title(model, call, rows, buf);
    if rows.height >= 2 {
        callers(model, call, rows, rows.y + 1, buf);
    } else if area.height == 2 {
        // The rule gives way to the callers where there is no third line.
        paint::clear(buf, Rect { height: 1, ..area }, ratatui::style::Style::new());
        callers(model, call, area, area.y, buf);
    }
    if rows.height >= 3 {
        facts(model, call, rows, rows.y + 2, buf);
    }
}

fn name(model: &Model, symbol: u32) -> String {
    let name = model.label(symbol).map_or("(unknown)", |label| label.name.as_str());
    if model.theme.ascii() { text::to_ascii(name) } else { name.to_owned() }
}

fn title(model: &Model, call: &Selected, area: Rect, buf: &mut Buffer) {
    let theme = &model.theme;
    let ascii = theme.ascii();
    let label = model.label(call.symbol);
    let took = units::duration((call.end - call.start).max(0) as u64, ascii);
    let at_least = call.began_before || matches!(call.ended, Ended::Open | Ended::Unknown);
    let took = if at_least { format!("{} {took}", theme.pick("≥", ">=")) } else { took };
    let mut figures = vec![("dur", took)];
    if let Some(own) = call.self_ns {
        figures.push(("self", units::duration(own, ascii)));
    }
    let mut edge = area;
    edge.width = edge.width.saturating_sub(1);
    // The figures stand at the right, where they do not move with the length of names.
    let shown: Vec<String> = figures.iter().map(|(what, n)| format!("{what} {n}")).collect();
    let shown = format!("  {}", shown.join("   "));
    let least = area.x + 12;
    edge.width = paint::right(buf, edge, least, area.y, &shown, theme.strong()) - edge.x;
    let room = usize::from(edge.width).saturating_sub(1);
    let module = label.map(|l| l.module.as_str()).filter(|m| !m.is_empty());
    let full = match module {
        Some(module) => format!("{module}.{}", name(model, call.symbol)),
        None => name(model, call.symbol),
    };
    let full = if text::width(&full) <= room { full } else { name(model, call.symbol) };
    let full = format!(" {}", text::fit(&full, room, ascii));
    let style = label.map_or(theme.strong(), |label| theme.call(label.tint).patch(theme.strong()));
    let mut x = paint::text(buf, edge, area.x, area.y, &format!("{full} "), style);
    x += 1;
    let place =
        label.map(|l| if l.c { "C function" } else { l.place.as_str() }).unwrap_or_default();
    let room = usize::from(edge.right().saturating_sub(x + 1));
    if room >= 8 {
        let place = text::fit_end(place, room, ascii);
        paint::text(buf, edge, x, area.y, &place, theme.dim());
    }
}

/// The chain of callers, innermost first: what called it is what one looks for.
fn callers(model: &Model, call: &Selected, area: Rect, y: u16, buf: &mut Buffer) {
    let theme = &model.theme;
    let arrow = theme.pick(" ‹ ", " < ");
    let mut x = paint::text(buf, area, area.x, y, " called by ", theme.dim());
    if call.callers.is_empty() {
        paint::text(buf, area, x, y, "nobody: it is the outermost frame", theme.dim());
        return;
    }
    for (i, caller) in call.callers.iter().rev().enumerate() {
        let caller = caller.map_or_else(|| theme.pick("…", "...").to_owned(), |s| name(model, s));
        let left = call.callers.len() - i;
        let room = usize::from(area.right().saturating_sub(x));
        if text::width(&caller) + 12 > room && i > 0 {
            paint::text(buf, area, x, y, &format!("{arrow}{left} more"), theme.dim());
            return;
        }
        if i > 0 {
            x = paint::text(buf, area, x, y, arrow, theme.dim());
        }
        x = paint::text(buf, area, x, y, &caller, ratatui::style::Style::new());
    }
}

fn facts(model: &Model, call: &Selected, area: Rect, y: u16, buf: &mut Buffer) {
    let theme = &model.theme;
    let mut facts =
        vec![format!("start {}", units::moment(call.start)), format!("depth {}", call.depth)];
    if call.began_before {
        facts.push("began before the recording".to_owned());
    }
    if let Some(children) = call.children {
        let plural = if children == 1 { "call" } else { "calls" };
        facts.push(format!("{} {plural} made", units::count(children)));
    }
    let (ended, style) = match call.ended {
        Ended::Returned => ("returned", theme.dim()),
        Ended::Yielded => ("yielded", theme.dim()),
        Ended::Unwound => ("left by an exception", theme.alarm()),
        Ended::Open => ("still open at the end", theme.strong()),
        Ended::Unknown => ("its end was not recorded", theme.dim()),
    };
    let x = paint::text(buf, area, area.x, y, &format!(" {}", facts.join("   ")), theme.dim());
    let x = paint::text(buf, area, x, y, "   ", theme.dim());
    let x = paint::text(buf, area, x, y, ended, style);
    let left_out = model.label(call.symbol).and_then(|label| label.left_out.as_deref());
    let x = match left_out {
        Some(words) => {
            let room = usize::from(area.right().saturating_sub(x + 3));
            let words = text::fit(&lists::plain(model, words), room, theme.ascii());
            paint::text(buf, area, x + 3, y, &words, theme.alarm())
        }
        None => x,
    };
    if let Some(raised) = &call.raised {
        let room = usize::from(area.right().saturating_sub(x + 3));
        let raised = text::fit(&format!("raised {raised}"), room, theme.ascii());
        paint::text(buf, area, x + 3, y, &raised, theme.alarm());
    }
}
