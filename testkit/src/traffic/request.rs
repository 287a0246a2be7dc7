//! One request from its first record to its last: planned when it arrives, told step by step.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fastrand::Rng;
use logq_format::{
    DebugEntry, ErrorInfo, ErrorKind, Event, HttpVersion, Json, Level, LogSource, Record, Request,
    RequestId, Response, ResponseFinished, Timestamp, WorkerId,
};

use super::catalog::{DEBUG_MESSAGES, EXPECTED, Kind, METAS, ROUTES, Route, Values, WARNINGS};
use super::sampling::{Alias, log_normal};
use super::stacks::{Stack, stacks};

/// Clients of the shop.
const CLIENTS: u32 = 20_000;

/// Items of the shop.
const ITEMS: u32 = 30_000;

/// Out of 1,000 requests, how many end in an unexpected error.
const FAILED_PER_MILLE: u32 = 13;

/// Out of 1,000 requests, how many end in an error that the handler expects.
const EXPECTED_PER_MILLE: u32 = 24;

/// The longest a request takes, in microseconds.
const DURATION_US_MAX: u64 = 10_000_000;

/// The code of the shop is the same on all days, so its stacks do not depend on the seed.
const STACKS_SEED: u64 = 30;

/// What all requests have in common, and buffers for their texts.
#[derive(Debug)]
pub(crate) struct Scene {
    routes: Alias,
    clients: Alias,
    items: Alias,
    stacks: Vec<Stack>,
    orders: u32,
    text: String,
    entries: [String; 4],
}

/// A request in flight: what will happen when.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    id: RequestId,
    worker: Option<WorkerId>,
    start: Timestamp,
    client: u32,
    route: usize,
    values: Values,
    outcome: Outcome,
    status: u16,
    bytes: u64,
    response_us: u64,
    /// Offsets from the start in microseconds, in order.
    steps: Vec<(u64, Step)>,
    done: usize,
}

#[derive(Clone, Copy, Debug, Default)]
enum Outcome {
    #[default]
    Fine,
    Expected(usize),
    Failed(usize),
    /// The client went away while the body was sent.
    Aborted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Request,
    Meta,
    Log,
    Warning,
    Response,
    Finished,
}

impl Plan {
    /// The most records a request has.
    pub(crate) const RECORDS_MAX: u64 = 9;

    /// How many records the request has in all.
    pub(crate) fn records(&self) -> u64 {
        self.steps.len() as u64
    }

    pub(crate) fn worker(&self) -> WorkerId {
        self.worker.unwrap_or(WorkerId::MAX)
    }

    /// When the next step is due, if there is one.
    pub(crate) fn next_time(&self) -> Option<Timestamp> {
        let (offset, _) = self.steps.get(self.done)?;
        Some(self.start.saturating_add_micros(offset.cast_signed()))
    }

