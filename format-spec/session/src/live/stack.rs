//! The stack of a thread as it is now, or as it was at death.
//!
//! The records decide: the active segment is replayed from its keyframe. What
//! its keyframe left out is filled in from the shadow stack, where the two
//! agree; where no segment can be read, the shadow stack alone holds.

use rtrace_format::fiber::FiberStack;
use rtrace_format::{Frame, Keyframe, Lane, Lanes, Rows, Segment, Stack};

use crate::error::Result;
use crate::live::ring::{Ring, Taken};

/// How often reading is tried again while the thread moves on.
const TRIES: usize = 4;

/// Which calls a thread has open.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StackNow {
    /// The fiber that runs.
    pub fiber: u32,
    /// Its frames, with the ids of the symbols file; some may be known by number only.
    pub stack: Stack,
    /// The frames of the fibers that wait, of those that have any open; 0 is the thread's own.
    pub waiting: Vec<(u32, Stack)>,
    /// The tick of the thread's last record; 0 where no segment could be read.
    pub tick: u64,
}

impl Ring {
    /// The thread's open calls; refreshes the header first.
    ///
    /// # Errors
    ///
    /// The file can no longer be read.
    pub fn stack_now(&mut self) -> Result<StackNow> {
        let mut buf = Vec::new();
        let mut now = StackNow::default();
        for _ in 0..TRIES {
            self.refresh()?;
            let switches = self.header().switches;
            let Some(segment) = self.newest(&mut buf)? else { continue };
            now = replay(&segment);
            let known = self.known_stacks()?;
            self.refresh()?;
            // Stacks that wait hold still while nobody switches.
            let is_still = self.header().switches == switches;
            let filled = arrange(&mut now, known);
            if is_still && filled {
                return Ok(now);
            }
        }
        if now.tick == 0 {
            now = self.stack_without_records()?;
        }
        Ok(now)
    }

    /// The segment with the highest lap that can be read.
    pub(super) fn newest(&self, buf: &mut Vec<u8>) -> Result<Option<Segment>> {
        // While a segment is being started, its predecessor is the newest one.
        for slot in self.slots(0)?.into_iter().rev().take(3) {
            if let Taken::Segment(segment) = self.take(slot, buf)? {
                return Ok(Some(segment));
            }
        }
        Ok(None)
    }

    /// Every lane's stack beside the records: the shadow stack's, all of it that may be
    /// in use, and those of the fibers. The depth is what the file says.
    pub(crate) fn known_stacks(&self) -> Result<Vec<FiberStack>> {
        let depth = u32::try_from(self.header().depth).unwrap_or(u32::MAX);
        let frames = self.shadow(depth as usize)?;
        let mut known = vec![FiberStack { fiber: 0, depth, frames }];
        known.extend(self.fibers()?);
        Ok(known)
    }

    fn stack_without_records(&self) -> Result<StackNow> {
        let mut now = StackNow { fiber: self.header().fiber, ..StackNow::default() };
        for known in self.known_stacks()? {
            let fiber = known.fiber;
            let stack = whole(known);
            if fiber == now.fiber {
                now.stack = stack;
            } else if stack.depth() > 0 {
                now.waiting.push((fiber, stack));
            }
        }
        Ok(now)
    }
}

/// A stack as deep as the file says.
fn whole(known: FiberStack) -> Stack {
    let mut frames = known.frames;
    frames.truncate(known.depth as usize);
    let outer = frames.len() as u32;
    Stack::from_keyframe(&Keyframe { depth: known.depth, outer, frames })
}

/// Puts what the records say of the running lane together with what the file holds of all
/// of them. False if the two are of different moments.
pub(crate) fn arrange(now: &mut StackNow, known: Vec<FiberStack>) -> bool {
    let mut filled = now.stack.hidden() == 0;
    now.waiting.clear();
    for known in known {
        if known.fiber == now.fiber {
            let depth = (now.stack.depth() as usize).min(known.frames.len());
            filled |= fill(&mut now.stack, &known.frames[..depth]);
        } else if known.depth > 0 {
            now.waiting.push((known.fiber, whole(known)));
        }
    }
    filled
}

/// The running lane at the end of a segment.
fn replay(segment: &Segment) -> StackNow {
    let mut lanes = Lanes::running(segment.fiber, Stack::from_keyframe(&segment.keyframe));
    for record in &segment.rows {
        lanes.apply(&record);
    }
    let Lane { fiber, stack } = lanes.current().clone();
    StackNow { fiber, stack, waiting: Vec::new(), tick: end_tick(&segment.rows) }
}

/// The tick of the last record, 1 at least, so that 0 stays "none".
fn end_tick(rows: &Rows) -> u64 {
    rows.end_tick().max(1)
}

/// Fills in hidden frames from the shadow stack, as far as it goes; false if
/// the two are of different moments.
pub(crate) fn fill(stack: &mut Stack, shadow: &[Frame]) -> bool {
    let depth = stack.depth() as usize;
    if stack.hidden() == 0 {
        return true;
    }
    if shadow.len() == depth {
        stack.reveal(shadow);
        return stack.hidden() == 0;
    }
    // The shadow stack could not grow, or was cut: its frames are the outermost ones.
    let outer = stack.outer();
    let agrees = outer.iter().zip(shadow).all(|(a, b)| a.id() == b.id());
    if !agrees || shadow.len() > depth {
        return false;
    }
    let inner = stack.inner();
    let taken = shadow.len().clamp(outer.len(), depth - inner.len());
    let mut frames = shadow[..taken.min(shadow.len())].to_vec();
    frames.extend_from_slice(outer.get(frames.len()..).unwrap_or_default());
    let outer = frames.len() as u32;
    frames.extend_from_slice(inner);
    *stack = Stack::from_keyframe(&Keyframe { depth: depth as u32, outer, frames });
    true
}
