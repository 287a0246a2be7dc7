//! Context by one pass over everything.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use logq_reader::{Order, Query, Report, Rows};

use super::super::Answer;
use super::super::lane::{Lane, Step};
use super::groups::{GroupId, Groups};
use super::lookup::{Place, texts};
use super::near::{Piece, pieces};
use super::{Item, LaneKey, Rank, Search, is_before};
use crate::completeness::absorb;

/// Prints the groups that begin at a place or behind it.
pub(super) fn print(
    search: &Search<'_>,
    place: Place,
    groups: &mut Groups<'_>,
) -> anyhow::Result<Answer> {
    let asking = search.asking;
    let (order, range) = (asking.limits.order, asking.question.range);
    let time = place.next.0;
    let (since, until) = match order {
        Order::Ascending => (Some(time), range.until),
        Order::Descending => (range.since, Some(time.saturating_add_micros(1))),
    };
    let query = Query { since, until, order, ..Query::default() };
    let mut pass = Pass::new(search, place);
    let render = |rows: &Rows<'_>| pieces(search, rows);
    let mut failure = None;
    let report = asking.question.snapshot.scan(&query, render, |pieces| {
        for piece in pieces {
            let item = match piece {
                Piece::Record(item) => item,
                Piece::Skipped(key, last) => {
                    pass.skip(key, last);
                    continue;
                }
            };
            match pass.take(item, groups) {
                Ok(flow) => flow?,
                Err(error) => {
                    failure = Some(error);
                    return ControlFlow::Break(());
                }
            }
        }
        groups.flow()
    })?;
    if let Some(error) = failure {
        return Err(error);
    }
    absorb(&mut pass.report, report);
    Ok(Answer { found: pass.found, report: pass.report })
}

struct Pass<'s> {
    search: &'s Search<'s>,
    /// Where it begins.
    first: Rank,
    lanes: HashMap<LaneKey, State>,
    /// Lanes with open groups whose context after the last match is not complete.
    incomplete: HashSet<LaneKey>,
    found: u64,
    report: Report,
}

struct State {
    lane: Lane<Item>,
    group: Option<GroupId>,
    /// Up to here it has been read before.
    read: Option<Rank>,
    /// Whether what lies before its first record is known, or has been looked up.
    is_primed: bool,
}

impl<'s> Pass<'s> {
    fn new(search: &'s Search<'s>, place: Place) -> Self {
        let known = |(key, (lane, rank)): (LaneKey, (Lane<Item>, Rank))| {
            (key, State { lane, group: None, read: Some(rank), is_primed: true })
        };
        Self {
            search,
            first: place.next,
            lanes: place.ahead.into_iter().map(known).collect(),
            incomplete: HashSet::new(),
            found: 0,
            report: Report::default(),
        }
    }

    /// Passes over records of a lane, up to `last`, that are too far from any match. What has been
    /// read further before the pass knows better.
    fn skip(&mut self, key: LaneKey, last: Rank) {
        let order = self.search.asking.limits.order;
        let Some(state) = self.lanes.get_mut(&key) else { return };
        if state.read.is_none_or(|read| is_before(order, read, last)) {
            state.lane.skip();
        }
    }

    fn take(&mut self, item: Item, groups: &mut Groups<'_>) -> anyhow::Result<ControlFlow<()>> {
        let order = self.search.asking.limits.order;
        let around = self.search.around;
        let (key, rank) = (item.key, item.rank);
        if is_before(order, rank, self.first) {
            return Ok(ControlFlow::Continue(()));
        }
        let state = self.lanes.entry(key).or_insert_with(|| State {
            lane: Lane::new(around),
            group: None,
            read: None,
            is_primed: false,
        });
        if state.read.is_some_and(|read| !is_before(order, read, rank)) {
            return Ok(ControlFlow::Continue(()));
        }
        let is_match = item.is_match;
        if is_match {
            self.found += 1;
            let unknown = state.lane.unknown();
            if unknown > 0 && !state.is_primed {
                let oldest = state.lane.oldest().map_or(rank, |item| item.rank);
                let (before, report) = self.search.before(key, oldest, unknown)?;
                absorb(&mut self.report, report);
                state.lane.prime(before);
            }
            state.is_primed = true;
        }
        match state.lane.feed(item, is_match) {
            Step::Begin(items) => state.group = Some(groups.begin(texts(items), rank)),
            Step::GoOn(items) => {
                if let Some(id) = state.group {
                    groups.go_on(id, texts(items), is_match.then_some(rank));
                }
            }
            Step::End => {
                if let Some(id) = state.group.take() {
                    groups.end(id);
                }
            }
            Step::Wait => {}
        }
        match state.lane.is_incomplete() {
            true => self.incomplete.insert(key),
            false => self.incomplete.remove(&key),
        };
        let is_done = self.search.is_behind(rank) && self.incomplete.is_empty();
        Ok(if is_done { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }
}
