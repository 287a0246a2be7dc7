//! Records of the past, written in bulk: imports, conversions, test data.
//!
//! A bulk writer fills segments of its own, which nobody sees until they are complete. So it may
//! take records in any order, and the claims in its pings are exact in both directions.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use logq_directory::{
    Directory, DirectoryError, Draft, Finished, NewSegment, SegmentFile, is_worth_a_copy,
};
use logq_format::{
    BlockBuilder, BlockContext, BlockFlags, BlockHeader, Claims, Compressor, Dictionary, Origin,
    PushError, Record, SyncMarker, Timestamp, WorkerId, encode_dictionary,
};
use rayon::prelude::*;

use crate::queue::Encoding;
use crate::staging::new_writer_id;

mod lanes;

use lanes::Lanes;

/// Settings of a [`BulkWriter`].
#[derive(Clone, Debug)]
pub struct BulkOptions {
    /// Bytes of records, before compression, that are collected for one block.
    pub high_water_mark: usize,
    /// Whether blocks are compressed.
    pub compression: bool,
    /// The size of the dictionary that is trained from the first blocks, 0 for none. Where there is
    /// too little to learn from, there is none either.
    pub dictionary_bytes: usize,
    /// The size at which a segment is published and the next one begun.
    pub segment_bytes_max: u64,
    /// What numbers mean that are left out between the records of [`BulkWriter::push_as`].
    pub holes: Holes,
    /// The present: names the segments.
    pub now: Timestamp,
}

/// What it means that the sequence numbers of a writer skip.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Holes {
    /// Records were left out on purpose, as by a filter: nothing is missing.
    #[default]
    LeftOut,
    /// Records were lost: readers of the new store tell so, as those of the old one did.
    Lost,
}

impl BulkOptions {
    /// Blocks of 32 KiB, compressed, with a dictionary of 64 KiB, in segments of 256 MiB.
    pub fn at(now: Timestamp) -> Self {
        Self {
            high_water_mark: 32 * 1024,
            compression: true,
            dictionary_bytes: 64 * 1024,
            segment_bytes_max: 256 << 20,
            holes: Holes::default(),
            now,
        }
    }
}

/// What a [`BulkWriter`] has done.
#[derive(Clone, Debug, Default)]
pub struct BulkSummary {
    /// Records written.
    pub records: u64,
    /// Records that could not keep the writer and sequence number they came with, because an
    /// earlier record of the same writer was later in time or sequence.
    pub renamed: u64,
    /// The segments published.
    pub segments: Vec<SegmentFile>,
    /// Their bytes.
    pub bytes: u64,
}

/// Says why bulk writing cannot go on, or why a record was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BulkError {
    /// The store's directory failed. Segments published before are complete.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// Writing a segment failed. Segments published before are complete.
    #[error("cannot write a segment of {}: {source}", path.display())]
    Write {
        /// The store.
        path: std::path::PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No block can hold the record; the writer goes on with the next one.
    #[error(transparent)]
    Record(#[from] PushError),
}

/// A block that is to be encoded.
struct Filled {
    records: BlockBuilder,
    origin: Origin,
    sequence: u64,
    /// Numbers were left out on purpose before its first record.
    is_sparse: bool,
}

/// Writes records with given times into new segments of a store.
///
/// # Examples
///
/// ```
/// use logq_format::{Event, Lifecycle, Record, Timestamp};
/// use logq_writer::{BulkOptions, BulkWriter};
///
/// # let scratch = tempfile::tempdir()?;
/// # let store = scratch.path().join("logs");
/// let now: Timestamp = "2026-02-03T00:00:00Z".parse()?;
/// let mut bulk = BulkWriter::create(&store, BulkOptions::at(now))?;
/// for second in [2, 1] {
///     let time = Timestamp::from_micros(second * 1_000_000);
///     let event = Event::Lifecycle(Lifecycle::StartingUp);
///     bulk.push(None, &Record { time, event })?;
/// }
/// let summary = bulk.finish()?;
/// assert_eq!((summary.records, summary.segments.len()), (2, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct BulkWriter {
    directory: Directory,
    options: BulkOptions,
    lanes: Lanes,
    /// Full blocks that wait for each other, to be encoded in parallel.
    full: Vec<Filled>,
    dictionary: Option<Dictionary>,
    trained: bool,
    segment: Option<Output>,
    /// What the catalogue is to say of the segments published.
    finished: BTreeMap<String, Finished>,
    summary: BulkSummary,
}

