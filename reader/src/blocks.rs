//! Blocks as they are stored, out of the segments and into a stream: nothing is decoded, nothing
//! encoded again. `FORMAT.md`, "Block streams", is the specification.

use std::io::{self, Write};
use std::ops::Range;

use logq_format::{
    BLOCK_HEADER_LEN, BlockHeader, BlockKind, FILE_HEADER_LEN, StoredBlock, StreamEnd, StreamMark,
    StreamSelection, Timestamp, encode_dictionary,
};

use crate::hop::Hopped;
use crate::ledger::Ledger;
use crate::query::{Filter, Order, Query};
use crate::report::{Cause, Gap, Report, Statistics};
use crate::segment::{Head, Segment};
use crate::snapshot::Snapshot;
use crate::strand::Strand;
use crate::timeline::{Span, Timeline, times};
use crate::wanted::Wanted;
use crate::workspace::find_dictionary;

/// How many bytes of blocks that follow each other are copied at once.
const COPY_BYTES: u64 = 1 << 20;

/// The most JOINs kept until a block behind them is wanted. Who joins once more than that has to do
/// without.
const JOINS_MAX: usize = 1024;

impl Snapshot {
    /// Writes the stored blocks that may hold records of `query` as a block stream, which
    /// [`Self::of_stream`] reads: the segments in their order, or with descending order the newest
    /// one first.
    ///
    /// Blocks are chosen by what their headers tell: time, levels, types, workers. The limit, the
    /// cursor and the other parts of the filter do not matter. `final_until` is the time before which
    /// no record can be appended any more, where more is known of that than [`Self::coverage`]
    /// tells.
    ///
    /// Memory is bounded by one block. Costs reading the chosen blocks and the headers of the range.
    ///
    /// # Errors
    ///
    /// Fails where `out` does. Damage is no error; it is told in the report, and by the stream to its
    /// reader.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use logq_testkit::{segment::{SegmentOptions, encode}, traffic::TrafficOptions};
    /// # let traffic = TrafficOptions { records: 2_000, ..TrafficOptions::default() };
    /// # let segment = encode(&SegmentOptions { traffic, ..SegmentOptions::default() })?.bytes;
    /// use logq_reader::{Query, Snapshot};
    ///
    /// let here = Snapshot::of_memory([Arc::from(segment)]);
    /// let mut pipe = Vec::new();
    /// here.blocks(&Query::default(), None, &mut pipe)?;
    /// let there = Snapshot::of_stream("the pipe", pipe.as_slice())?;
    /// assert_eq!(there.count(&Query::default())?.0, 2_000);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn blocks(
        &self,
        query: &Query<'_>,
        final_until: Option<Timestamp>,
        out: &mut dyn Write,
    ) -> io::Result<(StreamEnd, Report)> {
        let query = &self.asked(query);
        let filter = Filter {
            requests: None,
            expression: None,
            body: None,
            predicate: None,
            ..query.filter.clone()
        };
        let order = Order::Ascending;
        let chosen = Query { filter, order, after: None, limit: None, ..query.clone() };
        let wanted = Wanted::new(&chosen);
        let mut sender = Sender {
            out,
            segments: self.segments(),
            wanted: &wanted,
            times: times(&chosen),
            end: StreamEnd::default(),
            ledger: self.ledger(&chosen),
            statistics: Statistics::default(),
        };
        let is_reverse = query.order == Order::Descending;
        let covered = self.covered_by(&chosen, final_until);
        sender.begin(selection(&chosen, covered, is_reverse))?;
        let mut segments: Vec<_> = self.segments().iter().enumerate().collect();
        if is_reverse {
            segments.reverse();
        }
        for (index, segment) in segments {
            sender.segment(index, segment, &chosen)?;
        }
        sender.finish(self)
    }

    /// The interval of a query's times in which there is all there will ever be.
    fn covered_by(
        &self,
        query: &Query<'_>,
        final_until: Option<Timestamp>,
    ) -> Option<(Timestamp, Timestamp)> {
        let coverage = self.coverage();
        let last = coverage.last.map(|last| last.saturating_add_micros(1));
        let mark = final_until.or(coverage.watermark)?;
        let end = if mark == Timestamp::MAX { last? } else { mark };
        let from = query.since.max(coverage.first)?;
        let until = query.until.map_or(end, |until| until.min(end));
        (from < until).then_some((from, until))
    }
}

