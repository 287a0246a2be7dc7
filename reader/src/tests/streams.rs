//! Block streams: what is asked of a stream is what is asked of the stores it was made of.

use std::io::{self, Read};
use std::sync::Arc;

use fastrand::Rng;
use logq_format::{LevelSet, STREAM_MARK_LEN, Timestamp};
use logq_testkit::cluster::{Cluster, ClusterOptions};
use logq_testkit::naive::NaiveStore;

use super::cluster::{Troubles, cluster};
use super::equivalence::{check, in_memory, lines, longer, query};
use crate::report::Cause;
use crate::{OpenError, Order, Query, Snapshot};

/// A pipe that gives a few bytes at a time.
struct Drip<'b>(&'b [u8], usize);

impl Read for Drip<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.1.min(buffer.len());
        (&mut self.0).take(len as u64).read(buffer)
    }
}

fn stream(snapshot: &Snapshot, query: &Query<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (end, _) = snapshot.blocks(query, None, &mut bytes).unwrap();
    assert_eq!(end.bytes, (bytes.len() - STREAM_MARK_LEN) as u64);
    bytes
}

fn received(bytes: &[u8]) -> Snapshot {
    Snapshot::of_stream("pipe", bytes).unwrap()
}

const TROUBLES: Troubles = Troubles { torn: true, twice: true, missing: true, sparse: true };

/// What the filter of a query leaves to the headers of blocks.
fn by_headers<'q>(query: &Query<'q>) -> Query<'q> {
    let mut query = query.clone();
    (query.filter.requests, query.limit) = (None, None);
    query
}

#[test]
fn a_stream_of_everything_answers_as_its_stores() {
    for seed in longer(0..60) {
        let segments = cluster(seed, TROUBLES);
        for order in [Order::Ascending, Order::Descending] {
            let here = in_memory(&segments);
            let bytes = stream(&here, &Query { order, ..Query::default() });
            let there = Snapshot::of_stream("pipe", Drip(&bytes, 7)).unwrap();
            let query = Query::default();
            assert_eq!(lines(&there, &query).0, lines(&here, &query).0, "seed {seed}, {order:?}");
        }
    }
}

#[test]
fn a_stream_of_some_blocks_answers_the_same_question_and_smaller_ones_as_its_stores() {
    for seed in longer(100..180) {
        let segments = cluster(seed, TROUBLES);
        let here = in_memory(&segments);
        let store = NaiveStore::read(&segments);
        let mut rng = Rng::with_seed(seed);
        for round in 0..6 {
            let asked = query(&mut rng, &store.records);
            let context = format!("seed {seed}, round {round}, {asked:?}");
            let bytes = stream(&here, &by_headers(&asked));
            let there = received(&bytes);
            assert_eq!(lines(&there, &asked).0, lines(&here, &asked).0, "{context}");
            // Whoever asks for more gets what was selected, and no more of some and less of others.
            let more = by_headers(&asked);
            let wider = Query { order: more.order, ..Query::default() };
            assert_eq!(lines(&there, &wider).0, lines(&here, &more).0, "wider, {context}");
            let count = there.count(&Query::default()).unwrap().0;
            assert_eq!(count, here.count(&more).unwrap().0, "count, {context}");
            let again = stream(&there, &wider);
            assert_eq!(lines(&received(&again), &asked).0, lines(&here, &asked).0, "{context}");
        }
    }
}

/// The blocks at the end of a selection hold later records, too, which nobody can ask for. As the
/// latest ones of the stream they made each answer look as if it were not final.
#[test]
fn a_stream_covers_no_later_time_than_was_selected() {
    for seed in longer(200..240) {
        let segments = cluster(seed, Troubles::default());
        let here = in_memory(&segments);
        let records = NaiveStore::read(&segments).records;
        let Some(until) = records.get(records.len() / 2).map(|record| record.time) else {
            continue;
        };
        let bytes = stream(&here, &Query { until: Some(until), ..Query::default() });
        let last = received(&bytes).coverage().last;
        assert!(last < Some(until), "seed {seed}: {last:?}, {until}");
        let whole = received(&stream(&here, &Query::default()));
        assert!(whole.coverage().last >= here.coverage().last, "seed {seed}: nothing is cut off");
    }
}

#[test]
fn what_was_left_out_is_not_missing_and_what_was_missing_is_told() {
    for seed in 0..40 {
        let segments = cluster(seed, Troubles { missing: true, ..Troubles::default() });
        let here = in_memory(&segments);
        let records = NaiveStore::read(&segments).records;
        let since = records.get(records.len() / 3).map(|record| record.time);
        let asked = Query { since, ..Query::default() };
        let (_, ours) = lines(&here, &asked);
        let (_, theirs) = lines(&received(&stream(&here, &asked)), &asked);
        assert_eq!(theirs.missing, [], "seed {seed}");
        let told = theirs.gaps.iter().find_map(|gap| match gap.cause {
            Cause::Sender { gaps, records } => Some((gaps, records)),
            _ => None,
        });
        let known = (ours.gaps.len() as u64, ours.missing_records());
        assert_eq!(told.unwrap_or_default(), known, "seed {seed}");
    }
}

