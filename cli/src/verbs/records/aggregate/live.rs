//! Numbers with `-f`: those of what is there, then those of what comes, too.
//!
//! On a terminal the same lines are drawn anew as numbers change; elsewhere everything is printed once,
//! when it ends.

mod screen;

use std::ops::ControlFlow;
use std::time::Duration;

use anyhow::bail;
use jiff::tz::TimeZone;
use logq_format::{Timestamp, TypeSet};
use logq_query::{Buckets, Width};
use logq_reader::{
    Cursor, Delivery, Filter, Follow, FollowOptions, Groups, Progress, Report, Rows, Start,
};
use logq_writer::{Clock as _, SystemClock};

use self::screen::Screen;
use super::super::RecordsArguments;
use super::answered::Answered;
use super::{Aggregate, Known, lines};
use crate::completeness::{Completeness, absorb};
use crate::exit::Exit;
use crate::explain::{self, Stages};
use crate::following::{News, Stop};
use crate::liveness::Finality;
use crate::output::Format;
use crate::question::{self, Question, Range};

/// How often it is looked whether a signal has come or nobody reads any more.
const TICK: Duration = Duration::from_millis(100);

/// Bars go on to the present as long as it is no further away than so many of them.
const SILENT_BARS: i64 = 60;

/// How long a bar lasts where nothing is there that tells.
const BAR: Width = Width::Micros(1_000_000);

/// Prints the numbers that are asked for, and keeps them up to date.
pub(in super::super) fn run(
    arguments: &RecordsArguments,
    aggregate: &Aggregate,
    stages: &Stages,
) -> anyhow::Result<Exit> {
    let stores = question::stores(&arguments.stores);
    let existing: Vec<_> = stores.iter().filter(|store| store.exists()).cloned().collect();
    let mut question = Question::of(&existing, &arguments.range, &arguments.filter)?;
    // What comes late may be of a time before the range.
    let bound = question.range.since.map(|since| format!("timestamp >= '{since}'"));
    let bound = bound.map(|bound| question.expression(&bound)).transpose()?;
    bound.into_iter().for_each(|expression| question.selection.add(expression));

    if aggregate.grouping(None).borrows(&question.query()) {
        bail!("with -f only what one record tells is counted; {}", aggregate.apart());
    }
    let mut live = Live::new(aggregate, &question);
    let start = match existing.len() == stores.len() {
        true => Start::After(live.begin(&question)?),
        false => Start::Since(question.range.since.unwrap_or(Timestamp::MIN)),
    };
    let Question { range, selection, .. } = &question;
    let filter = selection.filter();
    let types = filter.types.bits() & aggregate.grouping(None).types().bits();
    let options = FollowOptions {
        filter: Filter { types: TypeSet::from_bits(types), ..filter },
        start,
        until: range.until,
        delivery: Delivery::Arrival,
        ..FollowOptions::default()
    };
    let mut follow = Follow::new(&stores, options)?;
    let mut news = News::new(&stores, live.zone.clone(), arguments.quiet);
    let mut screen = Screen::new(arguments.output.output)?;
    let stop = loop {
        let progress = live.take(&mut follow)?;
        news.look(&follow);
        live.go_on_to(SystemClock.now())?;
        match (screen.draw(&live), progress) {
            (Err(stop), _) => break Some(stop),
            (Ok(()), Progress::Ended) => break None,
            (Ok(()), _) => {}
        }
    };
    absorb(&mut live.report, follow.report());
    finish(arguments, &live, screen, stop, stages)
}

/// The numbers so far.
struct Live<'a> {
    aggregate: &'a Aggregate,
    zone: TimeZone,
    range: Range,
    /// How long a bar lasts.
    width: Width,
    buckets: Option<Buckets>,
    groups: Groups,
    /// How many records came without the number that is measured.
    numberless: u64,
    report: Report,
    /// When it was looked last.
    now: Timestamp,
}

/// What came at once.
struct Piece {
    groups: Groups,
    /// The times of the first and the last record.
    times: Option<(Timestamp, Timestamp)>,
}

impl<'a> Live<'a> {
    fn new(aggregate: &'a Aggregate, question: &Question) -> Self {
        Self {
            aggregate,
            zone: question.zone.clone(),
            range: question.range,
            width: aggregate.width.unwrap_or(BAR),
            buckets: None,
            groups: aggregate.groups(),
            numberless: 0,
            report: Report::default(),
            now: SystemClock.now(),
        }
    }

    /// Counts what is there; answers the place behind it.
    fn begin(&mut self, question: &Question) -> anyhow::Result<Cursor> {
        let query = question.query();
        let cursor = question.snapshot.cursors(&query)?.end();
        let narrowed = query.narrowed();
        let range = Range { since: narrowed.since, until: narrowed.until };
        let coverage = question.snapshot.coverage();
        self.buckets = self.aggregate.buckets(range, coverage, &self.zone)?;
        if let Some(buckets) = &self.buckets {
            self.width = buckets.width();
        }
        if self.aggregate.has_bars && self.buckets.is_none() {
            return Ok(cursor);
        }
        let grouping = self.aggregate.grouping(self.buckets.as_ref());
        (self.groups, self.report) = question.snapshot.group(&query, &grouping)?;
        Ok(cursor)
    }

