//! The two kinds of column: integers of one width, and texts.
//!
//! An integer column holds `count` little-endian integers of `width` bytes; the count follows from
//! the shapes, the width is stored with the section. A text column is the texts, each followed by a
//! NUL byte, or, where a text contains NUL or is binary, the lengths and then the bytes.

use crate::cursor::{Cursor, put_varint};
use crate::error::DecodeError;

/// Integers being collected for a block.
#[derive(Debug, Default)]
pub(crate) struct IntColumn {
    values: Vec<u64>,
    /// The bitwise or of all values: its width is the width of the widest.
    union: u64,
}

impl IntColumn {
    pub(crate) fn push(&mut self, value: u64) {
        self.values.push(value);
        self.union |= value;
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    pub(crate) fn clear(&mut self) {
        self.values.clear();
        self.union = 0;
    }

    /// Bytes per value: 0 (all zero) to 8.
    pub(crate) fn width(&self) -> u8 {
        width_of(self.union)
    }

    /// Appends the values, [`Self::width`] bytes each.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let width = usize::from(self.width());
        out.reserve(self.values.len() * width);
        match width {
            0 => {}
            1 => out.extend(self.values.iter().map(|value| (value & 0xFF) as u8)),
            _ => {
                for value in &self.values {
                    let bytes = value.to_le_bytes();
                    out.extend_from_slice(bytes.get(..width).unwrap_or(&bytes));
                }
            }
        }
    }
}

fn width_of(value: u64) -> u8 {
    // At most 8, so the conversion cannot fail.
    u8::try_from((64 - value.leading_zeros()).div_ceil(8)).unwrap_or(8)
}

/// An integer column in place: any element is read in constant time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ints<'a> {
    bytes: &'a [u8],
    width: usize,
    count: usize,
}

impl<'a> Ints<'a> {
    /// Takes `count` integers of `width` bytes.
    pub(crate) fn take(
        cursor: &mut Cursor<'a>,
        what: &'static str,
        count: usize,
        width: u8,
    ) -> Result<Self, DecodeError> {
        if width > 8 {
            return Err(DecodeError::Limit { what, found: u64::from(width), limit: 8 });
        }
        let width = usize::from(width);
        let bytes = cursor.bytes(what, count.saturating_mul(width))?;
        Ok(Self { bytes, width, count })
    }

    /// The value at `index`; 0 beyond the end.
    pub(crate) fn get(&self, index: usize) -> u64 {
        let start = index * self.width;
        match self.bytes.get(start..start + self.width) {
            Some(bytes) => load(bytes),
            None => 0,
        }
    }

    /// All values in order, several times as fast as one by one: for those who want all of them.
    pub(crate) fn to_vec(self) -> Vec<u64> {
        self.map(|value| value)
    }

    /// What all values become, in order; as fast.
    #[inline]
    pub(crate) fn map<T>(self, mut of: impl FnMut(u64) -> T) -> Vec<T> {
        match self.width {
            0 => (0..self.count).map(|_| of(0)).collect(),
            1 => self.bytes.iter().map(|byte| of(u64::from(*byte))).collect(),
            2 => {
                let (values, _) = self.bytes.as_chunks::<2>();
                values.iter().map(|value| of(u64::from(u16::from_le_bytes(*value)))).collect()
            }
            3 => {
                let (values, _) = self.bytes.as_chunks::<3>();
                let value = |[a, b, c]: &[u8; 3]| u64::from(u32::from_le_bytes([*a, *b, *c, 0]));
                values.iter().map(|bytes| of(value(bytes))).collect()
            }
            4 => {
                let (values, _) = self.bytes.as_chunks::<4>();
                values.iter().map(|value| of(u64::from(u32::from_le_bytes(*value)))).collect()
            }
            width => self.bytes.chunks_exact(width).map(|bytes| of(load(bytes))).collect(),
        }
    }

    /// All values in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u64> + use<'a> {
        let (bytes, width) = (self.bytes, self.width);
        (0..self.count).map(move |index| {
            let start = index * width;
            bytes.get(start..start + width).map_or(0, load)
        })
    }
}

/// The little-endian integer in at most 8 bytes.
fn load(bytes: &[u8]) -> u64 {
    match *bytes {
        [] => 0,
        [a] => u64::from(a),
        [a, b] => u64::from(u16::from_le_bytes([a, b])),
        [a, b, c] => u64::from(u32::from_le_bytes([a, b, c, 0])),
        [a, b, c, d] => u64::from(u32::from_le_bytes([a, b, c, d])),
        _ => bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)),
    }
}

/// Texts being collected for a block.
#[derive(Debug, Default)]
pub(crate) struct TextColumn {
    /// The texts, each followed by a NUL byte.
    bytes: Vec<u8>,
    /// For each text, the offset of the NUL byte behind it.
    ends: Vec<u32>,
    /// Whether a text contains NUL, so that terminators would not tell where texts end.
    has_nul: bool,
}

