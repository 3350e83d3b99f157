//! The trace file: rounds of chunks, made side by side and written in order.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use rtrace_format::chunk::{self, tag};
use rtrace_format::clock::ClockSource;
use rtrace_format::events::{Encoder, EventHeader, WORDS_MAX};
use rtrace_format::file::FileHeader;
use rtrace_format::index::{Index, IndexEntry, Trailer};
use rtrace_format::node::{self, Child, Node};
use rtrace_format::symbol::FIRST_ID;
use rtrace_format::{Clock, Keyframe, Meta, Rows, Stack, SummaryBuilder, Value};

use crate::calls::Calls;
use crate::model::{Model, TICKS_PER_US};

/// What the trace is to be.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Lines of `events`.
    pub events: u64,
    /// Threads, of all processes.
    pub threads: u32,
    /// Processes.
    pub processes: u32,
    /// What the generator begins with.
    pub seed: u64,
}

const BASE_TICK: u64 = 1 << 40;
/// 2026-01-01, in ns since the epoch.
const CREATED_NS: u64 = 1_767_225_600_000_000_000;
/// Rows of a chunk, as the packer cuts them.
const CHUNK_ROWS: usize = WORDS_MAX - SLACK;
/// Rows that a step of the generator may add beyond what it was asked for, at most.
const SLACK: usize = 64;
/// Threads whose rows are in memory at a time.
const ROUND: usize = 64;

/// Writes the trace; gives its length in bytes.
///
/// # Errors
/// The file cannot be written.
pub fn write(model: &Model, shape: &Shape, path: &Path) -> Result<u64> {
    let file = File::create(path).with_context(|| format!("{} cannot be made", path.display()))?;
    let mut trace = Trace::begin(file, shape)?;
    trace.symbols(model)?;
    let mut threads = threads(model, shape);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let ids = FIRST_ID as usize + model.symbols.len();
    let mut benches = Vec::new();
    for _ in 0..workers {
        benches.push(Bench { encoder: Encoder::new()?, builder: SummaryBuilder::new(ids) });
    }
    let mut made: Vec<Made> = Vec::new();
    loop {
        // Those that lag behind go first: the file is in the order of time, roughly.
        let mut next: Vec<&mut Thread<'_>> =
            threads.iter_mut().filter(|t| t.calls.left > 0).collect();
        next.sort_by_key(|thread| (thread.calls.tick, thread.serial));
        next.truncate(ROUND);
        if next.is_empty() && made.is_empty() {
            break;
        }
        // While some workers make calls up, others pack what the last round gave.
        let tasks: Vec<Task<'_, '_>> = std::mem::take(&mut made)
            .into_iter()
            .map(Task::Pack)
            .chain(next.into_iter().map(Task::Make))
            .collect();
        for done in in_parallel(tasks, &mut benches) {
            match done {
                Done::Made(rows) => made.push(rows),
                Done::Packed(packed) => {
                    let (entry, payload, child) = packed?;
                    trace.chunk(tag::EVENTS, &payload, entry)?;
                    trace.nodes(entry.serial, child)?;
                }
            }
        }
    }
    trace.end(shape, &threads)
}

/// A worker's own tools.
struct Bench {
    encoder: Encoder,
    builder: SummaryBuilder,
}

struct Thread<'m> {
    serial: u64,
    calls: Calls<'m>,
}

/// Rows of one thread, and what was open before them.
struct Made {
    serial: u64,
    keyframe: Keyframe,
    rows: Rows,
}

enum Task<'t, 'm> {
    Make(&'t mut Thread<'m>),
    Pack(Made),
}

enum Done {
    Made(Made),
    Packed(Result<(IndexEntry, Vec<u8>, Child)>),
}

impl Task<'_, '_> {
    fn run(self, bench: &mut Bench) -> Done {
        match self {
            Task::Make(thread) => {
                let keyframe = thread.calls.keyframe();
                let rows = thread.calls.next(CHUNK_ROWS);
                Done::Made(Made { serial: thread.serial, keyframe, rows })
            }
            Task::Pack(made) => {
                let mut stack = Stack::from_keyframe(&made.keyframe);
                let summary = bench.builder.summarize(&made.rows, &mut stack);
                let entry = IndexEntry {
                    serial: made.serial,
                    first_record: made.rows.first_record,
                    base_tick: made.rows.base_tick,
                    end_tick: made.rows.end_tick(),
                    records: made.rows.numbered() as u32,
                    max_depth: summary.head.max_depth,
                    ..IndexEntry::default()
                };
                let header = EventHeader {
                    serial: made.serial,
                    keyframe: made.keyframe,
                    ..EventHeader::default()
                };
                let child = Child::of_chunk(made.serial, &made.rows, &summary);
                let payload = bench.encoder.encode(&header, &made.rows, Some(&summary));
                let packed = payload.map(|payload| (entry, payload, child));
                Done::Packed(packed.map_err(Into::into))
            }
        }
    }
}

