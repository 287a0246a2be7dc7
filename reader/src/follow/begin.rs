//! The beginning: from which place on, and what is there already.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;

use super::deliver::{Outcome, hand_out};
use super::round::vanished;
use super::tracked::{Tracked, latest};
use super::{Delivery, Follow, FollowError, Start, before, now};
use crate::cursor::position::{HIGHEST, LOWEST, Position};
use crate::cursor::{Cursor, Cursors, Resume};
use crate::decoder::Decoder;
use crate::finality::{Manning, Probe};
use crate::ledger::Ledger;
use crate::listing::refused;
use crate::plan::{Plan, Slice};
use crate::query::{Order, Query};
use crate::rows::{Rank, Rows};
use crate::segment::Segment;
use crate::snapshot::Snapshot;
use crate::source::{Access, FileSource};
use crate::timeline::{Timeline, times};
use crate::wanted::Wanted;

/// The newest segments of a store that are looked into for who may still append to them, beside
/// those where somebody is seen.
const LOOKED_INTO: usize = 16;

/// Segments that are kept open while what is there is handed out.
const OPEN_FILES_MAX: usize = 400;

impl Follow<'_> {
    /// Learns what is there and where to begin.
    pub(super) fn begin(&mut self, start: Start) -> Result<(), FollowError> {
        for index in 0..self.stores.len() {
            self.begin_with(index)?;
        }
        let (unborn, extents) =
            self.extents_with(&mut self.tracked.iter().map(|tracked| (tracked, tracked.scanned())));
        let first = Position::start(Order::Ascending, unborn, extents.clone());
        self.position = match start {
            Start::Now => {
                self.tracked.iter_mut().for_each(|tracked| tracked.advance(HIGHEST));
                self.is_caught_up = true;
                first.advanced(HIGHEST, unborn, extents)
            }
            Start::Newest(count) => match self.newest(count)? {
                Some(rank) => first.advanced(rank, unborn, extents),
                None => first,
            },
            Start::Since(_) => first,
            Start::After(cursor) => {
                let segments = self.all_segments()?;
                let query = Query { after: Some(&cursor), ..Query::default() };
                Resume::of(&segments, self.stores.len(), &query).map_err(crate::ReadError::from)?;
                cursor.position
            }
        };
        Ok(())
    }

    fn begin_with(&mut self, index: usize) -> Result<(), FollowError> {
        let Some(store) = self.stores.get_mut(index) else { return Ok(()) };
        let names = store.look()?.new;
        self.wake.watch(&store.path);
        let probe = store.directory().map(|directory| Probe::take(directory, now()));
        let is_manned = |number: Option<u64>| {
            let manning = number.zip(probe.as_ref()).and_then(|(n, probe)| probe.manning(n));
            manning == Some(Manning::Manned)
        };
        let skipped = names.len().saturating_sub(LOOKED_INTO);
        for (place, (path, number)) in names.into_iter().enumerate() {
            if place < skipped && !is_manned(number) {
                continue;
            }
            let collects = self.delivery == Delivery::Ordered;
            match Tracked::open(&path, index, number, collects) {
                Ok(mut tracked) => {
                    tracked.begin(&mut self.account);
                    self.track(tracked);
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(refused(&path, error).into()),
            }
        }
        Ok(())
    }

    /// The rank before the oldest of the newest records; `None` if there are no more than these.
    fn newest(&self, count: u64) -> Result<Option<Rank>, FollowError> {
        if count == 0 {
            return Ok(Some(HIGHEST));
        }
        let snapshot = Snapshot::of_segments(self.all_segments()?);
        let limit = Some(count);
        let query = Query { order: Order::Descending, limit, ..self.query(HIGHEST) };
        let (mut found, mut last) = (0_u64, None);
        snapshot.scan(
            &query,
            |rows| (rows.len(), rows.iter().last().map(|row| row.rank())),
            |(rows, rank)| {
                found += rows as u64;
                last = rank.or(last);
                ControlFlow::Continue(())
            },
        )?;
        Ok(last.filter(|_| found == count).and_then(before))
    }

    /// Hands out what is there, as far as it is final or, in the order of arrival, all of it.
    pub(super) fn catch_up<T: Send>(
        &mut self,
        map: &(impl Fn(&Rows<'_>, &Cursors) -> T + Sync),
        fold: &mut impl FnMut(T) -> ControlFlow<()>,
    ) -> Result<Outcome, FollowError> {
        let ceiling = match self.delivery {
            Delivery::Ordered => self.frontier.rank,
            Delivery::Arrival => HIGHEST,
        };
        if ceiling == LOWEST {
            // Nothing is known of the writers at this moment.
            return Ok(Outcome::default());
        }
        let segments = self.all_segments()?;
        let cursor = Cursor { position: self.position.clone() };
        let query = Query { after: Some(&cursor), ..self.query(ceiling) };
        let mut resume =
            Resume::of(&segments, self.stores.len(), &query).map_err(crate::ReadError::from)?;
        resume.ceiling = Some(ceiling).filter(|ceiling| *ceiling < HIGHEST);
        let wanted = Wanted::new(&query);
        let workspaces = crate::workspace::Workspaces::default();
        let decoder = Decoder {
            segments: &segments,
            workspaces: &workspaces,
            wanted: &wanted,
            timeline: Timeline::new(Order::Ascending),
            bounds: &resume.bounds,
            ceiling: resume.ceiling,
        };
        let mut ledger = Ledger::new(&segments, times(&query));
        resume.gaps.iter().for_each(|gap| ledger.gap(gap.clone()));
        let mut plan = Plan::new(&segments, &query, &wanted, &resume, ledger);
        let cursors = self.cursors_here();
        let cursors = |_: &Slice| cursors.clone();
        let outcome = hand_out(&mut plan, &decoder, None, cursors, map, fold)?;
        let report = plan.into_ledger().finish(crate::Coverage::default());
        if outcome.stopped.is_none() && self.delivery == Delivery::Ordered {
            self.track_later(&segments, &resume, ceiling);
        }
        let parts = self.parts_of(&segments, &resume);
        for (tracked, parts) in self.tracked.iter_mut().zip(parts) {
            tracked.parts = parts;
        }
        match outcome.stopped {
            Some(place) => {
                self.tracked.iter_mut().for_each(|tracked| tracked.advance(place.rank));
                let (unborn, extents) = self.extents();
                self.position = self.position.advanced(place.rank, unborn, extents);
                // What was told is told again by the next attempt.
                self.account.absorb_decoding(report);
            }
            None => {
                self.account.absorb(report);
                self.advance_below(ceiling);
                if self.delivery == Delivery::Ordered {
                    self.tracked.iter_mut().for_each(|tracked| tracked.collect(ceiling));
                }
                self.is_caught_up = true;
            }
        }
        Ok(outcome)
    }

    /// Up to where the tracked segments have been handed out before, as the place says.
    fn parts_of(&self, segments: &[Segment], resume: &Resume) -> Vec<Vec<(u64, Rank)>> {
        let parts = |tracked: &Tracked| {
            let index = segments.iter().position(|segment| {
                segment.path() == tracked.path && segment.store() == tracked.store
            });
            let of_segment = resume.known.iter().filter(|known| Some(known.segment) == index);
            of_segment
                .filter_map(|known| {
                    let rank = resume.bounds.get(usize::from(known.bound).checked_sub(1)?)?;
                    Some((known.range.end.min(tracked.scanned()), *rank))
                })
                .collect()
        };
        self.tracked.iter().map(parts).collect()
    }

    /// Keeps an eye on the segments that are not tracked and may hold something that is to come and
    /// not final: where a clock was ahead by far, or a writer was stopped for many rotations.
    fn track_later(&mut self, segments: &[Segment], resume: &Resume, ceiling: Rank) {
        let is_tracked = |segment: &Segment| {
            let same = |t: &Tracked| t.store == segment.store() && t.path == segment.path();
            self.tracked.iter().any(same)
        };
        let is_later = |index: usize, segment: &Segment| {
            let is_whole = |end: u64| end >= segment.len();
            let mut of_segment = resume.known.iter().filter(|known| known.segment == index);
            let last = of_segment.next_back().filter(|known| is_whole(known.range.end));
            let bound = last.and_then(|known| usize::from(known.bound).checked_sub(1));
            let handed_out = bound.and_then(|bound| resume.bounds.get(bound)).map(|rank| rank.0);
            latest(segment) >= ceiling.0.max(handed_out.unwrap_or(ceiling.0))
        };
        let later: Vec<_> = segments
            .par_iter()
            .enumerate()
            .filter(|(index, segment)| !is_tracked(segment) && is_later(*index, segment))
            .map(|(_, segment)| segment)
            .collect();
        for segment in later {
            let (path, store) = (segment.path(), segment.store());
            // What is gone by now has been read as far as it was final; the rest is lost.
            match Tracked::open(path, store, segment.number(), true) {
                Ok(mut tracked) => {
                    tracked.len = segment.len();
                    tracked.begin(&mut self.account);
                    self.track(tracked);
                }
                Err(_) => self.account.gap(vanished(path.to_owned())),
            }
        }
    }

    /// All segments there are: those that are tracked as far as they have been observed.
    fn all_segments(&self) -> Result<Vec<Segment>, FollowError> {
        let mut segments = Vec::new();
        for (index, store) in self.stores.iter().enumerate() {
            for path in store.paths() {
                let same = |t: &&Tracked| t.store == index && t.path == *path && !t.is_deleted;
                if let Some(tracked) = self.tracked.iter().find(same) {
                    segments.push(tracked.segment());
                    continue;
                }
                let keep = segments.len() < OPEN_FILES_MAX;
                let path: Arc<Path> = path.as_path().into();
                match FileSource::open(&path, Access::Map, keep) {
                    Ok(source) => {
                        segments.push(Segment::new(Arc::clone(&path), index, source));
                    }
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    Err(error) => return Err(refused(&path, error).into()),
                }
            }
        }
        Ok(segments)
    }
}
