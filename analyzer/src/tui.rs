//! The terminal UI.
//!
//! An Elm loop: [`update`](update::update) changes the [`Model`](model::Model) by a message and
//! says what is to be done, [`view`] paints the model, and only the loop in [`run`] acts: it
//! reads, asks the workers, draws. Nothing that is slow happens on its thread.

mod bench;
mod camera;
mod caps;
mod clipboard;
mod config;
mod editor;
mod keys;
mod layout;
mod model;
mod msg;
mod source;
mod text;
mod theme;
mod traced;
mod units;
mod update;
mod view;
mod worker;

mod run;
mod terminal;

#[cfg(test)]
mod invented;
#[cfg(test)]
mod tests;

pub use bench::Frames;
pub use config::{Background, Color, Setup};
pub use keys::{as_file as keys_as_file, as_markdown as keys_as_markdown};

use std::io;
use std::sync::Arc;

use crate::trace::{OpenOptions, Trace};

/// Shows a trace, opened with `options`, until the user leaves; compared with the one `before`. Standard input and output must be
/// a terminal.
///
/// # Errors
///
/// What the terminal answers.
pub fn show(
    trace: Trace,
    before: Option<Trace>,
    options: OpenOptions,
    setup: &Setup,
) -> io::Result<()> {
    // A progress bar would be drawn into the screen.
    crate::progress::forbid();
    let source = traced::Traced::new(trace, options, setup.range).against(before.map(Arc::new));
    run::run(Arc::new(source), setup)
}

/// Times a scripted tour of the trace's views, drawn off-screen.
///
/// # Errors
///
/// Writing to memory failed.
pub fn bench(trace: Trace, options: OpenOptions) -> io::Result<Frames> {
    crate::progress::forbid();
    bench::tour(Arc::new(traced::Traced::new(trace, options, (None, None))))
}
