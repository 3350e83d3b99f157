//! Times as people write and read them.
//!
//! Inside, every time is a tick and every sum is made in ticks; this file turns
//! `12.5s` into nanoseconds on the way in, and nanoseconds into `12.5 s` or RFC 3339
//! on the way out.

use std::fmt;

/// Why a text is no time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeError {
    /// No unit, or an unknown one.
    Unit,
    /// The part before the unit is no decimal.
    Number,
    /// More nanoseconds than 63 bits hold (292 years).
    Range,
}

impl fmt::Display for TimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unit => "a time needs a unit: ns, us, ms or s, as in 12.5s",
            Self::Number => "a time is a decimal and a unit, as in 12.5s or 10us",
            Self::Range => "this time is beyond what a trace can hold",
        })
    }
}

impl std::error::Error for TimeError {}

/// Parses a decimal with a unit (`12.5s`, `10us`) into nanoseconds; digits below a
/// nanosecond are cut off.
///
/// ```
/// # use rtrace_analyzer::time::parse_ns;
/// assert_eq!(parse_ns("12.5s"), Ok(12_500_000_000));
/// assert!(parse_ns("12").is_err());
/// ```
pub fn parse_ns(text: &str) -> Result<i64, TimeError> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == 'µ');
    let scale: u32 = match &text[digits.len()..] {
        "ns" => 0,
        "us" | "µs" => 3,
        "ms" => 6,
        "s" => 9,
        _ => return Err(TimeError::Unit),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return Err(TimeError::Number);
    }
    if !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return Err(TimeError::Number);
    }
    let mut ns: i64 = 0;
    let kept = fraction.bytes().chain(std::iter::repeat(b'0')).take(scale as usize);
    for digit in whole.bytes().chain(kept) {
        ns = ns
            .checked_mul(10)
            .and_then(|n| n.checked_add(i64::from(digit - b'0')))
            .ok_or(TimeError::Range)?;
    }
    Ok(ns)
}

/// A duration for people: three significant digits and a unit, at most 8 columns
/// (`812 ns`, `1.50 ms`, `12.5 s`, `3m04s`, `2h10m`).
pub fn human(ns: u64) -> String {
    const US: u64 = 1_000;
    const MS: u64 = 1_000_000;
    const S: u64 = 1_000_000_000;
    match ns {
        0 => "0".to_owned(),
        1..US => format!("{ns} ns"),
        // The bounds lie below the next unit by half of the last digit shown, so
        // that 999.6 us becomes 1.00 ms and not 1000 us.
        US..999_500 => format!("{} us", three_digits(ns, US)),
        999_500..999_500_000 => format!("{} ms", three_digits(ns, MS)),
        999_500_000..99_950_000_000 => format!("{} s", three_digits(ns, S)),
        _ => {
            let s = ns / S;
            match s {
                0..3600 => format!("{}m{:02}s", s / 60, s % 60),
                3600..86_400 => format!("{}h{:02}m", s / 3600, s % 3600 / 60),
                _ => format!("{}d{:02}h", s / 86_400, s % 86_400 / 3600),
            }
        }
    }
}

fn three_digits(ns: u64, unit: u64) -> String {
    let value = ns as f64 / unit as f64;
    match value {
        v if v < 9.995 => format!("{v:.2}"),
        v if v < 99.95 => format!("{v:.1}"),
        v => format!("{v:.0}"),
    }
}

/// A point in time since the trace began, in seconds with nine decimals
/// (`12.345678901`).
pub fn seconds(ns: i64) -> String {
    let (sign, ns) = if ns < 0 { ("-", ns.unsigned_abs()) } else { ("", ns.unsigned_abs()) };
    format!("{sign}{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000)
}

/// Nanoseconds since the Unix epoch as RFC 3339 in UTC, with microseconds.
///
/// ```
/// # use rtrace_analyzer::time::rfc3339;
/// assert_eq!(rfc3339(1_456_704_000_000_001_000), "2016-02-29T00:00:00.000001Z");
/// ```
pub fn rfc3339(epoch_ns: i64) -> String {
    let micros = epoch_ns.div_euclid(1_000);
    let seconds = micros.div_euclid(1_000_000);
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    let of_day = seconds.rem_euclid(86_400);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:06}Z",
        of_day / 3600,
        of_day % 3600 / 60,
        of_day % 60,
        micros.rem_euclid(1_000_000)
    )
}

/// Days since the epoch as a Gregorian date. Years are counted from 1 March of
/// year 0, so that the leap day ends a year and needs no case of its own.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_with_a_unit() {
        for (text, ns) in [
            ("0s", 0),
            ("10us", 10_000),
            ("1.5ms", 1_500_000),
            (".5s", 500_000_000),
            ("5.s", 5_000_000_000),
            ("1.9ns", 1),
            ("0.1234567899s", 123_456_789),
        ] {
            assert_eq!(parse_ns(text), Ok(ns), "{text}");
        }
    }

    #[test]
    fn what_is_no_time() {
        for (text, error) in [
            ("", TimeError::Unit),
            ("10", TimeError::Unit),
            ("10m", TimeError::Unit),
            ("10 s", TimeError::Number),
            ("s", TimeError::Number),
            (".s", TimeError::Number),
            ("-1s", TimeError::Number),
            ("1e3s", TimeError::Number),
            ("1.2.3s", TimeError::Number),
            ("99999999999999999999s", TimeError::Range),
        ] {
            assert_eq!(parse_ns(text), Err(error), "{text}");
        }
    }

    #[test]
    fn durations_for_people() {
        for (ns, text) in [
            (0, "0"),
            (999, "999 ns"),
            (1_000, "1.00 us"),
            (999_499, "999 us"),
            (999_600, "1.00 ms"),
            (12_345_678, "12.3 ms"),
            (99_949_000_000, "99.9 s"),
            (99_960_000_000, "1m39s"),
            (7_805_000_000_000, "2h10m"),
            (u64::MAX, "213503d23h"),
        ] {
            assert_eq!(human(ns), text);
        }
    }

    #[test]
    fn dates() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(rfc3339(-1), "1969-12-31T23:59:59.999999Z");
        assert_eq!(rfc3339(951_782_399_999_999_999), "2000-02-28T23:59:59.999999Z");
        assert_eq!(rfc3339(1_709_251_199_000_000_000), "2024-02-29T23:59:59.000000Z");
        assert_eq!(rfc3339(4_107_542_400_000_000_000), "2100-03-01T00:00:00.000000Z");
    }

    #[test]
    fn seconds_keep_every_nanosecond() {
        assert_eq!(seconds(12_000_000_001), "12.000000001");
        assert_eq!(seconds(-5), "-0.000000005");
    }
}
