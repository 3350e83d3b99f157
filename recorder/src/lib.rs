//! The recorder: from the interpreter's hooks into per-thread rings.
//!
//! It is loaded into the traced program as the Python extension module
//! `rtrace._core`. What it owes that program: no thread, no signal handler, no
//! child that could be reaped, no exception, and as little time as can be.
//!
//! Reading order: [`writer`] (an event), [`ring`] (where its record goes),
//! [`hook`] (where it comes from), [`names`] (what its id stands for),
//! [`attach`] and [`thread`] (who has a ring), [`control`] (start, stop),
//! [`fork`] and [`join`] (child processes), and [`python`] (the module). [`ring`], [`writer`], [`recording`] and what they
//! need do not know the interpreter and are tested without one.

pub mod attach;
pub mod base_frame;
pub mod budget;
pub mod calibrate;
pub mod clock;
pub mod collector;
pub mod control;
pub mod ffi;
pub mod figures;
pub mod filter;
pub mod fork;
pub mod greenlet;
pub mod hook;
pub mod join;
pub mod names;
pub mod options;
mod python;
pub mod recording;
pub mod ring;
pub mod room;
pub mod session;
pub mod shared;
pub mod startup;
pub mod symbols;
pub mod thread;
pub mod writer;
