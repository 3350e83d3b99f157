//! A model check of a segment's writer against a live reader.
//!
//! The writer is the recorder's own (`rtrace_format::segment::live`), over words that are
//! loom's: it tries every order in which two threads can run, with at most so many switches
//! away from one that could go on, and every value that C11's memory model lets a load see.
//! `LOOM_MAX_PREEMPTIONS=4 cargo test --release -p rtrace-tests --test model` looks further.
//!
//! The reader is SPEC section 4.1's: lap and rewinds, a copy, lap and rewinds again. It copies
//! with relaxed loads, as a machine might that orders nothing. Only the last test has loads in
//! order, as those of one copy on x86: the payload of a long record is looked at because its
//! header was seen, and a machine that turns these loads around needs a second copy.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::atomic::{AtomicU64 as Count, Ordering::Relaxed};

use loom::sync::atomic::AtomicU64;
use loom::thread;
use rtrace_format::segment::field;
use rtrace_format::segment::live::{self, Cell, Closing, Opening};
use rtrace_format::{Cause, Word};

const BODY: usize = 16;
/// Words of a segment here: header, no keyframe, and a few records.
const WORDS: usize = BODY + 3;

/// A word under the model checker.
struct Model(AtomicU64);

impl Cell for Model {
    fn load(&self, order: Ordering) -> u64 {
        self.0.load(order)
    }

    fn store(&self, value: u64, order: Ordering) {
        self.0.store(value, order);
    }

    fn fence(order: Ordering) {
        loom::sync::atomic::fence(order);
    }
}

/// The segment, and how many of its states the writer has published.
struct Shared {
    words: Vec<Model>,
    done: AtomicU64,
}

fn opening(lap: u64, first_record: u64) -> Opening<'static> {
    Opening {
        lap,
        serial: 7,
        first_record,
        base_tick: 0,
        cpu_ns: 0,
        fiber: 0,
        depth: 0,
        frames: &[],
        outer: 0,
        lost: (0, Cause::Unknown),
    }
}

/// What a reader takes of a segment: its lap, its first record, its records.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Copy {
    lap: u64,
    first_record: u64,
    records: Vec<u64>,
}

fn empty(words: &[Model]) {
    words.iter().for_each(|word| word.store(0, Relaxed));
}

fn version(words: &[Model], order: Ordering) -> (u64, u64) {
    let lap = words[field::LAP / 8].load(order);
    (lap, words[field::OUTER / 8].load(order) >> 32)
}

/// One try; none where the copy is not to be used. `order` is that of the loads.
fn read(words: &[Model], order: Ordering) -> Option<Copy> {
    let before = version(words, Ordering::Acquire);
    let first_record = words[field::FIRST_RECORD / 8].load(order);
    let mut records: Vec<u64> = words[BODY..].iter().map(|word| word.load(order)).collect();
    Model::fence(Ordering::Acquire);
    let after = version(words, Ordering::Relaxed);
    if before != after || before.0 == 0 {
        return None;
    }
    let end = records.iter().position(|&word| word == 0).unwrap_or(records.len());
    records.truncate(end);
    Some(Copy { lap: before.0, first_record, records })
}

type Step = fn(&[Model]);

/// Runs the steps of a writer against one look of a reader. `states` are what the segment
/// says after each of them, and `also` what it may say in between.
fn check(steps: &'static [Step], states: &'static [Copy], also: &'static [Copy], order: Ordering) {
    assert_eq!(steps.len(), states.len());
    let runs = Arc::new(Count::new(0));
    let counted = Arc::clone(&runs);
    let mut model = loom::model::Builder::new();
    model.preemption_bound = model.preemption_bound.or(Some(2));
    model.check(move || {
        counted.fetch_add(1, Relaxed);
        let words = (0..WORDS).map(|_| Model(AtomicU64::new(0))).collect();
        let shared = Arc::new(Shared { words, done: AtomicU64::new(0) });
        let writer = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                for (n, step) in steps.iter().enumerate() {
                    step(&shared.words);
                    shared.done.store(n as u64 + 1, Ordering::Release);
                }
            })
        };
        let done = shared.done.load(Ordering::Acquire) as usize;
        if let Some(copy) = read(&shared.words, order) {
            // Nothing that stood there before the look is missing, nothing was never there.
            let since = &states[done.saturating_sub(1)..];
            assert!(since.contains(&copy) || also.contains(&copy), "{done} steps, then {copy:?}");
        }
        writer.join().unwrap();
        let last = read(&shared.words, order);
        assert_eq!(last.as_ref(), states.last());
    });
    println!("{} executions", runs.load(Relaxed));
}

