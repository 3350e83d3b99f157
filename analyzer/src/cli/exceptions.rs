//! `rtrace-view exceptions`.

use std::process::ExitCode;

use anyhow::Result;

use super::output;
use super::table::{Align, Table, grouped, shorten};
use crate::escape;
use crate::filter::Filter;
use crate::json::Json;
use crate::query::exceptions::{Answer, exceptions};
use crate::time;
use crate::trace::Trace;

/// Prints the exceptions of a trace.
///
/// # Errors
/// Standard output cannot be written.
pub fn run(trace: &Trace, filter: &Filter, json: bool) -> Result<ExitCode> {
    let selection = trace.select(filter);
    let mut answer = exceptions(trace, &selection);
    let limit = filter.limit.unwrap_or(usize::MAX);
    let all = answer.exceptions.len();
    answer.exceptions.truncate(limit);
    answer.unwinds.truncate(limit);
    if json {
        return Ok(output::print_json(to_json(trace, &answer))?);
    }
    Ok(output::print(&to_text(trace, &answer, all, output::width()))?)
}

fn to_json(trace: &Trace, answer: &Answer) -> Json {
    let mut json = Json::new();
    json.object(|j| {
        j.key("exceptions").array(|j| {
            for e in &answer.exceptions {
                j.object(|j| {
                    j.key("type").text(&trace.symbols.get(e.type_symbol).qualname);
                    j.key("message").text(&e.message);
                    j.key("count").uint(e.count);
                    j.key("raised_at").object(|j| {
                        let symbol = trace.symbols.get(e.function);
                        j.key("name").text(&symbol.qualname);
                        j.key("module").text(&symbol.module);
                        j.key("file")
                            .text_or_null((!symbol.file.is_empty()).then_some(&symbol.file));
                        j.key("line").uint(e.line.into());
                    });
                    j.key("handled").uint(e.handled);
                    j.key("escaped").uint(e.escaped);
                    j.key("unknown").uint(e.unknown);
                    j.key("first_ns").int(trace.clock.ns(e.first_tick));
                    j.key("last_ns").int(trace.clock.ns(e.last_tick));
                });
            }
        });
        if answer.without_exceptions {
            j.key("recorded").bool(false);
            j.key("unwinds").array(|j| {
                for u in &answer.unwinds {
                    j.object(|j| {
                        trace.symbol_json(j, u.symbol);
                        j.key("count").uint(u.count);
                        j.key("first_ns").int(trace.clock.ns(u.first_tick));
                        j.key("last_ns").int(trace.clock.ns(u.last_tick));
                    });
                }
            });
        }
    });
    json
}

fn to_text(trace: &Trace, answer: &Answer, all: usize, width: usize) -> String {
    use Align::{Left, Right};
    let mut out = String::new();
    let mut table = Table::new(&[
        ("count", Right),
        ("handled", Right),
        ("escaped", Right),
        ("unknown", Right),
        ("first", Right),
        ("exception", Left),
    ]);
    for e in &answer.exceptions {
        let symbol = trace.symbols.get(e.function);
        let mut what = trace.symbols.name(e.type_symbol).into_owned();
        if !e.message.is_empty() {
            what = format!("{what}: {}", escape::text(&e.message));
        }
        table.row(vec![
            grouped(e.count),
            grouped(e.handled),
            grouped(e.escaped),
            grouped(e.unknown),
            time::seconds(trace.clock.ns(e.first_tick)),
            format!(
                "{}  in {}  {}:{}",
                shorten(&what, 60),
                escape::text(&trace.symbols.full_name(e.function)),
                escape::text(&symbol.file),
                e.line
            ),
        ]);
    }
    if !answer.exceptions.is_empty() {
        out.push_str(&table.render(width));
    }
    if all > answer.exceptions.len() {
        out.push_str(&format!(
            "… {} more exceptions\n",
            grouped((all - answer.exceptions.len()) as u64)
        ));
    }
    if answer.without_exceptions {
        out.push_str(
            "The profile hook records no exceptions; these functions were left by one (unwound):\n",
        );
        let mut table =
            Table::new(&[("count", Right), ("first", Right), ("last", Right), ("function", Left)]);
        for u in &answer.unwinds {
            table.row(vec![
                grouped(u.count),
                time::seconds(trace.clock.ns(u.first_tick)),
                time::seconds(trace.clock.ns(u.last_tick)),
                format!(
                    "{}  {}",
                    escape::text(&trace.symbols.full_name(u.symbol)),
                    crate::trace::place(&trace.symbols, u.symbol)
                ),
            ]);
        }
        out.push_str(&table.render(width));
    } else if answer.exceptions.is_empty() {
        out.push_str("no exceptions in this selection\n");
    }
    out
}
