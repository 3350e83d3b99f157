//! The one way by which a text of the traced program reaches a terminal or JSON.
//!
//! Names, file names, thread names and messages are chosen by whoever wrote (or
//! attacked) the traced program. Printed as they are they could move the cursor,
//! set the clipboard, hide themselves behind bidirectional overrides, or be no
//! Unicode at all: a Python `str` may hold lone surrogates, which the format keeps
//! as WTF-8. Everything here therefore takes *bytes* and gives text in which every
//! such character stands as a `\uXXXX` escape, the same in text and in JSON.

use std::borrow::Cow;

/// One code point of a WTF-8 text, or a byte that belongs to none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// An ordinary character.
    Char(char),
    /// A surrogate U+D800..U+DFFF that stands alone.
    Surrogate(u16),
    /// A byte that is not part of any code point; damaged data only.
    Invalid,
}

/// Splits a WTF-8 text into its code points; never fails.
pub fn units(raw: &[u8]) -> impl Iterator<Item = Unit> + '_ {
    let mut rest = raw;
    std::iter::from_fn(move || {
        let (unit, len) = first_unit(rest)?;
        rest = rest.get(len..).unwrap_or(&[]);
        Some(unit)
    })
}

/// The first code point of `raw` and its length in bytes.
fn first_unit(raw: &[u8]) -> Option<(Unit, usize)> {
    let first = *raw.first()?;
    let continuation =
        |i: usize| raw.get(i).filter(|b| **b & 0xC0 == 0x80).map(|b| u32::from(*b & 0x3F));
    let decoded = match first {
        0x00..=0x7F => Some((u32::from(first), 1)),
        0xC2..=0xDF => continuation(1).map(|a| ((u32::from(first & 0x1F) << 6) | a, 2)),
        0xE0..=0xEF => match (continuation(1), continuation(2)) {
            (Some(a), Some(b)) => Some(((u32::from(first & 0x0F) << 12) | (a << 6) | b, 3)),
            _ => None,
        },
        0xF0..=0xF4 => match (continuation(1), continuation(2), continuation(3)) {
            (Some(a), Some(b), Some(c)) => {
                Some(((u32::from(first & 0x07) << 18) | (a << 12) | (b << 6) | c, 4))
            }
            _ => None,
        },
        _ => None,
    };
    // An overlong form is refused, so that no character has a second spelling.
    Some(match decoded {
        Some((code, 3)) if code < 0x800 => (Unit::Invalid, 1),
        Some((code, 4)) if code < 0x1_0000 => (Unit::Invalid, 1),
        Some((code @ 0xD800..=0xDFFF, len)) => (Unit::Surrogate(code as u16), len),
        Some((code, len)) => match char::from_u32(code) {
            Some(c) => (Unit::Char(c), len),
            None => (Unit::Invalid, 1),
        },
        None => (Unit::Invalid, 1),
    })
}

/// Whether `c` must not be printed: controls (C0, DEL, C1), format characters
/// (category Cf, which holds all bidirectional controls and the zero-width ones)
/// and the two line separators.
pub fn is_unprintable(c: char) -> bool {
    matches!(c,
        '\0'..='\x1F' | '\x7F'..='\u{9F}' | '\u{AD}'
        | '\u{600}'..='\u{605}' | '\u{61C}' | '\u{6DD}' | '\u{70F}'
        | '\u{890}'..='\u{891}' | '\u{8E2}' | '\u{180E}'
        | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
        | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}'
        | '\u{110BD}' | '\u{110CD}' | '\u{13430}'..='\u{1343F}'
        | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}'
        | '\u{E0001}' | '\u{E0020}'..='\u{E007F}')
}

