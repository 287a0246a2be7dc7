//! Records of requests counted away from the monitor, on any thread: those whose other half is near.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use logq_format::{Heads, RequestId, Timestamp, UrlSections};

use super::block::{BlockOfSteps, Near};
use super::{Leg, Needs, Told, latency_us, second};
use crate::hashing::KeyedHashing;
use crate::hit::{Hit, NAME_BYTES_MAX, Target};
use crate::tally::{Scheme, Tally};

/// Some consecutive records, paired with one another where that is possible.
#[derive(Debug)]
pub struct Slice {
    pub(super) scheme: Scheme,
    pub(super) needs: Needs,
    /// How long a request may take.
    pub(super) open_us: u64,
    open: HashMap<RequestId, Open, KeyedHashing>,
    /// Names of requests that are open, one after the other.
    names: Vec<u8>,
    pub(super) tally: Tally,
    /// What the exchange has to look at, each with the time of its record.
    pub(super) rest: Vec<(Timestamp, Rest)>,
    /// The times of the first and the last record.
    pub(super) span: Option<(Timestamp, Timestamp)>,
    /// Empty between blocks; for its memory.
    pub(super) near: Vec<Near>,
}

/// What is not counted in the slice.
#[derive(Debug)]
pub(super) enum Rest {
    /// A hit that is late, or cannot be added up.
    Hit(Hit<'static>),
    /// The same of bytes: of a hit of which second, and how many.
    Bytes(i64, u64),
    /// A record whose other half is not here.
    Loose(RequestId, Told<'static>),
}

/// A request in a slice.
#[derive(Debug)]
pub(super) enum Open {
    Asked {
        time: Timestamp,
        target: TargetRange,
        client: Range<usize>,
    },
    /// It is counted but for its bytes.
    Answered {
        second: i64,
    },
}

/// A target whose path is among the names of the slice.
#[derive(Debug)]
pub(super) enum TargetRange {
    Path(Range<usize>),
    Connect,
    Server,
    Bad,
    Unknown,
}

impl TargetRange {
    fn of<'n>(&self, names: &'n [u8]) -> Target<'n> {
        match self {
            Self::Path(range) => {
                Target::Path(Cow::Borrowed(names.get(range.clone()).unwrap_or_default()))
            }
            Self::Connect => Target::Connect,
            Self::Server => Target::Server,
            Self::Bad => Target::Bad,
            Self::Unknown => Target::Unknown,
        }
    }
}

impl Slice {
    pub(super) fn new(scheme: Scheme, open_us: u64) -> Self {
        Self {
            needs: Needs::of(&scheme),
            scheme,
            open_us,
            open: HashMap::default(),
            names: Vec::new(),
            tally: Tally::default(),
            rest: Vec::new(),
            span: None,
            near: Vec::new(),
        }
    }

    /// Another one for the same monitor.
    #[must_use]
    pub fn fresh(&self) -> Self {
        Self::new(self.scheme, self.open_us)
    }
}

impl Slice {
    /// Takes a record. Records of a request must come in the order in which they were written.
    pub fn add(&mut self, leg: Leg<'_>) {
        let Leg { time, id, told } = leg;
        let mut slot = self.open.remove(&id);
        self.step(&mut slot, id, time, told);
        if let Some(open) = slot {
            self.open.insert(id, open);
        } else {
            self.forget_names();
        }
    }

