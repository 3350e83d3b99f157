//! Damaged traces: whatever the bytes, a result or one clear error, never a panic.

use proptest::prelude::*;
use rtrace_format::chunk::{self, ChunkHeader, Found};

use super::random::{any_plan, bytes_of, cases};
use crate::filter::Filter;
use crate::query::events::events;
use crate::query::exceptions::exceptions;
use crate::query::info::info;
use crate::query::report::report;
use crate::query::stacks::stacks;
use crate::query::tree::tree;
use crate::query::verify::verify;
use crate::trace::{Selection, Trace};

/// Asks everything of whatever can be opened. Counts agree wherever checksums show what
/// is damaged; of a forged file `info` believes what its checksums vouch for.
fn ask_everything(bytes: &[u8], forged: bool) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trace.bin");
    std::fs::write(&path, bytes).unwrap();
    let Ok(trace) = Trace::open(&path) else { return };
    let mut selection = Selection::everything(&trace);
    let mut lines = 0u64;
    let mut lost = 0u64;
    events(&trace, &selection, &mut |row| {
        match row.gap() {
            Some(gap) => lost += gap.count,
            None => lines += 1,
        }
        Ok(())
    })
    .unwrap();
    let counted = info(&trace, &Filter::default());
    let checked = verify(&trace);
    if !forged {
        assert_eq!(counted.events, lines, "info counts what events prints");
        assert_eq!(counted.lost_events, lost, "and what it says is lost");
        assert_eq!(checked.events, lines, "and so does verify");
    }
    report(&trace, &selection);
    tree(&trace, &selection);
    stacks(&trace, &selection);
    exceptions(&trace, &selection);
    selection.range.from = 1_100;
    selection.range.to = 1_400;
    report(&trace, &selection);
    tree(&trace, &selection);
    stacks(&trace, &selection);
    exceptions(&trace, &selection);
}

/// Gives every chunk the checksums that its bytes call for, so that damage gets past
/// them to the decoders.
fn seal(bytes: &mut [u8]) {
    let found: Vec<(u64, ChunkHeader)> = chunk::scan(bytes, 64)
        .filter_map(|found| match found {
            Found::Chunk { offset, header, .. } => Some((offset, header)),
            _ => None,
        })
        .collect();
    for (offset, header) in found {
        let start = offset as usize + chunk::HEADER_LEN;
        let payload = bytes[start..start + header.len as usize].to_vec();
        let header = ChunkHeader::of(header.tag, &payload);
        bytes[offset as usize..start].copy_from_slice(&header.encode());
    }
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn changed_bytes(
        plan in any_plan(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = bytes_of(&plan);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        ask_everything(&bytes, false);
    }

    #[test]
    fn changed_bytes_with_checksums_that_hold(
        plan in any_plan(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = bytes_of(&plan);
        for (at, value) in changes {
            // Payloads only: a chunk's own header would only hide the rest.
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        seal(&mut bytes);
        ask_everything(&bytes, true);
    }

    #[test]
    fn cut_off(plan in any_plan(), at: prop::sample::Index) {
        let bytes = bytes_of(&plan);
        ask_everything(&bytes[..at.index(bytes.len())], false);
    }

    #[test]
    fn chunks_twice_and_in_any_order(plan in any_plan(), order: prop::sample::Index) {
        let bytes = bytes_of(&plan);
        let mut chunks: Vec<&[u8]> = chunk::scan(&bytes, 64)
            .filter_map(|found| match found {
                Found::Chunk { offset, header, .. } => {
                    bytes.get(offset as usize..(offset + header.file_len()) as usize)
                }
                _ => None,
            })
            .collect();
        let all = chunks.len();
        chunks.extend_from_within(..all / 2);
        chunks[1..].rotate_left(order.index(all));
        let shuffled = [&bytes[..64], &chunks.concat()].concat();
        ask_everything(&shuffled, false);
    }
}
