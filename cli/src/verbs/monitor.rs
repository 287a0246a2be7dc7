//! `logq monitor SOURCE...`: the traffic that access logs tell of, as it happens. What it is made of
//! is `monitor`'s business; this file reads the flags and turns signals into the end.

mod outlets;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand, ValueEnum};
use logq_monitor::render;
use logq_monitor::{Align, Format, InputOptions, Lists, Options, Rule};
use nix::sys::signal::Signal;

use self::outlets::OutletArguments;
use crate::args::ColorChoice;
use crate::exit::Exit;
use crate::limit::LimitArguments;
use crate::live_lines::Signals;
use crate::monitor::{self, Begin, Manner, StoreWish, Wish};
use crate::output::Style;

mod report;

const EXAMPLES: &str = "\
Examples:
  logq monitor /var/log/nginx/access.log
  logq monitor -t 50 --alert 'error_ratio > 5% min 100' '/var/log/nginx/*access.log'
  logq monitor --alert 'p99 > 500ms by section for 1m' access.log
  zcat access.log.*.gz | logq monitor --no-follow --top 10 -
  logq monitor --format '$remote_addr [$time_local] \"$request\" $status $body_bytes_sent' access.log
  logq monitor --no-follow --fail-on-alert -o json access.log
  logq monitor --tui --from -10m access.log
  logq monitor --exec 'mail -s traffic ops@example.org' --listen 9145 access.log
  logq monitor --store traffic --state traffic.state access.log
  logq monitor report --store traffic --since yesterday --html traffic.html

An alert is MEASURE > VALUE or MEASURE < VALUE, then any of: recover VALUE, over TIME, for TIME,
keep_firing TIME, min REQUESTS, by section. Measures are rate, error_rate, error_ratio,
client_error_ratio, byte_rate, p50, p90, p95, p99 and p999; for stores also unanswered_rate and
orphan_rate.

Exit status: 0 all was read, or a signal ended it; 2 wrong usage, an input that cannot be read, or
a change of an alert that could not be delivered; 3 with --fail-on-alert, an alert fired.";

#[derive(Args, Clone, Debug)]
#[command(
    after_help = EXAMPLES,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    disable_help_subcommand = true
)]
pub(crate) struct MonitorArguments {
    #[command(subcommand)]
    command: Option<MonitorCommand>,

    /// Access logs: files, patterns that also find files which come later, if their names are in
    /// UTF-8, - for standard input; and stores, whose requests and responses are paired
    #[arg(value_name = "SOURCE", required = true)]
    pub(crate) sources: Vec<PathBuf>,

