//! What recording itself cost, and reports without it.
//!
//! The recorder measures at its start what the two events of an empty call add, hook and
//! record together. Where in the call that time passes is not known: half is taken to pass
//! inside the call, in its own time, and half around it, in its caller's. So a function pays
//! for one event of each of its calls and for one of each call that it made. Self is never less
//! than nothing, and total is the sum of what is left of all calls within.

use std::collections::HashMap;

use rtrace_format::{Clock, SymbolKind};

use super::info::Info;
use super::report::Report;
use super::tree::{LaneTree, tree};
use crate::model::{Process, SymbolId};
use crate::trace::{Selection, Symbols, Trace};

/// What recording a process cost, estimated by what was measured at its start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// An event of Python code, in ns.
    pub event_ns: f64,
    /// An event of a C call, in ns; `None` where none are recorded.
    pub c_event_ns: Option<f64>,
    /// Events a second, those taken back and lost among them.
    pub events_per_s: f64,
    /// All of them together, in ns.
    pub own_ns: f64,
    /// The time of the process over what would be left of it; `None` where nothing would.
    pub slowdown: Option<f64>,
}

/// What recording cost the process `index`; `None` where its events have no price.
pub fn cost(trace: &Trace, info: &Info, index: usize) -> Option<Cost> {
    let process = trace.processes.get(index).filter(|process| process.event_cost_ps > 0)?;
    let threads = info.threads.iter().filter(|t| trace.threads[t.thread].process == index);
    let mut events = process.lost_without_ring as f64 + process.overwritten_events as f64;
    let mut born = process.last_tick;
    for thread in threads {
        events += (thread.events + thread.lost_events + thread.overwritten_events) as f64;
        born = born.min(trace.threads[thread.thread].born_tick);
    }
    events += process.figures.iter().map(|(_, figures)| 2.0 * figures.taken as f64).sum::<f64>();
    let event_ns = process.event_cost_ps as f64 / 1000.0;
    let c_event_ns =
        (process.c_event_cost_ps > 0).then_some(process.c_event_cost_ps as f64 / 1000.0);
    // Which of both an event is takes a look at every record: the mean has to do.
    let mean_ns = c_event_ns.map_or(event_ns, |c| (event_ns + c) / 2.0);
    let ns = trace.clock.duration_ns(process.last_tick.saturating_sub(born)) as f64;
    let own_ns = events * mean_ns;
    Some(Cost {
        event_ns,
        c_event_ns,
        events_per_s: if ns > 0.0 { events * 1e9 / ns } else { 0.0 },
        own_ns,
        slowdown: (own_ns < ns).then(|| ns / (ns - own_ns)),
    })
}

/// Self and total of one function without the recorder's time, in ticks.
#[derive(Clone, Copy, Debug, Default)]
struct Net {
    own: f64,
    total: f64,
}

/// Takes the recorder's own time out of self and total of a report. Gives the ticks that were
/// taken out; `None`, and nothing is changed, where no process of the selection has prices.
pub fn subtract(trace: &Trace, selection: &Selection, report: &mut Report) -> Option<u64> {
    let everything = Selection { functions: None, limit: None, ..selection.clone() };
    let mut net: HashMap<SymbolId, Net> = HashMap::new();
    let (mut before, mut after, mut any) = (0.0, 0.0, false);
    for lane in &tree(trace, &everything).lanes {
        let process = trace.process_of(&trace.threads[lane.thread]);
        any |= process.event_cost_ps > 0;
        add_lane(&trace.symbols, &Prices::of(process, &trace.clock), lane, &mut net);
    }
    if !any {
        return None;
    }
    for function in &mut report.functions {
        let found = net.get(&function.symbol).copied().unwrap_or_default();
        before += function.self_ticks as f64;
        function.self_ticks = function.self_ticks.min(found.own.max(0.0) as u64);
        function.total_ticks = function.total_ticks.min(found.total.max(0.0) as u64);
        after += function.self_ticks as f64;
    }
    Some((before - after) as u64)
}

/// What one event costs, in ticks.
struct Prices {
    python: f64,
    c: f64,
}

impl Prices {
    fn of(process: &Process, clock: &Clock) -> Prices {
        let ticks = |ps: u64| ps as f64 / 1000.0 * (1u64 << clock.shift) as f64 / clock.mult as f64;
        Prices { python: ticks(process.event_cost_ps), c: ticks(process.c_event_cost_ps) }
    }
}

fn add_lane(symbols: &Symbols, prices: &Prices, lane: &LaneTree, net: &mut HashMap<SymbolId, Net>) {
    let price = |symbol| match symbols.get(symbol).kind {
        SymbolKind::C => prices.c,
        _ => prices.python,
    };
    let events: Vec<f64> =
        lane.nodes.iter().map(|node| node.calls as f64 * price(node.symbol)).collect();
    let mut own: Vec<f64> =
        lane.nodes.iter().zip(&events).map(|(node, own)| node.self_ticks as f64 - own).collect();
    for (node, around) in lane.nodes.iter().zip(&events) {
        if let Some(parent) = node.parent {
            own[parent as usize] -= around;
        }
    }
    own.iter_mut().for_each(|ticks| *ticks = ticks.max(0.0));
    // Nodes come after their parents: from the last on, each hands its total up.
    let mut total = own.clone();
    for (index, node) in lane.nodes.iter().enumerate().rev() {
        if let Some(parent) = node.parent {
            total[parent as usize] += total[index];
        }
    }
    let is_outermost = outermost(lane);
    for (index, node) in lane.nodes.iter().enumerate() {
        let sum = net.entry(node.symbol).or_default();
        sum.own += own[index];
        if is_outermost[index] {
            sum.total += total[index];
        }
    }
}

/// Of each node whether no caller of it is of the same function: recursion counts once.
fn outermost(lane: &LaneTree) -> Vec<bool> {
    let mut is_outermost = vec![false; lane.nodes.len()];
    let mut open: HashMap<SymbolId, u32> = HashMap::new();
    // Each node twice: on the way in, and on the way out.
    let mut path: Vec<(u32, bool)> = lane.roots.iter().map(|&root| (root, true)).collect();
    while let Some((index, entering)) = path.pop() {
        let node = &lane.nodes[index as usize];
        let count = open.entry(node.symbol).or_default();
        if !entering {
            *count -= 1;
            continue;
        }
        is_outermost[index as usize] = *count == 0;
        *count += 1;
        path.push((index, false));
        path.extend(node.children.iter().map(|&child| (child, true)));
    }
    is_outermost
}
