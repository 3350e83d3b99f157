//! Questions asked of a trace, each answered with plain data.

pub mod timeline;
