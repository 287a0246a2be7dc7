//! Damage is told beside the records, and nothing makes a reader fail.

use std::ops::ControlFlow;

use fastrand::Rng;
use logq_format::{
    BlockFlags, BlockHeader, Event, FILE_HEADER_LEN, GapCause, Json, Level, LogSource, Origin,
    Record, Timestamp, WorkerId, WriterId,
};
use logq_testkit::cluster::{Cluster, ClusterOptions};

use super::cluster::{SegmentBuilder, Writer, time, train};
use super::equivalence::{in_memory, lines};
use crate::{Cause, Field, Order, Query, Report, Snapshot};

fn writer(id: u32) -> Writer {
    let origin = Origin { writer: WriterId(id), worker: WorkerId::new(id) };
    Writer { origin, sequence: 0, time: 0 }
}

fn log(micros: i64) -> Record<'static> {
    let data = Json::new("{\"message\":\"a message\"}").unwrap();
    let event = Event::Log { source: LogSource::Worker, level: Level::Info, data };
    Record { time: time(micros), event }
}

/// Four blocks of two records each, one writer, a record every 10 us; and where they start.
fn four_blocks() -> (Vec<u8>, Vec<usize>) {
    let mut segment = SegmentBuilder::new(1, 1, None);
    let mut writer = writer(1);
    let mut starts = Vec::new();
    for block in 0..4 {
        starts.push(segment.bytes.len());
        let records = [log(block * 20), log(block * 20 + 10)];
        segment.block(&mut writer, BlockFlags::NONE, &records);
    }
    (segment.finish(), starts)
}

/// How many records of these bytes are read, and the report.
fn read(bytes: Vec<u8>) -> (usize, Report) {
    let (lines, report) = lines(&in_memory(&[(1, bytes)]), &Query::default());
    (lines.len(), report)
}

#[test]
fn an_unfinished_tail_is_no_damage() {
    let (bytes, starts) = four_blocks();
    for cut in starts[3] + 1..bytes.len() {
        let (records, report) = read(bytes[..cut].to_vec());
        assert_eq!(records, 6, "{cut}");
        assert!(report.is_complete(), "{cut}: {report:?}");
        let tail = &report.unfinished[0];
        assert_eq!(tail.range, starts[3] as u64..cut as u64);
        assert_eq!(tail.cause, Cause::Damaged(GapCause::Unfinished));
        if cut >= starts[3] + 72 {
            assert_eq!(tail.sequences, Some(6..8), "{cut}");
            assert_eq!(tail.span, Some((time(20 * 2), time(70))), "{cut}");
        }
    }
    let (records, report) = read(bytes);
    assert_eq!((records, report.unfinished.len()), (8, 0));
}

#[test]
fn a_torn_block_that_was_written_again_is_no_loss() {
    let (intact, starts) = four_blocks();
    for cut in starts[1] + 72..starts[2] {
        let (torn, again) = (&intact[..cut], &intact[starts[1]..]);
        let (records, report) = read([torn, again].concat());
        assert_eq!(records, 8, "{cut}");
        assert!(report.is_complete(), "{cut}: {report:?}");
        assert_eq!(report.unfinished[0].range, starts[1] as u64..cut as u64);
        assert_eq!(report.unfinished[0].cause, Cause::Damaged(GapCause::Torn));

        let (records, report) = read([torn, &intact[starts[2]..]].concat());
        assert_eq!((records, report.gaps.len(), report.unfinished.len()), (6, 1, 0), "{cut}");
    }
}

#[test]
fn a_damaged_block_is_a_gap_with_its_writer_and_times() {
    let (intact, starts) = four_blocks();
    for at in starts[1] + 72..starts[2] {
        let mut bytes = intact.clone();
        bytes[at] ^= 1;
        let (records, report) = read(bytes);
        assert_eq!(records, 6, "{at}");
        let [gap] = &report.gaps[..] else { panic!("{at}: {:?}", report.gaps) };
        assert_eq!(gap.range, starts[1] as u64..starts[2] as u64);
        assert!(matches!(gap.cause, Cause::Damaged(GapCause::Content(_))), "{:?}", gap.cause);
        assert_eq!(gap.origin, Some(writer(1).origin));
        assert_eq!((&gap.sequences, gap.span), (&Some(2..4), Some((time(20), time(30)))));
        assert!(report.missing.is_empty(), "{at}: told once");
    }
}

