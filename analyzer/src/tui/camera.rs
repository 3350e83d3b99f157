//! Which part of the trace is on the screen: whole columns of whole nanoseconds, never floats.
//!
//! The invariant that makes motion feel right: a zoom leaves the anchor in its column.

use crate::query::timeline::Grid;

/// The widest zoom shows this much more than the trace; a pan may leave it by as much.
const MARGIN_DIVISOR: i64 = 20;

/// The grid on the screen and the bounds that it keeps to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Camera {
    grid: Grid,
    /// First nanosecond of the trace.
    begin: i64,
    /// First nanosecond after it; at least `begin + 1`.
    end: i64,
}

impl Camera {
    /// A camera on the whole of `[begin, end)`.
    pub fn new(begin: i64, end: i64, cols: u16) -> Camera {
        let begin = begin.clamp(i64::MIN / 4, i64::MAX / 4);
        let end = end.clamp(begin + 1, i64::MAX / 4 + 1);
        let grid = Grid { first: 0, npc: 1, cols: cols.max(1) };
        let mut camera = Camera { grid, begin, end };
        camera.whole();
        camera
    }

    /// The columns on the screen.
    pub fn grid(&self) -> Grid {
        self.grid
    }

    /// The bounds of the trace, `[begin, end)`.
    pub fn bounds(&self) -> (i64, i64) {
        (self.begin, self.end)
    }

    /// Whether the whole trace is on the screen.
    pub fn shows_all(&self) -> bool {
        self.grid.start() <= self.begin && self.grid.end() >= self.end
    }

    /// Whether the trace's last moment is on the screen.
    pub fn shows_end(&self) -> bool {
        self.grid.end() >= self.end
    }

    /// Shows everything.
    pub fn whole(&mut self) {
        self.fit(self.begin, self.end);
    }

    /// Shows `[start, end)` as large as whole nanoseconds per column allow.
    pub fn fit(&mut self, start: i64, end: i64) {
        let start = start.clamp(self.begin, self.end - 1);
        let end = end.clamp(start + 1, self.end);
        let cols = i64::from(self.grid.cols);
        let mut npc = ((end - start + cols - 1) / cols).max(1);
        // The start's column begins before it, so the end may need a little more.
        while (start.div_euclid(npc) + cols) * npc < end {
            npc += 1 + npc / (4 * cols);
        }
        self.grid = Grid { first: start.div_euclid(npc), npc, ..self.grid };
        self.clamp();
    }

    /// Shows what a grid showed, column by column where the screen has as many.
    pub fn show(&mut self, grid: Grid) {
        if grid.cols != self.grid.cols {
            return self.fit(grid.start(), grid.end());
        }
        self.grid = grid;
        self.clamp();
    }

    /// Zooms by `num / den` (above one: in) so that `anchor` stays in its column; about the middle
    /// if the anchor is off the screen.
    pub fn zoom(&mut self, num: i64, den: i64, anchor: i64) {
        let grid = self.grid;
        let (anchor, col) = match grid.col_within(anchor) {
            Some(col) => (anchor, i64::from(col)),
            None => {
                let middle = i64::from(grid.cols) / 2;
                (grid.edge(middle), middle)
            }
        };
        let scaled = i128::from(grid.npc) * i128::from(den) / i128::from(num.max(1));
        let mut npc = scaled.clamp(1, i128::from(self.widest())) as i64;
        // At a few nanoseconds per column the factor alone would round to no change.
        if npc == grid.npc && num < den {
            npc = (npc + 1).min(self.widest());
        } else if npc == grid.npc && num > den {
            npc = (npc - 1).max(1);
        }
        self.grid = Grid { first: anchor.div_euclid(npc) - col, npc, ..grid };
        self.clamp();
    }

    /// Moves by whole columns, to later times if positive.
    pub fn pan(&mut self, cols: i64) {
        self.grid.first = self.grid.first.saturating_add(cols);
        self.clamp();
    }

    /// Brings a time to the middle.
    pub fn centre(&mut self, ns: i64) {
        let ns = ns.clamp(self.begin, self.end);
        self.grid.first = ns.div_euclid(self.grid.npc) - i64::from(self.grid.cols) / 2;
        self.clamp();
    }

    /// Pans no further than needed to have a time on the screen, a little from the edge.
    pub fn reveal(&mut self, ns: i64) {
        let ns = ns.clamp(self.begin, self.end);
        let cols = i64::from(self.grid.cols);
        let margin = (cols / 8).min(8);
        let col = self.grid.col_of(ns);
        if col < 0 || col >= cols {
            self.centre(ns);
        } else if col < margin {
            self.pan(col - margin);
        } else if col >= cols - margin {
            self.pan(col - (cols - 1 - margin));
        }
    }

    /// Brings the trace's end to the right edge, at the same zoom.
    pub fn go_to_end(&mut self) {
        let last = (self.end - 1).div_euclid(self.grid.npc) + 1;
        self.grid.first = last + self.margin().min(1) - i64::from(self.grid.cols);
        self.clamp();
    }

    /// Brings the trace's begin to the left edge, at the same zoom.
    pub fn go_to_begin(&mut self) {
        self.grid.first = self.begin.div_euclid(self.grid.npc);
        self.clamp();
    }

    /// New number of columns, for the same stretch of time.
    pub fn resize(&mut self, cols: u16) {
        let cols = cols.max(1);
        if cols == self.grid.cols {
            return;
        }
        let (all, start, end) = (self.shows_all(), self.grid.start(), self.grid.end());
        self.grid.cols = cols;
        if all { self.whole() } else { self.fit(start, end) }
    }

