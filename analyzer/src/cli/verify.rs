//! `rtrace-view verify`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

use super::output;
use super::table::grouped;
use crate::json::Json;
use crate::query::verify::{Verdict, verify};
use crate::trace::Trace;

/// Checks a trace and prints what is wrong with it. Exit status 1 if anything is.
///
/// # Errors
/// Standard output cannot be written.
pub fn run(path: &Path, trace: &Trace, json: bool) -> Result<ExitCode> {
    let verdict = verify(trace);
    if json {
        output::print_json(to_json(&verdict))?;
    } else {
        output::print(&to_text(path, &verdict))?;
    }
    Ok(if verdict.ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn to_json(verdict: &Verdict) -> Json {
    let mut json = Json::new();
    json.object(|j| {
        j.key("ok").bool(verdict.ok());
        j.key("events").uint(verdict.events);
        j.key("chunks").uint(verdict.chunks);
        j.key("segments").uint(verdict.segments);
        j.key("problems").array(|j| {
            for problem in &verdict.problems {
                j.object(|j| {
                    j.key("offset").uint(problem.offset);
                    j.key("what").text(problem.what.as_bytes());
                });
            }
        });
    });
    json
}

fn to_text(path: &Path, verdict: &Verdict) -> String {
    let path = crate::escape::text(path.as_os_str().as_encoded_bytes()).into_owned();
    let mut out = format!(
        "{path}: {}, {} events in {} chunks and {} segments\n",
        if verdict.ok() { "ok" } else { "damaged" },
        grouped(verdict.events),
        grouped(verdict.chunks),
        grouped(verdict.segments),
    );
    for problem in &verdict.problems {
        let what = crate::escape::text(problem.what.as_bytes());
        out.push_str(&format!("  at offset {}: {what}\n", problem.offset));
    }
    out
}
