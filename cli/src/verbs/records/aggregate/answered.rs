//! The answer in numbers: its lines in the order in which they are printed.

use std::cmp::Reverse;

use logq_format::Timestamp;
use logq_query::{Buckets, FieldValue};
use logq_reader::{Group, Groups};

use super::{Aggregate, Known, lines, table};
use crate::output::Format;

/// The values that a group has in common.
pub(super) type Values = Vec<Option<FieldValue<'static>>>;

/// One line: a group, perhaps within a stretch of time.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) start: Option<Timestamp>,
    pub(super) who: Who,
    /// `None` where nothing is known.
    pub(super) count: Option<u64>,
    pub(super) quantiles: Vec<Option<f64>>,
}

/// Whose numbers these are.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Who {
    /// Those of a group.
    Group(Values),
    /// Those of all groups beyond the limits.
    Other,
    /// Nobody's: a stretch of time in which there is no group.
    Nobody,
}

/// The numbers of an answer.
pub(super) struct Answered<'a> {
    pub(super) aggregate: &'a Aggregate,
    pub(super) buckets: Option<&'a Buckets>,
    /// The groups that are printed, in their order.
    pub(super) ranking: Vec<Values>,
    pub(super) lines: Vec<Line>,
}

impl<'a> Answered<'a> {
    pub(super) fn new(
        aggregate: &'a Aggregate,
        groups: &Groups,
        buckets: Option<&'a Buckets>,
        known: Known,
    ) -> Self {
        let compare = |one: &Group, other: &Group| aggregate.by.compare(&one.values, &other.values);
        let least = least_count(aggregate, groups);
        let mut all: Vec<Group> = groups.iter().filter(|group| group.count >= least).collect();
        all.sort_by(compare);
        let mut ranked: Vec<&[Group]> = all.chunk_by(|a, b| compare(a, b).is_eq()).collect();
        if aggregate.top.is_some() || !aggregate.by.is_ranked_by_value() {
            // Of equally frequent values, the order of the values stays.
            ranked.sort_by_key(|same| Reverse(same.iter().map(|group| group.count).sum::<u64>()));
        }
        ranked.truncate(aggregate.top.unwrap_or(usize::MAX));
        let line = |who: Who, group: &Group| Line {
            start: group.start,
            who,
            count: Some(group.count),
            quantiles: aggregate.quantiles(group.sketch.as_ref()),
        };
        let in_groups = ranked.iter().copied().flatten();
        let mut lines: Vec<_> =
            in_groups.map(|group| line(Who::Group(group.values.clone()), group)).collect();
        lines.extend(groups.other().map(|group| line(Who::Other, &group)));
        if let Some(buckets) = buckets {
            lines.extend(empty(aggregate, &lines, buckets, known));
            lines.sort_by_key(|line| line.start);
        }
        let first = |same: &&[Group]| same.first().map(|group| group.values.clone());
        Self { aggregate, buckets, ranking: ranked.iter().filter_map(first).collect(), lines }
    }

    /// The numbers in a format, for a screen of so many columns.
    pub(super) fn text(&self, format: Format, columns: usize) -> Vec<u8> {
        match format {
            _ if format.is_json() => lines::json(self, format),
            Format::Csv => lines::csv(self),
            _ => table::text(self, columns),
        }
    }
}

/// The count of the last group that can be among those that are printed: of a million groups there
/// need not be more in memory twice.
fn least_count(aggregate: &Aggregate, groups: &Groups) -> u64 {
    let top = aggregate.top.filter(|top| !aggregate.has_bars && *top < groups.len());
    let Some(top) = top else { return 0 };
    let mut counts: Vec<u64> = groups.counts().collect();
    let (_, least, _) = counts.select_nth_unstable_by_key(top - 1, |count| Reverse(*count));
    *least
}

/// The stretches of time without any group.
fn empty(aggregate: &Aggregate, lines: &[Line], buckets: &Buckets, known: Known) -> Vec<Line> {
    let mut seen: Vec<_> = lines.iter().filter_map(|line| line.start).collect();
    seen.sort_unstable();
    let is_empty = |(start, _): &(Timestamp, Timestamp)| seen.binary_search(start).is_err();
    let nobody = |(start, end)| Line {
        start: Some(start),
        who: Who::Nobody,
        count: (!known.is_outside(start, end)).then_some(0),
        quantiles: aggregate.quantiles(None),
    };
    buckets.iter().filter(is_empty).map(nobody).collect()
}
