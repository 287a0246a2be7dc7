//! `logq monitor SOURCE...`: the traffic that access logs tell of, as it happens. What it is made of
//! is `monitor`'s business; this file reads the flags and turns signals into the end.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use logq_monitor::render;
use logq_monitor::{Align, Format, InputOptions, Lists, Options, Rule};
use nix::sys::signal::Signal;

use crate::args::ColorChoice;
use crate::exit::Exit;
use crate::live_lines::Signals;
use crate::monitor::{self, Manner, Wish};
use crate::output::Style;

const EXAMPLES: &str = "\
Examples:
  logq monitor /var/log/nginx/access.log
  logq monitor -t 50 --alert 'error_ratio > 5% min 100' '/var/log/nginx/*access.log'
  logq monitor --alert 'p99 > 500ms by section for 1m' access.log
  zcat access.log.*.gz | logq monitor --no-follow --top 10 -
  logq monitor --format '$remote_addr [$time_local] \"$request\" $status $body_bytes_sent' access.log
  logq monitor --no-follow --fail-on-alert -o json access.log

An alert is MEASURE > VALUE or MEASURE < VALUE, then any of: recover VALUE, over TIME, for TIME,
keep_firing TIME, min REQUESTS, by section. Measures are rate, error_rate, error_ratio,
client_error_ratio, byte_rate, p50, p90, p95, p99 and p999.

Exit status: 0 all was read, or a signal ended it; 2 wrong usage, or an input that cannot be read;
3 with --fail-on-alert, an alert fired.";

#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct MonitorArguments {
    /// Access logs: files, patterns that also find files which come later, or - for standard input
    #[arg(value_name = "SOURCE", required = true)]
    pub(crate) sources: Vec<PathBuf>,

    /// Traffic is high above so many requests per second
    #[arg(short, long, value_name = "RATE", default_value = "10", value_parser = rate)]
    pub(crate) threshold: f64,

    /// How long a summary covers: seconds, or 5m
    #[arg(
        short = 'i',
        long,
        alias = "log_interval",
        value_name = "TIME",
        default_value = "10",
        value_parser = length
    )]
    pub(crate) log_interval: u32,

    /// Over how long alerts take their averages
    #[arg(
        short = 'w',
        long,
        alias = "log_window",
        value_name = "TIME",
        default_value = "120",
        value_parser = length
    )]
    pub(crate) log_window: u32,

    /// High traffic has passed below so many requests per second; --threshold if not given
    #[arg(long, value_name = "RATE", value_parser = rate)]
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

    /// Read to where the files end now, and end
    #[arg(long)]
    pub(crate) no_follow: bool,

    /// Go on although most lines are no requests
    #[arg(long)]
    pub(crate) force: bool,

    /// Sum up intervals without requests, too; always so while following
    #[arg(long, conflicts_with = "compat")]
    pub(crate) empty: bool,

    /// Note in this file how far logs were read, and go on from there
    #[arg(long, value_name = "FILE")]
    pub(crate) state: Option<PathBuf>,

    /// How to print
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub(crate) output: OutputFormat,

    /// Print exactly what another program would print
    #[arg(long, value_name = "PROGRAM", conflicts_with = "output")]
    pub(crate) compat: Option<Compat>,

    /// Exit with 3 if an alert fired
    #[arg(long)]
    pub(crate) fail_on_alert: bool,

    /// When to colour the output
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: ColorChoice,

    /// On standard error, tell nothing but errors
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// `None` is to be seen from the lines.
type FormatChoice = Option<Format>;

/// Ways to print what the monitor says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// Lines for people, tabs between their parts
    Text,
    /// One JSON object a line
    Json,
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

fn wish(arguments: &MonitorArguments) -> anyhow::Result<Wish> {
    let is_seeds = arguments.compat.is_some();
    let follows = !arguments.no_follow;
    let count = usize::from(arguments.top);
    let is_listed = count > 0;
    let options = Options {
        interval_s: arguments.log_interval,
        lateness_s: arguments.lateness,
        rules: rules(arguments)?,
        queries: is_seeds,
        lists: Lists { count, urls: is_listed, clients: is_listed, statuses: is_listed },
        align: if is_seeds { Align::First } else { Align::Epoch },
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
            ..InputOptions::default()
        },
        manner,
        style: Style::of_environment(arguments.color)?,
        follows,
        state: arguments.state.clone(),
        is_quiet: arguments.quiet,
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
