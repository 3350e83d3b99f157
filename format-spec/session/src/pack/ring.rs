//! From a ring to its thread's chunks, at the thread's end or for a snapshot.

use rtrace_format::ring::RingHeader;
use rtrace_format::{Cause, Lane, Segment, Stack};

use crate::error::Result;
use crate::live::{Ring, StackNow, Taken, arrange};
use crate::pack::describe;
use crate::pack::packer::Packer;

/// How a ring is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writer {
    /// Its thread may store records meanwhile.
    Goes,
    /// Nobody writes to it any more.
    Gone,
}

/// What was found in a ring that cannot be packed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Unread {
    /// Segments whose bytes are damaged.
    pub(crate) damaged: u64,
    /// Segments that changed at every try.
    pub(crate) torn: u64,
}

/// Adds everything that a ring holds and the trace does not.
///
/// # Errors
///
/// The ring can no longer be read, or the trace not be written.
pub(crate) fn drain(
    packer: &mut Packer,
    ring: &Ring,
    writer: Writer,
    is_full: bool,
) -> Result<Unread> {
    let serial = ring.header().serial;
    let first = packer.thread(serial)?.lap();
    // The last lap again: it may not have been sealed when it was read.
    let slots = ring.slots(first.saturating_sub(1))?;
    let mut unread = Unread::default();
    let mut buf = Vec::new();
    let mut damaged_before = false;
    let add = |packer: &mut Packer, segment: &mut Segment, damaged: bool| {
        packer.add(segment, gap_cause(is_full, damaged))
    };
    match writer {
        Writer::Gone => {
            for slot in slots {
                match ring.take(slot, &mut buf)? {
                    Taken::Segment(mut segment) => {
                        add(packer, &mut segment, damaged_before)?;
                        damaged_before = false;
                    }
                    Taken::Damaged(_) => {
                        unread.damaged += 1;
                        damaged_before = true;
                    }
                    Taken::Torn | Taken::Overwritten => unread.torn += 1,
                }
            }
        }
        Writer::Goes => {
            // Newest first: the writer overwrites the oldest, and what it has
            // overwritten in the meantime is then simply older than what is kept.
            let mut kept = Vec::new();
            for slot in slots.into_iter().rev() {
                match ring.take(slot, &mut buf)? {
                    Taken::Segment(segment) => kept.push(segment),
                    Taken::Damaged(_) => unread.damaged += 1,
                    Taken::Torn => unread.torn += 1,
                    Taken::Overwritten => break,
                }
            }
            for mut segment in kept.into_iter().rev() {
                add(packer, &mut segment, unread.damaged > 0)?;
            }
        }
    }
    Ok(unread)
}

/// Why record numbers are missing before a segment, as far as the packer can tell.
pub(crate) fn gap_cause(is_full: bool, damaged: bool) -> Cause {
    if damaged {
        Cause::Damaged
    } else if is_full {
        Cause::CollectorBehind
    } else {
        // What a flight ring has overwritten before the first segment is not lost.
        Cause::Unknown
    }
}

/// Writes what is left of a thread, and its `THRD` chunk.
///
/// # Errors
///
/// The ring can no longer be read, or the trace not be written.
pub(crate) fn close(packer: &mut Packer, ring: &mut Ring) -> Result<()> {
    packer.flush(ring.header().serial)?;
    let now = final_stacks(packer, ring)?;
    let header = ring.header().clone();
    let lost = packer.thread(header.serial)?.lost_at_end();
    packer.thread_meta(header.serial, &describe::thread(&header, Some(&now), lost))
}

/// Announces a thread that goes on.
///
/// # Errors
///
/// The trace cannot be written.
pub(crate) fn announce(packer: &mut Packer, header: &RingHeader) -> Result<()> {
    packer.thread_meta(header.serial, &describe::thread(header, None, (0, 0)))
}

/// The stacks behind the last record in the trace, what its keyframes left out and what
/// waits taken from the ring.
fn final_stacks(packer: &mut Packer, ring: &mut Ring) -> Result<StackNow> {
    let serial = ring.header().serial;
    let thread = packer.thread(serial)?;
    if thread.next().is_none() {
        let mut now = ring.stack_now()?;
        let symbols = &mut packer.sink.symbols;
        for stack in now.waiting.iter_mut().map(|(_, stack)| stack).chain([&mut now.stack]) {
            let known = symbols.keyframe(&stack.keyframe(usize::MAX, usize::MAX));
            *stack = Stack::from_keyframe(&known);
        }
        return Ok(now);
    }
    let Lane { fiber, stack } = thread.lanes().current().clone();
    let mut now = StackNow { fiber, stack, ..StackNow::default() };
    let mut known = ring.known_stacks()?;
    for frame in known.iter_mut().flat_map(|stack| &mut stack.frames) {
        *frame = frame.with_id(packer.sink.symbols.map(frame.id()));
    }
    arrange(&mut now, known);
    Ok(now)
}
