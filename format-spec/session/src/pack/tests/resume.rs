//! Going on with what another writer left.

use super::*;

#[test]
fn going_on_after_a_writer_that_died_at_any_byte() {
    let mut world = World::new("full");
    let symbols = world.symbols(&["main", "f", "g", "h"]);
    world.dead_process(0);
    let mut pen = world.ring(0, 0, 64);
    pen.call(symbols[0], 5);
    pen.program(&symbols[1..], 6_000);
    let before = pen.segment.lap;
    pen.turn();
    pen.segment.lost_before = 3;
    assert!(pen.segment.lap > before);
    pen.program(&symbols[1..], 500);
    pen.store();
    let whole = world.beside("whole.bin");
    pack_session(&world.dir, &whole).unwrap();
    // The same trace in place, then cut: as a collector leaves it that is killed.
    let part = world.beside("part.bin");
    let empty = bytes(&world.trace);
    pack_session(&world.dir, &part).unwrap();
    let offsets = chunk_offsets(&whole);
    assert!(offsets.iter().filter(|(tag, ..)| tag == "EVNT").count() >= 2);
    let mut cuts = Vec::new();
    for (_, from, to) in &offsets {
        cuts.extend([
            *from,
            from + 8,
            from + 31,
            from + 32,
            from + 40,
            (from + to) / 2,
            to - 1,
            *to,
        ]);
    }
    let all = bytes(&whole);
    cuts.push(all.len() as u64 - 1);
    let session_end = chunk_offsets(&world.trace)[0].2;
    let first = offsets[0].2;
    for cut in cuts.into_iter().filter(|&cut| cut >= first) {
        let mut bytes = empty[..session_end as usize].to_vec();
        bytes.extend(&all[first as usize..cut as usize]);
        fs::write(&world.trace, &bytes).unwrap();
        let target = world.beside("again.bin");
        let _ = fs::remove_file(&target);
        pack_session(&world.dir, &target).unwrap();
        let copy = Trace::read(&target);
        assert_same(&copy.of(0), &pen.written);
        // And in place, without taking the session away.
        let file = open_locked(&world.trace, Duration::ZERO).unwrap();
        let session = SessionReader::open(&world.dir).unwrap();
        let mut packer = Packer::resume(file, &world.trace, session.symbols().ok()).unwrap();
        pack_threads(&mut packer, &session, Which::Over).unwrap();
        packer.finish(true).unwrap();
        drop(packer);
        let trace = Trace::read(&world.trace);
        assert_same(&trace.of(0), &pen.written);
        assert_eq!(trace.symbols.len(), 4);
        assert_eq!(trace.end(0), Some("killed"));
    }
}

#[test]
fn a_damaged_trace_is_gone_on_with() {
    let mut world = World::new("full");
    let symbols = world.symbols(&["main", "f", "g", "h"]);
    world.dead_process(0);
    let mut pen = world.ring(0, 0, 64);
    pen.program(&symbols, 12_000);
    pen.store();
    let whole = world.beside("whole.bin");
    pack_session(&world.dir, &whole).unwrap();
    let good = bytes(&whole);
    for (tag, from, _) in chunk_offsets(&whole) {
        for at in [from + 1, from + 40] {
            let mut bad = good.clone();
            bad[at as usize] ^= 1;
            fs::write(&whole, &bad).unwrap();
            // A trace without a session gets an index; nothing panics, ids stay apart.
            pack_session(&whole, &whole).unwrap();
            let bytes = bytes(&whole);
            assert!(rtrace_format::index::Trailer::parse(&bytes).is_ok(), "{tag}");
        }
    }
}