/// Full blocks encoded at once: enough for all cores, little memory.
const BATCH_BLOCKS: usize = 32;

/// Full blocks collected before the dictionary is trained: some three megabytes of samples.
const TRAINING_BLOCKS: usize = 96;

/// After so many bytes a ping comes as soon as a batch has ended. One takes a hundred bytes; readers of
/// a short time hop over the headers between two of them, some twenty here.
const PING_BYTES: u64 = 256 << 10;

/// After so many bytes a ping comes in the middle of a batch of large blocks.
const PING_BYTES_MAX: u64 = 4 << 20;

/// So many blocks in the making that have waited since the last ping are written before the next one: a
/// block of a writer that seldom logs would reach back for hours otherwise, and hold back what all pings
/// before it can claim.
const STRAGGLERS_MAX: usize = 8;

/// So many blocks in the making of writers that have not filled one are written first of all in a segment:
/// readers look for its earliest record at its beginning, and it often is of one that seldom logs.
const OTHERS_MAX: usize = 6;

/// After so many bytes all blocks in the making are written, however many they are.
const DRAIN_BYTES: u64 = 3 << 20;

impl BulkWriter {
    /// A writer into the store at `path`, which is created if it does not exist.
    ///
    /// # Errors
    ///
    /// Fails where the directory cannot be created or used.
    pub fn create(path: &Path, options: BulkOptions) -> Result<Self, BulkError> {
        Ok(Self {
            directory: Directory::create(path)?,
            lanes: Lanes::default(),
            full: Vec::new(),
            dictionary: None,
            trained: options.dictionary_bytes == 0 || !options.compression,
            segment: None,
            finished: BTreeMap::new(),
            summary: BulkSummary::default(),
            options,
        })
    }

    /// Adds a record of this worker, `None` for the master. Times may come in any order; the
    /// record gets the next sequence number of whichever writer its time suits.
    ///
    /// # Errors
    ///
    /// [`BulkError::Record`] refuses this record only; all others end the writing.
    pub fn push(&mut self, worker: Option<WorkerId>, record: &Record<'_>) -> Result<(), BulkError> {
        self.lanes.push(worker, record, self.options.high_water_mark, &mut self.full)?;
        self.pushed()
    }

