//! The command line: what can be asked, and the exit status of every answer.
//!
//! 0 done, 1 the trace cannot be read or the work failed, 2 wrong usage. A reader
//! of our output that goes away (`| head`) is not a failure.

mod args;
mod bench_frames;
mod calls;
mod events;
mod exceptions;
mod info;
mod output;
mod pack;
mod places;
mod report;
mod sessions;
mod stacks;
mod table;
mod tree;
mod verify;

pub use args::{Arguments, Command, FilterArguments, LookArguments, Sort, TraceArguments};

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use crate::escape;
use crate::filter::Filter;
use crate::trace::{OpenOptions, Trace};
use crate::tui;

/// Runs `rtrace-view` on the arguments of this process.
pub fn main() -> ExitCode {
    // clap ends the process itself: 0 for help and version, 2 for wrong usage.
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(code) => code,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let usage = error.is::<Usage>();
            say(&format!("{error:#}"));
            ExitCode::from(if usage { 2 } else { 1 })
        }
    }
}

/// An error of the user's: exit status 2.
#[derive(Debug)]
pub struct Usage(pub String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
    })
}

fn run(arguments: &Arguments) -> Result<ExitCode> {
    match &arguments.command {
        None => match &arguments.trace {
            None => sessions::run(),
            Some(path) => view(path, &arguments.filter, &arguments.look),
        },
        Some(Command::Info(a)) => ask(a, |trace, filter| info::run(trace, filter, a.json)),
        Some(Command::Report(a)) => {
            ask(&a.common, |trace, filter| report::run(trace, filter, a.sort, a.net, a.common.json))
        }
        Some(Command::Events(a)) => ask(a, |trace, filter| events::run(trace, filter, a.json)),
        Some(Command::Tree(a)) => ask(a, |trace, filter| tree::run(trace, filter, a.json)),
        Some(Command::Stacks(a)) => ask(a, |trace, filter| stacks::run(trace, filter, a.json)),
        Some(Command::Exceptions(a)) => {
            ask(a, |trace, filter| exceptions::run(trace, filter, a.json))
        }
        Some(Command::Calls(a)) => {
            let longer_than = a.longer_than()?;
            ask(&a.common, |trace, filter| calls::run(trace, filter, longer_than, a.common.json))
        }
        Some(Command::Places(a)) => ask(a, |trace, filter| places::run(trace, filter, a.json)),
        Some(Command::Verify(a)) => ask(a, |trace, _| verify::run(&a.trace, trace, a.json)),
        Some(Command::Keys(a)) => {
            let keys = if a.markdown { tui::keys_as_markdown() } else { tui::keys_as_file() };
            Ok(output::print(&keys)?)
        }
        Some(Command::Pack(a)) => pack::run(&a.source, &a.output),
        Some(Command::BenchFrames(a)) => {
            let options = OpenOptions { session: a.filter.session.clone() };
            bench_frames::run(open(&a.trace, &a.filter)?, options, a.json)
        }
    }
}

/// Opens the trace, checks the filters, and has the question answered.
fn ask(
    arguments: &TraceArguments,
    answer: impl FnOnce(&Trace, &Filter) -> Result<ExitCode>,
) -> Result<ExitCode> {
    // Wrong usage is told before a big file is opened.
    let filter = arguments.filter.resolve()?;
    let trace = open(&arguments.trace, &arguments.filter)?;
    for wanted in trace.select(&filter).unmatched {
        // An empty answer alone would look as if the thread had done nothing.
        let what = "no thread has this serial or name; `rtrace-view info` lists them";
        say(&format!("{wanted}: {what}"));
    }
    let code = answer(&trace, &filter)?;
    Ok(conclude(&trace, code))
}

/// Says on stderr what is missing from the answer. A trace that was cut off has been
/// shown as far as it goes, which is not all of it: exit status 1.
fn conclude(trace: &Trace, code: ExitCode) -> ExitCode {
    let path = trace.path.display();
    if let Some(offset) = trace.cut {
        say(&format!(
            "{path}: at offset {offset}: the file is cut off; all before that was shown; copy it \
             again from where it was recorded"
        ));
        return ExitCode::FAILURE;
    }
    for note in &trace.notes {
        say(&format!("{path}: {note}"));
    }
    if let Some(first) = trace.problems.first() {
        say(&format!(
            "{path}: at offset {}: damaged; what can be read was shown; `rtrace-view verify` says more",
            first.offset
        ));
    }
    code
}

/// Prints a line on stderr. It may quote a path or a name; nothing is left to be done
/// where even stderr is gone.
fn say(what: &str) {
    let _ = writeln!(io::stderr(), "rtrace-view: {}", escape::text(what.as_bytes()));
}

/// `rtrace-view TRACE`: the terminal UI on a terminal, the report elsewhere.
fn view(path: &Path, filter: &FilterArguments, look: &LookArguments) -> Result<ExitCode> {
    let resolved = filter.resolve()?;
    let trace = open(path, filter)?;
    let before = look.diff.as_ref().map(|before| Trace::open(before)).transpose()?;
    if io::stdout().is_terminal() && io::stdin().is_terminal() {
        let setup = tui::Setup {
            range: (resolved.from_ns, resolved.to_ns),
            threads: resolved.threads,
            function: filter.function.clone(),
            background: look.theme.map(Into::into),
            color: look.color.into(),
            ascii: look.ascii,
        };
        tui::show(trace, before, OpenOptions { session: filter.session.clone() }, &setup)?;
        return Ok(ExitCode::SUCCESS);
    }
    if look.diff.is_some() {
        return Err(
            Usage("--diff is for the terminal UI, and this is no terminal".to_owned()).into()
        );
    }
    let code = report::run(&trace, &resolved, Sort::default(), false, false)?;
    Ok(conclude(&trace, code))
}

fn open(path: &Path, filter: &FilterArguments) -> Result<Trace> {
    let options = OpenOptions { session: filter.session.clone() };
    Ok(Trace::open_with(path, &options)?)
}
