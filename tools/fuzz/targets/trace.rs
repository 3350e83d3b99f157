#![no_main]
//! See `rtrace_tests::fuzz::trace`.

use std::path::PathBuf;
use std::sync::LazyLock;

static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let base = PathBuf::from("/dev/shm");
    let base = if base.is_dir() { base } else { std::env::temp_dir() };
    let folder = base.join(format!("rtrace-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| rtrace_tests::fuzz::trace(data, &FOLDER));
