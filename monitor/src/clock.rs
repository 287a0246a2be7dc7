//! Event time: how far each source has come, and up to where everything has been seen.
//!
//! A source's lines are in order but for the lateness, so when its newest line is of second E, all
//! seconds before its watermark E - lateness are complete. Those that all sources have passed can be
//! closed. No clock is read: the output of a replay depends on nothing but the bytes.
//!
//! Only a source that has nothing more to read for now lets time pass without lines, and only if its
//! reader says how late it is.

use crate::hit::Hit;
use crate::monitor::SavedSource;
use crate::options::Limits;
use crate::saved::SavedHit;

/// Names a source of a [`Monitor`](crate::Monitor).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub(crate) usize);

/// Where a line stands among the lines of its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is taken.
    InRange,
    /// It is so much later than the line before it that it must be confirmed.
    Future,
    /// It is so much earlier that time has jumped, or the line is wrong.
    Past,
}

/// The time of all sources.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    pub(crate) sources: Vec<Source>,
    lateness_s: i64,
    limits: Limits,
    /// What the reader said last, in seconds.
    now_s: Option<i64>,
    /// Sources of an earlier run that were not opened yet.
    earlier: Vec<SavedSource>,
}

/// The time of one source.
#[derive(Clone, Debug, Default)]
pub(crate) struct Source {
    pub(crate) name: String,
    /// The second of the latest line.
    pub(crate) newest: Option<i64>,
    /// All seconds before it are complete, as far as this source goes.
    watermark: Option<i64>,
    /// The watermark after the first line.
    start: Option<i64>,
    /// Lines in a row that are far from the others, all on one side, with their numbers.
    pub(crate) parked: Vec<(u64, Hit<'static>)>,
    pub(crate) standing: Option<Standing>,
    /// Whether a jump into the past was told since the last line in range.
    pub(crate) has_told_jump: bool,
    /// Bad lines before the first good one.
    pub(crate) bad_before: u64,
    /// Whether an earlier run has ended and no line has come since: however late the first one is,
    /// nobody would be there to confirm it at the end of a run of few lines.
    is_anew: bool,
    is_caught_up: bool,
    /// Since when nothing came, by the reader's clock.
    idle_since_s: Option<i64>,
    has_ended: bool,
}

impl Clock {
    pub(crate) fn new(lateness_s: u32, limits: Limits) -> Self {
        let (sources, earlier) = (Vec::new(), Vec::new());
        Self { sources, lateness_s: i64::from(lateness_s), limits, now_s: None, earlier }
    }

    pub(crate) fn open(&mut self, name: &str) -> SourceId {
        let earlier = self.earlier.extract_if(.., |source| source.name == name).next();
        let new = || Source { name: name.to_owned(), ..Source::default() };
        self.sources.push(earlier.map_or_else(new, Source::of));
        SourceId(self.sources.len() - 1)
    }

    /// How far all sources have come; also those that an earlier run had and this one has not.
    pub(crate) fn save(&self) -> Vec<SavedSource> {
        self.sources.iter().map(Source::save).chain(self.earlier.iter().cloned()).collect()
    }

    /// Sources go on where they were in an earlier run.
    pub(crate) fn restore(&mut self, earlier: Vec<SavedSource>) {
        self.earlier = earlier;
    }

    pub(crate) fn source(&self, source: SourceId) -> Option<&Source> {
        self.sources.get(source.0)
    }

    pub(crate) fn source_mut(&mut self, source: SourceId) -> Option<&mut Source> {
        self.sources.get_mut(source.0)
    }

    /// Where a line of this second stands.
    pub(crate) fn standing(&self, source: &Source, second: i64) -> Standing {
        let newest = source.newest.filter(|_| !source.is_anew);
        let future_from = match (self.now_s, newest) {
            (Some(now), _) => Some(now + i64::from(self.limits.ahead_of_now_s)),
            (None, newest) => newest.map(|newest| newest + i64::from(self.limits.gap_s)),
        };
        let past_before = source.newest.map(|newest| newest - i64::from(self.limits.back_s));
        if future_from.is_some_and(|from| second > from) {
            Standing::Future
        } else if past_before.is_some_and(|before| second < before) {
            Standing::Past
        } else {
            Standing::InRange
        }
    }

