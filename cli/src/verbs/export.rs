//! `logq export`: records into files, or blocks as they are stored into a stream.

mod day;
mod files;

use std::io::{IsTerminal as _, Write as _};
use std::ops::ControlFlow;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use logq_format::Timestamp;
use logq_reader::{Order, Query, Report, Rows};

use self::day::Day;
use self::files::{Files, Target};
use crate::args::{self, Choice, FilterArguments, OutputArguments, RangeArguments, StoreArguments};
use crate::completeness::{Completeness, absorb};
use crate::exit::Exit;
use crate::limit::SizeLimit;
use crate::output::{Printer, escape};
use crate::progress::ProgressLine;
use crate::question::Question;

/// What to export, and where to.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ExportArguments {
    #[command(flatten)]
    stores: StoreArguments,

    /// The file to write, standard output if none is named; one named *.gz or *.zst is compressed
    #[arg(long, value_name = "PATH")]
    to: Option<PathBuf>,

    /// What to write
    #[arg(short, long, value_name = "FORMAT", default_value = "json")]
    output: ExportFormat,

    /// A file for each day, PATH-2026-02-03.EXT, or for so many bytes, PATH-0001.EXT
    #[arg(long, value_name = "day|SIZE", requires = "to")]
    split: Option<String>,

    /// Only these fields, or all but those with a minus: timestamp,data.user.id or -error
    #[arg(long, value_name = "FIELD,...", allow_hyphen_values = true)]
    fields: Option<String>,

    /// Newest first; of blocks, the newest segment first
    #[arg(short, long)]
    reverse: bool,

    #[command(flatten)]
    range: RangeArguments,

    #[command(flatten)]
    filter: FilterArguments,

    /// When to show on standard error how far it has come
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    progress: Choice,

    /// Do not tell on standard error what was written and what is incomplete
    #[arg(short, long)]
    quiet: bool,
}

const EXAMPLES: &str = "\
A file appears under its name when it is complete, and none is written over. A size is of what is
written before it is compressed.

Blocks are copied as they are stored, chosen by time, level, type and worker; whoever reads the
stream asks it what could be asked here.

Examples:
  logq export -S yesterday -U today --to shop.jsonl.zst /var/log/shop
  logq export -o csv --fields timestamp,url,status --split day --to shop.csv /var/log/shop
  logq export -o blocks --in 14:02 /var/log/shop | ssh here logq -l error -
  logq export -o blocks --to shop.blocks /var/log/shop && logq -n 20 shop.blocks

Exit status: 0 something was written, 1 no match, 2 error, 3 incomplete, 4 no match and not covered.";

/// What to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ExportFormat {
    /// One JSON object a line, which `logq import` reads back
    Json,
    /// Comma-separated values (RFC 4180) below a line of names
    Csv,
    /// A block stream, which logq reads as a store
    Blocks,
}

/// When to begin another file.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Split {
    Never,
    Day,
    Bytes(u64),
}

/// Exports what was asked for, and tells what that was.
pub(crate) fn run(arguments: &ExportArguments) -> anyhow::Result<Exit> {
    export(arguments, !arguments.quiet)
}

/// Copies blocks to standard output.
pub(crate) fn print_blocks(
    stores: &StoreArguments,
    range: &RangeArguments,
    filter: &FilterArguments,
    reverse: bool,
    quiet: bool,
) -> anyhow::Result<Exit> {
    let arguments = ExportArguments {
        stores: stores.clone(),
        to: None,
        output: ExportFormat::Blocks,
        split: None,
        fields: None,
        reverse,
        range: range.clone(),
        filter: filter.clone(),
        progress: Choice::Never,
        quiet,
    };
    export(&arguments, false)
}

fn export(arguments: &ExportArguments, tells: bool) -> anyhow::Result<Exit> {
    let split = Split::new(arguments.split.as_deref())?;
    let is_stream = arguments.output == ExportFormat::Blocks;
    if is_stream && matches!(split, Split::Bytes(_)) {
        bail!("blocks are not split by size, as half a stream is none; use --split day");
    }
    if is_stream && arguments.fields.is_some() {
        bail!("blocks have all fields; --fields goes with -o json and csv");
    }
    let target = target(arguments)?;
    let question = Question::new(&arguments.stores, &arguments.range, &arguments.filter)?;
    let mut export = Export {
        order: if arguments.reverse { Order::Descending } else { Order::Ascending },
        question: &question,
        split,
        target,
        progress: Progress::new(&question, ProgressLine::new(arguments.progress, !tells)),
        found: 0,
        bytes: 0,
    };
    let report = match arguments.output {
        ExportFormat::Blocks => export.blocks()?,
        ExportFormat::Json => export.records(arguments, "json")?,
        ExportFormat::Csv => export.records(arguments, "csv")?,
    };
    export.target.flush().context("cannot write to standard output")?;
    export.progress.line.clear();
    if tells {
        export.tell(arguments.output);
    }
    let completeness = Completeness::new(&report, question.range, &question.finality);
    if !arguments.quiet {
        completeness.tell(export.found > 0);
    }
    Ok(completeness.exit(export.found > 0))
}

