//! The golden files: still what the encoders write, and still read as they were.
//!
//! `RTRACE_GOLDEN=write cargo test -p rtrace-tests --test golden` writes them anew.

use std::fs;
use std::path::{Path, PathBuf};

use rtrace_tests::{dump, golden};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")
}

fn writing() -> bool {
    std::env::var_os("RTRACE_GOLDEN").is_some_and(|value| value == "write")
}

fn dumped(name: &str) -> String {
    let path = folder().join(name);
    if path.is_dir() {
        dump::dump_session(&path).expect("a golden session")
    } else {
        dump::dump_file(&fs::read(path).expect("a golden file")).expect("a golden trace")
    }
}

#[test]
fn the_encoders_write_the_golden_files() {
    for (name, bytes) in golden::all() {
        let path = folder().join(&name);
        if writing() {
            fs::create_dir_all(path.parent().expect("a folder")).expect("the golden folder");
            fs::write(&path, &bytes).expect("a golden file");
        }
        let committed = fs::read(&path).expect("a golden file");
        assert!(committed == bytes, "{name} is not what the encoders write now");
    }
}

#[test]
fn the_decoder_reads_the_golden_files() {
    if writing() {
        the_encoders_write_the_golden_files();
    }
    for (name, path) in golden::RECORDINGS {
        let text = dumped(path);
        let expected = folder().join(format!("{name}.txt"));
        if writing() {
            fs::write(&expected, &text).expect("a golden dump");
        }
        let committed = fs::read_to_string(&expected).expect("a golden dump");
        if committed != text {
            let line = committed.lines().zip(text.lines()).position(|(old, new)| old != new);
            panic!("{name}: line {:?} differs\n{text}", line.map(|line| line + 1));
        }
    }
}

#[test]
fn every_prefix_of_a_golden_file_is_read_or_refused() {
    let bytes = golden::threads();
    for len in 0..bytes.len() {
        if let Ok(text) = dump::dump_file(&bytes[..len]) {
            assert!(text.lines().count() > 1);
        }
    }
}
