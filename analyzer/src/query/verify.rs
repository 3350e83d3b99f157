//! Whether every checksum and record of a trace holds: all of it is decoded and replayed.

use super::parallel;
use crate::model::{Block, Problem};
use crate::trace::{Decoded, Source, Trace};

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Events that can be read.
    pub events: u64,
    /// Chunks of the file.
    pub chunks: u64,
    /// Segments read from rings.
    pub segments: u64,
    /// What is wrong, by offset.
    pub problems: Vec<Problem>,
}

impl Verdict {
    /// Whether nothing is wrong.
    pub fn ok(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Decodes everything.
pub fn verify(trace: &Trace) -> Verdict {
    let blocks: Vec<&Block> = trace.threads.iter().flat_map(|thread| &thread.blocks).collect();
    let results = parallel::map(&blocks, |block| check(trace, block));
    let mut verdict = Verdict {
        chunks: trace.chunks,
        segments: trace.segments,
        problems: trace.problems.clone(),
        ..Verdict::default()
    };
    for result in results {
        match result {
            Ok(events) => verdict.events += events,
            Err(problem) => verdict.problems.push(problem),
        }
    }
    verdict.problems.sort_by_key(|problem| problem.offset);
    verdict
}

/// Decodes one block and holds it against what its header says.
fn check(trace: &Trace, block: &Block) -> Result<u64, Problem> {
    let decoded = trace
        .decode(block)
        .map_err(|error| Problem { offset: error.offset(), what: error.what() })?;
    let offset = match block.source {
        Source::Chunk(offset) => offset,
        Source::Segment(_) => return Ok(block.events),
    };
    if replay(&decoded) != block.end_tick {
        let what = "the tick of an event chunk's last record is not the one in its header";
        return Err(Problem { offset, what: what.to_owned() });
    }
    Ok(block.events)
}

/// Goes through a block's records with the stacks that they mean; gives the tick of the last.
fn replay(decoded: &Decoded) -> u64 {
    let rows = &decoded.rows;
    let mut lanes = decoded.lanes();
    let mut tick = rows.base_tick;
    let mut records = rows.iter();
    loop {
        let run = lanes.stack_mut().run(&rows.rows[records.row()..], &mut tick);
        records.pass(&run, tick);
        let Some(record) = records.next() else { return records.tick() };
        lanes.apply(&record);
        tick = record.tick;
    }
}
