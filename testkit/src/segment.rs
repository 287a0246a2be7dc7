//! Traffic as one encoded segment, the way a cluster writes it: a block of a worker whenever enough
//! has come together, pings with true claims in between.

use std::collections::BTreeMap;

use logq_format::{
    BlockBuilder, BlockContext, BlockFlags, BlockHeader, BlockKind, Claims, Compressor,
    Decompressor, Dictionary, Event, FILE_HEADER_LEN, FileHeader, Id, LEVEL_DEFAULT, Member,
    Origin, PushError, Record, StoredBlock, SyncMarker, Timestamp, VERSION, WorkerId, WriterId,
    encode_dictionary,
};

use crate::traffic::{Numbering, TrafficOptions, generate};

/// How [`encode`] writes.
#[derive(Clone, Debug)]
pub struct SegmentOptions {
    /// The records.
    pub traffic: TrafficOptions,
    /// The number of the segment.
    pub number: u64,
    /// A worker's records become a block when they have this many bytes before compression.
    pub block_bytes: usize,
    /// Or when the first of them is this old, by the time of the records.
    pub flush_delay_us: Option<u64>,
    /// The level of compression.
    pub level: i32,
    /// The dictionary at the head of the segment.
    pub dictionary: Option<Dictionary>,
    /// The master pings after this many bytes.
    pub ping_bytes: usize,
}

impl Default for SegmentOptions {
    /// Segment 1 of a million records: blocks of 32 KiB, a ping every 4 MiB, no dictionary.
    fn default() -> Self {
        Self {
            traffic: TrafficOptions::default(),
            number: 1,
            block_bytes: 32 << 10,
            flush_delay_us: None,
            level: LEVEL_DEFAULT,
            dictionary: None,
            ping_bytes: 4 << 20,
        }
    }
}

/// A segment and what its bytes are spent on.
#[derive(Clone, Debug)]
pub struct EncodedSegment {
    /// The file.
    pub bytes: Vec<u8>,
    /// The size of its parts.
    pub sizes: Sizes,
}

/// Bytes of a segment by purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Records.
    pub records: u64,
    /// Blocks with records.
    pub blocks: u64,
    /// Headers of those blocks.
    pub headers: u64,
    /// Request ids.
    pub ids: u64,
    /// Spines before compression.
    pub spine_raw: u64,
    /// Spines as they are stored.
    pub spine_stored: u64,
    /// Bodies before compression.
    pub body_raw: u64,
    /// Bodies as they are stored.
    pub body_stored: u64,
    /// File header, dictionary, joins and pings.
    pub other: u64,
}

impl Sizes {
    fn add(&mut self, header: &BlockHeader) {
        self.records += u64::from(header.records);
        self.blocks += 1;
        self.headers += logq_format::BLOCK_HEADER_LEN as u64;
        self.ids += 16 * u64::from(header.requests);
        self.spine_raw += u64::from(header.spine.raw_len);
        self.spine_stored += u64::from(header.spine.stored_len);
        self.body_raw += u64::from(header.body.raw_len);
        self.body_stored += u64::from(header.body.stored_len);
    }

    /// All bytes that blocks with records take.
    pub fn stored(&self) -> u64 {
        self.headers + self.ids + self.spine_stored + self.body_stored
    }
}

/// Writes traffic as a segment.
///
/// # Errors
///
/// Fails where zstd cannot make a context, and where the traffic does not fit the format.
pub fn encode(options: &SegmentOptions) -> std::io::Result<EncodedSegment> {
    let mut encoder = Encoder::new(options)?;
    let mut failure = None;
    generate(&options.traffic, |worker, record| {
        if let Err(error) = encoder.push(worker, record) {
            failure.get_or_insert(error);
        }
    });
    match failure {
        Some(error) => Err(std::io::Error::other(error)),
        None => Ok(encoder.finish()),
    }
}

/// Trains a dictionary from the traffic of another day, as rotation does from the segment before.
///
/// # Errors
///
/// Fails like [`encode`], and where there are too few records to learn from.
pub fn train(options: &SegmentOptions, dictionary_bytes: usize) -> std::io::Result<Dictionary> {
    let segment = encode(&SegmentOptions { dictionary: None, ..options.clone() })?;
    let samples = sections(&segment.bytes).map_err(std::io::Error::other)?;
    let trained = Dictionary::train(&samples, dictionary_bytes);
    trained.ok_or_else(|| std::io::Error::other("too few records to train a dictionary"))
}

