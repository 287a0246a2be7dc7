//! Blocks that were encoded for one segment and must go into another one, because the first was
//! deleted or failed meanwhile.

use logq_format::{
    Block, BlockBuilder, BlockHeader, Codec, Compressor, DecodeError, Decompressor, Spine,
    StoredBlock,
};

use crate::queue::{Encoding, Pending};

/// The same block as the other segment stores it.
///
/// Only a block that is compressed with a dictionary has to be decoded; otherwise another marker in
/// the header does it.
///
/// # Errors
///
/// Fails where the block does not decode: a bug, since this process has just made it.
pub(crate) fn transcode(
    block: &[u8],
    from: &Encoding,
    to: &Encoding,
) -> Result<Vec<u8>, DecodeError> {
    let header = BlockHeader::decode(block, from.marker)?;
    let bound = [header.spine.codec, header.body.codec].contains(&Codec::ZstdDictionary);
    let same = from.dictionary.as_ref().map(|d| d.id()) == to.dictionary.as_ref().map(|d| d.id());
    if !bound || same {
        let mut moved = block.to_vec();
        header.overwrite(to.marker, &mut moved);
        return Ok(moved);
    }
    reencode(block, header, from, to)
}

fn reencode(
    block: &[u8],
    header: BlockHeader,
    from: &Encoding,
    to: &Encoding,
) -> Result<Vec<u8>, DecodeError> {
    let no_memory = |error: std::io::Error| DecodeError::Decompress {
        what: "block",
        reason: error.to_string(),
    };
    let mut decompressor = Decompressor::new().map_err(no_memory)?;
    decompressor.set_dictionary(from.dictionary.as_ref()).map_err(no_memory)?;
    let stored = StoredBlock::new(header.clone(), block)?;
    let raw_spine = stored.spine(&mut decompressor)?;
    let raw_body = stored.body(&mut decompressor)?;
    let spine = Spine::parse(&header, stored.request_ids().collect(), &raw_spine)?;
    let decoded = Block::new(spine, &raw_body)?;
    let mut builder = BlockBuilder::new();
    for record in decoded.records() {
        // They fitted into one block before.
        let _ = builder.push(&record?);
    }
    let (origin, sequence) = (header.origin, header.sequence);
    let mut pending = Pending { records: builder, origin, sequence, lost: u64::from(header.lost) };
    let mut compressor: Compressor = to.compressor();
    let mut out = Vec::with_capacity(block.len());
    let context = to.context(&pending);
    pending.records.finish(&context, &mut compressor, &mut out);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use logq_format::{
        Dictionary, Event, Json, Level, LogSource, Origin, Record, SyncMarker, Timestamp, WriterId,
    };

    fn encoding(marker: u8, dictionary: Option<Dictionary>) -> Encoding {
        Encoding {
            marker: SyncMarker::from_random([marker; 8]),
            origin: Origin { writer: WriterId(1), worker: None },
            dictionary,
            compression: true,
        }
    }

    fn texts() -> Vec<String> {
        (0..500).map(|n| format!("{{\"message\":\"order placed\",\"number\":{n}}}")).collect()
    }

    fn block(encoding: &Encoding) -> Vec<u8> {
        let mut builder = BlockBuilder::new();
        for (n, text) in texts().iter().enumerate() {
            let event = Event::Log {
                source: LogSource::Master,
                level: Level::Info,
                data: Json::new(text).unwrap(),
            };
            let time = Timestamp::from_micros(n as i64);
            builder.push(&Record { time, event }).unwrap();
        }
        let mut pending =
            Pending { records: builder, origin: encoding.origin, sequence: 7, lost: 3 };
        let mut out = Vec::new();
        let context = encoding.context(&pending);
        pending.records.finish(&context, &mut encoding.compressor(), &mut out);
        out
    }

    fn lines(block: &[u8], encoding: &Encoding) -> Vec<String> {
        let header = BlockHeader::decode(block, encoding.marker).unwrap();
        assert_eq!((header.sequence, header.lost), (7, 3));
        let stored = StoredBlock::new(header.clone(), block).unwrap();
        let mut decompressor = Decompressor::new().unwrap();
        decompressor.set_dictionary(encoding.dictionary.as_ref()).unwrap();
        let raw_spine = stored.spine(&mut decompressor).unwrap();
        let raw_body = stored.body(&mut decompressor).unwrap();
        let ids = stored.request_ids().collect();
        let block = Block::new(Spine::parse(&header, ids, &raw_spine).unwrap(), &raw_body).unwrap();
        let data = block.records().map(|record| match record.unwrap().event {
            Event::Log { data, .. } => data.as_str().to_owned(),
            other => panic!("{other:?}"),
        });
        data.collect()
    }

    #[test]
    fn a_block_moves_between_segments_with_and_without_dictionaries() {
        let dictionary = Dictionary::train(&texts(), 2048).unwrap();
        let plain = encoding(1, None);
        let other = encoding(2, None);
        let with = encoding(3, Some(dictionary));
        for (from, to) in [(&plain, &other), (&plain, &with), (&with, &plain), (&with, &other)] {
            let moved = transcode(&block(from), from, to).unwrap();
            assert_eq!(lines(&moved, to), texts());
        }
    }
}
