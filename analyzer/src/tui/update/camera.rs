//! The camera's keys.

use crate::tui::keys::Command;
use crate::tui::model::Model;

/// Steps of zoom, as num / den.
const ZOOM: (i64, i64) = (5, 4);

pub(super) fn run(model: &mut Model, command: Command) {
    use Command as C;
    let cols = i64::from(model.camera.grid().cols);
    // Small steps are a tenth of the screen; what was on it stays mostly in sight.
    let step = (cols / 10).max(1);
    match command {
        C::ZoomIn => model.camera.zoom(ZOOM.0, ZOOM.1, model.caret),
        C::ZoomOut => model.camera.zoom(ZOOM.1, ZOOM.0, model.caret),
        C::PanLeft => model.camera.pan(-step),
        C::PanRight => model.camera.pan(step),
        C::ScreenLeft => model.camera.pan(-cols),
        C::ScreenRight => model.camera.pan(cols),
        C::CaretLeft => return caret(model, -1),
        C::CaretRight => return caret(model, 1),
        C::Whole => {
            model.leave();
            model.camera.whole();
        }
        C::Start => {
            model.camera.go_to_begin();
            model.caret = model.camera.bounds().0;
        }
        C::End => {
            model.camera.go_to_end();
            model.caret = model.camera.bounds().1 - 1;
        }
        _ => {}
    }
    keep_caret(model);
    held(model);
}

/// Moves the caret by columns, and the picture with it at its edges.
fn caret(model: &mut Model, cols: i64) {
    let (begin, end) = model.camera.bounds();
    let grid = model.camera.grid();
    let col = grid.col_of(model.caret);
    model.caret = grid.edge(col + cols).clamp(begin, end - 1);
    if grid.col_within(model.caret).is_none() {
        model.camera.pan(cols);
    }
    held(model);
}

/// Moving away from the end of a live session holds it; moving there follows it.
pub(super) fn held(model: &mut Model) {
    model.follow = model.live() && model.camera.shows_end();
}

/// The caret stays on the screen.
pub(super) fn keep_caret(model: &mut Model) {
    let grid = model.camera.grid();
    model.caret = model.caret.clamp(grid.start(), grid.end() - 1);
}

/// First centres the call; pressed again, fits it.
pub(super) fn focus(model: &mut Model, centred: bool) {
    let Some(call) = &model.selection else {
        model.camera.centre(model.caret);
        return held(model);
    };
    let (start, end) = (call.start, call.end);
    if centred {
        return fit_selection(model);
    }
    model.camera.centre(start + (end - start) / 2);
    model.centred = true;
    held(model);
    keep_caret(model);
}

/// Fits the marked range; without one the selected call, with a little of what is around it.
pub(super) fn fit_selection(model: &mut Model) {
    if let Some(mark) = model.mark {
        model.leave();
        let (from, to) = mark.range();
        model.mark = None;
        model.camera.fit(from, to);
        keep_caret(model);
        return held(model);
    }
    let Some(call) = &model.selection else {
        return model.say("no call is selected: h j k l or a click selects one");
    };
    let around = (call.end - call.start) / 20;
    let (from, to) = (call.start - around, call.end.saturating_add(around).max(call.start + 1));
    model.leave();
    model.camera.fit(from, to);
    held(model);
    keep_caret(model);
}
