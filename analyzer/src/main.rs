//! `rtrace-view`: see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    rtrace_analyzer::cli::main()
}
