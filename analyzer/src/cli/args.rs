//! The arguments, as clap sees them.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use regex::bytes::Regex;

use super::Usage;
use crate::filter::Filter;
use crate::time;
use crate::tui::{Background, Color};

/// Explore recordings of Python programs made by rtrace.
///
/// With a TRACE alone, opens the terminal UI; where the output is no terminal,
/// prints the report. With nothing at all, lists the sessions found.
#[derive(Debug, Parser)]
#[command(name = "rtrace-view", version, args_conflicts_with_subcommands = true)]
pub struct Arguments {
    /// What to do; the terminal UI if left out.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// A trace.bin, finished or not, or the directory of a session.
    pub trace: Option<PathBuf>,
    /// Filters of the view.
    #[command(flatten)]
    pub filter: FilterArguments,
    /// How the terminal UI looks.
    #[command(flatten)]
    pub look: LookArguments,
}

/// How the terminal UI looks.
#[derive(Debug, Args)]
pub struct LookArguments {
    /// An earlier trace, with which view 7 compares this one.
    #[arg(long, value_name = "BEFORE")]
    pub diff: Option<PathBuf>,
    /// The background of the terminal, where it does not tell.
    #[arg(long, value_enum, value_name = "THEME")]
    pub theme: Option<Theme>,
    /// Whether the terminal UI has colours; auto obeys NO_COLOR.
    #[arg(long, value_enum, value_name = "WHEN", default_value_t)]
    pub color: When,
    /// Draw the terminal UI with ASCII alone.
    #[arg(long)]
    pub ascii: bool,
}

/// The background of the terminal.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Theme {
    /// Light text on it.
    Dark,
    /// Dark text on it.
    Light,
}

impl From<Theme> for Background {
    fn from(theme: Theme) -> Background {
        match theme {
            Theme::Dark => Background::Dark,
            Theme::Light => Background::Light,
        }
    }
}

/// Whether there are colours.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum When {
    /// As the environment says.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl From<When> for Color {
    fn from(when: When) -> Color {
        match when {
            When::Auto => Color::Auto,
            When::Always => Color::Always,
            When::Never => Color::Never,
        }
    }
}

/// One command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// What the trace holds: processes, threads, times, losses.
    Info(TraceArguments),
    /// Functions with their calls, times and percentiles.
    Report(ReportArguments),
    /// Every event, in order of time.
    Events(TraceArguments),
    /// Calls by call path.
    Tree(TraceArguments),
    /// The stack of every thread at the end, or at the time --to.
    Stacks(TraceArguments),
    /// Exceptions by type, message and place.
    Exceptions(TraceArguments),
    /// The longest single calls, of the functions --function names or of all.
    Calls(CallsArguments),
    /// In which parts of each thread functions ran, at the grain of chunks.
    Places(TraceArguments),
    /// Checks every checksum and record of a trace.
    Verify(TraceArguments),
    /// Draws a scripted tour of the terminal UI off-screen and times each frame.
    BenchFrames(TraceArguments),
    /// Prints the keys of the terminal UI, as the file of keys that may change them.
    Keys(KeysArguments),
    /// Makes a finished trace.bin of a dead session, or of a trace that leads to one.
    Pack(PackArguments),
}

/// What all commands that read take.
#[derive(Debug, Args)]
pub struct TraceArguments {
    /// A trace.bin, finished or not, or the directory of a session.
    pub trace: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Filters.
    #[command(flatten)]
    pub filter: FilterArguments,
}

/// Arguments of `keys`.
#[derive(Debug, Args)]
pub struct KeysArguments {
    /// Print tables in Markdown, for documentation.
    #[arg(long)]
    pub markdown: bool,
}

/// Arguments of `report`.
#[derive(Debug, Args)]
pub struct ReportArguments {
    /// The trace and filters.
    #[command(flatten)]
    pub common: TraceArguments,
    /// Take the recorder's own time, as it was measured, out of self and total.
    #[arg(long)]
    pub net: bool,
    /// The figure that comes first, greatest on top.
    #[arg(long, value_enum, default_value_t)]
    pub sort: Sort,
}

/// The order of `report`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Sort {
    /// Time in the function itself.
    #[default]
    #[value(name = "self")]
    SelfTime,
    /// Time in the function and in what it called.
    Total,
    /// Number of calls.
    Calls,
    /// The 99th percentile of single calls.
    P99,
}

/// Arguments of `calls`.
#[derive(Debug, Args)]
pub struct CallsArguments {
    /// The trace and filters; 50 calls unless --limit says otherwise.
    #[command(flatten)]
    pub common: TraceArguments,
    /// Only calls that took so long or longer: 10ms.
    #[arg(long, value_name = "T")]
    pub longer_than: Option<String>,
}

impl CallsArguments {
    /// The shortest duration, in nanoseconds.
    ///
    /// # Errors
    /// [`Usage`] that says what the option takes.
    pub fn longer_than(&self) -> Result<u64, Usage> {
        let Some(text) = &self.longer_than else { return Ok(0) };
        let ns = time::parse_ns(text).map_err(|e| Usage(format!("--longer-than {text}: {e}")))?;
        Ok(u64::try_from(ns).unwrap_or(0))
    }
}

/// Arguments of `pack`.
#[derive(Debug, Args)]
pub struct PackArguments {
    /// A trace.bin that leads to a session, or the directory of a session.
    #[arg(value_name = "TRACE|SESSION")]
    pub source: PathBuf,
    /// Where to write.
    #[arg(short, long, value_name = "trace.bin")]
    pub output: PathBuf,
}

/// The filters that all commands share.
#[derive(Debug, Args)]
pub struct FilterArguments {
    /// Only this thread: a serial or an exact name; may be given again.
    #[arg(long = "thread", value_name = "T")]
    pub threads: Vec<String>,
    /// From this time on, since the trace began: 12.5s, 10us.
    #[arg(long, value_name = "T")]
    pub from: Option<String>,
    /// Up to this time, itself left out.
    #[arg(long, value_name = "T")]
    pub to: Option<String>,
    /// Only functions whose module.name matches, anywhere.
    #[arg(long, value_name = "REGEX")]
    pub function: Option<String>,
    /// At most so many rows.
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Where the rings of the session are, if they were moved.
    #[arg(long, value_name = "DIR")]
    pub session: Option<PathBuf>,
}

impl FilterArguments {
    /// Parses times and pattern.
    ///
    /// # Errors
    /// [`Usage`] that names the option and says what it takes.
    pub fn resolve(&self) -> Result<Filter, Usage> {
        let time = |option: &str, text: &Option<String>| {
            text.as_deref()
                .map(|t| time::parse_ns(t).map_err(|e| Usage(format!("{option} {t}: {e}"))))
                .transpose()
        };
        let from_ns = time("--from", &self.from)?;
        let to_ns = time("--to", &self.to)?;
        if let (Some(from), Some(to)) = (from_ns, to_ns)
            && from > to
        {
            return Err(Usage("--from is after --to: nothing lies between them".to_owned()));
        }
        let function = match &self.function {
            None => None,
            Some(pattern) => Some(Regex::new(pattern).map_err(|e| {
                // The last line of a regex error says what is wrong; those before
                // it draw a picture that needs several lines.
                let text = e.to_string();
                let what = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
                Usage(format!("--function {pattern}: no valid regular expression: {what}"))
            })?),
        };
        Ok(Filter { threads: self.threads.clone(), from_ns, to_ns, function, limit: self.limit })
    }
}