    /// Traffic is high above so many requests per second
    #[arg(
        short,
        long,
        value_name = "RATE",
        default_value = "10",
        value_parser = rate,
        allow_negative_numbers = true
    )]
    pub(crate) threshold: f64,

    /// How long a summary covers: seconds, or 5m
    #[arg(
        short = 'i',
        long,
        alias = "log_interval",
        value_name = "TIME",
        default_value = "10",
        value_parser = length,
        allow_negative_numbers = true
    )]
    pub(crate) log_interval: u32,

    /// Over how long alerts take their averages
    #[arg(
        short = 'w',
        long,
        alias = "log_window",
        value_name = "TIME",
        default_value = "120",
        value_parser = length,
        allow_negative_numbers = true
    )]
    pub(crate) log_window: u32,

    /// High traffic has passed below so many requests per second; --threshold if not given
    #[arg(long, value_name = "RATE", value_parser = rate, allow_negative_numbers = true)]
    pub(crate) recover: Option<f64>,

    /// Traffic must be high for so long
    #[arg(long = "for", value_name = "TIME", default_value = "0", value_parser = time)]
    pub(crate) lasting: u32,

    /// High traffic must have passed for so long
    #[arg(long, value_name = "TIME", default_value = "0", value_parser = time)]
    pub(crate) keep_firing: u32,

    /// Another alert, such as 'error_ratio > 5%' or 'p99 > 500ms by section'; may be repeated
    #[arg(long = "alert", value_name = "EXPR")]
    pub(crate) alerts: Vec<String>,

    /// Do not count sections: a store of version 1.0 of the format is then read without its urls, which
    /// are the most of it
    #[arg(long, conflicts_with_all = ["compat", "top"])]
    pub(crate) no_sections: bool,

    /// List the most frequent sections, urls, clients and statuses below each summary
    #[arg(long, value_name = "N", default_value = "0", conflicts_with = "compat")]
    pub(crate) top: u16,

    /// How lines are written: auto, common, combined, vhost, csv, json, w3c, or the format string of
    /// nginx ('$remote_addr ...') or Apache ('%h ...')
    #[arg(long, value_name = "FORMAT", default_value = "auto", value_parser = Format::parse)]
    pub(crate) format: FormatChoice,

    /// How much later than others of its file a line may stand
    #[arg(long, value_name = "TIME", default_value = "5", value_parser = time)]
    pub(crate) lateness: u32,

    /// Where files and stores begin that are there already: start, end, or a time before their newest
    /// line or record, such as -2m. Archives, standard input and what --state knows begin where they
    /// do anyway; a response whose request came before is an orphan
    #[arg(
        long,
        value_name = "PLACE",
        default_value = "start",
        value_parser = from,
        allow_hyphen_values = true
    )]
    pub(crate) from: Begin,

    /// How long a file that was moved away is kept open for who may still write to it
    #[arg(long, value_name = "TIME", default_value = "5", value_parser = time)]
    pub(crate) rotate_wait: u32,

    /// Read to where the files end now, and end
    #[arg(long)]
    pub(crate) no_follow: bool,

    /// Go on although most lines are no requests
    #[arg(long)]
    pub(crate) force: bool,

    /// Where intervals begin: at multiples of their length since 1970, or with the first line
    #[arg(long, value_name = "WHERE", default_value = "epoch", conflicts_with = "compat")]
    pub(crate) align: AlignChoice,

    /// Take query strings for a part of sections and urls
    #[arg(long)]
    pub(crate) section_query: bool,

    /// Lines of more bytes are skipped, and counted
    #[arg(long, value_name = "BYTES", default_value = "65536", value_parser = line_limit)]
    pub(crate) line_limit: usize,

    /// Sum up intervals without requests, too; always so while following
    #[arg(long, conflicts_with = "compat")]
    pub(crate) empty: bool,

    /// Note in this file how far logs were read, and go on from there
    #[arg(long, value_name = "FILE")]
    pub(crate) state: Option<PathBuf>,

    /// Keep each second and each alert in this store, for `logq monitor report` and any question
    #[arg(long, value_name = "DIR")]
    pub(crate) store: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) limit: LimitArguments,

    /// How to print
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub(crate) output: OutputFormat,

    /// Print exactly what another program would print
    #[arg(long, value_name = "PROGRAM", conflicts_with = "output")]
    pub(crate) compat: Option<Compat>,

    /// Show it on the whole screen: graph, statuses, lists, alerts; ? shows the keys
    #[cfg(feature = "tui")]
    #[arg(long, conflicts_with_all = ["compat", "output", "top"])]
    pub(crate) tui: bool,

    /// Exit with 3 if an alert fired
    #[arg(long)]
    pub(crate) fail_on_alert: bool,

    /// When to colour the output
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: ColorChoice,

    /// On standard error, tell nothing but errors
    #[arg(short, long)]
    pub(crate) quiet: bool,

    #[command(flatten)]
    pub(crate) outlets: OutletArguments,
}

#[derive(Clone, Debug, Subcommand)]
enum MonitorCommand {
    /// Show what a store made with --store holds: rates, statuses, alerts, as text or as a page
    Report(Box<report::ReportArguments>),
}

/// `None` is to be seen from the lines.
type FormatChoice = Option<Format>;

