//! Summaries: what a chunk amounts to, readable without decoding it (SPEC section 10).
//!
//! They are what makes a trace open at once: a zoomed-out timeline and a
//! report over everything read these few hundred bytes a chunk and no event.
//! Every figure adds up over chunks, and equals what a full scan would give.

mod build;

pub use build::SummaryBuilder;

use crate::bytes::{Reader, put_varint};
use crate::error::{ErrorKind, Result};
use crate::histogram::Histogram;

/// How many equal parts of the chunk's time a depth row distinguishes.
pub const SLICES: usize = 16;
/// How many depth rows a summary has at most.
pub const ROWS_MAX: usize = 64;

/// Spans (entry to exit) that ended, in ticks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spans {
    /// How many.
    pub count: u64,
    /// The shortest; meaningless while `count` is 0.
    pub min: u64,
    /// The longest; meaningless while `count` is 0.
    pub max: u64,
    /// Their lengths.
    pub histogram: Histogram,
}

impl Spans {
    /// Adds a span of `ticks`.
    pub fn record(&mut self, ticks: u64) {
        self.min = if self.count == 0 { ticks } else { self.min.min(ticks) };
        self.max = self.max.max(ticks);
        self.count += 1;
        self.histogram.record(ticks);
    }

    /// Adds every span of `other`.
    pub fn merge(&mut self, other: &Spans) {
        if other.count == 0 {
            return;
        }
        self.min = if self.count == 0 { other.min } else { self.min.min(other.min) };
        self.max = self.max.max(other.max);
        self.count = self.count.saturating_add(other.count);
        self.histogram.merge(&other.histogram);
    }

    /// The quantile `per_mille` / 1000 by the histogram, never more than the maximum.
    pub fn quantile(&self, per_mille: u64) -> Option<u64> {
        self.histogram.quantile(per_mille).map(|edge| edge.min(self.max))
    }
}

/// What one function did in a chunk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FunctionSummary {
    /// The symbol.
    pub id: u32,
    /// Calls begun: first entries, not resumptions.
    pub calls: u64,
    /// Ticks during which it was innermost.
    pub self_ticks: u64,
    /// Ticks during which it was on the stack at least once.
    pub total_ticks: u64,
    /// Spans that ended here.
    pub spans: Spans,
}

/// The longest span that ended in a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Longest {
    /// Its length; 0 where no span ended.
    pub ticks: u64,
    /// The symbol.
    pub id: u32,
    /// Its start minus the chunk's base tick; 0 for a start before that.
    pub start: u64,
}

/// One sixteenth of a chunk's time at one depth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Slice {
    /// The function that dominates; 0 for nobody.
    pub id: u32,
    /// The share of the time in which any frame was open here, in 1/255, rounded up.
    pub share: u8,
}

/// What a chunk amounts to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Ticks during which the lane's stack was not empty.
    pub busy_ticks: u64,
    /// The greatest number of frames open at once.
    pub max_depth: u32,
    /// `exception` records.
    pub exceptions: u64,
    /// `unwind` records.
    pub unwinds: u64,
    /// `call` records.
    pub calls: u64,
    /// The longest span that ended here.
    pub longest: Longest,
    /// What each function did, by ascending id.
    pub functions: Vec<FunctionSummary>,
    /// What each depth looked like, from the outermost.
    pub rows: Vec<[Slice; SLICES]>,
}

impl Summary {
    /// The greatest depth in a summary of which at least the beginning is there.
    pub fn max_depth_of(prefix: &[u8]) -> Option<u32> {
        let mut reader = Reader::new(prefix, "a summary");
        reader.varint().ok()?;
        narrow(&mut reader).ok()
    }

