//! Consecutive stretches of time that begin where the clocks of a zone show a round time: the bars of
//! a histogram.

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span};
use logq_format::Timestamp;

use crate::when::{self, WhenError};

/// More bars than anybody looks at; a program that reads them takes a second for so many.
const BARS_MAX: i64 = 100_000;

/// About so many bars where no width is named: they fit a screen.
const BARS: i64 = 60;

const SECOND_US: i64 = 1_000_000;
const MINUTE_US: i64 = 60 * SECOND_US;
const HOUR_US: i64 = 60 * MINUTE_US;
const DAY_US: i64 = 24 * HOUR_US;

/// The widths that are chosen from, below a day.
const ROUND_US: [i64; 30] = [
    1,
    10,
    100,
    1_000,
    2_000,
    5_000,
    10_000,
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    SECOND_US,
    2 * SECOND_US,
    5 * SECOND_US,
    10 * SECOND_US,
    15 * SECOND_US,
    30 * SECOND_US,
    MINUTE_US,
    2 * MINUTE_US,
    5 * MINUTE_US,
    10 * MINUTE_US,
    15 * MINUTE_US,
    30 * MINUTE_US,
    HOUR_US,
    2 * HOUR_US,
    3 * HOUR_US,
    4 * HOUR_US,
    6 * HOUR_US,
    12 * HOUR_US,
];

/// Why time cannot be cut in that way.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BucketsError {
    /// The width is no length of time.
    #[error(transparent)]
    Width(#[from] WhenError),
    /// The width is zero.
    #[error("a bar lasts at least 1us")]
    TooShort,
    /// The width is more than a day, and no whole number of days.
    #[error("a bar that is longer than a day lasts whole days, such as 2d")]
    PartOfDay,
    /// The range has too many stretches of that width.
    #[error("makes {count} bars of that range, at most {most}; make them wider")]
    TooMany {
        /// How many they would be.
        count: i64,
        /// The most that are made.
        most: i64,
    },
    /// A time lies too far behind the last stretch.
    #[error("a record of {time} would make {count} more bars; -U leaves it out")]
    Far {
        /// The time.
        time: Timestamp,
        /// How many stretches lie between.
        count: i64,
    },
    /// A time lies outside of what the calendar knows.
    #[error("reaches beyond the calendar")]
    Beyond(#[from] jiff::Error),
}

/// How long a bar lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// So many microseconds, less than a day. Each day begins a new bar.
    Micros(i64),
    /// So many days on the calendar; weeks begin on Monday.
    Days(i64),
}

impl Width {
    /// Reads a length of time.
    ///
    /// # Errors
    ///
    /// It is none, too short, or neither below a day nor whole days.
    pub fn parse(text: &str) -> Result<Self, BucketsError> {
        let duration = when::parse_duration(text)?;
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        match micros {
            0 => Err(BucketsError::TooShort),
            _ if micros < DAY_US => Ok(Self::Micros(micros)),
            _ if micros % DAY_US == 0 => Ok(Self::Days(micros / DAY_US)),
            _ => Err(BucketsError::PartOfDay),
        }
    }

    /// The width that cuts so many microseconds into about [`BARS`] or less.
    fn for_span(span_us: i64) -> Self {
        let least = span_us / BARS + i64::from(span_us % BARS > 0);
        match ROUND_US.iter().find(|width| **width >= least) {
            Some(width) => Self::Micros(*width),
            None => match least.div_euclid(DAY_US) + i64::from(least % DAY_US > 0) {
                1 => Self::Days(1),
                days => Self::Days((days + 6) / 7 * 7),
            },
        }
    }

    /// How many microseconds that are, with days of 24 hours.
    pub fn micros(self) -> i64 {
        match self {
            Self::Micros(micros) => micros,
            Self::Days(days) => days.saturating_mul(DAY_US),
        }
    }
}

/// Consecutive stretches of time.
#[derive(Clone, Debug)]
pub struct Buckets {
    width: Width,
    zone: TimeZone,
    /// Where they begin, and where the last one ends.
    edges: Vec<Timestamp>,
}

