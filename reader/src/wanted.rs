//! The filter of a query, prepared to be asked in the order of what each question costs.

use logq_format::{
    BlockHeader, DecodeError, Level, LevelSet, Origin, RecordType, RequestId, Timestamp, TypeSet,
    WorkerId, WriterId, limits::SEQUENCE_MAX,
};
use logq_query::{BlockFacts, Expression, Verdict};

use crate::query::{BodyPredicate, Query};
use crate::report::Statistics;
use crate::rows::Row;
use crate::timeline::{BlockRef, Span, Timeline, times};

/// The types whose records are about another process than the one that wrote them.
pub(crate) const ABOUT_OTHERS: TypeSet =
    TypeSet::EMPTY.with(RecordType::WorkerSpawned).with(RecordType::WorkerExited);

/// What a query wants.
#[derive(Clone)]
pub(crate) struct Wanted<'q> {
    timeline: Timeline,
    /// In microseconds.
    times: Span,
    levels: LevelSet,
    types: TypeSet,
    workers: Option<Vec<Option<WorkerId>>>,
    /// Sorted.
    requests: Option<Vec<RequestId>>,
    expression: Option<&'q Expression>,
    body: Option<&'q BodyPredicate<'q>>,
    predicate: Option<&'q (dyn Fn(&Row<'_>) -> bool + Sync)>,
    thorough: bool,
}

impl<'q> Wanted<'q> {
    pub(crate) fn new(query: &Query<'q>) -> Self {
        let filter = &query.filter;
        let mut requests = filter.requests.clone();
        if let Some(requests) = &mut requests {
            requests.sort_unstable();
        }
        let implied = filter.expression.and_then(Expression::requests);
        let requests = match (requests, implied) {
            (Some(mut requests), Some(implied)) => {
                requests.retain(|request| implied.binary_search(request).is_ok());
                Some(requests)
            }
            (requests, implied) => requests.or(implied),
        };
        Self {
            timeline: Timeline::new(query.order),
            times: times(query),
            levels: filter.levels,
            types: filter.types,
            workers: filter.workers.clone(),
            requests,
            expression: filter.expression,
            body: filter.body,
            predicate: filter.predicate,
            thorough: query.thorough,
        }
    }

    /// Whether what blocks tell twice is compared.
    pub(crate) fn is_thorough(&self) -> bool {
        self.thorough
    }

    /// Whether a block may hold a wanted record, as far as its header tells; counts why not.
    pub(crate) fn admits(&self, header: &BlockHeader, statistics: &mut Statistics) -> bool {
        statistics.blocks += 1;
        let pruned = if !self.times.meets(header.min.as_micros(), header.max.as_micros()) {
            &mut statistics.pruned_by_time
        } else if !self.levels.intersects(header.levels) {
            &mut statistics.pruned_by_level
        } else if !self.types.intersects(header.types) {
            &mut statistics.pruned_by_type
        } else if !self.admits_worker(header.origin.worker)
            && !header.types.intersects(ABOUT_OTHERS)
        {
            &mut statistics.pruned_by_worker
        } else if self.expression.is_some_and(|e| e.judge_block(&header.into()) == Verdict::Never) {
            &mut statistics.pruned_by_expression
        } else {
            return true;
        };
        *pruned += 1;
        false
    }

    /// Whether a block is best looked at by its body first: nothing but the text in it rules records
    /// out, and there is a quick way to tell.
    pub(crate) fn is_searched(&self, block: &BlockRef) -> bool {
        self.body.is_some()
            && self.requests.is_none()
            && self.takes_all_kinds(block)
            && self.open_question(block).is_none()
    }

    /// Whether there is a quick way to tell by a body that none of its records is wanted.
    pub(crate) fn searches_bodies(&self) -> bool {
        self.body.is_some()
    }

    /// Whether a block with this body may hold a wanted record.
    pub(crate) fn admits_body(&self, body: &[u8]) -> bool {
        self.body.is_none_or(|admits| admits(body))
    }

