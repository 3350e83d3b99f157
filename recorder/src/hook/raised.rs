//! Writes an `exception` record: the same one for every hook that sees exceptions.
#![allow(unsafe_code, reason = "reads the interpreter's objects")]

use pyo3::ffi::PyObject;
use rtrace_format::long;
use rtrace_format::record::{ID_MASK, Subkind};
use rtrace_format::{Cause, Symbol, SymbolKind};

use crate::attach;
use crate::ffi::unless_memory_ran_out;
use crate::names::exception;
use crate::recording;

/// The exception `raised` passes through `line` of the function `id`.
///
/// A panic in here costs the record, and nothing else.
///
/// # Safety
/// - the GIL is held, in an event; `raised` is alive.
pub unsafe fn write(id: u32, line: u32, raised: *mut PyObject) {
    let written = std::panic::catch_unwind(|| {
        // SAFETY: the current thread's own writer, with the GIL held.
        let writer = unsafe { &mut *attach::writer() };
        if !writer.is_recording_here() {
            return;
        }
        let Some(recording) = recording::current() else { return };
        let told = unless_memory_ran_out(|| {
            // SAFETY: the caller's promise.
            let name = unsafe { exception::type_name(raised) };
            // SAFETY: as above.
            (name, unsafe { exception::message(raised) })
        });
        let Some(((module, qualname), message)) = told else {
            recording.process.count_lost(1, Cause::ProcessLimit);
            return;
        };
        let symbol = Symbol::named(SymbolKind::ExceptionType, &module, &qualname);
        let kind = recording.intern(symbol);
        let mut payload = Vec::with_capacity(34);
        long::encode_exception(&mut payload, id & ID_MASK, line, kind, &message);
        writer.long(Subkind::EXCEPTION, 0, &payload);
    });
    drop(written);
}
