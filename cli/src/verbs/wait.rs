//! `logq wait`: leaves when so many records have come, or when the time is over.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use logq_query::when;
use logq_reader::{Delivery, Start};

use crate::args::{FilterArguments, OutputArguments, RangeArguments, StoreArguments};
use crate::exit::Exit;
use crate::following::{Asked, End, Following, Outlet, Stop};
use crate::output::Printer;
use crate::question;

/// What to wait for, and how long.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct WaitArguments {
    #[command(flatten)]
    stores: StoreArguments,

    #[command(flatten)]
    range: RangeArguments,

    #[command(flatten)]
    filter: FilterArguments,

    /// How many records to wait for
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,

    /// How long to wait at most: 30s, 5m; for ever unless it is given
    #[arg(long, value_name = "DURATION")]
    timeout: Option<String>,

    #[command(flatten)]
    output: OutputArguments,

    /// Tell nothing on standard error
    #[arg(short, long)]
    quiet: bool,
}

const EXAMPLES: &str = "\
Waits for records that are appended from now on, prints them as they arrive and leaves; with -S, what
is there already counts, too. The store need not exist yet.

Examples:
  logq wait -w 'data.message = \"listening\"' --timeout 30s /var/log/shop
  logq wait -l error --count 3 --timeout 10m /var/log/shop && page-somebody
  logq wait -S 5m -t WORKER_EXITED --timeout 1h /var/log/shop

Exit status: 0 so many records came, 1 no more can come before --until, 2 error, 124 the time is over.";

/// Waits.
pub(crate) fn run(arguments: &WaitArguments) -> anyhow::Result<Exit> {
    let began = Instant::now();
    let timeout = arguments.timeout.as_deref().map(when::parse_duration).transpose();
    let timeout = timeout.context("cannot understand --timeout")?;
    let stores = question::stores(&arguments.stores);
    let asked = Asked::new(&stores, &arguments.range, &arguments.filter, false)?;
    let printer = Printer::new(&arguments.output, asked.zone.clone())?;
    let mut out = Outlet::new()?;
    let mut following = Following {
        records_max: arguments.count,
        deadline: timeout.and_then(|timeout| began.checked_add(timeout)),
        quiet: arguments.quiet,
        ..Following::new(&stores, &asked, &printer)
    };
    following.options.start = asked.range.since.map_or(Start::Now, Start::Since);
    // Whoever waits does not ask which of two came first.
    following.options.delivery = Delivery::Arrival;
    let followed = following.run(&mut out)?;
    Ok(match followed.end {
        End::Enough => Exit::Success,
        End::Complete => Exit::NoMatch,
        End::TimedOut => {
            if !arguments.quiet {
                tell(followed.records, arguments.count, timeout.unwrap_or_default());
            }
            Exit::TimedOut
        }
        End::Stopped(Stop::Signal(signal)) => Exit::signal(signal),
        End::Stopped(Stop::Failed(error)) => {
            return Err(anyhow::Error::new(error).context("cannot write to standard output"));
        }
    })
}

fn tell(records: u64, wanted: u64, timeout: Duration) {
    tell!("logq: {records} of {wanted} records came within {timeout:?}");
}
