//! Appending chunks to a `trace.bin`, and the index of what is in it.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rtrace_format::chunk::{self, ChunkHeader, tag};
use rtrace_format::index::{Index, IndexEntry, Trailer};

use crate::error::{Error, Result};

/// An open trace that chunks are appended to.
///
/// Nothing is counted as written until all of it is: after a failed write (a
/// full disk) the next one goes to the same place.
#[derive(Debug)]
pub(crate) struct TraceWriter {
    file: File,
    path: PathBuf,
    /// Where the next chunk goes: behind the last whole one.
    at: u64,
    /// Every chunk but indexes, in file order.
    entries: Vec<IndexEntry>,
    /// What the last index said, if nothing was appended after it.
    indexed: Option<bool>,
}

impl TraceWriter {
    /// Goes on with a file whose whole chunks end at `at`.
    pub(crate) fn new(
        file: File,
        path: &Path,
        at: u64,
        entries: Vec<IndexEntry>,
        indexed: Option<bool>,
    ) -> TraceWriter {
        TraceWriter { file, path: path.to_owned(), at, entries, indexed }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Puts another file in place, for a test of what a failing one does.
    #[cfg(test)]
    pub(crate) fn swap_file(&mut self, file: File) -> File {
        std::mem::replace(&mut self.file, file)
    }

    /// Appends a chunk. Of `entry`, what the chunk itself says is filled in here.
    /// Gives the chunk's place and header.
    pub(crate) fn chunk(
        &mut self,
        tag: [u8; 4],
        payload: &[u8],
        entry: IndexEntry,
    ) -> Result<(u64, ChunkHeader)> {
        let header = ChunkHeader::of(tag, payload);
        // Header and padding around the payload, without copying it.
        let end = header.file_len() - payload.len() as u64 - chunk::HEADER_LEN as u64;
        let padding = [0; chunk::ALIGN];
        let body = self.at + chunk::HEADER_LEN as u64;
        // In file order: whenever a reader looks, and wherever a full disk ends it,
        // the file ends in a header whose payload is cut off, which is a torn end;
        // and there is no hole, which a mapping of a full tmpfs could not fill.
        self.write(&header.encode(), self.at)?;
        self.write(payload, body)?;
        self.write(&padding[..end as usize], body + header.len)?;
        let offset = self.at;
        self.entries.push(IndexEntry { tag, offset, len: header.len, ..entry });
        self.at += header.file_len();
        self.indexed = None;
        Ok((offset, header))
    }

    /// Writes the index and the trailer, unless those in the file still hold.
    pub(crate) fn index(&mut self, is_final: bool) -> Result<()> {
        if self.indexed == Some(is_final) {
            return Ok(());
        }
        let index = Index { is_final, entries: self.entries.clone() };
        let offset = self.at;
        let mut bytes = chunk::encode(tag::INDEX, &index.encode());
        let trailer_at = offset + bytes.len() as u64;
        bytes.extend(Trailer { index_offset: offset }.encode());
        self.write(&bytes, offset)?;
        // What a torn chunk of an earlier writer left behind goes now; while the
        // file grew it was only a torn end, and no reader's mapping shrank.
        let end = offset + bytes.len() as u64;
        if self.file.metadata().is_ok_and(|meta| meta.len() > end) {
            self.file.set_len(end).map_err(|e| Error::io(&self.path, "cut", e))?;
        }
        // What is appended later overwrites the trailer.
        self.at = trailer_at;
        self.indexed = Some(is_final);
        Ok(())
    }

    fn write(&self, bytes: &[u8], at: u64) -> Result<()> {
        self.file.write_all_at(bytes, at).map_err(|e| Error::io(&self.path, "write", e))
    }
}
