//! A cursor over bytes that cannot overrun, and the integers both sides share.
//!
//! Every decoder of this crate reads through [`Cursor`]: each take is checked, each failure names
//! the field.

use crate::error::DecodeError;

/// A place in a byte slice; what lies before it has been taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) const fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// What has not been taken.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Takes the next `len` bytes as they are.
    pub(crate) fn bytes(
        &mut self,
        what: &'static str,
        len: usize,
    ) -> Result<&'a [u8], DecodeError> {
        let found = self.rest.len();
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(DecodeError::Truncated {
            what,
            expected: len,
            found,
        })?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(
        &mut self,
        what: &'static str,
    ) -> Result<[u8; N], DecodeError> {
        let found = self.rest.len();
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(DecodeError::Truncated {
            what,
            expected: N,
            found,
        })?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self, what: &'static str) -> Result<u8, DecodeError> {
        self.array::<1>(what).map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self, what: &'static str) -> Result<u16, DecodeError> {
        self.array(what).map(u16::from_le_bytes)
    }

    /// Takes an unsigned 24-bit integer.
    pub(crate) fn u24(&mut self, what: &'static str) -> Result<u32, DecodeError> {
        self.array::<3>(what).map(|[a, b, c]| u32::from_le_bytes([a, b, c, 0]))
    }

    pub(crate) fn u32(&mut self, what: &'static str) -> Result<u32, DecodeError> {
        self.array(what).map(u32::from_le_bytes)
    }

    /// Takes an unsigned 40-bit integer.
    pub(crate) fn u40(&mut self, what: &'static str) -> Result<u64, DecodeError> {
        self.array::<5>(what).map(|[a, b, c, d, e]| u64::from_le_bytes([a, b, c, d, e, 0, 0, 0]))
    }

    /// Takes an unsigned 48-bit integer.
    pub(crate) fn u48(&mut self, what: &'static str) -> Result<u64, DecodeError> {
        self.array::<6>(what).map(|[a, b, c, d, e, f]| u64::from_le_bytes([a, b, c, d, e, f, 0, 0]))
    }

    pub(crate) fn u64(&mut self, what: &'static str) -> Result<u64, DecodeError> {
        self.array(what).map(u64::from_le_bytes)
    }

    pub(crate) fn i64(&mut self, what: &'static str) -> Result<i64, DecodeError> {
        self.array(what).map(i64::from_le_bytes)
    }

    /// Takes an unsigned LEB128 integer of at most ten bytes (DWARF 5, section 7.6).
    pub(crate) fn varint(&mut self, what: &'static str) -> Result<u64, DecodeError> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8(what)?;
            let part = u64::from(byte & 0x7F);
            if shift == 63 && part > 1 {
                return Err(DecodeError::Invalid { what, found: u64::from(byte) });
            }
            value |= part << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::Invalid { what, found: value })
    }

    /// Takes a varint that counts bytes or items held in memory, at most `limit`.
    pub(crate) fn length(
        &mut self,
        what: &'static str,
        limit: usize,
    ) -> Result<usize, DecodeError> {
        let found = self.varint(what)?;
        match usize::try_from(found) {
            Ok(length) if length <= limit => Ok(length),
            _ => Err(DecodeError::Limit { what, found, limit: limit as u64 }),
        }
    }

    /// Takes a length-prefixed UTF-8 text.
    pub(crate) fn text(&mut self, what: &'static str) -> Result<&'a str, DecodeError> {
        self.text_to(what, self.remaining())
    }

    /// Takes a length-prefixed UTF-8 text of at most `limit` bytes.
    pub(crate) fn text_to(
        &mut self,
        what: &'static str,
        limit: usize,
    ) -> Result<&'a str, DecodeError> {
        let length = self.length(what, limit)?;
        std::str::from_utf8(self.bytes(what, length)?).map_err(|_| DecodeError::Utf8 { what })
    }
}

/// Appends an unsigned LEB128 integer: the mirror of [`Cursor::varint`].
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7F) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7F) as u8);
}

/// Appends a length-prefixed text: the mirror of [`Cursor::text`].
pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_utf8(out, text.as_bytes());
}

/// The same of bytes that are known to be UTF-8.
pub(crate) fn put_utf8(out: &mut Vec<u8>, text: &[u8]) {
    put_varint(out, text.len() as u64);
    out.extend_from_slice(text);
}

/// Maps a signed integer to an unsigned one with small magnitudes first: 0, -1, 1, -2, ...
pub(crate) const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

/// The inverse of [`zigzag`].
pub(crate) const fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::seeded())]

        #[test]
        fn varints_round_trip_and_reject_truncation(value: u64, signed: i64) {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            let mut cursor = Cursor::new(&bytes);
            prop_assert_eq!(cursor.varint("value").unwrap(), value);
            prop_assert_eq!(cursor.remaining(), 0);
            for cut in 0..bytes.len() {
                prop_assert!(Cursor::new(&bytes[..cut]).varint("value").is_err());
            }
            prop_assert_eq!(unzigzag(zigzag(signed)), signed);
        }
    }

    #[test]
    fn varints_over_64_bits_are_invalid() {
        let eleven = [0xFF; 11];
        assert!(Cursor::new(&eleven).varint("value").is_err());
        let mut two_to_the_64 = [0x80; 10];
        two_to_the_64[9] = 2;
        assert!(Cursor::new(&two_to_the_64).varint("value").is_err());
        let mut largest = [0xFF; 10];
        largest[9] = 1;
        assert_eq!(Cursor::new(&largest).varint("value"), Ok(u64::MAX));
    }

    #[test]
    fn fixed_width_integers_are_little_endian() {
        let bytes = [1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(Cursor::new(&bytes).u16("x"), Ok(0x0201));
        assert_eq!(Cursor::new(&bytes).u24("x"), Ok(0x03_0201));
        assert_eq!(Cursor::new(&bytes).u40("x"), Ok(0x05_0403_0201));
        assert_eq!(Cursor::new(&bytes).u48("x"), Ok(0x0605_0403_0201));
        assert_eq!(Cursor::new(&bytes).i64("x"), Ok(0x0807_0605_0403_0201));
    }
}