    /// The summary's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 + self.functions.len() * 24 + self.rows.len() * 48);
        for number in [
            self.busy_ticks,
            self.max_depth.into(),
            self.exceptions,
            self.unwinds,
            self.calls,
            self.longest.ticks,
            self.longest.id.into(),
            self.longest.start,
            self.functions.len() as u64,
        ] {
            put_varint(&mut out, number);
        }
        let mut before = 0;
        for function in &self.functions {
            put_varint(&mut out, function.id.wrapping_sub(before).into());
            before = function.id;
            let spans = &function.spans;
            for number in [function.calls, function.self_ticks, function.total_ticks, spans.count] {
                put_varint(&mut out, number);
            }
            if spans.count > 0 {
                put_varint(&mut out, spans.min);
                put_varint(&mut out, spans.max - spans.min);
                put_varint(&mut out, spans.histogram.bins().len() as u64);
                let mut bin_before = 0;
                for &(bin, count) in spans.histogram.bins() {
                    put_varint(&mut out, (bin - bin_before).into());
                    put_varint(&mut out, count);
                    bin_before = bin;
                }
            }
        }
        put_varint(&mut out, self.rows.len() as u64);
        for row in &self.rows {
            for slice in row {
                put_varint(&mut out, slice.id.into());
            }
            out.extend(row.iter().map(|slice| slice.share));
        }
        out
    }

    /// Reads a summary.
    ///
    /// # Errors
    /// Truncated input, counts beyond it, ids or bins that do not ascend.
    pub fn parse(bytes: &[u8]) -> Result<Summary> {
        let mut reader = Reader::new(bytes, "a summary");
        let mut summary = Summary {
            busy_ticks: reader.varint()?,
            max_depth: narrow(&mut reader)?,
            exceptions: reader.varint()?,
            unwinds: reader.varint()?,
            calls: reader.varint()?,
            longest: Longest {
                ticks: reader.varint()?,
                id: narrow(&mut reader)?,
                start: reader.varint()?,
            },
            ..Summary::default()
        };
        // A function takes five bytes or more, a bin two, a row 32.
        let functions = reader.count(5, "a summary")?;
        summary.functions.reserve(functions);
        let mut id = 0u32;
        for i in 0..functions {
            let step = narrow(&mut reader)?;
            id = match id.checked_add(step) {
                Some(next) if i == 0 || step > 0 => next,
                _ => return Err(reader.error(ErrorKind::BadValue("a summary"))),
            };
            let mut function = FunctionSummary {
                id,
                calls: reader.varint()?,
                self_ticks: reader.varint()?,
                total_ticks: reader.varint()?,
                ..FunctionSummary::default()
            };
            function.spans.count = reader.varint()?;
            if function.spans.count > 0 {
                function.spans.min = reader.varint()?;
                let range = reader.varint()?;
                function.spans.max = function.spans.min.saturating_add(range);
                let count = reader.count(2, "a summary")?;
                let mut bins = Vec::with_capacity(count);
                let mut bin = 0u16;
                for _ in 0..count {
                    let step = u16::try_from(reader.varint()?).ok();
                    bin = step
                        .and_then(|step| bin.checked_add(step))
                        .ok_or_else(|| reader.error(ErrorKind::BadValue("a summary")))?;
                    bins.push((bin, reader.varint()?));
                }
                function.spans.histogram = Histogram::from_bins(bins);
            }
            summary.functions.push(function);
        }
        let rows = reader.count(2 * SLICES, "a summary")?;
        if rows > ROWS_MAX {
            return Err(reader.error(ErrorKind::TooLarge("a summary")));
        }
        for _ in 0..rows {
            let mut row = [Slice::default(); SLICES];
            for slice in &mut row {
                slice.id = narrow(&mut reader)?;
            }
            for slice in &mut row {
                slice.share = reader.u8()?;
            }
            summary.rows.push(row);
        }
        Ok(summary)
    }
}

fn narrow(reader: &mut Reader<'_>) -> Result<u32> {
    u32::try_from(reader.varint()?).map_err(|_| reader.error(ErrorKind::BadValue("a summary")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_give_a_result_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(summary) = Summary::parse(&bytes) {
                prop_assert_eq!(Summary::parse(&summary.encode()), Ok(summary));
            }
        }
    }
}
