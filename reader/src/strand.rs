//! The blocks of one segment in the direction of the query, a batch at a time, each time with a
//! proof of how far all that has come.

use std::ops::Range;

use logq_format::Timestamp;

use crate::hop::{Batch, Hop, Stop, Until};
use crate::report::Cause;
use crate::scale::{BATCH_BLOCKS_MAX, STRIDE_BYTES, STRIDE_BYTES_MAX};
use crate::seek::Seek;
use crate::segment::{Head, Segment};
use crate::timeline::Timeline;

/// A walk through one segment.
#[derive(Debug)]
pub(crate) struct Strand<'s> {
    segment: &'s Segment,
    timeline: Timeline,
    /// The query's range; outside of it nothing is walked.
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    /// The part of the segment that is walked, from block to block. Only who goes up may be confined
    /// to a part.
    range: Range<u64>,
    is_left_early: bool,
    /// Everything not yet answered has this place on the timeline or a later one.
    bound: i64,
    state: State<'s>,
}

#[derive(Debug)]
enum State<'s> {
    /// Nothing has been read.
    New,
    /// Going up; boxed because hops are large and rarely many are under way.
    Up(Box<Hop<'s>>),
    /// Going down: what lies before `end` is still to come.
    Down {
        head: &'s Head,
        end: u64,
        stride: u64,
    },
    /// Going down where no claims help: the whole rest, from its start.
    Rest {
        hop: Box<Hop<'s>>,
        end: u64,
    },
    Done,
}

/// What a step of a [`Strand`] answers.
#[derive(Debug, Default)]
pub(crate) struct Advance {
    pub(crate) batch: Batch,
    /// Whether the batch begins with the first block of the segment.
    pub(crate) has_first: bool,
    /// Whether the batch ends with the last block of the segment.
    pub(crate) has_last: bool,
    /// Whether blocks between this batch and the ones before are still to come.
    pub(crate) is_apart: bool,
    /// What keeps the whole segment from being read.
    pub(crate) unreadable: Option<Cause>,
}

