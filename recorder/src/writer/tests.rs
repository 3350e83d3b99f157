//! The writer against a model that keeps everything in vectors, read back from the
//! ring file by the format crate's own decoders.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;
use rtrace_format::record::Subkind;
use rtrace_format::ring::RingHeader;
use rtrace_format::{Effect, Frame, Kind, Long, Segment, Stack, long};

use super::Writer;
use super::cold::{Cold, Helpers};
use crate::clock::{self, Ticks};
use crate::filter::Filter;
use crate::options::{HookKind, Mode, Options};
use crate::recording::Recording;
use crate::session::{self, Interpreter};

const HELPERS: Helpers =
    Helpers { attach: |_, _| false, name: || Some(b"named".to_vec()), fibers: |_, _| true };

pub(crate) struct Fixture {
    _dir: tempfile::TempDir,
    pub(crate) recording: Arc<Recording>,
}

pub(crate) fn fixture(ring_size: u64, max_memory: u64, max_depth: Option<u32>) -> Fixture {
    fixture_with(ring_size, max_memory, |options| options.max_depth = max_depth)
}

pub(crate) fn fixture_with(
    ring_size: u64,
    max_memory: u64,
    change: impl FnOnce(&mut Options),
) -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let mut options = Options {
        output: dir.path().join("trace.bin"),
        mode: Mode::Flight,
        hook: HookKind::Profile,
        c_calls: false,
        lines: false,
        opcodes: false,
        ring_size,
        max_memory: Some(max_memory),
        ring_dir: Some(dir.path().to_owned()),
        filter: Filter::default(),
        budget: None,
        min_duration_ns: None,
        max_depth: None,
        children: false,
        runner: false,
        argv: vec![],
    };
    change(&mut options);
    let begun = session::begin(options, &Interpreter::default()).unwrap();
    Fixture { _dir: dir, recording: Arc::new(begun.recording) }
}

pub(crate) fn writer(fixture: &Fixture, frames: &[Frame]) -> Writer {
    let tid = crate::thread::current_tid();
    let mut writer = Writer::detached(Cold::new(HELPERS, tid), Ticks::of(&fixture.recording.clock));
    let ring = fixture.recording.new_ring(tid).unwrap();
    writer.attach(Arc::clone(&fixture.recording), ring, frames);
    writer
}

/// What a reader finds in a ring file.
struct Read {
    header: RingHeader,
    segments: Vec<Segment>,
    stack: Vec<Frame>,
}

fn read(fixture: &Fixture) -> Read {
    let path = rtrace_session::create::ring_path(&fixture.recording.dir, 0);
    read_ring(&path)
}

fn read_ring(path: &Path) -> Read {
    let bytes = std::fs::read(path).unwrap();
    let header = RingHeader::parse(&bytes[..4096]).unwrap();
    let len = header.segment_len as usize;
    let at = header.segment_offsets().map(|offset| &bytes[offset as usize..offset as usize + len]);
    let used = at.filter(|bytes| bytes[8..16] != [0; 8]);
    let mut segments: Vec<Segment> = used.map(|bytes| Segment::parse(bytes).unwrap()).collect();
    segments.sort_by_key(|segment| segment.lap);
    let extent = header.stack().unwrap();
    let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let stack = (0..(header.depth as usize).min(extent.count as usize)).map(|index| {
        let at = extent.offset as usize + index * 16;
        Frame { tick: word(at), word: word(at + 8) as u32 }
    });
    let stack = stack.collect();
    Read { header, segments, stack }
}

/// Numbered records: number, kind, id.
fn records(read: &Read) -> Vec<(u64, Kind, u32)> {
    let all = read.segments.iter().flat_map(|segment| segment.rows.iter());
    let numbered = all.filter_map(|record| {
        let kind = record.word.kind().unwrap();
        let id = if kind == Kind::Long { record.word.subkind().into() } else { record.word.id() };
        record.numbered.then_some((record.number, kind, id))
    });
    numbered.collect()
}

mod short;

#[derive(Debug, Clone, Copy)]
enum Op {
    Enter(Kind, u32),
    /// Leaves the frame so many below the top; past the outermost: an unknown one.
    Leave(Kind, usize),
    Line(u32),
    Mark(usize),
    /// A pause of this many times 2^30 ticks.
    Pause(u64),
}

#[derive(Default)]
struct Model {
    stack: Vec<u32>,
    records: Vec<(u64, Kind, u32)>,
}

