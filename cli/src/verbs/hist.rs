//! `logq hist`: what happened when, `logq --hist` by another name.

use clap::Args;

use crate::exit::Exit;
use crate::verbs::records::{self, RecordsArguments};

/// As of `logq --hist`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct HistArguments {
    #[command(flatten)]
    records: RecordsArguments,
}

const EXAMPLES: &str = "\
Examples:
  logq hist /var/log/shop                      a bar for each stretch of time
  logq hist --hist=1m -l error -S 1h /var/log/shop
  logq hist --by level -f -S 10m /var/log/shop";

/// Draws the bars.
pub(crate) fn run(arguments: &HistArguments) -> anyhow::Result<Exit> {
    records::run(&arguments.records.clone().hist()?)
}
