//! How fast records come in, so that the background thread wakes by itself when a block is about to be
//! full.
//!
//! To wake a thread for which the kernel must first rouse a processor costs the waker some twenty
//! microseconds. At tens of thousands of records a second more than one call in a thousand fills a block,
//! so with callers that do the waking, that would be their 99.9th percentile.

use std::time::{Duration, Instant};

/// The rate at which blocks of a logger fill, and what follows from it.
#[derive(Debug)]
pub(super) struct Pace {
    /// The bytes of a full block.
    high_water_mark: usize,
    /// What went into blocks since `since`.
    bytes: usize,
    since: Instant,
    /// Bytes a second, as last measured.
    rate: f64,
    /// When a block is to be looked at, for it will be nearly full.
    due: Option<Instant>,
}

/// How long the rate is measured.
const WINDOW: Duration = Duration::from_millis(20);

/// Blocks that fill faster keep the background thread busy: it hardly sleeps.
const FILL_TIME_MIN: Duration = Duration::from_micros(250);

/// The part of a block that is to be full when it is looked at: callers must not come first.
const TARGET: f64 = 0.75;

/// The part from which on it is written then.
const ENOUGH: f64 = 0.5;

impl Pace {
    pub(super) fn new(now: Instant, high_water_mark: usize) -> Self {
        Self { high_water_mark, bytes: 0, since: now, rate: 0.0, due: None }
    }

    /// A block of so many bytes, before compression, was taken.
    pub(super) fn add(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// When to look at the block in the making, which has `staged` bytes now; `None` if the pace is so
    /// slow, so fast or so new that nothing can be said.
    pub(super) fn look(&mut self, now: Instant, staged: usize) -> Option<Instant> {
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed >= WINDOW {
            self.rate = self.bytes as f64 / elapsed.as_secs_f64();
            (self.bytes, self.since) = (0, now);
        }
        let full = self.high_water_mark as f64;
        let wait = |bytes: f64| Duration::try_from_secs_f64(bytes.max(0.0) / self.rate).ok();
        let is_usual = wait(full).is_some_and(|fill_time| fill_time >= FILL_TIME_MIN);
        let left = wait(full * TARGET - staged as f64).filter(|_| is_usual);
        self.due = left.and_then(|left| now.checked_add(left));
        self.due
    }

    /// Whether the block is to be written before it is full: it is time, and it is full enough.
    pub(super) fn is_worth_a_block(&self, now: Instant, staged: usize) -> bool {
        let is_due = self.due.is_some_and(|due| due <= now);
        is_due && staged as f64 >= self.high_water_mark as f64 * ENOUGH
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: usize = 32_000;

    fn millis(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    /// A pace that was 8,000 bytes a millisecond, so that a block fills in four.
    fn steady(start: Instant) -> (Pace, Instant) {
        let mut pace = Pace::new(start, MARK);
        assert_eq!(pace.look(start, 0), None, "nothing is known yet");
        pace.add(8_000 * 20);
        (pace, start + millis(20))
    }

    #[test]
    fn a_block_is_looked_at_when_it_is_three_quarters_full() {
        let (mut pace, now) = steady(Instant::now());
        assert_eq!(pace.look(now, 0), Some(now + millis(3)));
        assert_eq!(pace.look(now + millis(1), 8_000), Some(now + millis(3)));
        assert_eq!(pace.look(now + millis(4), 30_000), Some(now + millis(4)), "at once");
    }

    #[test]
    fn it_is_written_then_unless_the_pace_has_slowed_down() {
        let (mut pace, now) = steady(Instant::now());
        pace.look(now, 0);
        assert!(!pace.is_worth_a_block(now + millis(2), 20_000), "woken by something else");
        assert!(pace.is_worth_a_block(now + millis(3), 16_000));
        assert!(!pace.is_worth_a_block(now + millis(3), 15_999));
    }

    #[test]
    fn what_is_slow_or_fast_is_left_to_time_and_callers() {
        let start = Instant::now();
        let mut pace = Pace::new(start, MARK);
        assert_eq!(pace.look(start + WINDOW, 100), None, "none");
        pace.add(1 << 30);
        assert_eq!(pace.look(start + 2 * WINDOW, 100), None, "too many");
        pace.add(1);
        let far = pace.look(start + 3 * WINDOW, 100);
        assert!(far.is_none_or(|far| far > start + Duration::from_secs(60)));
        let mut unbatched = Pace::new(start, 0);
        unbatched.add(8_000 * 20);
        assert_eq!(unbatched.look(start + WINDOW, 0), None);
    }

    #[test]
    fn a_pace_that_ends_is_forgotten() {
        let (mut pace, now) = steady(Instant::now());
        assert!(pace.look(now, 0).is_some());
        assert_eq!(pace.look(now + WINDOW, 0), None);
    }
}
