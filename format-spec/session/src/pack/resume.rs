//! Going on with a `trace.bin` that somebody else began.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use rtrace_format::bytes::{u32_at, u64_at};
use rtrace_format::chunk::{ChunkHeader, tag};
use rtrace_format::events::{EventChunk, EventHeader};
use rtrace_format::file::{FileHeader, HEADER_LEN};
use rtrace_format::index::{Index, IndexEntry, TRAILER_LEN, Trailer};
use rtrace_format::node::{self, NodeHeader};
use rtrace_format::{chunk, summary};

use crate::error::{Error, Result};
use crate::live::META_MAX;
use crate::pack::pyramid::Pyramid;
use crate::pack::symbols::{self, Symbols};
use crate::pack::thread::ThreadPacker;
use crate::read;
use crate::walk::{Found, Walk, payload};

/// No symbol's structured value is shorter, with its length in front.
const SYMBOL_MIN: u64 = 4 + 65;

/// So much of an event chunk holds its header, the keyframes that this crate
/// writes, and the beginning of the summary.
const EVENTS_PREFIX: usize = 16 * 1024;

/// So much of a node holds its header and the head of its summary.
const NODE_PREFIX: usize = 256;

/// What a trace holds already.
#[derive(Debug)]
pub(crate) struct Resumed {
    pub(crate) header: FileHeader,
    /// Behind the last whole chunk.
    pub(crate) end: u64,
    /// Every chunk but indexes.
    pub(crate) entries: Vec<IndexEntry>,
    /// What the index at the end says, if nothing follows it.
    pub(crate) indexed: Option<bool>,
    /// The last payload of each `PROC`, by number.
    pub(crate) processes: BTreeMap<u32, Vec<u8>>,
    /// The last payload of each `THRD`, by serial.
    pub(crate) threads: BTreeMap<u64, Vec<u8>>,
    /// The event chunks of each thread, in file order.
    events: BTreeMap<u64, Vec<(u64, ChunkHeader)>>,
    /// What waits for nodes, by thread, until somebody goes on with the thread.
    pyramids: BTreeMap<u64, Pyramid>,
    /// Working space.
    buf: Vec<u8>,
}

impl Resumed {
    /// Reads a trace; its symbols go to `symbols`.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is no trace. Damaged chunks are passed over.
    pub(crate) fn read(file: &File, path: &Path, symbols: &mut Symbols) -> Result<Resumed> {
        let mut bytes = [0; HEADER_LEN];
        let got = read::read_at(file, path, &mut bytes, 0)?;
        let header = FileHeader::parse(&bytes[..got]).map_err(|e| Error::format(path, e))?;
        let mut resumed = Resumed {
            header,
            end: HEADER_LEN as u64,
            entries: Vec::new(),
            indexed: None,
            processes: BTreeMap::new(),
            threads: BTreeMap::new(),
            events: BTreeMap::new(),
            pyramids: BTreeMap::new(),
            buf: Vec::new(),
        };
        let mut walk = Walk::new(file, path)?;
        loop {
            let before = walk.end();
            match walk.next()? {
                None => break,
                Some(Found::Damaged) => {
                    // There may have been symbols in it, whose ids are in use.
                    symbols.skip((walk.end() - before) / SYMBOL_MIN);
                    resumed.indexed = None;
                }
                Some(Found::Chunk { offset, header }) => {
                    resumed.chunk(file, path, offset, header, symbols)?;
                }
            }
        }
        resumed.end = walk.end();
        let mut trailer = [0; TRAILER_LEN + 1];
        let got = read::read_at(file, path, &mut trailer, resumed.end)?;
        if got != TRAILER_LEN || Trailer::parse(&trailer[..got]).is_err() {
            resumed.indexed = None;
        }
        Ok(resumed)
    }

