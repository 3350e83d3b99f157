#![doc = include_str!("../SPEC.md")]
//!
//! # This crate
//!
//! It knows bytes and does no I/O: it works on slices and vectors, so that the
//! recorder, the collector and the viewer read and write one format. There is
//! no input for which a function here panics, loops for ever or allocates
//! memory out of proportion to the input; what cannot be read is one
//! [`Error`] with the offset at which it went wrong.
//!
//! Reading order: [`record`] (the word), [`rows`] (a run of them),
//! [`segment`] (a run that describes itself, in a ring), [`events`] (the same
//! run, packed by column in `trace.bin`), [`stack`] (what the runs mean),
//! [`summary`] (what they amount to).
#![forbid(unsafe_code)]

pub mod bytes;
pub mod chunk;
pub mod clock;
pub mod columns;
pub mod error;
pub mod events;
pub mod fiber;
pub mod figures;
pub mod file;
pub mod frame;
pub mod histogram;
pub mod index;
pub mod lanes;
pub mod long;
pub mod meta;
pub mod node;
pub mod process;
pub mod record;
pub mod ring;
pub mod rows;
pub mod segment;
pub mod session;
pub mod stack;
pub mod summary;
pub mod symbol;
mod wire;

pub use clock::{Clock, ClockSource};
pub use error::{Error, ErrorKind, Result};
pub use frame::{Frame, Keyframe};
pub use histogram::Histogram;
pub use lanes::{Change, Lane, Lanes};
pub use long::Long;
pub use meta::{Meta, Value};
pub use record::{Cause, Effect, Kind, Word};
pub use rows::{RecordRef, Rows};
pub use segment::Segment;
pub use stack::{Stack, Step};
pub use summary::{Summary, SummaryBuilder};
pub use symbol::{Symbol, SymbolKind};
