//! The one place of this crate with `unsafe`: mapping a trace into memory.
//!
//! A mapped file is a slice that somebody else can change, which Rust's `&[u8]`
//! promises cannot happen. This is what stands between that and us:
//!
//! - *A file that grows* (a collector appends while we look) is harmless: the map
//!   covers the length that the file had when it was opened, and those bytes are
//!   never rewritten. `trace.bin` is append-only; nothing of ours writes in place.
//! - *A file that is overwritten in place* by something that is not ours can change
//!   bytes between two looks. Every read of the map goes through the decoders of
//!   `rtrace-format`, which check each field where they use it and copy what they
//!   keep; none reads a length twice and trusts the first answer. The worst that
//!   comes of it is a wrong figure or a checksum error.
//! - *A file that is truncated* while mapped gives SIGBUS at the first touch of a
//!   page that is gone, and the process ends. No reader that maps files is safe
//!   from that. Nothing of ours ever truncates a trace: a torn end is left as it is,
//!   and a new recording renames the old file instead of emptying it.
//!
//! Ring files, which *are* rewritten all the time, are therefore never mapped here:
//! `rtrace-session` copies them by `pread` and checks each copy.
#![allow(unsafe_code, reason = "memory-mapped files cannot be had without; see above")]

use std::fs::File;
use std::io;
use std::ops::Deref;

/// The content of a file, by memory map. An empty file is an empty slice.
#[derive(Debug)]
pub struct MappedFile {
    map: Option<memmap2::Mmap>,
}

impl MappedFile {
    /// Maps `file` as long as it is now.
    ///
    /// # Errors
    /// Whatever the kernel says: no memory, or a file that cannot be mapped.
    pub fn map(file: &File) -> io::Result<Self> {
        // An empty map is an error to the kernel.
        if file.metadata()?.len() == 0 {
            return Ok(Self { map: None });
        }
        // SAFETY: the map is read-only and private to this struct; what other
        // processes may do to the file is dealt with case by case above.
        let map = unsafe { memmap2::Mmap::map(file)? };
        Ok(Self { map: Some(map) })
    }
}

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.map.as_deref().unwrap_or(&[])
    }
}
