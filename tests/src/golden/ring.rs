//! A golden session directory: a flight ring that went round.

use rtrace_format::process::{self, ProcessHeader};
use rtrace_format::ring::{self, Extent, RingHeader};
use rtrace_format::segment::{Builder, Segment};
use rtrace_format::session::{self, SessionHeader};
use rtrace_format::{Cause, Frame, Keyframe, Kind, Rows, Symbol, SymbolKind, Word, symbol};

use super::finished::{function, process_meta, session_meta};
use super::{GoldenFile, UUID};

/// The shortest segment that readers take.
pub const SEGMENT_LEN: u32 = 1024;

/// The files of `ring_wrapped`: laps 5 and 6 lie behind laps 7 and 8, one
/// segment is being rewritten, and lap 8 is the one in which the writer died.
pub fn ring_wrapped() -> Vec<GoldenFile> {
    let mut symbols = symbol::encode_header(&UUID).to_vec();
    let mut ids = Vec::new();
    // A process died after it had taken this room: readers step over it.
    symbols.extend([0; 48]);
    for symbol in [
        function("main", 3, 50),
        function("leaf", 7, 9),
        Symbol::named(SymbolKind::C, b"builtins", b"len"),
    ] {
        ids.push((symbols.len() / symbol::UNIT) as u32);
        symbols.extend(symbol::encode_entry(&symbol));
    }
    let (main, leaf, len) = (ids[0], ids[1], ids[2]);

    let open = vec![Frame::new(main, 0, 1_010)];
    let pairs = |rows: &mut Rows, count: usize| {
        for _ in 0..count {
            for (kind, id) in
                [(Kind::Call, leaf), (Kind::CCall, len), (Kind::CReturn, len), (Kind::Return, leaf)]
            {
                rows.rows.push(Word::new(kind, id, 3).0);
            }
        }
    };
    let mut segments = Vec::new();
    let (mut tick, mut number) = (50_000, 424);
    for lap in 5..=8 {
        let mut rows = Rows { base_tick: tick, first_record: number, ..Rows::default() };
        pairs(&mut rows, if lap == 8 { 2 } else { 26 });
        let mut keyframe = Keyframe::of(&open, 8, 24);
        let mut lost_before = 0;
        if lap == 7 {
            // The last call of the segment is still open when lap 8 begins.
            rows.rows.push(Word::new(Kind::Call, leaf, 9).0);
            lost_before = 5;
        }
        if lap == 8 {
            keyframe = Keyframe::of(&[open[0], Frame::new(leaf, 0, tick)], 8, 24);
            rows.rows.insert(0, Word::new(Kind::Return, leaf, 4).0);
            rows.rows.push(Word::new(Kind::Call, leaf, 9).0);
            rows.rows.push(Word::new(Kind::CCall, len, 2).0);
        }
        let segment = Segment {
            lap,
            serial: 1,
            cpu_ns: 1_000 * lap,
            fiber: 0,
            keyframe,
            sealed: lap != 8,
            rewinds: 0,
            lost_before,
            lost_cause: if lost_before > 0 { Cause::NoSpace } else { Cause::Unknown },
            rows,
        };
        tick = segment.rows.end_tick();
        number += segment.rows.numbered();
        segments.push(Builder { segment: &segment, len: SEGMENT_LEN as usize }.bytes());
    }
    let rewritten = {
        let mut bytes = segments[0].clone();
        bytes[8..16].fill(0);
        bytes
    };

    let stack_at = (ring::HEADER_LEN + 5 * SEGMENT_LEN as usize) as u64;
    let header = RingHeader {
        uuid: UUID,
        serial: 1,
        pid: 4242,
        tid: 4242,
        process: 0,
        segment_len: SEGMENT_LEN,
        state: ring::LIVE,
        depth: 3,
        head: 8,
        drained: 0,
        born_tick: 1_000,
        end_tick: 0,
        fiber: 0,
        switches: 0,
        lost: 0,
        lost_cause: 0,
        name: b"MainThread".to_vec(),
        extents: vec![
            Extent { offset: ring::HEADER_LEN as u64, kind: ring::SEGMENTS, count: 5 },
            Extent { offset: stack_at, kind: ring::STACK, count: 16 },
        ],
    };
    let mut ring_file = header.encode();
    for bytes in [&segments[2], &segments[3], &rewritten, &segments[0], &segments[1]] {
        ring_file.extend(bytes);
    }
    for frame in [open[0], Frame::new(leaf, 0, tick - 2), Frame::new(len, 1 << 30, tick)] {
        ring_file.extend(frame.tick.to_le_bytes());
        ring_file.extend(u64::from(frame.word).to_le_bytes());
    }
    ring_file.resize(stack_at as usize + 16 * ring::STACK_FRAME_LEN, 0);

    session_of("ring_wrapped", symbols, ring_file)
}

/// The files of a session that died, of one process with one flight ring.
pub fn session_of(name: &str, symbols: Vec<u8>, ring_file: Vec<u8>) -> Vec<GoldenFile> {
    let session = SessionHeader {
        uuid: UUID,
        next_serial: 2,
        next_process: 1,
        symbols_tail: symbols.len() as u64,
        memory_used: ring_file.len() as u64,
        memory_max: 1 << 20,
        collector_pid: 0,
        collector_state: session::COLLECTOR_NONE,
        given_back: 0,
        meta: session_meta("flight"),
    };
    let process = ProcessHeader {
        number: 0,
        pid: 4242,
        parent: None,
        ppid: 1,
        start_time: 31_337,
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
        meta: process_meta("flight"),
    };
    [
        ("session", session.encode()),
        ("symbols", symbols),
        ("process-0", process.encode()),
        ("ring-1", ring_file),
    ]
    .map(|(file, bytes)| (format!("{name}/{file}"), bytes))
    .into()
}