/// Runs the tasks on all workers; the results are in the order of the tasks.
fn in_parallel(tasks: Vec<Task<'_, '_>>, benches: &mut [Bench]) -> Vec<Done> {
    let count = tasks.len();
    let tasks: Vec<_> = tasks.into_iter().map(|task| Mutex::new(Some(task))).collect();
    let results: Vec<_> = (0..count).map(|_| Mutex::new(None)).collect();
    let next = AtomicUsize::new(0);
    let lock = |at: usize| tasks[at].lock().ok().and_then(|mut task| task.take());
    std::thread::scope(|scope| {
        for bench in benches {
            scope.spawn(|| {
                let bench = bench;
                while let Some(task) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).filter(|&at| at < count)
                {
                    let done = lock(task).map(|task| task.run(bench));
                    if let Ok(mut place) = results[task].lock() {
                        *place = done;
                    }
                }
            });
        }
    });
    results.into_iter().filter_map(|place| place.into_inner().ok().flatten()).collect()
}

/// The threads: the first has most of the records, and the others wait longer.
fn threads<'m>(model: &'m Model, shape: &Shape) -> Vec<Thread<'m>> {
    let weight = |at: u32| f64::from(at + 1).powf(-0.7);
    let total: f64 = (0..shape.threads).map(weight).sum();
    let mut left = shape.events;
    let mut threads = Vec::new();
    for at in (0..shape.threads).rev() {
        let share = (shape.events as f64 * weight(at) / total) as u64;
        let events = if at == 0 { left } else { share.min(left) };
        left -= events;
        let idle = ((weight(0) / weight(at) - 1.0) * 256.0) as u64;
        let seed = shape.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ u64::from(at);
        let born = BASE_TICK + u64::from(at) * 100 * TICKS_PER_US;
        threads
            .push(Thread { serial: at.into(), calls: Calls::new(model, seed, born, events, idle) });
    }
    threads.reverse();
    threads
}

/// A file that chunks are appended to.
struct Trace {
    file: BufWriter<File>,
    at: u64,
    entries: Vec<IndexEntry>,
    /// By thread and level what waits for the node above it.
    waiting: BTreeMap<u64, Vec<Vec<Child>>>,
}

impl Trace {
    fn begin(file: File, shape: &Shape) -> Result<Trace> {
        let uuid = (u128::from(shape.seed) << 64 | u128::from(shape.events)).to_le_bytes();
        let file = BufWriter::new(file);
        let mut trace = Trace { file, at: 0, entries: Vec::new(), waiting: BTreeMap::new() };
        trace.bytes(&FileHeader::new(uuid, CREATED_NS).encode())?;
        let mut meta = Meta::default();
        let hex: String = uuid.iter().map(|byte| format!("{byte:02x}")).collect();
        meta.set("uuid", Value::text(hex));
        meta.set("started_at_ns", Value::U64(CREATED_NS));
        // The rate of the model's ticks.
        Clock::from_rate(ClockSource::Tsc, TICKS_PER_US * 1000, 1_000_000, BASE_TICK)
            .to_meta(&mut meta);
        meta.set("mode", Value::text("full"));
        meta.set("rtrace_version", Value::text(env!("CARGO_PKG_VERSION")));
        // There never was a session to look for.
        meta.set("snapshot", Value::Bool(true));
        trace.chunk(tag::SESSION, &meta.encode(), IndexEntry::default())?;
        Ok(trace)
    }

    fn symbols(&mut self, model: &Model) -> Result<()> {
        for (part, symbols) in model.symbols.chunks(4096).enumerate() {
            let mut payload = (FIRST_ID + part as u32 * 4096).to_le_bytes().to_vec();
            payload.extend((symbols.len() as u32).to_le_bytes());
            for symbol in symbols {
                let value = symbol.encode();
                payload.extend((value.len() as u32).to_le_bytes());
                payload.extend(value);
            }
            self.chunk(tag::SYMBOLS, &payload, IndexEntry::default())?;
        }
        Ok(())
    }

    fn chunk(&mut self, tag: [u8; 4], payload: &[u8], entry: IndexEntry) -> Result<()> {
        let len = payload.len() as u64;
        self.entries.push(IndexEntry { tag, offset: self.at, len, ..entry });
        self.bytes(&chunk::encode(tag, payload))
    }