/// The raw spines and bodies of an undamaged segment without a dictionary.
fn sections(bytes: &[u8]) -> Result<Vec<Vec<u8>>, logq_format::DecodeError> {
    let marker = FileHeader::decode(bytes)?.marker;
    let mut decompressor = Decompressor::new().map_err(|error| {
        logq_format::DecodeError::Decompress { what: "segment", reason: error.to_string() }
    })?;
    let mut samples = Vec::new();
    let mut rest = bytes.get(FILE_HEADER_LEN..).unwrap_or_default();
    while !rest.is_empty() {
        let header = BlockHeader::decode(rest, marker)?;
        let block = StoredBlock::new(header, rest)?;
        if block.header().kind == BlockKind::Data {
            samples.push(block.spine(&mut decompressor)?.into_owned());
            samples.push(block.body(&mut decompressor)?.into_owned());
        }
        rest = rest.get(block.header().block_len()..).unwrap_or_default();
    }
    Ok(samples)
}

struct Encoder<'a> {
    options: &'a SegmentOptions,
    marker: SyncMarker,
    compressor: Compressor,
    numbering: Numbering,
    writers: BTreeMap<WriterId, Writer>,
    /// The time of the latest record: nothing earlier will come.
    time: Timestamp,
    /// The latest time in the file.
    now: Timestamp,
    ping_due: usize,
    out: Vec<u8>,
    sizes: Sizes,
}

struct Writer {
    origin: Origin,
    /// The sequence number of the first record in the builder.
    sequence: u64,
    first: Timestamp,
    builder: BlockBuilder,
}

impl<'a> Encoder<'a> {
    fn new(options: &'a SegmentOptions) -> std::io::Result<Self> {
        let mut random = fastrand::Rng::with_seed(options.traffic.seed ^ options.number << 32);
        let marker = SyncMarker::from_random(random.u64(..).to_le_bytes());
        let start = options.traffic.start;
        let header = FileHeader {
            version: VERSION,
            file: Id(random.u128(..).to_le_bytes()),
            directory: Id(random.u128(..).to_le_bytes()),
            segment: options.number,
            created: start,
            created_monotonic_us: 0,
            boot: Id(random.u128(..).to_le_bytes()),
            marker,
            predecessor: None,
            clock_epoch: 0,
            dictionary: options.dictionary.as_ref().map(Dictionary::id),
        };
        let mut out = header.encode().to_vec();
        if let Some(dictionary) = &options.dictionary {
            encode_dictionary(dictionary, start, marker, &mut out);
        }
        Ok(Self {
            options,
            marker,
            compressor: Compressor::new(options.level, options.dictionary.clone())?,
            numbering: Numbering::default(),
            writers: BTreeMap::new(),
            time: start,
            now: start,
            ping_due: 0,
            out,
            sizes: Sizes::default(),
        })
    }

    fn push(&mut self, worker: Option<WorkerId>, record: &Record<'_>) -> Result<(), PushError> {
        self.time = record.time;
        let (origin, sequence) = self.numbering.next(worker);
        if !self.writers.contains_key(&origin.writer) {
            self.join(origin);
        }
        if self.out.len() >= self.ping_due {
            self.ping();
        }
        self.flush_overdue();
        let Some(writer) = self.writers.get_mut(&origin.writer) else { return Ok(()) };
        if writer.builder.is_empty() {
            (writer.first, writer.sequence) = (record.time, sequence);
        }
        writer.builder.push(record)?;
        if writer.builder.raw_len() >= self.options.block_bytes {
            self.flush(origin.writer);
        }
        if let Event::WorkerExited(exited) = &record.event {
            self.leave(exited.worker);
        }
        Ok(())
    }

    fn join(&mut self, origin: Origin) {
        let member = Member {
            origin,
            floor: self.time,
            sequence: 0,
            pid: 4000 + origin.writer.0,
            slot: origin.writer.0,
        };
        member.encode_join(self.marker, &mut self.out);
        // A join is a block too, and claims speak of all blocks.
        self.now = self.now.max(self.time);
        let builder = BlockBuilder::new();
        self.writers
            .insert(origin.writer, Writer { origin, sequence: 0, first: self.time, builder });
    }