#[test]
fn damaged_stores_come_through_with_all_that_is_intact() {
    for seed in 0..60 {
        let options = ClusterOptions { seed, damages: 3, ..ClusterOptions::default() };
        let segments = Cluster::generate(&options).segments;
        let here = in_memory(&segments);
        let bytes = stream(&here, &Query::default());
        let (ours, report) = lines(&here, &Query::default());
        let (theirs, told) = lines(&received(&bytes), &Query::default());
        assert_eq!(theirs, ours, "seed {seed}");
        assert_eq!(told.is_complete(), report.is_complete(), "seed {seed}: {told:?} {report:?}");
    }
}

#[test]
fn plain_segments_one_after_the_other_are_read_as_their_files() {
    for seed in 0..60 {
        let options = ClusterOptions {
            seed,
            damages: u32::try_from(seed % 3).unwrap(),
            ..ClusterOptions::default()
        };
        let segments = Cluster::generate(&options).segments;
        let bytes: Vec<u8> = segments.iter().flat_map(|(_, bytes)| bytes).copied().collect();
        let here = in_memory(&segments);
        let there = Snapshot::of_stream("pipe", Drip(&bytes, 5000));
        let Ok(there) = there else {
            assert!(seed % 3 > 0, "seed {seed}");
            continue;
        };
        // Of a segment with a damaged header, nothing tells where it begins.
        let is_whole = here.segments().iter().all(|s| s.head().is_ok_and(|h| h.header.is_ok()));
        if is_whole {
            let query = Query::default();
            assert_eq!(lines(&there, &query).0, lines(&here, &query).0, "seed {seed}");
        }
        if seed % 3 == 0 {
            check(seed, &segments, &there, true);
        }
    }
}

#[test]
fn a_stream_that_is_cut_anywhere_is_told_to_be() {
    let segments = cluster(7, Troubles::default());
    let here = in_memory(&segments);
    let (all, _) = lines(&here, &Query::default());
    let bytes = stream(&here, &Query::default());
    let mut rng = Rng::with_seed(7);
    let cuts = (0..120).map(|_| rng.usize(STREAM_MARK_LEN..bytes.len()));
    for cut in cuts.chain([STREAM_MARK_LEN, bytes.len() - STREAM_MARK_LEN, bytes.len() - 1]) {
        let (found, report) = lines(&received(&bytes[..cut]), &Query::default());
        assert!(found.iter().all(|line| all.contains(line)), "{cut}");
        assert!(report.gaps.iter().any(|gap| gap.cause == Cause::CutShort), "{cut}: {report:?}");
    }
    for cut in 0..STREAM_MARK_LEN {
        assert!(Snapshot::of_stream("pipe", &bytes[..cut]).is_err(), "{cut}");
    }
}

#[test]
fn a_stream_that_is_damaged_anywhere_loses_no_more_than_a_block_or_tells() {
    let segments = cluster(9, Troubles::default());
    let here = in_memory(&segments);
    let (all, _) = lines(&here, &Query::default());
    let bytes = stream(&here, &Query::default());
    let mut rng = Rng::with_seed(9);
    for _ in 0..300 {
        let mut damaged = bytes.clone();
        let place = rng.usize(0..bytes.len());
        damaged[place] ^= 1 << rng.u8(0..8);
        let Ok(there) = Snapshot::of_stream("pipe", damaged.as_slice()) else {
            assert!(place < STREAM_MARK_LEN, "{place}");
            continue;
        };
        let (found, report) = lines(&there, &Query::default());
        assert!(found.iter().all(|line| all.contains(line)), "{place}");
        assert!(found.len() == all.len() || !report.is_complete(), "{place}: {report:?}");
    }
}

