//! The past as one JSON object, for programs that draw or judge it themselves.
//!
//! | member | |
//! |---|---|
//! | `first`, `last` | the first and the last second that was watched; `null` if none was |
//! | `row_s` | seconds of a row |
//! | `rows` | for each `start` and `watched_s`, the seconds of it that were watched; if there are any, the numbers |
//! | `total` | the numbers of all rows |
//! | `watched` | the times without gaps: `first`, `last` |
//! | `rules` | `rule`, `measure`, `threshold`, `window_s` |
//! | `alerts` | `rule`, `section`, `state`, `from`, `to`, `measure`, `value` |
//!
//! The numbers are `requests`, `rate`, `peak` (of a second), `bytes`, `mean_bytes`, `status` by class,
//! `unanswered`, `orphans`, `p50_ms` to `p99_ms`, and `bad` (lines). An alert is `recovered`, still
//! `firing`, or `unknown`: watched no longer before it recovered. Times are as `--since` takes them,
//! latencies in milliseconds, ratios from 0 to 1; what is not known is `null`.

use logq_monitor::series::{AlertSpan, Bar, RuleNumbers};
use serde_json::{Value, json};

use super::Past;
use crate::monitor::json::{Object, count, object, quantiles, time};

/// The object, on one line.
pub(crate) fn json(past: &Past<'_>) -> String {
    let table = past.table;
    let range = table.range();
    let first = range.map_or(i64::MIN, |(first, _)| first);
    let row = |bar: &Bar| {
        let mut row =
            object(json!({ "start": time(bar.start.max(first)), "watched_s": bar.covered_s }));
        if bar.covered_s > 0 || bar.counts.hits > 0 {
            row.extend(numbers(bar));
        }
        Value::Object(row)
    };
    let watched =
        |(first, last): &(i64, i64)| json!({ "first": time(*first), "last": time(*last) });
    let value = json!({
        "first": range.map(|(first, _)| time(first)),
        "last": range.map(|(_, last)| time(last)),
        "row_s": table.step_s(),
        "rows": table.bars().iter().map(row).collect::<Value>(),
        "total": numbers(&table.total()),
        "watched": table.covered().iter().map(watched).collect::<Value>(),
        "rules": table.rules().iter().map(rule).collect::<Value>(),
        "alerts": table.alerts().iter().map(alert).collect::<Value>(),
    });
    format!("{value}\n")
}

fn numbers(bar: &Bar) -> Object {
    let mut numbers = object(json!({ "rate": bar.rate(), "peak": bar.peak, "bad": bar.bad }));
    count(&mut numbers, &bar.counts);
    quantiles(&mut numbers, &bar.latencies);
    numbers
}

fn rule(rule: &RuleNumbers) -> Value {
    json!({
        "rule": rule.rule,
        "measure": rule.measure,
        "threshold": in_milliseconds(&rule.measure, rule.threshold),
        "window_s": rule.window_s,
    })
}

fn alert(span: &AlertSpan) -> Value {
    let state = match (&span.recovered, span.to) {
        (Some(_), _) => "recovered",
        (None, None) => "firing",
        (None, Some(_)) => "unknown",
    };
    let fired = span.fired.as_ref();
    let value = fired.and_then(|alert| Some(in_milliseconds(&alert.measure, alert.value?)));
    json!({
        "rule": span.rule,
        "section": span.section,
        "state": state,
        "from": span.from.map(time),
        "to": span.to.map(time),
        "measure": fired.map(|alert| &alert.measure),
        "value": value,
    })
}

/// Latencies are kept in microseconds; a measure that is none has another name.
fn in_milliseconds(measure: &str, value: f64) -> f64 {
    let is_latency =
        measure.strip_prefix('p').is_some_and(|of| of.starts_with(|c: char| c.is_ascii_digit()));
    if is_latency { value / 1_000.0 } else { value }
}
