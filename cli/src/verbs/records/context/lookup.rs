//! Context looked up for one group after the other.

use std::collections::HashMap;
use std::ops::ControlFlow;

use logq_reader::{Filter, Order, Query, Report, Row};

use super::super::Answer;
use super::super::lane::{Lane, Step};
use super::groups::Groups;
use super::{Item, LOOKED_UP_MAX, LaneKey, Rank, Search, is_before, rank};
use crate::completeness::absorb;

/// What became of looking up.
pub(super) struct LookedUp {
    pub(super) answer: Answer,
    /// From where on it is cheaper to read everything.
    pub(super) goes_on: Option<Place>,
}

/// A place in the order of the search, up to which all groups have been printed that begin before.
pub(super) struct Place {
    /// The first match behind it.
    pub(super) next: Rank,
    /// The lanes that have been read further than that, and how far.
    pub(super) ahead: HashMap<LaneKey, (Lane<Item>, Rank)>,
}

/// Prints groups until there are no more, or too many.
pub(super) fn print(search: &Search<'_>, groups: &mut Groups<'_>) -> anyhow::Result<LookedUp> {
    let asking = search.asking;
    let limits = asking.limits;
    let query = Query { order: limits.order, limit: limits.found_max, ..asking.question.query() };
    let mut lookup = Lookup { search, read: HashMap::new(), found: 0, report: Report::default() };
    let (mut groups_begun, mut next, mut failure) = (0, None, None);
    let matches = |rows: &logq_reader::Rows<'_>| {
        rows.iter().map(|row| (search.key(&row), rank(&row))).collect::<Vec<_>>()
    };
    let report = asking.question.snapshot.scan(&query, matches, |matches| {
        for (key, rank) in matches {
            if lookup.has_read(key, rank) {
                continue;
            }
            if groups_begun == LOOKED_UP_MAX {
                next = Some(rank);
                return ControlFlow::Break(());
            }
            groups_begun += 1;
            if let Err(error) = lookup.print_group(key, rank, groups) {
                failure = Some(error);
                return ControlFlow::Break(());
            }
            groups.flow()?;
        }
        ControlFlow::Continue(())
    })?;
    if let Some(error) = failure {
        return Err(error);
    }
    absorb(&mut lookup.report, report);
    let answer = Answer { found: lookup.found, report: lookup.report };
    let order = limits.order;
    let goes_on = next.map(|next| {
        let is_ahead = |read: &(Lane<Item>, Rank)| !is_before(order, read.1, next);
        let ahead = lookup.read.into_iter().filter(|(_, read)| is_ahead(read)).collect();
        Place { next, ahead }
    });
    Ok(LookedUp { answer, goes_on })
}

struct Lookup<'s> {
    search: &'s Search<'s>,
    /// The lanes of the groups so far, and the last records read of them.
    read: HashMap<LaneKey, (Lane<Item>, Rank)>,
    /// Records that match.
    found: u64,
    report: Report,
}

impl Lookup<'_> {
    /// Whether a record has been read, and printed, with an earlier one.
    fn has_read(&self, key: LaneKey, rank: Rank) -> bool {
        let order = self.search.asking.limits.order;
        self.read.get(&key).is_some_and(|(_, last)| !is_before(order, *last, rank))
    }

    /// Prints the group that begins around the match `rank`.
    fn print_group(
        &mut self,
        key: LaneKey,
        first: Rank,
        groups: &mut Groups<'_>,
    ) -> anyhow::Result<()> {
        let search = self.search;
        let mut lane = Lane::new(search.around);
        let (before, report) = search.before(key, first, search.around.before)?;
        absorb(&mut self.report, report);
        lane.prime(before);
        let (mut id, mut last) = (None, first);
        // Most groups have one match; one of many gets more at a time.
        let mut most =
            search.around.after.saturating_add(search.around.before).saturating_add(2) as u64;
        let mut from = From { rank: first, included: true };
        loop {
            let (items, report) = search.after(key, from, most)?;
            absorb(&mut self.report, report);
            let is_all = (items.len() as u64) < most;
            for item in items {
                last = item.rank;
                let is_match = item.is_match;
                self.found += u64::from(is_match);
                match lane.feed(item, is_match) {
                    Step::Begin(items) => id = Some(groups.begin(texts(items), last)),
                    Step::GoOn(items) => {
                        if let Some(id) = id {
                            groups.go_on(id, texts(items), is_match.then_some(last));
                        }
                    }
                    Step::Wait | Step::End => {}
                }
                if !lane.is_open() {
                    break;
                }
            }
            let is_enough = search.is_behind(last) && !lane.is_incomplete();
            if is_all || is_enough || !lane.is_open() || groups.flow().is_break() {
                break;
            }
            from = From { rank: last, included: false };
            most = most.saturating_mul(2).clamp(64, 1 << 14);
        }
        if let Some(id) = id {
            groups.end(id);
        }
        self.read.insert(key, (lane, last));
        Ok(())
    }
}

/// The texts of records.
pub(super) fn texts(items: Vec<Item>) -> Vec<Vec<u8>> {
    items.into_iter().map(|item| item.text).collect()
}

/// From where on records are read.
#[derive(Clone, Copy)]
struct From {
    rank: Rank,
    included: bool,
}

impl Search<'_> {
    /// The `most` records of a lane before a place, in the order of the search.
    pub(super) fn before(
        &self,
        key: LaneKey,
        place: Rank,
        most: usize,
    ) -> anyhow::Result<(Vec<Item>, Report)> {
        if most == 0 {
            return Ok((Vec::new(), Report::default()));
        }
        let order = match self.asking.limits.order {
            Order::Ascending => Order::Descending,
            Order::Descending => Order::Ascending,
        };
        let is_wanted = |row: &Row<'_>| is_before(order, place, rank(row));
        let (mut items, report) = self.read(key, order, place, most as u64, &is_wanted)?;
        items.reverse();
        Ok((items, report))
    }

    /// The next records of a lane from a place on.
    fn after(&self, key: LaneKey, from: From, most: u64) -> anyhow::Result<(Vec<Item>, Report)> {
        let order = self.asking.limits.order;
        let is_wanted = |row: &Row<'_>| {
            let rank = rank(row);
            is_before(order, from.rank, rank) || (from.included && rank == from.rank)
        };
        self.read(key, order, from.rank, most, &is_wanted)
    }

    /// The first `most` records of a lane in an order, from the time of a place on.
    fn read(
        &self,
        key: LaneKey,
        order: Order,
        place: Rank,
        most: u64,
        is_wanted: &(dyn Fn(&Row<'_>) -> bool + Sync),
    ) -> anyhow::Result<(Vec<Item>, Report)> {
        let range = self.asking.question.range;
        let (since, until) = match order {
            Order::Ascending => (Some(place.0), range.until),
            Order::Descending => (range.since, Some(place.0.saturating_add_micros(1))),
        };
        let workers = match key {
            LaneKey::Process(worker) => Some(vec![worker]),
            LaneKey::All => None,
        };
        let filter = Filter { workers, predicate: Some(is_wanted), ..Filter::default() };
        let query = Query { since, until, filter, order, limit: Some(most), ..Query::default() };
        let mut items = Vec::new();
        let report = self.asking.question.snapshot.scan(
            &query,
            |rows| rows.iter().map(|row| self.item(&row, self.is_match(&row))).collect::<Vec<_>>(),
            |some| {
                items.extend(some);
                ControlFlow::Continue(())
            },
        )?;
        Ok((items, report))
    }
}
