//! The stacks of fibers, in a ring file beside the thread's own and at a thread's end
//! (SPEC sections 5.1 and 9.4).

use crate::bytes::{Reader, pad, u32_at, u64_at};
use crate::error::{Error, ErrorKind, Result};
use crate::frame::{Frame, Keyframe};
use crate::ring::STACK_FRAME_LEN;

/// Length of a block's header, in bytes.
pub const BLOCK_HEADER_LEN: usize = 32;
/// The fewest units of 16 bytes that a block has.
pub const BLOCK_UNITS_MIN: u32 = 32;

/// Where each field of a block lies.
pub mod field {
    #![allow(missing_docs, reason = "the table in SPEC.md section 5.1 says what each one is")]
    pub const UNITS: usize = 0;
    pub const FIBER: usize = 8;
    pub const DEPTH: usize = 16;
    pub const FRAMES: usize = 32;
}

/// A fiber's stack: the outermost frames, as many as its block had room for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FiberStack {
    /// The fiber, never 0 in a block.
    pub fiber: u32,
    /// How many frames are open.
    pub depth: u32,
    /// The outermost of them.
    pub frames: Vec<Frame>,
}

impl FiberStack {
    /// The same as a keyframe.
    pub fn keyframe(self) -> Keyframe {
        Keyframe { depth: self.depth, outer: self.frames.len() as u32, frames: self.frames }
    }
}

/// The stacks in an extent of fibers, those with nothing open left out.
pub fn parse_extent(extent: &[u8]) -> Vec<FiberStack> {
    let mut found = Vec::new();
    let mut rest = extent;
    while let Some(units) = u32_at(rest, field::UNITS) {
        let len = units as usize * STACK_FRAME_LEN;
        if units < 2 || len > rest.len() {
            break;
        }
        let (block, behind) = rest.split_at(len);
        rest = behind;
        let fiber = u64_at(block, field::FIBER).and_then(|fiber| u32::try_from(fiber).ok());
        let depth = u64_at(block, field::DEPTH).and_then(|depth| u32::try_from(depth).ok());
        let (Some(fiber @ 1..), Some(depth @ 1..)) = (fiber, depth) else { continue };
        let frames = block[field::FRAMES..].chunks_exact(STACK_FRAME_LEN).take(depth as usize);
        let frame = |bytes: &[u8]| Frame {
            tick: u64_at(bytes, 0).unwrap_or(0),
            word: u32_at(bytes, 8).unwrap_or(0),
        };
        found.push(FiberStack { fiber, depth, frames: frames.map(frame).collect() });
    }
    found
}

/// The `THRD` key `fibers`.
pub fn encode_list(stacks: &[(u32, Keyframe)]) -> Vec<u8> {
    let mut out = (stacks.len() as u64).to_le_bytes().to_vec();
    for (fiber, keyframe) in stacks {
        out.extend(u64::from(*fiber).to_le_bytes());
        out.extend(keyframe.encode_stack());
        pad(&mut out, 8);
    }
    out
}

/// Reads the `THRD` key `fibers`.
///
/// # Errors
/// Truncated input, or counts that it cannot hold.
pub fn decode_list(bytes: &[u8]) -> Result<Vec<(u32, Keyframe)>> {
    let mut reader = Reader::new(bytes, "a list of fibers");
    let count = reader.u64()?;
    let mut stacks = Vec::new();
    for _ in 0..count {
        let fiber = u32::try_from(reader.u64()?)
            .map_err(|_| Error::new(ErrorKind::BadValue("a fiber"), 0))?;
        let rest = bytes.get(bytes.len() - reader.remaining()..).unwrap_or_default();
        let frames = u32_at(rest, 4).unwrap_or(0) as usize;
        let len = frames.saturating_mul(12).saturating_add(8);
        let stack = reader.take(len)?;
        reader.skip((len.next_multiple_of(8) - len).min(reader.remaining()))?;
        stacks.push((fiber, Keyframe::decode_stack(stack)?));
    }
    Ok(stacks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn blocks_are_found_up_to_the_first_that_was_never_used() {
        let mut bytes = vec![0; 4096];
        let put = |bytes: &mut Vec<u8>, at: usize, value: u64| {
            bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        };
        for (at, units, fiber, depth) in [(0, 32, 7, 1), (512, 64, 0, 5), (1536, 32, 9, 100)] {
            put(&mut bytes, at, units);
            put(&mut bytes, at + 8, fiber);
            put(&mut bytes, at + 16, depth);
            put(&mut bytes, at + 32, 77);
            put(&mut bytes, at + 40, 4);
        }
        let found = parse_extent(&bytes);
        let shape: Vec<_> = found.iter().map(|f| (f.fiber, f.depth, f.frames.len())).collect();
        assert_eq!(shape, [(7, 1, 1), (9, 100, 30)]);
        assert_eq!(found[0].frames, [Frame { tick: 77, word: 4 }]);
    }

    proptest! {
        #[test]
        fn lists_come_back(stacks in prop::collection::vec((1u32.., 0u32..9, 0u32..9), 0..9)) {
            let stacks: Vec<(u32, Keyframe)> = stacks.into_iter().map(|(fiber, known, more)| {
                let frames = (0..known).map(|id| Frame::new(id + 4, 0, 3)).collect();
                (fiber, Keyframe { depth: known + more, outer: known, frames })
            }).collect();
            prop_assert_eq!(decode_list(&encode_list(&stacks)).unwrap(), stacks);
        }

        #[test]
        fn any_bytes_give_something(bytes: Vec<u8>) {
            let _ = (parse_extent(&bytes), decode_list(&bytes));
        }
    }
}
