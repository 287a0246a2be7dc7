//! Judging a record in stages, by more and more that is known of it.
//!
//! ```text
//!  header of a block ─> level and type ─> status of a response ─> row of the spine ─> record
//!     BlockFacts          KindFacts           StatusFacts             RowFacts        RecordFacts
//! ```
//!
//! Every stage answers the tests of an expression with always, never or unknown, and joins the
//! answers by the same rules, so that a later stage never contradicts an earlier one.

use logq_format::{
    BlockFlags, BlockHeader, Level, LevelSet, Origin, Record, RecordType, SpineRow, Timestamp,
    TypeSet, limits::SEQUENCE_MAX,
};

use super::tree::{Node, Operand, Operator, Test};
use crate::field::{FieldValue, Known, Place, Root};

/// Whether records match, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every one of them does.
    Always,
    /// None of them does.
    Never,
    /// It takes more to tell.
    Unknown,
}

/// What the header of a block of records tells.
#[derive(Clone, Copy, Debug)]
pub struct BlockFacts {
    /// The levels that its records may have.
    pub levels: LevelSet,
    /// The types that its records may have.
    pub types: TypeSet,
    /// Who wrote it.
    pub origin: Origin,
    /// The times of its earliest and latest record.
    pub times: (Timestamp, Timestamp),
    /// No record has a lower or a higher sequence number.
    pub sequences: (u64, u64),
}

impl From<&BlockHeader> for BlockFacts {
    fn from(header: &BlockHeader) -> Self {
        let last = match header.flags.contains(BlockFlags::SPARSE) {
            true => SEQUENCE_MAX,
            false => header.sequence.saturating_add(header.records.saturating_sub(1).into()),
        };
        Self {
            levels: header.levels,
            types: header.types,
            origin: header.origin,
            times: (header.min, header.max),
            sequences: (header.sequence, last),
        }
    }
}

impl Verdict {
    fn of(is_true: bool) -> Self {
        if is_true { Self::Always } else { Self::Never }
    }

    fn negated(self) -> Self {
        match self {
            Self::Always => Self::Never,
            Self::Never => Self::Always,
            Self::Unknown => Self::Unknown,
        }
    }
}

/// What is known at one stage.
pub(super) trait Facts {
    /// The answer to one test.
    fn answer(&self, test: &Test) -> Verdict;
}

impl Node {
    pub(super) fn judge(&self, facts: &impl Facts) -> Verdict {
        match self {
            Self::Test(test) => facts.answer(test),
            Self::Not(node) => node.judge(facts).negated(),
            Self::All(nodes) => joined(nodes, facts, Verdict::Never),
            Self::Any(nodes) => joined(nodes, facts, Verdict::Always),
        }
    }
}

/// The verdict of several parts, of which one with the `decisive` verdict decides.
fn joined(nodes: &[Node], facts: &impl Facts, decisive: Verdict) -> Verdict {
    let mut verdict = decisive.negated();
    for node in nodes {
        match node.judge(facts) {
            found if found == decisive => return decisive,
            Verdict::Unknown => verdict = Verdict::Unknown,
            _ => {}
        }
    }
    verdict
}

impl Test {
    /// The answer where so much is known of the field.
    fn answer(&self, known: &Known<FieldValue<'_>>) -> Verdict {
        match known {
            Known::Missing => Verdict::Never,
            Known::Value(value) => Verdict::of(self.holds(value)),
            Known::Present if self.operator == Operator::Exists => Verdict::Always,
            Known::Present | Known::Unknown => Verdict::Unknown,
        }
    }

    /// The answer where the value lies between these two, or is one of them.
    fn answer_between(&self, low: &FieldValue<'_>, high: &FieldValue<'_>) -> Verdict {
        if low == high {
            return Verdict::of(self.holds(low));
        }
        match self.operator {
            Operator::Exists => Verdict::Always,
            // What holds at both ends holds between them.
            operator if operator.is_ordering() => match (self.holds(low), self.holds(high)) {
                (true, true) => Verdict::Always,
                (false, false) => Verdict::Never,
                _ => Verdict::Unknown,
            },
            Operator::Equal | Operator::In => self.answer_listed(low, high),
            Operator::Unequal | Operator::NotIn => self.answer_listed(low, high).negated(),
            _ => Verdict::Unknown,
        }
    }

