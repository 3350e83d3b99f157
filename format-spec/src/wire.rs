//! The only file that touches `bincode`: structured values (SPEC section 2.1).
//!
//! The crate was asked for by the project's user and is no longer maintained;
//! its bytes are written out in the SPEC, so that leaving it one day changes
//! this file and nothing else. Events never pass through here.

use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use bincode::{Decode, Encode};

use crate::error::{Error, ErrorKind, Result};

/// No metadata or symbol is larger, so that no length field can ask for more.
pub(crate) const MAX_VALUE: usize = 1 << 24;

type Config = Configuration<LittleEndian, Fixint, Limit<MAX_VALUE>>;

const CONFIG: Config =
    bincode::config::standard().with_fixed_int_encoding().with_limit::<MAX_VALUE>();

/// The bytes of `value`; empty if it is larger than [`MAX_VALUE`].
pub(crate) fn encode<T: Encode>(value: &T) -> Vec<u8> {
    bincode::encode_to_vec(value, bincode::config::standard().with_fixed_int_encoding())
        .unwrap_or_default()
}

/// The value at the start of `bytes`, and how many bytes it took.
pub(crate) fn decode<T: Decode<()>>(bytes: &[u8], what: &'static str) -> Result<(T, usize)> {
    bincode::decode_from_slice(bytes, CONFIG).map_err(|error| {
        let kind = match error {
            bincode::error::DecodeError::UnexpectedEnd { .. } => ErrorKind::Truncated(what),
            bincode::error::DecodeError::LimitExceeded => ErrorKind::TooLarge(what),
            _ => ErrorKind::BadValue(what),
        };
        Error::new(kind, 0)
    })
}
