//! The tables of a trace: functions and exceptions of a range, in parts between which a question
//! can be cancelled.

use std::collections::HashMap;

use rtrace_format::histogram::upper_edge;
use rtrace_format::summary::Spans;

use crate::model::{SymbolId, Thread, TickRange};
use crate::query::exceptions::exceptions;
use crate::query::report::report;
use crate::query::tree::tree_until;
use crate::tui::source::{
    CallTree, ExceptionRow, Exceptions, FunctionRow, Functions, Latency, NOBODY, Part, TreeNode,
};
use crate::tui::worker::Ticket;

use super::Traced;

/// How many events of the function table are counted between two looks at the ticket.
const PORTION: u64 = 1_000_000;
impl Traced {
    /// The functions of a part; `None` if cancelled.
    pub(super) fn function_table(&self, part: &Part, ticket: &Ticket) -> Option<Functions> {
        let all = self.selection(part);
        let mut sums: HashMap<SymbolId, Sum> = HashMap::new();
        let mut complete = true;
        let portions: Vec<(usize, TickRange)> = all
            .threads
            .iter()
            .flat_map(|&thread| portions(&self.trace.threads[thread], thread, all.range))
            .collect();
        for (done, &(thread, range)) in portions.iter().enumerate() {
            if ticket.cancelled() {
                return None;
            }
            let mut selection = all.clone();
            (selection.threads, selection.range) = (vec![thread], range);
            selection.all_threads = self.trace.threads.len() == 1;
            let portion = report(&self.trace, &selection);
            complete &= portion.complete;
            for function in portion.functions {
                let sum = sums.entry(function.symbol).or_default();
                sum.calls += function.calls;
                sum.own += function.self_ticks;
                sum.total += function.total_ticks;
                if let Some(spans) = &function.spans {
                    sum.spans.merge(&spans.sums);
                }
            }
            if portions.len() > 4 {
                ticket.progress(done as u64 + 1, portions.len() as u64);
            }
        }
        let ns = |ticks| self.trace.clock.duration_ns(ticks);
        let rows = sums.into_iter().map(|(symbol, sum)| FunctionRow {
            symbol,
            calls: sum.calls,
            self_ns: ns(sum.own),
            total_ns: ns(sum.total),
            p50_ns: sum.spans.quantile(500).map(ns),
            p99_ns: sum.spans.quantile(990).map(ns),
            max_ns: (sum.spans.count > 0).then(|| ns(sum.spans.max)),
            latency: self.latency(&sum.spans),
        });
        Some(Functions { part: part.clone(), rows: rows.collect(), complete })
    }

    fn latency(&self, spans: &Spans) -> Latency {
        let mut latency = Latency::default();
        for &(bin, count) in spans.histogram.bins() {
            let ticks = upper_edge(bin).min(spans.max);
            latency.add(self.trace.clock.duration_ns(ticks), count);
        }
        latency
    }

    /// The exceptions of a part; `None` if cancelled.
    pub(super) fn exception_table(&self, asked: &Part, ticket: &Ticket) -> Option<Exceptions> {
        let trace = &self.trace;
        let all = self.selection(asked);
        let mut rows: HashMap<(String, u32, u32), ExceptionRow> = HashMap::new();
        for &thread in &all.threads {
            if ticket.cancelled() {
                return None;
            }
            let mut selection = all.clone();
            selection.threads = vec![thread];
            let part = exceptions(trace, &selection);
            let lane = self.lanes.iter().position(|of| of.thread == thread).unwrap_or(0);
            let raised = part.exceptions.into_iter().map(|e| ExceptionRow {
                what: self.exception_text(e.type_symbol, &e.message),
                symbol: e.function,
                line: e.line,
                lane,
                count: e.count,
                handled: Some(e.handled),
                escaped: Some(e.escaped),
                first: self.ns(e.first_tick),
                last: self.ns(e.last_tick),
            });
            let unwound = part.unwinds.into_iter().map(|u| ExceptionRow {
                what: "(left by an exception)".to_owned(),
                symbol: u.symbol,
                line: 0,
                lane,
                count: u.count,
                handled: None,
                escaped: None,
                first: self.ns(u.first_tick),
                last: self.ns(u.last_tick),
            });
            for row in raised.chain(unwound) {
                let same = (row.what.clone(), row.symbol, row.line);
                match rows.get_mut(&same) {
                    Some(sum) => add_up(sum, &row),
                    None => drop(rows.insert(same, row)),
                }
            }
        }
        let mut rows: Vec<ExceptionRow> = rows.into_values().collect();
        rows.sort_by(|a, b| b.count.cmp(&a.count).then(a.first.cmp(&b.first)));
        Some(Exceptions { part: asked.clone(), rows })
    }
}

