//! Questions asked of a trace, each answered with plain data.
//!
//! Every query takes a [`Trace`](crate::trace::Trace) and a
//! [`Selection`](crate::trace::Selection), streams the blocks that it needs and
//! never holds more than one decoded block for each thread it is looking at.

pub mod calls;
pub mod diff;
pub mod events;
pub mod exceptions;
mod hash;
pub mod info;
pub mod leftout;
pub mod lines;
pub mod net;
mod parallel;
pub mod places;
pub mod report;
pub mod stacks;
pub mod timeline;
pub mod tree;
pub mod verify;

use hash::FastHash;

#[cfg(test)]
mod tests;
