//! The decoders against naive ones, written from SPEC.md with no eye on speed.

use proptest::prelude::*;
use rtrace_format::events::{Encoder, EventChunk, EventHeader};
use rtrace_format::segment::{Builder, SEGMENT_LEN, Segment};
use rtrace_format::{Cause, Keyframe, Kind, Rows, Word};

/// (record number, numbered, tick, word, payload) of one record.
type Record = (u64, bool, u64, u64, Vec<u64>);

/// SPEC section 3, read literally.
fn naive_records(words: &[u64], base_tick: u64, first_record: u64) -> Vec<Record> {
    let mut records = Vec::new();
    let (mut tick, mut number, mut i) = (base_tick, first_record, 0);
    while i < words.len() {
        let word = words[i];
        i += 1;
        let kind = word >> 60;
        let delta = word & 0xFFFF_FFFF;
        if kind == 12 {
            let upper = (word >> 32) & 0xFFF_FFFF;
            tick = tick.wrapping_add(upper * (1 << 32) + delta);
            continue;
        }
        tick = tick.wrapping_add(delta);
        let mut payload = Vec::new();
        let mut numbered = true;
        if kind == 15 {
            let count = (word >> 44) & 0xFF;
            numbered = (word >> 32) & 1 == 0;
            for _ in 0..count {
                payload.push(words[i]);
                i += 1;
            }
        }
        records.push((number, numbered, tick, word, payload));
        if numbered {
            number += 1;
        }
    }
    records
}

/// SPEC section 9.2, read literally: the words with payloads back in their places.
fn naive_columns(columns: &[u8], rows: usize) -> Vec<u64> {
    let mut payload = columns[8 * rows..].iter();
    let mut words = Vec::new();
    for row in 0..rows {
        let mut word = 0u64;
        for byte in 0..8 {
            word += u64::from(columns[byte * rows + row]) << (8 * byte);
        }
        words.push(word);
        if word >> 60 == 15 {
            for _ in 0..(word >> 44) & 0xFF {
                let bytes: Vec<u8> = payload.by_ref().take(8).copied().collect();
                words.push(u64::from_le_bytes(bytes.try_into().expect("eight bytes")));
            }
        }
    }
    words
}

fn decoded(rows: &Rows) -> Vec<Record> {
    let record = |r: rtrace_format::RecordRef<'_>| {
        (r.number, r.numbered, r.tick, r.word.0, r.payload.to_vec())
    };
    rows.iter().map(record).collect()
}

/// Words as a segment holds them: payloads inline, none of the record words zero.
fn any_words() -> impl Strategy<Value = Vec<u64>> {
    let short = (1u64..15, any::<u32>(), 0u64..1 << 28)
        .prop_map(|(kind, delta, id)| vec![kind << 60 | id << 32 | u64::from(delta)]);
    let long = (any::<u8>(), prop::collection::vec(any::<u64>(), 0..20), any::<bool>()).prop_map(
        |(subkind, payload, unnumbered)| {
            let header = Word::long(subkind, payload.len() as u8, unnumbered.into(), 3);
            let mut words = vec![header.0];
            words.extend(payload);
            words
        },
    );
    prop::collection::vec(prop_oneof![5 => short, 1 => long], 0..150).prop_map(|all| all.concat())
}

proptest! {
    #[test]
    fn segments(words in any_words(), base_tick: u64, first_record in 0u64..1 << 60) {
        let mut rows = Rows { base_tick, first_record, ..Rows::default() };
        prop_assert_eq!(rows.split(words.iter().copied()), words.len());
        let segment = Segment {
            lap: 1, serial: 0, cpu_ns: 0, fiber: 0, keyframe: Keyframe::default(), sealed: true,
            rewinds: 0, lost_before: 0, lost_cause: Cause::Unknown, rows,
        };
        let bytes = Builder { segment: &segment, len: SEGMENT_LEN.max(words.len() * 8 + 128) }.bytes();
        let inline: Vec<u64> = bytes[128..128 + 8 * words.len()]
            .chunks_exact(8)
            .map(|word| u64::from_le_bytes(word.try_into().expect("eight bytes")))
            .collect();
        prop_assert_eq!(&inline, &words);
        let parsed = Segment::parse(&bytes).expect("a segment");
        prop_assert_eq!(decoded(&parsed.rows), naive_records(&words, base_tick, first_record));
    }

    #[test]
    fn chunks(words in any_words(), base_tick: u64, first_record in 0u64..1 << 60) {
        let mut rows = Rows { base_tick, first_record, ..Rows::default() };
        rows.split(words.iter().copied());
        let payload = Encoder::new().expect("zstd").encode(&EventHeader::default(), &rows, None).expect("fits");
        let chunk = EventChunk::parse(&payload).expect("a chunk");
        let columns = zstd::stream::decode_all(chunk.columns).expect("a zstd frame");
        prop_assert_eq!(columns.len(), 8 * words.len());
        prop_assert_eq!(naive_columns(&columns, rows.rows.len()), words.clone());
        let fast = chunk.rows(&mut Vec::new()).expect("decodes");
        prop_assert_eq!(decoded(&fast), naive_records(&words, base_tick, first_record));
        let exits = fast.rows.iter().filter(|&&w| Word(w).kind() == Some(Kind::Return)).count();
        prop_assert_eq!(exits, naive_records(&words, 0, 0).iter().filter(|r| r.3 >> 60 == 2).count());
    }
}
