//! One thread's ring: the file, its segments, its shadow stack.
//!
//! Everything here is rare: a ring is made when a thread shows up, grows a
//! dozen times at most, and gives a new segment every two thousand records.
//! What happens on each event is in [`writer`](crate::writer).
#![allow(unsafe_code, reason = "cuts the mapped extents into places for segments")]

pub mod fibers;
pub mod map;
pub mod segment;

use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use rtrace_format::Cause;
use rtrace_format::ring::{self, Extent, RingHeader, STACK_FRAME_LEN, field};
use rtrace_format::segment::SEGMENT_LEN;
use rtrace_session::create;

use crate::ring::fibers::{Block, FiberArea, units_for};
use crate::ring::map::Mapping;
use crate::ring::segment::{Place, WORDS};
use crate::room::{Remnant, Room};
use crate::shared::SessionPage;

/// What a new ring is to be.
#[derive(Debug, Clone)]
pub struct RingOptions {
    /// The session's directory.
    pub dir: PathBuf,
    /// The session.
    pub uuid: [u8; 16],
    /// The process's number in the session.
    pub process: u32,
    /// The most bytes of segments that the ring may come to hold.
    pub ring_size: u64,
    /// Whether a collector drains it, so that growing comes before overwriting.
    pub drained: bool,
}

/// Why a ring could not be made or grown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The session's memory budget is used up.
    Budget,
    /// The file system has no room, or refuses.
    NoSpace,
    /// The process has no descriptor, mapping or memory left.
    Process,
}

impl Refused {
    /// Why the session's files refused something.
    pub fn of(error: &rtrace_session::Error) -> Refused {
        let number = match error.kind() {
            rtrace_session::ErrorKind::Io { source, .. } => source.raw_os_error(),
            _ => None,
        };
        match number {
            Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::EAGAIN) => Refused::Process,
            _ => Refused::NoSpace,
        }
    }

    /// The cause of the losses that follow.
    pub fn cause(self) -> Cause {
        match self {
            Refused::Budget => Cause::Budget,
            Refused::NoSpace => Cause::NoSpace,
            Refused::Process => Cause::ProcessLimit,
        }
    }
}

/// After a file system's refusal a ring asks for no growth in this many segments.
const NO_SPACE_PAUSE: u64 = 64;

/// What new rings leave of the budget, as a share of it: a symbol that finds no room
/// leaves calls without names, in every thread.
const SYMBOLS_SHARE: u64 = 64;

/// A ring file and its mappings.
#[derive(Debug)]
pub struct Ring {
    /// Opened again where the ring grows: an open descriptor for each thread would use up
    /// the program's, and could be closed by it.
    path: PathBuf,
    /// Device and inode of the file: another one at its path is not ours to grow.
    identity: (u64, u64),
    room: Arc<Room>,
    /// The ring as it was made: header, first shadow stack, first segments.
    first: Mapping,
    serial: u64,
    /// The file's length, all of which was reserved.
    bytes: u64,
    /// Segments that were added; they stay mapped while the ring lives, since places point into
    /// them.
    extents: Vec<Mapping>,
    /// The shadow stack, once it has outgrown the first one.
    stack: Option<Mapping>,
    stack_frames: usize,
    fibers: FiberArea,
    fresh: Vec<Place>,
    /// Places in use, oldest lap first.
    used: VecDeque<Place>,
    limit: usize,
    drained: bool,
    lap: u64,
    /// No growth is asked for before this lap.
    grows_from: u64,
    /// Why the system refused growth, for the first time.
    refusal: Refusal,
}

/// Whether a refusal is still to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    None,
    New(Refused),
    Told,
}

impl Ring {
    /// Makes the ring of a thread that was first seen at `tick`.
    ///
    /// # Errors
    /// There is no room for it, in the budget or on the file system.
    pub fn create(
        options: &RingOptions,
        page: &SessionPage,
        room: &Arc<Room>,
        pid: u32,
        tid: u32,
        tick: u64,
    ) -> Result<Ring, Refused> {
        let bytes = create::first_ring_len(SEGMENT_LEN as u32);
        if !room.take(bytes, Ring::kept(room)) {
            return Err(Refused::Budget);
        }
        let mut header = RingHeader {
            uuid: options.uuid,
            serial: page.take_serial(),
            pid,
            tid,
            process: options.process,
            segment_len: SEGMENT_LEN as u32,
            state: ring::LIVE,
            depth: 0,
            head: 0,
            drained: 0,
            born_tick: tick,
            end_tick: 0,
            fiber: 0,
            switches: 0,
            lost: 0,
            lost_cause: 0,
            name: Vec::new(),
            extents: Vec::new(),
        };
        let file = create::ring_file(&options.dir, &mut header).map_err(|error| {
            room.release(bytes);
            Refused::of(&error)
        })?;
        let ring = Ring::map(&file, &header, bytes, options, room);
        ring.ok_or_else(|| {
            // A thread whose ring cannot be mapped must not look like one without events.
            if create::remove_ring(&options.dir, header.serial).is_ok() {
                room.release(bytes);
            }
            Refused::Process
        })
    }

