//! Requests and responses as a store tells them, each in a record of its own, paired to hits.
//!
//! ```text
//!  records of a slice ─> Slice: pairs within it ─┐ (on any thread)
//!                                                v
//!                        Exchange: pairs across slices ─> Monitor
//! ```
//!
//! A hit counts in the second of its REQUEST, when its RESPONSE is there, which tells status, bytes
//! and latency. A RESPONSE whose duration is not known took the time since the REQUEST; one without
//! REQUEST counts at its time less its duration and is an orphan. Bytes that only RESPONSE_FINISHED
//! tells are added when it comes. A request that nobody has answered for ten minutes, or that is the
//! oldest of too many, is given up as unanswered: it is no hit, and counts in the second in which it
//! was given up.
//!
//! Time is the time of the records. So a request that took longer than the lateness is a late hit,
//! and whether it is does not depend on how records are cut into slices.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::ops::Range;

use logq_format::{RequestId, Timestamp};

use crate::clock::SourceId;
use crate::hashing::KeyedHashing;
use crate::hit::{Hit, NAME_BYTES_MAX, Target};
use crate::monitor::Monitor;
use crate::tally::{Scheme, Tally};

/// A record of a request, as far as it is needed.
#[derive(Clone, Debug, PartialEq)]
pub struct Leg<'a> {
    /// The time of the record.
    pub time: Timestamp,
    /// The request.
    pub id: RequestId,
    /// What it tells.
    pub told: Told<'a>,
}

/// What a record tells of its request.
#[derive(Clone, Debug, PartialEq)]
pub enum Told<'a> {
    /// It came.
    Request {
        /// What for; [`Target::Unknown`] where [`Needs`] does not ask for it.
        target: Target<'a>,
        /// From whom; empty where [`Needs`] does not ask for it.
        client: Cow<'a, [u8]>,
    },
    /// It was answered.
    Response {
        /// With this status.
        status: u16,
        /// With so many bytes, if known.
        bytes: Option<u64>,
        /// After so many microseconds, if known.
        duration_us: Option<u64>,
    },
    /// Its answer was handed over.
    Finished {
        /// So many bytes, if known.
        bytes: Option<u64>,
    },
}

/// What records have to tell, so that nobody decodes what is not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// The targets of requests.
    pub targets: bool,
    /// The clients.
    pub clients: bool,
}

/// What is kept of open requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExchangeOptions {
    /// The most requests; of more, the oldest one is given up. Default 100,000.
    pub open_max: usize,
    /// How long a request may take, in seconds. Default ten minutes.
    pub open_s: u32,
}

impl Default for ExchangeOptions {
    fn default() -> Self {
        Self { open_max: 100_000, open_s: 600 }
    }
}

/// Some consecutive records, paired with one another where that is possible.
#[derive(Debug)]
pub struct Slice {
    scheme: Scheme,
    /// How long a request may take.
    open_us: u64,
    open: HashMap<RequestId, Open, KeyedHashing>,
    /// What of this is in the block at hand, by number; kept for its memory.
    slots: Vec<Option<Open>>,
    /// Names of requests that are open, one after the other.
    names: Vec<u8>,
    tally: Tally,
    /// What the exchange has to look at, each with the time of its record.
    rest: Vec<(Timestamp, Rest)>,
    /// The times of the first and the last record.
    span: Option<(Timestamp, Timestamp)>,
}

