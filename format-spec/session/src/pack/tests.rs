use super::*;
use crate::testing::{Event, Pen, Trace, World, bytes, chunk_offsets};
use rtrace_format::ring::field;
use rtrace_format::segment;
use std::fs;
use std::os::unix::fs::FileExt;

mod hostile;
mod nodes;
mod resume;

fn assert_same(got: &[Event], wanted: &[Event]) {
    let at = got.iter().zip(wanted).position(|(a, b)| a != b);
    if let Some(at) = at {
        panic!("at {at}: {:?} instead of {:?}", got[at], wanted[at]);
    }
    assert_eq!(got.len(), wanted.len());
}

#[test]
fn a_dead_session_is_packed_whole_and_removed() {
    let mut world = World::new("flight");
    let symbols = world.symbols(&["main", "f", "g"]);
    world.dead_process(0);
    let mut pen = world.ring(0, 0, 64);
    pen.call(symbols[0], 5);
    pen.program(&symbols[1..], 20_000);
    pen.call(symbols[2], 7);
    pen.store();
    let mut other = world.ring(1, 0, 64);
    other.program(&symbols, 10);
    other.lost(5);
    other.store();
    let packed = finish(&world.dir).unwrap();
    assert!(packed.is_final && packed.removed && packed.damaged == 0);
    assert!(!world.dir.exists());
    let trace = Trace::read(&world.trace);
    assert_same(&trace.of(0), &pen.written);
    assert_same(&trace.of(1), &other.written);
    assert_eq!(trace.lost, [5]);
    assert_eq!(trace.stack(0), ["main", "g"]);
    assert_eq!(trace.stack(1), [""; 0]);
    assert_eq!(trace.end(0), Some("killed"));
    assert!(trace.index.as_ref().unwrap().is_final);
    assert_eq!(trace.symbols.len(), 3);
    // Chunks are as large as they may be: segments of 1,800 words, up to 131,072.
    assert!(trace.chunks.iter().filter(|chunk| chunk.serial == 0).count() <= 2);
    assert!(trace.chunks.iter().all(|chunk| chunk.lost_before == 0 && chunk.lost_cause == 0));
}

#[test]
fn packing_twice_gives_the_same_bytes() {
    let mut world = World::new("flight");
    let symbols = world.symbols(&["main", "f", "g"]);
    world.ended_process(0);
    let mut pen = world.ring(3, 0, 8);
    pen.program(&symbols, 5000);
    pen.end();
    let (a, b) = (world.beside("a.bin"), world.beside("b.bin"));
    let packed = pack_session(&world.dir, &a).unwrap();
    assert_eq!((packed.path.as_path(), packed.is_final), (a.as_path(), true));
    pack_session(&world.trace, &b).unwrap();
    assert_eq!(bytes(&a), bytes(&b));
    assert!(world.dir.exists(), "a copy leaves the session alone");
    let before = bytes(&a);
    pack_session(&a, &a).unwrap();
    assert_eq!(bytes(&a), before, "a finished trace stays as it is");
    let trace = Trace::read(&a);
    assert_eq!(trace.end(0), Some("clean"));
    assert_eq!(trace.session.get_text("session_dir"), None);
    assert_eq!(session_of(&a, None).unwrap(), None);
    // In place, with the same events.
    pack_session(&world.trace, &world.trace).unwrap();
    assert_same(&Trace::read(&world.trace).events, &trace.events);
    assert!(!world.dir.exists());
}

#[test]
fn a_ring_that_went_round_keeps_its_end_and_its_outermost_frames() {
    let mut world = World::new("flight");
    let symbols = world.symbols(&["main", "f", "g"]);
    world.dead_process(0);
    let mut pen = world.ring(0, 0, 4);
    pen.call(symbols[0], 1);
    pen.program(&symbols[1..], 10_000);
    pen.store();
    finish(&world.dir).unwrap();
    let trace = Trace::read(&world.trace);
    let got = trace.of(0);
    assert_same(&got, &pen.written[pen.written.len() - got.len()..]);
    assert!(got.len() > 3 * 1700 && got.len() < 4 * 1800);
    assert_eq!(trace.chunks[0].first_record, got[0].number);
    assert_eq!(trace.chunks[0].lost_cause, 0, "overwritten is not lost");
    assert_eq!(trace.stack(0), ["main"]);
}

