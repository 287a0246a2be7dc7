//! What the dictionary of a segment is worth: some of its blocks are compressed again without.

use logq_format::{
    BlockHeader, BlockKind, Codec, Compressor, DecodeError, Decompressor, LEVEL_DEFAULT,
    StoredBlock, find_block,
};

use crate::segment::{Head, Segment};

/// Blocks looked at in all segments of a store together.
const BLOCKS_MAX: usize = 512;

/// The most blocks looked at in one segment.
const SEGMENT_BLOCKS_MAX: usize = 64;

/// How far behind an offset a block is looked for.
const SEARCH_BYTES: u64 = 256 << 10;

/// How many blocks of each segment are looked at, in a store of so many segments.
pub(crate) fn samples(segments: usize) -> usize {
    (BLOCKS_MAX / segments.max(1)).clamp(1, SEGMENT_BLOCKS_MAX)
}

/// How many times larger the blocks of a segment would be without its dictionary, judged by up to
/// `samples` blocks spread evenly over it. `None` without a dictionary, or where no block uses it.
pub(crate) fn gain(segment: &Segment, samples: usize) -> Option<f64> {
    let head = segment.head().ok()?;
    let dictionary = segment.read_dictionary()?;
    let mut decompressor = Decompressor::new().ok()?;
    decompressor.set_dictionary(Some(&dictionary)).ok()?;
    let mut plain = Compressor::new(LEVEL_DEFAULT, None).ok()?;

    let stride = ((segment.len() - head.start.min(segment.len())) / samples as u64).max(1);
    let places = (0..samples as u64).map(|index| head.start + index * stride);
    let (mut with, mut without) = (0, 0);
    for place in places {
        let Some(block) = block_behind(segment, head, place) else { continue };
        let Ok(Some((stored, again))) = both_sizes(&block, head, &mut decompressor, &mut plain)
        else {
            continue;
        };
        with += stored;
        without += again;
    }
    // Sizes are far below 2^52, where floating point becomes inexact.
    (with > 0).then(|| without as f64 / with as f64)
}

/// The bytes from the first block at or behind `place` on.
fn block_behind(segment: &Segment, head: &Head, place: u64) -> Option<Vec<u8>> {
    let read = |start: u64, len: u64| {
        let range = start..start.saturating_add(len).min(segment.len());
        segment.source().read(range, Vec::new()).ok()
    };
    let window = read(place, SEARCH_BYTES)?;
    let offset = find_block(&window, 0, head.marker)?;
    let header = BlockHeader::decode(window.get(offset..)?, head.marker).ok()?;
    let block = window.get(offset..offset.saturating_add(header.block_len()));
    match block {
        Some(block) => Some(block.to_vec()),
        None => Some(read(place + offset as u64, header.block_len() as u64)?.to_vec()),
    }
}

/// The bytes of both sections as stored with the dictionary, and as they would be without; `None`
/// for blocks that do not use it.
fn both_sizes(
    bytes: &[u8],
    head: &Head,
    decompressor: &mut Decompressor,
    plain: &mut Compressor,
) -> Result<Option<(usize, usize)>, DecodeError> {
    let header = BlockHeader::decode(bytes, head.marker)?;
    let sections = [&header.spine, &header.body];
    if header.kind != BlockKind::Data
        || !sections.iter().any(|section| section.codec == Codec::ZstdDictionary)
    {
        return Ok(None);
    }
    let stored: usize = sections.iter().map(|section| section.stored_len as usize).sum();
    let block = StoredBlock::new(header, bytes)?;
    let spine = plain.compressed_len(&block.spine(decompressor)?);
    let body = plain.compressed_len(&block.body(decompressor)?);
    Ok(Some((stored, spine + body)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use logq_testkit::segment::{SegmentOptions, encode, train};
    use logq_testkit::traffic::TrafficOptions;

    use crate::Snapshot;

    #[test]
    fn the_gain_is_what_encoding_without_the_dictionary_costs() {
        let traffic = TrafficOptions { records: 20_000, ..TrafficOptions::default() };
        let plain = SegmentOptions { traffic, block_bytes: 4 << 10, ..SegmentOptions::default() };
        let dictionary = Some(train(&plain, 16 << 10).unwrap());
        let options = SegmentOptions { dictionary, ..plain.clone() };
        let (with, without) = (encode(&options).unwrap(), encode(&plain).unwrap());
        let columns = |sizes: logq_testkit::segment::Sizes| sizes.spine_stored + sizes.body_stored;
        let expected = columns(without.sizes) as f64 / columns(with.sizes) as f64;

        let store = Snapshot::of_memory([with.bytes, without.bytes].map(Arc::from));
        let segments = store.summary().unwrap().segments;
        let gain = segments[0].dictionary.unwrap().gain.unwrap();
        assert!(expected > 1.2 && (gain / expected - 1.0).abs() < 0.05, "{gain} {expected}");
        assert_eq!(segments[1].dictionary, None);
    }
}
