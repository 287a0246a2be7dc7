//! Scans of segments that are intact, cut, overwritten, spliced and hostile, through windows of
//! every size, compared with a scan that is slow, obvious and written from FORMAT.md.

use super::*;
use crate::block::builder::{BlockBuilder, BlockContext, crc_from, put_header};
use crate::codec::{Codec, Compressor};
use crate::header::{BlockFlags, BlockKind, Origin, Section, WriterId};
use crate::level::Level;
use crate::member::encode_sign_of_life;
use crate::record::{Event, Json, LogSource, Record};
use crate::timestamp::Timestamp;

/// Text, so that it can stand in JSON, and overlapping itself.
const MARKER: &[u8; 8] = b"mmMMmmMM";

fn marker() -> SyncMarker {
    SyncMarker::from_random(*MARKER)
}

fn origin(writer: u32) -> Origin {
    Origin { writer: WriterId(writer), worker: None }
}

fn ping(sequence: u64) -> Vec<u8> {
    let mut out = Vec::new();
    let (origin, time) = (origin(1), Timestamp::from_micros(5));
    encode_sign_of_life(origin, time, sequence, BlockFlags::NONE, marker(), &mut out);
    out
}

/// A block of one record with this text, which is stored as it is.
fn data(sequence: u64, text: &str) -> Vec<u8> {
    let mut builder = BlockBuilder::new();
    let event = Event::Log {
        source: LogSource::Master,
        level: Level::Info,
        data: Json::new(text).unwrap(),
    };
    builder.push(&Record { time: Timestamp::from_micros(5), event }).unwrap();
    let (marker, origin) = (marker(), origin(2));
    let context = BlockContext { marker, origin, sequence, flags: BlockFlags::NONE, lost: 0 };
    let mut out = Vec::new();
    builder.finish(&context, &mut Compressor::raw(), &mut out);
    out
}

/// A right header that claims a body of `len` bytes, of which there are none.
fn torn(sequence: u64, len: u32) -> Vec<u8> {
    let mut header =
        BlockHeader::empty(BlockKind::Data, origin(3), Timestamp::from_micros(5), sequence);
    header.body = Section { codec: Codec::Raw, stored_len: len, raw_len: len };
    header.body_crc = 1;
    header.encode(marker()).to_vec()
}

/// How much of the file a window shows.
#[derive(Clone, Copy, Debug)]
enum Windows {
    Whole,
    /// Exactly what is needed.
    Needed,
    /// What is needed, and at least so many bytes from there on.
    AtLeast(u64),
}

/// All steps of a scan of `bytes` except what it needs.
fn steps(bytes: &[u8], windows: Windows) -> Vec<Step> {
    drive(Scan::new(marker(), 0..bytes.len() as u64), bytes, windows)
}

fn drive(mut scan: Scan, bytes: &[u8], windows: Windows) -> Vec<Step> {
    let end = bytes.len() as u64;
    let mut range = match windows {
        Windows::Whole => 0..end,
        _ => 0..0,
    };
    let mut steps = Vec::new();
    let mut needs = 0;
    loop {
        let part = &bytes[at(range.start)..at(range.end)];
        match scan.step(Window { offset: range.start, bytes: part }) {
            Step::End => return steps,
            Step::Need(need) => {
                assert!(need.start < need.end && need.end <= end, "{need:?} of {end}");
                assert!(
                    part.is_empty()
                        || Window { offset: range.start, bytes: part }.get(need.clone()).is_none(),
                    "{need:?} is in the window"
                );
                needs += 1;
                assert!(needs <= 3 * bytes.len() + 3, "the scan makes no progress");
                range = match windows {
                    Windows::AtLeast(len) => need.start..need.end.max(need.start + len).min(end),
                    _ => need,
                };
            }
            step => steps.push(step),
        }
    }
}

fn at(offset: u64) -> usize {
    usize::try_from(offset).unwrap()
}

/// What is at one offset, according to FORMAT.md.
enum Verdict {
    Block(BlockHeader),
    Gap(GapCause, Option<BlockHeader>),
}

fn judge(bytes: &[u8], offset: usize) -> Verdict {
    let rest = &bytes[offset..];
    let header = match BlockHeader::decode(rest, marker()) {
        Ok(header) => header,
        Err(_) if rest.len() < 72 && (rest.starts_with(MARKER) || MARKER.starts_with(rest)) => {
            return Verdict::Gap(GapCause::Unfinished, None);
        }
        Err(error) => return Verdict::Gap(GapCause::Header(error), None),
    };
    let Some(behind) = rest.get(header.block_len()..) else {
        return Verdict::Gap(GapCause::Unfinished, Some(header));
    };
    let block = StoredBlock::new(header.clone(), rest).unwrap();
    let is_confirmed = behind.is_empty() || BlockHeader::decode(behind, marker()).is_ok();
    if is_confirmed || (block.check_front().is_ok() && block.check_body().is_ok()) {
        Verdict::Block(header)
    } else {
        Verdict::Gap(GapCause::Torn, Some(header))
    }
}

