//! Segments in memory.

use std::ops::Range;

use logq_format::{
    BlockBuilder, BlockContext, BlockFlags, Claims, Compressor, Dictionary, FileHeader, Id, Member,
    Origin, Record, SyncMarker, Timestamp, VERSION, WorkerId, WriterId, encode_dictionary,
    encode_sign_of_life,
};

/// A segment being written by several writers.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) bytes: Vec<u8>,
    pub(crate) marker: SyncMarker,
    /// Where the blocks are.
    pub(crate) blocks: Vec<Range<usize>>,
}

/// One writer of segments.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    pub(crate) origin: Origin,
    pub(crate) sequence: u64,
}

impl Writer {
    pub(crate) fn new(writer: u32, worker: Option<u32>) -> Self {
        let worker = worker.and_then(WorkerId::new);
        Self { origin: Origin { writer: WriterId(writer), worker }, sequence: 0 }
    }

    fn member(&self, floor: Timestamp) -> Member {
        let (origin, sequence) = (self.origin, self.sequence);
        Member { origin, floor, sequence, pid: 4321, slot: 1 }
    }
}

impl Segment {
    /// A segment with nothing but its header and, if there is one, the dictionary.
    pub(crate) fn new(marker: [u8; 8], dictionary: Option<&Dictionary>) -> Self {
        let marker = SyncMarker::from_random(marker);
        let created = Timestamp::from_micros(1_770_127_500_000_000);
        let header = FileHeader {
            version: VERSION,
            file: Id(*b"the file's id..."),
            directory: Id(*b"the store's id.."),
            segment: 1,
            created,
            created_monotonic_us: 86_400_000_000,
            boot: Id(*b"the boot's id..."),
            marker,
            predecessor: None,
            clock_epoch: 0,
            dictionary: dictionary.map(Dictionary::id),
        };
        let mut segment = Self { bytes: header.encode().to_vec(), marker, blocks: Vec::new() };
        if let Some(dictionary) = dictionary {
            segment.append(|marker, out| encode_dictionary(dictionary, created, marker, out));
        }
        segment
    }

    /// Appends what `encode` makes, which is one block.
    pub(crate) fn append(&mut self, encode: impl FnOnce(SyncMarker, &mut Vec<u8>)) {
        let start = self.bytes.len();
        encode(self.marker, &mut self.bytes);
        self.blocks.push(start..self.bytes.len());
    }

    pub(crate) fn join(&mut self, writer: &Writer, floor: Timestamp) {
        self.append(|marker, out| writer.member(floor).encode_join(marker, out));
    }

    pub(crate) fn sign_of_life(&mut self, writer: &Writer, time: Timestamp) {
        let (origin, sequence) = (writer.origin, writer.sequence);
        self.append(|marker, out| {
            encode_sign_of_life(origin, time, sequence, BlockFlags::NONE, marker, out);
        });
    }

    /// Appends a PING that claims what `now` and `watermark` say, with these writers as roster.
    pub(crate) fn ping(&mut self, now: Timestamp, watermark: Timestamp, writers: &[&Writer]) {
        let covered = self.bytes.len() as u64;
        let roster = writers.iter().map(|writer| writer.member(watermark)).collect();
        let claims = Claims { covered, now, watermark, roster };
        let (origin, sequence) = (writers[0].origin, writers[0].sequence);
        self.append(|marker, out| claims.encode_ping(origin, now, sequence, marker, out));
    }

    /// Appends a block of these records.
    pub(crate) fn data(
        &mut self,
        writer: &mut Writer,
        records: &[Record<'_>],
        compressor: &mut Compressor,
    ) {
        let mut builder = BlockBuilder::new();
        for record in records {
            builder.push(record).unwrap();
        }
        let context = BlockContext {
            marker: self.marker,
            origin: writer.origin,
            sequence: writer.sequence,
            flags: BlockFlags::NONE,
            lost: 0,
        };
        writer.sequence += records.len() as u64;
        self.append(|_, out| {
            builder.finish(&context, compressor, out);
        });
    }
}
