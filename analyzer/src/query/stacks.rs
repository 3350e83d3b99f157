//! The open calls of every lane at one moment.

use std::ops::ControlFlow;

use rtrace_format::{Frame, Stack};

use super::parallel;
use crate::model::{SymbolId, Thread, TickRange};
use crate::trace::{Event, Lane, Selection, Trace, Visitor, replay};

/// One lane's stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneStack {
    /// Index of the thread.
    pub thread: usize,
    /// The fiber.
    pub fiber: u32,
    /// The open calls, outermost first.
    pub levels: Vec<Level>,
}

/// One level of a stack, or several that nothing is known of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// An open call.
    Frame {
        /// The function.
        symbol: SymbolId,
        /// For how long it has been open, in ticks; `None` if that is not known.
        open_ticks: Option<u64>,
        /// It was open before the recording began, and is counted from then on.
        began_before: bool,
    },
    /// So many open calls between those above and below, known by number only.
    Hidden {
        /// How many.
        count: u32,
    },
}

/// The stacks at the end of the selection's range: at `--to`, or where each thread's
/// recording ends.
pub fn stacks(trace: &Trace, selection: &Selection) -> Vec<LaneStack> {
    let at = selection.range.to;
    let born: Vec<usize> = selection
        .threads
        .iter()
        .copied()
        .filter(|&index| at == u64::MAX || trace.threads[index].born_tick < at)
        .collect();
    let all = parallel::map(&born, |&index| {
        let thread = &trace.threads[index];
        lanes_at(trace, thread, at)
            .into_iter()
            .map(|(fiber, stack)| LaneStack {
                thread: index,
                fiber,
                levels: levels(&stack, trace.lane_end(thread).min(at)),
            })
            .collect::<Vec<_>>()
    });
    let mut all: Vec<LaneStack> = all.into_iter().flatten().collect();
    if selection.functions.is_some() {
        all.retain(|lane| {
            lane.levels.iter().any(|level| match level {
                Level::Frame { symbol, .. } => selection.wants(*symbol),
                Level::Hidden { .. } => false,
            })
        });
    }
    all
}

/// Nobody needs to see the records, only what they lead to.
struct Nothing;

impl Visitor for Nothing {
    fn begin(&mut self, _: &Lane, _: u64) {}

    fn event(&mut self, _: &Event<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// The stack of every lane of a thread: fiber 0 always, others while anything is open.
fn lanes_at(trace: &Trace, thread: &Thread, at: u64) -> Vec<(u32, Stack)> {
    let lanes = replay(trace, thread, TickRange { from: at, to: at }, &mut Nothing);
    let mut stacks: Vec<(u32, Stack)> =
        lanes.all().iter().map(|lane| (lane.fiber, lane.stack.clone())).collect();
    // Behind the last record nothing changes any more.
    let at_the_end = thread.last_tick().is_none_or(|last| at > last);
    let current = lanes.current().fiber;
    if at_the_end {
        // What waits is told by the ring, however long it has waited.
        for (fiber, known) in thread.waiting.iter().filter(|(fiber, _)| *fiber != current) {
            stacks.retain(|(other, _)| other != fiber);
            stacks.push((*fiber, Stack::from_keyframe(known)));
        }
    }
    if at_the_end && let Some(known) = &thread.final_stack {
        for (_, stack) in stacks.iter_mut().filter(|(fiber, _)| *fiber == current) {
            if known.hidden() == 0 {
                stack.reveal(&known.frames);
            }
        }
    }
    if !stacks.iter().any(|(fiber, _)| *fiber == 0) {
        stacks.push((0, Stack::default()));
    }
    stacks.retain(|(fiber, stack)| *fiber == 0 || stack.depth() > 0);
    stacks.sort_by_key(|(fiber, _)| *fiber);
    stacks
}

fn levels(stack: &Stack, at: u64) -> Vec<Level> {
    let level = |frame: &Frame| Level::Frame {
        symbol: frame.id(),
        open_ticks: (frame.tick != 0).then(|| at.saturating_sub(frame.tick)),
        began_before: frame.began_before(),
    };
    let hidden = (stack.hidden() > 0).then(|| Level::Hidden { count: stack.hidden() });
    stack.outer().iter().map(level).chain(hidden).chain(stack.inner().iter().map(level)).collect()
}
