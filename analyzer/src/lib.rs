//! rtrace-analyzer: opens, decodes and queries rtrace recordings.
//!
//! [`trace::Trace`] opens a recording, finished or not. Each module of [`query`]
//! asks it one question and answers with plain data; [`cli`] prints answers as text
//! or JSON, and [`tui`] draws them. Data flows one way: trace, query, view.
//!
//! ```no_run
//! use rtrace_analyzer::trace::{Selection, Trace};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let trace = Trace::open("trace.bin".as_ref())?;
//! println!("{} threads", Selection::everything(&trace).threads.len());
//! # Ok(())
//! # }
//! ```

pub mod cli;
pub mod escape;
pub mod filter;
pub mod json;
pub mod mmap;
pub mod model;
pub mod progress;
pub mod query;
pub mod time;
pub mod trace;
pub mod tui;

#[cfg(test)]
mod testing;
