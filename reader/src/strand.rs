//! The blocks of one segment in the direction of the query, a batch at a time, each time with a
//! proof of how far all that has come.

use logq_format::{Claims, SyncMarker, Timestamp};

use crate::hop::{Batch, Hop, Stop, Until};
use crate::report::Cause;
use crate::scale::{BATCH_BLOCKS_MAX, STRIDE_BYTES, STRIDE_BYTES_MAX};
use crate::seek::{DATA_START, Seek};
use crate::segment::Segment;
use crate::timeline::Timeline;

/// A walk through one segment.
#[derive(Debug)]
pub(crate) struct Strand<'s> {
    segment: &'s Segment,
    timeline: Timeline,
    /// The query's range; outside of it nothing is walked.
    since: Option<Timestamp>,
    until: Option<Timestamp>,
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
        marker: SyncMarker,
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
        Self { segment, timeline, since, until, bound: i64::MIN, state: State::New }
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
            State::Down { marker, end, stride } => self.go_down(marker, end, stride),
            State::Rest { hop, end } => self.go_through_rest(hop, end),
            State::Done => Advance::default(),
        }
    }

    fn begin(&mut self) -> Advance {
        let marker = match self.segment.head() {
            Ok(head) => head.marker,
            Err(cause) => {
                return Advance { unreadable: Some(cause.clone()), ..Advance::default() };
            }
        };
        let mut seek = Seek::new(self.segment, marker);
        let mut advance = if self.timeline.is_descending() {
            let len = self.segment.len();
            let end = self.until.map_or(len, |until| seek.end_of(until));
            self.go_down(marker, end, STRIDE_BYTES)
        } else {
            let start = self.since.map_or(DATA_START, |since| seek.start_of(since));
            let hop = Box::new(Hop::new(self.segment, marker, start));
            self.go_up(hop, start == DATA_START)
        };
        advance.batch.bytes_read += seek.take_bytes_read();
        let damaged_head = self.segment.head().ok().and_then(|head| head.header.as_ref().err());
        if let Some(error) = damaged_head {
            advance.batch.gaps.push(crate::segment::head_gap(self.segment, error));
        }
        advance
    }

    fn go_up(&mut self, mut hop: Box<Hop<'s>>, has_first: bool) -> Advance {
        let until = Until { offset: u64::MAX, claims: true, blocks: BATCH_BLOCKS_MAX };
        let batch = hop.batch(until);
        if let Some(claims) = batch.claims.last() {
            self.bound = self.bound.max(self.timeline.place(claims.watermark));
        }
        let has_last = batch.stop == Stop::End;
        let beyond = self.until.is_some_and(|until| self.bound >= self.timeline.place(until));
        if !has_last && !beyond {
            self.state = State::Up(hop);
        }
        Advance { batch, has_first, has_last, unreadable: None }
    }

    /// Answers the blocks between the earliest boundary that claims prove, within some distance
    /// before `end`, and `end`.
    fn go_down(&mut self, marker: SyncMarker, end: u64, stride: u64) -> Advance {
        let mut stride = stride;
        let mut wasted = 0;
        loop {
            let from = end.saturating_sub(stride);
            if from <= DATA_START || stride > STRIDE_BYTES_MAX {
                let hop = Box::new(Hop::new(self.segment, marker, DATA_START));
                let mut advance = self.go_through_rest(hop, end);
                advance.has_first = true;
                advance.batch.bytes_read += wasted;
                return advance;
            }
            let mut seek = Seek::new(self.segment, marker);
            let start = seek.first_block(from, end);
            wasted += seek.take_bytes_read();
            if let Some(start) = start {
                let mut hop = Hop::new(self.segment, marker, start);
                let until = Until { offset: end, claims: false, blocks: usize::MAX };
                let mut batch = hop.batch(until);
                wasted += batch.bytes_read;
                if let Some(claims) = first_boundary(&batch) {
                    batch.blocks.retain(|block| block.offset >= claims.covered);
                    batch.gaps.retain(|gap| gap.range.start >= claims.covered);
                    batch.bytes_read = wasted;
                    self.bound = self.bound.max(self.timeline.place(claims.now));
                    if self.since.is_none_or(|since| claims.now >= since) {
                        self.state = State::Down { marker, end: claims.covered, stride };
                    }
                    let has_last = batch.stop == Stop::End;
                    return Advance { batch, has_first: false, has_last, unreadable: None };
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
        if batch.stop == Stop::Enough {
            self.state = State::Rest { hop, end };
        }
        Advance { batch, has_first: false, has_last, unreadable: None }
    }
}

/// The earliest claims about one of the batch's own blocks and what follows it.
fn first_boundary(batch: &Batch) -> Option<Claims> {
    let first = batch.blocks.first()?.offset;
    batch
        .claims
        .iter()
        .filter(|claims| claims.covered >= first)
        .find(|claims| {
            batch.blocks.binary_search_by_key(&claims.covered, |block| block.offset).is_ok()
        })
        .cloned()
}
