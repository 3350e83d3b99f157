//! `rtrace-view report`.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Result;
use rtrace_format::SymbolKind;

use super::args::Sort;
use super::output;
use super::table::{Align, Table, grouped};
use crate::escape;
use crate::filter::Filter;
use crate::json::Json;
use crate::model::SymbolId;
use crate::query::leftout::{self, Demoted, LeftOut};
use crate::query::net;
use crate::query::report::{Function, Report, report};
use crate::time;
use crate::trace::{Trace, place};

/// Prints the functions of a trace.
///
/// # Errors
/// Standard output cannot be written.
pub fn run(trace: &Trace, filter: &Filter, sort: Sort, net: bool, json: bool) -> Result<ExitCode> {
    let selection = trace.select(filter);
    let mut answer = report(trace, &selection);
    let left_out = leftout::left_out(trace, &selection);
    leftout::add_rows(&mut answer, &left_out);
    let filtered = leftout::filtered(trace, &selection);
    let own = if net { net::subtract(trace, &selection, &mut answer) } else { None };
    let net = Net { asked: net, own };
    order(trace, &mut answer.functions, sort);
    let all = answer.functions.len();
    answer.functions.truncate(filter.limit.unwrap_or(usize::MAX));
    if json {
        return Ok(output::print_json(to_json(trace, &answer, &left_out, net, &filtered))?);
    }
    let text = to_text(trace, &answer, &left_out, net, all, output::width());
    Ok(output::print(&(text + &filtered_text(trace, &filtered)))?)
}

/// Whether the recorder's own time was to be taken out, and how many ticks of it were.
#[derive(Clone, Copy)]
struct Net {
    asked: bool,
    own: Option<u64>,
}

/// Greatest first; functions that are equal in it by their other times, then by
/// name, so that the same trace always gives the same list.
fn order(trace: &Trace, functions: &mut [Function], sort: Sort) {
    let figures = |f: &Function| match sort {
        Sort::SelfTime => [f.self_ticks, f.total_ticks],
        Sort::Total => [f.total_ticks, f.self_ticks],
        Sort::Calls => [f.calls, f.self_ticks],
        Sort::P99 => [f.spans.as_ref().map_or(0, |s| s.p99), f.self_ticks],
    };
    functions.sort_by_cached_key(|f| {
        (figures(f).map(std::cmp::Reverse), trace.symbols.full_name(f.symbol), f.symbol)
    });
}

fn to_json(
    trace: &Trace,
    report: &Report,
    left_out: &BTreeMap<SymbolId, LeftOut>,
    net: Net,
    filtered: &[SymbolId],
) -> Json {
    let closed = trace.processes.iter().any(|process| process.closed_sites > 0);
    let ns = |ticks| trace.clock.duration_ns(ticks);
    let mut json = Json::new();
    json.object(|j| {
        j.key("complete").bool(report.complete);
        if net.asked {
            j.key("net").bool(net.own.is_some());
            j.key("subtracted_ns").uint(ns(net.own.unwrap_or(0)));
        }
        j.key("functions").array(|j| {
            for f in &report.functions {
                j.object(|j| {
                    trace.symbol_json(j, f.symbol);
                    j.key("calls").uint(f.calls);
                    j.key("self_ns").uint(ns(f.self_ticks));
                    j.key("total_ns").uint(ns(f.total_ticks));
                    let spans = f.spans.as_ref();
                    j.key("min_ns").uint_or_null(spans.map(|s| ns(s.min)));
                    j.key("p50_ns").uint_or_null(spans.map(|s| ns(s.p50)));
                    j.key("p99_ns").uint_or_null(spans.map(|s| ns(s.p99)));
                    j.key("max_ns").uint_or_null(spans.map(|s| ns(s.max)));
                    let left = left_out.get(&f.symbol).copied().unwrap_or_default();
                    let is_c = trace.symbols.get(f.symbol).kind == SymbolKind::C;
                    left_out_json(trace, j, &left, closed && is_c);
                });
            }
        });
        j.key("not_recorded").array(|j| {
            for &symbol in filtered {
                j.object(|j| trace.symbol_json(j, symbol));
            }
        });
    });
    json
}

/// Functions that are named in the text; of more only the number is told.
const FILTERED_MAX: usize = 20;

/// Which functions the recorder's filters left out, for people.
fn filtered_text(trace: &Trace, filtered: &[SymbolId]) -> String {
    if filtered.is_empty() {
        return String::new();
    }
    let mut out = "Not recorded, by the filters:\n".to_owned();
    for &symbol in filtered.iter().take(FILTERED_MAX) {
        let name = trace.symbols.full_name(symbol);
        let at = place(&trace.symbols, symbol);
        out += &format!("  {}  {at}\n", escape::text(&name));
    }
    let more = filtered.len().saturating_sub(FILTERED_MAX);
    if more > 0 {
        out += &format!("  … {} more\n", grouped(more as u64));
    }
    out
}

