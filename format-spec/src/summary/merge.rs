//! The summary of stretches of time that follow each other, out of theirs.

use super::build::{Vote, Window};
use super::{FunctionSummary, Head, Longest, ROWS_MAX, SLICES, Slice, Summary};

/// A stretch of time and what it amounts to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// Its first tick.
    pub(crate) base: u64,
    /// Its last tick.
    pub(crate) end: u64,
    /// Its summary, with functions.
    pub(crate) summary: Summary,
}

/// The summary of `parts`, of which there are at least one and at most 16, in order of time.
pub(crate) fn merge(parts: Vec<Part>) -> Summary {
    let base = parts.first().map_or(0, |part| part.base);
    let end = parts.last().map_or(base, |part| part.end).max(base);
    let mut head = Head::default();
    for part in &parts {
        add(&mut head, &part.summary.head, part.base.saturating_sub(base));
    }
    let rows = rows(&parts, base, end);
    let functions = functions(parts);
    Summary { head, rows, functions: Some(functions) }
}

fn add(sum: &mut Head, part: &Head, offset: u64) {
    sum.busy_ticks = sum.busy_ticks.saturating_add(part.busy_ticks);
    sum.max_depth = sum.max_depth.max(part.max_depth);
    sum.exceptions = sum.exceptions.saturating_add(part.exceptions);
    sum.unwinds = sum.unwinds.saturating_add(part.unwinds);
    sum.calls = sum.calls.saturating_add(part.calls);
    sum.unnumbered = sum.unnumbered.saturating_add(part.unnumbered);
    if part.longest.ticks > sum.longest.ticks {
        let start = part.longest.start.saturating_add(offset);
        sum.longest = Longest { start, ..part.longest };
    }
}

fn functions(parts: Vec<Part>) -> Vec<FunctionSummary> {
    let mut all: Vec<FunctionSummary> = Vec::new();
    for (at, part) in parts.into_iter().enumerate() {
        all.extend(part.summary.functions.into_iter().flatten().map(|mut function| {
            function.children = if function.acted() { 1 << (at % 16) } else { 0 };
            function
        }));
    }
    all.sort_by_key(|function| function.id);
    let mut merged: Vec<FunctionSummary> = Vec::new();
    for function in all {
        match merged.last_mut() {
            Some(last) if last.id == function.id => last.merge(&function),
            _ => merged.push(function),
        }
    }
    merged
}

fn rows(parts: &[Part], base: u64, end: u64) -> Vec<[Slice; SLICES]> {
    let whole = Window::new(base, end);
    let depth = parts.iter().map(|part| part.summary.rows.len()).max().unwrap_or(0);
    let mut votes = vec![[Vote::default(); SLICES]; depth.min(ROWS_MAX)];
    for part in parts {
        let window = Window::new(part.base, part.end.max(part.base));
        for (row, votes) in part.summary.rows.iter().zip(&mut votes) {
            for (slice, edges) in row.iter().zip(window.edges.windows(2)) {
                let (from, to) = (edges[0], edges[1]);
                let first = whole.slice_at(from);
                for (vote, edges) in votes.iter_mut().zip(whole.edges.windows(2)).skip(first) {
                    let common = to.min(edges[1]).saturating_sub(from.max(edges[0]));
                    if common > 0 && slice.share > 0 {
                        vote.cast(slice.id, common.saturating_mul(slice.share.into()));
                    }
                    if edges[1] >= to {
                        break;
                    }
                }
            }
        }
    }
    votes.iter().map(|row| whole.slices(row, 255)).collect()
}
