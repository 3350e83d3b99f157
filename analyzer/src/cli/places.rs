//! `rtrace-view places`.

use std::collections::HashSet;
use std::process::ExitCode;

use anyhow::Result;

use super::output;
use super::table::{Align, Table, grouped};
use crate::escape;
use crate::filter::Filter;
use crate::json::Json;
use crate::model::SymbolId;
use crate::query::places::{Stretch, stretches};
use crate::time;
use crate::trace::Trace;

/// Prints where functions ran, thread by thread.
///
/// # Errors
/// Standard output cannot be written.
pub fn run(trace: &Trace, filter: &Filter, json: bool) -> Result<ExitCode> {
    let selection = trace.select(filter);
    let ids = 0..trace.symbols.len() as SymbolId;
    let wanted: HashSet<SymbolId> = ids.filter(|&id| selection.wants(id)).collect();
    let mut stretches = stretches(trace, &selection, &wanted);
    let all = stretches.len();
    stretches.truncate(filter.limit.unwrap_or(usize::MAX));
    if json {
        return Ok(output::print_json(to_json(trace, &stretches))?);
    }
    Ok(output::print(&to_text(trace, &stretches, all, output::width()))?)
}

fn to_json(trace: &Trace, stretches: &[Stretch]) -> Json {
    let mut json = Json::new();
    json.object(|j| {
        j.key("places").array(|j| {
            for stretch in stretches {
                let thread = &trace.threads[stretch.thread];
                j.object(|j| {
                    j.key("pid").uint(trace.process_of(thread).pid.into());
                    j.key("tid").uint(thread.tid.into());
                    j.key("serial").uint(thread.serial);
                    j.key("from_ns").int(trace.clock.ns(stretch.from));
                    j.key("to_ns").int(trace.clock.ns(stretch.to));
                    j.key("chunks").uint(stretch.blocks as u64);
                });
            }
        });
    });
    json
}

fn to_text(trace: &Trace, stretches: &[Stretch], all: usize, width: usize) -> String {
    use Align::{Left, Right};
    if all == 0 {
        return "no thread ran it in this selection\n".to_owned();
    }
    let mut table = Table::new(&[
        ("from", Right),
        ("to", Right),
        ("chunks", Right),
        ("thread", Right),
        ("name", Left),
    ]);
    for stretch in stretches {
        let thread = &trace.threads[stretch.thread];
        table.row(vec![
            time::seconds(trace.clock.ns(stretch.from)),
            time::seconds(trace.clock.ns(stretch.to)),
            grouped(stretch.blocks as u64),
            thread.serial.to_string(),
            escape::text(&thread.name).into_owned(),
        ]);
    }
    let mut out = table.render(width);
    if all > stretches.len() {
        out.push_str(&format!("… {} more places\n", grouped((all - stretches.len()) as u64)));
    }
    out
}
