//! Golden `trace.bin` files.

use rtrace_format::chunk::{self, tag};
use rtrace_format::events::{Encoder, EventHeader};
use rtrace_format::file::FileHeader;
use rtrace_format::index::{Index, IndexEntry, Trailer};
use rtrace_format::node::{self, Child, Node};
use rtrace_format::{
    Cause, Clock, ClockSource, Frame, Keyframe, Kind, Meta, Rows, Stack, SummaryBuilder, Symbol,
    SymbolKind, Value, Word, long, record::Subkind,
};

use super::{STARTED_NS, UUID};

/// A clock whose conversion rounds: three ticks are two nanoseconds.
pub fn clock() -> Clock {
    Clock { source: ClockSource::Tsc, mult: 0xAAAA_AAAA, shift: 32, base_tick: 1_000, base_ns: 0 }
}

/// The session's metadata.
pub fn session_meta(mode: &str) -> Meta {
    let mut meta = Meta::default();
    meta.set("uuid", Value::text("676f6c64656e2d7265636f7264696e67"));
    meta.set("started_at_ns", Value::U64(STARTED_NS));
    clock().to_meta(&mut meta);
    meta.set("mode", Value::text(mode));
    meta.set("boot_id", Value::text("00000000-0000-0000-0000-000000000000"));
    meta.set("pid_namespace", Value::U64(4_026_531_836));
    meta.set("hostname", Value::text("golden"));
    meta.set("uid", Value::U64(1000));
    meta.set("rtrace_version", Value::text("0.1.0"));
    meta
}

/// The metadata of the only process.
pub fn process_meta(mode: &str) -> Meta {
    let mut meta = Meta::default();
    meta.set("argv", Value::List(vec![b"app.py".to_vec(), b"--flag \x1b\xED\xA0\x80".to_vec()]));
    meta.set("cwd", Value::text("/tmp"));
    meta.set("python", Value::text("3.12.1"));
    meta.set("hook", Value::text("monitoring"));
    meta.set("mode", Value::text(mode));
    meta.set("c_calls", Value::Bool(true));
    meta.set("started_tick", Value::U64(1_000));
    meta
}

/// A symbol of `app.py`.
pub fn function(name: &str, first_line: u32, last_line: u32) -> Symbol {
    let mut symbol = Symbol::named(SymbolKind::Python, b"app", name.as_bytes());
    symbol.file = b"/srv/app.py".to_vec();
    (symbol.first_line, symbol.last_line, symbol.code_flags) = (first_line, last_line, 3);
    (symbol.source_size, symbol.source_mtime, symbol.source_hash) = (1234, 99, 0xDEAD_BEEF);
    symbol
}

/// A file under construction, which remembers what its index says.
struct Builder {
    bytes: Vec<u8>,
    index: Index,
    symbols: u32,
}

impl Builder {
    /// The header, the session and its only process.
    fn new() -> Builder {
        let bytes = FileHeader::new(UUID, STARTED_NS).encode().to_vec();
        let index = Index { is_final: true, entries: Vec::new() };
        let mut file = Builder { bytes, index, symbols: 0 };
        file.chunk(tag::SESSION, &session_meta("full").encode(), IndexEntry::default());
        let mut meta = process_meta("full");
        meta.set("number", Value::U64(0));
        meta.set("pid", Value::U64(4242));
        meta.set("ppid", Value::U64(1));
        meta.set("end", Value::text("clean"));
        meta.set("end_tick", Value::U64(9_000));
        meta.set("exit_code", Value::I64(-1));
        let mut payload = vec![0; 8];
        payload.extend(meta.encode());
        file.chunk(tag::PROCESS, &payload, IndexEntry::default());
        file
    }

    fn chunk(&mut self, tag: [u8; 4], payload: &[u8], about: IndexEntry) {
        let (offset, len) = (self.bytes.len() as u64, payload.len() as u64);
        self.index.entries.push(IndexEntry { tag, offset, len, ..about });
        self.bytes.extend(chunk::encode(tag, payload));
    }

