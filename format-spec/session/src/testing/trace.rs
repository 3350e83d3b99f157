//! A plain reader of `trace.bin`: everything in memory, every checksum checked.

use std::collections::BTreeMap;
use std::path::Path;

use rtrace_format::chunk::{Found, scan, tag};
use rtrace_format::events::{EventChunk, EventHeader};
use rtrace_format::file::{FileHeader, HEADER_LEN};
use rtrace_format::index::{Index, IndexEntry, Trailer};
use rtrace_format::node::{Node, NodeHeader};
use rtrace_format::{Keyframe, Kind, Long, Meta, Stack, Step, Summary, SummaryBuilder, Symbol};

/// One numbered record, names instead of ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) serial: u64,
    pub(crate) number: u64,
    pub(crate) tick: u64,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) depth: u32,
}

/// A trace, decoded.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    pub(crate) session: Meta,
    pub(crate) events: Vec<Event>,
    pub(crate) chunks: Vec<EventHeader>,
    pub(crate) nodes: Vec<(NodeHeader, Summary)>,
    /// Unnumbered `lost` records.
    pub(crate) lost: Vec<u64>,
    pub(crate) symbols: BTreeMap<u32, String>,
    pub(crate) processes: BTreeMap<u32, Meta>,
    pub(crate) threads: BTreeMap<u64, Meta>,
    pub(crate) index: Option<Index>,
    pub(crate) tags: Vec<String>,
}

impl Trace {
    pub(crate) fn read(path: &Path) -> Trace {
        let bytes = std::fs::read(path).unwrap();
        FileHeader::parse(&bytes).unwrap();
        let mut trace = Trace::default();
        let mut entries = Vec::new();
        for found in scan(&bytes, HEADER_LEN as u64) {
            let Found::Chunk { offset, header, payload } = found else { panic!("{found:?}") };
            header.check(payload).unwrap();
            trace.tags.push(header.tag_name());
            let mut entry =
                IndexEntry { tag: header.tag, offset, len: header.len, ..IndexEntry::default() };
            match header.tag {
                tag::SESSION => trace.session = Meta::decode(payload).unwrap(),
                tag::SYMBOLS => trace.symbols(payload),
                tag::PROCESS => {
                    let number = u32::from_le_bytes(payload[..4].try_into().unwrap());
                    let meta = Meta::decode(&payload[8..]).unwrap();
                    trace.processes.entry(number).or_default().merge(&meta);
                }
                tag::THREAD => {
                    entry.serial = u64::from_le_bytes(payload[..8].try_into().unwrap());
                    let meta = Meta::decode(&payload[8..]).unwrap();
                    trace.threads.entry(entry.serial).or_default().merge(&meta);
                }
                tag::EVENTS => trace.events(payload, &mut entry),
                tag::NODE => {
                    let node = Node::parse(payload).unwrap();
                    entry.level = node.header.level;
                    entry.serial = node.header.serial;
                    entry.first_record = node.header.first_record;
                    entry.base_tick = node.header.base_tick;
                    entry.end_tick = node.header.end_tick;
                    entry.records = node.header.records as u32;
                    entry.max_depth = node.head().max_depth;
                    trace.nodes.push((node.header, node.summary().unwrap()));
                }
                tag::INDEX => {
                    trace.index = Some(Index::parse(payload).unwrap());
                    continue;
                }
                _ => panic!("{}", header.tag_name()),
            }
            entries.push(entry);
        }
        if let Some(index) = &trace.index
            && Trailer::parse(&bytes).is_ok()
        {
            assert_eq!(index.entries, entries);
        }
        trace
    }

    fn symbols(&mut self, payload: &[u8]) {
        let first = u32::from_le_bytes(payload[..4].try_into().unwrap());
        let count = u32::from_le_bytes(payload[4..8].try_into().unwrap());
        let mut at = 8;
        for id in first..first + count {
            let len = u32::from_le_bytes(payload[at..at + 4].try_into().unwrap()) as usize;
            let symbol = Symbol::decode(&payload[at + 4..at + 4 + len]).unwrap();
            let name = String::from_utf8(symbol.qualname).unwrap();
            assert_eq!(self.symbols.insert(id, name), None, "an id is given once");
            at += 4 + len;
        }
        assert_eq!(at, payload.len());
    }

