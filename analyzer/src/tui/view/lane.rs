//! A lane: its name and state in the gutter, and its flame rows.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use crate::query::timeline::{Cell, Gap, GapKind, Lane, MANY, NO_CALL, Span};
use crate::tui::layout::{LanePlace, Layout};
use crate::tui::model::Model;
use crate::tui::theme::Tint;
use crate::tui::{text, units};

use super::paint;

/// A name is not cut to fewer columns than this; there is none then.
const LEAST_LABEL: usize = 3;
/// Columns from which on merged calls are also told in numbers.
const LEAST_COUNT: usize = 6;

pub(super) fn paint(model: &Model, layout: &Layout, place: &LanePlace, buf: &mut Buffer) {
    let grid = model.camera.grid();
    let blank;
    let lane = match model.lanes.get(&place.lane) {
        Some(lane) if lane.grid == grid => lane,
        Some(lane) => {
            blank = lane.regrid(grid);
            &blank
        }
        None => {
            blank = Lane::empty(grid, place.depth, u32::from(place.rows));
            &blank
        }
    };
    let painter = Painter { model, lane, place, flame: layout.flame };
    painter.gaps(buf);
    for row in 0..place.rows {
        painter.row(row, buf);
    }
    painter.caret(buf);
    gutter(model, layout, lane, place, buf);
    if place.ruled {
        let y = place.y + place.rows;
        let rule = model.theme.pick("─", "-");
        paint::rule(buf, layout.screen, y, rule, model.theme.dim());
    }
}

struct Painter<'a> {
    model: &'a Model,
    lane: &'a Lane,
    place: &'a LanePlace,
    flame: Rect,
}

