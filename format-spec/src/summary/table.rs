//! The table of functions in a summary, by column (SPEC section 10).

use super::{FunctionSummary, narrow};
use crate::bytes::{Reader, put_varint};
use crate::error::{ErrorKind, Result};
use crate::histogram::{Histogram, bin_of};

/// Distances of bins from here on do not fit into the word of the count.
const FAR: u64 = 3;
/// No function takes less room than this: its id, calls, spans, self and total ticks.
const LEAST: usize = 5;

/// The section's bytes. `children` is the mask of all children, in a node.
pub(super) fn encode(functions: &[FunctionSummary], children: Option<u16>) -> Vec<u8> {
    let mut out = Vec::with_capacity(8 + functions.len() * 16);
    put_varint(&mut out, functions.len() as u64);
    let mut before = 0;
    for function in functions {
        put_varint(&mut out, function.id.wrapping_sub(before).into());
        before = function.id;
    }
    if let Some(all) = children {
        for function in functions {
            put_varint(&mut out, (function.children ^ all).into());
        }
    }
    for function in functions {
        put_varint(&mut out, function.calls);
    }
    for function in functions {
        put_varint(&mut out, zigzag(function.spans.count.wrapping_sub(function.calls)));
    }
    for function in functions {
        put_varint(&mut out, function.self_ticks);
    }
    for function in functions {
        put_varint(&mut out, function.total_ticks.wrapping_sub(function.self_ticks));
    }
    let spans = || functions.iter().map(|function| &function.spans);
    for spans in spans().filter(|spans| spans.count > 0) {
        put_varint(&mut out, spans.min);
    }
    for spans in spans().filter(|spans| spans.count > 1) {
        put_varint(&mut out, spans.max - spans.min);
    }
    for spans in spans().filter(|spans| spans.count > 2) {
        if let [first, middle @ .., _] = spans.histogram.bins() {
            put_varint(&mut out, middle.len() as u64);
            put_varint(&mut out, first.1 - 1);
            let mut at = first.0;
            for &(bin, count) in middle {
                let gap = u64::from(bin - at - 1);
                at = bin;
                put_varint(&mut out, gap.min(FAR) | (count - 1) << 2);
                if gap >= FAR {
                    put_varint(&mut out, gap - FAR);
                }
            }
        }
    }
    out
}

/// Reads the section.
pub(super) fn parse(bytes: &[u8], children: Option<u16>) -> Result<Vec<FunctionSummary>> {
    let mut reader = Reader::new(bytes, "a summary");
    let bad = |reader: &Reader<'_>| reader.error(ErrorKind::BadValue("a summary"));
    let count = reader.count(LEAST, "a summary")?;
    let mut functions = vec![FunctionSummary::default(); count];
    let mut id = 0u32;
    for (i, function) in functions.iter_mut().enumerate() {
        let step = narrow(&mut reader)?;
        id = match id.checked_add(step) {
            Some(next) if i == 0 || step > 0 => next,
            _ => return Err(bad(&reader)),
        };
        function.id = id;
    }
    if let Some(all) = children {
        for function in &mut functions {
            let mask = u16::try_from(reader.varint()?).map_err(|_| bad(&reader))?;
            function.children = mask ^ all;
        }
    }
    for function in &mut functions {
        function.calls = reader.varint()?;
    }
    for function in &mut functions {
        function.spans.count = function.calls.wrapping_add(unzigzag(reader.varint()?));
    }
    for function in &mut functions {
        function.self_ticks = reader.varint()?;
    }
    for function in &mut functions {
        function.total_ticks = function.self_ticks.wrapping_add(reader.varint()?);
    }
    for spans in functions.iter_mut().map(|f| &mut f.spans).filter(|spans| spans.count > 0) {
        spans.min = reader.varint()?;
        spans.max = spans.min;
    }
    for spans in functions.iter_mut().map(|f| &mut f.spans).filter(|spans| spans.count > 1) {
        let range = reader.varint()?;
        spans.max = spans.min.checked_add(range).ok_or_else(|| bad(&reader))?;
    }
    for spans in functions.iter_mut().map(|f| &mut f.spans).filter(|spans| spans.count > 0) {
        let (first, last) = (bin_of(spans.min), bin_of(spans.max));
        let mut bins = Vec::new();
        let mut left = spans.count;
        if first != last {
            let mut middle = 0;
            let mut take = |reader: &Reader<'_>, more: u64| {
                let count = more.checked_add(1).filter(|count| *count < left);
                let count = count.ok_or_else(|| bad(reader))?;
                left -= count;
                Ok(count)
            };
            let mut of_first = 0;
            if spans.count > 2 {
                middle = reader.count(1, "a summary")?;
                of_first = reader.varint()?;
            }
            bins.reserve(middle + 2);
            bins.push((first, take(&reader, of_first)?));
            let mut at = first;
            for _ in 0..middle {
                let word = reader.varint()?;
                let mut gap = word & FAR;
                if gap == FAR {
                    gap = gap.checked_add(reader.varint()?).ok_or_else(|| bad(&reader))?;
                }
                let bin = gap.checked_add(u64::from(at) + 1).filter(|&bin| bin < last.into());
                at = bin.ok_or_else(|| bad(&reader))? as u16;
                bins.push((at, take(&reader, word >> 2)?));
            }
        }
        bins.push((last, left));
        spans.histogram = Histogram::of_ascending(bins);
    }
    if reader.remaining() > 0 {
        return Err(bad(&reader));
    }
    Ok(functions)
}

/// The ids and the masks of children alone, of a node's section.
pub(super) fn masks(bytes: &[u8], all: u16) -> Result<Vec<(u32, u16)>> {
    let mut reader = Reader::new(bytes, "a summary");
    let count = reader.count(LEAST, "a summary")?;
    let mut masks = Vec::with_capacity(count);
    let mut id = 0u32;
    for _ in 0..count {
        id = id.wrapping_add(narrow(&mut reader)?);
        masks.push((id, 0));
    }
    for (_, mask) in &mut masks {
        *mask = narrow(&mut reader)? as u16 ^ all;
    }
    Ok(masks)
}

/// A signed number, in two's complement, as one without a sign.
fn zigzag(number: u64) -> u64 {
    (number << 1) ^ ((number as i64 >> 63) as u64)
}

fn unzigzag(number: u64) -> u64 {
    (number >> 1) ^ (number & 1).wrapping_neg()
}
