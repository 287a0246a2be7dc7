//! Requests and responses as a store tells them, each in a record of its own, paired to hits.
//!
//! ```text
//!  records of a slice ─> Slice: pairs within it ─┐ (on any thread)
//!                                                v
//!                        Exchange: pairs across slices ─> Monitor
//! ```
//!
//! A hit counts in the second of its REQUEST, when its RESPONSE is there, which tells status, bytes
//! and latency. A RESPONSE whose duration is not known took the time since the REQUEST, unless both
//! are at the same whole second: that comes out of a log that tells no more than seconds. One without
//! REQUEST counts at its time less its duration and is an orphan. Bytes that only RESPONSE_FINISHED
//! tells are added when it comes. A request that nobody has answered for ten minutes, or that is the
//! oldest of too many, is given up as unanswered: it is no hit, and counts in the second in which it
//! was given up.
//!
//! Time is the time of the records. So a request that took longer than the lateness is a late hit,
//! and whether it is does not depend on how records are cut into slices.

mod batch;
mod block;
mod heads;
mod slice;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet, VecDeque};

use logq_format::{Request, RequestId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::clock::SourceId;
use crate::hashing::KeyedHashing;
use crate::hit::{Hit, Target};
use crate::monitor::Monitor;
use crate::saved::{Name, SavedTarget};
use crate::tally::Scheme;

pub use self::block::BlockOfSteps;
use self::slice::Rest;
pub use self::slice::Slice;

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
    /// More of them than their sections.
    pub urls: bool,
    /// The clients.
    pub clients: bool,
}

impl Needs {
    fn of(scheme: &Scheme) -> Self {
        let names = scheme.names;
        let targets = names.need_target();
        Self { targets, urls: targets && names.need_url(), clients: names.lists.clients }
    }
}

impl<'a> Told<'a> {
    /// What the head of a request tells, as far as it is needed.
    pub fn of_head(head: &Request<'a>, needs: Needs) -> Self {
        let target = match needs.targets {
            true => Target::of(head.method.as_str().as_bytes(), head.url.as_bytes()),
            false => Target::Unknown,
        };
        Self::Request { target, client: heads::owned_client_of(head.ip.filter(|_| needs.clients)) }
    }
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

/// A request that waits for its response, or for the bytes of it, as a state file keeps it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OpenRequest {
    id: String,
    since_us: i64,
    #[serde(flatten)]
    is: SavedHalf,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum SavedHalf {
    Asked { target: SavedTarget, client: Name },
    Answered { second: i64 },
}

fn second(time: Timestamp) -> i64 {
    time.as_micros().div_euclid(1_000_000)
}

/// How long an answer took, if that is known: as measured, else since the request. Two times that are
/// the same whole second come out of a log that tells no more than seconds, and no latencies.
#[inline]
fn latency_us(asked: Timestamp, answered: Timestamp, measured: Option<u64>) -> Option<u64> {
    let is_whole_second = || asked == answered && asked.as_micros() % 1_000_000 == 0;
    measured.or_else(|| (!is_whole_second()).then(|| answered.micros_since(asked)))
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
        Needs::of(monitor.scheme())
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

    /// The requests that are open, the oldest first; they belong to the monitor's
    /// [`Saved`](crate::Saved).
    pub fn save(&self) -> Vec<OpenRequest> {
        let mut told = HashSet::new();
        let mut requests = Vec::with_capacity(self.open.len());
        for (since, id) in &self.queue {
            let Some(waiting) = self.open.get(id).filter(|waiting| waiting.since == *since) else {
                continue;
            };
            if told.insert(*id) {
                let (id, since_us) = (id.to_string(), since.as_micros());
                requests.push(OpenRequest { id, since_us, is: SavedHalf::of(&waiting.is) });
            }
        }
        requests
    }

    /// Goes on with the requests that were open in an earlier run.
    pub fn restore(&mut self, requests: Vec<OpenRequest>) {
        for OpenRequest { id, since_us, is } in requests {
            // What is none waits for nothing.
            if let Ok(id) = id.parse() {
                self.wait(id, Waiting { since: Timestamp::from_micros(since_us), is: is.half() });
            }
        }
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
                    false => latency_us(time, leg.time, duration_us),
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

impl SavedHalf {
    fn of(half: &Half) -> Self {
        match half {
            Half::Asked { target, client } => {
                Self::Asked { target: SavedTarget::of(target), client: Name::from(&**client) }
            }
            Half::Answered { second } => Self::Answered { second: *second },
        }
    }

    fn half(self) -> Half {
        match self {
            Self::Asked { target, client } => {
                Half::Asked { target: target.target(), client: client.0.into() }
            }
            Self::Answered { second } => Half::Answered { second },
        }
    }
}

/// The first instant of a second.
fn of(second: i64) -> Timestamp {
    Timestamp::from_micros(second.saturating_mul(1_000_000))
}
