//! Summaries: what a chunk amounts to, readable without decoding it (SPEC section 10).
//!
//! They are what makes a trace open at once: a zoomed-out timeline and a
//! report over everything read these few hundred bytes a chunk and no event.
//! Every figure adds up over chunks, and equals what a full scan would give.

mod build;
pub(crate) mod merge;
mod section;
mod table;

pub use build::SummaryBuilder;
pub use section::SECTION_MAX;

use self::section::Section;
use crate::bytes::{Reader, put_varint};
use crate::error::{ErrorKind, Result};
use crate::histogram::Histogram;

/// How many equal parts of the chunk's time a depth row distinguishes.
pub const SLICES: usize = 16;
/// How many depth rows a summary has at most.
pub const ROWS_MAX: usize = 64;
/// Functions may take this part of the room that the columns take.
const TABLE_SHARE: usize = 16;
/// And so many bytes in any case.
const TABLE_LEAST: usize = 256;

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
    /// In a node: in which children it did anything, bit 0 the first.
    pub children: u16,
}

impl FunctionSummary {
    /// Whether it did anything, and was not only open.
    pub fn acted(&self) -> bool {
        self.calls > 0 || self.self_ticks > 0 || self.spans.count > 0
    }

    /// Adds the figures of the same function in another stretch of time.
    pub fn merge(&mut self, other: &FunctionSummary) {
        self.calls = self.calls.saturating_add(other.calls);
        self.self_ticks = self.self_ticks.saturating_add(other.self_ticks);
        self.total_ticks = self.total_ticks.saturating_add(other.total_ticks);
        self.spans.merge(&other.spans);
        self.children |= other.children;
    }
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

/// The figures of a chunk or node as a whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Head {
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
    /// Unnumbered long records: where there are none, nothing is told to be lost.
    pub unnumbered: u64,
    /// The longest span that ended here.
    pub longest: Longest,
}

/// What a chunk or a node amounts to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// The whole.
    pub head: Head,
    /// What each depth looked like, from the outermost.
    pub rows: Vec<[Slice; SLICES]>,
    /// What each function did, by ascending id; `None` where that is not told.
    pub functions: Option<Vec<FunctionSummary>>,
}

impl Summary {
    /// The summary's bytes in a chunk whose compressed columns are so long. Functions
    /// that would take too much room beside them are left out.
    pub fn encode(&self, columns: usize) -> Vec<u8> {
        let table = self.functions.as_ref().map(|functions| table::encode(functions, None));
        let room = (columns / TABLE_SHARE).max(TABLE_LEAST);
        self.put(table.filter(|table| table.len() <= room), true)
    }

    /// The same with everything in it and nothing compressed, for [`crate::node`].
    pub(crate) fn encode_plain(&self) -> Vec<u8> {
        let functions = self.functions.as_deref().unwrap_or_default();
        self.put(Some(table::encode(functions, None)), false)
    }

    /// The summary's bytes in a node of so many children; `None` if it were too large.
    pub(crate) fn encode_node(&self, children: usize) -> Option<Vec<u8>> {
        let functions = self.functions.as_deref().unwrap_or_default();
        let table = table::encode(functions, Some(mask_of(children)));
        (table.len() <= SECTION_MAX).then(|| self.put(Some(table), true))
    }

    fn put(&self, table: Option<Vec<u8>>, pack: bool) -> Vec<u8> {
        let head = &self.head;
        let mut out = Vec::with_capacity(64);
        for number in [
            head.busy_ticks,
            head.max_depth.into(),
            head.exceptions,
            head.unwinds,
            head.calls,
            head.unnumbered,
            head.longest.ticks,
            head.longest.id.into(),
            head.longest.start,
        ] {
            put_varint(&mut out, number);
        }
        let mut rows = Vec::with_capacity(self.rows.len() * 48);
        put_varint(&mut rows, self.rows.len() as u64);
        for row in &self.rows {
            for slice in row {
                put_varint(&mut rows, slice.id.into());
            }
            rows.extend(row.iter().map(|slice| slice.share));
        }
        section::put(&mut out, &rows, pack);
        section::put(&mut out, table.as_deref().unwrap_or_default(), pack);
        out
    }

    /// Reads all of a chunk's summary.
    ///
    /// # Errors
    /// Truncated input, counts beyond it, ids or bins that do not ascend.
    pub fn parse(bytes: &[u8]) -> Result<Summary> {
        View::parse(bytes)?.all(None)
    }
}

