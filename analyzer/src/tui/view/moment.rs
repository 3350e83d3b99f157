//! Around an exception: its way out, and what every thread was doing when it was raised.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::tui::model::Model;
use crate::tui::source::{ExceptionRow, Fate, LaneFrames, Moment};
use crate::tui::{text, units};

use super::{lists, paint};

/// From this width on the threads stand beside the way, else below it.
const BESIDE: u16 = 100;

pub(super) fn paint(model: &Model, area: Rect, buf: &mut Buffer) {
    if area.height < 4 {
        return;
    }
    let theme = &model.theme;
    paint::rule(buf, area, area.y, theme.pick("─", "-"), theme.dim());
    let Some(row) = model.exceptions.row() else { return };
    title(model, row, area, buf);
    let body = Rect { y: area.y + 1, height: area.height - 1, ..area };
    let moment = model.exceptions.moment.as_ref().filter(|moment| moment.ask == row.moment());
    let Some(moment) = moment else {
        paint::text(buf, body, body.x + 2, body.y, "computing", theme.dim());
        return;
    };
    let lines = way(row, moment);
    if area.width >= BESIDE {
        let left = Rect { width: area.width * 2 / 5, ..body };
        let right = Rect { x: left.right() + 1, width: body.width - left.width - 1, ..body };
        way_out(model, &lines, left, buf);
        threads(model, moment, right, buf);
    } else {
        let rows = (lines.len() as u16).min(body.height / 2).max(1);
        way_out(model, &lines, Rect { height: rows, ..body }, buf);
        let below = Rect { y: body.y + rows, height: body.height - rows, ..body };
        threads(model, moment, below, buf);
    }
}

fn title(model: &Model, row: &ExceptionRow, area: Rect, buf: &mut Buffer) {
    let lane = model.overview.lanes.get(row.lane).map_or("", |lane| lane.name.as_str());
    let which = match row.count {
        0 | 1 => "raised".to_owned(),
        count => format!("first of {}, raised", units::count(count)),
    };
    let title =
        format!(" {which} at {} in {} ", units::moment(row.first), lists::plain(model, lane));
    let title = text::fit(&title, usize::from(area.width.saturating_sub(4)), model.theme.ascii());
    paint::text(buf, area, area.x + 2, area.y, &title, model.theme.strong());
}

/// What a frame of the way did, which frame it was, and the line.
struct Line {
    what: &'static str,
    frame: Option<(u32, u32)>,
    left_out: u64,
}

fn way(row: &ExceptionRow, moment: &Moment) -> Vec<Line> {
    let recorded = row.handled.is_some();
    let last = moment.way.len() - 1;
    let mut lines = Vec::new();
    for (i, frame) in moment.way.iter().enumerate() {
        let what = match (i, moment.fate) {
            _ if !recorded => "left",
            (0, Fate::Caught) if last == 0 => "raised and caught",
            (0, _) => "raised",
            (i, Fate::Caught) if i == last => "caught",
            _ => "passed",
        };
        if i == last && moment.left_out > 0 {
            lines.push(Line { what: "passed", frame: None, left_out: moment.left_out });
        }
        lines.push(Line { what, frame: Some(*frame), left_out: 0 });
    }
    let end = match moment.fate {
        _ if !recorded => "this hook records no exceptions, only frames that one left",
        Fate::Caught => return lines,
        Fate::Escaped => "escaped: no frame caught it",
        Fate::Unknown => "its end is not in the trace",
    };
    lines.push(Line { what: end, frame: None, left_out: 0 });
    lines
}

/// The way, innermost first; where not all of it fits, the middle is left out.
fn way_out(model: &Model, lines: &[Line], area: Rect, buf: &mut Buffer) {
    let rows = usize::from(area.height);
    let (head, tail) = if lines.len() <= rows {
        (lines.len(), 0)
    } else {
        let tail = rows.saturating_sub(1) / 2;
        (rows.saturating_sub(1 + tail), tail)
    };
    let mut y = area.y;
    for line in &lines[..head] {
        one(model, line, Rect { y, height: 1, ..area }, buf);
        y += 1;
    }
    if lines.len() > rows {
        let hidden = (lines.len() - head - tail) as u64;
        let line = Line { what: "passed", frame: None, left_out: hidden };
        one(model, &line, Rect { y, height: 1, ..area }, buf);
        y += 1;
        for line in &lines[lines.len() - tail..] {
            one(model, line, Rect { y, height: 1, ..area }, buf);
            y += 1;
        }
    }
}

