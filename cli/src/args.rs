//! The command line: the verbs, and the flags that several of them share. The flags of one verb
//! are defined where the verb is.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Command, CommandFactory as _, Parser, Subcommand, ValueEnum};

use crate::output::Format;
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

/// The command without its verbs, which take most of the time that it takes to set it up.
#[derive(Debug, Parser)]
#[command(name = "logq", version)]
struct WithoutVerbs {
    #[command(flatten)]
    records: verbs::records::RecordsArguments,
}

/// Reads a command line.
///
/// # Errors
///
/// Those of [`Arguments`], and requests for help, which come as errors.
pub(crate) fn parse(words: &[OsString]) -> Result<Arguments, clap::Error> {
    // What is wrong with the words, and help, is told by the whole command.
    if !begins_with_verb(words)
        && let Ok(WithoutVerbs { records }) = WithoutVerbs::try_parse_from(words)
    {
        return Ok(Arguments { verb: None, records });
    }
    Arguments::try_parse_from(words)
}

/// As much of the command as these words need.
pub(crate) fn command_for(words: &[OsString]) -> Command {
    match begins_with_verb(words) {
        true => Arguments::command(),
        false => WithoutVerbs::command(),
    }
}

/// Whether there is a verb: it can only be the first word.
fn begins_with_verb(words: &[OsString]) -> bool {
    let word = words.get(1).and_then(|word| word.to_str());
    word.is_some_and(|word| word == "help" || Verb::has_subcommand(word))
}

const EXAMPLES: &str = "\
Examples:
  logq /var/log/shop                          everything, oldest first
  logq -S 14:02 -U 14:05 -l error /var/log/shop
  logq -n 20 -g 'timeout|refused' /var/log/shop
  logq --by statusCode -S yesterday /var/log/shop
  logq --hist --by level -f -S 1h /var/log/shop
  logq -f -w 'status >= 500' /var/log/shop     what comes, in exact order
  logq import --to shop access.log.gz && logq stats shop
  logq run --to shop -- ./server --port 8080

Exit status: 0 records printed, 1 no match, 2 error, 3 incomplete, 4 no match and not covered.";

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Compare two ranges of time: rates, statuses, latencies, new errors
    Diff(verbs::diff::DiffArguments),
    /// List what goes wrong, each trouble once: how often, since when, an example
    Errors(verbs::errors::ErrorsArguments),
    /// Write records, or blocks as they are stored, into files or a pipe
    Export(verbs::export::ExportArguments),
    /// Turn other logs into records of a store
    Import(verbs::import::ImportArguments),
    /// Draw how many records there are over time: logq --hist
    Hist(Box<verbs::hist::HistArguments>),
    /// Show the requests that had begun and not ended at an instant, such as a crash
    Inflight(verbs::inflight::InflightArguments),
    /// Record lines of standard input as they come: CMD | logq ingest STORE
    Ingest(verbs::ingest::IngestArguments),
    /// Watch the traffic that access logs tell of: summaries, alerts, recovery
    Monitor(verbs::monitor::MonitorArguments),
    /// Copy what is intact into a new store, and tell what is not
    Repair(verbs::repair::RepairArguments),
    /// Run a program and record what it prints
    Run(verbs::run::RunArguments),
    /// Stream logs live over HTTP: one writes, many read, from any byte on
    #[cfg(feature = "serve")]
    Serve(Box<verbs::serve::ServeArguments>),
    /// Let a small cluster serve, log and lose a worker, and ask its store five questions
    #[cfg(feature = "demo")]
    Demo(crate::demo::DemoArguments),
    /// Print the completions of a shell: source <(logq completions bash)
    Completions(verbs::completions::CompletionsArguments),
    /// Print the manual page: logq man | man -l -
    Man(verbs::man::ManArguments),
    /// Tell what a store holds: segments, blocks, records, writers, bytes, gaps
    ///
    /// Headers and the small columns are checked; texts are checked by the questions that read them.
    Stats(verbs::stats::StatsArguments),
    /// Print the newest records and go on with those that come: logq -f
    Tail(Box<verbs::tail::TailArguments>),
    /// Print the most frequent values of fields: logq --by FIELD --top 10
    Top(Box<verbs::top::TopArguments>),
    /// Show one request as a timeline, with the DEBUG entries of its errors
    Trace(verbs::trace::TraceArguments),
    /// Check every checksum of a store, and tell what fails
    Verify(verbs::verify::VerifyArguments),
    /// Leave when so many records have come, or when the time is over
    Wait(verbs::wait::WaitArguments),
    /// Show each process of a cluster: alive, silent, ended and how, started how often
    Workers(verbs::workers::WorkersArguments),
}

/// Which stores are asked. Each verb that asks has them last.
#[derive(Args, Clone, Debug)]
pub(crate) struct StoreArguments {
    /// Stores (directories), segments or a block stream, - for one on standard input; $LOGQ_DIR or
    /// the current directory if none is named
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

