//! Records with those around them: `-A`, `-B`, `-C`, `--context-by`.
//!
//! Where few records match, the records around each are looked up; where many do, it is cheaper to
//! read everything once and remember the last few records of each process. One begins as the former
//! and goes on as the latter once more than [`LOOKED_UP_MAX`] groups have been looked up, from there
//! on. What is printed is the same.

mod groups;
mod lookup;
mod near;
mod pass;

use std::ops::ControlFlow;

use clap::{Args, ValueEnum};
use logq_format::{RecordType, Timestamp, WorkerId};
use logq_reader::{Order, Query, Row};

use self::groups::Groups;
use super::lane::Around;
use super::{Answer, Asking, requests};
use crate::completeness::absorb;
use crate::output::Output;

/// How many groups are looked up one by one.
///
/// Measured on a store of five million records: looking up a group takes 2.5 ms, reading everything
/// 1.6 s, which is 0.3 µs a record. With 200, both take as long for a store of 1.6 million records,
/// and at worst half a second is spent in vain.
const LOOKED_UP_MAX: u64 = 200;

/// The records around those that match.
#[derive(Args, Clone, Debug)]
pub(super) struct ContextArguments {
    /// Also N records after each that matches, of the same process and within the range of time
    #[arg(short = 'A', long, value_name = "N")]
    after_context: Option<usize>,

    /// Also N records before each
    #[arg(short = 'B', long, value_name = "N")]
    before_context: Option<usize>,

    /// Also N records before and after each
    #[arg(short = 'C', long, value_name = "N")]
    context: Option<usize>,

    /// Among which records -A, -B and -C count: those of the same process, of the same request, all
    #[arg(long, value_name = "WHAT", default_value = "worker")]
    context_by: ContextBy,
}

/// Among which records context is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ContextBy {
    /// Of the same worker, or the master
    Worker,
    /// Of the same request
    Request,
    /// All
    All,
}

/// How much context, and which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Context {
    around: Around,
    by: ContextBy,
}

impl ContextArguments {
    /// The context that is asked for, if any is.
    pub(super) fn wanted(&self) -> Option<Context> {
        let both = self.context;
        both.or(self.after_context).or(self.before_context)?;
        let before = self.before_context.or(both).unwrap_or(0);
        let after = self.after_context.or(both).unwrap_or(0);
        Some(Context { around: Around { before, after }, by: self.context_by })
    }
}

/// What orders records and tells them apart: time, writer, sequence number.
pub(super) type Rank = (Timestamp, u32, u64);

pub(super) fn rank(row: &Row<'_>) -> Rank {
    (row.time(), row.origin().writer.0, row.sequence())
}

/// Whether one record comes before another in this order.
pub(super) fn is_before(order: Order, one: Rank, other: Rank) -> bool {
    match order {
        Order::Ascending => one < other,
        Order::Descending => one > other,
    }
}

/// Which lane a record belongs to: that of a process, or the one of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum LaneKey {
    Process(Option<WorkerId>),
    All,
}

/// A record on its way: where it belongs, and what is printed of it.
struct Item {
    rank: Rank,
    key: LaneKey,
    is_match: bool,
    text: Vec<u8>,
}

/// A search with context.
struct Search<'a> {
    asking: &'a Asking<'a>,
    /// In the order of the search, which may be the other one than that of time.
    around: Around,
    by: ContextBy,
    /// The last record that counts as a match, if only so many do.
    last_match: Option<Rank>,
}

impl Search<'_> {
    fn key(&self, row: &Row<'_>) -> LaneKey {
        if self.by == ContextBy::All {
            return LaneKey::All;
        }
        // Only these are about another process than the one that wrote them.
        let is_about_another =
            matches!(row.record_type(), RecordType::WorkerSpawned | RecordType::WorkerExited);
        let worker = match is_about_another {
            true => row.record().ok().and_then(|record| record.subject(row.origin())),
            false => row.origin().worker,
        };
        LaneKey::Process(worker)
    }

    fn is_match(&self, row: &Row<'_>) -> bool {
        !self.is_behind(rank(row)) && self.asking.question.selection.matches(row)
    }

    fn item(&self, row: &Row<'_>, is_match: bool) -> Item {
        let mut text = Vec::new();
        self.asking.stages.render.time(|| self.asking.printer.print(row, &mut text));
        Item { rank: rank(row), key: self.key(row), is_match, text }
    }

    /// Whether a place lies behind the last record that counts as a match.
    fn is_behind(&self, rank: Rank) -> bool {
        let order = self.asking.limits.order;
        self.last_match.is_some_and(|last| is_before(order, last, rank))
    }
}

/// The last of the records that count as matches; `None` if all that match do.
pub(super) fn last_match(asking: &Asking<'_>) -> anyhow::Result<Option<Rank>> {
    let limits = asking.limits;
    let Some(most) = limits.found_max else { return Ok(None) };
    let query = Query { order: limits.order, limit: Some(most), ..asking.question.query() };
    let (mut found, mut last) = (0, None);
    asking.question.snapshot.scan(
        &query,
        |rows| (rows.len() as u64, rows.iter().last().map(|row| rank(&row))),
        |(count, rank)| {
            found += count;
            last = rank.or(last);
            ControlFlow::Continue(())
        },
    )?;
    Ok(last.filter(|_| found == most))
}

/// Prints the records of the question with those around them.
pub(super) fn print(
    asking: &Asking<'_>,
    context: Context,
    out: &mut Output,
) -> anyhow::Result<Answer> {
    let limits = asking.limits;
    if limits.turned && limits.printed_max < u64::MAX {
        anyhow::bail!("-m and -n together with -A, -B or -C need -r; leave out -m or -n");
    }
    // Before and after are meant in time, whichever way the search runs.
    let in_order = |order| match order {
        Order::Ascending => context.around,
        Order::Descending => Around { before: context.around.after, after: context.around.before },
    };
    if context.by == ContextBy::Request {
        return requests::print_context(asking, in_order(limits.printed_order()), out);
    }
    let around = in_order(limits.order);
    let search = Search { asking, around, by: context.by, last_match: last_match(asking)? };
    let mut groups = Groups::new(asking.printer, limits.turned.then_some(limits.order), out);
    let mut looked_up = lookup::print(&search, &mut groups)?;
    if let Some(place) = looked_up.goes_on {
        let passed = pass::print(&search, place, &mut groups)?;
        absorb(&mut looked_up.answer.report, passed.report);
        looked_up.answer.found += passed.found;
    }
    groups.finish();
    Ok(looked_up.answer)
}
