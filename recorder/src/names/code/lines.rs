//! CPython's table of source locations, as far as lines need it.
//!
//! An entry begins with a byte whose top bit is set; its bits 3 to 6 say how the
//! location is stored (CPython's `InternalDocs/code_objects.md`, since 3.11).

/// The line does not move, or by 0 to 2.
const ONE_LINE: std::ops::RangeInclusive<u8> = 10..=12;
const NO_COLUMNS: u8 = 13;
const LONG: u8 = 14;
const NONE: u8 = 15;

/// The entries of a table whose function begins at `first`: the code units of each, and its
/// line; none where it has none.
fn entries(first: u32, table: &[u8]) -> impl Iterator<Item = (usize, Option<i64>)> {
    let mut line = i64::from(first);
    let begins = table.iter().enumerate().filter(|(_, byte)| **byte & 0x80 != 0);
    begins.map(move |(at, &byte)| {
        let units = usize::from(byte & 7) + 1;
        let moved = match byte >> 3 & 15 {
            NONE => return (units, None),
            code if ONE_LINE.contains(&code) => i64::from(code - ONE_LINE.start()),
            NO_COLUMNS | LONG => signed(&table[at + 1..]),
            _ => 0,
        };
        line = line.saturating_add(moved);
        (units, Some(line))
    })
}

/// The greatest line of a table whose function begins at `first`; 0 where it has none.
pub fn last(first: u32, table: &[u8]) -> u32 {
    let lines = entries(first, table).filter_map(|(_, line)| line);
    u32::try_from(lines.max().unwrap_or(0)).unwrap_or(0)
}

/// The line of the instruction at `offset`, in bytes; 0 where it has none.
pub fn at(first: u32, table: &[u8], offset: u32) -> u32 {
    let mut left = offset as usize / 2;
    for (units, line) in entries(first, table) {
        if left < units {
            return line.and_then(|line| u32::try_from(line).ok()).unwrap_or(0);
        }
        left -= units;
    }
    0
}

/// A number in groups of six bits, least significant first, the sign in the lowest bit.
fn signed(bytes: &[u8]) -> i64 {
    let mut value: i64 = 0;
    for (group, &byte) in bytes.iter().take(10).enumerate() {
        value |= i64::from(byte & 63) << (6 * group);
        if byte & 64 == 0 {
            break;
        }
    }
    if value & 1 == 0 { value >> 1 } else { -(value >> 1) }
}

#[cfg(test)]
mod tests {
    use super::{at, last};

    #[test]
    fn tables_made_by_hand() {
        assert_eq!(last(5, &[]), 0);
        // Line 5; two lines on; no location; three lines back (7 << 1 | 1 = sign and value).
        assert_eq!(last(5, &[0x80 | 10 << 3, 0, 0, 0x80 | 12 << 3, 0, 0, 0xF8]), 7);
        let table = [0x80 | 10 << 3 | 1, 0, 0, 0x80 | 12 << 3, 0, 0, 0xF8, 0x80 | 13 << 3, 7];
        let lines: Vec<u32> = (0..6).map(|unit| at(5, &table, 2 * unit)).collect();
        assert_eq!(lines, [5, 5, 7, 0, 4, 0]);
        assert_eq!(last(5, &[0x80 | 13 << 3, 100 & 63 | 64, 100 >> 6, 0xE8, 7]), 55);
    }

    #[test]
    fn no_bytes_are_too_odd() {
        for byte in 0..=255 {
            for len in 0..40 {
                last(u32::MAX, &vec![byte; len]);
                at(u32::MAX, &vec![byte; len], 2 * len as u32);
            }
        }
    }
}
