//! Frames and keyframes: which calls are open.

use crate::bytes::{Reader, pad};
use crate::error::{ErrorKind, Result};
use crate::record::ID_MASK;

/// Flag of a frame word: the frame was open before the recording began.
pub const BEGAN_BEFORE: u32 = 1 << 28;
/// Flag of a frame word: entered by `resume` or `throw`, not by a first call.
pub const RESUMED: u32 = 1 << 29;
/// Flag of a frame word: a C function.
pub const C_FUNCTION: u32 = 1 << 30;

/// How many of the outermost frames a segment's keyframe holds at most.
pub const OUTER_MAX: usize = 8;
/// How many of the innermost frames a segment's keyframe holds at most.
pub const INNER_MAX: usize = 24;

/// One open call of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Frame {
    /// When it was entered; when it was first seen, if it began before the recording; 0 if unknown.
    pub tick: u64,
    /// Id and flags, as in the file. An id of 0 is a frame known by number only.
    pub word: u32,
}

impl Frame {
    /// A frame that is known to be open and nothing else.
    pub const UNKNOWN: Frame = Frame { tick: 0, word: 0 };

    /// A frame of symbol `id` with `flags`, entered at `tick`.
    #[inline]
    pub fn new(id: u32, flags: u32, tick: u64) -> Frame {
        Frame { tick, word: (id & ID_MASK) | (flags & !ID_MASK) }
    }

    /// The symbol.
    #[inline]
    pub fn id(&self) -> u32 {
        self.word & ID_MASK
    }

    /// Whether it was open before the recording began.
    #[inline]
    pub fn began_before(&self) -> bool {
        self.word & BEGAN_BEFORE != 0
    }

    /// Whether it was entered by `resume` or `throw`.
    #[inline]
    pub fn resumed(&self) -> bool {
        self.word & RESUMED != 0
    }

    /// Whether it is a C function's.
    #[inline]
    pub fn is_c(&self) -> bool {
        self.word & C_FUNCTION != 0
    }

    /// Whether more than its existence is known.
    #[inline]
    pub fn is_known(&self) -> bool {
        self.id() != 0
    }

    /// Whether the tick is that of its entry, so that its length can be told.
    #[inline]
    pub fn has_start(&self) -> bool {
        self.is_known() && !self.began_before()
    }

    /// The same frame with another id.
    #[must_use]
    pub fn with_id(self, id: u32) -> Frame {
        Frame::new(id, self.word, self.tick)
    }
}

/// The frames open at the start of a segment or chunk (SPEC section 4.2).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Keyframe {
    /// How many frames were open.
    pub depth: u32,
    /// How many of `frames` are the outermost; the others are the innermost.
    pub outer: u32,
    /// The frames that are known, outermost first.
    pub frames: Vec<Frame>,
}

impl Keyframe {
    /// The keyframe of `frames`, outermost first, with at most `outer_max`
    /// and `inner_max` of them.
    pub fn of(frames: &[Frame], outer_max: usize, inner_max: usize) -> Keyframe {
        let outer = frames.len().min(outer_max);
        let inner = (frames.len() - outer).min(inner_max);
        let mut known = frames[..outer].to_vec();
        known.extend_from_slice(&frames[frames.len() - inner..]);
        Keyframe { depth: frames.len() as u32, outer: outer as u32, frames: known }
    }

    /// How many frames between the outermost and the innermost are known by number only.
    pub fn hidden(&self) -> u32 {
        self.depth.saturating_sub(self.frames.len() as u32)
    }

    /// How many bytes `frames` frames take, padded.
    pub const fn encoded_len(frames: usize) -> usize {
        (frames * 12).next_multiple_of(8)
    }

