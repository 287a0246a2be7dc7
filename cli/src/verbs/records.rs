//! `logq [OPTIONS] [STORE...]`: records, or what can be told of them.
//!
//! ```text
//! arguments ─> question ─┬─> lines      records in the order of time
//!                        ├─> context    with the records around them
//!                        ├─> requests   whole requests, one after the other
//!                        ├─> cursors    behind a place, and the place reached
//!                        ├─> aggregate  numbers instead of records
//!                        └─> runs       the runs of the cluster
//! arguments ─> follow            records as they come
//! arguments ─> aggregate::live   numbers as records come
//! ```

mod aggregate;
mod context;
mod cursors;
mod follow;
mod lane;
mod limits;
mod lines;
mod listing;
mod requests;

use anyhow::{Context as _, bail};
use clap::Args;
use logq_reader::Report;

use self::aggregate::{Aggregate, AggregateArguments};
use self::context::ContextArguments;
use self::cursors::{CursorArguments, Places};
use self::follow::FollowArguments;
use self::limits::{Limits, Lines};
use crate::args::{FilterArguments, OutputArguments, RangeArguments, StoreArguments};
use crate::completeness::Completeness;
use crate::exit::Exit;
use crate::explain::{self, Stages};
use crate::output::{Format, Output, Printer};
use crate::question::Question;
use crate::verbs;

/// What to ask and how to print it.
#[derive(Args, Clone, Debug)]
pub(crate) struct RecordsArguments {
    #[command(flatten)]
    stores: StoreArguments,

    #[command(flatten)]
    range: RangeArguments,

    #[command(flatten)]
    filter: FilterArguments,

    /// The newest N records; +N for the oldest; `all`
    #[arg(short = 'n', long, value_name = "N")]
    lines: Option<String>,

    /// Newest first
    #[arg(short, long)]
    reverse: bool,

    /// Stop after N records
    #[arg(short, long, value_name = "N")]
    max_count: Option<u64>,

    #[command(flatten)]
    follow: FollowArguments,

    #[command(flatten)]
    cursors: CursorArguments,

    #[command(flatten)]
    context: ContextArguments,

    /// Every record of each request that has a record for which this holds, request by request in the
    /// order of their first matches;
    /// -n, -m and -r are about requests then, and other filters choose among their records
    #[arg(long, value_name = "EXPR", conflicts_with_all = ["context", "before_context", "after_context"])]
    request_where: Option<String>,

    #[command(flatten)]
    aggregate: AggregateArguments,

    /// List the runs of the cluster: from each start to the end, or the next start
    #[arg(long, conflicts_with_all = ["lines", "max_count", "request_where"])]
    list_runs: bool,

    #[command(flatten)]
    output: OutputArguments,

    /// After JSON, one more line that tells what the answer covers and what it leaves out
    #[arg(long)]
    trailer: bool,

    /// Do not tell on standard error what is incomplete
    #[arg(short, long)]
    quiet: bool,

    /// Tell on standard error what was looked at, what was not, and how long it took
    #[arg(long, visible_alias = "stats")]
    explain: bool,

    /// Exit status 0 also when nothing matches
    #[arg(long)]
    ok_if_empty: bool,

    /// How many threads to use; 0 for one on each processor
    #[arg(short = 'j', long, value_name = "N")]
    threads: Option<usize>,
}

impl RecordsArguments {
    /// The same with `-f`.
    pub(crate) fn following(mut self) -> Self {
        self.follow.follow = true;
        self
    }

    /// The same with `--by`, and with `--top` as many as `-n` says.
    ///
    /// # Errors
    ///
    /// Says which flags do not go with that.
    pub(crate) fn top(mut self, fields: &str) -> anyhow::Result<Self> {
        let named = self.lines.take().map(|text| Lines::new(&text)).transpose()?;
        let lines = match (named, self.aggregate.most()) {
            (Some(_), Some(_)) => {
                bail!("-n and --top say the same for `logq top`; give one of them")
            }
            (named, most) => named.or(most.map(Lines::Newest)).unwrap_or(Lines::Newest(VALUES)),
        };
        let most = match lines {
            Lines::All => None,
            Lines::Newest(most) if most > 0 => Some(most),
            Lines::Newest(_) | Lines::Oldest(_) => bail!("-n of `logq top` is a number, or all"),
        };
        if self.aggregate.has_fields() {
            bail!("--by means nothing for `logq top FIELD`, which has the field already");
        }
        self.aggregate.most_frequent(fields, most);
        self.for_numbers("top")
    }

    /// The same with `--hist`.
    ///
    /// # Errors
    ///
    /// Says which flags do not go with that.
    pub(crate) fn hist(mut self) -> anyhow::Result<Self> {
        self.aggregate.draw();
        self.for_numbers("hist")
    }

    /// Copies blocks as they are stored, as `logq export -o blocks` does.
    fn blocks(&self) -> anyhow::Result<Exit> {
        let refused = [
            (self.aggregate.is_any(), "numbers"),
            (self.follow.follow, "-f"),
            (self.output.fields.is_some(), "--fields"),
            (self.explain, "--explain"),
        ];
        let refused = refused.into_iter().find_map(|(is_given, flag)| is_given.then_some(flag));
        if let Some(flag) = self.about_single_records().or(refused) {
            bail!("{flag} and -o blocks, which copies whole blocks, do not go together");
        }
        verbs::export::print_blocks(
            &self.stores,
            &self.range,
            &self.filter,
            self.reverse,
            self.quiet,
        )
    }

