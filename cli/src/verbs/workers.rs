//! `logq workers`: a line for each process of a cluster: whether it lives, is silent or has ended,
//! how, and how often it was started again.

mod lane;

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use clap::{Args, ValueEnum};
use jiff::tz::TimeZone;
use logq_format::{RecordType, Timestamp, TypeSet, WorkerId};
use logq_query::words;
use logq_reader::{Filter, Liveness, Query, Report, Row};
use logq_writer::{Clock as _, SystemClock};

use self::lane::{Lane, Sign, State};
use crate::args::{ColorChoice, StoreArguments, ZoneArguments};
use crate::exit::Exit;
use crate::output::time::{Precision, write_time};
use crate::output::{Output, Style, escape, push};
use crate::question;

/// Which workers, and how to print them.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct WorkersArguments {
    #[command(flatten)]
    stores: StoreArguments,

    /// Only this worker, or `master`; may be repeated
    #[arg(short = 'W', long = "worker", value_name = "NUMBER", value_delimiter = ',')]
    workers: Vec<String>,

    #[command(flatten)]
    zone: ZoneArguments,

    /// How to print
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: WorkersFormat,

    /// When to colour the output
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: ColorChoice,
}

const EXAMPLES: &str = "\
alive            the process lives; what it was given to log is written or on its way
silent           the process lives, but has held records back for seconds: it is stopped or stuck
exited, killed   the master recorded the exit code or the signal
left             it closed its logger in good order
gone             it lives no more, and nobody recorded how it ended
restart loop     its last three lives lasted less than a minute each and ended badly

Whether a process lives is known on its own machine only.

Examples:
  logq workers /var/log/shop
  logq workers -W 3 -o json /var/log/shop";

/// Ways to print workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum WorkersFormat {
    /// A line a process, for people
    Text,
    /// One JSON object a line
    Json,
}

/// The records that tell of processes.
const SIGNS: TypeSet = TypeSet::EMPTY
    .with(RecordType::WorkerLifecycle)
    .with(RecordType::MasterLifecycle)
    .with(RecordType::WorkerSpawned)
    .with(RecordType::WorkerExited)
    .with(RecordType::UncaughtException);

/// Prints a line for each process of each store.
pub(crate) fn run(arguments: &WorkersArguments) -> anyhow::Result<Exit> {
    let zone = question::zone(&arguments.zone)?;
    let wanted = arguments.workers.iter().map(|word| words::worker(word));
    let wanted: Vec<_> = wanted.collect::<Result<_, _>>()?;
    let style = Style::of_environment(arguments.color)?;
    let mut out = Output::new();
    let mut is_complete = true;
    for store in question::stores(&arguments.stores).iter() {
        let now = SystemClock.now();
        let liveness = Liveness::of(store, now)?;
        let (lanes, report) = lanes(&liveness)?;
        is_complete &= report.is_complete();
        let mut text = Vec::new();
        for (worker, lane) in &lanes {
            if !wanted.is_empty() && !wanted.contains(worker) {
                continue;
            }
            let state = lane.state(now);
            match arguments.output {
                WorkersFormat::Text => {
                    write_text(*worker, lane, &state, &zone, &style, &mut text);
                }
                WorkersFormat::Json => write_json(*worker, lane, &state, &mut text),
            }
        }
        if out.write(&text).is_break() {
            break;
        }
    }
    let printed = out.finish()?;
    Ok(match (printed.any, is_complete) {
        (_, false) => Exit::Incomplete,
        (true, true) => Exit::Success,
        (false, true) => Exit::NoMatch,
    })
}

/// What the store and the machine tell of each process, the master first.
fn lanes(liveness: &Liveness) -> anyhow::Result<(BTreeMap<Option<WorkerId>, Lane>, Report)> {
    let mut lanes: BTreeMap<_, Lane> = BTreeMap::new();
    let summary = liveness.snapshot.summary()?;
    for writer in &summary.writers {
        lanes.entry(writer.origin.worker).or_default().add_writer(writer);
    }
    let query = Query { filter: Filter { types: SIGNS, ..Filter::default() }, ..Query::default() };
    let report = liveness.snapshot.scan(
        &query,
        |rows| rows.iter().filter_map(|row| sign(&row)).collect::<Vec<_>>(),
        |signs| {
            for (worker, sign) in signs {
                lanes.entry(worker).or_default().add_sign(sign);
            }
            ControlFlow::Continue(())
        },
    )?;
    for life in &liveness.writers {
        lanes.entry(life.holder.origin.worker).or_default().add_life(life);
    }
    Ok((lanes, report))
}

/// Whom a record is about, and what it tells of that process.
fn sign(row: &Row<'_>) -> Option<(Option<WorkerId>, Sign)> {
    let record = row.record().ok()?;
    Some((record.subject(row.origin()), Sign::of(&record)?))
}

fn write_text(
    worker: Option<WorkerId>,
    lane: &Lane,
    state: &State,
    zone: &TimeZone,
    style: &Style,
    out: &mut Vec<u8>,
) {
    match worker {
        Some(worker) => push(out, format_args!("{:<7}", format!("w{worker}"))),
        None => out.extend_from_slice(b"master "),
    }
    let mut words = Vec::new();
    state.write(&mut words, |words, time| write_time(words, time, zone, Precision::Millis));
    style.level(state.level(), out, |out| escape::push(out, &String::from_utf8_lossy(&words)));
    let seen = |name: &str, time: Option<Timestamp>, out: &mut Vec<u8>| {
        if let Some(time) = time {
            push(out, format_args!(", {name} "));
            write_time(out, time, zone, Precision::Millis);
        }
    };
    seen("started", lane.started(), out);
    seen("last record", lane.last(), out);
    push(out, format_args!(", {} records", lane.records()));
    if lane.lives() > 1 {
        push(out, format_args!(", {} lives", lane.lives()));
    }
    if lane.bad_ends() > 0 {
        push(out, format_args!(", {} ended badly", lane.bad_ends()));
    }
    if lane.is_looping() {
        style.level(logq_format::Level::Critical, out, |out| {
            out.extend_from_slice(b", restart loop");
        });
    }
    out.push(b'\n');
}

fn write_json(worker: Option<WorkerId>, lane: &Lane, state: &State, out: &mut Vec<u8>) {
    let time = |time: Option<Timestamp>| time.map(|time| time.to_string());
    let object = serde_json::json!({
        "workerId": worker.map(WorkerId::get),
        "state": state.name(),
        "since": time(state.since()),
        "exitCode": state.exit_code(),
        "signal": state.signal(),
        "pid": lane.pid(),
        "started": time(lane.started()),
        "last": time(lane.last()),
        "records": lane.records(),
        "lives": lane.lives(),
        "endedBadly": lane.bad_ends(),
        "restartLoop": lane.is_looping(),
    });
    out.extend_from_slice(object.to_string().as_bytes());
    out.push(b'\n');
}
