//! The terminal UI.
//!
//! An Elm loop: [`update`](update::update) changes the [`Model`](model::Model) by a message and
//! says what is to be done, [`view`] paints the model, and only the loop in [`run`] acts: it
//! reads, asks the workers, draws. Nothing that is slow happens on its thread.

mod bench;
mod camera;
mod caps;
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

use std::io;
use std::sync::Arc;

use crate::trace::{OpenOptions, Trace};

/// Shows a trace, opened with `options`, until the user leaves; first of all the times of
/// `range`, in nanoseconds since the trace began, where they are given. Standard input and output must be a terminal.
///
/// # Errors
///
/// What the terminal answers.
pub fn show(
    trace: Trace,
    options: OpenOptions,
    range: (Option<i64>, Option<i64>),
) -> io::Result<()> {
    // A progress bar would be drawn into the screen.
    crate::progress::forbid();
    run::run(Arc::new(traced::Traced::new(trace, options, range)))
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