impl TextColumn {
    /// Adds a text. The caller keeps the column below the section limit, so offsets fit.
    pub(crate) fn push(&mut self, text: &[u8]) {
        self.has_nul |= memchr::memchr(0, text).is_some();
        self.push_json(text);
    }

    /// Adds a text that is known to contain no NUL, such as a [`Json`](crate::Json).
    pub(crate) fn push_json(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.ends.push(u32::try_from(self.bytes.len()).unwrap_or(u32::MAX));
        self.bytes.push(0);
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.has_nul = false;
    }

    /// Appends this column's entry of the directory: nothing for an empty column, else the length
    /// in bytes times two, plus one if the column starts with lengths.
    pub(crate) fn encode_directory(&self, out: &mut Vec<u8>) {
        if self.ends.is_empty() {
            return;
        }
        let length = if self.has_nul {
            let mut lengths = Vec::new();
            self.encode_lengths(&mut lengths);
            self.bytes.len() - self.ends.len() + lengths.len()
        } else {
            self.bytes.len()
        };
        put_varint(out, (length as u64) << 1 | u64::from(self.has_nul));
    }

    /// Appends the column itself.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        if !self.has_nul {
            out.extend_from_slice(&self.bytes);
            return;
        }
        self.encode_lengths(out);
        for text in self.texts() {
            out.extend_from_slice(text);
        }
    }

    fn encode_lengths(&self, out: &mut Vec<u8>) {
        for text in self.texts() {
            put_varint(out, text.len() as u64);
        }
    }

    /// The texts, in their order.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let end = *end as usize;
            let text = self.bytes.get(start..end).unwrap_or_default();
            start = end + 1;
            text
        })
    }
}

/// A text column in place, with the places of its texts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Texts<'a> {
    bytes: &'a [u8],
    /// For each text its start and end in `bytes`.
    places: Vec<(u32, u32)>,
    /// How many of the bytes are terminators.
    terminators: usize,
}

impl<'a> Texts<'a> {
    /// Parses the bytes of a column of `count` texts, which fill it exactly.
    pub(crate) fn parse(
        what: &'static str,
        bytes: &'a [u8],
        with_lengths: bool,
        count: usize,
    ) -> Result<Self, DecodeError> {
        // Each text needs at least a terminator or a length, so this bounds the allocation.
        if count > bytes.len() {
            return Err(DecodeError::Truncated { what, expected: count, found: bytes.len() });
        }
        let (places, end) = if with_lengths {
            places_by_lengths(what, bytes, count)?
        } else {
            places_by_terminators(what, bytes, count)?
        };
        if end != bytes.len() {
            let (found, limit) = (bytes.len() as u64, end as u64);
            return Err(DecodeError::Limit { what, found, limit });
        }
        Ok(Self { bytes, places, terminators: if with_lengths { 0 } else { count } })
    }

    /// The bytes of the text at `index`, empty beyond the end.
    pub(crate) fn bytes(&self, index: usize) -> &'a [u8] {
        let (start, end) = self.places.get(index).copied().unwrap_or_default();
        self.bytes.get(start as usize..end as usize).unwrap_or_default()
    }
}

/// The places of texts that follow their lengths, and where the last one ends.
fn places_by_lengths(
    what: &'static str,
    bytes: &[u8],
    count: usize,
) -> Result<(Vec<(u32, u32)>, usize), DecodeError> {
    let mut cursor = Cursor::new(bytes);
    let mut places = Vec::with_capacity(count);
    for _ in 0..count {
        places.push((0, offset(cursor.length(what, bytes.len())?)));
    }
    let mut start = bytes.len() - cursor.remaining();
    for place in &mut places {
        let length = place.1 as usize;
        cursor.bytes(what, length)?;
        *place = (offset(start), offset(start + length));
        start += length;
    }
    Ok((places, start))
}

/// The places of texts with a NUL byte behind each, and where the last NUL ends.
fn places_by_terminators(
    what: &'static str,
    bytes: &[u8],
    count: usize,
) -> Result<(Vec<(u32, u32)>, usize), DecodeError> {
    let mut places = Vec::with_capacity(count);
    let mut start = 0;
    for end in memchr::memchr_iter(0, bytes).take(count) {
        places.push((offset(start), offset(end)));
        start = end + 1;
    }
    if places.len() == count {
        Ok((places, start))
    } else {
        Err(DecodeError::Truncated { what, expected: count, found: places.len() })
    }
}

