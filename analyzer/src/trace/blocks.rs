//! Blocks: runs of one thread's records, decoded when somebody asks.

use std::cell::RefCell;
use std::sync::Arc;

use rtrace_format::chunk::{self, ChunkHeader};
use rtrace_format::events::EventChunk;
use rtrace_format::record::{ID_MASK, Subkind};
use rtrace_format::{Error, ErrorKind, Keyframe, Kind, Lanes, Result, Rows, Segment, Stack, Word};

use rtrace_format::summary::View;

use super::{IdMap, Trace};
use crate::model::Block;

/// Every checksum of a file is looked at if it has at most so many bytes.
const CHECKED_MAX: u64 = 256 << 20;

/// Where a block's bytes are.
#[derive(Clone, Debug)]
pub enum Source {
    /// An event chunk that begins at this offset of the file.
    Chunk(u64),
    /// A segment that was copied from a ring.
    Segment(Arc<Segment>),
}

/// A block's records, in dense ids.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// The fiber that ran at the start.
    pub fiber: u32,
    /// The frames open at the start, before [`skip`](Self::skip).
    pub keyframe: Keyframe,
    /// The records.
    pub rows: Rows,
    /// Rows before this one belong to the block before as well.
    pub skip: usize,
}

impl Decoded {
    /// The lanes as the keyframe describes them: the running one.
    pub fn lanes(&self) -> Lanes {
        Lanes::running(self.fiber, Stack::from_keyframe(&self.keyframe))
    }

    /// Whether going on with these lanes agrees with the keyframe.
    pub fn follows(&self, lanes: &Lanes) -> bool {
        let lane = lanes.current();
        lane.fiber == self.fiber && lane.stack.depth() == self.keyframe.depth
    }
}

thread_local! {
    /// Memory for the columns of a chunk, used again from chunk to chunk.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Trace {
    /// The records of a block.
    ///
    /// # Errors
    /// The chunk is damaged; the offset is that in the file.
    pub fn decode(&self, block: &Block) -> Result<Decoded> {
        let (mut decoded, ids) = match &block.source {
            Source::Segment(segment) => (
                Decoded {
                    fiber: segment.fiber,
                    keyframe: segment.keyframe.clone(),
                    rows: segment.rows.clone(),
                    skip: 0,
                },
                &self.ring_ids,
            ),
            Source::Chunk(offset) => {
                let (header, payload) = self.chunk(*offset)?;
                let at = |error: Error| error.at(offset + chunk::HEADER_LEN as u64);
                header.check(payload).map_err(at)?;
                let chunk = EventChunk::parse(payload).map_err(at)?;
                let rows = SCRATCH.with_borrow_mut(|scratch| chunk.rows(scratch)).map_err(at)?;
                let header = chunk.header;
                (
                    Decoded { fiber: header.fiber, keyframe: header.keyframe, rows, skip: 0 },
                    &self.file_ids,
                )
            }
        };
        translate(&mut decoded, ids, self.symbols.len() as u32);
        if block.first_record > decoded.rows.first_record {
            decoded.skip = decoded
                .rows
                .iter()
                .find(|record| record.numbered && record.number >= block.first_record)
                .map_or(decoded.rows.rows.len(), |record| record.row);
        }
        Ok(decoded)
    }

    /// The frames open at a block's start, in the ids of its file.
    pub(crate) fn keyframe(&self, block: &Block) -> Option<Keyframe> {
        match &block.source {
            Source::Segment(segment) => Some(segment.keyframe.clone()),
            Source::Chunk(offset) => {
                let (_, payload) = self.chunk(*offset).ok()?;
                Some(EventChunk::parse(payload).ok()?.header.keyframe)
            }
        }
    }

    /// Whether a block says of itself that nothing was lost in it.
    pub fn tells_no_loss(&self, block: &Block) -> bool {
        let Source::Chunk(offset) = &block.source else { return false };
        let Ok((_, payload)) = self.chunk(*offset) else { return false };
        let Ok(chunk) = EventChunk::parse(payload) else { return false };
        if chunk.check_front().is_err() {
            return false;
        }
        let header = &chunk.header;
        header.rows == header.records
            || header.payload_words == 0
            || View::parse(chunk.summary).is_ok_and(|summary| summary.head.unnumbered == 0)
    }

    /// Whether the checksum of a block's chunk holds. In a large file only that of its
    /// beginning is looked at, until somebody decodes the block: to read every byte takes
    /// longer than most questions.
    pub fn is_sound(&self, block: &Block) -> bool {
        let Source::Chunk(offset) = &block.source else { return true };
        if self.file_bytes > CHECKED_MAX {
            let Ok((_, payload)) = self.chunk(*offset) else { return false };
            return EventChunk::parse(payload).is_ok_and(|chunk| chunk.check_front().is_ok());
        }
        let damaged = self.damaged.get_or_init(|| {
            let chunks = self.threads.iter().flat_map(|thread| &thread.blocks);
            let offsets = chunks.filter_map(|block| match &block.source {
                Source::Chunk(offset) => Some(*offset),
                Source::Segment(_) => None,
            });
            let holds = |offset: &u64| {
                self.chunk(*offset).is_ok_and(|(header, payload)| header.check(payload).is_ok())
            };
            offsets.filter(|offset| !holds(offset)).collect()
        });
        !damaged.contains(offset)
    }

    /// The chunk at `offset` of the file, its payload's checksum not looked at.
    pub(super) fn chunk(&self, offset: u64) -> Result<(ChunkHeader, &[u8])> {
        let file: &[u8] = self.file.as_deref().unwrap_or(&[]);
        chunk_at(file, offset)
    }
}

