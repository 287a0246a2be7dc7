//! Writes what the Node package `super-server-logs` writes: records, blocks, escapes, zlib.
//!
//! The mirror image of `logq-nodelogs`, written from the description of the format and knowing nothing
//! of the reader.

use std::io::Write;

/// A record in the making: fields are appended in their order.
///
/// # Examples
///
/// ```
/// use logq_testkit::node_logs::{Row, block};
///
/// let row = Row::new(44, 1, 0).int(300);
/// assert_eq!(row.bytes(), [44, 0, 0, 0, 0, 0, 1, 0, 0, 0xFE, 1, 44]);
/// assert_eq!(block(&[row], false).last(), Some(&0xFA));
/// ```
#[derive(Clone, Debug)]
pub struct Row(Vec<u8>);

impl Row {
    /// A record of this type with time and nonce, and no fields yet.
    pub fn new(kind: u8, time_ms: u64, nonce: u16) -> Self {
        let mut bytes = vec![kind];
        bytes.extend(time_ms.to_be_bytes().into_iter().skip(2));
        bytes.extend(nonce.to_be_bytes());
        Self(bytes)
    }

    /// The record so far.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Bytes as they are: a request id, an address, flags.
    #[must_use]
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// An integer of one, three or five bytes.
    #[must_use]
    pub fn int(self, value: u32) -> Self {
        match (u8::try_from(value), u16::try_from(value)) {
            (Ok(byte @ ..=0xFD), _) => self.raw(&[byte]),
            (_, Ok(short)) => self.raw(&[0xFE]).raw(&short.to_be_bytes()),
            _ => self.raw(&[0xFF]).raw(&value.to_be_bytes()),
        }
    }

    /// A text with its length.
    #[must_use]
    pub fn text(self, text: impl AsRef<[u8]>) -> Self {
        let text = text.as_ref();
        self.int(u32::try_from(text.len()).unwrap_or(u32::MAX)).raw(text)
    }
}

/// The records as one block with its separator.
pub fn block(rows: &[Row], is_deflated: bool) -> Vec<u8> {
    let plain: Vec<u8> = rows.iter().flat_map(|row| row.0.iter().copied()).collect();
    let mut stored = escape(&if is_deflated { deflate(&plain) } else { plain });
    stored.push(0xFA);
    stored
}

/// A zlib stream with the halves of its first byte exchanged.
pub fn deflate(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    // Writing to memory does not fail.
    let _ = encoder.write_all(plain);
    let mut stream = encoder.finish().unwrap_or_default();
    if let Some(first) = stream.first_mut() {
        *first = first.rotate_left(4);
    }
    stream
}

/// The bytes with escapes and separators escaped.
pub fn escape(plain: &[u8]) -> Vec<u8> {
    let mut stored = Vec::with_capacity(plain.len());
    for byte in plain {
        match byte {
            0xF8 => stored.extend([0xF8, 1]),
            0xFA => stored.extend([0xF8, 2]),
            byte => stored.push(*byte),
        }
    }
    stored
}