    /// Only this run of the cluster: the latest, -1 for the one before it, 1 for the first, or the
    /// one at a time (--run=14:02)
    #[arg(
        short = 'b',
        long,
        value_name = "N|TIME",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "0",
        allow_hyphen_values = true
    )]
    pub(crate) run: Option<String>,

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

    /// Read and print times in the zone of this machine, whatever LOGQ_TZ says
    #[arg(short = 'L', long, conflicts_with_all = ["zone", "utc"])]
    pub(crate) local: bool,
}

/// Which records of the range are asked for.
#[derive(Args, Clone, Debug, Default)]
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

    /// Only requests from this address or network, such as 192.0.2.0/24; may be repeated
    #[arg(long = "ip", value_name = "CIDR", value_delimiter = ',')]
    pub(crate) addresses: Vec<String>,

    /// Only records for which this holds: 'status >= 500 or durationMs > 250ms'; may be repeated. Of a
    /// field that a record does not have nothing holds, and `not` turns that around
    #[arg(short = 'w', long = "where", value_name = "EXPR")]
    pub(crate) expressions: Vec<String>,

    /// Only records whose text matches; upper and lower case are the same unless the expression
    /// has an upper-case letter
    #[arg(short, long, value_name = "REGEX")]
    pub(crate) grep: Option<String>,

    /// For --grep, upper and lower case are the same
    #[arg(short, long, requires = "grep")]
    pub(crate) ignore_case: bool,

    /// The text of --grep is plain text, not an expression
    #[arg(short = 'F', long, requires = "grep")]
    pub(crate) fixed_strings: bool,
}

/// How records are printed.
#[derive(Args, Clone, Debug)]
pub(crate) struct OutputArguments {
    /// How to print records
    #[arg(short, long, value_name = "FORMAT", default_value = "short")]
    pub(crate) output: Format,

    /// Only these fields, or all but those with a minus: timestamp,data.user.id or -error
    #[arg(long, value_name = "FIELD,...", allow_hyphen_values = true, conflicts_with = "template")]
    pub(crate) fields: Option<String>,

    /// Print each record as this text: '{timestamp} {level:5} {data.user.id:>8}'
    #[arg(long, value_name = "TEXT", conflicts_with = "output")]
    pub(crate) template: Option<String>,

    /// In CSV, put ' before cells that a spreadsheet would calculate
    #[arg(long)]
    pub(crate) csv_safe: bool,

    /// Print stack traces and DEBUG entries in full, and tell the interval on standard error
    #[arg(short, long)]
    pub(crate) verbose: bool,

    /// When to colour the output
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: Choice,

    /// When to show the output in a pager: $LOGQ_PAGER, $PAGER or less
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub(crate) pager: Choice,

    /// No pager
    #[arg(short = 'P', long, conflicts_with = "pager")]
    pub(crate) no_pager: bool,
}

/// Arguments as if these words were on the command line, the first of them the command's name: for
/// verbs that need a part of what others take.
///
/// # Errors
///
/// As on the command line.
pub(crate) fn parsed<A: Args>(words: &[&str]) -> anyhow::Result<A> {
    let matches = A::augment_args(Command::new("logq")).try_get_matches_from(words)?;
    Ok(A::from_arg_matches(&matches)?)
}

/// When to colour.
pub(crate) type ColorChoice = Choice;

impl Choice {
    /// Whether it is to be done, given whether there is a terminal.
    pub(crate) fn holds(self, is_terminal: bool) -> bool {
        match self {
            Self::Auto => is_terminal,
            Self::Always => true,
            Self::Never => false,
        }
    }
}