    fn thread(&mut self, serial: u64, tid: u32, name: &str) {
        let mut meta = Meta::default();
        meta.set("process", Value::U64(0));
        meta.set("tid", Value::U64(tid.into()));
        meta.set("name", Value::text(name));
        meta.set("born_tick", Value::U64(1_000));
        let mut payload = serial.to_le_bytes().to_vec();
        payload.extend(meta.encode());
        self.chunk(tag::THREAD, &payload, IndexEntry { serial, ..IndexEntry::default() });
    }

    fn symbols(&mut self, symbols: &[Symbol]) {
        let mut payload = (4 + self.symbols).to_le_bytes().to_vec();
        payload.extend((symbols.len() as u32).to_le_bytes());
        for symbol in symbols {
            let bytes = symbol.encode();
            payload.extend((bytes.len() as u32).to_le_bytes());
            payload.extend(bytes);
        }
        self.symbols += symbols.len() as u32;
        self.chunk(tag::SYMBOLS, &payload, IndexEntry::default());
    }

    fn events(&mut self, header: EventHeader, rows: &Rows) {
        let mut stack = Stack::from_keyframe(&header.keyframe);
        let mut builder = SummaryBuilder::new(4 + self.symbols as usize);
        let summary = builder.summarize(rows, &mut stack);
        let mut encoder = Encoder::new().expect("zstd");
        let header = EventHeader { end_tick: rows.end_tick(), ..header };
        let payload = encoder.encode(&header, rows, Some(&summary)).expect("a small chunk");
        let about = IndexEntry {
            serial: header.serial,
            first_record: rows.first_record,
            base_tick: rows.base_tick,
            end_tick: rows.end_tick(),
            records: rows.numbered() as u32,
            max_depth: summary.head.max_depth,
            ..IndexEntry::default()
        };
        self.chunk(tag::EVENTS, &payload, about);
    }

    /// A node of the chunks whose rows and keyframes these are.
    fn node(&mut self, serial: u64, chunks: &[(Keyframe, Rows)]) {
        let mut builder = SummaryBuilder::new(4 + self.symbols as usize);
        let children: Vec<Child> = chunks
            .iter()
            .map(|(keyframe, rows)| {
                let mut stack = Stack::from_keyframe(keyframe);
                Child::of_chunk(serial, rows, &builder.summarize(rows, &mut stack))
            })
            .collect();
        let (header, payload) =
            node::encode(&children).expect("our own children").expect("a small node");
        let about = IndexEntry {
            level: header.level,
            serial,
            first_record: header.first_record,
            base_tick: header.base_tick,
            end_tick: header.end_tick,
            records: header.records as u32,
            max_depth: Node::parse(&payload).expect("our own node").head().max_depth,
            ..IndexEntry::default()
        };
        self.chunk(tag::NODE, &payload, about);
    }

    fn finish(mut self) -> Vec<u8> {
        let index_offset = self.bytes.len() as u64;
        self.bytes.extend(chunk::encode(tag::INDEX, &self.index.encode()));
        self.bytes.extend(Trailer { index_offset }.encode());
        self.bytes
    }
}

/// Words to rows; a long record is its header followed by its payload.
struct RowsBuilder(Rows);

impl RowsBuilder {
    fn new(base_tick: u64, first_record: u64) -> RowsBuilder {
        RowsBuilder(Rows { base_tick, first_record, ..Rows::default() })
    }

    fn one(mut self, kind: Kind, id: u32, delta: u32) -> RowsBuilder {
        self.0.rows.push(Word::new(kind, id, delta).0);
        self
    }

    fn word(mut self, word: Word) -> RowsBuilder {
        self.0.rows.push(word.0);
        self
    }

    fn long(mut self, subkind: u8, flags: u16, delta: u32, payload: &[u64]) -> RowsBuilder {
        self.0.rows.push(Word::long(subkind, payload.len() as u8, flags, delta).0);
        self.0.payload.extend(payload);
        self
    }
}