    /// Counts what has come meanwhile.
    fn take(&mut self, follow: &mut Follow<'_>) -> anyhow::Result<Progress> {
        let mut failure = None;
        let (aggregate, zone, width) = (self.aggregate, self.zone.clone(), self.width);
        let progress = follow.next(
            TICK,
            |rows, _cursors| piece(aggregate, &zone, width, rows),
            |piece| match piece.and_then(|piece| self.absorb(piece)) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failure = Some(error);
                    ControlFlow::Break(())
                }
            },
        )?;
        match failure {
            Some(error) => Err(error),
            None => Ok(progress),
        }
    }

    fn absorb(&mut self, piece: Piece) -> anyhow::Result<()> {
        self.numberless += piece.groups.numberless();
        self.groups.absorb(piece.groups);
        let (true, Some((first, last))) = (self.aggregate.has_bars, piece.times) else {
            return Ok(());
        };
        match &mut self.buckets {
            Some(buckets) if buckets.edges().first().is_some_and(|edge| *edge <= first) => {
                Ok(buckets.reach(last)?)
            }
            buckets => {
                let end = buckets.as_ref().and_then(|buckets| buckets.edges().last().copied());
                let until = end.max(Some(last.saturating_add_micros(1))).unwrap_or(last);
                *buckets = Some(Buckets::new(Some(self.width), &self.zone, first, until)?);
                Ok(())
            }
        }
    }

    /// Lets the bars go on to the present while nothing comes, unless that is far away.
    fn go_on_to(&mut self, now: Timestamp) -> anyhow::Result<()> {
        self.now = now;
        let now = self.range.until.map_or(now, |until| now.min(until.saturating_add_micros(-1)));
        let Some(buckets) = &mut self.buckets else { return Ok(()) };
        let last = buckets.edges().last().copied().unwrap_or(Timestamp::MAX);
        let silent_us = now.as_micros().saturating_sub(last.as_micros());
        if silent_us > self.width.micros().saturating_mul(SILENT_BARS) {
            return Ok(());
        }
        Ok(buckets.reach(now)?)
    }

    /// Tells of records that came without the number that is measured: with `-f` no other record of
    /// their request is asked for it.
    fn tell_numberless(&self) {
        if let (count @ 1.., Some(quantiles)) = (self.numberless, &self.aggregate.quantiles) {
            let measure = &quantiles.of;
            tell!(
                "logq: {count} records came without {measure} and are left out: with -f no other record \
                 of their request is asked for it"
            );
        }
    }

    /// The numbers so far in a format, for a screen of so many columns.
    fn text(&self, format: Format, columns: usize) -> Vec<u8> {
        if self.aggregate.is_count {
            return lines::count(self.groups.records(), format);
        }
        let from = self.buckets.as_ref().and_then(|buckets| buckets.edges().first().copied());
        let known = Known { from, until: Some(self.now) };
        let buckets = self.buckets.as_ref();
        Answered::new(self.aggregate, &self.groups, buckets, known).text(format, columns)
    }
}

/// Counts some records, in stretches of time as far as they reach.
fn piece(
    aggregate: &Aggregate,
    zone: &TimeZone,
    width: Width,
    rows: &Rows<'_>,
) -> anyhow::Result<Piece> {
    let times = || rows.iter().map(|row| row.time());
    let times = times().min().zip(times().max());
    let buckets = match times {
        Some((first, last)) if aggregate.has_bars => {
            Some(Buckets::new(Some(width), zone, first, last.saturating_add_micros(1))?)
        }
        _ => None,
    };
    let grouping = aggregate.grouping(buckets.as_ref());
    Ok(Piece { groups: Groups::of_rows(&grouping, rows.iter()), times })
}

/// Prints the numbers for the last time, and what is to be told of them.
fn finish(
    arguments: &RecordsArguments,
    live: &Live<'_>,
    mut screen: Screen,
    stop: Option<Stop>,
    stages: &Stages,
) -> anyhow::Result<Exit> {
    let stop = match stop {
        Some(Stop::Failed(error)) => return Err(error.into()),
        stop => stop.or_else(|| screen.finish(live).err()),
    };
    let is_ended = stop.is_none();
    if let Some(Stop::Signal(_)) = &stop {
        // What was counted is printed all the same.
        let _ = screen.finish(live);
    }
    let watermark = live.range.until.filter(|_| is_ended).unwrap_or(Timestamp::MAX);
    let finality = Finality {
        now: live.now,
        watermark: Some(watermark),
        living: Vec::new(),
        gone: Vec::new(),
    };
    let completeness = Completeness::new(&live.report, live.range, &finality);
    if arguments.trailer {
        let _ = screen.write(completeness.trailer(live.groups.records()).as_bytes());
    }
    if !arguments.quiet {
        completeness.tell(!live.groups.is_empty());
        live.tell_numberless();
        live.aggregate.tell_limits(&live.groups);
    }
    if arguments.explain {
        explain::tell(&live.report, live.range, &live.zone, stages);
    }
    Ok(match stop {
        Some(Stop::Signal(signal)) => Exit::signal(signal),
        Some(Stop::Failed(error)) => return Err(error.into()),
        None => match completeness.exit(!live.groups.is_empty()) {
            Exit::NoMatch | Exit::NotCovered if arguments.ok_if_empty => Exit::Success,
            exit => exit,
        },
    })
}
