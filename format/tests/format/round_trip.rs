//! Every record of every kind comes back as it went in, whatever the codec.

use std::sync::LazyLock;

use logq_format::{
    Block, BlockBuilder, BlockContext, BlockFlags, BlockHeader, Compressor, Decompressor,
    Dictionary, Event, LEVEL_DEFAULT, Level, LevelSet, Lifecycle, Origin, Record, RecordType,
    Spine, StagedRecords, StoredBlock, SyncMarker, Timestamp, TypeSet, WorkerId, WriterId,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::RngSeed;

use crate::support::records::{OwnRecord, at_times, records, time};

fn context(sequence: u64) -> BlockContext {
    BlockContext {
        marker: SyncMarker::from_random(*b"a marker"),
        origin: Origin { writer: WriterId(7), worker: WorkerId::new(2) },
        sequence,
        flags: BlockFlags::RETRIED,
        lost: 3,
    }
}

/// Three ways to store a section: raw, zstd, zstd with a dictionary.
fn compressors() -> [Compressor; 3] {
    static DICTIONARY: LazyLock<Dictionary> = LazyLock::new(|| {
        let sample = |n| format!("{{\"user\":{n},\"path\":\"/api/{n}\"}}");
        Dictionary::train(&(0..200).map(sample).collect::<Vec<_>>(), 2048).unwrap()
    });
    [
        Compressor::raw(),
        Compressor::new(LEVEL_DEFAULT, None).unwrap(),
        Compressor::new(LEVEL_DEFAULT, Some(DICTIONARY.clone())).unwrap(),
    ]
}

/// The block that a builder makes of what it holds.
fn finish(builder: &mut BlockBuilder) -> Vec<u8> {
    let mut bytes = Vec::new();
    builder.finish(&context(1000), &mut Compressor::raw(), &mut bytes);
    bytes
}

/// Encodes the records as one block.
fn encode(own: &[OwnRecord], start: Timestamp, compressor: &mut Compressor) -> Vec<u8> {
    let mut builder = BlockBuilder::new();
    let mut block = || {
        for (own, record) in own.iter().zip(at_times(start, own)) {
            builder.skip_sequence(own.gap);
            builder.push(&record).unwrap();
        }
        let mut bytes = Vec::new();
        let header = builder.finish(&context(1000), compressor, &mut bytes);
        assert_eq!(header.block_len(), bytes.len());
        bytes
    };
    let bytes = block();
    assert_eq!(block(), bytes, "the builder starts over");
    bytes
}

fn expected_sequences(own: &[OwnRecord]) -> Vec<u64> {
    let mut next = 1000;
    let number = |(index, record): (usize, &OwnRecord)| {
        let sequence = next + if index == 0 { 0 } else { record.gap };
        next = sequence + 1;
        sequence
    };
    own.iter().enumerate().map(number).collect()
}

fn check_block(bytes: &[u8], own: &[OwnRecord], start: Timestamp, compressor: &Compressor) {
    let header = BlockHeader::decode(bytes, context(0).marker).unwrap();
    let stored = StoredBlock::new(header.clone(), bytes).unwrap();
    let mut decompressor = Decompressor::new().unwrap();
    decompressor.set_dictionary(compressor.dictionary()).unwrap();
    let raw_spine = stored.spine(&mut decompressor).unwrap();
    let raw_body = stored.body(&mut decompressor).unwrap();
    let spine = Spine::parse(&header, stored.request_ids().collect(), &raw_spine).unwrap();
    // Made here, so that they may be compared with records that borrow from the block.
    let records = at_times(start, own);
    check_spine(&spine, &header, own, &records);
    let block = Block::new(spine, &raw_body).unwrap();
    for (index, record) in records.iter().enumerate() {
        assert_eq!(block.record(index).as_ref(), Ok(record), "record {index}");
    }
    assert!(block.record(records.len()).is_err());
}

/// Whatever the spine and the header say without the body is what the records say.
fn check_spine(spine: &Spine<'_>, header: &BlockHeader, own: &[OwnRecord], records: &[Record<'_>]) {
    let times: Vec<Timestamp> = records.iter().map(|record| record.time).collect();
    assert_eq!(spine.times(), times);
    assert_eq!((header.min, header.max), (times[0], times[times.len() - 1]));
    assert_eq!(spine.sequences().collect::<Vec<_>>(), expected_sequences(own));
    assert_eq!(header.sequence, 1000);
    let gaps = own.iter().skip(1).any(|record| record.gap > 0);
    assert_eq!(header.flags.contains(BlockFlags::SPARSE), gaps);
    assert!(header.flags.contains(BlockFlags::RETRIED));
    assert_eq!(header.lost, 3);

    let kinds: Vec<(Level, RecordType)> =
        records.iter().map(|record| (record.level(), record.record_type())).collect();
    assert_eq!(spine.kinds().collect::<Vec<_>>(), kinds);
    let levels = kinds.iter().fold(LevelSet::EMPTY, |set, kind| set.with(kind.0));
    let types = kinds.iter().fold(TypeSet::EMPTY, |set, kind| set.with(kind.1));
    assert_eq!((header.levels, header.types), (levels, types));
    // Shapes of one level and type are told apart, so sum them up.
    let tallied = |kind| spine.tally().filter(|t| (t.0, t.1) == kind).map(|t| t.2).sum::<usize>();
    for kind in &kinds {
        assert_eq!(tallied(*kind), kinds.iter().filter(|other| *other == kind).count());
    }

    let requests = spine.request_indices().unwrap();
    for (record, index) in records.iter().zip(requests) {
        let id = index.map(|index| spine.request_ids()[index as usize]);
        assert_eq!(id, record.request_id());
    }
}

