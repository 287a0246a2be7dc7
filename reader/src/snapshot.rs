//! A store as it was at one moment.

use std::io::Read;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use logq_format::{Timestamp, TypeSet};

use crate::counts::Counts;
use crate::coverage::coverage;
use crate::cursor::position::{Position, Stores};
use crate::cursor::{CursorError, Cursors, Resume, end_of};
use crate::decoder::{Decoder, Depth, Findings};
use crate::error::{OpenError, ReadError};
use crate::ledger::Ledger;
use crate::listing;
use crate::plan::{Plan, Slice};
use crate::query::{Order, Query};
use crate::report::{Coverage, Gap, Report};
use crate::requests::{Finder, RequestRecord};
use crate::rows::{Blocks, Key, Rows};
use crate::run::{Sink, run};
use crate::scale::{ROWS_AT_ONCE, SCAN_PACE};
use crate::segment::Segment;
use crate::select::{Receiver, Selection};
use crate::source::{Given, Source};
use crate::stream::{Received, Selected, receive};
use crate::summary::{self, Summary};
use crate::tally::{self, Field, Grouping, Groups, Join, Joined, LateNumbers, Tally};
use crate::timeline::{Timeline, times};
use crate::visit::{self, Glimpse, VisitDepth, Visitor};
use crate::wanted::Wanted;
use crate::workspace::Workspaces;

/// One or more stores as they were when they were opened.
///
/// What is appended later is not seen. Reading takes no lock and disturbs no writer.
#[derive(Debug)]
pub struct Snapshot {
    segments: Vec<Segment>,
    /// How many stores were opened; some may be empty.
    stores: usize,
    coverage: OnceLock<Coverage>,
    /// What the stream was made of that all of it came from.
    selection: Option<Selected>,
    /// What is known to be damaged or missing and is in no segment.
    gaps: Vec<Gap>,
    /// What one question has set up serves the next one.
    workspaces: Workspaces,
}

impl Snapshot {
    /// Opens stores: directories of segments, or single segments.
    ///
    /// A directory without anything in it is an empty store. Little is read: segments are looked
    /// into when a query gets to them, as far as they were written when they were opened.
    ///
    /// # Errors
    ///
    /// Fails where a path does not exist, is no store, or cannot be read.
    pub fn open<P: AsRef<Path>>(paths: &[P]) -> Result<Self, OpenError> {
        let snapshot = Self::of_segments(listing::open(paths)?);
        Ok(Self { stores: paths.len(), ..snapshot })
    }

    /// A store whose segments are in memory, in their order.
    pub fn of_memory(segments: impl IntoIterator<Item = Arc<[u8]>>) -> Self {
        let segment = |(index, bytes): (usize, Arc<[u8]>)| {
            Segment::new(PathBuf::from(format!("segment {index}")), 0, Box::new(bytes))
        };
        Self::of_segments(segments.into_iter().enumerate().map(segment).collect())
    }

    /// A store whose segments are wherever their sources get them, in their order, each with the name
    /// by which reports call it.
    pub fn of_sources(
        segments: impl IntoIterator<Item = (impl Into<PathBuf>, Box<dyn Source>)>,
    ) -> Self {
        let segments = segments.into_iter();
        let segments = segments
            .map(|(name, source)| Segment::new(name.into() as PathBuf, 0, Box::new(Given(source))));
        Self::of_segments(segments.collect())
    }

    /// The stores that come through a pipe: a block stream that [`Self::blocks`] wrote, plain
    /// segments, or several of them one after the other.
    ///
    /// All of it is read at once and kept in a temporary file without a name; memory is bounded by
    /// one block. `name` is what reports call the pipe. Of a block stream only what was selected can
    /// be asked for, so every question is confined to that. A stream that ends early is told as a
    /// gap.
    ///
    /// # Errors
    ///
    /// Fails where the reader does, where the temporary file cannot be written, where what comes is
    /// something else, and where streams are joined that were selected by different levels, types or
    /// workers.
    pub fn of_stream(name: &str, reader: impl Read) -> Result<Self, OpenError> {
        let Received { segments, stores, selection, gaps } = receive(name, reader)?;
        Ok(Self { stores, selection, gaps, ..Self::of_segments(segments) })
    }

    pub(crate) fn of_segments(segments: Vec<Segment>) -> Self {
        let stores = segments.last().map_or(1, |segment| segment.store() + 1);
        let workspaces = Workspaces::default();
        let (coverage, selection, gaps) = (OnceLock::new(), None, Vec::new());
        Self { segments, stores, coverage, selection, gaps, workspaces }
    }

