//! Byte planes: the column form of a chunk's words (SPEC section 9.2).
//!
//! Rows of eight bytes compress badly, because noise (the low byte of a delta)
//! sits between constants (the upper bytes of an id). Cut into planes, each
//! byte lies among its like: the same recordings take 1.05 to 1.10 bytes a
//! record instead of 1.35, and decode faster.

/// Appends byte 0 of every word, then byte 1, up to byte 7.
pub fn split(words: &[u64], out: &mut Vec<u8>) {
    let n = words.len();
    let start = out.len();
    out.resize(start + 8 * n, 0);
    let mut rest = &mut out[start..];
    for plane in 0..8 {
        let (this, others) = rest.split_at_mut(n);
        for (byte, word) in this.iter_mut().zip(words) {
            *byte = (word >> (8 * plane)) as u8;
        }
        rest = others;
    }
}

/// The words of `planes`, whose length is a multiple of eight.
pub fn join(planes: &[u8]) -> Vec<u64> {
    let n = planes.len() / 8;
    let plane = |k: usize| &planes[k * n..(k + 1) * n];
    let (p0, p1, p2, p3) = (plane(0), plane(1), plane(2), plane(3));
    let (p4, p5, p6, p7) = (plane(4), plane(5), plane(6), plane(7));
    let mut words = Vec::with_capacity(n);
    words.extend(
        (0..n)
            .map(|i| u64::from_le_bytes([p0[i], p1[i], p2[i], p3[i], p4[i], p5[i], p6[i], p7[i]])),
    );
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn byte_zero_comes_first() {
        let mut out = Vec::new();
        split(&[0x0807_0605_0403_0201, 0x1817_1615_1413_1211], &mut out);
        assert_eq!(out[..4], [0x01, 0x11, 0x02, 0x12]);
    }

    proptest! {
        #[test]
        fn planes_come_back(words: Vec<u64>) {
            let mut out = Vec::new();
            split(&words, &mut out);
            prop_assert_eq!(join(&out), words);
        }
    }
}
