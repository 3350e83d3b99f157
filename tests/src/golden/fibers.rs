//! A golden session directory: a thread that died while greenlets of it waited.

use rtrace_format::fiber;
use rtrace_format::record::Subkind;
use rtrace_format::ring::{self, Extent, RingHeader};
use rtrace_format::segment::{Builder, Segment};
use rtrace_format::{Cause, Frame, Keyframe, Kind, Rows, Word, long, symbol};

use super::finished::function;
use super::ring::{SEGMENT_LEN, session_of};
use super::{GoldenFile, UUID};

/// Units of the extent of fibers: two blocks of the fewest units, one of twice as many,
/// and room where no block was made yet.
const UNITS: u32 = 5 * fiber::BLOCK_UNITS_MIN;

/// The files of `ring_fibers`: fiber 1 waits and is in the records too, fiber 2 has
/// waited since before the oldest of them, fiber 3 is deeper than its block has room
/// for and runs, and the block of one that ended is nobody's.
pub fn ring_fibers() -> Vec<GoldenFile> {
    let mut symbols = symbol::encode_header(&UUID).to_vec();
    let mut ids = Vec::new();
    for symbol in [function("main", 3, 50), function("waits", 7, 9), function("down", 11, 14)] {
        ids.push((symbols.len() / symbol::UNIT) as u32);
        symbols.extend(symbol::encode_entry(&symbol));
    }
    let (main, waits, down) = (ids[0], ids[1], ids[2]);

    let own = [Frame::new(main, 0, 1_010)];
    let of_1 = [Frame::new(waits, 0, 50_020)];
    let of_2 = [Frame::new(waits, 0, 2_000), Frame::new(down, 0, 2_001)];
    let of_3: Vec<Frame> = (0..40).map(|at| Frame::new(down, 0, 3_000 + at)).collect();
    let mut rows = Rows { base_tick: 50_000, first_record: 90, ..Rows::default() };
    let switch = |rows: &mut Rows, delta: u32, fiber: u32, depth: u32, frames: &[Frame]| {
        let mut payload = Vec::new();
        long::encode_switch(&mut payload, fiber, depth, frames);
        rows.rows.push(Word::long(Subkind::SWITCH, payload.len() as u8, 0, delta).0);
        rows.payload.extend(payload);
    };
    switch(&mut rows, 15, 1, 0, &[]);
    rows.rows.push(Word::new(Kind::Call, waits, 5).0);
    switch(&mut rows, 10, 0, 1, &[]);
    switch(&mut rows, 10, 3, 40, &of_3[16..]);
    rows.rows.push(Word::new(Kind::Return, down, 7).0);
    let segment = Segment {
        lap: 1,
        serial: 1,
        cpu_ns: 1_000,
        fiber: 0,
        keyframe: Keyframe::of(&own, 8, 24),
        sealed: false,
        rewinds: 0,
        lost_before: 0,
        lost_cause: Cause::Unknown,
        rows,
    };

    let stack_at = ring::HEADER_LEN as u64 + u64::from(SEGMENT_LEN);
    let fibers_at = stack_at + 16 * ring::STACK_FRAME_LEN as u64;
    let header = RingHeader {
        uuid: UUID,
        serial: 1,
        pid: 4242,
        tid: 4242,
        process: 0,
        segment_len: SEGMENT_LEN,
        state: ring::LIVE,
        depth: 1,
        head: 1,
        drained: 0,
        born_tick: 1_000,
        end_tick: 0,
        fiber: 3,
        switches: 12,
        lost: 0,
        lost_cause: 0,
        name: b"MainThread".to_vec(),
        extents: vec![
            Extent { offset: ring::HEADER_LEN as u64, kind: ring::SEGMENTS, count: 1 },
            Extent { offset: stack_at, kind: ring::STACK, count: 16 },
            Extent { offset: fibers_at, kind: ring::FIBERS, count: UNITS },
        ],
    };
    let mut ring_file = header.encode();
    ring_file.extend(Builder { segment: &segment, len: SEGMENT_LEN as usize }.bytes());
    put_frames(&mut ring_file, &own);
    ring_file.resize(fibers_at as usize, 0);
    // Blocks lie in the order in which they were made, not in that of the fibers.
    put_block(&mut ring_file, 1, 3, 39, &of_3[..30]);
    put_block(&mut ring_file, 2, 0, 3, &of_3[..3]);
    put_block(&mut ring_file, 1, 1, 1, &of_1);
    put_block(&mut ring_file, 1, 2, 2, &of_2);
    ring_file.resize(fibers_at as usize + UNITS as usize * ring::STACK_FRAME_LEN, 0);
    session_of("ring_fibers", symbols, ring_file)
}

fn put_frames(out: &mut Vec<u8>, frames: &[Frame]) {
    for frame in frames {
        out.extend(frame.tick.to_le_bytes());
        out.extend(u64::from(frame.word).to_le_bytes());
    }
}

/// A block of `size` times the fewest units.
fn put_block(out: &mut Vec<u8>, size: u32, fiber: u64, depth: u64, frames: &[Frame]) {
    let start = out.len();
    let units = size * fiber::BLOCK_UNITS_MIN;
    out.extend(u64::from(units).to_le_bytes());
    out.extend(fiber.to_le_bytes());
    out.extend(depth.to_le_bytes());
    out.extend([0; 8]);
    put_frames(out, frames);
    out.resize(start + units as usize * ring::STACK_FRAME_LEN, 0);
}