#[test]
fn a_damaged_segment_costs_itself_and_is_said() {
    let mut world = World::new("flight");
    let symbols = world.symbols(&["main", "f"]);
    world.dead_process(0);
    let mut pen = world.ring(0, 0, 8);
    pen.program(&symbols, 1800);
    pen.store();
    // The third segment gets a wrong byte in its body.
    pen.file.write_all_at(&[0x55], pen.offset(3) + 2000).unwrap();
    let packed = finish(&world.dir).unwrap();
    assert_eq!(packed.damaged, 1);
    let trace = Trace::read(&world.trace);
    let got = trace.of(0);
    let from = trace.chunks[1].first_record;
    let to = trace.chunks[0].end_record();
    assert!(from > to);
    assert_eq!(trace.chunks[1].cause(), rtrace_format::Cause::Damaged);
    let wanted: Vec<Event> =
        pen.written.iter().filter(|e| e.number < to || e.number >= from).cloned().collect();
    assert_same(&got, &wanted);
}

#[test]
fn an_unsealed_segment_that_grew_is_read_on() {
    let mut world = World::new("flight");
    let symbols = world.symbols(&["main", "f"]);
    world.dead_process(0);
    world.process(1, std::process::id(), 1, rtrace_format::process::RECORDING);
    let mut pen = world.ring(0, 0, 32);
    pen.program(&symbols, 30);
    pen.lost(9);
    pen.sleep(1 << 40);
    pen.store();
    let file = open_locked(&world.trace, Duration::ZERO).unwrap();
    let pack = |file: &File| {
        let session = SessionReader::open(&world.dir).unwrap();
        let mut packer =
            Packer::resume(file.try_clone().unwrap(), &world.trace, session.symbols().ok())
                .unwrap();
        pack_threads(&mut packer, &session, Which::All).unwrap();
        packer.finish(false).unwrap();
    };
    pack(&file);
    for _ in 0..3 {
        pen.program(&symbols, 20);
        pen.lost(3);
        pen.store();
        pack(&file);
        pack(&file);
    }
    pen.program(&symbols, 4000);
    pen.store();
    pack(&file);
    let trace = Trace::read(&world.trace);
    assert_same(&trace.of(0), &pen.written);
    assert_eq!(trace.lost, [9, 3, 3, 3]);
    assert!(trace.chunks.iter().all(|chunk| chunk.lost_cause == 0));
}

