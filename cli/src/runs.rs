//! The runs of a cluster: from each start to the end, or the next start.

use std::ops::Range;

use anyhow::{Context as _, bail};
use logq_format::{Timestamp, WorkerId};
use logq_query::when::{self, MarkError};
use logq_reader::{Field, Mark, Order, Query, ReadError, Report, Snapshot, StoreMarks, Value};

use crate::liveness::Finality;

/// One run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// When it started.
    pub(crate) start: Timestamp,
    /// When it ended in good order; `None` if it did not.
    pub(crate) end: Option<Timestamp>,
    /// When the next run started; `None` for the latest.
    next: Option<Timestamp>,
}

impl Run {
    /// All runs that the store knows the start of, oldest first.
    pub(crate) fn all(marks: &StoreMarks<'_>) -> Result<Vec<Self>, MarkError> {
        let mut runs: Vec<Self> = Vec::new();
        for (time, mark) in marks.events()? {
            match (mark, runs.last_mut()) {
                (Mark::Start, last) => {
                    if let Some(last) = last {
                        last.next = Some(*time);
                    }
                    runs.push(Self { start: *time, end: None, next: None });
                }
                (Mark::End, Some(last)) => last.end = last.end.or(Some(*time)),
                (Mark::End, None) | (Mark::Crash, _) => {}
            }
        }
        Ok(runs)
    }

    /// Its records: up to the next start, so that what is logged while it ends belongs to it.
    pub(crate) fn interval(&self) -> Range<Timestamp> {
        self.start..self.next.unwrap_or(Timestamp::MAX)
    }

    /// The run that `--run` names: 0 for the latest, -1 for the one before it, 1 for the first, or
    /// the one under way at a time.
    pub(crate) fn named(
        text: &str,
        context: &when::Context<'_>,
        marks: &StoreMarks<'_>,
    ) -> anyhow::Result<Self> {
        let runs = Self::all(marks).map_err(|error| match error {
            MarkError::Unreadable(error) => anyhow::anyhow!(error),
            MarkError::Absent => anyhow::anyhow!("the store cannot be read"),
        })?;
        let found = match text.parse::<i64>() {
            Ok(number @ 1..) => usize::try_from(number - 1).ok().and_then(|place| runs.get(place)),
            Ok(number) => {
                let back = usize::try_from(number.unsigned_abs()).unwrap_or(usize::MAX);
                runs.len().checked_sub(back.saturating_add(1)).and_then(|place| runs.get(place))
            }
            Err(_) => {
                let instant = when::parse_instant(text, context).with_context(|| {
                    format!("--run {text} is neither a number, such as -1, nor a time")
                })?;
                runs.iter().find(|run| run.interval().contains(&instant))
            }
        };
        match found {
            Some(run) => Ok(*run),
            None if runs.is_empty() => bail!(
                "the store knows of no run: it has no record of the event STARTING_UP; ask for a \
                 time with --since instead"
            ),
            None => bail!(
                "there is no run {text}; the store knows the starts of {}, from {} on; --list-runs \
                 lists them",
                runs.len(),
                runs.first().map(|run| run.start).unwrap_or(Timestamp::MIN)
            ),
        }
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It has not.
    Running,
    /// The master said so.
    Orderly,
    /// Nobody said so, and nobody is left.
    Crash,
}

impl Ending {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Orderly => "orderly",
            Self::Crash => "crash",
        }
    }
}

/// What is to be told of a run.
#[derive(Clone, Debug)]
pub(crate) struct RunSummary {
    pub(crate) run: Run,
    pub(crate) ending: Ending,
    /// The time of its last record, if it is over.
    pub(crate) end: Option<Timestamp>,
    /// How many workers wrote or are written about.
    pub(crate) workers: u64,
    pub(crate) records: u64,
    pub(crate) report: Report,
}

impl RunSummary {
    /// Looks at the headers and the spines of a run.
    ///
    /// # Errors
    ///
    /// As [`Snapshot::tally`].
    pub(crate) fn new(
        run: Run,
        snapshot: &Snapshot,
        finality: &Finality,
    ) -> Result<Self, ReadError> {
        let Range { start, end } = run.interval();
        let query = Query { since: Some(start), until: Some(end), ..Query::default() };
        let (tally, report) = snapshot.tally(&query, Field::WorkerId)?;
        let is_worker = |value: &Value| matches!(value, Value::WorkerId(Some(WorkerId { .. })));
        let workers = tally.counts.iter().filter(|(value, _)| is_worker(value)).count() as u64;
        let ending = match (run.end, run.next) {
            (Some(_), _) => Ending::Orderly,
            (None, None) if !finality.living.is_empty() => Ending::Running,
            (None, _) => Ending::Crash,
        };
        let end = match ending {
            Ending::Running => None,
            Ending::Orderly => run.end,
            Ending::Crash => last_time(snapshot, query)?,
        };
        Ok(Self { run, ending, end, workers, records: tally.records, report })
    }
}

/// The time of the last record of a query.
fn last_time(snapshot: &Snapshot, query: Query<'_>) -> Result<Option<Timestamp>, ReadError> {
    let query = Query { order: Order::Descending, limit: Some(1), ..query };
    let mut last = None;
    snapshot.scan(
        &query,
        |rows| rows.iter().next().map(|row| row.time()),
        |time| {
            last = last.or(time);
            std::ops::ControlFlow::Continue(())
        },
    )?;
    Ok(last)
}
