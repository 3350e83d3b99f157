//! CPython's table of source locations, as far as the last line needs it.
//!
//! An entry begins with a byte whose top bit is set; its bits 3 to 6 say how the
//! location is stored (CPython's `InternalDocs/code_objects.md`, since 3.11).

/// The line does not move, or by 0 to 2.
const ONE_LINE: std::ops::RangeInclusive<u8> = 10..=12;
const NO_COLUMNS: u8 = 13;
const LONG: u8 = 14;
const NONE: u8 = 15;

/// The greatest line of a table whose function begins at `first`; 0 where it has none.
pub fn last(first: u32, table: &[u8]) -> u32 {
    let (mut line, mut last) = (i64::from(first), 0);
    for (at, &byte) in table.iter().enumerate().filter(|(_, byte)| **byte & 0x80 != 0) {
        let code = byte >> 3 & 15;
        if code == NONE {
            continue;
        }
        let moved = match code {
            code if ONE_LINE.contains(&code) => i64::from(code - ONE_LINE.start()),
            NO_COLUMNS | LONG => signed(&table[at + 1..]),
            _ => 0,
        };
        line = line.saturating_add(moved);
        last = last.max(line);
    }
    u32::try_from(last).unwrap_or(0)
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
    use super::last;

    #[test]
    fn tables_made_by_hand() {
        assert_eq!(last(5, &[]), 0);
        // Line 5; two lines on; no location; three lines back (7 << 1 | 1 = sign and value).
        assert_eq!(last(5, &[0x80 | 10 << 3, 0, 0, 0x80 | 12 << 3, 0, 0, 0xF8]), 7);
        assert_eq!(last(5, &[0x80 | 13 << 3, 100 & 63 | 64, 100 >> 6, 0xE8, 7]), 55);
    }

    #[test]
    fn no_bytes_are_too_odd() {
        for byte in 0..=255 {
            for len in 0..40 {
                last(u32::MAX, &vec![byte; len]);
            }
        }
    }
}
