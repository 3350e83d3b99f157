//! `rtrace-view pack`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};
use rtrace_session::pack::pack_session;

use super::output;
use crate::escape;

/// Packs a trace or a session into a finished trace.
///
/// # Errors
/// The source cannot be read, or the output not be written.
pub fn run(source: &Path, target: &Path) -> Result<ExitCode> {
    let name = |path: &Path| escape::text(path.as_os_str().as_encoded_bytes()).into_owned();
    if source.is_dir() && !source.join("session").is_file() {
        bail!(
            "{}: is a directory and no session; give a trace.bin or a session's directory",
            name(source)
        );
    }
    let packed = pack_session(source, target)?;
    let mut out = format!("packed to {}", name(&packed.path));
    if !packed.is_final {
        out.push_str("; the program still runs, and what it does from now on is not in it");
    }
    if packed.damaged > 0 {
        out.push_str(&format!("; {} damaged segments are missing", packed.damaged));
    }
    if packed.torn > 0 {
        out.push_str(&format!("; {} segments that kept changing are missing", packed.torn));
    }
    out.push('\n');
    Ok(output::print(&out)?)
}
