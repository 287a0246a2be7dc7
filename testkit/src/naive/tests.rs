//! The rules of reading, one small segment each.

use logq_format::{
    BlockBuilder, BlockContext, BlockFlags, Compressor, Event, FILE_HEADER_LEN, FileHeader, Id,
    Json, Level, LevelSet, LogSource, Origin, Record, RecordType, SyncMarker, Timestamp, TypeSet,
    VERSION, WorkerId, WriterId,
};

use super::{NaiveQuery, NaiveStore};

fn marker() -> SyncMarker {
    SyncMarker::from_random(*b"a marker")
}

fn file_header() -> Vec<u8> {
    let header = FileHeader {
        version: VERSION,
        file: Id::default(),
        directory: Id::default(),
        segment: 1,
        created: Timestamp::from_micros(0),
        created_monotonic_us: 0,
        boot: Id::default(),
        marker: marker(),
        predecessor: None,
        clock_epoch: 0,
        dictionary: None,
    };
    header.encode().to_vec()
}

/// A block of three records of worker `writer` at seconds `sequence` and following, uncompressed.
fn block(writer: u32, sequence: u64) -> Vec<u8> {
    block_of(writer, sequence..sequence + 3)
}

fn big_block(writer: u32) -> Vec<u8> {
    block_of(writer, 0..100)
}

fn block_of(writer: u32, numbers: std::ops::Range<u64>) -> Vec<u8> {
    let mut builder = BlockBuilder::new();
    let sequence = numbers.start;
    for number in numbers {
        let time = Timestamp::from_micros(i64::try_from(number).unwrap() * 1_000_000);
        let level = if number % 2 == 0 { Level::Info } else { Level::Error };
        let event = Event::Log { source: LogSource::Worker, level, data: Json::NULL };
        builder.push(&Record { time, event }).unwrap();
    }
    let origin = Origin { writer: WriterId(writer), worker: WorkerId::new(writer) };
    let context =
        BlockContext { marker: marker(), origin, sequence, flags: BlockFlags::NONE, lost: 0 };
    let mut bytes = Vec::new();
    builder.finish(&context, &mut Compressor::raw(), &mut bytes);
    bytes
}

fn read(parts: &[&[u8]]) -> NaiveStore {
    NaiveStore::read(&[(1, parts.concat())])
}

fn numbers(store: &NaiveStore, query: &NaiveQuery) -> Vec<(u32, u64)> {
    store.select(query).iter().map(|r| (r.origin.writer.0, r.sequence)).collect()
}

#[test]
fn records_come_by_time_then_writer_and_repeated_ones_once() {
    let store = read(&[&file_header(), &block(2, 1), &block(1, 0), &block(2, 1)]);
    assert_eq!(store.records.len(), 9);
    let all = [(1, 0), (1, 1), (2, 1), (1, 2), (2, 2), (2, 3)];
    assert_eq!(numbers(&store, &NaiveQuery::default()), all);
    assert!(store.gaps.is_empty() && store.missing.is_empty());
}

#[test]
fn each_part_of_a_query_filters() {
    let store = read(&[&file_header(), &block(2, 1), &block(1, 0)]);
    let check = |query: NaiveQuery, expected: &[(u32, u64)]| {
        assert_eq!(numbers(&store, &query), expected, "{query:?}");
    };
    let all = NaiveQuery::default;
    let second = |second: i64| Timestamp::from_micros(second * 1_000_000);
    check(NaiveQuery { since: second(3), ..all() }, &[(2, 3)]);
    check(NaiveQuery { until: Some(second(1)), ..all() }, &[(1, 0)]);
    let errors = LevelSet::at_least(Level::Error);
    check(NaiveQuery { levels: errors, ..all() }, &[(1, 1), (2, 1), (2, 3)]);
    check(NaiveQuery { types: TypeSet::EMPTY.with(RecordType::Request), ..all() }, &[]);
    let workers = Some(vec![None, WorkerId::new(1)]);
    check(NaiveQuery { workers, ..all() }, &[(1, 0), (1, 1), (1, 2)]);
    check(NaiveQuery { requests: Some(vec![]), ..all() }, &[]);
}

#[test]
fn jumps_in_sequences_are_missing_records() {
    let store = read(&[&file_header(), &block(1, 0), &block(2, 5), &block(1, 7)]);
    let missing: Vec<_> = store.missing.into_iter().collect();
    assert_eq!(missing, (3..7).map(|number| (WriterId(1), number)).collect::<Vec<_>>());
}

#[test]
fn torn_block_that_ends_where_another_starts_hides_nothing() {
    let big = big_block(1);
    let hidden = block(2, 0);
    // Of the big block only the first part is there, then another block, and where the big one
    // would end by its header, a third one starts.
    let part = big.len() - hidden.len();
    let store = read(&[&file_header(), &big[..part], &hidden, &block(3, 0)]);
    let writers: Vec<_> = store.records.iter().map(|record| record.origin.writer.0).collect();
    assert_eq!(writers, [2, 2, 2, 3, 3, 3]);
    let start = FILE_HEADER_LEN as u64;
    assert_eq!(store.gaps, [(1, start..start + part as u64)]);
}

#[test]
fn damaged_file_header_costs_no_record() {
    let mut header = file_header();
    header[100] ^= 1;
    let store = read(&[&header, &block(1, 0)]);
    assert_eq!(store.records.len(), 3);
    assert_eq!(store.gaps, [(1, 0..256)]);
}

#[test]
fn file_of_a_newer_version_is_left_alone() {
    let mut header = file_header();
    header[8] = 2;
    let store = read(&[&header, &block(1, 0)]);
    assert_eq!((store.records.len(), store.gaps.len()), (0, 1));
}
