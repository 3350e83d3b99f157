//! Nodes: summaries of consecutive event chunks of one thread, and of nodes (SPEC section 9.5).

use crate::bytes::Reader;
use crate::error::{ErrorKind, Result};
use crate::rows::Rows;
use crate::summary::merge::{Part, merge};
use crate::summary::{FunctionSummary, Head, SLICES, Slice, Summary, View, mask_of};

/// Length of the fixed header, in bytes.
pub const HEADER_LEN: usize = 56;
/// How many chunks a node of level 1 is of.
pub const CHUNKS: usize = 8;
/// How many nodes a node of a higher level is of; no node has more children.
pub const CHILDREN: usize = 16;

/// No level is higher: a node of it would be of more chunks than there can be.
const LEVEL_MAX: u32 = 16;

/// How many children a node of this level has.
pub fn width(level: u32) -> usize {
    if level == 1 { CHUNKS } else { CHILDREN }
}

/// What a node says before its summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NodeHeader {
    /// The thread.
    pub serial: u64,
    /// The first record number of the first chunk.
    pub first_record: u64,
    /// The base tick of the first chunk.
    pub base_tick: u64,
    /// The tick of the last record of the last chunk.
    pub end_tick: u64,
    /// How many numbered records there are.
    pub records: u64,
    /// Its level, from 1.
    pub level: u32,
    /// How many children it has.
    pub children: u32,
    /// How many event chunks it is of.
    pub chunks: u32,
}

impl NodeHeader {
    /// Reads the header from the first bytes of a payload.
    ///
    /// # Errors
    /// Truncated input, no such level, no children or too many.
    pub fn parse(prefix: &[u8]) -> Result<NodeHeader> {
        let mut reader = Reader::new(prefix, "a node");
        let header = NodeHeader {
            serial: reader.u64()?,
            first_record: reader.u64()?,
            base_tick: reader.u64()?,
            end_tick: reader.u64()?,
            records: reader.u64()?,
            level: reader.u32()?,
            children: reader.u32()?,
            chunks: reader.u32()?,
        };
        reader.skip(4)?;
        let children = header.children as usize;
        let level_fits = (1..=LEVEL_MAX).contains(&header.level);
        let leaf_fits = header.level > 1 || header.children == header.chunks;
        if !level_fits || !leaf_fits || children == 0 || children > CHILDREN || header.chunks == 0 {
            return Err(reader.error(ErrorKind::BadValue("a node")));
        }
        Ok(header)
    }
}

/// A node's payload, taken apart; what is compressed is unpacked when somebody asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node<'a> {
    /// The header.
    pub header: NodeHeader,
    view: View<'a>,
}

impl<'a> Node<'a> {
    /// Reads a payload.
    ///
    /// # Errors
    /// Truncated input, values that cannot be.
    pub fn parse(payload: &'a [u8]) -> Result<Node<'a>> {
        let header = NodeHeader::parse(payload)?;
        let view = View::parse(payload.get(HEADER_LEN..).unwrap_or_default())?;
        Ok(Node { header, view })
    }

    /// The figures of all of it.
    pub fn head(&self) -> &Head {
        &self.view.head
    }

    /// What each depth looked like, from the outermost.
    ///
    /// # Errors
    /// Damaged bytes.
    pub fn rows(&self) -> Result<Vec<[Slice; SLICES]>> {
        self.view.rows()
    }

    /// What each function did, by ascending id, and in which children.
    ///
    /// # Errors
    /// Damaged bytes.
    pub fn functions(&self) -> Result<Vec<FunctionSummary>> {
        let all = mask_of(self.header.children as usize);
        Ok(self.view.table(Some(all))?.unwrap_or_default())
    }

    /// The functions, by ascending id, each with the mask of the children in which it did
    /// anything: quicker than [`functions`](Node::functions).
    ///
    /// # Errors
    /// Damaged bytes.
    pub fn masks(&self) -> Result<Vec<(u32, u16)>> {
        self.view.masks(mask_of(self.header.children as usize))
    }

    /// All of it.
    ///
    /// # Errors
    /// Damaged bytes.
    pub fn summary(&self) -> Result<Summary> {
        self.view.all(Some(mask_of(self.header.children as usize)))
    }
}

/// What a node is made of: a chunk or a node of the level below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    header: NodeHeader,
    /// The summary in little room, with every function.
    summary: Vec<u8>,
}

impl Child {
    /// An event chunk of these rows and this summary, which tells functions.
    pub fn of_chunk(serial: u64, rows: &Rows, summary: &Summary) -> Child {
        let header = NodeHeader {
            serial,
            first_record: rows.first_record,
            base_tick: rows.base_tick,
            end_tick: rows.end_tick(),
            records: rows.numbered(),
            level: 0,
            children: 0,
            chunks: 1,
        };
        Child { header, summary: summary.encode_plain() }
    }

    /// A node of this payload.
    ///
    /// # Errors
    /// As [`Node::parse`].
    pub fn of_node(payload: &[u8]) -> Result<Child> {
        let header = Node::parse(payload)?.header;
        Ok(Child { header, summary: payload[HEADER_LEN..].to_vec() })
    }

    fn part(&self) -> Result<Part> {
        let all = (self.header.level > 0).then(|| mask_of(self.header.children as usize));
        let summary = View::parse(&self.summary)?.all(all)?;
        Ok(Part { base: self.header.base_tick, end: self.header.end_tick, summary })
    }
}

/// The payload of the node above `children`, at least one and at most [`CHILDREN`] of one
/// level and thread that follow each other; and its header. `None` if it were too large.
///
/// # Errors
/// A child is damaged.
pub fn encode(children: &[Child]) -> Result<Option<(NodeHeader, Vec<u8>)>> {
    let (Some(first), Some(last)) = (children.first(), children.last()) else { return Ok(None) };
    let header = NodeHeader {
        end_tick: last.header.end_tick,
        records: children.iter().fold(0, |sum, child| child.header.records.saturating_add(sum)),
        level: first.header.level + 1,
        children: children.len() as u32,
        chunks: children.iter().map(|child| child.header.chunks).sum(),
        ..first.header
    };
    let parts: Result<Vec<Part>> = children.iter().map(Child::part).collect();
    let Some(summary) = merge(parts?).encode_node(children.len()) else { return Ok(None) };
    let mut out = Vec::with_capacity(HEADER_LEN + summary.len());
    for field in
        [header.serial, header.first_record, header.base_tick, header.end_tick, header.records]
    {
        out.extend(field.to_le_bytes());
    }
    for field in [header.level, header.children, header.chunks, 0] {
        out.extend(field.to_le_bytes());
    }
    out.extend(summary);
    Ok(Some((header, out)))
}

#[cfg(test)]
mod tests;
