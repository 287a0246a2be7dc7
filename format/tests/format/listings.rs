//! The bytes that FORMAT.md lists are what the encoder makes and what the decoder reads.

use std::net::{IpAddr, Ipv4Addr};

use logq_format::{
    Block, BlockBuilder, BlockContext, BlockFlags, BlockHeader, Claims, Compressor, Decompressor,
    Event, FileHeader, HttpVersion, Id, Json, Level, LevelSet, LogSource, Member, Method, Origin,
    Predecessor, Record, Request, RequestId, Response, Scan, Spine, Step, StoredBlock, StreamEnd,
    StreamMark, StreamSelection, SyncMarker, Timestamp, TypeSet, VERSION, Window, WorkerId,
    WriterId,
};

const SPECIFICATION: &str = include_str!("../../FORMAT.md");

/// The bytes of the listing with this name.
fn listing(name: &str) -> Vec<u8> {
    let start = format!("```hex {name}\n");
    let (_, rest) = SPECIFICATION.split_once(&start).expect("FORMAT.md has the listing");
    let (lines, _) = rest.split_once("```").expect("the listing ends");
    lines.lines().flat_map(|line| parse_line(line.split(';').next().unwrap())).collect()
}

/// Parses `8f 4c 00*3`.
fn parse_line(line: &str) -> Vec<u8> {
    let byte = |digits: &str| {
        assert_eq!(digits.len(), 2, "{line}");
        u8::from_str_radix(digits, 16).unwrap()
    };
    let group = |token: &str| match token.split_once('*') {
        Some((digits, count)) => vec![byte(digits); count.parse().unwrap()],
        None => vec![byte(token)],
    };
    line.split_whitespace().flat_map(group).collect()
}

/// Compares bytes and shows where they differ.
#[track_caller]
fn assert_bytes(found: &[u8], expected: &[u8]) {
    let differs = found.iter().zip(expected).position(|(a, b)| a != b);
    assert_eq!(differs, None, "first differing offset; found {found:02x?}");
    assert_eq!(found.len(), expected.len(), "length");
}

fn marker() -> SyncMarker {
    SyncMarker::from_random(*b"syncmark")
}

fn time(after_us: i64) -> Timestamp {
    let start: Timestamp = "2026-02-03T14:05:06.789Z".parse().unwrap();
    start.saturating_add_micros(after_us)
}

fn writer() -> Origin {
    Origin { writer: WriterId(42), worker: WorkerId::new(1) }
}

fn member(floor: Timestamp, sequence: u64) -> Member {
    Member { origin: writer(), floor, sequence, pid: 1234, slot: 3 }
}

fn stored(bytes: &[u8]) -> StoredBlock<'_> {
    StoredBlock::new(BlockHeader::decode(bytes, marker()).unwrap(), bytes).unwrap()
}

#[test]
fn the_file_header_is_as_listed() {
    let header = FileHeader {
        version: VERSION,
        file: Id([0x11; 16]),
        directory: Id([0x22; 16]),
        segment: 2,
        created: time(0),
        created_monotonic_us: 42,
        boot: Id([0x33; 16]),
        marker: marker(),
        predecessor: Some(Predecessor { segment: 1, file: Id([0x44; 16]), len: Some(4096) }),
        clock_epoch: 0,
        dictionary: None,
    };
    let expected = listing("file header");
    assert_bytes(&header.encode(), &expected);
    assert_eq!(FileHeader::decode(&expected), Ok(header));
}

#[test]
fn the_join_is_as_listed() {
    let member = member(time(0), 0);
    let mut bytes = Vec::new();
    member.encode_join(marker(), &mut bytes);
    let expected = listing("join");
    assert_bytes(&bytes, &expected);
    assert_eq!(Member::decode_join(&stored(&expected)), Ok(member));
}

fn request() -> RequestId {
    "a1b2c3d4-e5f6-4708-890a-1b2c3d4e5f60".parse().unwrap()
}

fn asked(url: &str) -> Record<'_> {
    let event = Event::Request(Request {
        request: request(),
        ip: Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7))),
        http_version: HttpVersion::HTTP_11,
        method: Method::Get,
        url,
    });
    Record { time: time(0), event }
}