impl Model {
    fn push(&mut self, kind: Kind, id: u32) {
        self.records.push((self.records.len() as u64, kind, id));
    }

    fn apply(&mut self, writer: &mut Writer, op: Op) {
        match op {
            Op::Enter(Kind::CCall, id) => {
                writer.enter_c(id);
                if !self.stack.is_empty() {
                    self.push(Kind::CCall, id);
                    self.stack.push(id);
                }
            }
            Op::Enter(kind, id) => {
                writer.enter(kind, id);
                self.push(kind, id);
                self.stack.push(id);
            }
            Op::Leave(kind, below) => {
                let Some(at) = self.stack.len().checked_sub(below + 1) else {
                    // No such frame is open: nothing is to be written.
                    writer.leave(kind, 0xFFF_FFFF);
                    return;
                };
                let id = self.stack[at];
                writer.leave(kind, id);
                self.push(kind, id);
                // The topmost one of this id, and all above it.
                let top = self.stack.iter().rposition(|&open| open == id).unwrap();
                self.stack.truncate(top);
            }
            Op::Line(line) => {
                writer.point(Kind::Line, line);
                if !self.stack.is_empty() {
                    self.push(Kind::Line, line);
                }
            }
            Op::Mark(len) => {
                let mut payload = Vec::new();
                long::encode_named(&mut payload, &vec![b'm'; len]);
                writer.long(Subkind::MARK, 0, &payload);
                self.push(Kind::Long, Subkind::MARK.into());
            }
            Op::Pause(quarters) => clock::tests::pass(quarters << 30),
        }
    }

    /// Everything that a reader finds agrees with what was done.
    fn check(&self, read: &Read, whole: bool) {
        let found = records(read);
        if whole {
            assert_eq!(found, self.records);
        } else {
            assert_eq!(found, self.records[self.records.len() - found.len()..]);
        }
        assert_eq!(read.header.depth as usize, self.stack.len());
        let ids = |frames: &[Frame]| frames.iter().map(Frame::id).collect::<Vec<_>>();
        assert_eq!(ids(&read.stack), self.stack);
        let Some(last) = read.segments.last() else { return };
        let mut stack = Stack::from_keyframe(&last.keyframe);
        for record in last.rows.iter() {
            stack.apply(record.word, record.tick);
        }
        assert_eq!(stack.depth() as usize, self.stack.len());
    }
}

