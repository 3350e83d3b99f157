//! The dump of a session's directory.

use std::fmt::Write;
use std::io;
use std::path::Path;

use rtrace_format::fiber::{self, FiberStack};
use rtrace_format::process::ProcessHeader;
use rtrace_format::ring::{self, RingHeader};
use rtrace_format::segment::{Segment, field};
use rtrace_format::session::SessionHeader;
use rtrace_format::{Frame, symbol as symbols};

use super::{frames, hex, meta, quoted, records, symbol};

/// The dump of the session in `directory`, which holds one process and one ring.
///
/// # Errors
/// Files that are missing or cannot be read.
pub fn dump_session(directory: &Path) -> io::Result<String> {
    let read = |name: &str| std::fs::read(directory.join(name));
    let wrong = |error: rtrace_format::Error| io::Error::other(error.to_string());
    let session = SessionHeader::parse(&read("session")?).map_err(wrong)?;
    let mut out = format!("session uuid={}\n", hex(&session.uuid));
    meta(&mut out, &session.meta);
    for (id, one) in symbols::scan(&read("symbols")?[symbols::HEADER_LEN..], 64) {
        symbol(&mut out, id, &one);
    }
    let process = ProcessHeader::parse(&read("process-0")?).map_err(wrong)?;
    let parent = process.parent.map_or("none".to_owned(), |number| number.to_string());
    let exit_code = process.exit_code.map_or("unknown".to_owned(), |code| code.to_string());
    writeln!(
        out,
        "process {} pid={} parent={parent} ppid={} start={} state={} end={} exit={exit_code} \
         lost={}",
        process.number,
        process.pid,
        process.ppid,
        process.start_time,
        process.state,
        process.end_tick,
        process.lost
    )
    .ok();
    meta(&mut out, &process.meta);
    dump_ring(&mut out, &read("ring-1")?).map_err(wrong)?;
    Ok(out)
}

fn dump_ring(out: &mut String, file: &[u8]) -> rtrace_format::Result<()> {
    let ring = RingHeader::parse(file)?;
    writeln!(
        out,
        "ring {} pid={} tid={} process={} segment={} state={} depth={} head={} drained={} born={} \
         ended={} fiber={} switches={} dropped={} cause={} name={}",
        ring.serial,
        ring.pid,
        ring.tid,
        ring.process,
        ring.segment_len,
        ring.state,
        ring.depth,
        ring.head,
        ring.drained,
        ring.born_tick,
        ring.end_tick,
        ring.fiber,
        ring.switches,
        ring.lost,
        ring.lost_cause,
        quoted(&ring.name)
    )
    .ok();
    frames(out, "shadow", &shadow_stack(&ring, file));
    for one in fiber_stacks(&ring, file) {
        writeln!(out, "  fiber {} depth={}", one.fiber, one.depth).ok();
        frames(out, "frame", &one.frames);
    }
    let mut segments = Vec::new();
    let mut problems = Vec::new();
    for offset in ring.segment_offsets() {
        let at = offset as usize;
        let bytes = &file[at..at + ring.segment_len as usize];
        match Segment::parse(bytes) {
            Ok(segment) => segments.push((segment, bytes)),
            // Never used, or being rewritten.
            Err(_) if number(bytes, field::LAP, 8) == 0 => {}
            Err(_) => problems.push(offset),
        }
    }
    segments.sort_by_key(|(segment, _)| segment.lap);
    for (segment, bytes) in segments {
        dump_segment(out, &segment, bytes);
    }
    for offset in problems {
        writeln!(out, "problem {offset}").ok();
    }
    Ok(())
}

fn shadow_stack(ring: &RingHeader, file: &[u8]) -> Vec<Frame> {
    let Some(extent) = ring.stack() else { return Vec::new() };
    let count = u64::from(extent.count).min(ring.depth) as usize;
    let bytes = &file[extent.offset as usize..][..count * ring::STACK_FRAME_LEN];
    bytes
        .chunks_exact(ring::STACK_FRAME_LEN)
        .map(|frame| Frame { tick: number(frame, 0, 8), word: number(frame, 8, 4) as u32 })
        .collect()
}

fn fiber_stacks(ring: &RingHeader, file: &[u8]) -> Vec<FiberStack> {
    let extents = ring.extents.iter().filter(|extent| extent.kind == ring::FIBERS);
    let bytes = extents.map(|extent| &file[extent.offset as usize..][..extent.len(0) as usize]);
    let mut stacks: Vec<FiberStack> = bytes.flat_map(fiber::parse_extent).collect();
    stacks.sort_by_key(|stack| stack.fiber);
    stacks
}

fn dump_segment(out: &mut String, segment: &Segment, bytes: &[u8]) {
    let keyframe = &segment.keyframe;
    writeln!(
        out,
        "segment lap={} first={} base={} cpu={} fiber={} depth={} outer={} inner={} flags={} \
         rewinds={} dropped={} cause={} body={} words={} numbered={} last={}",
        segment.lap,
        segment.rows.first_record,
        segment.rows.base_tick,
        segment.cpu_ns,
        segment.fiber,
        keyframe.depth,
        keyframe.outer,
        keyframe.frames.len() - keyframe.outer as usize,
        number(bytes, field::FLAGS, 2),
        segment.rewinds,
        segment.lost_before,
        segment.lost_cause as u32,
        number(bytes, field::BODY, 4),
        number(bytes, field::USED, 4),
        number(bytes, field::RECORDS, 4),
        number(bytes, field::END_TICK, 8)
    )
    .ok();
    frames(out, "frame", &keyframe.frames);
    records(out, &segment.rows);
}

fn number(bytes: &[u8], at: usize, len: usize) -> u64 {
    bytes[at..at + len].iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte))
}
