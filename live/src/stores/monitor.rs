//! `/v1/monitor`: what `logq monitor --store` has written, as the bars of a graph and the alerts.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use http::Method;
use http::request::Parts;
use jiff::tz::TimeZone;
use logq_format::{Event, RecordType, Timestamp, TypeSet};
use logq_monitor::series::{AlertSpan, Bar, Entry, History};
use logq_query::Expression;
use logq_query::when::{self, Context};
use logq_reader::{Filter, Order, Query, Snapshot, StoreMarks};
use serde_json::{Value, json};

use super::channel::Stop;
use super::question::{Finality, Range, open};
use super::refusal::{Refusal, time};
use super::turns::Turns;
use super::{Parameters, aside, json_response, query_of};
use crate::message::{Peer, Request, Response};
use crate::problem::Problem;
use crate::service::{Answering, Service};

/// The parameters of both answers.
const NAMES: &[&str] = &["since", "until", "in", "tz"];

/// The most bars of an answer; a longer time has longer bars.
const BARS_MAX: usize = 5_000;

/// The most transitions that are looked at, the newest ones.
const TRANSITIONS_MAX: u64 = 10_000;

/// So far back an answer goes that names no time, in microseconds.
const DEFAULT_US: i64 = 600_000_000;

/// Questions that are answered at once.
const QUESTIONS_MAX: usize = 4;

/// Answers questions about a monitor.
#[derive(Debug)]
pub struct Monitor {
    store: PathBuf,
    zone: TimeZone,
    questions: Turns,
}

impl Monitor {
    /// Serves the series in a store, which need not be there yet. Times that name no zone are those of
    /// `zone`.
    #[must_use]
    pub fn new(store: PathBuf, zone: TimeZone) -> Self {
        Self { store, zone, questions: Turns::new(QUESTIONS_MAX) }
    }

    async fn answer(&self, head: &Parts, peer: Peer) -> Result<Response, Problem> {
        if !matches!(head.method, Method::GET | Method::HEAD) {
            return Err(Problem::method_not_allowed("GET, HEAD"));
        }
        let answer = match head.uri.path() {
            "/v1/monitor/series" => series,
            "/v1/monitor/events" => events,
            _ => return Err(Problem::not_found()),
        };
        let (store, zone) = (self.store.clone(), self.zone.clone());
        let query = query_of(head).to_owned();
        let work = move |stop: &Stop| answer(&store, &query, &zone, stop);
        let (answer, turn) = aside(&self.questions, peer, work).await?;
        let answer = answer.map_err(Refusal::problem)?;
        Ok(json_response(format!("{answer}\n"), turn, head))
    }
}

impl Service for Monitor {
    fn call(&self, request: Request) -> Answering<'_> {
        let Request { head, peer, .. } = request;
        Box::pin(async move {
            let answered = self.answer(&head, peer).await;
            answered.unwrap_or_else(|problem| problem.answer_for(&head.headers))
        })
    }
}

/// The store, and the time that is asked about.
struct Asked<'s> {
    snapshot: Snapshot,
    finality: Finality,
    zone: TimeZone,
    since: Timestamp,
    until: Timestamp,
    stop: &'s Stop,
}

impl<'s> Asked<'s> {
    fn new(
        store: &Path,
        parameters: &Parameters,
        zone: &TimeZone,
        stop: &'s Stop,
    ) -> Result<Self, Refusal> {
        let zone = match parameters.one("tz")? {
            Some(text) => {
                when::parse_zone(text, || zone.clone()).map_err(|error| time("tz", &error))?
            }
            None => zone.clone(),
        };
        let (snapshot, finality) = open(store)?;
        let marks = StoreMarks::new(&snapshot).with_writers(&finality.gone);
        let now = finality.now;
        let context = |since| Context { now, zone: zone.clone(), since, marks: Some(&marks) };
        let range = Range::new(parameters, context)?;
        drop(marks);
        let until = range.until.unwrap_or(Timestamp::MAX);
        let since = range.since.unwrap_or(until.min(now).saturating_add_micros(-DEFAULT_US));
        Ok(Self { snapshot, finality, zone, since, until, stop })
    }

