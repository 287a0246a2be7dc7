//! `logq inflight`: the requests that had begun and not ended at an instant, such as a crash.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::time::Duration;

use clap::{Args, ValueEnum};
use jiff::tz::TimeZone;
use logq_format::{
    Event, Lifecycle, RecordType, RequestId, Timestamp, TypeSet, WorkerId, WriterId, json,
};
use logq_reader::{Filter, Order, Query, Row};

use crate::args::{FilterArguments, RangeArguments, StoreArguments};
use crate::completeness::Completeness;
use crate::exit::Exit;
use crate::output::time::{Precision, write_time};
use crate::output::{Output, escape, push, zoned_time};
use crate::question::Question;

/// When, where, and how to print it.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct InflightArguments {
    #[command(flatten)]
    stores: StoreArguments,

    /// The instant; the end of what there is, if none is named
    #[arg(
        long,
        value_name = "TIME",
        conflicts_with_all = ["until", "within", "around"],
        allow_hyphen_values = true
    )]
    at: Option<String>,

    #[command(flatten)]
    range: RangeArguments,

    /// Only requests of this worker; may be repeated
    #[arg(short = 'W', long = "worker", value_name = "NUMBER", value_delimiter = ',')]
    workers: Vec<String>,

    /// How to print
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: InflightFormat,

    /// Do not tell on standard error what is incomplete
    #[arg(short, long)]
    quiet: bool,
}

const EXAMPLES: &str = "\
A request begins with its REQUEST record and ends with RESPONSE_FINISHED, or with its process.

Examples:
  logq inflight --at 14:03:07 /var/log/shop
  logq inflight --at crash /var/log/shop       when the latest crash happened
  logq inflight --at crash -W 3 -o json /var/log/shop";

/// Ways to print requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum InflightFormat {
    /// A line a request, the oldest first, for people
    Text,
    /// One JSON object a line
    Json,
}

/// Prints the requests.
pub(crate) fn run(arguments: &InflightArguments) -> anyhow::Result<Exit> {
    let mut range = arguments.range.clone();
    if arguments.at.is_some() {
        range.until.clone_from(&arguments.at);
    }
    let filter = FilterArguments { workers: arguments.workers.clone(), ..Default::default() };
    let question = Question::new(&arguments.stores, &range, &filter)?;
    let mut query = question.query();
    query.filter.types = STEPS;

    let mut open = Open::default();
    let report = question.snapshot.scan(
        &query,
        |rows| rows.iter().filter_map(|row| Step::of(&row)).collect::<Vec<_>>(),
        |steps| {
            steps.into_iter().for_each(|step| open.take(step));
            ControlFlow::Continue(())
        },
    )?;
    // What is asked about the end of a process is asked about the moment before it.
    let until = question.range.until.unwrap_or(Timestamp::MAX);
    for life in &question.finality.gone {
        if until > life.holder.floor.saturating_add_micros(1) {
            open.take(Step::Lost(life.holder.origin.writer));
        }
    }
    let end = question.range.until.or(report.coverage.last).unwrap_or(Timestamp::MAX);
    let mut requests: Vec<_> = open.requests.into_iter().collect();
    requests.sort_by_key(|(request, state)| (state.begun, *request));
    let mut text = Vec::new();
    for (request, state) in &requests {
        match arguments.output {
            InflightFormat::Text => state.write_text(*request, end, &question.zone, &mut text),
            InflightFormat::Json => state.write_json(*request, end, &mut text),
        }
    }
    let mut out = Output::new();
    // A failure is told by `finish`.
    let _ = out.write(&text);
    let printed = out.finish()?;
    let completeness = Completeness::new(&report, question.range, &question.finality);
    if !arguments.quiet {
        if open.omitted > 0 {
            tell!("logq: {} more requests never end here and are not listed", open.omitted);
        }
        if let Some(end) = Abrupt::at(&question)? {
            tell!("logq: {}", end.text(&question.zone));
        }
        completeness.tell(printed.any);
    }
    Ok(completeness.exit(printed.any))
}

/// A worker that ended badly at the very instant that is asked about, as `--at crash` does: what it had
/// not written yet is lost with it, and no request that began then is listed.
struct Abrupt {
    worker: WorkerId,
    ended: Timestamp,
    last: Timestamp,
}

impl Abrupt {
    fn at(question: &Question) -> anyhow::Result<Option<Self>> {
        let Some(ended) = question.range.until else { return Ok(None) };
        let exits = Query {
            since: Some(ended),
            until: Some(ended.saturating_add_micros(1)),
            limit: Some(1),
            filter: Filter {
                types: TypeSet::EMPTY.with(RecordType::WorkerExited),
                ..question.query().filter
            },
            ..Query::default()
        };
        let worker = first(question, &exits, |row| match row.record().ok()?.event {
            Event::WorkerExited(exited) if !exited.is_orderly() => Some(exited.worker),
            _ => None,
        })?;
        let Some(worker) = worker else { return Ok(None) };
        let own = TypeSet::ALL.bits() & !ABOUT_OTHERS.bits();
        let filter = Filter {
            types: TypeSet::from_bits(own),
            workers: Some(vec![Some(worker)]),
            ..Filter::default()
        };
        let (order, limit) = (Order::Descending, Some(1));
        let newest = Query { until: Some(ended), filter, order, limit, ..Query::default() };
        let last = first(question, &newest, |row| Some(row.time()))?;
        Ok(last.map(|last| Self { worker, ended, last }))
    }

    fn text(&self, zone: &TimeZone) -> String {
        let Self { worker, ended, last } = self;
        let silent = Duration::from_micros(ended.micros_since(*last));
        format!(
            "worker {worker} ended badly, and its last record is of {}, {silent:?} before: what it began \
             in between was lost with it",
            zoned_time(*last, zone)
        )
    }
}

