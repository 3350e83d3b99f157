//! Builds traces for tests, with the format's own encoders.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rtrace_format::chunk::{self, tag};
use rtrace_format::events::{Encoder, EventHeader};
use rtrace_format::file::FileHeader;
use rtrace_format::index::{Index, IndexEntry, Trailer};
use rtrace_format::node::{self, Child};
use rtrace_format::record::UNNUMBERED;
use rtrace_format::{
    Cause, Clock, Frame, Kind, Meta, Rows, Stack, SummaryBuilder, Symbol, SymbolKind, Value, Word,
    long,
};

use crate::trace::Trace;

/// The tick at which test traces begin; their clock has one tick a nanosecond.
pub const BASE: u64 = 1_000;

/// A `trace.bin` in the making.
pub struct TraceBuilder {
    bytes: Vec<u8>,
    entries: Vec<IndexEntry>,
    symbols: Vec<Symbol>,
    /// Whether nodes are written; they are of few children, so that small traces have many.
    pub nodes: bool,
    /// Every second chunk says nothing of functions, as large ones do.
    pub untold: bool,
    waiting: BTreeMap<u64, Vec<Vec<Child>>>,
}

/// One thread's records.
#[derive(Clone, Debug)]
pub struct Pen {
    pub serial: u64,
    pub tick: u64,
    pub rows: Vec<(Word, Vec<u64>)>,
    pub open: Vec<Frame>,
    first_record: u64,
    base_tick: u64,
    pub lost_before: u64,
    pub cause: Cause,
}

impl TraceBuilder {
    /// A header and a session chunk.
    pub fn new(mode: &str) -> Self {
        let clock = Clock::monotonic(BASE);
        let header = FileHeader::new([7; 16], 1_700_000_000_000_000_000);
        let mut meta = Meta::default();
        meta.set("started_at_ns", Value::U64(1_700_000_000_000_000_000));
        meta.set("mode", Value::text(mode));
        // Of another boot, so that every process of it is gone.
        meta.set("boot_id", Value::text("00000000-0000-0000-0000-000000000000"));
        clock.to_meta(&mut meta);
        let mut builder = Self {
            bytes: header.encode().to_vec(),
            entries: vec![],
            symbols: vec![],
            nodes: false,
            untold: false,
            waiting: BTreeMap::new(),
        };
        builder.chunk(tag::SESSION, &meta.encode(), 0);
        builder
    }

    fn chunk(&mut self, tag: [u8; 4], payload: &[u8], serial: u64) {
        let offset = self.bytes.len() as u64;
        let len = payload.len() as u64;
        self.entries.push(IndexEntry { tag, offset, len, serial, ..IndexEntry::default() });
        self.bytes.extend(chunk::encode(tag, payload));
    }

    /// A process with one more key for each pair.
    pub fn process(&mut self, number: u32, hook: &str, more: &[(&str, Value)]) {
        let mut meta = Meta::default();
        meta.set("pid", Value::U64(100 + u64::from(number)));
        meta.set("ppid", Value::U64(1));
        meta.set("python", Value::text("3.12.1"));
        meta.set("hook", Value::text(hook));
        meta.set("argv", Value::List(vec![b"app.py".to_vec()]));
        for (key, value) in more {
            meta.set(key, value.clone());
        }
        let mut payload = number.to_le_bytes().to_vec();
        payload.extend([0; 4]);
        payload.extend(meta.encode());
        self.chunk(tag::PROCESS, &payload, 0);
    }

    /// A thread of a process.
    pub fn thread(&mut self, serial: u64, process: u32, name: &[u8], more: &[(&str, Value)]) {
        let mut meta = Meta::default();
        meta.set("process", Value::U64(process.into()));
        meta.set("tid", Value::U64(500 + serial));
        meta.set("name", Value::text(name));
        meta.set("born_tick", Value::U64(BASE));
        for (key, value) in more {
            meta.set(key, value.clone());
        }
        let mut payload = serial.to_le_bytes().to_vec();
        payload.extend(meta.encode());
        self.chunk(tag::THREAD, &payload, serial);
    }

    /// A Python function of `app.py`, defined at ten times its id.
    pub fn python(&mut self, name: &str) -> u32 {
        let mut symbol = Symbol::named(SymbolKind::Python, b"app", name.as_bytes());
        symbol.file = b"app.py".to_vec();
        symbol.first_line = (self.symbols.len() as u32 + 4) * 10;
        self.symbol(symbol)
    }

    /// A function of `builtins`.
    pub fn c(&mut self, name: &str) -> u32 {
        self.symbol(Symbol::named(SymbolKind::C, b"builtins", name.as_bytes()))
    }

    /// The type of an exception.
    pub fn exception_type(&mut self, name: &str) -> u32 {
        self.symbol(Symbol::named(SymbolKind::ExceptionType, b"builtins", name.as_bytes()))
    }

    /// Any symbol; gives its id in the file.
    pub fn symbol(&mut self, symbol: Symbol) -> u32 {
        let id = self.symbols.len() as u32 + 4;
        let value = symbol.encode();
        let mut payload = id.to_le_bytes().to_vec();
        payload.extend(1u32.to_le_bytes());
        payload.extend((value.len() as u32).to_le_bytes());
        payload.extend(value);
        self.symbols.push(symbol);
        self.chunk(tag::SYMBOLS, &payload, 0);
        id
    }

