//! Segments that come through a pipe: block streams, plain segments, any number of them in a row.
//!
//! Where one segment ends and the next one begins is not told by a length. A file header or a mark
//! counts where a block could start: behind a block whose checksums are right, or, if there is
//! damage, anywhere behind it. So what a log holds is never taken for a segment, unless it was made
//! for that and is damaged right before.
//!
//! Everything is spooled as it is, damage included: what is damaged is found by whoever reads.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use logq_format::{
    BlockHeader, DecodeError, FILE_HEADER_LEN, FileHeader, GapCause, Id, MAGIC, STREAM_MAGIC,
    STREAM_MARK_LEN, StoredBlock, StreamEnd, StreamMark, StreamSelection, SyncMarker, Timestamp,
    recover_marker,
};

use crate::error::OpenError;
use crate::listing::describe;
use crate::query::Query;
use crate::report::{Cause, Gap};
use crate::segment::Segment;

mod spool;
mod window;

use spool::{Part, Spool};
use window::Window;

/// How far into a segment with a damaged header a block is looked for, to learn the marker from.
const RECOVERY_BYTES: usize = 1 << 20;

/// How many bytes may be checked in vain beyond [`VAIN_RATIO`] times those that have passed, so that
/// a hostile stream of headers that all claim megabytes takes no longer than its length warrants.
const VAIN_BYTES: u64 = 64 << 20;
const VAIN_RATIO: u64 = 4;

/// What came through a pipe.
#[derive(Debug)]
pub(crate) struct Received {
    /// In the order of stores and numbers.
    pub(crate) segments: Vec<Segment>,
    pub(crate) stores: usize,
    pub(crate) selection: Option<Selected>,
    /// What does not concern one segment.
    pub(crate) gaps: Vec<Gap>,
}

/// What block streams were made of; together they have everything of it.
#[derive(Clone, Debug)]
pub(crate) struct Selected {
    selection: StreamSelection,
}

impl Selected {
    /// A question confined to what was selected, since of the rest only a part is there.
    pub(crate) fn confine<'q>(&self, query: Query<'q>) -> Query<'q> {
        let StreamSelection { since, until, levels, types, workers, .. } = &self.selection;
        let mut query = query;
        query.since = query.since.max(*since);
        query.until = query.until.into_iter().chain(*until).min();
        let filter = &mut query.filter;
        filter.levels = logq_format::LevelSet::from_bits(filter.levels.bits() & levels.bits());
        filter.types = logq_format::TypeSet::from_bits(filter.types.bits() & types.bits());
        filter.workers = match (filter.workers.take(), workers) {
            (Some(mut asked), Some(selected)) => {
                asked.retain(|worker| selected.contains(worker));
                Some(asked)
            }
            (asked, selected) => asked.or_else(|| selected.clone()),
        };
        query
    }

    /// `time`, or the last one that was selected if that is earlier.
    pub(crate) fn at_most(&self, time: Timestamp) -> Timestamp {
        let end = self.selection.until.map(|until| until.saturating_add_micros(-1));
        end.map_or(time, |end| time.min(end))
    }

    /// The interval in which the streams have all there will ever be, its end excluded.
    pub(crate) fn covered(&self) -> Option<(Timestamp, Timestamp)> {
        self.selection.covered
    }
}

/// Reads everything and keeps it in a temporary file.
pub(crate) fn receive(name: &str, reader: impl Read) -> Result<Received, OpenError> {
    let spool = Spool::new().map_err(|source| spool_error(name, source))?;
    let receiver = Receiver {
        name,
        window: Window::new(reader),
        spool,
        images: Vec::new(),
        at: At::Nowhere,
        marker: None,
        open: None,
        selections: Vec::new(),
        gaps: Vec::new(),
        in_vain: 0,
    };
    receiver.run()
}

fn spool_error(name: &str, source: io::Error) -> OpenError {
    OpenError::Spool { name: name.to_owned(), directory: std::env::temp_dir(), source }
}

