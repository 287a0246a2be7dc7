//! Writes realistic cluster traffic to standard output, as input for measurements.

use std::io::{self, BufWriter, Write};

use clap::{Parser, ValueEnum};
use logq_format::json::write_line;
use logq_format::{Record, WorkerId};
use logq_testkit::access_log::{AccessForm, AccessLog, ForeignForm, write_foreign};
use logq_testkit::segment::{self, SegmentOptions};
use logq_testkit::traffic::{Numbering, TrafficOptions, generate};

/// Write the traffic of an imaginary cluster to standard output
#[derive(Debug, Parser)]
struct Arguments {
    /// What to write
    #[arg(value_enum)]
    form: Form,
    /// How many records
    #[arg(short = 'n', long, default_value_t = 1_000_000)]
    records: u64,
    /// Decides everything that is random
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The hours the records are spread over
    #[arg(long, default_value_t = 24)]
    hours: u32,
    /// segment: bytes of a block before compression
    #[arg(long, default_value_t = 32 << 10)]
    block_bytes: usize,
    /// segment: milliseconds after which a block is written, full or not
    #[arg(long)]
    flush_delay_ms: Option<u64>,
    /// segment: the level of compression
    #[arg(long, default_value_t = logq_format::LEVEL_DEFAULT)]
    level: i32,
    /// segment: bytes of the dictionary, trained on another day's traffic
    #[arg(long, default_value_t = 0)]
    dictionary_bytes: usize,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Form {
    /// One JSON object a line, as logq prints them
    Jsonl,
    /// An access log in the common log format
    Common,
    /// An access log in the combined log format
    Combined,
    /// An access log as comma-separated values
    Csv,
    /// JSON lines as pino writes them
    Pino,
    /// JSON lines as zap writes them
    Zap,
    /// JSON lines as Go's slog writes them
    Slog,
    /// JSON lines as the Elastic stack has them
    Elastic,
    /// One encoded segment; bytes a record go to standard error
    Segment,
}

fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let out = BufWriter::with_capacity(1 << 20, io::stdout().lock());
    let traffic = arguments.traffic();
    match arguments.form {
        Form::Jsonl => json_lines(&traffic, out),
        Form::Common => access_log(&traffic, AccessForm::Common, out),
        Form::Combined => access_log(&traffic, AccessForm::Combined, out),
        Form::Csv => access_log(&traffic, AccessForm::Csv, out),
        Form::Pino => foreign(&traffic, ForeignForm::Pino, out),
        Form::Zap => foreign(&traffic, ForeignForm::Zap, out),
        Form::Slog => foreign(&traffic, ForeignForm::Slog, out),
        Form::Elastic => foreign(&traffic, ForeignForm::Elastic, out),
        Form::Segment => segment(&arguments, out),
    }
}

impl Arguments {
    fn traffic(&self) -> TrafficOptions {
        let span_us = u64::from(self.hours) * 3_600_000_000;
        TrafficOptions { seed: self.seed, records: self.records, span_us, ..Default::default() }
    }

    fn segment(&self) -> io::Result<SegmentOptions> {
        let options = SegmentOptions {
            traffic: self.traffic(),
            block_bytes: self.block_bytes,
            flush_delay_us: self.flush_delay_ms.map(|delay| delay * 1000),
            level: self.level,
            ..SegmentOptions::default()
        };
        if self.dictionary_bytes == 0 {
            return Ok(options);
        }
        let mut day_before = options.clone();
        day_before.traffic.seed += 1;
        day_before.traffic.records = day_before.traffic.records.min(DICTIONARY_RECORDS);
        let dictionary = Some(segment::train(&day_before, self.dictionary_bytes)?);
        Ok(SegmentOptions { dictionary, ..options })
    }
}

/// Enough records to train a dictionary of 64 KiB: about 6 MiB of sections.
const DICTIONARY_RECORDS: u64 = 100_000;

/// Writes what `render` makes of each record, until writing fails.
fn write_each(
    options: &TrafficOptions,
    mut out: impl Write,
    mut render: impl FnMut(Option<WorkerId>, &Record<'_>, &mut Vec<u8>),
) -> io::Result<()> {
    let mut text = Vec::new();
    let mut result = Ok(());
    generate(options, |worker, record| {
        if result.is_ok() {
            text.clear();
            render(worker, record, &mut text);
            result = out.write_all(&text);
        }
    });
    result.and_then(|()| out.flush())
}

fn json_lines(options: &TrafficOptions, out: impl Write) -> io::Result<()> {
    let mut numbering = Numbering::default();
    write_each(options, out, |worker, record, text| {
        let (origin, sequence) = numbering.next(worker);
        write_line(text, record, origin, sequence);
    })
}

fn access_log(options: &TrafficOptions, form: AccessForm, mut out: impl Write) -> io::Result<()> {
    out.write_all(form.header().as_bytes())?;
    let mut log = AccessLog::new(form);
    write_each(options, out, |_, record, text| {
        text.extend_from_slice(log.line(record).unwrap_or_default().as_bytes());
    })
}

fn foreign(options: &TrafficOptions, form: ForeignForm, out: impl Write) -> io::Result<()> {
    let mut line = String::new();
    write_each(options, out, |worker, record, text| {
        line.clear();
        write_foreign(&mut line, form, worker, record);
        text.extend_from_slice(line.as_bytes());
    })
}

fn segment(arguments: &Arguments, mut out: impl Write) -> io::Result<()> {
    let segment = segment::encode(&arguments.segment()?)?;
    let sizes = segment.sizes;
    let each = |bytes: u64| bytes as f64 / sizes.records as f64;
    let mut report = io::stderr().lock();
    writeln!(report, "{} records in {} blocks", sizes.records, sizes.blocks)?;
    for (part, bytes) in [
        ("headers", sizes.headers),
        ("request ids", sizes.ids),
        ("spine stored", sizes.spine_stored),
        ("body stored", sizes.body_stored),
        ("all stored", sizes.stored()),
        ("spine raw", sizes.spine_raw),
        ("body raw", sizes.body_raw),
    ] {
        writeln!(report, "{:6.2} bytes a record: {part}", each(bytes))?;
    }
    writeln!(report, "{} bytes beside blocks of records", sizes.other)?;
    out.write_all(&segment.bytes)?;
    out.flush()
}