#[test]
fn a_block_with_a_damaged_header_is_a_gap_and_its_records_are_missing() {
    let (mut bytes, starts) = four_blocks();
    bytes[starts[1] + 20] ^= 1;
    let (records, report) = read(bytes);
    assert_eq!(records, 6);
    assert_eq!(report.gaps[0].range, starts[1] as u64..starts[2] as u64);
    assert_eq!(report.gaps[0].span, Some((time(0), time(50))), "the blocks around");
    let [missing] = &report.missing[..] else { panic!("{:?}", report.missing) };
    assert_eq!((missing.sequence, missing.records), (2, 2));
    assert_eq!((missing.from, missing.to), (time(10), time(40)));
    assert_eq!((missing.origin, report.missing_records()), (writer(1).origin, 2));
    assert!(!report.is_complete());
}

#[test]
fn damage_outside_of_the_times_asked_for_is_not_told() {
    let (mut bytes, starts) = four_blocks();
    bytes[starts[1] + 20] ^= 1;
    let query = Query { since: Some(time(45)), ..Query::default() };
    let (lines, report) = lines(&in_memory(&[(1, bytes)]), &query);
    assert_eq!(lines.len(), 3);
    assert!(report.missing.is_empty(), "{:?}", report.missing);
}

#[test]
fn a_segment_with_a_damaged_header_is_read_all_the_same() {
    let (intact, _) = four_blocks();
    for at in [0, 9, 100, 110, 255] {
        let mut bytes = intact.clone();
        // A larger version would be another matter.
        bytes[at] = if at == 9 { 0 } else { bytes[at] ^ 0x55 };
        let (records, report) = read(bytes.clone());
        assert_eq!(records, 8, "{at}");
        if bytes != intact {
            let gap = &report.gaps[0];
            assert_eq!(gap.range, 0..FILE_HEADER_LEN as u64, "{at}");
            assert!(matches!(gap.cause, Cause::Damaged(GapCause::Header(_))), "{at}: {gap:?}");
        }
    }
}

#[test]
fn a_segment_of_a_newer_version_is_one_gap_and_the_others_are_read() {
    let (intact, _) = four_blocks();
    let mut newer = intact.clone();
    newer[8] = 2;
    for order in [Order::Ascending, Order::Descending] {
        let snapshot = in_memory(&[(1, newer.clone()), (2, intact.clone())]);
        let query = Query { order, ..Query::default() };
        let (lines, report) = lines(&snapshot, &query);
        assert_eq!(lines.len(), 8);
        assert_eq!(report.gaps.len(), 1);
        assert_eq!(report.gaps[0].range, 0..newer.len() as u64);
        assert!(report.gaps[0].cause.to_string().contains("newer"), "{}", report.gaps[0].cause);
    }
}

#[test]
fn files_that_are_no_segments_are_gaps() {
    for bytes in [Vec::new(), vec![0; 100], vec![0; 5000], b"not a segment".repeat(100)] {
        let len = bytes.len() as u64;
        let (records, report) = read(bytes);
        assert_eq!(records, 0);
        assert_eq!(report.gaps[0].range, 0..len);
    }
}

#[test]
fn missing_records_are_found_across_segments_and_only_between_segments_read() {
    let mut writer = writer(3);
    let mut segments = Vec::new();
    for number in 1..=4 {
        let mut segment = SegmentBuilder::new(number, number, None);
        let at = i64::try_from(number).unwrap() * 100;
        segment.block(&mut writer, BlockFlags::NONE, &[log(at), log(at + 10)]);
        segments.push((number, segment.finish()));
    }
    let report = |segments: &[(u64, Vec<u8>)], query| lines(&in_memory(segments), &query).1;
    assert_eq!(report(&segments, Query::default()).missing_records(), 0);
    segments.remove(1);
    for order in [Order::Ascending, Order::Descending] {
        let found = report(&segments, Query { order, ..Query::default() });
        assert_eq!(found.missing_records(), 2, "{order:?}");
        assert_eq!((found.missing[0].from, found.missing[0].to), (time(110), time(300)));
        let query = Query { since: Some(time(310)), order, ..Query::default() };
        assert_eq!(report(&segments, query).missing_records(), 0, "{order:?}");
    }
}

#[test]
fn a_claim_about_the_middle_of_a_block_does_not_cut_the_block_off() {
    let mut segment = SegmentBuilder::new(1, 1, None);
    let (mut master, mut fast, mut slow) = (writer(9), writer(1), writer(2));
    let mut times = Vec::new();
    let mut write = |segment: &mut SegmentBuilder, writer: &mut Writer, at: [i64; 2]| {
        times.extend(at);
        segment.block(writer, BlockFlags::NONE, &at.map(log));
    };
    for block in 0..30 {
        write(&mut segment, &mut fast, [block * 20, block * 20 + 10]);
    }
    // This block is being written when the master looks how long the file is.
    let start = segment.bytes.len();
    write(&mut segment, &mut fast, [600, 700]);
    master.time = 601;
    segment.ping_about(&master, start + 50, 590, 600);
    for block in 0..30 {
        write(&mut segment, &mut slow, [601 + block, 601 + block]);
    }
    write(&mut segment, &mut fast, [710, 720]);
    let snapshot = in_memory(&[(1, segment.finish())]);
    for order in [Order::Ascending, Order::Descending] {
        for since in [590, 591, 600, 631, 632, 699, 700, 701] {
            let query = Query { since: Some(time(since)), order, ..Query::default() };
            let (lines, report) = lines(&snapshot, &query);
            let expected = times.iter().filter(|time| since <= **time).count();
            assert_eq!(lines.len(), expected, "{order:?} since {since}");
            assert!(report.gaps.is_empty(), "{order:?} since {since}: {:?}", report.gaps);
        }
    }
}