    /// Whether the value can be one of those listed.
    fn answer_listed(&self, low: &FieldValue<'_>, high: &FieldValue<'_>) -> Verdict {
        let literals = match &self.operand {
            Operand::One(literal) => std::slice::from_ref(literal),
            Operand::Many(literals) => literals,
            Operand::None | Operand::Pattern(_) => return Verdict::Unknown,
        };
        // `compare` tells how a value compares with the literal.
        let is_outside = |literal: &super::literal::Literal| {
            literal.compare(low).is_none_or(|order| order.is_gt())
                || literal.compare(high).is_none_or(|order| order.is_lt())
        };
        if literals.iter().all(is_outside) { Verdict::Never } else { Verdict::Unknown }
    }
}

/// A record of this level and type, somewhere in a block.
pub(super) struct KindFacts<'a> {
    pub(super) level: Level,
    pub(super) record_type: RecordType,
    pub(super) block: &'a BlockFacts,
}

impl Facts for KindFacts<'_> {
    fn answer(&self, test: &Test) -> Verdict {
        let Self { level, record_type, block } = *self;
        let origin = block.origin;
        let value = match (test.field.root(), test.field.place(record_type)) {
            (_, Place::Nowhere) => return Verdict::Never,
            (Root::Timestamp, _) => {
                let (min, max) = block.times;
                return test.answer_between(&FieldValue::Time(min), &FieldValue::Time(max));
            }
            (Root::Sequence, _) => {
                let (first, last) = block.sequences;
                let (first, last) = (FieldValue::integer(first), FieldValue::integer(last));
                return test.answer_between(&first, &last);
            }
            (Root::Level, _) => FieldValue::Level(level),
            (Root::Type, _) => FieldValue::text(record_type.as_str()),
            (Root::Writer, _) => FieldValue::integer(origin.writer.0),
            (Root::Worker, Place::SpineAlways) => {
                let number = origin.worker.map(|worker| FieldValue::integer(worker.get()));
                number.unwrap_or(FieldValue::Null)
            }
            (_, Place::SpineAlways | Place::SpineOrBody | Place::BodyAlways) => {
                return test.answer(&Known::Present);
            }
            _ => return Verdict::Unknown,
        };
        Verdict::of(test.holds(&value))
    }
}

/// A RESPONSE of this level and status, somewhere in a block.
pub(super) struct StatusFacts<'a> {
    pub(super) level: Level,
    pub(super) status: u16,
    pub(super) block: &'a BlockFacts,
}

impl Facts for StatusFacts<'_> {
    fn answer(&self, test: &Test) -> Verdict {
        let Self { level, status, block } = *self;
        match test.field.root() {
            Root::Status => test.answer(&Known::Value(FieldValue::integer(status))),
            _ => KindFacts { level, record_type: RecordType::Response, block }.answer(test),
        }
    }
}

/// A record as far as the spine tells.
pub(super) struct RowFacts<'a, 's, 'b> {
    pub(super) row: &'a SpineRow<'s, 'b>,
    pub(super) origin: Origin,
}

impl Facts for RowFacts<'_, '_, '_> {
    fn answer(&self, test: &Test) -> Verdict {
        test.answer(&test.field.spine_value(self.row, self.origin))
    }
}

/// A decoded record.
pub(super) struct RecordFacts<'a, 'r> {
    pub(super) record: &'a Record<'r>,
    pub(super) origin: Origin,
    pub(super) sequence: u64,
}

impl Facts for RecordFacts<'_, '_> {
    fn answer(&self, test: &Test) -> Verdict {
        let value = test.field.value(self.record, self.origin, self.sequence);
        Verdict::of(value.is_some_and(|value| test.holds(&value)))
    }
}
