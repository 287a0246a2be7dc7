//! `logq stats`: what a store holds and what its bytes are spent on.

use clap::{Args, ValueEnum};
use std::fmt::Write as _;
use std::io::{self, Write as _};

use anyhow::Context as _;
use logq_reader::{DictionarySummary, SegmentSummary, Summary, WriterSummary};
use serde_json::{Value, json};

use crate::args::StoreArguments;
use crate::damage::{gap, span};
use crate::exit::Exit;
use crate::question;

#[derive(Args, Clone, Debug)]
pub(crate) struct StatsArguments {
    #[command(flatten)]
    stores: StoreArguments,

    /// How to print
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub(crate) output: StatsFormat,
}

/// Ways to print statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StatsFormat {
    /// A page for people
    Text,
    /// One JSON object
    Json,
}

/// Prints the statistics; incomplete if anything is damaged or missing.
pub(crate) fn run(arguments: &StatsArguments) -> anyhow::Result<Exit> {
    let snapshot = crate::stores::open(&question::stores(&arguments.stores))?;
    let summary = snapshot.summary()?;
    let text = match arguments.output {
        StatsFormat::Text => page(&summary),
        StatsFormat::Json => format!("{}\n", object(&summary)),
    };
    io::stdout().write_all(text.as_bytes()).context("cannot write to standard output")?;
    Ok(if summary.report.is_complete() { Exit::Success } else { Exit::Incomplete })
}

/// How much smaller than their raw columns records are stored; `None` without records.
fn ratio(summary: &Summary) -> Option<f64> {
    let raw = raw_bytes(summary);
    // Sizes are far below 2^52, where floating point becomes inexact.
    (summary.bytes.total > 0 && raw > 0).then(|| raw as f64 / summary.bytes.total as f64)
}

fn raw_bytes(summary: &Summary) -> u64 {
    summary.bytes.spine_raw + summary.bytes.body_raw + summary.bytes.request_ids
}

fn page(summary: &Summary) -> String {
    let mut page = String::new();
    // Writing to a String cannot fail.
    let _ = write_page(&mut page, summary);
    page
}

fn write_page(page: &mut String, summary: &Summary) -> std::fmt::Result {
    let bytes = &summary.bytes;
    writeln!(page, "segments  {}", summary.segments.len())?;
    for segment in &summary.segments {
        let dictionary = match segment.dictionary {
            Some(DictionarySummary { id, gain: Some(gain), .. }) => {
                format!("dictionary {id:08x}: {gain:.2} times smaller with it")
            }
            Some(DictionarySummary { id, .. }) => format!("dictionary {id:08x}"),
            None => "no dictionary".to_owned(),
        };
        writeln!(
            page,
            "          {}  {} bytes, {} records, {dictionary}",
            segment.path.display(),
            segment.bytes,
            segment.records
        )?;
    }
    writeln!(
        page,
        "blocks    {} of records, {} pings, {} joins, {} dictionaries, {} others",
        summary.blocks.data,
        summary.blocks.ping,
        summary.blocks.join,
        summary.blocks.dictionary,
        summary.blocks.other
    )?;
    writeln!(page, "records   {}", summary.records)?;
    if let Some((first, last)) = summary.span {
        writeln!(page, "          from {first} to {last}")?;
    }
    for (level, count) in &summary.levels {
        writeln!(page, "          {count:>12} {level}")?;
    }
    writeln!(page, "types")?;
    for (name, count) in types(summary) {
        writeln!(page, "          {count:>12} {name}")?;
    }
    // Who only pings has nothing to tell.
    let writers: Vec<_> = summary.writers.iter().filter(|writer| writer.records > 0).collect();
    writeln!(page, "writers   {}", writers.len())?;
    for writer in writers {
        let process = writer.origin.worker.map_or("master".to_owned(), |w| format!("worker {w}"));
        write!(page, "          {:>12} records of {process}", writer.records)?;
        write!(page, ", writer {}", writer.origin.writer)?;
        let troubles = [(writer.lost, "dropped"), (writer.missing, "missing")];
        for (count, what) in troubles.into_iter().filter(|(count, _)| *count > 0) {
            write!(page, ", {count} {what}")?;
        }
        writeln!(page)?;
    }
    writeln!(page, "bytes     {} stored, {} raw", bytes.total, raw_bytes(summary))?;
    if let (Some(ratio), true) = (ratio(summary), summary.records > 0) {
        let each = bytes.total as f64 / summary.records as f64;
        writeln!(page, "          ratio {ratio:.2}, {each:.1} bytes a record")?;
    }
    for (part, count) in [
        ("headers", bytes.headers),
        ("request ids", bytes.request_ids),
        ("spines", bytes.spine_stored),
        ("bodies", bytes.body_stored),
        ("pings, joins, dictionaries", bytes.other),
    ] {
        writeln!(page, "          {count:>12} {part}")?;
    }
    write_damage(page, summary)
}