impl Painter<'_> {
    fn y(&self, row: u16) -> u16 {
        self.place.y + row
    }

    /// Hatches where there is no history, and says why where there is room.
    fn gaps(&self, buf: &mut Buffer) {
        let theme = &self.model.theme;
        let grid = self.lane.grid;
        let Some(info) = self.model.overview.lanes.get(self.place.lane) else { return };
        for gap in &info.gaps {
            let from = grid.col_of(gap.start).max(0);
            let to = grid.col_of(gap.end.saturating_sub(1)).min(i64::from(grid.cols) - 1);
            if from > to || gap.end <= gap.start {
                continue;
            }
            let (glyph, style) = match gap.kind {
                GapKind::Overwritten => (theme.pick("╱", "/"), theme.dim()),
                GapKind::Lost => (theme.pick("╳", "x"), theme.alarm()),
                GapKind::NotBegun | GapKind::Ended => (" ", theme.dim()),
            };
            for row in 0..self.place.rows {
                for col in from..=to {
                    paint::cell(
                        buf,
                        self.flame,
                        self.flame.x + col as u16,
                        self.y(row),
                        glyph,
                        style,
                    );
                }
            }
            let words = words(gap);
            let room = (to - from + 1) as usize;
            if text::width(&words) + 2 <= room {
                // Not yet begun ends on the right, ended begins on the left: there the words stand.
                let at = match gap.kind {
                    GapKind::NotBegun => room - text::width(&words) - 2,
                    GapKind::Ended => 0,
                    _ => (room - text::width(&words) - 2) / 2,
                };
                let x = self.flame.x + from as u16 + at as u16;
                // The deepest row is the one that calls known from later leave free.
                let y = self.y(self.place.rows.saturating_sub(1));
                paint::text(buf, self.flame, x, y, &format!(" {words} "), style);
            }
        }
    }

    fn row(&self, row: u16, buf: &mut Buffer) {
        let depth = self.place.depth + u32::from(row);
        let cols = usize::from(self.lane.grid.cols);
        let mut col = 0;
        while col < cols {
            let cell = self.lane.cell(depth, col);
            let same = |next: &Cell| {
                if cell.merged > 0 {
                    next.merged > 0
                } else {
                    next.merged == 0 && next.call == cell.call
                }
            };
            let mut end = col + 1;
            while end < cols && same(&self.lane.cell(depth, end)) {
                end += 1;
            }
            if cell.merged > 0 {
                self.merged(row, depth, col, end, buf);
            } else if let Some(call) = self.lane.calls.get(cell.call as usize) {
                self.call(row, depth, call, col, end, buf);
            } else if cell.exception {
                let sign = self.model.theme.exception_glyph();
                (col..end).for_each(|at| self.put(row, at, sign, self.model.theme.alarm(), buf));
            }
            col = end;
        }
    }

    fn put(&self, row: u16, col: usize, glyph: &str, style: Style, buf: &mut Buffer) {
        paint::cell(buf, self.flame, self.flame.x + col as u16, self.y(row), glyph, style);
    }

    fn tint(&self, symbol: u32) -> Tint {
        self.model.label(symbol).map_or(Tint { hue: None, shade: 0 }, |label| label.tint)
    }

    fn is_selected(&self, depth: u32, call: &Span) -> bool {
        self.model.selection.as_ref().is_some_and(|selected| {
            selected.lane == self.place.lane
                && selected.depth == depth
                && selected.symbol == call.symbol
                && selected.start == call.start
        })
    }

    fn style(&self, symbol: u32, style: Style) -> Style {
        let left_out = self.model.filter.active() && !self.model.filter.hits(symbol);
        let style = if left_out { self.model.theme.left_out(style) } else { style };
        if self.model.search.active() && self.model.search.hits(symbol) {
            style.patch(self.model.theme.hit())
        } else {
            style
        }
    }

    /// A call's bar: its edge, its name at the left end of what is visible, its duration where
    /// there is room to spare.
    fn call(&self, row: u16, depth: u32, call: &Span, from: usize, to: usize, buf: &mut Buffer) {
        let theme = &self.model.theme;
        let grid = self.lane.grid;
        let mut style = self.style(call.symbol, theme.call(self.tint(call.symbol)));
        if self.is_selected(depth, call) {
            style = style.patch(theme.selected());
        }
        for col in from..to {
            self.put(row, col, theme.fill_glyph(), style, buf);
        }
        let begins = call.start >= grid.start();
        let mut left = from;
        if call.flags.began_before {
            self.put(row, left, theme.opens_before(), style, buf);
            left += 1;
        } else if begins && to - from >= 2 {
            self.put(row, left, theme.edge_glyph(), style, buf);
            left += 1;
        }
        let mut right = to;
        if call.flags.open && call.end <= grid.end() && right > left {
            right -= 1;
            self.put(row, right, theme.open_end(), style, buf);
        }
        for col in (from..to).filter(|&col| self.lane.cell(depth, col).exception) {
            // Where the exception left the call it is marked in full, within by its sign alone.
            let left_here =
                call.flags.unwound && col + 1 == to && grid.col_of(call.end) <= to as i64;
            let mark = if left_here { theme.exception() } else { style.patch(theme.passed()) };
            self.put(row, col, theme.exception_glyph(), mark, buf);
            if left_here {
                right = right.min(col);
            }
        }
        self.label(row, call, left, right, style, buf);
    }

    /// The name at the left, and at the right the duration where it is known and there is room.
    fn label(
        &self,
        row: u16,
        call: &Span,
        left: usize,
        right: usize,
        style: Style,
        buf: &mut Buffer,
    ) {
        let theme = &self.model.theme;
        let room = right.saturating_sub(left);
        if room < LEAST_LABEL {
            return;
        }
        let y = self.y(row);
        let x = self.flame.x + left as u16;
        let area = Rect { width: right as u16, ..self.flame };
        let shown = text::fit(&self.name(call.symbol), room, theme.ascii());
        let end = paint::text(buf, area, x, y, &shown, style);
        let known = call.end != i64::MAX && !call.flags.began_before && !call.flags.approximate;
        if known && !call.flags.open {
            let took = units::duration((call.end - call.start).max(0) as u64, theme.ascii());
            let took = format!(" {took} ");
            if usize::from(area.right().saturating_sub(end)) > text::width(&took) {
                paint::right(buf, area, end, y, &took, style.remove_modifier(Modifier::UNDERLINED));
            }
        }
    }

    fn name(&self, symbol: u32) -> String {
        let name = self.model.label(symbol).map_or("(unknown)", |label| label.name.as_str());
        if self.model.theme.ascii() { text::to_ascii(name) } else { name.to_owned() }
    }

    /// Merged calls: each cell in the colour of what held most of it, and over a long run what
    /// they are or how many.
    fn merged(&self, row: u16, depth: u32, from: usize, to: usize, buf: &mut Buffer) {
        let theme = &self.model.theme;
        let mut total: Option<u64> = Some(0);
        let first = self.lane.cell(depth, from).symbol;
        let mut alike = true;
        for col in from..to {
            let cell = self.lane.cell(depth, col);
            total = total.filter(|_| cell.merged != MANY).map(|n| n + u64::from(cell.merged));
            alike &= cell.symbol == first;
            let mut style = self.style(cell.symbol, theme.merged(self.tint(cell.symbol)));
            if cell.call != NO_CALL {
                let under = self.lane.calls.get(cell.call as usize).map(|call| call.symbol);
                if let Some(bg) = under.and_then(|symbol| theme.call(self.tint(symbol)).bg) {
                    let fg = theme.call(self.tint(cell.symbol)).fg;
                    style = style.bg(bg).fg(fg.unwrap_or_default());
                }
            }
            let glyph =
                if cell.exception { theme.merged_exception_glyph() } else { theme.merged_glyph() };
            if cell.exception {
                style = style.patch(theme.merged_exception());
            }
            if self.holds_selection(depth, col) {
                style = style.patch(theme.selected());
            }
            self.put(row, col, glyph, style, buf);
        }
        if to - from < LEAST_COUNT {
            return;
        }
        let count = total.map(|n| format!("{}{}", theme.pick("×", "x"), units::short(n)));
        let words = match (alike, count) {
            (true, Some(count)) => format!(" {} {count} ", self.name(first)),
            (true, None) => format!(" {} ", self.name(first)),
            (false, Some(count)) => format!(" {count} "),
            (false, None) => return,
        };
        let room = to - from - 2;
        if text::width(&words) <= room {
            let x = self.flame.x + (from + 1 + (room - text::width(&words)) / 2) as u16;
            let style =
                if alike { self.style(first, theme.merged(self.tint(first))) } else { theme.dim() };
            paint::text(buf, self.flame, x, self.y(row), &words, style);
        }
    }

    fn holds_selection(&self, depth: u32, col: usize) -> bool {
        self.model.selection.as_ref().is_some_and(|selected| {
            selected.lane == self.place.lane
                && selected.depth == depth
                && self.lane.grid.col_of(selected.start) == col as i64
        })
    }

    fn caret(&self, buf: &mut Buffer) {
        let grid = self.lane.grid;
        let Some(col) = grid.col_within(self.model.caret) else { return };
        for row in 0..self.place.rows {
            let (x, y) = (self.flame.x + col, self.y(row));
            if self.flame.contains((x, y).into()) && buf[(x, y)].symbol() == " " {
                let cell = &mut buf[(x, y)];
                cell.set_symbol(self.model.theme.pick("┊", ":"));
                let bare = cell.bg == ratatui::style::Color::Reset;
                if bare && !cell.modifier.contains(Modifier::REVERSED) {
                    cell.set_style(self.model.theme.caret());
                }
            }
        }
    }
}

