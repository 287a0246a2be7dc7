//! `logq tail`: `logq -f` by another name.

use clap::Args;

use crate::exit::Exit;
use crate::verbs::records::{self, RecordsArguments};

/// As of `logq -f`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct TailArguments {
    #[command(flatten)]
    records: RecordsArguments,
}

const EXAMPLES: &str = "\
Examples:
  logq tail /var/log/shop                      the newest 10 and what comes, in the order of time
  logq tail -l warn --order arrival /var/log/shop
  logq tail -o json --cursor-file place /var/log/shop";

/// Prints what is there and what comes.
pub(crate) fn run(arguments: &TailArguments) -> anyhow::Result<Exit> {
    records::run(&arguments.records.clone().following())
}
