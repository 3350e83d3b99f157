use super::*;
use crate::testing::{Event, Trace, World};
use rtrace_format::Cause;
use std::thread;

/// Runs a collector on a thread of its own, and waits until it is at work.
fn collect(world: &World) -> thread::JoinHandle<Result<Packed>> {
    let dir = world.dir.clone();
    let collector = thread::spawn(move || run(&dir));
    let path = session_path(&world.dir);
    let state = || {
        let session = read::whole(&path, 4096).ok()?;
        rtrace_format::bytes::u64_at(&session, session::field::COLLECTOR_STATE)
    };
    while state() == Some(session::COLLECTOR_NONE) && !collector.is_finished() {
        thread::yield_now();
    }
    collector
}

fn finished(collector: thread::JoinHandle<Result<Packed>>) -> Packed {
    let end = Instant::now() + Duration::from_secs(60);
    while !collector.is_finished() {
        assert!(Instant::now() < end, "the collector does not end");
        thread::sleep(Duration::from_millis(5));
    }
    collector.join().unwrap().unwrap()
}

#[test]
fn a_program_that_is_killed_is_in_the_trace_to_its_last_record() {
    let mut world = World::new("full");
    let symbols = world.symbols(&["main", "f", "g"]);
    let mut program = world.live_process(0);
    let collector = collect(&world);
    let mut pen = world.ring(0, 0, 16);
    pen.waits = true;
    pen.call(symbols[0], 1);
    pen.program(&symbols[1..], 8000);
    // A thread that begins later.
    let mut later = world.ring(1, 0, 4);
    later.program(&symbols, 50);
    later.store();
    pen.call(symbols[1], 1);
    pen.store();
    program.kill();
    let packed = finished(collector);
    assert!(packed.is_final && packed.removed && !world.dir.exists());
    let trace = Trace::read(&world.trace);
    assert_eq!(trace.of(0), pen.written);
    assert_eq!(trace.of(1), later.written);
    assert_eq!(trace.stack(0), ["main", "f"]);
    assert_eq!(trace.end(0), Some("killed"));
    assert!(trace.index.unwrap().is_final);
    assert!(trace.chunks.iter().all(|chunk| chunk.lost_cause == 0));
}

