//! Numbers of records by what was asked.

use std::collections::BTreeMap;

use logq_format::{Level, RecordType, WorkerId};
use logq_query::FieldValue;

use crate::tally::{Field, Grouping, Groups, Tally, Value};

/// Numbers of records.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    records: u64,
    levels: [u64; Level::ALL.len()],
    /// By the numbers of the types.
    types: [u64; 24],
    /// By status.
    statuses: Vec<u64>,
    workers: BTreeMap<Option<WorkerId>, u64>,
}

impl Counts {
    /// All records.
    pub(crate) fn records(&self) -> u64 {
        self.records
    }

    pub(crate) fn all(&mut self, count: u64) {
        self.records += count;
    }

    pub(crate) fn kind(&mut self, level: Level, record_type: RecordType, count: u64) {
        if let Some(sum) = self.levels.get_mut(level as usize) {
            *sum += count;
        }
        if let Some(sum) = self.types.get_mut(record_type as usize) {
            *sum += count;
        }
    }

    pub(crate) fn status(&mut self, status: u16, count: u64) {
        let index = usize::from(status);
        if self.statuses.len() <= index {
            self.statuses.resize((index + 1).next_power_of_two(), 0);
        }
        if let Some(sum) = self.statuses.get_mut(index) {
            *sum += count;
        }
    }

    pub(crate) fn worker(&mut self, worker: Option<WorkerId>, count: u64) {
        if count > 0 {
            *self.workers.entry(worker).or_default() += count;
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.records += other.records;
        for (sum, count) in self.levels.iter_mut().zip(other.levels) {
            *sum += count;
        }
        for (sum, count) in self.types.iter_mut().zip(other.types) {
            *sum += count;
        }
        if self.statuses.len() < other.statuses.len() {
            self.statuses.resize(other.statuses.len(), 0);
        }
        for (sum, count) in self.statuses.iter_mut().zip(other.statuses) {
            *sum += count;
        }
        for (worker, count) in other.workers {
            self.worker(worker, count);
        }
    }

    pub(crate) fn of_type(&self, record_type: RecordType) -> u64 {
        self.types.get(record_type as usize).copied().unwrap_or(0)
    }

    /// The levels that occur.
    pub(crate) fn levels(&self) -> Vec<(Level, u64)> {
        occurring(Level::ALL, |level| self.levels.get(level as usize))
    }

    /// The types that occur.
    pub(crate) fn types(&self) -> Vec<(RecordType, u64)> {
        occurring(RecordType::ALL, |record_type| self.types.get(record_type as usize))
    }

    /// The statuses that occur, as groups.
    pub(crate) fn into_status_groups(self, grouping: &Grouping<'_>) -> Groups {
        let statuses = (0..=u16::MAX).zip(self.statuses).filter(|(_, count)| *count > 0);
        let value = |status: u16| FieldValue::Integer(status.into());
        Groups::of_counts(grouping, statuses.map(|(status, count)| (value(status), count)))
    }

    pub(crate) fn into_tally(self, by: Field) -> Tally {
        let counts: Vec<_> = match by {
            Field::Level => {
                self.levels().into_iter().map(|(l, count)| (Value::Level(l), count)).collect()
            }
            Field::Type => {
                self.types().into_iter().map(|(t, count)| (Value::Type(t), count)).collect()
            }
            Field::StatusCode => (0..=u16::MAX)
                .zip(self.statuses)
                .filter(|(_, count)| *count > 0)
                .map(|(status, count)| (Value::StatusCode(status), count))
                .collect(),
            Field::WorkerId => {
                self.workers.into_iter().map(|(w, count)| (Value::WorkerId(w), count)).collect()
            }
        };
        Tally { counts, records: self.records }
    }
}

fn occurring<'c, K: Copy>(
    all: impl IntoIterator<Item = K>,
    count: impl Fn(K) -> Option<&'c u64>,
) -> Vec<(K, u64)> {
    let counted = all.into_iter().map(|key| (key, count(key).copied().unwrap_or(0)));
    counted.filter(|(_, count)| *count > 0).collect()
}
