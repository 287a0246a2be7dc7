//! One look: what is new is observed, what has become final is handed out.
//!
//! The order matters. Writers are asked about first, then the lengths of the segments are taken, in
//! the order of their numbers, then it is looked whether there are more segments. So whoever leaves a
//! segment below its length has joined the next one, and that is seen.

use std::collections::{BTreeSet, VecDeque};
use std::ops::ControlFlow;

use super::deliver::{Arrivals, Outcome, hand_out};
use super::store::{Kind, Store};
use super::tracked::Tracked;
use super::{Delivery, Follow, FollowError, now};
use crate::cursor::position::{HIGHEST, Level, Position, file_of};
use crate::cursor::{Cursors, Resume, Stretch, boundary};
use crate::decoder::Decoder;
use crate::error::ReadError;
use crate::finality::{Manning, Probe};
use crate::ledger::Ledger;
use crate::listing::refused;
use crate::plan::{Plan, Slice};
use crate::query::Order;
use crate::report::{Cause, Gap};
use crate::rows::{Rank, Rows};
use crate::segment::Segment;
use crate::timeline::{Timeline, times};
use crate::wanted::Wanted;
use crate::workspace::Workspaces;

/// The most segments of a store that are kept open because a writer has not said that it leaves
/// them, if it is known to be gone, or nothing is known of it. What those that are not open any more
/// get nevertheless is noticed by the lengths of the newest.
const IDLE_MAX: usize = 16;

/// The most segments that stay open, the newest. There are more only where a writer was stopped for
/// many rotations; those are opened when they are read.
const OPEN_FILES_MAX: usize = 200;

/// How often is looked for segments that come while one looks.
const LOOKS_MAX: usize = 100;

