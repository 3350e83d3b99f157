//! Log-linear histograms of span lengths (SPEC section 10).
//!
//! 32 bins an octave: a quantile is off by at most one part in 32, and merging
//! two histograms gives the histogram of both, whatever the order.

/// How many bins an octave has.
const PER_OCTAVE: u64 = 32;
/// How many bins there are for 64-bit values.
pub const BINS: u16 = 1920;

/// The bin of a value.
#[inline]
pub fn bin_of(value: u64) -> u16 {
    if value < PER_OCTAVE {
        return value as u16;
    }
    let octave = u64::from(63 - value.leading_zeros());
    (PER_OCTAVE * (octave - 4) + (value >> (octave - 5)) - PER_OCTAVE) as u16
}

/// The greatest value of a bin; `u64::MAX` for bins that do not exist.
pub fn upper_edge(bin: u16) -> u64 {
    let bin = u64::from(bin);
    if bin < PER_OCTAVE {
        return bin;
    }
    let octave = bin / PER_OCTAVE + 4;
    let step = bin % PER_OCTAVE + PER_OCTAVE + 1;
    if octave > 63 || (octave == 63 && step == 2 * PER_OCTAVE) {
        return u64::MAX;
    }
    (step << (octave - 5)) - 1
}

/// Counts by bin, of the bins that are not empty, in ascending order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Histogram {
    bins: Vec<(u16, u64)>,
}

impl Histogram {
    /// A histogram of bins in ascending order; others are dropped.
    pub fn from_bins(bins: impl IntoIterator<Item = (u16, u64)>) -> Histogram {
        let mut histogram = Histogram::default();
        for (bin, count) in bins {
            if histogram.bins.last().is_none_or(|&(last, _)| last < bin) {
                histogram.bins.push((bin, count));
            }
        }
        histogram
    }

    /// A histogram of bins that are known to ascend.
    pub(crate) fn of_ascending(bins: Vec<(u16, u64)>) -> Histogram {
        debug_assert!(bins.windows(2).all(|pair| pair[0].0 < pair[1].0));
        Histogram { bins }
    }

    /// The bins that are not empty, in ascending order, and their counts.
    pub fn bins(&self) -> &[(u16, u64)] {
        &self.bins
    }

    /// Adds one value.
    pub fn record(&mut self, value: u64) {
        self.add(bin_of(value), 1);
    }

    fn add(&mut self, bin: u16, count: u64) {
        match self.bins.binary_search_by_key(&bin, |&(bin, _)| bin) {
            Ok(at) => self.bins[at].1 = self.bins[at].1.saturating_add(count),
            Err(at) => self.bins.insert(at, (bin, count)),
        }
    }

    /// Adds every value of `other`.
    pub fn merge(&mut self, other: &Histogram) {
        let mut at = 0;
        let mut missing = 0;
        for &(bin, count) in &other.bins {
            while self.bins.get(at).is_some_and(|&(own, _)| own < bin) {
                at += 1;
            }
            match self.bins.get_mut(at) {
                Some(own) if own.0 == bin => own.1 = own.1.saturating_add(count),
                _ => missing += 1,
            }
        }
        if missing == 0 {
            return;
        }
        // From behind, so that every bin moves once at most.
        let (mut from, mut to) = (self.bins.len(), self.bins.len() + missing);
        self.bins.resize(to, (0, 0));
        for &(bin, count) in other.bins.iter().rev() {
            while from > 0 && self.bins[from - 1].0 > bin {
                (from, to) = (from - 1, to - 1);
                self.bins[to] = self.bins[from];
            }
            if from > 0 && self.bins[from - 1].0 == bin {
                continue;
            }
            to -= 1;
            self.bins[to] = (bin, count);
        }
    }

    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.bins.iter().fold(0, |sum: u64, &(_, count)| sum.saturating_add(count))
    }

    /// The upper edge of the bin that holds the nearest-rank value of quantile
    /// `per_mille` / 1000; `None` where there is no value.
    pub fn quantile(&self, per_mille: u64) -> Option<u64> {
        let count = u128::from(self.count());
        let rank = (count * u128::from(per_mille.min(1000))).div_ceil(1000).max(1);
        let mut seen = 0u128;
        for &(bin, count) in &self.bins {
            seen += u128::from(count);
            if seen >= rank {
                return Some(upper_edge(bin));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_formula_of_the_spec() {
        assert_eq!((bin_of(31), bin_of(32), bin_of(63), bin_of(64)), (31, 32, 63, 64));
        assert_eq!(bin_of(u64::MAX), BINS - 1);
        assert_eq!(upper_edge(BINS - 1), u64::MAX);
        assert_eq!((upper_edge(63), upper_edge(64)), (63, 65));
    }

    proptest! {
        #[test]
        fn a_value_lies_in_its_bin(value: u64) {
            let bin = bin_of(value);
            prop_assert!(value <= upper_edge(bin));
            prop_assert!(bin == 0 || value > upper_edge(bin - 1));
            prop_assert!(upper_edge(bin) - value <= value / 32);
        }

        #[test]
        fn quantiles_are_those_of_the_sorted_list(mut values in prop::collection::vec(0u64..10_000, 1..200), per_mille in 1u64..=1000) {
            let mut left = Histogram::default();
            let mut right = Histogram::default();
            for (i, &value) in values.iter().enumerate() {
                if i % 2 == 0 { left.record(value) } else { right.record(value) }
            }
            left.merge(&right);
            values.sort_unstable();
            let rank = (values.len() as u64 * per_mille).div_ceil(1000).max(1) as usize;
            prop_assert_eq!(left.quantile(per_mille), Some(upper_edge(bin_of(values[rank - 1]))));
            prop_assert_eq!(left.count(), values.len() as u64);
        }
    }
}
