//! A small JSON writer.
//!
//! Names are WTF-8 bytes that Rust's `String` cannot hold, and `events` writes
//! millions of lines a second, so the output is put together by hand: this file
//! keeps the commas and leaves the strings to [`escape`].

use crate::escape;

/// Appends JSON values to a buffer, placing commas as it goes.
#[derive(Debug, Default)]
pub struct Json {
    out: Vec<u8>,
    /// A value was just closed: the next one needs a comma before it.
    comma: bool,
}

impl Json {
    /// An empty buffer.
    pub fn new() -> Self {
        Self::default()
    }

    /// What was written so far.
    pub fn as_bytes(&self) -> &[u8] {
        &self.out
    }

    /// The finished bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    /// Forgets what was written and keeps the memory.
    pub fn clear(&mut self) {
        self.out.clear();
        self.comma = false;
    }

    /// Writes `{…}` with the members that `members` writes.
    pub fn object(&mut self, members: impl FnOnce(&mut Self)) {
        self.open(b'{');
        members(self);
        self.close(b'}');
    }

    /// Writes `[…]` with the values that `values` writes.
    pub fn array(&mut self, values: impl FnOnce(&mut Self)) {
        self.open(b'[');
        values(self);
        self.close(b']');
    }

    /// Opens a bracket by hand, for structures too deep for nested closures.
    pub fn open(&mut self, bracket: u8) {
        self.separate();
        self.out.push(bracket);
        self.comma = false;
    }

    /// Closes what [`open`](Self::open) opened.
    pub fn close(&mut self, bracket: u8) {
        self.out.push(bracket);
        self.comma = true;
    }

    /// Writes a member's key; the next value is its value. Keys are plain ASCII.
    pub fn key(&mut self, key: &str) -> &mut Self {
        self.separate();
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.comma = false;
        self
    }

    /// A text of the traced program.
    pub fn text(&mut self, raw: &[u8]) {
        self.separate();
        escape::push_json(&mut self.out, raw);
        self.comma = true;
    }

    /// A text, or `null`.
    pub fn text_or_null(&mut self, raw: Option<&[u8]>) {
        match raw {
            Some(raw) => self.text(raw),
            None => self.null(),
        }
    }

    /// An unsigned number.
    pub fn uint(&mut self, value: u64) {
        self.separate();
        push_uint(&mut self.out, value);
        self.comma = true;
    }

    /// A number, or `null`.
    pub fn uint_or_null(&mut self, value: Option<u64>) {
        match value {
            Some(value) => self.uint(value),
            None => self.null(),
        }
    }

    /// A signed number.
    pub fn int(&mut self, value: i64) {
        self.separate();
        push_int(&mut self.out, value);
        self.comma = true;
    }

    /// A signed number, or `null`.
    pub fn int_or_null(&mut self, value: Option<i64>) {
        match value {
            Some(value) => self.int(value),
            None => self.null(),
        }
    }

    /// A floating-point number; JSON has none that is not finite, so those are `null`.
    pub fn float(&mut self, value: f64) {
        if value.is_finite() { self.raw(format!("{value:?}").as_bytes()) } else { self.null() }
    }

    /// `true` or `false`.
    pub fn bool(&mut self, value: bool) {
        self.raw(if value { b"true" } else { b"false" });
    }

    /// `null`.
    pub fn null(&mut self) {
        self.raw(b"null");
    }

    /// A value, or a run of members, that is JSON already.
    pub fn raw(&mut self, json: &[u8]) {
        self.separate();
        self.out.extend_from_slice(json);
        self.comma = true;
    }

    /// Ends a line of JSON Lines: the next value stands on its own.
    pub fn newline(&mut self) {
        self.out.push(b'\n');
        self.comma = false;
    }

    fn separate(&mut self) {
        if self.comma {
            self.out.push(b',');
            self.comma = false;
        }
    }
}

/// Appends a number in decimal, without the formatting machinery.
pub fn push_uint(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0u8; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// Appends a signed number in decimal.
pub fn push_int(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    push_uint(out, value.unsigned_abs());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_fall_between_values() {
        let mut json = Json::new();
        json.object(|j| {
            j.key("a").uint(1);
            j.key("b").array(|j| {
                j.null();
                j.array(|_| {});
                j.object(|_| {});
                j.int(i64::MIN);
            });
            j.key("c").float(0.5);
            j.key("d").float(f64::NAN);
            j.key("e").text(b"x\"\xed\xa0\x80");
            j.key("f").bool(true);
        });
        assert_eq!(
            String::from_utf8(json.into_bytes()).unwrap(),
            r#"{"a":1,"b":[null,[],{},-9223372036854775808],"c":0.5,"d":null,"e":"x\"\ud800","f":true}"#
        );
    }

    #[test]
    fn every_number_parses_back() {
        for value in [0, 9, 10, 99, 100, u64::MAX - 1, u64::MAX] {
            let mut out = Vec::new();
            push_uint(&mut out, value);
            assert_eq!(String::from_utf8(out).unwrap().parse::<u64>().unwrap(), value);
        }
    }
}
