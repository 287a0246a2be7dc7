//! The memory of a scan does not grow with the store.
//!
//! Alone in its file, because it measures the whole process.

#![cfg(target_os = "linux")]

use std::error::Error;
use std::fs;
use std::ops::ControlFlow;

use logq_format::{json, segment_name};
use logq_reader::{Query, Rows, Snapshot};
use logq_testkit::segment::{SegmentOptions, encode};
use logq_testkit::traffic::TrafficOptions;

/// The most memory this process has had so far, in KiB.
fn peak_kib() -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

#[test]
fn a_full_scan_needs_little_memory() -> Result<(), Box<dyn Error>> {
    let scratch = tempfile::tempdir()?;
    let mut bytes = 0;
    for number in 1..=8 {
        let start = TrafficOptions::default().start.saturating_add_micros(number * 600_000_000);
        let traffic = TrafficOptions { records: 50_000, start, span_us: 600_000_000, seed: 1 };
        let number = number.unsigned_abs();
        let options = SegmentOptions { traffic, number, ..SegmentOptions::default() };
        fs::write(scratch.path().join(segment_name(number, start)), encode(&options)?.bytes)?;
    }
    let before = peak_kib()?;
    let render = |rows: &Rows<'_>| {
        let mut text = Vec::new();
        for row in rows.iter() {
            if let Ok(record) = row.record() {
                json::write_line(&mut text, &record, row.origin(), row.sequence());
            }
        }
        text
    };
    let snapshot = Snapshot::open(&[scratch.path()])?;
    snapshot.scan(&Query::default(), render, |text| {
        bytes += text.len();
        ControlFlow::Continue(())
    })?;
    assert!(bytes > 60_000_000, "{bytes} bytes of text were made");
    // Grows with the number of threads: one slice for each and one more.
    let slices = u64::try_from(rayon::current_num_threads())? + 1;
    let grown = peak_kib()?.saturating_sub(before);
    assert!(grown < 20_000 * slices, "{grown} KiB more than before");
    Ok(())
}
