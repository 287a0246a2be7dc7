//! What the writer's tests share: reading a store back, and a clock that stands where it is put.

#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on shall stop"
)]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use logq_directory::Directory;
use logq_format::{
    BlockHeader, BlockKind, Claims, FILE_HEADER_LEN, FileHeader, Scan, Step, StoredBlock,
    Timestamp, Window,
};
use logq_testkit::naive::NaiveStore;
use logq_writer::{Clock, LoggerOptions};

/// Everything in the store, decoded in the most obvious way.
pub(crate) fn read(store: &Path) -> NaiveStore {
    NaiveStore::read(&segments(store))
}

/// The bytes of all segments.
pub(crate) fn segments(store: &Path) -> Vec<(u64, Vec<u8>)> {
    let segments = Directory::open(store).unwrap().segments().unwrap();
    segments.into_iter().map(|s| (s.number, fs::read(&s.path).unwrap())).collect()
}

/// The records as JSON lines without what differs from run to run.
pub(crate) fn lines(store: &Path) -> Vec<String> {
    let read = read(store);
    assert_eq!(read.gaps, [], "no damage");
    read.records.iter().map(|record| without_identity(&record.line)).collect()
}

/// A JSON line without `writer` and without the request id.
pub(crate) fn without_identity(line: &str) -> String {
    let mut value: serde_json::Value = serde_json::from_str(line).unwrap();
    let object = value.as_object_mut().unwrap();
    object.remove("writer");
    object.remove("requestId");
    value.to_string()
}

/// The headers of all blocks of a segment, with the claims of its pings.
pub(crate) fn blocks(segment: &[u8]) -> Vec<(u64, BlockHeader, Option<Claims>)> {
    let marker = FileHeader::decode(segment).unwrap().marker;
    let mut scan = Scan::new(marker, FILE_HEADER_LEN as u64..segment.len() as u64);
    let mut blocks = Vec::new();
    loop {
        match scan.step(Window { offset: 0, bytes: segment }) {
            Step::Block { offset, header } => {
                let bytes = &segment[offset as usize..];
                let block = StoredBlock::new(header.clone(), bytes).unwrap();
                let claims = match header.kind {
                    BlockKind::Ping => Claims::decode_ping(&block).unwrap(),
                    _ => None,
                };
                blocks.push((offset, header, claims));
            }
            Step::Gap(_) => {}
            Step::Need(range) => panic!("the whole segment is there: {range:?}"),
            Step::End => return blocks,
        }
    }
}

/// Checks every claim of every ping against every block.
pub(crate) fn assert_claims_hold(segment: &[u8]) -> usize {
    let blocks = blocks(segment);
    let data = || blocks.iter().filter(|(_, header, _)| header.kind == BlockKind::Data);
    let claims: Vec<_> = blocks.iter().filter_map(|(_, _, claims)| claims.as_ref()).collect();
    for claim in &claims {
        for (offset, header, _) in data() {
            if *offset < claim.covered {
                assert!(header.max <= claim.now, "block at {offset} is later than {claim:?}");
            } else {
                assert!(header.min >= claim.watermark, "block at {offset} is before {claim:?}");
            }
        }
    }
    let rising = claims
        .windows(2)
        .all(|pair| pair[0].now <= pair[1].now && pair[0].watermark <= pair[1].watermark);
    assert!(rising, "claims never fall back");
    claims.len()
}

/// A clock that moves only when it is told to.
#[derive(Debug, Default)]
pub(crate) struct ManualClock(AtomicI64);

impl ManualClock {
    pub(crate) fn at(text: &str) -> Arc<Self> {
        let time: Timestamp = text.parse().unwrap();
        Arc::new(Self(AtomicI64::new(time.as_micros())))
    }

    pub(crate) fn advance_us(&self, micros: i64) {
        self.0.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

pub(crate) fn options(clock: &Arc<ManualClock>) -> LoggerOptions {
    LoggerOptions { clock: Arc::<ManualClock>::clone(clock), ..LoggerOptions::default() }
}
