//! What the fuzzers call: any bytes to every decoder, to whole traces and to sessions.
//!
//! `tools/fuzz` runs these under libFuzzer; the tests replay the corpus and mutate it for
//! a moment. Nothing here says what is right: it is enough to come back, without a panic,
//! without an allocation beyond the input's size, in proven time.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use rtrace_analyzer::filter::Filter;
use rtrace_analyzer::query;
use rtrace_analyzer::trace::{Selection, Trace};
use rtrace_format::bytes::{crc32, u32_at, u64_at};
use rtrace_format::chunk::{self, ChunkHeader};
use rtrace_format::events::{EventChunk, EventHeader};
use rtrace_format::file::FileHeader;
use rtrace_format::index::{Index, Trailer};
use rtrace_format::node::Node;
use rtrace_format::process::ProcessHeader;
use rtrace_format::ring::RingHeader;
use rtrace_format::session::SessionHeader;
use rtrace_format::{Keyframe, Meta, Segment, Summary, Symbol, fiber, figures, segment, symbol};

/// The folder that the fuzzers use: the one that `RTRACE_FUZZ_FOLDER` names, which whoever
/// started them removes, else one of their own.
pub static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let own = || std::env::temp_dir().join(format!("rtrace-fuzz-{}", std::process::id()));
    let folder = std::env::var_os("RTRACE_FUZZ_FOLDER").map_or_else(own, PathBuf::from);
    fs::create_dir_all(&folder).expect("a folder");
    folder
});

/// What a fuzzer does with its input.
pub type Target = fn(&[u8], &Path);

/// Every target, by name. Each may use the given folder for files.
pub const TARGETS: [(&str, Target); 4] =
    [("headers", headers), ("chunks", chunks), ("trace", trace), ("session", session)];

/// Headers and what stands in a session's files.
pub fn headers(data: &[u8], _folder: &Path) {
    let _ = RingHeader::parse(data);
    let _ = SessionHeader::parse(data);
    let _ = ProcessHeader::parse(data);
    let _ = FileHeader::parse(data);
    let _ = Segment::parse(data);
    let _ = Segment::parse(&mended_segment(data));
    let _ = symbol::parse_header(data);
    let _ = symbol::scan(data, 64).count();
    let _ = Symbol::decode(data);
    let _ = Meta::decode(data);
    let _ = figures::parse(data, &[0; 16]);
    let _ = figures::decode_item(data);
    let _ = fiber::parse_extent(data);
    let _ = fiber::decode_list(data);
    let _ = Keyframe::decode_stack(data);
}

/// Chunks and their payloads.
pub fn chunks(data: &[u8], _folder: &Path) {
    let _ = ChunkHeader::parse(data);
    let _ = chunk::scan(data, 0).count();
    let _ = Index::parse(data);
    let _ = Trailer::parse(data);
    let _ = Node::parse(data);
    let _ = Summary::parse(data);
    let _ = EventHeader::parse(data);
    if let Ok(chunk) = EventChunk::parse(data)
        && let Ok(rows) = chunk.rows(&mut Vec::new())
    {
        let _ = (&rows).into_iter().count();
    }
}

/// A whole `trace.bin`. Where the first byte is odd its checksums are made to hold, so that
/// what is behind them is reached.
pub fn trace(data: &[u8], folder: &Path) {
    let Some((&how, bytes)) = data.split_first() else { return };
    let path = folder.join("trace.bin");
    let bytes = if how & 1 == 1 { mended_trace(bytes) } else { bytes.to_vec() };
    if fs::write(&path, bytes).is_ok() {
        ask_everything(&path);
    }
}

/// A session of which one file is replaced: the first byte says which.
pub fn session(data: &[u8], folder: &Path) {
    const FILES: [&str; 4] = ["session", "symbols", "process-0", "ring-1"];
    let Some((&how, bytes)) = data.split_first() else { return };
    let golden = ["ring_wrapped", "ring_fibers"][usize::from(how >> 3) & 1];
    let dir = folder.join("19700101T000000Z-1-01234567");
    let which = FILES[usize::from(how) & 3];
    let mend = how & 4 != 0 && which == "ring-1";
    let made = fs::create_dir_all(&dir).and_then(|()| {
        for name in FILES {
            if name == which {
                let bytes = if mend { mended_ring(bytes) } else { bytes.to_vec() };
                fs::write(dir.join(name), bytes)?;
            } else {
                fs::copy(golden_folder().join(golden).join(name), dir.join(name))?;
            }
        }
        Ok(())
    });
    if made.is_ok() {
        ask_everything(&dir);
    }
}