    /// Takes the steps of one block, whose requests are these. Of `sections` and `heads` one suffices
    /// where [`Needs`] asks for nothing but sections, and both may be missing where it asks for nothing.
    pub fn block<'h>(
        &mut self,
        ids: &'h [RequestId],
        sections: Option<UrlSections<'h>>,
        heads: Option<&'h Heads<'h>>,
    ) -> BlockOfSteps<'_, 'h> {
        BlockOfSteps::new(self, ids, sections, heads)
    }

    /// Keeps a request beyond its block.
    pub(super) fn keep_open(&mut self, id: RequestId, open: Open) {
        if let Some(before) = self.open.insert(id, open) {
            self.loosen(id, before);
        }
    }

    /// Forgets the names of requests when none is open.
    pub(super) fn forget_names(&mut self) {
        if self.open.is_empty() {
            self.names.clear();
        }
    }

    pub(super) fn extend(&mut self, time: Timestamp) {
        let (first, last) = self.span.unwrap_or((time, time));
        self.span = Some((first.min(time), last.max(time)));
    }

    /// Takes the next record of a request; what is known of it before and afterwards is in `slot`.
    fn step(&mut self, slot: &mut Option<Open>, id: RequestId, time: Timestamp, told: Told<'_>) {
        self.extend(time);
        match told {
            Told::Request { target, client } => {
                let target = self.keep_target(&target);
                let client = self.keep(&client);
                if let Some(before) = slot.replace(Open::Asked { time, target, client }) {
                    self.loosen(id, before);
                }
            }
            Told::Response { status, bytes, duration_us } => match slot.take() {
                Some(Open::Asked { time: asked, target, client })
                    if time.micros_since(asked) <= self.open_us =>
                {
                    let names = std::mem::take(&mut self.names);
                    let hit = Hit {
                        time: asked.min(time),
                        target: target.of(&names),
                        client: Cow::Borrowed(names.get(client).unwrap_or_default()),
                        status,
                        bytes: bytes.unwrap_or_default(),
                        latency_us: latency_us(asked, time, duration_us),
                    };
                    let second = self.count(time, &hit);
                    self.names = names;
                    *slot = bytes.is_none().then_some(Open::Answered { second });
                }
                before => {
                    if let Some(before) = before {
                        self.loosen(id, before);
                    }
                    let told = Told::Response { status, bytes, duration_us };
                    self.rest.push((time, Rest::Loose(id, told)));
                }
            },
            Told::Finished { bytes } => match slot.take() {
                Some(Open::Answered { second }) => {
                    self.add_bytes(time, second, bytes.unwrap_or_default());
                }
                before => {
                    *slot = before;
                    // Of a request that is asked for here there is no response.
                    if bytes.is_some() {
                        self.rest.push((time, Rest::Loose(id, Told::Finished { bytes })));
                    }
                }
            },
        }
    }

    /// Counts a request that was answered at `time`; answers the second it counts in.
    pub(super) fn count(&mut self, time: Timestamp, hit: &Hit<'_>) -> i64 {
        let counted = hit.second();
        if self.adds_up(counted, second(time)) {
            self.tally.add(&self.scheme, hit);
        } else {
            self.rest.push((time, Rest::Hit(hit.detach())));
        }
        counted
    }

    /// Whether what was told in one second of a hit in another one can be added up here.
    #[inline]
    pub(super) fn adds_up(&self, counted: i64, told: i64) -> bool {
        counted >= told - self.scheme.lateness_s && self.scheme.adds_up
    }

    /// Whether it has no record.
    pub fn is_empty(&self) -> bool {
        self.span.is_none()
    }

    pub(super) fn add_bytes(&mut self, time: Timestamp, counted: i64, bytes: u64) {
        if bytes == 0 {
            return;
        }
        if self.adds_up(counted, second(time)) {
            self.tally.add_bytes(counted, bytes);
        } else {
            self.rest.push((time, Rest::Bytes(counted, bytes)));
        }
    }

    pub(super) fn keep(&mut self, name: &[u8]) -> Range<usize> {
        let start = self.names.len();
        self.names.extend_from_slice(name.get(..NAME_BYTES_MAX).unwrap_or(name));
        start..self.names.len()
    }

    pub(super) fn keep_target(&mut self, target: &Target<'_>) -> TargetRange {
        match target {
            Target::Path(path) => TargetRange::Path(self.keep(path)),
            Target::Connect => TargetRange::Connect,
            Target::Server => TargetRange::Server,
            Target::Bad => TargetRange::Bad,
            Target::Unknown => TargetRange::Unknown,
        }
    }

    /// Leaves what is open to the exchange.
    fn loosen(&mut self, id: RequestId, open: Open) {
        match open {
            Open::Asked { time, target, client } => {
                let target = target.of(&self.names).into_owned();
                let client = self.names.get(client).unwrap_or_default().to_vec();
                let told = Told::Request { target, client: Cow::Owned(client) };
                self.rest.push((time, Rest::Loose(id, told)));
            }
            Open::Answered { .. } => {}
        }
    }

    /// Leaves everything open to the exchange: the rest, in the order of time, and the requests that
    /// are counted but for their bytes.
    pub(super) fn close(&mut self) -> Vec<(RequestId, i64)> {
        let mut answered = Vec::new();
        for (id, open) in std::mem::take(&mut self.open) {
            match open {
                Open::Answered { second } => answered.push((id, second)),
                open @ Open::Asked { .. } => self.loosen(id, open),
            }
        }
        // Records of one time stay in an order that does not depend on a hash table.
        self.rest.sort_by_key(|(time, rest)| (*time, rank(rest)));
        answered.sort_unstable();
        answered
    }
}

/// Of records with the same time, what happens first.
fn rank(rest: &Rest) -> (u8, RequestId) {
    match rest {
        Rest::Loose(id, Told::Request { .. }) => (0, *id),
        Rest::Loose(id, Told::Response { .. }) => (1, *id),
        Rest::Hit(_) => (1, RequestId::default()),
        Rest::Loose(id, Told::Finished { .. }) => (2, *id),
        Rest::Bytes(..) => (2, RequestId::default()),
    }
}