    fn events(&mut self, payload: &[u8], entry: &mut IndexEntry) {
        let chunk = EventChunk::parse(payload).unwrap();
        let rows = chunk.rows(&mut Vec::new()).unwrap();
        let header = &chunk.header;
        let mut stack = Stack::from_keyframe(&header.keyframe);
        let mut again = stack.clone();
        let mut max_depth = 0;
        if !chunk.summary.is_empty() {
            let summary = SummaryBuilder::new(1000).summarize(&rows, &mut again);
            let found = Summary::parse(chunk.summary).unwrap();
            let functions = summary.functions.filter(|_| found.functions.is_some());
            assert_eq!(found, Summary { functions, ..summary });
            assert_eq!(chunk.check_front(), Ok(()));
            max_depth = found.head.max_depth;
        }
        for record in &rows {
            let (name, kind, depth) = match record.word.kind().unwrap() {
                Kind::Long => match Long::parse(record.word, record.payload) {
                    Long::Exception { function, type_symbol, .. } => {
                        assert!(self.symbols.contains_key(&type_symbol));
                        (function, "exception", stack.python_depth())
                    }
                    Long::Lost { count, .. } => {
                        self.lost.push(count);
                        continue;
                    }
                    Long::Switch { depth, frames, .. } => {
                        stack = Stack::from_keyframe(&Keyframe { depth, outer: 0, frames });
                        self.symbols.entry(0).or_default();
                        assert!(chunk.summary.is_empty(), "a summary is of one lane");
                        (0, "switch", 0)
                    }
                    other => panic!("{other:?}"),
                },
                kind => match stack.apply(record.word, record.tick) {
                    Step::Entered { depth } => (record.word.id(), kind.name(), depth),
                    Step::Left { depth, repaired: 0, .. } => (record.word.id(), kind.name(), depth),
                    other => panic!("{other:?}"),
                },
            };
            self.events.push(Event {
                serial: header.serial,
                number: record.number,
                tick: record.tick,
                kind: kind.to_owned(),
                name: self.symbols[&name].clone(),
                depth,
            });
        }
        entry.serial = header.serial;
        entry.first_record = header.first_record;
        entry.base_tick = header.base_tick;
        entry.end_tick = header.end_tick;
        entry.records = header.records;
        entry.max_depth = max_depth;
        self.chunks.push(chunk.header);
    }

    /// The events of one thread, in file order.
    pub(crate) fn of(&self, serial: u64) -> Vec<Event> {
        self.events.iter().filter(|event| event.serial == serial).cloned().collect()
    }

    /// The names on the stack with which a thread ended.
    pub(crate) fn stack(&self, serial: u64) -> Vec<String> {
        let Some(bytes) = self.threads[&serial].get_text("stack") else { return Vec::new() };
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        let (depth, n) = (word(0), word(4) as usize);
        assert_eq!(depth as usize, n);
        assert_eq!(bytes.len(), 8 + 12 * n);
        (0..n)
            .map(|i| word(8 + 8 * n + 4 * i) & 0xFFF_FFFF)
            .map(|id| self.symbols.get(&id).cloned().unwrap_or("?".to_owned()))
            .collect()
    }

    pub(crate) fn end(&self, process: u32) -> Option<&str> {
        self.processes[&process].get_text("end").map(|end| std::str::from_utf8(end).unwrap())
    }
}

/// Where the chunks of a trace begin and end, for tests that cut it.
pub(crate) fn chunk_offsets(path: &Path) -> Vec<(String, u64, u64)> {
    let bytes = std::fs::read(path).unwrap();
    scan(&bytes, HEADER_LEN as u64)
        .map(|found| match found {
            Found::Chunk { offset, header, .. } => {
                (header.tag_name(), offset, offset + header.file_len())
            }
            other => panic!("{other:?}"),
        })
        .collect()
}