fn one(model: &Model, line: &Line, area: Rect, buf: &mut Buffer) {
    let theme = &model.theme;
    let style = match line.what {
        "passed" | "left" => theme.dim(),
        "caught" => theme.strong(),
        _ => theme.alarm(),
    };
    let x = paint::text(buf, area, area.x + 2, area.y, line.what, style);
    let Some((symbol, at)) = line.frame else {
        if line.left_out > 0 {
            let more = format!("{} more frames", units::count(line.left_out));
            paint::text(buf, area, x + 2, area.y, &more, theme.dim());
        }
        return;
    };
    let cell = Rect { x: x + 2, width: area.right().saturating_sub(x + 2), ..area };
    let label = model.label(symbol);
    let name = label.map_or("(unknown)", |label| label.name.as_str());
    let room = usize::from(cell.width);
    let name = text::fit(&lists::plain(model, name), room, theme.ascii());
    let x = paint::text(buf, cell, cell.x, cell.y, &name, Style::new());
    let file = label.and_then(|label| label.place.rsplit_once(':'));
    if let (Some((file, _)), 1..) = (file, at) {
        let room = usize::from(area.right().saturating_sub(x + 3));
        if room >= 8 {
            let place = lists::plain(model, &format!("{file}:{at}"));
            let place = text::fit_end(&place, room, theme.ascii());
            paint::text(buf, cell, x + 2, cell.y, &place, theme.dim());
        }
    }
}

/// A line for each lane that had a frame open: its name and its frames, innermost first.
fn threads(model: &Model, moment: &Moment, area: Rect, buf: &mut Buffer) {
    let theme = &model.theme;
    let rows = usize::from(area.height);
    let fits = moment.stacks.len() <= rows && moment.more == 0;
    let shown = if fits { moment.stacks.len() } else { rows.saturating_sub(1) };
    let name_of = |stack: &LaneFrames| model.overview.lanes.get(stack.lane).map_or("", |l| &l.name);
    let widest = moment.stacks.iter().take(shown).map(|stack| text::width(name_of(stack))).max();
    let column = widest.unwrap_or(0).min(usize::from(area.width) / 3);
    for (y, stack) in (area.y..area.bottom()).zip(moment.stacks.iter().take(shown)) {
        let row = Rect { y, height: 1, ..area };
        let here = stack.lane == moment.ask.lane;
        let style = if here { theme.strong() } else { theme.dim() };
        let name = text::fit(&lists::plain(model, name_of(stack)), column, theme.ascii());
        paint::text(buf, row, row.x + 1, y, &name, style);
        frames(model, stack, Rect { x: row.x + 2 + column as u16, ..row }.intersection(row), buf);
    }
    if !fits {
        let more = moment.stacks.len() - shown.min(moment.stacks.len()) + moment.more;
        let more = format!("and {more} more threads");
        paint::text(buf, area, area.x + 1, area.y + shown as u16, &more, theme.dim());
    }
}

fn frames(model: &Model, stack: &LaneFrames, area: Rect, buf: &mut Buffer) {
    let theme = &model.theme;
    let arrow = theme.pick(" ‹ ", " < ");
    let mut x = area.x;
    if let Some(ns) = stack.last_seen {
        let killed = format!("killed, last seen at {}  ", units::moment_for(ns, 1_000_000));
        x = paint::text(buf, area, x, area.y, &killed, theme.alarm());
    }
    for (i, frame) in stack.frames.iter().enumerate() {
        let name = frame.map_or(theme.pick("…", "..."), |symbol| {
            model.label(symbol).map_or("(unknown)", |label| label.name.as_str())
        });
        let name = lists::plain(model, name);
        let left = stack.frames.len() - i;
        let room = usize::from(area.right().saturating_sub(x));
        if i > 0 {
            if text::width(&name) + 12 > room {
                paint::text(buf, area, x, area.y, &format!("{arrow}{left} more"), theme.dim());
                return;
            }
            x = paint::text(buf, area, x, area.y, arrow, theme.dim());
        }
        let room = usize::from(area.right().saturating_sub(x));
        x = paint::text(buf, area, x, area.y, &text::fit(&name, room, theme.ascii()), Style::new());
    }
}