/// One segment in the spool.
struct Image {
    range: Range<u64>,
    /// The store, if its header tells.
    store: Option<Id>,
    number: u64,
    is_selection: bool,
}

/// Where a receiver is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// In no segment: at the start, or behind the end of a stream.
    Nowhere,
    /// Behind the mark of a segment of this number.
    Mark(u64),
    /// In a segment, where a block could start.
    Block,
    /// In a segment, behind damage: what starts here is to be looked for.
    Damage,
}

/// A block stream that has begun and not ended.
struct Open {
    start: u64,
    images: u64,
}

struct Receiver<'n, R> {
    name: &'n str,
    window: Window<R>,
    spool: Spool,
    images: Vec<Image>,
    at: At,
    /// The marker of the segment that is being received, if known.
    marker: Option<SyncMarker>,
    open: Option<Open>,
    selections: Vec<StreamSelection>,
    gaps: Vec<Gap>,
    /// The bytes checked in vain.
    in_vain: u64,
}

impl<R: Read> Receiver<'_, R> {
    fn run(mut self) -> Result<Received, OpenError> {
        while !self.need(FILE_HEADER_LEN.max(STREAM_MARK_LEN))?.is_empty() {
            self.step()?;
        }
        self.end_image();
        if self.images.is_empty() && self.selections.is_empty() {
            return Err(self.not_a_store("an empty file"));
        }
        self.cut_short();
        self.finish()
    }

    /// At least so many bytes, unless there are fewer left.
    fn need(&mut self, len: usize) -> Result<&[u8], OpenError> {
        let path = self.name;
        let unreadable = |source| OpenError::Unreadable { path: PathBuf::from(path), source };
        self.window.at_least(len).map_err(unreadable)
    }

    fn step(&mut self) -> Result<(), OpenError> {
        let bytes = self.window.bytes();
        if bytes.starts_with(&STREAM_MAGIC) {
            match StreamMark::decode(bytes) {
                Ok(mark) => {
                    self.window.take(STREAM_MARK_LEN);
                    return self.mark(mark);
                }
                Err(DecodeError::Newer { .. }) => {
                    return Err(self.not_a_store("a block stream of a newer version"));
                }
                Err(_) => {}
            }
        }
        match self.at {
            At::Mark(number) => self.begin_image(number),
            _ if is_file_header(bytes) => self.begin_image(0),
            At::Nowhere => self.begin_somewhere(),
            At::Block => self.block(),
            At::Damage => self.search(),
        }
    }

    /// A segment whose file header is damaged, or something that is none.
    fn begin_somewhere(&mut self) -> Result<(), OpenError> {
        self.need(RECOVERY_BYTES)?;
        let bytes = self.window.bytes();
        if recover_marker(bytes).is_some() {
            return self.begin_image(0);
        }
        if self.images.is_empty() && self.selections.is_empty() {
            let start = bytes.get(..64).unwrap_or(bytes);
            return Err(self.not_a_store(describe(start)));
        }
        // Behind the end of a stream: what it is nobody knows.
        let start = self.window.offset();
        loop {
            self.window.take(1);
            let rest = self.need(FILE_HEADER_LEN)?;
            if rest.is_empty() || is_file_header(rest) || StreamMark::decode(rest).is_ok() {
                break;
            }
        }
        // What cuts a stream short is told as that.
        if self.open.is_none() || !self.window.bytes().is_empty() {
            let cause = GapCause::Header(DecodeError::Marker { what: "segment" });
            self.gap(start..self.window.offset(), cause.into());
        }
        Ok(())
    }

    fn mark(&mut self, mark: StreamMark) -> Result<(), OpenError> {
        self.end_image();
        match mark {
            StreamMark::Begin(selection) => {
                self.cut_short();
                let start = self.window.offset().saturating_sub(STREAM_MARK_LEN as u64);
                self.open = Some(Open { start, images: 0 });
                self.add(selection)?;
            }
            StreamMark::Image { segment, .. } => {
                if let Some(open) = &mut self.open {
                    open.images += 1;
                }
                self.at = At::Mark(segment);
            }
            StreamMark::End(end) => self.end_stream(&end),
        }
        Ok(())
    }

    fn end_stream(&mut self, end: &StreamEnd) {
        let place = self.window.offset();
        match self.open.take() {
            Some(Open { start, images }) => {
                let bytes = place.saturating_sub(STREAM_MARK_LEN as u64).saturating_sub(start);
                if (bytes, images) != (end.bytes, end.images) {
                    self.gap(start..place, Cause::CutShort);
                }
            }
            None => self.gap(0..place, Cause::CutShort),
        }
        if end.gaps > 0 || end.missing > 0 {
            let cause = Cause::Sender { gaps: end.gaps, records: end.missing };
            self.gap(place..place, cause);
        }
    }

    /// Tells of a stream that has not ended where it must.
    fn cut_short(&mut self) {
        if self.open.take().is_some() {
            let place = self.window.offset();
            self.gap(place..place, Cause::CutShort);
        }
    }

    /// Adds a selection to those before: they must not differ but in time.
    fn add(&mut self, selection: StreamSelection) -> Result<(), OpenError> {
        let what = |s: &StreamSelection| (s.levels, s.types, s.workers.clone());
        if self.selections.iter().any(|other| what(other) != what(&selection)) {
            return Err(OpenError::MixedStreams { name: self.name.to_owned() });
        }
        self.selections.push(selection);
        Ok(())
    }

    fn begin_image(&mut self, number: u64) -> Result<(), OpenError> {
        self.end_image();
        self.need(FILE_HEADER_LEN)?;
        let header = FileHeader::decode(self.window.bytes());
        self.marker = match &header {
            Ok(header) => Some(header.marker),
            Err(_) => recover_marker(self.need(RECOVERY_BYTES)?),
        };
        let header = header.ok();
        self.images.push(Image {
            range: self.spool.len()..u64::MAX,
            store: header.as_ref().map(|header| header.directory),
            number: header.as_ref().map_or(number, |header| header.segment),
            is_selection: self.open.is_some(),
        });
        // Of one whose header is missing altogether, blocks may start at once.
        let is_missing = header.is_none() && !self.window.bytes().starts_with(&MAGIC);
        self.at = if is_missing { At::Damage } else { At::Block };
        self.keep(if is_missing { 1 } else { FILE_HEADER_LEN })
    }

    fn end_image(&mut self) {
        let end = self.spool.len();
        if let Some(image) = self.images.last_mut()
            && image.range.end == u64::MAX
        {
            image.range.end = end;
        }
        (self.at, self.marker) = (At::Nowhere, None);
    }

    /// Keeps a block, if there is one that is proven.
    fn block(&mut self) -> Result<(), OpenError> {
        let header = self.marker.map(|marker| BlockHeader::decode(self.window.bytes(), marker));
        let Some(Ok(header)) = header else { return self.search() };
        let len = header.block_len();
        let may_check = self.in_vain <= VAIN_BYTES + VAIN_RATIO * self.window.offset();
        if !may_check || !is_right(header, self.need(len)?) {
            self.in_vain += if may_check { len as u64 } else { 0 };
            return self.search();
        }
        self.at = At::Block;
        self.keep(len)
    }

    /// Keeps everything up to where a block, a segment or a mark may start.
    fn search(&mut self) -> Result<(), OpenError> {
        let first = self.marker.map(|marker| marker.as_bytes()[0]);
        let bytes = self.window.bytes();
        let may_start = |byte: &u8| *byte == MAGIC[0] || Some(*byte) == first;
        let next = bytes.iter().skip(1).position(may_start).map_or(bytes.len(), |place| place + 1);
        self.keep(next)?;
        let marker = self.marker;
        let rest = self.need(FILE_HEADER_LEN)?;
        let is_block = marker.is_some_and(|marker| BlockHeader::decode(rest, marker).is_ok());
        self.at = if is_block { At::Block } else { At::Damage };
        Ok(())
    }

    fn keep(&mut self, len: usize) -> Result<(), OpenError> {
        let bytes = self.window.bytes();
        let bytes = bytes.get(..len).unwrap_or(bytes);
        self.spool.append(bytes).map_err(|source| spool_error(self.name, source))?;
        self.window.take(len);
        Ok(())
    }

    fn gap(&mut self, range: Range<u64>, cause: Cause) {
        let path = PathBuf::from(self.name);
        self.gaps.push(Gap { path, range, cause, origin: None, sequences: None, span: None });
    }

    fn not_a_store(&self, holds: &str) -> OpenError {
        OpenError::NotAStore { path: PathBuf::from(self.name), holds: holds.to_owned() }
    }

    fn finish(mut self) -> Result<Received, OpenError> {
        let selection = self.united();
        let Self { name, spool, images, gaps, .. } = self;
        let file = spool.finish().map_err(|source| spool_error(name, source))?;
        let (segments, stores) = segments(name, &file, images);
        Ok(Received { segments, stores, selection, gaps })
    }

    /// What all streams together were made of; times between them that nobody selected are told.
    fn united(&mut self) -> Option<Selected> {
        let mut selections = std::mem::take(&mut self.selections);
        // Beside plain segments, which have everything, there is nothing to confine.
        if selections.is_empty() || self.images.iter().any(|image| !image.is_selection) {
            return None;
        }
        selections.sort_by_key(|selection| selection.since);
        let mut selections = selections.into_iter();
        let mut united = selections.next()?;
        for next in selections {
            if let (Some(until), Some(since)) = (united.until, next.since)
                && until < since
            {
                let (path, place) = (PathBuf::from(self.name), self.window.offset());
                let span = Some((until, since.saturating_add_micros(-1)));
                let (range, cause) = (place..place, Cause::NotSelected);
                self.gaps.push(Gap { path, range, cause, origin: None, sequences: None, span });
            }
            united.until = united.until.zip(next.until).map(|(a, b)| a.max(b));
            let both = united.covered.zip(next.covered);
            united.covered = both.map(|(a, b)| (a.0.min(b.0), a.1.max(b.1)));
        }
        Some(Selected { selection: united })
    }
}

