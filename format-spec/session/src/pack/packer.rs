//! A `trace.bin` in the making: its writer, its symbols, one packer a thread.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use rtrace_format::chunk::tag;
use rtrace_format::events::Encoder;
use rtrace_format::index::IndexEntry;
use rtrace_format::{Cause, Meta, Segment, SummaryBuilder};

use crate::error::{Error, Result};
use crate::live::SymbolFile;
use crate::pack::describe;
use crate::pack::resume::Resumed;
use crate::pack::symbols::Symbols;
use crate::pack::thread::ThreadPacker;
use crate::pack::writer::TraceWriter;

/// What every thread's packer writes with.
pub(crate) struct Sink {
    pub(crate) writer: TraceWriter,
    pub(crate) symbols: Symbols,
    pub(crate) encoder: Encoder,
    pub(crate) builder: SummaryBuilder,
}

/// Turns segments into the chunks of one `trace.bin`.
pub(crate) struct Packer {
    pub(crate) sink: Sink,
    resumed: Resumed,
    threads: BTreeMap<u64, ThreadPacker>,
    /// Processes whose end was written here.
    ended: Vec<u32>,
}

impl Packer {
    /// Goes on with the trace open as `file`, which has its header at least.
    ///
    /// # Errors
    ///
    /// It cannot be read or is no trace.
    pub(crate) fn resume(file: File, path: &Path, symbols: Option<SymbolFile>) -> Result<Packer> {
        let mut symbols = Symbols::new(symbols);
        let mut resumed = Resumed::read(&file, path, &mut symbols)?;
        let entries = std::mem::take(&mut resumed.entries);
        let writer = TraceWriter::new(file, path, resumed.end, entries, resumed.indexed);
        let encoder = Encoder::new().map_err(|e| Error::format(path, e))?;
        let builder = SummaryBuilder::new(symbols.end());
        let sink = Sink { writer, symbols, encoder, builder };
        Ok(Packer { sink, resumed, threads: BTreeMap::new(), ended: Vec::new() })
    }

    /// The session's uuid.
    pub(crate) fn uuid(&self) -> [u8; 16] {
        self.resumed.header.uuid
    }

    /// The packer of a thread, behind what the trace holds of it.
    ///
    /// # Errors
    ///
    /// The trace can no longer be read.
    pub(crate) fn thread(&mut self, serial: u64) -> Result<&mut ThreadPacker> {
        if !self.threads.contains_key(&serial) {
            let writer = &self.sink.writer;
            let mut packer = self.resumed.thread(writer.file(), writer.path(), serial)?;
            packer.build_on(self.resumed.pyramid(serial));
            self.threads.insert(serial, packer);
        }
        // The entry is there; `or_insert_with` only says so to the compiler.
        Ok(self.threads.entry(serial).or_insert_with(|| ThreadPacker::new(serial)))
    }

    /// Adds a segment of a thread; see [`ThreadPacker::add`].
    ///
    /// # Errors
    ///
    /// A chunk could not be written; the segment can be added again.
    pub(crate) fn add(&mut self, segment: &mut Segment, gap: Cause) -> Result<()> {
        let serial = segment.serial;
        self.thread(serial)?;
        match self.threads.get_mut(&serial) {
            Some(thread) => thread.add(segment, gap, &mut self.sink),
            None => Ok(()),
        }
    }

    /// Writes what is gathered of a thread.
    ///
    /// # Errors
    ///
    /// The chunk could not be written; it can be tried again.
    pub(crate) fn flush(&mut self, serial: u64) -> Result<()> {
        match self.threads.get_mut(&serial) {
            Some(thread) => thread.flush(&mut self.sink),
            None => Ok(()),
        }
    }

    /// Writes what has been waiting for longer than `age`.
    ///
    /// # Errors
    ///
    /// As [`flush`](Packer::flush).
    pub(crate) fn flush_older(&mut self, age: Duration) -> Result<()> {
        let Some(before) = Instant::now().checked_sub(age) else { return Ok(()) };
        for thread in self.threads.values_mut() {
            if thread.waiting_since().is_some_and(|since| since <= before) {
                thread.flush(&mut self.sink)?;
            }
        }
        Ok(())
    }

    /// Every lap of a thread up to this one is in the trace.
    pub(crate) fn written(&self, serial: u64) -> u64 {
        self.threads.get(&serial).map_or(0, ThreadPacker::written)
    }

    /// Writes the index and the trailer, unless those in the file still hold;
    /// everything gathered must have been [written](Self::flush_all).
    ///
    /// # Errors
    ///
    /// It could not be written.
    pub(crate) fn index(&mut self, is_final: bool) -> Result<()> {
        self.sink.writer.index(is_final)
    }

    /// Whether the end of a process was written here, and not known before.
    pub(crate) fn announced_end_of(&self, process: u32) -> bool {
        self.ended.contains(&process)
    }

    /// Whether the trace describes a thread.
    pub(crate) fn describes(&self, serial: u64) -> bool {
        self.resumed.threads.contains_key(&serial)
    }

    /// Writes the nodes that an earlier writer did not come to write.
    ///
    /// # Errors
    ///
    /// They could not be written.
    pub(crate) fn complete(&mut self) -> Result<()> {
        for serial in self.resumed.serials() {
            self.thread(serial)?;
        }
        self.flush_all()
    }

    /// Drops what is known of a thread that is over and flushed.
    pub(crate) fn forget(&mut self, serial: u64) {
        self.threads.remove(&serial);
    }

    /// Writes a `PROC` chunk, unless the last one says the same.
    ///
    /// # Errors
    ///
    /// It could not be written.
    pub(crate) fn process(&mut self, number: u32, meta: &Meta) -> Result<()> {
        let mut payload = number.to_le_bytes().to_vec();
        payload.extend([0; 4]);
        payload.extend(meta.encode());
        if self.resumed.processes.get(&number) != Some(&payload) {
            self.sink.writer.chunk(tag::PROCESS, &payload, IndexEntry::default())?;
            self.resumed.processes.insert(number, payload);
            if meta.get("end").is_some() {
                self.ended.push(number);
            }
        }
        Ok(())
    }

    /// Writes a `THRD` chunk, unless the last one says the same.
    ///
    /// # Errors
    ///
    /// It could not be written.
    pub(crate) fn thread_meta(&mut self, serial: u64, meta: &Meta) -> Result<()> {
        let mut payload = serial.to_le_bytes().to_vec();
        let before = self.resumed.threads.get(&serial);
        let before = before.and_then(|old| Meta::decode(old.get(8..)?).ok());
        payload.extend(describe::replacing(before.as_ref(), meta).encode());
        if self.resumed.threads.get(&serial) != Some(&payload) {
            // Frames of its stack may be of symbols that no record named.
            self.sink.symbols.write(&mut self.sink.writer)?;
            let entry = IndexEntry { serial, ..IndexEntry::default() };
            self.sink.writer.chunk(tag::THREAD, &payload, entry)?;
            self.resumed.threads.insert(serial, payload);
        }
        Ok(())
    }

    /// Writes everything gathered.
    ///
    /// # Errors
    ///
    /// As [`flush`](Packer::flush).
    pub(crate) fn flush_all(&mut self) -> Result<()> {
        for thread in self.threads.values_mut() {
            thread.flush(&mut self.sink)?;
        }
        Ok(())
    }

    /// Writes everything gathered, the index and the trailer.
    ///
    /// # Errors
    ///
    /// It could not be written.
    pub(crate) fn finish(&mut self, is_final: bool) -> Result<()> {
        self.flush_all()?;
        self.index(is_final)
    }
}
