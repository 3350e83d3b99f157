//! What the user asked to see: threads, a range of time, functions, a limit.
//!
//! A [`Filter`] is the question as it was typed. Resolved against an open trace it
//! becomes a [`Selection`](crate::trace::Selection), which the queries use.

use regex::bytes::Regex;

/// The filters that all commands share.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Threads, each by serial or exact name; empty for all.
    pub threads: Vec<String>,
    /// Nothing before this time, in ns since the trace began.
    pub from_ns: Option<i64>,
    /// Nothing at or after this time, in ns since the trace began.
    pub to_ns: Option<i64>,
    /// Matched anywhere in `module.name`.
    pub function: Option<Regex>,
    /// At most so many rows.
    pub limit: Option<usize>,
}

impl Filter {
    /// Whether everything is asked for, so that no record needs a look.
    pub fn is_everything(&self) -> bool {
        self.threads.is_empty()
            && self.from_ns.is_none()
            && self.to_ns.is_none()
            && self.function.is_none()
            && self.limit.is_none()
    }
}
