//! Numbers about a store as JSON: what it holds, counts in groups and over time.

use std::cmp::Reverse;
use std::path::Path;

use jiff::tz::TimeZone;
use logq_format::Timestamp;
use logq_query::{Buckets, FieldPath, FieldValue, Width};
use logq_reader::{Group, Grouping, Groups, Query, Sketch};
use serde_json::{Map, Value, json};

use super::channel::Stop;
use super::parameters::Parameters;
use super::question::{NAMES, Question, Range, open};
use super::refusal::{Refusal, buckets, expression};
use super::told::Told;

/// More groups, stretches of time and quantiles than one answer should have.
const GROUPS_MAX: usize = 10_000;
const BUCKETS_MAX: usize = 10_000;
const QUANTILES_MAX: usize = 20;
const FIELDS_MAX: usize = 8;

/// `/v1/stores/<name>/stats`: what the store holds.
pub(super) fn stats(store: &Path, query: &str) -> Result<Value, Refusal> {
    Parameters::parse(query, &[])?;
    let (snapshot, finality) = open(store)?;
    let summary = snapshot.summary()?;
    let count = |(name, count): (&str, u64)| (name.to_owned(), Value::from(count));
    let levels = summary.levels.iter().map(|(level, n)| count((level.as_str(), *n)));
    let mut types = Map::new();
    for (record_type, number) in &summary.types {
        // Several types share a name.
        let sum = types.get(record_type.as_str()).and_then(Value::as_u64).unwrap_or_default();
        types.insert(record_type.as_str().to_owned(), Value::from(sum + number));
    }
    let writers = summary.writers.iter().map(|writer| {
        json!({
            "writer": writer.origin.writer.0,
            "workerId": writer.origin.worker.map(logq_format::WorkerId::get),
            "records": writer.records,
            "first": writer.span.map(|(first, _)| first.to_string()),
            "last": writer.span.map(|(_, last)| last.to_string()),
            "dropped": writer.lost,
            "missing": writer.missing,
        })
    });
    let told = Told { report: &summary.report, range: Range::default(), finality: &finality };
    Ok(json!({
        "records": summary.records,
        "segments": summary.segments.len(),
        "bytes": summary.bytes.total,
        "levels": levels.collect::<Value>(),
        "types": types,
        "writers": writers.collect::<Vec<_>>(),
        "trailer": told.trailer(summary.records, None),
    }))
}

/// `/v1/stores/<name>/aggregate`: how many records there are of each group, the largest first.
pub(super) fn aggregate(
    store: &Path,
    query: &str,
    zone: &TimeZone,
    stop: &Stop,
) -> Result<Value, Refusal> {
    let known: Vec<_> = NAMES.iter().copied().chain(["by", "quantile", "of", "top"]).collect();
    let parameters = Parameters::parse(query, &known)?;
    let by = By::new(&parameters)?;
    let quantiles = Quantiles::new(&parameters)?;
    let top = parameters.number("top", 1, GROUPS_MAX)?.unwrap_or(GROUPS_MAX);
    let question = Question::new(store, &parameters, zone)?;
    let query = Query { stop: Some(stop.flag()), ..question.query() };
    let measure = quantiles.as_ref().map(|quantiles| &quantiles.of);
    let grouping = Grouping { by: &by.fields, measure, ..Grouping::default() };
    let (groups, report) = question.snapshot.group(&query, &grouping)?;
    let told = Told { report: &report, range: question.range, finality: &question.finality };
    let listed = largest(&groups, top);
    let others: u64 = groups.other().map(|group| group.count).sum();
    let listed_records: u64 = listed.iter().map(|group| group.count).sum();
    let objects = listed.iter().map(|group| object(group, &by, quantiles.as_ref()));
    Ok(json!({
        "groups": objects.collect::<Vec<_>>(),
        // What is in groups that are not listed, or not told apart.
        "other": groups.records() - listed_records,
        "otherGroups": groups.len() - listed.len(),
        "isExact": others == 0,
        "trailer": told.trailer(groups.records(), None),
    }))
}