    /// Writes the nodes of which the chunk that was just written is the last child.
    fn nodes(&mut self, serial: u64, chunk: Child) -> Result<()> {
        let mut levels = self.waiting.remove(&serial).unwrap_or_default();
        let mut level = 0;
        let mut above = Some(chunk);
        while let Some(child) = above.take() {
            if levels.len() <= level {
                levels.push(Vec::new());
            }
            levels[level].push(child);
            if levels[level].len() < node::width(level as u32 + 1) {
                break;
            }
            let children = std::mem::take(&mut levels[level]);
            if let Some((about, payload)) = node::encode(&children)? {
                let entry = IndexEntry {
                    level: about.level,
                    serial,
                    first_record: about.first_record,
                    base_tick: about.base_tick,
                    end_tick: about.end_tick,
                    records: u32::try_from(about.records).unwrap_or(u32::MAX),
                    max_depth: Node::parse(&payload)?.head().max_depth,
                    ..IndexEntry::default()
                };
                self.chunk(tag::NODE, &payload, entry)?;
                above = Some(Child::of_node(&payload)?);
                level += 1;
            }
        }
        self.waiting.insert(serial, levels);
        Ok(())
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes)?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// Writes who the threads and processes were, and the index.
    fn end(mut self, shape: &Shape, threads: &[Thread<'_>]) -> Result<u64> {
        let end = threads.iter().map(|thread| thread.calls.tick).max().unwrap_or(BASE_TICK);
        for number in 0..shape.processes {
            let mut payload = number.to_le_bytes().to_vec();
            payload.extend([0; 4]);
            payload.extend(process(number, end).encode());
            self.chunk(tag::PROCESS, &payload, IndexEntry::default())?;
        }
        for thread in threads {
            let process = thread.serial as u32 % shape.processes;
            let nth = thread.serial as u32 / shape.processes;
            let name = if nth == 0 { "MainThread".into() } else { format!("worker-{nth}") };
            let mut meta = Meta::default();
            meta.set("process", Value::U64(process.into()));
            meta.set("tid", Value::U64(1000 + thread.serial));
            meta.set("name", Value::text(name));
            meta.set("born_tick", Value::U64(BASE_TICK));
            meta.set("end_tick", Value::U64(end));
            meta.set("stack", Value::Text(thread.calls.keyframe().encode_stack()));
            let payload = [&thread.serial.to_le_bytes()[..], &meta.encode()].concat();
            let entry = IndexEntry { serial: thread.serial, ..IndexEntry::default() };
            self.chunk(tag::THREAD, &payload, entry)?;
        }
        let index = Index { is_final: true, entries: std::mem::take(&mut self.entries) };
        let offset = self.at;
        self.bytes(&chunk::encode(tag::INDEX, &index.encode()))?;
        self.bytes(&Trailer { index_offset: offset }.encode())?;
        self.file.flush()?;
        Ok(self.at)
    }
}

fn process(number: u32, end: u64) -> Meta {
    let mut meta = Meta::default();
    meta.set("number", Value::U64(number.into()));
    if number > 0 {
        meta.set("parent", Value::U64(0));
    }
    meta.set("pid", Value::U64(1000 + u64::from(number)));
    meta.set("ppid", Value::U64(if number > 0 { 1000 } else { 1 }));
    meta.set("argv", Value::List(vec![b"app.py".to_vec()]));
    meta.set("python", Value::text("3.14.0"));
    meta.set("hook", Value::text("monitoring"));
    meta.set("mode", Value::text("full"));
    meta.set("c_calls", Value::Bool(true));
    meta.set("end", Value::text("clean"));
    meta.set("end_tick", Value::U64(end));
    meta.set("exit_code", Value::I64(0));
    meta
}

#[cfg(test)]
mod tests {
    use super::*;
    use rtrace_format::chunk::{Found, scan};
    use rtrace_format::events::EventChunk;

    /// Replays every chunk: the stack must go on where the chunk before ended.
    #[test]
    fn chunks_continue_each_other_and_hold_exactly_what_was_asked() {
        let folder = tempfile::tempdir().unwrap();
        let model = Model::learned(1000).unwrap();
        let shape = Shape { events: 700_000, threads: 5, processes: 2, seed: 9 };
        let path = folder.path().join("a.bin");
        write(&model, &shape, &path).unwrap();
        let file = std::fs::read(&path).unwrap();
        let mut stacks: Vec<Option<(Stack, u64)>> = vec![None; 5];
        let (mut events, mut deepest, mut raised) = (0, 0, 0);
        for found in scan(&file, 64) {
            let Found::Chunk { header, payload, .. } = found else { panic!("{found:?}") };
            assert!(header.check(payload).is_ok());
            if header.tag != tag::EVENTS {
                continue;
            }
            let chunk = EventChunk::parse(payload).unwrap();
            let rows = chunk.rows(&mut Vec::new()).unwrap();
            let mut stack = Stack::from_keyframe(&chunk.header.keyframe);
            let place = &mut stacks[chunk.header.serial as usize];
            if let Some((before, end)) = place.take() {
                assert_eq!((&before, end), (&stack, rows.base_tick));
            }
            for record in &rows {
                let step = stack.apply(record.word, record.tick);
                assert!(!matches!(step, rtrace_format::Step::Unmatched { .. }), "{record:?}");
                deepest = deepest.max(stack.depth());
            }
            raised += rtrace_format::Summary::parse(chunk.summary).unwrap().head.exceptions;
            events += rows.numbered();
            *place = Some((stack, rows.end_tick()));
        }
        assert_eq!(events, shape.events);
        assert!(raised > 0 && deepest > 10, "{raised} {deepest}");
        let again = folder.path().join("b.bin");
        write(&model, &shape, &again).unwrap();
        assert!(std::fs::read(again).unwrap() == file, "the same arguments, another file");
    }
}
