//! Records one after the other.

use std::ops::ControlFlow;

use logq_reader::{Query, Rows};

use super::{Answer, Asking};
use crate::output::Output;

/// Prints the records of the question.
pub(super) fn print(asking: &Asking<'_>, out: &mut Output) -> anyhow::Result<Answer> {
    let limits = asking.limits;
    let query = Query { order: limits.order, limit: limits.found_max, ..asking.question.query() };
    // The texts of a slice, in the order they are printed in, and where each of them ends.
    let render = |rows: &Rows<'_>| {
        asking.stages.render.time(|| {
            let mut text = Vec::with_capacity(rows.len() * 256);
            let mut ends = Vec::new();
            let mut print = |row: logq_reader::Row<'_>| {
                asking.printer.print(&row, &mut text);
                if limits.turned {
                    ends.push(text.len());
                }
            };
            if limits.turned {
                rows.iter().rev().for_each(&mut print);
            } else {
                rows.iter().for_each(&mut print);
            }
            Slice { text, ends, rows: rows.len() as u64 }
        })
    };
    let mut found = 0;
    let mut kept: Vec<Slice> = Vec::new();
    let report = asking.question.snapshot.scan(&query, render, |slice| {
        found += slice.rows;
        if limits.turned {
            kept.push(slice);
            return ControlFlow::Continue(());
        }
        asking.stages.write.time(|| out.write(&slice.text))
    })?;
    if limits.turned {
        found = print_kept(kept, limits.printed_max, out);
    }
    Ok(Answer { found, report })
}

/// Some records as text.
struct Slice {
    text: Vec<u8>,
    ends: Vec<usize>,
    rows: u64,
}

/// Prints the first `most` records of slices that were found from the end. Answers how many.
fn print_kept(kept: Vec<Slice>, most: u64, out: &mut Output) -> u64 {
    let mut printed = 0;
    for slice in kept.into_iter().rev() {
        let wanted = usize::try_from(most - printed).unwrap_or(usize::MAX).min(slice.ends.len());
        let end = wanted.checked_sub(1).and_then(|last| slice.ends.get(last)).copied().unwrap_or(0);
        printed += wanted as u64;
        if out.write(slice.text.get(..end).unwrap_or_default()).is_break() {
            break;
        }
    }
    printed
}
