//! The dump of a `trace.bin`.

use std::fmt::Write;

use rtrace_format::chunk::{self, Found, tag};
use rtrace_format::events::EventChunk;
use rtrace_format::file::FileHeader;
use rtrace_format::index::{Index, Trailer};
use rtrace_format::node::Node;
use rtrace_format::{Meta, Result, Summary, Symbol};

use super::{frames, hex, list, meta, records, symbol};

/// The dump of a file's bytes.
///
/// # Errors
/// A header that readers refuse.
pub fn dump_file(bytes: &[u8]) -> Result<String> {
    let header = FileHeader::parse(bytes)?;
    let mut out = format!(
        "file {}.{} header=64 incompatible=0 compatible={} uuid={} created={}\n",
        header.major,
        header.minor,
        header.features,
        hex(&header.uuid),
        header.created_ns
    );
    let (mut damaged, mut unread, mut torn) = (Vec::new(), Vec::new(), None);
    for found in chunk::scan(bytes, 64) {
        match found {
            Found::Damaged { offset, .. } => damaged.push(offset),
            Found::Torn { offset, .. } => torn = Some(offset),
            Found::Chunk { offset, header, payload } => {
                if header.check(payload).is_err() {
                    damaged.push(offset);
                    continue;
                }
                let name = header.tag_name();
                let line = format!("chunk {offset} {name} length={}", payload.len());
                match content(&line, header.tag, payload) {
                    Ok(text) => out.push_str(&text),
                    Err(_) => {
                        unread.push(offset);
                        writeln!(out, "{line}").ok();
                    }
                }
            }
        }
    }
    for offset in damaged.iter().chain(&unread) {
        writeln!(out, "problem {offset}").ok();
    }
    if let Some(offset) = torn {
        writeln!(out, "torn {offset}").ok();
    }
    match Trailer::parse(bytes) {
        Ok(trailer) => writeln!(out, "trailer {}", trailer.index_offset).ok(),
        Err(_) => writeln!(out, "trailer none").ok(),
    };
    Ok(out)
}

fn content(line: &str, chunk_tag: [u8; 4], payload: &[u8]) -> Result<String> {
    let mut out = String::new();
    let number = |len: usize| {
        let bytes = payload.get(..len).unwrap_or_default();
        bytes.iter().rev().fold(0u64, |sum, &byte| sum << 8 | u64::from(byte))
    };
    match chunk_tag {
        tag::SESSION => {
            writeln!(out, "{line}").ok();
            meta(&mut out, &Meta::decode(payload)?);
        }
        tag::PROCESS | tag::THREAD => {
            let number = number(if chunk_tag == tag::PROCESS { 4 } else { 8 });
            writeln!(out, "{line} number={number}").ok();
            meta(&mut out, &Meta::decode(payload.get(8..).unwrap_or_default())?);
        }
        tag::SYMBOLS => {
            writeln!(out, "{line}").ok();
            let first = number(4) as u32;
            let mut rest = payload.get(8..).unwrap_or_default();
            let mut id = first;
            while let Some((len, after)) = rest.split_first_chunk::<4>() {
                let (bytes, next) = after.split_at(u32::from_le_bytes(*len) as usize);
                symbol(&mut out, id, &Symbol::decode(bytes)?);
                (id, rest) = (id + 1, next);
            }
        }
        tag::EVENTS => events(&mut out, line, &EventChunk::parse(payload)?)?,
        tag::NODE => {
            let node = Node::parse(payload)?;
            let header = node.header;
            writeln!(
                out,
                "{line} serial={} first={} base={} last={} numbered={} level={} children={} \
                 chunks={}",
                header.serial,
                header.first_record,
                header.base_tick,
                header.end_tick,
                header.records,
                header.level,
                header.children,
                header.chunks
            )
            .ok();
            summary(&mut out, &node.summary()?, true);
        }
        tag::INDEX => {
            writeln!(out, "{line} flags={}", number(4)).ok();
            for entry in Index::parse(payload)?.entries {
                writeln!(
                    out,
                    "  entry {} level={} offset={} length={} serial={} first={} base={} last={} \
                     numbered={} depth={}",
                    entry.tag.escape_ascii(),
                    entry.level,
                    entry.offset,
                    entry.len,
                    entry.serial,
                    entry.first_record,
                    entry.base_tick,
                    entry.end_tick,
                    entry.records,
                    entry.max_depth
                )
                .ok();
            }
        }
        _ => {
            writeln!(out, "{line}").ok();
        }
    }
    Ok(out)
}

fn events(out: &mut String, line: &str, chunk: &EventChunk<'_>) -> Result<()> {
    chunk.check_front()?;
    let header = &chunk.header;
    let keyframe = &header.keyframe;
    writeln!(
        out,
        "{line} serial={} first={} base={} last={} cpu={} dropped={} cause={} numbered={} rows={} \
         payload={} fiber={} depth={} outer={} inner={} lap={}",
        header.serial,
        header.first_record,
        header.base_tick,
        header.end_tick,
        header.cpu_ns,
        header.lost_before,
        header.lost_cause,
        header.records,
        header.rows,
        header.payload_words,
        header.fiber,
        keyframe.depth,
        keyframe.outer,
        keyframe.frames.len() - keyframe.outer as usize,
        header.lap
    )
    .ok();
    frames(out, "frame", &keyframe.frames);
    if !chunk.summary.is_empty() {
        summary(out, &Summary::parse(chunk.summary)?, false);
    }
    records(out, &chunk.rows(&mut Vec::new())?);
    Ok(())
}

fn summary(out: &mut String, summary: &Summary, of_node: bool) {
    let head = &summary.head;
    let longest = head.longest;
    writeln!(
        out,
        "  summary busy={} depth={} exceptions={} unwinds={} calls={} unnumbered={} longest={},{},{}",
        head.busy_ticks,
        head.max_depth,
        head.exceptions,
        head.unwinds,
        head.calls,
        head.unnumbered,
        longest.ticks,
        longest.id,
        longest.start
    )
    .ok();
    if summary.functions.is_none() {
        writeln!(out, "  functions untold").ok();
    }
    for function in summary.functions.iter().flatten() {
        let spans = &function.spans;
        let bins = spans.histogram.bins().iter().map(|(bin, count)| format!("{bin}:{count}"));
        writeln!(
            out,
            "  function {}{} calls={} self={} total={} spans={} min={} max={} bins={}",
            function.id,
            if of_node { format!(" children={}", function.children) } else { String::new() },
            function.calls,
            function.self_ticks,
            function.total_ticks,
            spans.count,
            spans.min,
            spans.max,
            list(bins, ",")
        )
        .ok();
    }
    for (depth, row) in summary.rows.iter().enumerate() {
        let slices = row.iter().map(|slice| format!("{}:{}", slice.id, slice.share));
        writeln!(out, "  row {depth} {}", list(slices, ",")).ok();
    }
}