    /// Takes a line in range. Answers whether the source's watermark moved.
    pub(crate) fn advance(&mut self, source: SourceId, second: i64) -> bool {
        let lateness_s = self.lateness_s;
        let Some(source) = self.sources.get_mut(source.0) else { return false };
        source.is_caught_up = false;
        source.is_anew = false;
        source.idle_since_s = None;
        if source.newest.is_some_and(|newest| second <= newest) {
            return false;
        }
        source.newest = Some(second);
        source.start.get_or_insert(second - lateness_s);
        source.raise(second - lateness_s);
        true
    }

    /// The source has nothing more to read for now.
    pub(crate) fn catch_up(&mut self, source: SourceId) {
        if let Some(source) = self.source_mut(source) {
            source.is_caught_up = true;
        }
    }

    pub(crate) fn end(&mut self, source: SourceId) {
        if let Some(source) = self.source_mut(source) {
            source.has_ended = true;
        }
    }

    /// Time passes: the sources that have nothing to read go on with it.
    pub(crate) fn tick(&mut self, now_s: i64) {
        let now_s = self.now_s.map_or(now_s, |before| before.max(now_s));
        self.now_s = Some(now_s);
        for source in self.sources.iter_mut().filter(|source| source.is_caught_up) {
            let since = *source.idle_since_s.get_or_insert(now_s);
            if let Some(newest) = source.newest {
                source.raise(newest + (now_s - since) - self.lateness_s);
            }
        }
    }

    /// The first second that a line is still in time for, as far as its own source goes.
    pub(crate) fn watermark_of(&self, source: SourceId) -> Option<i64> {
        self.source(source)?.watermark
    }

    /// All seconds before this one can be closed. `None` while a source has not begun.
    ///
    /// The slowest source decides, but for those that are idle; if all are, the fastest one does.
    pub(crate) fn watermark(&self) -> Option<i64> {
        if let [source] = self.sources.as_slice() {
            return source.watermark;
        }
        let active = || self.sources.iter().filter(|source| !source.has_ended);
        let busy = || active().filter(|source| !self.is_idle(source));
        if busy().next().is_some() {
            // A source without a line has none, and none is less than any.
            return busy().map(|source| source.watermark).min().flatten();
        }
        active().filter_map(|source| source.watermark).max()
    }

    fn is_idle(&self, source: &Source) -> bool {
        let idle_s = source.idle_since_s.zip(self.now_s).map(|(since, now)| now - since);
        source.is_caught_up
            && idle_s.is_some_and(|s| s >= self.lateness_s || source.newest.is_none())
    }

    /// The source that holds the others back: the one to read next.
    pub(crate) fn behind(&self) -> Option<SourceId> {
        let sources = self.sources.iter().enumerate();
        let active = sources.filter(|(_, source)| !source.has_ended && !source.is_caught_up);
        active.min_by_key(|(_, source)| source.watermark).map(|(index, _)| SourceId(index))
    }

    /// The first second that can hold a line.
    pub(crate) fn start(&self) -> Option<i64> {
        self.sources.iter().filter_map(|source| source.start).min()
    }

    /// The second of the latest line of all.
    pub(crate) fn newest(&self) -> Option<i64> {
        self.sources.iter().filter_map(|source| source.newest).max()
    }

    /// Forgets the time of a source that begins anew.
    pub(crate) fn restart(&mut self, source: SourceId) {
        if let Some(source) = self.source_mut(source) {
            (source.newest, source.watermark, source.start) = (None, None, None);
        }
    }

    /// The latest second that a parked line may have to be taken without confirmation.
    pub(crate) fn confirmed_to(&self) -> Option<i64> {
        self.now_s.map(|now| now + i64::from(self.limits.ahead_of_now_s))
    }
}

impl Source {
    fn save(&self) -> SavedSource {
        SavedSource {
            name: self.name.clone(),
            newest: self.newest,
            watermark: self.watermark,
            start: self.start,
            parked: self.parked.iter().map(|(line, hit)| SavedHit::of(*line, hit)).collect(),
            are_ahead: self.standing == Some(Standing::Future),
            has_told_jump: self.has_told_jump,
            bad_before: self.bad_before,
            has_ended: self.has_ended,
        }
    }