    fn chunk(
        &mut self,
        file: &File,
        path: &Path,
        offset: u64,
        header: ChunkHeader,
        symbols: &mut Symbols,
    ) -> Result<()> {
        let mut entry =
            IndexEntry { tag: header.tag, offset, len: header.len, ..IndexEntry::default() };
        let known = match header.tag {
            tag::EVENTS => self.events(file, path, offset, header, &mut entry)?,
            tag::NODE => self.node(file, path, offset, header, &mut entry)?,
            _ => false,
        };
        if known {
            self.indexed = None;
            self.entries.push(entry);
            return Ok(());
        }
        let payload = match payload(file, path, offset, &header, META_MAX * 8) {
            Ok(payload) => payload,
            Err(error) if matches!(error.kind(), crate::ErrorKind::Format(_)) => {
                if header.tag == tag::SYMBOLS {
                    symbols.skip(header.len / SYMBOL_MIN);
                }
                self.indexed = None;
                self.entries.push(entry);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        self.indexed = None;
        match header.tag {
            tag::INDEX => {
                // A damaged index is written again; a good one may be the last.
                self.indexed = Index::parse(&payload).ok().map(|index| index.is_final);
                return Ok(());
            }
            tag::SYMBOLS => {
                let mut last = None;
                for (id, value) in symbols::values(&payload) {
                    symbols.known(id, value);
                    last = Some(id);
                }
                if last.is_none() {
                    symbols.skip(header.len / SYMBOL_MIN);
                }
            }
            tag::PROCESS => {
                if let Some(number) = u32_at(&payload, 0) {
                    self.processes.insert(number, payload);
                }
            }
            tag::THREAD => {
                if let Some(serial) = u64_at(&payload, 0) {
                    entry.serial = serial;
                    self.threads.insert(serial, payload);
                }
            }
            _ => {}
        }
        self.entries.push(entry);
        Ok(())
    }

    /// Reads the first bytes of a chunk's payload, at most `most`, into the buffer.
    fn prefix(
        &mut self,
        file: &File,
        path: &Path,
        offset: u64,
        header: ChunkHeader,
        most: usize,
    ) -> Result<()> {
        self.buf.resize(most.min(usize::try_from(header.len).unwrap_or(usize::MAX)), 0);
        let got = read::read_at(file, path, &mut self.buf, offset + chunk::HEADER_LEN as u64)?;
        self.buf.truncate(got);
        Ok(())
    }

    /// Notes an event chunk by its first bytes alone, since there may be
    /// gigabytes of them; false if those make no sense.
    fn events(
        &mut self,
        file: &File,
        path: &Path,
        offset: u64,
        header: ChunkHeader,
        entry: &mut IndexEntry,
    ) -> Result<bool> {
        self.prefix(file, path, offset, header, EVENTS_PREFIX)?;
        let Ok((events, summary)) = EventHeader::parse(&self.buf) else {
            return Ok(false);
        };
        entry.serial = events.serial;
        entry.first_record = events.first_record;
        entry.base_tick = events.base_tick;
        entry.end_tick = events.end_tick;
        entry.records = events.records;
        entry.max_depth = summary::max_depth_of(summary).unwrap_or(0);
        self.events.entry(events.serial).or_default().push((offset, header));
        let pyramid = self.pyramids.entry(events.serial).or_default();
        pyramid.chunk_in_file(offset, header, !summary.is_empty());
        Ok(true)
    }

    /// The same of a node.
    fn node(
        &mut self,
        file: &File,
        path: &Path,
        offset: u64,
        header: ChunkHeader,
        entry: &mut IndexEntry,
    ) -> Result<bool> {
        self.prefix(file, path, offset, header, NODE_PREFIX)?;
        let Ok(node) = NodeHeader::parse(&self.buf) else { return Ok(false) };
        entry.level = node.level;
        entry.serial = node.serial;
        entry.first_record = node.first_record;
        entry.base_tick = node.base_tick;
        entry.end_tick = node.end_tick;
        entry.records = u32::try_from(node.records).unwrap_or(u32::MAX);
        let summary = self.buf.get(node::HEADER_LEN..).unwrap_or_default();
        entry.max_depth = summary::max_depth_of(summary).unwrap_or(0);
        self.pyramids.entry(node.serial).or_default().node_in_file(offset, header, node.level);
        Ok(true)
    }

    /// The threads that have event chunks.
    pub(crate) fn serials(&self) -> Vec<u64> {
        self.events.keys().copied().collect()
    }

    /// What waits for nodes in a thread; to be asked once.
    pub(crate) fn pyramid(&mut self, serial: u64) -> Pyramid {
        self.pyramids.remove(&serial).unwrap_or_default()
    }

    /// The packer of a thread, behind its last chunk that can be read.
    ///
    /// # Errors
    ///
    /// The file can no longer be read.
    pub(crate) fn thread(&self, file: &File, path: &Path, serial: u64) -> Result<ThreadPacker> {
        let mut packer = ThreadPacker::new(serial);
        let chunks = self.events.get(&serial).map_or(&[][..], Vec::as_slice);
        let mut lap = None;
        for (offset, header) in chunks.iter().rev() {
            let payload = match payload(file, path, *offset, header, META_MAX * 8) {
                Err(error) if matches!(error.kind(), crate::ErrorKind::Format(_)) => continue,
                other => other?,
            };
            let Ok(chunk) = EventChunk::parse(&payload) else { continue };
            let Ok(rows) = chunk.rows(&mut Vec::new()) else { continue };
            match lap {
                None => packer.resume(&chunk.header, &rows),
                Some(lap) if lap == chunk.header.lap => packer.resume_before(&rows),
                Some(_) => break,
            }
            lap = Some(chunk.header.lap);
            if chunk.header.records > 0 {
                break;
            }
        }
        Ok(packer)
    }
}
