//! How far the answers of a snapshot are final, as far as its segments tell.
//!
//! Whether a writer of the last roster still lives is known to the kernel alone; asking for that is
//! left to whoever has the store's lock file.

use std::collections::{BTreeMap, BTreeSet};

use logq_format::{BlockFlags, BlockHeader, BlockKind, Claims, Member, Timestamp, WriterId};
use rayon::prelude::*;

use crate::hop::{Batch, Hop, Hopped, Stop, Until};
use crate::report::{Coverage, Holder};
use crate::scale::{BATCH_BLOCKS_MAX, FIRST_BLOCKS, STRIDE_BYTES, STRIDE_BYTES_MAX};
use crate::seek::Seek;
use crate::segment::{Extent, Segment};
use crate::view::View;

/// The coverage of all stores together: what every one of them covers.
pub(crate) fn coverage(segments: &[Segment]) -> Coverage {
    let mut whole: Option<Coverage> = None;
    for store in segments.chunk_by(|a, b| a.store() == b.store()) {
        let one = coverage_of_store(store);
        whole = Some(match whole {
            None => one,
            Some(other) => both(one, other),
        });
    }
    let mut whole = whole.unwrap_or_default();
    whole.holding.sort_by_key(|holder| (holder.floor, holder.origin));
    whole
}

fn both(one: Coverage, mut other: Coverage) -> Coverage {
    other.holding.extend(one.holding);
    Coverage {
        first: one.first.into_iter().chain(other.first).min(),
        last: one.last.into_iter().chain(other.last).max(),
        watermark: one.watermark.zip(other.watermark).map(|(a, b)| a.min(b)),
        holding: other.holding,
    }
}

fn coverage_of_store(segments: &[Segment]) -> Coverage {
    let first = segments.iter().find_map(first_time);
    let ends = ends(segments);
    let last = ends.iter().filter_map(|end| end.last).max();
    let rosters = || ends.iter().filter_map(|end| end.roster.as_ref());
    let holding = holders(rosters());
    if !rosters().any(|roster| roster.is_claimed) {
        return Coverage { first, last, watermark: None, holding };
    }
    let watermark = holding.iter().map(|holder| holder.floor).min().unwrap_or(Timestamp::MAX);
    Coverage { first, last, watermark: Some(watermark), holding }
}

/// What the last blocks of the segments tell, those of the newest one first; all finished ones
/// together as one.
///
/// Finished segments are not looked into, unless some writer has not left an older one: whether it
/// may still live also depends on who had its slot later.
fn ends(segments: &[Segment]) -> Vec<End> {
    let (mut last, mut newest_finished, mut others) = (None, None, Vec::new());
    for (index, segment) in segments.iter().enumerate() {
        match segment.finished() {
            Some(finished) => {
                last = last.max(finished.times.map(|(_, last)| last));
                newest_finished = Some(index);
            }
            None => others.push((index, segment)),
        }
    }
    let end = |(index, segment): (usize, &Segment)| Some((index, End::of(segment)?));
    // Threads take longer to start than one segment takes.
    let others: Vec<_> = match others.len() {
        0 | 1 => others.into_iter().filter_map(end).collect(),
        _ => others.into_par_iter().rev().filter_map(end).collect(),
    };
    let Some(newest_finished) = newest_finished else {
        return others.into_iter().map(|(_, end)| end).collect();
    };
    if others.iter().any(|(index, end)| *index < newest_finished && end.is_held()) {
        return segments.par_iter().rev().filter_map(End::of).collect();
    }
    let newer = others.partition_point(|(index, _)| *index > newest_finished);
    let mut ends: Vec<_> = others.into_iter().map(|(_, end)| end).collect();
    ends.insert(newer, End::of_finished(last));
    ends
}

/// Who may still append to any of the segments, given the newest one first.
///
/// A writer that lags behind a rotation still writes to an older segment, of which the claims in
/// newer ones know nothing. One that was killed there never said that it leaves; it is known to be
/// gone once another writer has its slot.
fn holders<'r>(rosters: impl Iterator<Item = &'r Roster>) -> Vec<Holder> {
    let (mut holding, mut slots) = (Vec::new(), BTreeSet::<u32>::new());
    for (age, roster) in rosters.enumerate() {
        let is_possible =
            |holder: &&Holder| age == 0 || (holder.slot > 0 && !slots.contains(&holder.slot));
        let raised =
            |holder: &Holder| Holder { floor: holder.floor.max(roster.watermark), ..*holder };
        holding.extend(roster.writers.values().filter(is_possible).map(raised));
        slots.extend(&roster.slots);
    }
    holding
}

/// The earliest time among the first blocks of a segment.
pub(crate) fn first_time(segment: &Segment) -> Option<Timestamp> {
    if let Some(finished) = segment.finished() {
        return finished.times.map(|(first, _)| first);
    }
    let head = segment.head().ok()?;
    let mut hop = Hop::new(segment, head, head.start);
    let (mut first, mut watermark, mut unproven) = (None, None, 0);
    let mut blocks = FIRST_BLOCKS;
    loop {
        let until = Until { offset: u64::MAX, claims: true, blocks };
        blocks = (blocks * FIRST_BLOCKS).min(BATCH_BLOCKS_MAX);
        let batch = hop.batch(until);
        let times = records(&batch).map(|header| header.min);
        first = times.chain(first).min();
        // Behind claims with this watermark nothing earlier comes.
        let claimed = batch.pings.iter().map(|ping| ping.claims.watermark);
        watermark = claimed.chain(watermark).max();
        let is_proven = first.is_some() && watermark >= first;
        unproven = if batch.pings.is_empty() { unproven + batch.blocks.len() } else { 0 };
        let is_far = first.is_some() && unproven >= BATCH_BLOCKS_MAX;
        if batch.stop == Stop::End || is_proven || is_far {
            return first;
        }
    }
}

