//! Opening: from a path to a [`Trace`].

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rtrace_format::figures::{self, Figures};
use rtrace_format::node::NodeHeader;
use rtrace_format::{Cause, Clock, Keyframe, Meta, Symbol};
use rtrace_session::host;
use rtrace_session::liveness::{self, Here, Liveness, Recorded};

use super::error::{GIVE_A_TRACE, OpenError};
use super::file::{self, FileContent};
use super::losses::{self, Circumstances, Found};
use super::overlay::{self, Overlay};
use super::{IdMap, Source, Symbols, Trace, nodes};
use crate::mmap::MappedFile;
use crate::model::{End, Gap, Hook, Missing, Mode, Problem, Process, SymbolId, Thread};

/// How to open a trace.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// Where the rings of the session are, if they were moved.
    pub session: Option<PathBuf>,
}

/// What is known of a thread while a trace is put together.
#[derive(Debug, Default)]
pub(super) struct ThreadDraft {
    pub meta: Meta,
    pub found: Vec<Found>,
    /// The open frames at the end, in dense ids.
    pub final_stack: Option<Keyframe>,
    pub final_fiber: Option<u32>,
    pub waiting: Vec<(u32, Keyframe)>,
    /// Nodes of the file: offset and header.
    pub nodes: Vec<(u64, NodeHeader)>,
    /// Something of it could not be read.
    pub damaged: bool,
}

/// A trace while it is put together, from the file and then from the session.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub session: Meta,
    pub processes: BTreeMap<u32, Meta>,
    pub ends: BTreeMap<u32, End>,
    /// What each process left out, in dense ids.
    pub figures: BTreeMap<u32, Vec<(SymbolId, Figures)>>,
    pub threads: BTreeMap<u64, ThreadDraft>,
    pub symbols: Symbols,
    pub problems: Vec<Problem>,
    pub notes: Vec<String>,
    pub segments: u64,
    /// Where the file's end cuts off a chunk, and how many bytes of it there are.
    pub torn: Option<(u64, u64)>,
}

/// How long a collector that is finishing is waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often it is looked at meanwhile.
const PAUSE: Duration = Duration::from_millis(20);

impl Trace {
    /// Opens a `trace.bin` or the directory of a session.
    ///
    /// A trace that a collector is just finishing is waited for, up to a second.
    ///
    /// # Errors
    /// It is neither, or nothing of it can be read.
    pub fn open_with(path: &Path, options: &OpenOptions) -> Result<Self, OpenError> {
        if path.is_dir() {
            return open_session(path);
        }
        let deadline = Instant::now() + PATIENCE;
        let mut session_was_there = false;
        loop {
            let late = Instant::now() >= deadline;
            let (map, content) = read_file(path)?;
            if content.is_final {
                return Draft::default().build(path, Some((map, content)), None);
            }
            let dir = overlay::find(path, options.session.as_deref());
            let Some(dir) = dir else {
                // A session is removed when everything of it is in the file: then
                // another look at the file finds it finished.
                if std::mem::take(&mut session_was_there) && !late {
                    continue;
                }
                let (map, content) = read_file(path)?;
                let mut draft = Draft::default();
                if !content.is_final {
                    draft.without_session(&content.session);
                }
                return draft.build(path, Some((map, content)), None);
            };
            session_was_there = true;
            match Overlay::read(&dir) {
                Ok(overlay) if overlay.is_being_finished() && !late => std::thread::sleep(PAUSE),
                Ok(overlay) => {
                    // Once more: what was drained from the rings before they were
                    // copied is in the file by now.
                    let file = read_file(path)?;
                    return Draft::default().build(path, Some(file), Some(overlay));
                }
                Err(_) if !late => std::thread::sleep(PAUSE),
                Err(error) => {
                    let mut draft = Draft::default();
                    draft.notes.push(format!("the session cannot be read: {error}"));
                    return draft.build(path, Some((map, content)), None);
                }
            }
        }
    }
}

/// Opens what the directory of a session leads to.
fn open_session(dir: &Path) -> Result<Trace, OpenError> {
    if !dir.join("session").is_file() {
        return Err(OpenError::new(dir, "is a directory and no session", GIVE_A_TRACE));
    }
    if let Some(trace) = overlay::trace_of(dir) {
        let options = OpenOptions { session: Some(dir.to_owned()) };
        if let Ok(trace) = Trace::open_with(&trace, &options) {
            return Ok(trace);
        }
    }
    let overlay =
        Overlay::read(dir).map_err(|error| OpenError::new(dir, error.to_string(), GIVE_A_TRACE))?;
    Draft::default().build(dir, None, Some(overlay))
}

