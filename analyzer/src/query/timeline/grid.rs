//! Columns of equal width in absolute time.

/// A run of columns, each `npc` nanoseconds wide; column 0 begins at `first * npc`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Grid {
    /// Absolute number of the first column.
    pub first: i64,
    /// Nanoseconds per column, at least 1.
    pub npc: i64,
    /// Number of columns.
    pub cols: u16,
}

impl Grid {
    /// First nanosecond of a column, counted from the grid's first; also past its ends.
    pub fn edge(&self, col: i64) -> i64 {
        self.first.saturating_add(col).saturating_mul(self.npc)
    }

    /// First nanosecond.
    pub fn start(&self) -> i64 {
        self.edge(0)
    }

    /// First nanosecond after the last column.
    pub fn end(&self) -> i64 {
        self.edge(i64::from(self.cols))
    }

    /// Width in nanoseconds.
    pub fn width(&self) -> i64 {
        self.npc.saturating_mul(i64::from(self.cols))
    }

    /// Column of a time, counted from the grid's first; negative or past `cols` outside.
    pub fn col_of(&self, ns: i64) -> i64 {
        ns.div_euclid(self.npc).saturating_sub(self.first)
    }

    /// Column of a time where it is on the grid.
    pub fn col_within(&self, ns: i64) -> Option<u16> {
        u16::try_from(self.col_of(ns)).ok().filter(|&col| col < self.cols)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_lies_within_its_column() {
        let grid = Grid { first: -3, npc: 7, cols: 5 };
        for ns in -40..40 {
            let col = grid.col_of(ns);
            assert!(grid.edge(col) <= ns && ns < grid.edge(col + 1), "{ns}");
        }
        assert_eq!((grid.start(), grid.end(), grid.width()), (-21, 14, 35));
        assert_eq!(grid.col_within(14), None);
        assert_eq!(grid.col_within(13), Some(4));
    }
}
