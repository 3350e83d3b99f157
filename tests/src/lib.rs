//! Shared helpers of the test crate: the golden files and the dump that is
//! compared with `tools/rtrace_py`, which was written from SPEC.md alone.

pub mod dump;
pub mod fuzz;
pub mod golden;
