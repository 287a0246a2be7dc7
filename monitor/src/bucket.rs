//! What is counted of the hits of one second, one window, one interval or a whole run.

use crate::hit::Ending;
use crate::sketch::{Sketch, bin};

/// Counts of hits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Hits.
    pub hits: u64,
    /// Bytes of their responses.
    pub bytes: u128,
    /// Hits by the first digit of their status, 1 to 5; at 0 those without a status like that.
    pub classes: [u64; 6],
    /// Requests that were given up without a response; none of them is a hit. Only stores tell.
    pub unanswered: u64,
    /// Hits that are responses without a request. Only stores tell.
    pub orphans: u64,
}

impl Counts {
    /// Hits whose status is 500 to 599.
    pub fn errors(&self) -> u64 {
        let [.., errors] = self.classes;
        errors
    }

    /// Hits whose status is 400 to 499.
    pub fn client_errors(&self) -> u64 {
        let [.., errors, _] = self.classes;
        errors
    }

    /// Bytes of a response on average; 0 without a hit.
    pub fn mean_bytes(&self) -> f64 {
        if self.hits == 0 { 0.0 } else { self.bytes as f64 / self.hits as f64 }
    }

    #[inline]
    pub(crate) fn add_hit(&mut self, ending: &Ending) {
        self.hits += 1;
        self.bytes += u128::from(ending.bytes);
        if let Some(class) = self.classes.get_mut(class(ending.status)) {
            *class += 1;
        }
    }

    /// Counts what another one counted.
    pub fn add(&mut self, other: &Self) {
        self.hits += other.hits;
        self.bytes += other.bytes;
        for (class, other) in self.classes.iter_mut().zip(other.classes) {
            *class += other;
        }
        self.unanswered += other.unanswered;
        self.orphans += other.orphans;
    }

    fn remove(&mut self, other: &Self) {
        self.hits -= other.hits;
        self.bytes -= other.bytes;
        for (class, other) in self.classes.iter_mut().zip(other.classes) {
            *class -= other;
        }
        self.unanswered -= other.unanswered;
        self.orphans -= other.orphans;
    }
}

fn class(status: u16) -> usize {
    match status / 100 {
        class @ 1..=5 => usize::from(class),
        _ => 0,
    }
}

/// The hits of one second.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bucket {
    pub(crate) counts: Counts,
    /// Bins of latencies and their counts, sorted; kept only where a rule asks for them.
    latencies: Vec<(u16, u32)>,
}

impl Bucket {
    pub(crate) fn of(counts: Counts, latencies: &[(u16, u32)]) -> Self {
        let mut bucket = Self { counts, latencies: Vec::new() };
        latencies.iter().for_each(|(bin, count)| bucket.add_bin(*bin, *count));
        bucket
    }

    /// Bins and their counts, where they are kept.
    pub(crate) fn latencies(&self) -> &[(u16, u32)] {
        &self.latencies
    }

    #[inline]
    pub(crate) fn add_hit(&mut self, ending: &Ending, with_latency: bool) {
        self.counts.add_hit(ending);
        if let (true, Some(latency_us)) = (with_latency, ending.latency_us) {
            self.add_bin(bin(latency_us), 1);
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.counts.add(&other.counts);
        for (bin, count) in &other.latencies {
            self.add_bin(*bin, *count);
        }
    }

    fn add_bin(&mut self, bin: u16, count: u32) {
        match self.latencies.binary_search_by_key(&bin, |(bin, _)| *bin) {
            Ok(index) => {
                if let Some((_, counter)) = self.latencies.get_mut(index) {
                    *counter = counter.saturating_add(count);
                }
            }
            Err(index) => self.latencies.insert(index, (bin, count)),
        }
    }
}

/// The hits of the last seconds, which come and go.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sum {
    pub(crate) counts: Counts,
    pub(crate) latencies: Sketch,
}

impl Sum {
    pub(crate) fn add(&mut self, bucket: &Bucket) {
        self.counts.add(&bucket.counts);
        for (bin, count) in &bucket.latencies {
            self.latencies.add_bin(*bin, u64::from(*count));
        }
    }

    pub(crate) fn remove(&mut self, bucket: &Bucket) {
        self.counts.remove(&bucket.counts);
        for (bin, count) in &bucket.latencies {
            self.latencies.remove_bin(*bin, u64::from(*count));
        }
    }
}
