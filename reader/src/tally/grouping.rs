//! What records are grouped by, and finding the group of each.

use std::ops::Range;

use logq_format::{DecodeError, Level, Origin, RecordType, Spine, SpineRow, Timestamp, TypeSet};
use logq_query::{FieldPath, FieldValue, Known};

use super::groups::{Groups, Limits};
use super::joined::{Joined, possible};
use super::key::encode;
use crate::query::Query;
use crate::rows::Row;

/// What tells groups apart, and what is measured in each.
///
/// Records that have none of the fields belong to no group; neither do those without the number
/// that is measured. The default makes one group of all records.
#[derive(Clone, Copy, Debug, Default)]
pub struct Grouping<'g> {
    /// The fields whose values the records of a group have in common.
    pub by: &'g [FieldPath],
    /// The stretches of time, each from one of these instants to the next: ascending, the last one
    /// being the end of the last stretch. Records before all of them count in the first stretch, those
    /// behind them in the last.
    pub edges: Option<&'g [Timestamp]>,
    /// The number of which quantiles are wanted.
    pub measure: Option<&'g FieldPath>,
    /// Whether quantiles are to be exact, as far as memory allows; see [`Groups::is_exact`].
    pub exact: bool,
}

impl Grouping<'_> {
    /// The types whose records can belong to a group.
    pub fn types(&self) -> TypeSet {
        let by = self.by.iter().map(FieldPath::types);
        let by = by.reduce(TypeSet::union).unwrap_or(TypeSet::ALL);
        let measured = self.measure.map_or(TypeSet::ALL, FieldPath::types);
        TypeSet::from_bits(by.bits() & measured.bits())
    }

    /// Whether records borrow fields from the REQUEST of their request to answer `query`, since none
    /// that matches can have all of them itself; see [`Snapshot::group`](crate::Snapshot::group).
    pub fn borrows(&self, query: &Query<'_>) -> bool {
        Joined::of(query, self).is_some()
    }

    /// Whether there is a type whose records can have all the fields, among those of which records can
    /// match `query` at all.
    pub fn is_of_one_type(&self, query: &Query<'_>) -> bool {
        let possible = possible(&query.filter).bits();
        let types = self.fields().fold(possible, |types, field| types & field.types().bits());
        types != 0 || possible == 0
    }

    /// Whether it is by status and nothing else, which columns of statuses tell at once.
    pub(crate) fn is_by_status(&self) -> bool {
        let is_status =
            |field: &FieldPath| FieldPath::parse("statusCode").is_ok_and(|status| status == *field);
        match self.by {
            [field] => self.edges.is_none() && self.measure.is_none() && is_status(field),
            _ => false,
        }
    }

    /// Whether the group of every record of these types is known from its spine.
    pub(super) fn is_in_spine(&self, types: TypeSet) -> bool {
        self.fields().all(|field| field.is_in_spine(types))
    }

    /// Whether it may be, in some blocks.
    pub(super) fn may_be_in_spine(&self, types: TypeSet) -> bool {
        self.fields().all(|field| field.may_be_in_spine(types))
    }

    /// Whether it is in this block.
    ///
    /// # Errors
    ///
    /// Fails where a column that tells it is damaged.
    pub(super) fn is_in_this_spine(
        &self,
        spine: &Spine<'_>,
        types: TypeSet,
    ) -> Result<bool, DecodeError> {
        for field in self.fields() {
            if !field.is_in_this_spine(spine, types)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The fields that tell the group and the number.
    pub(super) fn fields(&self) -> impl Iterator<Item = &FieldPath> {
        self.by.iter().chain(self.measure)
    }
}

/// What is known of a record.
pub(super) trait Facts {
    fn value(&self, field: &FieldPath) -> Option<FieldValue<'_>>;
}

/// A record of this level and type, written by `origin`.
pub(super) struct KindFacts {
    pub(super) level: Level,
    pub(super) record_type: RecordType,
    pub(super) origin: Origin,
}

impl Facts for KindFacts {
    fn value(&self, field: &FieldPath) -> Option<FieldValue<'_>> {
        value(field.kind_value(self.level, self.record_type, self.origin))
    }
}

/// A record as far as the spine tells.
pub(super) struct RowFacts<'r, 's, 'a> {
    pub(super) row: &'r SpineRow<'s, 'a>,
    pub(super) origin: Origin,
}