fn records(url: &str) -> Vec<Record<'_>> {
    let request = request();
    let answered = Event::Response(Response {
        request,
        status: 200,
        error: None,
        expected: false,
        bytes: Some(5),
        duration_us: Some(1500),
    });
    let data = Json::new(r#"{"n":12}"#).unwrap();
    let said = Event::Log { source: LogSource::Worker, level: Level::Warn, data };
    vec![
        asked(url),
        Record { time: time(1500), event: answered },
        Record { time: time(2500), event: said },
    ]
}

#[test]
fn the_block_of_records_is_as_listed() {
    let records = records("/a");
    let mut builder = BlockBuilder::new();
    records.iter().for_each(|record| builder.push(record).unwrap());
    let (marker, origin) = (marker(), writer());
    let context = BlockContext { marker, origin, sequence: 0, flags: BlockFlags::NONE, lost: 0 };
    let mut bytes = Vec::new();
    builder.finish(&context, &mut Compressor::raw(), &mut bytes);
    let expected = listing("data");
    assert_bytes(&bytes, &expected);

    let block = stored(&expected);
    let mut decompressor = Decompressor::new().unwrap();
    let spine = block.spine(&mut decompressor).unwrap();
    let body = block.body(&mut decompressor).unwrap();
    let spine = Spine::parse(block.header(), block.request_ids().collect(), &spine).unwrap();
    let block = Block::new(spine, &body).unwrap();
    let decoded: Vec<_> = block.records().map(Result::unwrap).collect();
    assert_eq!(format!("{decoded:?}"), format!("{records:?}"));
}

#[test]
fn the_sections_of_requests_are_as_listed() {
    let records: Vec<_> = ["/b?x", "/a"].repeat(32).into_iter().map(asked).collect();
    let mut builder = BlockBuilder::new();
    records.iter().for_each(|record| builder.push(record).unwrap());
    let [spine, _] = builder.samples();
    let expected = listing("sections of requests");
    assert_bytes(&spine[spine.len() - expected.len()..], &expected);
}

#[test]
fn the_ping_is_as_listed() {
    let claims = Claims {
        covered: 487,
        now: time(60_000_000),
        watermark: time(2500),
        roster: vec![member(time(2500), 3)],
    };
    let master = Origin { writer: WriterId(7), worker: None };
    let mut bytes = Vec::new();
    claims.encode_ping(master, time(60_000_000), 9, marker(), &mut bytes);
    let expected = listing("ping");
    assert_bytes(&bytes, &expected);
    assert_eq!(Claims::decode_ping(&stored(&expected)), Ok(Some(claims)));
}

#[test]
fn the_listings_make_a_whole_segment() {
    let parts = ["file header", "join", "data", "ping"].map(listing);
    let bytes = parts.concat();
    assert_eq!(bytes.len(), 619);
    let mut scan = Scan::new(marker(), 256..619);
    let window = Window { offset: 0, bytes: &bytes };
    let mut offsets = Vec::new();
    while let Step::Block { offset, .. } = scan.step(window) {
        offsets.push(offset);
    }
    assert_eq!(offsets, [256, 360, 487]);
    assert_eq!(scan.offset(), 619);
}

#[test]
fn the_marks_of_a_block_stream_are_as_listed() {
    let begin = StreamMark::Begin(StreamSelection {
        since: Some(time(0)),
        until: Some(time(60_000_000)),
        covered: Some((time(0), time(2501))),
        levels: LevelSet::at_least(Level::Error),
        types: TypeSet::from_bits(0x25),
        workers: Some(vec![None, WorkerId::new(1)]),
        is_reverse: false,
    });
    let image = StreamMark::Image { segment: 2, store: 0 };
    let bytes = 2 * 128
        + ["file header", "join", "data"]
            .map(|name| listing(name).len() as u64)
            .iter()
            .sum::<u64>();
    let end = StreamMark::End(StreamEnd { images: 1, blocks: 2, bytes, gaps: 0, missing: 0 });
    for (name, mark) in [("begin", begin), ("image", image), ("end", end)] {
        let expected = listing(&format!("stream {name}"));
        assert_bytes(&mark.encode(), &expected);
        assert_eq!(StreamMark::decode(&expected), Ok(mark));
    }
}
