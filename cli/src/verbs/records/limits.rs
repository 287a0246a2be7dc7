//! How many records, from which end, in which order: `-n`, `-m`, `-r`.

use anyhow::Context as _;
use logq_reader::Order;

/// How many records are wanted of which end, and in which order they are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// The order in which they are looked for.
    pub(crate) order: Order,
    /// The most that are looked for.
    pub(crate) found_max: Option<u64>,
    /// Whether they are printed the other way round.
    pub(crate) turned: bool,
    /// The most that are printed.
    pub(crate) printed_max: u64,
}

/// What `--lines` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lines {
    All,
    Newest(u64),
    Oldest(u64),
}

impl Lines {
    pub(super) fn new(text: &str) -> anyhow::Result<Self> {
        if text == "all" {
            return Ok(Self::All);
        }
        let (oldest, digits) = match text.strip_prefix('+') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let number = digits.parse().with_context(|| {
            format!("cannot read {text:?} of --lines; expected a number, +number or all")
        })?;
        Ok(if oldest { Self::Oldest(number) } else { Self::Newest(number) })
    }
}

impl Limits {
    /// Reads `--lines`, `--max-count` and `--reverse`.
    ///
    /// The newest N are found from the end, the oldest N from the beginning; where that is not the
    /// order they are printed in, they are kept and turned around.
    pub(crate) fn new(
        lines: Option<&str>,
        max_count: Option<u64>,
        reverse: bool,
    ) -> anyhow::Result<Self> {
        let (order, found_max) = match lines.map_or(Ok(Lines::All), Lines::new)? {
            Lines::All if reverse => (Order::Descending, None),
            Lines::All => (Order::Ascending, None),
            Lines::Newest(limit) => (Order::Descending, Some(limit)),
            Lines::Oldest(limit) => (Order::Ascending, Some(limit)),
        };
        let turned = found_max.is_some() && (order == Order::Descending) != reverse;
        // The first ones of those that are turned around are only known at the end.
        let found_max = match turned {
            true => found_max,
            false => found_max.into_iter().chain(max_count).min(),
        };
        Ok(Self { order, found_max, turned, printed_max: max_count.unwrap_or(u64::MAX) })
    }

    /// The order in which records are printed.
    pub(crate) fn printed_order(&self) -> Order {
        match (self.turned, self.order) {
            (false, order) => order,
            (true, Order::Ascending) => Order::Descending,
            (true, Order::Descending) => Order::Ascending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_counts_are_newest_oldest_or_all() {
        assert_eq!(Lines::new("5").unwrap(), Lines::Newest(5));
        assert_eq!(Lines::new("+5").unwrap(), Lines::Oldest(5));
        assert_eq!(Lines::new("all").unwrap(), Lines::All);
        assert!(Lines::new("-3").is_err());
    }

    #[test]
    fn the_most_that_are_printed_end_the_search_unless_it_runs_the_other_way() {
        let check = |lines, max_count, reverse, found_max, turned| {
            let limits = Limits::new(lines, max_count, reverse).unwrap();
            assert_eq!((limits.found_max, limits.turned), (found_max, turned));
        };
        check(None, Some(3), false, Some(3), false);
        check(Some("+9"), Some(3), false, Some(3), false);
        check(Some("9"), Some(3), false, Some(9), true);
        check(Some("9"), Some(3), true, Some(3), false);
        check(Some("+9"), None, true, Some(9), true);
    }
}