fn target(arguments: &ExportArguments) -> anyhow::Result<Target> {
    let path = arguments.to.as_deref().filter(|path| path.as_os_str() != "-");
    match path {
        Some(path) => Ok(Target::Files(Box::new(Files::new(path)?))),
        None if arguments.split.is_some() => bail!("--split makes files; name them with --to"),
        None if arguments.output == ExportFormat::Blocks && std::io::stdout().is_terminal() => {
            bail!("a block stream is not for terminals; pipe it into `logq -`, or use --to")
        }
        None => Ok(Target::Stdout),
    }
}

impl Split {
    fn new(text: Option<&str>) -> anyhow::Result<Self> {
        match text {
            None => Ok(Self::Never),
            Some("day") => Ok(Self::Day),
            Some(text) => match text.parse() {
                Ok(SizeLimit::Bytes(bytes)) if bytes > 0 => Ok(Self::Bytes(bytes)),
                _ => {
                    bail!("cannot read {text:?} of --split; expected `day` or a size such as 64MiB")
                }
            },
        }
    }
}

/// An export on its way.
struct Export<'a> {
    question: &'a Question,
    order: Order,
    split: Split,
    target: Target,
    progress: Progress,
    /// Records or blocks.
    found: u64,
    bytes: u64,
}

/// Some rendered records.
struct Portion {
    text: Vec<u8>,
    /// Where each record ends, and its time.
    ends: Vec<(usize, Timestamp)>,
}

/// The file that records go to.
struct Place {
    day: Option<Day>,
    bytes: u64,
    /// How many files there were before.
    number: u64,
}

