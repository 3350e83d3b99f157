//! From blocks as they were found to blocks in record order, each with what is
//! missing before it.
//!
//! Record numbers make this exact: a gap is a loss of exactly that many events, an
//! overlap (a segment that is in a ring and in the file) is the same data, read once.

use rtrace_format::Cause;

use super::Source;
use crate::model::{Block, Gap, Missing};

/// A block as it was found.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub first_record: u64,
    pub events: u64,
    pub base_tick: u64,
    pub end_tick: u64,
    pub fiber: u32,
    pub one_lane: bool,
    pub knows_stack: bool,
    /// Events without record numbers that were dropped just before it, and why.
    pub lost_before: u64,
    pub cause: Cause,
    pub source: Source,
}

/// What is known of the thread that the blocks belong to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circumstances {
    pub born_tick: u64,
    /// The ring was to keep the last part only.
    pub flight: bool,
    /// Something of this thread could not be read.
    pub damaged: bool,
}

impl Circumstances {
    /// Why record numbers are missing before a block that is the thread's first, or
    /// from a ring.
    fn explain(self, given: Cause, first: bool, from_ring: bool) -> Missing {
        match given {
            Cause::Unknown if self.damaged => Missing::Lost(Cause::Damaged),
            // The oldest record of a flight ring is where its history begins; so is
            // the first one behind what a snapshot had taken over.
            Cause::Unknown if self.flight && (first || from_ring) => Missing::Overwritten,
            // A ring that is drained gives records up for no other reason.
            Cause::Unknown if from_ring => Missing::Lost(Cause::CollectorBehind),
            cause => Missing::Lost(cause),
        }
    }
}

/// Puts blocks in record order, drops what is there twice, and says what is missing.
pub(super) fn arrange(mut found: Vec<Found>, about: Circumstances) -> Vec<Block> {
    // Stable: of two that begin alike the one from the file comes first.
    found.sort_by_key(|f| (f.first_record, f.base_tick));
    let mut blocks: Vec<Block> = Vec::with_capacity(found.len());
    let mut next = 0;
    let mut last_tick = about.born_tick;
    for f in found {
        let end = f.first_record.saturating_add(f.events);
        // A block without a single event says something only where it stands.
        if end < next || (end == next && f.first_record < next) {
            continue;
        }
        let overlap = next > f.first_record;
        let place = Gap {
            count: 0,
            why: Missing::Lost(f.cause),
            from_tick: last_tick.min(f.base_tick),
            to_tick: f.base_tick,
            record: next,
        };
        let mut gaps = Vec::new();
        let missing = f.first_record.saturating_sub(next);
        if missing > 0 {
            // A cause that is given belongs to the events without numbers, if there are any.
            let given = if f.lost_before > 0 { Cause::Unknown } else { f.cause };
            let from_ring = matches!(f.source, Source::Segment(_));
            let why = about.explain(given, blocks.is_empty(), from_ring);
            gaps.push(Gap { count: missing, why, ..place });
        }
        if f.lost_before > 0 && !overlap {
            gaps.push(Gap { count: f.lost_before, ..place });
        }
        blocks.push(Block {
            first_record: f.first_record.max(next),
            events: end - f.first_record.max(next),
            base_tick: f.base_tick,
            end_tick: f.end_tick.max(f.base_tick),
            gaps,
            fiber: f.fiber,
            one_lane: f.one_lane,
            knows_stack: f.knows_stack,
            source: f.source,
        });
        next = end;
        last_tick = f.end_tick;
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(first_record: u64, events: u64) -> Found {
        Found {
            first_record,
            events,
            base_tick: first_record * 10,
            end_tick: (first_record + events) * 10,
            fiber: 0,
            one_lane: true,
            knows_stack: true,
            lost_before: 0,
            cause: Cause::Unknown,
            source: Source::Chunk(64),
        }
    }

    const FULL: Circumstances = Circumstances { born_tick: 3, flight: false, damaged: false };
    const FLIGHT: Circumstances = Circumstances { flight: true, ..FULL };

    /// First record, events, and what is missing before them.
    type Shape = (u64, u64, Vec<(u64, Missing)>);

    fn shape(blocks: &[Block]) -> Vec<Shape> {
        let gaps = |b: &Block| b.gaps.iter().map(|gap| (gap.count, gap.why)).collect();
        blocks.iter().map(|b| (b.first_record, b.events, gaps(b))).collect()
    }

    #[test]
    fn what_is_there_twice_is_read_once() {
        let found = vec![chunk(10, 5), chunk(0, 10), chunk(4, 2), chunk(8, 9)];
        assert_eq!(
            shape(&arrange(found, FULL)),
            [(0, 10, vec![]), (10, 7, vec![])],
            "the longer of two that overlap goes on where the first ended"
        );
    }

    #[test]
    fn a_gap_is_a_loss_of_exactly_that_many() {
        let mut late = chunk(15, 5);
        late.cause = Cause::CollectorBehind;
        let blocks = arrange(vec![chunk(0, 10), late], FULL);
        let lost = Missing::Lost(Cause::CollectorBehind);
        assert_eq!(shape(&blocks), [(0, 10, vec![]), (15, 5, vec![(5, lost)])]);
        assert_eq!(blocks[1].gaps[0].from_tick, 100);
    }

    #[test]
    fn a_flight_ring_begins_late_as_it_should() {
        let lost = Missing::Lost(Cause::Unknown);
        assert_eq!(
            shape(&arrange(vec![chunk(7, 1)], FLIGHT)),
            [(7, 1, vec![(7, Missing::Overwritten)])]
        );
        assert_eq!(shape(&arrange(vec![chunk(7, 1)], FULL)), [(7, 1, vec![(7, lost)])]);
    }

    #[test]
    fn events_without_numbers_count_too() {
        let mut block = chunk(10, 1);
        (block.lost_before, block.cause) = (4, Cause::Budget);
        let budget = (4, Missing::Lost(Cause::Budget));
        assert_eq!(shape(&arrange(vec![chunk(0, 10), block.clone()], FLIGHT))[1].2, [budget]);
        let overwritten = (10, Missing::Overwritten);
        assert_eq!(shape(&arrange(vec![block], FLIGHT))[0].2, [overwritten, budget]);
    }
}
