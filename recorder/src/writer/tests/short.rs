//! Short calls against a model that says which may be taken back; a reader beside the writer.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use rtrace_session::live::{Ring, Taken};

/// In the tests' clock nothing takes this long unless it is made to.
const SECONDS: u64 = 20;

fn short_fixture(ring_size: u64) -> Fixture {
    fixture_with(ring_size, 64 << 20, |options| {
        options.min_duration_ns = Some(SECONDS * 1_000_000_000);
    })
}

fn taken(fixture: &Fixture) -> u64 {
    let figures = fixture.recording.figures().unwrap();
    (4..20).map(|id| figures.get(id).unwrap().taken).sum()
}

#[derive(Default)]
struct Frames {
    /// Of each open frame: id, kind, whether it is long by now, place of its record.
    open: Vec<(u32, Kind, bool, usize)>,
    records: Vec<(Kind, u32)>,
    taken: u64,
    kept_short: usize,
}

impl Frames {
    fn apply(&mut self, fixture: &Fixture, writer: &mut Writer, op: Op) {
        match op {
            Op::Enter(Kind::CCall, _) if self.open.is_empty() => {}
            Op::Enter(kind, id) => {
                if kind == Kind::CCall {
                    writer.enter_c(id);
                } else {
                    writer.enter(kind, id);
                }
                self.open.push((id, kind, false, self.records.len()));
                self.records.push((kind, id));
            }
            Op::Leave(kind, _) => {
                let Some((id, entry, long, at)) = self.open.pop() else { return };
                writer.leave(kind, id);
                let inside = &self.records[at + 1..];
                let plain = matches!(kind, Kind::Return | Kind::Yield | Kind::CReturn)
                    && matches!(entry, Kind::Call | Kind::Resume | Kind::CCall)
                    && inside.iter().all(|(kind, _)| *kind == Kind::Line);
                let now = taken(fixture);
                if now > self.taken {
                    assert_eq!(now, self.taken + 1);
                    assert!(plain && !long, "{kind:?} of {entry:?} was taken back");
                    self.records.truncate(at);
                } else {
                    self.kept_short += usize::from(plain && !long);
                    self.records.push((kind, id));
                }
                self.taken = now;
            }
            Op::Line(line) => {
                writer.point(Kind::Line, line);
                if !self.open.is_empty() {
                    self.records.push((Kind::Line, line));
                }
            }
            Op::Mark(len) => {
                let mut payload = Vec::new();
                long::encode_named(&mut payload, &vec![0x10; len]);
                writer.long(Subkind::MARK, 0, &payload);
                self.records.push((Kind::Long, Subkind::MARK.into()));
            }
            Op::Pause(times) => {
                clock::tests::pass(times << 37);
                self.open.iter_mut().for_each(|frame| frame.2 = true);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn only_short_leaves_are_taken_back(ops in prop::collection::vec(op(), 0..6000)) {
        let fixture = short_fixture(16 << 20);
        let (mut writer, mut model) = (writer(&fixture, &[]), Frames::default());
        for op in ops {
            model.apply(&fixture, &mut writer, op);
        }
        let found = read(&fixture);
        let all: Vec<_> = records(&found).into_iter().map(|(_, kind, id)| (kind, id)).collect();
        prop_assert_eq!(all, model.records);
        let numbers = records(&found).into_iter().map(|record| record.0);
        prop_assert!(numbers.zip(0..).all(|(number, expected)| number == expected));
        let ids: Vec<u32> = model.open.iter().map(|frame| frame.0).collect();
        prop_assert_eq!(found.stack.iter().map(Frame::id).collect::<Vec<_>>(), ids);
        // One at the end of each segment, and what comes before the thread has its name.
        prop_assert!(model.kept_short <= found.segments.len() + 1, "{}", model.kept_short);
    }
}

/// Times stay those of the records that are kept.
#[test]
fn what_comes_after_a_short_call_has_its_own_time() {
    let fixture = short_fixture(16 << 20);
    let mut writer = writer(&fixture, &[]);
    writer.enter(Kind::Call, 4);
    let before = fixture.recording.now();
    clock::tests::pass(1 << 20);
    for _ in 0..3 {
        writer.enter(Kind::Call, 5);
        clock::tests::pass(1 << 20);
        writer.leave(Kind::Return, 5);
    }
    writer.enter(Kind::Call, 6);
    let found = read(&fixture);
    let rows: Vec<_> = found.segments[0].rows.iter().map(|record| record.tick).collect();
    assert_eq!(rows.len(), 2);
    assert!(rows[1] - before >= 4 << 20 && rows[1] - before < 1 << 34);
    assert_eq!(fixture.recording.figures().unwrap().get(5).unwrap().taken, 3);
    assert!(fixture.recording.figures().unwrap().get(5).unwrap().taken_ticks >= 3 << 20);
    assert_eq!(found.segments[0].rewinds, 3);
}

/// Every copy that a reader accepts is a state that there was: all exits match.
#[test]
fn a_reader_beside_the_writer_never_sees_a_mixture() {
    let fixture = short_fixture(64 << 10);
    let mut writer = writer(&fixture, &[]);
    let path = rtrace_session::create::ring_path(&fixture.recording.dir, 0);
    let over = AtomicBool::new(false);
    let copies = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let (mut copies, mut buf) = (0, Vec::new());
            while !over.load(Ordering::Relaxed) {
                let ring = Ring::open(&path).unwrap();
                let Some(slot) = ring.slots(0).unwrap().pop() else { continue };
                if let Taken::Segment(segment) = ring.take(slot, &mut buf).unwrap() {
                    copies += 1;
                    let mut open: Vec<u32> =
                        segment.keyframe.frames.iter().map(Frame::id).collect();
                    for record in segment.rows.iter() {
                        match record.word.kind().map(Kind::effect) {
                            Some(Effect::Push) => open.push(record.word.id()),
                            Some(Effect::Pop) => assert_eq!(open.pop(), Some(record.word.id())),
                            _ => {}
                        }
                    }
                }
            }
            copies
        });
        let end = std::time::Instant::now() + std::time::Duration::from_millis(400);
        let mut round = 0u32;
        while std::time::Instant::now() < end {
            for _ in 0..100 {
                round = round.wrapping_mul(1_103_515_245).wrapping_add(12345);
                let depth = 1 + (round >> 16) % 4;
                for at in 0..depth {
                    writer.enter(Kind::Call, 4 + (round >> at) % 16);
                }
                let exit = if round >> 20 & 15 == 0 { Kind::Unwind } else { Kind::Return };
                for at in (0..depth).rev() {
                    writer.leave(exit, 4 + (round >> at) % 16);
                }
            }
        }
        over.store(true, Ordering::Relaxed);
        reader.join().unwrap()
    });
    assert!(copies > 10, "{copies} copies");
}
