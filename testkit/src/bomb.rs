//! A small segment that claims to be a very large one.

use std::io;

use logq_format::limits::BLOCK_RECORDS_MAX;
use logq_format::{
    BlockBuilder, BlockContext, BlockFlags, Compressor, Event, FileHeader, Id, Lifecycle, Origin,
    Record, SyncMarker, Timestamp, VERSION, WriterId,
};

/// Blocks with as many records as a block may have, all of them at two instants: a few hundred bytes
/// each, and gigabytes of keys together.
///
/// # Errors
///
/// Fails where zstd cannot make a context, and where the records do not fit the format.
pub fn bomb(blocks: u32) -> io::Result<Vec<u8>> {
    let marker = SyncMarker::from_random([7; 8]);
    let time = Timestamp::from_micros(1_000_000);
    let header = FileHeader {
        version: VERSION,
        file: Id([1; 16]),
        directory: Id([2; 16]),
        segment: 1,
        created: time,
        created_monotonic_us: 0,
        boot: Id([3; 16]),
        marker,
        predecessor: None,
        clock_epoch: 0,
        dictionary: None,
    };
    let mut bytes = header.encode().to_vec();
    let mut builder = BlockBuilder::new();
    let mut compressor = Compressor::new(1, None)?;
    let event = Event::Lifecycle(Lifecycle::WorkerOnline);
    let early = Record { time, event };
    let late = Record { time: time.saturating_add_micros(1), ..early.clone() };
    for writer in 0..blocks {
        for index in 0..BLOCK_RECORDS_MAX {
            let record = if index < BLOCK_RECORDS_MAX / 2 { &early } else { &late };
            builder.push(record).map_err(io::Error::other)?;
        }
        let origin = Origin { writer: WriterId(writer), worker: None };
        let flags = BlockFlags::NONE;
        let context = BlockContext { marker, origin, sequence: 0, flags, lost: 0 };
        builder.finish(&context, &mut compressor, &mut bytes);
    }
    Ok(bytes)
}
