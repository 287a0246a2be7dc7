//! Groups of records being counted: the table, its limits, and what comes out of it.

use std::collections::{BTreeMap, HashMap};

use logq_format::Timestamp;
use logq_query::FieldValue;

use super::grouping::{Classifier, Grouping};
use super::key::{decode, encode, take};
use super::sketch::Sketch;
use crate::rows::Row;

/// So many groups are told apart, and so many if each has quantiles. What belongs to further ones
/// is counted together.
const GROUPS_MAX: usize = 1_000_000;
const SKETCHED_GROUPS_MAX: usize = 20_000;

/// No further group begins when all of them take so much memory.
///
/// With what a slice takes while it is counted, and what a table takes while it grows, a question
/// stays below 64 MiB.
const GROUP_BYTES_MAX: usize = 24 << 20;

/// The same where time is divided: whoever prints the groups puts all of them in order, which takes
/// as much again for each of several copies.
const STRETCHED_BYTES_MAX: usize = 8 << 20;

/// Exact quantiles are given up when groups take so much memory: a table of different numbers takes
/// three times as much while it grows. Room for some 450,000 of them.
const EXACT_BYTES_MAX: usize = 12 << 20;

/// What a group takes in the table beside its key and the numbers of its sketch.
const GROUP_BYTES: usize = 96;

/// Some records with something in common.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Group {
    /// Where the stretch of time begins that its records are in, if time is divided.
    pub start: Option<Timestamp>,
    /// What its records have in common: the value of each field that tells groups apart, `None` for
    /// a field that they do not have. Of the records beyond the limit nothing is told.
    pub values: Vec<Option<FieldValue<'static>>>,
    /// How many records.
    pub count: u64,
    /// Their numbers, if quantiles are wanted.
    pub sketch: Option<Sketch>,
}

/// How many records there are of each group.
///
/// Bounded in memory: beyond a million groups, or 20,000 with quantiles, or 24 MiB of them, or 8 MiB
/// where time is divided, the records of groups that were not known before are counted together, see
/// [`Self::other`]. The counts of the groups that are told apart are exact nevertheless. Exact quantiles
/// are given up beyond 12 MiB, see [`Self::is_exact`].
#[derive(Clone, Debug)]
pub struct Groups {
    /// What the key begins with.
    has_start: bool,
    fields: usize,
    index: HashMap<Box<[u8]>, usize>,
    cells: Vec<Cell>,
    /// The records beyond the limits, by stretch of time.
    others: BTreeMap<Option<Timestamp>, Cell>,
    records: u64,
    numberless: u64,
    is_exact: bool,
    limits: Limits,
    bytes: usize,
}

#[derive(Clone, Debug, Default)]
struct Cell {
    count: u64,
    sketch: Option<Box<Sketch>>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) groups: usize,
    pub(crate) bytes: usize,
}

impl Cell {
    fn add(&mut self, count: u64, number: Option<f64>, is_exact: bool) {
        self.count += count;
        if let Some(number) = number {
            let new = || if is_exact { Sketch::exact() } else { Sketch::default() };
            self.sketch.get_or_insert_with(|| Box::new(new())).add(number);
        }
    }

    fn merge(&mut self, other: Self) {
        self.count += other.count;
        match (&mut self.sketch, other.sketch) {
            (Some(sketch), Some(other)) => sketch.merge(&other),
            (sketch @ None, other) => *sketch = other,
            (Some(_), None) => {}
        }
    }

    fn bytes(&self) -> usize {
        self.sketch.as_ref().map_or(0, |sketch| size_of::<Sketch>() + sketch.bytes())
    }

    fn into_group(
        self,
        start: Option<Timestamp>,
        values: Vec<Option<FieldValue<'static>>>,
    ) -> Group {
        let sketch = self.sketch.map(|sketch| *sketch);
        Group { start, values, count: self.count, sketch }
    }
}

impl Groups {
    /// No records so far.
    pub fn new(grouping: &Grouping<'_>) -> Self {
        let groups = if grouping.measure.is_some() { SKETCHED_GROUPS_MAX } else { GROUPS_MAX };
        let bytes = if grouping.edges.is_some() { STRETCHED_BYTES_MAX } else { GROUP_BYTES_MAX };
        Self::limited(grouping, Limits { groups, bytes })
    }

    pub(crate) fn limited(grouping: &Grouping<'_>, limits: Limits) -> Self {
        Self {
            has_start: grouping.edges.is_some(),
            fields: grouping.by.len(),
            index: HashMap::new(),
            cells: Vec::new(),
            others: BTreeMap::new(),
            records: 0,
            numberless: 0,
            is_exact: grouping.exact,
            limits,
            bytes: 0,
        }
    }

