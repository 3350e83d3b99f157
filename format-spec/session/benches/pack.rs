//! How fast a session is packed: `cargo bench -p rtrace-session`.
//!
//! One thread's ring of 4,096 segments, of calls as a real program makes them:
//! a few hundred functions, stacks some twenty deep, irregular durations.

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Instant;

use rtrace_format::process::{self, ProcessHeader};
use rtrace_format::ring::{self, RingHeader};
use rtrace_format::segment::{Builder, SEGMENT_LEN};
use rtrace_format::session::SessionHeader;
use rtrace_format::symbol::{Symbol, SymbolKind, encode_entry};
use rtrace_format::{Cause, Frame, Keyframe, Kind, Meta, Rows, Segment, Value, Word};
use rtrace_session::{create, dirs, output, pack};

const SEGMENTS: u32 = 4096;
const FUNCTIONS: u32 = 300;

fn main() {
    let base = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a place");
    let dir = make_session(base.path());
    let records = write_ring(&dir);
    let mut best = f64::MAX;
    for round in 0..5 {
        let out = base.path().join(format!("out-{round}.bin"));
        let begin = Instant::now();
        pack::pack_session(&dir, &out).expect("packed");
        best = best.min(begin.elapsed().as_secs_f64());
        let bytes = std::fs::metadata(&out).map_or(0, |meta| meta.len());
        let rate = records as f64 / begin.elapsed().as_secs_f64() / 1e6;
        println!("{rate:.1} M records/s, {:.3} bytes a record", bytes as f64 / records as f64);
    }
    println!("best: {:.1} M records/s of {records} records", records as f64 / best / 1e6);
}

fn make_session(base: &Path) -> std::path::PathBuf {
    let uuid = [1; 16];
    let dir = dirs::create_session_dir(base, 0, 1, &uuid).expect("a session directory");
    let trace = output::reserve(&base.join("trace.bin"), 1).expect("an output");
    let mut meta = Meta::default();
    meta.set("mode", Value::text("flight"));
    meta.set("output", Value::text(trace.path().to_str().unwrap_or_default()));
    meta.set("session_dir", Value::text(dir.to_str().unwrap_or_default()));
    meta.set("boot_id", Value::text("an earlier boot"));
    let header = SessionHeader {
        uuid,
        next_serial: 1,
        next_process: 1,
        symbols_tail: 64,
        memory_used: 0,
        memory_max: 0,
        collector_pid: 0,
        collector_state: 0,
        given_back: 0,
        meta: meta.clone(),
    };
    create::session_file(&dir, &header).expect("a session file");
    let process = ProcessHeader {
        number: 0,
        pid: 1,
        parent: None,
        ppid: 0,
        start_time: 1,
        state: process::RECORDING,
        end_tick: 0,
        exit_code: None,
        lost: 0,
        lost_causes: Default::default(),
        overwritten_threads: 0,
        overwritten_events: 0,
        event_cost_ps: 0,
        c_event_cost_ps: 0,
        filtered: 0,
        closed_sites: 0,
        meta: Meta::default(),
    };
    create::process_file(&dir, &process).expect("a process file");
    trace.write(&uuid, 0, &meta).expect("a trace");
    let symbols = create::symbols_file(&dir, &uuid).expect("a symbols file");
    for i in 0..FUNCTIONS {
        let name = format!("function_{i:025}");
        let entry = encode_entry(&Symbol::named(SymbolKind::Python, b"app", name.as_bytes()));
        assert_eq!(entry.len(), ENTRY_LEN);
        symbols.write_all_at(&entry, 64 + u64::from(i) * entry.len() as u64).expect("written");
    }
    dir
}

/// The length of every entry of the symbols file here.
const ENTRY_LEN: usize = 128;

fn write_ring(dir: &Path) -> u64 {
    let mut header = RingHeader {
        uuid: [1; 16],
        serial: 0,
        pid: 1,
        tid: 1,
        process: 0,
        segment_len: SEGMENT_LEN as u32,
        state: ring::LIVE,
        depth: 0,
        head: 0,
        drained: 0,
        born_tick: 0,
        end_tick: 0,
        fiber: 0,
        switches: 0,
        lost: 0,
        lost_cause: 0,
        name: b"MainThread".to_vec(),
        extents: Vec::new(),
    };
    let file = create::ring_file(dir, &mut header).expect("a ring");
    let path = create::ring_path(dir, 0);
    create::add_extent(&file, &path, ring::SEGMENTS, SEGMENTS - 2).expect("room");
    let mut state = 88_172_645_463_325_252u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut stack: Vec<Frame> = Vec::new();
    let (mut tick, mut number) = (1000u64, 0u64);
    for lap in 1..=u64::from(SEGMENTS) {
        let mut rows = Rows { base_tick: tick, first_record: number, ..Rows::default() };
        let keyframe = Keyframe::of(&stack, 8, 24);
        let words = (SEGMENT_LEN - 128 - Keyframe::encoded_len(keyframe.frames.len())) / 8;
        for _ in 0..words {
            let delta = (60 + random() % 200) as u32 * if random() % 50 == 0 { 1000 } else { 1 };
            tick += u64::from(delta);
            let down = match stack.len() {
                0..4 => true,
                4..36 => random() % 2 == 0,
                _ => false,
            };
            if down {
                let function = (random() % u64::from(FUNCTIONS)).min(random() % 40) as u32;
                let id = 4 + function * (ENTRY_LEN / 16) as u32;
                rows.rows.push(Word::new(Kind::Call, id, delta).0);
                stack.push(Frame::new(id, 0, tick));
            } else if let Some(frame) = stack.pop() {
                rows.rows.push(Word::new(Kind::Return, frame.id(), delta).0);
            }
            number += 1;
        }
        let segment = Segment {
            lap,
            serial: 0,
            cpu_ns: 0,
            fiber: 0,
            keyframe,
            sealed: true,
            rewinds: 0,
            lost_before: 0,
            lost_cause: Cause::Unknown,
            rows,
        };
        let bytes = Builder { segment: &segment, len: SEGMENT_LEN }.bytes();
        let at = 4096 + 16 * 1024 + (lap - 1) * SEGMENT_LEN as u64;
        file.write_all_at(&bytes, at).expect("written");
    }
    number
}