    pub(crate) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Whether there are no segments.
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// How far answers are final. Costs a look at the first and the last blocks, once.
    pub fn coverage(&self) -> &Coverage {
        self.coverage.get_or_init(|| {
            let found = coverage(&self.segments);
            let Some(selection) = &self.selection else { return found };
            let (from, until) = selection.covered().unzip();
            // Blocks reach beyond what was selected of them. Whoever made the stream knew how far its
            // writers had come.
            let last = found.last.map(|last| selection.at_most(last));
            Coverage { first: from.or(found.first), last, watermark: until, holding: vec![] }
        })
    }

    /// Finds the records of `query` and hands them out, in order, in slices.
    ///
    /// `map` turns a slice into whatever is wanted of it; it runs on several threads at once, and
    /// may be called twice for a slice that the limit cuts. `fold` gets the results in order, on
    /// the calling thread, and may end the scan. A slice never is empty.
    ///
    /// # Errors
    ///
    /// Fails where there is no memory for decompression. Damage is no error; see [`Report::gaps`].
    pub fn scan<T: Send>(
        &self,
        query: &Query<'_>,
        map: impl Fn(&Rows<'_>) -> T + Sync,
        fold: impl FnMut(T) -> ControlFlow<()>,
    ) -> Result<Report, ReadError> {
        self.selected(
            query,
            Depth::Record,
            |decoder, slice, selection, findings, sink| {
                decoder.select(slice, selection, findings, &mut Mapped { map: &map, sink })
            },
            fold,
        )
    }

    /// Finds which requests the records of `query` belong to, and hands these out, in order, in
    /// slices. Records without a request are left out, but count for the query's limit.
    ///
    /// Costs the decoding of spines, a third of what [`Self::scan`] costs, except where only a body
    /// tells whether a record is wanted. `fold` gets the results in order, on the calling thread, and
    /// may end the scan.
    ///
    /// # Errors
    ///
    /// As [`Self::scan`].
    pub fn requests(
        &self,
        query: &Query<'_>,
        fold: impl FnMut(Vec<RequestRecord>) -> ControlFlow<()>,
    ) -> Result<Report, ReadError> {
        self.selected(
            query,
            Depth::Spine,
            |decoder, slice, selection, findings, sink| {
                decoder.select(slice, selection, findings, &mut Finder::new(sink))
            },
            fold,
        )
    }

    /// Selects the records of `query`, known to this depth, slice by slice.
    fn selected<T: Send>(
        &self,
        query: &Query<'_>,
        depth: Depth,
        select: impl Fn(
            &Decoder<'_, '_>,
            &Slice,
            Selection<'_>,
            &mut Findings,
            Sink<'_, T>,
        ) -> Result<(), ReadError>
        + Sync,
        fold: impl FnMut(T) -> ControlFlow<()>,
    ) -> Result<Report, ReadError> {
        let query = &self.asked(query);
        let wanted = Wanted::new(query);
        let resume = Resume::of(&self.segments, self.stores, query)?;
        let decoder = self.decoder(query, &wanted, &resume);
        let mut ledger = self.ledger(query);
        resume.gaps.iter().for_each(|gap| ledger.gap(gap.clone()));
        let mut plan = Plan::new(&self.segments, query, &wanted, &resume, ledger);
        let work = |slice: &Slice, limit: usize, sink: Sink<'_, T>| {
            let mut findings = Findings::default();
            let chosen: Vec<_> = (0..slice.blocks.len()).collect();
            let selection = Selection { chosen: &chosen, depth, limit };
            select(&decoder, slice, selection, &mut findings, sink)?;
            Ok(findings)
        };
        run(&mut plan, SCAN_PACE, query.limit, work, fold)?;
        Ok(plan.into_ledger().finish(self.coverage().clone()))
    }

