use super::*;
use rtrace_format::Value;
use rtrace_format::index::{Index, Trailer};
use std::fs;

const UUID: [u8; 16] = [7; 16];

fn meta(dir: &str) -> Meta {
    let mut meta = Meta::default();
    meta.set("session_dir", Value::text(dir));
    meta
}

/// A finished trace whose only process ended as said.
fn finished(end: &str) -> Vec<u8> {
    let mut bytes = beginning(&UUID, 1_000_000_000, &meta("/nowhere/20260101T000000Z-41-00112233"));
    let mut process = vec![0; 8];
    let mut keys = Meta::default();
    keys.set("end", Value::text(end));
    process.extend(keys.encode());
    bytes.extend(chunk::encode(chunk::tag::PROCESS, &process));
    let index_offset = bytes.len() as u64;
    let index = Index { is_final: true, entries: vec![] };
    bytes.extend(chunk::encode(chunk::tag::INDEX, &index.encode()));
    bytes.extend(Trailer { index_offset }.encode());
    bytes
}

fn write_new(path: &Path, pid: u32) -> (PathBuf, Option<PathBuf>) {
    let output = reserve(path, pid).unwrap();
    let renamed = output.renamed().map(Path::to_owned);
    (output.write(&[9; 16], 5, &meta("")).unwrap(), renamed)
}

#[test]
fn a_new_path_gets_header_and_session_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trace.bin");
    assert_eq!(write_new(&path, 1), (path.clone(), None));
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    let bytes = fs::read(&path).unwrap();
    assert_eq!(bytes, beginning(&[9; 16], 5, &meta("")));
    assert_eq!(FileHeader::parse(&bytes).unwrap().uuid, [9; 16]);
}

#[test]
fn a_reservation_that_is_dropped_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trace.bin");
    drop(reserve(&path, 1).unwrap());
    assert!(!path.exists());
    fs::write(&path, finished("clean")).unwrap();
    drop(reserve(&path, 1).unwrap());
    assert_eq!(fs::read(&path).unwrap(), finished("clean"));
}

#[test]
fn a_clean_trace_is_overwritten_and_whoever_has_it_open_keeps_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trace.bin");
    fs::write(&path, finished("clean")).unwrap();
    let old = File::open(&path).unwrap();
    assert_eq!(write_new(&path, 1), (path.clone(), None));
    assert_eq!(FileHeader::parse(&fs::read(&path).unwrap()).unwrap().uuid, [9; 16]);
    assert_eq!(old.metadata().unwrap().len(), finished("clean").len() as u64);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_killed_or_unfinished_or_damaged_trace_is_renamed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trace.bin");
    let mut torn = finished("clean");
    torn.truncate(torn.len() - 40);
    let mut damaged = finished("clean");
    damaged[41] ^= 1;
    let mut newer = finished("clean");
    newer[8] = 9;
    for (bytes, name) in [
        (finished("killed"), "trace.19700101T000001Z.41.bin"),
        (torn, "trace.19700101T000001Z.41-2.bin"),
        (damaged, "trace.19700101T000000Z.0.bin"),
        (newer, "trace.19700101T000000Z.0-2.bin"),
    ] {
        fs::write(&path, &bytes).unwrap();
        let (now, renamed) = write_new(&path, 1);
        assert_eq!(now, path);
        assert_eq!(renamed.as_deref(), Some(dir.path().join(name).as_path()));
        assert_eq!(fs::read(renamed.unwrap()).unwrap(), bytes);
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn a_recording_that_is_being_finished_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trace.bin");
    let all = finished("clean");
    fs::write(&path, &all[..all.len() - 90]).unwrap();
    let collector = open_rw(&path).unwrap();
    lock::try_exclusive(&collector, &path).unwrap();
    let late = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        collector.write_all_at(&all, 0).unwrap();
    });
    assert_eq!(write_new(&path, 1), (path, None), "overwritten, not renamed, not beside it");
    late.join().unwrap();
}

#[test]
fn what_is_not_ours_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notes.txt");
    fs::write(&path, "a text").unwrap();
    let error = reserve(&path, 1).unwrap_err().to_string();
    assert!(error.contains("not an rtrace file") && error.contains("notes.txt"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"a text");
    assert!(reserve(dir.path(), 1).unwrap_err().to_string().contains("directory"));
    let link = dir.path().join("link.bin");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(reserve(&link, 1).is_err());
    assert!(reserve(&dir.path().join("no/such/trace.bin"), 1).is_err());
    // An empty file holds nothing that could be lost.
    let empty = dir.path().join("empty.bin");
    fs::write(&empty, "").unwrap();
    assert_eq!(write_new(&empty, 1), (empty, None));
}

#[test]
fn a_path_that_somebody_writes_to_is_not_taken_from_him() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trace.bin");
    let first = reserve(&path, 11).unwrap();
    let second = reserve(&path, 12).unwrap();
    assert_eq!(second.path(), dir.path().join("trace.12.bin"));
    let third = reserve(&path, 12).unwrap();
    assert_eq!(third.path(), dir.path().join("trace.12-2.bin"));
    drop((first, second, third));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn an_empty_file_for_everybody_becomes_private() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trace.bin");
    fs::write(&path, b"").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(write_new(&path, 1), (path.clone(), None));
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
}