    /// New bounds, as a recording goes on.
    pub fn rebound(&mut self, begin: i64, end: i64) {
        let all = self.shows_all();
        let grid = self.grid;
        *self = Camera::new(begin, end, grid.cols);
        if !all {
            self.grid = grid;
            self.clamp();
        }
    }

    /// The most nanoseconds per column: the whole trace with its margins.
    fn widest(&self) -> i64 {
        let cols = i64::from(self.grid.cols);
        let whole = ((self.end - self.begin) / cols).saturating_add(1);
        // A column more, since columns are aligned to time and not to the trace's beginning.
        whole.saturating_add(whole / MARGIN_DIVISOR).saturating_add(whole / cols + 1)
    }

    fn margin(&self) -> i64 {
        i64::from(self.grid.cols) / MARGIN_DIVISOR
    }

    fn clamp(&mut self) {
        let npc = self.grid.npc.clamp(1, self.widest());
        if npc != self.grid.npc {
            self.grid.first = self.grid.start().div_euclid(npc);
            self.grid.npc = npc;
        }
        let low = self.begin.div_euclid(npc) - self.margin();
        let last = (self.end - 1).div_euclid(npc) + 1;
        let high = last + self.margin() - i64::from(self.grid.cols);
        // A window wider than the trace: the trace stands at the left, where time begins.
        let (low, high) =
            if low > high { (low + self.margin(), low + self.margin()) } else { (low, high) };
        self.grid.first = self.grid.first.clamp(low, high);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Move {
        Zoom(bool, u16),
        Pan(i64),
        Centre(i64),
        Reveal(i64),
        Fit(i64, i64),
        Resize(u16),
        Whole,
        End,
        Begin,
        Rebound(i64),
    }

    fn moves() -> impl Strategy<Value = Move> {
        prop_oneof![
            (any::<bool>(), 0_u16..300).prop_map(|(i, c)| Move::Zoom(i, c)),
            any::<i64>().prop_map(Move::Pan),
            any::<i64>().prop_map(Move::Centre),
            any::<i64>().prop_map(Move::Reveal),
            (any::<i64>(), any::<i64>()).prop_map(|(a, b)| Move::Fit(a, b)),
            (0_u16..400).prop_map(Move::Resize),
            Just(Move::Whole),
            Just(Move::End),
            Just(Move::Begin),
            (1_i64..1 << 50).prop_map(Move::Rebound),
        ]
    }

    proptest! {
        #[test]
        fn stays_within_its_bounds(
            begin in 0_i64..1 << 40, length in 1_i64..1 << 50, cols in 0_u16..300,
            moves in proptest::collection::vec(moves(), 0..60),
        ) {
            let mut camera = Camera::new(begin, begin + length, cols);
            for step in moves {
                match step {
                    Move::Zoom(inward, col) => {
                        let anchor = camera.grid().edge(i64::from(col));
                        if inward { camera.zoom(5, 4, anchor) } else { camera.zoom(4, 5, anchor) }
                    }
                    Move::Pan(by) => camera.pan(by),
                    Move::Centre(ns) => camera.centre(ns),
                    Move::Reveal(ns) => camera.reveal(ns),
                    Move::Fit(a, b) => camera.fit(a, b),
                    Move::Resize(to) => camera.resize(to),
                    Move::Whole => camera.whole(),
                    Move::End => camera.go_to_end(),
                    Move::Begin => camera.go_to_begin(),
                    Move::Rebound(by) => camera.rebound(begin, begin + by),
                }
                let (from, to) = camera.bounds();
                let grid = camera.grid();
                prop_assert!(grid.npc >= 1 && grid.cols >= 1);
                // Something of the trace is on the screen, and at most the margin beside it
                // unless all of it is.
                prop_assert!(grid.start() < to && grid.end() > from, "{:?}", camera);
                let margin = (i64::from(grid.cols) / MARGIN_DIVISOR + 1) * grid.npc;
                prop_assert!(grid.start() >= from - margin, "{:?}", camera);
                prop_assert!(grid.end() <= to + margin || grid.start() >= from - grid.npc, "{:?}", camera);
            }
        }

        #[test]
        fn whole_shows_all(begin in 0_i64..1 << 40, length in 1_i64..1 << 50, cols in 1_u16..300) {
            let camera = Camera::new(begin, begin + length, cols);
            prop_assert!(camera.shows_all(), "{:?}", camera);
            // And wastes little: a few columns, or what whole nanoseconds per column make.
            let used = length / camera.grid().npc;
            prop_assert!(cols < 16 || camera.grid().npc <= 10 || used + 3 >= i64::from(cols) * 8 / 10, "{:?}", camera);
        }
    }

    #[test]
    fn zoom_keeps_the_anchor_in_its_column() {
        let mut camera = Camera::new(0, 1_000_000_000, 100);
        for _ in 0..40 {
            let anchor = 500_000_123;
            let before = camera.grid().col_of(anchor);
            camera.zoom(5, 4, anchor);
            assert_eq!(camera.grid().col_of(anchor), before);
        }
        assert!(camera.grid().npc < 10_000);
    }

    #[test]
    fn zoom_reaches_the_ground_and_comes_back() {
        let mut camera = Camera::new(0, 60_000_000_000, 80);
        let whole = camera;
        for _ in 0..200 {
            camera.zoom(5, 4, 30_000_000_000);
        }
        assert_eq!(camera.grid().npc, 1);
        for _ in 0..300 {
            camera.zoom(4, 5, 30_000_000_000);
        }
        assert!(camera.shows_all());
        camera.whole();
        assert_eq!(camera, whole);
    }
}
