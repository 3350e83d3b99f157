//! Where answers go: standard output, and how wide it is.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use crate::json::Json;

/// Columns to use where the output is no terminal.
const WIDE: usize = 160;

/// How many columns a line may have.
pub fn width() -> usize {
    if let Some(columns) = std::env::var("COLUMNS").ok().and_then(|c| c.parse().ok()) {
        return columns;
    }
    if !io::stdout().is_terminal() {
        return WIDE;
    }
    crossterm::terminal::size().map_or(80, |(columns, _)| usize::from(columns)).max(40)
}

/// Prints a text that was put together of sanitised parts.
///
/// # Errors
/// Standard output cannot be written.
pub fn print(text: &str) -> io::Result<ExitCode> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// Prints one JSON value on a line of its own.
///
/// # Errors
/// Standard output cannot be written.
pub fn print_json(mut json: Json) -> io::Result<ExitCode> {
    json.newline();
    let mut out = io::stdout().lock();
    out.write_all(json.as_bytes())?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
