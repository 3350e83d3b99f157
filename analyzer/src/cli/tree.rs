//! `rtrace-view tree`.

use std::process::ExitCode;

use anyhow::Result;

use super::output;
use super::table::{grouped, shorten};
use crate::escape;
use crate::filter::Filter;
use crate::json::Json;
use crate::query::tree::{LaneTree, Tree, tree};
use crate::time;
use crate::trace::{Trace, place};

/// Prints the calls of a trace by call path.
///
/// # Errors
/// Standard output cannot be written.
pub fn run(trace: &Trace, filter: &Filter, json: bool) -> Result<ExitCode> {
    let selection = trace.select(filter);
    let answer = tree(trace, &selection);
    if json {
        return Ok(output::print_json(to_json(trace, &answer))?);
    }
    Ok(output::print(&to_text(trace, &answer, output::width()))?)
}

fn to_json(trace: &Trace, tree: &Tree) -> Json {
    let mut json = Json::new();
    json.object(|j| {
        j.key("lanes").array(|j| {
            for lane in &tree.lanes {
                j.object(|j| {
                    let thread = &trace.threads[lane.thread];
                    j.key("pid").uint(trace.processes[thread.process].pid.into());
                    j.key("serial").uint(thread.serial);
                    j.key("fiber").uint(lane.fiber.into());
                    j.key("name").text(&thread.name);
                    j.key("roots");
                    nodes_json(trace, j, lane);
                });
            }
        });
    });
    json
}

/// Writes the array of a lane's roots. A path may be as deep as a program's
/// recursion, so this walks with a stack of its own.
fn nodes_json(trace: &Trace, json: &mut Json, lane: &LaneTree) {
    json.open(b'[');
    let mut left: Vec<(&[u32], usize)> = vec![(&lane.roots, 0)];
    while let Some((siblings, at)) = left.pop() {
        let Some(&index) = siblings.get(at) else {
            json.close(b']');
            if !left.is_empty() {
                json.close(b'}');
            }
            continue;
        };
        left.push((siblings, at + 1));
        let node = &lane.nodes[index as usize];
        json.open(b'{');
        trace.symbol_json(json, node.symbol);
        json.key("calls").uint(node.calls);
        json.key("self_ns").uint(trace.clock.duration_ns(node.self_ticks));
        json.key("total_ns").uint(trace.clock.duration_ns(node.total_ticks));
        json.key("began_before").bool(node.began_before);
        json.key("open").bool(node.open);
        json.key("children").open(b'[');
        left.push((&node.children, 0));
    }
}

fn to_text(trace: &Trace, tree: &Tree, width: usize) -> String {
    let mut out = String::new();
    for lane in &tree.lanes {
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&trace.lane_title(lane.thread, lane.fiber));
        out.push_str(&format!("\n{:>9} {:>9} {:>10}  function\n", "total", "self", "calls"));
        let mut left: Vec<(u32, usize)> = lane.roots.iter().rev().map(|&root| (root, 0)).collect();
        while let Some((index, depth)) = left.pop() {
            let node = &lane.nodes[index as usize];
            let mut name = escape::text(&trace.symbols.full_name(node.symbol)).into_owned();
            let at = place(&trace.symbols, node.symbol);
            if !at.is_empty() {
                name = format!("{name}  {at}");
            }
            // Beyond some depth the indent would push every name off the screen.
            let indent = (depth * 2).min(width / 3);
            let depth_mark = if depth * 2 > indent { format!("[{depth}] ") } else { String::new() };
            let before = if node.began_before { "◁ " } else { "" };
            let open = if node.open { " ▷" } else { "" };
            let room = width.saturating_sub(32 + indent).max(16);
            out.push_str(&format!(
                "{:>9} {:>9} {:>10}  {:indent$}{}\n",
                time::human(trace.clock.duration_ns(node.total_ticks)),
                time::human(trace.clock.duration_ns(node.self_ticks)),
                grouped(node.calls),
                "",
                shorten(&format!("{depth_mark}{before}{name}{open}"), room),
            ));
            left.extend(node.children.iter().rev().map(|&child| (child, depth + 1)));
        }
        if lane.hidden > 0 {
            out.push_str(&format!("… {} lighter paths\n", grouped(lane.hidden as u64)));
        }
    }
    if out.is_empty() {
        out.push_str("no calls in this selection\n");
    }
    if !tree.complete {
        out.push_str(
            "Incomplete: records are missing in this range, so figures are lower bounds.\n",
        );
    }
    out
}
