//! What an expression implies: which requests, which times, how much of a record it takes.

use logq_format::{RecordType, RequestId, Timestamp};

use super::literal::Literal;
use super::tree::{Node, Operand, Operator, Test};
use crate::field::{Place, Root};

/// How much of a record of one type it takes to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    /// Nothing: always true.
    True,
    /// Nothing: never true.
    False,
    /// Its row of the spine.
    Row,
    /// The record.
    Record,
}

impl Node {
    /// Whether it may take a decoded record of this type to answer.
    pub(super) fn needs_record(&self, record_type: RecordType) -> bool {
        self.need(record_type) == Need::Record
    }

    fn need(&self, record_type: RecordType) -> Need {
        match self {
            Self::Test(test) => test.need(record_type),
            Self::Not(node) => match node.need(record_type) {
                Need::True => Need::False,
                Need::False => Need::True,
                need => need,
            },
            Self::All(nodes) => joined(nodes, record_type, Need::False, Need::True),
            Self::Any(nodes) => joined(nodes, record_type, Need::True, Need::False),
        }
    }

    /// The requests that matching records belong to, sorted; `None` if any.
    pub(super) fn requests(&self) -> Option<Vec<RequestId>> {
        match self {
            Self::Test(test) => test.requests(),
            Self::Not(_) => None,
            Self::All(nodes) => nodes.iter().filter_map(Self::requests).reduce(|mut one, other| {
                one.retain(|request| other.binary_search(request).is_ok());
                one
            }),
            Self::Any(nodes) => {
                let each: Option<Vec<_>> = nodes.iter().map(Self::requests).collect();
                let mut all = each?.concat();
                all.sort_unstable();
                all.dedup();
                Some(all)
            }
        }
    }

    /// The times that matching records can have: from the first one until before the second one.
    pub(super) fn times(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        match self {
            Self::Test(test) => test.times(),
            Self::Not(_) => (None, None),
            Self::All(nodes) => nodes.iter().map(Self::times).fold((None, None), |all, each| {
                (all.0.max(each.0), all.1.into_iter().chain(each.1).min())
            }),
            Self::Any(nodes) => {
                let each: Vec<_> = nodes.iter().map(Self::times).collect();
                let since: Option<Vec<_>> = each.iter().map(|times| times.0).collect();
                let until: Option<Vec<_>> = each.iter().map(|times| times.1).collect();
                let first = since.and_then(|all| all.into_iter().min());
                (first, until.and_then(|all| all.into_iter().max()))
            }
        }
    }
}

/// The need of several parts, of which one that is `decisive` without a look decides.
fn joined(nodes: &[Node], record_type: RecordType, decisive: Need, neutral: Need) -> Need {
    let mut need = neutral;
    for node in nodes {
        need = match (need, node.need(record_type)) {
            (_, found) if found == decisive => return decisive,
            (Need::Record, _) | (_, Need::Record) => Need::Record,
            (Need::Row, _) | (_, Need::Row) => Need::Row,
            _ => neutral,
        };
    }
    need
}

impl Test {
    fn need(&self, record_type: RecordType) -> Need {
        let is_existence = self.operator == Operator::Exists;
        match self.field.place(record_type) {
            Place::Nowhere => Need::False,
            Place::SpineAlways | Place::SpineOrBody | Place::BodyAlways if is_existence => {
                Need::True
            }
            // That there is an error is in the spine.
            Place::Body if is_existence && self.is_about_whole_error() => Need::Row,
            Place::Spine | Place::SpineAlways => Need::Row,
            Place::SpineOrBody | Place::Body | Place::BodyAlways => Need::Record,
        }
    }

    fn is_about_whole_error(&self) -> bool {
        self.field.root() == Root::Error && !self.field.has_steps()
    }

    fn requests(&self) -> Option<Vec<RequestId>> {
        if self.field.root() != Root::Request {
            return None;
        }
        let literals = match (self.operator, &self.operand) {
            (Operator::Equal, Operand::One(literal)) => std::slice::from_ref(literal),
            (Operator::In, Operand::Many(literals)) => literals,
            _ => return None,
        };
        let request = |literal: &Literal| match literal {
            Literal::Request(request) => Some(*request),
            _ => None,
        };
        let mut requests: Vec<_> = literals.iter().filter_map(request).collect();
        requests.sort_unstable();
        Some(requests)
    }

    fn times(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        let (Root::Timestamp, Operand::One(Literal::Time(time))) =
            (self.field.root(), &self.operand)
        else {
            return (None, None);
        };
        // Behind the last time there is no other that could be an end.
        let after = Some(time.saturating_add_micros(1)).filter(|after| after > time);
        match self.operator {
            Operator::Equal => (Some(*time), after),
            Operator::Less => (None, Some(*time)),
            Operator::LessOrEqual => (None, after),
            Operator::Greater => (after.or(Some(*time)), None),
            Operator::GreaterOrEqual => (Some(*time), None),
            _ => (None, None),
        }
    }
}
