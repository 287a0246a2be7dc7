//! What the benches share: decoded blocks of a day's traffic, a store of it on disk, and the data a
//! service logs.
//!
//! `RESULTS.md` has the figures; `benches/` the measurements that criterion repeats; `src/bin/` the
//! generator of input and what criterion cannot measure.

use std::borrow::Cow;
use std::io;
use std::path::Path;
use std::time::Duration;

use logq_format::{
    Block, BlockHeader, BlockKind, DecodeError, Decompressor, FILE_HEADER_LEN, FileHeader,
    RequestId, Spine, StoredBlock, segment_name,
};
use logq_testkit::segment::{EncodedSegment, SegmentOptions, encode};
use logq_writer::{RequestHead, ResponseEnd, ResponseHead, WorkerLogger};

/// A DATA block with both sections decompressed.
#[derive(Debug)]
pub struct RawBlock {
    header: BlockHeader,
    ids: Vec<RequestId>,
    spine: Vec<u8>,
    body: Vec<u8>,
}

impl RawBlock {
    /// The decoded block.
    ///
    /// # Errors
    ///
    /// Fails where the block is damaged.
    pub fn decode(&self) -> Result<Block<'_>, DecodeError> {
        Block::new(Spine::parse(&self.header, self.ids.clone(), &self.spine)?, &self.body)
    }
}

/// The DATA blocks of an undamaged segment, one after the other.
///
/// # Errors
///
/// Fails where the segment is damaged.
pub fn stored_blocks(segment: &[u8]) -> Result<Vec<StoredBlock<'_>>, DecodeError> {
    let marker = FileHeader::decode(segment)?.marker;
    let mut rest = segment.get(FILE_HEADER_LEN..).unwrap_or_default();
    let mut blocks = Vec::new();
    while !rest.is_empty() {
        let block = StoredBlock::new(BlockHeader::decode(rest, marker)?, rest)?;
        rest = rest.get(block.header().block_len()..).unwrap_or_default();
        blocks.push(block);
    }
    blocks.retain(|block| block.header().kind == BlockKind::Data);
    Ok(blocks)
}

/// A decompressor for the blocks of a segment made with these options.
///
/// # Errors
///
/// Fails where memory is short.
pub fn decompressor(options: &SegmentOptions) -> io::Result<Decompressor> {
    let mut decompressor = Decompressor::new()?;
    decompressor.set_dictionary(options.dictionary.as_ref())?;
    Ok(decompressor)
}

/// Decompresses one block.
///
/// # Errors
///
/// Fails where the block is damaged.
pub fn decompress(
    block: &StoredBlock<'_>,
    decompressor: &mut Decompressor,
) -> Result<RawBlock, DecodeError> {
    Ok(RawBlock {
        header: block.header().clone(),
        ids: block.request_ids().collect(),
        spine: block.spine(decompressor).map(Cow::into_owned)?,
        body: block.body(decompressor).map(Cow::into_owned)?,
    })
}

/// Writes traffic as the only segment of a store in this directory.
///
/// # Errors
///
/// Fails where the segment cannot be made or written.
pub fn write_store(directory: &Path, options: &SegmentOptions) -> io::Result<EncodedSegment> {
    let segment = encode(options)?;
    let name = segment_name(options.number, options.traffic.start);
    std::fs::write(directory.join(name), &segment.bytes)?;
    Ok(segment)
}

/// Data of five fields, as services log it.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct FiveFields<'a> {
    /// What happened.
    pub message: &'a str,
    /// A number that changes.
    pub order: u64,
    /// Who.
    pub user: &'a str,
    /// How much.
    pub amount: f64,
    /// Whether it came from a cache.
    pub cached: bool,
}

impl FiveFields<'static> {
    /// Data that differs in one number.
    pub const fn numbered(order: u64) -> Self {
        Self { message: "order placed", order, user: "anna42", amount: 59.9, cached: false }
    }
}

/// What a request attaches to itself.
#[derive(Clone, Copy, Debug, serde::Serialize)]
struct User<'a> {
    user: &'a str,
}

/// The records of one [`log_request`].
pub const LOGGED_RECORDS: u64 = 5;

/// Logs a whole request: head, data, a message, the response and its end.
pub fn log_request(logger: &WorkerLogger, number: u64) {
    let request = logger.new_request();
    let url = "/api/orders?page=2";
    request.request(&RequestHead { method: "POST", url, ..RequestHead::default() });
    request.request_meta(User { user: "anna42" });
    request.info(FiveFields::numbered(number));
    request.response(ResponseHead::status(200).duration(Duration::from_micros(number % 9000)));
    request.response_finished(ResponseEnd::default().bytes(number % 70_000));
}
