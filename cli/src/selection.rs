//! From the words of the command line to a query of the reader: levels, types, workers, requests.

use anyhow::{Context as _, bail};
use logq_format::{Level, LevelSet, Lifecycle, Record, RecordType, RequestId, TypeSet, WorkerId};
use regex::{Regex, RegexBuilder};

use crate::nearest::nearest;

/// The levels that `--level` names: a threshold, or a range `A..B` in either order.
pub(crate) fn levels(text: &str) -> anyhow::Result<LevelSet> {
    let Some((one, other)) = text.split_once("..") else {
        return Ok(LevelSet::at_least(level(text)?));
    };
    let (one, other) = (level(one)?, level(other)?);
    let inside = one.min(other)..=one.max(other);
    let levels = Level::ALL.into_iter().filter(|level| inside.contains(level));
    Ok(levels.fold(LevelSet::EMPTY, LevelSet::with))
}

/// A level by its name or the first letters of it.
fn level(text: &str) -> anyhow::Result<Level> {
    let wanted = text.trim().to_ascii_uppercase();
    let mut named = Level::ALL.into_iter().filter(|level| level.as_str().starts_with(&wanted));
    match named.next() {
        Some(level) if !wanted.is_empty() => Ok(level),
        _ => bail!(
            "unknown level {text:?}{}; the levels are critical, error, warn, info, debug, trace, \
             or their first letters",
            suggestion(&wanted, Level::ALL.iter().map(|level| level.as_str())),
        ),
    }
}

/// The types that `--type` names, and within LIFECYCLE the events, if only some are wanted.
#[derive(Debug, Default)]
pub(crate) struct Types {
    /// What a block must hold.
    pub(crate) set: TypeSet,
    /// Types of which every record is wanted.
    whole: TypeSet,
    /// Lifecycle events that are wanted.
    events: Vec<&'static str>,
}

impl Types {
    pub(crate) fn new(names: &[String]) -> anyhow::Result<Self> {
        let mut types = Self::default();
        for name in names {
            types.add(name.trim())?;
        }
        types.set = types.set.union(types.whole);
        Ok(types)
    }

    fn add(&mut self, name: &str) -> anyhow::Result<()> {
        let named = |known: &str| known.eq_ignore_ascii_case(name);
        let types = RecordType::ALL.into_iter().filter(|known| named(known.as_str()));
        let found = types.fold(TypeSet::EMPTY, TypeSet::with);
        if found != TypeSet::EMPTY {
            self.whole = self.whole.union(found);
            return Ok(());
        }
        match events().find(|(event, _)| named(event)) {
            Some((event, record_type)) => {
                self.set = self.set.with(record_type);
                self.events.push(event);
                Ok(())
            }
            None => {
                let known =
                    RecordType::ALL.iter().map(|t| t.as_str()).chain(events().map(|(e, _)| e));
                bail!(
                    "unknown type {name:?}{}; the types are REQUEST, REQUEST_META, RESPONSE, \
                     RESPONSE_FINISHED, LOG, LIFECYCLE, LOST, CLOCK_STEP, IO_ERROR and the events \
                     of LIFECYCLE, such as WORKER_EXITED",
                    suggestion(name, known),
                )
            }
        }
    }

    /// Whether records must be looked at one by one, because only some events are wanted.
    pub(crate) fn is_partial(&self) -> bool {
        !self.events.is_empty()
    }

    pub(crate) fn matches(&self, record_type: RecordType, event: Option<&str>) -> bool {
        self.whole.contains(record_type) || event.is_some_and(|event| self.events.contains(&event))
    }
}

/// The lifecycle events with the types of their records.
fn events() -> impl Iterator<Item = (&'static str, RecordType)> {
    let steps = Lifecycle::ALL.into_iter().map(|step| {
        let record_type = match step.process() {
            logq_format::Process::Worker => RecordType::WorkerLifecycle,
            logq_format::Process::Master => RecordType::MasterLifecycle,
        };
        (step.as_str(), record_type)
    });
    steps.chain([
        ("WORKER_SPAWNED", RecordType::WorkerSpawned),
        ("WORKER_EXITED", RecordType::WorkerExited),
        ("UNCAUGHT_EXCEPTION", RecordType::UncaughtException),
    ])
}