    fn route(&self) -> &'static Route {
        // `Scene::plan` draws the route from the catalogue.
        ROUTES.get(self.route).unwrap_or(&ROUTES[0])
    }
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self {
            routes: Alias::new((2_u32..).zip(&ROUTES).map(|(rank, _)| 1.0 / f64::from(rank))),
            clients: Alias::zipf(CLIENTS, 12),
            items: Alias::zipf(ITEMS, 40),
            stacks: stacks(&mut Rng::with_seed(STACKS_SEED)),
            orders: 1_204_000,
            text: String::new(),
            entries: Default::default(),
        }
    }

    /// Values of something that is no request.
    pub(crate) fn values(&mut self, random: &mut Rng) -> Values {
        let client = self.clients.draw(random);
        Values { item: 10_000 + self.items.draw(random), user: user_of(client), order: self.orders }
    }

    /// Decides all that will happen to a request that arrives at `start`.
    pub(crate) fn plan(
        &mut self,
        random: &mut Rng,
        worker: WorkerId,
        start: Timestamp,
        plan: &mut Plan,
    ) {
        plan.id = RequestId::from_bytes(version_4(random.u128(..)));
        (plan.worker, plan.start, plan.done) = (Some(worker), start, 0);
        plan.client = self.clients.draw(random);
        plan.route = self.routes.draw(random) as usize;
        let item = 10_000 + self.items.draw(random);
        plan.values = Values { item, user: user_of(plan.client), order: self.orders };
        let route = plan.route();
        self.orders += u32::from(route.url.contains("orders"));

        let (outcome, status) = self.outcome(random, route);
        (plan.outcome, plan.status) = (outcome, status);
        let sigma = if route.kind == Kind::Static { 0.8 } else { 1.1 };
        plan.response_us = log_normal(random, route.median_us, sigma).clamp(40, DURATION_US_MAX);
        plan.bytes = bytes(random, route, status);
        plan_steps(random, route, plan);
    }

    fn outcome(&self, random: &mut Rng, route: &Route) -> (Outcome, u16) {
        let dice = random.u32(..1000);
        let handled = route.kind != Kind::Static;
        if handled && dice < FAILED_PER_MILLE {
            let index = random.usize(..self.stacks.len());
            (Outcome::Failed(index), self.stacks.get(index).map_or(500, |stack| stack.status))
        } else if handled && dice < FAILED_PER_MILLE + EXPECTED_PER_MILLE {
            let index = random.usize(..EXPECTED.len());
            (Outcome::Expected(index), EXPECTED.get(index).map_or(404, |(status, _)| *status))
        } else if dice > 996 {
            (Outcome::Aborted, 200)
        } else {
            (Outcome::Fine, success(random, route.kind))
        }
    }

    /// Tells the next step of a request.
    pub(crate) fn emit(
        &mut self,
        random: &mut Rng,
        plan: &mut Plan,
        time: Timestamp,
        visit: impl FnOnce(&Record<'_>),
    ) {
        let Some((_, step)) = plan.steps.get(plan.done).copied() else { return };
        plan.done += 1;
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        let event = match step {
            Step::Request => request(random, plan, &mut text),
            Step::Meta => {
                let template = METAS.get(plan.client as usize % METAS.len());
                plan.values.render(template.copied().unwrap_or_default(), random, &mut text);
                Event::RequestMeta { request: plan.id, data: json(&text) }
            }
            Step::Log => log(random, plan, Level::Info, plan.route().messages, &mut text),
            Step::Warning => log(random, plan, Level::Warn, &WARNINGS, &mut text),
            Step::Response => {
                let (error, expected) = self.error(random, plan, time, &mut text);
                Event::Response(Response {
                    request: plan.id,
                    status: plan.status,
                    error,
                    expected,
                    bytes: None,
                    duration_us: Some(plan.response_us),
                })
            }
            Step::Finished => finished(plan),
        };
        visit(&Record { time, event });
        self.text = text;
    }

    fn error<'a>(
        &'a mut self,
        random: &mut Rng,
        plan: &Plan,
        time: Timestamp,
        text: &'a mut String,
    ) -> (Option<ErrorInfo<'a>>, bool) {
        match plan.outcome {
            Outcome::Fine | Outcome::Aborted => (None, false),
            Outcome::Expected(index) => {
                let message = EXPECTED.get(index).map_or("", |(_, message)| message);
                plan.values.render(message, random, text);
                let debug = Cow::Borrowed([].as_slice());
                let kind = ErrorKind::Value;
                (Some(ErrorInfo { kind, text, properties: None, debug }), true)
            }
            Outcome::Failed(index) => {
                if let Some(stack) = self.stacks.get(index) {
                    stack.render(&plan.values, random, text);
                }
                let debug = debug_entries(random, plan, time, &mut self.entries);
                let code = [None, Some(Json::new(r#"{"code":"E_UPSTREAM"}"#)), None, None];
                let properties = code.get(index % 4).copied().flatten().flatten();
                let debug = Cow::Owned(debug);
                (Some(ErrorInfo { kind: ErrorKind::Stack, text, properties, debug }), false)
            }
        }
    }

    /// An exception outside of any request.
    pub(crate) fn exception<'a>(
        &mut self,
        random: &mut Rng,
        text: &'a mut String,
    ) -> ErrorInfo<'a> {
        let values = self.values(random);
        if let Some(stack) = random.choice(&self.stacks) {
            stack.render(&values, random, text);
        }
        let debug = Cow::Borrowed([].as_slice());
        ErrorInfo { kind: ErrorKind::Stack, text, properties: None, debug }
    }
}

fn json(text: &str) -> Json<'_> {
    // Templates have no control characters.
    Json::new(text).unwrap_or(Json::NULL)
}

fn request<'a>(random: &mut Rng, plan: &Plan, url: &'a mut String) -> Event<'a> {
    let route = plan.route();
    plan.values.render(route.url, random, url);
    let http_version = match plan.client % 10 {
        0..7 => HttpVersion::HTTP_2,
        7..9 => HttpVersion::HTTP_11,
        _ => HttpVersion::HTTP_3,
    };
    let ip = Some(address(plan.client));
    Event::Request(Request { request: plan.id, ip, http_version, method: route.method, url })
}

