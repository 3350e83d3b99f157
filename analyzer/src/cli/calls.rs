//! `rtrace-view calls`.

use std::process::ExitCode;

use anyhow::Result;

use super::output;
use super::table::{Align, Table, grouped};
use crate::escape;
use crate::filter::Filter;
use crate::json::Json;
use crate::query::calls::{CallEnd, Lasting, lasting};
use crate::time;
use crate::trace::{Selection, Trace};

/// So many calls are told where no limit is given: a screen of them.
const SCREEN: usize = 50;

/// Prints the longest single calls, of `longer_than` nanoseconds at least.
///
/// # Errors
/// Standard output cannot be written.
pub fn run(trace: &Trace, filter: &Filter, longer_than: u64, json: bool) -> Result<ExitCode> {
    let limit = filter.limit.unwrap_or(SCREEN);
    // One more, to know whether there are more.
    let selection = Selection { limit: limit.checked_add(1), ..trace.select(filter) };
    let mut calls =
        lasting(trace, &selection, &|ticks| trace.clock.duration_ns(ticks) >= longer_than);
    let more = calls.len() > limit;
    calls.truncate(limit);
    if json {
        return Ok(output::print_json(to_json(trace, &calls, more))?);
    }
    Ok(output::print(&to_text(trace, &calls, more, output::width()))?)
}

fn end_name(end: CallEnd) -> &'static str {
    match end {
        CallEnd::Returned(_) => "returned",
        CallEnd::Unwound(_) => "unwound",
        CallEnd::Yielded(_) => "yielded",
        CallEnd::Open(_) => "open",
        CallEnd::Unknown(_) => "unknown",
    }
}

fn to_json(trace: &Trace, calls: &[Lasting], more: bool) -> Json {
    let mut json = Json::new();
    json.object(|j| {
        j.key("more").bool(more);
        j.key("calls").array(|j| {
            for call in calls {
                let thread = &trace.threads[call.thread];
                j.object(|j| {
                    trace.symbol_json(j, call.symbol);
                    j.key("pid").uint(trace.process_of(thread).pid.into());
                    j.key("tid").uint(thread.tid.into());
                    j.key("serial").uint(thread.serial);
                    j.key("fiber").uint(call.fiber.into());
                    j.key("depth").uint(call.depth.into());
                    j.key("start_ns").int(trace.clock.ns(call.start));
                    j.key("duration_ns").uint(trace.clock.duration_ns(call.ticks()));
                    j.key("end").text(end_name(call.end).as_bytes());
                });
            }
        });
    });
    json
}

fn to_text(trace: &Trace, calls: &[Lasting], more: bool, width: usize) -> String {
    use Align::{Left, Right};
    if calls.is_empty() {
        return "no call in this selection\n".to_owned();
    }
    let mut table = Table::new(&[
        ("took", Right),
        ("from", Right),
        ("thread", Right),
        ("depth", Right),
        ("end", Left),
        ("function", Left),
    ]);
    for call in calls {
        let thread = &trace.threads[call.thread];
        table.row(vec![
            time::human(trace.clock.duration_ns(call.ticks())),
            time::seconds(trace.clock.ns(call.start)),
            thread.serial.to_string(),
            grouped(call.depth.into()),
            end_name(call.end).to_owned(),
            escape::text(&trace.symbols.full_name(call.symbol)).into_owned(),
        ]);
    }
    let mut out = table.render(width);
    if more {
        out.push_str("… more; --limit tells how many are shown\n");
    }
    out
}
