//! Records of requests counted away from the monitor, on any thread: those whose other half is near.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;

use logq_format::{Heads, RecordType, RequestId, RequestStep, Timestamp, UrlSections};

use super::{Leg, Needs, Told, second};
use crate::hashing::KeyedHashing;
use crate::hit::{Ending, Hit, NAME_BYTES_MAX, Target};
use crate::tally::{Scheme, Tally};

/// Some consecutive records, paired with one another where that is possible.
#[derive(Debug)]
pub struct Slice {
    scheme: Scheme,
    needs: Needs,
    /// How long a request may take.
    open_us: u64,
    open: HashMap<RequestId, Open, KeyedHashing>,
    /// Names of requests that are open, one after the other.
    names: Vec<u8>,
    pub(super) tally: Tally,
    /// What the exchange has to look at, each with the time of its record.
    pub(super) rest: Vec<(Timestamp, Rest)>,
    /// The times of the first and the last record.
    pub(super) span: Option<(Timestamp, Timestamp)>,
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

/// What is known of a request from the records of one block.
#[derive(Clone, Copy, Debug, Default)]
enum Near {
    #[default]
    Nothing,
    Asked {
        time: Timestamp,
        /// Its number among the heads of the block.
        head: u32,
    },
    /// It is counted but for its bytes.
    Answered {
        second: i64,
    },
    Counted,
}

/// The heads of the requests of a block, as far as they are needed.
struct NeededHeads<'h> {
    heads: Option<&'h Heads<'h>>,
    /// Where nothing else of targets is needed.
    sections: Option<UrlSections<'h>>,
    needs: Needs,
}

impl<'h> NeededHeads<'h> {
    #[inline]
    fn target(&self, head: u32) -> Target<'h> {
        if let Some(section) = self.sections.and_then(|sections| sections.name(head)) {
            return Target::of_section(section.as_bytes());
        }
        let heads = self.heads.filter(|_| self.needs.targets);
        let asked = heads.and_then(|heads| Some((heads.method(head).ok()?, heads.url(head).ok()?)));
        asked.map_or(Target::Unknown, |(method, url)| {
            Target::of(method.as_str().as_bytes(), url.as_bytes())
        })
    }

    #[inline]
    fn ip(&self, head: u32) -> Option<IpAddr> {
        self.heads.filter(|_| self.needs.clients).and_then(|heads| heads.ip(head))
    }

    fn told(&self, step: &RequestStep) -> Told<'h> {
        let RequestStep { status, bytes, duration_us, head, .. } = *step;
        match step.record_type {
            RecordType::Response => Told::Response { status, bytes, duration_us },
            RecordType::ResponseFinished => Told::Finished { bytes },
            _ => {
                let client = owned_client_of(self.ip(head));
                Told::Request { target: self.target(head), client }
            }
        }
    }
}

/// What the hits of a block have in common that can be counted without their names at hand.
struct Batch<'h> {
    /// Whether that is all that is counted of them.
    suffices: bool,
    sections: Option<UrlSections<'h>>,
    /// How often each section occurred in an interval, and in which second first.
    counts: Vec<(u64, i64)>,
    /// The seconds of that interval.
    interval: Range<i64>,
    /// Of requests, and of their answers.
    seconds: [Seconds; 2],
}

impl<'h> Batch<'h> {
    fn new(scheme: &Scheme, sections: Option<UrlSections<'h>>) -> Self {
        let names = scheme.names;
        let knows_sections = !names.sections || sections.is_some();
        let suffices = knows_sections && !names.lists.urls && !names.lists.clients;
        let sections = sections.filter(|_| names.sections);
        let counts = sections.map_or(Vec::new(), |all| vec![(0, i64::MAX); all.names().len()]);
        let seconds = [Seconds::default(); 2];
        Self { suffices, sections, counts, interval: 0..0, seconds }
    }

    /// Counts the section of a hit in an interval; `tally` gets those of the interval before.
    #[inline]
    fn add(&mut self, head: u32, second: i64, scheme: &Scheme, tally: &mut Tally) {
        let Some(sections) = self.sections else { return };
        if !self.interval.contains(&second) {
            self.pour(scheme, tally);
            let start = second.div_euclid(scheme.interval_s) * scheme.interval_s;
            self.interval = start..start.saturating_add(scheme.interval_s);
        }
        let place = sections.place(head);
        if let Some((count, first)) = place.and_then(|place| self.counts.get_mut(place)) {
            *count += 1;
            *first = second.min(*first);
        }
    }