    /// Refuses what is about records one by one; beside the flags for numbers clap does that.
    fn for_numbers(self, verb: &str) -> anyhow::Result<Self> {
        match self.about_single_records().or(self.reverse.then_some("--reverse")) {
            Some(flag) => bail!("{flag} means nothing for `logq {verb}`, which prints numbers"),
            None => Ok(self),
        }
    }

    /// A flag that is given and that is about records one by one.
    fn about_single_records(&self) -> Option<&'static str> {
        let flags = [
            (self.lines.is_some(), "--lines"),
            (self.max_count.is_some(), "--max-count"),
            (self.context.wanted().is_some(), "-A, -B or -C"),
            (self.request_where.is_some(), "--request-where"),
            (self.list_runs, "--list-runs"),
            (self.cursors.is_any(), "a cursor"),
            (self.output.template.is_some(), "--template"),
        ];
        flags.into_iter().find_map(|(is_given, flag)| is_given.then_some(flag))
    }
}

/// How many values `logq top` prints.
const VALUES: u64 = 10;

/// A question, and the way its answer is printed.
struct Asking<'a> {
    question: &'a Question,
    printer: &'a Printer,
    limits: Limits,
    places: &'a Places,
    stages: &'a Stages,
}

/// What became of a question.
struct Answer {
    /// How many records, or other things that were asked for, were found.
    found: u64,
    report: Report,
}

/// Answers the question on the command line.
pub(crate) fn run(arguments: &RecordsArguments) -> anyhow::Result<Exit> {
    let stages = Stages::new();
    let limits = Limits::new(arguments.lines.as_deref(), arguments.max_count, arguments.reverse)?;
    if arguments.trailer && !arguments.output.output.is_json() {
        bail!("--trailer comes after JSON; add -o json");
    }
    use_threads(arguments.threads)?;
    if arguments.output.output == Format::Blocks {
        return arguments.blocks();
    }
    arguments.follow.check()?;
    let aggregate = arguments.aggregate.wanted(arguments.output.output)?;
    match &aggregate {
        Some(aggregate) if arguments.follow.follow => {
            return aggregate::run_live(arguments, aggregate, &stages);
        }
        None if arguments.follow.follow => return follow::run(arguments, &stages),
        _ => {}
    }
    let places = Places::new(&arguments.cursors, arguments.output.output)?;
    let question = stages
        .open
        .time(|| Question::new(&arguments.stores, &arguments.range, &arguments.filter))?;
    let printer = Printer::new(&arguments.output, question.zone.clone())?;
    if arguments.output.verbose && !arguments.explain && !arguments.quiet {
        explain::tell_interval(question.range, &question.zone);
    }
    let mut out = Output::paged(&arguments.output);
    let asking =
        Asking { question: &question, printer: &printer, limits, places: &places, stages: &stages };
    let answer = asking.answer(arguments, aggregate.as_ref(), &mut out)?;
    let completeness = Completeness::new(&answer.report, question.range, &question.finality);
    if arguments.trailer {
        // A failure is told by `finish`.
        let _ = out.write(&printer.framed(&completeness.trailer(answer.found)));
    }
    places.show(&mut out);
    let printed = out.finish()?;
    if !printed.quit {
        places.keep()?;
    }
    if !arguments.quiet {
        completeness.tell(answer.found > 0);
    }
    if arguments.explain {
        explain::tell(&answer.report, question.range, &question.zone, &stages);
    }
    if printed.quit {
        return Ok(Exit::Success);
    }
    Ok(match completeness.exit(answer.found > 0) {
        Exit::NoMatch | Exit::NotCovered if arguments.ok_if_empty => Exit::Success,
        exit => exit,
    })
}

/// Uses so many threads, or those that `LOGQ_THREADS` names, or one for each processor.
fn use_threads(flag: Option<usize>) -> anyhow::Result<()> {
    let variable = std::env::var("LOGQ_THREADS").ok().filter(|text| !text.is_empty());
    let threads = match (flag, variable) {
        (Some(threads), _) => threads,
        (None, Some(text)) => text
            .parse()
            .with_context(|| format!("LOGQ_THREADS is {text:?}; expected a number, 0 for all"))?,
        (None, None) => return Ok(()),
    };
    let threads = threads.min(THREADS_MAX);
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()
        .context("cannot start threads")
}

/// More threads than any machine of today has processors.
const THREADS_MAX: usize = 1024;

impl Asking<'_> {
    fn answer(
        &self,
        arguments: &RecordsArguments,
        aggregate: Option<&Aggregate>,
        out: &mut Output,
    ) -> anyhow::Result<Answer> {
        let format = arguments.output.output;
        if arguments.list_runs {
            return listing::print(self.question, format, out);
        }
        if let Some(aggregate) = aggregate {
            return aggregate::print(self, aggregate, format, out);
        }
        let mut head = Vec::new();
        self.printer.head(&mut head);
        // Where nobody reads any more, `finish` tells.
        let _ = out.write(&head);
        if let Some(expression) = &arguments.request_where {
            return requests::print_whole(self, expression, out);
        }
        match arguments.context.wanted() {
            Some(context) => context::print(self, context, out),
            None if self.places.are_wanted() => cursors::print(self, out),
            None => lines::print(self, out),
        }
    }
}