/// Maps a file and reads all but its events.
fn read_file(path: &Path) -> Result<(MappedFile, FileContent), OpenError> {
    // A pipe would be waited for when it is opened, so its kind is asked first.
    let metadata = std::fs::metadata(path).map_err(|error| OpenError::io(path, &error))?;
    if !metadata.is_file() {
        return Err(OpenError::new(path, "is no regular file", GIVE_A_TRACE));
    }
    let file = File::open(path).map_err(|error| OpenError::io(path, &error))?;
    let map = MappedFile::map(&file).map_err(|error| OpenError::io(path, &error))?;
    let content = file::read(path, &map)?;
    Ok((map, content))
}

impl Draft {
    /// Puts a trace together from a file, a session, or both.
    fn build(
        mut self,
        path: &Path,
        file: Option<(MappedFile, FileContent)>,
        session: Option<Overlay>,
    ) -> Result<Trace, OpenError> {
        let mut file_ids = IdMap::new();
        let mut version = (rtrace_format::file::MAJOR, rtrace_format::file::MINOR);
        let (mut uuid, mut created_ns, mut chunks, mut file_bytes) = ([0; 16], 0, 0, 0);
        let mut map = None;
        if let Some((mapped, content)) = file {
            version = (content.header.major, content.header.minor);
            (uuid, created_ns) = (content.header.uuid, content.header.created_ns);
            (chunks, file_bytes) = (content.chunks, mapped.len() as u64);
            file_ids = self.take_file(content);
            map = Some(mapped);
        }
        let mut ring_ids = IdMap::new();
        let mut cut = self.torn.filter(|_| session.is_none());
        if let Some((offset, len)) = cut.filter(|(_, len)| *len > 0) {
            let what =
                format!("the file is cut off inside a chunk, of which {len} bytes are there");
            self.problems.push(Problem { offset, what });
        } else {
            cut = None;
        }
        if let Some(overlay) = session {
            if map.is_none() {
                (uuid, file_bytes) = (overlay.uuid(), overlay.bytes);
            }
            ring_ids = overlay.lay_over(&mut self);
        }
        let clock = self.clock(path)?;
        let mut trace = Trace {
            path: path.to_owned(),
            version,
            uuid,
            clock,
            started_at_ns: self.session.get_i64("started_at_ns").unwrap_or(created_ns as i64),
            meta: Meta::default(),
            processes: Vec::new(),
            threads: Vec::new(),
            symbols: Symbols::default(),
            problems: Vec::new(),
            cut: cut.map(|(offset, _)| offset),
            notes: Vec::new(),
            file_bytes,
            chunks,
            segments: 0,
            last_tick: clock.base_tick,
            file: map,
            file_ids,
            ring_ids,
            damaged: OnceLock::new(),
        };
        self.finish(&mut trace);
        Ok(trace)
    }

    /// Says what it means that a trace is not finished and its session is not there.
    fn without_session(&mut self, session: &Meta) {
        if is_copy(session) {
            return;
        }
        let boot_id = host::boot_id();
        let rebooted = session
            .get_text("boot_id")
            .is_some_and(|id| !id.is_empty() && !boot_id.is_empty() && id != boot_id.as_bytes());
        self.notes.push(
            if rebooted {
                "its machine was restarted since, and the rings are gone; shown is what had reached the file"
            } else {
                "it was not finished, and its session is not found here (--session DIR tells where); \
                 shown is what had reached the file"
            }
            .to_owned(),
        );
    }