fn records(batch: &Batch) -> impl Iterator<Item = &BlockHeader> {
    let headers = batch.blocks.iter().map(|block| &block.header);
    headers.filter(|header| header.kind == BlockKind::Data && header.records > 0)
}

/// What the last blocks of a segment tell.
struct End {
    last: Option<Timestamp>,
    roster: Option<Roster>,
}

/// Who may still append to a segment.
struct Roster {
    writers: BTreeMap<WriterId, Holder>,
    /// The slots of these and of others that joined the segment and left it.
    slots: BTreeSet<u32>,
    watermark: Timestamp,
    /// The offset up to which it is told.
    covered: u64,
    /// Whether a ping told, or only joins.
    is_claimed: bool,
}

impl End {
    /// What is known of segments that everyone has left, given the time of their latest record.
    fn of_finished(last: Option<Timestamp>) -> Self {
        let roster = Roster { is_claimed: true, ..Roster::unclaimed(0) };
        Self { last, roster: Some(roster) }
    }

    /// Whether not everyone has said that it leaves.
    fn is_held(&self) -> bool {
        self.roster.as_ref().is_some_and(|roster| !roster.writers.is_empty())
    }

    /// Looks back from the end of a segment to the last claims, and if there are none, not too far.
    fn of(segment: &Segment) -> Option<Self> {
        let head = segment.head().ok()?;
        let mut seek = Seek::new(segment, head);
        let (end, mut stride) = (segment.len_before(), STRIDE_BYTES);
        loop {
            let from = end.saturating_sub(stride).max(head.start);
            let last_try = from == head.start || stride >= STRIDE_BYTES_MAX;
            if let Some(start) = seek.first_block(from, end) {
                let mut hop = Hop::new(segment, head, start);
                let until = Until { offset: end, claims: false, blocks: usize::MAX };
                let batch = hop.batch(until);
                let mut claims = batch.pings.iter().rev().map(|ping| &ping.claims);
                let claims = claims.find(|claims| claims.covered >= start);
                if claims.is_some() || last_try {
                    if segment.len_before() == segment.len() {
                        segment.tell_extent(extent(&batch, claims, start == head.start));
                    }
                    let last = records(&batch).map(|header| header.max).max();
                    let is_whole = start == head.start;
                    let roster = match claims {
                        Some(claims) => Some(Roster::claimed(claims).at_end(segment, &batch)),
                        None => {
                            is_whole.then(|| Roster::unclaimed(head.start).at_end(segment, &batch))
                        }
                    };
                    return Some(Self { last, roster });
                }
            } else if last_try {
                return None;
            }
            stride *= 2;
        }
    }
}

/// Between which times the records of a segment lie, given its last blocks, or all of them, and the
/// claims among them about those before. Where anything is damaged nothing is proven.
fn extent(batch: &Batch, claims: Option<&Claims>, is_whole: bool) -> Extent {
    let is_known = |block: &Hopped| !matches!(block.header.kind, BlockKind::Other(_));
    if !batch.gaps.is_empty() || !batch.torn.is_empty() || !batch.blocks.iter().all(is_known) {
        return Extent::default();
    }
    let from = records(batch).map(|header| header.min).min();
    let to = records(batch).map(|header| header.max).max();
    match (is_whole, claims) {
        (true, _) => {
            Extent { from: from.or(Some(Timestamp::MAX)), to: to.or(Some(Timestamp::MIN)) }
        }
        (false, Some(claims)) => Extent { from: None, to: to.max(Some(claims.now)) },
        (false, None) => Extent::default(),
    }
}

impl Roster {
    fn claimed(claims: &Claims) -> Self {
        let members = claims.roster.iter().map(|member| (member.origin.writer, holder(member)));
        Self {
            writers: members.collect(),
            slots: claims.roster.iter().map(|member| member.slot).collect(),
            watermark: claims.watermark,
            covered: claims.covered,
            is_claimed: true,
        }
    }

    /// Before the first block of a segment, at `start`, nobody has joined it.
    fn unclaimed(start: u64) -> Self {
        Self {
            writers: BTreeMap::new(),
            slots: BTreeSet::new(),
            watermark: Timestamp::MIN,
            covered: start,
            is_claimed: false,
        }
    }

    /// With what became of the writers since.
    fn at_end(mut self, segment: &Segment, batch: &Batch) -> Self {
        let mut view = View::new(segment);
        for block in batch.blocks.iter().filter(|block| block.offset >= self.covered) {
            let header = &block.header;
            if header.kind == BlockKind::Join
                && let Ok(stored) = view.block(block.offset, header)
                && let Ok(member) = Member::decode_join(&stored)
            {
                self.slots.insert(member.slot);
                self.writers.insert(header.origin.writer, holder(&member));
            }
            if header.flags.contains(BlockFlags::LEAVING) {
                self.writers.remove(&header.origin.writer);
            } else if let Some(holder) = self.writers.get_mut(&header.origin.writer) {
                holder.floor = holder.floor.max(header.max);
            }
        }
        let number = segment.number().unwrap_or(0);
        self.writers.values_mut().for_each(|holder| holder.segment = number);
        self
    }
}

fn holder(member: &Member) -> Holder {
    let Member { origin, floor, pid, slot, .. } = *member;
    Holder { origin, floor, pid, slot, segment: 0 }
}