    fn of(saved: SavedSource) -> Self {
        let standing = if saved.are_ahead { Standing::Future } else { Standing::Past };
        Self {
            name: saved.name,
            newest: saved.newest,
            watermark: saved.watermark,
            start: saved.start,
            standing: (!saved.parked.is_empty()).then_some(standing),
            parked: saved.parked.into_iter().map(SavedHit::hit).collect(),
            has_told_jump: saved.has_told_jump,
            bad_before: saved.bad_before,
            is_anew: saved.has_ended,
            ..Self::default()
        }
    }

    /// The watermark never moves backwards.
    fn raise(&mut self, to: i64) {
        self.watermark = Some(self.watermark.map_or(to, |watermark| watermark.max(to)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(sources: usize) -> (Clock, Vec<SourceId>) {
        let mut clock = Clock::new(5, Limits::default());
        let ids = (0..sources).map(|index| clock.open(&index.to_string())).collect();
        (clock, ids)
    }

    #[test]
    fn the_slowest_source_decides_once_all_have_begun() {
        let (mut clock, ids) = clock(2);
        assert_eq!(clock.behind(), Some(ids[0]));
        clock.advance(ids[0], 100);
        assert_eq!(clock.watermark(), None);
        assert_eq!(clock.behind(), Some(ids[1]));
        clock.advance(ids[1], 50);
        assert_eq!(clock.watermark(), Some(45));
        assert_eq!(clock.start(), Some(45));
        clock.advance(ids[1], 40);
        assert_eq!(clock.watermark(), Some(45), "it never moves backwards");
        clock.end(ids[1]);
        assert_eq!(clock.watermark(), Some(95));
        assert_eq!(clock.behind(), Some(ids[0]));
    }

    #[test]
    fn an_idle_source_stops_holding_back_and_time_goes_on() {
        let (mut clock, ids) = clock(2);
        clock.advance(ids[0], 1_000);
        clock.advance(ids[1], 500);
        clock.catch_up(ids[1]);
        clock.tick(10_000);
        assert_eq!(clock.watermark(), Some(495));
        clock.tick(10_003);
        assert_eq!(clock.watermark(), Some(498));
        clock.tick(10_005);
        assert_eq!(clock.watermark(), Some(995), "the other one decides alone");
        clock.catch_up(ids[0]);
        clock.tick(10_006);
        clock.tick(10_016);
        assert_eq!(clock.watermark(), Some(1_005), "all are idle: time goes on");
        clock.tick(10_000);
        assert_eq!(clock.watermark(), Some(1_005), "a clock that is set back changes nothing");
        clock.advance(ids[1], 600);
        assert_eq!(clock.watermark(), Some(595), "a source that goes on counts again");
    }

    #[test]
    fn a_source_without_lines_does_not_hold_back_once_it_is_read() {
        let (mut clock, ids) = clock(2);
        clock.advance(ids[0], 1_000);
        clock.catch_up(ids[1]);
        assert_eq!(clock.watermark(), None);
        clock.tick(10_000);
        assert_eq!(clock.watermark(), Some(995));
    }

    #[test]
    fn lines_far_from_the_others_stand_apart() {
        let (mut clock, ids) = clock(1);
        let standing = |clock: &Clock, second| clock.standing(&clock.sources[0], second);
        assert_eq!(standing(&clock, i64::MAX / 2_000_000), Standing::InRange);
        clock.advance(ids[0], 10_000);
        assert_eq!(standing(&clock, 13_600), Standing::InRange);
        assert_eq!(standing(&clock, 13_601), Standing::Future);
        assert_eq!(standing(&clock, 6_400), Standing::InRange);
        assert_eq!(standing(&clock, 6_399), Standing::Past);
        clock.tick(20_000);
        assert_eq!(standing(&clock, 20_300), Standing::InRange);
        assert_eq!(standing(&clock, 20_301), Standing::Future);
    }
}