impl Export<'_> {
    fn records(&mut self, arguments: &ExportArguments, format: &str) -> anyhow::Result<Report> {
        let printer = printer(arguments, format, self.question)?;
        let query = Query { order: self.order, ..self.question.query() };
        let mut place = Place { day: None, bytes: 0, number: 0 };
        if self.split == Split::Never {
            self.begin(None, &printer, &mut place)?;
        }
        let render = |rows: &Rows<'_>| Portion::of(rows, &printer);
        let mut failure = None;
        let report = self.question.snapshot.scan(&query, render, |portion| {
            match self.add(&portion, &printer, &mut place) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failure = Some(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        match failure {
            Some(error) => Err(error),
            None => self.complete().map(|()| report),
        }
    }

    /// Writes records, each to the file that it belongs to.
    fn add(
        &mut self,
        portion: &Portion,
        printer: &Printer,
        place: &mut Place,
    ) -> anyhow::Result<()> {
        let mut written = 0;
        let mut end_before = 0;
        for (end, time) in &portion.ends {
            let len = (end - end_before) as u64;
            if let Some(part) = self.next_part(place, *time, len) {
                self.write(portion.text.get(written..end_before).unwrap_or_default())?;
                written = end_before;
                self.begin(Some(&part), printer, place)?;
            }
            place.bytes += len;
            end_before = *end;
        }
        self.write(portion.text.get(written..).unwrap_or_default())?;
        self.found += portion.ends.len() as u64;
        if let Some((_, time)) = portion.ends.last() {
            self.progress.show(self.found, *time);
        }
        Ok(())
    }

    /// What tells the file of a record from the one before, if it begins another one.
    fn next_part(&self, place: &mut Place, time: Timestamp, len: u64) -> Option<String> {
        match self.split {
            Split::Never => None,
            Split::Day if place.day.as_ref().is_some_and(|day| day.contains(time)) => None,
            Split::Day => Some(place.day.insert(Day::of(time, &self.question.zone)).name.clone()),
            // A record that is larger than a file still needs one.
            Split::Bytes(most) => (place.number == 0
                || place.bytes > 0 && place.bytes.saturating_add(len) > most)
                .then(|| format!("{:04}", place.number + 1)),
        }
    }

    fn begin(
        &mut self,
        part: Option<&str>,
        printer: &Printer,
        place: &mut Place,
    ) -> anyhow::Result<()> {
        if let Target::Files(files) = &mut self.target {
            files.begin(part)?;
        }
        (place.bytes, place.number) = (0, place.number + 1);
        let mut head = Vec::new();
        printer.head(&mut head);
        self.write(&head)
    }

    fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.bytes += bytes.len() as u64;
        self.target.write_all(bytes).with_context(|| self.target.describe())
    }

    fn complete(&mut self) -> anyhow::Result<()> {
        match &mut self.target {
            Target::Files(files) => files.complete(),
            Target::Stdout => Ok(()),
        }
    }

    fn blocks(&mut self) -> anyhow::Result<Report> {
        let question = self.question;
        let query = Query { order: self.order, ..question.query() };
        let filter = &query.filter;
        if filter.requests.is_some() || filter.expression.is_some() || filter.predicate.is_some() {
            bail!(
                "blocks are chosen by time, level, type and worker; ask the rest where the stream \
                 is read: logq export -o blocks ... | logq --where ... -"
            );
        }
        if self.split == Split::Day {
            return self.blocks_by_day(&query);
        }
        if let Target::Files(files) = &mut self.target {
            files.begin(None)?;
        }
        self.stream(&query)
    }

    /// A stream for each day that has records. Together they leave out no time, so that they can be
    /// joined again.
    fn blocks_by_day(&mut self, query: &Query<'_>) -> anyhow::Result<Report> {
        let mut report: Option<Report> = None;
        let mut since = query.since;
        while let Some(time) = self.first_from(query, since)? {
            let day = Day::of(time, &self.question.zone);
            let until = query.until.map_or(day.end, |until| until.min(day.end));
            if let Target::Files(files) = &mut self.target {
                files.begin(Some(&day.name))?;
            }
            let found = self.stream(&Query { since, until: Some(until), ..query.clone() })?;
            self.progress.show(self.found, until);
            match &mut report {
                Some(report) => absorb(report, found),
                None => report = Some(found),
            }
            since = Some(until);
            if until == Timestamp::MAX || Some(until) == query.until {
                break;
            }
        }
        // Where there is nothing, the question tells why.
        report.map_or_else(|| Ok(self.question.snapshot.count(query)?.1), Ok)
    }

    /// The time of the first record from an instant on.
    fn first_from(
        &self,
        query: &Query<'_>,
        since: Option<Timestamp>,
    ) -> anyhow::Result<Option<Timestamp>> {
        let query = Query { since, limit: Some(1), order: Order::Ascending, ..query.clone() };
        let mut first = None;
        let time = |rows: &Rows<'_>| rows.iter().next().map(|row| row.time());
        self.question.snapshot.scan(&query, time, |time| {
            first = time;
            ControlFlow::Break(())
        })?;
        Ok(first)
    }

    fn stream(&mut self, query: &Query<'_>) -> anyhow::Result<Report> {
        let watermark = self.question.finality.watermark;
        let sent = self.question.snapshot.blocks(query, watermark, &mut self.target);
        let (end, report) = sent.with_context(|| self.target.describe())?;
        self.found += end.blocks;
        self.bytes += end.bytes;
        self.complete()?;
        Ok(report)
    }

    fn tell(&self, format: ExportFormat) {
        let Target::Files(files) = &self.target else { return };
        let what = if format == ExportFormat::Blocks { "blocks" } else { "records" };
        let (found, bytes) = (self.found, self.bytes);
        let place = match files.written.as_slice() {
            [one] => escape::for_terminal_lines(&one.display().to_string()),
            many => format!("{} files", many.len()),
        };
        tell!("logq: {found} {what} to {place}, {bytes} bytes");
    }
}

impl Portion {
    fn of(rows: &Rows<'_>, printer: &Printer) -> Self {
        let mut portion = Self { text: Vec::new(), ends: Vec::with_capacity(rows.len()) };
        for row in rows.iter() {
            printer.print(&row, &mut portion.text);
            portion.ends.push((portion.text.len(), row.time()));
        }
        portion
    }
}

/// Prints records for programs, wherever they go.
fn printer(
    arguments: &ExportArguments,
    format: &str,
    question: &Question,
) -> anyhow::Result<Printer> {
    let mut words = vec!["logq", "--output", format, "--color", "never"];
    if let Some(fields) = &arguments.fields {
        words.extend(["--fields", fields]);
    }
    let output: OutputArguments = args::parsed(&words)?;
    Ok(Printer::new(&output, question.zone.clone())?.for_programs())
}

/// How far an export has come.
struct Progress {
    /// The first and the last time there can be.
    span: Option<(Timestamp, Timestamp)>,
    line: ProgressLine,
}

impl Progress {
    fn new(question: &Question, line: ProgressLine) -> Self {
        let coverage = question.snapshot.coverage();
        let from = question.range.since.max(coverage.first);
        let to = question.range.until.into_iter().chain(coverage.last).min();
        Self { span: from.zip(to), line }
    }

    /// Shows how far an export has come: so much is written, up to a time.
    fn show(&mut self, found: u64, time: Timestamp) {
        let part = || {
            let (from, to) = self.span?;
            let micros = |time: Timestamp| i128::from(time.as_micros());
            let (done, all) = (micros(time) - micros(from), (micros(to) - micros(from)).max(1));
            Some(format!("{}%, ", (done * 100 / all).clamp(0, 100)))
        };
        self.line.show(|| {
            format!("exporting: {}{found} written, at {time}", part().unwrap_or_default())
        });
    }
}
