//! One thread's events, one after the other.

use rtrace_format::rows::ticks_of;
use rtrace_format::{Kind, Long, RecordRef, Word};

use super::{Detail, Row};
use crate::model::{Gap, Missing, TickRange};
use crate::trace::{Change, Decoded, Event, Lanes, Piece, Trace, Walk, loss};

/// The place of an event in the order of `events`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    ts_ns: i64,
    serial: u64,
    number: u64,
}

/// The events of one thread from some point on.
#[derive(Debug)]
pub struct Stream<'t> {
    trace: &'t Trace,
    range: TickRange,
    process: usize,
    thread: Option<usize>,
    serial: u64,
    folds: bool,
    walk: Option<Walk<'t>>,
    lanes: Lanes,
    /// The lanes hold what was open at the end of the last block.
    carried: bool,
    block: Option<Decoded>,
    at: Cursor,
    head: Option<Head>,
    tail: Option<Gap>,
}

/// A place in a block's rows.
#[derive(Clone, Copy, Debug, Default)]
struct Cursor {
    row: usize,
    payload: usize,
    number: u64,
    tick: u64,
}

/// What comes next.
#[derive(Clone, Copy, Debug)]
enum Head {
    /// Nothing before this tick; the next block has to be decoded to know more.
    Later(u64),
    Gap(Gap),
    Record {
        row: usize,
        word: Word,
        payload: (usize, usize),
        number: u64,
        numbered: bool,
        tick: u64,
    },
}

impl<'t> Stream<'t> {
    /// The events of a thread in `range`.
    pub fn of_thread(trace: &'t Trace, index: usize, range: TickRange) -> Self {
        let thread = &trace.threads[index];
        let walk = Walk::new(trace, thread, range);
        let mut stream = Self {
            trace,
            range,
            process: thread.process,
            thread: Some(index),
            serial: thread.serial,
            folds: trace.process_of(thread).hook.folds_generators(),
            walk: Some(walk),
            lanes: Lanes::default(),
            carried: false,
            block: None,
            at: Cursor::default(),
            head: None,
            tail: thread.tail.filter(|gap| range.contains(gap.from_tick)),
        };
        stream.later();
        stream
    }

    /// What the threads of each process lost that had no ring.
    pub fn of_processes(trace: &'t Trace, range: TickRange) -> impl Iterator<Item = Self> {
        let inside = trace.processes.iter().enumerate();
        let inside = inside.filter(move |(_, process)| range.contains(process.last_tick));
        let losses = inside.flat_map(|(i, process)| {
            process.lost_causes.iter().map(move |&loss| (i, process, loss))
        });
        losses.map(move |(i, process, (cause, count))| Self {
            trace,
            range,
            process: i,
            thread: None,
            serial: u64::MAX,
            folds: false,
            walk: None,
            lanes: Lanes::default(),
            carried: false,
            block: None,
            at: Cursor::default(),
            head: Some(Head::Gap(Gap {
                count,
                why: Missing::Lost(cause),
                from_tick: process.last_tick,
                to_tick: process.last_tick,
                record: 0,
            })),
            tail: None,
        })
    }

    /// The next event's place; of a block that was not looked at yet a place that is
    /// not behind it. `None` at the end.
    pub fn key(&self) -> Option<Key> {
        let (tick, number) = match self.head? {
            // Before any event of that tick, whatever its number.
            Head::Later(tick) => (tick, 0),
            Head::Gap(gap) => (gap.from_tick, gap.record),
            Head::Record { tick, number, .. } => (tick, number),
        };
        Some(Key { ts_ns: self.trace.clock.ns(tick), serial: self.serial, number })
    }