fn leak(copies: &[(u64, u64, &[u64])]) -> &'static [Copy] {
    let copies = copies.iter().map(|&(lap, first_record, records)| {
        let records = records.to_vec();
        Copy { lap, first_record, records }
    });
    Vec::leak(copies.collect())
}

fn seal(words: &[Model]) {
    live::seal(words, &Closing { counts: 2 | 2 << 32, end_tick: 9, crc: 77 });
}

#[test]
fn a_segment_that_is_used_again() {
    let steps: &[Step] = &[
        |words| {
            live::begin(words, &opening(1, 0), empty);
        },
        |words| live::append(&words[BODY], 11),
        |words| live::append(&words[BODY + 1], 12),
        seal,
        |words| {
            live::begin(words, &opening(2, 2), empty);
        },
        |words| live::append(&words[BODY], 21),
    ];
    let states = leak(&[
        (1, 0, &[]),
        (1, 0, &[11]),
        (1, 0, &[11, 12]),
        (1, 0, &[11, 12]),
        (2, 2, &[]),
        (2, 2, &[21]),
    ]);
    check(Vec::leak(steps.to_vec()), states, &[], Relaxed);
}

#[test]
fn records_that_are_taken_back() {
    let steps: &[Step] = &[
        |words| {
            live::begin(words, &opening(1, 0), empty);
        },
        |words| live::append(&words[BODY], 11),
        |words| live::append(&words[BODY + 1], 12),
        |words| live::append(&words[BODY + 2], 13),
        |words| live::take_back(&words[field::OUTER / 8], words[BODY + 1..].iter()),
        |words| live::append(&words[BODY + 1], 14),
        |words| live::append(&words[BODY + 2], 15),
    ];
    let states = leak(&[
        (1, 0, &[]),
        (1, 0, &[11]),
        (1, 0, &[11, 12]),
        (1, 0, &[11, 12, 13]),
        (1, 0, &[11]),
        (1, 0, &[11, 14]),
        (1, 0, &[11, 14, 15]),
    ]);
    check(Vec::leak(steps.to_vec()), states, leak(&[(1, 0, &[11, 12])]), Relaxed);
}

/// A writer that forgets the lap of 0.
#[test]
#[should_panic(expected = "steps, then")]
fn a_writer_that_does_not_say_that_it_begins_is_found_out() {
    let steps: &[Step] = &[
        |words| {
            live::begin(words, &opening(1, 0), empty);
        },
        |words| live::append(&words[BODY], 11),
        |words| {
            words[field::FIRST_RECORD / 8].store(1, Relaxed);
            words[BODY].store(0, Relaxed);
            words[field::LAP / 8].store(2, Ordering::Release);
        },
    ];
    let states = leak(&[(1, 0, &[]), (1, 0, &[11]), (2, 1, &[])]);
    check(Vec::leak(steps.to_vec()), states, &[], Relaxed);
}

/// A writer that counts a rewind only after it has stored what comes next.
#[test]
#[should_panic(expected = "steps, then")]
fn a_writer_that_counts_too_late_is_found_out() {
    let steps: &[Step] = &[
        |words| {
            live::begin(words, &opening(1, 0), empty);
        },
        |words| live::append(&words[BODY], 11),
        |words| live::append(&words[BODY + 1], 12),
        |words| {
            words[BODY + 1].store(0, Ordering::Release);
            words[BODY].store(0, Ordering::Release);
            live::append(&words[BODY], 13);
            live::append(&words[BODY + 1], 14);
            let state = &words[field::OUTER / 8];
            state.store(state.load(Relaxed).wrapping_add(1 << 32), Ordering::Release);
        },
    ];
    let states = leak(&[(1, 0, &[]), (1, 0, &[11]), (1, 0, &[11, 12]), (1, 0, &[13, 14])]);
    check(Vec::leak(steps.to_vec()), states, leak(&[(1, 0, &[13])]), Relaxed);
}

#[test]
fn a_long_record_is_seen_whole() {
    const HEADER: u64 = Word::long(2, 1, 0, 5).0;
    let steps: &[Step] = &[
        |words| {
            live::begin(words, &opening(1, 0), empty);
        },
        |words| {
            words[BODY + 1].store(99, Relaxed);
            live::append(&words[BODY], HEADER);
        },
        |words| live::append(&words[BODY + 2], 12),
    ];
    let states = leak(&[(1, 0, &[]), (1, 0, &[HEADER, 99]), (1, 0, &[HEADER, 99, 12])]);
    check(Vec::leak(steps.to_vec()), states, &[], Ordering::Acquire);
}
