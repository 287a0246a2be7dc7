//! Numbers that come late, told by spines alone: what RESPONSEs and their ends say to a [`Join`],
//! without a body being decoded.
//!
//! [`Join`]: super::joined::Join

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use logq_format::{Origin, RecordType, RequestId, Spine, SpineRow, TypeSet, WriterId};
use logq_query::Verdict;

use super::grouping::RowFacts;
use super::joined::{Event, Joined, What};
use crate::plan::Slice;
use crate::query::Query;
use crate::rows::{Blocks, Key};
use crate::run::Sink;
use crate::select::Receiver;

const RESPONSES: TypeSet =
    TypeSet::EMPTY.with(RecordType::Response).with(RecordType::ResponseFinished);

impl Joined<'_> {
    /// Whether spines tell all that this takes.
    pub(crate) fn is_in_spine(&self, asked: &Query<'_>) -> bool {
        let filter = &asked.filter;
        self.is_of_responses()
            && self.grouping().is_in_spine(RESPONSES)
            && filter.predicate.is_none()
            && filter.expression.is_none_or(|expression| !expression.needs_record(RESPONSES))
    }
}

/// Hands out what the responses of a slice say.
pub(crate) struct LateNumbers<'k> {
    pub(crate) joined: &'k Joined<'k>,
    pub(crate) asked: &'k Query<'k>,
    pub(crate) slice: &'k Slice,
    pub(crate) sink: Sink<'k, Vec<Event>>,
    /// For each block what each of its records says.
    said: BTreeMap<usize, Vec<Option<(RequestId, What)>>>,
}

impl<'k> LateNumbers<'k> {
    pub(crate) fn new(
        joined: &'k Joined<'k>,
        asked: &'k Query<'k>,
        slice: &'k Slice,
        sink: Sink<'k, Vec<Event>>,
    ) -> Self {
        Self { joined, asked, slice, sink, said: BTreeMap::new() }
    }

    fn say(&self, row: &SpineRow<'_, '_>, origin: Origin) -> Option<(RequestId, What)> {
        let record_type = row.record_type();
        let request = row.request_id().filter(|_| RESPONSES.contains(record_type))?;
        let Query { since, until, filter, .. } = self.asked;
        let expression = filter.expression;
        let is_counted = since.is_none_or(|since| row.time() >= since)
            && until.is_none_or(|until| row.time() < until)
            && filter.levels.contains(row.level())
            && expression.is_none_or(|e| e.judge_row(row, origin) == Verdict::Always);
        let facts = RowFacts { row, origin };
        self.joined.step(record_type, &facts, is_counted).map(|what| (request, what))
    }
}

impl Receiver for LateNumbers<'_> {
    fn spine(&mut self, index: usize, spine: &Spine<'_>) {
        let Some(block) = self.slice.blocks.get(index) else { return };
        let origin = Origin { writer: WriterId(block.writer), worker: block.worker };
        // Where the columns are damaged, selecting records tells.
        if let Ok(rows) = spine.rows() {
            let said = rows.map(|row| self.say(&row, origin)).collect();
            self.said.insert(index, said);
        }
    }

    fn rows<'d>(&mut self, keys: &'d [Key], _blocks: &'d Blocks<'d>) -> ControlFlow<()> {
        let mut event = |key: &Key| {
            let said = self.said.get_mut(&(key.block as usize))?;
            let (request, what) = said.get_mut(key.index as usize)?.take()?;
            Some(Event { request, time: key.time, what })
        };
        let events = keys.iter().filter_map(&mut event).collect();
        self.said.clear();
        (self.sink)(events, keys.len())
    }
}
