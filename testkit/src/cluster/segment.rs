//! One segment of the simulated store: what is appended to it, and what may be claimed of it.

use std::ops::Range;

use fastrand::Rng;
use logq_format::{
    BlockContext, BlockFlags, BlockHeader, Claims, Codec, Compressor, Dictionary, FILE_HEADER_LEN,
    FileHeader, Id, LEVEL_DEFAULT, Member, SyncMarker, Timestamp, VERSION, WriterId,
    encode_dictionary, encode_sign_of_life,
};

use super::process::Process;
use crate::naive::NaiveRecord;

/// What tells one record from all others.
pub(super) type Identity = (Timestamp, WriterId, u64);

/// A file of the store.
pub(super) struct SegmentFile {
    pub(super) number: u64,
    pub(super) marker: SyncMarker,
    pub(super) bytes: Vec<u8>,
    /// What the bytes were before they were damaged.
    undamaged: Option<Vec<u8>>,
    /// Where complete blocks of records are, and which records they hold.
    pub(super) copies: Vec<(Range<usize>, Vec<Identity>)>,
    /// The bytes that blocks need besides their own: the dictionary's.
    pub(super) dictionary: Range<usize>,
    compressor: Compressor,
    /// The latest time in any block.
    now: Timestamp,
    /// The latest watermark claimed.
    watermark: Timestamp,
}

/// A block of records that is about to be appended.
pub(super) struct EncodedBlock {
    /// For the first write and for a repeated one.
    bytes: [Vec<u8>; 2],
    repeated: bool,
    pub(super) min: Timestamp,
    max: Timestamp,
    pub(super) sequence: u64,
    pub(super) lost: u64,
    identities: Vec<Identity>,
    /// The records to acknowledge once it is appended.
    pub(super) records: Vec<NaiveRecord>,
}

impl EncodedBlock {
    /// The block to append after a write that was cut short.
    pub(super) fn retried(mut self) -> Self {
        self.repeated = true;
        self
    }

    /// The block to append once more although it is in the file: with nothing to acknowledge.
    pub(super) fn duplicate(&self) -> Self {
        Self {
            bytes: self.bytes.clone(),
            repeated: true,
            lost: 0,
            identities: self.identities.clone(),
            records: Vec::new(),
            ..*self
        }
    }

    fn bytes(&self) -> &[u8] {
        let [first, again] = &self.bytes;
        if self.repeated { again } else { first }
    }
}

impl SegmentFile {
    pub(super) fn new(random: &mut Rng, number: u64, created: Timestamp, epoch: u32) -> Self {
        // Half of the markers are text, so that records can contain them.
        let marker = if random.bool() {
            SyncMarker::from_random(random.u64(..).to_le_bytes())
        } else {
            SyncMarker::from_random(std::array::from_fn(|_| random.u8(b'a'..=b'z')))
        };
        let dictionary = (random.u8(..3) == 0).then(dictionary).flatten();
        let header = FileHeader {
            version: VERSION,
            file: Id(random.u128(..).to_le_bytes()),
            directory: Id([7; 16]),
            segment: number,
            created,
            created_monotonic_us: 0,
            boot: Id::default(),
            marker,
            predecessor: None,
            clock_epoch: epoch,
            dictionary: dictionary.as_ref().map(Dictionary::id),
        };
        let mut bytes = header.encode().to_vec();
        if let Some(dictionary) = &dictionary {
            encode_dictionary(dictionary, created, marker, &mut bytes);
        }
        let raw = random.u8(..3) == 0;
        Self {
            number,
            marker,
            dictionary: FILE_HEADER_LEN..bytes.len(),
            bytes,
            undamaged: None,
            copies: Vec::new(),
            compressor: if raw { Compressor::raw() } else { compressor(dictionary) },
            now: Timestamp::MIN,
            watermark: Timestamp::MIN,
        }
    }

    /// Appends the first block of a process, which writes nothing that claims rule out.
    pub(super) fn join(&mut self, process: &mut Process) {
        process.last = process.last.max(self.watermark);
        process.member().encode_join(self.marker, &mut self.bytes);
        self.now = self.now.max(process.last);
    }

