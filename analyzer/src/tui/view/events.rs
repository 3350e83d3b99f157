//! Every event: a replay.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::tui::model::Model;
use crate::tui::source::{EventPage, EventRow};
use crate::tui::worker::Slot;
use crate::tui::{text, units};

use super::{lists, paint};

pub(super) fn paint(model: &Model, area: Rect, buf: &mut Buffer) {
    let theme = &model.theme;
    let replay = &model.replay;
    let begin_end = (model.overview.begin, model.overview.end);
    let what = match (&replay.page, replay.playing) {
        (_, true) => format!("{} events a second", units::count(u64::from(replay.speed))),
        (Some(page), _) if numbered(model) => {
            let number = number_of(page, replay.list.cursor);
            format!("event {} of {}", units::count(number), units::count(model.overview.events))
        }
        _ => "events".to_owned(),
    };
    lists::title(model, area, begin_end, &what, Slot::Events, true, buf);
    let columns = Columns::of(model, area);
    let head = area.y + 1;
    columns.put(buf, area, head, "#", "time", "thread", theme.dim());
    paint::text(buf, area, columns.what, head, "event", theme.dim());
    let Some(page) = &replay.page else { return };
    let first = area.y + 2;
    if page.rows.is_empty() {
        paint::text(buf, area, area.x + 2, first, "no events", theme.dim());
    }
    let here = page.rows.get(replay.list.cursor).map_or(0, |row| row.ns);
    let rows = page.rows.iter().enumerate().skip(replay.list.top);
    for (y, (i, row)) in (first..area.bottom()).zip(rows) {
        let selected = i == replay.list.cursor;
        let style = lists::row_style(model, selected, Rect { y, height: 1, ..area }, buf);
        let number = if numbered(model) && row.kind != "lost" {
            units::count(number_of(page, i))
        } else {
            String::new()
        };
        let time =
            if selected { units::moment(row.ns) } else { apart(row.ns, here, theme.ascii()) };
        let lane = row.lane.and_then(|lane| model.overview.lanes.get(lane));
        let thread = lane.map_or(String::new(), |lane| format!("#{}", lane.serial));
        columns.put(buf, area, y, &number, &time, &thread, style);
        let width = area.right().saturating_sub(columns.what);
        event(model, row, Rect { x: columns.what, y, width, height: 1 }, style, buf);
    }
}

/// Whether rows follow one another without gaps, so that they can be counted.
fn numbered(model: &Model) -> bool {
    !model.filter.active() && model.only.is_none()
}

/// The number of a row in the whole trace, from 0.
fn number_of(page: &EventPage, row: usize) -> u64 {
    let rows = page.rows.iter().take(row);
    page.before + rows.filter(|row| row.kind != "lost").count() as u64
}

/// How long before or after the cursor; of what is far away, when.
fn apart(at: i64, here: i64, ascii: bool) -> String {
    let apart = at.abs_diff(here);
    if apart >= 1_000_000_000 {
        return units::moment_for(at, 1_000);
    }
    format!("{}{}", if at < here { "-" } else { "+" }, units::duration(apart, ascii))
}

/// Where the columns are.
struct Columns {
    number: u16,
    time: u16,
    thread: u16,
    what: u16,
}

impl Columns {
    fn of(model: &Model, area: Rect) -> Columns {
        let digits = text::width(&units::count(model.overview.events)) as u16;
        let number = if numbered(model) && area.width >= 72 { digits.max(4) + 1 } else { 0 };
        let time = if area.width >= 60 { 22 } else { 18 };
        let thread = if model.shown_lanes().len() > 1 { 5 } else { 0 };
        let what = area.x + number + time + thread + 2;
        Columns { number, time, thread, what }
    }

    #[allow(clippy::too_many_arguments, reason = "three texts and where they go")]
    fn put(
        &self,
        buf: &mut Buffer,
        area: Rect,
        y: u16,
        number: &str,
        time: &str,
        thread: &str,
        style: Style,
    ) {
        let mut x = area.x;
        for (shown, width) in [(number, self.number), (time, self.time), (thread, self.thread)] {
            let cell = Rect { x, y, width, height: 1 }.intersection(area);
            paint::right(buf, cell, x, y, shown, style);
            x += width;
        }
    }
}

/// What happened, indented by its depth.
fn event(model: &Model, row: &EventRow, area: Rect, style: Style, buf: &mut Buffer) {
    let theme = &model.theme;
    let (sign, strong) = match row.kind {
        "call" | "c_call" => (theme.pick("→", ">"), style),
        "resume" | "throw" => (theme.pick("↷", ">"), style),
        "return" | "c_return" => (theme.pick("←", "<"), style),
        "yield" => (theme.pick("↶", "<"), style),
        "unwind" | "c_exception" => (theme.pick("⇐", "<"), theme.alarm().patch(style)),
        "exception" => (theme.exception_glyph(), theme.alarm().patch(style)),
        "lost" => (theme.pick("╳", "x"), theme.alarm().patch(style)),
        _ => (theme.pick("·", "."), style),
    };
    let most = u32::from(area.width / 3);
    let indent = row.depth.saturating_mul(2).min(most) as usize;
    let bars: String =
        (0..indent).map(|i| if i % 2 == 0 { theme.pick("│", "|") } else { " " }).collect();
    let dim = if style == Style::new() { theme.dim() } else { style };
    let mut x = paint::text(buf, area, area.x, area.y, &bars, dim);
    if row.depth.saturating_mul(2) > most {
        x = paint::text(buf, area, x, area.y, &format!("{} ", row.depth), dim);
    }
    x = paint::text(buf, area, x, area.y, &format!("{sign} "), strong);
    let mut edge = area;
    if let Some(took) = row.took {
        let took = format!("  {} ", units::duration(took, theme.ascii()));
        edge.width = paint::right(buf, edge, x + 8, area.y, &took, style) - edge.x;
    }
    let rest = |x: u16| Rect { x, width: edge.right().saturating_sub(x), ..edge };
    // The plain edges of calls need no word; what else happens is named.
    let word = match row.kind {
        "call" | "return" | "c_call" | "c_return" => "",
        "unwind" | "c_exception" => "left by an exception: ",
        "exception" => "raised in ",
        kind => kind,
    };
    if !word.is_empty() {
        x = paint::text(buf, edge, x, area.y, word.trim_end_matches(": "), strong);
        x = paint::text(
            buf,
            edge,
            x,
            area.y,
            if word.ends_with(": ") { ": " } else { " " },
            strong,
        );
    }
    if row.kind == "exception" || row.kind == "line" {
        let name =
            row.symbol.and_then(|symbol| model.label(symbol)).map_or("(unknown)", |l| &l.name);
        let line = row.line.map_or(String::new(), |line| format!(":{line}"));
        let place = format!("{}{line}  ", lists::plain(model, name));
        x = paint::text(buf, edge, x, area.y, &place, style);
        let room = usize::from(rest(x).width);
        let said = text::fit(&lists::plain(model, &row.text), room, theme.ascii());
        paint::text(buf, edge, x, area.y, &said, strong);
    } else if let Some(symbol) = row.symbol {
        let x = lists::function(model, symbol, rest(x), style, buf);
        if !row.text.is_empty() {
            paint::text(buf, edge, x + 2, area.y, &row.text, dim);
        }
    } else {
        let room = usize::from(rest(x).width);
        let said = text::fit(&lists::plain(model, &row.text), room, theme.ascii());
        paint::text(buf, edge, x, area.y, &said, strong);
    }
}