/// What is not counted in the slice.
#[derive(Debug)]
enum Rest {
    /// A hit that is late, or cannot be added up.
    Hit(Hit<'static>),
    /// The same of bytes: of a hit of which second, and how many.
    Bytes(i64, u64),
    /// A record whose other half is not here.
    Loose(RequestId, Told<'static>),
}

/// A request in a slice.
#[derive(Debug)]
enum Open {
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
enum TargetRange {
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

/// How a request was answered.
#[derive(Clone, Copy, Debug)]
struct Answer {
    status: u16,
    bytes: Option<u64>,
    latency_us: u64,
}

/// Pairs the records of one source for a [`Monitor`].
#[derive(Debug)]
pub struct Exchange {
    source: SourceId,
    options: ExchangeOptions,
    open: HashMap<RequestId, Waiting, KeyedHashing>,
    /// Requests in the order in which they came, with the time that tells whether they still wait.
    queue: VecDeque<(Timestamp, RequestId)>,
}

/// A request whose response is in no slice that has been read.
#[derive(Debug)]
struct Waiting {
    since: Timestamp,
    is: Half,
}

#[derive(Debug)]
enum Half {
    Asked { target: Target<'static>, client: Box<[u8]> },
    Answered { second: i64 },
}

impl Slice {
    /// Takes a record. Records of a request must come in the order in which they were written.
    pub fn add(&mut self, leg: Leg<'_>) {
        let Leg { time, id, told } = leg;
        let mut slot = self.open.remove(&id);
        self.step(&mut slot, id, time, told);
        if let Some(open) = slot {
            self.open.insert(id, open);
        } else if self.open.is_empty() {
            self.names.clear();
        }
    }

    /// Takes records whose requests have numbers, as those of one block have: of each its request's
    /// index in `ids`, its time, and what it tells.
    pub fn add_numbered<'l>(
        &mut self,
        ids: &[RequestId],
        legs: impl Iterator<Item = (u32, Timestamp, Told<'l>)>,
    ) {
        let mut slots = std::mem::take(&mut self.slots);
        slots.clear();
        slots.resize_with(ids.len(), || None);
        for (number, time, told) in legs {
            let number = number as usize;
            let (Some(slot), Some(id)) = (slots.get_mut(number), ids.get(number)) else { continue };
            // It may have begun in a block before.
            if slot.is_none() && !self.open.is_empty() && !matches!(told, Told::Request { .. }) {
                *slot = self.open.remove(id);
            }
            self.step(slot, *id, time, told);
        }
        for (id, slot) in ids.iter().zip(&mut slots) {
            if let Some(open) = slot.take()
                && let Some(before) = self.open.insert(*id, open)
            {
                self.loosen(*id, before);
            }
        }
        if self.open.is_empty() {
            self.names.clear();
        }
        self.slots = slots;
    }

    /// Takes the next record of a request; what is known of it before and afterwards is in `slot`.
    fn step(&mut self, slot: &mut Option<Open>, id: RequestId, time: Timestamp, told: Told<'_>) {
        let (first, last) = self.span.unwrap_or((time, time));
        self.span = Some((first.min(time), last.max(time)));
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
                    let latency_us = duration_us.unwrap_or_else(|| time.micros_since(asked));
                    let answer = Answer { status, bytes, latency_us };
                    let second = self.count(time, asked.min(time), &target, client, answer);
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
    fn count(
        &mut self,
        time: Timestamp,
        asked: Timestamp,
        target: &TargetRange,
        client: Range<usize>,
        answer: Answer,
    ) -> i64 {
        let hit = Hit {
            time: asked,
            target: target.of(&self.names),
            client: Cow::Borrowed(self.names.get(client).unwrap_or_default()),
            status: answer.status,
            bytes: answer.bytes.unwrap_or_default(),
            latency_us: Some(answer.latency_us),
        };
        let counted = hit.second();
        if counted >= second(time) - self.scheme.lateness_s && self.scheme.adds_up {
            self.tally.add(&self.scheme, &hit);
        } else {
            self.rest.push((time, Rest::Hit(hit.detach())));
        }
        counted
    }

    /// Whether it has no record.
    pub fn is_empty(&self) -> bool {
        self.span.is_none()
    }

    fn add_bytes(&mut self, time: Timestamp, counted: i64, bytes: u64) {
        if bytes == 0 {
            return;
        }
        if counted >= second(time) - self.scheme.lateness_s && self.scheme.adds_up {
            self.tally.add_bytes(counted, bytes);
        } else {
            self.rest.push((time, Rest::Bytes(counted, bytes)));
        }
    }

    fn keep(&mut self, name: &[u8]) -> Range<usize> {
        let start = self.names.len();
        self.names.extend_from_slice(name.get(..NAME_BYTES_MAX).unwrap_or(name));
        start..self.names.len()
    }

    fn keep_target(&mut self, target: &Target<'_>) -> TargetRange {
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
    fn close(&mut self) -> Vec<(RequestId, i64)> {
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

fn second(time: Timestamp) -> i64 {
    time.as_micros().div_euclid(1_000_000)
}

impl Exchange {
    /// No request is open.
    pub fn new(source: SourceId, options: ExchangeOptions) -> Self {
        Self { source, options, open: HashMap::default(), queue: VecDeque::new() }
    }

    /// The source whose records it pairs.
    pub fn source(&self) -> SourceId {
        self.source
    }

    /// What records have to tell a monitor.
    pub fn needs(monitor: &Monitor) -> Needs {
        let names = monitor.scheme().names;
        Needs { targets: names.need_target(), clients: names.lists.clients }
    }

    /// A slice for such a monitor. Others for other threads are made by [`Slice::fresh`].
    pub fn slice(&self, monitor: &Monitor) -> Slice {
        Slice::new(*monitor.scheme(), self.open_us())
    }

    fn open_us(&self) -> u64 {
        u64::from(self.options.open_s) * 1_000_000
    }

    /// How many requests wait for their responses.
    pub fn open(&self) -> usize {
        let is_asked = |waiting: &&Waiting| matches!(waiting.is, Half::Asked { .. });
        self.open.values().filter(is_asked).count()
    }

    /// Counts the records of a slice. Slices come in the order of time.
    pub fn fold(&mut self, mut slice: Slice, monitor: &mut Monitor) {
        let Some((first, last)) = slice.span else { return };
        // Before seconds are closed in which something is given up.
        self.give_up_old(first, monitor);
        monitor.advance(self.source, second(first));
        let answered = slice.close();
        monitor.absorb(std::mem::take(&mut slice.tally));
        for (time, rest) in slice.rest {
            let at = second(time);
            match rest {
                Rest::Hit(hit) => monitor.exchange(at, &hit, false),
                Rest::Bytes(counted, bytes) => monitor.add_bytes(at, counted, bytes),
                Rest::Loose(id, told) => {
                    self.give_up_old(time, monitor);
                    self.pair(Leg { time, id, told }, monitor);
                }
            }
        }
        for (id, counted) in answered {
            self.wait(id, Waiting { since: of(counted), is: Half::Answered { second: counted } });
        }
        self.give_up_old(last, monitor);
        self.give_up_many(second(last), monitor);
        monitor.advance(self.source, second(last));
    }

    /// The source ends.
    pub fn finish(self, monitor: &mut Monitor) {
        monitor.finish(self.source);
    }

    fn pair(&mut self, leg: Leg<'static>, monitor: &mut Monitor) {
        let at = second(leg.time);
        match leg.told {
            Told::Request { target, client } => {
                let is = Half::Asked { target, client: client.into_owned().into() };
                self.wait(leg.id, Waiting { since: leg.time, is });
            }
            Told::Response { status, bytes, duration_us } => {
                let duration = duration_us.unwrap_or_default();
                let before =
                    leg.time.saturating_add_micros(-duration.min(i64::MAX as u64).cast_signed());
                let (time, target, client, is_orphan) = match self.open.remove(&leg.id) {
                    Some(Waiting { since, is: Half::Asked { target, client } }) => {
                        (since.min(leg.time), target, client, false)
                    }
                    _ => (before, Target::Unknown, Box::default(), true),
                };
                let latency_us = match is_orphan {
                    true => duration_us,
                    false => Some(duration_us.unwrap_or_else(|| leg.time.micros_since(time))),
                };
                let client = Cow::Owned(client.into_vec());
                let bytes_now = bytes.unwrap_or_default();
                let hit = Hit { time, target, client, status, bytes: bytes_now, latency_us };
                monitor.exchange(at, &hit, is_orphan);
                if bytes.is_none() {
                    let is = Half::Answered { second: hit.second() };
                    self.wait(leg.id, Waiting { since: leg.time, is });
                }
            }
            Told::Finished { bytes } => {
                if let Some(Waiting { is: Half::Answered { second }, .. }) = self.open.get(&leg.id)
                {
                    monitor.add_bytes(at, *second, bytes.unwrap_or_default());
                    self.open.remove(&leg.id);
                }
            }
        }
    }

    fn wait(&mut self, id: RequestId, waiting: Waiting) {
        self.queue.push_back((waiting.since, id));
        self.open.insert(id, waiting);
    }

    /// Gives up what has waited for too long.
    fn give_up_old(&mut self, now: Timestamp, monitor: &mut Monitor) {
        let open_us = self.open_us();
        while let Some((since, _)) = self.queue.front()
            && now.micros_since(*since) > open_us
        {
            // In the second in which its time was over, however late that is noticed.
            let over = since.saturating_add_micros(open_us.cast_signed());
            self.give_up_oldest(second(over), monitor);
        }
    }

    /// Gives up the oldest ones of too many.
    fn give_up_many(&mut self, at: i64, monitor: &mut Monitor) {
        while self.open.len() > self.options.open_max {
            self.give_up_oldest(at, monitor);
        }
        // Answered requests leave their places in the queue behind.
        if self.queue.len() > 2 * self.options.open_max.max(self.open.len()) + 1_000 {
            let open = &self.open;
            self.queue.retain(|(since, id)| open.get(id).is_some_and(|w| w.since == *since));
        }
    }

    fn give_up_oldest(&mut self, at: i64, monitor: &mut Monitor) {
        let Some((since, id)) = self.queue.pop_front() else {
            // Every open request has its place in the queue.
            return self.open.clear();
        };
        if self.open.get(&id).is_some_and(|waiting| waiting.since == since)
            && let Some(Waiting { is: Half::Asked { .. }, .. }) = self.open.remove(&id)
        {
            monitor.unanswered(at);
        }
    }
}

/// The first instant of a second.
fn of(second: i64) -> Timestamp {
    Timestamp::from_micros(second.saturating_mul(1_000_000))
}

impl Slice {
    fn new(scheme: Scheme, open_us: u64) -> Self {
        Self {
            scheme,
            open_us,
            open: HashMap::default(),
            slots: Vec::new(),
            names: Vec::new(),
            tally: Tally::default(),
            rest: Vec::new(),
            span: None,
        }
    }

    /// Another one for the same monitor.
    #[must_use]
    pub fn fresh(&self) -> Self {
        Self::new(self.scheme, self.open_us)
    }
}