    fn leave(&mut self, worker: WorkerId) {
        let gone = self.writers.values().find(|writer| writer.origin.worker == Some(worker));
        if let Some(gone) = gone.map(|writer| writer.origin.writer) {
            self.flush(gone);
            self.writers.remove(&gone);
        }
    }

    fn flush_overdue(&mut self) {
        let Some(delay) = self.options.flush_delay_us else { return };
        let overdue = |writer: &Writer| {
            !writer.builder.is_empty() && self.time.micros_since(writer.first) > delay
        };
        let ids: Vec<WriterId> =
            self.writers.iter().filter(|(_, writer)| overdue(writer)).map(|(id, _)| *id).collect();
        ids.into_iter().for_each(|id| self.flush(id));
    }

    fn flush(&mut self, id: WriterId) {
        let Some(writer) = self.writers.get_mut(&id).filter(|writer| !writer.builder.is_empty())
        else {
            return;
        };
        let context = BlockContext {
            marker: self.marker,
            origin: writer.origin,
            sequence: writer.sequence,
            flags: BlockFlags::NONE,
            lost: 0,
        };
        let header = writer.builder.finish(&context, &mut self.compressor, &mut self.out);
        writer.sequence = header.sequence + u64::from(header.records);
        self.now = self.now.max(header.max);
        self.sizes.add(&header);
    }

    /// The master's ping: what it claims is exactly true of this file.
    fn ping(&mut self) {
        let floor = |writer: &Writer| {
            if writer.builder.is_empty() { self.time } else { writer.first }
        };
        let roster: Vec<Member> = self
            .writers
            .values()
            .map(|writer| Member {
                origin: writer.origin,
                floor: floor(writer),
                sequence: writer.sequence,
                pid: 4000 + writer.origin.writer.0,
                slot: writer.origin.writer.0,
            })
            .collect();
        let watermark = roster.iter().map(|member| member.floor).min().unwrap_or(self.time);
        let covered = self.out.len() as u64;
        let claims = Claims { covered, now: self.now, watermark, roster };
        // The ping promises that its writer, the master, appends nothing earlier.
        let master = claims.roster.iter().find(|member| member.origin.worker.is_none()).copied();
        if let Some(master) = master {
            let (time, sequence) = (master.floor, master.sequence);
            claims.encode_ping(master.origin, time, sequence, self.marker, &mut self.out);
        }
        self.ping_due = self.out.len() + self.options.ping_bytes;
    }

    fn finish(mut self) -> EncodedSegment {
        let ids: Vec<WriterId> = self.writers.keys().copied().collect();
        ids.into_iter().for_each(|id| self.flush(id));
        self.ping();
        self.sizes.other = self.out.len() as u64 - self.sizes.stored();
        EncodedSegment { bytes: self.out, sizes: self.sizes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims;
    use crate::naive::{NaiveQuery, NaiveRecord, NaiveStore};

    /// What is read equals what was generated, whatever the segment is made of.
    #[test]
    fn segments_hold_the_traffic_and_their_claims_are_true() {
        let traffic = TrafficOptions { records: 20_000, ..Default::default() };
        let plain = SegmentOptions { traffic, ping_bytes: 20_000, ..Default::default() };
        let day_before = TrafficOptions { seed: 2, ..traffic };
        let day_before = SegmentOptions { traffic: day_before, ..plain.clone() };
        let dictionary = Some(train(&day_before, 8 << 10).unwrap());
        let mut numbering = Numbering::default();
        let mut expected = Vec::new();
        generate(&traffic, |worker, record| {
            let (origin, sequence) = numbering.next(worker);
            expected.push(NaiveRecord::new(record, origin, sequence));
        });
        expected.sort_by_key(NaiveRecord::identity);
        for options in [
            plain.clone(),
            SegmentOptions { flush_delay_us: Some(200_000), ..plain.clone() },
            SegmentOptions { dictionary, block_bytes: 4 << 10, ..plain },
        ] {
            let EncodedSegment { bytes, sizes } = encode(&options).unwrap();
            let store = NaiveStore::read(&[(1, &bytes)]);
            let found = store.select(&NaiveQuery::default());
            assert!(found.into_iter().eq(&expected), "{options:?}");
            let pings = claims::verify(&bytes).unwrap();
            assert!(pings.len() > 5 && pings.iter().all(|ping| ping.claims.now == ping.latest));
            assert_eq!((sizes.records, sizes.stored() + sizes.other), (20_000, bytes.len() as u64));
        }
    }
}
