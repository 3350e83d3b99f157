//! One thread's segments, turned into event chunks.
//!
//! Segments come in lap order. Their records are gathered, ids replaced, until
//! there are enough for a chunk; the running stack then gives the next chunk
//! its keyframe, which knows far more frames than a segment's can hold.
//!
//! Record numbers decide what is new: a segment read twice, or partly before,
//! adds only what was not there; a gap begins a new chunk.

use std::time::Instant;

use rtrace_format::chunk::tag;
use rtrace_format::events::{EventHeader, WORDS_MAX};
use rtrace_format::index::IndexEntry;
use rtrace_format::rows::ticks_of;
use rtrace_format::{Cause, Kind, Lanes, Rows, Segment, Stack, Word};

use crate::error::{Error, Result};
use crate::pack::Sink;
use crate::pack::pyramid::Pyramid;
use crate::pack::remap;
use crate::pack::stacks::{agree, chunk_keyframe, fill_from};
use crate::pack::taken::{Taken, unnumbered_behind};

/// A chunk is written when the next segment would take it above this.
pub(crate) const CHUNK_ROWS: usize = WORDS_MAX;

/// The packer of one thread.
#[derive(Debug)]
pub(crate) struct ThreadPacker {
    serial: u64,
    /// The record number that comes next; none before the first segment.
    next: Option<u64>,
    /// The last lap that was taken.
    lap: u64,
    /// How much of that lap.
    taken: Taken,
    /// Every lap up to this one is in the trace, and not only gathered.
    written: u64,
    /// The stacks before the gathered rows, with the ids of `trace.bin`.
    lanes: Lanes,
    /// Rows of the chunk to come.
    rows: Rows,
    /// The tick of the last gathered row.
    end_tick: u64,
    /// The fiber that runs behind the gathered rows.
    fiber: u32,
    /// How deep it is then, if no exit needs repair.
    depth: i64,
    /// Another fiber began to run in the gathered rows.
    switched: bool,
    cpu_ns: u64,
    lost_before: u64,
    lost_cause: u32,
    /// Record numbers that are missing before the gathered rows.
    missing: u64,
    /// When the first of the gathered rows came.
    since: Option<Instant>,
    /// What is written and waits for nodes above it.
    pyramid: Pyramid,
}

impl ThreadPacker {
    pub(crate) fn new(serial: u64) -> ThreadPacker {
        ThreadPacker {
            serial,
            next: None,
            lap: 0,
            taken: Taken::NOTHING,
            written: 0,
            lanes: Lanes::default(),
            rows: Rows::default(),
            end_tick: 0,
            fiber: 0,
            depth: 0,
            switched: false,
            cpu_ns: 0,
            lost_before: 0,
            lost_cause: 0,
            missing: 0,
            since: None,
            pyramid: Pyramid::default(),
        }
    }

    /// Goes on with what the trace has of nodes.
    pub(crate) fn build_on(&mut self, pyramid: Pyramid) {
        self.pyramid = pyramid;
    }

    /// Goes on behind a chunk that is in the trace already.
    pub(crate) fn resume(&mut self, header: &EventHeader, rows: &Rows) {
        self.next = Some(header.end_record());
        self.lap = header.lap;
        self.taken = Taken::Numbers { behind: unnumbered_behind(rows) };
        self.lanes.restart(header.fiber, Stack::from_keyframe(&header.keyframe));
        for record in rows {
            self.lanes.apply(&record);
        }
        self.end_tick = header.end_tick;
        self.stand();
    }

    /// Counts what stands before a chunk of unnumbered records alone, in the
    /// same lap: no record number says that it was taken.
    pub(crate) fn resume_before(&mut self, rows: &Rows) {
        if let Taken::Numbers { behind } = &mut self.taken {
            *behind += unnumbered_behind(rows);
        }
    }

    /// The last lap that was taken, whole or in part.
    pub(crate) fn lap(&self) -> u64 {
        self.lap
    }

    /// Every lap up to this one is in the trace, as far as it was sealed.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// The record number that comes next; none before the first segment.
    pub(crate) fn next(&self) -> Option<u64> {
        self.next
    }

    /// How long the oldest gathered row waits for its chunk.
    pub(crate) fn waiting_since(&self) -> Option<Instant> {
        self.since
    }

    /// Events that are missing behind the last chunk, and why: no later chunk says so.
    pub(crate) fn lost_at_end(&self) -> (u64, u32) {
        (self.missing.saturating_add(self.lost_before), self.lost_cause)
    }

    /// The thread's stacks, once everything is [flushed](Self::flush).
    pub(crate) fn lanes(&self) -> &Lanes {
        &self.lanes
    }