    /// The groups of some records: of those that a scan or a follow hands out.
    pub fn of_rows<'r>(grouping: &Grouping<'_>, rows: impl IntoIterator<Item = Row<'r>>) -> Self {
        let mut classifier = Classifier::new(grouping);
        rows.into_iter().for_each(|row| classifier.add_row(&row));
        classifier.finish()
    }

    /// Adds the records of others, which were grouped in the same way.
    pub fn absorb(&mut self, other: Self) {
        self.records += other.records;
        self.numberless += other.numberless;
        let mut cells = other.cells;
        let mut keys: Vec<_> = other.index.into_iter().collect();
        // In the order in which the groups began, so that the same ones find room each time.
        keys.sort_unstable_by_key(|(_, index)| *index);
        for (key, index) in keys {
            if let Some(cell) = cells.get_mut(index) {
                self.merge(key, std::mem::take(cell));
            }
        }
        for (start, cell) in other.others {
            self.others.entry(start).or_default().merge(cell);
        }
        if self.is_exact && (!other.is_exact || self.bytes > self.limits.bytes.min(EXACT_BYTES_MAX))
        {
            self.turn_into_bins();
        }
    }

    /// Whether all quantiles are exact, as was asked for: there was memory for all different numbers.
    pub fn is_exact(&self) -> bool {
        self.is_exact
    }

    /// Gives up exact quantiles for memory.
    fn turn_into_bins(&mut self) {
        self.is_exact = false;
        for cell in self.cells.iter_mut().chain(self.others.values_mut()) {
            let before = cell.bytes();
            if let Some(sketch) = &mut cell.sketch {
                sketch.turn_into_bins();
            }
            self.bytes = self.bytes.saturating_sub(before.saturating_sub(cell.bytes()));
        }
    }

    /// How many records were counted.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// How many records were not counted as they do not have the number that is measured, though
    /// records of their type can have it.
    pub fn numberless(&self) -> u64 {
        self.numberless
    }

    /// How many groups there are.
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// Whether no record was counted.
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// The records of groups beyond the limits, counted together for each stretch of time; they have
    /// no values.
    pub fn other(&self) -> impl Iterator<Item = Group> {
        self.others.iter().map(|(start, cell)| cell.clone().into_group(*start, Vec::new()))
    }

    /// How many records there are of each group, in no particular order.
    pub fn counts(&self) -> impl Iterator<Item = u64> {
        self.cells.iter().map(|cell| cell.count)
    }

    /// The groups, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = Group> {
        self.index.iter().filter_map(|(key, index)| {
            let cell = self.cells.get(*index)?;
            let (start, values) = self.decoded(key);
            Some(cell.clone().into_group(start, values))
        })
    }

    /// The encoded values of the groups, and how many records each has.
    #[cfg(test)]
    pub(super) fn keys(&self) -> impl Iterator<Item = (Vec<u8>, u64)> {
        let count = |index: &usize| self.cells.get(*index).map_or(0, |cell| cell.count);
        self.index.iter().map(move |(key, index)| (key.to_vec(), count(index)))
    }

    fn decoded(&self, key: &[u8]) -> (Option<Timestamp>, Vec<Option<FieldValue<'static>>>) {
        let mut rest = key;
        let start = self.start(&mut rest);
        (start, (0..self.fields).map(|_| decode(&mut rest)).collect())
    }

    /// Takes the stretch of time off the front of a key.
    fn start(&self, key: &mut &[u8]) -> Option<Timestamp> {
        self.has_start.then(|| Timestamp::from_micros(i64::from_le_bytes(take(key))))
    }

    /// The groups of one field that were counted already, by its value.
    pub(crate) fn of_counts(
        grouping: &Grouping<'_>,
        counts: impl IntoIterator<Item = (FieldValue<'static>, u64)>,
    ) -> Self {
        let mut groups = Self::new(grouping);
        let mut key = Vec::new();
        for (value, count) in counts {
            key.clear();
            encode(Some(&value), &mut key);
            let place = groups.place(&key);
            groups.add(place, count, None);
        }
        groups
    }

    /// The place of the group with this key, which begins if there is none.
    pub(super) fn place(&mut self, key: &[u8]) -> usize {
        match self.index.get(key) {
            Some(index) => *index,
            None => self.begin(key.into(), Cell::default()),
        }
    }

    /// Adds records to the group in this place.
    pub(super) fn add(&mut self, place: usize, count: u64, number: Option<f64>) {
        self.records += count;
        if let Some(cell) = self.cells.get_mut(place) {
            cell.add(count, number, self.is_exact);
        }
    }

    /// Passes over records without the number that is measured.
    pub(super) fn pass_over(&mut self, count: u64) {
        self.numberless += count;
    }

    /// Adds one record to the group with this key, as far as there is room for it.
    pub(super) fn add_limited(&mut self, key: &[u8], number: Option<f64>) {
        self.records += 1;
        if let Some(cell) = self.index.get(key).and_then(|index| self.cells.get_mut(*index)) {
            let before = cell.bytes();
            cell.add(1, number, self.is_exact);
            self.bytes += cell.bytes().saturating_sub(before);
        } else {
            let mut cell = Cell::default();
            cell.add(1, number, self.is_exact);
            self.merge(key.into(), cell);
        }
        if self.is_exact && self.bytes > self.limits.bytes.min(EXACT_BYTES_MAX) {
            self.turn_into_bins();
        }
    }

    fn merge(&mut self, key: Box<[u8]>, cell: Cell) {
        match self.index.get(&key).copied() {
            Some(index) => {
                if let Some(known) = self.cells.get_mut(index) {
                    let before = known.bytes();
                    known.merge(cell);
                    self.bytes += known.bytes().saturating_sub(before);
                }
            }
            None if self.has_room(&key) => {
                self.begin(key, cell);
            }
            None => {
                let start = self.start(&mut &*key);
                self.others.entry(start).or_default().merge(cell);
            }
        }
    }

    /// Whether a new group may begin. Memory only grows, so one that had no room never gets any: no
    /// group is told with a part of its records.
    fn has_room(&self, key: &[u8]) -> bool {
        let bytes = self.bytes.saturating_add(GROUP_BYTES + key.len());
        self.cells.len() < self.limits.groups && bytes <= self.limits.bytes
    }

    fn begin(&mut self, key: Box<[u8]>, cell: Cell) -> usize {
        let place = self.cells.len();
        self.bytes += GROUP_BYTES + key.len() + cell.bytes();
        self.index.insert(key, place);
        self.cells.push(cell);
        place
    }
}