impl Buckets {
    /// The stretches that cover [from, until), of this width or one that suits.
    ///
    /// # Errors
    ///
    /// They are too many, or times are beyond the calendar.
    pub fn new(
        width: Option<Width>,
        zone: &TimeZone,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Self, BucketsError> {
        let span = until.as_micros().saturating_sub(from.as_micros()).max(1);
        let width = width.unwrap_or_else(|| Width::for_span(span));
        let count = span / width.micros();
        if count > BARS_MAX {
            return Err(BucketsError::TooMany { count, most: BARS_MAX });
        }
        let mut buckets = Self { width, zone: zone.clone(), edges: Vec::new() };
        let first = buckets.floor(from)?;
        buckets.edges.push(first);
        buckets.extend(until.max(from.saturating_add_micros(1)))?;
        Ok(buckets)
    }

    /// Adds stretches until they reach behind a time.
    ///
    /// # Errors
    ///
    /// As [`Self::new`].
    pub fn reach(&mut self, time: Timestamp) -> Result<(), BucketsError> {
        let Some(last) = self.edges.last().copied().filter(|last| *last <= time) else {
            return Ok(());
        };
        let bars = time.as_micros().saturating_sub(last.as_micros()) / self.width.micros();
        if bars > BARS_MAX {
            return Err(BucketsError::Far { time, count: bars });
        }
        self.extend(time.saturating_add_micros(1))
    }

    /// How long each lasts.
    pub fn width(&self) -> Width {
        self.width
    }

    /// The zone whose clocks they go by.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// Where they begin, ascending, and where the last one ends.
    pub fn edges(&self) -> &[Timestamp] {
        &self.edges
    }

    /// The stretches with their ends.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (Timestamp, Timestamp)> {
        self.edges.iter().copied().zip(self.edges.iter().skip(1).copied())
    }

    /// Adds stretches until the last one ends at or behind a time.
    fn extend(&mut self, until: Timestamp) -> Result<(), BucketsError> {
        while let Some(last) = self.edges.last().copied().filter(|last| *last < until) {
            self.edges.push(self.next(last)?);
        }
        Ok(())
    }

    /// The latest edge that is not behind a time.
    fn floor(&self, time: Timestamp) -> Result<Timestamp, BucketsError> {
        let (date, clock_us) = self.local(time)?;
        match self.width {
            Width::Days(days) => self.at(aligned(date, days)?, 0),
            Width::Micros(width) if width < HOUR_US => {
                let midnight = self.at(date, 0)?;
                let since = time.as_micros() - midnight.as_micros();
                Ok(midnight.saturating_add_micros(since / width * width))
            }
            Width::Micros(width) => {
                // Where the clocks jump, the time that they show may come later than it should.
                for round in (0..=clock_us / width).rev() {
                    let edge = self.at(date, round * width)?;
                    if edge <= time {
                        return Ok(edge);
                    }
                }
                self.at(date, 0)
            }
        }
    }

    /// The edge behind another one.
    fn next(&self, edge: Timestamp) -> Result<Timestamp, BucketsError> {
        let (date, clock_us) = self.local(edge)?;
        let days = if let Width::Days(days) = self.width { days } else { 1 };
        let end = self.at(date.checked_add(Span::new().try_days(days)?)?, 0)?;
        match self.width {
            Width::Days(_) => Ok(end),
            Width::Micros(width) if width < HOUR_US => {
                Ok(edge.saturating_add_micros(width).min(end))
            }
            Width::Micros(width) => {
                let mut rounds = (clock_us / width + 1..).map(|round| round * width);
                let mut inside = rounds.by_ref().take_while(|clock_us| *clock_us < DAY_US);
                let next = inside
                    .find_map(|clock_us| self.at(date, clock_us).ok().filter(|next| *next > edge));
                Ok(next.map_or(end, |next| next.min(end)))
            }
        }
    }

