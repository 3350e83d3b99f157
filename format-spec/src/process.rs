//! Process files: who records into a session, and how each one ended (SPEC section 8).

use crate::bytes::{Reader, crc32, put_at, u64_at};
use crate::error::{Error, ErrorKind, Result};
use crate::meta::Meta;
use crate::record::Cause;
use crate::session::trailing_meta;

/// The first bytes of every process file.
pub const MAGIC: [u8; 8] = *b"RTPROC\r\n";
/// Length of the header, in bytes; the metadata follows it.
pub const HEADER_LEN: usize = 256;
/// State: the parent is about to fork.
pub const FORKING: u64 = 1;
/// State: the process records.
pub const RECORDING: u64 = 2;
/// State: it wrote an end mark.
pub const ENDED: u64 = 3;
/// State: it became another program by `exec`, which records as a process of its own.
pub const REPLACED: u64 = 4;

/// How many causes of loss a process counts for itself: the numbers 1 to 8.
pub const CAUSES: usize = 8;

/// Where each field of the header lies.
pub mod field {
    #![allow(missing_docs, reason = "the table in SPEC.md section 8 says what each one is")]
    pub const MAGIC: usize = 0;
    pub const NUMBER: usize = 8;
    pub const PID: usize = 12;
    pub const PARENT: usize = 16;
    pub const PPID: usize = 20;
    pub const START_TIME: usize = 24;
    pub const STATE: usize = 32;
    pub const END_TICK: usize = 40;
    pub const EXIT_CODE: usize = 48;
    pub const EXIT_KNOWN: usize = 52;
    pub const LOST: usize = 56;
    pub const META_LEN: usize = 64;
    pub const META_CRC: usize = 72;
    pub const PACKED: usize = 80;
    pub const OVERWRITTEN_THREADS: usize = 88;
    pub const OVERWRITTEN_EVENTS: usize = 96;
    pub const EVENT_COST: usize = 104;
    pub const C_EVENT_COST: usize = 112;
    pub const FILTERED: usize = 120;
    pub const CLOSED_SITES: usize = 128;
    pub const LOST_CAUSES: usize = 192;
}

/// A process file as read.
#[derive(Debug, Clone, PartialEq)]
pub struct ProcessHeader {
    /// Its number in the session; 0 is the first.
    pub number: u32,
    /// Its pid; 0 while the fork is under way.
    pub pid: u32,
    /// The number of its parent, if that is of the session.
    pub parent: Option<u32>,
    /// The pid of its parent.
    pub ppid: u32,
    /// Field 22 of `/proc/<pid>/stat`.
    pub start_time: u64,
    /// [`FORKING`], [`RECORDING`], [`ENDED`] or [`REPLACED`].
    pub state: u64,
    /// When it wrote its end mark, in ticks.
    pub end_tick: u64,
    /// Its exit code, where it is known.
    pub exit_code: Option<i32>,
    /// Events lost in threads that had no ring.
    pub lost: u64,
    /// How many of them were lost for each cause, by its number minus 1.
    pub lost_causes: [u64; CAUSES],
    /// Ended threads whose rings it gave up for others.
    pub overwritten_threads: u64,
    /// Their events.
    pub overwritten_events: u64,
    /// What the recorder measured that an event of Python code costs, in picoseconds; 0 where
    /// it did not measure.
    pub event_cost_ps: u64,
    /// The same for an event of a C call.
    pub c_event_cost_ps: u64,
    /// Functions that were seen and are not recorded, by the filters.
    pub filtered: u64,
    /// Places that call C functions and are not looked at any more, to keep the budget.
    pub closed_sites: u64,
    /// What is said of the process.
    pub meta: Meta,
}

impl ProcessHeader {
    /// The causes for which events were lost in threads that had no ring, and how many;
    /// what was counted for none is the budget's.
    pub fn losses(&self) -> impl Iterator<Item = (Cause, u64)> {
        let known: u64 = self.lost_causes.iter().fold(0, |sum, &count| sum.saturating_add(count));
        let rest = (Cause::Budget, self.lost.saturating_sub(known));
        let named = self.lost_causes.iter().enumerate();
        let named = named.map(|(i, &count)| (Cause::from_number(i as u32 + 1), count));
        named.chain([rest]).filter(|&(_, count)| count > 0)
    }

