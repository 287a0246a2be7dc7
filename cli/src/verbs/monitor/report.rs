//! `logq monitor report`: the flags, and reading the series of a store.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use logq_monitor::series::{Entry, History};
use logq_reader::Query;

use super::OutputFormat;
use crate::args::{self, FilterArguments, RangeArguments};
use crate::completeness::Completeness;
use crate::exit::Exit;
use crate::monitor::report::{self, Past};
use crate::monitor::series;
use crate::output::Output;
use crate::question::Question;

const NOTES: &str = "\
Examples:
  logq monitor report --store traffic --since yesterday
  logq monitor report --store traffic --since 03:00 --until 04:00 --interval 1m
  logq monitor report --store traffic --html traffic.html
  logq monitor report --store traffic --interval 1h -o json

A `-` stands for times that nobody watched, a 0 for times without requests.

With -o json it is one object: first, last, row_s, rows, total, watched, rules, alerts. A row has start
and watched_s, the seconds of it that were watched; if there are any, also requests, rate, peak, bytes,
mean_bytes, status, unanswered, orphans, p50_ms to p99_ms and bad, as total has. An alert has rule, section,
state (recovered, firing, or unknown if nobody watched any more), from, to, measure and value.

Exit status: 0 there is something to show, 1 there is not, 2 error, 3 incomplete, 4 nothing to show and
not covered.";

#[derive(Args, Clone, Debug)]
#[command(after_help = NOTES)]
pub(crate) struct ReportArguments {
    /// The store that `logq monitor --store` writes
    #[arg(long, value_name = "DIR")]
    store: PathBuf,

    #[command(flatten)]
    range: RangeArguments,

    /// Seconds of a row, or 5m; longer where there would be too many [default: about 30 rows]
    #[arg(short, long, value_name = "TIME", value_parser = super::length)]
    interval: Option<u32>,

    /// How to print
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: OutputFormat,

    /// Also write a page with the graph, which needs nothing else to be shown
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    /// Do not tell on standard error what is incomplete
    #[arg(short, long)]
    quiet: bool,
}

/// Rows where nobody says how long one is.
const ROWS: usize = 32;
/// Rows at most.
const ROWS_MAX: usize = 10_000;
/// Bars of the graph: as many as can be told apart.
const BARS_MAX: usize = 480;

/// Prints the table, and writes the page.
pub(super) fn run(arguments: &ReportArguments) -> anyhow::Result<Exit> {
    if !arguments.store.exists() {
        let store = arguments.store.display();
        bail!("there is no store {store}; logq monitor --store {store} SOURCE makes one");
    }
    if arguments.html.as_deref() == Some(Path::new("-")) {
        bail!("--html - is no file, and standard output has the table; name a file");
    }
    let filter: FilterArguments = args::parsed(&["logq"])?;
    let stores = std::slice::from_ref(&arguments.store);
    let question = Question::of(stores, &arguments.range, &filter)?;
    let mut query = Query { ..question.query() };
    query.filter.types = series::TYPES;

    let mut graph = History::new(1, BARS_MAX);
    let mut table = match arguments.interval {
        Some(interval) => History::new(interval, ROWS_MAX),
        None => History::new(1, ROWS),
    };
    let found = question.snapshot.scan(
        &query,
        |rows| {
            let entry = |row: logq_reader::Row<'_>| {
                let second = row.time().as_micros().div_euclid(1_000_000);
                Some((second, series::entry(&row.record().ok()?)?))
            };
            rows.iter().filter_map(entry).collect::<Vec<(i64, Entry)>>()
        },
        |entries| {
            for (second, entry) in entries {
                graph.add(second, &entry);
                table.add(second, &entry);
            }
            ControlFlow::Continue(())
        },
    )?;
    let past = Past { graph: &graph, table: &table, zone: &question.zone };
    let mut out = Output::new();
    let text = match arguments.output {
        OutputFormat::Text => report::text(&past),
        OutputFormat::Json => report::json(&past),
    };
    // A failure is told by `finish`.
    let _ = out.write(text.as_bytes());
    out.finish()?;
    if let Some(path) = &arguments.html {
        let page = report::page(&past, &arguments.store.display().to_string());
        std::fs::write(path, page).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let completeness = Completeness::new(&found, question.range, &question.finality);
    let has_some = graph.range().is_some();
    if !arguments.quiet {
        completeness.tell(has_some);
    }
    Ok(completeness.exit(has_some))
}