fn is_file_header(bytes: &[u8]) -> bool {
    let decoded = bytes.starts_with(&MAGIC).then(|| FileHeader::decode(bytes));
    matches!(decoded, Some(Ok(_) | Err(DecodeError::Newer { .. })))
}

/// Whether all of a block is there, with checksums that are right.
fn is_right(header: BlockHeader, bytes: &[u8]) -> bool {
    StoredBlock::new(header, bytes)
        .and_then(|block| block.check_front().and_then(|()| block.check_body()))
        .is_ok()
}

/// The segments, in the order of stores and numbers, and how many stores there are.
fn segments(name: &str, file: &Arc<File>, images: Vec<Image>) -> (Vec<Segment>, usize) {
    let mut stores: Vec<Id> = Vec::new();
    let mut segments = Vec::new();
    for (index, image) in images.into_iter().enumerate() {
        let known = image.store.map(|id| {
            stores.iter().position(|other| *other == id).unwrap_or_else(|| {
                stores.push(id);
                stores.len() - 1
            })
        });
        // One whose header is damaged most likely belongs to the one before.
        let store = known.unwrap_or(stores.len().saturating_sub(1));
        let path = format!("{name}, segment {} at place {}", image.number, index + 1);
        let part = Part { file: Arc::clone(file), range: image.range };
        let segment = Segment::new(PathBuf::from(path), store, Box::new(part));
        let segment = if image.is_selection { segment.selected() } else { segment };
        segments.push((store, image.number, segment));
    }
    segments.sort_by_key(|(store, number, _)| (*store, *number));
    let segments = segments.into_iter().map(|(_, _, segment)| segment).collect();
    (segments, stores.len().max(1))
}