    /// The bytes of a process file.
    pub fn encode(&self) -> Vec<u8> {
        let meta = self.meta.encode();
        let mut file = vec![0; HEADER_LEN];
        put_at(&mut file, field::MAGIC, &MAGIC);
        put_at(&mut file, field::NUMBER, &self.number.to_le_bytes());
        put_at(&mut file, field::PID, &self.pid.to_le_bytes());
        let parent = self.parent.map_or(0, |number| number.wrapping_add(1));
        put_at(&mut file, field::PARENT, &parent.to_le_bytes());
        put_at(&mut file, field::PPID, &self.ppid.to_le_bytes());
        put_at(&mut file, field::START_TIME, &self.start_time.to_le_bytes());
        put_at(&mut file, field::STATE, &self.state.to_le_bytes());
        put_at(&mut file, field::END_TICK, &self.end_tick.to_le_bytes());
        put_at(&mut file, field::EXIT_CODE, &self.exit_code.unwrap_or(0).to_le_bytes());
        let known = u32::from(self.exit_code.is_some());
        put_at(&mut file, field::EXIT_KNOWN, &known.to_le_bytes());
        put_at(&mut file, field::LOST, &self.lost.to_le_bytes());
        let (threads, events) = (self.overwritten_threads, self.overwritten_events);
        put_at(&mut file, field::OVERWRITTEN_THREADS, &threads.to_le_bytes());
        put_at(&mut file, field::OVERWRITTEN_EVENTS, &events.to_le_bytes());
        put_at(&mut file, field::EVENT_COST, &self.event_cost_ps.to_le_bytes());
        put_at(&mut file, field::C_EVENT_COST, &self.c_event_cost_ps.to_le_bytes());
        put_at(&mut file, field::FILTERED, &self.filtered.to_le_bytes());
        put_at(&mut file, field::CLOSED_SITES, &self.closed_sites.to_le_bytes());
        for (i, count) in self.lost_causes.iter().enumerate() {
            put_at(&mut file, field::LOST_CAUSES + i * 8, &count.to_le_bytes());
        }
        put_at(&mut file, field::META_LEN, &(meta.len() as u64).to_le_bytes());
        put_at(&mut file, field::META_CRC, &crc32(&meta).to_le_bytes());
        file.extend(meta);
        file
    }

    /// Reads a process file.
    ///
    /// # Errors
    /// Missing magic, truncated header, damaged metadata.
    pub fn parse(file: &[u8]) -> Result<ProcessHeader> {
        let mut reader = Reader::new(file, "a process file");
        if reader.take(8)? != MAGIC {
            return Err(Error::new(ErrorKind::BadMagic("a process file"), 0));
        }
        let (number, pid) = (reader.u32()?, reader.u32()?);
        let (parent, ppid) = (reader.u32()?, reader.u32()?);
        let (start_time, state, end_tick) = (reader.u64()?, reader.u64()?, reader.u64()?);
        let (exit_code, exit_known) = (reader.u32()? as i32, reader.u32()?);
        Ok(ProcessHeader {
            number,
            pid,
            parent: parent.checked_sub(1),
            ppid,
            start_time,
            state,
            end_tick,
            exit_code: (exit_known == 1).then_some(exit_code),
            lost: reader.u64()?,
            lost_causes: std::array::from_fn(|i| {
                u64_at(file, field::LOST_CAUSES + i * 8).unwrap_or(0)
            }),
            overwritten_threads: u64_at(file, field::OVERWRITTEN_THREADS).unwrap_or(0),
            overwritten_events: u64_at(file, field::OVERWRITTEN_EVENTS).unwrap_or(0),
            event_cost_ps: u64_at(file, field::EVENT_COST).unwrap_or(0),
            c_event_cost_ps: u64_at(file, field::C_EVENT_COST).unwrap_or(0),
            filtered: u64_at(file, field::FILTERED).unwrap_or(0),
            closed_sites: u64_at(file, field::CLOSED_SITES).unwrap_or(0),
            meta: trailing_meta(file, field::META_LEN, HEADER_LEN)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::Value;
    use proptest::prelude::*;

    #[test]
    fn process_files_come_back() {
        let mut meta = Meta::default();
        meta.set("argv", Value::List(vec![b"app.py".to_vec(), b"-v".to_vec()]));
        let process = ProcessHeader {
            number: 1,
            pid: 2,
            parent: Some(0),
            ppid: 3,
            start_time: 4,
            state: ENDED,
            end_tick: 5,
            exit_code: Some(-9),
            lost: 6,
            lost_causes: [0, 1, 2, 0, 0, 0, 3, 0],
            overwritten_threads: 7,
            overwritten_events: 8,
            event_cost_ps: 9,
            c_event_cost_ps: 10,
            filtered: 11,
            closed_sites: 12,
            meta,
        };
        assert_eq!(ProcessHeader::parse(&process.encode()), Ok(process));
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_result_or_an_error(mut bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let _ = ProcessHeader::parse(&bytes);
            if bytes.len() > 8 {
                bytes[..8].copy_from_slice(&MAGIC);
                let _ = ProcessHeader::parse(&bytes);
            }
        }
    }
}