    /// Hands over what was counted.
    fn pour(&mut self, scheme: &Scheme, tally: &mut Tally) {
        let Some(sections) = self.sections.filter(|_| !self.interval.is_empty()) else { return };
        let tops = &mut tally.part(scheme.interval_s, self.interval.start).tops;
        for (name, count) in sections.names().zip(&mut self.counts) {
            if let (times @ 1.., first) = std::mem::replace(count, (0, i64::MAX)) {
                tops.add_section(name.as_bytes(), times, first);
            }
        }
    }
}

/// The seconds of times, most of which are that of the time before, which takes no division.
#[derive(Clone, Copy, Debug, Default)]
struct Seconds {
    second: i64,
    start_us: i64,
}

impl Seconds {
    #[inline]
    fn of(&mut self, time: Timestamp) -> i64 {
        let since_us = time.as_micros().wrapping_sub(self.start_us);
        if !(0..1_000_000).contains(&since_us) {
            self.second = second(time);
            self.start_us = self.second.saturating_mul(1_000_000);
        }
        self.second
    }
}

/// The longest address of version 4.
const TEXT_BYTES: usize = 15;

/// A client as lists have it; empty if it is unknown. Addresses of version 4, of which there are many,
/// are written to `text`.
fn client_of(ip: Option<IpAddr>, text: &mut [u8; TEXT_BYTES]) -> Cow<'_, [u8]> {
    match ip {
        None => Cow::Borrowed(&[]),
        Some(IpAddr::V4(ip)) => Cow::Borrowed(text_of(ip, text)),
        Some(ip) => Cow::Owned(ip.to_string().into_bytes()),
    }
}

pub(super) fn owned_client_of(ip: Option<IpAddr>) -> Cow<'static, [u8]> {
    Cow::Owned(client_of(ip, &mut [0; TEXT_BYTES]).into_owned())
}