#[test]
fn the_file_follows_while_the_program_runs() {
    let mut world = World::new("full");
    let symbols = world.symbols(&["main", "f", "g"]);
    let mut program = world.live_process(0);
    let collector = collect(&world);
    let mut pen = world.ring(0, 0, 16);
    pen.program(&symbols, 400);
    pen.turn();
    let sealed = pen.written.clone();
    let end = Instant::now() + Duration::from_secs(20);
    while pen.drained() < pen.segment.lap - 1 {
        assert!(Instant::now() < end);
        thread::sleep(Duration::from_millis(5));
    }
    // What the header calls drained is in the file, names and all.
    let trace = Trace::read(&world.trace);
    assert_eq!(trace.of(0), sealed);
    assert_eq!(trace.threads[&0].get_text("name"), Some(&b"Thread-0"[..]));
    assert!(trace.index.is_none());
    let pid = u64::from(std::process::id());
    assert!(trace.processes[&0].get_u64("pid").is_some_and(|it| it > 0 && it != pid));
    assert_eq!(trace.end(0), None);
    // Nobody else may write it meanwhile.
    assert!(open_locked(&world.trace, Duration::ZERO).is_err());
    assert!(!wait_for(&world.dir, 0, Duration::from_millis(50)));
    pen.program(&symbols, 3);
    pen.end();
    // A thread that ends is in the file before its process ends.
    while pen.drained() < pen.segment.lap {
        assert!(Instant::now() < end);
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(Trace::read(&world.trace).of(0), pen.written);
    world.end_process(0);
    assert!(wait_for(&world.dir, 0, Duration::from_secs(20)));
    let trace = Trace::read(&world.trace);
    assert_eq!(trace.of(0), pen.written);
    assert_eq!(trace.end(0), Some("clean"));
    program.kill();
    assert!(finished(collector).is_final);
    assert!(wait_for(&world.dir, 0, Duration::ZERO), "the session is gone");
}

#[test]
fn a_writer_that_does_not_wait_loses_exactly_the_gaps() {
    let mut world = World::new("full");
    let symbols = world.symbols(&["main", "f", "g"]);
    let mut program = world.live_process(0);
    let mut pen = world.ring(0, 0, 4);
    pen.program(&symbols, 5000);
    let collector = collect(&world);
    pen.program(&symbols, 20_000);
    pen.store();
    program.kill();
    finished(collector);
    let trace = Trace::read(&world.trace);
    let got = trace.of(0);
    assert!(got.len() < pen.written.len(), "nothing was lost, so nothing was tested");
    let mut next = 0;
    let mut missing = 0;
    for chunk in &trace.chunks {
        assert!(chunk.first_record >= next);
        if chunk.first_record > next {
            assert_eq!(chunk.cause(), Cause::CollectorBehind);
            missing += chunk.first_record - next;
        }
        next = chunk.end_record();
    }
    assert_eq!(got.len() as u64 + missing, pen.written.len() as u64);
    let by_number: Vec<Event> =
        got.iter().map(|event| pen.written[event.number as usize].clone()).collect();
    assert_eq!(got, by_number);
}

#[test]
fn a_tree_is_final_when_its_last_process_is_over() {
    let mut world = World::new("full");
    let symbols = world.symbols(&["main", "f", "g"]);
    let mut parent = world.live_process(0);
    let collector = collect(&world);
    let mut pen = world.ring(0, 0, 4);
    pen.program(&symbols, 10);
    pen.end();
    // The child's file is there before the parent forks, without a pid.
    world.process(1, 0, 0, rtrace_format::process::FORKING);
    world.end_process(0);
    parent.kill();
    assert!(wait_for(&world.dir, 0, Duration::from_secs(20)));
    let trace = Trace::read(&world.trace);
    assert!(!trace.index.unwrap().is_final, "the child may still come to life");
    std::fs::remove_file(process_path(&world.dir, 1)).unwrap();
    let mut child = world.live_process(1);
    let mut twig = world.ring(1, 1, 4);
    twig.program(&symbols, 300);
    twig.store();
    thread::sleep(Duration::from_millis(200));
    assert!(!collector.is_finished());
    child.kill();
    finished(collector);
    let trace = Trace::read(&world.trace);
    assert_eq!(trace.of(0), pen.written);
    assert_eq!(trace.of(1), twig.written);
    assert_eq!((trace.end(0), trace.end(1)), (Some("clean"), Some("killed")));
}

#[test]
fn a_child_that_never_came_to_life_is_not_waited_for() {
    let mut world = World::new("full");
    let symbols = world.symbols(&["main", "f"]);
    world.ended_process(0);
    world.process(1, 0, 0, rtrace_format::process::FORKING);
    let mut pen = world.ring(0, 0, 4);
    pen.program(&symbols, 10);
    pen.end();
    finished(collect(&world));
    let trace = Trace::read(&world.trace);
    assert_eq!(trace.of(0), pen.written);
    assert!(!trace.processes.contains_key(&1));
}

#[test]
fn going_on_for_a_collector_that_died() {
    let mut world = World::new("full");
    let symbols = world.symbols(&["main", "f", "g"]);
    let mut program = world.live_process(0);
    let mut pen = world.ring(0, 0, 64);
    pen.program(&symbols, 3000);
    pen.turn();
    // A collector that was killed after some chunks: nobody finished the file.
    {
        let session = SessionReader::open(&world.dir).unwrap();
        let file = open_locked(&world.trace, Duration::ZERO).unwrap();
        let mut packer = Packer::resume(file, &world.trace, session.symbols().ok()).unwrap();
        let mut rings = Rings::new(&world.dir, session.header().uuid).unwrap();
        assert!(rings.open(0, &mut packer).unwrap());
        assert!(rings.drain_sealed(&mut packer).unwrap() > 5);
        packer.flush(0).unwrap();
        rings.release(&packer).unwrap();
    }
    assert_eq!(pen.drained(), pen.segment.lap - 1);
    pen.program(&symbols, 3000);
    pen.store();
    let collector = collect(&world);
    thread::sleep(Duration::from_millis(100));
    program.kill();
    finished(collector);
    assert_eq!(Trace::read(&world.trace).of(0), pen.written);
}

#[test]
fn a_session_removed_under_it_ends_the_collector() {
    let mut world = World::new("full");
    let symbols = world.symbols(&["main", "f"]);
    let _program = world.live_process(0);
    let mut pen = world.ring(0, 0, 16);
    pen.program(&symbols, 400);
    pen.turn();
    let sealed = pen.written.clone();
    let collector = collect(&world);
    let end = Instant::now() + Duration::from_secs(20);
    while pen.drained() < pen.segment.lap - 1 {
        assert!(Instant::now() < end);
        thread::sleep(Duration::from_millis(5));
    }
    std::fs::remove_dir_all(&world.dir).unwrap();
    while !collector.is_finished() {
        assert!(Instant::now() < end, "the collector does not end");
        thread::sleep(Duration::from_millis(5));
    }
    assert!(collector.join().unwrap().is_err());
    let trace = Trace::read(&world.trace);
    assert_eq!(trace.of(0), sealed);
    assert!(!trace.index.unwrap().is_final);
}
