//! `rtrace-view info`.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Result;

use super::output;
use super::report::demoted_json;
use super::table::{Align, Table, bytes, grouped};
use crate::escape;
use crate::filter::Filter;
use crate::json::Json;
use crate::model::{Process, SymbolId};
use crate::query::info::{Info, ThreadInfo, info};
use crate::query::leftout::LeftOut;
use crate::query::net::{self, Cost};
use crate::time;
use crate::trace::Trace;

/// Prints what a trace holds.
///
/// # Errors
/// Standard output cannot be written.
pub fn run(trace: &Trace, filter: &Filter, json: bool) -> Result<ExitCode> {
    let answer = info(trace, filter);
    if json {
        return Ok(output::print_json(to_json(trace, &answer))?);
    }
    Ok(output::print(&to_text(trace, &answer, output::width()))?)
}

fn to_json(trace: &Trace, info: &Info) -> Json {
    let mut json = Json::new();
    json.object(|j| {
        let (major, minor) = trace.version;
        j.key("format_version").text(format!("{major}.{minor}").as_bytes());
        j.key("trace_id").text(trace.trace_id().as_bytes());
        j.key("started_at").text(time::rfc3339(trace.started_at_ns).as_bytes());
        j.key("duration_ns").uint(info.duration_ns);
        j.key("events").uint(info.events);
        j.key("lost_events").uint(info.lost_events);
        j.key("overwritten_events").uint(info.overwritten_events);
        j.key("file_bytes").uint(trace.file_bytes);
        j.key("clock").text(trace.clock.source.name().as_bytes());
        j.key("processes").array(|j| {
            for (index, process) in trace.processes.iter().enumerate() {
                j.object(|j| {
                    j.key("pid").uint(process.pid.into());
                    j.key("ppid").uint(process.ppid.into());
                    j.key("python").text(&process.python);
                    j.key("hook").text(process.hook.name().as_bytes());
                    j.key("mode").text(process.mode.name().as_bytes());
                    j.key("argv").array(|j| process.argv.iter().for_each(|arg| j.text(arg)));
                    j.key("end").text(process.end.name().as_bytes());
                    j.key("exit_code").int_or_null(process.exit_code.map(i64::from));
                    cost_json(j, net::cost(trace, info, index).as_ref());
                    left_out_json(trace, j, process);
                    j.key("overwritten_threads").uint(process.overwritten_threads);
                    j.key("threads").array(|j| {
                        let threads = info.threads.iter();
                        for thread in threads.filter(|t| trace.threads[t.thread].process == index) {
                            thread_json(trace, j, thread);
                        }
                    });
                });
            }
        });
    });
    json
}

/// What recording a process cost.
fn cost_json(j: &mut Json, cost: Option<&Cost>) {
    j.key("cost");
    let Some(cost) = cost else { return j.null() };
    j.object(|j| {
        j.key("event_ns").float(cost.event_ns);
        j.key("c_event_ns");
        match cost.c_event_ns {
            Some(ns) => j.float(ns),
            None => j.null(),
        }
        j.key("events_per_s").float(cost.events_per_s);
        j.key("own_ns").uint(cost.own_ns as u64);
        j.key("slowdown");
        match cost.slowdown {
            Some(slowdown) => j.float(slowdown),
            None => j.null(),
        }
    });
}

fn cost_text(cost: &Cost) -> String {
    let mut text = format!("  an event cost {:.1} ns", cost.event_ns);
    if let Some(ns) = cost.c_event_ns {
        text += &format!(", one of a C call {ns:.1} ns");
    }
    let rate = grouped(cost.events_per_s as u64);
    text += &format!("; {rate} events/s, {} together", time::human(cost.own_ns as u64));
    if let Some(slowdown) = cost.slowdown {
        text += &format!(": slowdown ×{slowdown:.2}, estimated");
    }
    text + "\n"
}

/// What a process left out of its records on purpose.
fn left_out_json(trace: &Trace, j: &mut Json, process: &Process) {
    let left = LeftOut::of_processes([process]);
    let taken = taken_back(&left);
    j.key("filtered_functions").uint(process.filtered);
    j.key("taken_back").object(|j| {
        j.key("functions").uint(taken.0);
        j.key("calls").uint(taken.1);
        j.key("ns").uint(trace.clock.duration_ns(taken.2));
    });
    j.key("demoted").array(|j| {
        for (symbol, demoted) in left.iter().filter_map(|(id, left)| Some((id, left.demoted()?))) {
            j.object(|j| {
                trace.symbol_json(j, *symbol);
                demoted_json(trace, j, &demoted);
            });
        }
    });
}

/// How many functions had calls taken back, how many calls, and their ticks.
fn taken_back(left: &BTreeMap<SymbolId, LeftOut>) -> (u64, u64, u64) {
    let taken = left.values().map(LeftOut::taken_back).filter(|(calls, _)| *calls > 0);
    taken.fold((0, 0, 0), |sum, (calls, ticks)| (sum.0 + 1, sum.1 + calls, sum.2 + ticks))
}

fn thread_json(trace: &Trace, j: &mut Json, info: &ThreadInfo) {
    let thread = &trace.threads[info.thread];
    j.object(|j| {
        j.key("serial").uint(thread.serial);
        j.key("tid").uint(thread.tid.into());
        j.key("name").text(&thread.name);
        j.key("events").uint(info.events);
        j.key("lost_events").uint(info.lost_events);
        j.key("overwritten_events").uint(info.overwritten_events);
        j.key("first_ns").int_or_null(info.first_tick.map(|tick| trace.clock.ns(tick)));
        j.key("last_ns").int_or_null(info.last_tick.map(|tick| trace.clock.ns(tick)));
    });
}

