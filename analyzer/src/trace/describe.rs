//! Names of things for people and for JSON.

use rtrace_format::SymbolKind;

use super::{Symbols, Trace};
use crate::escape;
use crate::json::Json;
use crate::model::SymbolId;

/// `file:line` of a symbol for a terminal; empty for a C function.
pub fn place(symbols: &Symbols, id: SymbolId) -> String {
    let symbol = symbols.get(id);
    if symbol.file.is_empty() {
        return String::new();
    }
    format!("{}:{}", escape::text(&symbol.file), symbol.first_line)
}

impl Trace {
    /// Writes the members `name`, `module`, `file`, `line` and `kind` of a function.
    pub fn symbol_json(&self, json: &mut Json, id: SymbolId) {
        let symbol = self.symbols.get(id);
        let is_c = symbol.kind == SymbolKind::C;
        json.key("name").text(&symbol.qualname);
        json.key("module").text(&symbol.module);
        json.key("file").text_or_null((!symbol.file.is_empty()).then_some(&symbol.file));
        json.key("line").uint_or_null((!is_c).then_some(symbol.first_line.into()));
        json.key("kind").text(if is_c { b"c" } else { b"python" });
    }

    /// `MainThread  serial 0  pid 17`, for the head of a lane.
    pub fn lane_title(&self, thread: usize, fiber: u32) -> String {
        let Some(thread) = self.threads.get(thread) else { return String::new() };
        let name =
            if thread.name.is_empty() { "(unnamed)".into() } else { escape::text(&thread.name) };
        let pid = self.process_of(thread).pid;
        let fiber = if fiber == 0 { String::new() } else { format!("  fiber {fiber}") };
        format!("{name}  thread {}  pid {pid}  tid {}{fiber}", thread.serial, thread.tid)
    }

    /// The session's uuid as 32 hexadecimal digits.
    pub fn trace_id(&self) -> String {
        self.uuid.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
