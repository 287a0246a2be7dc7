//! Quantiles of latencies within 1 %, from counters: a histogram whose bins are linear within each
//! power of two, 64 of them, as in HdrHistogram. No logarithm, so the same on every machine.

/// Counts of latencies. Memory: 8 bytes a bin from the smallest to the largest seen, at most 30 KiB.
#[derive(Clone, Debug, Default)]
pub struct Sketch {
    /// The bin of `counts[0]`.
    first: usize,
    counts: Vec<u64>,
    total: u64,
}

/// Sketches are equal if they have counted the same, whatever room they have.
impl PartialEq for Sketch {
    fn eq(&self, other: &Self) -> bool {
        self.total == other.total && self.bins().eq(other.bins())
    }
}

impl Eq for Sketch {}

/// Bins in a power of two. Half a bin is 1/128 of the smallest value in it: 0.8 %.
const BINS: u64 = 64;
const BIN_BITS: u32 = BINS.trailing_zeros();

/// The bin of the longest latency.
const BIN_MAX: u16 = 3_775;

/// The bin of a latency in microseconds; below 128 µs each microsecond has its own.
pub(crate) fn bin(latency_us: u64) -> u16 {
    let power = (latency_us | BINS).ilog2() - BIN_BITS;
    let bin = u64::from(power) * BINS + (latency_us >> power);
    u16::try_from(bin).unwrap_or(u16::MAX)
}

/// The middle of a bin, in microseconds.
fn middle(bin: usize) -> u64 {
    let bin = u64::try_from(bin).unwrap_or(u64::MAX);
    let power = (bin / BINS).saturating_sub(1);
    let low = (bin - power * BINS) << power;
    low.saturating_add((1 << power) / 2)
}

impl Sketch {
    /// Counts a latency in microseconds.
    pub fn add(&mut self, latency_us: u64) {
        self.add_bin(bin(latency_us), 1);
    }

    /// Counts what another one counted.
    pub fn merge(&mut self, other: &Self) {
        for (bin, count) in other.bins() {
            self.add_bin(bin, count);
        }
    }

    pub(crate) fn add_bin(&mut self, bin: u16, count: u64) {
        let bin = usize::from(bin);
        self.make_room(bin);
        if let Some(counter) = self.counts.get_mut(bin - self.first) {
            *counter += count;
            self.total += count;
        }
    }

    /// Counts what a store kept; bins beyond all latencies are passed over.
    pub(crate) fn add_stored(&mut self, bin: u64, count: u64) {
        if let Ok(bin) = u16::try_from(bin)
            && bin <= BIN_MAX
        {
            // No more than fits: whatever the store holds, quantiles stay quantiles.
            self.add_bin(bin, count.min(u64::MAX - self.total));
        }
    }

    /// Takes back what was counted.
    pub(crate) fn remove_bin(&mut self, bin: u16, count: u64) {
        let index = usize::from(bin).checked_sub(self.first);
        if let Some(counter) = index.and_then(|index| self.counts.get_mut(index)) {
            *counter -= count;
            self.total -= count;
        }
    }

    /// How many latencies were counted.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The latency in microseconds that `permille` of a thousand do not exceed (500 is the median),
    /// within 1 %; `None` if nothing was counted.
    pub fn quantile_us(&self, permille: u16) -> Option<u64> {
        let rank = (u128::from(self.total) * u128::from(permille)).div_ceil(1_000).max(1);
        let mut seen = 0_u128;
        for (bin, count) in self.bins() {
            seen += u128::from(count);
            if seen >= rank {
                return Some(middle(usize::from(bin)));
            }
        }
        None
    }

    /// For each of these latencies in microseconds, which must ascend, how many do not exceed it;
    /// those within 1 % of it may be counted on its other side.
    pub fn counts_to(&self, bounds_us: &[u64]) -> Vec<u64> {
        let mut bins = self.bins().peekable();
        let mut seen = 0;
        let count_to = |bound_us: &u64| {
            while let Some((_, count)) =
                bins.next_if(|(bin, _)| middle(usize::from(*bin)) <= *bound_us)
            {
                seen += count;
            }
            seen
        };
        bounds_us.iter().map(count_to).collect()
    }

