//! The moment at which an exception was raised.

/// Which exception is asked about: the first of a row of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MomentAsk {
    /// A lane of its thread.
    pub lane: usize,
    /// When it was raised.
    pub ns: i64,
    /// The function that raised it.
    pub symbol: u32,
    /// The line, 0 where it is not known.
    pub line: u32,
}

/// How an exception ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The last frame that it reached caught it.
    Caught,
    /// It left the outermost frame.
    Escaped,
    /// The trace does not tell.
    Unknown,
}

/// What every thread was doing at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// What it is about.
    pub ask: MomentAsk,
    /// The frames that the exception reached on its way, innermost first: function and line. The
    /// first is the one that raised it.
    pub way: Vec<(u32, u32)>,
    /// How many frames are left out before the last of these.
    pub left_out: u64,
    /// How it ended.
    pub fate: Fate,
    /// The stacks of lanes that had any frame open: that of the exception first, then those of
    /// its process, and last those of processes that may have been dead by then.
    pub stacks: Vec<LaneFrames>,
    /// How many more threads were not looked at.
    pub more: usize,
}

/// The open frames of a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneFrames {
    /// The lane.
    pub lane: usize,
    /// Functions, innermost first; `None` for a stretch that nobody knows any more.
    pub frames: Vec<Option<u32>>,
    /// When its process was last seen, where it was killed and that was before the moment.
    pub last_seen: Option<i64>,
}
