//! Requests per second of the last day, second by second.

use std::collections::VecDeque;

/// Seconds that are kept: a day.
const SECONDS_MAX: usize = 86_400;

/// Requests of one second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Second {
    pub(super) hits: u32,
    /// Those with a status of 500 to 599.
    pub(super) errors: u32,
}

/// Requests of several seconds, on average per second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Mean {
    pub(super) hits: f64,
    pub(super) errors: f64,
}

/// Seconds in a row, those without a request among them.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    /// The time of the first one.
    first: i64,
    seconds: VecDeque<Second>,
}

impl History {
    /// The time behind the last second.
    pub(super) fn end(&self) -> i64 {
        self.first.saturating_add(i64::try_from(self.seconds.len()).unwrap_or(i64::MAX))
    }

    /// Notes a second; one that is before the last one begins another time.
    pub(super) fn push(&mut self, at: i64, second: Second) {
        if at < self.end() {
            self.seconds.clear();
        }
        self.pass(at);
        self.seconds.push_back(second);
        self.forget();
    }

    /// Up to a time, exclusively, there are no more requests than were noted.
    pub(super) fn pass(&mut self, to: i64) {
        let gap = usize::try_from(to.saturating_sub(self.end())).unwrap_or(0);
        if self.seconds.is_empty() || gap >= SECONDS_MAX {
            self.seconds.clear();
            self.first = to;
            return;
        }
        self.seconds.extend(std::iter::repeat_n(Second::default(), gap));
        self.forget();
    }

    fn forget(&mut self) {
        while self.seconds.len() > SECONDS_MAX {
            self.seconds.pop_front();
            self.first += 1;
        }
    }

    /// The mean over the last so many seconds; the divisor is always all of them.
    pub(super) fn last(&self, seconds: u32) -> Mean {
        let count = usize::try_from(seconds).unwrap_or(usize::MAX).min(self.seconds.len());
        mean(self.seconds.range(self.seconds.len() - count..), f64::from(seconds.max(1)))
    }

    /// For each of the last `count` spans the time of its first second and its mean, `None` before
    /// the first second; spans begin at multiples of their length, so that they stay as they are
    /// while time goes on.
    pub(super) fn spans(&self, span_s: u32, count: usize) -> Vec<(i64, Option<Mean>)> {
        let span = i64::from(span_s.max(1));
        let last = (self.end() - 1).div_euclid(span);
        let first = last.saturating_sub(i64::try_from(count).unwrap_or(i64::MAX)) + 1;
        (first..=last).map(|number| (number * span, self.span(number * span, span))).collect()
    }

    fn span(&self, start: i64, span: i64) -> Option<Mean> {
        let index = |time: i64| {
            let offset = time.saturating_sub(self.first);
            usize::try_from(offset).unwrap_or(0).min(self.seconds.len())
        };
        let (from, to) = (index(start), index(start + span));
        // Of a span that goes on, what there is.
        (from < to).then(|| mean(self.seconds.range(from..to), (to - from) as f64))
    }
}

fn mean<'a>(seconds: impl Iterator<Item = &'a Second>, divisor: f64) -> Mean {
    let (mut hits, mut errors) = (0_u64, 0_u64);
    for second in seconds {
        hits += u64::from(second.hits);
        errors += u64::from(second.errors);
    }
    Mean { hits: hits as f64 / divisor, errors: errors as f64 / divisor }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(hits: u32) -> Second {
        Second { hits, errors: hits / 10 }
    }

    #[test]
    fn spans_are_means_and_seconds_without_requests_are_zero() {
        let mut history = History::default();
        assert_eq!(history.last(10), Mean::default());
        history.push(100, second(10));
        history.push(103, second(20));
        history.pass(106);
        assert_eq!(history.end(), 106);
        assert_eq!(history.last(3), Mean { hits: 20.0 / 3.0, errors: 2.0 / 3.0 });
        assert_eq!(history.last(60).hits, 0.5, "the divisor is the whole window");
        let spans = |span_s, count| -> Vec<(i64, Option<f64>)> {
            let spans = history.spans(span_s, count).into_iter();
            spans.map(|(time, mean)| (time, mean.map(|mean| mean.hits))).collect()
        };
        assert_eq!(
            spans(1, 4),
            [(102, Some(0.0)), (103, Some(20.0)), (104, Some(0.0)), (105, Some(0.0))]
        );
        assert_eq!(spans(5, 3), [(95, None), (100, Some(6.0)), (105, Some(0.0))]);
    }

    #[test]
    fn a_day_is_kept_and_time_that_jumps_begins_anew() {
        let mut history = History::default();
        history.push(0, second(1));
        history.pass(200_000);
        history.push(200_000, second(2));
        assert_eq!((history.end(), history.seconds.len()), (200_001, 1));
        for at in 200_001..300_000 {
            history.push(at, second(1));
        }
        assert_eq!((history.end(), history.seconds.len()), (300_000, SECONDS_MAX));
        history.push(5, second(9));
        assert_eq!((history.end(), history.seconds.len()), (6, 1));
        history.push(i64::MAX - 1, second(1));
        assert_eq!(history.seconds.len(), 1);
    }
}
