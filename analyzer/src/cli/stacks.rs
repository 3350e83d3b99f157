//! `rtrace-view stacks`.

use std::collections::HashSet;
use std::process::ExitCode;

use anyhow::Result;

use super::output;
use super::table::{grouped, shorten};
use crate::escape;
use crate::filter::Filter;
use crate::json::Json;
use crate::model::End;
use crate::query::stacks::{LaneStack, Level, stacks};
use crate::time;
use crate::trace::{Trace, place};

/// Prints the stacks at the end of the trace, or at the time `--to`.
///
/// # Errors
/// Standard output cannot be written.
pub fn run(trace: &Trace, filter: &Filter, json: bool) -> Result<ExitCode> {
    let selection = trace.select(filter);
    let mut answer = stacks(trace, &selection);
    let all = answer.len();
    answer.truncate(filter.limit.unwrap_or(usize::MAX));
    if json {
        return Ok(output::print_json(to_json(trace, &answer))?);
    }
    Ok(output::print(&to_text(trace, &answer, all, output::width()))?)
}

fn to_json(trace: &Trace, stacks: &[LaneStack]) -> Json {
    let mut json = Json::new();
    json.object(|j| {
        j.key("threads").array(|j| {
            for lane in stacks {
                let thread = &trace.threads[lane.thread];
                j.object(|j| {
                    j.key("pid").uint(trace.processes[thread.process].pid.into());
                    j.key("tid").uint(thread.tid.into());
                    j.key("serial").uint(thread.serial);
                    j.key("fiber").uint(lane.fiber.into());
                    j.key("name").text(&thread.name);
                    j.key("frames").array(|j| {
                        for level in &lane.levels {
                            j.object(|j| level_json(trace, j, level));
                        }
                    });
                });
            }
        });
    });
    json
}

fn level_json(trace: &Trace, j: &mut Json, level: &Level) {
    match level {
        Level::Frame { symbol, open_ticks, began_before } => {
            trace.symbol_json(j, *symbol);
            j.key("open_ns").uint_or_null(open_ticks.map(|ticks| trace.clock.duration_ns(ticks)));
            j.key("began_before").bool(*began_before);
        }
        Level::Hidden { count } => {
            j.key("name").text(format!("… {count} frames").as_bytes());
            j.key("module").text(b"");
            j.key("file").null();
            j.key("line").null();
            j.key("kind").text(b"python");
            j.key("open_ns").null();
            j.key("began_before").bool(false);
            j.key("hidden").uint((*count).into());
        }
    }
}

fn to_text(trace: &Trace, stacks: &[LaneStack], all: usize, width: usize) -> String {
    let mut out = String::new();
    let mut idle = 0;
    let busy: HashSet<usize> =
        stacks.iter().filter(|lane| !lane.levels.is_empty()).map(|lane| lane.thread).collect();
    for lane in stacks {
        let thread = &trace.threads[lane.thread];
        if lane.levels.is_empty() {
            idle += usize::from(!busy.contains(&lane.thread));
            continue;
        }
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&trace.lane_title(lane.thread, lane.fiber));
        if trace.processes[thread.process].end == End::Killed {
            out.push_str("  (killed)");
        }
        out.push('\n');
        for (level, times) in runs(&lane.levels) {
            let line = match level {
                Level::Frame { symbol, open_ticks, began_before } => {
                    let open = open_ticks.map_or_else(
                        || "?".to_owned(),
                        |ticks| time::human(trace.clock.duration_ns(ticks)),
                    );
                    let name = trace.symbols.full_name(*symbol);
                    let before = if *began_before { "◁ " } else { "" };
                    let name = escape::text(&name);
                    let times = if times > 1 { format!("  ×{times}") } else { String::new() };
                    format!("{open:>9}  {before}{name}{times}  {}", place(&trace.symbols, *symbol))
                }
                Level::Hidden { count } => {
                    format!("{:>9}  … {} frames", "", grouped((*count).into()))
                }
            };
            out.push_str(shorten(line.trim_end(), width).as_str());
            out.push('\n');
        }
    }
    if all == 0 {
        out.push_str("no threads in this selection\n");
    }
    if idle > 0 {
        let lanes = if idle == 1 { "thread has" } else { "threads have" };
        out.push_str(&format!("{idle} {lanes} no open call\n"));
    }
    if all > stacks.len() {
        out.push_str(&format!("… {} more threads\n", all - stacks.len()));
    }
    out
}

/// Levels of one function in a row as one, with their number: what a person needs to
/// see of a recursion is that it is one, and how deep. The outermost tells how long.
fn runs(levels: &[Level]) -> Vec<(&Level, usize)> {
    let mut runs: Vec<(&Level, usize)> = Vec::new();
    for level in levels {
        match (runs.last_mut(), level) {
            (Some((Level::Frame { symbol: a, .. }, times)), Level::Frame { symbol: b, .. })
                if a == b =>
            {
                *times += 1;
            }
            _ => runs.push((level, 1)),
        }
    }
    runs
}
