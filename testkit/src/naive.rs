//! The naive reader: decodes everything, filters, sorts. The model that the real reader is compared
//! with.
//!
//! It follows the rules of `format/FORMAT.md`, "Reading a segment", in the most obvious way, one
//! byte at a time where it searches, and shares with the real reader only the decoders of single
//! structures: not `Scan`, not the claims of pings, not the statistics of headers.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use logq_format::{
    BLOCK_HEADER_LEN, Block, BlockFlags, BlockHeader, BlockKind, Claims, DecodeError, Decompressor,
    Dictionary, Event, FILE_HEADER_LEN, FileHeader, Level, LevelSet, Origin, Record, RecordType,
    RequestId, Spine, StoredBlock, SyncMarker, Timestamp, TypeSet, WorkerId, WriterId,
    decode_dictionary, json::write_line,
};

/// Everything that a store holds.
#[derive(Clone, Debug, Default)]
pub struct NaiveStore {
    /// The records in the order of the store: by segment, then offset. Repeated ones are repeated.
    pub records: Vec<NaiveRecord>,
    /// The bytes that hold no readable block: segment number and range, adjacent ranges joined.
    ///
    /// What the real reader reports as several gaps side by side is one here.
    pub gaps: Vec<(u64, Range<u64>)>,
    /// The sequence numbers between the first and the last known one of each writer that no readable
    /// block holds.
    ///
    /// Joins, pings, rosters and the headers of unreadable blocks make numbers known. The real
    /// reader reports those of them that it does not already report as a gap with a header.
    pub missing: BTreeSet<(WriterId, u64)>,
    /// Rare records with fields that the format does not allow.
    pub spoiled: u64,
}

/// A record with everything it can be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NaiveRecord {
    /// When it happened.
    pub time: Timestamp,
    /// Who wrote it.
    pub origin: Origin,
    /// Its number among the records of its writer.
    pub sequence: u64,
    /// How severe it is.
    pub level: Level,
    /// Its type.
    pub record_type: RecordType,
    /// The worker it is about, `None` for the master.
    pub worker: Option<WorkerId>,
    /// The request it belongs to.
    pub request: Option<RequestId>,
    /// The status, of a RESPONSE.
    pub status: Option<u16>,
    /// The record as a line of JSON, with its line feed.
    pub line: String,
}

impl NaiveRecord {
    /// The record as the naive reader returns it.
    pub fn new(record: &Record<'_>, origin: Origin, sequence: u64) -> Self {
        let mut line = Vec::new();
        write_line(&mut line, record, origin, sequence);
        let status = match &record.event {
            Event::Response(response) => Some(response.status),
            _ => None,
        };
        Self {
            time: record.time,
            origin,
            sequence,
            level: record.level(),
            record_type: record.record_type(),
            worker: record.subject(origin),
            request: record.request_id(),
            status,
            line: String::from_utf8_lossy(&line).into_owned(),
        }
    }

    /// What orders records and tells whether two are the same one.
    pub fn identity(&self) -> (Timestamp, WriterId, u64) {
        (self.time, self.origin.writer, self.sequence)
    }
}

/// Which records are wanted. The default asks for all.
#[derive(Clone, Debug)]
pub struct NaiveQuery {
    /// The first instant wanted.
    pub since: Timestamp,
    /// The first instant no longer wanted; `None` for no end.
    pub until: Option<Timestamp>,
    /// The levels.
    pub levels: LevelSet,
    /// The types.
    pub types: TypeSet,
    /// The workers that records are about, `None` standing for the master.
    pub workers: Option<Vec<Option<WorkerId>>>,
    /// The requests.
    pub requests: Option<Vec<RequestId>>,
}

impl Default for NaiveQuery {
    fn default() -> Self {
        Self {
            since: Timestamp::MIN,
            until: None,
            levels: LevelSet::ALL,
            types: TypeSet::ALL,
            workers: None,
            requests: None,
        }
    }
}

impl NaiveQuery {
    /// Whether this record is wanted.
    pub fn matches(&self, record: &NaiveRecord) -> bool {
        let belongs = |ids: &Vec<RequestId>| record.request.is_some_and(|id| ids.contains(&id));
        record.time >= self.since
            && self.until.is_none_or(|until| record.time < until)
            && self.levels.contains(record.level)
            && self.types.contains(record.record_type)
            && self.workers.as_ref().is_none_or(|workers| workers.contains(&record.worker))
            && self.requests.as_ref().is_none_or(belongs)
    }
}

