//! `rtrace-view` as a command: exit status, one clear line for bad input, and what the
//! golden traces look like in text and in JSON.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const COMMANDS: [&str; 7] = ["info", "report", "events", "tree", "stacks", "exceptions", "verify"];

fn view(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rtrace-view"))
        .args(arguments)
        .current_dir(golden())
        .env("COLUMNS", "100")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The output of a command that must succeed, or show all there is of a cut trace.
fn shown(arguments: &[&str]) -> String {
    let done = view(arguments);
    let expected = i32::from(arguments.contains(&"truncated.bin"));
    assert_eq!(done.status.code(), Some(expected), "{arguments:?}: {}", text(&done.stderr));
    text(&done.stdout)
}

/// The one line on stderr of a command that must fail with `status`.
fn refused(arguments: &[&str], status: i32) -> String {
    let done = view(arguments);
    let said = text(&done.stderr);
    assert_eq!(done.status.code(), Some(status), "{arguments:?}: {said}");
    assert_eq!(text(&done.stdout), "", "{arguments:?}");
    said
}

#[test]
fn bad_files_get_one_clear_line() {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, content: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let whole = std::fs::read(golden().join("threads.bin")).unwrap();
    let mut newer = whole.clone();
    newer[8] = 9;
    let cases = [
        (put("empty", b""), "at offset 0: the file is empty; give a trace.bin"),
        (put("notes.txt", b"just text\n"), "at offset 0: not an rtrace file"),
        (put("short", &whole[..20]), "at offset 12: the header of the trace is cut off; copy it"),
        (put("newer", &newer), "at offset 8: too new: the file is version 9"),
        (put("header", &whole[..64]), "at offset 64: no session chunk says what its times mean"),
        (dir.path().to_str().unwrap().to_owned(), "is a directory and no session"),
        (dir.path().join("gone").to_str().unwrap().to_owned(), "cannot be opened: no such file"),
        ("/dev/null".to_owned(), "is no regular file"),
        (put("esc\u{1b}[2J", b"x"), r"esc\u001b[2J: at offset 0"),
    ];
    for (path, expected) in &cases {
        for command in COMMANDS {
            for json in [&[][..], &["--json"]] {
                let said = refused(&[&[command, path.as_str()], json].concat(), 1);
                assert_eq!(said.lines().count(), 1, "{said}");
                assert!(said.starts_with("rtrace-view: ") && said.contains(expected), "{said}");
            }
        }
        refused(&[path], 1);
    }
}

#[test]
fn a_cut_trace_is_shown_as_far_as_it_goes() {
    for command in COMMANDS {
        let done = view(&[command, "truncated.bin"]);
        let said = text(&done.stderr);
        assert_eq!(done.status.code(), Some(1), "{said}");
        assert_ne!(text(&done.stdout), "");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains("truncated.bin: at offset 2840: the file is cut off"), "{said}");
    }
    // Nothing is missing where only the index is.
    let done = view(&["verify", "footer_missing.bin"]);
    assert_eq!((done.status.code(), text(&done.stderr).lines().count()), (Some(0), 1));
}

#[test]
fn wrong_usage_is_status_2() {
    for arguments in [
        &["info"][..],
        &["info", "a", "b"],
        &["nonsense", "threads.bin"],
        &["events", "threads.bin", "--no-such-flag"],
        &["events", "threads.bin", "--limit", "many"],
        &["events", "threads.bin", "--limit", "-1"],
        &["events", "threads.bin", "--from", "5"],
        &["events", "threads.bin", "--from", "2s", "--to", "1s"],
        &["events", "threads.bin", "--function", "("],
        &["report", "threads.bin", "--sort", "beauty"],
        &["pack", "threads.bin"],
        &["threads.bin", "--to", "soon"],
    ] {
        assert_ne!(refused(arguments, 2), "", "{arguments:?}");
    }
    assert!(
        refused(&["events", "gone.bin", "--to", "7m"], 2).contains("--to 7m: a time needs a unit")
    );
}

