//! Blocks from inside: columns that are cut, wrong or hostile behind checksums that are right, and
//! the limits of the builder.

use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::block::builder::{BlockBuilder, BlockContext};
use crate::block::row::SpineRow;
use crate::codec::Compressor;
use crate::error::PushError;
use crate::header::{BlockFlags, Origin, SyncMarker, WriterId};
use crate::level::{Level, LevelSet};
use crate::limits::{
    BLOCK_DEBUG_MAX, BLOCK_RECORDS_MAX, BLOCK_REQUESTS_MAX, BLOCK_SPAN_US_MAX, SECTION_BYTES_MAX,
    SEQUENCE_MAX, TEXT_BYTES_MAX,
};
use crate::record::{
    ClockStep, DebugEntry, ErrorInfo, ErrorKind, Event, HttpVersion, IoError, Json, Lifecycle,
    LogSource, Lost, Method, Process, Request, Response, WorkerExited, WorkerId,
};
use crate::shape::{self, TypeSet};
use crate::timestamp::Timestamp;

fn context(sequence: u64) -> BlockContext {
    BlockContext {
        marker: SyncMarker::from_random(*b"a marker"),
        origin: Origin { writer: WriterId(1), worker: None },
        sequence,
        flags: BlockFlags::NONE,
        lost: 0,
    }
}

fn at(micros: i64, event: Event<'_>) -> Record<'_> {
    Record { time: Timestamp::from_micros(micros), event }
}

fn log(data: &str) -> Event<'_> {
    let (source, level) = (LogSource::Master, Level::Info);
    Event::Log { source, level, data: Json::new(data).unwrap() }
}

fn meta(request: u64) -> Event<'static> {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&request.to_le_bytes());
    Event::RequestMeta { request: RequestId::from_bytes(id), data: Json::NULL }
}

fn request(url: &str) -> Event<'_> {
    Event::Request(Request {
        request: RequestId::from_bytes([9; 16]),
        ip: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        http_version: HttpVersion::HTTP_11,
        method: Method::Other("BREW"),
        url,
    })
}

