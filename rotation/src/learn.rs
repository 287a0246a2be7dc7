//! Training a dictionary from the latest blocks of a segment.

use std::io;
use std::ops::Range;

use logq_directory::is_worth_a_copy;
use logq_format::{
    BLOCK_HEADER_LEN, BlockHeader, BlockKind, Codec, Decompressor, Dictionary, FILE_HEADER_LEN,
    FileHeader, StoredBlock, decode_dictionary, find_block, limits::DICTIONARY_BYTES_MAX,
};

use crate::blocks::Segment;

/// Raw bytes to learn from.
///
/// Measured on web logs with dictionaries of 32 KiB, bytes a record in blocks of a few records and
/// in blocks of 32 KiB: 1 MiB 25.81 and 11.85, 2 MiB 25.76 and 11.83 after 0.3 s and 0.2 s, 4 MiB
/// 25.75 and 11.83 after 0.7 s and 0.3 s.
const SAMPLE_BYTES: usize = 2 << 20;

/// A longer section would count for too much; its beginning is like the rest of it.
const SAMPLE_LEN_MAX: usize = 128 << 10;

/// How much of the segment's end is looked at: raw bytes rarely take more than they have.
const TAIL_LEN: u64 = 4 << 20;

/// What a segment hands on to the next one.
#[derive(Debug, Default)]
pub(crate) struct Learned {
    /// The dictionary of the next one.
    pub(crate) trained: Option<Dictionary>,
    /// Its own, if it is worth a copy.
    pub(crate) kept: Option<Dictionary>,
}

/// A dictionary of at most `bytes_max` bytes from the segment whose first `end` bytes are there, and
/// its own.
///
/// None is trained where there is too little to learn from, and where its writers do not compress.
pub(crate) fn learn(
    segment: Segment<'_>,
    header: &FileHeader,
    end: u64,
    bytes_max: usize,
) -> io::Result<Learned> {
    let own = own_dictionary(segment, header)?;
    let start = end.saturating_sub(TAIL_LEN).max(FILE_HEADER_LEN as u64);
    let tail = segment.read(start..end.max(start))?;
    let mut decompressor = Decompressor::new()?;
    decompressor.set_dictionary(own.as_ref())?;
    let samples = samples(segment, &tail, &mut decompressor);
    let trained = samples.and_then(|samples| Dictionary::train(&samples, bytes_max));
    Ok(Learned { trained, kept: own.filter(|own| is_worth_a_copy(end, own)) })
}

/// The dictionary that the segment's blocks are compressed with.
fn own_dictionary(segment: Segment<'_>, header: &FileHeader) -> io::Result<Option<Dictionary>> {
    const LEN: usize = BLOCK_HEADER_LEN + DICTIONARY_BYTES_MAX;
    let Some(id) = header.dictionary else { return Ok(None) };
    let start = FILE_HEADER_LEN as u64;
    let bytes = segment.read(start..start + LEN as u64)?;
    let dictionary = BlockHeader::decode(&bytes, segment.marker)
        .and_then(|header| StoredBlock::new(header, &bytes))
        .ok()
        .filter(|block| block.header().kind == BlockKind::Dictionary)
        .and_then(|block| decode_dictionary(&block).ok());
    Ok(dictionary.filter(|dictionary| dictionary.id() == id))
}

/// Raw spines and bodies of the last blocks; `None` if none of them is compressed.
fn samples(
    segment: Segment<'_>,
    tail: &[u8],
    decompressor: &mut Decompressor,
) -> Option<Vec<Vec<u8>>> {
    let (mut samples, mut bytes, mut is_compressed) = (Vec::new(), 0, false);
    for place in data_blocks(segment, tail).into_iter().rev() {
        let stored = tail.get(place).unwrap_or_default();
        let Ok(header) = BlockHeader::decode(stored, segment.marker) else { continue };
        let Ok(block) = StoredBlock::new(header, stored) else { continue };
        let (Ok(spine), Ok(body)) = (block.spine(decompressor), block.body(decompressor)) else {
            continue;
        };
        let sections = [block.header().spine, block.header().body];
        is_compressed |= sections.iter().any(|section| section.codec != Codec::Raw);
        for section in [spine, body] {
            let sample = section.get(..SAMPLE_LEN_MAX).unwrap_or(&section);
            bytes += sample.len();
            samples.push(sample.to_vec());
        }
        if bytes >= SAMPLE_BYTES {
            break;
        }
    }
    is_compressed.then_some(samples)
}

/// Where in `tail` there are blocks with records.
fn data_blocks(segment: Segment<'_>, tail: &[u8]) -> Vec<Range<usize>> {
    let (mut places, mut from) = (Vec::new(), 0);
    while let Some(found) = find_block(tail, from, segment.marker) {
        from = found + 1;
        let rest = tail.get(found..).unwrap_or_default();
        if let Ok(header) = BlockHeader::decode(rest, segment.marker)
            && header.block_len() <= rest.len()
        {
            from = found + header.block_len();
            if header.kind == BlockKind::Data {
                places.push(found..from);
            }
        }
    }
    places
}
