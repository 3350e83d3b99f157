//! What `PROC` and `THRD` chunks say.

use rtrace_format::fiber;
use rtrace_format::process::ProcessHeader;
use rtrace_format::ring::{self, RingHeader};
use rtrace_format::{Frame, Keyframe, Meta, Stack, Value};

use crate::live::{End, Process, StackNow};

/// The deepest stack that a `THRD` chunk carries; of a deeper one the records'
/// own keyframes have to do.
const STACK_MAX: u32 = 1 << 16;

/// The metadata of a `PROC` chunk.
pub(crate) fn process(process: &Process) -> Meta {
    let header = &process.header;
    let mut meta = header.meta.clone();
    meta.set("number", Value::U64(header.number.into()));
    if let Some(parent) = header.parent {
        meta.set("parent", Value::U64(parent.into()));
    }
    meta.set("pid", Value::U64(header.pid.into()));
    meta.set("ppid", Value::U64(header.ppid.into()));
    if process.end.is_over() {
        meta.set("end", Value::text(process.end.name()));
    }
    if process.end == End::Clean {
        meta.set("end_tick", Value::U64(header.end_tick));
        if let Some(code) = header.exit_code {
            meta.set("exit_code", Value::I64(code.into()));
        }
    }
    for (key, value) in [
        ("event_cost_ps", header.event_cost_ps),
        ("c_event_cost_ps", header.c_event_cost_ps),
        ("filtered", header.filtered),
        ("closed_sites", header.closed_sites),
    ] {
        if value > 0 {
            meta.set(key, Value::U64(value));
        }
    }
    losses(header, &mut meta);
    if header.overwritten_threads > 0 {
        meta.set("overwritten_threads", Value::U64(header.overwritten_threads));
        meta.set("overwritten_events", Value::U64(header.overwritten_events));
    }
    meta
}

/// Adds what threads without rings lost: all of it, and for each cause.
pub fn losses(header: &ProcessHeader, meta: &mut Meta) {
    meta.set("lost_without_ring", Value::U64(header.lost));
    for (cause, count) in header.losses() {
        meta.set(&format!("lost_{}", cause.name()), Value::U64(count));
    }
}

/// The most frames of fibers that a `THRD` chunk carries together.
const FIBER_FRAMES_MAX: usize = 1 << 18;

/// The metadata of a `THRD` chunk; `stacks` are what the thread has open at its
/// end, with the ids of `trace.bin`, and none while it runs; `lost` are events
/// missing behind its last record, and the number of the cause.
pub(crate) fn thread(header: &RingHeader, stacks: Option<&StackNow>, lost: (u64, u32)) -> Meta {
    let mut meta = Meta::default();
    meta.set("process", Value::U64(header.process.into()));
    meta.set("tid", Value::U64(header.tid.into()));
    meta.set("name", Value::text(&header.name));
    meta.set("born_tick", Value::U64(header.born_tick));
    if header.state == ring::ENDED {
        meta.set("end_tick", Value::U64(header.end_tick));
    }
    let Some(StackNow { fiber, stack, waiting, .. }) = stacks else { return meta };
    let lost_at_end = header.lost.saturating_add(lost.0);
    if lost_at_end > 0 {
        let cause = if header.lost > 0 { header.lost_cause } else { lost.1 };
        meta.set("lost_at_end", Value::U64(lost_at_end));
        meta.set("lost_cause", Value::U64(cause.into()));
    }
    if (1..=STACK_MAX).contains(&stack.depth()) {
        meta.set("stack", Value::Text(encode_stack(stack)));
    }
    if *fiber != 0 {
        meta.set("fiber", Value::U64((*fiber).into()));
    }
    let mut left = FIBER_FRAMES_MAX;
    let carried = waiting.iter().map_while(|(fiber, stack)| {
        let keyframe = stack.keyframe(usize::MAX, usize::MAX);
        left = left.checked_sub(keyframe.frames.len().max(1))?;
        (stack.inner().is_empty()).then_some((*fiber, keyframe))
    });
    let carried: Vec<_> = carried.collect();
    if !carried.is_empty() {
        meta.set("fibers", Value::Text(fiber::encode_list(&carried)));
    }
    meta
}

/// What to write where the last `THRD` chunk said `before`: keys that are no
/// longer true are not left out, which would keep them, but said to be nothing.
pub(crate) fn replacing(before: Option<&Meta>, meta: &Meta) -> Meta {
    let mut meta = meta.clone();
    let stale = |key: &str, meta: &Meta| {
        before.is_some_and(|before| before.get(key).is_some()) && meta.get(key).is_none()
    };
    if stale("stack", &meta) {
        meta.set("stack", Value::Text(encode_stack(&Stack::default())));
    }
    if stale("fiber", &meta) {
        meta.set("fiber", Value::U64(0));
    }
    if stale("fibers", &meta) {
        meta.set("fibers", Value::Text(fiber::encode_list(&[])));
    }
    if stale("lost_at_end", &meta) {
        meta.set("lost_at_end", Value::U64(0));
    }
    meta
}

fn encode_stack(stack: &Stack) -> Vec<u8> {
    let depth = stack.depth();
    let frames: Vec<Frame> = (0..depth).map(|at| stack.frame(at).unwrap_or_default()).collect();
    Keyframe { depth, outer: depth, frames }.encode_stack()
}
