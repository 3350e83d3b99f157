//! `view`: the model as cells of the screen. Pure: it reads the model and paints.

pub mod functions;
pub mod help;

mod details;
mod exceptions;
mod footer;
mod header;
mod lane;
mod minimap;
mod paint;
mod ruler;

use ratatui::Frame;
use ratatui::buffer::Buffer;

use super::layout::Layout;
use super::model::{Model, Overlay, View};

/// Draws the whole screen.
pub fn draw(model: &Model, frame: &mut Frame) {
    let prompt = paint_all(model, frame.buffer_mut());
    if let Some((x, y)) = prompt {
        frame.set_cursor_position((x, y));
    }
}

/// Paints the whole screen; gives the place of the text cursor if there is one.
pub fn paint_all(model: &Model, buf: &mut Buffer) -> Option<(u16, u16)> {
    let layout = Layout::of(model);
    if Layout::too_small(model.size) {
        paint::text(buf, buf.area, 0, 0, "terminal too small (q quits)", model.theme.strong());
        return None;
    }
    header::paint(model, layout.header, buf);
    match model.view {
        View::Timeline => {
            minimap::paint(model, &layout, buf);
            ruler::paint(model, &layout, buf);
            for place in &layout.lanes {
                lane::paint(model, &layout, place, buf);
            }
            details::paint(model, layout.details, buf);
        }
        View::Functions => functions::paint(model, layout.table, buf),
        View::Exceptions => exceptions::paint(model, layout.table, buf),
    }
    let cursor = footer::paint(model, layout.footer, buf);
    for overlay in &model.overlays {
        if let Overlay::Help(top) = overlay {
            help::paint(model, *top, layout.screen, buf);
        }
    }
    cursor
}
