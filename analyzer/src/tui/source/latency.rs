//! How long the calls of a function took, as a picture shows it.

/// Columns of a picture: four to each power of ten, from 10 ns to 100 s.
pub const COLS: usize = 40;

/// Spans by their length, each column about 1.8 times the one before. The first holds what is
/// shorter too, the last what is longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency([u64; COLS]);

impl Default for Latency {
    fn default() -> Latency {
        Latency([0; COLS])
    }
}

impl Latency {
    /// The column of a length in nanoseconds.
    pub fn col_of(ns: u64) -> usize {
        let quarters = ((ns.max(10) as f64).log10() - 1.0) * 4.0;
        (quarters as usize).min(COLS - 1)
    }

    /// Adds `count` spans of about `ns` nanoseconds.
    pub fn add(&mut self, ns: u64, count: u64) {
        let col = &mut self.0[Latency::col_of(ns)];
        *col = col.saturating_add(count);
    }

    /// The columns, `merged` neighbours in one.
    pub fn cols(&self, merged: usize) -> impl Iterator<Item = u64> + '_ {
        let sum = |of: &[u64]| of.iter().fold(0, |sum: u64, &count| sum.saturating_add(count));
        self.0.chunks(merged.max(1)).map(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_quarters_of_powers_of_ten() {
        let cols =
            [0, 9, 10, 17, 18, 100, 1_000_000, 99_999_999_999, u64::MAX].map(Latency::col_of);
        assert_eq!(cols, [0, 0, 0, 0, 1, 4, 20, 39, 39]);
        let mut latency = Latency::default();
        latency.add(100, 3);
        latency.add(150, 2);
        latency.add(200, 1);
        assert_eq!(latency.cols(1).collect::<Vec<_>>()[4..6], [5, 1]);
        assert_eq!(latency.cols(2).collect::<Vec<_>>()[2], 6);
        assert_eq!(latency.cols(2).count(), 20);
    }
}
