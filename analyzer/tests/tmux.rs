//! The terminal UI in a real terminal: runs `tests/e2e/tmux.sh`.

use std::path::Path;
use std::process::Command;

/// What the script answers where there is no tmux.
const NO_TMUX: i32 = 77;

#[test]
fn opens_moves_and_leaves_a_clean_screen() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let output = Command::new(root.join("tests/e2e/tmux.sh"))
        .arg(env!("CARGO_BIN_EXE_rtrace-view"))
        .arg(root.join("tests/golden/threads.bin"))
        .output()
        .expect("the script starts");
    if output.status.code() == Some(NO_TMUX) {
        eprintln!("skipped: there is no tmux");
        return;
    }
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stdout));
}
