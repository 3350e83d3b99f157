//! The pyramid of one thread: nodes above its event chunks, and above nodes.
//!
//! A node is appended as soon as its last child is in the trace. Until then the
//! summaries of chunks wait in memory, in little room, and nodes where they are, in the file.

use std::fs::File;
use std::path::Path;

use rtrace_format::chunk::{ChunkHeader, tag};
use rtrace_format::events::EventChunk;
use rtrace_format::index::IndexEntry;
use rtrace_format::node::{self, Child, Node};
use rtrace_format::{ErrorKind, Rows, Stack, Summary, SummaryBuilder};

use crate::error::{self, Error, Result};
use crate::live::META_MAX;
use crate::pack::Sink;
use crate::walk;

/// Nodes and chunks that wait for the node above them.
#[derive(Debug, Default)]
pub(crate) struct Pyramid {
    /// By level: chunks first, then nodes of level 1, and so on; each in file order.
    waiting: Vec<Vec<Waiting>>,
}

#[derive(Debug)]
enum Waiting {
    Here(Child),
    InFile { offset: u64, header: ChunkHeader },
}

impl Pyramid {
    /// A chunk was written.
    pub(crate) fn chunk(&mut self, serial: u64, rows: &Rows, summary: Option<&Summary>) {
        match summary {
            Some(summary) => self.wait(0, Waiting::Here(Child::of_chunk(serial, rows, summary))),
            None => self.waiting.clear(),
        }
    }

    /// A chunk stands in the file, behind those already known.
    pub(crate) fn chunk_in_file(&mut self, offset: u64, header: ChunkHeader, summarized: bool) {
        if summarized {
            self.wait(0, Waiting::InFile { offset, header });
        } else {
            self.waiting.clear();
        }
    }

    /// A node stands in the file: what waited up to there is in it.
    pub(crate) fn node_in_file(&mut self, offset: u64, header: ChunkHeader, level: u32) {
        let level = level as usize;
        // One that is too high for what is known was written above something damaged.
        if level > self.waiting.len() {
            self.waiting.clear();
            return;
        }
        self.waiting[level - 1].clear();
        self.wait(level, Waiting::InFile { offset, header });
    }

    fn wait(&mut self, level: usize, child: Waiting) {
        if self.waiting.len() <= level {
            self.waiting.resize_with(level + 1, Vec::new);
        }
        self.waiting[level].push(child);
    }

    /// Writes every node of which all children are in the trace.
    ///
    /// # Errors
    ///
    /// It could not be written, or the trace not be read; it can be tried again.
    pub(crate) fn write_due(&mut self, sink: &mut Sink) -> Result<()> {
        let mut below = 0;
        while below < self.waiting.len() {
            let width = node::width(below as u32 + 1);
            while self.waiting[below].len() >= width {
                let Some(written) = write(&self.waiting[below][..width], sink)? else {
                    self.waiting.clear();
                    return Ok(());
                };
                self.waiting[below].drain(..width);
                self.wait(below + 1, written);
            }
            below += 1;
        }
        Ok(())
    }
}

/// Writes the node above `children`; none where one of them is damaged, or it were too large.
fn write(children: &[Waiting], sink: &mut Sink) -> Result<Option<Waiting>> {
    let mut known = Vec::with_capacity(children.len());
    sink.builder.grow(sink.symbols.end());
    for child in children {
        let child = match child {
            Waiting::Here(child) => child.clone(),
            Waiting::InFile { offset, header } => {
                let (file, path) = (sink.writer.file(), sink.writer.path());
                match read(file, path, *offset, header, &mut sink.builder) {
                    Err(error) if matches!(error.kind(), error::ErrorKind::Format(_)) => {
                        return Ok(None);
                    }
                    other => other?,
                }
            }
        };
        known.push(child);
    }
    let path = sink.writer.path();
    let encoded = node::encode(&known).map_err(|e| Error::format(path, e))?;
    let Some((about, payload)) = encoded else { return Ok(None) };
    let max_depth = Node::parse(&payload).map_or(0, |node| node.head().max_depth);
    let entry = IndexEntry {
        level: about.level,
        serial: about.serial,
        first_record: about.first_record,
        base_tick: about.base_tick,
        end_tick: about.end_tick,
        records: u32::try_from(about.records).unwrap_or(u32::MAX),
        max_depth,
        ..IndexEntry::default()
    };
    let (offset, header) = sink.writer.chunk(tag::NODE, &payload, entry)?;
    Ok(Some(Waiting::InFile { offset, header }))
}

/// A child that an earlier writer left in the file.
fn read(
    file: &File,
    path: &Path,
    offset: u64,
    header: &ChunkHeader,
    builder: &mut SummaryBuilder,
) -> Result<Child> {
    let damaged = |error: rtrace_format::Error| Error::format(path, error.at(offset));
    let payload = walk::payload(file, path, offset, header, META_MAX * 8)?;
    if header.tag == tag::NODE {
        return Child::of_node(&payload).map_err(damaged);
    }
    let chunk = EventChunk::parse(&payload).map_err(damaged)?;
    let rows = chunk.rows(&mut Vec::new()).map_err(damaged)?;
    if chunk.summary.is_empty() {
        let what = ErrorKind::BadValue("an event chunk");
        return Err(damaged(rtrace_format::Error::new(what, 0)));
    }
    let mut stack = Stack::from_keyframe(&chunk.header.keyframe);
    Ok(Child::of_chunk(chunk.header.serial, &rows, &builder.summarize(&rows, &mut stack)))
}