fn model(bytes: &[u8]) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut open: Option<Gap> = None;
    let mut offset = 0;
    let close = |open: &mut Option<Gap>, end: usize, steps: &mut Vec<Step>| {
        let Some(mut gap) = open.take() else { return };
        gap.range.end = end as u64;
        if gap.cause == GapCause::Unfinished && end < bytes.len() {
            gap.cause = GapCause::Torn;
        }
        if bytes[at(gap.range.start)..end].iter().all(|byte| *byte == 0) {
            gap.cause = GapCause::Zeros;
        }
        steps.push(Step::Gap(gap));
    };
    while offset < bytes.len() {
        match judge(bytes, offset) {
            Verdict::Block(header) => {
                close(&mut open, offset, &mut steps);
                let len = header.block_len();
                steps.push(Step::Block { offset: offset as u64, header });
                offset += len;
            }
            Verdict::Gap(cause, header) => {
                if header.is_some() {
                    close(&mut open, offset, &mut steps);
                }
                let header = header.map(Box::new);
                let range = offset as u64..0;
                open.get_or_insert(Gap { range, cause, header });
                let next =
                    (offset + 1..bytes.len()).find(|next| bytes[*next..].starts_with(MARKER));
                offset = next.unwrap_or(bytes.len());
            }
        }
    }
    close(&mut open, bytes.len(), &mut steps);
    steps
}

/// Scans through windows of all sizes and compares with the model; answers the steps.
#[track_caller]
fn check(bytes: &[u8]) -> Vec<Step> {
    let expected = model(bytes);
    for windows in [Windows::Whole, Windows::Needed, Windows::AtLeast(1024), Windows::AtLeast(100)]
    {
        assert_eq!(steps(bytes, windows), expected, "{windows:?}");
    }
    expected
}

/// Short for what is in a segment: the sequence of each block, the bytes and cause of each gap.
fn outline(steps: &[Step]) -> String {
    let part = |step: &Step| match step {
        Step::Block { header, .. } => header.sequence.to_string(),
        Step::Gap(gap) => {
            let whose =
                gap.header.as_ref().map_or(String::new(), |h| format!(" of {}", h.sequence));
            let cause = match gap.cause {
                GapCause::Unfinished => "unfinished",
                GapCause::Torn => "torn",
                GapCause::Header(DecodeError::Marker { .. }) => "no marker",
                GapCause::Header(DecodeError::Checksum { .. }) => "checksum",
                GapCause::Header(DecodeError::Truncated { .. }) => "no header",
                GapCause::Content(_) => "content",
                GapCause::Zeros => "zeros",
                GapCause::Header(_) => "limit",
            };
            format!("[{}..{}{whose}: {cause}]", gap.range.start, gap.range.end)
        }
        other => panic!("{other:?}"),
    };
    steps.iter().map(part).collect::<Vec<_>>().join(" ")
}

fn zeros(len: usize) -> Vec<u8> {
    vec![0; len]
}

fn noise(len: usize) -> Vec<u8> {
    vec![b'm'; len]
}

fn cut(mut bytes: Vec<u8>, len: usize) -> Vec<u8> {
    bytes.truncate(len);
    bytes
}

#[test]
fn each_kind_of_damage_is_found_and_named() {
    let check = |parts: &[Vec<u8>], expected: &str| {
        assert_eq!(outline(&check(&parts.concat())), expected);
    };
    check(&[], "");
    check(&[ping(1), data(2, "1"), ping(3)], "1 2 3");
    check(&[ping(1), ping(1), ping(3), ping(2)], "1 1 3 2");
    // Cut short in the middle: in the header, in the payload, several in a row.
    check(&[ping(1), cut(data(2, "1"), 60), ping(3)], "1 [72..132: checksum] 3");
    check(&[ping(1), torn(2, 50), ping(3)], "1 [72..144 of 2: torn] 3");
    check(
        &[torn(1, 50), noise(9), torn(2, 50), zeros(9), ping(3)],
        "[0..81 of 1: torn] [81..162 of 2: torn] 3",
    );
    // Cut short at the end, where the block may still be being written.
    check(&[ping(1), torn(2, 50)], "1 [72..144 of 2: unfinished]");
    check(&[ping(1), cut(ping(2), 71)], "1 [72..143: unfinished]");
    check(&[ping(1), cut(ping(2), 1)], "1 [72..73: unfinished]");
    check(&[torn(1, 900), noise(20), torn(2, 50)], "[0..92 of 1: torn] [92..164 of 2: unfinished]");
    check(&[ping(1), zeros(1), cut(ping(2), 5)], "1 [72..78: no header]");
    // Power failures leave zeros.
    check(&[ping(1), zeros(5000)], "1 [72..5072: zeros]");
    check(&[ping(1), zeros(3), ping(2)], "1 [72..75: zeros] 2");
    check(&[zeros(99), noise(1), ping(2)], "[0..100: no marker] 2");
    // A block right before damage is proven by its own checksums.
    check(&[data(1, "1"), noise(80), ping(2)], "1 [80..160: no marker] 2");
    check(&[data(1, "1"), noise(3)], "1 [80..83: no header]");
}

