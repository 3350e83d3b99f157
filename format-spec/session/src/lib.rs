//! The files of a session: made, found, judged alive, read while live, packed.
//!
//! The format crate knows bytes; this one knows files. The recorder makes them
//! with [`create`] and [`output`] and maps them itself; the viewer reads them
//! with [`live`]; `stop`, `snapshot`, `rtrace-view pack` and the collector turn
//! them into a finished `trace.bin` with [`pack`].
//!
//! Everything here reads by `pread`: a file that shrinks under a reader is an
//! error and never a SIGBUS. Nothing here maps memory, needs `unsafe`, or
//! trusts a byte that it read.
#![forbid(unsafe_code)]

mod alloc;
pub mod collector;
pub mod create;
pub mod dirs;
mod error;
mod giveback;
pub mod host;
pub mod janitor;
pub mod join;
pub mod live;
pub mod liveness;
pub mod lock;
pub mod output;
pub mod pack;
mod read;
#[cfg(test)]
mod testing;
mod walk;

pub use error::{Error, ErrorKind, Result};
pub use live::SessionReader;
pub use liveness::Liveness;
