//! What is open in any of a thread's lanes.

use std::ops::ControlFlow;

use rtrace_format::Frame;

use crate::writer::Writer;

/// A frame that is open somewhere.
#[derive(Debug, Clone, Copy)]
pub struct Open {
    /// The frame.
    pub frame: Frame,
    /// Its place in the running lane's stack; none in a lane that waits, and where it is
    /// deeper than is recorded.
    pub index: Option<usize>,
    /// The one in which it was called, if that is known.
    pub caller: Option<Frame>,
}

impl Writer {
    /// The symbol of frame `index` of the running lane, if it is open and known.
    pub fn frame_id(&self, index: usize) -> Option<u32> {
        (index < self.depth.min(self.stack_room())).then(|| self.frame_at(index).id())
    }

    /// Visits every open frame, the running lane's first, each lane from the outermost on.
    /// False where some are known by number only.
    pub fn visit_open(&self, visit: &mut dyn FnMut(Open) -> ControlFlow<()>) -> bool {
        let known = self.depth.min(self.stack_room());
        let mut caller = None;
        for index in 0..known {
            let frame = self.frame_at(index);
            if visit(Open { frame, index: Some(index), caller }).is_break() {
                return true;
            }
            caller = Some(frame);
        }
        let mut all_known = known == self.depth;
        for lane in self.waiting_lanes() {
            all_known &= lane.is_whole;
            let mut caller = None;
            for frame in lane.frames {
                if visit(Open { frame, index: None, caller }).is_break() {
                    return true;
                }
                caller = Some(frame);
            }
        }
        for &id in &self.cold.hidden {
            if visit(Open { frame: Frame::new(id, 0, 0), index: None, caller: None }).is_break() {
                return true;
            }
        }
        all_known
    }
}
