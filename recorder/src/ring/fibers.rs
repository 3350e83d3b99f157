//! The part of a ring file that holds the stacks of fibers (SPEC section 5.1).
//!
//! Each fiber with frames open has a block of its own, which is its live stack: to
//! switch is to go on in another block, and nothing is copied. So the stacks of fibers
//! that wait are known at death, however long they have waited.
#![allow(unsafe_code, reason = "cuts the mapped extents into blocks")]

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use rtrace_format::Frame;
use rtrace_format::fiber::{BLOCK_HEADER_LEN, BLOCK_UNITS_MIN, field};
use rtrace_format::ring::STACK_FRAME_LEN;

use crate::ring::map::Mapping;

/// Units of the first extent: room for 128 fibers.
const FIRST_UNITS: u32 = 4096;
/// Sizes of blocks: each twice the one before.
const CLASSES: usize = 24;
/// Units that a block's header takes.
const HEADER_UNITS: u32 = (BLOCK_HEADER_LEN / STACK_FRAME_LEN) as u32;

/// A fiber's place in the ring file.
///
/// It stays mapped while the ring that gave it lives; the ring's writer is the only
/// one that stores to it.
#[derive(Debug, Clone, Copy)]
pub struct Block {
    start: NonNull<AtomicU64>,
    units: u32,
}

impl Block {
    fn word(&self, at: usize) -> &AtomicU64 {
        debug_assert!(at < BLOCK_HEADER_LEN, "a field of the header");
        // SAFETY: every block has at least a header, in a mapping that its ring keeps.
        unsafe { &*self.start.as_ptr().wrapping_add(at / 8) }
    }

    /// Where the depth is shown to readers.
    pub fn depth(&self) -> *const AtomicU64 {
        self.word(field::DEPTH)
    }

    /// The frames, two words each.
    pub fn frames(&self) -> *const AtomicU64 {
        self.start.as_ptr().wrapping_add(field::FRAMES / 8)
    }

    /// How many frames it has room for.
    pub fn capacity(&self) -> usize {
        self.units.saturating_sub(HEADER_UNITS) as usize
    }

    /// Fills in the stack, outermost first, and then says whose it is.
    pub fn publish(&self, fiber: u32, frames: &[Frame]) {
        let count = frames.len().min(self.capacity());
        for (index, frame) in frames.iter().take(count).enumerate() {
            let at = self.frames().wrapping_add(index * 2).cast::<[AtomicU64; 2]>();
            // SAFETY: below the capacity, in a mapping that the ring keeps.
            let pair = unsafe { &*at };
            pair[0].store(frame.tick, Ordering::Relaxed);
            pair[1].store(frame.word.into(), Ordering::Relaxed);
        }
        self.word(field::DEPTH).store(frames.len() as u64, Ordering::Relaxed);
        self.word(field::FIBER).store(fiber.into(), Ordering::Release);
    }

    fn class(&self) -> usize {
        (self.units / BLOCK_UNITS_MIN).max(1).ilog2() as usize
    }
}

/// The blocks of one ring.
#[derive(Debug, Default)]
pub struct FiberArea {
    /// Kept mapped as long as the ring: blocks point into them.
    maps: Vec<Mapping>,
    /// The end of the last extent, where no block was made yet: its first word, in units.
    rest: Option<(NonNull<AtomicU64>, u32)>,
    free: [Vec<Block>; CLASSES],
}

impl FiberArea {
    /// How many units the next extent should have, so that a block of `units` fits.
    pub fn next_extent(&self, units: u32) -> u32 {
        let doubled = FIRST_UNITS.checked_shl(self.maps.len().min(12) as u32);
        doubled.unwrap_or(FIRST_UNITS).max(units.saturating_mul(2))
    }

    /// Takes over a new extent, which is all zero.
    pub fn add(&mut self, map: Mapping, units: u32) {
        self.rest = NonNull::new(map.words().as_ptr().cast_mut()).map(|start| (start, units));
        self.maps.push(map);
    }

    /// A block for at least `frames` frames, nobody's yet: a free one, or one cut from the
    /// last extent. None where a new extent is needed first.
    pub fn take(&mut self, units: u32) -> Option<Block> {
        let class = (units / BLOCK_UNITS_MIN).max(1).ilog2() as usize;
        if let Some(block) = self.free.get_mut(class)?.pop() {
            return Some(block);
        }
        let (start, left) = self.rest.filter(|&(_, left)| left >= units)?;
        // SAFETY: `left` units are mapped behind `start`.
        let next = unsafe { start.add(units as usize * STACK_FRAME_LEN / 8) };
        self.rest = Some((next, left - units));
        let block = Block { start, units };
        block.word(field::UNITS).store(units.into(), Ordering::Release);
        Some(block)
    }

    /// Takes back a block.
    pub fn give_back(&mut self, block: Block) {
        block.word(field::FIBER).store(0, Ordering::Release);
        if let Some(free) = self.free.get_mut(block.class()) {
            free.push(block);
        }
    }
}

/// Units of a block with room for `frames` frames.
pub fn units_for(frames: usize) -> Option<u32> {
    let units = u32::try_from(frames).ok()?.checked_add(HEADER_UNITS)?;
    units.checked_next_power_of_two().map(|units| units.max(BLOCK_UNITS_MIN))
}