impl Follow<'_> {
    pub(super) fn round<T: Send>(
        &mut self,
        map: &(impl Fn(&Rows<'_>, &Cursors) -> T + Sync),
        fold: &mut impl FnMut(T) -> ControlFlow<()>,
    ) -> Result<Outcome, FollowError> {
        if self.is_quiet() {
            return Ok(Outcome::default());
        }
        let probes = self.probe();
        self.look()?;
        let is_pending = self.tracked.iter().any(|tracked| !tracked.pending.is_empty());
        let frontier = self.judge(&probes);
        if frontier.rank > self.frontier.rank || !is_pending {
            self.held_since = now();
        }
        self.frontier = frontier;
        let outcome = if !self.is_caught_up {
            self.catch_up(map, fold)?
        } else if self.delivery == Delivery::Arrival {
            self.hand_out_arrived(map, fold)?
        } else {
            self.hand_out_final(map, fold)?
        };
        self.highest = self.highest.max(outcome.highest);
        self.account.late(outcome.late);
        self.retire(&probes);
        Ok(outcome)
    }

    /// Whether nothing has changed, as far as lengths and names tell, and nothing waits.
    fn is_quiet(&self) -> bool {
        self.is_caught_up
            && self.until.is_none()
            && !self.names_changed
            && self.tracked.iter().all(|tracked| tracked.pending.is_empty() && !tracked.has_grown())
            && !self.stores.iter().any(Store::may_have_changed)
    }

    /// Asks about the writers of all stores.
    pub(super) fn probe(&self) -> Vec<Option<Probe>> {
        let probe = |directory| Probe::take(directory, now());
        self.stores.iter().map(|store| store.directory().map(probe)).collect()
    }

    /// Learns what is new.
    pub(super) fn look(&mut self) -> Result<(), FollowError> {
        for tracked in &mut self.tracked {
            let store = self.stores.get(tracked.store);
            let is_superseded = store.is_some_and(|store| !store.is_newest(&tracked.path));
            // A file that is open can be examined; if not, it is as it was.
            if tracked.measure(&mut self.account).unwrap_or(false) {
                tracked.observe(&mut self.account);
            }
            tracked.is_superseded = is_superseded;
        }
        for index in 0..self.stores.len() {
            self.look_at(index)?;
        }
        self.names_changed = false;
        Ok(())
    }

    /// Learns which segments of a store have come and gone.
    fn look_at(&mut self, index: usize) -> Result<(), FollowError> {
        for _ in 0..LOOKS_MAX {
            let Some(store) = self.stores.get_mut(index) else { break };
            if store.kind != Kind::Missing {
                self.wake.watch(&store.path);
            }
            if !(store.may_have_changed() || self.names_changed) {
                break;
            }
            let changed = store.look()?;
            let (path, grown) = (store.path.clone(), store.grown());
            if changed.unseen > 0 {
                self.account.gap(vanished(path));
            }
            for path in &changed.gone {
                self.remove(path);
            }
            self.replace(index);
            for (path, number) in &changed.new {
                self.add(index, path, *number, None)?;
            }
            for (path, number, end) in grown {
                self.add(index, &path, Some(number), Some(end.len))?;
            }
            if changed.new.is_empty() {
                break;
            }
        }
        Ok(())
    }

    fn remove(&mut self, path: &std::path::Path) {
        for tracked in self.tracked.iter_mut().filter(|tracked| tracked.path == path) {
            tracked.delete(&mut self.account);
        }
    }

    /// Notices files that others have taken the names of.
    fn replace(&mut self, store: usize) {
        let replaced: Vec<_> = self
            .tracked
            .iter_mut()
            .filter(|tracked| tracked.store == store && !tracked.is_deleted)
            .filter(|tracked| !tracked.is_at_its_path())
            .map(|tracked| {
                tracked.delete(&mut self.account);
                (tracked.path.clone(), tracked.number)
            })
            .collect();
        for (path, number) in &replaced {
            if path.exists() {
                self.account.gap(vanished(path.clone()));
                // What cannot be opened now is found gone, or there, with the next look.
                let _ = self.add(store, path, Some(*number), None);
            }
        }
    }

    /// Begins to keep an eye on a segment, of which everything behind `known` is new.
    fn add(
        &mut self,
        store: usize,
        path: &std::path::Path,
        number: Option<u64>,
        known: Option<u64>,
    ) -> Result<(), FollowError> {
        let collects = self.delivery == Delivery::Ordered;
        let mut tracked = match Tracked::open(path, store, number, collects) {
            Ok(tracked) => tracked,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                self.account.gap(vanished(path.to_owned()));
                return Ok(());
            }
            Err(error) => return Err(refused(path, error).into()),
        };
        if let Some(known) = known {
            tracked.skip_to(known);
        }
        tracked.observe(&mut self.account);
        if known.is_none() {
            // Most often nothing: the segment is new.
            tracked.parts = self.parts_known(&tracked);
        }
        self.track(tracked);
        Ok(())
    }

    /// What has been handed out of a segment, as the place says that has been reached.
    fn parts_known(&self, tracked: &Tracked) -> Vec<(u64, Rank)> {
        let segment = tracked.segment();
        let Some((store, _)) = segment.identity() else { return Vec::new() };
        let file = file_of(&segment);
        let part = |level: &Level| {
            let extent = level.extents.iter().find(|extent| extent.store == store)?;
            let end = match extent.known(tracked.number, file) {
                u64::MAX => tracked.scanned(),
                known => boundary(&segment, known).min(tracked.scanned()),
            };
            (end > 0).then_some((end, level.rank))
        };
        self.position.levels.iter().filter_map(part).collect()
    }

    /// Keeps a segment among the others.
    pub(super) fn track(&mut self, tracked: Tracked) {
        if let Some(store) = self.stores.get_mut(tracked.store) {
            if let Some((id, _)) = tracked.segment().identity() {
                store.belongs_to(id);
            }
            store.forget(tracked.number);
        }
        self.tracked.push(tracked);
        self.tracked.sort_by_key(|tracked| (tracked.store, tracked.number));
        // Dictionaries are known by the places of their segments.
        self.workspaces = Workspaces::default();
    }

    /// Hands out, in order, what has become final.
    fn hand_out_final<T: Send>(
        &mut self,
        map: &(impl Fn(&Rows<'_>, &Cursors) -> T + Sync),
        fold: &mut impl FnMut(T) -> ControlFlow<()>,
    ) -> Result<Outcome, ReadError> {
        let ceiling = self.frontier.rank;
        let resume = self.resume(ceiling);
        let mut outcome = Outcome::default();
        if !resume.stretches.is_empty() {
            let segments: Vec<Segment> = self.tracked.iter().map(Tracked::segment).collect();
            let query = self.query(ceiling);
            let wanted = Wanted::new(&query);
            let decoder = Decoder {
                segments: &segments,
                workspaces: &self.workspaces,
                wanted: &wanted,
                timeline: Timeline::new(Order::Ascending),
                bounds: &resume.bounds,
                ceiling: resume.ceiling,
            };
            let ledger = Ledger::new(&segments, times(&query));
            let mut plan = Plan::new(&segments, &query, &wanted, &resume, ledger);
            let cursors = self.cursors_here();
            let cursors = |_: &Slice| cursors.clone();
            outcome = hand_out(&mut plan, &decoder, self.highest, cursors, map, fold)?;
            self.account.absorb_decoding(plan.into_ledger().finish(Default::default()));
        }
        match outcome.stopped {
            Some(place) => {
                self.tracked.iter_mut().for_each(|tracked| tracked.advance(place.rank));
                let (unborn, extents) = self.extents();
                self.position = self.position.advanced(place.rank, unborn, extents);
            }
            None => {
                self.advance_below(ceiling);
                self.tracked.iter_mut().for_each(|tracked| tracked.pending.drop_below(ceiling));
            }
        }
        Ok(outcome)
    }

    /// What of the pending blocks is ranked below `ceiling`.
    fn resume(&self, ceiling: Rank) -> Resume {
        let of_parts = self.tracked.iter().flat_map(|tracked| &tracked.parts);
        let ranks: BTreeSet<Rank> = of_parts.map(|(_, rank)| *rank).collect();
        let bounds: Vec<Rank> = ranks.into_iter().rev().take(usize::from(u8::MAX)).collect();
        let bound = |rank: Option<Rank>| {
            let index = rank.and_then(|rank| bounds.iter().position(|other| *other == rank));
            index.and_then(|index| u8::try_from(index + 1).ok()).unwrap_or(0)
        };
        let (mut stretches, mut known) = (Vec::new(), Vec::new());
        for (segment, tracked) in self.tracked.iter().enumerate() {
            for (range, rank) in tracked.split(0..tracked.known()) {
                known.push(Stretch { segment, range, bound: bound(rank) });
            }
            for range in tracked.pending.below(ceiling) {
                for (range, rank) in tracked.split(range) {
                    stretches.push(Stretch { segment, range, bound: bound(rank) });
                }
            }
        }
        stretches.retain(|stretch| {
            let rank = usize::from(stretch.bound).checked_sub(1).and_then(|i| bounds.get(i));
            rank.is_none_or(|rank| *rank < ceiling)
        });
        let ceiling = Some(ceiling).filter(|ceiling| *ceiling < HIGHEST);
        Resume { stretches, bounds, known, ceiling, ..Resume::default() }
    }

    /// The cursors of records that are handed out in order now.
    pub(super) fn cursors_here(&self) -> Cursors {
        let mut ends = self.tracked.iter().map(|tracked| (tracked, tracked.scanned()));
        let (unborn, extents) = self.extents_with(&mut ends);
        Cursors::new(self.position.clone(), unborn, extents, HIGHEST)
    }

    /// Hands out what is new, as it was appended.
    fn hand_out_arrived<T: Send>(
        &mut self,
        map: &(impl Fn(&Rows<'_>, &Cursors) -> T + Sync),
        fold: &mut impl FnMut(T) -> ControlFlow<()>,
    ) -> Result<Outcome, ReadError> {
        let known: Vec<u64> = self.tracked.iter().map(Tracked::known).collect();
        let ranges: VecDeque<_> = self
            .tracked
            .iter()
            .enumerate()
            .map(|(index, tracked)| (index, tracked.known()..tracked.scanned()))
            .filter(|(_, range)| !range.is_empty())
            .collect();
        if ranges.is_empty() {
            return Ok(Outcome::default());
        }
        let segments: Vec<Segment> = self.tracked.iter().map(Tracked::segment).collect();
        let query = self.query(HIGHEST);
        let wanted = Wanted::new(&query);
        let decoder = Decoder {
            segments: &segments,
            workspaces: &self.workspaces,
            wanted: &wanted,
            timeline: Timeline::new(Order::Ascending),
            bounds: &[HIGHEST],
            ceiling: None,
        };
        let mut account = std::mem::take(&mut self.account);
        let mut arrivals = Arrivals::new(&segments, &wanted, ranges, &known, &mut account);
        let cursors = |slice: &Slice| self.cursors_of(slice);
        let handed_out = hand_out(&mut arrivals, &decoder, None, cursors, map, fold);
        self.account = account;
        let outcome = handed_out?;
        for (index, tracked) in self.tracked.iter_mut().enumerate() {
            match outcome.stopped {
                Some(place) if index == place.segment => tracked.advance_to(place.end),
                Some(place) if index > place.segment => {}
                _ => tracked.advance_to(tracked.scanned()),
            }
        }
        let (unborn, extents) = self.extents();
        self.position =
            Position::start(Order::Ascending, 0, Vec::new()).advanced(HIGHEST, unborn, extents);
        Ok(outcome)
    }

    /// The cursors of the records of one block that are handed out as it has arrived.
    fn cursors_of(&self, slice: &Slice) -> Cursors {
        let block = slice.blocks.first();
        let (at, start, end) = block.map_or((0, 0, 0), |block| {
            (block.segment as usize, block.offset, block.offset + u64::from(block.len))
        });
        let ends = |own: u64| {
            self.tracked.iter().enumerate().map(move |(index, tracked)| {
                let end = match index.cmp(&at) {
                    std::cmp::Ordering::Less => tracked.scanned(),
                    std::cmp::Ordering::Equal => own,
                    std::cmp::Ordering::Greater => tracked.known(),
                };
                (tracked, end)
            })
        };
        let (unborn, before) = self.extents_with(&mut ends(start));
        let (_, with) = self.extents_with(&mut ends(end));
        let start = Position::start(Order::Ascending, 0, Vec::new());
        Cursors::new(start.advanced(HIGHEST, unborn, before), unborn, with, HIGHEST)
    }

    /// Lets go of segments of which everything has been handed out and that get no more.
    ///
    /// Where writers can be seen, one that lives keeps its segment open, however far it lags behind.
    fn retire(&mut self, probes: &[Option<Probe>]) {
        if !self.is_caught_up {
            return;
        }
        let (mut kept, mut count) = (Vec::new(), vec![0_usize; self.stores.len()]);
        let all = self.tracked.len();
        for tracked in std::mem::take(&mut self.tracked).into_iter().rev() {
            let is_done = tracked.pending.is_empty() && tracked.known() == tracked.scanned();
            let probe = probes.get(tracked.store).and_then(Option::as_ref);
            let manning = probe.and_then(|probe| probe.manning(tracked.number));
            let may_be_left = manning.is_none_or(|manning| manning == Manning::Left);
            let others = count.get_mut(tracked.store);
            let are_many = others.as_ref().is_none_or(|others| **others >= IDLE_MAX);
            let is_closed = tracked.is_deleted || tracked.is_superseded;
            let is_left = !tracked.may_grow() || (is_closed && are_many && may_be_left);
            if is_done && is_left {
                self.remember(&tracked);
                continue;
            }
            if let Some(others) = others {
                *others += 1;
            }
            kept.push(tracked);
        }
        kept.reverse();
        let closed = kept.len().saturating_sub(OPEN_FILES_MAX);
        kept.iter_mut().take(closed).for_each(Tracked::close);
        self.tracked = kept;
        if self.tracked.len() < all {
            self.workspaces = Workspaces::default();
            let tracked = &self.tracked;
            self.account.forget(|store, writer| {
                !tracked.iter().any(|t| t.store == store && t.members.contains_key(&writer))
            });
        }
    }

    fn remember(&mut self, tracked: &Tracked) {
        if let Some(store) = self.stores.get_mut(tracked.store).filter(|_| !tracked.is_deleted) {
            store.remember(tracked.end(tracked.known()), tracked.len);
        }
    }
}

/// What is gone before it was read, or has taken the name of what was there.
pub(super) fn vanished(path: std::path::PathBuf) -> Gap {
    Gap { path, range: 0..0, cause: Cause::Vanished, origin: None, sequences: None, span: None }
}
