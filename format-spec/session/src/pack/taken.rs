//! How much of a segment is in the trace already.
//!
//! Record numbers tell, but records without numbers may stand at the end of
//! what was taken; then the writer before has to be remembered, or guessed.

use rtrace_format::rows::ticks_of;
use rtrace_format::{Kind, Rows, Word};

/// How much of a thread's last lap is in the trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// So many of its rows: it was not sealed when it was read.
    Rows(usize),
    /// As many as the record numbers say, and up to so many unnumbered ones
    /// behind: another process wrote them.
    Numbers {
        /// Unnumbered records at the end of what the trace holds. Some may be of
        /// the lap before.
        behind: usize,
    },
}

impl Taken {
    /// What is taken of a lap that was never read.
    pub(crate) const NOTHING: Taken = Taken::Numbers { behind: 0 };

    /// How many of `rows`, a segment's, are in a trace that goes on with record
    /// number `next` and ends at `end_tick`.
    pub(crate) fn rows_to_skip(self, rows: &Rows, next: u64, end_tick: u64) -> usize {
        let mut behind = match self {
            Taken::Rows(taken) => return taken.min(rows.rows.len()),
            Taken::Numbers { behind } => behind,
        };
        let mut known = next.saturating_sub(rows.first_record);
        if known == 0 && behind == 0 {
            return 0;
        }
        let mut skip = 0;
        let mut tick = rows.base_tick;
        for (i, &row) in rows.rows.iter().enumerate() {
            let word = Word(row);
            tick = tick.wrapping_add(ticks_of(word));
            if word.is_numbered() {
                if known == 0 {
                    break;
                }
                known -= 1;
                skip = i + 1;
            } else if word.kind() == Some(Kind::Long) {
                if known == 0 {
                    if behind == 0 || tick > end_tick {
                        break;
                    }
                    behind -= 1;
                }
                skip = i + 1;
            }
        }
        skip
    }
}

/// How many unnumbered records stand behind the last numbered one.
pub(crate) fn unnumbered_behind(rows: &Rows) -> usize {
    let behind = rows.rows.iter().rev().take_while(|&&row| !Word(row).is_numbered());
    behind.filter(|&&row| Word(row).kind() == Some(Kind::Long)).count()
}