/// What the records do not tell of a function, as members of its row.
fn left_out_json(trace: &Trace, j: &mut Json, left: &LeftOut, unseen: bool) {
    let ns = |ticks| trace.clock.duration_ns(ticks);
    let (taken, taken_ticks) = left.taken_back();
    j.key("lower_bound").bool(unseen || left.is_partial());
    j.key("taken_back_calls").uint(taken);
    j.key("taken_back_ns").uint(ns(taken_ticks));
    j.key("demoted");
    match left.demoted() {
        None => j.null(),
        Some(demoted) => j.object(|j| demoted_json(trace, j, &demoted)),
    }
}

/// When and how a function stopped being recorded, as members of an object.
pub(super) fn demoted_json(trace: &Trace, j: &mut Json, demoted: &Demoted) {
    j.key("at_ns").int_or_null(Some(trace.clock.ns(demoted.tick)));
    j.key("at_end").bool(demoted.at_end);
    j.key("calls").uint(demoted.calls);
    let mean = demoted.ticks.checked_div(demoted.spans);
    j.key("mean_ns").uint_or_null(mean.map(|ticks| trace.clock.duration_ns(ticks)));
}

/// The same for people, behind the function's name.
fn left_out_text(trace: &Trace, left: &LeftOut) -> String {
    let human = |ticks| time::human(trace.clock.duration_ns(ticks));
    let mut text = String::new();
    let (taken, taken_ticks) = left.taken_back();
    if taken > 0 {
        text += &format!("  + {} short calls, {}", grouped(taken), human(taken_ticks));
    }
    if let Some(demoted) = left.demoted() {
        let (calls, at) = (grouped(demoted.calls), time::seconds(trace.clock.ns(demoted.tick)));
        text += &format!("  ≥ (not recorded from {at} on; {calls} calls until then");
        if let Some(mean) = demoted.ticks.checked_div(demoted.spans) {
            text += &format!(" of {} on average", human(mean));
        }
        text.push(')');
    }
    text
}

fn to_text(
    trace: &Trace,
    report: &Report,
    left_out: &BTreeMap<SymbolId, LeftOut>,
    net: Net,
    all: usize,
    width: usize,
) -> String {
    use Align::{Left, Right};
    let mut table = Table::new(&[
        ("self", Right),
        ("total", Right),
        ("calls", Right),
        ("p50", Right),
        ("p99", Right),
        ("max", Right),
        ("function", Left),
    ]);
    for f in &report.functions {
        let duration = |ticks| time::human(trace.clock.duration_ns(ticks));
        let span = |pick: fn(&crate::query::report::Spans) -> u64| {
            f.spans.as_ref().map_or_else(|| "-".to_owned(), |s| duration(pick(s)))
        };
        let name = trace.symbols.full_name(f.symbol);
        let at = place(&trace.symbols, f.symbol);
        table.row(vec![
            duration(f.self_ticks),
            duration(f.total_ticks),
            grouped(f.calls),
            span(|s| s.p50),
            span(|s| s.p99),
            span(|s| s.max),
            {
                let mut shown = escape::text(&name).into_owned();
                if let Some(left) = left_out.get(&f.symbol) {
                    shown += &left_out_text(trace, left);
                }
                if at.is_empty() { shown } else { format!("{shown}  {at}") }
            },
        ]);
    }
    let mut out = table.render(width);
    let hidden = all - report.functions.len();
    if hidden > 0 {
        out.push_str(&format!("… {} more functions\n", grouped(hidden as u64)));
    }
    if report.functions.is_empty() {
        out = "no calls in this selection\n".to_owned();
    }
    if trace.processes.iter().any(|process| process.closed_sites > 0) {
        out.push_str(
            "To keep the budget some call sites were not looked at any more: figures of C \
             functions are lower bounds.\n",
        );
    }
    if net.asked {
        out += &match net.own {
            Some(ticks) => format!(
                "Net: {} of recording are taken out of self and total, by its cost measured at \
                 the start; p50, p99 and max are as recorded.\n",
                time::human(trace.clock.duration_ns(ticks)),
            ),
            None => "Not net: what recording cost was not measured.\n".to_owned(),
        };
    }
    if !report.complete {
        out.push_str(
            "Incomplete: records are missing in this range, so figures are lower bounds; \
             `rtrace-view info` says how many.\n",
        );
    }
    out
}
