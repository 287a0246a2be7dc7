//! Blocks: records framed, compressed and checked together.
//!
//! ```text
//! +--------+--------------+--------------+------------+
//! | header | request ids  | spine        | body       |
//! | 72 B   | 16 B each    | small typed  | texts and  |
//! |        |              | columns      | JSON       |
//! +--------+--------------+--------------+------------+
//!          |<- front checksum ---------->|<- body  -->|
//! ```
//!
//! [`builder`] turns records into blocks. Reading goes in steps, each of which costs more than the
//! one before and is taken only for blocks that the one before could not rule out:
//! [`BlockHeader`] -> [`StoredBlock`] (checksums) -> [`Spine`] -> [`Block`].

use std::borrow::Cow;

use crate::codec::Decompressor;
use crate::error::DecodeError;
use crate::header::{BLOCK_HEADER_LEN, BlockHeader, REQUEST_ID_LEN};
use crate::record::{Method, Record, RequestId};
use crate::shape::TypeSet;
use crate::url_section::url_section;

pub(crate) mod body;
pub(crate) mod builder;
pub(crate) mod heads;
pub(crate) mod opaque;
mod requests;
pub(crate) mod row;
mod size;
pub(crate) mod spine;
pub(crate) mod staged;
pub(crate) mod steps;
pub(crate) mod url_sections;

use body::Body;
use spine::{Place, Spine};

/// A block as it is stored: a decoded header and the bytes it describes, not yet checked.
#[derive(Clone, Debug)]
pub struct StoredBlock<'a> {
    header: BlockHeader,
    /// Request ids and stored spine.
    front: &'a [u8],
    body: &'a [u8],
}

impl<'a> StoredBlock<'a> {
    /// The block at the start of `bytes`, whose header has been decoded.
    ///
    /// # Errors
    ///
    /// Fails where `bytes` ends within the block.
    pub fn new(header: BlockHeader, bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let expected = header.block_len();
        let cut_off = DecodeError::Truncated { what: "block", expected, found: bytes.len() };
        let payload = bytes.get(BLOCK_HEADER_LEN..expected).ok_or(cut_off.clone())?;
        let (front, body) = payload.split_at_checked(header.front_len()).ok_or(cut_off)?;
        Ok(Self { header, front, body })
    }

    /// The header.
    pub fn header(&self) -> &BlockHeader {
        &self.header
    }

    /// The body as it is stored.
    pub(crate) fn stored_body(&self) -> &'a [u8] {
        self.body
    }

    /// Checks the request ids and the stored spine.
    ///
    /// # Errors
    ///
    /// Fails where the checksum does not match.
    pub fn check_front(&self) -> Result<(), DecodeError> {
        check("front", self.header.front_crc, self.front)
    }

    /// Checks the stored body.
    ///
    /// # Errors
    ///
    /// Fails where the checksum does not match.
    pub fn check_body(&self) -> Result<(), DecodeError> {
        check("body", self.header.body_crc, self.body)
    }

    /// The distinct request ids, in the order in which the block first mentions them.
    ///
    /// They are stored as they are, so looking for one costs a pass over 16 bytes each.
    pub fn request_ids(&self) -> impl ExactSizeIterator<Item = RequestId> + use<'a> {
        let ids = usize::from(self.header.requests) * REQUEST_ID_LEN;
        let (ids, _) = self.front.get(..ids).unwrap_or_default().as_chunks::<REQUEST_ID_LEN>();
        ids.iter().map(|id| RequestId::from_bytes(*id))
    }

    /// The checked and decompressed spine.
    ///
    /// # Errors
    ///
    /// Fails where the checksum does not match or the section does not decompress.
    pub fn spine(&self, decompressor: &mut Decompressor) -> Result<Cow<'a, [u8]>, DecodeError> {
        self.check_front()?;
        let start = usize::from(self.header.requests) * REQUEST_ID_LEN;
        let stored = self.front.get(start..).unwrap_or_default();
        let section = self.header.spine;
        decompressor.decompress("spine", section.codec, stored, section.raw_len as usize)
    }

    /// The checked and decompressed body.
    ///
    /// # Errors
    ///
    /// Fails where the checksum does not match or the section does not decompress.
    pub fn body(&self, decompressor: &mut Decompressor) -> Result<Cow<'a, [u8]>, DecodeError> {
        self.check_body()?;
        let section = self.header.body;
        decompressor.decompress("body", section.codec, self.body, section.raw_len as usize)
    }
}

