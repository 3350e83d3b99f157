//! Going on with what another writer left.

use super::*;
use proptest::prelude::*;

#[test]
fn going_on_after_a_writer_that_died_at_any_byte() {
    let mut world = World::new("full");
    let symbols = world.symbols(&["main", "f", "g", "h"]);
    world.dead_process(0);
    let mut pen = world.ring(0, 0, 64);
    pen.call(symbols[0], 5);
    pen.words_max = 700;
    pen.program(&symbols[1..], 3_000);
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
        cuts.extend([*from, from + 31, from + 40, (from + to) / 2, to - 1, *to]);
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
        pack_threads(&mut packer, &session, Which::All).unwrap();
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

/// What a program and its packers do, in any order.
#[derive(Debug, Clone)]
enum Act {
    Calls(usize),
    Deeper(usize),
    Up,
    Lost,
    Sleep(u64),
    Turn,
    Switch,
    Store,
    /// Pack in place; another process each time.
    Pack,
}

fn any_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (1usize..60).prop_map(Act::Calls),
        2 => (1usize..40).prop_map(Act::Deeper),
        2 => Just(Act::Up),
        1 => Just(Act::Lost),
        1 => (1u64..1 << 40).prop_map(Act::Sleep),
        2 => Just(Act::Turn),
        1 => Just(Act::Switch),
        2 => Just(Act::Store),
        3 => Just(Act::Pack),
    ]
}

fn pack_here(world: &World) {
    let file = open_locked(&world.trace, Duration::ZERO).unwrap();
    let session = SessionReader::open(&world.dir).unwrap();
    let mut packer = Packer::resume(file, &world.trace, session.symbols().ok()).unwrap();
    pack_threads(&mut packer, &session, Which::All).unwrap();
    packer.finish(false).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// However often and whenever it is packed, every event is there once.
    #[test]
    fn packing_at_any_time_gives_every_event_once(
        acts in prop::collection::vec(any_act(), 1..60), words_max in 20usize..400,
    ) {
        let mut world = World::new("flight");
        let symbols = world.symbols(&["main", "f", "g", "h"]);
        world.dead_process(0);
        let mut pen = world.ring(0, 0, 512);
        pen.words_max = words_max;
        let (mut open, mut other, mut fiber) = (Vec::new(), Vec::new(), 0);
        let mut other_open = Vec::new();
        let mut lost = 0;
        for act in acts {
            match act {
                Act::Calls(rounds) => pen.program(&symbols[1..], rounds),
                Act::Deeper(by) => for i in 0..by {
                    pen.call(symbols[i % 4], 1);
                    open.push(symbols[i % 4]);
                },
                Act::Up => for symbol in open.drain(open.len() / 3..).rev() {
                    pen.ret(symbol, 1);
                },
                Act::Lost => {
                    pen.lost(1);
                    lost += 1;
                }
                Act::Sleep(ticks) => pen.sleep(ticks),
                Act::Turn => pen.turn(),
                Act::Switch => {
                    fiber = 1 - fiber;
                    // A switch carries at most 120 frames, and a segment must hold it.
                    if other_open.len() < 8 {
                        other = pen.switch(fiber, std::mem::take(&mut other));
                        std::mem::swap(&mut open, &mut other_open);
                    } else {
                        fiber = 1 - fiber;
                    }
                }
                Act::Store => pen.store(),
                Act::Pack => {
                    pen.store();
                    pack_here(&world);
                }
            }
        }
        pen.store();
        pack_here(&world);
        let trace = Trace::read(&world.trace);
        assert_same(&trace.of(0), &pen.written);
        prop_assert_eq!(trace.lost.len(), lost);
        prop_assert_eq!(trace.stack(0).len(), pen.stack.len());
        let copy = world.beside("copy.bin");
        pack_session(&world.dir, &copy).unwrap();
        prop_assert_eq!(Trace::read(&copy).events, trace.events);
    }
}