/// The mask of so many children.
pub(crate) fn mask_of(children: usize) -> u16 {
    u16::MAX.checked_shr(16u32.saturating_sub(children as u32)).unwrap_or(0)
}

/// A summary of which parts are read when somebody asks for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View<'a> {
    /// The whole.
    pub head: Head,
    rows: Section<'a>,
    functions: Section<'a>,
}

impl<'a> View<'a> {
    /// Reads the head and finds the rest.
    ///
    /// # Errors
    /// Truncated input, lengths beyond it.
    pub fn parse(bytes: &'a [u8]) -> Result<View<'a>> {
        let mut reader = Reader::new(bytes, "a summary");
        let head = read_head(&mut reader)?;
        let (rows, functions) = (Section::read(&mut reader)?, Section::read(&mut reader)?);
        if reader.remaining() > 0 {
            return Err(reader.error(ErrorKind::BadValue("a summary")));
        }
        Ok(View { head, rows, functions })
    }

    /// What each depth looked like, from the outermost.
    ///
    /// # Errors
    /// Truncated or damaged.
    pub fn rows(&self) -> Result<Vec<[Slice; SLICES]>> {
        let bytes = self.rows.unpack()?;
        let mut reader = Reader::new(&bytes, "a summary");
        let count = reader.count(2 * SLICES, "a summary")?;
        if count > ROWS_MAX {
            return Err(reader.error(ErrorKind::TooLarge("a summary")));
        }
        let mut rows = vec![[Slice::default(); SLICES]; count];
        for row in &mut rows {
            for slice in row.iter_mut() {
                slice.id = narrow(&mut reader)?;
            }
            for slice in row {
                slice.share = reader.u8()?;
            }
        }
        Ok(rows)
    }

    /// Whether [`functions`](View::functions) are told.
    pub fn tells_functions(&self) -> bool {
        !self.functions.is_empty()
    }

    /// What each function did in a chunk, by ascending id; `None` where that is not told.
    ///
    /// # Errors
    /// Truncated or damaged; ids or bins that do not ascend.
    pub fn functions(&self) -> Result<Option<Vec<FunctionSummary>>> {
        self.table(None)
    }

    pub(crate) fn table(&self, children: Option<u16>) -> Result<Option<Vec<FunctionSummary>>> {
        if self.functions.is_empty() {
            return Ok(None);
        }
        table::parse(&self.functions.unpack()?, children).map(Some)
    }

    pub(crate) fn masks(&self, all: u16) -> Result<Vec<(u32, u16)>> {
        table::masks(&self.functions.unpack()?, all)
    }

    pub(crate) fn all(&self, children: Option<u16>) -> Result<Summary> {
        let (rows, functions) = (self.rows()?, self.table(children)?);
        Ok(Summary { head: self.head, rows, functions })
    }
}

fn read_head(reader: &mut Reader<'_>) -> Result<Head> {
    Ok(Head {
        busy_ticks: reader.varint()?,
        max_depth: narrow(reader)?,
        exceptions: reader.varint()?,
        unwinds: reader.varint()?,
        calls: reader.varint()?,
        unnumbered: reader.varint()?,
        longest: Longest { ticks: reader.varint()?, id: narrow(reader)?, start: reader.varint()? },
    })
}

/// The greatest depth in a summary of which at least the beginning is there.
pub fn max_depth_of(prefix: &[u8]) -> Option<u32> {
    Some(read_head(&mut Reader::new(prefix, "a summary")).ok()?.max_depth)
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
                prop_assert_eq!(Summary::parse(&summary.encode(1 << 20)), Ok(summary));
            }
            for children in [None, Some(0xFF)] {
                if let Ok(functions) = table::parse(&bytes, children) {
                    prop_assert_eq!(table::parse(&table::encode(&functions, children), children), Ok(functions));
                }
            }
        }

        #[test]
        fn tables_come_back(functions in prop::collection::vec((0u64..9, 0u64..9, 0u64..9, prop::collection::vec(0u64..5000, 0..9), any::<u16>()), 0..20)) {
            let functions: Vec<FunctionSummary> = (0u32..).step_by(3).zip(functions).map(|(id, (calls, own, total, lengths, children))| {
                let mut spans = Spans::default();
                lengths.into_iter().for_each(|ticks| spans.record(ticks));
                FunctionSummary { id, calls, self_ticks: own, total_ticks: own + total, spans, children }
            }).collect();
            prop_assert_eq!(table::parse(&table::encode(&functions, Some(0xFFFF)), Some(0xFFFF)), Ok(functions));
        }
    }
}
