//! The golden files: recordings made from fixed inputs by the public encoders.
//!
//! They are committed, so that a change of the format cannot go unnoticed, and
//! small, so that a person can read their bytes beside SPEC.md.

mod fibers;
mod finished;
mod ring;

pub use fibers::ring_fibers;
pub use finished::{empty, exception, footer_missing, one_call, pyramid, threads, truncated};
pub use ring::ring_wrapped;

/// The uuid of every golden recording.
pub const UUID: [u8; 16] = *b"golden-recording";
/// When every golden recording began, in ns since the epoch.
pub const STARTED_NS: u64 = 1_700_000_000_123_456_789;

/// One file of a golden recording: its path under `tests/golden`, and its bytes.
pub type GoldenFile = (String, Vec<u8>);

/// Every golden file.
pub fn all() -> Vec<GoldenFile> {
    let mut files: Vec<GoldenFile> = [
        ("empty.bin", empty()),
        ("one_call.bin", one_call()),
        ("threads.bin", threads()),
        ("exception.bin", exception()),
        ("pyramid.bin", pyramid()),
        ("truncated.bin", truncated()),
        ("footer_missing.bin", footer_missing()),
    ]
    .map(|(name, bytes)| (name.to_owned(), bytes))
    .into();
    files.extend(ring_wrapped());
    files.extend(ring_fibers());
    files
}

/// The recordings by the name of their dump: a file, or a session's directory.
pub const RECORDINGS: [(&str, &str); 9] = [
    ("empty", "empty.bin"),
    ("one_call", "one_call.bin"),
    ("threads", "threads.bin"),
    ("exception", "exception.bin"),
    ("pyramid", "pyramid.bin"),
    ("ring_wrapped", "ring_wrapped"),
    ("ring_fibers", "ring_fibers"),
    ("truncated", "truncated.bin"),
    ("footer_missing", "footer_missing.bin"),
];