fn op() -> impl Strategy<Value = Op> {
    const ENTRIES: &[Kind] = &[Kind::Call, Kind::Resume, Kind::Throw, Kind::CCall];
    const EXITS: &[Kind] =
        &[Kind::Return, Kind::Unwind, Kind::Yield, Kind::CReturn, Kind::CException];
    prop_oneof![
        8 => (prop::sample::select(ENTRIES), 4u32..20).prop_map(|(kind, id)| Op::Enter(kind, id)),
        8 => prop::sample::select(EXITS).prop_map(|kind| Op::Leave(kind, 0)),
        1 => (prop::sample::select(EXITS), 0usize..40).prop_map(|(kind, n)| Op::Leave(kind, n)),
        2 => (0u32..1 << 28).prop_map(Op::Line),
        1 => (0usize..1500).prop_map(Op::Mark),
        1 => (1u64..40).prop_map(Op::Pause),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_was_done_is_read_back(ops in prop::collection::vec(op(), 0..6000)) {
        let fixture = fixture(16 << 20, 64 << 20, None);
        let (mut writer, mut model) = (writer(&fixture, &[]), Model::default());
        for op in ops {
            model.apply(&mut writer, op);
        }
        model.check(&read(&fixture), true);
        writer.end();
        let after = read(&fixture);
        assert_eq!(records(&after), model.records);
        assert_eq!(after.header.state, rtrace_format::ring::ENDED);
        assert!(after.segments.iter().all(|segment| segment.sealed));
    }

    #[test]
    fn a_small_ring_keeps_the_end(ops in prop::collection::vec(op(), 0..20_000)) {
        let fixture = fixture(32 << 10, 64 << 20, None);
        let (mut writer, mut model) = (writer(&fixture, &[]), Model::default());
        for op in ops {
            model.apply(&mut writer, op);
        }
        let read = read(&fixture);
        assert!(read.segments.len() <= 2);
        model.check(&read, false);
    }
}

#[test]
fn a_ring_grows_to_its_size_and_then_overwrites() {
    let fixture = fixture(8 * 16384, 64 << 20, None);
    let mut writer = writer(&fixture, &[]);
    for _ in 0..50_000 {
        writer.enter(Kind::Call, 5);
        writer.leave(Kind::Return, 5);
    }
    let read = read(&fixture);
    assert_eq!(read.segments.len(), 8);
    let found = records(&read);
    assert_eq!(found.last().unwrap().0, 99_999);
    assert!(found.len() > 7 * 2000, "{} records", found.len());
    assert!(found.windows(2).all(|pair| pair[1].0 == pair[0].0 + 1));
    assert!(
        found.iter().all(|&(number, kind, _)| (kind.effect() == Effect::Push) == (number % 2 == 0))
    );
    assert_eq!(read.header.name, b"named");
}

#[test]
fn a_budget_bounds_growth_and_new_rings() {
    let first = rtrace_session::create::first_ring_len(16384);
    let fixture = fixture(16 << 20, 4 * first, None);
    let mut writer = writer(&fixture, &[]);
    for _ in 0..20_000 {
        writer.enter(Kind::Call, 5);
        writer.leave(Kind::Return, 5);
    }
    // Two more segments fit into three quarters, the four after them do not.
    assert_eq!(read(&fixture).segments.len(), 4);
    assert!(fixture.recording.new_ring(1).is_ok(), "the last quarter is for new threads");
    assert!(fixture.recording.new_ring(1).is_err());
    let path = rtrace_session::create::session_path(&fixture.recording.dir);
    let session =
        rtrace_format::session::SessionHeader::parse(&std::fs::read(path).unwrap()).unwrap();
    assert!(session.memory_in_use() <= session.memory_max);
}

#[test]
fn the_shadow_stack_grows_and_comes_back() {
    let fixture = fixture(16 << 20, 64 << 20, None);
    let (mut writer, mut model) = (writer(&fixture, &[]), Model::default());
    for depth in 0..5000 {
        model.apply(&mut writer, Op::Enter(Kind::Call, 4 + depth % 100));
    }
    let deep = read(&fixture);
    model.check(&deep, true);
    assert_eq!(deep.header.stack().unwrap().count, 8192);
    for _ in 0..5000 {
        model.apply(&mut writer, Op::Leave(Kind::Return, 0));
    }
    model.check(&read(&fixture), true);
}

#[test]
fn past_the_budget_only_the_depth_of_a_stack_is_kept() {
    // Five pages are taken before the ring.
    let fixture = fixture(32 << 10, 64 << 10, None);
    let mut writer = writer(&fixture, &[]);
    for _ in 0..3000 {
        writer.enter(Kind::Call, 7);
    }
    let deep = read(&fixture);
    assert_eq!((deep.header.depth, deep.stack.len()), (3000, 256));
    for _ in 0..3000 {
        writer.leave(Kind::Return, 7);
    }
    let back = read(&fixture);
    assert_eq!(back.header.depth, 0);
    assert_eq!(records(&back).last().unwrap(), &(5999, Kind::Return, 7));
}

#[test]
fn frames_below_the_asked_depth_are_not_recorded() {
    let fixture = fixture(16 << 20, 64 << 20, Some(3));
    let mut writer = writer(&fixture, &[]);
    for id in 10..20 {
        writer.enter(Kind::Call, id);
    }
    writer.point(Kind::Line, 1);
    for id in (10..20).rev() {
        writer.leave(Kind::Return, id);
    }
    let ids: Vec<_> = records(&read(&fixture)).iter().map(|record| record.2).collect();
    assert_eq!(ids, [10, 11, 12, 12, 11, 10]);
}

#[test]
fn frames_open_before_stand_on_the_stack_and_in_the_keyframe() {
    let fixture = fixture(16 << 20, 64 << 20, None);
    let before = [Frame::new(5, rtrace_format::frame::BEGAN_BEFORE, 1), Frame::new(6, 0, 2)];
    let mut writer = writer(&fixture, &before);
    writer.leave(Kind::Return, 6);
    let read = read(&fixture);
    assert_eq!(read.segments[0].keyframe.frames, before);
    assert_eq!(read.stack, before[..1]);
    assert_eq!(writer.inherited_frames().len(), 1);
}

#[test]
fn long_texts_come_back() {
    let fixture = fixture(16 << 20, 64 << 20, None);
    let mut writer = writer(&fixture, &[]);
    let mut payload = Vec::new();
    long::encode_exception(&mut payload, 9, 77, 11, "é".repeat(200).as_bytes());
    writer.long(Subkind::EXCEPTION, 0, &payload);
    let read = read(&fixture);
    let record = read.segments[0].rows.iter().next().unwrap();
    let Long::Exception { function: 9, line: 77, type_symbol: 11, message } =
        Long::parse(record.word, record.payload)
    else {
        panic!("not the exception");
    };
    assert_eq!(message, "é".repeat(128).as_bytes());
}

#[test]
fn a_writer_without_a_ring_drops_and_does_not_fail() {
    let mut writer = Writer::detached(Cold::new(HELPERS, 1), Ticks::default());
    writer.enter(Kind::Call, 5);
    writer.enter_c(6);
    writer.leave(Kind::Return, 5);
    writer.point(Kind::Line, 5);
    writer.long(Subkind::MARK, 0, &[0]);
    writer.end();
    assert_eq!(writer.depth(), 0);
}

#[test]
fn each_event_of_a_thread_without_a_ring_is_told() {
    static ASKED: AtomicU32 = AtomicU32::new(0);
    let attach = |_: &mut Writer, _| {
        ASKED.fetch_add(1, Ordering::Relaxed);
        false
    };
    let mut writer =
        Writer::detached(Cold::new(Helpers { attach, ..HELPERS }, 1), Ticks::default());
    writer.enter(Kind::Call, 5);
    writer.enter_c(6);
    writer.leave(Kind::CReturn, 6);
    writer.leave(Kind::Return, 5);
    assert_eq!(ASKED.load(Ordering::Relaxed), 4);
}

#[test]
fn frames_open_before_that_do_not_fit_are_counted() {
    // As for frames that are entered one by one: the stack cannot grow here.
    let fixture = fixture(32 << 10, 64 << 10, None);
    let before: Vec<Frame> = (0..3000).map(|tick| Frame::new(7, 0, tick)).collect();
    let mut writer = writer(&fixture, &before);
    let deep = read(&fixture);
    assert_eq!((deep.header.depth, deep.stack.len()), (3000, 256));
    assert_eq!(deep.segments[0].keyframe.depth, 3000);
    for _ in 0..3000 {
        writer.leave(Kind::Return, 7);
    }
    assert_eq!(writer.depth(), 0);
    let back = read(&fixture);
    assert_eq!(back.header.depth, 0);
    assert_eq!(records(&back).last().unwrap(), &(2999, Kind::Return, 7));
    writer.switch(1, Some(&before));
    assert_eq!(writer.depth(), 3000);
}

#[test]
fn a_thread_gets_no_name_of_another_that_writes_for_it() {
    let fixture = fixture(32 << 10, 64 << 20, None);
    let mut writer = Writer::detached(Cold::new(HELPERS, 1), Ticks::of(&fixture.recording.clock));
    let ring = fixture.recording.new_ring(1).unwrap();
    writer.attach(Arc::clone(&fixture.recording), ring, &[]);
    writer.hook_taken();
    assert_eq!(read(&fixture).header.name, b"");
    writer.set_tid(crate::thread::current_tid());
    writer.enter(Kind::Call, 5);
    assert_eq!(read(&fixture).header.name, b"named");
}

/// Every lane as a reader finds it: by the records the running one, by the file the rest.
fn lanes(fixture: &Fixture) -> (u32, Vec<(u32, Vec<u32>)>) {
    let path = rtrace_session::create::ring_path(&fixture.recording.dir, 0);
    let now = rtrace_session::live::Ring::open(&path).unwrap().stack_now().unwrap();
    let ids = |stack: &Stack| {
        assert_eq!(stack.hidden(), 0, "every frame is known");
        stack.outer().iter().map(Frame::id).collect::<Vec<_>>()
    };
    let mut all: Vec<_> = now.waiting.iter().map(|(fiber, stack)| (*fiber, ids(stack))).collect();
    all.push((now.fiber, ids(&now.stack)));
    all.retain(|(_, stack)| !stack.is_empty());
    all.sort_unstable();
    (now.fiber, all)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn every_lane_is_known_at_any_time(
        ops in prop::collection::vec((0u32..9, 0usize..70, any::<bool>()), 1..400),
        ring_size in prop::sample::select(vec![32u64 << 10, 16 << 20]),
    ) {
        let fixture = fixture(ring_size, 64 << 20, None);
        let mut writer = writer(&fixture, &[]);
        let mut model: std::collections::BTreeMap<u32, Vec<u32>> = Default::default();
        let (mut current, mut next) = (0, 4);
        for (number, (fiber, count, enter)) in ops.into_iter().enumerate() {
            if fiber < 7 && fiber != current {
                current = fiber;
                // A fiber may have had frames open before it was first seen.
                let before: Vec<Frame> = (0..count as u32 % 40).map(|id| Frame::new(id + 4, 0, 1)).collect();
                let is_new = enter && !model.contains_key(&fiber);
                let frames = is_new.then_some(&before[..]);
                if is_new {
                    model.insert(fiber, before.iter().map(Frame::id).collect());
                }
                writer.switch(fiber, frames);
            }
            let stack = model.entry(current).or_default();
            for _ in 0..count {
                if enter {
                    next = 4 + (next + 1) % 100;
                    writer.enter(Kind::Call, next);
                    stack.push(next);
                } else if let Some(id) = stack.pop() {
                    writer.leave(Kind::Return, id);
                }
            }
            if number % 7 == 0 {
                let mut wanted: Vec<_> = model.clone().into_iter().collect();
                wanted.retain(|(_, stack)| !stack.is_empty());
                prop_assert_eq!(lanes(&fixture), (current, wanted));
            }
        }
        // What the records alone leave of each lane, of a ring that still has all of them.
        if ring_size > 1 << 20 {
            let read = read(&fixture);
            let mut replayed = rtrace_format::Lanes::default();
            for record in read.segments.iter().flat_map(|segment| segment.rows.iter()) {
                replayed.apply(&record);
            }
            for lane in replayed.all() {
                prop_assert_eq!(lane.stack.depth() as usize, model[&lane.fiber].len());
            }
            // And each segment decodes alone, as far as depths go.
            for segment in &read.segments {
                let start = Stack::from_keyframe(&segment.keyframe);
                let mut alone = rtrace_format::Lanes::running(segment.fiber, start);
                for record in segment.rows.iter() {
                    if let rtrace_format::Change::Step(step) = alone.apply(&record) {
                        let ok = !matches!(step, rtrace_format::Step::Unmatched { .. });
                        prop_assert!(ok, "{:?}", record.word);
                    }
                }
            }
        }
    }
}

#[test]
fn a_process_may_die_anywhere_in_a_switch() {
    // What a switch stores, in its order: the incoming stack (here it lies still), the
    // payload, the header word, and the fiber that readers of a live ring go by.
    let fixture = fixture(16 << 20, 64 << 20, None);
    let mut writer = writer(&fixture, &[]);
    let enter = |writer: &mut Writer, ids: std::ops::Range<u32>| {
        for id in ids {
            writer.enter(Kind::Call, id);
        }
    };
    enter(&mut writer, 4..50);
    writer.switch(1, None);
    enter(&mut writer, 60..130);
    let path = rtrace_session::create::ring_path(&fixture.recording.dir, 0);
    let before = std::fs::read(&path).unwrap();
    writer.switch(0, None);
    let after = std::fs::read(&path).unwrap();
    assert_eq!(before.len(), after.len());
    let mut words: Vec<usize> = (0..before.len())
        .step_by(8)
        .filter(|&at| before[at..at + 8] != after[at..at + 8])
        .collect();
    // The header word comes behind its payload, the fiber in the ring's header last of all.
    words.sort_by_key(|&at| (at < 4096, std::cmp::Reverse(at)));
    let mut state = before;
    let lanes_of_state = |state: &[u8]| {
        let copy = fixture.recording.dir.join("ring-99");
        std::fs::write(&copy, state).unwrap();
        let now = rtrace_session::live::Ring::open(&copy).unwrap().stack_now().unwrap();
        let depth = |stack: &Stack| (stack.depth(), stack.hidden());
        let waiting: Vec<_> = now.waiting.iter().map(|(f, stack)| (*f, depth(stack))).collect();
        (now.fiber, depth(&now.stack), waiting)
    };
    let (old, new) = ((1, (70, 0), vec![(0, (46, 0))]), (0, (46, 0), vec![(1, (70, 0))]));
    assert_eq!(lanes_of_state(&state), old);
    for &at in &words {
        state[at..at + 8].copy_from_slice(&after[at..at + 8]);
        let lanes = lanes_of_state(&state);
        assert!(lanes == old || lanes == new, "{lanes:?}");
    }
    assert_eq!(lanes_of_state(&state), new);
    assert!(words.len() >= 3, "{words:?}");
}