/// Asks everything that can be asked of these bytes.
fn exercise(segments: &[(u64, Vec<u8>)], rng: &mut Rng) {
    let snapshot = in_memory(segments);
    let instant =
        |rng: &mut Rng| Timestamp::from_micros(1_770_076_800_000_000 + rng.i64(0..1 << 33));
    for order in [Order::Ascending, Order::Descending] {
        let (since, until) = (rng.bool().then(|| instant(rng)), rng.bool().then(|| instant(rng)));
        let query = Query { since, until, order, limit: Some(50), ..Query::default() };
        let mut rows = 0;
        let count = |found: usize| {
            rows += found;
            ControlFlow::Continue(())
        };
        let report = snapshot.scan(&query, |rows| rows.iter().count(), count).unwrap();
        assert_eq!(report.statistics.records, rows as u64);
        snapshot.tally(&query, Field::WorkerId).unwrap();
    }
    snapshot.summary().unwrap();
    snapshot.coverage();
}

#[test]
fn no_bytes_make_a_reader_fail() {
    let options = ClusterOptions { seed: 5, actions: 120, ..ClusterOptions::default() };
    let segments = Cluster::generate(&options).segments;
    let mut rng = Rng::with_seed(7);
    for _ in 0..150 {
        let mut damaged = segments.clone();
        for (_, bytes) in &mut damaged {
            match rng.u8(0..4) {
                0 => (0..20).for_each(|_| {
                    let at = rng.usize(0..bytes.len());
                    bytes[at] = rng.u8(..);
                }),
                1 => {
                    let from = rng.usize(0..bytes.len());
                    let piece = bytes[from..].to_vec();
                    let at = rng.usize(0..bytes.len());
                    bytes.splice(at..at, piece);
                }
                2 => bytes.truncate(rng.usize(0..bytes.len())),
                _ => {
                    let from = rng.usize(0..bytes.len());
                    bytes.drain(from..(from + rng.usize(0..500)).min(bytes.len()).max(from));
                }
            }
        }
        exercise(&damaged, &mut rng);
    }
}

/// Headers whose checksums are right and whose contents are lies.
#[test]
fn no_lying_header_makes_a_reader_fail() {
    let (intact, starts) = four_blocks();
    let marker = logq_format::FileHeader::decode(&intact).unwrap().marker;
    let mut rng = Rng::with_seed(11);
    for _ in 0..500 {
        let mut bytes = intact.clone();
        let start = starts[rng.usize(0..4)];
        for _ in 0..rng.usize(1..6) {
            bytes[start + rng.usize(8..68)] =
                *rng.choice(&[0, 1, 0x7F, 0xFF, rng.clone().u8(..)]).unwrap();
        }
        seal(&mut bytes[start..start + 72]);
        // Most of these are refused at once; the others must be dealt with.
        let _ = BlockHeader::decode(&bytes[start..], marker);
        exercise(&[(1, bytes)], &mut rng);
    }
}

/// Makes the checksum of a block header right.
fn seal(header: &mut [u8]) {
    let crc = crc32c(&header[..68]);
    header[68..72].copy_from_slice(&crc.to_le_bytes());
}

/// CRC-32C, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 0 { crc >> 1 } else { crc >> 1 ^ 0x82F6_3B78 };
    !bytes.iter().fold(!0_u32, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}

#[test]
fn a_scan_that_nobody_wants_to_go_on_ends() {
    let options = ClusterOptions { seed: 5, ..ClusterOptions::default() };
    let snapshot: Snapshot = in_memory(&Cluster::generate(&options).segments);
    let mut calls = 0;
    let once = |_: usize| {
        calls += 1;
        ControlFlow::Break(())
    };
    snapshot.scan(&Query::default(), |rows| rows.len(), once).unwrap();
    assert_eq!(calls, 1);
}

