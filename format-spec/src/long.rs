//! Long records: what does not fit one word (SPEC section 3.1).

use crate::frame::Frame;
use crate::record::{Cause, Subkind, Word};

/// The longest message of an exception, in bytes.
pub const MESSAGE_MAX: usize = 256;
/// The longest name of a mark, span or counter, in bytes.
pub const TEXT_MAX: usize = 1024;

/// The content of a long record.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Long {
    /// An exception passes a frame.
    Exception {
        /// The function that it passes.
        function: u32,
        /// The line at which it left or was raised.
        line: u32,
        /// The exception's type.
        type_symbol: u32,
        /// The message, WTF-8.
        message: Vec<u8>,
    },
    /// `rtrace.mark`.
    Mark(Vec<u8>),
    /// `rtrace.span` was entered.
    SpanBegin(Vec<u8>),
    /// `rtrace.span` was left.
    SpanEnd(Vec<u8>),
    /// `rtrace.counter`.
    Counter {
        /// The value.
        value: f64,
        /// The counter's name, WTF-8.
        name: Vec<u8>,
    },
    /// Another fiber runs now.
    Switch {
        /// The fiber.
        fiber: u32,
        /// How many frames are open on it.
        depth: u32,
        /// Its innermost frames, innermost last.
        frames: Vec<Frame>,
    },
    /// Events were lost here.
    Lost {
        /// How many; 0 where that is not known.
        count: u64,
        /// Why.
        cause: Cause,
    },
    /// A subkind of a later version, or a payload that does not fit its subkind.
    Unknown(u8),
}

impl Long {
    /// Reads the payload that follows `header`.
    pub fn parse(header: Word, payload: &[u64]) -> Long {
        Long::parse_known(header, payload).unwrap_or(Long::Unknown(header.subkind()))
    }

    fn parse_known(header: Word, payload: &[u64]) -> Option<Long> {
        let low = |word: u64| word as u32;
        let high = |word: u64| (word >> 32) as u32;
        Some(match header.subkind() {
            Subkind::EXCEPTION => Long::Exception {
                function: low(*payload.first()?),
                line: high(payload[0]),
                type_symbol: low(*payload.get(1)?),
                message: text(&payload[2..], high(payload[1]) as usize & 0xFFFF)?,
            },
            Subkind::MARK => Long::Mark(named(payload)?),
            Subkind::SPAN_BEGIN => Long::SpanBegin(named(payload)?),
            Subkind::SPAN_END => Long::SpanEnd(named(payload)?),
            Subkind::COUNTER => Long::Counter {
                value: f64::from_bits(*payload.first()?),
                name: named(&payload[1..])?,
            },
            Subkind::SWITCH => {
                let count = high(*payload.get(1)?) as usize;
                let frames = payload[2..].chunks_exact(2).take(count);
                let frames: Vec<Frame> =
                    frames.map(|pair| Frame { tick: pair[0], word: low(pair[1]) }).collect();
                if frames.len() != count || count > low(payload[1]) as usize {
                    return None;
                }
                Long::Switch { fiber: low(payload[0]), depth: low(payload[1]), frames }
            }
            Subkind::LOST => Long::Lost {
                count: *payload.first()?,
                cause: Cause::from_number(low(*payload.get(1)?)),
            },
            _ => return None,
        })
    }
}

fn named(payload: &[u64]) -> Option<Vec<u8>> {
    text(payload.get(1..)?, usize::try_from(payload[0]).ok()?)
}

fn text(words: &[u64], len: usize) -> Option<Vec<u8>> {
    if len > words.len() * 8 {
        return None;
    }
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.truncate(len);
    Some(bytes)
}

fn push_text(out: &mut Vec<u64>, text: &[u8]) {
    out.extend(text.chunks(8).map(|chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_le_bytes(word)
    }));
}

