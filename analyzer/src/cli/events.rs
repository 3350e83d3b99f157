//! `rtrace-view events`.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Result;
use rtrace_format::SymbolKind;

use crate::escape;
use crate::filter::Filter;
use crate::json::{Json, push_int, push_uint};
use crate::model::SymbolId;
use crate::query::events::{Detail, Row, events};
use crate::time;
use crate::trace::Trace;

/// Bytes to gather before they are written.
const BUFFER: usize = 1 << 18;

/// Prints every event.
///
/// # Errors
/// Standard output cannot be written.
pub fn run(trace: &Trace, filter: &Filter, json: bool) -> Result<ExitCode> {
    let selection = trace.select(filter);
    let mut out = io::stdout().lock();
    if json {
        let lines = JsonLines::new(trace);
        let mut buffer = Vec::with_capacity(BUFFER + 4096);
        events(trace, &selection, &mut |row| {
            lines.push(&mut buffer, row);
            flush(&mut out, &mut buffer, BUFFER)
        })?;
        flush(&mut out, &mut buffer, 0)?;
    } else {
        let mut buffer = Vec::with_capacity(BUFFER + 4096);
        let lines = TextLines::new(trace);
        buffer.extend_from_slice(b"          time  thread  kind         event\n");
        events(trace, &selection, &mut |row| {
            lines.push(&mut buffer, row);
            flush(&mut out, &mut buffer, BUFFER)
        })?;
        flush(&mut out, &mut buffer, 0)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes the buffer out once it holds more than `limit` bytes.
fn flush(out: &mut impl Write, buffer: &mut Vec<u8>, limit: usize) -> io::Result<()> {
    if buffer.len() > limit {
        out.write_all(buffer)?;
        buffer.clear();
        if limit == 0 {
            out.flush()?;
        }
    }
    Ok(())
}

/// Writes rows as JSON, from pieces that are made once: a line costs a handful of
/// copies and the conversion of a few numbers.
struct JsonLines<'t> {
    trace: &'t Trace,
    /// By thread: `,"pid":…,"tid":…,"thread":…,"fiber":`.
    threads: Vec<Vec<u8>>,
    /// By symbol: `"name":…,"module":…,"file":…,"line":`.
    symbols: Vec<Vec<u8>>,
    /// By symbol: the line of its definition, or `null`.
    lines: Vec<Vec<u8>>,
}

impl<'t> JsonLines<'t> {
    fn new(trace: &'t Trace) -> Self {
        let threads = trace.threads.iter().map(|thread| {
            let pid = trace.process_of(thread).pid;
            format!(r#","pid":{pid},"tid":{},"thread":{},"fiber":"#, thread.tid, thread.serial)
                .into_bytes()
        });
        let symbols = trace.symbols.iter().map(|(_, symbol)| {
            let mut out = br#","name":"#.to_vec();
            escape::push_json(&mut out, &symbol.qualname);
            out.extend_from_slice(br#","module":"#);
            escape::push_json(&mut out, &symbol.module);
            out.extend_from_slice(br#","file":"#);
            if symbol.file.is_empty() {
                out.extend_from_slice(b"null");
            } else {
                escape::push_json(&mut out, &symbol.file);
            }
            out.extend_from_slice(br#","line":"#);
            out
        });
        let lines = trace.symbols.iter().map(|(_, symbol)| match symbol.kind {
            SymbolKind::C => b"null".to_vec(),
            _ => symbol.first_line.to_string().into_bytes(),
        });
        Self {
            trace,
            threads: threads.collect(),
            symbols: symbols.collect(),
            lines: lines.collect(),
        }
    }

    fn push(&self, out: &mut Vec<u8>, row: &Row<'_>) {
        out.extend_from_slice(br#"{"ts_ns":"#);
        push_int(out, row.ts_ns);
        match row.thread.and_then(|thread| self.threads.get(thread)) {
            Some(prefix) => {
                out.extend_from_slice(prefix);
                push_uint(out, row.fiber.into());
            }
            None => {
                out.extend_from_slice(br#","pid":"#);
                push_uint(out, self.trace.processes[row.process].pid.into());
                out.extend_from_slice(br#","tid":null,"thread":null,"fiber":null"#);
            }
        }
        out.extend_from_slice(br#","task":null,"kind":""#);
        out.extend_from_slice(row.kind.as_bytes());
        out.push(b'"');
        match row.detail {
            Detail::Function(symbol) => self.function(out, Some(symbol), None),
            Detail::Line { function, line } => self.function(out, function, Some(line)),
            Detail::Opcode { function, .. } => self.function(out, function, None),
            Detail::Exception { function, line, .. } => {
                self.function(out, Some(function), Some(line));
            }
            Detail::Named(name) | Detail::Counter { name, .. } => {
                out.extend_from_slice(br#","name":"#);
                escape::push_json(out, name);
                out.extend_from_slice(br#","module":null,"file":null,"line":null"#);
            }
            Detail::Lost { .. } | Detail::Other => {
                out.extend_from_slice(br#","name":null,"module":null,"file":null,"line":null"#);
            }
        }
        out.extend_from_slice(br#","depth":"#);
        push_uint(out, row.depth.into());
        self.extras(out, row);
        out.extend_from_slice(b"}\n");
    }

    /// The function, with the line of the event or else of the definition.
    fn function(&self, out: &mut Vec<u8>, symbol: Option<SymbolId>, line: Option<u32>) {
        let at = symbol.map(|symbol| symbol as usize).filter(|&at| at < self.symbols.len());
        match at {
            Some(at) => out.extend_from_slice(&self.symbols[at]),
            None => out.extend_from_slice(br#","name":null,"module":null,"file":null,"line":"#),
        }
        match (line, at) {
            (Some(line), _) => push_uint(out, line.into()),
            (None, Some(at)) => out.extend_from_slice(&self.lines[at]),
            (None, None) => out.extend_from_slice(b"null"),
        }
    }

    /// What only this kind of event has.
    fn extras(&self, out: &mut Vec<u8>, row: &Row<'_>) {
        match row.detail {
            Detail::Exception { type_symbol, message, .. } => {
                out.extend_from_slice(br#","type":"#);
                escape::push_json(out, &self.trace.symbols.get(type_symbol).qualname);
                out.extend_from_slice(br#","message":"#);
                escape::push_json(out, message);
            }
            Detail::Opcode { offset, opcode, .. } => {
                out.extend_from_slice(br#","offset":"#);
                push_uint(out, offset.into());
                out.extend_from_slice(br#","opcode":"#);
                push_uint(out, opcode.into());
            }
            Detail::Counter { value, .. } => {
                let mut json = Json::new();
                json.float(value);
                out.extend_from_slice(br#","value":"#);
                out.extend_from_slice(json.as_bytes());
            }
            Detail::Lost { count, cause } => {
                out.extend_from_slice(br#","count":"#);
                push_uint(out, count);
                out.extend_from_slice(br#","cause":""#);
                out.extend_from_slice(cause.name().as_bytes());
                out.push(b'"');
            }
            Detail::Function(_) | Detail::Line { .. } | Detail::Named(_) | Detail::Other => {}
        }
    }
}

/// Deeper events are not indented further than this many levels.
const INDENT_MAX: u32 = 40;

/// Writes rows as text; what is the same for every event of a function is made once.
struct TextLines<'t> {
    trace: &'t Trace,
    /// By symbol: `module.name`, sanitised.
    names: Vec<String>,
}

impl<'t> TextLines<'t> {
    fn new(trace: &'t Trace) -> Self {
        let names = trace
            .symbols
            .iter()
            .map(|(id, _)| escape::text(&trace.symbols.full_name(id)).into_owned());
        Self { trace, names: names.collect() }
    }

    fn push(&self, out: &mut Vec<u8>, row: &Row<'_>) {
        let start = out.len();
        pad_left(out, &time::seconds(row.ts_ns), 14);
        out.extend_from_slice(b"  ");
        let thread = row.thread.and_then(|thread| self.trace.threads.get(thread));
        let mut label = thread.map_or_else(|| "-".to_owned(), |t| t.serial.to_string());
        if row.fiber != 0 {
            label.push_str(&format!("/{}", row.fiber));
        }
        pad_left(out, &label, 6);
        out.extend_from_slice(b"  ");
        out.extend_from_slice(row.kind.as_bytes());
        let indent =
            13usize.saturating_sub(row.kind.len()) + 2 * row.depth.min(INDENT_MAX) as usize;
        out.resize(out.len() + indent, b' ');
        self.what(out, row);
        while out.len() > start && out.last() == Some(&b' ') {
            out.pop();
        }
        out.push(b'\n');
    }

    fn name(&self, symbol: Option<SymbolId>) -> &str {
        symbol.and_then(|id| self.names.get(id as usize)).map_or("(unknown)", String::as_str)
    }

    fn what(&self, out: &mut Vec<u8>, row: &Row<'_>) {
        let text = match row.detail {
            Detail::Function(symbol) => {
                out.extend_from_slice(self.name(Some(symbol)).as_bytes());
                return;
            }
            Detail::Line { function, line } => format!("{}:{line}", self.name(function)),
            Detail::Opcode { function, offset, opcode } => {
                format!("{} +{offset} opcode {opcode}", self.name(function))
            }
            Detail::Exception { function, line, type_symbol, message } => {
                let kind = self.trace.symbols.name(type_symbol);
                let colon = if message.is_empty() { "" } else { ": " };
                let message = escape::text(message);
                format!("{}:{line}  {kind}{colon}{message}", self.name(Some(function)))
            }
            Detail::Named(text) => escape::text(text).into_owned(),
            Detail::Counter { name, value } => format!("{} = {value}", escape::text(name)),
            Detail::Lost { count: 0, cause } => format!("events lost: {}", cause.name()),
            Detail::Lost { count, cause } => format!("{count} events lost: {}", cause.name()),
            Detail::Other => return,
        };
        out.extend_from_slice(text.as_bytes());
    }
}

/// Appends plain ASCII on the right of `width` columns.
fn pad_left(out: &mut Vec<u8>, text: &str, width: usize) {
    out.resize(out.len() + width.saturating_sub(text.len()), b' ');
    out.extend_from_slice(text.as_bytes());
}
