//! The command line: the verbs, and the flags that several of them share. The flags of one verb
//! are defined where the verb is.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::verbs;

/// Print records of a store, or of single segments, in the order of time
#[derive(Debug, Parser)]
#[command(
    name = "logq",
    version,
    args_conflicts_with_subcommands = true,
    after_help = EXAMPLES,
    max_term_width = 100
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) verb: Option<Verb>,
    #[command(flatten)]
    pub(crate) records: verbs::records::RecordsArguments,
}

const EXAMPLES: &str = "\
Examples:
  logq /var/log/shop                          everything, oldest first
  logq -S 14:02 -U 14:05 -l error /var/log/shop
  logq -n 20 -g 'timeout|refused' /var/log/shop
  logq --by statusCode -S yesterday /var/log/shop
  logq import --to shop access.log.gz && logq stats shop
  logq run --to shop -- ./server --port 8080

Exit status: 0 records printed, 1 no match, 2 error, 3 incomplete, 4 no match and not covered.";

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Turn other logs into records of a store
    Import(verbs::import::ImportArguments),
    /// Record lines of standard input as they come: CMD | logq ingest STORE
    Ingest(verbs::ingest::IngestArguments),
    /// Run a program and record what it prints
    Run(verbs::run::RunArguments),
    /// Print the completions of a shell: source <(logq completions bash)
    Completions(verbs::completions::CompletionsArguments),
    /// Print the manual page: logq man | man -l -
    Man(verbs::man::ManArguments),
    /// Tell what a store holds: segments, blocks, records, writers, bytes, gaps
    ///
    /// Headers and the small columns are checked; texts are checked by the questions that read them.
    Stats(verbs::stats::StatsArguments),
}

/// Which stores are asked. Each verb that asks has them last.
#[derive(Args, Clone, Debug)]
pub(crate) struct StoreArguments {
    /// Stores (directories) or segments; $LOGQ_DIR or the current directory if none is named
    #[arg(value_name = "STORE|FILE")]
    pub(crate) stores: Vec<PathBuf>,
}

/// Which range of time is asked about, and the zone for reading and printing times.
#[derive(Args, Clone, Debug)]
pub(crate) struct RangeArguments {
    /// Only records from this time on: 14:02, '2026-02-03 14:02', 3h, yesterday, @1770127506
    #[arg(short = 'S', long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) since: Option<String>,

    /// Only records before this time
    #[arg(short = 'U', long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) until: Option<String>,

    /// Only records of this date, hour, day or run: 2026-02, '2026-02-03 14', yesterday, run-1
    #[arg(long = "in", value_name = "WHEN", conflicts_with_all = ["since", "until", "around"])]
    pub(crate) within: Option<String>,

    /// Only records around this time, as far as --window reaches
    #[arg(long, value_name = "TIME", conflicts_with_all = ["since", "until"], allow_hyphen_values = true)]
    pub(crate) around: Option<String>,

    /// How far --around reaches to either side
    #[arg(long, value_name = "DURATION", default_value = "1m", requires = "around")]
    pub(crate) window: String,

    #[command(flatten)]
    pub(crate) zone: ZoneArguments,
}

/// The time zone.
#[derive(Args, Clone, Debug)]
pub(crate) struct ZoneArguments {
    /// The time zone for reading and printing times: a name, an offset or `local`
    #[arg(
        short = 'Z',
        long = "tz",
        value_name = "ZONE",
        conflicts_with = "utc",
        allow_hyphen_values = true
    )]
    pub(crate) zone: Option<String>,

    /// Read and print times in UTC
    #[arg(long)]
    pub(crate) utc: bool,
}

/// Which records of the range are asked for.
#[derive(Args, Clone, Debug)]
pub(crate) struct FilterArguments {
    /// Only this level and more severe ones, or a range such as error..info
    #[arg(short, long, value_name = "LEVEL|A..B")]
    pub(crate) level: Option<String>,

    /// Only this type or lifecycle event; may be repeated
    #[arg(short = 't', long = "type", value_name = "TYPE", value_delimiter = ',')]
    pub(crate) types: Vec<String>,

    /// Only this worker, or `master`; may be repeated
    #[arg(short = 'W', long = "worker", value_name = "NUMBER", value_delimiter = ',')]
    pub(crate) workers: Vec<String>,

    /// Only records of this request; may be repeated
    #[arg(long = "request", value_name = "ID", value_delimiter = ',')]
    pub(crate) requests: Vec<String>,

    /// Only records whose text matches; upper and lower case are the same unless the expression
    /// has an upper-case letter
    #[arg(short, long, value_name = "REGEX")]
    pub(crate) grep: Option<String>,
}

/// When to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    /// If standard output is a terminal
    Auto,
    Always,
    Never,
}