fn to_text(trace: &Trace, info: &Info, width: usize) -> String {
    let mut out = String::new();
    let mut line = |name: &str, value: String| out.push_str(&format!("{name:<12} {value}\n"));
    let (major, minor) = trace.version;
    line("trace", escape::text(trace.path.as_os_str().as_encoded_bytes()).into_owned());
    line("id", trace.trace_id());
    line("format", format!("{major}.{minor}, {}", bytes(trace.file_bytes)));
    line("started", time::rfc3339(trace.started_at_ns));
    line("duration", time::human(info.duration_ns));
    line("clock", trace.clock.source.name().to_owned());
    line("events", grouped(info.events));
    line("lost", losses(info));
    if info.overwritten_events > 0 {
        let overwritten = grouped(info.overwritten_events);
        line(
            "overwritten",
            format!("{overwritten} (flight mode keeps the last part of each thread)"),
        );
    }
    for (index, process) in trace.processes.iter().enumerate() {
        let argv: Vec<_> = process.argv.iter().map(|arg| escape::text(arg)).collect();
        let code =
            process.exit_code.map_or_else(String::new, |code| format!(", exit status {code}"));
        out.push_str(&format!(
            "\nprocess {}  (parent {})  {}{code}  python {}  {} {}\n  {}\n",
            process.pid,
            process.ppid,
            process.end.name(),
            escape::text(&process.python),
            process.mode.name(),
            process.hook.name(),
            super::table::shorten(&argv.join(" "), width.saturating_sub(2)),
        ));
        if let Some(cost) = net::cost(trace, info, index) {
            out.push_str(&cost_text(&cost));
        }
        let left = LeftOut::of_processes([process]);
        let (functions, calls, ticks) = taken_back(&left);
        if calls > 0 {
            out.push_str(&format!(
                "  {} short calls of {} functions taken back, {} together\n",
                grouped(calls),
                grouped(functions),
                time::human(trace.clock.duration_ns(ticks)),
            ));
        }
        let demoted = left.values().filter(|left| left.demoted().is_some()).count();
        if demoted > 0 {
            out.push_str(&format!(
                "  {} functions demoted to keep the budget: their figures are lower bounds \
                 (rtrace-view report)\n",
                grouped(demoted as u64),
            ));
        }
        if process.filtered > 0 {
            let filtered = grouped(process.filtered);
            out.push_str(&format!("  {filtered} functions not recorded, by the filters\n"));
        }
        if process.lost_without_ring > 0 {
            let lost = grouped(process.lost_without_ring);
            let why: Vec<&str> =
                process.lost_causes.iter().map(|(cause, _)| cause.name()).collect();
            let why = why.join(", ");
            out.push_str(&format!("  {lost} events lost in threads that had no ring ({why})\n"));
        }
        if process.overwritten_threads > 0 {
            let threads = grouped(process.overwritten_threads);
            let events = grouped(process.overwritten_events);
            out.push_str(&format!(
                "  {threads} ended threads overwritten whole, with {events} events\n"
            ));
        }
        let threads: Vec<&ThreadInfo> =
            info.threads.iter().filter(|t| trace.threads[t.thread].process == index).collect();
        if !threads.is_empty() {
            out.push_str(&thread_table(trace, &threads, width));
        }
    }
    for problem in &trace.problems {
        out.push_str(&format!("\nproblem at offset {}: {}\n", problem.offset, problem.what));
    }
    out
}

fn losses(info: &Info) -> String {
    let mut causes: Vec<(&str, u64)> = Vec::new();
    for (cause, count) in info.threads.iter().flat_map(|thread| &thread.causes) {
        match causes.iter_mut().find(|(name, _)| *name == cause.name()) {
            Some((_, sum)) => *sum = sum.saturating_add(*count),
            None => causes.push((cause.name(), *count)),
        }
    }
    if causes.is_empty() {
        return grouped(info.lost_events);
    }
    let causes: Vec<String> = causes
        .iter()
        .map(|(name, count)| match count {
            0 => format!("{name}: nobody knows how many"),
            _ => format!("{name} {}", grouped(*count)),
        })
        .collect();
    format!("{} ({})", grouped(info.lost_events), causes.join(", "))
}

fn thread_table(trace: &Trace, threads: &[&ThreadInfo], width: usize) -> String {
    use Align::{Left, Right};
    let mut table = Table::new(&[
        ("thread", Right),
        ("tid", Right),
        ("events", Right),
        ("lost", Right),
        ("overwritten", Right),
        ("first", Right),
        ("last", Right),
        ("name", Left),
    ]);
    for info in threads {
        let thread = &trace.threads[info.thread];
        let at = |tick: Option<u64>| {
            tick.map_or_else(|| "-".to_owned(), |tick| time::seconds(trace.clock.ns(tick)))
        };
        table.row(vec![
            thread.serial.to_string(),
            thread.tid.to_string(),
            grouped(info.events),
            grouped(info.lost_events),
            grouped(info.overwritten_events),
            at(info.first_tick),
            at(info.last_tick),
            escape::text(&thread.name).into_owned(),
        ]);
    }
    table.render(width)
}