    /// Appends the ticks, the frame words and the padding.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.encode_frames(out);
        pad(out, 8);
    }

    /// Reads the `outer + inner` frames of a stack `depth` deep.
    ///
    /// # Errors
    /// Truncated input, or more frames than the depth.
    pub fn decode(reader: &mut Reader<'_>, depth: u32, outer: u32, inner: u32) -> Result<Keyframe> {
        let count = u64::from(outer) + u64::from(inner);
        if count > u64::from(depth) || (count < u64::from(depth) && inner == 0 && outer == 0) {
            return Err(reader.error(ErrorKind::BadValue("a keyframe")));
        }
        let frames = Keyframe::decode_frames(reader, count as usize)?;
        reader.skip(Keyframe::encoded_len(frames.len()) - frames.len() * 12)?;
        Ok(Keyframe { depth, outer, frames })
    }

    fn decode_frames(reader: &mut Reader<'_>, count: usize) -> Result<Vec<Frame>> {
        if count > reader.remaining() / 12 {
            return Err(reader.error(ErrorKind::TooLarge("a keyframe")));
        }
        let mut frames = vec![Frame::default(); count];
        for frame in &mut frames {
            frame.tick = reader.u64()?;
        }
        for frame in &mut frames {
            frame.word = reader.u32()?;
        }
        Ok(frames)
    }

    fn encode_frames(&self, out: &mut Vec<u8>) {
        for frame in &self.frames {
            out.extend(frame.tick.to_le_bytes());
        }
        for frame in &self.frames {
            out.extend(frame.word.to_le_bytes());
        }
    }

    /// The stack of a thread at its end, as a `THRD` chunk holds it (SPEC section 9.4): its depth
    /// and the outermost frames, without padding.
    pub fn encode_stack(&self) -> Vec<u8> {
        let mut out = self.depth.to_le_bytes().to_vec();
        out.extend((self.frames.len() as u32).to_le_bytes());
        self.encode_frames(&mut out);
        out
    }

    /// Reads what [`encode_stack`](Keyframe::encode_stack) wrote.
    ///
    /// # Errors
    /// Truncated input, or more frames than the depth.
    pub fn decode_stack(bytes: &[u8]) -> Result<Keyframe> {
        let mut reader = Reader::new(bytes, "a stack");
        let (depth, outer) = (reader.u32()?, reader.u32()?);
        if outer > depth {
            return Err(reader.error(ErrorKind::BadValue("a stack")));
        }
        let frames = Keyframe::decode_frames(&mut reader, outer as usize)?;
        Ok(Keyframe { depth, outer, frames })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_deep_stack_keeps_its_ends() {
        let frames: Vec<Frame> = (0..100).map(|i| Frame::new(i + 4, 0, i.into())).collect();
        let keyframe = Keyframe::of(&frames, OUTER_MAX, INNER_MAX);
        assert_eq!(keyframe.frames.len(), 32);
        assert_eq!(keyframe.hidden(), 68);
        assert_eq!(keyframe.frames[7], frames[7]);
        assert_eq!(keyframe.frames[8], frames[76]);
    }

    proptest! {
        #[test]
        fn keyframes_come_back(ticks in prop::collection::vec((any::<u64>(), any::<u32>()), 0..60)) {
            let frames: Vec<Frame> = ticks.iter().map(|&(tick, word)| Frame { tick, word }).collect();
            let keyframe = Keyframe::of(&frames, OUTER_MAX, INNER_MAX);
            let mut bytes = Vec::new();
            keyframe.encode(&mut bytes);
            prop_assert_eq!(bytes.len(), Keyframe::encoded_len(keyframe.frames.len()));
            let inner = keyframe.frames.len() as u32 - keyframe.outer;
            let mut reader = Reader::new(&bytes, "a keyframe");
            let back = Keyframe::decode(&mut reader, keyframe.depth, keyframe.outer, inner);
            prop_assert_eq!(back, Ok(keyframe));
            prop_assert_eq!(reader.remaining(), 0);
        }

        #[test]
        fn stacks_come_back(count in 0u32..60, hidden in 0u32..3) {
            let frames: Vec<Frame> = (0..count).map(|i| Frame::new(i, 0, i.into())).collect();
            let stack = Keyframe { depth: count + hidden, outer: count, frames };
            let bytes = stack.encode_stack();
            prop_assert_eq!(bytes.len(), 8 + 12 * count as usize, "no padding");
            prop_assert_eq!(Keyframe::decode_stack(&bytes), Ok(stack));
            for cut in 0..bytes.len() {
                prop_assert!(Keyframe::decode_stack(&bytes[..cut]).is_err());
            }
        }
    }
}