impl<'s> Strand<'s> {
    pub(crate) fn new(
        segment: &'s Segment,
        timeline: Timeline,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> Self {
        let (range, bound) = (0..u64::MAX, i64::MIN);
        let (is_left_early, state) = (false, State::New);
        Self { segment, timeline, since, until, range, is_left_early, bound, state }
    }

    /// The same walk through a part of the segment that starts and ends where blocks do.
    pub(crate) fn within(self, range: Range<u64>) -> Self {
        Self { range, ..self }
    }

    /// Whether the walk has ended before the end of its range.
    pub(crate) fn is_left_early(&self) -> bool {
        self.is_left_early
    }

    /// Everything not yet answered has this place on the timeline or a later one; `None` if
    /// everything has been answered.
    pub(crate) fn bound(&self) -> Option<i64> {
        (!matches!(self.state, State::Done)).then_some(self.bound)
    }

    /// Answers some more blocks.
    pub(crate) fn advance(&mut self) -> Advance {
        match std::mem::replace(&mut self.state, State::Done) {
            State::New => self.begin(),
            State::Up(hop) => self.go_up(hop, false),
            State::Down { head, end, stride } => self.go_down(head, end, stride),
            State::Rest { hop, end } => self.go_through_rest(hop, end),
            State::Done => Advance::default(),
        }
    }

    fn begin(&mut self) -> Advance {
        let segment = self.segment;
        let head = match segment.head() {
            Ok(head) => head,
            Err(cause) => {
                return Advance { unreadable: Some(cause.clone()), ..Advance::default() };
            }
        };
        let mut seek = Seek::new(segment, head);
        let mut advance = if self.timeline.is_descending() {
            let end = self.until.map_or(segment.len(), |until| seek.end_of(until));
            self.go_down(head, end, STRIDE_BYTES)
        } else {
            let lowest = self.range.start.max(head.start);
            // Where the range begins late, nothing has to be looked for in most cases.
            let start = self.since.map_or(lowest, |since| seek.start_of(since).max(lowest));
            self.go_up(Box::new(Hop::new(segment, head, start)), start == head.start)
        };
        advance.batch.bytes_read += seek.take_bytes_read();
        advance
    }

    fn go_up(&mut self, mut hop: Box<Hop<'s>>, has_first: bool) -> Advance {
        let until = Until { offset: self.range.end, claims: true, blocks: BATCH_BLOCKS_MAX };
        let batch = hop.batch(until);
        if let Some(ping) = batch.pings.last() {
            self.bound = self.bound.max(self.timeline.place(ping.claims.watermark));
        }
        let has_last = batch.stop == Stop::End;
        let beyond = self.until.is_some_and(|until| self.bound >= self.timeline.place(until));
        if batch.stop == Stop::Enough {
            self.is_left_early = beyond;
            if !beyond {
                self.state = State::Up(hop);
            }
        }
        Advance { batch, has_first, has_last, ..Advance::default() }
    }

    /// Answers the blocks between the earliest boundary that claims prove, within some distance
    /// before `end`, and `end`.
    fn go_down(&mut self, head: &'s Head, end: u64, stride: u64) -> Advance {
        let mut stride = stride;
        let mut wasted = 0;
        loop {
            let from = end.saturating_sub(stride);
            if from <= head.start || stride > STRIDE_BYTES_MAX {
                let hop = Box::new(Hop::new(self.segment, head, head.start));
                let mut advance = self.go_through_rest(hop, end);
                advance.has_first = true;
                advance.batch.bytes_read += wasted;
                return advance;
            }
            let mut seek = Seek::new(self.segment, head);
            let start = seek.first_block(from, end);
            wasted += seek.take_bytes_read();
            if let Some(start) = start {
                let mut hop = Hop::new(self.segment, head, start);
                let until = Until { offset: end, claims: false, blocks: usize::MAX };
                let mut batch = hop.batch(until);
                wasted += batch.bytes_read;
                if let Some(Boundary { offset, now }) = first_boundary(&batch) {
                    batch.blocks.retain(|block| block.offset >= offset);
                    batch.pings.retain(|ping| ping.offset >= offset);
                    batch.gaps.retain(|gap| gap.range.start >= offset);
                    batch.torn.retain(|block| block.offset >= offset);
                    batch.bytes_read = wasted;
                    self.bound = self.bound.max(self.timeline.place(now));
                    if self.since.is_none_or(|since| now >= since) {
                        self.state = State::Down { head, end: offset, stride };
                    }
                    let has_last = batch.stop == Stop::End;
                    return Advance { batch, has_last, ..Advance::default() };
                }
            }
            stride = stride.saturating_mul(2);
        }
    }

    /// Answers the next blocks of the rest, whose order of time nothing proves: the bound stays
    /// where it is until all are answered.
    fn go_through_rest(&mut self, mut hop: Box<Hop<'s>>, end: u64) -> Advance {
        let until = Until { offset: end, claims: false, blocks: BATCH_BLOCKS_MAX };
        let batch = hop.batch(until);
        let has_last = batch.stop == Stop::End;
        let is_apart = batch.stop == Stop::Enough;
        if is_apart {
            self.state = State::Rest { hop, end };
        }
        Advance { batch, has_last, is_apart, ..Advance::default() }
    }
}

/// A place in a segment before which nothing is later than `now`.
struct Boundary {
    offset: u64,
    now: Timestamp,
}

/// The earliest boundary at one of the batch's own blocks.
fn first_boundary(batch: &Batch) -> Option<Boundary> {
    let is_block = |offset: u64| batch.blocks.binary_search_by_key(&offset, |b| b.offset).is_ok();
    let ping = batch.pings.iter().find(|ping| is_block(ping.claims.covered))?;
    Some(Boundary { offset: ping.claims.covered, now: ping.claims.now })
}
