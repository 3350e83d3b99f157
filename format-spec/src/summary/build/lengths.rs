//! The lengths of spans, while a chunk is summed up.
//!
//! They are put down as they come, and ordered at the end: to count them in a table by
//! function and bin as they come would miss the cache with nearly every one.

use crate::histogram::BINS;

/// So few lengths are sorted; more are counted.
const FEW: usize = 64;

/// The bins of spans, by the place of their function.
#[derive(Default)]
pub(super) struct Lengths {
    /// Place and bin.
    all: Vec<(u32, u16)>,
    /// By place, where its next bin goes.
    next: Vec<u32>,
    /// The bins, function by function.
    bins: Vec<u16>,
    /// By bin, how many there are of the present function.
    counts: Vec<u32>,
}

impl Lengths {
    #[inline]
    pub(super) fn add(&mut self, place: u32, bin: u16) {
        self.all.push((place, bin));
    }

    /// Orders what was put down by function. `places` ascend, and have `counts` spans each.
    pub(super) fn sorted(
        &mut self,
        places: &[u32],
        counts: impl Iterator<Item = usize>,
    ) -> Sorted<'_> {
        let places_end = places.last().map_or(0, |&last| last as usize + 1);
        if self.next.len() < places_end {
            self.next.resize(places_end, 0);
        }
        let mut at = 0;
        for (&place, count) in places.iter().zip(counts) {
            self.next[place as usize] = at;
            at += count as u32;
        }
        self.bins.clear();
        self.bins.resize(self.all.len(), 0);
        for (place, bin) in self.all.drain(..) {
            let next = &mut self.next[place as usize];
            if let Some(slot) = self.bins.get_mut(*next as usize) {
                *slot = bin;
            }
            *next += 1;
        }
        self.counts.resize(BINS.into(), 0);
        Sorted { rest: &mut self.bins, counts: &mut self.counts }
    }
}

/// The bins, function by function.
pub(super) struct Sorted<'a> {
    rest: &'a mut [u16],
    counts: &'a mut [u32],
}

impl Sorted<'_> {
    /// The bins of the next function, which has `count` spans, ascending with their counts.
    pub(super) fn next(&mut self, count: usize) -> Vec<(u16, u64)> {
        let count = count.min(self.rest.len());
        let (these, rest) = std::mem::take(&mut self.rest).split_at_mut(count);
        self.rest = rest;
        if count <= FEW {
            these.sort_unstable();
            let same = these.chunk_by(|one, other| one == other);
            return same.map(|run| (run[0], run.len() as u64)).collect();
        }
        let (mut low, mut high) = (BINS - 1, 0);
        for &bin in &*these {
            self.counts[usize::from(bin)] += 1;
            (low, high) = (low.min(bin), high.max(bin));
        }
        let held = |bin: u16| {
            let count = std::mem::take(&mut self.counts[usize::from(bin)]);
            (count > 0).then_some((bin, count.into()))
        };
        (low..=high).filter_map(held).collect()
    }
}