fn error(debug: &[DebugEntry<'static>]) -> ErrorInfo<'static> {
    ErrorInfo {
        kind: ErrorKind::Stack,
        text: "Error: no\n  at main",
        properties: Json::new("{\"code\":5}"),
        debug: debug.to_vec().into(),
    }
}

fn response() -> Event<'static> {
    let entry = DebugEntry { time: Timestamp::from_micros(500), data: Json::NULL };
    Event::Response(Response {
        request: RequestId::from_bytes([9; 16]),
        status: 500,
        error: Some(error(&[entry, entry])),
        expected: false,
        bytes: Some(70_000),
        duration_us: Some(3),
    })
}

/// A block taken apart, so that a test can change any part of it.
#[derive(Clone)]
struct Parts {
    header: BlockHeader,
    ids: Vec<RequestId>,
    spine: Vec<u8>,
    body: Vec<u8>,
}

impl Parts {
    fn of(records: &[Record<'_>]) -> Self {
        let mut builder = BlockBuilder::new();
        for record in records {
            builder.push(record).unwrap();
        }
        Self::finish(builder, 0)
    }

    fn finish(mut builder: BlockBuilder, sequence: u64) -> Self {
        let mut bytes = Vec::new();
        let header = builder.finish(&context(sequence), &mut Compressor::raw(), &mut bytes);
        let stored = StoredBlock::new(header.clone(), &bytes).unwrap();
        let mut decompressor = Decompressor::new().unwrap();
        Self {
            ids: stored.request_ids().collect(),
            spine: stored.spine(&mut decompressor).unwrap().into_owned(),
            body: stored.body(&mut decompressor).unwrap().into_owned(),
            header,
        }
    }

    /// A block with one record of most kinds.
    fn sample() -> Self {
        let mut builder = BlockBuilder::new();
        let exited = WorkerExited { worker: WorkerId::MAX, exit_code: Some(1), signal: None };
        let exception = Event::UncaughtException { process: Process::Master, error: error(&[]) };
        for (index, event) in [
            request("/\0"),
            response(),
            meta(1),
            log("1"),
            Event::WorkerExited(exited),
            Event::Lifecycle(Lifecycle::StartingUp),
            exception,
        ]
        .into_iter()
        .enumerate()
        {
            builder.skip_sequence(index as u64);
            builder.push(&at(1000 + index as i64, event)).unwrap();
        }
        Self::finish(builder, 5)
    }

    /// Decodes all records, as text.
    fn decode(&self) -> Result<Vec<String>, DecodeError> {
        let spine = Spine::parse(&self.header, self.ids.clone(), &self.spine)?;
        let block = Block::new(spine, &self.body)?;
        block.records().map(|record| record.map(|record| format!("{record:?}"))).collect()
    }
}

#[test]
fn rows_of_the_spine_tell_of_their_records() {
    let parts = Parts::sample();
    let spine = || Spine::parse(&parts.header, parts.ids.clone(), &parts.spine).unwrap();
    let (spine, block) = (spine(), Block::new(spine(), &parts.body).unwrap());
    let rows: Vec<_> = spine.rows().unwrap().collect();
    assert_eq!(rows.len(), block.len());
    for ((row, record), sequence) in rows.iter().zip(block.records()).zip(spine.sequences()) {
        let record = record.unwrap();
        assert_eq!((row.time(), row.sequence()), (record.time, sequence));
        assert_eq!((row.level(), row.record_type()), (record.level(), record.record_type()));
        assert_eq!(row.request_id(), record.request_id());
        assert_eq!(row.event_name(), record.event_name());
    }
    let values = |index: usize| {
        let row: &SpineRow<'_, '_> = &rows[index];
        (row.status(), row.bytes(), row.duration_us(), row.has_error())
    };
    assert_eq!(values(0), (None, None, None, false));
    assert_eq!(values(1), (Some(500), Some(70_000), Some(3), true));
    assert_eq!(values(6), (None, None, None, true));
    // The method of the request is a rare one, so it is not in the spine.
    assert_eq!(rows[0].method(), None);
}

#[test]
fn every_cut_of_a_section_is_found_and_bytes_behind_it_are_ignored() {
    let parts = Parts::sample();
    let records = parts.decode().unwrap();
    for cut in 0..parts.spine.len() {
        let mut damaged = parts.clone();
        damaged.spine.truncate(cut);
        assert!(damaged.decode().is_err(), "spine cut at {cut}");
    }
    for cut in 0..parts.body.len() {
        let mut damaged = parts.clone();
        damaged.body.truncate(cut);
        assert!(damaged.decode().is_err(), "body cut at {cut}");
    }
    let mut longer = parts;
    longer.spine.extend([1, 2, 3]);
    longer.body.extend([1, 2, 3]);
    assert_eq!(longer.decode(), Ok(records), "a later version may append columns");
}

/// A block of a hundred REQUESTs of four sections.
fn of_sections() -> Parts {
    let urls = ["/a/1", "/b?2", "http://h/c/3", "4"];
    let records: Vec<_> =
        (0..).zip(urls.iter().cycle().take(100)).map(|(n, url)| at(n, request(url))).collect();
    Parts::of(&records)
}

#[test]
fn sections_of_requests_are_told_without_the_body() {
    let parts = of_sections();
    let spine = Spine::parse(&parts.header, parts.ids.clone(), &parts.spine).unwrap();
    let names: Vec<_> = spine.rows().unwrap().map(|row| row.url_section().unwrap()).collect();
    assert_eq!(names, ["/a", "/b", "/c", "(bad request)"].repeat(25));
    let block = Block::new(spine, &parts.body).unwrap();
    assert_eq!(block.check_url_sections(), Ok(()));

    let few = Parts::sample();
    let spine = Spine::parse(&few.header, few.ids.clone(), &few.spine).unwrap();
    assert!(spine.url_sections().unwrap().is_none());
    assert!(spine.rows().unwrap().all(|row| row.url_section().is_none()));
}

/// What repeats the urls is no part of the records: who does not ask for it does not notice that it is
/// wrong.
#[test]
fn sections_that_are_damaged_cost_no_record() {
    let parts = of_sections();
    let records = parts.decode();
    let end = parts.spine.len();
    let check = |change: fn(&mut Vec<u8>, usize), expected: &str| {
        let mut damaged = parts.clone();
        change(&mut damaged.spine, end);
        assert_eq!(damaged.decode(), records, "{expected}");
        let spine = Spine::parse(&damaged.header, parts.ids.clone(), &damaged.spine).unwrap();
        let block = Block::new(spine, &damaged.body).unwrap();
        let error = block.check_url_sections().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}, expected {expected}");
    };
    // The last four of a hundred two-bit references are in the last byte.
    check(|spine, end| spine.truncate(end - 1), "sections of requests is cut off");
    check(|spine, end| spine[end - 1] ^= 0xC0, "number 99 of the block, is not what its url tells");
    check(|spine, end| spine[end - 26] = b'd', "is not what its url tells");
    check(|spine, end| spine[end - 26] = b'/', "names of sections has the invalid value 3");
}

/// Behind a right checksum any bytes may be: a hostile writer computes checksums too.
#[test]
fn no_byte_of_a_section_makes_decoding_panic() {
    let parts = Parts::sample();
    let mut refused = 0;
    for index in 0..parts.spine.len() + parts.body.len() {
        for value in 0..=255 {
            let mut damaged = parts.clone();
            match index.checked_sub(parts.spine.len()) {
                None => damaged.spine[index] = value,
                Some(index) => damaged.body[index] = value,
            }
            refused += usize::from(damaged.decode().is_err());
        }
    }
    assert!(refused > 10_000, "most changes are noticed even so: {refused}");
}

#[test]
fn columns_that_are_not_allowed_are_refused() {
    let check = |expected: &str, change: fn(&mut Parts)| {
        let mut parts = Parts::sample();
        change(&mut parts);
        let error = parts.decode().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}, expected {expected}");
    };
    // The spine: widths 4, shapes 7, times 7, references 3, method 1, status 2, duration 1, size 3,
    // sequence gaps 7.
    check("record shape 0 is of a newer version", |p| p.spine[4] = 0);
    check("times is 15, the limit is 8", |p| p.spine[0] |= 0x0F);
    check("record time has the invalid value 1", |p| p.spine[11] = 1);
    check("span of the records has the invalid value 5", |p| p.spine[17] = 0);
    check("request reference has the invalid value 7", |p| p.spine[19] = 7);
    check("number of request ids has the invalid value 2", |p| p.ids.push(RequestId::default()));
    check("number of request ids has the invalid value 2", |p| p.ids.clear());
    check("method 10 is of a newer version", |p| p.spine[21] = 10);
    check("width of statuses is 3, the limit is 2", |p| p.spine[1] = p.spine[1] & 0xF0 | 3);
    check("first sequence gap has the invalid value 1", |p| p.spine[28] = 1);
    check("last sequence is", |p| p.header.sequence = SEQUENCE_MAX - 7);
    check("set of levels and types", |p| p.header.levels = LevelSet::EMPTY);
    check("set of levels and types", |p| p.header.types = TypeSet::EMPTY);
    check("shapes is cut off", |p| p.header.records = 1 << 18);
    // The body: request kind 1, address 4, error kinds 2, width 1, DEBUG counts 2, width 1, DEBUG
    // ages 2 of 2, directory.
    check("request kind has the invalid value", |p| p.body[0] |= 0xC0);
    check("error kind 4 is of a newer version", |p| p.body[5] = 4);
    check("debug count is 200, the limit is", |p| p.body[8] = 200);
    check("methods is cut off", |p| p.body[15] = 0xFE);
}

