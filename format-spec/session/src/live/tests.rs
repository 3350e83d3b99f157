use super::*;
use crate::testing::World;
use rtrace_format::Kind;
use std::sync::atomic::{AtomicBool, Ordering};

/// The writer goes round and round; every copy must be of one moment.
#[test]
fn no_copy_of_a_living_ring_is_a_mixture() {
    let mut world = World::new("flight");
    let symbols = world.symbols(&["main", "f", "g"]);
    world.dead_process(0);
    let mut pen = world.ring(0, 0, 4);
    pen.words_max = 50;
    let done = AtomicBool::new(false);
    let (written, seen, overtaken) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for _ in 0..3000 {
                pen.program(&symbols, 3);
                // Records are stored one by one; here a few at a time.
                pen.store();
            }
            done.store(true, Ordering::Release);
            pen.written
        });
        let (mut seen, mut overtaken) = (Vec::new(), 0);
        let mut symbols = SessionReader::open(&world.dir).unwrap().symbols().unwrap();
        while !done.load(Ordering::Acquire) {
            let session = SessionReader::open(&world.dir).unwrap();
            let ring = session.thread(0).unwrap().open().unwrap();
            let copied = ring.copy_after(0).unwrap();
            overtaken += copied.torn;
            assert!(copied.damaged.is_empty(), "{:?}", copied.damaged);
            for segment in copied.segments {
                for record in &segment.rows {
                    if record.word.kind() == Some(Kind::Call) {
                        let name = symbols.get(record.word.id()).unwrap().unwrap().qualname;
                        seen.push((record.number, record.tick, name));
                    }
                }
            }
        }
        (writer.join().unwrap(), seen, overtaken)
    });
    assert!(seen.len() > 100);
    for (number, tick, name) in seen {
        let event = &written[number as usize];
        assert_eq!((event.tick, event.name.as_bytes()), (tick, &name[..]));
        assert_eq!(event.kind, "call");
    }
    // Not asserted on: how often depends on the machine.
    let _ = overtaken;
}

#[test]
fn a_session_shows_its_processes_threads_and_symbols() {
    let mut world = World::new("flight");
    let symbols = world.symbols(&["main", "f"]);
    let mut live = world.live_process(0);
    world.ended_process(1);
    world.dead_process(2);
    let mut pen = world.ring(4, 0, 4);
    pen.program(&symbols, 3);
    pen.call(symbols[1], 2);
    pen.store();
    // Files that are not complete yet are no problem; a damaged one is.
    std::fs::write(world.dir.join("ring-5"), vec![0; 5000]).unwrap();
    std::fs::write(world.dir.join("process-7"), vec![0; 500]).unwrap();
    std::fs::write(world.dir.join("ring-6"), b"RTRING\r\nnonsense").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", world.dir.join("ring-7")).unwrap();
    let mut session = SessionReader::open(&world.dir).unwrap();
    let ends: Vec<_> = session.processes().map(|p| (p.header.number, p.end)).collect();
    assert_eq!(ends, [(0, End::Running), (1, End::Clean), (2, End::Killed)]);
    assert_eq!(session.liveness(), Liveness::Live);
    assert_eq!(session.threads().map(|t| t.header.serial).collect::<Vec<_>>(), [4]);
    // ring-900 is the program of the process that runs.
    let problems: Vec<String> = session.problems().iter().map(|p| p.to_string()).collect();
    assert_eq!(problems.len(), 3, "{problems:?}");
    let now = session.thread(4).unwrap().open().unwrap().stack_now().unwrap();
    assert_eq!(now.stack.outer(), pen.stack);
    let (all, next) = session.symbols().unwrap().scan_from(0).unwrap();
    assert_eq!(all.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [symbols[0].0, symbols[1].0]);
    let third = world.symbol("later");
    let (more, _) = session.symbols().unwrap().scan_from(next).unwrap();
    assert_eq!(more[0].0, third);
    assert_eq!(session.symbols().unwrap().get(third + 1).unwrap(), None);
    live.kill();
    session.refresh().unwrap();
    assert_eq!(session.process(0).unwrap().end, End::Killed);
    assert_eq!(session.liveness(), Liveness::Dead);
}

#[test]
fn noise_in_place_of_a_session_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    assert!(SessionReader::open(dir.path()).unwrap_err().is_not_found());
    for bytes in [&b""[..], b"RTSESS\r\n", &[0xFF; 5000]] {
        std::fs::write(dir.path().join("session"), bytes).unwrap();
        assert!(SessionReader::open(dir.path()).is_err());
    }
}