impl NaiveStore {
    /// Reads the segments of a store: number and bytes of each, in the order of the numbers.
    ///
    /// # Panics
    ///
    /// If zstd cannot make a context.
    pub fn read<B: AsRef<[u8]>>(segments: &[(u64, B)]) -> Self {
        let mut store = Self::default();
        let mut numbers = BTreeMap::new();
        let dictionaries: Vec<_> =
            segments.iter().flat_map(|(_, bytes)| dictionaries(bytes.as_ref())).collect();
        for (number, bytes) in segments {
            let mut segment = Segment::new(bytes.as_ref());
            segment.read(&dictionaries, &mut store);
            for sighting in &segment.sightings {
                Numbers::note(&mut numbers, sighting);
            }
            store.gaps.extend(segment.gaps.into_iter().map(|gap| (*number, gap)));
        }
        store.missing = numbers
            .iter()
            .flat_map(|(writer, numbers)| numbers.missing().map(|number| (*writer, number)))
            .collect();
        store
    }

    /// The records that `query` asks for, by time, writer and sequence number, each once.
    pub fn select(&self, query: &NaiveQuery) -> Vec<&NaiveRecord> {
        let mut found: Vec<_> =
            self.records.iter().filter(|record| query.matches(record)).collect();
        // Stable: of repeated records the first one stays.
        found.sort_by_key(|record| record.identity());
        found.dedup_by_key(|record| record.identity());
        found
    }

    /// The identities of all records.
    pub fn identities(&self) -> BTreeSet<(Timestamp, WriterId, u64)> {
        self.records.iter().map(NaiveRecord::identity).collect()
    }
}

/// The blocks of writers in a segment, whether their content can be read or not: offset and header.
///
/// # Panics
///
/// If zstd cannot make a context.
pub fn blocks(bytes: &[u8]) -> Vec<(u64, BlockHeader)> {
    let mut segment = Segment::new(bytes);
    segment.read(&dictionaries(bytes), &mut NaiveStore::default());
    segment.blocks
}

/// All dictionaries in a segment, wherever they are.
fn dictionaries(bytes: &[u8]) -> Vec<Dictionary> {
    let Some((marker, _)) = head(bytes) else { return Vec::new() };
    let suffixes = (0..bytes.len()).filter_map(|start| bytes.get(start..));
    suffixes.filter_map(|rest| dictionary(rest, marker)).collect()
}

/// The marker of a segment, and the dictionary that its file header names.
fn head(bytes: &[u8]) -> Option<(SyncMarker, Option<u32>)> {
    match FileHeader::decode(bytes) {
        Ok(header) => Some((header.marker, header.dictionary)),
        // Another version or an unknown feature: nothing of the file is read.
        Err(DecodeError::Newer { .. }) => None,
        Err(_) => Some((logq_format::recover_marker(bytes)?, None)),
    }
}

/// The dictionary in the block at the beginning of these bytes.
fn dictionary(bytes: &[u8], marker: SyncMarker) -> Option<Dictionary> {
    let block = StoredBlock::new(BlockHeader::decode(bytes, marker).ok()?, bytes).ok()?;
    let is_dictionary = block.header().kind == BlockKind::Dictionary;
    if is_dictionary { decode_dictionary(&block).ok() } else { None }
}

/// Sequence numbers of a writer that a block holds, or which one comes next.
#[derive(Debug)]
struct Sighting {
    writer: WriterId,
    numbers: Range<u64>,
    is_readable: bool,
    is_sparse: bool,
}

/// What is known of the sequence numbers of one writer.
#[derive(Debug)]
struct Numbers {
    known: Range<u64>,
    seen: BTreeSet<u64>,
    is_sparse: bool,
}

impl Numbers {
    fn note(numbers: &mut BTreeMap<WriterId, Self>, sighting: &Sighting) {
        let new = &sighting.numbers;
        let unknown = || Self { known: new.clone(), seen: BTreeSet::new(), is_sparse: false };
        let entry = numbers.entry(sighting.writer).or_insert_with(unknown);
        entry.known = entry.known.start.min(new.start)..entry.known.end.max(new.end);
        entry.seen.extend(new.clone().filter(|_| sighting.is_readable));
        entry.is_sparse |= sighting.is_sparse;
    }

    fn missing(&self) -> impl Iterator<Item = u64> {
        let known = if self.is_sparse { 0..0 } else { self.known.clone() };
        known.filter(|number| !self.seen.contains(number))
    }
}

struct Segment<'a> {
    bytes: &'a [u8],
    decompressor: Decompressor,
    /// The blocks of writers, readable or not: offset and header.
    blocks: Vec<(u64, BlockHeader)>,
    /// What they tell about sequence numbers.
    sightings: Vec<Sighting>,
    gaps: Vec<Range<u64>>,
}

