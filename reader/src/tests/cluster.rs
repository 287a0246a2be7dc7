//! Segments built in memory: several writers that interleave, stall, die and write twice.

use fastrand::Rng;
use logq_format::{
    BlockBuilder, BlockContext, BlockFlags, Claims, Compressor, Dictionary, ErrorInfo, ErrorKind,
    Event, FILE_HEADER_LEN, FileHeader, Id, Json, Level, Lifecycle, LogSource, Member, Origin,
    Record, RequestId, Response, SyncMarker, Timestamp, VERSION, WorkerExited, WorkerId, WriterId,
    encode_dictionary, encode_sign_of_life,
};

/// A writer as the tests drive it.
pub(super) struct Writer {
    pub(super) origin: Origin,
    pub(super) sequence: u64,
    pub(super) time: i64,
}

/// One segment being built.
pub(super) struct SegmentBuilder {
    pub(super) bytes: Vec<u8>,
    pub(super) marker: SyncMarker,
    compressor: Compressor,
    /// Where blocks start, with the earliest and latest times in them.
    blocks: Vec<(usize, i64, i64)>,
    /// Where pings with claims are to be filled in: offset and claims.
    pings: Vec<(usize, Claims)>,
}

pub(super) fn time(micros: i64) -> Timestamp {
    Timestamp::from_micros(1_770_000_000_000_000 + micros)
}

pub(super) fn request(number: u64) -> RequestId {
    RequestId::from_bytes((u128::from(number) * 0x1234_5678_9ABC_DEF1).to_be_bytes())
}

impl SegmentBuilder {
    pub(super) fn new(number: u64, seed: u64, dictionary: Option<Dictionary>) -> Self {
        let mut rng = Rng::with_seed(seed);
        let marker = SyncMarker::from_random(std::array::from_fn(|_| rng.u8(..)));
        let header = FileHeader {
            version: VERSION,
            file: Id([u8::try_from(number % 256).unwrap(); 16]),
            directory: Id([2; 16]),
            segment: number,
            created: time(0),
            created_monotonic_us: 0,
            boot: Id([3; 16]),
            marker,
            predecessor: None,
            clock_epoch: 0,
            dictionary: dictionary.as_ref().map(Dictionary::id),
        };
        let mut bytes = header.encode().to_vec();
        assert_eq!(bytes.len(), FILE_HEADER_LEN);
        if let Some(dictionary) = &dictionary {
            encode_dictionary(dictionary, time(0), marker, &mut bytes);
        }
        let compressor = Compressor::new(1, dictionary).unwrap();
        Self { bytes, marker, compressor, blocks: Vec::new(), pings: Vec::new() }
    }

    /// Appends a copy of a dictionary.
    pub(super) fn dictionary(&mut self, dictionary: &Dictionary) {
        encode_dictionary(dictionary, time(0), self.marker, &mut self.bytes);
    }

