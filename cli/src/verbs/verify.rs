//! `logq verify`: reads everything, checks every checksum, and tells what fails.

use std::ops::ControlFlow;
use std::time::Instant;

use clap::{Args, ValueEnum};
use logq_reader::{Query, Report};

use crate::args::StoreArguments;
use crate::damage;
use crate::exit::Exit;
use crate::output::Output;
use crate::question;

/// What to check, and how to tell.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct VerifyArguments {
    #[command(flatten)]
    stores: StoreArguments,

    /// How to print
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: VerifyFormat,
}

const EXAMPLES: &str = "\
A block that the end of its file cuts off is no damage: it is being written, or its writer was killed. Nor is
one that was cut short by a full disk and written again behind.

Examples:
  logq verify /var/log/shop
  logq verify -o json /var/log/shop | jq .recordsLost

Exit status: 0 everything is intact, 2 error, 3 something is damaged or missing.";

/// Ways to print what was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum VerifyFormat {
    /// A page for people
    Text,
    /// One JSON object
    Json,
}

/// Checks the stores.
pub(crate) fn run(arguments: &VerifyArguments) -> anyhow::Result<Exit> {
    let stores = question::stores(&arguments.stores);
    let snapshot = crate::stores::open(&stores)?;
    let start = Instant::now();
    let mut records = 0;
    // Handing every record out decodes every block down to its last field.
    let count = |rows: &logq_reader::Rows<'_>| rows.len() as u64;
    let query = Query { thorough: true, ..Query::default() };
    let report = snapshot.scan(&query, count, |rows| {
        records += rows;
        ControlFlow::Continue(())
    })?;
    let text = match arguments.output {
        VerifyFormat::Text => page(records, &report, start.elapsed().as_secs_f64()),
        VerifyFormat::Json => object(records, &report),
    };
    let mut out = Output::new();
    // A failure is told by `finish`.
    let _ = out.write(text.as_bytes());
    out.finish()?;
    Ok(if report.is_complete() { Exit::Success } else { Exit::Incomplete })
}

fn page(records: u64, report: &Report, seconds: f64) -> String {
    let statistics = &report.statistics;
    let verdict = match report.is_complete() {
        true => "everything is intact".to_owned(),
        false => format!(
            "{} damaged places, {} bytes skipped, {} records lost",
            report.gaps.len() as u64 + report.gaps_omitted,
            damage::bytes(report),
            damage::lost(report)
        ),
    };
    format!(
        "checked    {} segments, {} blocks, {records} records in {seconds:.1} s\n{}verdict    {verdict}\n",
        statistics.segments,
        statistics.blocks,
        damage::page(report)
    )
}

fn object(records: u64, report: &Report) -> String {
    let mut object = damage::object(report);
    if let Some(fields) = object.as_object_mut() {
        fields.insert("intact".to_owned(), report.is_complete().into());
        fields.insert("segments".to_owned(), report.statistics.segments.into());
        fields.insert("blocks".to_owned(), report.statistics.blocks.into());
        fields.insert("records".to_owned(), records.into());
    }
    format!("{object}\n")
}
