//! The same questions answered by brute force: every record of every thread in one
//! list, every figure from its definition, nothing shared with the real replay.

use std::collections::{BTreeMap, BTreeSet};

use rtrace_format::Kind;

/// One record: when, what, which function.
pub type Record = (u64, Kind, u32);

/// An open call: its function, when it was entered, whether its start is known.
pub type Call = (u32, u64, bool);

/// A thread: what was open before, and the records.
#[derive(Clone, Debug, Default)]
pub struct Thread {
    pub open: Vec<Call>,
    pub records: Vec<Record>,
    pub base: u64,
    pub end: u64,
}

/// Calls, self, total, span lengths.
pub type Figures = (u64, u64, u64, Vec<u64>);

/// Calls, self, total, began before, open at the end.
pub type Path = (u64, u64, u64, bool, bool);

fn pushes(kind: Kind) -> bool {
    matches!(kind, Kind::Call | Kind::Resume | Kind::Throw | Kind::CCall)
}

fn pops(kind: Kind) -> bool {
    matches!(kind, Kind::Return | Kind::Yield | Kind::Unwind | Kind::CReturn | Kind::CException)
}

impl Thread {
    /// What is open after all records before `tick`.
    pub fn stack_at(&self, tick: u64) -> Vec<Call> {
        let mut stack = self.open.clone();
        for &(at, kind, id) in self.records.iter().filter(|record| record.0 < tick) {
            if pushes(kind) {
                stack.push((id, at, true));
            } else if pops(kind) {
                stack.pop();
            }
        }
        stack
    }

    /// What is open before the record at this place.
    pub fn stack_at_record(&self, number: usize) -> Vec<Call> {
        let before = Self { records: self.records[..number].to_vec(), ..self.clone() };
        before.stack_at(u64::MAX)
    }

    /// The stretches between records, clipped to a range, each with its stack.
    fn stretches(&self, from: u64, to: u64) -> Vec<(u64, Vec<Call>)> {
        let mut out = Vec::new();
        let mut stack = self.open.clone();
        let mut last = self.base;
        let clip = |tick: u64| tick.clamp(from, to);
        for &(at, kind, id) in &self.records {
            out.push((clip(at) - clip(last), stack.clone()));
            last = at;
            if pushes(kind) {
                stack.push((id, at, true));
            } else if pops(kind) {
                stack.pop();
            }
        }
        out.push((clip(self.end.max(last)) - clip(last), stack));
        out
    }

    /// The report of a range, by function.
    pub fn report(&self, from: u64, to: u64) -> BTreeMap<u32, Figures> {
        let mut figures: BTreeMap<u32, Figures> = BTreeMap::new();
        for (ticks, stack) in self.stretches(from, to) {
            if let Some((id, ..)) = stack.last() {
                figures.entry(*id).or_default().1 += ticks;
            }
            for id in stack.iter().map(|call| call.0).collect::<BTreeSet<_>>() {
                figures.entry(id).or_default().2 += ticks;
            }
        }
        let mut stack = self.open.clone();
        for &(at, kind, id) in &self.records {
            let inside = at >= from && at < to;
            if pushes(kind) {
                stack.push((id, at, true));
                if inside && matches!(kind, Kind::Call | Kind::CCall) {
                    figures.entry(id).or_default().0 += 1;
                }
            } else if pops(kind)
                && let Some((id, since, true)) = stack.pop()
                && inside
            {
                figures.entry(id).or_default().3.push(at - since);
            }
        }
        figures
    }

    /// The tree of a range, by path.
    pub fn tree(&self, from: u64, to: u64) -> BTreeMap<Vec<u32>, Path> {
        let mut paths: BTreeMap<Vec<u32>, Path> = BTreeMap::new();
        for (ticks, stack) in self.stretches(from, to) {
            let ids: Vec<u32> = stack.iter().map(|call| call.0).collect();
            for depth in 1..=ids.len() {
                let path = paths.entry(ids[..depth].to_vec()).or_default();
                path.2 += ticks;
                path.1 += if depth == ids.len() { ticks } else { 0 };
            }
        }
        let mut mark = |stack: Vec<Call>, which: fn(&mut Path) -> &mut bool| {
            let ids: Vec<u32> = stack.iter().map(|call| call.0).collect();
            for depth in 1..=ids.len() {
                *which(paths.entry(ids[..depth].to_vec()).or_default()) = true;
            }
        };
        mark(self.stack_at(from), |path| &mut path.3);
        mark(self.stack_at(to), |path| &mut path.4);
        let mut stack: Vec<u32> = self.open.iter().map(|call| call.0).collect();
        for &(at, kind, id) in &self.records {
            if pushes(kind) {
                stack.push(id);
                if at >= from && at < to && matches!(kind, Kind::Call | Kind::CCall) {
                    paths.entry(stack.clone()).or_default().0 += 1;
                }
            } else if pops(kind) {
                stack.pop();
            }
        }
        paths
    }
}