#[test]
fn a_header_that_allows_more_than_the_records_need_is_right() {
    let mut parts = Parts::sample();
    let records = parts.decode();
    parts.header.levels = LevelSet::ALL;
    parts.header.types = TypeSet::ALL;
    assert_eq!(parts.decode(), records, "a later version adds types of its own");
}

#[test]
fn records_of_a_later_version_are_returned_as_they_are() {
    let mut parts = Parts::of(&[at(0, Event::WorkerSpawned { worker: WorkerId::new(3).unwrap() })]);
    parts.spine[4] = 100;
    parts.header.types = TypeSet::EMPTY.with(shape::RecordType::Unknown);
    let records = parts.decode().unwrap();
    assert_eq!(records.len(), 1);
    assert!(records[0].contains("Unknown { kind: 100, payload: [3] }"), "{records:?}");
}

#[test]
fn a_rare_record_whose_shape_lies_about_its_level_is_refused() {
    let exited = WorkerExited { worker: WorkerId::MAX, exit_code: Some(0), signal: None };
    let mut parts = Parts::of(&[at(0, Event::WorkerExited(exited))]);
    assert!(parts.decode().is_ok());
    parts.spine[4] = shape::WORKER_EXITED_BADLY;
    parts.header.levels = LevelSet::ALL;
    assert!(parts.decode().is_err());
}