    /// Calls `take` with the entries of [since, until) in order, each with its second; of those for
    /// which the expression holds, if one is given.
    fn entries(
        &self,
        since: Option<Timestamp>,
        until: Timestamp,
        newest: Option<u64>,
        expression: Option<&Expression>,
        mut take: impl FnMut(i64, Entry),
    ) -> Result<(), Refusal> {
        let types = [RecordType::MasterLog, RecordType::WorkerLog, RecordType::RequestLog];
        let types = types.into_iter().fold(TypeSet::EMPTY, TypeSet::with);
        let query = Query {
            since,
            until: Some(until),
            filter: Filter { types, expression, ..Filter::default() },
            order: if newest.is_some() { Order::Descending } else { Order::Ascending },
            limit: newest,
            stop: Some(self.stop.flag()),
            ..Query::default()
        };
        let mut turned = Vec::new();
        self.snapshot.scan(
            &query,
            |rows| {
                let entry = |row: logq_reader::Row<'_>| {
                    let record = row.record().ok()?;
                    let Event::Log { data, .. } = &record.event else { return None };
                    let entry = Entry::parse(data.as_str()).ok().flatten()?;
                    Some((record.time.as_micros().div_euclid(1_000_000), entry))
                };
                rows.iter().filter_map(entry).collect::<Vec<_>>()
            },
            |found| {
                match newest {
                    Some(_) => turned.extend(found),
                    None => found.into_iter().for_each(|(second, entry)| take(second, entry)),
                }
                ControlFlow::Continue(())
            },
        )?;
        turned.into_iter().rev().for_each(|(second, entry)| take(second, entry));
        Ok(())
    }

    /// An expression of this program.
    fn expression(&self, text: &str) -> Result<Expression, Refusal> {
        let (now, zone) = (self.finality.now, self.zone.clone());
        let context = Context { now, zone, since: None, marks: None };
        Expression::parse(text, &context).map_err(|error| super::refusal::expression("", &error))
    }

    /// The run that was under way when the time begins, if there was one: seconds without a record
    /// had no hits then.
    fn run_before(&self) -> Result<Option<Entry>, Refusal> {
        let (mut last, mut started) = (None, None);
        self.entries(None, self.since, Some(1), None, |_, entry| last = Some(entry))?;
        if matches!(last, None | Some(Entry::Ended(_))) {
            return Ok(None);
        }
        let runs = self.expression("data.monitor = 'started'")?;
        self.entries(None, self.since, Some(1), Some(&runs), |_, entry| started = Some(entry))?;
        Ok(started)
    }

    fn as_of(&self) -> Option<String> {
        self.snapshot.coverage().last.map(|last| last.to_string())
    }
}

/// `/v1/monitor/series`: requests over time.
fn series(store: &Path, query: &str, zone: &TimeZone, stop: &Stop) -> Result<Value, Refusal> {
    let names: Vec<_> = NAMES.iter().copied().chain(["step"]).collect();
    let parameters = Parameters::parse(query, &names)?;
    let step = parameters.one("step")?.unwrap_or("1s");
    let step = when::parse_duration(step).map_err(|error| time("step", &error))?;
    let asked = Asked::new(store, &parameters, zone, stop)?;
    let step_s = u32::try_from(step.as_secs()).unwrap_or(u32::MAX).max(1);
    let mut history = History::new(step_s, BARS_MAX);
    if let Some(started) = asked.run_before()? {
        history.add(asked.since.as_micros().div_euclid(1_000_000), &started);
    }
    asked.entries(Some(asked.since), asked.until, None, None, |second, entry| {
        history.add(second, &entry);
    })?;
    let bars = history.bars();
    let points = bars.iter().map(point);
    Ok(json!({
        "stepS": history.step_s(),
        "asOf": asked.as_of(),
        "points": points.collect::<Vec<_>>(),
    }))
}

/// A bar; without numbers where nobody watched, which is not the same as no hits.
fn point(bar: &Bar) -> Value {
    let time = second(bar.start);
    if bar.covered_s == 0 {
        return json!({ "time": time, "watchedS": 0, "requests": null });
    }
    let [other, c1, c2, c3, c4, c5] = bar.counts.classes;
    let milliseconds = |permille| bar.latencies.quantile_us(permille).map(|us| us as f64 / 1_000.0);
    json!({
        "time": time,
        "watchedS": bar.covered_s,
        "requests": bar.counts.hits,
        "peak": bar.peak,
        "bytes": u64::try_from(bar.counts.bytes).unwrap_or(u64::MAX),
        "status": { "1xx": c1, "2xx": c2, "3xx": c3, "4xx": c4, "5xx": c5, "other": other },
        "p50Ms": milliseconds(500),
        "p99Ms": milliseconds(990),
    })
}

/// `/v1/monitor/events`: the alerts that fired in a time, also if they began before it.
fn events(store: &Path, query: &str, zone: &TimeZone, stop: &Stop) -> Result<Value, Refusal> {
    let parameters = Parameters::parse(query, NAMES)?;
    let asked = Asked::new(store, &parameters, zone, stop)?;
    // Bars do not matter here, so they may be as long as they like.
    let mut history = History::new(86_400, BARS_MAX);
    let wanted = asked.expression("data.monitor in ('alert', 'started', 'ended')")?;
    asked.entries(None, asked.until, Some(TRANSITIONS_MAX), Some(&wanted), |second, entry| {
        history.add(second, &entry);
    })?;
    let since = asked.since.as_micros().div_euclid(1_000_000);
    let is_within = |span: &&AlertSpan| span.to.is_none_or(|to| to >= since);
    let rules = history.rules().iter().map(|rule| {
        json!({
            "rule": rule.rule,
            "measure": rule.measure,
            "threshold": rule.threshold,
            "windowS": rule.window_s,
        })
    });
    Ok(json!({
        "asOf": asked.as_of(),
        "rules": rules.collect::<Vec<_>>(),
        "alerts": history.alerts().iter().filter(is_within).map(alert).collect::<Vec<_>>(),
    }))
}

fn alert(span: &AlertSpan) -> Value {
    let fired = span.fired.as_ref();
    json!({
        "rule": span.rule,
        "section": span.section,
        "firedAt": span.from.map(second),
        "recoveredAt": span.to.map(second),
        "value": fired.and_then(|alert| alert.value),
        "threshold": fired.map(|alert| alert.threshold),
        "message": fired.map(|alert| alert.message.as_str()),
    })
}

/// The beginning of a second, as text.
fn second(second: i64) -> String {
    Timestamp::from_micros(second.saturating_mul(1_000_000)).to_string()
}
