//! `--explain`: what an answer cost, and what it did not have to look at. And the interval of time
//! that the words of the command line came to mean, which `-v` tells, too.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use logq_format::Timestamp;
use logq_reader::Report;

use crate::output::zoned_time;
use crate::question::Range;

/// Time spent in a stage, summed over threads.
#[derive(Debug, Default)]
pub(crate) struct Stage(AtomicU64);

impl Stage {
    /// Does `work` and adds the time that it took.
    pub(crate) fn time<T>(&self, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let done = work();
        let nanos = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.0.fetch_add(nanos, Ordering::Relaxed);
        done
    }

    fn total(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

/// Where the time went.
#[derive(Debug)]
pub(crate) struct Stages {
    started: Instant,
    /// Words and segments.
    pub(crate) open: Stage,
    /// From records to text.
    pub(crate) render: Stage,
    /// From text to standard output.
    pub(crate) write: Stage,
}

impl Stages {
    pub(crate) fn new() -> Self {
        let stage = Stage::default;
        Self { started: Instant::now(), open: stage(), render: stage(), write: stage() }
    }
}

/// Tells the interval.
pub(crate) fn tell_interval(range: Range, zone: &TimeZone) {
    tell!("logq: interval {}", interval(range, zone));
}

fn interval(range: Range, zone: &TimeZone) -> String {
    let time = |time: Option<Timestamp>, open: &str| {
        time.map_or(open.to_owned(), |time| zoned_time(time, zone))
    };
    let (since, until) = (time(range.since, "the beginning"), time(range.until, "the end"));
    format!("from {since} up to {until}")
}

/// Tells what an answer cost.
pub(crate) fn tell(report: &Report, range: Range, zone: &TimeZone, stages: &Stages) {
    for line in lines(report, stages) {
        tell!("logq: {line}");
    }
    tell_interval(range, zone);
}

fn lines(report: &Report, stages: &Stages) -> Vec<String> {
    let counts = &report.statistics;
    let pruned = [
        (counts.pruned_by_time, "time"),
        (counts.pruned_by_level, "level"),
        (counts.pruned_by_type, "type"),
        (counts.pruned_by_worker, "worker"),
        (counts.pruned_by_expression, "expression"),
        (counts.pruned_by_request, "request"),
        (counts.pruned_by_text, "text"),
    ];
    let sum = counts.blocks_pruned();
    let others = [
        (counts.told_by_header, "told by their headers"),
        (counts.blocks_decoded(), "decoded"),
        (counts.blocks_damaged, "damaged"),
    ];
    let others: String = others
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!(", {count} {what}"))
        .collect();
    let by: Vec<_> = pruned
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} by {what}"))
        .collect();
    let by = if by.is_empty() { String::new() } else { format!(" ({})", by.join(", ")) };
    let millis = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1000.0);
    let render = stages.render.total();
    let decode = Duration::from_micros(counts.decode_us).saturating_sub(render);
    vec![
        format!("segments {}, of which {} were looked into", counts.segments, counts.segments_read),
        format!("blocks {}, of which {sum} were pruned{by}{others}", counts.blocks),
        format!("read {} bytes", counts.bytes_read),
        format!(
            "decoded {} spines and {} bodies, {} bytes",
            counts.spines_decoded, counts.bodies_decoded, counts.bytes_decoded
        ),
        format!("found {} records", counts.records),
        format!(
            "time {}: open {}, plan {}, decode {}, render {}, write {}; decoding and rendering \
             summed over {} threads",
            millis(stages.started.elapsed()),
            millis(stages.open.total()),
            millis(Duration::from_micros(counts.plan_us)),
            millis(decode),
            millis(render),
            millis(stages.write.total()),
            rayon::current_num_threads()
        ),
    ]
}
