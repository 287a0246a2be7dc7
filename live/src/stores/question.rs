//! What is asked: the words of an address, resolved against a store.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::tz::TimeZone;
use logq_format::Timestamp;
use logq_query::{Expression, when};
use logq_reader::{
    Coverage, LifeState, Liveness, OwnedFilter, Query, Snapshot, StoreMarks, WriterLife,
};

use super::parameters::Parameters;
use super::refusal::{Refusal, expression, time};
use super::selection::selection;

/// The names of the parameters that say which records are meant.
pub(super) const NAMES: &[&str] = &[
    "since",
    "until",
    "in",
    "around",
    "window",
    "tz",
    "level",
    "type",
    "worker",
    "request",
    "where",
    "grep",
    "fixed",
    "ignore_case",
];

/// The half-open interval that is asked about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) since: Option<Timestamp>,
    pub(super) until: Option<Timestamp>,
}

/// How far answers are final.
#[derive(Clone, Debug)]
pub(super) struct Finality {
    /// When that was found out.
    pub(super) now: Timestamp,
    /// No record before this can come any more; `None` if nobody knows, [`Timestamp::MAX`] if nobody
    /// is left who could append one.
    pub(super) watermark: Option<Timestamp>,
    /// The writers that live, or may live for all that is known, the slowest first.
    pub(super) living: Vec<WriterLife>,
    /// The writers that have ended without leaving their segments in good order.
    pub(super) gone: Vec<WriterLife>,
}

/// A question with the store it is put to.
pub(super) struct Question {
    /// The store as it is now.
    pub(super) snapshot: Snapshot,
    pub(super) finality: Finality,
    /// The zone in which times were read.
    pub(super) zone: TimeZone,
    pub(super) range: Range,
    pub(super) selection: OwnedFilter,
}

impl Question {
    /// Opens a store and reads the words. Blocks.
    pub(super) fn new(
        store: &Path,
        parameters: &Parameters,
        zone: &TimeZone,
    ) -> Result<Self, Refusal> {
        let zone = match parameters.one("tz")? {
            Some(text) => {
                when::parse_zone(text, || zone.clone()).map_err(|error| time("tz", &error))?
            }
            None => zone.clone(),
        };
        let mut selection = selection(parameters)?;
        let (snapshot, finality) = open(store)?;
        let marks = StoreMarks::new(&snapshot).with_writers(&finality.gone);
        let context = |since| when::Context {
            now: finality.now,
            zone: zone.clone(),
            since,
            marks: Some(&marks),
        };
        let range = Range::new(parameters, context)?;
        for text in parameters.all("where") {
            let read = Expression::parse(text, &context(range.since));
            selection.add(read.map_err(|error| expression("where", &error))?);
        }
        drop(marks);
        Ok(Self { snapshot, finality, zone, range, selection })
    }

    /// The records of the range that pass the filter, oldest first.
    pub(super) fn query(&self) -> Query<'_> {
        Query {
            since: self.range.since,
            until: self.range.until,
            filter: self.selection.filter(),
            ..Query::default()
        }
    }
}

/// Opens a store. What is known of its writers is asked before, so that it holds for all that is
/// seen.
pub(super) fn open(store: &Path) -> Result<(Snapshot, Finality), Refusal> {
    let now = now();
    let look = Liveness::of(store, now)?;
    let (gone, living): (Vec<_>, Vec<_>) =
        look.writers.into_iter().partition(|life| life.state == LifeState::Gone);
    let watermark = if living.is_empty() { Some(Timestamp::MAX) } else { look.watermark };
    Ok((look.snapshot, Finality { now, watermark, living, gone }))
}

/// The present, by the wall clock.
pub(super) fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
}

impl Range {
    /// The interval that the words name.
    pub(super) fn new<'c>(
        parameters: &Parameters,
        context: impl Fn(Option<Timestamp>) -> when::Context<'c>,
    ) -> Result<Self, Refusal> {
        let one = |name| parameters.one(name);
        let named = [one("in")?, one("around")?, one("since")?.or(one("until")?)];
        if named.iter().flatten().count() > 1 {
            return Err(Refusal::bad("in, around, and since with until exclude each other"));
        }
        if let Some(text) = one("in")? {
            let interval = when::parse_interval(text, &context(None));
            let interval = interval.map_err(|error| time("in", &error))?;
            return Ok(Self { since: Some(interval.start), until: Some(interval.end) });
        }
        let instant = |name, since| {
            let read = |text| when::parse_instant(text, &context(since));
            one(name)?.map(read).transpose().map_err(|error| time(name, &error))
        };
        if let Some(middle) = instant("around", None)? {
            let window = when::parse_duration(one("window")?.unwrap_or("1m"));
            let window = window.map_err(|error| time("window", &error))?;
            let micros = i64::try_from(window.as_micros()).unwrap_or(i64::MAX);
            let since = Some(middle.saturating_add_micros(-micros));
            return Ok(Self { since, until: Some(middle.saturating_add_micros(micros)) });
        }
        let since = instant("since", None)?;
        let until = instant("until", since)?;
        if since.zip(until).is_some_and(|(since, until)| since > until) {
            return Err(Refusal::bad("since is after until: the interval is empty"));
        }
        Ok(Self { since, until })
    }
}

impl Finality {
    /// The end of what is known: the watermark or, where nobody is left, the last record.
    pub(super) fn end(&self, coverage: &Coverage) -> Option<Timestamp> {
        match self.watermark {
            Some(Timestamp::MAX) => coverage.last.map(|last| last.saturating_add_micros(1)),
            watermark => watermark,
        }
    }

    /// Whether the store covers an interval: none of it lies before the first record or after what is
    /// final. An end that is not named is the end of what there is.
    pub(super) fn covers(&self, range: Range, coverage: &Coverage) -> bool {
        let begins = match (range.since, coverage.first) {
            (Some(since), Some(first)) => since >= first,
            (Some(_), None) => false,
            (None, _) => true,
        };
        begins && range.until.is_none_or(|until| self.end(coverage).is_some_and(|end| until <= end))
    }
}
