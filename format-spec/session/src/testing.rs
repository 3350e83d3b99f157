//! Sessions made by hand, for the tests: a plain writer of rings that keeps
//! its own list of what it wrote, and a plain reader of traces.

mod trace;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rtrace_format::process::{self, ProcessHeader};
use rtrace_format::ring::{self, RingHeader, field};
use rtrace_format::segment::{Builder, SEGMENT_LEN};
use rtrace_format::session::SessionHeader;
use rtrace_format::symbol::{Symbol, SymbolKind, encode_entry};
use rtrace_format::{Cause, Clock, Frame, Keyframe, Kind, Meta, Rows, Segment, Value, Word};

use crate::{create, dirs, host, output};

pub(crate) use trace::{Event, Trace, chunk_offsets};

pub(crate) const UUID: [u8; 16] = [3; 16];

/// A session on disk, with its trace.
pub(crate) struct World {
    base: tempfile::TempDir,
    pub(crate) dir: PathBuf,
    pub(crate) trace: PathBuf,
    symbols_tail: u64,
}

impl World {
    pub(crate) fn new(mode: &str) -> World {
        let base = tempfile::tempdir().unwrap();
        let dir = dirs::create_session_dir(base.path(), 1_000_000_000, 1, &UUID).unwrap();
        let output = output::reserve(&base.path().join("trace.bin"), 1).unwrap();
        let mut meta = Meta::default();
        meta.set("uuid", Value::text(host::uuid_text(&UUID)));
        meta.set("mode", Value::text(mode));
        meta.set("output", Value::text(output.path().to_str().unwrap()));
        meta.set("session_dir", Value::text(dir.to_str().unwrap()));
        meta.set("boot_id", Value::text(host::boot_id()));
        meta.set("pid_namespace", Value::U64(host::pid_namespace()));
        meta.set("uid", Value::U64(host::uid().into()));
        meta.set("started_at_ns", Value::U64(1_000_000_000));
        Clock::monotonic(0).to_meta(&mut meta);
        let header = SessionHeader {
            uuid: UUID,
            next_serial: 0,
            next_process: 0,
            symbols_tail: 64,
            memory_used: 0,
            memory_max: 1 << 28,
            collector_pid: 0,
            collector_state: 0,
            given_back: 0,
            meta: meta.clone(),
        };
        create::session_file(&dir, &header).unwrap();
        create::symbols_file(&dir, &UUID).unwrap();
        let trace = output.write(&UUID, 1_000_000_000, &meta).unwrap();
        World { base, dir, trace, symbols_tail: 64 }
    }

    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.base.path().join(name)
    }

    /// A process that is gone without an end mark.
    pub(crate) fn dead_process(&self, number: u32) {
        // No process has this start time.
        self.process(number, std::process::id(), u64::MAX - 1, process::RECORDING);
    }

    pub(crate) fn ended_process(&self, number: u32) {
        self.process(number, std::process::id(), 1, process::ENDED);
    }

    pub(crate) fn process(&self, number: u32, pid: u32, start_time: u64, state: u64) {
        let mut meta = Meta::default();
        meta.set("python", Value::text("3.12.1"));
        let header = ProcessHeader {
            number,
            pid,
            parent: number.checked_sub(1),
            ppid: 1,
            start_time,
            state,
            end_tick: 9_000_000,
            exit_code: Some(3),
            lost: 0,
            lost_causes: Default::default(),
            overwritten_threads: 0,
            overwritten_events: 0,
            event_cost_ps: 0,
            c_event_cost_ps: 0,
            filtered: 0,
            closed_sites: 0,
            meta,
        };
        create::process_file(&self.dir, &header).unwrap();
    }

    /// A process that really runs and has a file of the session mapped.
    pub(crate) fn live_process(&self, number: u32) -> Running {
        // Its program lies in the session's directory, so that it maps a file of it.
        let program = self.dir.join(format!("ring-{}", 900 + number));
        std::fs::copy("/bin/sleep", &program).unwrap();
        let child = std::process::Command::new(&program).arg("600").spawn().unwrap();
        wait_until_mapped(child.id(), &program);
        let start_time = host::start_time(child.id()).unwrap();
        self.process(number, child.id(), start_time, process::RECORDING);
        Running(child)
    }

    pub(crate) fn end_process(&self, number: u32) {
        let file = create::open_rw(&create::process_path(&self.dir, number)).unwrap();
        file.write_all_at(&process::ENDED.to_le_bytes(), process::field::STATE as u64).unwrap();
    }

    /// Appends a symbol and gives its raw id.
    pub(crate) fn symbol(&mut self, name: &str) -> u32 {
        let path = create::symbols_path(&self.dir);
        let entry = encode_entry(&Symbol::named(SymbolKind::Python, b"app", name.as_bytes()));
        let at = self.symbols_tail;
        let file = create::open_rw(&path).unwrap();
        create::grow_symbols(&file, &path, at + entry.len() as u64).unwrap();
        create::write_symbol(&file, &path, &entry, at).unwrap();
        self.symbols_tail += entry.len() as u64;
        (at / 16) as u32
    }

    /// Several symbols, by raw id and name.
    pub(crate) fn symbols(&mut self, names: &[&'static str]) -> Vec<(u32, &'static str)> {
        names.iter().map(|name| (self.symbol(name), *name)).collect()
    }

    /// A ring of `segments` segments.
    pub(crate) fn ring(&self, serial: u64, process: u32, segments: u32) -> Pen {
        let mut header = RingHeader {
            uuid: UUID,
            serial,
            pid: std::process::id(),
            tid: 7,
            process,
            segment_len: SEGMENT_LEN as u32,
            state: ring::LIVE,
            depth: 0,
            head: 0,
            drained: 0,
            born_tick: 1,
            end_tick: 0,
            fiber: 0,
            switches: 0,
            lost: 0,
            lost_cause: 0,
            name: format!("Thread-{serial}").into_bytes(),
            extents: Vec::new(),
        };
        let file = create::ring_file(&self.dir, &mut header).unwrap();
        let path = create::ring_path(&self.dir, serial);
        if segments > 2 {
            create::add_extent(&file, &path, ring::SEGMENTS, segments - 2).unwrap();
        }
        let mut pen = Pen {
            file,
            path,
            serial,
            slots: segments as usize,
            fiber: 0,
            segment: Segment {
                lap: 1,
                serial,
                cpu_ns: 0,
                fiber: 0,
                keyframe: Keyframe::default(),
                sealed: false,
                rewinds: 0,
                lost_before: 0,
                lost_cause: Cause::Unknown,
                rows: Rows { base_tick: 1000, ..Rows::default() },
            },
            words_max: 1800,
            waits: false,
            tick: 1000,
            number: 0,
            stack: Vec::new(),
            written: Vec::new(),
        };
        pen.store();
        pen
    }
}