/// JSON with a control character would break the line it is printed on.
#[test]
fn control_characters_in_json_are_refused_in_either_mode() {
    let mut parts = Parts::of(&[at(0, log("\"ab\"")), at(0, log("1"))]);
    let text = parts.body.iter().position(|byte| *byte == b'a').unwrap();
    parts.body[text] = b'\n';
    assert!(parts.decode().is_err(), "a line feed");

    // The same column with lengths: "a" and "\0b" have as many NULs as two terminated texts.
    parts.body = vec![5 << 1 | 1, 1, 2, b'1', 0, b'2'];
    assert!(parts.decode().is_err(), "a NUL");
    parts.body = vec![5 << 1 | 1, 1, 2, b'1', b'2', b'2'];
    assert!(parts.decode().is_ok());
    parts.body = vec![6 << 1 | 1, 1, 2, b'1', b'2', b'2', b'3'];
    assert!(parts.decode().is_err(), "a byte behind the last text");
}

#[test]
fn a_cut_block_is_no_block() {
    let mut builder = BlockBuilder::new();
    builder.push(&at(0, request("/"))).unwrap();
    let mut bytes = Vec::new();
    let header = builder.finish(&context(0), &mut Compressor::raw(), &mut bytes);
    for cut in 0..bytes.len() {
        assert!(StoredBlock::new(header.clone(), &bytes[..cut]).is_err(), "cut at {cut}");
    }
    assert!(StoredBlock::new(header, &bytes).is_ok());
}

#[test]
fn a_section_expands_to_what_its_header_says_or_not_at_all() {
    let mut builder = BlockBuilder::new();
    let data = format!("\"{}\"", "a".repeat(1 << 20));
    builder.push(&at(0, log(&data))).unwrap();
    let mut bytes = Vec::new();
    let mut compressor = Compressor::new(1, None).unwrap();
    let header = builder.finish(&context(0), &mut compressor, &mut bytes);
    assert!(bytes.len() < 1000, "a megabyte expands from {} bytes", bytes.len());
    let mut decompressor = Decompressor::new().unwrap();
    for (wrong, is_ok) in
        [(0, true), (-1, false), (1, false), (-(1 << 20), false), (15 << 20, false)]
    {
        let mut header = header.clone();
        header.body.raw_len = header.body.raw_len.saturating_add_signed(wrong);
        let stored = StoredBlock::new(header, &bytes).unwrap();
        assert_eq!(stored.body(&mut decompressor).is_ok(), is_ok, "{wrong}");
    }
}

/// Pushes until the builder is full; says how many records that took.
fn fill(mut next: impl FnMut(u64) -> Record<'static>) -> (u64, Parts) {
    let mut builder = BlockBuilder::new();
    for pushed in 0.. {
        match builder.push(&next(pushed)) {
            Ok(()) => {}
            Err(PushError::Full) => return (pushed, Parts::finish(builder, 0)),
            Err(error) => panic!("{error}"),
        }
    }
    unreachable!("some limit is reached")
}

#[test]
fn a_full_block_is_within_every_limit() {
    let (records, parts) = fill(|_| at(0, Event::Lifecycle(Lifecycle::WorkerOnline)));
    assert_eq!(records, BLOCK_RECORDS_MAX as u64);
    assert_eq!(parts.header.records as usize, BLOCK_RECORDS_MAX);

    let (records, parts) = fill(|n| at(0, meta(n)));
    assert_eq!(records, BLOCK_REQUESTS_MAX as u64);
    assert_eq!(parts.decode().unwrap().len(), BLOCK_REQUESTS_MAX);

    // An entry of one byte each; the last record is one too many.
    let entry = DebugEntry { time: Timestamp::from_micros(0), data: Json::new("1").unwrap() };
    let entries = vec![entry; BLOCK_DEBUG_MAX / 4];
    let process = Process::Worker;
    let (records, parts) =
        fill(|_| at(0, Event::UncaughtException { process, error: error(&entries) }));
    assert_eq!(records, 4);
    assert!(parts.decode().is_ok());

    let day = 86_400_000_000;
    let (records, parts) = fill(|n| at(n as i64 * day, meta(0)));
    assert_eq!(records, BLOCK_SPAN_US_MAX / day as u64 + 1);
    assert!(parts.decode().is_ok());
}

