//! Every event, in order of time.
//!
//! Each thread is a stream in record order; a heap merges the streams by time, serial
//! and record number. A thread's blocks are decoded one at a time, and not before
//! their time has come, so that memory is bounded by the threads active at once.

mod stream;
mod window;

pub use window::{Window, count_before, number_to_ns, window};

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;

use rtrace_format::Cause;

use self::stream::{Key, Stream};
use crate::model::{Gap, Missing, SymbolId};
use crate::trace::{Selection, Trace};

/// One event.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// When, in ticks.
    pub tick: u64,
    /// When, in ns since the trace began.
    pub ts_ns: i64,
    /// Index of the process.
    pub process: usize,
    /// Index of the thread; `None` for events lost in threads that had no ring.
    pub thread: Option<usize>,
    /// The fiber.
    pub fiber: u32,
    /// The kind's name, as this process's hook has it.
    pub kind: &'static str,
    /// Its depth (SPEC section 3).
    pub depth: u32,
    /// Its record number.
    pub number: u64,
    /// The tick at which the frame was entered that this event left, if that is known.
    pub since: Option<u64>,
    /// The rest.
    pub detail: Detail<'a>,
}

/// What an event of some kind has beyond the others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Detail<'a> {
    /// An entry or exit of a function.
    Function(SymbolId),
    /// A line of the innermost Python function began.
    Line {
        /// The function, if it is known.
        function: Option<SymbolId>,
        /// The line.
        line: u32,
    },
    /// An instruction of the innermost Python function began.
    Opcode {
        /// The function, if it is known.
        function: Option<SymbolId>,
        /// The instruction's offset in bytes.
        offset: u32,
        /// The instruction.
        opcode: u8,
    },
    /// An exception passes a function.
    Exception {
        /// The function.
        function: SymbolId,
        /// The line.
        line: u32,
        /// The exception's type.
        type_symbol: SymbolId,
        /// Its message, WTF-8.
        message: &'a [u8],
    },
    /// A mark, or a span's begin or end, with its name.
    Named(&'a [u8]),
    /// A counter.
    Counter {
        /// Its name.
        name: &'a [u8],
        /// Its value.
        value: f64,
    },
    /// Events are missing.
    Lost {
        /// How many; 0 where that is not known.
        count: u64,
        /// Why.
        cause: Cause,
    },
    /// Something of a later version, or another fiber began to run.
    Other,
}

impl Row<'_> {
    /// What is missing here, if this is a `lost` line.
    pub fn gap(&self) -> Option<Gap> {
        match self.detail {
            Detail::Lost { count, cause } => Some(Gap {
                count,
                why: Missing::Lost(cause),
                from_tick: self.tick,
                to_tick: self.tick,
                record: self.number,
            }),
            _ => None,
        }
    }

    /// Whether a filter on functions lets it pass: what belongs to no function does not.
    fn is_of(&self, selection: &Selection) -> bool {
        if selection.functions.is_none() {
            return true;
        }
        match self.detail {
            Detail::Function(symbol) => selection.wants(symbol),
            Detail::Line { function, .. } | Detail::Opcode { function, .. } => {
                function.is_some_and(|symbol| selection.wants(symbol))
            }
            Detail::Exception { function, .. } => selection.wants(function),
            Detail::Named(_) | Detail::Counter { .. } | Detail::Lost { .. } | Detail::Other => {
                false
            }
        }
    }
}

/// Gives the selected events to `out`, as many as the selection's limit.
///
/// # Errors
/// What `out` returned; nothing is given to it after that.
pub fn events(
    trace: &Trace,
    selection: &Selection,
    out: &mut impl FnMut(&Row<'_>) -> io::Result<()>,
) -> io::Result<()> {
    let mut left = selection.limit.unwrap_or(usize::MAX);
    if left == 0 {
        return Ok(());
    }
    let mut streams: Vec<Stream<'_>> = selection
        .threads
        .iter()
        .map(|&index| Stream::of_thread(trace, index, selection.range))
        .collect();
    if selection.all_threads {
        streams.extend(Stream::of_processes(trace, selection.range));
    }
    let mut heap: BinaryHeap<Reverse<(Key, usize)>> = streams
        .iter()
        .enumerate()
        .filter_map(|(i, stream)| stream.key().map(|key| Reverse((key, i))))
        .collect();
    while let Some(Reverse((_, i))) = heap.pop() {
        let stream = &mut streams[i];
        let limit = heap.peek().map(|Reverse((key, _))| *key);
        // Threads take turns seldom: go on with this one until another is due.
        while let Some(key) = stream.key() {
            if limit.is_some_and(|limit| key > limit) {
                heap.push(Reverse((key, i)));
                break;
            }
            let mut result = Ok(());
            stream.take(|row| {
                if left > 0 && row.is_of(selection) {
                    left -= 1;
                    result = out(row);
                }
            });
            result?;
            if left == 0 {
                return Ok(());
            }
        }
    }
    Ok(())
}