/// A spawned process goes on before it has mapped its program.
pub(crate) fn wait_until_mapped(pid: u32, program: &Path) {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
    let program = program.to_str().unwrap();
    while !std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap().contains(program) {
        assert!(std::time::Instant::now() < end);
        std::thread::yield_now();
    }
}

/// A child process, killed and waited for at the latest when this goes.
pub(crate) struct Running(std::process::Child);

impl Running {
    pub(crate) fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Writes one ring, as a recorder would, but slowly.
pub(crate) struct Pen {
    pub(crate) file: File,
    pub(crate) path: PathBuf,
    serial: u64,
    slots: usize,
    pub(crate) fiber: u32,
    /// The active segment.
    pub(crate) segment: Segment,
    /// A segment is sealed when it has so many words.
    pub(crate) words_max: usize,
    /// It waits for the collector where it would overwrite what is not drained.
    pub(crate) waits: bool,
    pub(crate) tick: u64,
    pub(crate) number: u64,
    /// Every open frame, with raw ids.
    pub(crate) stack: Vec<Frame>,
    /// What was written, numbered records only.
    pub(crate) written: Vec<Event>,
}

impl Pen {
    pub(crate) fn call(&mut self, (id, name): (u32, &str), delta: u32) {
        let depth = self.stack.len() as u32;
        self.put(Word::new(Kind::Call, id, delta), &[]);
        self.note("call", name, depth);
        self.stack.push(Frame::new(id, 0, self.tick));
        self.shadow();
    }

    pub(crate) fn ret(&mut self, (id, name): (u32, &str), delta: u32) {
        // A segment that begins here begins with the frame still open.
        self.put(Word::new(Kind::Return, id, delta), &[]);
        assert_eq!(self.stack.pop().map(|frame| frame.id()), Some(id));
        self.note("return", name, self.stack.len() as u32);
        self.shadow();
    }

    /// Time that no delta can hold.
    pub(crate) fn sleep(&mut self, ticks: u64) {
        self.put(Word::extend(ticks), &[]);
    }

    pub(crate) fn exception(&mut self, (id, name): (u32, &str), (kind, _): (u32, &str)) {
        let mut payload = Vec::new();
        rtrace_format::long::encode_exception(&mut payload, id, 12, kind, b"message");
        let word = Word::long(1, payload.len() as u8, 0, 3);
        self.put(word, &payload);
        self.note("exception", name, self.stack.len().saturating_sub(1) as u32);
    }

    /// An unnumbered record.
    pub(crate) fn lost(&mut self, count: u64) {
        let mut payload = Vec::new();
        rtrace_format::long::encode_lost(&mut payload, count, Cause::Hook);
        self.put(Word::long(7, payload.len() as u8, 1, 1), &payload);
    }

