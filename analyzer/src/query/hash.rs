//! A hash for small keys that the trace itself made: ids and indices. Nobody gains by
//! making them collide, and one is looked up for every record.

use std::hash::{BuildHasherDefault, Hasher};

/// For `HashMap`s with such keys.
pub type FastHash = BuildHasherDefault<FastHasher>;

/// See [`FastHash`].
#[derive(Debug, Default)]
pub struct FastHasher(u64);

impl Hasher for FastHasher {
    fn finish(&self) -> u64 {
        // The table takes the place from the lower bits; folding brings down to them
        // what the multiplication put on top.
        self.0 ^ (self.0 >> 32)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(5) ^ value).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}