    /// The pen's records since the last chunk, as an event chunk. Keyframes hold the
    /// `keep` outermost and innermost frames.
    pub fn events(&mut self, pen: &mut Pen, keep: (usize, usize)) {
        let start = Stack::from_frames(pen.open.clone());
        let keyframe = start.keyframe(keep.0, keep.1);
        let mut rows =
            Rows { base_tick: pen.base_tick, first_record: pen.first_record, ..Rows::default() };
        for (word, payload) in pen.rows.drain(..) {
            rows.rows.push(word.0);
            rows.payload.extend(payload);
        }
        let mut stack = Stack::from_keyframe(&keyframe);
        let ids = self.symbols.len() + 4;
        let mut summary = SummaryBuilder::new(ids).summarize(&rows, &mut stack);
        let child = Child::of_chunk(pen.serial, &rows, &summary);
        if self.untold && self.entries.len().is_multiple_of(2) {
            summary.functions = None;
        }
        let header = EventHeader {
            serial: pen.serial,
            lost_before: std::mem::take(&mut pen.lost_before),
            lost_cause: std::mem::replace(&mut pen.cause, Cause::Unknown) as u32,
            keyframe,
            ..EventHeader::default()
        };
        let payload = Encoder::new().unwrap().encode(&header, &rows, Some(&summary)).unwrap();
        self.chunk(tag::EVENTS, &payload, pen.serial);
        if self.nodes {
            self.wait(pen.serial, child);
        }
        let mut whole = start;
        for record in rows.iter() {
            whole.apply(record.word, record.tick);
        }
        pen.open = whole.outer().to_vec();
        (pen.first_record, pen.base_tick) = (rows.end_record(), rows.end_tick());
    }

    /// Writes the nodes that are due with a chunk.
    fn wait(&mut self, serial: u64, chunk: Child) {
        let mut levels = self.waiting.remove(&serial).unwrap_or_default();
        let mut above = Some(chunk);
        for level in 0.. {
            let Some(child) = above.take() else { break };
            if levels.len() <= level {
                levels.push(Vec::new());
            }
            levels[level].push(child);
            if levels[level].len() == level + 2 {
                let children = std::mem::take(&mut levels[level]);
                let (_, payload) = node::encode(&children).unwrap().unwrap();
                self.chunk(tag::NODE, &payload, serial);
                above = Some(Child::of_node(&payload).unwrap());
            }
        }
        self.waiting.insert(serial, levels);
    }

    /// The pen's first records, fibers among them, as an event chunk without a summary.
    pub fn events_of_fibers(&mut self, pen: &mut Pen) {
        let mut rows = Rows { base_tick: BASE, ..Rows::default() };
        for (word, payload) in pen.rows.drain(..) {
            rows.rows.push(word.0);
            rows.payload.extend(payload);
        }
        let header = EventHeader { serial: pen.serial, ..EventHeader::default() };
        let payload = Encoder::new().unwrap().encode(&header, &rows, None).unwrap();
        self.chunk(tag::EVENTS, &payload, pen.serial);
    }

    /// The file with an index and a trailer.
    pub fn finish(mut self) -> Vec<u8> {
        let index = Index { is_final: true, entries: std::mem::take(&mut self.entries) };
        let trailer = Trailer { index_offset: self.bytes.len() as u64 };
        self.bytes.extend(chunk::encode(tag::INDEX, &index.encode()));
        self.bytes.extend(trailer.encode());
        self.bytes
    }

    /// The file as it is while a recording goes on.
    pub fn unfinished(self) -> Vec<u8> {
        self.bytes
    }
}

impl Pen {
    /// A thread whose `open` frames began before the recording.
    pub fn new(serial: u64, open: &[Frame]) -> Self {
        Self {
            serial,
            tick: BASE,
            rows: Vec::new(),
            open: open.to_vec(),
            first_record: 0,
            base_tick: BASE,
            lost_before: 0,
            cause: Cause::Unknown,
        }
    }

    /// A one-word record, `ticks` after the one before.
    pub fn put(&mut self, kind: Kind, id: u32, ticks: u64) -> &mut Self {
        self.tick += ticks;
        let mut rest = ticks;
        if rest > u64::from(u32::MAX) {
            self.rows.push((Word::extend(rest), vec![]));
            rest = 0;
        }
        self.rows.push((Word::new(kind, id, rest as u32), vec![]));
        self
    }

    /// A long record.
    pub fn long(&mut self, subkind: u8, payload: Vec<u64>, flags: u16, ticks: u32) -> &mut Self {
        self.tick += u64::from(ticks);
        self.rows.push((Word::long(subkind, payload.len() as u8, flags, ticks), payload));
        self
    }

    /// An exception that passes a function.
    pub fn exception(&mut self, function: u32, line: u32, kind: u32, message: &[u8]) -> &mut Self {
        let mut payload = Vec::new();
        long::encode_exception(&mut payload, function, line, kind, message);
        self.long(rtrace_format::record::Subkind::EXCEPTION, payload, 0, 1)
    }

    /// Events that were lost here and have no numbers.
    pub fn lost(&mut self, count: u64, cause: Cause) -> &mut Self {
        let mut payload = Vec::new();
        long::encode_lost(&mut payload, count, cause);
        self.long(rtrace_format::record::Subkind::LOST, payload, UNNUMBERED, 1)
    }

    /// Leaves out `records` record numbers and begins anew with `open` frames.
    pub fn skip(&mut self, records: u64, ticks: u64, open: &[Frame]) {
        self.first_record += records;
        self.tick += ticks;
        self.base_tick = self.tick;
        self.open = open.to_vec();
    }
}

/// Opens bytes as a trace. The directory goes with the test.
pub fn open(bytes: &[u8]) -> (Trace, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let path: PathBuf = dir.path().join("trace.bin");
    std::fs::write(&path, bytes).unwrap();
    (Trace::open(&path).unwrap(), dir)
}