    /// Another fiber runs: `stack` are its open frames, raw ids; its own are given back.
    pub(crate) fn switch(&mut self, fiber: u32, stack: Vec<Frame>) -> Vec<Frame> {
        let mut payload = Vec::new();
        rtrace_format::long::encode_switch(&mut payload, fiber, stack.len() as u32, &stack);
        let word = Word::long(6, payload.len() as u8, 0, 2);
        self.put(word, &payload);
        self.fiber = fiber;
        self.note("switch", "", 0);
        std::mem::replace(&mut self.stack, stack)
    }

    fn note(&mut self, kind: &str, name: &str, depth: u32) {
        self.written.push(Event {
            serial: self.serial,
            number: self.number - 1,
            tick: self.tick,
            kind: kind.to_owned(),
            name: name.to_owned(),
            depth,
        });
    }

    fn put(&mut self, word: Word, payload: &[u64]) {
        let rows = &self.segment.rows;
        if rows.rows.len() + rows.payload.len() + 1 + payload.len() > self.words_max {
            self.turn();
        }
        self.segment.rows.rows.push(word.0);
        self.segment.rows.payload.extend_from_slice(payload);
        self.tick += rtrace_format::rows::ticks_of(word);
        self.number += u64::from(word.is_numbered());
    }

    /// Seals the active segment and begins the next one.
    pub(crate) fn turn(&mut self) {
        if self.waits {
            self.wait_for_room();
        }
        self.segment.sealed = true;
        self.store();
        // As SPEC section 4.1: lap 0 first, the new one last.
        let next = self.offset(self.segment.lap + 1);
        self.file.write_all_at(&[0; 8], next + 8).unwrap();
        self.segment.lap += 1;
        self.segment.sealed = false;
        self.segment.lost_before = 0;
        self.segment.cpu_ns += 10;
        self.segment.fiber = self.fiber;
        self.segment.keyframe = Keyframe::of(&self.stack, 8, 24);
        // A little time passes between the last record and the new segment.
        self.tick += 5;
        self.segment.rows =
            Rows { base_tick: self.tick, first_record: self.number, ..Rows::default() };
        self.store();
    }

    /// Writes the active segment as it is.
    pub(crate) fn store(&mut self) {
        let bytes = Builder { segment: &self.segment, len: SEGMENT_LEN }.bytes();
        let at = self.offset(self.segment.lap);
        // The body, then the header, the lap last.
        self.file.write_all_at(&bytes[16..], at + 16).unwrap();
        self.file.write_all_at(&bytes[..16], at).unwrap();
        self.field(field::HEAD, self.segment.lap);
    }

    /// Waits until the place of the next lap is drained.
    pub(crate) fn wait_for_room(&self) {
        let next = self.segment.lap + 1;
        let end = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while self.drained() + (self.slots as u64) < next {
            assert!(std::time::Instant::now() < end, "the collector does not drain");
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    pub(crate) fn drained(&self) -> u64 {
        let mut bytes = [0; 8];
        self.file.read_exact_at(&mut bytes, field::DRAINED as u64).unwrap();
        u64::from_le_bytes(bytes)
    }

    /// Where a lap lies.
    pub(crate) fn offset(&self, lap: u64) -> u64 {
        // The extents of a ring are made one behind the other.
        let first = 4096 + 16 * ring::STACK_FRAMES as u64;
        first + (lap - 1) % self.slots as u64 * SEGMENT_LEN as u64
    }

    pub(crate) fn field(&mut self, at: usize, value: u64) {
        self.file.write_all_at(&value.to_le_bytes(), at as u64).unwrap();
    }

    fn shadow(&mut self) {
        self.field(field::DEPTH, self.stack.len() as u64);
        let at = self.stack.len().saturating_sub(1);
        if let Some(frame) = self.stack.get(at).filter(|_| at < ring::STACK_FRAMES) {
            let mut bytes = frame.tick.to_le_bytes().to_vec();
            bytes.extend(frame.word.to_le_bytes());
            self.file.write_all_at(&bytes, 4096 + at as u64 * 16).unwrap();
        }
    }

    /// The thread ends.
    pub(crate) fn end(&mut self) {
        self.store();
        self.field(field::END_TICK, self.tick);
        self.field(field::STATE, ring::ENDED);
    }

    /// A program of its own: calls down and up, `rounds` times, through `symbols`.
    pub(crate) fn program(&mut self, symbols: &[(u32, &'static str)], rounds: usize) {
        for round in 0..rounds {
            for (i, &symbol) in symbols.iter().enumerate() {
                self.call(symbol, (round % 50 + i) as u32);
            }
            if round % 100 == 7 {
                self.exception(symbols[0], symbols[1]);
            }
            if round % 1000 == 500 {
                self.sleep(1 << 33);
            }
            for &symbol in symbols.iter().rev() {
                self.ret(symbol, 2);
            }
        }
    }
}

/// The bytes of a file.
pub(crate) fn bytes(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}
