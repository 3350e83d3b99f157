//! Metadata: a list of keys and tagged values, open at the end for new keys.

use bincode::{Decode, Encode};

use crate::error::{Error, ErrorKind, Result};
use crate::wire;

/// One value of the metadata (SPEC section 2.1).
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum Value {
    /// An unsigned number.
    U64(u64),
    /// A signed number.
    I64(i64),
    /// A real number.
    F64(f64),
    /// Yes or no.
    Bool(bool),
    /// WTF-8 text.
    Text(Vec<u8>),
    /// A list of WTF-8 texts.
    List(Vec<Vec<u8>>),
}

impl Value {
    /// A text value.
    pub fn text(text: impl AsRef<[u8]>) -> Value {
        Value::Text(text.as_ref().to_vec())
    }
}

/// An ordered list of keys and values; of a key that occurs twice, the later holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Meta {
    entries: Vec<(String, Value)>,
}

impl Meta {
    /// Every key and value, in order.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.entries.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entries.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// Sets `key`, in its old place if it had one.
    pub fn set(&mut self, key: &str, value: Value) {
        match self.entries.iter_mut().rev().find(|(name, _)| name == key) {
            Some((_, old)) => *old = value,
            None => self.entries.push((key.to_owned(), value)),
        }
    }

    /// Sets every key of `other` here.
    pub fn merge(&mut self, other: &Meta) {
        for (key, value) in other.entries() {
            self.set(key, value.clone());
        }
    }

    /// The WTF-8 text of `key`.
    pub fn get_text(&self, key: &str) -> Option<&[u8]> {
        match self.get(key)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The unsigned number of `key`.
    pub fn get_u64(&self, key: &str) -> Option<u64> {
        match *self.get(key)? {
            Value::U64(number) => Some(number),
            _ => None,
        }
    }

    /// The real number of `key`.
    pub fn get_f64(&self, key: &str) -> Option<f64> {
        match *self.get(key)? {
            Value::F64(number) => Some(number),
            _ => None,
        }
    }

    /// The number of `key`, signed or not.
    pub fn get_i64(&self, key: &str) -> Option<i64> {
        match *self.get(key)? {
            Value::I64(number) => Some(number),
            Value::U64(number) => i64::try_from(number).ok(),
            _ => None,
        }
    }

    /// The yes or no of `key`.
    pub fn get_bool(&self, key: &str) -> Option<bool> {
        match *self.get(key)? {
            Value::Bool(yes) => Some(yes),
            _ => None,
        }
    }

    /// The list of `key`.
    pub fn get_list(&self, key: &str) -> Option<&[Vec<u8>]> {
        match self.get(key)? {
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    /// The bytes of the list.
    pub fn encode(&self) -> Vec<u8> {
        let entries: Vec<(&[u8], &Value)> =
            self.entries.iter().map(|(key, value)| (key.as_bytes(), value)).collect();
        wire::encode(&entries)
    }

    /// The list that `bytes` begin with; what follows it is not looked at.
    ///
    /// # Errors
    /// Truncated or impossible bytes, or a key that is not UTF-8.
    pub fn decode(bytes: &[u8]) -> Result<Meta> {
        let (entries, _) = wire::decode::<Vec<(Vec<u8>, Value)>>(bytes, "the metadata")?;
        let mut meta = Meta::default();
        for (key, value) in entries {
            let key = String::from_utf8(key)
                .map_err(|_| Error::new(ErrorKind::BadValue("a metadata key"), 0))?;
            meta.set(&key, value);
        }
        Ok(meta)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_bytes_are_those_of_the_spec() {
        let mut meta = Meta::default();
        meta.set("pid", Value::U64(258));
        meta.set("mode", Value::text("full"));
        let expected: Vec<u8> = [
            &2u64.to_le_bytes()[..],
            &3u64.to_le_bytes(),
            b"pid",
            &0u32.to_le_bytes(),
            &258u64.to_le_bytes(),
            &4u64.to_le_bytes(),
            b"mode",
            &4u32.to_le_bytes(),
            &4u64.to_le_bytes(),
            b"full",
        ]
        .concat();
        assert_eq!(meta.encode(), expected);
        assert_eq!(Meta::decode(&expected), Ok(meta));
    }

    #[test]
    fn a_length_beyond_the_input_allocates_nothing() {
        assert!(Meta::decode(&u64::MAX.to_le_bytes()).is_err());
        let mut many = 1_000_000u64.to_le_bytes().to_vec();
        many.extend([0; 64]);
        assert!(Meta::decode(&many).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_result_or_an_error(bytes: Vec<u8>) {
            let _ = Meta::decode(&bytes);
        }
    }
}