/// When to do what is meant for terminals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Choice {
    /// If standard output is a terminal
    Auto,
    Always,
    Never,
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test that cannot go on shall stop")]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// The verb of a command line, empty for none, and a word of it.
    type Word = (String, String);

    /// The words of all command lines in the integration tests.
    fn words(folder: &Path, verbs: &[String]) -> BTreeSet<Word> {
        let mut words = BTreeSet::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                words.extend(self::words(&path, verbs));
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let lines: Vec<Vec<String>> = match path.extension() {
                Some(extension) if extension == "rs" => literal_lists(&text),
                Some(extension) if extension == "txt" => {
                    let commands = text.lines().filter_map(|line| line.strip_prefix("$ "));
                    commands.map(|line| line.split(' ').map(str::to_owned).collect()).collect()
                }
                _ => Vec::new(),
            };
            // In the tests of a verb, `verb.rs`, `verb_*.rs` and `verb/*.rs`, helpers add its name.
            let of = |verb: &&String| {
                let rest = stem.strip_prefix(verb.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
                    || folder.ends_with(verb.as_str())
            };
            let usual = verbs.iter().find(of).cloned().unwrap_or_default();
            lines.iter().for_each(|line| words.extend(words_of(line, verbs, &usual)));
        }
        words
    }

    /// The lists of texts between brackets in a program; brackets within brackets are lists of their
    /// own.
    fn literal_lists(program: &str) -> Vec<Vec<String>> {
        let (mut lists, mut list) = (Vec::new(), Vec::new());
        let mut rest = program;
        while let Some(at) = rest.find(['[', ']', '"']) {
            let (mark, behind) = (rest.as_bytes()[at], &rest[at + 1..]);
            rest = behind;
            if mark == b'"' {
                let end = behind
                    .match_indices('"')
                    .map(|(end, _)| end)
                    .find(|end| !behind[..*end].ends_with('\\'))
                    .unwrap_or(behind.len());
                list.push(behind[..end].to_owned());
                rest = behind.get(end + 1..).unwrap_or_default();
                continue;
            }
            lists.push(std::mem::take(&mut list));
        }
        lists
    }

    /// The words of a command line with its verb, up to those of another program.
    fn words_of(line: &[String], verbs: &[String], usual: &str) -> Vec<Word> {
        let verb = line.iter().find(|word| verbs.contains(word));
        let verb = verb.map_or(usual, String::as_str);
        let own = line.iter().take_while(|word| *word != "--");
        own.map(|word| (verb.to_owned(), word.split('=').next().unwrap_or_default().to_owned()))
            .collect()
    }

    #[test]
    fn words_are_those_of_their_verbs() {
        let program =
            r#"run(&["-c", "store"]); check(&["diff", "--a=\"x\"", "--", "-q"], &["-r"]);"#;
        let verbs = ["diff".to_owned()];
        let lists = literal_lists(program);
        let found: Vec<Word> = lists.iter().flat_map(|list| words_of(list, &verbs, "")).collect();
        let words = |verb: &str, words: &[&str]| -> Vec<Word> {
            words.iter().map(|word| (verb.to_owned(), (*word).to_owned())).collect()
        };
        let expected = [words("", &["-c", "store"]), words("diff", &["diff", "--a"])].concat();
        assert_eq!(found, [expected, words("", &["-r"])].concat());
    }

    /// The verbs are left out where none is asked for: that must not be noticed.
    #[test]
    fn words_without_a_verb_are_read_as_with_all_verbs() {
        let check = |line: &str| {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let shown = |read: Result<Arguments, clap::Error>| match read {
                Ok(arguments) => format!("{arguments:?}"),
                Err(error) => error.render().to_string(),
            };
            let whole = shown(Arguments::try_parse_from(&words));
            assert_eq!(shown(parse(&words)), whole, "{line}");
        };
        let lines = [
            "logq",
            "logq store other",
            "logq -o json -S 12:00 -U 12:01 store",
            "logq -q stats",
            "logq store stats",
            "logq -- stats",
            "logq -n -5 --in 2026-02 -b=-1 -l e..i -W 1,2 store",
            "logq --by status --quantile 50 --hist=1m -f store",
            "logq --cursor-file place -f --stats",
            "logq stats store",
            "logq errors --since",
            "logq help",
            "logq help stats",
            "logq --help",
            "logq -h store",
            "logq --version",
            "logq --nowhere",
            "logq --lin 5",
            "logq -n",
            "logq -c --template x -o json",
            "logq -A x store",
            "logq statz --output=yaml",
        ];
        lines.into_iter().for_each(check);
        let command = Arguments::command();
        for verb in command.get_subcommands() {
            check(&format!("logq {} --nowhere", verb.get_name()));
            assert!(Verb::has_subcommand(verb.get_name()));
            assert_eq!(verb.get_all_aliases().count(), 0, "another name would not be known as one");
        }
    }

    /// The tests run all command lines that they have; so a flag that is in one of its verb is
    /// exercised.
    #[test]
    fn every_flag_is_exercised_by_a_test() {
        let command = Arguments::command();
        let verbs: Vec<_> =
            command.get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
        let words = words(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"), &verbs);
        let shown = command.get_subcommands().filter(|verb| !verb.is_hide_set());
        let mut missing = Vec::new();
        for verb in std::iter::once(&command).chain(shown) {
            // These take the flags of the command, where they are exercised.
            let name = match verb.get_name() {
                "logq" => "",
                "hist" | "tail" | "top" => continue,
                name => name,
            };
            for argument in verb.get_arguments().filter(|argument| !argument.is_hide_set()) {
                let long = argument.get_long().map(|long| format!("--{long}"));
                let short = argument.get_short().map(|short| format!("-{short}"));
                let names: Vec<_> = long.into_iter().chain(short).collect();
                // Flags that the command has, too, are defined once for both.
                let is_shared =
                    command.get_arguments().any(|own| own.get_id() == argument.get_id());
                let of =
                    |verb: &str, flag: &String| words.contains(&(verb.to_owned(), flag.clone()));
                let is_exercised =
                    names.iter().any(|flag| of(name, flag) || (is_shared && of("", flag)));
                if !names.is_empty() && !is_exercised {
                    missing.push(format!("{name} {}", names.join(", ")));
                }
            }
        }
        assert!(missing.is_empty(), "no command line in cli/tests has {}", missing.join("; "));
    }
}