impl Traced {
    /// The calls of a part by call path, all threads together; `None` if cancelled.
    pub(super) fn call_tree(&self, part: &Part, ticket: &Ticket) -> Option<CallTree> {
        let selection = self.selection(part);
        let tree = tree_until(&self.trace, &selection, &|| ticket.cancelled())?;
        let mut out = CallTree { complete: tree.complete, ..CallTree::default() };
        // Level by level, so that siblings stand together: of each node made, the nodes of lanes
        // that are to be its children.
        let roots = tree.lanes.iter().enumerate();
        let mut left: Vec<(usize, u32)> =
            roots.flat_map(|(lane, of)| of.roots.iter().map(move |&node| (lane, node))).collect();
        let mut sources: Vec<Vec<(usize, u32)>> = Vec::new();
        let mut parent = NOBODY;
        loop {
            let first = out.nodes.len() as u32;
            for (symbol, nodes) in self.siblings(&tree.lanes, std::mem::take(&mut left)) {
                let sum = |what: fn(&crate::query::tree::Node) -> u64| -> u64 {
                    nodes.iter().map(|&(lane, i)| what(&tree.lanes[lane].nodes[i as usize])).sum()
                };
                out.nodes.push(TreeNode {
                    symbol,
                    parent,
                    calls: sum(|node| node.calls),
                    self_ns: self.trace.clock.duration_ns(sum(|node| node.self_ticks)),
                    total_ns: self.trace.clock.duration_ns(sum(|node| node.total_ticks)),
                    children: (0, 0),
                });
                sources.push(nodes);
            }
            let children = (first, out.nodes.len() as u32);
            match out.nodes.get_mut(parent as usize) {
                Some(node) => node.children = children,
                None => out.roots = children.1,
            }
            parent = parent.wrapping_add(1);
            let Some(nodes) = sources.get_mut(parent as usize) else { return Some(out) };
            if parent.is_multiple_of(4_096) && ticket.cancelled() {
                return None;
            }
            for (lane, node) in std::mem::take(nodes) {
                let of = &tree.lanes[lane];
                left.extend(of.nodes[node as usize].children.iter().map(|&child| (lane, child)));
            }
        }
    }

    /// Nodes of lanes by function, the longest first.
    fn siblings(
        &self,
        lanes: &[crate::query::tree::LaneTree],
        nodes: Vec<(usize, u32)>,
    ) -> Vec<(SymbolId, Vec<(usize, u32)>)> {
        let of = |&(lane, node): &(usize, u32)| &lanes[lane].nodes[node as usize];
        let mut sorted = nodes;
        sorted.sort_by_key(|node| of(node).symbol);
        let mut out: Vec<(SymbolId, Vec<(usize, u32)>)> = sorted
            .chunk_by(|a, b| of(a).symbol == of(b).symbol)
            .map(|same| (of(&same[0]).symbol, same.to_vec()))
            .collect();
        let total =
            |nodes: &[(usize, u32)]| -> u64 { nodes.iter().map(|n| of(n).total_ticks).sum() };
        out.sort_by_cached_key(|(symbol, nodes)| (std::cmp::Reverse(total(nodes)), *symbol));
        out
    }
}

fn add_up(sum: &mut ExceptionRow, row: &ExceptionRow) {
    sum.count += row.count;
    sum.handled = sum.handled.zip(row.handled).map(|(a, b)| a + b);
    sum.escaped = sum.escaped.zip(row.escaped).map(|(a, b)| a + b);
    if row.first < sum.first {
        (sum.first, sum.lane) = (row.first, row.lane);
    }
    sum.last = sum.last.max(row.last);
}

#[derive(Default)]
struct Sum {
    calls: u64,
    own: u64,
    total: u64,
    spans: Spans,
}

/// Cuts a range into parts of about a million events of one thread each.
fn portions(thread: &Thread, index: usize, range: TickRange) -> Vec<(usize, TickRange)> {
    let mut portions = Vec::new();
    let mut from = range.from;
    let mut events = 0;
    for block in thread.blocks.iter().filter(|b| b.base_tick < range.to && b.end_tick >= range.from)
    {
        if events >= PORTION && block.base_tick > from {
            portions.push((index, TickRange { from, to: block.base_tick }));
            from = block.base_tick;
            events = 0;
        }
        events += block.events;
    }
    portions.push((index, TickRange { from, to: range.to }));
    portions
}