/// The first at most `max` bytes of a WTF-8 text, cut on a character.
pub fn cut_text(text: &[u8], max: usize) -> &[u8] {
    let mut end = text.len().min(max);
    while end > 0 && end < text.len() && text[end] & 0xC0 == 0x80 {
        end -= 1;
    }
    &text[..end]
}

/// Appends the payload of an `exception`; the message is cut at [`MESSAGE_MAX`].
pub fn encode_exception(
    out: &mut Vec<u64>,
    function: u32,
    line: u32,
    type_symbol: u32,
    message: &[u8],
) {
    let message = cut_text(message, MESSAGE_MAX);
    out.push(u64::from(function) | u64::from(line) << 32);
    out.push(u64::from(type_symbol) | (message.len() as u64) << 32);
    push_text(out, message);
}

/// Appends the payload of a mark, a span's begin or its end; the name is cut at [`TEXT_MAX`].
pub fn encode_named(out: &mut Vec<u64>, name: &[u8]) {
    let name = cut_text(name, TEXT_MAX);
    out.push(name.len() as u64);
    push_text(out, name);
}

/// Appends the payload of a `counter`.
pub fn encode_counter(out: &mut Vec<u64>, value: f64, name: &[u8]) {
    out.push(value.to_bits());
    encode_named(out, name);
}

/// Appends the payload of a `switch`; of `frames` (outermost first) the innermost 120 are kept.
pub fn encode_switch(out: &mut Vec<u64>, fiber: u32, depth: u32, frames: &[Frame]) {
    let kept = &frames[frames.len().saturating_sub(120)..];
    out.push(fiber.into());
    out.push(u64::from(depth) | (kept.len() as u64) << 32);
    for frame in kept {
        out.extend([frame.tick, frame.word.into()]);
    }
}

/// Appends the payload of a `lost`.
pub fn encode_lost(out: &mut Vec<u64>, count: u64, cause: Cause) {
    out.extend([count, u64::from(cause as u32)]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn back(subkind: u8, payload: &[u64]) -> Long {
        Long::parse(Word::long(subkind, payload.len() as u8, 0, 0), payload)
    }

    #[test]
    fn the_longest_payloads_fit_a_header() {
        let mut out = Vec::new();
        encode_counter(&mut out, 1.0, &[b'x'; 5000]);
        assert!(out.len() <= 255);
        out.clear();
        encode_switch(&mut out, 1, 500, &[Frame::default(); 500]);
        assert!(out.len() <= 255);
    }

    #[test]
    fn text_is_cut_on_a_character() {
        assert_eq!(cut_text("aé".as_bytes(), 2), b"a");
        assert_eq!(cut_text("aé".as_bytes(), 3), "aé".as_bytes());
    }

    proptest! {
        #[test]
        fn payloads_come_back(text in "\\PC{0,60}", function: u32, line: u32, type_symbol: u32, value: f64, count: u64) {
            let bytes = text.as_bytes().to_vec();
            let mut out = Vec::new();
            encode_exception(&mut out, function, line, type_symbol, &bytes);
            let message = cut_text(&bytes, MESSAGE_MAX).to_vec();
            prop_assert_eq!(back(Subkind::EXCEPTION, &out), Long::Exception { function, line, type_symbol, message });
            out.clear();
            encode_named(&mut out, &bytes);
            prop_assert_eq!(back(Subkind::MARK, &out), Long::Mark(bytes.clone()));
            out.clear();
            encode_counter(&mut out, value, &bytes);
            prop_assert_eq!(back(Subkind::COUNTER, &out), Long::Counter { value, name: bytes });
            out.clear();
            encode_lost(&mut out, count, Cause::Budget);
            prop_assert_eq!(back(Subkind::LOST, &out), Long::Lost { count, cause: Cause::Budget });
        }

        #[test]
        fn any_payload_gives_something(subkind: u8, payload: Vec<u64>) {
            back(subkind, &payload[..payload.len().min(255)]);
        }
    }
}
