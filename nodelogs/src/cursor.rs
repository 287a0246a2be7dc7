//! A place in the bytes of records that cannot overrun: the integers and texts of the format.

use crate::entry::EntryError;

/// The bytes that are still to be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next `len` bytes; `what` names them in the error.
    pub(crate) fn take(&mut self, what: &'static str, len: usize) -> Result<&'a [u8], EntryError> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(EntryError::Truncated {
            what,
            expected: len,
            found: self.rest.len(),
        })?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(
        &mut self,
        what: &'static str,
    ) -> Result<[u8; N], EntryError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(EntryError::Truncated {
            what,
            expected: N,
            found: self.rest.len(),
        })?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self, what: &'static str) -> Result<u8, EntryError> {
        self.array(what).map(u8::from_be_bytes)
    }

    pub(crate) fn u16(&mut self, what: &'static str) -> Result<u16, EntryError> {
        self.array(what).map(u16::from_be_bytes)
    }

    pub(crate) fn u48(&mut self, what: &'static str) -> Result<u64, EntryError> {
        let [a, b, c, d, e, f] = self.array(what)?;
        Ok(u64::from_be_bytes([0, 0, a, b, c, d, e, f]))
    }

    /// One byte up to `FD`; `FE` and two bytes; `FF` and four bytes.
    pub(crate) fn int(&mut self, what: &'static str) -> Result<u32, EntryError> {
        match self.u8(what)? {
            0xFE => self.u16(what).map(u32::from),
            0xFF => self.array(what).map(u32::from_be_bytes),
            byte => Ok(u32::from(byte)),
        }
    }

    /// A length and as many bytes, which should be UTF-8.
    pub(crate) fn text(&mut self, what: &'static str) -> Result<&'a [u8], EntryError> {
        let len = self.int(what)?;
        self.take(what, usize::try_from(len).unwrap_or(usize::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_have_one_three_or_five_bytes() {
        let check = |bytes: &[u8], value: u32| {
            let mut cursor = Cursor::new(bytes);
            assert_eq!((cursor.int("number"), cursor.rest().len()), (Ok(value), 0), "{bytes:02x?}");
            let cut = &bytes[..bytes.len() - 1];
            assert!(Cursor::new(cut).int("number").is_err(), "{cut:02x?}");
        };
        check(&[0], 0);
        check(&[0xFD], 253);
        check(&[0xFE, 0, 254], 254);
        check(&[0xFE, 0xFF, 0xFF], 65_535);
        check(&[0xFF, 0, 1, 0, 0], 65_536);
        check(&[0xFF, 0xFF, 0xFF, 0xFF, 0xFF], u32::MAX);
    }

    #[test]
    fn a_length_is_checked_before_anything_is_taken() {
        let mut cursor = Cursor::new(&[3, b'a', b'b']);
        let expected = EntryError::Truncated { what: "url", expected: 3, found: 2 };
        assert_eq!(cursor.text("url"), Err(expected));
        assert_eq!(Cursor::new(&[2, b'a', b'b', 9]).text("url"), Ok(&b"ab"[..]));
        assert!(Cursor::new(&[0xFF; 5]).text("url").is_err());
    }
}
