//! `rtrace-view`: see the library.

fn main() {}