    /// Looks at the REQUEST, RESPONSE and RESPONSE_FINISHED records of `query` for what spines tell of
    /// them, and as `depth` says at the heads of requests, on all cores; other records, the query's
    /// order and its limit do not matter.
    ///
    /// Records are seen in slices of time, one after the other. `open` begins a slice, and `see` gets
    /// its records, block by block: those of one writer in their order, those of several writers in
    /// any. Both run on several threads at once. `fold` gets the slices in order, on the calling
    /// thread, each with the time before which everything has been seen with it, and may end the visit;
    /// [`Cursors::before`] that time is where a later one goes on. The texts that the filter does not
    /// need are not decoded, so this costs a fraction of a [`scan`](Self::scan).
    ///
    /// # Errors
    ///
    /// As [`Self::scan`].
    pub fn visit<T: Send>(
        &self,
        query: &Query<'_>,
        depth: VisitDepth,
        open: impl Fn() -> T + Sync,
        see: impl Fn(&mut T, &Glimpse<'_>) + Sync,
        fold: impl FnMut(T, Timestamp) -> ControlFlow<()>,
    ) -> Result<Report, ReadError> {
        let visitor = Visitor { open, see, depth };
        let mut query = Query { order: Order::Ascending, limit: None, ..query.clone() };
        let types = query.filter.types.bits() & visit::VISITED.bits();
        query.filter.types = TypeSet::from_bits(types);
        let visit = |plan: &mut Plan<'_, '_>, decoder: &Decoder<'_, '_>| {
            visit::visit(plan, decoder, &visitor, fold)
        };
        Ok(self.counted(&query, visit)?.1)
    }

    /// Makes the cursors of the answer to `query`: of its records, its beginning and its end.
    ///
    /// Costs a look at the first bytes of the newest segments.
    ///
    /// # Errors
    ///
    /// Fails where the query's own cursor does not fit; see [`CursorError`].
    pub fn cursors(&self, query: &Query<'_>) -> Result<Cursors, CursorError> {
        let query = self.asked(query);
        Resume::of(&self.segments, self.stores, &query)?;
        let stores = Stores::of(&self.segments, self.stores);
        let extents = stores.extents(&self.segments);
        let start = match query.after {
            Some(cursor) => cursor.position.clone(),
            None => Position::start(query.order, stores.unborn, extents.clone()),
        };
        let end = end_of(query.order, query.since, query.until);
        Ok(Cursors::new(start, stores.unborn, extents, end))
    }

    /// Counts the records of `query`; its order and limit do not matter.
    ///
    /// # Errors
    ///
    /// As [`Self::scan`].
    pub fn count(&self, query: &Query<'_>) -> Result<(u64, Report), ReadError> {
        let (counts, report) = self.counts(query, tally::By::Nothing)?;
        Ok((counts.records(), report))
    }

    /// Counts the records of `query` by the values of a field; its order and limit do not matter.
    ///
    /// # Errors
    ///
    /// As [`Self::scan`].
    pub fn tally(&self, query: &Query<'_>, by: Field) -> Result<(Tally, Report), ReadError> {
        let (counts, report) = self.counts(query, by.into())?;
        Ok((counts.into_tally(by), report))
    }

    /// Counts the records of `query` in groups; its order and limit do not matter.
    ///
    /// Costs a look at the headers where these tell the group of whole blocks, at the spines where
    /// these tell the values, and the decoding of those records that may have the fields elsewhere.
    ///
    /// Where no record that matches can have all the fields because some of them are in a REQUEST only,
    /// such as latencies by url, a record borrows them from the REQUEST of its request: the last
    /// one before it, up to ten minutes earlier, whether that is in the range and matches or not. A
    /// record whose REQUEST is nowhere counts without. That decodes all records of the types involved.
    ///
    /// Where RESPONSEs are counted but not their RESPONSE_FINISHED, such as bytes by status, one that
    /// does not have the number that is measured takes that of its RESPONSE_FINISHED: the next one
    /// of its request, up to ten minutes later, whether that is in the range and matches or not. The
    /// records are decoded only if there are such RESPONSEs.
    ///
    /// # Errors
    ///
    /// As [`Self::scan`].
    pub fn group(
        &self,
        query: &Query<'_>,
        grouping: &Grouping<'_>,
    ) -> Result<(Groups, Report), ReadError> {
        if grouping.is_by_status() {
            let (counts, report) = self.counts(query, tally::By::StatusCode)?;
            return Ok((counts.into_status_groups(grouping), report));
        }
        if let Some(joined) = Joined::of(query, grouping) {
            return self.group_joined(query, &joined);
        }
        let mut query = query.clone();
        let types = query.filter.types.bits() & grouping.types().bits();
        query.filter.types = TypeSet::from_bits(types);
        let (groups, report) =
            self.counted(&query, |plan, decoder| tally::group(plan, decoder, grouping))?;
        match Joined::late(&query, grouping).filter(|_| groups.numberless() > 0) {
            Some(joined) => {
                let (groups, mut both) = self.group_joined(&query, &joined)?;
                both.statistics.add_pass(&report.statistics);
                both.statistics.records = groups.records();
                Ok((groups, both))
            }
            None => Ok((groups, report)),
        }
    }

    /// Counts records in groups by what other records of their requests tell.
    fn group_joined(
        &self,
        query: &Query<'_>,
        joined: &Joined<'_>,
    ) -> Result<(Groups, Report), ReadError> {
        let asked = self.asked(query);
        let mut join = Join::new(joined);
        let reading = joined.reading(&asked);
        let fold = |events| {
            join.fold(events);
            ControlFlow::Continue(())
        };
        let mut report = if joined.is_in_spine(&asked) {
            self.selected(
                &reading,
                Depth::Spine,
                |decoder, slice, selection, findings, sink| {
                    let mut late = LateNumbers::new(joined, &asked, slice, sink);
                    decoder.select(slice, selection, findings, &mut late)
                },
                fold,
            )?
        } else {
            self.scan(&reading, |rows: &Rows<'_>| joined.events(rows, &asked), fold)?
        };
        let groups = join.finish();
        report.statistics.records = groups.records();
        Ok((groups, report))
    }

    /// What the store holds.
    ///
    /// # Errors
    ///
    /// As [`Self::scan`].
    pub fn summary(&self) -> Result<Summary, ReadError> {
        let query = Query::default();
        let wanted = Wanted::new(&query);
        let resume = Resume::all(self.segments.len(), query.order);
        let decoder = self.decoder(&query, &wanted, &resume);
        let ledger = self.ledger(&query).with_survey();
        let mut plan = Plan::new(&self.segments, &query, &wanted, &resume, ledger);
        let counts = tally::count(&mut plan, &decoder, tally::By::Kind)?;
        Ok(summary::summary(&self.segments, plan.into_ledger(), counts, self.coverage().clone()))
    }

    fn counts(&self, query: &Query<'_>, by: tally::By) -> Result<(Counts, Report), ReadError> {
        self.counted(query, |plan, decoder| tally::count(plan, decoder, by))
    }

    fn counted<T>(
        &self,
        query: &Query<'_>,
        count: impl FnOnce(&mut Plan<'_, '_>, &Decoder<'_, '_>) -> Result<T, ReadError>,
    ) -> Result<(T, Report), ReadError> {
        let query = &self.asked(query);
        let wanted = Wanted::new(query);
        let resume = Resume::of(&self.segments, self.stores, query)?;
        let decoder = self.decoder(query, &wanted, &resume);
        let mut ledger = self.ledger(query);
        resume.gaps.iter().for_each(|gap| ledger.gap(gap.clone()));
        let mut plan = Plan::new(&self.segments, query, &wanted, &resume, ledger);
        let counts = count(&mut plan, &decoder)?;
        Ok((counts, plan.into_ledger().finish(self.coverage().clone())))
    }

    /// A question as it is put to the segments: confined to what its expression allows and to what
    /// the stream was made of.
    pub(crate) fn asked<'q>(&self, query: &Query<'q>) -> Query<'q> {
        let query = query.narrowed();
        match &self.selection {
            Some(selection) => selection.confine(query),
            None => query,
        }
    }