/// `raw` as text for a terminal. Borrows where nothing needs an escape.
///
/// ```
/// # use rtrace_analyzer::escape::text;
/// assert_eq!(text(b"handle"), "handle");
/// assert_eq!(text(b"\x1b]0;pwned\x07"), r"\u001b]0;pwned\u0007");
/// assert_eq!(text(b"\xed\xa0\x80"), r"\ud800");
/// ```
pub fn text(raw: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(raw)
        && !text.chars().any(is_unprintable)
    {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(raw.len() + 16);
    for unit in units(raw) {
        match unit {
            Unit::Char(c) if !is_unprintable(c) => out.push(c),
            Unit::Char(c) => push_escape(&mut out, c),
            Unit::Surrogate(code) => push_code(&mut out, code),
            Unit::Invalid => out.push(char::REPLACEMENT_CHARACTER),
        }
    }
    Cow::Owned(out)
}

/// Appends `raw` to `out` as a JSON string, quotes included.
///
/// The string parses back to the very code points of `raw`: lone surrogates too,
/// in every parser that admits them, as Python's does.
pub fn push_json(out: &mut Vec<u8>, raw: &[u8]) {
    out.push(b'"');
    // Nearly every name is plain ASCII.
    if raw.iter().all(|b| matches!(b, 0x20..=0x7E) && *b != b'"' && *b != b'\\') {
        out.extend_from_slice(raw);
    } else {
        let mut text = String::with_capacity(raw.len() + 16);
        for unit in units(raw) {
            match unit {
                Unit::Char(c @ ('"' | '\\')) => text.extend(['\\', c]),
                Unit::Char(c) if !is_unprintable(c) => text.push(c),
                Unit::Char(c) => push_escape(&mut text, c),
                Unit::Surrogate(code) => push_code(&mut text, code),
                Unit::Invalid => text.push(char::REPLACEMENT_CHARACTER),
            }
        }
        out.extend_from_slice(text.as_bytes());
    }
    out.push(b'"');
}

/// `\uXXXX`, twice (a surrogate pair, as JSON has it) beyond the first plane.
fn push_escape(out: &mut String, c: char) {
    for code in c.encode_utf16(&mut [0; 2]) {
        push_code(out, *code);
    }
}

fn push_code(out: &mut String, code: u16) {
    out.push_str("\\u");
    for shift in [12, 8, 4, 0] {
        out.push(char::from_digit(u32::from(code >> shift) & 0xF, 16).unwrap_or('0'));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn plain_text_is_borrowed() {
        assert!(matches!(text("naïve 函数".as_bytes()), Cow::Borrowed("naïve 函数")));
    }

    #[test]
    fn controls_bidi_and_surrogates_are_escaped() {
        assert_eq!(text("a\u{202E}b\u{85}\n".as_bytes()), r"a\u202eb\u0085\u000a");
        assert_eq!(text("\u{E0001}".as_bytes()), r"\udb40\udc01");
        assert_eq!(text(b"x\xed\xbf\xbfy"), r"x\udfffy");
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced_one_by_one() {
        // An overlong slash, a lone continuation, a cut sequence.
        assert_eq!(text(b"\xc0\xaf\x80\xe2\x82"), "\u{FFFD}".repeat(5));
    }

    #[test]
    fn json_escapes_quotes_and_backslashes() {
        let mut out = Vec::new();
        push_json(&mut out, br#"a"b\c"#);
        assert_eq!(out, br#""a\"b\\c""#);
        out.clear();
        push_json(&mut out, b"\xed\xa0\x80\x1b");
        assert_eq!(out, br#""\ud800\u001b""#);
    }

    proptest! {
        #[test]
        fn json_parses_back(name in any::<String>()) {
            let mut out = Vec::new();
            push_json(&mut out, name.as_bytes());
            let back: String = serde_json::from_slice(&out).unwrap();
            prop_assert_eq!(back, name);
        }

        #[test]
        fn nothing_unprintable_gets_through(raw in proptest::collection::vec(any::<u8>(), 0..64)) {
            let shown = text(&raw).into_owned();
            prop_assert!(!shown.chars().any(is_unprintable));
            let mut out = Vec::new();
            push_json(&mut out, &raw);
            let shown = String::from_utf8(out).unwrap();
            prop_assert!(!shown.chars().any(is_unprintable));
        }
    }
}
