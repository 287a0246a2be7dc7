//! What the monitor says as JSON: an object in each line, whose `type` tells what it is.
//!
//! Times are as `--since` takes them, latencies in milliseconds, ratios from 0 to 1. Bytes of a log
//! that are no UTF-8 become U+FFFD.

use logq_monitor::render::{self, Style};
use logq_monitor::{
    Change, Counts, Measure, Monitor, Output, Rule, Sketch, Summary, TopList, TopLists, Transition,
};
use serde_json::{Map, Value, json};

pub(super) type Object = Map<String, Value>;

/// Quantiles by their names, in thousandths.
const QUANTILES: [(&str, u16); 4] =
    [("p50_ms", 500), ("p90_ms", 900), ("p95_ms", 950), ("p99_ms", 990)];

pub(super) fn started(name: &str) -> Object {
    object(json!({ "type": "started", "source": name }))
}

/// The object of an output, if it has one, with so many entries of each list. `identity` is what the
/// ids of alerts begin with.
pub(super) fn output(
    output: &Output,
    rules: &[Rule],
    top: usize,
    identity: &str,
) -> Option<Object> {
    Some(match output {
        Output::Summary(summary) => self::summary(summary, top),
        Output::Alert(transition) => alert(transition, rules.get(transition.rule)?, identity),
        Output::JumpedBack { from, to, is_followed } => object(json!({
            "type": "jumped_back",
            "from": time(*from),
            "to": time(*to),
            "is_followed": is_followed,
        })),
        Output::Quiet { from, to } => {
            object(json!({ "type": "quiet", "from": time(*from), "to": time(*to) }))
        }
        _ => return None,
    })
}

/// The numbers of the run.
pub(super) fn ended(monitor: &Monitor, at_end_of_input: bool, top: usize) -> Object {
    let report = monitor.report();
    let mut object = object(json!({
        "type": "end",
        "reason": if at_end_of_input { "end_of_input" } else { "signal" },
        "lines": report.lines,
    }));
    count(&mut object, &report.counts);
    quantiles(&mut object, &report.latencies);
    let bad: Object =
        report.bad().iter().map(|bad| (bad.reason.name().to_owned(), bad.count.into())).collect();
    for (name, value) in [
        ("late", report.late),
        ("too_late", report.too_late),
        ("quarantined", report.quarantined),
        ("left_behind", report.left_behind),
        ("fired", monitor.fired()),
    ] {
        object.insert(name.to_owned(), value.into());
    }
    object.insert("bad".to_owned(), bad.into());
    self::top(&mut object, &monitor.lists().first(top));
    object
}

/// The lists that are not empty, with the name of what they list.
pub(super) fn named(lists: &TopLists) -> impl Iterator<Item = (&'static str, &TopList)> {
    let all = [
        ("section", &lists.sections),
        ("url", &lists.urls),
        ("client", &lists.clients),
        ("status", &lists.statuses),
    ];
    all.into_iter().filter(|(_, list)| !list.entries.is_empty())
}

fn summary(summary: &Summary, top: usize) -> Object {
    let mut object = object(json!({
        "type": "summary",
        "start": time(summary.start),
        "seconds": summary.seconds,
        "partial": summary.is_partial,
        "last": time(summary.last),
        "section": summary.section.as_deref().map(text),
        "rate": summary.rate(),
    }));
    count(&mut object, &summary.counts);
    quantiles(&mut object, &summary.latencies);
    object.insert("late".to_owned(), summary.late.into());
    object.insert("bad".to_owned(), summary.bad.into());
    self::top(&mut object, &summary.lists.first(top));
    object
}

/// What is told again after a run was killed has the id that it had.
fn id(identity: &str, transition: &Transition, rule: &Rule) -> String {
    let change = if transition.change == Change::Fired { "fired" } else { "recovered" };
    let mut what = format!("{change} {} {}", rule.window_s, rule.text).into_bytes();
    if let Some(section) = &transition.section {
        what.push(0);
        what.extend_from_slice(section);
    }
    format!("{identity}-{}-{:08x}", transition.second, crc32c::crc32c(&what))
}

fn alert(transition: &Transition, rule: &Rule, identity: &str) -> Object {
    let value = transition.value.map(|value| match rule.measure {
        Measure::Latency { .. } => value / 1_000.0,
        _ => value,
    });
    let mut object = object(json!({
        "type": "alert",
        "id": id(identity, transition, rule),
        "change": if transition.change == Change::Fired { "fired" } else { "recovered" },
        "time": time(transition.second),
        "rule": rule.text,
        "measure": rule.measure.to_string(),
        "section": transition.section.as_deref().map(text),
        "value": value,
        "window_s": rule.window_s,
    }));
    count(&mut object, &transition.counts);
    object
}

pub(super) fn count(object: &mut Object, counts: &Counts) {
    let [other, c1, c2, c3, c4, c5] = counts.classes;
    let classes = json!({ "1xx": c1, "2xx": c2, "3xx": c3, "4xx": c4, "5xx": c5, "other": other });
    for (name, value) in [
        ("requests", counts.hits.into()),
        ("bytes", u64::try_from(counts.bytes).unwrap_or(u64::MAX).into()),
        ("mean_bytes", counts.mean_bytes().into()),
        ("status", classes),
        ("unanswered", counts.unanswered.into()),
        ("orphans", counts.orphans.into()),
    ] {
        object.insert(name.to_owned(), value);
    }
}

pub(super) fn quantiles(object: &mut Object, latencies: &Sketch) {
    for (name, permille) in QUANTILES {
        let value = latencies.quantile_us(permille).map(|us| us as f64 / 1_000.0);
        object.insert(name.to_owned(), value.into());
    }
}

fn top(object: &mut Object, lists: &TopLists) {
    let entries = |list: &TopList| -> Value {
        let entry = |entry: &logq_monitor::TopEntry| json!({ "key": text(&entry.key), "count": entry.count, "error": entry.error });
        list.entries.iter().map(entry).collect()
    };
    let lists: Object = named(lists).map(|(name, list)| (name.to_owned(), entries(list))).collect();
    if !lists.is_empty() {
        object.insert("top".to_owned(), lists.into());
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(super) fn time(second: i64) -> String {
    render::time(second, Style::FULL)
}

/// The members of a literal object.
pub(super) fn object(value: Value) -> Object {
    if let Value::Object(object) = value { object } else { Object::new() }
}