/// Only damage right before it makes a reader look at a marker within a payload.
#[test]
fn markers_within_payloads_are_not_looked_at() {
    let text = format!("\"{}\"", String::from_utf8(MARKER.repeat(30)).unwrap());
    let bytes = [data(1, &text), noise(20), data(2, &text), data(3, &text)].concat();
    let block = data(1, &text).len();
    let expected = format!("1 [{block}..{}: no marker] 2 3", block + 20);
    assert_eq!(outline(&check(&bytes)), expected);

    // A whole block within a block, as only who knows the marker can make it.
    let mut nested = torn(1, 72);
    nested.extend(ping(7));
    let mut header = BlockHeader::decode(&nested, marker()).unwrap();
    header.body_crc = crc_from(&nested, BLOCK_HEADER_LEN);
    put_header(&header, marker(), 0, &mut nested);
    assert_eq!(
        outline(&check(&[nested.clone(), noise(80), ping(2)].concat())),
        "1 [144..224: no marker] 2"
    );
    nested[80] ^= 1;
    assert_eq!(outline(&check(&[nested, ping(2)].concat())), "1 2");
}

/// A torn block whose end, as its header tells it, is the start of a later block.
#[test]
fn blocks_hidden_by_a_torn_one_are_found_from_inside() {
    let bytes = [torn(1, 146), noise(2), ping(2), cut(ping(3), 72), ping(4)].concat();
    let steps = check(&bytes);
    assert_eq!(outline(&steps), "1 4");
    let Step::Block { offset, header } = steps[0].clone() else { panic!("{steps:?}") };
    let block = StoredBlock::new(header.clone(), &bytes).unwrap();
    let error = block.check_body().unwrap_err();
    for windows in [Windows::Whole, Windows::Needed, Windows::AtLeast(100)] {
        let scan = Scan::inside(marker(), offset, header.clone(), error.clone());
        let hidden = drive(scan, &bytes, windows);
        assert_eq!(outline(&hidden), "[0..74 of 1: content] 2 3", "{windows:?}");
    }

    let bytes = [torn(1, 80), noise(2), torn(2, 30), noise(6), ping(3)].concat();
    let Step::Block { header, .. } = check(&bytes)[0].clone() else { panic!() };
    let scan = Scan::inside(marker(), 0, header, error);
    let hidden = outline(&drive(scan, &bytes, Windows::Needed));
    assert_eq!(hidden, "[0..74 of 1: content] [74..152 of 2: torn]", "nothing is unfinished here");
}

#[test]
fn a_jump_into_the_middle_finds_the_next_header_even_where_markers_overlap() {
    // The second half of the marker is like the first one.
    let start = [&MARKER[..4], &ping(1)].concat();
    assert_eq!(memmem::find(&start, MARKER), Some(0), "a marker, but no header");
    assert_eq!(find_block(&start, 0, marker()), Some(4));
    let bytes = [ping(1), noise(5), start, zeros(4), MARKER.to_vec()].concat();
    assert_eq!(find_block(&bytes, 0, marker()), Some(0));
    assert_eq!(find_block(&bytes, 1, marker()), Some(81));
    assert_eq!(find_block(&bytes, 82, marker()), None);
    assert_eq!(find_block(&bytes, bytes.len() + 1, marker()), None);
    assert_eq!(find_last_block(&bytes, marker()), Some(81));
    assert_eq!(find_last_block(&bytes[..152], marker()), Some(0));
    assert_eq!(find_last_block(b"", marker()), None);

    // A header whose own fields go on like the marker.
    let mut header =
        BlockHeader::empty(BlockKind::Other(b'm'), origin(1), Timestamp::from_micros(5), 1);
    (header.spine.codec, header.body.codec) = (Codec::Other(0xD), Codec::Other(6));
    header.flags = BlockFlags::from_bits(b'M');
    header.levels = crate::level::LevelSet::from_bits(b'M');
    let bytes = header.encode(marker());
    assert_eq!(memmem::rfind(&bytes, MARKER), Some(4), "a marker, but no header");
    assert_eq!(find_last_block(&bytes, marker()), Some(0));
}