#[test]
fn streams_are_joined_where_they_are_of_one_kind() {
    let segments = cluster(21, Troubles::default());
    let here = in_memory(&segments);
    let (all, _) = lines(&here, &Query::default());
    let records = NaiveStore::read(&segments).records;
    let mut times: Vec<Timestamp> = records.iter().map(|record| record.time).collect();
    times.sort_unstable();
    let (one, two) = (times[times.len() / 3], times[times.len() / 2]);
    let part = |since, until| stream(&here, &Query { since, until, ..Query::default() });
    let (a, b, c) = (part(None, Some(one)), part(Some(one), Some(two)), part(Some(two), None));
    let joined = received(&[b.as_slice(), &c, &a].concat());
    let (found, report) = lines(&joined, &Query::default());
    assert_eq!(found, all);
    assert!(report.is_complete(), "{report:?}");

    let (_, report) = lines(&received(&[a.as_slice(), &c].concat()), &Query::default());
    assert_eq!(report.gaps.first().map(|gap| &gap.cause), Some(&Cause::NotSelected));
    let outside = Query { until: Some(one), ..Query::default() };
    let (_, report) = lines(&received(&[a.as_slice(), &c].concat()), &outside);
    assert!(report.is_complete(), "what was not asked for need not be there");

    let mut other = Query::default();
    other.filter.levels = LevelSet::from_bits(3);
    let mixed = [a, stream(&here, &other)].concat();
    let error = Snapshot::of_stream("pipe", mixed.as_slice()).unwrap_err();
    assert!(matches!(error, OpenError::MixedStreams { .. }), "{error}");
}

#[test]
fn what_is_neither_a_stream_nor_a_segment_is_refused() {
    let check = |bytes: &[u8], part: &str| {
        let error = Snapshot::of_stream("standard input", bytes).unwrap_err().to_string();
        assert!(error.contains(part) && error.starts_with("standard input: "), "{error}");
    };
    check(b"", "an empty file");
    check(b"127.0.0.1 - - [03/Feb/2026]\n", "a text file");
    check(b"{\"a\":1}\n", "JSON lines");
    check(&[0x28, 0xB5, 0x2F, 0xFD, 0], "compressed with zstd");
    check(&[0; 2000], "a file of another kind");
}

/// The marks that a hostile log could hold are not looked at where blocks are intact.
#[test]
fn what_logs_hold_is_no_mark_and_no_segment() {
    use super::cluster::{SegmentBuilder, Writer, time};
    use logq_format::{Event, Json, Level, LogSource, Origin, Record, WriterId};

    let inner = stream(&in_memory(&cluster(3, Troubles::default())), &Query::default());
    let mut writer =
        Writer { origin: Origin { writer: WriterId(1), worker: None }, sequence: 0, time: 0 };
    let mut segment = SegmentBuilder::new(1, 1, None);
    let text = format!("{:?}", String::from_utf8_lossy(&inner));
    let text = text.replace(|c: char| u32::from(c) < 0x20, "?");
    let event = Event::Log {
        source: LogSource::Master,
        level: Level::Info,
        data: Json::new(&text).unwrap(),
    };
    let block = segment.block(
        &mut writer,
        logq_format::BlockFlags::NONE,
        &[Record { time: time(1), event }],
    );
    // A block whose body is a whole stream, with checksums that are right.
    let mut header = logq_format::BlockHeader::decode(&block, segment.marker).unwrap();
    header.kind = logq_format::BlockKind::Other(200);
    (header.records, header.requests) = (0, 0);
    header.spine.stored_len = 0;
    header.body.stored_len = u32::try_from(inner.len()).unwrap();
    header.front_crc = crc32c::crc32c(&[]);
    header.body_crc = crc32c::crc32c(&inner);
    let mut forged = vec![0; logq_format::BLOCK_HEADER_LEN];
    header.overwrite(segment.marker, &mut forged);
    forged.extend_from_slice(&inner);
    segment.append(&forged, 0, 0);
    let bytes = segment.finish();
    let there = received(&bytes);
    assert_eq!(there.segments().len(), 1);
    let (found, report) = lines(&there, &Query::default());
    assert_eq!((found.len(), report.unknown_blocks), (1, 1), "{report:?}");
}

#[test]
fn the_memory_for_a_stream_is_that_of_its_blocks() {
    // A claim of megabytes that are not there is not believed.
    let segments = cluster(5, Troubles::default());
    let mut bytes = segments[0].1.clone();
    let marker = logq_format::FileHeader::decode(&bytes).unwrap().marker;
    let origin = logq_format::Origin { writer: logq_format::WriterId(9), worker: None };
    let kind = logq_format::BlockKind::Data;
    let mut header = logq_format::BlockHeader::empty(kind, origin, super::cluster::time(0), 0);
    header.body.stored_len = (1 << 24) - 1;
    let mut claim = vec![0; logq_format::BLOCK_HEADER_LEN];
    header.overwrite(marker, &mut claim);
    for _ in 0..50 {
        bytes.extend_from_slice(&claim);
    }
    bytes.extend_from_slice(&segments[0].1);
    let there = received(&bytes);
    assert_eq!(there.segments().len(), 2, "the segment behind the damage is found");
    let (all, _) = lines(&in_memory(&segments[..1]), &Query::default());
    assert_eq!(lines(&there, &Query::default()).0, all);
    let shared: Arc<[u8]> = segments[0].1.clone().into();
    assert_eq!(lines(&Snapshot::of_memory([shared]), &Query::default()).0, all);
}