    /// Collects the report of an answer.
    pub(crate) fn ledger(&self, query: &Query<'_>) -> Ledger<'_> {
        let times = times(query);
        let mut ledger = Ledger::new(&self.segments, times);
        let concerns = |gap: &&Gap| {
            let meets =
                |(from, to): (Timestamp, Timestamp)| times.meets(from.as_micros(), to.as_micros());
            gap.span.is_none_or(meets)
        };
        self.gaps.iter().filter(concerns).for_each(|gap| ledger.gap(gap.clone()));
        ledger
    }

    fn decoder<'s, 'q>(
        &'s self,
        query: &Query<'q>,
        wanted: &'s Wanted<'q>,
        resume: &'s Resume,
    ) -> Decoder<'s, 'q> {
        let timeline = Timeline::new(query.order);
        let bounds = &resume.bounds;
        let (segments, workspaces) = (&self.segments, &self.workspaces);
        Decoder { segments, workspaces, wanted, timeline, bounds, ceiling: resume.ceiling }
    }
}

/// Applies the caller's `map` to the rows of a slice.
struct Mapped<'m, 'k, T, F> {
    map: &'m F,
    sink: Sink<'k, T>,
}

impl<T, F: Fn(&Rows<'_>) -> T> Receiver for Mapped<'_, '_, T, F> {
    fn rows<'d>(&mut self, keys: &'d [Key], blocks: &'d Blocks<'d>) -> ControlFlow<()> {
        // What is made of few is written while more is made, into memory that is there already.
        keys.chunks(ROWS_AT_ONCE).try_for_each(|keys| {
            let rows = Rows::new(keys, blocks);
            (self.sink)((self.map)(&rows), rows.len())
        })
    }
}