    /// Takes over what the file holds.
    fn take_file(&mut self, content: FileContent) -> IdMap {
        self.session = content.session;
        self.symbols = content.symbols;
        self.problems = content.problems;
        for (number, meta) in content.processes {
            let end = match end_of(&meta, &self.session) {
                // Its end mark may lie in what was cut off.
                End::Killed if meta.get("end").is_none() && content.torn.is_some() => End::Unknown,
                end => end,
            };
            let figures = self.figures_of(&meta);
            self.figures.insert(number, figures);
            self.ends.insert(number, end);
            self.processes.insert(number, meta);
        }
        for (serial, meta) in content.threads {
            let draft = self.threads.entry(serial).or_default();
            draft.final_stack =
                meta.get_text("stack").and_then(|bytes| Keyframe::decode_stack(bytes).ok());
            draft.final_fiber =
                meta.get_u64("fiber").and_then(|fiber| u32::try_from(fiber).ok()).or(Some(0));
            draft.waiting = meta
                .get_text("fibers")
                .and_then(|bytes| rtrace_format::fiber::decode_list(bytes).ok())
                .unwrap_or_default();
            let waiting = draft.waiting.iter_mut().map(|(_, stack)| stack);
            for frame in waiting.chain(&mut draft.final_stack).flat_map(|stack| &mut stack.frames) {
                *frame = frame.with_id(content.ids.get(frame.id()));
            }
            draft.meta = meta;
        }
        let damaged = !self.problems.is_empty();
        for (offset, header, has_summary) in content.events {
            let thread = self.threads.entry(header.serial).or_default();
            thread.damaged = damaged;
            thread.found.push(Found {
                first_record: header.first_record,
                events: header.records.into(),
                base_tick: header.base_tick,
                end_tick: header.end_tick,
                fiber: header.fiber,
                one_lane: header.fiber == 0 && has_summary,
                knows_stack: header.keyframe.hidden() == 0,
                lost_before: header.lost_before,
                cause: header.cause(),
                source: Source::Chunk(offset),
            });
        }
        for (offset, node) in content.nodes {
            self.threads.entry(node.serial).or_default().nodes.push((offset, node));
        }
        self.torn = content.torn;
        content.ids
    }

    /// What a `PROC` chunk says was left out; items that cannot be read are not shown.
    fn figures_of(&mut self, meta: &Meta) -> Vec<(SymbolId, Figures)> {
        let items = meta.get_list("figures").unwrap_or_default();
        let figures = items.iter().filter_map(|item| {
            let (figures, symbol) = figures::decode_item(item)?;
            Some((self.symbols.add(Symbol::decode(symbol).ok()?), figures))
        });
        figures.collect()
    }

    /// The session's clock.
    fn clock(&self, path: &Path) -> Result<Clock, OpenError> {
        Clock::from_meta(&self.session).map_err(|error| {
            OpenError::at(
                path,
                rtrace_format::file::HEADER_LEN as u64,
                format!("no session chunk says what its times mean ({})", error.what()),
                "copy it again from where it was recorded, or read the session's directory",
            )
        })
    }

    /// Puts processes and threads together.
    fn finish(mut self, trace: &mut Trace) {
        for thread in self.threads.values() {
            // A thread whose process is not told still has one, so that it is shown.
            let number = thread.meta.get_u64("process").unwrap_or(0) as u32;
            self.processes.entry(number).or_default();
        }
        let numbers: Vec<u32> = self.processes.keys().copied().collect();
        trace.processes = self
            .processes
            .iter()
            .map(|(&number, meta)| {
                let end = self.ends.get(&number).copied().unwrap_or(End::Unknown);
                process(number, meta, end, &self.session)
            })
            .collect();
        for process in &mut trace.processes {
            process.figures = self.figures.remove(&process.number).unwrap_or_default();
        }
        for (serial, draft) in self.threads {
            let number = draft.meta.get_u64("process").unwrap_or(0) as u32;
            let index = numbers.binary_search(&number).unwrap_or(0);
            let thread = thread(serial, index, draft, trace.processes[index].mode);
            let process = &mut trace.processes[index];
            let last = thread.last_tick().into_iter().chain(thread.end_tick).max();
            process.last_tick = process.last_tick.max(last.unwrap_or(0));
            trace.threads.push(thread);
        }
        for process in &mut trace.processes {
            process.last_tick = process.last_tick.max(process.end_tick.unwrap_or(0));
            trace.last_tick = trace.last_tick.max(process.last_tick);
        }
        trace.meta = self.session;
        trace.symbols = self.symbols;
        trace.problems = self.problems;
        trace.notes = self.notes;
        trace.segments = self.segments;
    }
}

