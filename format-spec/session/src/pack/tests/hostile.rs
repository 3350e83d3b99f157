//! Bytes that nobody wrote: a result or an error, and never a panic.

use super::*;

#[test]
fn any_bytes_behind_a_header_are_gone_on_with() {
    let world = World::new("flight");
    let beginning = bytes(&world.trace);
    let path = world.beside("noise.bin");
    let mut state = 1u64;
    for len in 0..300usize {
        let mut bytes = beginning.clone();
        for i in 0..len {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            // Markers and plausible tags among the noise.
            match i % 40 {
                0 => bytes.extend(b"RTCK"),
                4 => bytes.extend(b"SYMB"),
                _ => bytes.push((state >> 33) as u8),
            }
        }
        fs::write(&path, &bytes).unwrap();
        pack_session(&path, &path).unwrap();
        assert!(rtrace_format::index::Trailer::parse(&crate::testing::bytes(&path)).is_ok());
    }
}

/// Overwrites parts of a ring with noise; whatever comes out, nothing panics.
fn noise(pen: &Pen, seed: u64) {
    let mut state = seed | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let len = pen.file.metadata().unwrap().len();
    for _ in 0..20 {
        let at = match next() % 4 {
            0 => next() % 144,
            1 => 1024 + next() % 64,
            2 => pen.offset(1 + next() % 8) + next() % segment::HEADER_LEN as u64,
            _ => next() % len,
        };
        let bytes = (next() >> (next() % 64)).to_le_bytes();
        let n = 1 + next() as usize % 8;
        pen.file.write_all_at(&bytes[..n.min((len - at) as usize)], at).unwrap();
    }
}

#[test]
fn hostile_rings_give_a_trace_or_an_error() {
    for seed in 1..60u64 {
        let mut world = World::new("flight");
        let symbols = world.symbols(&["main", "f"]);
        world.dead_process(0);
        let mut pen = world.ring(0, 0, 8);
        pen.words_max = 300;
        pen.program(&symbols, 400);
        pen.store();
        noise(&pen, seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        if let Ok(mut ring) = crate::live::Ring::open(&pen.path) {
            assert!(ring.offsets().len() <= 8);
            let _ = ring.stack_now();
        }
        let out = world.beside("out.bin");
        if pack_session(&world.dir, &out).is_ok() {
            // Readable chunk by chunk; what is in them may be anything.
            assert!(rtrace_format::index::Trailer::parse(&bytes(&out)).is_ok());
        }
    }
}
