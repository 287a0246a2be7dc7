//! `logq top`: the most frequent values of fields, `logq --by FIELD --top 10` by another name.

use clap::Args;

use crate::exit::Exit;
use crate::verbs::records::{self, RecordsArguments};

/// As of `logq --by`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct TopArguments {
    /// The fields: url, status,method, data.user.id; -n or --top says how many values, 10 unless one is
    /// given
    #[arg(value_name = "FIELD,...")]
    values: String,

    #[command(flatten)]
    records: RecordsArguments,
}

const EXAMPLES: &str = "\
Examples:
  logq top url /var/log/shop                   the ten most frequent ones
  logq top section,status -n 20 -S 1h /var/log/shop
  logq top ip -f /var/log/shop                 kept up to date";

/// Prints the most frequent values.
pub(crate) fn run(arguments: &TopArguments) -> anyhow::Result<Exit> {
    records::run(&arguments.records.clone().top(&arguments.values)?)
}