fn process(number: u32, meta: &Meta, end: End, session: &Meta) -> Process {
    let text = |key| meta.get_text(key).unwrap_or_default().to_vec();
    let id = |key| meta.get_u64(key).unwrap_or(0) as u32;
    let mode = meta.get_text("mode").or_else(|| session.get_text("mode")).unwrap_or_default();
    let end_tick = meta.get_u64("end_tick").filter(|&tick| tick != 0 && end == End::Clean);
    Process {
        number,
        pid: id("pid"),
        ppid: id("ppid"),
        python: text("python"),
        hook: Hook::from_name(meta.get_text("hook").unwrap_or_default()),
        mode: Mode::from_name(mode),
        argv: meta.get_list("argv").unwrap_or_default().to_vec(),
        cwd: text("cwd"),
        end,
        end_tick,
        exit_code: meta.get_i64("exit_code").and_then(|code| i32::try_from(code).ok()),
        lost_without_ring: meta.get_u64("lost_without_ring").unwrap_or(0),
        lost_causes: lost_causes(meta),
        overwritten_threads: meta.get_u64("overwritten_threads").unwrap_or(0),
        overwritten_events: meta.get_u64("overwritten_events").unwrap_or(0),
        event_cost_ps: meta.get_u64("event_cost_ps").unwrap_or(0),
        c_event_cost_ps: meta.get_u64("c_event_cost_ps").unwrap_or(0),
        filtered: meta.get_u64("filtered").unwrap_or(0),
        closed_sites: meta.get_u64("closed_sites").unwrap_or(0),
        figures: Vec::new(),
        last_tick: meta.get_u64("started_tick").unwrap_or(0),
    }
}

/// What threads without rings lost, by cause; what no cause is given for is the budget's.
fn lost_causes(meta: &Meta) -> Vec<(Cause, u64)> {
    let told = |cause: Cause| meta.get_u64(&format!("lost_{}", cause.name())).unwrap_or(0);
    let mut left = meta.get_u64("lost_without_ring").unwrap_or(0);
    let mut found = Vec::new();
    for cause in Cause::ALL.into_iter().filter(|&cause| cause != Cause::Budget) {
        let count = told(cause).min(left);
        left -= count;
        found.push((cause, count));
    }
    found.push((Cause::Budget, left));
    found.retain(|&(_, count)| count > 0);
    found
}

fn thread(serial: u64, process: usize, draft: ThreadDraft, mode: Mode) -> Thread {
    let meta = &draft.meta;
    let first_tick = draft.found.iter().map(|f| f.base_tick).min();
    let born_tick = meta.get_u64("born_tick").filter(|&tick| tick != 0).or(first_tick).unwrap_or(0);
    let end_tick = meta.get_u64("end_tick").filter(|&tick| tick != 0);
    let about = Circumstances { born_tick, flight: mode == Mode::Flight, damaged: draft.damaged };
    let blocks = losses::arrange(draft.found, about);
    let lost = meta.get_u64("lost_at_end").unwrap_or(0);
    let last_tick = blocks.last().map_or(born_tick, |block| block.end_tick);
    let tail = (lost > 0).then(|| Gap {
        count: lost,
        why: Missing::Lost(Cause::from_number(meta.get_u64("lost_cause").unwrap_or(0) as u32)),
        from_tick: last_tick,
        to_tick: end_tick.unwrap_or(last_tick).max(last_tick),
        record: blocks.last().map_or(0, crate::model::Block::end_record),
    });
    let nodes = nodes::place(&draft.nodes, &blocks);
    Thread {
        serial,
        process,
        tid: meta.get_u64("tid").unwrap_or(0) as u32,
        name: meta.get_text("name").unwrap_or_default().to_vec(),
        born_tick,
        end_tick,
        tail,
        final_stack: draft.final_stack,
        final_fiber: draft.final_fiber,
        waiting: draft.waiting,
        blocks,
        nodes,
    }
}

/// Whether the file is a copy that stands for itself, made while the session went on.
fn is_copy(session: &Meta) -> bool {
    session.get_bool("snapshot") == Some(true)
}

/// How a process ended, as far as the file and the process table tell.
fn end_of(meta: &Meta, session: &Meta) -> End {
    match meta.get_text("end") {
        Some(b"clean") => return End::Clean,
        Some(b"killed") => return End::Killed,
        // It ran when the copy was made.
        _ if is_copy(session) => return End::Running,
        _ => {}
    }
    let recorded = Recorded {
        boot_id: session.get_text("boot_id").unwrap_or_default(),
        pid_namespace: session.get_u64("pid_namespace").unwrap_or(0),
        pid: meta.get_u64("pid").unwrap_or(0) as u32,
        // The file does not keep it, so that a process with this pid proves nothing;
        // that there is none proves that this one is gone.
        start_time: 0,
        session_name: b"",
    };
    match liveness::judge_without_mappings(&Here::now(), &recorded) {
        Liveness::Dead => End::Killed,
        Liveness::Live | Liveness::Unknown => End::Unknown,
    }
}
