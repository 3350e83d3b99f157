//! Whole screens, painted off-screen from an invented trace and from the golden ones.

mod bytes;
mod golden;
mod processes;
mod screens;
pub(in crate::tui) mod script;