fn selection(
    query: &Query<'_>,
    covered: Option<(Timestamp, Timestamp)>,
    is_reverse: bool,
) -> StreamSelection {
    StreamSelection {
        since: query.since,
        until: query.until,
        covered,
        levels: query.filter.levels,
        types: query.filter.types,
        workers: query.filter.workers.clone(),
        is_reverse,
    }
}

/// A stream being written.
struct Sender<'a, 's> {
    out: &'a mut dyn Write,
    segments: &'s [Segment],
    wanted: &'a Wanted<'a>,
    times: Span,
    /// What has been written so far.
    end: StreamEnd,
    ledger: Ledger<'s>,
    statistics: Statistics,
}

/// The image of a segment being written.
struct Image<'s> {
    /// Its place among the segments.
    index: u32,
    segment: &'s Segment,
    head: &'s Head,
    is_begun: bool,
    /// JOINs, to be written if anything behind them is.
    joins: Vec<Hopped>,
}

impl<'s> Sender<'_, 's> {
    fn begin(&mut self, selection: StreamSelection) -> io::Result<()> {
        self.write(&StreamMark::Begin(selection).encode())
    }

    fn segment(&mut self, index: usize, segment: &'s Segment, query: &Query<'_>) -> io::Result<()> {
        let timeline = Timeline::new(Order::Ascending);
        let mut strand = Strand::new(segment, timeline, query.since, query.until);
        if self.times.is_empty() {
            return Ok(());
        }
        let mut image = None;
        while strand.bound().is_some() {
            let mut advance = strand.advance();
            if let Some(cause) = advance.unreadable {
                self.ledger.unreadable(index, cause);
                break;
            }
            self.ledger.note_part(index, &advance);
            self.ledger.batch(index, &mut advance.batch);
            let Ok(head) = segment.head() else { break };
            let (is_begun, joins) = (false, Vec::new());
            let place = u32::try_from(index).unwrap_or(u32::MAX);
            let begun = Image { index: place, segment, head, is_begun, joins };
            let image = image.get_or_insert(begun);
            self.copy_some(image, &advance.batch.blocks)?;
        }
        Ok(())
    }

    /// Copies the chosen ones of some blocks, those side by side at once.
    fn copy_some(&mut self, image: &mut Image<'s>, blocks: &[Hopped]) -> io::Result<()> {
        let mut run: Vec<&Hopped> = Vec::new();
        for block in blocks {
            match block.header.kind {
                BlockKind::Join => {
                    if image.is_begun || !run.is_empty() {
                        self.extend(image, &mut run, block)?;
                    } else if image.joins.len() < JOINS_MAX {
                        image.joins.push(block.clone());
                    }
                }
                _ if self.is_chosen(&block.header) => self.extend(image, &mut run, block)?,
                _ => {}
            }
        }
        self.copy(image, &run)
    }

    fn extend<'b>(
        &mut self,
        image: &mut Image<'s>,
        run: &mut Vec<&'b Hopped>,
        block: &'b Hopped,
    ) -> io::Result<()> {
        let goes_on = run.last().is_none_or(|last| last.end() == block.offset);
        let start = run.first().map_or(block.offset, |first| first.offset);
        if !goes_on || block.end().saturating_sub(start) > COPY_BYTES {
            self.copy(image, run)?;
            run.clear();
        }
        run.push(block);
        Ok(())
    }

    fn is_chosen(&mut self, header: &BlockHeader) -> bool {
        let (min, max) = (header.min.as_micros(), header.max.as_micros());
        match header.kind {
            BlockKind::Data => {
                header.records > 0 && self.wanted.admits(header, &mut self.statistics)
            }
            // Nobody knows what it holds, unless it is a newer version.
            BlockKind::Other(_) => self.times.meets(min, max),
            // Pings name offsets of the segment, which are others in its image.
            _ => false,
        }
    }

    /// Copies blocks that follow each other.
    fn copy(&mut self, image: &mut Image<'s>, run: &[&Hopped]) -> io::Result<()> {
        let (Some(first), Some(last)) = (run.first(), run.last()) else { return Ok(()) };
        if !image.is_begun {
            self.begin_image(image)?;
        }
        let range = first.offset..last.end();
        let bytes = match image.segment.source().read(range.clone(), Vec::new()) {
            Ok(bytes) => bytes,
            Err(cause) => {
                self.gap(image, range, cause);
                return Ok(());
            }
        };
        self.statistics.bytes_read += bytes.len() as u64;
        // A file that was truncated meanwhile ends in the middle of a block.
        let there = first.offset.saturating_add(bytes.len() as u64);
        let whole: Vec<_> = run.iter().take_while(|block| block.end() <= there).collect();
        let end = whole.last().map_or(first.offset, |block| block.end());
        let len = usize::try_from(end - first.offset).unwrap_or(usize::MAX);
        self.write(bytes.get(..len).unwrap_or(&bytes))?;
        self.end.blocks += whole.len() as u64;
        if end < range.end {
            self.gap(image, end..range.end, Cause::Truncated);
        }
        Ok(())
    }

    /// Writes what a segment starts with, as it is stored, and the JOINs before the first block.
    fn begin_image(&mut self, image: &mut Image<'s>) -> io::Result<()> {
        image.is_begun = true;
        self.end.images += 1;
        let segment = image.segment.number().unwrap_or(0);
        let store = u32::try_from(image.segment.store()).unwrap_or(u32::MAX);
        self.write(&StreamMark::Image { segment, store }.encode())?;
        let start = FILE_HEADER_LEN as u64;
        self.copy_range(image, 0..start)?;
        if let Some(dictionary) = self.replacement(image) {
            self.write(&dictionary)?;
            self.end.blocks += 1;
        } else if let Some(end) = dictionary_end(image) {
            self.copy_range(image, start..end)?;
            self.end.blocks += 1;
        }
        for join in std::mem::take(&mut image.joins) {
            self.copy(image, &[&join])?;
        }
        Ok(())
    }

    /// The DICTIONARY block that the image gets instead of a damaged one, if there is a copy: who
    /// receives it has no other segment to look for one.
    fn replacement(&self, image: &Image<'s>) -> Option<Vec<u8>> {
        let header =
            image.head.header.as_ref().ok().filter(|header| header.dictionary.is_some())?;
        if is_dictionary_intact(image) {
            return None;
        }
        let dictionary = find_dictionary(self.segments, image.index)?;
        let mut block = Vec::new();
        encode_dictionary(&dictionary, header.created, header.marker, &mut block);
        Some(block)
    }

    fn copy_range(&mut self, image: &Image<'s>, range: Range<u64>) -> io::Result<()> {
        match image.segment.source().read(range.clone(), Vec::new()) {
            Ok(bytes) => self.write(&bytes),
            Err(cause) => {
                self.gap(image, range, cause);
                Ok(())
            }
        }
    }

    fn gap(&mut self, image: &Image<'s>, range: Range<u64>, cause: Cause) {
        let path = image.segment.path().to_owned();
        let gap = Gap { path, range, cause, origin: None, sequences: None, span: None };
        self.ledger.gap(gap);
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.end.bytes += bytes.len() as u64;
        Ok(())
    }

    fn finish(mut self, snapshot: &Snapshot) -> io::Result<(StreamEnd, Report)> {
        self.ledger.statistics.add(&self.statistics);
        let report = self.ledger.finish(snapshot.coverage().clone());
        let mut end = self.end;
        end.gaps = (report.gaps.len() as u64).saturating_add(report.gaps_omitted);
        end.missing = report.missing_records();
        self.out.write_all(&StreamMark::End(end).encode())?;
        self.out.flush()?;
        Ok((end, report))
    }
}

fn is_dictionary_intact(image: &Image<'_>) -> bool {
    let Some(end) = dictionary_end(image) else { return false };
    let range = FILE_HEADER_LEN as u64..end;
    image.segment.source().read(range, Vec::new()).is_ok_and(|bytes| {
        let header = BlockHeader::decode(&bytes, image.head.marker);
        let block = header.and_then(|header| StoredBlock::new(header, &bytes));
        block.is_ok_and(|block| block.check_body().is_ok())
    })
}

/// Where the dictionary ends that a segment begins with, if it does.
fn dictionary_end(image: &Image<'_>) -> Option<u64> {
    if matches!(&image.head.header, Ok(header) if header.dictionary.is_none()) {
        return None;
    }
    let start = FILE_HEADER_LEN as u64;
    let end = start.saturating_add(BLOCK_HEADER_LEN as u64);
    let bytes = image.segment.source().read(start..end, Vec::new()).ok()?;
    let header = BlockHeader::decode(&bytes, image.head.marker).ok()?;
    let end = start.saturating_add(header.block_len() as u64);
    (header.kind == BlockKind::Dictionary && end <= image.segment.len()).then_some(end)
}