impl Facts for RowFacts<'_, '_, '_> {
    fn value(&self, field: &FieldPath) -> Option<FieldValue<'_>> {
        value(field.spine_value(self.row, self.origin))
    }
}

/// A decoded record.
pub(super) struct RecordFacts<'r> {
    pub(super) record: logq_format::Record<'r>,
    pub(super) origin: Origin,
    pub(super) sequence: u64,
}

impl Facts for RecordFacts<'_> {
    fn value(&self, field: &FieldPath) -> Option<FieldValue<'_>> {
        field.value(&self.record, self.origin, self.sequence)
    }
}

fn value<'v>(known: Known<FieldValue<'v>>) -> Option<FieldValue<'v>> {
    match known {
        Known::Value(value) => Some(value),
        Known::Missing | Known::Present | Known::Unknown => None,
    }
}

/// The stretch of a time between such edges.
pub(super) fn stretch_of(edges: &[Timestamp], time: Timestamp) -> Range<i64> {
    let last = edges.len().saturating_sub(2);
    let behind = edges.partition_point(|edge| *edge <= time);
    let index = behind.saturating_sub(1).min(last);
    let edge = |index: usize| edges.get(index).map_or(0, |edge| edge.as_micros());
    edge(index)..edge(index + 1)
}

/// Counts records in their groups.
pub(super) struct Classifier<'g> {
    grouping: &'g Grouping<'g>,
    groups: Groups,
    /// The key of the record at hand.
    key: Vec<u8>,
    /// The last key and the place of its group: many records follow others of their group.
    last: (Vec<u8>, Option<usize>),
    /// The stretch of the last time, in microseconds.
    stretch: Range<i64>,
}

impl<'g> Classifier<'g> {
    pub(super) fn new(grouping: &'g Grouping<'g>) -> Self {
        // What is kept here is bounded by the slice that the records are of.
        let unlimited = Limits { groups: usize::MAX, bytes: usize::MAX };
        Self {
            grouping,
            groups: Groups::limited(grouping, unlimited),
            key: Vec::new(),
            last: (Vec::new(), None),
            stretch: 0..0,
        }
    }

    /// Counts so many records of this time of which the same is known.
    pub(super) fn add(&mut self, time: Timestamp, facts: &impl Facts, count: u64) {
        let number = match self.grouping.measure {
            None => None,
            Some(field) => match facts.value(field).and_then(|value| value.as_f64()) {
                Some(number) if number.is_finite() => Some(number),
                _ => return self.groups.pass_over(count),
            },
        };
        if !self.find_key(time, facts) {
            return;
        }
        let place = match self.last.1 {
            Some(place) if self.last.0 == self.key => place,
            _ => {
                let place = self.groups.place(&self.key);
                std::mem::swap(&mut self.last.0, &mut self.key);
                self.last.1 = Some(place);
                place
            }
        };
        self.groups.add(place, count, number);
    }

    pub(super) fn add_row(&mut self, row: &Row<'_>) {
        // What cannot be decoded is told as a gap.
        let Ok(record) = row.record() else { return };
        let facts = RecordFacts { record, origin: row.origin(), sequence: row.sequence() };
        self.add(row.time(), &facts, 1);
    }

    /// The stretch of a time, as far as all times within it are in the same one.
    pub(super) fn stretch(&mut self, time: Timestamp) -> Range<i64> {
        let Some(edges) = self.grouping.edges else { return i64::MIN..i64::MAX };
        let micros = time.as_micros();
        if !self.stretch.contains(&micros) {
            self.stretch = stretch_of(edges, time);
        }
        self.stretch.clone()
    }

    /// Writes the key of a record; answers whether it has any of the fields.
    fn find_key(&mut self, time: Timestamp, facts: &impl Facts) -> bool {
        let stretch = self.stretch(time);
        self.key.clear();
        if self.grouping.edges.is_some() {
            self.key.extend_from_slice(&stretch.start.to_le_bytes());
        }
        let mut has_any = self.grouping.by.is_empty();
        for field in self.grouping.by {
            let value = facts.value(field);
            has_any |= value.is_some();
            encode(value.as_ref(), &mut self.key);
        }
        has_any
    }

    pub(super) fn groups(&self) -> &Groups {
        &self.groups
    }

    /// What was counted so far; counting begins anew.
    pub(super) fn take(&mut self) -> Groups {
        std::mem::replace(self, Self::new(self.grouping)).groups
    }

    pub(super) fn finish(self) -> Groups {
        self.groups
    }
}