/// The chunk at `offset` of a file, its payload's checksum not looked at.
pub(super) fn chunk_at(file: &[u8], offset: u64) -> Result<(ChunkHeader, &[u8])> {
    let cut = || Error::new(ErrorKind::Truncated("a chunk"), offset);
    let rest = usize::try_from(offset).ok().and_then(|at| file.get(at..)).ok_or_else(cut)?;
    let header = ChunkHeader::parse(rest).map_err(|error| error.at(offset))?;
    let payload = usize::try_from(header.len)
        .ok()
        .and_then(|len| rest.get(chunk::HEADER_LEN..chunk::HEADER_LEN.checked_add(len)?))
        .ok_or_else(cut)?;
    Ok((header, payload))
}

/// Brings every id in `block` to dense ids, of which there are `known`.
fn translate(block: &mut Decoded, ids: &IdMap, known: u32) {
    // In the ordinary case nothing changes, but ids of a damaged file may lie
    // beyond the table, and nobody after this looks again.
    let dense = |id: u32| if ids.is_identity() && id < known { id } else { ids.get(id) };
    for frame in &mut block.keyframe.frames {
        *frame = frame.with_id(dense(frame.id()));
    }
    let rows = &mut block.rows;
    if !ids.is_identity() || highest(&rows.rows) >= known {
        for row in &mut rows.rows {
            let word = Word(*row);
            if word.kind().is_some_and(Kind::names_a_symbol) {
                *row = word.with_id(dense(word.id())).0;
            }
        }
    }
    if !rows.payload.is_empty() {
        translate_payloads(rows, dense);
    }
}

/// The highest id of a symbol in `rows`, 0 where there is none.
fn highest(rows: &[u64]) -> u32 {
    // The kinds that name symbols are the first nine: one comparison, and no branch.
    let id = |row: &u64| {
        let top = (row >> 32) as u32;
        if (top >> 28).wrapping_sub(1) < 9 { top & ID_MASK } else { 0 }
    };
    rows.iter().map(id).fold(0, u32::max)
}

/// The ids inside of long records: functions and types of exceptions, frames of switches.
fn translate_payloads(rows: &mut Rows, dense: impl Fn(u32) -> u32) {
    let mut at = 0;
    let replace = |word: &mut u64, id: u32| *word = (*word & !0xFFFF_FFFF) | u64::from(id);
    for row in &rows.rows {
        let word = Word(*row);
        if word.kind() != Some(Kind::Long) {
            continue;
        }
        let end = at + word.payload_words();
        let Some(payload) = rows.payload.get_mut(at..end) else { return };
        at = end;
        match word.subkind() {
            Subkind::EXCEPTION => {
                for word in payload.iter_mut().take(2) {
                    replace(word, dense(*word as u32));
                }
            }
            Subkind::SWITCH => {
                for pair in payload.get_mut(2..).unwrap_or_default().chunks_exact_mut(2) {
                    let frame = rtrace_format::Frame { tick: pair[0], word: pair[1] as u32 };
                    let frame = frame.with_id(dense(frame.id()));
                    replace(&mut pair[1], frame.word);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_id_is_that_of_a_symbol() {
        for kind in Kind::ALL {
            let highest = highest(&[Word::new(Kind::Call, 7, 1).0, Word::new(kind, 900, 2).0]);
            assert_eq!(highest, if kind.names_a_symbol() { 900 } else { 7 }, "{kind:?}");
        }
    }
}
