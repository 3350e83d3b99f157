//! The straight path: calls and their own exits, with all frames known.

use super::{Pass, SummaryBuilder};
use crate::frame::Frame;
use crate::histogram::bin_of;
use crate::record::{Kind, Subkind, Word};
use crate::rows::ticks_of;
use crate::stack::Stack;
use crate::summary::{Longest, ROWS_MAX};

const CALL: u64 = Kind::Call as u64;
const RESUME: u64 = Kind::Resume as u64;
const THROW: u64 = Kind::Throw as u64;
const C_CALL: u64 = Kind::CCall as u64;
const RETURN: u64 = Kind::Return as u64;
const UNWIND: u64 = Kind::Unwind as u64;
const YIELD: u64 = Kind::Yield as u64;
const C_RETURN: u64 = Kind::CReturn as u64;
const C_EXCEPTION: u64 = Kind::CException as u64;
const LONG: u64 = Kind::Long as u64;

impl SummaryBuilder {
    /// Takes records up to the first exit that is not that of the frame on top, and gives
    /// their number. Does what [`step`](SummaryBuilder::step) does with each of them.
    pub(super) fn straight(&mut self, rows: &[u64], stack: &mut Stack, pass: &mut Pass) -> usize {
        let Some(mut frames) = stack.take_known() else { return 0 };
        let nobody = self.ids as usize;
        let base = pass.window.base();
        let (mut tick, mut last, mut top) = (pass.tick, pass.last, pass.top);
        let mut done = rows.len();
        for (at, &row) in rows.iter().enumerate() {
            let word = Word(row);
            match row >> 60 {
                kind @ (CALL | RESUME | THROW | C_CALL) => {
                    tick = tick.wrapping_add(word.delta().into());
                    self.functions[top].self_ticks += tick.saturating_sub(last);
                    last = tick;
                    pass.window.reach(tick);
                    top = self.open(word.id(), tick);
                    self.functions[top].calls += u64::from(kind == CALL || kind == C_CALL);
                    pass.head.calls += u64::from(kind == CALL);
                    if frames.len() < ROWS_MAX {
                        pass.entered[frames.len()] = tick;
                    }
                    frames.push(Frame { tick, word: word.id() | flags(kind) });
                    pass.head.max_depth = pass.head.max_depth.max(frames.len() as u32);
                }
                kind @ (RETURN | UNWIND | YIELD | C_RETURN | C_EXCEPTION) => {
                    let Some(&frame) = frames.last().filter(|frame| frame.id() == word.id()) else {
                        done = at;
                        break;
                    };
                    frames.pop();
                    tick = tick.wrapping_add(word.delta().into());
                    pass.window.reach(tick);
                    pass.head.unwinds += u64::from(kind == UNWIND);
                    // What is left is what was innermost: the same sums.
                    let sums = &mut self.functions[top];
                    sums.self_ticks += tick.saturating_sub(last);
                    last = tick;
                    sums.open = sums.open.saturating_sub(1);
                    if sums.open == 0 {
                        sums.total_ticks += tick.saturating_sub(sums.since);
                    }
                    if frame.has_start() {
                        let ticks = tick.saturating_sub(frame.tick);
                        sums.min = if sums.spans == 0 { ticks } else { sums.min.min(ticks) };
                        sums.max = sums.max.max(ticks);
                        sums.spans += 1;
                        self.lengths.add(top as u32, bin_of(ticks));
                        if ticks > pass.head.longest.ticks {
                            let start = frame.tick.saturating_sub(base);
                            pass.head.longest = Longest { ticks, id: frame.id(), start };
                        }
                    }
                    if frames.len() < ROWS_MAX {
                        let from = pass.entered[frames.len()];
                        self.occupy(frames.len(), word.id(), from, tick, &pass.window);
                    }
                    top = frames.last().map_or(nobody, |frame| self.bound(frame.id()));
                }
                kind => {
                    tick = tick.wrapping_add(ticks_of(word));
                    if kind == LONG {
                        let head = &mut pass.head;
                        head.exceptions += u64::from(word.subkind() == Subkind::EXCEPTION);
                        head.unnumbered += u64::from(!word.is_numbered());
                    }
                }
            }
        }
        (pass.tick, pass.last, pass.top) = (tick, last, top);
        *stack = Stack::from_frames(frames);
        done
    }
}

/// The flags of the frame that a record of this kind enters.
#[inline]
fn flags(kind: u64) -> u32 {
    match kind {
        C_CALL => Kind::CCall.flags(),
        RESUME | THROW => Kind::Resume.flags(),
        _ => 0,
    }
}
