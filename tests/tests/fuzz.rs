//! The short form of the fuzzers: the corpus, and for a moment changes of it.
//!
//! The long form is `tools/fuzz`, under libFuzzer. `RTRACE_FUZZ_SECONDS` makes this one
//! longer, without it.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rtrace_tests::fuzz::{TARGETS, seeds};

/// Numbers that look random, the same for the same seed (SplitMix64).
struct Die(u64);

impl Die {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// A few changes of the kinds that break decoders: bits, lengths, cuts, parts of others.
fn change(bytes: &mut Vec<u8>, other: &[u8], die: &mut Die) {
    const ODD: [u64; 8] = [0, 1, 0x7f, 0xff, 0xffff, u32::MAX as u64, i64::MAX as u64, u64::MAX];
    for _ in 0..=die.below(4) {
        let at = die.below(bytes.len());
        match die.below(6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << die.below(8),
            1 if at < bytes.len() => bytes[at] = die.next() as u8,
            2 => {
                let value = ODD[die.below(ODD.len())].wrapping_add(die.below(3) as u64);
                let len = [1, 2, 4, 8][die.below(4)];
                let at = at / len * len;
                for (to, from) in bytes[at..].iter_mut().zip(&value.to_le_bytes()[..len]) {
                    *to = *from;
                }
            }
            3 => bytes.truncate(at),
            4 => {
                let from = die.below(other.len());
                let len = die.below(64).min(other.len() - from);
                bytes.splice(at..at, other[from..from + len].iter().copied());
            }
            _ => {
                let end = (at + die.below(64)).min(bytes.len());
                bytes.drain(at..end);
            }
        }
    }
}

#[test]
fn the_corpus_is_read_or_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (name, target) in TARGETS {
        for seed in seeds(name) {
            target(&seed, folder.path());
        }
        for entry in fs::read_dir(corpus.join(name)).into_iter().flatten().flatten() {
            target(&fs::read(entry.path()).expect("an input"), folder.path());
        }
    }
}

#[test]
fn changed_inputs_are_read_or_refused() {
    let seconds = std::env::var("RTRACE_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let each = Duration::from_secs_f64(seconds.unwrap_or(1.0));
    let folder =
        tempfile::tempdir_in(if Path::new("/dev/shm").is_dir() { "/dev/shm" } else { "." })
            .expect("a folder");
    for (name, target) in TARGETS {
        let seeds = seeds(name);
        assert!(!seeds.is_empty(), "{name}");
        let (begun, mut executions) = (Instant::now(), 0u64);
        let start = seconds.map_or(7, |_: f64| std::process::id().into());
        while begun.elapsed() < each {
            let mut die = Die(start << 40 | executions);
            let mut bytes = seeds[die.below(seeds.len())].clone();
            let other = &seeds[die.below(seeds.len())];
            change(&mut bytes, other, &mut die);
            // A failure leaves the input here.
            fs::write(folder.path().join("input"), &bytes).expect("the input");
            target(&bytes, folder.path());
            executions += 1;
        }
        println!("{name}: {executions} executions in {:.0} s", each.as_secs_f64());
        assert!(executions > 10, "{name}");
    }
}