    /// Adds a record that keeps the writer and the sequence number it has elsewhere.
    ///
    /// Where that is impossible, because this writer's record before is later in time or sequence,
    /// it is added as by [`Self::push`] and counted in [`BulkSummary::renamed`].
    ///
    /// # Errors
    ///
    /// As [`Self::push`].
    pub fn push_as(
        &mut self,
        origin: Origin,
        sequence: u64,
        record: &Record<'_>,
    ) -> Result<(), BulkError> {
        let mark = self.options.high_water_mark;
        let holes = self.options.holes;
        match self.lanes.push_as((origin, sequence), record, holes, mark, &mut self.full) {
            Ok(()) => self.pushed(),
            Err(PushError::OutOfOrder | PushError::Sequence) => {
                self.summary.renamed += 1;
                self.push(origin.worker, record)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn pushed(&mut self) -> Result<(), BulkError> {
        self.summary.records += 1;
        let enough = if self.trained { BATCH_BLOCKS } else { TRAINING_BLOCKS };
        if self.full.len() >= enough { self.write_full() } else { Ok(()) }
    }

    /// Writes what is left, publishes the last segment and tells what was done.
    ///
    /// # Errors
    ///
    /// Fails where the segment cannot be written or published.
    pub fn finish(mut self) -> Result<BulkSummary, BulkError> {
        self.full.extend(self.lanes.drain());
        if !self.full.is_empty() {
            self.write_full()?;
        }
        self.publish()?;
        self.catalogue()?;
        Ok(std::mem::take(&mut self.summary))
    }

    /// Tells readers between which times the records of the segments lie.
    fn catalogue(&self) -> Result<(), BulkError> {
        if self.finished.is_empty() {
            return Ok(());
        }
        self.directory.settle();
        let lock = self.directory.lock()?;
        // A segment that somebody has joined meanwhile is longer than it was. That nothing could be
        // told costs readers time and loses nothing.
        let _ = self.directory.write_catalogue(&lock, &self.finished);
        Ok(())
    }

    fn write_full(&mut self) -> Result<(), BulkError> {
        if !self.trained {
            self.train();
        }
        let is_new = self.segment.is_none();
        if is_new {
            let now = self.options.now;
            let new = NewSegment { dictionary: self.dictionary.clone(), ..NewSegment::at(now) };
            let draft = self.directory.draft_segment(&new)?;
            let output = Output::new(draft, &self.options, self.dictionary.clone());
            self.segment = Some(output.map_err(|source| self.write_error(source))?);
        }
        let full = std::mem::take(&mut self.full);
        if is_new {
            let others = self.lanes.drain_others(&full, OTHERS_MAX);
            self.append(others)?;
        }
        self.append(full)?;
        if self.segment.as_ref().is_some_and(Output::shall_ping) {
            let shall_drain = self.segment.as_ref().is_some_and(Output::shall_drain);
            let waiting = match shall_drain {
                true => self.lanes.drain(),
                false => self.lanes.drain_stragglers(STRAGGLERS_MAX),
            };
            self.append(waiting)?;
            let pinged = self.segment.as_mut().map_or(Ok(()), |output| output.ping(shall_drain));
            pinged.map_err(|source| self.write_error(source))?;
        }
        let len = self.segment.as_ref().map_or(0, |output| output.offset);
        if len >= self.options.segment_bytes_max { self.publish() } else { Ok(()) }
    }

    fn append(&mut self, mut blocks: Vec<Filled>) -> Result<(), BulkError> {
        let written = self.segment.as_mut().map_or(Ok(()), |output| output.append(&mut blocks));
        written.map_err(|source| self.write_error(source))?;
        self.lanes.recycle(blocks.into_iter().map(|filled| filled.records));
        Ok(())
    }

    fn train(&mut self) {
        self.trained = true;
        if self.full.len() < TRAINING_BLOCKS {
            return;
        }
        let samples: Vec<_> =
            self.full.iter().flat_map(|filled| filled.records.samples()).collect();
        self.dictionary = Dictionary::train(&samples, self.options.dictionary_bytes);
    }

    fn publish(&mut self) -> Result<(), BulkError> {
        let Some(output) = self.segment.take() else { return Ok(()) };
        let (draft, finished) = output.complete().map_err(|source| self.write_error(source))?;
        let lock = self.directory.lock()?;
        let published = draft.publish(&lock)?;
        if let Some(name) = published.path.file_name() {
            self.finished.insert(name.to_string_lossy().into_owned(), finished);
        }
        self.summary.segments.push(published);
        self.summary.bytes += finished.len;
        Ok(())
    }

    fn write_error(&self, source: io::Error) -> BulkError {
        BulkError::Write { path: self.directory.path().to_owned(), source }
    }
}

/// The segment being filled.
struct Output {
    draft: Draft,
    file: BufWriter<File>,
    encoding: Encoding,
    compressors: Mutex<Vec<Compressor>>,
    /// Where the next block goes.
    offset: u64,
    now: Timestamp,
    pings: Vec<Ping>,
    /// Up to where no block in the making reaches back.
    drained: u64,
    /// The earliest time of the blocks since the last ping, and that of all.
    earliest: Option<Timestamp>,
    first: Option<Timestamp>,
}

/// A ping whose watermark is filled in when all later blocks are known.
struct Ping {
    offset: u64,
    claims: Claims,
    /// The earliest time between this ping and the next one.
    earliest_behind: Option<Timestamp>,
}

impl Output {
    fn new(
        draft: Draft,
        options: &BulkOptions,
        dictionary: Option<Dictionary>,
    ) -> io::Result<Self> {
        let mut handle = draft.file().try_clone()?;
        let offset = handle.seek(SeekFrom::End(0))?;
        let encoding = Encoding {
            marker: draft.header().marker,
            // The one who pings; it has no records.
            origin: Origin { writer: new_writer_id(), worker: None },
            dictionary,
            compression: options.compression,
        };
        let mut output = Self {
            draft,
            file: BufWriter::with_capacity(1 << 20, handle),
            encoding,
            compressors: Mutex::default(),
            offset,
            now: Timestamp::MIN,
            pings: Vec::new(),
            drained: offset,
            earliest: None,
            first: None,
        };
        output.ping(true)?;
        Ok(output)
    }

    /// Whether it is time for a ping.
    fn shall_ping(&self) -> bool {
        self.behind_ping() > PING_BYTES
    }

    /// Whether it is time to write all blocks in the making before it.
    fn shall_drain(&self) -> bool {
        self.offset.saturating_sub(self.drained) > DRAIN_BYTES
    }

    /// The bytes since the last ping.
    fn behind_ping(&self) -> u64 {
        let last = self.pings.last().map_or(0, |ping| ping.offset);
        self.offset.saturating_sub(last)
    }

    /// Encodes blocks in parallel and appends them in order.
    fn append(&mut self, full: &mut [Filled]) -> io::Result<()> {
        let blocks: Vec<Vec<u8>> = full.par_iter_mut().map(|filled| self.encode(filled)).collect();
        for block in blocks {
            if let Ok(header) = BlockHeader::decode(&block, self.encoding.marker) {
                self.now = self.now.max(header.max);
                let earlier = |time: Timestamp| time.min(header.min);
                self.earliest = Some(self.earliest.map_or(header.min, earlier));
                self.first = Some(self.first.map_or(header.min, earlier));
            }
            self.write(&block)?;
            if self.behind_ping() > PING_BYTES_MAX {
                self.ping(false)?;
            }
        }
        Ok(())
    }

    fn encode(&self, filled: &mut Filled) -> Vec<u8> {
        let lock = || self.compressors.lock().unwrap_or_else(PoisonError::into_inner);
        let spare = lock().pop();
        let mut compressor = spare.unwrap_or_else(|| self.encoding.compressor());
        let mut block = Vec::with_capacity(filled.records.raw_len() / 2);
        let (marker, origin, sequence) = (self.encoding.marker, filled.origin, filled.sequence);
        let flags = if filled.is_sparse { BlockFlags::SPARSE } else { BlockFlags::NONE };
        let context = BlockContext { marker, origin, sequence, flags, lost: 0 };
        filled.records.finish(&context, &mut compressor, &mut block);
        lock().push(compressor);
        block
    }

    fn ping(&mut self, is_drained: bool) -> io::Result<()> {
        if let Some(last) = self.pings.last_mut() {
            last.earliest_behind = self.earliest.take();
        }
        let (covered, now) = (self.offset, self.now);
        let claims = Claims { covered, now, watermark: Timestamp::MIN, roster: Vec::new() };
        let block = encode_ping(&claims, self.encoding.origin, self.encoding.marker);
        let offset = self.offset;
        self.write(&block)?;
        if is_drained {
            self.drained = self.offset;
        }
        self.pings.push(Ping { offset, claims, earliest_behind: None });
        Ok(())
    }

    /// Repeats the dictionary at the end: without it all of the segment is lost where the first one is
    /// damaged.
    fn keep_dictionary(&mut self) -> io::Result<()> {
        let dictionary = self.encoding.dictionary.clone();
        let Some(dictionary) = dictionary.filter(|own| is_worth_a_copy(self.offset, own)) else {
            return Ok(());
        };
        let (created, marker) = (self.draft.header().created, self.encoding.marker);
        let mut block = Vec::new();
        encode_dictionary(&dictionary, created, marker, &mut block);
        self.write(&block)
    }

    fn write(&mut self, block: &[u8]) -> io::Result<()> {
        self.file.write_all(block)?;
        self.offset += block.len() as u64;
        Ok(())
    }

    /// States in each ping the earliest time behind it. Nobody has seen the file yet, so nothing
    /// that anyone relies on changes.
    fn complete(mut self) -> io::Result<(Draft, Finished)> {
        self.keep_dictionary()?;
        self.ping(true)?;
        self.file.flush()?;
        // Whoever appends to the segment later, appends nothing earlier than this.
        let mut watermark = self.now;
        for ping in self.pings.iter_mut().rev() {
            watermark = watermark.min(ping.earliest_behind.unwrap_or(watermark));
            ping.claims.watermark = watermark;
            let block = encode_ping(&ping.claims, self.encoding.origin, self.encoding.marker);
            self.draft.file().write_all_at(&block, ping.offset)?;
        }
        let finished = Finished {
            file: self.draft.header().file,
            inode: self.draft.file().metadata()?.ino(),
            len: self.offset,
            times: self.first.map(|first| (first, self.now)),
        };
        Ok((self.draft, finished))
    }
}

fn encode_ping(claims: &Claims, origin: Origin, marker: SyncMarker) -> Vec<u8> {
    let mut block = Vec::new();
    claims.encode_ping(origin, claims.now, 0, marker, &mut block);
    block
}
