//! The one error of this crate: which file, what was being done, what went wrong.
//!
//! Every message is a single line made for a person: the path first, then the
//! sentence. The texts name the remedy where there is one (a full disk, a file
//! that is not ours), because the recorder prints them as they are.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The result of everything in this crate that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong with a file of a session.
#[derive(Debug)]
pub struct Error {
    path: PathBuf,
    kind: ErrorKind,
}

/// The kinds of failure that callers tell apart.
#[derive(Debug)]
pub enum ErrorKind {
    /// The operating system refused; `doing` completes "cannot …".
    Io {
        /// What was being done: "create", "allocate", "read".
        doing: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// The bytes of the file are not what the format says.
    Format(rtrace_format::Error),
    /// The path may not be used; the text says why and what to do.
    Refused(String),
    /// Another process holds the lock.
    Busy,
}

impl Error {
    /// A failed system call on `path`; `doing` completes "cannot …".
    #[cold]
    pub fn io(path: &Path, doing: &'static str, source: impl Into<io::Error>) -> Error {
        Error { path: path.to_owned(), kind: ErrorKind::Io { doing, source: source.into() } }
    }

    /// Bytes of `path` that break the format.
    #[cold]
    pub fn format(path: &Path, source: rtrace_format::Error) -> Error {
        Error { path: path.to_owned(), kind: ErrorKind::Format(source) }
    }

    /// A path that may not be used, with the reason.
    #[cold]
    pub fn refused(path: &Path, why: impl Into<String>) -> Error {
        Error { path: path.to_owned(), kind: ErrorKind::Refused(why.into()) }
    }

    /// A file whose lock another process holds.
    #[cold]
    pub fn busy(path: &Path) -> Error {
        Error { path: path.to_owned(), kind: ErrorKind::Busy }
    }

    /// The file that it is about.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// Whether the file system had no room: full, over quota, past a file size limit.
    pub fn is_no_space(&self) -> bool {
        match &self.kind {
            ErrorKind::Io { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::StorageFull
                    | io::ErrorKind::QuotaExceeded
                    | io::ErrorKind::FileTooLarge
            ),
            _ => false,
        }
    }

    /// Whether the file or directory was not there.
    pub fn is_not_found(&self) -> bool {
        matches!(&self.kind, ErrorKind::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", Shown(&self.path))?;
        match &self.kind {
            ErrorKind::Io { doing, source } if self.is_no_space() => {
                write!(f, "cannot {doing}: no space ({source}); free some, or choose another place")
            }
            ErrorKind::Io { doing, source } => write!(f, "cannot {doing}: {source}"),
            ErrorKind::Format(source) => write!(f, "{source}"),
            ErrorKind::Refused(why) => f.write_str(why),
            ErrorKind::Busy => f.write_str("another process is writing this trace"),
        }
    }
}

// The whole story is in the one line: a source would only be told twice.
impl std::error::Error for Error {}

/// A path as a terminal may see it: control and format characters escaped.
struct Shown<'a>(&'a Path);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.to_string_lossy().chars() {
            // Bidi controls and zero-width format characters reorder or hide text.
            let hides = matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}');
            if c.is_control() || hides {
                write!(f, "\\u{:04X}", u32::from(c))?;
            } else {
                write!(f, "{c}")?;
            }
        }
        Ok(())
    }
}
