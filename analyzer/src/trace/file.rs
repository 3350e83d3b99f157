//! What is in the file: chunks found by the index, or by walking from one to the next.

use std::collections::BTreeMap;
use std::path::Path;

use rtrace_format::bytes::Reader;
use rtrace_format::chunk::{self, Found, tag};
use rtrace_format::events::{EventChunk, EventHeader};
use rtrace_format::file::{FileHeader, HEADER_LEN};
use rtrace_format::index::{Index, Trailer};
use rtrace_format::node::NodeHeader;
use rtrace_format::{ErrorKind, Meta, Symbol};

use super::blocks::chunk_at;
use super::error::{COPY_AGAIN, GIVE_A_TRACE, OpenError};
use super::symbols::{IdMap, Symbols};
use crate::model::Problem;

/// The tags of chunks that are read as a whole when a file is opened.
const SMALL: [[u8; 4]; 5] = [tag::SESSION, tag::PROCESS, tag::THREAD, tag::SYMBOLS, tag::INDEX];

/// The content of a `trace.bin`, events left packed.
#[derive(Debug)]
pub(super) struct FileContent {
    pub header: FileHeader,
    /// The index said that no process of the session was live any more.
    pub is_final: bool,
    pub session: Meta,
    pub processes: BTreeMap<u32, Meta>,
    pub threads: BTreeMap<u64, Meta>,
    pub symbols: Symbols,
    pub ids: IdMap,
    /// Event chunks: offset, header and whether there is a summary, in file order.
    pub events: Vec<(u64, EventHeader, bool)>,
    /// Nodes: offset and header, in file order.
    pub nodes: Vec<(u64, NodeHeader)>,
    pub chunks: u64,
    pub problems: Vec<Problem>,
    /// Where the file's end cuts off a chunk, and how many bytes of it there are.
    pub torn: Option<(u64, u64)>,
}

/// Reads all but the events of a file.
pub(super) fn read(path: &Path, file: &[u8]) -> Result<FileContent, OpenError> {
    let header = FileHeader::parse(file).map_err(|error| {
        let advice = match error.kind() {
            ErrorKind::BadMagic(_) => GIVE_A_TRACE,
            // The texts of these say themselves what to install.
            ErrorKind::Version { .. } | ErrorKind::Feature(_) => {
                "or read it with the rtrace that wrote it"
            }
            _ => COPY_AGAIN,
        };
        let what = if file.is_empty() { "the file is empty".to_owned() } else { error.what() };
        OpenError::at(path, error.offset(), what, advice)
    })?;
    let mut content = FileContent {
        header,
        is_final: false,
        session: Meta::default(),
        processes: BTreeMap::new(),
        threads: BTreeMap::new(),
        symbols: Symbols::default(),
        ids: IdMap::new(),
        events: Vec::new(),
        nodes: Vec::new(),
        chunks: 0,
        problems: Vec::new(),
        torn: None,
    };
    if !content.read_by_index(file) {
        content.read_by_walking(file);
    }
    Ok(content)
}

impl FileContent {
    /// Goes by the index of a finished trace. Says no if there is none, or if it
    /// does not describe this file: then the walk finds what there is.
    fn read_by_index(&mut self, file: &[u8]) -> bool {
        let Ok(trailer) = Trailer::parse(file) else { return false };
        let Ok((header, payload)) = chunk_at(file, trailer.index_offset) else { return false };
        if header.tag != tag::INDEX || header.check(payload).is_err() {
            return false;
        }
        let Ok(index) = Index::parse(payload) else { return false };
        let fits = |entry: &rtrace_format::index::IndexEntry| {
            chunk_at(file, entry.offset)
                .is_ok_and(|(header, _)| header.tag == entry.tag && header.len == entry.len)
        };
        if !index.entries.iter().all(fits) {
            return false;
        }
        for entry in &index.entries {
            if let Ok((header, payload)) = chunk_at(file, entry.offset) {
                self.take(entry.offset, &header, payload);
            }
        }
        self.chunks += 1;
        self.is_final = index.is_final;
        true
    }

    fn read_by_walking(&mut self, file: &[u8]) {
        for found in chunk::scan(file, HEADER_LEN as u64) {
            match found {
                Found::Chunk { offset, header, payload } => self.take(offset, &header, payload),
                Found::Torn { offset, len } => {
                    self.torn = Some((offset, len));
                    self.is_final = false;
                }
                Found::Damaged { offset, len } => {
                    self.problem(
                        offset,
                        format!("{len} bytes belong to no chunk; they were skipped"),
                    );
                }
            }
        }
    }

    fn problem(&mut self, offset: u64, what: String) {
        self.problems.push(Problem { offset, what });
    }

    fn take(&mut self, offset: u64, header: &chunk::ChunkHeader, payload: &[u8]) {
        self.chunks += 1;
        // Of a file that lost only its trailer the index is the last chunk.
        self.is_final = false;
        let result = if header.tag == tag::EVENTS {
            // Its checksum waits until the events are decoded: reading every byte
            // of a large trace only to open it would take long.
            EventChunk::parse(payload).map(|chunk| {
                self.events.push((offset, chunk.header, !chunk.summary.is_empty()));
            })
        } else if header.tag == tag::NODE {
            NodeHeader::parse(payload).map(|node| self.nodes.push((offset, node)))
        } else if SMALL.contains(&header.tag) {
            header.check(payload).and_then(|()| self.take_small(header.tag, payload))
        } else {
            // A tag of a later version, of whatever size: it is skipped, not read.
            Ok(())
        };
        if let Err(error) = result {
            let at = error.at(offset + chunk::HEADER_LEN as u64);
            self.problem(at.offset(), format!("chunk {}: {}", header.tag_name(), at.what()));
        }
    }

    fn take_small(&mut self, tag: [u8; 4], payload: &[u8]) -> rtrace_format::Result<()> {
        let mut reader = Reader::new(payload, "a chunk");
        match tag {
            tag::SESSION => self.session.merge(&Meta::decode(payload)?),
            tag::PROCESS => {
                let number = reader.u32()?;
                reader.skip(4)?;
                let meta = Meta::decode(payload.get(8..).unwrap_or_default())?;
                self.processes.entry(number).or_default().merge(&meta);
            }
            tag::THREAD => {
                let serial = reader.u64()?;
                let meta = Meta::decode(payload.get(8..).unwrap_or_default())?;
                self.threads.entry(serial).or_default().merge(&meta);
            }
            tag::SYMBOLS => {
                let (first, count) = (reader.u32()?, reader.u32()?);
                for id in first..first.saturating_add(count) {
                    let len = reader.u32()? as usize;
                    let symbol = Symbol::decode(reader.take(len)?)?;
                    let dense = self.symbols.add(symbol);
                    self.ids.insert(id, dense);
                }
            }
            tag::INDEX => self.is_final = Index::parse(payload)?.is_final,
            _ => {}
        }
        Ok(())
    }
}
