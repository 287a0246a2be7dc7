//! What a monitor says: values, in the order in which they became certain.

use crate::alert::Change;
use crate::bucket::Counts;
use crate::interval::Summary;

/// Something that became certain.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Output {
    /// A second was closed that has hits, in time or late. Seconds between the first and the last
    /// point of a run that have none had no hits.
    Point(Point),
    /// Hits came after their second was closed, and were counted at the closing of a later one.
    Late {
        /// The second at whose closing they were counted.
        second: i64,
        /// The second they belong to.
        of: i64,
        /// What they were.
        counts: Counts,
    },
    /// An alert fired or recovered.
    Alert(Transition),
    /// An interval ended.
    Summary(Summary),
    /// The lines of a source jumped back in time, and all that was counted is summed up: what
    /// follows is another time.
    JumpedBack {
        /// The latest second before.
        from: i64,
        /// The second of the first line after.
        to: i64,
        /// Whether the lines after it are counted. With several sources time goes on with the
        /// others, and these lines are too late.
        is_followed: bool,
    },
    /// Intervals without a line were not summed up, since there are too many of them.
    Quiet {
        /// The first second of the first one.
        from: i64,
        /// The last second of the last one.
        to: i64,
    },
}

/// One second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Point {
    /// The second, since the epoch.
    pub second: i64,
    /// The hits that came in time.
    pub counts: Counts,
    /// Hits of earlier seconds that came late.
    pub late: u64,
}

/// A change of an alert's state, exact to the second.
#[derive(Clone, Debug, PartialEq)]
pub struct Transition {
    /// Fired or recovered.
    pub change: Change,
    /// The index of the rule in [`Options::rules`](crate::Options::rules).
    pub rule: usize,
    /// The section, for rules by section; `(other)` stands for those beyond the limit.
    pub section: Option<Box<[u8]>>,
    /// The last second of the window that made the difference.
    pub second: i64,
    /// What the window held.
    pub counts: Counts,
    /// The value that was compared, in the unit of the rule's threshold; `None` if there was nothing
    /// to measure.
    pub value: Option<f64>,
}