    /// Takes a segment. `gap` is the cause to give for record numbers that are missing before it.
    pub(crate) fn add(&mut self, segment: &mut Segment, gap: Cause, sink: &mut Sink) -> Result<()> {
        if segment.lap < self.lap {
            return Ok(());
        }
        trim(&mut segment.rows);
        let first = segment.rows.first_record;
        let skip = self.rows_to_skip(segment);
        if skip >= segment.rows.rows.len() && (skip > 0 || segment.lap == self.lap) {
            self.took(segment, segment.rows.rows.len());
            return Ok(());
        }
        let continues = skip > 0 || self.continues(segment);
        // One more, for the `extend` that may have to stand between the two.
        let too_many = self.rows.rows.len() + segment.rows.rows.len() + 1 > CHUNK_ROWS
            || self.rows.payload.len() + segment.rows.payload.len() > WORDS_MAX;
        if too_many || !continues {
            self.flush(sink)?;
        }
        let begins = self.rows.rows.is_empty() && skip == 0;
        // A chunk that goes on begins where the one before ended: time that passed
        // between them belongs to the stack that both have.
        let mut base_tick = segment.rows.base_tick;
        if !continues {
            self.restart(segment, gap, sink);
        } else if begins && self.agree(segment, sink) {
            base_tick = self.end_tick;
        }
        if begins {
            self.begin(base_tick, first);
            self.cpu_ns = segment.cpu_ns;
        }
        let rows = std::mem::take(&mut segment.rows);
        let done = self.gather(&rows, skip, segment, sink);
        segment.rows = rows;
        done
    }

    /// How many rows of a segment are in the trace already.
    fn rows_to_skip(&self, segment: &Segment) -> usize {
        let Some(next) = self.next else { return 0 };
        let taken = if segment.lap == self.lap { self.taken } else { Taken::NOTHING };
        taken.rows_to_skip(&segment.rows, next, self.end_tick)
    }

    /// Whether a segment goes on where the gathered rows end. Depth is checked
    /// by counting here, and by replay whenever a chunk begins.
    fn continues(&self, segment: &Segment) -> bool {
        self.next == Some(segment.rows.first_record)
            && segment.lost_before == 0
            && segment.fiber == self.fiber
            && segment.rows.base_tick >= self.end_tick
            && i64::from(segment.keyframe.depth) == self.depth
    }

    /// Begins anew from a segment's own keyframe.
    fn restart(&mut self, segment: &Segment, gap: Cause, sink: &mut Sink) {
        let missing = self.next.map_or(segment.rows.first_record, |next| {
            segment.rows.first_record.saturating_sub(next)
        });
        self.lost_before = segment.lost_before;
        self.lost_cause = if segment.lost_before > 0 {
            segment.lost_cause as u32
        } else if missing > 0 {
            gap as u32
        } else {
            0
        };
        if self.next.is_some() {
            self.missing += missing;
        }
        let known = sink.symbols.keyframe(&segment.keyframe);
        let mut stack = Stack::from_keyframe(&known);
        if self.lanes.current().fiber == segment.fiber && missing == 0 {
            // No record is missing, so frames that the keyframe cannot hold may be known.
            fill_from(&mut stack, &self.lanes.current().stack);
            *self.lanes.stack_mut() = stack;
        } else {
            self.lanes.restart(segment.fiber, stack);
        }
        self.stand();
    }

    /// At the start of a chunk: the running stack against the segment's keyframe, which
    /// holds where they differ. Says whether they agree.
    fn agree(&mut self, segment: &Segment, sink: &mut Sink) -> bool {
        let known = sink.symbols.keyframe(&segment.keyframe);
        let agrees = agree(&self.lanes.current().stack, &known);
        if !agrees {
            let mut stack = Stack::from_keyframe(&known);
            fill_from(&mut stack, &self.lanes.current().stack);
            *self.lanes.stack_mut() = stack;
        }
        agrees
    }

    fn begin(&mut self, base_tick: u64, first_record: u64) {
        self.rows.base_tick = base_tick;
        self.rows.first_record = first_record;
        self.end_tick = base_tick;
        self.next = Some(first_record);
        self.stand();
    }

    /// No row is gathered: the stacks are those of here.
    fn stand(&mut self) {
        self.fiber = self.lanes.current().fiber;
        self.depth = self.lanes.current().stack.depth().into();
        self.switched = false;
    }

