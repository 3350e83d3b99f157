//! `rtrace-view` alone: the sessions that can be found.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use rtrace_session::{Liveness, SessionReader, dirs, pack};

use super::output;
use super::table::{Align, Table, bytes};
use crate::escape;
use crate::model::End;
use crate::time;
use crate::trace::Trace;

/// How many files of the working directory are looked at.
const FILES_MAX: usize = 4096;

/// One line of the list.
struct Line {
    state: &'static str,
    started_ns: i64,
    pid: u32,
    end: &'static str,
    bytes: u64,
    program: String,
    path: PathBuf,
}

/// Lists live and dead sessions, and the traces in the working directory.
///
/// # Errors
/// Standard output cannot be written.
pub fn run() -> Result<ExitCode> {
    let mut lines: Vec<Line> = Vec::new();
    let mut shown: Vec<[u8; 16]> = Vec::new();
    for dir in dirs::list(None) {
        if let Some((line, uuid)) = session_line(&dir) {
            lines.push(line);
            shown.push(uuid);
        }
    }
    lines.extend(files_here().iter().filter_map(|path| file_line(path, &shown)));
    lines.sort_by_key(|line| line.started_ns);
    Ok(output::print(&to_text(&lines, output::width()))?)
}

fn session_line(dir: &Path) -> Option<(Line, [u8; 16])> {
    let reader = SessionReader::open(dir).ok()?;
    let state = match reader.liveness() {
        Liveness::Live => "live",
        Liveness::Dead => "dead",
        Liveness::Unknown => "unknown",
    };
    let process = reader.processes().next()?;
    let argv = process.header.meta.get_list("argv").unwrap_or_default();
    let trace = pack::trace_of(&reader).ok();
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let rings: u64 = files.filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum();
    let file = trace.as_deref().and_then(|path| std::fs::metadata(path).ok());
    let line = Line {
        state,
        started_ns: reader.meta().get_i64("started_at_ns").unwrap_or(0),
        pid: process.header.pid,
        end: process.end.name(),
        bytes: rings + file.map_or(0, |file| file.len()),
        program: program(argv),
        path: trace.unwrap_or_else(|| dir.to_owned()),
    };
    Some((line, reader.header().uuid))
}

/// A trace in the working directory whose session is not in the list already.
fn file_line(path: &Path, shown: &[[u8; 16]]) -> Option<Line> {
    let (uuid, _) = pack::identify(path).ok()?;
    if shown.contains(&uuid) {
        return None;
    }
    let trace = Trace::open(path).ok()?;
    let process = trace.processes.first()?;
    let finished = trace.processes.iter().all(|p| matches!(p.end, End::Clean | End::Killed));
    Some(Line {
        state: if finished { "finished" } else { "unfinished" },
        started_ns: trace.started_at_ns,
        pid: process.pid,
        end: process.end.name(),
        bytes: trace.file_bytes,
        program: program(&process.argv),
        path: path.to_owned(),
    })
}

/// Regular files with the extension of traces, by name.
fn files_here() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(".").into_iter().flatten().flatten().take(FILES_MAX);
    let mut files: Vec<PathBuf> = entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .map(|entry| PathBuf::from(entry.file_name()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "bin"))
        .collect();
    files.sort();
    files
}

fn program(argv: &[Vec<u8>]) -> String {
    argv.iter().map(|arg| escape::text(arg)).collect::<Vec<_>>().join(" ")
}

fn to_text(lines: &[Line], width: usize) -> String {
    use Align::{Left, Right};
    if lines.is_empty() {
        return "no sessions and no traces found here; `python -m rtrace run SCRIPT` records one\n"
            .to_owned();
    }
    let mut table = Table::new(&[
        ("state", Left),
        ("started", Left),
        ("pid", Right),
        ("ended", Left),
        ("size", Right),
        ("trace", Left),
        ("program", Left),
    ]);
    for line in lines {
        // To the second: 2026-11-21T23:14:00Z.
        let started = time::rfc3339(line.started_ns);
        table.row(vec![
            line.state.to_owned(),
            format!("{}Z", started.split('.').next().unwrap_or_default()),
            line.pid.to_string(),
            line.end.to_owned(),
            bytes(line.bytes),
            escape::text(line.path.as_os_str().as_encoded_bytes()).into_owned(),
            line.program.clone(),
        ]);
    }
    table.render(width)
}
