//! A session that still runs, or died: what its rings hold beyond the file.
//!
//! Everything is copied by `pread` at the moment of opening and nothing is written.
//! Rings are read before the file where both are: a collector moves records from the
//! one to the other, and what it moves in between is then seen twice, never missed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rtrace_format::record::Subkind;
use rtrace_format::ring::ENDED;
use rtrace_format::session::{COLLECTOR_DRAINING, COLLECTOR_STARTED};
use rtrace_format::{Kind, Meta, Segment, Stack, Value, Word};
use rtrace_session::SessionReader;
use rtrace_session::live::{End as SessionEnd, StackNow, Taken, Thread as SessionThread};

use super::Source;
use super::losses::Found;
use super::open::{Draft, ThreadDraft};
use super::symbols::IdMap;
use crate::model::{End, Problem};

/// What was copied of one thread.
#[derive(Debug)]
struct CopiedThread {
    serial: u64,
    meta: Meta,
    found: Vec<Found>,
    /// In the ids of the symbols file.
    now: Option<StackNow>,
    damaged: bool,
}

/// A session as it was at one moment.
#[derive(Debug)]
pub(super) struct Overlay {
    reader: SessionReader,
    threads: Vec<CopiedThread>,
    problems: Vec<Problem>,
    notes: Vec<String>,
    pub bytes: u64,
}

impl Overlay {
    /// Copies what the session in `dir` holds.
    ///
    /// # Errors
    /// The session cannot be read at all.
    pub fn read(dir: &Path) -> rtrace_session::Result<Self> {
        let reader = SessionReader::open(dir)?;
        let mut overlay =
            Self { bytes: 0, threads: Vec::new(), problems: Vec::new(), notes: Vec::new(), reader };
        for problem in overlay.reader.problems() {
            overlay.notes.push(problem.to_string());
        }
        let threads: Vec<SessionThread> = overlay.reader.threads().cloned().collect();
        for thread in threads {
            match overlay.copy(&thread) {
                Ok(copied) => overlay.threads.push(copied),
                // Its room went to another thread meanwhile; what it held was packed.
                Err(error) if error.is_not_found() => {}
                Err(error) => overlay.notes.push(error.to_string()),
            }
        }
        overlay.bytes = size_of(dir);
        Ok(overlay)
    }

    /// Whether a collector is about to put all of this into the file: every process is
    /// over, and the collector still runs.
    pub fn is_being_finished(&self) -> bool {
        let header = self.reader.header();
        let over = self.reader.processes().all(|process| process.end.is_over());
        let works = [COLLECTOR_STARTED, COLLECTOR_DRAINING].contains(&header.collector_state);
        let pid = u32::try_from(header.collector_pid).unwrap_or(0);
        over && works && pid != 0 && rtrace_session::host::start_time(pid).is_some()
    }

    /// The session's uuid.
    pub fn uuid(&self) -> [u8; 16] {
        self.reader.header().uuid
    }

    fn copy(&mut self, thread: &SessionThread) -> rtrace_session::Result<CopiedThread> {
        let mut ring = thread.open()?;
        // The stack first: records that come while the segments are copied belong to
        // a later moment, and hide nothing that this one knew.
        let now = ring.stack_now().ok();
        let mut segments = Vec::new();
        let mut damaged = false;
        let mut buf = Vec::new();
        // Newest first: a writer that goes on overwrites the oldest, and what it has
        // overwritten meanwhile is then simply older than what is kept.
        for slot in ring.slots(0)?.into_iter().rev() {
            match ring.take(slot, &mut buf)? {
                Taken::Segment(segment) => segments.push(segment),
                Taken::Overwritten => break,
                Taken::Torn => {}
                Taken::Damaged(error) => {
                    damaged = true;
                    self.problems.push(Problem {
                        offset: slot.offset + error.offset(),
                        what: format!("{}: {}", ring.path().display(), error.what()),
                    });
                }
            }
        }
        ring.refresh()?;
        let header = ring.header();
        let mut meta = Meta::default();
        meta.set("process", Value::U64(header.process.into()));
        meta.set("tid", Value::U64(header.tid.into()));
        meta.set("name", Value::text(&header.name));
        meta.set("born_tick", Value::U64(header.born_tick));
        if header.state == ENDED {
            meta.set("end_tick", Value::U64(header.end_tick));
        }
        if header.lost > 0 {
            meta.set("lost_at_end", Value::U64(header.lost));
            meta.set("lost_cause", Value::U64(header.lost_cause.into()));
        }
        Ok(CopiedThread {
            serial: header.serial,
            meta,
            damaged,
            now,
            found: segments
                .into_iter()
                .map(|segment| Found {
                    first_record: segment.rows.first_record,
                    events: segment.rows.numbered(),
                    base_tick: segment.rows.base_tick,
                    end_tick: segment.rows.end_tick(),
                    fiber: segment.fiber,
                    one_lane: segment.fiber == 0 && !has_switch(&segment),
                    knows_stack: segment.keyframe.hidden() == 0,
                    lost_before: segment.lost_before,
                    cause: segment.lost_cause,
                    source: Source::Segment(Arc::new(segment)),
                })
                .collect(),
        })
    }

