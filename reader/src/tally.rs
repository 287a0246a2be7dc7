//! Counting records: as they are, by a field of few values, or in groups by whatever fields.
//!
//! A block is asked no more than it takes: many are counted by their headers alone, most of the
//! rest by their spines. Only blocks that a slice cuts, or that share records with another one,
//! are looked at record by record.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use logq_format::{Level, RecordType, Spine, WorkerId};

use crate::counts::Counts;
use crate::decoder::{Decoder, Depth, Findings};
use crate::error::ReadError;
use crate::keys::Admitted;
use crate::loading::Part;
use crate::plan::{Plan, Slice};
use crate::rows::{Blocks, Key, Row};
use crate::run::{Sink, run};
use crate::scale::{TALLY_PACE, TALLY_RAW_BYTES};
use crate::select::{Receiver, Selection};
use crate::timeline::BlockRef;
use crate::twins::twins;
use crate::wanted::ABOUT_OTHERS;

mod grouping;
mod groups;
mod joined;
mod key;
mod late;
mod sketch;
mod slices;

pub use self::grouping::Grouping;
#[cfg(test)]
pub(crate) use self::groups::Limits;
pub use self::groups::{Group, Groups};
pub(crate) use self::joined::{Join, Joined};
pub(crate) use self::late::LateNumbers;
pub use self::sketch::Sketch;
pub(crate) use self::slices::group;

/// A field whose values can be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Field {
    /// The level.
    Level,
    /// The type.
    Type,
    /// The status code of responses.
    StatusCode,
    /// The process a record is about; see [`Record::subject`](logq_format::Record::subject).
    WorkerId,
}

/// A value of a [`Field`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Value {
    /// A level.
    Level(Level),
    /// A type.
    Type(RecordType),
    /// A status code.
    StatusCode(u16),
    /// A worker, or the master.
    WorkerId(Option<WorkerId>),
}

/// How many records have which value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tally {
    /// The values that occur, ascending, each with the number of records that have it.
    pub counts: Vec<(Value, u64)>,
    /// All records that match; those that do not have the field are counted here only.
    pub records: u64,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Nothing,
    /// Level and type.
    Kind,
    StatusCode,
    WorkerId,
}

impl From<Field> for By {
    fn from(field: Field) -> Self {
        match field {
            Field::Level | Field::Type => Self::Kind,
            Field::StatusCode => Self::StatusCode,
            Field::WorkerId => Self::WorkerId,
        }
    }
}

/// Counts the wanted records of all slices of a plan.
pub(crate) fn count(
    plan: &mut Plan<'_, '_>,
    decoder: &Decoder<'_, '_>,
    by: By,
) -> Result<Counts, ReadError> {
    let mut total = Counts::default();
    let work = |slice: &Slice, _limit: usize, sink: Sink<'_, Counts>| {
        let (counts, findings) = count_slice(decoder, slice, by)?;
        match sink(counts, 0) {
            // Nothing stops a count.
            ControlFlow::Continue(()) | ControlFlow::Break(()) => Ok(findings),
        }
    };
    run(plan, TALLY_PACE, None, work, |counts| {
        total.add(counts);
        ControlFlow::Continue(())
    })?;
    Ok(total)
}

fn count_slice(
    decoder: &Decoder<'_, '_>,
    slice: &Slice,
    by: By,
) -> Result<(Counts, Findings), ReadError> {
    let mut findings = Findings::default();
    let mut counts = Counts::default();
    let (mut spines, mut rows) = (Vec::new(), Vec::new());
    let twins = twins(&slice.blocks);
    for (index, block) in slice.blocks.iter().enumerate() {
        let is_whole = slice.span.contains(block.low, block.high)
            && block.bound == 0
            && decoder.wanted.takes_all(block);
        let is_about_others = by == By::WorkerId && block.types.intersects(ABOUT_OTHERS);
        if twins.get(index) != Some(&false)
            || block.is_shadow
            || decoder.wanted.needs_records(block)
            || is_about_others
        {
            rows.push(index);
        } else if is_whole && count_by_header(block, by, &mut counts) {
            block.tell_by_header(&mut findings.statistics);
        } else {
            spines.push(index);
        }
    }
    findings.statistics.records += counts.records();
    for portion in in_portions(slice, &spines) {
        count_by_spines(decoder, slice, portion, by, &mut counts, &mut findings)?;
    }
    if !rows.is_empty() {
        let depth = if by == By::WorkerId { Depth::Subject } else { Depth::Spine };
        let selection = Selection { chosen: &rows, depth, limit: usize::MAX };
        let mut counter = Counter { slice, by, statuses: BTreeMap::new(), counts: &mut counts };
        decoder.select(slice, selection, &mut findings, &mut counter)?;
    }
    Ok((counts, findings))
}

/// The chosen blocks, as many at a time as should be in memory.
pub(crate) fn in_portions<'c>(
    slice: &Slice,
    chosen: &'c [usize],
) -> impl Iterator<Item = &'c [usize]> {
    let raw_len = |index: &usize| slice.blocks.get(*index).map_or(0, |b| u64::from(b.raw_len));
    let mut bytes = chosen.first().map_or(0, raw_len);
    chosen.chunk_by(move |_, next| {
        bytes += raw_len(next);
        let fits = bytes <= TALLY_RAW_BYTES;
        if !fits {
            bytes = raw_len(next);
        }
        fits
    })
}