/// Offsets into a section fit 32 bits: sections have at most 2^24 - 1 bytes.
fn offset(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// A text column whose bytes have been checked to be UTF-8.
#[derive(Clone, Debug, Default)]
pub(crate) struct Utf8Texts<'a> {
    text: &'a str,
    places: Vec<(u32, u32)>,
    terminators: usize,
}

impl<'a> Utf8Texts<'a> {
    /// Checks the whole column at once, which is far cheaper than text by text.
    pub(crate) fn new(what: &'static str, texts: Texts<'a>) -> Result<Self, DecodeError> {
        let invalid = DecodeError::Utf8 { what };
        // Lengths are varints, which need not be UTF-8: start at the first text.
        let first = texts.places.first().map_or(0, |place| place.0 as usize);
        let bytes = texts.bytes.get(first..).unwrap_or_default();
        let text = std::str::from_utf8(bytes).map_err(|_| invalid.clone())?;
        let shift = offset(first);
        let (mut places, terminators) = (texts.places, texts.terminators);
        if terminators > 0 {
            // No character contains the NUL behind a text.
            return Ok(Self { text, places, terminators });
        }
        let mut whole = true;
        for (start, end) in &mut places {
            (*start, *end) = (*start - shift, *end - shift);
            whole &= text.is_char_boundary(*start as usize) && text.is_char_boundary(*end as usize);
        }
        if whole { Ok(Self { text, places, terminators }) } else { Err(invalid) }
    }

    /// Whether no text has a control character, as JSON on one line must not.
    pub(crate) fn is_free_of_controls(&self) -> bool {
        // Terminated texts hold no NUL, so each NUL here is a terminator. Both loops are plain, so
        // that the compiler turns them into vector instructions.
        let bytes = self.text.bytes();
        let found = if self.terminators > 0 {
            bytes.fold(false, |found, byte| found | (byte.wrapping_sub(1) < 0x1F))
        } else {
            bytes.fold(false, |found, byte| found | (byte < 0x20))
        };
        !found
    }

    /// The text at `index`, empty beyond the end.
    pub(crate) fn get(&self, index: usize) -> &'a str {
        let (start, end) = self.places.get(index).copied().unwrap_or_default();
        self.text.get(start as usize..end as usize).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::seeded())]

        #[test]
        fn integers_round_trip(values in proptest::collection::vec(any::<u64>(), 0..50), bits in 0_u32..64) {
            let values: Vec<u64> = values.into_iter().map(|value| value >> bits).collect();
            let mut column = IntColumn::default();
            values.iter().for_each(|value| column.push(*value));
            let mut bytes = Vec::new();
            column.encode(&mut bytes);
            let mut cursor = Cursor::new(&bytes);
            let ints = Ints::take(&mut cursor, "x", values.len(), column.width()).unwrap();
            prop_assert_eq!(cursor.remaining(), 0);
            prop_assert_eq!(ints.iter().collect::<Vec<_>>(), values.clone());
            prop_assert_eq!(ints.to_vec(), values.clone());
            for (index, value) in values.iter().enumerate() {
                prop_assert_eq!(ints.get(index), *value);
            }
        }

        #[test]
        fn texts_round_trip(texts in proptest::collection::vec("[a-zé\0]{0,6}", 0..20)) {
            let mut column = TextColumn::default();
            texts.iter().for_each(|text| column.push(text.as_bytes()));
            let (mut directory, mut bytes) = (Vec::new(), Vec::new());
            column.encode_directory(&mut directory);
            column.encode(&mut bytes);
            if texts.is_empty() {
                prop_assert!(directory.is_empty() && bytes.is_empty());
                return Ok(());
            }
            let entry = Cursor::new(&directory).varint("x").unwrap();
            prop_assert_eq!(entry >> 1, bytes.len() as u64);
            let parsed = Texts::parse("x", &bytes, entry & 1 == 1, texts.len()).unwrap();
            let parsed = Utf8Texts::new("x", parsed).unwrap();
            for (index, text) in texts.iter().enumerate() {
                prop_assert_eq!(parsed.get(index), text.as_str());
            }
        }
    }

    #[test]
    fn controls_are_found_in_either_mode() {
        let check = |texts: &[&str], expected| {
            let mut column = TextColumn::default();
            texts.iter().for_each(|text| column.push(text.as_bytes()));
            let mut bytes = Vec::new();
            column.encode(&mut bytes);
            let texts = Texts::parse("x", &bytes, column.has_nul, texts.len()).unwrap();
            assert_eq!(Utf8Texts::new("x", texts).unwrap().is_free_of_controls(), expected);
        };
        check(&["{}", "[1]"], true);
        check(&["{}", "[\n1]"], false);
        check(&["a\0", "b"], false);
        check(&["\0", "\0"], false);
        // A NUL right behind a text looks like its terminator where the column has none.
        check(&["a", "\0b"], false);
    }
}