    /// What the clocks show at a time: the date, and the microseconds since midnight.
    fn local(&self, time: Timestamp) -> Result<(Date, i64), BucketsError> {
        let instant = jiff::Timestamp::from_microsecond(time.as_micros())?;
        let shown = self.zone.to_datetime(instant);
        let since = shown.time().duration_since(Time::midnight()).as_micros();
        Ok((shown.date(), i64::try_from(since).unwrap_or(DAY_US)))
    }

    /// When the clocks show so many microseconds since midnight: for the first time, and if they skip
    /// it, so much later.
    fn at(&self, date: Date, clock_us: i64) -> Result<Timestamp, BucketsError> {
        let clock = Time::midnight().checked_add(SignedDuration::from_micros(clock_us))?;
        let instant = self.zone.to_ambiguous_timestamp(date.to_datetime(clock)).compatible()?;
        Ok(Timestamp::from_micros(instant.as_microsecond()))
    }
}

/// The first date of the so many days that a date is one of. Weeks begin on Monday.
fn aligned(date: Date, days: i64) -> Result<Date, BucketsError> {
    // The first Monday of 1970.
    let monday = jiff::civil::date(1970, 1, 5);
    let since = i64::from(monday.until(date)?.get_days());
    Ok(date.checked_sub(Span::new().try_days(since.rem_euclid(days))?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn zone(name: &str) -> TimeZone {
        when::parse_zone(name, || TimeZone::UTC).unwrap()
    }

    fn starts(width: &str, zone_name: &str, from: &str, until: &str) -> Vec<Timestamp> {
        let width = Some(Width::parse(width).unwrap());
        let buckets = Buckets::new(width, &zone(zone_name), time(from), time(until)).unwrap();
        buckets.iter().map(|(start, _)| start).collect()
    }

    /// The bars of a range, as the words of a clock there name their beginnings.
    fn check(width: &str, zone: &str, from: &str, until: &str, expected: &[&str]) {
        let now = time("2026-12-31T00:00:00Z");
        let context = when::Context { now, zone: self::zone(zone), since: None, marks: None };
        let instant = |text: &&str| when::parse_instant(text, &context).unwrap();
        let expected: Vec<_> = expected.iter().map(instant).collect();
        assert_eq!(starts(width, zone, from, until), expected, "{width} {zone}");
    }

    #[test]
    fn bars_begin_where_clocks_show_round_times() {
        check(
            "1m",
            "UTC",
            "2026-02-03T14:00:30Z",
            "2026-02-03T14:02:00Z",
            &["2026-02-03T14:00Z", "2026-02-03T14:01Z"],
        );
        check(
            "6h",
            "+05:30",
            "2026-02-03T00:00:00Z",
            "2026-02-03T06:30:01Z",
            &["2026-02-03T00:00+05:30", "2026-02-03T06:00+05:30", "2026-02-03T12:00+05:30"],
        );
        check(
            "1d",
            "America/New_York",
            "2026-03-07T12:00:00Z",
            "2026-03-09T12:00:00Z",
            &["2026-03-07", "2026-03-08", "2026-03-09"],
        );
        check(
            "1w",
            "UTC",
            "2026-02-03T00:00:00Z",
            "2026-02-09T00:00:01Z",
            &["2026-02-02", "2026-02-09"],
        );
        check(
            "250ms",
            "UTC",
            "2026-02-03T14:00:00.3Z",
            "2026-02-03T14:00:00.5Z",
            &["2026-02-03T14:00:00.250Z"],
        );
        // Each day begins anew where the width is no part of it.
        check(
            "7h",
            "UTC",
            "2026-02-03T20:00:00Z",
            "2026-02-04T01:00:00Z",
            &["2026-02-03T14:00Z", "2026-02-03T21:00Z", "2026-02-04T00:00Z"],
        );
    }

    #[test]
    fn bars_begin_where_clocks_show_round_times_when_these_skip_an_hour_or_show_one_twice() {
        check(
            "1h",
            "Europe/Berlin",
            "2026-03-29T00:00:00Z",
            "2026-03-29T02:00:00Z",
            &["2026-03-29T01:00+01:00", "2026-03-29T03:00+02:00"],
        );
        check(
            "1h",
            "Europe/Berlin",
            "2026-10-25T00:00:00Z",
            "2026-10-25T03:00:00Z",
            &["2026-10-25T02:00+02:00", "2026-10-25T03:00+01:00"],
        );
        check(
            "30m",
            "Europe/Berlin",
            "2026-10-25T00:30:00Z",
            "2026-10-25T01:30:00Z",
            &["2026-10-25T02:30+02:00", "2026-10-25T02:00+01:00"],
        );
    }

    #[test]
    fn stretches_cover_the_range_without_gaps_whatever_the_width() {
        let mut rng = fastrand::Rng::with_seed(1);
        for round in 0..400 {
            let zone =
                zone(rng.choice(["UTC", "Europe/Berlin", "America/Sao_Paulo", "+05:45"]).unwrap());
            let from = rng.i64(0..1_800_000_000_000_000);
            let bits = rng.u32(1..48);
            let span = rng.i64(0..1 << bits);
            let width = match rng.u8(..3) {
                0 => Width::Days(rng.i64(1..40)),
                1 => Width::Micros((span / rng.i64(1..50)).clamp(1, DAY_US - 1)),
                _ => Width::for_span(span),
            };
            let (from, until) = (Timestamp::from_micros(from), Timestamp::from_micros(from + span));
            let Ok(buckets) = Buckets::new(Some(width), &zone, from, until) else {
                assert!(span / width.micros() > BARS_MAX, "{round} {width:?}");
                continue;
            };
            let edges = &buckets.edges;
            assert!(edges.len() >= 2 && edges.is_sorted_by(|one, next| one < next), "{round}");
            assert!(edges[0] <= from && from < edges[1], "{round} {width:?} {from} {edges:?}");
            assert!(edges[edges.len() - 2] < until.max(from.saturating_add_micros(1)), "{round}");
            assert!(edges[edges.len() - 1] >= until, "{round}");
            // Whoever asks for the last of them gets the same ones.
            let last = edges[edges.len() - 2];
            let again = Buckets::new(Some(width), &zone, last, until.max(last)).unwrap();
            assert_eq!(again.edges[0], last, "{round} {width:?}");
        }
    }

    #[test]
    fn at_most_sixty_bars_are_made_unless_somebody_wants_more() {
        let mut rng = fastrand::Rng::with_seed(2);
        for _ in 0..2_000 {
            let bits = rng.u32(1..55);
            let span = rng.i64(1..1 << bits);
            let width = Width::for_span(span);
            assert!(span / width.micros() <= BARS, "{span} {width:?}");
        }
        assert_eq!(Width::for_span(HOUR_US), Width::Micros(MINUTE_US));
        assert_eq!(Width::for_span(DAY_US), Width::Micros(30 * MINUTE_US));
        assert_eq!(Width::for_span(40 * DAY_US), Width::Days(1));
        assert_eq!(Width::for_span(365 * DAY_US), Width::Days(7));
    }

    #[test]
    fn widths_are_lengths_below_a_day_or_whole_days() {
        assert_eq!(Width::parse("90s").unwrap(), Width::Micros(90 * SECOND_US));
        assert_eq!(Width::parse("2w").unwrap(), Width::Days(14));
        for (text, expected) in
            [("0s", "at least"), ("36h", "whole days"), ("1mo", "month"), ("x", "")]
        {
            let message = Width::parse(text).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn stretches_are_added_as_time_goes_on() {
        let (from, until) = (time("2026-02-03T14:00:00Z"), time("2026-02-03T14:00:01Z"));
        let mut buckets =
            Buckets::new(Some(Width::Micros(MINUTE_US)), &TimeZone::UTC, from, until).unwrap();
        buckets.reach(time("2026-02-03T14:02:59Z")).unwrap();
        assert_eq!(buckets.iter().count(), 3);
        buckets.reach(time("2026-02-03T14:03:00Z")).unwrap();
        assert_eq!(buckets.iter().count(), 4);
        let message = buckets.reach(time("2036-02-03T14:03:00Z")).unwrap_err().to_string();
        assert!(message.contains("more bars"), "{message}");
    }
}
