//! Whether a writer is in a hurry: as long as one is, readers that are far behind wait for idle processors.
//!
//! All writers of a process count, for its processors are what readers and writers compete for. A writer of
//! a hundred lines a second is in no hurry, however many read it.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Bytes a second that are no hurry: to store so many takes a hundredth of a processor.
const RATE: u64 = 64 << 20;

/// Bytes beyond that rate which a writer may store, times readers, before it is in a hurry: to send so many
/// takes a few milliseconds, as short as a writer may have to wait.
const BURST_SENT: u64 = 8 << 20;

/// The least and the most of these bytes. Fewer would call any line a hurry where thousands read, more would
/// let a single reader compete with a fast writer for long.
const BURST: (u64, u64) = (64 << 10, 1 << 20);

/// How long a hurry is remembered: as long as a pause for breath.
const MEMORY: Duration = Duration::from_millis(100);

/// The last hurry of any writer.
static ANY: Hurry = Hurry::none();

/// Until when somebody is in a hurry, in microseconds of this process.
#[derive(Debug)]
pub(super) struct Hurry(AtomicU64);

impl Hurry {
    pub(super) const fn none() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Whether it lasts.
    pub(super) fn lasts(&self) -> bool {
        self.lasts_at(Instant::now())
    }

    /// Whether any writer is in a hurry.
    pub(super) fn of_any() -> bool {
        ANY.lasts()
    }

    fn lasts_at(&self, now: Instant) -> bool {
        self.0.load(Ordering::Relaxed) > micros(now)
    }

    fn note(&self, now: Instant) {
        self.0.fetch_max(micros(now + MEMORY), Ordering::Relaxed);
    }
}

/// Measures one writer: how much it has stored beyond the rate that is no hurry.
#[derive(Debug)]
pub(super) struct Pace {
    beyond: u64,
    at: Instant,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { beyond: 0, at: Instant::now() }
    }

    /// Counts bytes that were stored until `now` for so many readers; where that is too much in a short
    /// time, notes a hurry of the stream and of all.
    pub(super) fn count(&mut self, bytes: u64, readers: usize, now: Instant, stream: &Hurry) {
        let time = now.saturating_duration_since(self.at).as_micros();
        let allowed = u64::try_from(time).unwrap_or(u64::MAX).saturating_mul(RATE / 1_000_000);
        let readers = u64::try_from(readers.max(1)).unwrap_or(u64::MAX);
        let burst = (BURST_SENT / readers).clamp(BURST.0, BURST.1);
        self.beyond = self.beyond.saturating_sub(allowed).saturating_add(bytes);
        self.at = now;
        if self.beyond >= burst {
            // What is beyond is not remembered for longer than the hurry.
            self.beyond = burst;
            stream.note(now);
            ANY.note(now);
        }
    }
}

fn micros(now: Instant) -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(now.saturating_duration_since(*START).as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_writes_much_in_a_short_time_is_in_a_hurry() {
        for (bytes, every_us, readers, hurries) in [
            (1 << 10, 1_000, 1, false),
            (1 << 10, 1_000, 10_000, false),
            (64 << 10, 2_000, 10, false),
            (60 << 10, 1_000, 100, false),
            (256 << 10, 250, 1, true),
            (256 << 10, 90_000, 10, false),
            (256 << 10, 90_000, 100, true),
            (2 << 20, 90_000, 1, true),
        ] {
            let (hurry, mut pace) = (Hurry::none(), Pace::new());
            let mut now = pace.at;
            for _ in 0..200 {
                now += Duration::from_micros(every_us);
                pace.count(bytes, readers, now, &hurry);
            }
            let what = format!("{bytes} bytes each {every_us} us for {readers}");
            assert_eq!(hurry.lasts_at(now), hurries, "{what}");
            assert!(!hurry.lasts_at(now + MEMORY + Duration::from_millis(1)), "it ends: {what}");
        }
    }

    #[test]
    fn a_hurry_is_told_after_few_bytes() {
        for (readers, bytes) in
            [(0, 1 << 20), (1, 1 << 20), (10, 820 << 10), (100, 82 << 10), (1_000, 64 << 10)]
        {
            let (hurry, mut pace) = (Hurry::none(), Pace::new());
            let mut stored = 0;
            while !hurry.lasts_at(pace.at) {
                pace.count(1 << 10, readers, pace.at, &hurry);
                stored += 1 << 10;
            }
            assert_eq!(stored >> 10, bytes >> 10, "{readers} readers");
        }
    }
}
