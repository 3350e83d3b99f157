//! What a process leaves out of its records, by function.

use std::path::Path;

use rtrace_format::figures::{self, Figures};

use crate::create;
use crate::error::{Error, Result};
use crate::read;

/// The most of a figures file that is read, in bytes; no recorder makes a longer one.
const LEN_MAX: usize = 1 << 24;

/// Reads the figures of a process of the session `uuid` in `dir`; empty where it keeps none.
///
/// # Errors
///
/// There is a file that cannot be read, or that is not one of the session's.
pub fn read(dir: &Path, number: u32, uuid: &[u8; 16]) -> Result<Vec<Figures>> {
    let path = create::figures_path(dir, number);
    let bytes = match read::whole(&path, LEN_MAX) {
        Ok(bytes) => bytes,
        Err(error) if error.is_not_found() => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    if read::starts_unwritten(&bytes) {
        return Ok(Vec::new());
    }
    figures::parse(&bytes, uuid).map_err(|error| Error::format(&path, error))
}