    /// Gives the next event to `out`, or learns more of what comes next.
    #[inline]
    pub fn take(&mut self, mut out: impl FnMut(&Row<'_>)) {
        match self.head.take() {
            None => {}
            Some(Head::Later(_)) => self.open(),
            Some(Head::Gap(gap)) => {
                if let Missing::Lost(cause) = gap.why {
                    let detail = Detail::Lost { count: gap.count, cause };
                    out(&self.row("lost", gap.from_tick, gap.record, 0, detail));
                }
                if self.block.is_some() { self.advance() } else { self.later() }
            }
            Some(Head::Record { row, word, payload, number, numbered, tick }) => {
                self.print(row, word, payload, number, numbered, tick, &mut out);
                self.advance();
            }
        }
    }

    /// No block is open: the next one is due no earlier than it says.
    fn later(&mut self) {
        let earliest = self.walk.as_ref().and_then(Walk::earliest);
        self.head = earliest.map(Head::Later).or_else(|| self.tail.take().map(Head::Gap));
    }

    /// Opens the next block.
    fn open(&mut self) {
        match self.walk.as_mut().and_then(Iterator::next) {
            None => self.head = self.tail.take().map(Head::Gap),
            Some(Piece::Gap(gap)) => {
                self.carried = false;
                let starts_here = self.range.contains(gap.from_tick);
                if starts_here { self.head = Some(Head::Gap(gap)) } else { self.later() }
            }
            Some(Piece::Block { block, follows }) => {
                let carried = self.carried && follows && block.follows(&self.lanes);
                if !carried {
                    self.lanes = block.lanes();
                }
                self.carried = true;
                self.at = Cursor {
                    number: block.rows.first_record,
                    tick: block.rows.base_tick,
                    ..Cursor::default()
                };
                let silent = block.skip;
                self.block = Some(block);
                self.pass(silent, !carried);
                self.advance();
            }
        }
    }

    /// Goes over rows that the block before holds as well.
    fn pass(&mut self, rows: usize, apply: bool) {
        while self.at.row < rows {
            let Some(block) = &self.block else { return };
            let Some(Head::Record { row, word, payload, number, numbered, tick }) =
                self.at.next(block, rows)
            else {
                return;
            };
            if apply {
                let payload = &block.rows.payload[payload.0..payload.1];
                self.lanes.apply(&RecordRef { row, number, numbered, tick, word, payload });
            }
        }
    }

    /// Finds the next record in the range.
    #[inline]
    fn advance(&mut self) {
        loop {
            let Some(block) = &self.block else { return self.later() };
            let Some(head) = self.at.next(block, usize::MAX) else {
                self.block = None;
                return self.later();
            };
            let Head::Record { row, word, payload, number, numbered, tick } = head else {
                continue;
            };
            if self.range.contains(tick) {
                self.head = Some(head);
                return;
            }
            if tick >= self.range.from {
                // Nothing later in this thread is in the range.
                (self.block, self.walk, self.head) = (None, None, self.tail.take().map(Head::Gap));
                return;
            }
            let payload = &block.rows.payload[payload.0..payload.1];
            self.lanes.apply(&RecordRef { row, number, numbered, tick, word, payload });
        }
    }

    #[allow(clippy::too_many_arguments, reason = "the fields of one record")]
    #[inline]
    fn print(
        &mut self,
        row: usize,
        word: Word,
        payload: (usize, usize),
        number: u64,
        numbered: bool,
        tick: u64,
        out: &mut impl FnMut(&Row<'_>),
    ) {
        let Some(block) = &self.block else { return };
        let payload = &block.rows.payload[payload.0..payload.1];
        let record = RecordRef { row, number, numbered, tick, word, payload };
        let step = match self.lanes.apply(&record) {
            Change::Step(step) => step,
            Change::Switched | Change::Appeared => rtrace_format::Step::Other,
        };
        let depth = Event { record, step, lane: self.lanes.current() }.depth();
        if !numbered {
            if let Some((count, cause)) = loss(word, payload) {
                out(&self.row("lost", tick, number, depth, Detail::Lost { count, cause }));
            }
            return;
        }
        let function = || self.lanes.current().stack.python_top().map(|frame| frame.id());
        match word.kind() {
            Some(Kind::Long) => {
                let long = Long::parse(word, payload);
                let (kind, detail) = describe(&long);
                out(&self.row(kind, tick, number, depth, detail));
            }
            Some(Kind::Line) => {
                let detail = Detail::Line { function: function(), line: word.id() };
                out(&self.row("line", tick, number, depth, detail));
            }
            Some(Kind::Opcode) => {
                let (offset, opcode) = word.opcode_parts();
                let detail = Detail::Opcode { function: function(), offset, opcode };
                out(&self.row("opcode", tick, number, depth, detail));
            }
            Some(kind) if kind.names_a_symbol() => {
                let kind = match kind {
                    Kind::Resume | Kind::Throw if self.folds => Kind::Call,
                    Kind::Yield if self.folds => Kind::Return,
                    other => other,
                };
                let mut row =
                    self.row(kind.name(), tick, number, depth, Detail::Function(word.id()));
                if let rtrace_format::Step::Left { frame, .. } = step {
                    row.since = frame.has_start().then_some(frame.tick);
                }
                out(&row);
            }
            _ => out(&self.row("unknown", tick, number, depth, Detail::Other)),
        }
    }

    fn row<'a>(
        &self,
        kind: &'static str,
        tick: u64,
        number: u64,
        depth: u32,
        detail: Detail<'a>,
    ) -> Row<'a> {
        Row {
            tick,
            ts_ns: self.trace.clock.ns(tick),
            process: self.process,
            thread: self.thread,
            fiber: self.lanes.current().fiber,
            kind,
            depth,
            number,
            since: None,
            detail,
        }
    }
}

fn describe(long: &Long) -> (&'static str, Detail<'_>) {
    match long {
        Long::Exception { function, line, type_symbol, message } => (
            "exception",
            Detail::Exception {
                function: *function,
                line: *line,
                type_symbol: *type_symbol,
                message,
            },
        ),
        Long::Mark(name) => ("mark", Detail::Named(name)),
        Long::SpanBegin(name) => ("span_begin", Detail::Named(name)),
        Long::SpanEnd(name) => ("span_end", Detail::Named(name)),
        Long::Counter { value, name } => ("counter", Detail::Counter { name, value: *value }),
        Long::Switch { .. } => ("switch", Detail::Other),
        _ => ("unknown", Detail::Other),
    }
}

impl Cursor {
    /// The record here, if it lies before row `end`, and steps behind it.
    #[inline]
    fn next(&mut self, block: &Decoded, end: usize) -> Option<Head> {
        loop {
            let row = self.row;
            if row >= end {
                return None;
            }
            let word = Word(*block.rows.rows.get(row)?);
            self.row += 1;
            self.tick = self.tick.wrapping_add(ticks_of(word));
            let mut payload = (0, 0);
            match word.kind() {
                Some(Kind::Extend) => continue,
                Some(Kind::Long) => {
                    payload = (self.payload, self.payload + word.payload_words());
                    self.payload = payload.1;
                    if payload.1 > block.rows.payload.len() {
                        return None;
                    }
                }
                _ => {}
            }
            let numbered = word.is_numbered();
            let number = self.number;
            self.number = number.wrapping_add(numbered.into());
            return Some(Head::Record { row, word, payload, number, numbered, tick: self.tick });
        }
    }
}
