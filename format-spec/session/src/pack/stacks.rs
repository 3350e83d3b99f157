//! Two views of one stack: what a keyframe says, and what replay knows.

use rtrace_format::{Frame, Keyframe, Stack};

/// Frames of a chunk's keyframe, far more than a segment's has room for.
const OUTER: usize = 8;
const INNER: usize = 1024;

/// Whether a keyframe is one of this very stack, as far as both know.
pub(crate) fn agree(stack: &Stack, keyframe: &Keyframe) -> bool {
    keyframe.depth == stack.depth()
        && positions(keyframe)
            .all(|(at, frame)| stack.frame(at).is_some_and(|mine| mine.id() == frame.id()))
}

/// The keyframe of a chunk. One that knows no frame of a stack cannot be
/// written; the outermost then stands as unknown.
pub(crate) fn chunk_keyframe(stack: &Stack) -> Keyframe {
    let mut keyframe = stack.keyframe(OUTER, INNER);
    if keyframe.depth > 0 && keyframe.frames.is_empty() {
        keyframe.frames.push(Frame::UNKNOWN);
        keyframe.outer = 1;
    }
    keyframe
}

/// The depths and frames that a keyframe knows.
fn positions(keyframe: &Keyframe) -> impl Iterator<Item = (u32, Frame)> + '_ {
    let hidden = keyframe.hidden();
    keyframe.frames.iter().enumerate().map(move |(i, &frame)| {
        let i = i as u32;
        (if i < keyframe.outer { i } else { i.saturating_add(hidden) }, frame)
    })
}

/// Fills in hidden frames of `stack` from another view of the same stack.
pub(crate) fn fill_from(stack: &mut Stack, known: &Stack) {
    if stack.hidden() == 0 || known.depth() != stack.depth() {
        return;
    }
    let (a, b) = (stack.outer(), known.outer());
    let agree = |x: &Frame, y: &Frame| x.id() == y.id();
    let outer_agrees = a.iter().zip(b).all(|(x, y)| agree(x, y));
    let (c, d) = (stack.inner(), known.inner());
    let inner_agrees = c.iter().rev().zip(d.iter().rev()).all(|(x, y)| agree(x, y));
    if !outer_agrees || !inner_agrees {
        return;
    }
    let depth = stack.depth();
    let outer = if b.len() > a.len() { b } else { a };
    let inner = if d.len() > c.len() { d } else { c };
    let room = (depth as usize).saturating_sub(outer.len());
    let inner = &inner[inner.len().saturating_sub(room)..];
    let mut frames = outer.to_vec();
    let outer = frames.len() as u32;
    frames.extend_from_slice(inner);
    *stack = Stack::from_keyframe(&Keyframe { depth, outer, frames });
}