impl<'a> Segment<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        let decompressor = Decompressor::new().expect("zstd makes a context");
        Self { bytes, decompressor, blocks: Vec::new(), sightings: Vec::new(), gaps: Vec::new() }
    }

    fn read(&mut self, dictionaries: &[Dictionary], store: &mut NaiveStore) {
        let end = self.bytes.len();
        let Some((marker, dictionary)) = head(self.bytes) else { return self.gap(0..end) };
        self.set_dictionary(marker, dictionary, dictionaries);
        let start = if FileHeader::decode(self.bytes).is_ok() { FILE_HEADER_LEN } else { 0 };
        self.walk(marker, start..end, store);
    }

    /// Uses the dictionary in the first block, if it is the one that the file header names, or else any
    /// that is.
    fn set_dictionary(&mut self, marker: SyncMarker, id: Option<u32>, all: &[Dictionary]) {
        let rest = self.bytes.get(FILE_HEADER_LEN..).unwrap_or_default();
        let own = dictionary(rest, marker).filter(|own| id.is_none_or(|id| id == own.id()));
        let other = || all.iter().find(|other| Some(other.id()) == id).cloned();
        if let Some(dictionary) = own.or_else(other) {
            // A context that cannot be made leaves sections unreadable, which shows as gaps.
            let _ = self.decompressor.set_dictionary(Some(&dictionary));
        }
    }

    fn gap(&mut self, range: Range<usize>) {
        let range = range.start as u64..range.end as u64;
        match self.gaps.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => self.gaps.push(range),
        }
    }

    /// Reads the blocks in `range`; every byte outside of a block becomes a gap.
    fn walk(&mut self, marker: SyncMarker, range: Range<usize>, store: &mut NaiveStore) {
        let mut offset = range.start;
        while offset < range.end {
            let Some(block) = self.block_at(marker, offset, range.end) else {
                self.gap(offset..offset + 1);
                offset += 1;
                continue;
            };
            let end = offset + block.header().block_len();
            if block.header().kind != BlockKind::Dictionary {
                self.blocks.push((offset as u64, block.header().clone()));
            }
            let is_readable = self.decode(&block, store).is_ok();
            self.sight(&block, is_readable);
            if !is_readable {
                if block.check_front().is_ok() && block.check_body().is_ok() {
                    self.gap(offset..end);
                } else {
                    // It may by chance end where another starts, and hide that it is torn and
                    // what was appended behind it.
                    self.gap(offset..offset + 1);
                    self.walk(marker, offset + 1..end, store);
                }
            }
            offset = end;
        }
    }

    fn sight(&mut self, block: &StoredBlock<'_>, is_readable: bool) {
        let header = block.header();
        let end = header.sequence + u64::from(header.records);
        self.sightings.push(Sighting {
            writer: header.origin.writer,
            numbers: header.sequence..end,
            is_readable,
            is_sparse: header.flags.contains(BlockFlags::SPARSE),
        });
        let claims = match header.kind {
            BlockKind::Ping => Claims::decode_ping(block),
            _ => Ok(None),
        };
        let roster = claims.ok().flatten().map(|claims| claims.roster);
        self.sightings.extend(roster.into_iter().flatten().map(|member| Sighting {
            writer: member.origin.writer,
            numbers: member.sequence..member.sequence,
            is_readable,
            is_sparse: false,
        }));
    }

    /// The block that starts at `offset`, if one does and ends by `end`.
    fn block_at(&self, marker: SyncMarker, offset: usize, end: usize) -> Option<StoredBlock<'a>> {
        let rest = self.bytes.get(offset..end)?;
        let block = StoredBlock::new(BlockHeader::decode(rest, marker).ok()?, rest).ok()?;
        let behind = rest.get(block.header().block_len()..)?;
        let followed = behind.is_empty()
            || (behind.len() >= BLOCK_HEADER_LEN && BlockHeader::decode(behind, marker).is_ok());
        let intact = || block.check_front().is_ok() && block.check_body().is_ok();
        (followed || intact()).then_some(block)
    }

    /// Adds the records of the block; none of them if any part of the block is damaged.
    fn decode(
        &mut self,
        stored: &StoredBlock<'_>,
        store: &mut NaiveStore,
    ) -> Result<(), DecodeError> {
        stored.check_front()?;
        stored.check_body()?;
        let header = stored.header();
        match header.kind {
            BlockKind::Data => {}
            BlockKind::Other(kind @ ..128) => {
                return Err(DecodeError::Newer { what: "block kind", found: u64::from(kind) });
            }
            _ => return Ok(()),
        }
        let spine = stored.spine(&mut self.decompressor)?;
        let body = stored.body(&mut self.decompressor)?;
        let spine = Spine::parse(header, stored.request_ids().collect(), &spine)?;
        let sequences: Vec<u64> = spine.sequences().collect();
        let block = Block::new(spine, &body)?;
        for (record, sequence) in block.records().zip(sequences) {
            match record {
                Ok(record) => {
                    store.records.push(NaiveRecord::new(&record, header.origin, sequence));
                }
                Err(_) => store.spoiled += 1,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
