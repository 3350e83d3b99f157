//! The pyramid above the chunks, and writers that die while they build it.

use super::*;
use rtrace_format::Summary;
use rtrace_format::node::{CHILDREN, CHUNKS};

/// A thread of so many chunks: a loss before each begins a new one.
fn in_chunks(world: &mut World, chunks: usize) -> Pen {
    let symbols = world.symbols(&["main", "f", "g"]);
    world.dead_process(0);
    let mut pen = world.ring(0, 0, 2 * chunks as u32);
    for chunk in 0..chunks {
        if chunk > 0 {
            pen.turn();
            pen.segment.lost_before = 3;
        }
        pen.program(&symbols, 20 + chunk % 7);
    }
    pen.store();
    pen
}

#[test]
fn nodes_are_written_as_soon_as_their_children_are() {
    let mut world = World::new("full");
    let chunks = CHUNKS * CHILDREN + CHUNKS + 3;
    in_chunks(&mut world, chunks);
    finish(&world.dir).unwrap();
    let trace = Trace::read(&world.trace);
    assert_eq!(trace.chunks.len(), chunks);
    let tags: String = trace.tags.iter().map(|tag| tag.chars().next().unwrap()).collect();
    let group = format!("{}N", "E".repeat(CHUNKS));
    let mut expected = group.repeat(CHILDREN) + "N" + &group + "EEE";
    // The first chunk's symbols stand before it.
    expected.insert(0, 'S');
    assert!(tags.contains(&expected), "{tags}");
    let (header, summary) = trace.nodes.iter().find(|(node, _)| node.level == 2).unwrap();
    let below = &trace.chunks[..CHUNKS * CHILDREN];
    assert_eq!((header.children as usize, header.chunks as usize), (CHILDREN, below.len()));
    assert_eq!(header.records, below.iter().map(|chunk| u64::from(chunk.records)).sum::<u64>());
    assert_eq!(header.base_tick, below[0].base_tick);
    assert_eq!(header.end_tick, below.last().unwrap().end_tick);
    let calls = |summary: &Summary| -> u64 {
        summary.functions.iter().flatten().map(|function| function.calls).sum()
    };
    let ones = trace.nodes.iter().filter(|(node, _)| node.level == 1).take(CHILDREN);
    assert_eq!(calls(summary), ones.map(|(_, summary)| calls(summary)).sum::<u64>());
}

#[test]
fn going_on_after_a_writer_that_died_gives_the_same_nodes() {
    let mut world = World::new("full");
    in_chunks(&mut world, CHUNKS * CHILDREN + 2);
    let whole = world.beside("whole.bin");
    pack_session(&world.dir, &whole).unwrap();
    let all = bytes(&whole);
    let nodes = Trace::read(&whole).nodes;
    let offsets = chunk_offsets(&whole);
    let near_a_node =
        |at: &usize| offsets[at.saturating_sub(2)..].iter().take(4).any(|(tag, ..)| tag == "NODE");
    for at in (1..offsets.len()).filter(near_a_node).step_by(3) {
        fs::write(&world.trace, &all[..offsets[at].1 as usize]).unwrap();
        let file = open_locked(&world.trace, Duration::ZERO).unwrap();
        let session = SessionReader::open(&world.dir).unwrap();
        let mut packer = Packer::resume(file, &world.trace, session.symbols().ok()).unwrap();
        pack_threads(&mut packer, &session, Which::All).unwrap();
        packer.finish(true).unwrap();
        drop(packer);
        assert_eq!(Trace::read(&world.trace).nodes, nodes, "cut before {:?}", offsets[at]);
        assert!(bytes(&world.trace) == all, "cut before {:?}", offsets[at]);
    }
}

#[test]
fn a_trace_without_its_nodes_gets_them_when_it_is_packed() {
    let mut world = World::new("full");
    in_chunks(&mut world, CHUNKS * CHILDREN);
    finish(&world.dir).unwrap();
    let nodes = Trace::read(&world.trace).nodes;
    assert_eq!(nodes.len(), CHILDREN + 1);
    let all = bytes(&world.trace);
    let mut without = all[..rtrace_format::file::HEADER_LEN].to_vec();
    for (tag, from, to) in chunk_offsets(&world.trace) {
        if !["NODE", "INDX"].contains(&tag.as_str()) {
            without.extend(&all[from as usize..to as usize]);
        }
    }
    fs::write(&world.trace, without).unwrap();
    pack_session(&world.trace, &world.trace).unwrap();
    assert_eq!(Trace::read(&world.trace).nodes, nodes);
}