    /// Whether a new ring may be had without a search for room.
    pub fn may_be_had(room: &Room) -> bool {
        room.may_have(create::first_ring_len(SEGMENT_LEN as u32), Ring::kept(room))
    }

    fn kept(room: &Room) -> u64 {
        room.max() / SYMBOLS_SHARE
    }

    fn map(
        file: &File,
        header: &RingHeader,
        bytes: u64,
        options: &RingOptions,
        room: &Arc<Room>,
    ) -> Option<Ring> {
        let first = Mapping::new(file, 0, bytes as usize).ok()?;
        let mut ring = Ring {
            fibers: FiberArea::default(),
            path: create::ring_path(&options.dir, header.serial),
            identity: identity(file)?,
            room: Arc::clone(room),
            first,
            serial: header.serial,
            bytes,
            extents: Vec::new(),
            stack: None,
            stack_frames: header.stack()?.count as usize,
            fresh: Vec::new(),
            used: VecDeque::new(),
            limit: ((options.ring_size / SEGMENT_LEN as u64) as usize).max(2),
            drained: options.drained,
            lap: 0,
            grows_from: 0,
            refusal: Refusal::None,
        };
        let extent = header.extents.iter().find(|extent| extent.kind == ring::SEGMENTS)?;
        let words = ring.first.words().get(extent.offset as usize / 8..)?;
        ring.fresh = places(words, extent.count as usize);
        Some(ring)
    }

    /// The thread's serial.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// The mapping that begins with the ring file's header page.
    pub fn header(&self) -> &Mapping {
        &self.first
    }

    /// Where the ring file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The shadow stack's words, two a frame, and how many frames it has room for.
    pub fn stack(&self) -> (&[AtomicU64], usize) {
        let words = match &self.stack {
            Some(grown) => grown.words(),
            None => &self.first.words()[ring::HEADER_LEN / 8..],
        };
        (words, self.stack_frames)
    }

    /// The stacks of fibers.
    pub fn fibers(&mut self) -> &mut FiberArea {
        &mut self.fibers
    }

    /// A block for at least `frames` frames of a fiber; none where there is no room.
    pub fn fiber_block(&mut self, frames: usize) -> Option<Block> {
        let units = units_for(frames)?;
        if let Some(block) = self.fibers.take(units) {
            return Some(block);
        }
        let count = self.fibers.next_extent(units);
        let bytes = (u64::from(count) * STACK_FRAME_LEN as u64).next_multiple_of(create::PAGE);
        if !self.room.take(bytes, self.room.max() / 8) {
            return None;
        }
        let (file, extent, map) = self.allocate(ring::FIBERS, count, bytes).ok()?;
        create::publish_extent(&file, &self.path, extent).ok()?;
        self.fibers.add(map, count);
        self.fibers.take(units)
    }

    /// The number of the thread's last segment.
    pub fn lap(&self) -> u64 {
        self.lap
    }

    /// The place for the next segment, and its lap: a fresh one, a grown one, or
    /// the one with the oldest records.
    pub fn next_place(&mut self) -> Option<(Place, u64)> {
        if self.fresh.is_empty() && self.wants_growth() {
            self.grow();
        }
        let place = self.fresh.pop().or_else(|| self.used.pop_front())?;
        self.lap += 1;
        self.used.push_back(place);
        Some((place, self.lap))
    }

    /// In a ring that is drained, growing costs memory that waiting would not:
    /// only where the collector is behind. A flight ring grows to its limit,
    /// because that is how much history was asked for.
    fn wants_growth(&self) -> bool {
        let oldest = self.used.front().map_or(0, Place::lap);
        !self.drained || oldest > self.first.get(field::DRAINED)
    }

