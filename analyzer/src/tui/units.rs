//! Times, durations and numbers as people read them, and times as people type them.

/// A duration with about three digits: `612 ms`, `1.21 s`, `18m04s`.
pub fn duration(ns: u64, ascii: bool) -> String {
    let micro = if ascii { "us" } else { "µs" };
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..999_500 => three(ns as f64 / 1e3, micro),
        999_500..999_500_000 => three(ns as f64 / 1e6, "ms"),
        999_500_000..59_950_000_000 => three(ns as f64 / 1e9, "s"),
        _ => {
            let seconds = (ns + 500_000_000) / 1_000_000_000;
            let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
            if h > 0 { format!("{h}h{m:02}m") } else { format!("{m}m{s:02}s") }
        }
    }
}

fn three(value: f64, unit: &str) -> String {
    if value < 9.995 {
        format!("{value:.2} {unit}")
    } else if value < 99.95 {
        format!("{value:.1} {unit}")
    } else {
        format!("{value:.0} {unit}")
    }
}

/// A moment to the nanosecond, in groups: `12.611 204 331 s`.
pub fn moment(ns: i64) -> String {
    let sign = if ns < 0 { "-" } else { "" };
    let ns = ns.unsigned_abs();
    let (s, f) = (ns / 1_000_000_000, ns % 1_000_000_000);
    format!("{sign}{s}.{:03} {:03} {:03} s", f / 1_000_000, f / 1_000 % 1_000, f % 1_000)
}

/// A moment with as many decimals as steps of `step` nanoseconds need: `12.61s`.
pub fn moment_for(ns: i64, step: i64) -> String {
    let mut decimals = 0;
    let mut unit = 1_000_000_000;
    while unit > step.max(1) {
        unit /= 10;
        decimals += 1;
    }
    let sign = if ns < 0 { "-" } else { "" };
    let ns = ns.unsigned_abs();
    let (s, f) = (ns / 1_000_000_000, ns % 1_000_000_000);
    if decimals == 0 {
        return format!("{sign}{s}s");
    }
    let digits = format!("{f:09}");
    format!("{sign}{s}.{}s", &digits[..decimals])
}

/// A whole number in groups of three: `12 034`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

/// A number in at most five characters: `812`, `61.2k`, `1.02G`.
pub fn short(n: u64) -> String {
    let scaled = |div: f64, unit: &str| {
        let value = n as f64 / div;
        if value < 9.995 {
            format!("{value:.2}{unit}")
        } else if value < 99.95 {
            format!("{value:.1}{unit}")
        } else {
            format!("{value:.0}{unit}")
        }
    };
    match n {
        0..10_000 => n.to_string(),
        10_000..999_500 => scaled(1e3, "k"),
        999_500..999_500_000 => scaled(1e6, "M"),
        _ => scaled(1e9, "G"),
    }
}

/// A place in time as typed at the goto prompt: `12.5s`, `800ms`, `+3ms`, `-2us`, `50%`; a bare
/// number is seconds.
///
/// # Errors
///
/// A sentence that says what was expected.
pub fn parse_goto(text: &str, caret: i64, begin: i64, end: i64) -> Result<i64, String> {
    const WANTED: &str = "a time like 12.5s, 800ms, +3ms, -2us or 50%";
    let text = text.trim();
    if let Some(percent) = text.strip_suffix('%') {
        let share: f64 = percent.trim().parse().map_err(|_| format!("{text}: not {WANTED}"))?;
        if !(0.0..=100.0).contains(&share) {
            return Err(format!("{text}: not between 0% and 100%"));
        }
        return Ok(begin + ((end - begin) as f64 * share / 100.0) as i64);
    }
    let (sign, rest) = match text.as_bytes().first() {
        Some(b'+') => (1, &text[1..]),
        Some(b'-') => (-1, &text[1..]),
        _ => (0, text),
    };
    let split = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let (number, unit) = rest.split_at(split);
    let scale = match unit.trim() {
        "" | "s" => 1e9,
        "ms" => 1e6,
        "us" | "µs" => 1e3,
        "ns" => 1.0,
        "m" | "min" => 60e9,
        _ => return Err(format!("{text}: not {WANTED}")),
    };
    let value: f64 = number.parse().map_err(|_| format!("{text}: not {WANTED}"))?;
    // Saturating: a float that is too large becomes the greatest i64, and the camera clamps it.
    let ns = (value * scale).round() as i64;
    Ok(match sign {
        0 => ns,
        sign => caret.saturating_add(ns.saturating_mul(sign)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_three_digits_and_a_unit() {
        let shown: Vec<String> =
            [0, 999, 1_000, 41_200, 999_499, 999_500, 41_200_000, 1_210_000_000, 59_949_999_999]
                .iter()
                .map(|&ns| duration(ns, true))
                .collect();
        let want = [
            "0 ns", "999 ns", "1.00 us", "41.2 us", "999 us", "1.00 ms", "41.2 ms", "1.21 s",
            "59.9 s",
        ];
        assert_eq!(shown, want);
        assert_eq!(duration(1_084_000_000_000, false), "18m04s");
        assert_eq!(duration(7_500_000_000_000, false), "2h05m");
        assert_eq!(duration(41_200, false), "41.2 µs");
    }

    #[test]
    fn moments_and_counts_are_grouped() {
        assert_eq!(moment(12_611_204_331), "12.611 204 331 s");
        assert_eq!(moment(-5), "-0.000 000 005 s");
        assert_eq!(moment_for(12_600_000_000, 200_000_000), "12.6s");
        assert_eq!(moment_for(13_000_000_000, 1_000_000_000), "13s");
        assert_eq!(count(1_234_567), "1 234 567");
        assert_eq!(
            (short(9_999), short(61_204), short(1_020_000_000)),
            ("9999".into(), "61.2k".into(), "1.02G".into())
        );
    }

    #[test]
    fn goto_takes_what_people_type() {
        let goto = |text| parse_goto(text, 1_000, 0, 2_000_000);
        assert_eq!(goto("12.5s"), Ok(12_500_000_000));
        assert_eq!(goto("800ms"), Ok(800_000_000));
        assert_eq!(goto("+3us"), Ok(4_000));
        assert_eq!(goto("-1us"), Ok(0));
        assert_eq!(goto("50%"), Ok(1_000_000));
        assert_eq!(goto("2"), Ok(2_000_000_000));
        for bad in ["", "soon", "3 parsecs", "200%", "é", "+é", "1.2.3s", "%"] {
            assert!(goto(bad).is_err(), "{bad}");
        }
    }
}