    /// Lays what was copied over what the file holds, and gives the map of the
    /// symbols file's ids.
    pub fn lay_over(self, draft: &mut Draft) -> IdMap {
        let mut ids = IdMap::new();
        match self.reader.symbols().and_then(|symbols| symbols.scan_from(0)) {
            Ok((symbols, _)) => {
                for (id, symbol) in symbols {
                    let dense = draft.symbols.add(symbol);
                    ids.insert(id, dense);
                }
            }
            Err(error) => draft.notes.push(error.to_string()),
        }
        if draft.session.entries().next().is_none() {
            draft.session = self.reader.meta().clone();
        }
        for process in self.reader.processes().filter(|process| process.header.pid != 0) {
            let header = &process.header;
            let meta = draft.processes.entry(header.number).or_default();
            meta.merge(&header.meta);
            meta.set("pid", Value::U64(header.pid.into()));
            meta.set("ppid", Value::U64(header.ppid.into()));
            meta.set("event_cost_ps", Value::U64(header.event_cost_ps));
            meta.set("c_event_cost_ps", Value::U64(header.c_event_cost_ps));
            meta.set("closed_sites", Value::U64(header.closed_sites));
            meta.set("filtered", Value::U64(header.filtered));
            rtrace_session::pack::losses(header, meta);
            meta.set("overwritten_threads", Value::U64(header.overwritten_threads));
            meta.set("overwritten_events", Value::U64(header.overwritten_events));
            if process.end == SessionEnd::Clean {
                meta.set("end_tick", Value::U64(header.end_tick));
                if let Some(code) = header.exit_code {
                    meta.set("exit_code", Value::I64(code.into()));
                }
            }
            draft.ends.insert(header.number, end_of(process.end));
            match self.reader.figures(header.number) {
                // None where the file knows them already: a packed session's are gone.
                Ok(figures) if figures.is_empty() => {}
                Ok(figures) => {
                    let dense = figures.into_iter().map(|one| (ids.get(one.id), one));
                    draft.figures.insert(header.number, dense.collect());
                }
                Err(error) => draft.notes.push(error.to_string()),
            }
        }
        for thread in self.threads {
            let draft_thread: &mut ThreadDraft = draft.threads.entry(thread.serial).or_default();
            draft_thread.meta.merge(&thread.meta);
            draft_thread.damaged |= thread.damaged;
            draft.segments += thread.found.len() as u64;
            draft_thread.found.extend(thread.found);
            if let Some(now) = thread.now {
                let dense = |stack: &Stack| {
                    let mut keyframe = stack.keyframe(usize::MAX, usize::MAX);
                    for frame in &mut keyframe.frames {
                        *frame = frame.with_id(ids.get(frame.id()));
                    }
                    keyframe
                };
                draft_thread.final_stack = Some(dense(&now.stack));
                draft_thread.final_fiber = Some(now.fiber);
                let waiting = now.waiting.iter();
                draft_thread.waiting =
                    waiting.map(|(fiber, stack)| (*fiber, dense(stack))).collect();
            }
        }
        draft.problems.extend(self.problems);
        draft.notes.extend(self.notes);
        ids
    }
}

/// Whether another fiber began to run in a segment.
fn has_switch(segment: &Segment) -> bool {
    segment
        .rows
        .rows
        .iter()
        .map(|&row| Word(row))
        .any(|word| word.kind() == Some(Kind::Long) && word.subkind() == Subkind::SWITCH)
}

fn end_of(end: SessionEnd) -> End {
    match end {
        SessionEnd::Running => End::Running,
        SessionEnd::Clean => End::Clean,
        SessionEnd::Killed => End::Killed,
        SessionEnd::Unknown => End::Unknown,
    }
}

/// The length of all files in a session's directory.
fn size_of(dir: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    let sizes = entries.flatten().filter_map(|entry| entry.metadata().ok());
    sizes.filter(std::fs::Metadata::is_file).map(|metadata| metadata.len()).sum()
}

/// The session's directory behind a trace, if it is still there.
pub(super) fn find(trace: &Path, hint: Option<&Path>) -> Option<PathBuf> {
    rtrace_session::pack::session_of(trace, hint).ok().flatten()
}

/// The trace of a session, if it is still there.
pub(super) fn trace_of(dir: &Path) -> Option<PathBuf> {
    SessionReader::open(dir).and_then(|reader| rtrace_session::pack::trace_of(&reader)).ok()
}