/// Counts all records of a block if its header tells what is asked.
fn count_by_header(block: &BlockRef, by: By, counts: &mut Counts) -> bool {
    let records = u64::from(block.records);
    if block.types.contains(RecordType::Unknown) {
        // How many of them there are is for the report.
        return false;
    }
    match by {
        By::Nothing => {}
        By::Kind => {
            let level = Level::ALL.into_iter().find(|level| block.levels.contains(*level));
            let record_type = RecordType::ALL.into_iter().find(|t| block.types.contains(*t));
            let is_single =
                block.levels.bits().count_ones() == 1 && block.types.bits().count_ones() == 1;
            match (level, record_type) {
                (Some(level), Some(record_type)) if is_single => {
                    counts.kind(level, record_type, records);
                }
                _ => return false,
            }
        }
        By::StatusCode if block.types.contains(RecordType::Response) => return false,
        By::StatusCode => {}
        By::WorkerId if block.types.intersects(ABOUT_OTHERS) => return false,
        By::WorkerId => counts.worker(block.worker, records),
    }
    counts.all(records);
    true
}

/// Counts the wanted records of these blocks by what their spines tell.
fn count_by_spines(
    decoder: &Decoder<'_, '_>,
    slice: &Slice,
    chosen: &[usize],
    by: By,
    counts: &mut Counts,
    findings: &mut Findings,
) -> Result<(), ReadError> {
    let mut workspace = decoder.workspaces.take()?;
    let loaded = decoder.load(slice, chosen, Part::Front, &mut workspace, findings);
    {
        let fronts = decoder.fronts(slice, &loaded, Part::Front, &[], &mut workspace, findings)?;
        let spines = decoder.spines(slice, &fronts, findings);
        let times = decoder.timeline.times(slice.span);
        for (block, spine) in slice.blocks.iter().zip(&spines) {
            let Some(spine) = spine else { continue };
            match decoder.admitted(block, spine, times) {
                Ok(admitted) => count_spine(block, spine, &admitted, by, counts, findings),
                Err(error) => findings.gaps.extend(decoder.content_gap(block, error)),
            }
        }
    }
    loaded.release(&mut workspace);
    decoder.workspaces.give_back(workspace);
    Ok(())
}

fn count_spine(
    block: &BlockRef,
    spine: &Spine<'_>,
    admitted: &Admitted<'_, '_>,
    by: By,
    counts: &mut Counts,
    findings: &mut Findings,
) {
    let mut own = Counts::default();
    if admitted.is_all(spine) {
        for (level, record_type, number) in spine.tally() {
            own.kind(level, record_type, number as u64);
        }
        own.all(spine.len() as u64);
        if by == By::StatusCode {
            spine.statuses().for_each(|status| counts.status(status, 1));
        }
    } else {
        let statuses = if by == By::StatusCode { statuses(spine) } else { Vec::new() };
        for key in admitted.keys(spine, 0) {
            own.kind(key.level, key.record_type, 1);
            own.all(1);
            if let Some(Some(status)) = statuses.get(key.index as usize) {
                counts.status(*status, 1);
            }
        }
    }
    if by == By::WorkerId {
        counts.worker(block.worker, own.records());
    }
    findings.unknown_records += own.of_type(RecordType::Unknown);
    findings.statistics.records += own.records();
    counts.add(own);
}

/// Counts records one by one.
struct Counter<'c> {
    slice: &'c Slice,
    by: By,
    /// For each block the status of each record, where they are counted.
    statuses: BTreeMap<usize, Vec<Option<u16>>>,
    counts: &'c mut Counts,
}

impl Receiver for Counter<'_> {
    fn spine(&mut self, index: usize, spine: &Spine<'_>) {
        if self.by == By::StatusCode {
            self.statuses.insert(index, statuses(spine));
        }
    }

    fn rows<'d>(&mut self, keys: &'d [Key], blocks: &'d Blocks<'d>) -> ControlFlow<()> {
        self.counts.all(keys.len() as u64);
        for key in keys {
            let block = key.block as usize;
            match self.by {
                By::Nothing => {}
                By::Kind => self.counts.kind(key.level, key.record_type, 1),
                By::StatusCode => {
                    let statuses = self.statuses.get(&block);
                    let status = statuses.and_then(|all| all.get(key.index as usize).copied());
                    if let Some(status) = status.flatten() {
                        self.counts.status(status, 1);
                    }
                }
                By::WorkerId => {
                    if let Some(worker) = self.subject(key, blocks) {
                        self.counts.worker(worker, 1);
                    }
                }
            }
        }
        self.statuses.clear();
        ControlFlow::Continue(())
    }
}

impl Counter<'_> {
    /// Whom a record is about; `None` if it says so in a way that cannot be decoded.
    fn subject<'d>(&self, key: &Key, blocks: &'d Blocks<'d>) -> Option<Option<WorkerId>> {
        let block = key.block as usize;
        if !ABOUT_OTHERS.contains(key.record_type) {
            return self.slice.blocks.get(block).map(|block| block.worker);
        }
        let row = Row::new(*key, blocks)?;
        row.record().ok().map(|record| record.subject(row.origin()))
    }
}

/// For each record its status, if it is a response.
fn statuses(spine: &Spine<'_>) -> Vec<Option<u16>> {
    let mut statuses = spine.statuses();
    let status = |record_type| match record_type {
        RecordType::Response => statuses.next(),
        _ => None,
    };
    spine.kinds().map(|(_, record_type)| record_type).map(status).collect()
}