/// The fields of rare records once did not count, so that a block of them outgrew its section and
/// its length was cut to 24 bits.
#[test]
fn no_section_outgrows_its_length() {
    let (first, last) = (Timestamp::MIN, Timestamp::MAX);
    let lost = Event::Lost(Lost { counts: [u64::MAX; 6], first, last, reason: "\0" });
    let step = Event::ClockStep(ClockStep { expected: first, found: last });
    let io = Event::IoError(IoError { operation: "", code: i32::MIN, path: "", message: "" });
    for event in [lost, step, io] {
        let (records, parts) = fill(|_| at(0, event.clone()));
        assert_eq!(parts.header.body.raw_len as usize, parts.body.len());
        assert_eq!(parts.decode().unwrap().len() as u64, records);
    }
}

/// As much as ever goes in, in columns that need their lengths, where few records leave no slack.
#[test]
fn the_fullest_block_is_within_its_section() {
    let (nul, plain) = ("\0".repeat(TEXT_BYTES_MAX), "1".repeat(TEXT_BYTES_MAX));
    let thrown = |cut: usize| {
        let (kind, debug) = (ErrorKind::Value, Vec::new().into());
        let (text, properties) = (&nul[2..], Json::new(&plain[cut..]));
        let error = ErrorInfo { kind, text, properties, debug };
        at(0, Event::UncaughtException { process: Process::Worker, error })
    };
    let mut builder = BlockBuilder::new();
    builder.push(&thrown(0)).unwrap();
    let pushed = (0..500).find(|cut| builder.push(&thrown(*cut)).is_ok());
    assert!(pushed.is_some_and(|cut| cut > 0), "a longer one is too long: {pushed:?}");
    let parts = Parts::finish(builder, 0);
    assert!(parts.body.len() > SECTION_BYTES_MAX - 256, "{}", parts.body.len());
    assert_eq!(parts.header.body.raw_len as usize, parts.body.len());
    assert!(parts.decode().is_ok());
}

/// The places of so many entries would take more memory than the block itself.
#[test]
fn more_debug_entries_than_a_block_may_have_are_refused() {
    let process = Process::Worker;
    let mut parts = Parts::of(&[at(0, Event::UncaughtException { process, error: error(&[]) })]);
    let entries = u32::try_from(BLOCK_DEBUG_MAX).unwrap() + 1;
    parts.body =
        [&[0, 4], &entries.to_le_bytes()[..], &[0], &vec![0; 2 * BLOCK_DEBUG_MAX]].concat();
    let error = parts.decode().unwrap_err().to_string();
    assert_eq!(error, "debug count is 1048577, the limit is 1048576");
}

#[test]
fn what_no_block_can_hold_is_refused_and_leaves_the_builder_as_it_was() {
    let long = "x".repeat(TEXT_BYTES_MAX + 1);
    let longest = &long[1..];
    let io = |message| IoError { operation: longest, code: 0, path: longest, message };
    let unknown = Event::Unknown { kind: 100, payload: &[] };
    let mut builder = BlockBuilder::new();
    builder.push(&at(10, log("1"))).unwrap();
    let mut check = |record: Record<'_>| {
        let before = (builder.len(), builder.raw_len(), builder.last_time());
        let error = builder.push(&record).unwrap_err();
        assert_eq!((builder.len(), builder.raw_len(), builder.last_time()), before);
        error
    };
    assert!(matches!(check(at(10, request(&long))), PushError::TooLarge { what: "url", .. }));
    let all = Event::IoError(io(longest));
    assert!(matches!(check(at(10, all)), PushError::TooLarge { what: "record", .. }));
    assert_eq!(check(at(10, unknown)), PushError::Kind { kind: 100 });
    assert_eq!(check(at(9, log("1"))), PushError::OutOfOrder);
    assert_eq!(check(at(i64::MAX, log("1"))), PushError::Full);
}

#[test]
fn sequence_numbers_never_pass_their_limit() {
    let mut builder = BlockBuilder::new();
    builder.skip_sequence(u64::MAX); // Without a record before it there is nothing to skip.
    builder.push(&at(0, log("1"))).unwrap();
    builder.skip_sequence(1 << 40);
    builder.push(&at(0, log("2"))).unwrap();
    builder.skip_sequence(u64::MAX);
    builder.skip_sequence(u64::MAX);
    assert_eq!(builder.push(&at(0, log("3"))), Err(PushError::Sequence));
    let parts = Parts::finish(builder, u64::MAX);
    let spine = Spine::parse(&parts.header, parts.ids.clone(), &parts.spine).unwrap();
    let last = SEQUENCE_MAX - 1;
    assert_eq!(spine.sequences().collect::<Vec<_>>(), [last - (1 << 40) - 1, last]);
}
