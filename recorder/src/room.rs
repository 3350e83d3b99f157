//! The byte budget, and whose room is given to whom.
//!
//! Everything in the session's directory is paid for from one budget that the
//! processes of the tree share. What is taken is reserved before it is allocated and
//! released after it is removed, so that the sum of the files is never above it.
//!
//! In flight mode the rings of threads that have ended stay for as long as there is
//! room. Where there is none the oldest is removed, and counted as overwritten: first
//! those of this process, then ended ones of the others of the tree, then those of
//! processes that are dead. To have removed the file is to have claimed it: of two who
//! try, one finds it gone. A ring of a thread that runs is never touched.
//!
//! In full mode the collector removes rings, once they are in the trace.

use std::collections::{HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rtrace_format::ring;
use rtrace_session::live::{Over, Ring, Stage};
use rtrace_session::{create, dirs};

use crate::recording::lock;
use crate::shared::{ProcessPage, SessionPage};

/// How long after a search that found too little the next one may be made.
const SEARCH_PAUSE: Duration = Duration::from_millis(200);

/// Rings that one search takes note of beyond what is needed, for those who ask next.
const SPARE: usize = 16;

/// The ring file of a thread that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remnant {
    /// The thread.
    pub serial: u64,
    /// The file's length, which was reserved.
    pub bytes: u64,
    /// How many events the thread had.
    pub events: u64,
}

/// Room for the files of one process.
#[derive(Debug)]
pub struct Room {
    page: Arc<SessionPage>,
    process: Arc<ProcessPage>,
    number: u32,
    dir: PathBuf,
    /// Whether nobody else removes rings.
    recycles: bool,
    remnants: Mutex<Remnants>,
    /// The system, and not the budget, refused a ring its growth.
    refused: AtomicBool,
}

/// What may be removed, oldest first.
#[derive(Debug, Default)]
struct Remnants {
    known: VecDeque<Remnant>,
    /// When a search last found too little.
    searched: Option<Instant>,
}

impl Room {
    /// The room of process `number` of the session in `dir`.
    pub fn new(
        page: Arc<SessionPage>,
        process: Arc<ProcessPage>,
        number: u32,
        dir: &Path,
        recycles: bool,
    ) -> Room {
        let remnants = Mutex::new(Remnants::default());
        let refused = AtomicBool::new(false);
        Room { page, process, number, dir: dir.to_owned(), recycles, remnants, refused }
    }

    /// Takes note that the system refused a ring its growth.
    pub fn refuse_growth(&self) {
        self.refused.store(true, Ordering::Relaxed);
    }

