//! The worked example of SPEC.md is read as a reader of the SPEC would, and by this crate.

use rtrace_format::chunk::{Found, scan};
use rtrace_format::file::{FileHeader, HEADER_LEN};
use rtrace_format::segment::{Builder, Segment};
use rtrace_format::symbol::{self, Symbol, SymbolKind};
use rtrace_format::{Cause, Frame, Keyframe, Kind, Meta, Rows, Value, Word, chunk};

/// The bytes of the block that follows `heading`: offset, up to sixteen hex bytes, a comment behind `|`.
/// A line of `*` stands for zeroes up to the next offset.
fn example(heading: &str) -> Vec<u8> {
    let spec = include_str!("../SPEC.md");
    let block = spec.split_once(heading).expect("the heading is there").1;
    let block = block.split("```").nth(1).expect("a block follows it");
    let mut bytes = Vec::new();
    for line in block.lines().skip(1).filter(|line| !line.trim().is_empty() && *line != "*") {
        let line = line.split('|').next().unwrap_or(line);
        let mut words = line.split_whitespace();
        let offset = usize::from_str_radix(words.next().expect("an offset"), 16).expect("hex");
        bytes.resize(offset, 0);
        bytes.extend(words.map(|byte| u8::from_str_radix(byte, 16).expect("hex")));
    }
    bytes
}

fn segment() -> Segment {
    Segment {
        lap: 1,
        serial: 0,
        cpu_ns: 1_500_000,
        fiber: 0,
        keyframe: Keyframe::of(&[Frame::new(4, 0, 1000)], 8, 24),
        sealed: true,
        rewinds: 0,
        lost_before: 0,
        lost_cause: Cause::Unknown,
        rows: Rows {
            base_tick: 1200,
            first_record: 1,
            rows: vec![Word::new(Kind::Call, 14, 50).0, Word::new(Kind::Return, 14, 30).0],
            payload: vec![],
        },
    }
}

fn symbol() -> Symbol {
    Symbol {
        code_flags: 3,
        first_line: 7,
        last_line: 9,
        file: b"app.py".to_vec(),
        ..Symbol::named(SymbolKind::Python, b"app", b"main")
    }
}

fn trace() -> Vec<u8> {
    let mut meta = Meta::default();
    meta.set("mode", Value::text("flight"));
    let mut file =
        FileHeader::new(*b"0123456789abcdef", 1_700_000_000_000_000_000).encode().to_vec();
    file.extend(chunk::encode(chunk::tag::SESSION, &meta.encode()));
    file
}

/// `RTRACE_PRINT_EXAMPLE=1 cargo test -p rtrace-format --test spec_example -- --nocapture` prints the
/// bytes to put into SPEC.md after a change of the format.
fn compare(heading: &str, made: &[u8]) {
    if std::env::var_os("RTRACE_PRINT_EXAMPLE").is_some() {
        println!("{heading}");
        for (i, line) in made.chunks(16).enumerate() {
            let hex: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
            println!("{:04x}  {}", i * 16, hex.join(" "));
        }
        return;
    }
    assert_eq!(example(heading), made, "{heading}");
}

#[test]
fn the_segment_of_the_spec() {
    compare("### 12.1", &Builder { segment: &segment(), len: 168 }.bytes()[..160]);
    let parsed = Segment::parse(&example("### 12.1")).expect("the example is a segment");
    assert_eq!(parsed, segment());
}

#[test]
fn the_symbol_of_the_spec() {
    compare("### 12.2", &symbol::encode_entry(&symbol()));
    let bytes = example("### 12.2");
    assert_eq!(symbol::scan(&bytes, 224).next(), Some((14, symbol())));
}

#[test]
fn the_trace_of_the_spec() {
    compare("### 12.3", &trace());
    let bytes = example("### 12.3");
    assert!(FileHeader::parse(&bytes).is_ok());
    let chunks: Vec<_> = scan(&bytes, HEADER_LEN as u64).collect();
    let [Found::Chunk { header, payload, .. }] = &chunks[..] else { panic!("{chunks:?}") };
    assert!(header.check(payload).is_ok());
    assert_eq!(Meta::decode(payload).expect("metadata").get_text("mode"), Some(&b"flight"[..]));
}