/// `/v1/stores/<name>/histogram`: how many records there are over time.
pub(super) fn histogram(
    store: &Path,
    query: &str,
    zone: &TimeZone,
    stop: &Stop,
) -> Result<Value, Refusal> {
    let known: Vec<_> = NAMES.iter().copied().chain(["step", "by"]).collect();
    let parameters = Parameters::parse(query, &known)?;
    let by = By::new(&parameters)?;
    if by.names.len() > 1 {
        return Err(Refusal::bad("by: a histogram tells one field apart"));
    }
    let width = parameters.one("step")?.map(Width::parse).transpose();
    let width = width.map_err(|error| buckets(&error))?;
    let question = Question::new(store, &parameters, zone)?;
    let query = Query { stop: Some(stop.flag()), ..question.query() }.narrowed();
    let Some(stretches) = stretches(&question, &query, width)? else {
        let (records, report) = question.snapshot.count(&query)?;
        let told = Told { report: &report, range: question.range, finality: &question.finality };
        return Ok(json!({ "step": null, "buckets": [], "trailer": told.trailer(records, None) }));
    };
    let grouping =
        Grouping { by: &by.fields, edges: Some(stretches.edges()), ..Grouping::default() };
    let (groups, report) = question.snapshot.group(&query, &grouping)?;
    let told = Told { report: &report, range: question.range, finality: &question.finality };
    Ok(json!({
        "step": width_text(stretches.width()),
        "buckets": bars(&question, &stretches, &groups, !by.names.is_empty()),
        "trailer": told.trailer(groups.records(), None),
    }))
}

/// The stretches of time; none without a range and without records.
fn stretches(
    question: &Question,
    query: &Query<'_>,
    width: Option<Width>,
) -> Result<Option<Buckets>, Refusal> {
    let coverage = question.snapshot.coverage();
    let last = coverage.last.map(|last| last.saturating_add_micros(1));
    let (Some(from), Some(until)) = (query.since.or(coverage.first), query.until.or(last)) else {
        return Ok(None);
    };
    let made = Buckets::new(width, &question.zone, from, until.max(from));
    let made = made.map_err(|error| buckets(&error))?;
    if made.edges().len() > BUCKETS_MAX {
        return Err(Refusal::bad(format!(
            "step: more than {BUCKETS_MAX} stretches of time; make them longer"
        )));
    }
    Ok(Some(made))
}

/// Each stretch with its count; null where nothing is known, which is not the same as none.
fn bars(
    question: &Question,
    stretches: &Buckets,
    groups: &Groups,
    is_told_apart: bool,
) -> Vec<Value> {
    let coverage = question.snapshot.coverage();
    let (first, end) = (coverage.first, question.finality.end(coverage));
    let mut counts: std::collections::BTreeMap<Timestamp, (u64, Map<String, Value>)> =
        std::collections::BTreeMap::new();
    for group in groups.iter().chain(groups.other()) {
        let Some(start) = group.start else { continue };
        let (count, apart) = counts.entry(start).or_default();
        *count += group.count;
        if let Some(Some(value)) = group.values.first() {
            apart.insert(value.raw().into_owned(), Value::from(group.count));
        }
    }
    let bar = |(start, stop): (Timestamp, Timestamp)| {
        let is_known =
            first.is_some_and(|first| stop > first) && end.is_some_and(|end| start < end);
        let (count, apart) = counts.remove(&start).unwrap_or_default();
        let number = (is_known || count > 0).then_some(count);
        let mut bar =
            json!({ "time": start.to_string(), "end": stop.to_string(), "count": number });
        if let (true, Value::Object(object)) = (is_told_apart, &mut bar) {
            object.insert("counts".to_owned(), Value::Object(apart));
        }
        bar
    };
    stretches.iter().map(bar).collect()
}

