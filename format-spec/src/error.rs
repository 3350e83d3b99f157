//! The one error of this crate.

use std::fmt;

/// What every decoder here returns.
pub type Result<T> = std::result::Result<T, Error>;

/// Bytes that are not what the format says, and where.
///
/// There is one type for the whole crate because its reader is a person who
/// has a file in hand: which function found the fault matters less to them
/// than the offset and the words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    offset: u64,
}

/// What is wrong with the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The input ends inside the named structure.
    Truncated(&'static str),
    /// The named structure does not begin with its magic.
    BadMagic(&'static str),
    /// The checksum of the named structure does not hold.
    BadChecksum(&'static str),
    /// A field of the named structure has a value that the format excludes.
    BadValue(&'static str),
    /// A count or length is larger than the bytes that must carry it, or than the format's limit.
    TooLarge(&'static str),
    /// The file is of a major version that this build does not know.
    Version {
        /// The file's major version.
        found: u16,
        /// The newest major version that this build reads.
        supported: u16,
    },
    /// The file needs a feature that this build does not know.
    Feature(u32),
    /// Compressed data that zstd refuses.
    Compression,
}

impl Error {
    /// An error of `kind` found `offset` bytes into the input.
    #[cold]
    pub fn new(kind: ErrorKind, offset: u64) -> Error {
        Error { kind, offset }
    }

    /// What is wrong.
    pub fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// How many bytes into the input it was found.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The same error, its offset counted from `base` bytes earlier: for a
    /// structure that lies inside a larger one.
    #[must_use]
    pub fn at(mut self, base: u64) -> Error {
        self.offset = self.offset.saturating_add(base);
        self
    }

    /// What is wrong, without the offset.
    pub fn what(&self) -> String {
        self.kind.to_string()
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ErrorKind::Truncated(what) => write!(f, "{what} is cut off"),
            ErrorKind::BadMagic(what) => write!(f, "not {what}: the magic bytes are missing"),
            ErrorKind::BadChecksum(what) => write!(f, "{what} is damaged: its checksum is wrong"),
            ErrorKind::BadValue(what) => write!(f, "{what} has an impossible value"),
            ErrorKind::TooLarge(what) => write!(f, "{what} claims more than the file can hold"),
            ErrorKind::Version { found, supported } if found > supported => write!(
                f,
                "too new: the file is version {found}, this build reads up to {supported}; \
                 install a newer rtrace"
            ),
            ErrorKind::Version { found, supported } => write!(
                f,
                "too old: the file is version {found}, this build reads from version \
                 {supported} on"
            ),
            ErrorKind::Feature(bits) => write!(
                f,
                "the file uses features that this build does not know (bits {bits:#x}); \
                 install a newer rtrace"
            ),
            ErrorKind::Compression => write!(f, "the compressed data is damaged"),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at offset {}: {}", self.offset, self.kind)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_new_and_too_old_say_so() {
        let text = |found| ErrorKind::Version { found, supported: 1 }.to_string();
        assert!(text(2).starts_with("too new: the file is version 2"));
        assert!(text(0).starts_with("too old: the file is version 0"));
    }

    #[test]
    fn offsets_add_up() {
        let inner = Error::new(ErrorKind::Truncated("a symbol"), 7);
        assert_eq!(inner.at(100).to_string(), "at offset 107: a symbol is cut off");
    }
}
