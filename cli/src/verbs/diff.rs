//! `logq diff`: two ranges of time side by side: rates, statuses, latencies, new errors.

mod profile;
mod table;

use clap::{Args, ValueEnum};
use logq_query::when;
use logq_reader::Query;
use logq_writer::{Clock as _, SystemClock};

use self::profile::Profile;
use crate::args::{self, FilterArguments, RangeArguments, StoreArguments, ZoneArguments};
use crate::completeness::{Completeness, absorb};
use crate::exit::Exit;
use crate::output::Output;
use crate::question::{Question, Range};

/// Which ranges, and how to print what is different.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DiffArguments {
    #[command(flatten)]
    stores: StoreArguments,

    /// The range to compare with: a date, hour, day or run as for --in, or FROM..TO
    #[arg(long, value_name = "RANGE", allow_hyphen_values = true)]
    a: String,

    /// The range that is compared
    #[arg(long, value_name = "RANGE", allow_hyphen_values = true)]
    b: String,

    #[command(flatten)]
    filter: FilterArguments,

    #[command(flatten)]
    zone: ZoneArguments,

    /// Only the N most frequent of the errors that are new, and of those that are gone
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    lines: usize,

    /// How to print
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: DiffFormat,

    /// Do not tell on standard error what is incomplete
    #[arg(short, long)]
    quiet: bool,
}

const EXAMPLES: &str = "\
Rates are for each second of a range of which the store has records and which is over: a day that
still goes on is compared by what there is of it. Latencies are exact within 1 %. An error is new if
none like it, numbers and ids left out, is in the other range.

Examples:
  logq diff --a yesterday --b today /var/log/shop
  logq diff --a 14:00..14:10 --b 14:10..14:20 /var/log/shop
  logq diff --a run-1 --b run -o json /var/log/shop

Exit status: 0 whatever the difference, 1 no records in either, 2 error, 3 incomplete, 4 no records and
not covered.";

/// Ways to print the difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DiffFormat {
    /// A table, for people
    Text,
    /// One JSON object
    Json,
}

/// Prints the difference.
pub(crate) fn run(arguments: &DiffArguments) -> anyhow::Result<Exit> {
    let question = Question::new(&arguments.stores, &whole(&arguments.zone)?, &arguments.filter)?;
    let (a, b) = (range(&arguments.a, "a", &question)?, range(&arguments.b, "b", &question)?);
    let (one, report_a) = profile(&question, a)?;
    let (two, report_b) = profile(&question, b)?;
    let difference = table::Difference { a: &one, b: &two, lines: arguments.lines };
    let text = match arguments.output {
        DiffFormat::Text => difference.page(&question.zone),
        DiffFormat::Json => difference.object(),
    };
    let mut out = Output::new();
    // A failure is told by `finish`.
    let _ = out.write(text.as_bytes());
    out.finish()?;
    let mut report = report_a;
    absorb(&mut report, report_b);
    let hull = Range { since: a.since.min(b.since), until: a.until.max(b.until) };
    let completeness = Completeness::new(&report, hull, &question.finality);
    if !arguments.quiet {
        completeness.tell(one.records + two.records > 0);
    }
    Ok(completeness.exit(one.records + two.records > 0))
}

/// No range, in this zone.
fn whole(zone: &ZoneArguments) -> anyhow::Result<RangeArguments> {
    let mut words = vec!["logq"];
    if zone.utc {
        words.push("--utc");
    }
    if let Some(zone) = &zone.zone {
        words.extend(["--tz", zone]);
    }
    args::parsed(&words)
}

/// Reads a range: what `--in` takes, or `FROM..TO`.
fn range(text: &str, flag: &str, question: &Question) -> anyhow::Result<Range> {
    let marks = question.marks();
    let (now, zone) = (SystemClock.now(), question.zone.clone());
    let context = |since| when::Context { now, zone: zone.clone(), since, marks: Some(&marks) };
    let Some((from, to)) = text.split_once("..") else {
        let interval = when::parse_interval(text, &context(None))?;
        return Ok(Range { since: Some(interval.start), until: Some(interval.end) });
    };
    let since = when::parse_instant(from, &context(None))?;
    let until = when::parse_instant(to, &context(Some(since)))?;
    if since >= until {
        anyhow::bail!("--{flag} {text} ends at {until}, not behind its start {since}");
    }
    Ok(Range { since: Some(since), until: Some(until) })
}

fn profile(question: &Question, range: Range) -> anyhow::Result<(Profile, logq_reader::Report)> {
    let query = Query { since: range.since, until: range.until, ..question.query() };
    let mut profile = Profile::new(range, question);
    let report = question.snapshot.scan(&query, Profile::of, |part| {
        profile.merge(part);
        std::ops::ControlFlow::Continue(())
    })?;
    Ok((profile, report))
}