fn words(gap: &Gap) -> String {
    let events = match gap.events {
        0 => String::new(),
        n => format!(" {}", units::short(n)),
    };
    match gap.kind {
        GapKind::Overwritten => format!("overwritten{events}"),
        GapKind::Lost => format!("lost{events}"),
        GapKind::NotBegun => "not yet begun".to_owned(),
        GapKind::Ended => "ended".to_owned(),
    }
}

fn gutter(model: &Model, layout: &Layout, lane: &Lane, place: &LanePlace, buf: &mut Buffer) {
    let theme = &model.theme;
    let Some(info) = model.overview.lanes.get(place.lane) else { return };
    let mut area = layout.gutter;
    area.width = area.width.saturating_sub(1);
    let focused = place.lane == model.lane;
    let style = if focused { theme.focus() } else { theme.strong() };
    let mark = if focused { theme.pick("▌", ">") } else { " " };
    for row in 0..place.rows {
        paint::text(buf, area, area.x, place.y + row, mark, style);
    }
    area.x += 1;
    area.width = area.width.saturating_sub(1);
    let width = usize::from(area.width);
    let name = if theme.ascii() { text::to_ascii(&info.name) } else { info.name.clone() };
    paint::text(buf, area, area.x, place.y, &text::fit(&name, width, theme.ascii()), style);

    let above = place.depth;
    let deepest = model.deepest.get(place.lane).copied().unwrap_or(0);
    let below = deepest.saturating_sub(place.depth + u32::from(place.rows));
    let mut hidden = String::new();
    if above > 0 {
        hidden = format!("{}{above}", theme.pick("▲", "^"));
    }
    if below > 0 {
        let space = if above > 0 { " " } else { "" };
        hidden = format!("{hidden}{space}{}{below}", theme.pick("▼", "v"));
    }
    let busy = (lane.busy_share() * 100.0).round() as u64;
    let busy = format!("{busy}%");
    // Threads of several processes are often called the same.
    let pid = match model.overview.processes {
        0 | 1 => String::new(),
        _ => format!("{} ", info.pid),
    };
    let mut lines = Vec::new();
    let serial = format!("{pid}#{} busy {busy}", info.serial);
    let short = format!("{pid}{busy}");
    lines.push((if text::width(&serial) <= width { serial } else { short.clone() }, theme.dim()));
    if !hidden.is_empty() {
        let long = format!("{hidden} row{}", if above + below == 1 { "" } else { "s" });
        lines.push((if text::width(&long) <= width { long } else { hidden.clone() }, theme.dim()));
    }
    if info.lost > 0 {
        lines.push((format!("lost {}", units::short(info.lost)), theme.alarm()));
    }
    // In two rows, what is hidden must still be told: it stands beside the share.
    if place.rows == 2 && !hidden.is_empty() {
        lines[0].0 = format!("{short} {hidden}");
    }
    for (row, (line, style)) in (1..place.rows).zip(lines) {
        let line = text::fit(&line, width, theme.ascii());
        paint::text(buf, area, area.x, place.y + row, &line, style);
    }
}