/// The same as its `Display` has it.
fn text_of(ip: Ipv4Addr, text: &mut [u8; TEXT_BYTES]) -> &[u8] {
    let mut len = 0;
    let mut push = |byte: u8| {
        if let Some(place) = text.get_mut(len) {
            *place = byte;
            len += 1;
        }
    };
    for (number, octet) in ip.octets().into_iter().enumerate() {
        if number > 0 {
            push(b'.');
        }
        if octet >= 100 {
            push(b'0' + octet / 100);
        }
        if octet >= 10 {
            push(b'0' + octet / 10 % 10);
        }
        push(b'0' + octet % 10);
    }
    text.get(..len).unwrap_or_default()
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
        } else if self.open.is_empty() {
            self.names.clear();
        }
    }

    /// Takes the steps of one block, whose requests are these. Of `sections` and `heads` one suffices
    /// where [`Needs`] asks for nothing but sections, and both may be missing where it asks for nothing.
    pub fn add_steps(
        &mut self,
        ids: &[RequestId],
        steps: &[RequestStep],
        sections: Option<UrlSections<'_>>,
        heads: Option<&Heads<'_>>,
    ) {
        let (Some(first), Some(last)) = (steps.first(), steps.last()) else { return };
        self.extend(first.time);
        self.extend(last.time);
        let needs = self.needs;
        let sections = sections.filter(|_| needs.targets && !needs.urls);
        let heads = NeededHeads { heads, sections, needs };
        let mut batch = Batch::new(&self.scheme, sections);
        let mut near = vec![Near::Nothing; ids.len()];
        for step in steps {
            let number = step.request as usize;
            let (Some(near), Some(id)) = (near.get_mut(number), ids.get(number)) else { continue };
            if !self.step_near(near, step, &heads, &mut batch) {
                // It began in a block before, or more than once.
                let before = std::mem::take(near);
                self.part(*id, before, &heads);
                self.add(Leg { time: step.time, id: *id, told: heads.told(step) });
            }
        }
        batch.pour(&self.scheme, &mut self.tally);
        for (id, near) in ids.iter().zip(near) {
            if !matches!(near, Near::Nothing | Near::Counted) {
                self.part(*id, near, &heads);
            }
        }
        if self.open.is_empty() {
            self.names.clear();
        }
    }

    /// Takes the next record of a request of which all so far is in the same block, as it is with
    /// nearly all of them; answers whether it is so simple.
    #[inline]
    fn step_near(
        &mut self,
        near: &mut Near,
        step: &RequestStep,
        heads: &NeededHeads<'_>,
        batch: &mut Batch<'_>,
    ) -> bool {
        let time = step.time;
        *near = match (step.record_type, *near) {
            (RecordType::Request, Near::Nothing | Near::Counted) => {
                Near::Asked { time, head: step.head }
            }
            (RecordType::Response, Near::Asked { time: asked, head })
                if time.micros_since(asked) <= self.open_us =>
            {
                let second = self.answer_near(asked, head, step, heads, batch);
                if step.bytes.is_none() { Near::Answered { second } } else { Near::Counted }
            }
            (RecordType::ResponseFinished, Near::Answered { second }) => {
                self.add_bytes(time, second, step.bytes.unwrap_or_default());
                Near::Counted
            }
            (RecordType::ResponseFinished, Near::Counted) => Near::Counted,
            _ => return false,
        };
        true
    }

    /// Counts a request of the same block as its answer; answers the second it counts in.
    #[inline]
    fn answer_near(
        &mut self,
        asked: Timestamp,
        head: u32,
        answer: &RequestStep,
        heads: &NeededHeads<'_>,
        batch: &mut Batch<'_>,
    ) -> i64 {
        let time = asked.min(answer.time);
        let ending = Ending {
            status: answer.status,
            bytes: answer.bytes.unwrap_or_default(),
            latency_us: answer.duration_us.or_else(|| Some(answer.time.micros_since(asked))),
        };
        let [asked_in, answered_in] = &mut batch.seconds;
        let (counted, answered) = (asked_in.of(time), answered_in.of(answer.time));
        if batch.suffices && self.adds_up(counted, answered) {
            let part = self.tally.add_ending(&self.scheme, counted, &ending);
            part.tops.add_status(ending.status, counted, self.scheme.names);
            batch.add(head, counted, &self.scheme, &mut self.tally);
            return counted;
        }
        let Ending { status, bytes, latency_us } = ending;
        let mut text = [0; TEXT_BYTES];
        let (target, client) = (heads.target(head), client_of(heads.ip(head), &mut text));
        self.count(answer.time, &Hit { time, target, client, status, bytes, latency_us })
    }

    /// Keeps what is known of a request beyond its block.
    fn part(&mut self, id: RequestId, near: Near, heads: &NeededHeads<'_>) {
        let open = match near {
            Near::Nothing | Near::Counted => return,
            Near::Asked { time, head } => {
                let target = self.keep_target(&heads.target(head));
                let client = self.keep(&client_of(heads.ip(head), &mut [0; TEXT_BYTES]));
                Open::Asked { time, target, client }
            }
            Near::Answered { second } => Open::Answered { second },
        };
        if let Some(before) = self.open.insert(id, open) {
            self.loosen(id, before);
        }
    }

    fn extend(&mut self, time: Timestamp) {
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
                        latency_us: Some(duration_us.unwrap_or_else(|| time.micros_since(asked))),
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
    fn count(&mut self, time: Timestamp, hit: &Hit<'_>) -> i64 {
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
    fn adds_up(&self, counted: i64, told: i64) -> bool {
        counted >= told - self.scheme.lateness_s && self.scheme.adds_up
    }

    /// Whether it has no record.
    pub fn is_empty(&self) -> bool {
        self.span.is_none()
    }

    fn add_bytes(&mut self, time: Timestamp, counted: i64, bytes: u64) {
        if bytes == 0 {
            return;
        }
        if self.adds_up(counted, second(time)) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_written_as_everywhere() {
        for octet in 0..=255 {
            let ip = Ipv4Addr::new(octet, 0, 255 - octet, octet);
            assert_eq!(&*owned_client_of(Some(ip.into())), ip.to_string().as_bytes());
        }
        let ip: IpAddr = "2001:db8::1".parse().unwrap();
        assert_eq!(&*owned_client_of(Some(ip)), b"2001:db8::1");
        assert_eq!(&*owned_client_of(None), b"");
    }
}