fn golden_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")
}

/// Opens a recording and asks it every question.
pub fn ask_everything(path: &Path) {
    let Ok(trace) = Trace::open(path) else { return };
    let all = Selection::everything(&trace);
    let _ = query::info::info(&trace, &Filter::default());
    let _ = query::report::report(&trace, &all);
    let _ = query::tree::tree(&trace, &all);
    let _ = query::stacks::stacks(&trace, &all);
    let _ = query::exceptions::exceptions(&trace, &all);
    let _ = query::events::events(&trace, &all, &mut |_| Ok(()));
    let _ = query::verify::verify(&trace);
}

/// The same bytes with the checksums of a trace's chunks made to hold.
pub fn mended_trace(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if bytes.len() >= 64 {
        let crc = crc32(&bytes[..60]);
        bytes[60..64].copy_from_slice(&crc.to_le_bytes());
    }
    let mut at = 64;
    while let Some(len) = u64_at(&bytes, at + 8) {
        if bytes.get(at..at + 4) != Some(b"RTCK") {
            at += 8;
            continue;
        }
        let end = usize::try_from(len).ok().and_then(|len| (at + 32).checked_add(len));
        let Some(payload) = end.and_then(|end| bytes.get(at + 32..end)) else { break };
        let crc = crc32(payload);
        bytes[at + 16..at + 20].copy_from_slice(&crc.to_le_bytes());
        let crc = crc32(&bytes[at..at + 28]);
        bytes[at + 28..at + 32].copy_from_slice(&crc.to_le_bytes());
        at = (at + 32 + len as usize).next_multiple_of(8);
    }
    bytes
}

/// The same bytes with the checksums of a ring's segments made to hold.
pub fn mended_ring(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let segments: Vec<usize> = (0..bytes.len())
        .step_by(16)
        .filter(|&at| bytes[at..].starts_with(&segment::MAGIC))
        .collect();
    for at in segments {
        let mended = mended_segment(&bytes[at..]);
        bytes[at..].copy_from_slice(&mended);
    }
    bytes
}

fn mended_segment(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let (Some(body), Some(used)) = (u32_at(&bytes, 76), u32_at(&bytes, 80)) else { return bytes };
    let end = (body as usize).saturating_add((used as usize).saturating_mul(8));
    if end >= 100 && end <= bytes.len() {
        bytes[96..100].fill(0);
        let crc = crc32(&bytes[..end]);
        bytes[96..100].copy_from_slice(&crc.to_le_bytes());
    }
    bytes
}

/// Inputs that a fuzzer begins with: the golden files, as each target wants them.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    let golden = crate::golden::all();
    let flagged = |flag: u8, bytes: &[u8]| [&[flag], bytes].concat();
    let mut found = Vec::new();
    for (name, bytes) in &golden {
        let file = name.rsplit('/').next().unwrap_or_default();
        match target {
            "trace" if name.ends_with(".bin") => {
                found.extend([flagged(0, bytes), flagged(1, bytes)]);
            }
            "chunks" if name.ends_with(".bin") => {
                found.push(bytes.clone());
                found.extend(chunk::scan(bytes, 64).filter_map(|found| match found {
                    chunk::Found::Chunk { payload, .. } => Some(payload.to_vec()),
                    _ => None,
                }));
            }
            "session" => {
                let which = ["session", "symbols", "process-0", "ring-1"];
                let Some(which) = which.iter().position(|&one| one == file) else { continue };
                let golden = if name.contains("fibers") { 8 } else { 0 };
                for mend in [0, 4] {
                    found.push(flagged(which as u8 | golden | mend, bytes));
                }
            }
            "headers" if !name.ends_with(".bin") => {
                found.push(bytes.clone());
                found.extend(bytes.chunks(16384).map(<[u8]>::to_vec));
            }
            _ => {}
        }
    }
    found
}
