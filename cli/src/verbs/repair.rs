//! `logq repair`: copies what is intact into a new store, and tells what is not.

use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use logq_format::{Origin, PushError, StagedRecords};
use logq_reader::{Query, Rows};
use logq_writer::{BulkError, BulkOptions, BulkWriter, Clock as _, Holes, SystemClock};

use crate::args::StoreArguments;
use crate::damage;
use crate::exit::Exit;
use crate::question;

/// From where to where.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RepairArguments {
    /// The new store; it must not exist yet, or be empty
    #[arg(long, value_name = "NEW")]
    to: PathBuf,

    #[command(flatten)]
    stores: StoreArguments,

    /// Do not tell what was lost
    #[arg(short, long)]
    quiet: bool,
}

const EXAMPLES: &str = "\
The store itself is left as it is. Records keep their times, writers and numbers, so that the copy
still tells how many are missing between them.

Examples:
  logq repair --to shop.repaired /var/log/shop

Exit status: 0 everything was copied, 2 error, 3 something was damaged or missing.";

/// Copies the stores.
pub(crate) fn run(arguments: &RepairArguments) -> anyhow::Result<Exit> {
    refuse_content(&arguments.to)?;
    let snapshot = crate::stores::open(&question::stores(&arguments.stores))?;
    let options = BulkOptions { holes: Holes::Lost, ..BulkOptions::at(SystemClock.now()) };
    let writer = BulkWriter::create(&arguments.to, options)?;
    let mut copy = Copy { writer, failure: None };
    let report = snapshot.scan(&Query::default(), Portion::of, |portion| copy.add(&portion))?;
    if let Some(error) = copy.failure {
        return Err(error).with_context(|| format!("cannot write {}", arguments.to.display()));
    }
    let written = copy.writer.finish()?;
    if !arguments.quiet {
        damage::page(&report).lines().for_each(|line| tell!("{line}"));
        tell!(
            "logq: {} records copied to {}, {} lost",
            written.records,
            crate::output::escape::for_terminal_lines(&arguments.to.display().to_string()),
            damage::lost(&report)
        );
    }
    Ok(if report.is_complete() { Exit::Success } else { Exit::Incomplete })
}

/// A repaired copy that is mixed with something else would be of no use.
fn refuse_content(path: &Path) -> anyhow::Result<()> {
    match fs::read_dir(path) {
        Ok(entries) => match entries.count() {
            0 => Ok(()),
            _ => bail!("{} is not empty; name a directory that does not exist", path.display()),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot look into {}", path.display())),
    }
}

/// Some consecutive records, decoded on one thread to be written on another.
struct Portion {
    names: Vec<(Origin, u64)>,
    /// The records of all names, in that order.
    records: Vec<StagedRecords>,
}

impl Portion {
    fn of(rows: &Rows<'_>) -> Self {
        let mut portion = Self { names: Vec::new(), records: vec![StagedRecords::new()] };
        for row in rows.iter() {
            let Ok(record) = row.record() else { continue };
            let Some(last) = portion.records.last_mut() else { break };
            let mut pushed = last.push(&record);
            if pushed == Err(PushError::Full) {
                let mut next = StagedRecords::new();
                pushed = next.push(&record);
                portion.records.push(next);
            }
            // Only kinds of a newer version are refused; the report counts them.
            if pushed.is_ok() {
                portion.names.push((row.origin(), row.sequence()));
            }
        }
        portion
    }
}

struct Copy {
    writer: BulkWriter,
    failure: Option<BulkError>,
}

impl Copy {
    fn add(&mut self, portion: &Portion) -> ControlFlow<()> {
        let records = portion.records.iter().flat_map(StagedRecords::records);
        for ((origin, sequence), record) in portion.names.iter().zip(records) {
            if let Err(error) = self.writer.push_as(*origin, *sequence, &record) {
                self.failure = Some(error);
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }
}