/// The records that the master writes about workers.
const ABOUT_OTHERS: TypeSet =
    TypeSet::EMPTY.with(RecordType::WorkerSpawned).with(RecordType::WorkerExited);

/// What `of` says of the first record that is found.
fn first<T: Send>(
    question: &Question,
    query: &Query<'_>,
    of: impl Fn(&Row<'_>) -> Option<T> + Sync,
) -> anyhow::Result<Option<T>> {
    let mut found = None;
    question.snapshot.scan(
        query,
        |rows| rows.iter().find_map(|row| of(&row)),
        |some| {
            found = found.take().or(some);
            ControlFlow::Continue(())
        },
    )?;
    Ok(found)
}

/// The records that tell when requests begin and end.
const STEPS: TypeSet = TypeSet::EMPTY
    .with(RecordType::Request)
    .with(RecordType::Response)
    .with(RecordType::ResponseFinished)
    .with(RecordType::WorkerLifecycle)
    .with(RecordType::MasterLifecycle)
    .with(RecordType::WorkerExited);

/// The most requests that may be open at once: more means that nobody logs their ends.
const OPEN_MAX: usize = 1_000_000;

/// Urls are cut after this many characters.
const URL_CHARS_MAX: usize = 200;

/// What one record means for the requests that are open.
enum Step {
    Begun(RequestId, State),
    Responded(RequestId, u16),
    Ended(RequestId),
    /// This process ended: its requests ended with it.
    Gone(Option<WorkerId>),
    /// This writer is there no more, and nobody recorded its end.
    Lost(WriterId),
    /// A process of this number began, as this writer.
    Started(Option<WorkerId>, WriterId),
    /// The whole cluster began.
    ClusterStarted(Timestamp),
}

/// A request that is open.
struct State {
    begun: Timestamp,
    worker: Option<WorkerId>,
    writer: WriterId,
    method: String,
    url: String,
    status: Option<u16>,
}

impl Step {
    fn of(row: &Row<'_>) -> Option<Self> {
        let record = row.record().ok()?;
        let origin = row.origin();
        match record.event {
            Event::Request(request) => Some(Self::Begun(
                request.request,
                State {
                    begun: record.time,
                    worker: origin.worker,
                    writer: origin.writer,
                    method: request.method.as_str().to_owned(),
                    url: request.url.chars().take(URL_CHARS_MAX).collect(),
                    status: None,
                },
            )),
            Event::Response(response) => Some(Self::Responded(response.request, response.status)),
            Event::ResponseFinished(finished) => Some(Self::Ended(finished.request)),
            Event::WorkerExited(exited) => Some(Self::Gone(Some(exited.worker))),
            Event::Lifecycle(Lifecycle::WorkerDone) => Some(Self::Gone(origin.worker)),
            Event::Lifecycle(Lifecycle::WorkerStarted) => {
                Some(Self::Started(origin.worker, origin.writer))
            }
            Event::Lifecycle(Lifecycle::StartingUp) => Some(Self::ClusterStarted(record.time)),
            _ => None,
        }
    }
}

/// The requests that are open.
#[derive(Default)]
struct Open {
    requests: HashMap<RequestId, State>,
    /// Requests that found no place.
    omitted: u64,
}

impl Open {
    fn take(&mut self, step: Step) {
        match step {
            Step::Begun(..) if self.requests.len() >= OPEN_MAX => self.omitted += 1,
            Step::Begun(request, state) => {
                self.requests.insert(request, state);
            }
            Step::Responded(request, status) => {
                if let Some(state) = self.requests.get_mut(&request) {
                    state.status = Some(status);
                }
            }
            Step::Ended(request) => {
                self.requests.remove(&request);
            }
            Step::Lost(writer) => self.requests.retain(|_, state| state.writer != writer),
            Step::Gone(worker) => self.requests.retain(|_, state| state.worker != worker),
            Step::Started(worker, writer) => {
                self.requests.retain(|_, state| state.worker != worker || state.writer == writer);
            }
            Step::ClusterStarted(time) => self.requests.retain(|_, state| state.begun >= time),
        }
    }
}

impl State {
    fn write_text(&self, request: RequestId, end: Timestamp, zone: &TimeZone, out: &mut Vec<u8>) {
        write_time(out, self.begun, zone, Precision::Millis);
        let mut age = Vec::new();
        json::write_millis(&mut age, end.micros_since(self.begun));
        push(out, format_args!(" {:>12} ms", String::from_utf8_lossy(&age)));
        match self.worker {
            Some(worker) => push(out, format_args!(" w{worker:<5}")),
            None => push(out, format_args!(" master")),
        }
        push(out, format_args!(" {request} "));
        escape::push(out, &self.method);
        out.push(b' ');
        escape::push(out, &self.url);
        if let Some(status) = self.status {
            push(out, format_args!(", {status} sent"));
        }
        out.push(b'\n');
    }

    fn write_json(&self, request: RequestId, end: Timestamp, out: &mut Vec<u8>) {
        let age_us = end.micros_since(self.begun);
        let object = serde_json::json!({
            "requestId": request.to_string(),
            "begun": self.begun.to_string(),
            // Below 2^53 microseconds, which are 285 years, this is exact.
            "ageMs": age_us as f64 / 1_000.0,
            "workerId": self.worker.map(WorkerId::get),
            "writer": self.writer.0,
            "method": self.method,
            "url": self.url,
            "statusCode": self.status,
        });
        out.extend_from_slice(object.to_string().as_bytes());
        out.push(b'\n');
    }
}
