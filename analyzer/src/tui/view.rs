//! `view`: the model as cells of the screen. Pure: it reads the model and paints.

pub mod functions;
pub mod header;
pub mod help;

mod details;
mod diff;
mod events;
mod exceptions;
mod footer;
mod lane;
mod latency;
mod lists;
mod minimap;
mod moment;
mod paint;
mod palette;
mod ruler;
mod source;
mod tree;

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
        View::Functions => {
            functions::paint(model, layout.table, buf);
            latency::drawer(model, layout.details, buf);
        }
        View::Exceptions => {
            exceptions::paint(model, layout.table, buf);
            moment::paint(model, layout.details, buf);
        }
        View::Source => source::paint(model, layout.table, buf),
        View::Diff => diff::paint(model, layout.table, buf),
        View::Tree => tree::paint(model, layout.table, buf),
        View::Events => {
            events::paint(model, layout.table, buf);
            details::paint(model, layout.details, buf);
        }
    }
    let mut cursor = footer::paint(model, layout.footer, buf);
    for overlay in &model.overlays {
        match overlay {
            Overlay::Help(top) => help::paint(model, *top, layout.screen, buf),
            Overlay::Palette(typed, row) => {
                cursor = Some(palette::paint(model, typed, *row, layout.screen, buf));
            }
            Overlay::Prompt(_) => {}
        }
    }
    cursor
}