fn payload(encode: impl FnOnce(&mut Vec<u64>)) -> Vec<u64> {
    let mut words = Vec::new();
    encode(&mut words);
    words
}

/// A session in which nothing was recorded.
pub fn empty() -> Vec<u8> {
    Builder::new().finish()
}

/// One call that calls a C function.
pub fn one_call() -> Vec<u8> {
    let mut file = Builder::new();
    file.thread(1, 4242, "MainThread");
    let len = Symbol::named(SymbolKind::C, b"builtins", b"len");
    file.symbols(&[function("main", 3, 5), len]);
    let rows = RowsBuilder::new(1_000, 0)
        .one(Kind::Call, 4, 100)
        .one(Kind::CCall, 5, 20)
        .one(Kind::CReturn, 5, 40)
        .one(Kind::Return, 4, 7);
    file.events(EventHeader { serial: 1, lap: 1, ..EventHeader::default() }, &rows.0);
    file.finish()
}

/// Three threads in the order in which a collector meets them, with everything
/// that is not an exception: marks, counters, spans, lines, a fiber, losses, a
/// long silence, a deep keyframe, a record of a later version.
pub fn threads() -> Vec<u8> {
    let mut file = Builder::new();
    file.thread(1, 4242, "MainThread");
    file.thread(2, 4243, "worker \u{202e}\u{e9}");
    file.symbols(&[function("main", 3, 50), function("work", 7, 9), function("deep", 12, 14)]);
    let rows = RowsBuilder::new(1_000, 0)
        .one(Kind::Call, 4, 0)
        .one(Kind::Line, 4, 1)
        .word(Word::opcode(130, 27, 1))
        .long(Subkind::SPAN_BEGIN, 0, 1, &payload(|out| long::encode_named(out, b"load")))
        .long(Subkind::COUNTER, 0, 1, &payload(|out| long::encode_counter(out, 2.5, b"queue")))
        .one(Kind::Call, 5, 10)
        .one(Kind::Yield, 5, 10)
        .word(Word::extend(3 << 33))
        .word(Word::extend(5))
        .one(Kind::Resume, 5, 1)
        .one(Kind::Return, 5, 10)
        .long(200, 0, 1, &[7, 8])
        .long(Subkind::SPAN_END, 0, 1, &payload(|out| long::encode_named(out, b"load")))
        .long(Subkind::LOST, 1, 1, &payload(|out| long::encode_lost(out, 12, Cause::Hook)));
    let end = rows.0.end_tick();
    file.events(EventHeader { serial: 1, lap: 3, ..EventHeader::default() }, &rows.0);

    let outer = (0..8).map(|at| Frame::new(6, 0, 1_000 + at));
    let inner = (0..24).map(|at| Frame::new(if at == 23 { 5 } else { 6 }, 0, 2_000 + at));
    let keyframe = Keyframe { depth: 40, outer: 8, frames: outer.chain(inner).collect() };
    let rows = RowsBuilder::new(3_000, 40).one(Kind::Return, 5, 5).one(Kind::Return, 6, 5);
    let about = EventHeader {
        serial: 2,
        lap: 9,
        cpu_ns: 777,
        lost_before: 30,
        lost_cause: Cause::CollectorBehind as u32,
        keyframe,
        ..EventHeader::default()
    };
    file.events(about, &rows.0);

    file.symbols(&[function("late", 60, 61)]);
    let main = Keyframe { depth: 1, outer: 1, frames: vec![Frame::new(4, 0, 1_000)] };
    let fiber = [Frame::new(4, 0, end), Frame::new(7, 0, end + 3)];
    let rows = RowsBuilder::new(end, 11)
        .one(Kind::Call, 7, 3)
        .long(Subkind::SWITCH, 0, 1, &payload(|out| long::encode_switch(out, 3, 5, &fiber)))
        .one(Kind::Return, 7, 2)
        .long(Subkind::MARK, 0, 1, &payload(|out| long::encode_named(out, "\u{2713}".as_bytes())));
    let header = EventHeader { serial: 1, lap: 4, keyframe: main, ..EventHeader::default() };
    file.events(header, &rows.0);
    file.finish()
}