/// Of a rotated store each segment has a dictionary of its own: a flipped byte of it lost the whole
/// segment.
#[test]
fn a_damaged_dictionary_is_taken_from_the_copy_in_the_next_segment_or_at_the_end() {
    let mut rng = Rng::with_seed(4);
    let dictionaries = [train(&mut rng), train(&mut rng), train(&mut rng)];
    let mut writer = writer(1);
    let mut segments = Vec::new();
    for (index, dictionary) in dictionaries.iter().enumerate() {
        let number = index as u64 + 1;
        let mut segment = SegmentBuilder::new(number, number, Some(dictionary.clone()));
        if let Some(before) = index.checked_sub(1) {
            segment.dictionary(&dictionaries[before]);
        }
        let first = i64::try_from(number).unwrap() * 100_000;
        for block in 0..3 {
            let records: Vec<_> = (0..60).map(|n| log(first + block * 1000 + n)).collect();
            segment.block(&mut writer, BlockFlags::NONE, &records);
        }
        if number == 3 {
            segment.dictionary(dictionary);
        }
        segments.push((number, segment.finish()));
    }
    let (whole, report) = lines(&in_memory(&segments), &Query::default());
    assert_eq!((whole.len(), report.is_complete()), (540, true));
    for (index, dictionary) in dictionaries.iter().enumerate() {
        let len = dictionary.bytes().len();
        for at in [0, len / 2, len - 1] {
            let mut damaged = segments.clone();
            let place = FILE_HEADER_LEN + logq_format::BLOCK_HEADER_LEN + at;
            damaged[index].1[place] ^= 0x10;
            for order in [Order::Ascending, Order::Descending] {
                let query = Query { order, ..Query::default() };
                let (mut found, report) = lines(&in_memory(&damaged), &query);
                if order == Order::Descending {
                    found.reverse();
                }
                assert!(found == whole, "segment {index}, byte {at}: {} records", found.len());
                // It is told all the same.
                let [gap] = report.gaps.as_slice() else { panic!("byte {at}: {:?}", report.gaps) };
                assert_eq!((gap.origin, &gap.sequences), (None, &None), "it is no writer's");
                assert_eq!(report.missing_records(), 0);
            }
            // Who gets the blocks through a pipe gets them with a dictionary that is intact.
            let mut pipe = Vec::new();
            in_memory(&damaged).blocks(&Query::default(), None, &mut pipe).unwrap();
            let there = Snapshot::of_stream("the pipe", pipe.as_slice()).unwrap();
            let found = lines(&there, &Query::default()).0;
            assert!(found == whole, "segment {index}, byte {at}: {} records sent", found.len());
            // Alone, only the one with a copy at its end can be read.
            let alone = in_memory(&damaged[index..=index]);
            let found = lines(&alone, &Query::default()).0.len();
            assert_eq!(found, if index == 2 { 180 } else { 0 }, "segment {index}, byte {at}");
        }
    }
}

/// A flipped byte of a dictionary made every block of its segment unreadable, although the other
/// segments of an import begin with the same dictionary.
#[test]
fn a_damaged_dictionary_is_taken_from_another_segment_that_has_the_same() {
    let dictionary = train(&mut Rng::with_seed(3));
    let mut writer = writer(1);
    let mut segment = |number: u64, dictionary: Option<logq_format::Dictionary>| {
        let mut segment = SegmentBuilder::new(number, number, dictionary);
        let first = i64::try_from(number).unwrap() * 100_000;
        for block in 0..3 {
            let records: Vec<_> = (0..60).map(|n| log(first + block * 1000 + n)).collect();
            segment.block(&mut writer, BlockFlags::NONE, &records);
        }
        (number, segment.finish())
    };
    let used = Some(dictionary.clone());
    let [first, plain, third] = [segment(1, used.clone()), segment(2, None), segment(3, used)];
    let all = [first.clone(), plain.clone(), third];
    let (whole, report) = lines(&in_memory(&all), &Query::default());
    assert_eq!((whole.len(), report.is_complete()), (540, true));
    let len = dictionary.bytes().len();
    for at in [0, 1, len / 2, len - 1] {
        let mut damaged = all.clone();
        let place = FILE_HEADER_LEN + logq_format::BLOCK_HEADER_LEN + at;
        damaged[0].1[place] ^= 0x10;
        let (found, report) = lines(&in_memory(&damaged), &Query::default());
        assert!(found == whole, "byte {at}: {} records", found.len());
        // It is told all the same.
        assert_eq!(report.gaps.len(), 1, "byte {at}: {:?}", report.gaps);
        assert_eq!(report.gaps[0].range.start, FILE_HEADER_LEN as u64);
        // Without the other one, what does not need it is read.
        let (found, report) = lines(&in_memory(&damaged[..2]), &Query::default());
        assert_eq!((found.len(), report.is_complete()), (180, false), "byte {at}");
    }
}
