//! What is asked: the words of the command line resolved against the stores.
//!
//! Every verb that asks about records takes the same words and reads them here.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use jiff::tz::TimeZone;
use logq_format::Timestamp;
use logq_query::{Expression, when};
use logq_reader::{Coverage, OwnedFilter, Query, Snapshot, StoreMarks};
use logq_writer::{Clock, SystemClock};

use crate::args::{FilterArguments, RangeArguments, StoreArguments, ZoneArguments};
use crate::liveness::{self, Finality};
use crate::runs::Run;
use crate::selection::selection;

/// A question with the stores it is put to.
pub(crate) struct Question {
    /// The stores as they are now.
    pub(crate) snapshot: Snapshot,
    /// The zone that times were read in and are to be printed in.
    pub(crate) zone: TimeZone,
    /// The range of time.
    pub(crate) range: Range,
    /// How far answers are final.
    pub(crate) finality: Finality,
    pub(crate) selection: OwnedFilter,
}

impl Question {
    /// Opens the stores and reads the words.
    ///
    /// What can be wrong with the words is said before any file is touched.
    pub(crate) fn new(
        named: &StoreArguments,
        range: &RangeArguments,
        filter: &FilterArguments,
    ) -> anyhow::Result<Self> {
        Self::of(&stores(named), range, filter)
    }

    /// The same for these stores, which may be none.
    pub(crate) fn of(
        stores: &[PathBuf],
        range: &RangeArguments,
        filter: &FilterArguments,
    ) -> anyhow::Result<Self> {
        let zone = zone(&range.zone)?;
        let selection = selection(filter)?;
        let (snapshot, finality) = liveness::open(stores)?;
        let marks = StoreMarks::new(&snapshot).with_writers(&finality.gone);
        let range = Range::new(range, &zone, &marks)?;
        drop(marks);
        let mut question = Self { snapshot, zone, range, finality, selection };
        for text in &filter.expressions {
            let expression = question.expression(text)?;
            question.selection.add(expression);
        }
        Ok(question)
    }

    /// Reads an expression, with times relative to now and to the stores.
    pub(crate) fn expression(&self, text: &str) -> anyhow::Result<Expression> {
        let marks = self.marks();
        let (now, zone) = (SystemClock.now(), self.zone.clone());
        let context = when::Context { now, zone, since: self.range.since, marks: Some(&marks) };
        Ok(Expression::parse(text, &context)?)
    }

    /// The instants that the stores know by name.
    pub(crate) fn marks(&self) -> StoreMarks<'_> {
        StoreMarks::new(&self.snapshot).with_writers(&self.finality.gone)
    }

    /// The records of the range that pass the filter, oldest first.
    pub(crate) fn query(&self) -> Query<'_> {
        Query {
            since: self.range.since,
            until: self.range.until,
            filter: self.selection.filter(),
            ..Query::default()
        }
    }
}

/// The stores to ask: those named, else `LOGQ_DIR`, else the current directory.
pub(crate) fn stores(named: &StoreArguments) -> Cow<'_, [PathBuf]> {
    if !named.stores.is_empty() {
        return Cow::Borrowed(&named.stores);
    }
    let default = std::env::var_os("LOGQ_DIR").filter(|path| !path.is_empty());
    Cow::Owned(vec![default.map_or_else(|| PathBuf::from("."), PathBuf::from)])
}

/// The zone of `--tz`, `--utc` or `--local`, else the default one.
pub(crate) fn zone(arguments: &ZoneArguments) -> anyhow::Result<TimeZone> {
    match (arguments.utc, arguments.local) {
        (true, _) => Ok(TimeZone::UTC),
        (_, true) => Ok(system_zone()),
        _ => named_zone(arguments.zone.as_deref()),
    }
}

/// The zone of this name, else of `LOGQ_TZ`, else the system's, which follows `TZ`.
pub(crate) fn named_zone(name: Option<&str>) -> anyhow::Result<TimeZone> {
    let environment = std::env::var("LOGQ_TZ").ok().filter(|zone| !zone.is_empty());
    match (name, environment) {
        (Some(text), _) => Ok(when::parse_zone(text, system_zone)?),
        (None, Some(text)) => when::parse_zone(&text, system_zone).context("LOGQ_TZ"),
        (None, None) => Ok(system_zone()),
    }
}

/// The zone of this machine.
fn system_zone() -> TimeZone {
    let is_told = ["TZ", "TZDIR"].into_iter().any(|name| std::env::var_os(name).is_some());
    let linked = || linked_zone(Path::new("/etc/localtime"));
    Some(()).filter(|()| !is_told).and_then(|()| linked()).unwrap_or_else(TimeZone::system)
}

