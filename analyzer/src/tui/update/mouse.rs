//! The mouse: click selects, drag pans, the wheel zooms at the pointer.

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::Position;

use crate::tui::layout::Layout;
use crate::tui::model::{Drag, Model, View};
use crate::tui::msg::Effect;
use crate::tui::source::Find;

use super::{camera, exceptions, select, table};

pub(super) fn mouse(model: &mut Model, event: MouseEvent, effects: &mut Vec<Effect>) {
    if Layout::too_small(model.size) || !model.overlays.is_empty() {
        return;
    }
    match model.view {
        View::Timeline => timeline(model, event, effects),
        View::Functions => functions(model, event),
        View::Exceptions => exceptions_table(model, event),
    }
}

fn timeline(model: &mut Model, event: MouseEvent, effects: &mut Vec<Effect>) {
    let layout = Layout::of(model);
    let at = Position { x: event.column, y: event.row };
    let grid = model.camera.grid();
    let col = i64::from(event.column.saturating_sub(layout.flame.x));
    match event.kind {
        MouseEventKind::ScrollUp if layout.gutter.contains(at) => wheel_lanes(model, -1),
        MouseEventKind::ScrollDown if layout.gutter.contains(at) => wheel_lanes(model, 1),
        MouseEventKind::ScrollUp => model.camera.zoom(5, 4, grid.edge(col)),
        MouseEventKind::ScrollDown => model.camera.zoom(4, 5, grid.edge(col)),
        MouseEventKind::ScrollLeft => model.camera.pan(-i64::from(grid.cols) / 20),
        MouseEventKind::ScrollRight => model.camera.pan(i64::from(grid.cols) / 20),
        MouseEventKind::Down(MouseButton::Left | MouseButton::Middle) => {
            if layout.minimap.contains(at) {
                let (begin, end) = model.camera.bounds();
                let width = i128::from(layout.minimap.width.max(1));
                let ns = i128::from(end - begin) * i128::from(col) / width;
                model.caret = begin + ns as i64;
                model.camera.centre(model.caret);
            } else {
                model.drag = Some(Drag { from: (at.x, at.y), column: at.x, moved: false });
            }
        }
        MouseEventKind::Drag(MouseButton::Left | MouseButton::Middle) => {
            if let Some(drag) = model.drag.as_mut().filter(|drag| drag.column != at.x) {
                let by = i64::from(drag.column) - i64::from(at.x);
                drag.column = at.x;
                drag.moved = true;
                model.camera.pan(by);
            }
        }
        MouseEventKind::Up(_) => {
            let clicked = model.drag.take().filter(|drag| !drag.moved);
            if clicked.is_some() {
                click(model, &layout, at, effects);
            }
            return;
        }
        _ => return,
    }
    camera::keep_caret(model);
    camera::held(model);
}

fn click(model: &mut Model, layout: &Layout, at: Position, effects: &mut Vec<Effect>) {
    let Some(place) = layout.lane_at(at.y) else { return };
    select::focus_lane(model, place.lane);
    if !layout.flame.contains(at) {
        return;
    }
    let grid = model.camera.grid();
    let col = i64::from(at.x - layout.flame.x);
    let (from, to) = (grid.edge(col), grid.edge(col + 1));
    model.caret = from;
    let depth = place.depth + u32::from(at.y - place.y);
    select::find(model, Find::At { lane: place.lane, from, to, depth }, effects);
}

fn wheel_lanes(model: &mut Model, by: i64) {
    let most = model.overview.lanes.len().saturating_sub(Layout::of(model).lanes.len());
    model.top_lane = model.top_lane.saturating_add_signed(by as isize).min(most);
}

fn functions(model: &mut Model, event: MouseEvent) {
    let area = Layout::of(model).table;
    let last = model.table.shown.len().saturating_sub(1);
    match event.kind {
        MouseEventKind::ScrollUp => model.table.cursor = model.table.cursor.saturating_sub(3),
        MouseEventKind::ScrollDown => model.table.cursor = (model.table.cursor + 3).min(last),
        MouseEventKind::Down(MouseButton::Left) => {
            let row = event.row.saturating_sub(area.y);
            if row == 1 {
                let head = crate::tui::view::functions::column_at(model, event.column);
                if let Some(column) = head {
                    table::set_sort(model, column);
                }
            } else if row > 1 {
                model.table.cursor = (model.table.top + usize::from(row - 2)).min(last);
            }
        }
        _ => return,
    }
    table::scroll(model);
}

fn exceptions_table(model: &mut Model, event: MouseEvent) {
    let area = Layout::of(model).table;
    let table = &mut model.exceptions;
    let last = table.len().saturating_sub(1);
    match event.kind {
        MouseEventKind::ScrollUp => table.cursor = table.cursor.saturating_sub(3),
        MouseEventKind::ScrollDown => table.cursor = (table.cursor + 3).min(last),
        MouseEventKind::Down(MouseButton::Left) if event.row > area.y + 1 => {
            table.cursor = (table.top + usize::from(event.row - area.y - 2)).min(last);
        }
        _ => return,
    }
    exceptions::scroll(model);
}