/// Ways to print what the monitor says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// For people
    Text,
    /// JSON objects, one a line
    Json,
}

/// Where intervals begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AlignChoice {
    /// At multiples of their length since 1970
    Epoch,
    /// With the second of the first line
    First,
}

/// Programs that are imitated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Compat {
    /// HttpMonitor: three columns, times in seconds since 1970, query strings part of sections
    Httpmonitor,
}

/// Signals that ask for the end.
const ENDING: [Signal; 3] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];

/// The longest time that a flag takes, in seconds: a day.
const SECONDS_MAX: u32 = 86_400;

/// Watches until the input ends, or a signal asks for the end: then the last interval is printed. A
/// second signal ends it at once.
pub(crate) fn run(arguments: &MonitorArguments) -> anyhow::Result<Exit> {
    if let Some(MonitorCommand::Report(arguments)) = &arguments.command {
        return report::run(arguments);
    }
    let wish = wish(arguments)?;
    let signals = Signals::catch(&ENDING).context("cannot wait for signals")?;
    let stop = Arc::new(AtomicBool::new(false));
    let watch = Watch { signals, stop: Arc::clone(&stop), reader: thread::current() };
    thread::Builder::new().name("signals".to_owned()).spawn(|| watch.run())?;
    let ended = monitor::run(wish, &stop)?;
    Ok(match ended.is_complete {
        _ if arguments.fail_on_alert && ended.fired > 0 => Exit::Incomplete,
        true => Exit::Success,
        false => Exit::Error,
    })
}

impl MonitorArguments {
    /// How many entries of each list a screen needs, if it is to be on the screen.
    fn on_screen(&self) -> usize {
        #[cfg(feature = "tui")]
        if self.tui {
            return monitor::SCREEN_TOP;
        }
        0
    }
}

fn wish(arguments: &MonitorArguments) -> anyhow::Result<Wish> {
    let is_seeds = arguments.compat.is_some();
    let follows = !arguments.no_follow;
    let top = usize::from(arguments.top);
    let outlets = arguments.outlets.outlets()?;
    let on_screen = arguments.on_screen();
    let is_stdin = |source: &PathBuf| source.as_os_str() == "-";
    if on_screen > 0 && arguments.sources.iter().any(is_stdin) && std::io::stdin().is_terminal() {
        bail!("--tui takes keys from the terminal, and so would the source -; name a file");
    }
    let is_listed = top > 0 || on_screen > 0;
    let options = Options {
        interval_s: arguments.log_interval,
        lateness_s: arguments.lateness,
        rules: rules(arguments)?,
        queries: is_seeds || arguments.section_query,
        sections: !arguments.no_sections,
        lists: Lists {
            count: top.max(outlets.lists()).max(on_screen),
            urls: is_listed,
            clients: is_listed,
            statuses: is_listed,
        },
        align: match arguments.align {
            AlignChoice::Epoch if !is_seeds => Align::Epoch,
            AlignChoice::Epoch | AlignChoice::First => Align::First,
        },
        empty: arguments.empty || (follows && !is_seeds),
        ..Options::default()
    };
    let manner = match (arguments.compat, arguments.output) {
        (Some(Compat::Httpmonitor), _) => Manner::Text(render::Style::SEED),
        (None, OutputFormat::Text) => Manner::Text(render::Style::FULL),
        (None, OutputFormat::Json) => Manner::Json,
    };
    Ok(Wish {
        sources: arguments.sources.clone(),
        options,
        input: InputOptions {
            format: arguments.format.clone(),
            force: arguments.force,
            line_bytes_max: arguments.line_limit,
        },
        manner,
        top,
        style: Style::of_environment(arguments.color)?,
        follows,
        from: arguments.from,
        rotate_wait: Duration::from_secs(arguments.rotate_wait.into()),
        state: arguments.state.clone(),
        store: arguments.store.clone().map(|path| StoreWish { path, limit: arguments.limit.size }),
        is_quiet: arguments.quiet,
        on_screen: on_screen > 0,
        outlets,
    })
}

