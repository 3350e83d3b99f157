//! `rtrace-view`.
fn main() {}
