//! Time in the direction of the query, so that everything downstream only ever goes forward.
//!
//! A place on the timeline is the time in microseconds, negated for descending order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use logq_format::{BlockHeader, LevelSet, Timestamp, TypeSet, WorkerId};

use crate::hop::Hopped;
use crate::query::{Order, Query};

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
    /// Whether it has been counted as ruled out: the slices that it has a part in share this.
    pub(crate) is_pruned: Arc<AtomicBool>,
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
            is_pruned: Arc::default(),
        }
    }

    /// Counts it as ruled out, once, unless it has never been counted as considered.
    pub(crate) fn prune(&self, count: &mut u64) {
        if !self.is_shadow && !self.is_pruned.swap(true, Ordering::Relaxed) {
            *count += 1;
        }
    }
}
