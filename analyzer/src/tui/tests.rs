//! Whole screens, painted off-screen from an invented trace.

mod bytes;
mod screens;
pub(in crate::tui) mod script;
