//! A small file that claims to be a very large one.

#![cfg(target_os = "linux")]

use std::error::Error;
use std::fs;
use std::ops::ControlFlow;

use logq_format::Timestamp;
use logq_format::limits::BLOCK_RECORDS_MAX;
use logq_reader::{Field, Order, Query, Snapshot};
use logq_testkit::bomb::bomb;

/// The most memory this process has had so far, in MiB.
fn peak_mib() -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? >> 10)
}

#[test]
fn more_records_than_memory_are_handed_out_in_order() -> Result<(), Box<dyn Error>> {
    let blocks = 8;
    let bytes = bomb(blocks)?;
    let records = u64::from(blocks) * BLOCK_RECORDS_MAX as u64;
    let before = peak_mib()?;
    let snapshot = Snapshot::of_memory([bytes.into()]);
    assert_eq!(snapshot.count(&Query::default())?.0, records);
    assert_eq!(snapshot.tally(&Query::default(), Field::Level)?.0.records, records);
    for order in [Order::Ascending, Order::Descending] {
        let mut last = None;
        let mut found = 0;
        let query = Query { order, limit: Some(300_000), ..Query::default() };
        snapshot.scan(
            &query,
            |rows| rows.iter().map(|r| (r.time(), r.origin().writer.0, r.sequence())).collect(),
            |rows: Vec<(Timestamp, u32, u64)>| {
                for row in rows {
                    let in_order = last.is_none_or(|last| match order {
                        Order::Ascending => last < row,
                        Order::Descending => last > row,
                    });
                    assert!(in_order, "{last:?}, then {row:?}");
                    last = Some(row);
                    found += 1;
                }
                ControlFlow::Continue(())
            },
        )?;
        assert_eq!(found, 300_000);
    }
    let grown = peak_mib()? - before;
    assert!(grown < 128, "{grown} MiB more than before");
    Ok(())
}