/// The processes that `--worker` names.
pub(crate) fn workers(names: &[String]) -> anyhow::Result<Vec<Option<WorkerId>>> {
    let worker = |name: &String| {
        if name.eq_ignore_ascii_case("master") {
            return Ok(None);
        }
        let number = name.parse().ok().and_then(WorkerId::new);
        number.map(Some).with_context(|| {
            format!("unknown worker {name:?}; expected a number up to {} or master", WorkerId::MAX)
        })
    };
    names.iter().map(worker).collect()
}

/// The requests that `--request` names.
pub(crate) fn requests(ids: &[String]) -> anyhow::Result<Vec<RequestId>> {
    let request = |id: &String| {
        id.parse().with_context(|| {
            format!(
                "{id:?} is not a request id; it is a UUID such as \
                 6f1c2f6e-0b1d-4b7e-9c1e-2f3a4b5c6d7e, as -o json prints it"
            )
        })
    };
    ids.iter().map(request).collect()
}

/// Finds text in records.
#[derive(Debug)]
pub(crate) struct Grep {
    regex: Regex,
}

impl Grep {
    /// Compiles an expression; one without upper-case letters matches either case.
    pub(crate) fn new(pattern: &str) -> anyhow::Result<Self> {
        let either_case = !pattern.chars().any(char::is_uppercase);
        let regex = RegexBuilder::new(pattern)
            .case_insensitive(either_case)
            .build()
            .context("cannot read the expression of --grep")?;
        Ok(Self { regex })
    }

    /// Whether any text of the record matches: url, data, error, properties, DEBUG entries, event.
    pub(crate) fn matches(&self, record: &Record<'_>) -> bool {
        let mut found = false;
        crate::output::for_each_text(record, |text| found = found || self.regex.is_match(text));
        found
    }
}

fn suggestion<'a>(text: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(text, known).map(|word| format!(", did you mean {word:?}?")).unwrap_or_default()
}

/// How many records `--lines` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lines {
    All,
    Newest(u64),
    Oldest(u64),
}

impl Lines {
    pub(crate) fn new(text: &str) -> anyhow::Result<Self> {
        if text == "all" {
            return Ok(Self::All);
        }
        let (oldest, digits) = match text.strip_prefix('+') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let number = digits.parse().with_context(|| {
            format!("cannot read {text:?} of --lines; expected a number, +number or all")
        })?;
        Ok(if oldest { Self::Oldest(number) } else { Self::Newest(number) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(set: LevelSet) -> String {
        let inside = Level::ALL.into_iter().filter(|level| set.contains(*level));
        inside.map(|level| level.as_str().get(..1).unwrap()).collect()
    }

    #[test]
    fn levels_are_thresholds_or_ranges() {
        let check = |text, expected: &str| assert_eq!(names(levels(text).unwrap()), expected);
        check("error", "CE");
        check("e", "CE");
        check("Trace", "CEWIDT");
        check("warn..error", "EW");
        check("i..w", "WI");
    }

    #[test]
    fn a_misspelt_level_is_answered_with_the_nearest_one() {
        let message = levels("eror").unwrap_err().to_string();
        assert!(message.contains("did you mean \"ERROR\"?"), "{message}");
        assert!(levels("").is_err());
    }

    #[test]
    fn types_and_events_are_told_apart() {
        let types = Types::new(&["log".into(), "worker_exited".into()]).unwrap();
        assert!(types.matches(RecordType::RequestLog, None));
        assert!(types.matches(RecordType::WorkerExited, Some("WORKER_EXITED")));
        assert!(!types.matches(RecordType::WorkerSpawned, Some("WORKER_SPAWNED")));
        assert!(types.set.contains(RecordType::MasterLog) && types.is_partial());
        let message = Types::new(&["REQEST".into()]).unwrap_err().to_string();
        assert!(message.contains("did you mean \"REQUEST\"?"), "{message}");
    }

    #[test]
    fn line_counts_are_newest_oldest_or_all() {
        assert_eq!(Lines::new("5").unwrap(), Lines::Newest(5));
        assert_eq!(Lines::new("+5").unwrap(), Lines::Oldest(5));
        assert_eq!(Lines::new("all").unwrap(), Lines::All);
        assert!(Lines::new("-3").is_err());
    }
}
