//! Time in the direction of the query, so that everything downstream only ever goes forward.
//!
//! A place on the timeline is the time in microseconds, negated for descending order.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use logq_format::{BlockHeader, LevelSet, Timestamp, TypeSet, WorkerId};

use crate::hop::Hopped;
use crate::query::{Order, Query};
use crate::report::Statistics;

/// The direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timeline {
    order: Order,
}

/// Places from `from` on, before `until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) from: i64,
    pub(crate) until: i64,
}

impl Span {
    pub(crate) fn is_empty(self) -> bool {
        self.from >= self.until
    }

    /// Whether all of `low..=high` lies within.
    pub(crate) fn contains(self, low: i64, high: i64) -> bool {
        self.from <= low && high < self.until
    }

    /// Whether a part of `low..=high` lies within.
    pub(crate) fn meets(self, low: i64, high: i64) -> bool {
        self.from <= high && low < self.until
    }
}

impl Timeline {
    pub(crate) fn new(order: Order) -> Self {
        Self { order }
    }

    pub(crate) fn is_descending(self) -> bool {
        self.order == Order::Descending
    }

    /// The place of a time.
    pub(crate) fn place(self, time: Timestamp) -> i64 {
        if self.is_descending() { -time.as_micros() } else { time.as_micros() }
    }

    /// The first and the last place of a block.
    pub(crate) fn places(self, header: &BlockHeader) -> (i64, i64) {
        if self.is_descending() {
            (self.place(header.max), self.place(header.min))
        } else {
            (self.place(header.min), self.place(header.max))
        }
    }

    /// The places that a query asks for.
    pub(crate) fn span(self, query: &Query<'_>) -> Span {
        let span = times(query);
        if self.is_descending() { self.mirror(span) } else { span }
    }

    /// The times, in microseconds, of places.
    pub(crate) fn times(self, span: Span) -> Span {
        if self.is_descending() { self.mirror(span) } else { span }
    }

    /// From times to negated times and back.
    fn mirror(self, span: Span) -> Span {
        let from = span.until.saturating_sub(1).saturating_neg();
        Span { from, until: span.from.saturating_sub(1).saturating_neg() }
    }
}

/// The times a query asks for, in microseconds.
pub(crate) fn times(query: &Query<'_>) -> Span {
    let from = query.since.unwrap_or(Timestamp::MIN).as_micros();
    let until = query.until.map_or(Timestamp::MAX.as_micros() + 1, Timestamp::as_micros);
    Span { from, until }
}

/// A block of records that a query may want something of: what is kept of its header.
#[derive(Clone, Debug)]
pub(crate) struct BlockRef {
    /// The places of its first and last record.
    pub(crate) low: i64,
    pub(crate) high: i64,
    pub(crate) offset: u64,
    pub(crate) sequence: u64,
    pub(crate) segment: u32,
    pub(crate) writer: u32,
    pub(crate) worker: Option<WorkerId>,
    /// Bytes of header, request ids and spine.
    pub(crate) front_len: u32,
    /// Bytes of the whole block.
    pub(crate) len: u32,
    /// Bytes of spine and body once decompressed.
    pub(crate) raw_len: u32,
    pub(crate) records: u32,
    pub(crate) types: TypeSet,
    pub(crate) levels: LevelSet,
    pub(crate) is_sparse: bool,
    /// Only what lies behind the bound with this number, counted from 1, is wanted; 0 for no bound.
    pub(crate) bound: u8,
    /// What the bound excludes is looked at all the same, since other blocks may repeat it.
    pub(crate) is_shadow: bool,
    /// What became of it so far: the slices that it has a part in share this.
    pub(crate) fate: Arc<AtomicU8>,
}

impl BlockRef {
    pub(crate) fn new(segment: usize, block: &Hopped, timeline: Timeline) -> Self {
        let header = &block.header;
        let (low, high) = timeline.places(header);
        let narrow = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        Self {
            low,
            high,
            offset: block.offset,
            sequence: header.sequence,
            segment: narrow(segment),
            writer: header.origin.writer.0,
            worker: header.origin.worker,
            front_len: narrow(header.block_len() - header.body.stored_len as usize),
            len: narrow(header.block_len()),
            raw_len: header.spine.raw_len.saturating_add(header.body.raw_len),
            records: header.records,
            types: header.types,
            levels: header.levels,
            is_sparse: header.flags.contains(logq_format::BlockFlags::SPARSE),
            bound: 0,
            is_shadow: false,
            fate: Arc::default(),
        }
    }

    /// Counts it as ruled out by its text, once, also if that took decoding its spine.
    pub(crate) fn prune_by_text(&self, statistics: &mut Statistics) {
        match self.turn_to(Fate::Pruned) {
            Some(Fate::Decoded) => {
                statistics.ruled_out_late += 1;
                statistics.pruned_by_text += 1;
            }
            Some(Fate::Considered) => statistics.pruned_by_text += 1,
            _ => {}
        }
    }

    /// Counts it as ruled out by its requests, once.
    pub(crate) fn prune_by_request(&self, statistics: &mut Statistics) {
        statistics.pruned_by_request += self.begin(Fate::Pruned);
    }

    /// Counts it as one that was decoded, once.
    pub(crate) fn decode(&self, statistics: &mut Statistics) {
        statistics.begun += self.begin(Fate::Decoded);
    }

    /// Counts it as one of which the header told everything, once.
    pub(crate) fn tell_by_header(&self, statistics: &mut Statistics) {
        statistics.told_by_header += self.begin(Fate::Told);
    }

    /// Counts it as damaged, once, if nothing of it could be used.
    pub(crate) fn damage(&self, statistics: &mut Statistics) {
        statistics.blocks_damaged += self.begin(Fate::Damaged);
    }

    /// Gives it a first fate; answers 1 if it had none, and 0 if it has never been counted as
    /// considered.
    fn begin(&self, fate: Fate) -> u64 {
        let (none, fate) = (Fate::Considered as u8, fate as u8);
        let relaxed = Ordering::Relaxed;
        let is_first =
            !self.is_shadow && self.fate.compare_exchange(none, fate, relaxed, relaxed).is_ok();
        u64::from(is_first)
    }

    /// Gives it another fate; answers the one before, unless it does not count.
    fn turn_to(&self, fate: Fate) -> Option<Fate> {
        let before = (!self.is_shadow).then(|| self.fate.swap(fate as u8, Ordering::Relaxed))?;
        let known = [Fate::Considered, Fate::Pruned, Fate::Decoded, Fate::Told, Fate::Damaged];
        known.into_iter().find(|known| *known as u8 == before)
    }
}

/// What became of a block whose header was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Fate {
    Considered,
    Pruned,
    Decoded,
    Told,
    Damaged,
}
