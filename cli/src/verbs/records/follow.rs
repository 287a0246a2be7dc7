//! `-f`: the newest records, and those that come.

use std::path::PathBuf;

use anyhow::bail;
use clap::{Args, ValueEnum};
use logq_format::Timestamp;
use logq_reader::{Cursor, Delivery, Start};
use logq_writer::{Clock as _, SystemClock};

use super::RecordsArguments;
use super::cursors::Places;
use super::limits::Lines;
use crate::completeness::Completeness;
use crate::cursors;
use crate::exit::Exit;
use crate::explain::{self, Stages};
use crate::following::{Asked, End, Followed, Following, Outlet, Stop};
use crate::liveness::Finality;
use crate::output::Printer;
use crate::{question, stores};

/// Flags about following.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct FollowArguments {
    /// Go on with what is appended, across rotation, and wait for stores that do not exist yet;
    /// begins with the newest 10 unless -n, -S, --no-tail or a cursor says otherwise
    #[arg(short, long, conflicts_with_all = NOT_FOLLOWED)]
    pub(super) follow: bool,

    /// With -f: each record when no earlier one can come any more, or each as it arrives
    #[arg(long, value_name = "ORDER")]
    pub(super) order: Option<FollowOrder>,

    /// With -f: begin with the oldest record
    #[arg(long, conflicts_with = "lines")]
    pub(super) no_tail: bool,
}

/// What is not followed.
const NOT_FOLLOWED: [&str; 6] =
    ["reverse", "context", "before_context", "after_context", "request_where", "list_runs"];

/// When and in which order records are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum FollowOrder {
    /// In the order of time, over all writers
    Time,
    /// At once
    Arrival,
}

/// The records to begin with where nothing is said of it, as of `tail`.
const NEWEST: u64 = 10;

impl FollowArguments {
    /// Refuses flags that only mean something while following.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        match (self.follow, self.order, self.no_tail) {
            (false, Some(_), _) => bail!("--order is about following; add -f"),
            (false, _, true) => bail!("--no-tail is about following; add -f"),
            _ => Ok(()),
        }
    }
}

/// Prints what is there and what comes.
pub(super) fn run(arguments: &RecordsArguments, stages: &Stages) -> anyhow::Result<Exit> {
    let places = Places::new(&arguments.cursors, arguments.output.output)?;
    let lines = arguments.lines.as_deref().map(Lines::new).transpose()?;
    let stores = question::stores(&arguments.stores);
    // The range alone says where to begin, unless one of these does.
    let is_bounded = lines.is_some() || arguments.follow.no_tail || places.after.is_some();
    let asked = Asked::new(&stores, &arguments.range, &arguments.filter, is_bounded)?;
    let printer = Printer::new(&arguments.output, asked.zone.clone())?;
    if arguments.output.verbose && !arguments.explain && !arguments.quiet {
        explain::tell_interval(asked.range, &asked.zone);
    }
    let start = start(lines, &arguments.follow, places.after.clone(), asked.range.since)?;
    let mut out = Outlet::new()?;
    let mut following = Following {
        records_max: arguments.max_count.unwrap_or(u64::MAX),
        file: places.file.as_ref(),
        wants_cursor: places.shows,
        quiet: arguments.quiet,
        ..Following::new(&stores, &asked, &printer)
    };
    following.options.start = start;
    following.options.delivery = match arguments.follow.order {
        Some(FollowOrder::Arrival) => Delivery::Arrival,
        Some(FollowOrder::Time) | None => Delivery::Ordered,
    };
    let followed = following.run(&mut out)?;
    let followed = with_beginning(followed, &stores, arguments.trailer);
    finish(arguments, &asked, followed, &printer, &mut out, stages)
}

/// The same with the time of the store's first record, which is not looked for while following, where
/// somebody asks: whether an answer without records is one that the store covers.
fn with_beginning(mut followed: Followed, stores: &[PathBuf], is_asked: bool) -> Followed {
    if followed.records == 0 || is_asked {
        let opened = stores::open(stores).ok();
        followed.report.coverage.first = opened.and_then(|snapshot| snapshot.coverage().first);
    }
    followed
}

/// Where to begin: a cursor goes first, then what is said of the number of records, then the range.
fn start(
    lines: Option<Lines>,
    arguments: &FollowArguments,
    after: Option<Cursor>,
    since: Option<Timestamp>,
) -> anyhow::Result<Start> {
    // What is said of the beginning is for the first run where a file keeps the place.
    if let Some(cursor) = after {
        return Ok(Start::After(cursor));
    }
    Ok(match (lines, since) {
        (Some(Lines::Newest(0)), _) => Start::Now,
        (Some(Lines::Newest(count)), _) => Start::Newest(count),
        (Some(Lines::Oldest(_)), _) => {
            bail!("-n +N names an end, and -f goes on; --no-tail -m N prints the oldest N")
        }
        (Some(Lines::All), _) => Start::Since(Timestamp::MIN),
        (None, _) if arguments.no_tail => Start::Since(Timestamp::MIN),
        (None, Some(since)) => Start::Since(since),
        (None, None) => Start::Newest(NEWEST),
    })
}

/// Prints and tells what comes behind the last record.
fn finish(
    arguments: &RecordsArguments,
    asked: &Asked,
    followed: Followed,
    printer: &Printer,
    out: &mut Outlet,
    stages: &Stages,
) -> anyhow::Result<Exit> {
    if let End::Stopped(Stop::Failed(error)) = followed.end {
        return Err(anyhow::Error::new(error).context("cannot write to standard output"));
    }
    let watermark = Some(followed.watermark(asked.range));
    let finality =
        Finality { now: SystemClock.now(), watermark, living: Vec::new(), gone: Vec::new() };
    let completeness = Completeness::new(&followed.report, asked.range, &finality);
    let mut last = Vec::new();
    if arguments.trailer {
        last.extend(printer.framed(&completeness.trailer(followed.records)));
    }
    if arguments.cursors.show_cursor {
        last.extend(cursors::line(&followed.cursor, arguments.output.output));
    }
    let written = out.write(&last);
    if !arguments.quiet {
        completeness.tell(followed.records > 0);
        let late = followed.report.late_records;
        if late > 0 {
            tell!(
                "logq: {late} records came late, behind later ones: from an import, or from a clock that was set back"
            );
        }
    }
    if arguments.explain {
        explain::tell(&followed.report, asked.range, &asked.zone, stages);
    }
    Ok(match (followed.end, written) {
        (End::Stopped(Stop::Signal(signal)), _) | (_, Err(Stop::Signal(signal))) => {
            Exit::signal(signal)
        }
        (_, Err(Stop::Failed(error))) => return Err(error.into()),
        (_, Ok(())) => match completeness.exit(followed.records > 0) {
            Exit::NoMatch | Exit::NotCovered if arguments.ok_if_empty => Exit::Success,
            exit => exit,
        },
    })
}