/// A width as the parameter `step` takes it.
fn width_text(width: Width) -> String {
    match width {
        Width::Days(days) => format!("{days}d"),
        Width::Micros(micros) if micros % 3_600_000_000 == 0 => {
            format!("{}h", micros / 3_600_000_000)
        }
        Width::Micros(micros) if micros % 60_000_000 == 0 => format!("{}m", micros / 60_000_000),
        Width::Micros(micros) if micros % 1_000_000 == 0 => format!("{}s", micros / 1_000_000),
        Width::Micros(micros) if micros % 1_000 == 0 => format!("{}ms", micros / 1_000),
        Width::Micros(micros) => format!("{micros}us"),
    }
}

/// The largest groups, the largest first; equal ones in the order of their values.
fn largest(groups: &Groups, top: usize) -> Vec<Group> {
    let mut counts: Vec<u64> = groups.counts().collect();
    let least = match top < counts.len() {
        true => *counts.select_nth_unstable_by_key(top - 1, |count| Reverse(*count)).1,
        false => 0,
    };
    let mut listed: Vec<Group> = groups.iter().filter(|group| group.count >= least).collect();
    let text = |group: &Group| -> Vec<Option<String>> {
        group.values.iter().map(|value| value.as_ref().map(|v| v.raw().into_owned())).collect()
    };
    listed.sort_by_cached_key(|group| (Reverse(group.count), text(group)));
    listed.truncate(top);
    listed
}

fn object(group: &Group, by: &By, quantiles: Option<&Quantiles>) -> Value {
    let mut object = Map::new();
    object.insert("count".to_owned(), Value::from(group.count));
    for (name, percent) in quantiles.into_iter().flat_map(|quantiles| &quantiles.percents) {
        let value = group.sketch.as_ref().and_then(|sketch: &Sketch| sketch.quantile(*percent));
        object.insert(name.clone(), value.map_or(Value::Null, Value::from));
    }
    let values = by.names.iter().zip(&group.values);
    let values =
        values.map(|(name, value)| (name.clone(), value.as_ref().map_or(Value::Null, json)));
    object.insert("values".to_owned(), Value::Object(values.collect()));
    Value::Object(object)
}

/// A value as the records have it.
fn json(value: &FieldValue<'_>) -> Value {
    let mut text = Vec::new();
    value.write_json(&mut text);
    serde_json::from_slice(&text).unwrap_or(Value::Null)
}

/// The fields whose values tell groups apart.
struct By {
    names: Vec<String>,
    fields: Vec<FieldPath>,
}

impl By {
    fn new(parameters: &Parameters) -> Result<Self, Refusal> {
        let mut by = Self { names: Vec::new(), fields: Vec::new() };
        for word in parameters.words("by") {
            let field = FieldPath::parse(word).map_err(|error| expression("by", &error))?;
            let name = field.to_string();
            if by.names.contains(&name) || by.names.len() == FIELDS_MAX {
                return Err(Refusal::bad(format!("by: up to {FIELDS_MAX} different fields")));
            }
            by.names.push(name);
            by.fields.push(field);
        }
        Ok(by)
    }
}

/// Which quantiles are wanted, and of what.
struct Quantiles {
    percents: Vec<(String, f64)>,
    of: FieldPath,
}

impl Quantiles {
    fn new(parameters: &Parameters) -> Result<Option<Self>, Refusal> {
        let percent = |word: &str| {
            let digits = word.trim_start_matches(['p', 'P']).trim_end_matches('%');
            let number = digits.parse().ok().filter(|number| (0.0..=100.0).contains(number));
            number.map(|percent: f64| (format!("p{percent}"), percent))
        };
        let percents: Option<Vec<_>> = parameters.words("quantile").map(percent).collect();
        let percents = percents.filter(|percents| percents.len() <= QUANTILES_MAX);
        let refusal = || Refusal::bad("quantile: up to 20 percents such as 50,95,99.9");
        let percents = percents.ok_or_else(refusal)?;
        let of = parameters.one("of")?.unwrap_or("durationMs");
        let of = FieldPath::parse(of).map_err(|error| expression("of", &error))?;
        Ok((!percents.is_empty()).then_some(Self { percents, of }))
    }
}