fn write_damage(page: &mut String, summary: &Summary) -> std::fmt::Result {
    let report = &summary.report;
    let gaps = report.gaps.len() as u64 + report.gaps_omitted;
    writeln!(page, "gaps      {gaps}, {} records missing", report.missing_records())?;
    for gap in report.gaps.iter().chain(&report.unfinished) {
        write!(
            page,
            "          {} bytes {} to {}",
            gap.path.display(),
            gap.range.start,
            gap.range.end
        )?;
        write!(page, ": {}", gap.cause)?;
        if let Some((from, to)) = gap.span {
            write!(page, ", between {from} and {to}")?;
        }
        writeln!(page)?;
    }
    Ok(())
}

/// Records by type as it is printed; types that share a name are added up.
fn types(summary: &Summary) -> Vec<(&'static str, u64)> {
    let mut types: Vec<(&'static str, u64)> = Vec::new();
    for (record_type, count) in &summary.types {
        let name = record_type.as_str();
        match types.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => *sum += count,
            None => types.push((name, *count)),
        }
    }
    types
}

fn object(summary: &Summary) -> Value {
    let (blocks, report) = (&summary.blocks, &summary.report);
    let levels = summary
        .levels
        .iter()
        .map(|(level, count)| (level.as_str().to_owned(), Value::from(*count)));
    let types =
        types(summary).into_iter().map(|(name, count)| (name.to_owned(), Value::from(count)));
    json!({
        "segments": summary.segments.iter().map(segment).collect::<Vec<_>>(),
        "blocks": {
            "data": blocks.data,
            "ping": blocks.ping,
            "join": blocks.join,
            "dictionary": blocks.dictionary,
            "other": blocks.other,
        },
        "records": summary.records,
        "span": span(summary.span),
        "levels": levels.collect::<Value>(),
        "types": types.collect::<Value>(),
        "writers": summary.writers.iter().map(writer).collect::<Vec<_>>(),
        "bytes": bytes(summary),
        "missing": report.missing_records(),
        "gaps": report.gaps.iter().map(gap).collect::<Vec<_>>(),
        "gapsOmitted": report.gaps_omitted,
        "unfinished": report.unfinished.iter().map(gap).collect::<Vec<_>>(),
    })
}

fn segment(segment: &SegmentSummary) -> Value {
    json!({
        "number": segment.number,
        "path": segment.path.to_string_lossy(),
        "bytes": segment.bytes,
        "version": segment.version.map(|version| version.to_string()),
        "dictionary": segment.dictionary.map(|dictionary| {
            json!({ "id": format!("{:08x}", dictionary.id), "gain": dictionary.gain })
        }),
        "records": segment.records,
        "span": span(segment.span),
    })
}

fn writer(writer: &WriterSummary) -> Value {
    json!({
        "writer": writer.origin.writer.0,
        "workerId": writer.origin.worker.map(logq_format::WorkerId::get),
        "records": writer.records,
        "span": span(writer.span),
        "dropped": writer.lost,
        "missing": writer.missing,
    })
}

fn bytes(summary: &Summary) -> Value {
    let bytes = &summary.bytes;
    json!({
        "stored": bytes.total,
        "raw": raw_bytes(summary),
        "ratio": ratio(summary),
        "headers": bytes.headers,
        "requestIds": bytes.request_ids,
        "spines": bytes.spine_stored,
        "bodies": bytes.body_stored,
        "other": bytes.other,
    })
}
