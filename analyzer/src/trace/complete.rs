//! What is missing from a trace, and whether a selection feels it.

use rtrace_format::record::Subkind;
use rtrace_format::{Cause, Error, ErrorKind, Kind, Long, Word};

use super::{Selection, Source, Trace};
use crate::model::{Block, Gap, Missing, Thread, TickRange};

impl Thread {
    /// Everything that is missing between its blocks and behind them, in order of time.
    pub fn gaps(&self) -> impl Iterator<Item = &Gap> {
        self.blocks.iter().flat_map(|block| &block.gaps).chain(&self.tail)
    }

    /// Events that a flight ring overwrote as it should.
    pub fn overwritten(&self) -> u64 {
        let overwritten = self.gaps().filter(|gap| gap.why == Missing::Overwritten);
        overwritten.fold(0, |sum, gap| sum.saturating_add(gap.count))
    }
}

/// What a look at every block of a thread finds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Events that are there.
    pub events: u64,
    /// Losses inside of blocks: `lost` records, and blocks that cannot be read.
    pub losses: Vec<Gap>,
}

impl Trace {
    /// Whether no lost or overwritten record falls inside the asked range.
    pub fn is_complete(&self, selection: &Selection) -> bool {
        let range = selection.range;
        let whole = selection.threads.iter().filter_map(|&i| self.threads.get(i)).all(|thread| {
            let meets = |gap: &Gap| {
                // Between two ticks, or at one.
                range.meets(gap.from_tick, gap.to_tick)
                    || (gap.from_tick == gap.to_tick && range.contains(gap.from_tick))
            };
            !thread.gaps().any(meets) && !self.inventory(thread, range).losses.iter().any(meets)
        });
        // Threads that have no ring (any more) left no time behind to compare with.
        let mut processes = self.processes.iter();
        let without_ring = processes
            .any(|process| process.lost_without_ring > 0 || process.overwritten_threads > 0);
        whole && !(selection.all_threads && without_ring)
    }

    /// Looks at every block of a thread that the range touches, decoding only those
    /// that may hold `lost` records.
    pub fn inventory(&self, thread: &Thread, range: TickRange) -> Inventory {
        let mut inventory = Inventory::default();
        for block in &thread.blocks {
            if block.end_tick < range.from || !(block.base_tick < range.to || range.to == u64::MAX)
            {
                continue;
            }
            match self.losses_in(block) {
                Ok(mut losses) => {
                    inventory.events += block.events;
                    inventory.losses.append(&mut losses);
                }
                Err(_) => inventory.losses.push(block.damaged()),
            }
        }
        inventory
    }

    fn losses_in(&self, block: &Block) -> rtrace_format::Result<Vec<Gap>> {
        if matches!(block.source, Source::Chunk(_)) {
            if !self.is_sound(block) {
                return Err(Error::new(ErrorKind::BadChecksum("a chunk"), 0));
            }
            if self.tells_no_loss(block) {
                return Ok(Vec::new());
            }
        }
        let decoded = self.decode(block)?;
        let losses = decoded.rows.iter().filter(|record| record.row >= decoded.skip);
        Ok(losses
            .filter_map(|record| {
                loss(record.word, record.payload).map(|(count, cause)| Gap {
                    count,
                    why: Missing::Lost(cause),
                    from_tick: record.tick,
                    to_tick: record.tick,
                    record: record.number,
                })
            })
            .collect())
    }
}

/// The count and cause of a `lost` record, which is never numbered.
pub fn loss(word: Word, payload: &[u64]) -> Option<(u64, Cause)> {
    let lost = word.kind() == Some(Kind::Long) && word.subkind() == Subkind::LOST;
    if !lost || word.is_numbered() {
        return None;
    }
    match Long::parse(word, payload) {
        Long::Lost { count, cause } => Some((count, cause)),
        _ => None,
    }
}