    /// Makes a block of what the process holds, if it holds something.
    pub(super) fn encode(
        &mut self,
        random: &mut Rng,
        process: &mut Process,
        leaving: bool,
    ) -> Option<EncodedBlock> {
        let first = process.pending.first()?;
        let flags = if leaving { BlockFlags::LEAVING } else { BlockFlags::NONE };
        let again = random.choice([BlockFlags::RETRIED, BlockFlags::RECOVERED])?;
        let lost = std::mem::take(&mut process.dropped);
        let mut context = BlockContext {
            marker: self.marker,
            origin: process.origin,
            sequence: first.sequence,
            flags,
            lost,
        };
        let (min, sequence) = (first.time, first.sequence);
        let mut bytes = [Vec::new(), Vec::new()];
        let mut max = min;
        for (builder, bytes) in process.builders.iter_mut().zip(&mut bytes) {
            max = builder.finish(&context, &mut self.compressor, bytes).max;
            context.flags = flags.with(again);
        }
        let records = std::mem::take(&mut process.pending);
        let identities = records.iter().map(NaiveRecord::identity).collect();
        Some(EncodedBlock { bytes, repeated: false, min, max, sequence, lost, identities, records })
    }

    pub(super) fn append(&mut self, block: &EncodedBlock) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(block.bytes());
        self.copies.push((start..self.bytes.len(), block.identities.clone()));
        self.now = self.now.max(block.max);
    }

    /// Appends a block but for its end.
    pub(super) fn append_part(&mut self, block: &EncodedBlock, random: &mut Rng) {
        let bytes = block.bytes();
        let part = random.usize(..bytes.len().max(1));
        self.bytes.extend(bytes.iter().take(part));
    }

    /// Appends a bare PING of a process that holds nothing.
    pub(super) fn sign_of_life(&mut self, process: &Process, leaving: bool) {
        let flags = if leaving { BlockFlags::LEAVING } else { BlockFlags::NONE };
        let Process { origin, last, sequence, .. } = *process;
        encode_sign_of_life(origin, last, sequence, flags, self.marker, &mut self.bytes);
        self.now = self.now.max(last);
    }

    /// What is true of the file if these are all who may still append to it.
    pub(super) fn claims(&mut self, roster: Vec<Member>) -> Claims {
        let floors = roster.iter().map(|member| member.floor);
        // Joiners start at the watermark or later and nobody's floor sinks, so neither does this.
        self.watermark = floors.min().unwrap_or(self.watermark).max(self.watermark);
        let (now, watermark) = (self.now, self.watermark);
        Claims { covered: self.bytes.len() as u64, now, watermark, roster }
    }

    pub(super) fn ping(&mut self, process: &Process, claims: &Claims) {
        let (time, sequence) = (process.last, process.sequence);
        claims.encode_ping(process.origin, time, sequence, self.marker, &mut self.bytes);
        self.now = self.now.max(time);
    }

    /// Keeps the bytes as they are before the first damage.
    pub(super) fn note_intact(&mut self) {
        self.undamaged.get_or_insert_with(|| self.bytes.clone());
    }

    /// Whether these bytes are as they were written.
    pub(super) fn is_intact(&self, range: &Range<usize>) -> bool {
        let written = self.undamaged.as_ref().unwrap_or(&self.bytes);
        written.get(range.clone()) == self.bytes.get(range.clone())
    }

    /// Whether the undamaged block in `range` needs the dictionary.
    pub(super) fn needs_dictionary(&self, range: &Range<usize>) -> bool {
        let bytes = self.bytes.get(range.clone()).unwrap_or_default();
        BlockHeader::decode(bytes, self.marker).is_ok_and(|header| {
            [header.spine.codec, header.body.codec].contains(&Codec::ZstdDictionary)
        })
    }
}

fn compressor(dictionary: Option<Dictionary>) -> Compressor {
    Compressor::new(LEVEL_DEFAULT, dictionary).unwrap_or_else(|_| Compressor::raw())
}

/// What the texts of the simulation have in common.
fn dictionary() -> Option<Dictionary> {
    Dictionary::new(br#"{"writer":123456789,"n":100,"tail":"xxxxxxxxxxxxxxxxxxxxxxxx"}"#).ok()
}