fn check(what: &'static str, expected: u32, bytes: &[u8]) -> Result<(), DecodeError> {
    let found = crc32c::crc32c(bytes);
    if found == expected { Ok(()) } else { Err(DecodeError::Checksum { what, expected, found }) }
}

/// A fully decoded block: any of its records in constant time.
#[derive(Debug)]
pub struct Block<'a> {
    spine: Spine<'a>,
    body: Body<'a>,
    places: Vec<Place>,
}

impl<'a> Block<'a> {
    /// Parses the raw body that belongs to `spine`.
    ///
    /// # Errors
    ///
    /// Fails where the columns are cut off or hold what the format does not allow.
    pub fn new(spine: Spine<'a>, raw_body: &'a [u8]) -> Result<Self, DecodeError> {
        Self::of_types(spine, raw_body, TypeSet::ALL)
    }

    /// As [`Self::new`], but parses only the texts that records of these types have, for callers that
    /// want no others: a text column costs about as much to parse as to decompress.
    ///
    /// # Errors
    ///
    /// As [`Self::new`], except for what is wrong with texts that are not parsed.
    pub fn of_types(
        spine: Spine<'a>,
        raw_body: &'a [u8],
        types: TypeSet,
    ) -> Result<Self, DecodeError> {
        let body = Body::parse(raw_body, &spine, types, true)?;
        let places = spine.places()?;
        Ok(Self { spine, body, places })
    }

    /// The small typed columns.
    pub fn spine(&self) -> &Spine<'a> {
        &self.spine
    }

    /// The number of records.
    pub fn len(&self) -> usize {
        self.spine.len()
    }

    /// Whether there are no records.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The record at `index`.
    ///
    /// # Errors
    ///
    /// Fails where `index` is not below [`Self::len`], where a rare kind of record holds what the
    /// format does not allow, and where its type was not asked for.
    pub fn record(&self, index: usize) -> Result<Record<'a>, DecodeError> {
        let place = self.places.get(index).copied();
        let place = place.ok_or(DecodeError::Truncated {
            what: "block",
            expected: index.saturating_add(1),
            found: self.len(),
        })?;
        let time = self.spine.time(index);
        let event = self.body.event(&self.spine, index, time, place)?;
        Ok(Record { time, event })
    }

    /// Compares the sections of requests in the spine with the methods and urls that they repeat.
    ///
    /// # Errors
    ///
    /// Fails where they differ, and where the column of sections is not what the format allows.
    pub fn check_url_sections(&self) -> Result<(), DecodeError> {
        let Some(sections) = self.spine.url_sections()? else { return Ok(()) };
        for (head, code) in (0_u32..).zip(self.spine.method_codes()) {
            let method = match Method::from_code(*code) {
                Some(method) => method,
                None => self.body.other_method(head as usize)?,
            };
            let url = self.body.url(head as usize)?;
            if sections.name(head) != Some(url_section(method.as_str(), url)) {
                return Err(DecodeError::Contradiction { what: "section of a request", head });
            }
        }
        Ok(())
    }

    /// All records in the order in which they were written.
    pub fn records(&self) -> impl Iterator<Item = Result<Record<'a>, DecodeError>> {
        (0..self.len()).map(|index| self.record(index))
    }
}

#[cfg(test)]
mod tests;