#[test]
fn the_marker_of_a_segment_without_header_is_learned_from_its_blocks() {
    let bytes = [zeros(50), noise(50), ping(1), ping(2)].concat();
    assert_eq!(recover_marker(&bytes), Some(marker()));
    assert_eq!(recover_marker(&bytes[..171]), None);
}

/// Thousands of right headers, each of which demands a checksum over a megabyte.
#[test]
fn a_hostile_file_costs_time_in_proportion_to_its_length() {
    let mut bytes: Vec<u8> = (0..20_000).flat_map(|n| torn(n, 1 << 20)).collect();
    bytes.extend(vec![1; (1 << 20) + 100]);
    bytes.extend(ping(1));
    let end = bytes.len() as u64;
    let mut scan = Scan::new(marker(), 0..end);
    let window = Window { offset: 0, bytes: &bytes };
    let mut gaps = 0;
    while let Step::Gap(_) = scan.step(window) {
        gaps += 1;
    }
    assert_eq!(gaps, 20_000);
    assert!(scan.vain <= VAIN_BYTES_FREE + VAIN_BYTES_PER_BYTE * end, "{}", scan.vain);
    assert_eq!(scan.step(window), Step::End, "the block at the end was answered");
}

/// Thousands of right headers in one damaged block, each of a block that ends where that one ends.
#[test]
fn a_hostile_block_costs_time_in_proportion_to_its_length() {
    let count = 5_000_u32;
    let len = |n: u32| (count - 1 - n) * 72;
    let bytes: Vec<u8> = (0..count).flat_map(|n| torn(n.into(), len(n))).collect();
    let header = BlockHeader::decode(&bytes, marker()).unwrap();
    let error = DecodeError::Checksum { what: "body", expected: 1, found: 2 };
    let mut scan = Scan::inside(marker(), 0, header, error);
    let window = Window { offset: 0, bytes: &bytes };
    let mut gaps = 0;
    while let Step::Gap(_) = scan.step(window) {
        gaps += 1;
    }
    assert_eq!(gaps, 5_000);
    assert!(scan.vain <= VAIN_BYTES_PER_BYTE * bytes.len() as u64, "{}", scan.vain);
}

/// A segment of random parts, then damaged at random.
fn random_segment(random: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = Vec::new();
    for sequence in 0..random.u64(0..12) {
        let part = match random.u8(0..10) {
            0 => torn(sequence, random.u32(0..400)),
            1 => cut(data(sequence, "12345678"), random.usize(0..100)),
            2 => zeros(random.usize(0..200)),
            3 => noise(random.usize(0..100)),
            4 => MARKER[..random.usize(0..8)].to_vec(),
            5 => data(sequence, &format!("\"{}\"", "mmMMmmMM".repeat(random.usize(0..5)))),
            _ => ping(sequence),
        };
        bytes.extend(part);
    }
    for _ in 0..random.usize(0..3) {
        let Some(last) = bytes.len().checked_sub(1) else { break };
        let (a, b) = (random.usize(0..=last), random.usize(0..=last));
        match random.u8(0..5) {
            0 => bytes[a] ^= 1 << random.u8(0..8),
            1 => bytes[a.min(b)..a.max(b)].fill(0),
            2 => drop(bytes.drain(a.min(b)..a.max(b))),
            3 => bytes.extend_from_within(a.min(b)..a.max(b)),
            _ => bytes.truncate(a),
        }
    }
    bytes
}

#[test]
fn scans_of_any_bytes_are_those_of_the_model() {
    for seed in 0..3000 {
        let bytes = random_segment(&mut fastrand::Rng::with_seed(seed));
        let caught = std::panic::catch_unwind(|| covers(&check(&bytes), bytes.len()));
        assert!(caught.is_ok(), "seed {seed}");
    }
}

/// The blocks and gaps of a scan fill the file without overlapping.
fn covers(steps: &[Step], len: usize) {
    let mut at = 0;
    for step in steps {
        let range = match step {
            Step::Block { offset, header } => *offset..offset + header.block_len() as u64,
            Step::Gap(gap) => gap.range.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(range.start, at);
        at = range.end;
    }
    assert_eq!(at, len as u64);
}