#[test]
fn deep_stacks_are_known_to_the_bottom() {
    let mut world = World::new("flight");
    let names: Vec<(u32, &'static str)> = world.symbols(&["a", "b", "c", "d", "e"]);
    world.dead_process(0);
    let mut pen = world.ring(0, 0, 64);
    for i in 0..250 {
        pen.call(names[i % 5], 1);
    }
    pen.program(&names, 10_000);
    pen.store();
    // Only the newest segments are left: their keyframes know 32 frames of 250.
    let (oldest, newest) = (1, pen.segment.lap);
    for lap in oldest..newest - 2 {
        pen.file.write_all_at(&0u64.to_le_bytes(), pen.offset(lap) + 8).unwrap();
    }
    let now = SessionReader::open(&world.dir).unwrap().thread(0).unwrap().open().unwrap();
    let now = { now }.stack_now().unwrap();
    assert_eq!((now.stack.depth(), now.stack.hidden()), (250, 0));
    assert_eq!(now.stack.outer(), pen.stack);
    finish(&world.dir).unwrap();
    let wanted: Vec<&str> = (0..250).map(|i| names[i % 5].1).collect();
    assert_eq!(Trace::read(&world.trace).stack(0), wanted);
}

#[test]
fn a_stack_deeper_than_its_shadow_keeps_both_ends() {
    let mut world = World::new("flight");
    let names = world.symbols(&["a", "b", "c", "d", "e"]);
    world.dead_process(0);
    let mut pen = world.ring(0, 0, 4);
    for i in 0..2003 {
        pen.call(names[i % 5], 1);
    }
    pen.turn();
    pen.store();
    // Lap 1 and 2 are gone.
    for lap in 1..pen.segment.lap {
        pen.file.write_all_at(&0u64.to_le_bytes(), pen.offset(lap) + 8).unwrap();
    }
    finish(&world.dir).unwrap();
    let stack = Trace::read(&world.trace).stack(0);
    assert_eq!(stack.len(), 2003);
    for (i, name) in stack.iter().enumerate() {
        let known = !(rtrace_format::ring::STACK_FRAMES..2003 - 24).contains(&i);
        assert_eq!(name, if known { names[i % 5].1 } else { "?" }, "{i}");
    }
}

#[test]
fn a_snapshot_leaves_everything_as_it_is() {
    let mut world = World::new("flight");
    let symbols = world.symbols(&["main", "f", "g"]);
    // A fork that has just begun: nobody can say yet whether the child lives.
    world.process(0, 1, 0, rtrace_format::process::FORKING);
    let mut pen = world.ring(0, 0, 8);
    pen.call(symbols[0], 1);
    pen.program(&symbols[1..], 3000);
    pen.store();
    let before = (bytes(&world.trace), bytes(&pen.path));
    let packed = snapshot(&world.dir, &world.beside("snap.bin"), "why not").unwrap();
    assert_eq!((bytes(&world.trace), bytes(&pen.path)), before);
    let trace = Trace::read(&packed.path);
    assert_same(&trace.of(0), &pen.written);
    assert_eq!(trace.session.get_text("reason"), Some(&b"why not"[..]));
    assert_eq!(trace.stack(0), ["main"]);
    // The next one takes its place.
    snapshot(&world.dir, &packed.path, "again").unwrap();
    let again = Trace::read(&packed.path);
    assert_eq!(again.session.get_text("reason"), Some(&b"again"[..]));
    assert_eq!(again.events, trace.events);
    // A recording does not: it may be all that is left.
    let next = crate::output::reserve(&packed.path, 5).unwrap();
    assert_eq!(next.renamed().unwrap(), world.beside("snap.19700101T000001Z.bin"));
    fs::rename(next.renamed().unwrap(), &packed.path).unwrap();
    drop(next);
    // The session is not found by way of the snapshot, nor the snapshot as its trace.
    assert_eq!(session_of(&packed.path, Some(&world.dir)).unwrap(), None);
    fs::rename(&world.trace, world.beside("trace.renamed.bin")).unwrap();
    let session = SessionReader::open(&world.dir).unwrap();
    assert_eq!(trace_of(&session).unwrap(), world.beside("trace.renamed.bin"));
}

#[test]
fn only_threads_of_processes_that_are_over_go_in_place() {
    let mut world = World::new("flight");
    let symbols = world.symbols(&["main", "f"]);
    world.ended_process(0);
    // From another pid namespace nobody can say whether it lives: a fork under
    // way, of a parent that cannot be judged.
    world.process(1, 0, 0, rtrace_format::process::FORKING);
    let mut pen = world.ring(0, 0, 4);
    pen.program(&symbols, 100);
    pen.end();
    let mut child = world.ring(1, 1, 4);
    child.program(&symbols, 100);
    child.store();
    let packed = finish(&world.dir).unwrap();
    assert!(!packed.is_final && !packed.removed && world.dir.exists());
    let trace = Trace::read(&world.trace);
    assert_same(&trace.events, &pen.written);
    assert!(!trace.index.as_ref().unwrap().is_final);
    let size = bytes(&world.trace).len();
    finish(&world.dir).unwrap();
    assert_eq!(bytes(&world.trace).len(), size, "nothing new, nothing written");
    let path = crate::create::process_path(&world.dir, 1);
    fs::remove_file(path).unwrap();
    world.ended_process(1);
    let packed = finish(&world.dir).unwrap();
    assert!(packed.is_final && packed.removed);
    let trace = Trace::read(&world.trace);
    assert_same(&trace.of(1), &child.written);
    assert_same(&trace.of(0), &pen.written);
}

#[test]
fn losses_between_segments_begin_a_new_chunk() {
    let mut world = World::new("full");
    let symbols = world.symbols(&["main", "f"]);
    world.dead_process(0);
    let mut pen = world.ring(0, 0, 8);
    pen.program(&symbols, 100);
    pen.turn();
    // Dropped without numbers, and said so.
    pen.segment.lost_before = 77;
    pen.segment.lost_cause = rtrace_format::Cause::NoSpace;
    pen.program(&symbols, 100);
    pen.turn();
    // A whole lap that is not there.
    pen.program(&symbols, 50);
    pen.turn();
    pen.program(&symbols, 10);
    pen.store();
    pen.file.write_all_at(&0u64.to_le_bytes(), pen.offset(3) + 8).unwrap();
    pen.field(field::LOST, 4);
    pen.field(field::LOST_CAUSE, 2);
    finish(&world.dir).unwrap();
    let trace = Trace::read(&world.trace);
    let said: Vec<_> = trace.chunks.iter().map(|c| (c.lost_before, c.lost_cause)).collect();
    assert_eq!(said, [(0, 0), (77, 3), (0, 1)]);
    assert_eq!(trace.threads[&0].get_u64("lost_at_end"), Some(4));
    let gap = trace.chunks[2].first_record - trace.chunks[1].end_record();
    assert_eq!(gap, 201);
}

#[test]
fn fibers_have_stacks_of_their_own() {
    let mut world = World::new("flight");
    let symbols = world.symbols(&["main", "f", "g", "h"]);
    world.dead_process(0);
    let mut pen = world.ring(0, 0, 64);
    pen.call(symbols[0], 1);
    let mut other = Vec::new();
    for round in 0..200 {
        pen.call(symbols[1 + round % 3], 1);
        pen.program(&symbols[2..], 10);
        if round % 10 == 3 {
            other = pen.switch((round / 10 % 2) as u32, other);
        }
    }
    pen.store();
    finish(&world.dir).unwrap();
    let trace = Trace::read(&world.trace);
    assert_same(&trace.of(0), &pen.written);
    assert_eq!(trace.stack(0).len(), pen.stack.len());
    assert!(trace.chunks.len() < 4, "switches do not end chunks");
    assert_eq!(trace.threads[&0].get_u64("fiber").unwrap_or(0), u64::from(pen.fiber));
}

#[test]
fn losses_behind_the_last_record_are_said_at_the_end() {
    let mut world = World::new("full");
    let symbols = world.symbols(&["main", "f"]);
    world.dead_process(0);
    let mut pen = world.ring(0, 0, 8);
    pen.program(&symbols, 100);
    pen.turn();
    pen.program(&symbols, 50);
    pen.turn();
    // The last segment holds nothing yet, the one before it is gone.
    pen.file.write_all_at(&0u64.to_le_bytes(), pen.offset(2) + 8).unwrap();
    finish(&world.dir).unwrap();
    let trace = Trace::read(&world.trace);
    assert_eq!(trace.threads[&0].get_u64("lost_at_end"), Some(201));
    assert_eq!(trace.threads[&0].get_u64("lost_cause"), Some(1));
}

#[test]
fn after_a_failed_write_nothing_is_missing() {
    let mut world = World::new("flight");
    let symbols = world.symbols(&["main", "f"]);
    world.dead_process(0);
    let mut pen = world.ring(0, 0, 128);
    pen.program(&symbols, 45_000);
    pen.store();
    let session = SessionReader::open(&world.dir).unwrap();
    let ring = session.thread(0).unwrap().open().unwrap();
    let file = open_locked(&world.trace, Duration::ZERO).unwrap();
    let mut packer = Packer::resume(file, &world.trace, session.symbols().ok()).unwrap();
    let mut failures = 0;
    // A file open for reading fails as a full disk does: at the write.
    let mut spare = Some(packer.sink.writer.swap_file(File::open(&world.trace).unwrap()));
    for slot in ring.slots(0).unwrap() {
        let Ok(crate::live::Taken::Segment(mut segment)) = ring.take(slot, &mut Vec::new()) else {
            panic!()
        };
        if packer.add(&mut segment, rtrace_format::Cause::Unknown).is_err() {
            failures += 1;
            if let Some(file) = spare.take() {
                packer.sink.writer.swap_file(file);
            }
            packer.add(&mut segment, rtrace_format::Cause::Unknown).unwrap();
        }
    }
    packer.finish(true).unwrap();
    assert_eq!(failures, 1);
    assert_same(&Trace::read(&world.trace).of(0), &pen.written);
}