    /// Gathers the rows of a segment from `skip` on.
    fn gather(
        &mut self,
        from: &Rows,
        skip: usize,
        segment: &Segment,
        sink: &mut Sink,
    ) -> Result<()> {
        let mut payload = 0;
        let mut tick = from.base_tick;
        for &row in &from.rows[..skip] {
            let word = Word(row);
            tick = tick.wrapping_add(ticks_of(word));
            if word.kind() == Some(Kind::Long) {
                payload += word.payload_words();
            }
        }
        if self.rows.rows.is_empty() && skip > 0 {
            // The chunk before ended in the middle of this segment.
            self.cpu_ns = segment.cpu_ns;
            let next = self.next.unwrap_or(from.first_record);
            self.begin(tick, next);
        }
        // Time that passed between the last gathered record and this segment's base.
        let mut passed = tick.saturating_sub(self.end_tick);
        self.lap = segment.lap;
        for &row in &from.rows[skip..] {
            let mut word = Word(row);
            tick = tick.wrapping_add(ticks_of(word));
            if passed > 0 {
                word = self.pass(std::mem::take(&mut passed), word);
            }
            let mut words: &[u64] = &[];
            if word.kind() == Some(Kind::Long) {
                let end = payload + word.payload_words();
                words = from.payload.get(payload..end).unwrap_or_default();
                payload = end;
            }
            self.push(word, words, sink);
        }
        if skip < from.rows.len() {
            self.end_tick = tick;
        }
        self.took(segment, from.rows.len());
        if self.since.is_none() && !self.rows.rows.is_empty() {
            self.since = Some(Instant::now());
        }
        Ok(())
    }

    fn took(&mut self, segment: &Segment, rows: usize) {
        self.lap = segment.lap;
        self.taken = Taken::Rows(rows);
    }

    /// Moves the clock between two segments, so that the deltas stay a chain:
    /// within the delta of `word` where that has room.
    #[cold]
    fn pass(&mut self, ticks: u64, word: Word) -> Word {
        let delta = u64::from(word.delta()).checked_add(ticks);
        match delta.and_then(|delta| u32::try_from(delta).ok()) {
            Some(delta) if word.kind() != Some(Kind::Extend) => word.with_delta(delta),
            _ => {
                self.rows.rows.push(Word::extend(ticks).0);
                word
            }
        }
    }

    #[inline]
    fn push(&mut self, word: Word, words: &[u64], sink: &mut Sink) {
        let word = remap::word(word, &mut sink.symbols);
        self.depth += remap::depth_change(word);
        self.rows.rows.push(word.0);
        if !words.is_empty() {
            remap::payload(word, words, &mut sink.symbols, &mut self.rows.payload);
        }
        if let Some((fiber, depth)) = remap::switch(word, words) {
            (self.fiber, self.depth, self.switched) = (fiber, depth.into(), true);
        }
        if word.is_numbered() {
            self.next = self.next.map(|next| next.wrapping_add(1));
        }
    }

    /// Writes the gathered rows as a chunk. After an error they are still there.
    pub(crate) fn flush(&mut self, sink: &mut Sink) -> Result<()> {
        self.pyramid.write_due(sink)?;
        if self.rows.rows.is_empty() {
            self.since = None;
            self.written = self.lap;
            return Ok(());
        }
        let keyframe = chunk_keyframe(&self.lanes.current().stack);
        // A summary is of one lane: where there are more, readers replay.
        let one_lane = self.lanes.is_one() && !self.switched;
        let mut stack = Stack::from_keyframe(&keyframe);
        let summary = one_lane.then(|| {
            sink.builder.grow(sink.symbols.end());
            sink.builder.summarize(&self.rows, &mut stack)
        });
        let header = EventHeader {
            serial: self.serial,
            cpu_ns: self.cpu_ns,
            lost_before: self.lost_before,
            lost_cause: self.lost_cause,
            fiber: self.lanes.current().fiber,
            lap: self.lap,
            keyframe,
            ..EventHeader::default()
        };
        let path = sink.writer.path();
        let payload = sink
            .encoder
            .encode(&header, &self.rows, summary.as_ref())
            .map_err(|e| Error::format(path, e))?;
        sink.symbols.write(&mut sink.writer)?;
        let entry = IndexEntry {
            serial: self.serial,
            first_record: self.rows.first_record,
            base_tick: self.rows.base_tick,
            end_tick: self.rows.end_tick(),
            records: self.rows.numbered() as u32,
            max_depth: summary.as_ref().map_or(0, |summary| summary.head.max_depth),
            ..IndexEntry::default()
        };
        sink.writer.chunk(tag::EVENTS, &payload, entry)?;
        let before = &self.lanes.current().stack;
        let cut = header.keyframe.frames.len() < before.outer().len() + before.inner().len();
        if one_lane && !cut {
            *self.lanes.stack_mut() = stack;
        } else {
            // The keyframe is not all that is known.
            for record in &self.rows {
                self.lanes.apply(&record);
            }
        }
        self.pyramid.chunk(self.serial, &self.rows, summary.as_ref());
        self.written = self.lap;
        self.rows.rows.clear();
        self.rows.payload.clear();
        self.stand();
        self.lost_before = 0;
        self.lost_cause = 0;
        self.missing = 0;
        self.since = None;
        self.pyramid.write_due(sink)
    }
}

/// Cuts `extend` words that no record follows: the record was not there yet.
fn trim(rows: &mut Rows) {
    while rows.rows.last().is_some_and(|&row| Word(row).kind() == Some(Kind::Extend)) {
        rows.rows.pop();
    }
}
