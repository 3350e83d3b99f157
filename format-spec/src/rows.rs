//! Rows: a run of one thread's records, taken out of whatever held them.
//!
//! A ring segment holds long records with their payload inline, an event chunk
//! keeps payloads in a column of their own. Both decode to [`Rows`], so that
//! everything after the decoder is written once.

use crate::record::{Kind, UNNUMBERED, Word};
use crate::stack::Run;

/// Consecutive records of one thread.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rows {
    /// The tick from which the first delta counts.
    pub base_tick: u64,
    /// The record number of the first numbered record.
    pub first_record: u64,
    /// The record words, headers of long records and `extend` among them.
    pub rows: Vec<u64>,
    /// The payload words of the long records, in order.
    pub payload: Vec<u64>,
}

/// One record of a run; `extend` is folded into the tick and never seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordRef<'a> {
    /// Its place in [`Rows::rows`].
    pub row: usize,
    /// Its record number; of an unnumbered one that of the numbered record that follows.
    pub number: u64,
    /// Whether it is numbered, and so an event.
    pub numbered: bool,
    /// When.
    pub tick: u64,
    /// The word itself.
    pub word: Word,
    /// The payload, of a long record.
    pub payload: &'a [u64],
}

impl Rows {
    /// Every record in order.
    pub fn iter(&self) -> Iter<'_> {
        Iter { rows: self, row: 0, payload: 0, number: self.first_record, tick: self.base_tick }
    }

    /// How many numbered records there are.
    pub fn numbered(&self) -> u64 {
        let unnumbered = |row: &u64| {
            let top = (row >> 32) as u32;
            let long = top >> 28 == 15 && top & u32::from(UNNUMBERED) != 0;
            u64::from(long | (top >> 28 == 12))
        };
        self.rows.len() as u64 - self.rows.iter().map(unnumbered).sum::<u64>()
    }

    /// The record number after the last.
    pub fn end_record(&self) -> u64 {
        self.first_record.saturating_add(self.numbered())
    }

    /// The tick of the last record; the base tick where there is none.
    pub fn end_tick(&self) -> u64 {
        // Without a branch: nearly no row is an `extend`.
        self.rows.iter().fold(self.base_tick, |tick, &row| {
            let word = Word(row);
            let above = if row >> 60 == 12 { u64::from(word.id()) << 32 } else { 0 };
            tick.wrapping_add(above | u64::from(word.delta()))
        })
    }

    /// Splits words as a segment holds them, payloads inline, at the first zero
    /// word or at a long record that the end cuts off. Gives the number of words taken.
    pub fn split(&mut self, words: impl IntoIterator<Item = u64>) -> usize {
        let mut taken = 0;
        let mut owed = 0;
        let before = self.payload.len();
        let mut complete = before;
        for word in words {
            if owed > 0 {
                self.payload.push(word);
                owed -= 1;
            } else if word == 0 {
                break;
            } else {
                self.rows.push(word);
                let word = Word(word);
                if word.kind() == Some(Kind::Long) {
                    owed = word.payload_words();
                }
            }
            taken += 1;
            if owed == 0 {
                complete = self.payload.len();
            }
        }
        if owed > 0 {
            // The writer stores the header last, so this is damage and not a
            // record under way: without its payload the header means nothing.
            taken -= 1 + self.payload.len() - complete;
            self.payload.truncate(complete);
            self.rows.pop();
        }
        taken
    }
}

/// By how much a word moves the clock.
#[inline]
pub fn ticks_of(word: Word) -> u64 {
    if word.0 >> 60 == Kind::Extend as u64 { word.extend_ticks() } else { word.delta().into() }
}

impl<'a> IntoIterator for &'a Rows {
    type Item = RecordRef<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// The records of [`Rows`].
#[derive(Debug, Clone)]
pub struct Iter<'a> {
    rows: &'a Rows,
    row: usize,
    payload: usize,
    number: u64,
    tick: u64,
}

impl Iter<'_> {
    /// The place of the row that is looked at next.
    pub fn row(&self) -> usize {
        self.row
    }

    /// The tick reached.
    pub fn tick(&self) -> u64 {
        self.tick
    }

    /// Passes over what a [`Stack`](crate::Stack) has run through, up to `tick`.
    pub fn pass(&mut self, run: &Run, tick: u64) {
        self.row += run.rows;
        self.payload += run.payload;
        self.number = self.number.wrapping_add((run.rows - run.unnumbered) as u64);
        self.tick = tick;
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = RecordRef<'a>;

    #[inline]
    fn next(&mut self) -> Option<RecordRef<'a>> {
        loop {
            let word = Word(*self.rows.rows.get(self.row)?);
            let row = self.row;
            self.row += 1;
            self.tick = self.tick.wrapping_add(ticks_of(word));
            let mut payload: &[u64] = &[];
            match word.0 >> 60 {
                12 => continue,
                15 => {
                    let end = self.payload + word.payload_words();
                    payload = self.rows.payload.get(self.payload..end).unwrap_or_default();
                    self.payload = end;
                }
                _ => {}
            }
            let number = self.number;
            let numbered = word.is_numbered();
            self.number = number.wrapping_add(numbered.into());
            return Some(RecordRef { row, number, numbered, tick: self.tick, word, payload });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn extends_add_up_and_have_no_number() {
        let rows = Rows {
            base_tick: 100,
            first_record: 7,
            rows: vec![
                Word::extend(1 << 33).0,
                Word::extend(5).0,
                Word::new(Kind::Call, 4, 1).0,
                Word::long(200, 1, UNNUMBERED, 1).0,
                Word::new(Kind::Return, 4, 2).0,
            ],
            payload: vec![99],
        };
        let records: Vec<_> = rows.iter().collect();
        assert_eq!(records.len(), 3);
        assert_eq!((records[0].number, records[0].tick), (7, 100 + (1 << 33) + 5 + 1));
        assert_eq!(
            (records[1].number, records[1].numbered, records[1].payload),
            (8, false, &[99][..])
        );
        assert_eq!((records[2].number, records[2].tick), (8, rows.end_tick()));
        assert_eq!((rows.numbered(), rows.end_record()), (2, 9));
    }

    #[test]
    fn a_long_record_without_its_payload_is_not_taken() {
        let call = Word::new(Kind::Call, 4, 1).0;
        let mut rows = Rows::default();
        assert_eq!(rows.split([call, Word::long(2, 3, 0, 0).0, 1, 1]), 1);
        assert_eq!((rows.rows, rows.payload), (vec![call], vec![]));
    }

    #[test]
    fn zero_ends_the_run_but_not_inside_a_payload() {
        let long = Word::long(5, 2, 0, 0).0;
        let mut rows = Rows::default();
        assert_eq!(rows.split([long, 0, 0, 0, long, 1, 1]), 3);
        assert_eq!((rows.rows, rows.payload), (vec![long], vec![0, 0]));
    }

    proptest! {
        #[test]
        fn figures_are_those_of_the_records(base: u64, rows: Vec<u64>) {
            let rows = Rows { base_tick: base, rows, ..Rows::default() };
            let numbered = rows.rows.iter().filter(|&&row| Word(row).is_numbered()).count();
            prop_assert_eq!(rows.numbered(), numbered as u64);
            let ticks = rows.rows.iter().map(|&row| ticks_of(Word(row)));
            prop_assert_eq!(rows.end_tick(), ticks.fold(base, u64::wrapping_add));
        }
    }
}