    /// Appends a block of these records and returns its bytes, for whoever wants it twice.
    pub(super) fn block(
        &mut self,
        writer: &mut Writer,
        flags: BlockFlags,
        records: &[Record<'_>],
    ) -> Vec<u8> {
        let mut builder = BlockBuilder::new();
        records.iter().for_each(|record| builder.push(record).unwrap());
        let (origin, sequence) = (writer.origin, writer.sequence);
        let context = BlockContext { marker: self.marker, origin, sequence, flags, lost: 0 };
        let mut bytes = Vec::new();
        let header = builder.finish(&context, &mut self.compressor, &mut bytes);
        writer.sequence += u64::from(header.records);
        self.append(&bytes, header.min.as_micros(), header.max.as_micros());
        bytes
    }

    /// Appends bytes as they are: a block of these times, or a part of one.
    pub(super) fn append(&mut self, bytes: &[u8], min: i64, max: i64) {
        self.blocks.push((self.bytes.len(), min, max));
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn sign_of_life(&mut self, writer: &Writer, flags: BlockFlags) {
        let mut bytes = Vec::new();
        let now = time(writer.time);
        encode_sign_of_life(writer.origin, now, writer.sequence, flags, self.marker, &mut bytes);
        self.append(&bytes, now.as_micros(), now.as_micros());
    }

    pub(super) fn join(&mut self, writer: &Writer) {
        let floor = time(writer.time);
        let (origin, sequence) = (writer.origin, writer.sequence);
        let mut bytes = Vec::new();
        Member { origin, floor, sequence, pid: 7, slot: 1 }.encode_join(self.marker, &mut bytes);
        self.append(&bytes, floor.as_micros(), floor.as_micros());
    }

    /// Appends a ping whose claims are about the place `back` blocks before the end. What it
    /// claims is filled in when the segment is finished, and as strong as is true.
    pub(super) fn ping(&mut self, writer: &Writer, back: usize) {
        let index = self.blocks.len().saturating_sub(back);
        let covered = self.blocks.get(index).map_or(self.bytes.len(), |block| block.0);
        let claims = Claims {
            covered: covered as u64,
            now: time(0),
            watermark: time(0),
            roster: vec![Member {
                origin: writer.origin,
                floor: time(writer.time),
                sequence: writer.sequence,
                pid: 7,
                slot: 1,
            }],
        };
        self.pings.push((self.bytes.len(), claims.clone()));
        let bytes = self.ping_bytes(writer.origin, writer.time, writer.sequence, &claims);
        let now = time(writer.time).as_micros();
        self.append(&bytes, now, now);
    }

    /// Appends a ping whose claims are about the offset `covered`.
    pub(super) fn ping_about(&mut self, writer: &Writer, covered: usize, now: i64, floor: i64) {
        let claims = Claims {
            covered: covered as u64,
            now: time(now),
            watermark: time(floor),
            roster: Vec::new(),
        };
        let bytes = self.ping_bytes(writer.origin, writer.time, writer.sequence, &claims);
        let now = time(writer.time).as_micros();
        self.append(&bytes, now, now);
    }

    fn ping_bytes(&self, origin: Origin, now: i64, sequence: u64, claims: &Claims) -> Vec<u8> {
        let mut bytes = Vec::new();
        claims.encode_ping(origin, time(now), sequence, self.marker, &mut bytes);
        bytes
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        for (offset, mut claims) in std::mem::take(&mut self.pings) {
            let covered = usize::try_from(claims.covered).unwrap();
            let before = self.blocks.iter().filter(|block| block.0 < covered).map(|block| block.2);
            let from_on = self.blocks.iter().filter(|block| block.0 >= covered).map(|b| b.1);
            claims.now = before.max().map_or(Timestamp::MIN, Timestamp::from_micros);
            claims.watermark = from_on.min().map_or(Timestamp::MAX, Timestamp::from_micros);
            let Some(room) = self.bytes.get(offset..) else { continue };
            let Ok(header) = logq_format::BlockHeader::decode(room, self.marker) else { continue };
            let mut bytes = Vec::new();
            let (origin, sequence) = (header.origin, header.sequence);
            claims.encode_ping(origin, header.min, sequence, self.marker, &mut bytes);
            if let Some(room) = self.bytes.get_mut(offset..offset + bytes.len()) {
                room.copy_from_slice(&bytes);
            }
        }
        self.bytes
    }
}

/// What a random cluster goes through.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Troubles {
    pub(super) torn: bool,
    pub(super) twice: bool,
    pub(super) missing: bool,
    pub(super) sparse: bool,
}

/// The segments of a random cluster.
pub(super) fn cluster(seed: u64, troubles: Troubles) -> Vec<(u64, Vec<u8>)> {
    let mut rng = Rng::with_seed(seed);
    let mut writers: Vec<Writer> = (0..rng.u32(1..6))
        .map(|n| Writer {
            origin: Origin {
                writer: WriterId(rng.u32(..)),
                worker: n.checked_sub(1).and_then(WorkerId::new),
            },
            sequence: 0,
            time: rng.i64(0..50),
        })
        .collect();
    let dictionary = rng.bool().then(|| train(&mut rng));
    let mut segments = Vec::new();
    for number in 1..=rng.u64(1..5) {
        let dictionary = dictionary.clone().filter(|_| rng.bool());
        let mut segment = SegmentBuilder::new(number, rng.u64(..), dictionary);
        for _ in 0..rng.usize(0..40) {
            step(&mut rng, &mut segment, &mut writers, troubles);
        }
        let mut bytes = segment.finish();
        if troubles.torn && rng.u8(0..4) == 0 {
            bytes.truncate(rng.usize(FILE_HEADER_LEN..=bytes.len()));
        }
        segments.push((number, bytes));
    }
    segments
}

pub(super) fn train(rng: &mut Rng) -> Dictionary {
    let samples: Vec<_> = (0..300)
        .map(|_| format!("{{\"message\":\"sample\",\"n\":{}}}/path/{}", rng.u8(..), rng.u16(..)))
        .collect();
    Dictionary::train(&samples, 2048).unwrap()
}

fn step(rng: &mut Rng, segment: &mut SegmentBuilder, writers: &mut [Writer], troubles: Troubles) {
    let count = writers.len();
    // Writers may lag behind each other, but not by much.
    let newest = writers.iter().map(|writer| writer.time).max().unwrap();
    let index = rng.usize(0..count);
    if rng.u8(0..5) == 0 {
        let back = rng.usize(0..4);
        segment.ping(&writers[0], back);
        return;
    }
    let writer = &mut writers[index];
    writer.time = writer.time.max(newest - 200) + rng.i64(0..30);
    if rng.u8(0..12) == 0 {
        segment.sign_of_life(writer, BlockFlags::NONE);
        return;
    }
    if troubles.missing && rng.u8(0..8) == 0 {
        writer.sequence += rng.u64(1..4);
    }
    let texts: Vec<String> = (0..rng.usize(1..8)).map(|n| text(rng, n)).collect();
    let worker = writer.origin.worker;
    let records: Vec<_> =
        texts.iter().map(|text| record(rng, &mut writer.time, worker, text)).collect();
    let flags = match troubles.sparse && rng.u8(0..4) == 0 {
        true => BlockFlags::SPARSE,
        false => BlockFlags::NONE,
    };
    if troubles.sparse && flags == BlockFlags::SPARSE {
        writer.sequence += rng.u64(0..4);
    }
    let trouble = rng.u8(0..10);
    if troubles.torn && trouble == 0 {
        tear(rng, segment, writer, &records);
    } else if troubles.twice && trouble == 1 {
        let (min, max) = (records[0].time.as_micros(), records.last().unwrap().time.as_micros());
        let bytes = segment.block(writer, BlockFlags::RETRIED, &records);
        if rng.bool() {
            let other = (index + 1) % count;
            writers[other].time = writers[other].time.max(newest - 200);
            segment.sign_of_life(&writers[other], BlockFlags::NONE);
        }
        segment.append(&bytes, min, max);
    } else {
        segment.block(writer, flags, &records);
    }
}

/// A block is cut short; its writer dies and comes back as another, or writes it again.
fn tear(rng: &mut Rng, segment: &mut SegmentBuilder, writer: &mut Writer, records: &[Record<'_>]) {
    let start = segment.bytes.len();
    segment.block(writer, BlockFlags::NONE, records);
    let cut = rng.usize(start + 1..segment.bytes.len());
    segment.bytes.truncate(cut);
    writer.sequence -= records.len() as u64;
    if rng.bool() {
        segment.block(writer, BlockFlags::RETRIED, records);
    } else {
        writer.origin.writer = WriterId(rng.u32(..));
        writer.sequence = 0;
        segment.join(writer);
    }
}

fn text(rng: &mut Rng, n: usize) -> String {
    match rng.u8(0..3) {
        0 => format!("{{\"n\":{n}}}"),
        1 => format!("{{\"message\":\"{}\"}}", "x".repeat(rng.usize(0..200))),
        _ => "true".to_owned(),
    }
}

fn record<'t>(rng: &mut Rng, now: &mut i64, worker: Option<WorkerId>, text: &'t str) -> Record<'t> {
    *now += rng.i64(0..8);
    let data = Json::new(text).unwrap();
    let level = rng.choice(Level::ALL).unwrap();
    let request = request(rng.u64(0..12));
    let error =
        || ErrorInfo { kind: ErrorKind::Value, text, properties: None, debug: Vec::new().into() };
    let event = match (worker, rng.u8(0..10)) {
        (None, 0) => Event::WorkerSpawned { worker: WorkerId::new(rng.u32(0..5)).unwrap() },
        (None, 1) => Event::WorkerExited(WorkerExited {
            worker: WorkerId::new(rng.u32(0..5)).unwrap(),
            exit_code: rng.bool().then(|| rng.i32(0..2)),
            signal: None,
        }),
        (None, 2) => Event::Lifecycle(Lifecycle::StartingUp),
        (None, _) => Event::Log { source: LogSource::Master, level, data },
        (_, 0) => Event::RequestMeta { request, data },
        (_, 1..4) => Event::Response(Response {
            request,
            status: *[200, 200, 404, 500, 65_535].get(rng.usize(0..5)).unwrap(),
            error: rng.bool().then(error),
            expected: rng.bool(),
            bytes: None,
            duration_us: Some(rng.u64(..)),
        }),
        (_, 4..7) => Event::Log { source: LogSource::Request(request), level, data },
        _ => Event::Log { source: LogSource::Worker, level, data },
    };
    Record { time: time(*now), event }
}
