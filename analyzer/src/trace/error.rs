//! Why a trace cannot be opened: one line that says what to do.

use std::fmt;
use std::path::{Path, PathBuf};

/// A path that cannot be opened as a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenError {
    /// What was to be opened.
    pub path: PathBuf,
    /// Where in the file, in bytes; `None` where it is not about its content.
    pub offset: Option<u64>,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub advice: String,
}

/// The advice for what is no trace at all.
pub(super) const GIVE_A_TRACE: &str =
    "give a trace.bin that rtrace wrote, or a session's directory";
/// The advice for a trace of which the beginning is gone.
pub(super) const COPY_AGAIN: &str = "copy it again from where it was recorded";

impl OpenError {
    pub(super) fn new(path: &Path, what: impl Into<String>, advice: &str) -> Self {
        Self { path: path.to_owned(), offset: None, what: what.into(), advice: advice.to_owned() }
    }

    pub(super) fn at(path: &Path, offset: u64, what: impl Into<String>, advice: &str) -> Self {
        Self { offset: Some(offset), ..Self::new(path, what, advice) }
    }

    pub(super) fn io(path: &Path, error: &std::io::Error) -> Self {
        // std appends the number of the error, which helps nobody here.
        let text = error.to_string();
        let what = text.split(" (os error").next().unwrap_or_default().to_lowercase();
        let advice = match error.kind() {
            std::io::ErrorKind::NotFound => {
                "check the path; `rtrace-view` alone lists what it finds"
            }
            std::io::ErrorKind::PermissionDenied => "ask its owner, or read it as that user",
            _ => "check that it can be read",
        };
        Self::new(path, format!("cannot be opened: {what}"), advice)
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path.display())?;
        if let Some(offset) = self.offset {
            write!(f, "at offset {offset}: ")?;
        }
        write!(f, "{}; {}", self.what, self.advice)
    }
}

impl std::error::Error for OpenError {}