proptest! {
    // The same cases in every run.
    #![proptest_config(ProptestConfig {
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn staged_records_become_the_same_block(own in records(40), start in time()) {
        let (mut staged, mut poured) = (StagedRecords::new(), BlockBuilder::new());
        let mut pushed = BlockBuilder::new();
        for round in 0..2 {
            for record in at_times(start, &own) {
                assert_eq!(staged.push(&record), Ok(()), "round {round}");
                pushed.push(&record).unwrap();
            }
            assert_eq!(staged.records().collect::<Vec<_>>(), at_times(start, &own));
            assert_eq!(staged.len(), own.len());
            staged.pour_into(&mut poured);
            assert!(staged.is_empty());
            assert_eq!(finish(&mut poured), finish(&mut pushed), "round {round}");
        }
    }

    #[test]
    fn records_of_several_buffers_become_the_block_that_their_ranks_tell(
        own in records(40),
        buffers in prop::collection::vec(0..5_usize, 40),
        start in time(),
    ) {
        let mut staged: [_; 5] = std::array::from_fn(|_| StagedRecords::new());
        let (mut poured, mut pushed, mut raw_len) = (BlockBuilder::new(), BlockBuilder::new(), 0);
        for ((rank, record), buffer) in (0..).zip(at_times(start, &own)).zip(buffers) {
            let len = StagedRecords::raw_len_of(&record.event).unwrap();
            assert!(StagedRecords::fits_beside(rank, raw_len, len));
            raw_len += len;
            staged[buffer].push_ranked(rank, &record).unwrap();
            pushed.push(&record).unwrap();
        }
        assert_eq!(staged.iter().map(StagedRecords::raw_len).sum::<usize>(), raw_len);
        assert_eq!(StagedRecords::pour_together(&mut staged, Timestamp::MIN, &mut poured), 0);
        assert!(staged.iter().all(StagedRecords::is_empty));
        if !own.is_empty() {
            assert_eq!(finish(&mut poured), finish(&mut pushed));
        }
    }

    #[test]
    fn records_of_all_kinds_round_trip(own in records(40), start in time()) {
        // The latest instant must not be passed.
        let start = start.min(Timestamp::MAX.saturating_add_micros(-5_000_000_000));
        for mut compressor in compressors() {
            let bytes = encode(&own, start, &mut compressor);
            check_block(&bytes, &own, start, &compressor);
        }
    }
}

#[test]
fn times_of_several_buffers_never_decrease() {
    let event = || Event::Lifecycle(Lifecycle::WorkerStarted);
    let mut staged = [StagedRecords::new(), StagedRecords::new()];
    // By rank: 10, 7, 12, 11, 13; each buffer by itself is in order.
    for (rank, (buffer, time)) in (0..).zip([(0, 10), (1, 7), (0, 12), (1, 11), (1, 13)]) {
        let record = Record { time: Timestamp::from_micros(time), event: event() };
        staged[buffer].push_ranked(rank, &record).unwrap();
    }
    let mut builder = BlockBuilder::new();
    StagedRecords::pour_together(&mut staged, Timestamp::from_micros(11), &mut builder);
    let (mut all, mut poured) = (StagedRecords::new(), BlockBuilder::new());
    for time in [11, 11, 12, 12, 13] {
        all.push(&Record { time: Timestamp::from_micros(time), event: event() }).unwrap();
    }
    all.pour_into(&mut poured);
    assert_eq!(finish(&mut builder), finish(&mut poured));
}

#[test]
fn a_block_of_many_records_and_requests_round_trips() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let strategy = prop::collection::vec(records(50), 100);
    let own: Vec<OwnRecord> = strategy.new_tree(&mut runner).unwrap().current().concat();
    assert!(own.len() > 2000);
    let start = Timestamp::from_micros(0);
    for mut compressor in compressors() {
        let bytes = encode(&own, start, &mut compressor);
        check_block(&bytes, &own, start, &compressor);
    }
}