fn log<'a>(
    random: &mut Rng,
    plan: &Plan,
    level: Level,
    messages: &[&str],
    text: &'a mut String,
) -> Event<'a> {
    let template = random.choice(messages).copied().unwrap_or("null");
    plan.values.render(template, random, text);
    Event::Log { source: LogSource::Request(plan.id), level, data: json(text) }
}

fn finished<'a>(plan: &Plan) -> Event<'a> {
    let error = matches!(plan.outcome, Outcome::Aborted).then(|| ErrorInfo {
        kind: ErrorKind::Value,
        text: "client closed the connection",
        properties: None,
        debug: Cow::Borrowed(&[]),
    });
    let bytes = Some(plan.bytes);
    Event::ResponseFinished(ResponseFinished { request: plan.id, error, bytes, duration_us: None })
}

fn debug_entries<'a>(
    random: &mut Rng,
    plan: &Plan,
    time: Timestamp,
    texts: &'a mut [String; 4],
) -> Vec<DebugEntry<'a>> {
    let count = random.usize(..=texts.len());
    for text in texts.iter_mut().take(count) {
        text.clear();
        let template = random.choice(&DEBUG_MESSAGES).copied().unwrap_or_default();
        plan.values.render(template, random, text);
    }
    let share = plan.response_us.cast_signed() / (count as i64 + 1);
    let texts: &'a [String; 4] = texts;
    let ages = (1..=count as i64).rev();
    texts
        .iter()
        .zip(ages)
        .map(|(text, age)| DebugEntry {
            time: time.saturating_add_micros(-share * age),
            data: json(text),
        })
        .collect()
}

/// The status of a request that went well.
fn success(random: &mut Rng, kind: Kind) -> u16 {
    match (kind, random.u8(..10)) {
        (Kind::Static, 0..4) => 304,
        (Kind::Write, 0..3) => 201,
        (Kind::Write, 3..6) => 204,
        (Kind::Write, 6) => 302,
        _ => 200,
    }
}

fn bytes(random: &mut Rng, route: &Route, status: u16) -> u64 {
    match (status, route.kind) {
        (204 | 304, _) => 0,
        (400.., _) => 60 + u64::from(status % 7) * 11,
        (_, Kind::Static) => u64::from(route.bytes),
        _ => log_normal(random, route.bytes, 0.5),
    }
}

fn plan_steps(random: &mut Rng, route: &Route, plan: &mut Plan) {
    let end = plan.response_us;
    let steps = &mut plan.steps;
    steps.clear();
    steps.push((0, Step::Request));
    if plan.client % 5 < 2 && route.kind != Kind::Static {
        steps.push((end / 16 + random.u64(..30), Step::Meta));
    }
    if !route.messages.is_empty() {
        // The third power favours few messages.
        let dice = random.u32(..12);
        let count = [0, 1, 1, 1, 2, 2, 2, 3, 3, 4, 1, 2].get(dice as usize).copied().unwrap_or(1);
        steps.extend((0..count).map(|_| (random.u64(..end), Step::Log)));
        if random.u8(..40) == 0 {
            steps.push((random.u64(..end), Step::Warning));
        }
    }
    steps.push((end + random.u64(8..60), Step::Response));
    let sending = 20 + plan.bytes / 40;
    steps.push((end + 60 + log_normal(random, 30, 1.0) + random.u64(..sending), Step::Finished));
    steps.sort_unstable();
}

/// Every client has one user.
fn user_of(client: u32) -> u32 {
    40_000 + client.wrapping_mul(7_919) % 25_000
}

/// The address of a client: one in twenty speaks version 6.
fn address(client: u32) -> IpAddr {
    let bits = client.wrapping_mul(0x9E37_79B1).rotate_left(13).wrapping_mul(0x85EB_CA6B);
    let [a, b, c, d] = bits.to_be_bytes();
    if client % 20 == 7 {
        let host = u64::from(bits).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes();
        let [e, f, g, h, i, j, k, l] = host;
        let bytes = [0x20, 0x01, 0x0D, b | 0x40, a & 15, c, 0, d, e, f, g, h, i, j, k, l];
        return IpAddr::V6(Ipv6Addr::from(bytes));
    }
    IpAddr::V4(Ipv4Addr::new(20 + a % 180, b, c, d))
}

/// The bytes of a random UUID (RFC 9562, section 5.4).
fn version_4(random: u128) -> [u8; 16] {
    let version = random & !(0xF << 76) | 4 << 76;
    (version & !(3 << 62) | 2 << 62).to_be_bytes()
}