/// The zone in the file that a link into a time zone database leads to: looked up by its name, it would
/// cost a walk through all the database, which takes longer than many an answer.
fn linked_zone(link: &Path) -> Option<TimeZone> {
    let target = std::fs::read_link(link).ok()?;
    let (_, name) = target.to_str()?.split_once("/zoneinfo/")?;
    TimeZone::tzif(name, &std::fs::read(link).ok()?).ok()
}

/// The half-open interval that `--since` and `--until`, `--in` or `--around` name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range {
    pub(crate) since: Option<Timestamp>,
    pub(crate) until: Option<Timestamp>,
}

impl Range {
    fn new(
        arguments: &RangeArguments,
        zone: &TimeZone,
        marks: &StoreMarks<'_>,
    ) -> anyhow::Result<Self> {
        let now = SystemClock.now();
        let context = |since| when::Context { now, zone: zone.clone(), since, marks: Some(marks) };
        let named = Self::of_words(arguments, context)?;
        let Some(text) = &arguments.run else { return Ok(named) };
        let run = Run::named(text, &context(None), marks)?.interval();
        Ok(named.within(run))
    }

    /// The interval that the words for times name.
    fn of_words<'c>(
        arguments: &RangeArguments,
        context: impl Fn(Option<Timestamp>) -> when::Context<'c>,
    ) -> anyhow::Result<Self> {
        if let Some(text) = &arguments.within {
            let interval = when::parse_interval(text, &context(None))?;
            return Ok(Self { since: Some(interval.start), until: Some(interval.end) });
        }
        if let Some(text) = &arguments.around {
            let middle = when::parse_instant(text, &context(None))?;
            let window = when::parse_duration(&arguments.window)?;
            let micros = i64::try_from(window.as_micros()).unwrap_or(i64::MAX);
            let since = Some(middle.saturating_add_micros(-micros));
            return Ok(Self { since, until: Some(middle.saturating_add_micros(micros)) });
        }
        let instant = |text: &Option<String>, since| {
            text.as_deref().map(|text| when::parse_instant(text, &context(since))).transpose()
        };
        let since = instant(&arguments.since, None)?;
        let until = instant(&arguments.until, since)?;
        if let (Some(since), Some(until)) = (since, until)
            && since > until
        {
            anyhow::bail!("--since {since} is after --until {until}: the interval is empty");
        }
        Ok(Self { since, until })
    }

    /// What of it lies in another interval, of which [`Timestamp::MAX`] as the end is none.
    fn within(self, other: std::ops::Range<Timestamp>) -> Self {
        let end = (other.end < Timestamp::MAX).then_some(other.end);
        let until = self.until.into_iter().chain(end).min();
        Self { since: self.since.max(Some(other.start)), until }
    }

    /// Whether the store's records cover the interval: none of it lies before the first record or
    /// after what is final. A beginning or an end that is not named is that of what there is, so that
    /// an interval without an end must begin before that.
    pub(crate) fn is_covered(&self, coverage: &Coverage, finality: &Finality) -> bool {
        let begins = match (self.since, coverage.first) {
            (Some(since), Some(first)) => since >= first,
            (Some(_), None) => false,
            (None, first) => first.is_none_or(|first| self.until.is_none_or(|until| until > first)),
        };
        let end = finality.end(coverage);
        let ends = match (self.since, self.until) {
            (_, Some(until)) => end.is_some_and(|end| until <= end),
            (Some(since), None) => end.is_none_or(|end| since <= end),
            (None, None) => true,
        };
        begins && ends
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_zone_of_the_machine_is_that_of_the_database() {
        let scratch = tempfile::tempdir().unwrap();
        let link = scratch.path().join("localtime");
        assert!(linked_zone(&link).is_none(), "there is none");
        std::fs::write(&link, "no zone").unwrap();
        assert!(linked_zone(&link).is_none(), "no link says what it is called");
        for name in ["Europe/Berlin", "Asia/Kolkata", "Etc/UTC"] {
            let target = Path::new("/usr/share/zoneinfo").join(name);
            if !target.is_file() {
                continue;
            }
            std::fs::remove_file(&link).unwrap();
            symlink(&target, &link).unwrap();
            let zone = linked_zone(&link).unwrap();
            assert_eq!(zone.iana_name(), Some(name));
            assert_eq!(zone, TimeZone::get(name).unwrap());
        }
        std::fs::remove_file(&link).unwrap();
        symlink(scratch.path().join("zoneinfo/Europe/Nowhere"), &link).unwrap();
        assert!(linked_zone(&link).is_none(), "it leads nowhere");
    }
}