/// The seed's alert, and those that were asked for.
fn rules(arguments: &MonitorArguments) -> anyhow::Result<Vec<Rule>> {
    let (threshold, window_s) = (arguments.threshold, arguments.log_window);
    let recover = arguments.recover.unwrap_or(threshold);
    if recover > threshold {
        bail!(
            "--recover {recover} is above --threshold {threshold}: the alert would recover while it \
             fires; give a rate at or below the threshold"
        );
    }
    let high_traffic = Rule {
        recover,
        for_s: arguments.lasting,
        keep_firing_s: arguments.keep_firing,
        ..Rule::high_traffic(threshold, window_s)
    };
    let mut rules = vec![high_traffic];
    for alert in &arguments.alerts {
        rules.push(Rule::parse(alert, window_s)?);
    }
    Ok(rules)
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate >= 0.0);
    rate.ok_or_else(|| "expected requests per second, such as 10 or 0.5".to_owned())
}

/// At least what any request needs, at most what memory bears.
fn line_limit(text: &str) -> Result<usize, String> {
    let bytes = text.parse().ok().filter(|bytes| (1_024..=64 << 20).contains(bytes));
    bytes.ok_or_else(|| "expected a number of bytes from 1024 to 67108864".to_owned())
}

fn from(text: &str) -> Result<Begin, String> {
    match text {
        "start" => Ok(Begin::Start),
        "end" => Ok(Begin::End),
        _ => match text.strip_prefix('-').map(time) {
            Some(Ok(seconds)) => Ok(Begin::Back(seconds)),
            _ => Err("expected start, end, or a time of at most a day such as -2m".to_owned()),
        },
    }
}

/// At least a second.
fn length(text: &str) -> Result<u32, String> {
    time(text).and_then(|seconds| match seconds {
        0 => Err("expected at least a second".to_owned()),
        seconds => Ok(seconds),
    })
}

/// Seconds, minutes or hours, up to a day; whole seconds may be written as the seed's numbers.
fn time(text: &str) -> Result<u32, String> {
    let expected = || "expected a time of at most a day, such as 90, 90s, 2m or 1h".to_owned();
    let (number, unit_s) = match text.char_indices().next_back() {
        Some((at, 's')) => (text.get(..at), 1),
        Some((at, 'm')) => (text.get(..at), 60),
        Some((at, 'h')) => (text.get(..at), 3_600),
        _ => (Some(text), 1),
    };
    let number = number.map(|number| number.strip_suffix(".0").unwrap_or(number));
    let seconds = number.and_then(|number| number.parse::<u32>().ok()?.checked_mul(unit_s));
    seconds.filter(|seconds| *seconds <= SECONDS_MAX).ok_or_else(expected)
}

/// Turns signals into the end.
struct Watch {
    signals: Signals,
    stop: Arc<AtomicBool>,
    reader: Thread,
}

impl Watch {
    fn run(mut self) {
        while let Some(received) = self.signals.next() {
            if self.stop.swap(true, Ordering::Relaxed) {
                // Somebody asks again: what is being read may never come.
                #[cfg(feature = "tui")]
                monitor::restore_terminal();
                std::process::exit(Exit::signal(received.signal as i32).code().into());
            }
            self.reader.unpark();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_or_have_a_unit() {
        for (text, expected) in [
            ("10", Some(10)),
            ("10.0", Some(10)),
            ("90s", Some(90)),
            ("2m", Some(120)),
            ("24h", Some(86_400)),
            ("0", Some(0)),
            ("25h", None),
            ("9999999999", None),
            ("1.5", None),
            ("-1", None),
            ("m", None),
            ("", None),
            ("ü", None),
        ] {
            assert_eq!(time(text).ok(), expected, "{text}");
        }
        assert!(length("0").is_err());
        assert!(rate("NaN").is_err() && rate("-1").is_err() && rate("0.5") == Ok(0.5));
    }
}