    /// Whether that was so for any.
    pub fn was_refused_growth(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    /// Takes `bytes` of the budget such that `kept` stay, removing rings of threads
    /// that have ended if need be. False where that is not possible; then nothing was removed.
    pub fn take(&self, bytes: u64, kept: u64) -> bool {
        if self.page.reserve(bytes, kept) {
            return true;
        }
        if !self.recycles {
            return false;
        }
        let mut remnants = lock(&self.remnants);
        // Others may take what is released here: then there is a second attempt.
        for _ in 0..2 {
            let needed = self.page.excess(bytes, kept);
            for remnant in self.choose(&mut remnants, needed) {
                self.remove(remnant);
            }
            if self.page.reserve(bytes, kept) {
                return true;
            }
        }
        false
    }

    /// Whether asking for `bytes` may succeed without a search. Costs two loads.
    pub fn may_have(&self, bytes: u64, kept: u64) -> bool {
        self.page.excess(bytes, kept) == 0
    }

    /// Gives back what was [taken](Room::take) and not used.
    pub fn release(&self, bytes: u64) {
        self.page.release(bytes);
    }

    /// The budget, in bytes.
    pub fn max(&self) -> u64 {
        self.page.memory_max()
    }

    /// Takes note of a ring whose thread has ended.
    pub fn ended(&self, remnant: Remnant) {
        if self.recycles {
            lock(&self.remnants).known.push_back(remnant);
        }
    }

    /// The oldest remnants that together have `needed` bytes; none where there is not so much.
    fn choose(&self, remnants: &mut Remnants, needed: u64) -> Vec<Remnant> {
        let mut sum = 0;
        let mut count = enough(&remnants.known, needed, &mut sum);
        if count.is_none() && remnants.searched.is_none_or(|at| at.elapsed() >= SEARCH_PAUSE) {
            let found = self.search(needed - sum, &remnants.known);
            remnants.known.extend(found);
            count = enough(&remnants.known, needed, &mut sum);
            remnants.searched = count.is_none().then(Instant::now);
        }
        count.map(|count| remnants.known.drain(..count).collect()).unwrap_or_default()
    }

    /// Rings of ended threads of other processes that are not `known`, oldest first, until
    /// they have `needed` bytes and a few more; if those do not suffice, also rings of dead
    /// processes.
    fn search(&self, needed: u64, known: &VecDeque<Remnant>) -> Vec<Remnant> {
        let Ok(entries) = std::fs::read_dir(&self.dir) else { return Vec::new() };
        let serial_of = |entry: std::fs::DirEntry| {
            dirs::numbered(entry.file_name().as_encoded_bytes(), b"ring-")
        };
        let mut serials: Vec<u64> = entries.flatten().filter_map(serial_of).collect();
        let known: HashSet<u64> = known.iter().map(|remnant| remnant.serial).collect();
        serials.retain(|serial| !known.contains(serial));
        serials.sort_unstable();
        let mut processes = Over::new(&self.dir);
        let (mut found, mut of_the_dead) = (Vec::new(), Vec::new());
        let (mut sum, mut spare) = (0, 0);
        for serial in serials {
            let Ok(ring) = Ring::open(&create::ring_path(&self.dir, serial)) else { continue };
            let header = ring.header();
            if header.process == self.number {
                continue;
            }
            let (list, counts) = match processes.stage(header.process) {
                // What is packed would be counted as overwritten, too; its room comes soon.
                Stage::Packs => continue,
                _ if header.state == ring::ENDED => (&mut found, true),
                Stage::Over => (&mut of_the_dead, false),
                Stage::Runs => continue,
            };
            let (bytes, events) = (ring.file_len(), ring.events().unwrap_or(0));
            let remnant = Remnant { serial, bytes, events };
            list.push(remnant);
            if counts {
                sum += remnant.bytes;
                spare += usize::from(sum > needed);
            }
            if spare > SPARE {
                break;
            }
        }
        if sum < needed {
            found.append(&mut of_the_dead);
        }
        found
    }

    /// Removes a ring. Its events are counted first: a process that is killed in between
    /// tells of them twice, rather than not at all.
    fn remove(&self, remnant: Remnant) {
        self.process.overwrite(1, remnant.events);
        match std::fs::remove_file(create::ring_path(&self.dir, remnant.serial)) {
            Ok(()) => self.page.release(remnant.bytes),
            // Somebody else has removed it, and tells of it.
            Err(_) => self.process.take_back(1, remnant.events),
        }
    }
}

/// How many of the first remnants have `needed` bytes; `sum` is what all that were looked at have.
fn enough(known: &VecDeque<Remnant>, needed: u64, sum: &mut u64) -> Option<usize> {
    *sum = 0;
    for (at, remnant) in known.iter().enumerate() {
        if *sum >= needed {
            return Some(at);
        }
        *sum += remnant.bytes;
    }
    (*sum >= needed).then_some(known.len())
}

#[cfg(test)]
mod tests {
    use rtrace_format::Kind;
    use rtrace_format::ring::field;

    use super::*;
    use crate::writer::tests::{fixture, writer};

    #[test]
    fn rings_that_do_not_suffice_stay() {
        let fixture = fixture(32 << 10, 1 << 20, None);
        let recording = &fixture.recording;
        let mut writer = writer(&fixture, &[]);
        writer.enter(Kind::Call, 5);
        writer.end();
        // Two ended rings of another process, of which nothing else is known.
        let own = create::ring_path(&recording.dir, 0);
        let mut bytes = std::fs::read(&own).unwrap();
        let each = bytes.len() as u64;
        for serial in [7u64, 8] {
            bytes[field::SERIAL..field::SERIAL + 8].copy_from_slice(&serial.to_le_bytes());
            bytes[field::PROCESS..field::PROCESS + 4].copy_from_slice(&77u32.to_le_bytes());
            std::fs::write(create::ring_path(&recording.dir, serial), &bytes).unwrap();
        }
        lock(&recording.room.remnants).known.clear();
        let room = &recording.room;
        // All that is free is taken by somebody.
        while room.page.reserve(4096, 0) {}
        for _ in 0..4 {
            assert!(!room.take(3 * each, 0));
            let mut remnants = lock(&room.remnants);
            assert_eq!(remnants.known.len(), 2);
            assert!(remnants.searched.is_some());
            remnants.searched = None;
        }
        assert!(create::ring_path(&recording.dir, 7).exists());
        assert!(room.take(2 * each, 0));
        assert!(!create::ring_path(&recording.dir, 8).exists());
        assert!(own.exists());
    }
}