    /// The sum of all latencies in microseconds, within 1 %.
    pub fn sum_us(&self) -> u128 {
        let product = |(bin, count)| u128::from(middle(usize::from(bin))) * u128::from(count);
        self.bins().map(product).sum()
    }

    /// Forgets all counts but not the memory.
    pub(crate) fn clear(&mut self) {
        self.counts.fill(0);
        self.total = 0;
    }

    /// The bins that counted something, ascending.
    pub(crate) fn bins(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        let bins = (self.first..).zip(&self.counts);
        bins.filter(|(_, count)| **count > 0)
            .filter_map(|(bin, count)| Some((u16::try_from(bin).ok()?, *count)))
    }

    fn make_room(&mut self, bin: usize) {
        if self.counts.is_empty() {
            self.first = bin;
        }
        if bin < self.first {
            let missing = self.first - bin;
            self.counts.splice(..0, std::iter::repeat_n(0, missing));
            self.first = bin;
        }
        let needed = bin - self.first + 1;
        if needed > self.counts.len() {
            self.counts.resize(needed, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_follow_one_another_and_their_middles_are_within_one_percent() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut last = 0;
        for value in 0..100_000 {
            let bin = bin(value);
            assert!(bin == last || bin == last + 1, "{value}");
            last = bin;
        }
        for _ in 0..100_000 {
            let value = random.u64(..) >> random.u32(..64);
            let found = middle(usize::from(bin(value)));
            assert!(found.abs_diff(value) as f64 <= value as f64 * 0.01, "{value} {found}");
        }
        assert_eq!(bin(u64::MAX), BIN_MAX);
    }

    #[test]
    fn counts_up_to_bounds_and_the_sum_are_those_of_the_bins() {
        let mut sketch = Sketch::default();
        assert_eq!((sketch.counts_to(&[1, 2]), sketch.sum_us()), (vec![0, 0], 0));
        for latency_us in [5, 100, 100, 10_000, 1_000_000] {
            sketch.add(latency_us);
        }
        assert_eq!(sketch.counts_to(&[0, 5, 99, 100, 20_000, u64::MAX]), [0, 1, 1, 3, 4, 5]);
        let sum_us = 5 + 200 + 10_000 + 1_000_000;
        assert!(sketch.sum_us().abs_diff(sum_us) <= sum_us / 100, "{}", sketch.sum_us());
    }

    #[test]
    fn quantiles_are_within_one_percent_of_exact_ones() {
        let mut random = fastrand::Rng::with_seed(2);
        for count in [1, 2, 3, 10, 1_000, 50_000_usize] {
            let mut sketches = [Sketch::default(), Sketch::default()];
            let mut exact: Vec<u64> = Vec::new();
            for index in 0..count {
                let value = random.u64(..) >> random.u32(40..64);
                sketches[index % 2].add(value);
                exact.push(value);
            }
            exact.sort_unstable();
            let [mut sketch, other] = sketches;
            sketch.merge(&other);
            for permille in [1, 500, 900, 950, 990, 999, 1000] {
                let rank = (count * usize::from(permille)).div_ceil(1000).max(1);
                let (found, right) = (sketch.quantile_us(permille).unwrap(), exact[rank - 1]);
                assert!(
                    found.abs_diff(right) as f64 <= right as f64 * 0.01,
                    "{count} {permille}: {found} {right}"
                );
            }
        }
        assert_eq!(Sketch::default().quantile_us(500), None);
    }

    #[test]
    fn what_is_taken_back_was_never_there() {
        let mut sketch = Sketch::default();
        let mut other = Sketch::default();
        for value in [5, 1_000_000, 7, 300, 299] {
            sketch.add(value);
            other.add(value);
        }
        for value in [5, 1_000_000] {
            sketch.add(value * 3);
            sketch.remove_bin(bin(value * 3), 1);
        }
        assert_eq!(sketch.bins().collect::<Vec<_>>(), other.bins().collect::<Vec<_>>());
        assert_eq!(sketch.total(), 5);
    }
}
