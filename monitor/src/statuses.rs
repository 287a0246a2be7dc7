//! How often each status occurred: there are few, so they are counted exactly and without hashing.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

use crate::top::{TopEntry, TopList};

/// Counts statuses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Statuses {
    /// Ascending.
    seen: Vec<Seen>,
}

/// A status, how often it occurred, and the earliest second with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Seen(u16, u64, i64);

impl Statuses {
    /// Counts one occurrence in a second.
    pub(crate) fn add(&mut self, status: u16, second: i64) {
        self.add_many(Seen(status, 1, second));
    }

    /// Counts what another one counted.
    pub(crate) fn merge(&mut self, other: &Self) {
        other.seen.iter().for_each(|seen| self.add_many(*seen));
    }

    fn add_many(&mut self, new: Seen) {
        let Seen(status, count, first) = new;
        match self.seen.binary_search_by_key(&status, |seen| seen.0) {
            Ok(index) => {
                if let Some(seen) = self.seen.get_mut(index) {
                    *seen = Seen(status, seen.1 + count, seen.2.min(first));
                }
            }
            Err(index) => self.seen.insert(index, new),
        }
    }

    /// Whether nothing was counted.
    pub(crate) fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    /// The `count` most frequent ones, as [`Top`](crate::top::Top) sorts them.
    pub(crate) fn list(&self, count: usize) -> TopList {
        let mut seen = self.seen.clone();
        seen.sort_unstable_by_key(|Seen(status, count, first)| (Reverse(*count), *first, *status));
        let entry = |Seen(status, count, _): &Seen| TopEntry {
            key: text(*status).into(),
            count: *count,
            error: 0,
        };
        let total = seen.iter().map(|seen| seen.1).sum();
        TopList::new(seen.iter().take(count).map(entry).collect(), total)
    }

    /// Forgets all of them but not the memory.
    pub(crate) fn clear(&mut self) {
        self.seen.clear();
    }
}

/// Three digits; `000` is unknown.
fn text(status: u16) -> [u8; 3] {
    let digit = |value: u16| b'0' + u8::try_from(value % 10).unwrap_or_default();
    [digit(status / 100), digit(status / 10), digit(status)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_listed_by_count_then_by_second() {
        let mut parts = [Statuses::default(), Statuses::default()];
        for (part, status, second) in
            [(0, 200, 5), (0, 404, 7), (1, 500, 3), (1, 200, 4), (1, 0, 9), (0, 503, 7)]
        {
            parts[part].add(status, second);
        }
        let [mut all, other] = parts;
        all.merge(&other);
        let list = all.list(4);
        let shown: Vec<_> = list
            .entries
            .iter()
            .map(|entry| (String::from_utf8_lossy(&entry.key).into_owned(), entry.count))
            .collect();
        let expected = [("200", 2), ("500", 1), ("404", 1), ("503", 1)];
        assert_eq!(shown, expected.map(|(key, count)| (key.to_owned(), count)));
        assert_eq!((list.total, list.other), (6, 1));
        all.clear();
        assert_eq!(all.list(4), TopList::default());
    }
}
