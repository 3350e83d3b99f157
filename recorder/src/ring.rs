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
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use rtrace_format::ring::{self, Extent, RingHeader, STACK_FRAME_LEN, field};
use rtrace_format::segment::SEGMENT_LEN;
use rtrace_session::create;

use crate::ring::fibers::{Block, FiberArea, units_for};
use crate::ring::map::Mapping;
use crate::ring::segment::{Place, WORDS};
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
}

/// A ring file and its mappings.
#[derive(Debug)]
pub struct Ring {
    /// Opened again where the ring grows: an open descriptor for each thread would use up
    /// the program's, and could be closed by it.
    path: PathBuf,
    page: Arc<SessionPage>,
    header: Mapping,
    serial: u64,
    /// Extents of segments; they stay mapped while the ring lives, since places point into them.
    extents: Vec<Mapping>,
    stack: Mapping,
    stack_frames: usize,
    fibers: FiberArea,
    fresh: Vec<Place>,
    /// Places in use, oldest lap first.
    used: VecDeque<Place>,
    limit: usize,
    drained: bool,
    lap: u64,
    refused: bool,
}

impl Ring {
    /// Makes the ring of a thread that was first seen at `tick`.
    ///
    /// # Errors
    /// There is no room for it, in the budget or on the file system.
    pub fn create(
        options: &RingOptions,
        page: &Arc<SessionPage>,
        pid: u32,
        tid: u32,
        tick: u64,
    ) -> Result<Ring, Refused> {
        let bytes = create::first_ring_len(SEGMENT_LEN as u32);
        if !page.reserve(bytes, 0) {
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
        let made = create::ring_file(&options.dir, &mut header).ok();
        let made = made.and_then(|file| Ring::map(&file, &header, options, page));
        made.ok_or_else(|| {
            page.release(bytes);
            Refused::NoSpace
        })
    }

    fn map(
        file: &File,
        header: &RingHeader,
        options: &RingOptions,
        page: &Arc<SessionPage>,
    ) -> Option<Ring> {
        let stack = header.stack()?;
        let mut ring = Ring {
            header: Mapping::new(file, 0, ring::HEADER_LEN).ok()?,
            stack: Mapping::new(file, stack.offset, stack.len(0) as usize).ok()?,
            stack_frames: stack.count as usize,
            fibers: FiberArea::default(),
            path: create::ring_path(&options.dir, header.serial),
            page: Arc::clone(page),
            serial: header.serial,
            extents: Vec::new(),
            fresh: Vec::new(),
            used: VecDeque::new(),
            limit: ((options.ring_size / SEGMENT_LEN as u64) as usize).max(2),
            drained: options.drained,
            lap: 0,
            refused: false,
        };
        for extent in header.extents.iter().filter(|extent| extent.kind == ring::SEGMENTS) {
            ring.add_places(file, extent)?;
        }
        Some(ring)
    }

    fn add_places(&mut self, file: &File, extent: &Extent) -> Option<()> {
        let len = extent.len(SEGMENT_LEN as u32) as usize;
        let map = Mapping::new(file, extent.offset, len).ok()?;
        // SAFETY: the mapping is kept in `extents` as long as the ring; the
        // chunks do not overlap.
        let places =
            map.words().chunks_exact(WORDS).filter_map(|words| unsafe { Place::new(words) });
        let places: Vec<Place> = places.collect();
        self.extents.push(map);
        self.fresh.extend(places.into_iter().rev());
        Some(())
    }

    /// The thread's serial.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// The ring file's header page.
    pub fn header(&self) -> &Mapping {
        &self.header
    }

    /// Where the ring file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The shadow stack's words, two a frame, and how many frames it has room for.
    pub fn stack(&self) -> (&[AtomicU64], usize) {
        (self.stack.words(), self.stack_frames)
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
        let bytes = u64::from(count) * STACK_FRAME_LEN as u64;
        if !self.page.reserve(bytes, self.page.memory_max() / 8) {
            return None;
        }
        let grown = create::open_rw(&self.path).ok().and_then(|file| {
            let extent = create::add_extent(&file, &self.path, ring::FIBERS, count).ok()?;
            Mapping::new(&file, extent.offset, extent.len(0) as usize).ok()
        });
        let Some(map) = grown else {
            self.page.release(bytes);
            return None;
        };
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
        !self.drained || oldest > self.header.get(field::DRAINED)
    }

    fn grow(&mut self) {
        let now = self.used.len();
        if now >= self.limit || self.refused {
            return;
        }
        let count = now.min(self.limit - now);
        let bytes = (count * SEGMENT_LEN) as u64;
        // A quarter of the budget waits for threads yet to come.
        if !self.page.reserve(bytes, self.page.memory_max() / 4) {
            self.refused = true;
            return;
        }
        let grown = create::open_rw(&self.path).ok().and_then(|file| {
            let extent =
                create::add_extent(&file, &self.path, ring::SEGMENTS, count as u32).ok()?;
            self.add_places(&file, &extent)
        });
        if grown.is_none() {
            self.page.release(bytes);
            self.refused = true;
        }
    }

    /// Doubles the shadow stack; `depth` frames are carried over. False where there is no room.
    pub fn grow_stack(&mut self, depth: usize) -> bool {
        let frames = self.stack_frames * 2;
        let bytes = (frames * STACK_FRAME_LEN) as u64;
        if !self.page.reserve(bytes, self.page.memory_max() / 8) {
            return false;
        }
        let allocated = create::open_rw(&self.path).ok().and_then(|file| {
            let (extent, map) = self.allocate_stack(&file, frames)?;
            Some((file, extent, map))
        });
        let Some((file, extent, map)) = allocated else {
            self.page.release(bytes);
            return false;
        };
        let words = depth.min(self.stack_frames) * STACK_FRAME_LEN / 8;
        for (to, from) in map.words().iter().zip(self.stack.words()).take(words) {
            let word = from.load(std::sync::atomic::Ordering::Relaxed);
            to.store(word, std::sync::atomic::Ordering::Relaxed);
        }
        if create::publish_extent(&file, &self.path, extent).is_err() {
            self.page.release(bytes);
            return false;
        }
        self.stack = map;
        self.stack_frames = frames;
        true
    }

    fn allocate_stack(&self, file: &File, frames: usize) -> Option<(Extent, Mapping)> {
        let allocated =
            create::allocate_extent(file, &self.path, ring::STACK, frames as u32).ok()?;
        let map = Mapping::new(file, allocated.offset, allocated.len(0) as usize).ok()?;
        Some((allocated, map))
    }

    /// Stores the thread's name, cut to what the header has room for.
    pub fn set_name(&self, name: &[u8]) {
        let name = rtrace_format::long::cut_text(name, ring::NAME_MAX);
        self.header.put(field::NAME_LEN, 0);
        self.header.put_bytes(field::NAME, name);
        self.header.put(field::NAME_LEN, name.len() as u64);
    }

    /// Marks the thread as ended.
    pub fn set_ended(&self, tick: u64) {
        self.header.put(field::END_TICK, tick);
        self.header.put(field::STATE, ring::ENDED);
    }
}
