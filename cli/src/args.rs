//! The command line: every flag once, with its help.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use logq_format::WorkerId;

use crate::limit::SizeLimit;

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
    pub(crate) query: QueryArguments,
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
    Import(ImportArguments),
    /// Record lines of standard input as they come: CMD | logq ingest STORE
    Ingest(IngestArguments),
    /// Run a program and record what it prints
    Run(RunArguments),
    /// Tell what a store holds: segments, blocks, records, writers, bytes, gaps
    ///
    /// Headers and the small columns are checked; texts are checked by the questions that read them.
    Stats(StatsArguments),
}

/// What to ask and how to print it.
#[derive(Args, Clone, Debug)]
pub(crate) struct QueryArguments {
    /// Stores (directories) or segments; $LOGQ_DIR or the current directory if none is named
    #[arg(value_name = "STORE|FILE")]
    pub(crate) stores: Vec<PathBuf>,

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

    /// The newest N records; +N for the oldest; `all`
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) lines: Option<String>,

    /// Newest first
    #[arg(short, long)]
    pub(crate) reverse: bool,

    /// Print only the number of matching records
    #[arg(short, long, conflicts_with_all = ["lines", "reverse", "by"])]
    pub(crate) count: bool,

    /// Print how many matching records have which value
    #[arg(long, value_name = "FIELD", conflicts_with_all = ["lines", "reverse"])]
    pub(crate) by: Option<ByField>,

    /// How to print records
    #[arg(short, long, value_name = "FORMAT", default_value = "short")]
    pub(crate) output: Format,

    /// Print stack traces and DEBUG entries in full
    #[arg(short, long)]
    pub(crate) verbose: bool,

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

    /// When to colour the output
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: ColorChoice,

    /// Do not tell on standard error what is incomplete
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// Fields that `--by` counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ByField {
    #[value(name = "level")]
    Level,
    #[value(name = "type")]
    Type,
    #[value(name = "statusCode", alias = "status", alias = "statuscode")]
    StatusCode,
    #[value(name = "workerId", alias = "worker", alias = "workerid")]
    WorkerId,
}

/// Ways to print records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// One line a record, for people
    Short,
    /// One JSON object a line
    Json,
    /// The message alone
    Cat,
}

/// When to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    /// If standard output is a terminal
    Auto,
    Always,
    Never,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct ImportArguments {
    /// The store to write to; it is created if it does not exist
    #[arg(long, value_name = "STORE")]
    pub(crate) to: PathBuf,

    /// The format of the input; `auto` looks at the first lines of each file
    #[arg(long, value_name = "FORMAT", default_value = "auto", value_parser = import_format())]
    pub(crate) format: crate::import::Format,

    /// The time zone of times that name none
    #[arg(short = 'Z', long = "tz", value_name = "ZONE", allow_hyphen_values = true)]
    pub(crate) zone: Option<String>,

    /// Do not show progress and the summary
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// Files, plain or compressed with gzip or zstd; - for standard input
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct IngestArguments {
    /// The store to write to; it is created if it does not exist
    #[arg(value_name = "STORE")]
    pub(crate) store: PathBuf,

    /// The format of the lines
    #[arg(long, value_name = "FORMAT", default_value = "auto")]
    pub(crate) format: LineFormat,

    #[command(flatten)]
    pub(crate) limit: LimitArguments,

    /// Do not tell in the end how many lines there were
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// What form lines have that arrive now. Lines that do not have it are kept as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LineFormat {
    /// Each line is what it looks like: a JSON object, logfmt or text
    Auto,
    /// JSON values
    Jsonl,
    /// Pairs: name=value
    Logfmt,
    /// Text, whatever it looks like
    Text,
}

#[derive(Args, Clone, Debug)]
#[command(after_help = RUN_NOTES)]
pub(crate) struct RunArguments {
    /// The store to write to; it is created if it does not exist
    #[arg(long, value_name = "STORE")]
    pub(crate) to: PathBuf,

    /// The number of the worker that the program is recorded as
    #[arg(
        long,
        value_name = "NUMBER",
        default_value = "1",
        value_parser = clap::value_parser!(u32).range(..=i64::from(WorkerId::MAX.get()))
    )]
    pub(crate) worker: u32,

    #[command(flatten)]
    pub(crate) limit: LimitArguments,

    /// Also print what the program prints
    #[arg(long)]
    pub(crate) tee: bool,

    /// The program and its arguments
    #[arg(value_name = "CMD", required = true, trailing_var_arg = true)]
    pub(crate) command: Vec<OsString>,
}

/// How large a store may get that is written to.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct LimitArguments {
    /// How large the store may be: beyond, its oldest segments are deleted; or `none` [default:
    /// 2GiB, and `none` for a store that is larger already]
    #[arg(long = "size-limit", value_name = "SIZE")]
    pub(crate) size: Option<SizeLimit>,
}

const RUN_NOTES: &str = "\
Exit status: the program's, 128 + N if signal N ended it; 125 if the store cannot be written to,
126 if the program cannot be executed, 127 if there is none of that name.";

#[derive(Args, Clone, Debug)]
pub(crate) struct StatsArguments {
    /// Stores (directories) or segments; $LOGQ_DIR or the current directory if none is named
    #[arg(value_name = "STORE|FILE")]
    pub(crate) stores: Vec<PathBuf>,

    /// How to print
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub(crate) output: StatsFormat,
}

/// Ways to print statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StatsFormat {
    /// A page for people
    Text,
    /// One JSON object
    Json,
}

/// The formats that can be imported, by name.
fn import_format() -> impl TypedValueParser<Value = crate::import::Format> {
    let names = crate::import::Format::ALL.map(crate::import::Format::as_str);
    PossibleValuesParser::new(names).try_map(|name| name.parse())
}
