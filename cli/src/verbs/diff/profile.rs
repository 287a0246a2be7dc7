//! What one range of time looks like.

use std::collections::{BTreeMap, HashMap};

use logq_format::{Event, Level, Timestamp};
use logq_monitor::Sketch;
use logq_reader::Rows;

use crate::fingerprint;
use crate::question::{Question, Range};

/// The most errors told apart; a log in which no two messages are alike must not fill memory.
const TROUBLES_MAX: usize = 10_000;

/// What one range of time looks like.
#[derive(Default)]
pub(super) struct Profile {
    /// What of the range there can be records of: its end excluded.
    pub(super) span: Option<(Timestamp, Timestamp)>,
    /// The range as it was asked for.
    pub(super) asked: Option<(Timestamp, Timestamp)>,
    pub(super) records: u64,
    /// Requests that were answered.
    pub(super) requests: u64,
    pub(super) levels: BTreeMap<Level, u64>,
    pub(super) statuses: BTreeMap<u16, u64>,
    /// Of answered requests, in microseconds.
    pub(super) durations: Sketch,
    pub(super) troubles: HashMap<(Level, String), Trouble>,
    /// Errors that found no place any more.
    pub(super) others: u64,
}

/// One kind of error.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trouble {
    pub(super) count: u64,
    pub(super) first: Timestamp,
}

impl Profile {
    /// An empty one of a range, of which what lies outside of the store's times does not count.
    pub(super) fn new(range: Range, question: &Question) -> Self {
        let coverage = question.snapshot.coverage();
        let from = range.since.max(coverage.first);
        let end = question.finality.end(coverage).or(coverage.last);
        let to = range.until.into_iter().chain(end).min();
        let span = from.zip(to).filter(|(from, to)| from < to);
        Self { span, asked: range.since.zip(range.until), ..Self::default() }
    }

    /// What some records look like.
    pub(super) fn of(rows: &Rows<'_>) -> Self {
        let mut profile = Self { records: rows.len() as u64, ..Self::default() };
        for row in rows.iter() {
            *profile.levels.entry(row.level()).or_default() += 1;
            let Ok(record) = row.record() else { continue };
            if let Event::Response(response) = &record.event {
                profile.requests += 1;
                *profile.statuses.entry(response.status).or_default() += 1;
                response.duration_us.iter().for_each(|duration| profile.durations.add(*duration));
            }
            if row.level() <= Level::Error {
                let key = (row.level(), fingerprint::of_record(&record));
                profile.trouble(key, Trouble { count: 1, first: row.time() });
            }
        }
        profile
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.records += other.records;
        self.requests += other.requests;
        for (level, count) in other.levels {
            *self.levels.entry(level).or_default() += count;
        }
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        self.durations.merge(&other.durations);
        self.others += other.others;
        for (key, trouble) in other.troubles {
            self.trouble(key, trouble);
        }
    }

    fn trouble(&mut self, key: (Level, String), trouble: Trouble) {
        if let Some(known) = self.troubles.get_mut(&key) {
            known.count += trouble.count;
            known.first = known.first.min(trouble.first);
        } else if self.troubles.len() < TROUBLES_MAX {
            self.troubles.insert(key, trouble);
        } else {
            self.others += trouble.count;
        }
    }

    /// How long what there is of it lasted.
    pub(super) fn seconds(&self) -> f64 {
        let micros = self.span.map_or(0, |(from, to)| to.as_micros() - from.as_micros());
        // Below 2^53 microseconds, which are 285 years, this is exact.
        micros as f64 / 1e6
    }

    /// So many, for each second.
    pub(super) fn rate(&self, count: u64) -> Option<f64> {
        let seconds = self.seconds();
        (seconds > 0.0).then(|| count as f64 / seconds)
    }

    pub(super) fn at_least(&self, least: Level) -> u64 {
        self.levels.iter().filter(|(level, _)| **level <= least).map(|(_, count)| count).sum()
    }

    /// Which part of the answers has a status of this hundred.
    pub(super) fn share(&self, hundred: u16) -> Option<f64> {
        let statuses = self.statuses.iter().filter(|(status, _)| **status / 100 == hundred);
        let count: u64 = statuses.map(|(_, count)| count).sum();
        (self.requests > 0).then(|| count as f64 / self.requests as f64)
    }

    /// The latency in milliseconds that so many of a thousand answers do not exceed.
    pub(super) fn quantile_ms(&self, permille: u16) -> Option<f64> {
        self.durations.quantile_us(permille).map(|micros| micros as f64 / 1e3)
    }

    /// The errors of which another range has none, the most frequent ones first.
    pub(super) fn without(&self, other: &Self) -> Vec<(&(Level, String), Trouble)> {
        let own = self.troubles.iter().filter(|(key, _)| !other.troubles.contains_key(key));
        let mut own: Vec<_> = own.map(|(key, trouble)| (key, *trouble)).collect();
        own.sort_by(|(a, one), (b, two)| two.count.cmp(&one.count).then_with(|| a.cmp(b)));
        own
    }
}