    /// Whether every record of a block is wanted, as far as its header tells.
    pub(crate) fn takes_all(&self, block: &BlockRef) -> bool {
        self.takes_all_kinds(block)
            && self.requests.is_none()
            && !self.is_late(block.types)
            && self.open_question(block).is_none()
    }

    /// The expression, unless the header of a block tells that all of its records match.
    pub(crate) fn open_question(&self, block: &BlockRef) -> Option<&'q Expression> {
        self.expression.filter(|e| e.judge_block(&self.facts(block)) != Verdict::Always)
    }

    /// What the header of a block tells.
    pub(crate) fn facts(&self, block: &BlockRef) -> BlockFacts {
        let times = self.timeline.times(Span { from: block.low, until: block.high + 1 });
        let last = match block.is_sparse {
            true => SEQUENCE_MAX,
            false => block.sequence.saturating_add(block.records.saturating_sub(1).into()),
        };
        BlockFacts {
            levels: block.levels,
            types: block.types,
            origin: Origin { writer: WriterId(block.writer), worker: block.worker },
            times: (Timestamp::from_micros(times.from), Timestamp::from_micros(times.until - 1)),
            sequences: (block.sequence, last),
        }
    }

    /// The wanted types that a block's records may have.
    pub(crate) fn types_in(&self, block: &BlockRef) -> TypeSet {
        TypeSet::from_bits(block.types.bits() & self.types.bits())
    }

    /// Whether some records of a block may have to be decoded to be judged.
    pub(crate) fn needs_records(&self, block: &BlockRef) -> bool {
        let types = self.types_in(block);
        self.is_late(block.types)
            || self.open_question(block).is_some_and(|expression| expression.needs_record(types))
    }

    /// Whether no record of a block is ruled out by its level, its type or its writer.
    pub(crate) fn takes_all_kinds(&self, block: &BlockRef) -> bool {
        self.takes_all_of(block, block.types)
    }

    /// Whether all records of a block that have one of these types are wanted, as far as level, type
    /// and worker go.
    pub(crate) fn takes_all_of(&self, block: &BlockRef, types: TypeSet) -> bool {
        let strangers = types.intersects(ABOUT_OTHERS);
        block.levels.bits() & !self.levels.bits() == 0
            && block.types.bits() & types.bits() & !self.types.bits() == 0
            && (self.workers.is_none() || !strangers && self.admits_worker(block.worker))
    }

    /// Whether a record of this level and type, of a block of this worker, may be wanted.
    pub(crate) fn admits_kind(
        &self,
        worker: Option<WorkerId>,
        level: Level,
        record_type: RecordType,
    ) -> bool {
        self.levels.contains(level)
            && self.types.contains(record_type)
            && (ABOUT_OTHERS.contains(record_type) || self.admits_worker(worker))
    }

    /// The requests wanted, if not all are.
    pub(crate) fn requests(&self) -> Option<&[RequestId]> {
        self.requests.as_deref()
    }

    /// Whether records of these types can only be judged when they are decoded.
    pub(crate) fn is_late(&self, types: TypeSet) -> bool {
        self.predicate.is_some() || (self.workers.is_some() && types.intersects(ABOUT_OTHERS))
    }

    /// The judgement that needs the decoded record.
    ///
    /// # Errors
    ///
    /// Fails where the record says whom it is about, but not in a way that can be decoded.
    pub(crate) fn accepts(&self, row: &Row<'_>) -> Result<bool, DecodeError> {
        if row.is_open()
            && let Some(expression) = self.expression
            && !expression.matches(&row.record()?, row.origin(), row.sequence())
        {
            return Ok(false);
        }
        if let Some(workers) = &self.workers
            && ABOUT_OTHERS.contains(row.record_type())
            && !workers.contains(&row.record()?.subject(row.origin()))
        {
            return Ok(false);
        }
        Ok(self.predicate.is_none_or(|predicate| predicate(row)))
    }

    fn admits_worker(&self, worker: Option<WorkerId>) -> bool {
        self.workers.as_ref().is_none_or(|workers| workers.contains(&worker))
    }
}
