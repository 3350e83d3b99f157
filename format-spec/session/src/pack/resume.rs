//! Going on with a `trace.bin` that somebody else began.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use rtrace_format::Summary;
use rtrace_format::bytes::{u32_at, u64_at};
use rtrace_format::chunk::{ChunkHeader, tag};
use rtrace_format::events::EventChunk;
use rtrace_format::file::{FileHeader, HEADER_LEN};
use rtrace_format::index::{Index, IndexEntry, TRAILER_LEN, Trailer};

use crate::error::{Error, Result};
use crate::live::META_MAX;
use crate::pack::symbols::{self, Symbols};
use crate::pack::thread::ThreadPacker;
use crate::read;
use crate::walk::{Found, Walk, payload};

/// No symbol's structured value is shorter, with its length in front.
const SYMBOL_MIN: u64 = 4 + 65;

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
    /// The last event chunk of each thread.
    last: BTreeMap<u64, (u64, ChunkHeader)>,
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
            last: BTreeMap::new(),
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
            tag::EVENTS => {
                if let Ok(chunk) = EventChunk::parse(&payload) {
                    let events = &chunk.header;
                    entry.serial = events.serial;
                    entry.first_record = events.first_record;
                    entry.base_tick = events.base_tick;
                    entry.end_tick = events.end_tick;
                    entry.records = events.records;
                    entry.max_depth =
                        Summary::parse(chunk.summary).map_or(0, |summary| summary.max_depth);
                    self.last.insert(events.serial, (offset, header));
                }
            }
            _ => {}
        }
        self.entries.push(entry);
        Ok(())
    }

    /// The packer of a thread, behind its last chunk in the trace.
    ///
    /// # Errors
    ///
    /// The chunk can no longer be read.
    pub(crate) fn thread(&self, file: &File, path: &Path, serial: u64) -> Result<ThreadPacker> {
        let mut packer = ThreadPacker::new(serial);
        if let Some((offset, header)) = self.last.get(&serial) {
            let damaged = |error: rtrace_format::Error| Error::format(path, error.at(*offset));
            let payload = payload(file, path, *offset, header, META_MAX * 8)?;
            let chunk = EventChunk::parse(&payload).map_err(damaged)?;
            let rows = chunk.rows(&mut Vec::new()).map_err(damaged)?;
            packer.resume(&chunk.header, &rows);
        }
        Ok(packer)
    }
}