    fn grow(&mut self) {
        let now = self.used.len();
        if now >= self.limit || self.lap < self.grows_from {
            return;
        }
        let count = now.min(self.limit - now);
        let bytes = (count * SEGMENT_LEN) as u64;
        // A quarter of the budget waits for threads yet to come. Where there is no room the
        // next segment asks again: it costs a few loads, and other threads end.
        if !self.room.take(bytes, self.room.max() / 4) {
            return;
        }
        let grown = self.allocate(ring::SEGMENTS, count as u32, bytes);
        let grown = grown.and_then(|(file, extent, map)| {
            let published = create::publish_extent(&file, &self.path, extent);
            published.map(|()| map).map_err(|error| Refused::of(&error))
        });
        match grown {
            Ok(map) => {
                self.fresh = places(map.words(), count);
                self.extents.push(map);
            }
            Err(why) => {
                self.grows_from = self.lap + NO_SPACE_PAUSE;
                if self.refusal == Refusal::None {
                    self.refusal = Refusal::New(why);
                    self.room.refuse_growth();
                }
            }
        }
    }

    /// Why the system refused the ring's growth; given once.
    pub fn take_refusal(&mut self) -> Option<Refused> {
        let Refusal::New(why) = self.refusal else { return None };
        self.refusal = Refusal::Told;
        Some(why)
    }

    /// Doubles the shadow stack; `depth` frames are carried over. False where there is no room.
    pub fn grow_stack(&mut self, depth: usize) -> bool {
        let frames = self.stack_frames * 2;
        let bytes = (frames * STACK_FRAME_LEN) as u64;
        if !self.room.take(bytes, self.room.max() / 8) {
            return false;
        }
        let Ok((file, extent, map)) = self.allocate(ring::STACK, frames as u32, bytes) else {
            return false;
        };
        let words = depth.min(self.stack_frames) * STACK_FRAME_LEN / 8;
        for (to, from) in map.words().iter().zip(self.stack().0).take(words) {
            let word = from.load(std::sync::atomic::Ordering::Relaxed);
            to.store(word, std::sync::atomic::Ordering::Relaxed);
        }
        if create::publish_extent(&file, &self.path, extent).is_err() {
            return false;
        }
        self.stack = Some(map);
        self.stack_frames = frames;
        true
    }

    /// Blocks for a new extent, for which `bytes` were reserved, and their mapping. What was
    /// allocated stays part of the file, and reserved, also where the mapping fails.
    fn allocate(
        &mut self,
        kind: u32,
        count: u32,
        bytes: u64,
    ) -> Result<(File, Extent, Mapping), Refused> {
        let allocated = create::open_rw(&self.path).and_then(|file| {
            // Replaced by somebody: the mappings still hold what we write, but a file that
            // is not in the session's directory cannot grow.
            if identity(&file) != Some(self.identity) {
                return Err(rtrace_session::Error::refused(&self.path, "is another file now"));
            }
            let extent = create::allocate_extent(&file, &self.path, kind, count)?;
            Ok((file, extent))
        });
        let (file, extent) = allocated.map_err(|error| {
            self.room.release(bytes);
            Refused::of(&error)
        })?;
        self.bytes += bytes;
        let map = Mapping::new(&file, extent.offset, bytes as usize);
        map.map(|map| (file, extent, map)).map_err(|_| Refused::Process)
    }

    /// Stores the thread's name, cut to what the header has room for.
    pub fn set_name(&self, name: &[u8]) {
        let name = rtrace_format::long::cut_text(name, ring::NAME_MAX);
        if self.first.get(field::NAME_LEN) == name.len() as u64
            && self.first.holds(field::NAME, name)
        {
            return;
        }
        self.first.put(field::NAME_LEN, 0);
        self.first.put_bytes(field::NAME, name);
        self.first.put(field::NAME_LEN, name.len() as u64);
    }

    /// Marks the thread as ended and lets go of its ring, whose room others may have from
    /// here on. It had `events` events.
    pub fn end(self, tick: u64, events: u64) {
        self.first.put(field::END_TICK, tick);
        self.first.put(field::STATE, ring::ENDED);
        let (serial, bytes, room) = (self.serial, self.bytes, Arc::clone(&self.room));
        drop(self);
        room.ended(Remnant { serial, bytes, events });
    }
}

/// Places for the first `count` segments of a mapping, the last one first.
fn places(words: &[AtomicU64], count: usize) -> Vec<Place> {
    let chunks = words.chunks_exact(WORDS).take(count);
    // SAFETY: the ring keeps the mapping as long as the places; chunks do not overlap.
    let places = chunks.filter_map(|words| unsafe { Place::new(words) });
    let mut places: Vec<Place> = places.collect();
    places.reverse();
    places
}

/// Device and inode of a file.
fn identity(file: &File) -> Option<(u64, u64)> {
    file.metadata().ok().map(|meta| (meta.dev(), meta.ino()))
}
