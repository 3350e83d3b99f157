//! The mouse: click selects, drag marks a range, the middle button pans, the wheel zooms at the
//! pointer or scrolls.

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::Position;

use crate::tui::layout::Layout;
use crate::tui::model::{Drag, Mark, Model, View};
use crate::tui::msg::Effect;
use crate::tui::source::Find;

use super::{camera, lists, motion, select, table};

pub(super) fn mouse(model: &mut Model, event: MouseEvent, effects: &mut Vec<Effect>) {
    if Layout::too_small(model.size) || !model.overlays.is_empty() {
        return;
    }
    match model.view {
        View::Timeline => timeline(model, event, effects),
        _ => list(model, event, effects),
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
            } else if layout.header.contains(at) {
                if let Some(view) = crate::tui::view::header::view_at(model, at.x) {
                    lists::show(model, view);
                }
                return;
            } else {
                let pans = event.kind == MouseEventKind::Down(MouseButton::Middle);
                model.drag = Some(Drag { from: (at.x, at.y), column: at.x, moved: false, pans });
            }
        }
        MouseEventKind::Drag(MouseButton::Left | MouseButton::Middle) => {
            if let Some(drag) = model.drag.as_mut().filter(|drag| drag.column != at.x) {
                let by = i64::from(drag.column) - i64::from(at.x);
                drag.column = at.x;
                drag.moved = true;
                if drag.pans {
                    model.camera.pan(by);
                } else {
                    let from = i64::from(drag.from.0) - i64::from(layout.flame.x);
                    let (a, b) = (from.min(col), from.max(col) + 1);
                    motion::drag(model, grid.edge(a.max(0)), grid.edge(b), false);
                    return;
                }
            }
        }
        MouseEventKind::Up(_) => {
            match model.drag.take() {
                Some(drag) if !drag.moved && !drag.pans => click(model, &layout, at, effects),
                Some(drag) if drag.moved && !drag.pans => {
                    if let Some((from, to)) = model.mark.map(Mark::range) {
                        motion::drag(model, from, to, true);
                    }
                }
                _ => {}
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
    // Another click on the selected call: the second of a double one, or one later.
    let again = model.selection.as_ref().is_some_and(|call| {
        (call.lane, call.depth) == (place.lane, depth)
            && call.start < to
            && call.end.max(call.start + 1) > from
    });
    if again {
        return camera::fit_selection(model);
    }
    select::find(model, Find::At { lane: place.lane, from, to, depth }, effects);
}

fn wheel_lanes(model: &mut Model, by: i64) {
    let most = model.shown_lanes().len().saturating_sub(Layout::of(model).lanes.len());
    model.top_lane = model.top_lane.saturating_add_signed(by as isize).min(most);
}

/// In a list the wheel scrolls, a click goes to a row, and one on a head sorts.
fn list(model: &mut Model, event: MouseEvent, effects: &mut Vec<Effect>) {
    let area = Layout::of(model).table;
    match event.kind {
        MouseEventKind::Down(MouseButton::Left) if event.row == 0 => {
            if let Some(view) = crate::tui::view::header::view_at(model, event.column) {
                lists::show(model, view);
            }
        }
        MouseEventKind::ScrollUp => lists::move_by(model, -3, effects),
        MouseEventKind::ScrollDown => lists::move_by(model, 3, effects),
        MouseEventKind::Down(MouseButton::Left)
            if area.contains((event.column, event.row).into()) =>
        {
            match event.row - area.y {
                0 => {}
                1 if model.view == View::Functions => {
                    let head = crate::tui::view::functions::column_at(model, event.column);
                    if let Some(column) = head {
                        table::set_sort(model, column);
                    }
                }
                1 => {}
                row => lists::click(model, usize::from(row - 2), effects),
            }
        }
        _ => {}
    }
}