#[test]
fn help_and_version_are_no_failure() {
    assert!(shown(&["--help"]).contains("exceptions"));
    assert!(shown(&["report", "--help"]).contains("--sort"));
    assert_eq!(shown(&["--version"]), concat!("rtrace-view ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn a_trace_alone_is_the_report_where_there_is_no_terminal() {
    assert_eq!(shown(&["one_call.bin"]), shown(&["report", "one_call.bin"]));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_rtrace-view"))
        .args(["events", "threads.bin", "--json"])
        .current_dir(golden())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let done = child.wait_with_output().unwrap();
    assert_eq!((done.status.code(), text(&done.stderr)), (Some(0), String::new()));
}

#[test]
fn a_thread_that_is_not_there_is_said() {
    let done = view(&["events", "threads.bin", "--json", "--thread", "nobody"]);
    assert_eq!((done.status.code(), text(&done.stdout)), (Some(0), String::new()));
    assert!(text(&done.stderr).contains("nobody: no thread has this serial or name"));
}

#[test]
fn info_counts_the_lines_that_events_prints() {
    for file in ["empty", "one_call", "threads", "exception", "footer_missing", "truncated"] {
        let file = format!("{file}.bin");
        for filter in [&[][..], &["--thread", "1"], &["--from", "10ns"], &["--function", "app"]] {
            let events = shown(&[&["events", &file, "--json"], filter].concat());
            let lines: Vec<serde_json::Value> =
                events.lines().map(|line| serde_json::from_str(&lenient(line)).unwrap()).collect();
            let there = lines.iter().filter(|line| line["kind"] != "lost").count();
            let lost: u64 = lines.iter().filter_map(|line| line["count"].as_u64()).sum();
            let info = lenient(&shown(&[&["info", &file, "--json"], filter].concat()));
            let info: serde_json::Value = serde_json::from_str(&info).unwrap();
            assert_eq!(info["events"], there, "{file} {filter:?}");
            assert_eq!(info["lost_events"], lost, "{file} {filter:?}");
        }
    }
}

/// serde_json has no place for the lone surrogates that Python admits.
fn lenient(json: &str) -> String {
    json.replace("\\ud800", "?")
}

#[test]
fn limits_and_ranges() {
    assert_eq!(shown(&["events", "threads.bin", "--json", "--limit", "3"]).lines().count(), 3);
    assert_eq!(shown(&["events", "threads.bin", "--json", "--limit", "0"]), "");
    let all = shown(&["events", "threads.bin", "--json"]);
    let first = shown(&["events", "threads.bin", "--json", "--to", "17s"]);
    let second = shown(&["events", "threads.bin", "--json", "--from", "17s"]);
    assert!(!first.is_empty() && !second.is_empty());
    assert_eq!(all, first + &second);
}

#[test]
fn texts_of_the_golden_traces() {
    for command in COMMANDS {
        let mut out = String::new();
        for file in ["empty.bin", "one_call.bin", "threads.bin", "exception.bin"] {
            out.push_str(&format!("$ rtrace-view {command} {file}\n"));
            out.push_str(&shown(&[command, file]));
            out.push('\n');
        }
        insta::assert_snapshot!(format!("text_{command}"), out);
    }
}

#[test]
fn json_of_the_golden_traces() {
    for command in COMMANDS {
        let mut out = String::new();
        for file in ["empty.bin", "one_call.bin", "threads.bin", "exception.bin"] {
            out.push_str(&format!("$ rtrace-view {command} {file} --json\n"));
            out.push_str(&shown(&[command, file, "--json"]));
            out.push('\n');
        }
        insta::assert_snapshot!(format!("json_{command}"), out);
    }
}

#[test]
fn no_control_character_gets_out() {
    for command in COMMANDS {
        for json in [&[][..], &["--json"]] {
            let out = shown(&[&[command, "exception.bin"], json].concat());
            assert!(out.chars().all(|c| c == '\n' || !rtrace_analyzer::escape::is_unprintable(c)));
        }
    }
}

#[test]
fn pack_of_a_finished_trace_is_the_same_trace() {
    let dir = tempfile::tempdir().unwrap();
    let packed = dir.path().join("packed.bin");
    let packed = packed.to_str().unwrap();
    shown(&["pack", "threads.bin", "-o", packed]);
    for command in ["events", "report", "tree", "stacks", "exceptions"] {
        let again = shown(&[command, packed, "--json"]);
        assert_eq!(again, shown(&[command, "threads.bin", "--json"]), "{command}");
    }
    refused(&["pack", packed, "-o", "/proc/no/such/place.bin"], 1);
}
