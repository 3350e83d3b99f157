//! Everything that a recording's files hold, field by field, as text.
//!
//! `python -m rtrace_py --chunks` writes the same text from SPEC.md alone; a
//! difference of one byte is a difference in understanding.

mod file;
mod session;

pub use file::dump_file;
pub use session::dump_session;

use std::fmt::Write;

use rtrace_format::{Frame, Kind, Long, Meta, Rows, Symbol, Value};

/// A JSON string in ASCII, as Python's `json.dumps` writes it; lone surrogates
/// of the WTF-8 become their escapes.
pub fn quoted(text: &[u8]) -> String {
    let mut out = String::from("\"");
    let mut rest = text;
    while let Some(&first) = rest.first() {
        let len = match first {
            ..0x80 => 1,
            0x80..0xE0 => 2,
            0xE0..0xF0 => 3,
            _ => 4,
        };
        let (piece, after) = rest.split_at(len.min(rest.len()));
        rest = after;
        match std::str::from_utf8(piece) {
            Ok("\"") => out.push_str("\\\""),
            Ok("\\") => out.push_str("\\\\"),
            Ok("\n") => out.push_str("\\n"),
            Ok("\r") => out.push_str("\\r"),
            Ok("\t") => out.push_str("\\t"),
            Ok(plain) if (" "..="~").contains(&plain) && len == 1 => out.push_str(plain),
            Ok(other) => {
                for unit in other.encode_utf16() {
                    write!(out, "\\u{unit:04x}").ok();
                }
            }
            // Three bytes of a surrogate: ED, then two of six bits.
            Err(_) => {
                let bits = piece
                    .iter()
                    .skip(1)
                    .fold(0xD, |bits: u32, byte| bits << 6 | u32::from(byte & 0x3F));
                write!(out, "\\u{bits:04x}").ok();
            }
        }
    }
    out.push('"');
    out
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        write!(out, "{byte:02x}").ok();
        out
    })
}

fn list(items: impl IntoIterator<Item = String>, separator: &str) -> String {
    format!("[{}]", items.into_iter().collect::<Vec<_>>().join(separator))
}

fn meta(out: &mut String, meta: &Meta) {
    for (key, value) in meta.entries() {
        let (variant, text) = match value {
            Value::Text(text) if key == "stack" => ("Stack", hex(text)),
            Value::Text(text) if key == "fibers" => ("Fibers", hex(text)),
            Value::U64(number) => ("U64", number.to_string()),
            Value::I64(number) => ("I64", number.to_string()),
            Value::F64(number) => ("F64", format!("{number:?}")),
            Value::Bool(yes) => ("Bool", yes.to_string()),
            Value::Text(text) => ("Text", quoted(text)),
            Value::List(items) => ("List", list(items.iter().map(|item| quoted(item)), ", ")),
        };
        writeln!(out, "  {key} = {variant} {text}").ok();
    }
}

fn symbol(out: &mut String, id: u32, symbol: &Symbol) {
    writeln!(
        out,
        "  symbol {id} kind={} flags={} code={} lines={}-{} size={} mtime={} hash={} \
         module={} name={} file={}",
        symbol.kind.number(),
        symbol.flags,
        symbol.code_flags,
        symbol.first_line,
        symbol.last_line,
        symbol.source_size,
        symbol.source_mtime,
        symbol.source_hash,
        quoted(&symbol.module),
        quoted(&symbol.qualname),
        quoted(&symbol.file),
    )
    .ok();
}

fn frames(out: &mut String, word: &str, frames: &[Frame]) {
    for frame in frames {
        let flags = frame.word >> 28;
        writeln!(out, "  {word} tick={} id={} flags={flags}", frame.tick, frame.id()).ok();
    }
}

fn records(out: &mut String, rows: &Rows) {
    for record in rows {
        let number = if record.numbered { record.number.to_string() } else { "-".to_owned() };
        let word = record.word;
        let what = match word.kind() {
            Some(Kind::Long) => {
                long(&Long::parse(word, record.payload), record.payload)
                    + &format!(" flags={}", word.flags())
            }
            Some(kind) => format!("{} {}", kind.name(), word.id()),
            None => format!("kind{} {}", word.0 >> 60, word.id()),
        };
        writeln!(out, "  {number} {} {what}", record.tick).ok();
    }
}

fn long(long: &Long, payload: &[u64]) -> String {
    match long {
        Long::Exception { function, line, type_symbol, message } => {
            let message = quoted(message);
            format!(
                "exception function={function} line={line} type={type_symbol} message={message}"
            )
        }
        Long::Mark(text) => format!("mark text={}", quoted(text)),
        Long::SpanBegin(text) => format!("span_begin text={}", quoted(text)),
        Long::SpanEnd(text) => format!("span_end text={}", quoted(text)),
        Long::Counter { value, name } => format!("counter value={value:?} text={}", quoted(name)),
        Long::Switch { fiber, depth, frames } => {
            let shown = frames.iter().map(|frame| format!("{}:{}", frame.tick, frame.word));
            format!("switch fiber={fiber} depth={depth} frames={}", list(shown, ","))
        }
        Long::Lost { count, cause } => format!("lost count={count} cause={}", *cause as u32),
        Long::Unknown(subkind) => {
            let words = payload.iter().map(|word| format!("{word:#018x}"));
            format!("long{subkind} words={}", list(words, ","))
        }
        _ => "a long record that the dump does not know".to_owned(),
    }
}