/// Eight chunks and the node above them: functions that are in each chunk, in some and
/// in one, a summary that leaves its functions out, spans of many lengths.
pub fn pyramid() -> Vec<u8> {
    let mut file = Builder::new();
    file.thread(1, 4242, "MainThread");
    let names: Vec<String> = (0..40).map(|at| format!("f{at}")).collect();
    let symbols: Vec<Symbol> = names.iter().map(|name| function(name, 1, 2)).collect();
    file.symbols(&symbols);
    let main = Keyframe { depth: 1, outer: 1, frames: vec![Frame::new(4, 0, 1_000)] };
    let (mut tick, mut number) = (1_000, 1);
    let mut chunks = Vec::new();
    for at in 0..8u32 {
        let mut rows = RowsBuilder::new(tick, number);
        // The fourth chunk has many functions, and little else.
        let calls = if at == 3 { 39 } else { 5 + 2 * at };
        for call in 0..calls {
            let id = if at == 3 { 5 + call } else { 5 + call % 3 + at / 4 };
            rows = rows.one(Kind::Call, id, 3 + call % 2);
            rows = rows.one(Kind::Return, id, (call * call * 7 + at) % 900);
        }
        (tick, number) = (rows.0.end_tick(), rows.0.end_record());
        let about = EventHeader {
            serial: 1,
            lap: u64::from(at) + 1,
            keyframe: main.clone(),
            ..EventHeader::default()
        };
        file.events(about, &rows.0);
        chunks.push((main.clone(), rows.0));
    }
    file.node(1, &chunks);
    file.finish()
}

/// An exception that passes two frames, is caught, and another by `throw`.
pub fn exception() -> Vec<u8> {
    let mut file = Builder::new();
    file.thread(1, 4242, "MainThread");
    let mut error = Symbol::named(SymbolKind::ExceptionType, b"builtins", b"ValueError");
    error.flags = 0;
    let next = Symbol::named(SymbolKind::C, b"builtins", b"next");
    file.symbols(&[function("main", 1, 9), function("raises", 11, 12), error, next]);
    let raised = |function, line, message: &[u8]| {
        payload(|out| long::encode_exception(out, function, line, 6, message))
    };
    let cut = "\u{20ac}".repeat(100);
    let rows = RowsBuilder::new(1_000, 0)
        .one(Kind::Call, 4, 10)
        .one(Kind::Call, 5, 10)
        .long(Subkind::EXCEPTION, 0, 3, &raised(5, 12, b"bad \x1b[31m\xED\xA0\x80"))
        .one(Kind::Unwind, 5, 2)
        .long(Subkind::EXCEPTION, 0, 2, &raised(4, 4, b"bad \x1b[31m\xED\xA0\x80"))
        .one(Kind::CCall, 7, 5)
        .one(Kind::Throw, 5, 1)
        .long(Subkind::EXCEPTION, 0, 1, &raised(5, 12, cut.as_bytes()))
        .one(Kind::Unwind, 5, 1)
        .one(Kind::CException, 7, 1)
        .long(Subkind::EXCEPTION, 0, 1, &raised(4, 8, b""))
        .one(Kind::Unwind, 4, 4);
    file.events(EventHeader { serial: 1, lap: 1, ..EventHeader::default() }, &rows.0);
    file.finish()
}

/// [`threads`], cut in the middle of its last event chunk.
pub fn truncated() -> Vec<u8> {
    let mut bytes = footer_missing();
    bytes.truncate(bytes.len() - 100);
    bytes
}

/// [`threads`], without index and trailer.
pub fn footer_missing() -> Vec<u8> {
    let mut bytes = threads();
    let index = Trailer::parse(&bytes).expect("a finished file").index_offset;
    bytes.truncate(index as usize);
    bytes
}
