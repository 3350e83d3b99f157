//! Where everything is on the screen: one answer for drawing, for the mouse, and for what to ask.

use ratatui::layout::Rect;

use super::model::{Model, View};

/// Smaller than this, nothing useful can be drawn.
pub const SMALLEST: (u16, u16) = (40, 10);

/// A lane on the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LanePlace {
    /// Index of the lane.
    pub lane: usize,
    /// Its first row on the screen.
    pub y: u16,
    /// Its flame rows.
    pub rows: u16,
    /// Depth of the first of them.
    pub depth: u32,
    /// Whether a line below separates it from the next.
    pub ruled: bool,
}

/// The parts of the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The whole screen.
    pub screen: Rect,
    /// The line at the top.
    pub header: Rect,
    /// The whole trace in little; empty on low screens.
    pub minimap: Rect,
    /// The times.
    pub ruler: Rect,
    /// Names of lanes.
    pub gutter: Rect,
    /// Flame rows.
    pub flame: Rect,
    /// Details of what is selected; perhaps empty.
    pub details: Rect,
    /// The line at the bottom.
    pub footer: Rect,
    /// In views that are tables, the table.
    pub table: Rect,
    /// Lanes on the screen.
    pub lanes: Vec<LanePlace>,
}

impl Layout {
    /// Whether the screen is too small for anything.
    pub fn too_small(size: (u16, u16)) -> bool {
        size.0 < SMALLEST.0 || size.1 < SMALLEST.1
    }

    /// Where everything is.
    pub fn of(model: &Model) -> Layout {
        let (width, height) = model.size;
        let row = |y: u16, rows: u16| Rect { x: 0, y, width, height: rows };
        let small = Layout::too_small(model.size);
        let map_rows = u16::from(height >= 14);
        let details = if small || !model.details { 0 } else { details_rows(model.view, height) };
        let top = 2 + map_rows;
        let body = height.saturating_sub(top + details + 1);
        let gutter_cols = match width {
            110.. => 20,
            80.. => 16,
            56.. => 12,
            _ => 9,
        };
        let gutter_cols = gutter_cols.min(width.saturating_sub(1));
        let gutter = Rect { x: 0, y: top, width: gutter_cols, height: body };
        let flame = Rect { x: gutter_cols, width: width - gutter_cols, ..gutter };
        let beside = |y: u16, rows: u16| Rect { y, height: rows, ..flame };
        let mut layout = Layout {
            screen: row(0, height),
            header: row(0, 1),
            minimap: beside(1, map_rows),
            ruler: beside(1 + map_rows, 1),
            gutter,
            flame,
            details: row(top + body, details),
            footer: row(height.saturating_sub(1), 1),
            table: row(1, height.saturating_sub(2 + details)),
            lanes: Vec::new(),
        };
        if !small && model.view == View::Timeline {
            layout.lanes = place(model, flame);
        }
        layout
    }

    /// Columns of the flame rows, at least 1.
    pub fn flame_cols(&self) -> u16 {
        self.flame.width.max(1)
    }

    /// The lane at a row of the screen.
    pub fn lane_at(&self, y: u16) -> Option<LanePlace> {
        let ends = |place: &LanePlace| place.y + place.rows + u16::from(place.ruled);
        self.lanes.iter().copied().find(|place| place.y <= y && y < ends(place))
    }
}

/// Rows of the drawer below a view.
fn details_rows(view: View, height: u16) -> u16 {
    match (view, height) {
        (View::Timeline | View::Functions | View::Events, 24..) => 4,
        (View::Timeline | View::Events, 12..) => 2,
        (View::Timeline, _) => 1,
        (View::Exceptions, 18..) => ((height - 2) * 2 / 5).min(24),
        _ => 0,
    }
}

/// Shares the height among the lanes: as much as each needs if that fits, else the same for all
/// that need more. A lane has two rows at least, so with very many the rest is scrolled.
fn place(model: &Model, flame: Rect) -> Vec<LanePlace> {
    let order = model.shown_lanes();
    let lanes = order.len();
    let height = usize::from(flame.height);
    if lanes == 0 || height == 0 {
        return Vec::new();
    }
    let ruled = usize::from(height >= lanes * 4);
    let fewest = 2.min(height);
    let shown = (height / (fewest + ruled)).clamp(1, lanes);
    let top = model.top_lane.min(lanes - shown);
    let needs: Vec<usize> = order[top..top + shown]
        .iter()
        .map(|&lane| (model.deepest.get(lane).copied().unwrap_or(0) as usize).clamp(fewest, 1_000))
        .collect();
    let rows = share(height.saturating_sub(ruled * (shown - 1)), &needs);
    let mut y = flame.y;
    let mut places = Vec::with_capacity(shown);
    for (i, rows) in rows.into_iter().enumerate() {
        let lane = order[top + i];
        let ruled = ruled == 1 && i + 1 < shown;
        let depth = model.depths.get(&lane).copied().unwrap_or(0);
        places.push(LanePlace { lane, y, rows: rows as u16, depth, ruled });
        y += rows as u16 + u16::from(ruled);
    }
    places
}

/// Water-filling: nobody gets more than it needs while another lacks.
fn share(total: usize, needs: &[usize]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..needs.len()).collect();
    order.sort_by_key(|&i| needs[i]);
    let mut given = vec![0; needs.len()];
    let mut left = total;
    for (done, &i) in order.iter().enumerate() {
        let fair = left / (needs.len() - done);
        given[i] = needs[i].min(fair);
        left -= given[i];
    }
    given
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn height_is_shared_by_need() {
        assert_eq!(share(20, &[4, 30, 30]), [4, 8, 8]);
        assert_eq!(share(20, &[4, 5, 6]), [4, 5, 6]);
        assert_eq!(share(7, &[30, 30]), [3, 4]);
        assert_eq!(share(0, &[3]), [0]);
        assert_eq!(share(5, &[]), Vec::<usize>::new());
    }
}
