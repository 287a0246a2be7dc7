//! Quantiles of any numbers in bounded memory: exact where few different ones occur, else within one
//! percent.
//!
//! Beyond [`FEW_MAX`] different values they are counted in bins, 64 of them from each power of two
//! to the next, as in HdrHistogram. The bin of a number is the front of its bits, so it takes no
//! logarithm and is the same on every machine.

use std::cmp::Ordering;
use std::collections::HashMap;

/// So many different values are kept as they are.
const FEW_MAX: usize = 256;

/// So many bins are kept. They span 32 doublings, such as a microsecond to an hour; of values
/// further apart those near zero are told as further from it than they are.
const BINS_MAX: usize = 2048;

/// The bits of a number behind those that name its bin: 64 bins have 6 of the 52 bits of a fraction.
const BIN_SHIFT: u32 = 52 - 6;

/// Counts of numbers, of which it tells quantiles.
///
/// With at most 256 different values the quantiles are exact, however many values there are;
/// otherwise each is within one percent of the exact one. The same values give the same quantiles,
/// in whatever order and in however many parts they were added, unless they are further apart than
/// 32 doublings. Takes at most 64 KiB, unless it is [exact](Self::exact).
///
/// # Examples
///
/// ```
/// use logq_reader::Sketch;
///
/// let mut sketch = Sketch::default();
/// (1..=100).for_each(|value| sketch.add(f64::from(value)));
/// assert_eq!(sketch.quantile(50.0), Some(50.0));
/// assert_eq!(sketch.quantile(99.9), Some(100.0));
///
/// let mut many = Sketch::default();
/// (1..=100_000).for_each(|value| many.add(f64::from(value)));
/// sketch.merge(&many);
/// let p95 = sketch.quantile(95.0).ok_or("empty")?;
/// assert!((p95 - 95_000.0).abs() < 0.01 * 95_000.0);
/// # Ok::<(), &str>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sketch {
    total: u64,
    /// Values, ascending, with how often each occurs; empty as soon as there are bins.
    few: Vec<(f64, u64)>,
    /// Bins, ascending, with how many values are in each.
    bins: Vec<(i32, u64)>,
    /// The bits of all values, with how often each occurs, of one that is to be exact.
    each: Option<HashMap<u64, u64>>,
}

impl Sketch {
    /// One that keeps every value, however many different ones there are.
    pub fn exact() -> Self {
        Self { each: Some(HashMap::new()), ..Self::default() }
    }

    /// Counts a number. What is not finite is left out.
    pub fn add(&mut self, value: f64) {
        if value.is_finite() {
            // There is one zero only.
            self.count(value + 0.0, 1);
        }
    }

    /// Counts what another one has counted.
    pub fn merge(&mut self, other: &Self) {
        if !other.bins.is_empty() {
            self.turn_into_bins();
        }
        other.few.iter().for_each(|(value, count)| self.count(*value, *count));
        let each = other.each.iter().flatten();
        each.for_each(|(bits, count)| self.count(f64::from_bits(*bits), *count));
        other.bins.iter().for_each(|(bin, count)| self.count_in_bin(*bin, *count));
    }

    /// How many numbers were counted.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The smallest number that at least `percent` of all do not exceed; 0 for the least, 100 for
    /// the greatest. `None` if nothing was counted.
    pub fn quantile(&self, percent: f64) -> Option<f64> {
        let rank = rank(self.total, percent);
        if let Some(each) = &self.each {
            let values = each.iter().map(|(bits, count)| (f64::from_bits(*bits), *count));
            let mut values: Vec<_> = values.collect();
            values.sort_unstable_by(|(one, _), (other, _)| one.total_cmp(other));
            return at_rank(&values, rank);
        }
        match self.bins.is_empty() {
            true => at_rank(&self.few, rank),
            false => at_rank(&self.bins, rank).map(middle).map(shortened),
        }
    }

    /// The memory it takes beside itself.
    pub(super) fn bytes(&self) -> usize {
        // A table has a byte beside each entry.
        let each = self.each.as_ref().map_or(0, |each| 17 * each.capacity());
        16 * (self.few.capacity() + self.bins.capacity()) + each
    }

    fn count(&mut self, value: f64, count: u64) {
        if !self.bins.is_empty() {
            return self.count_in_bin(bin(value), count);
        }
        self.total += count;
        if let Some(each) = &mut self.each {
            *each.entry(value.to_bits()).or_default() += count;
            return;
        }
        count_in(&mut self.few, value, count, f64::total_cmp);
        if self.few.len() > FEW_MAX {
            self.turn_into_bins();
        }
    }

    fn count_in_bin(&mut self, bin: i32, count: u64) {
        self.total += count;
        count_in(&mut self.bins, bin, count, i32::cmp);
        confine(&mut self.bins);
    }

    /// Keeps no values any more, only how many are in which bin.
    pub(super) fn turn_into_bins(&mut self) {
        for (bits, count) in self.each.take().into_iter().flatten() {
            count_in(&mut self.bins, bin(f64::from_bits(bits)), count, i32::cmp);
        }
        confine(&mut self.bins);
        for (value, count) in std::mem::take(&mut self.few) {
            count_in(&mut self.bins, bin(value), count, i32::cmp);
        }
    }
}

/// Adds to the count of a key in an ascending list.
fn count_in<K: Copy>(
    counts: &mut Vec<(K, u64)>,
    key: K,
    count: u64,
    compare: impl Fn(&K, &K) -> Ordering,
) {
    match counts.binary_search_by(|(known, _)| compare(known, &key)) {
        Ok(index) => {
            if let Some((_, sum)) = counts.get_mut(index) {
                *sum += count;
            }
        }
        Err(index) => counts.insert(index, (key, count)),
    }
}

/// Joins the bins nearest to zero with the next ones of the same sign where there are too many.
fn confine(bins: &mut Vec<(i32, u64)>) {
    while bins.len() > BINS_MAX {
        let positive = bins.partition_point(|(bin, _)| *bin < 0);
        let distance = |index: Option<usize>| {
            let bin = index.and_then(|index| bins.get(index));
            bin.map_or(u32::MAX, |(bin, _)| bin.unsigned_abs())
        };
        let negative = positive.checked_sub(1);
        let is_positive = distance(Some(positive)) <= distance(negative);
        let nearest = if is_positive { positive } else { negative.unwrap_or(0) };
        let (_, count) = bins.remove(nearest);
        // Behind the one that was removed, or before it.
        let next = if is_positive { nearest } else { nearest.saturating_sub(1) };
        if let Some((_, sum)) = bins.get_mut(next) {
            *sum += count;
        }
    }
}

/// The first key that so many values do not exceed.
fn at_rank<K: Copy>(counts: &[(K, u64)], rank: u64) -> Option<K> {
    let mut seen = 0;
    let mut reaches = |count: u64| {
        seen += count;
        seen >= rank
    };
    counts.iter().find(|(_, count)| reaches(*count)).map(|(key, _)| *key)
}

/// How many values the quantile is not below: at least one. Percent are counted in millionths, so
/// that 99.9 means what it says.
fn rank(total: u64, percent: f64) -> u64 {
    const WHOLE: u128 = 100_000_000;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 10^8")]
    let millionths = (percent.clamp(0.0, 100.0) * 1e6).round() as u128;
    let rank = (u128::from(total) * millionths).div_ceil(WHOLE);
    u64::try_from(rank).unwrap_or(u64::MAX).max(1)
}

/// The bin of a number: ascending with it, the same but for its sign for the negative one.
fn bin(value: f64) -> i32 {
    if value.abs() < f64::MIN_POSITIVE {
        return 0;
    }
    let front = i32::try_from(value.abs().to_bits() >> BIN_SHIFT).unwrap_or(i32::MAX);
    if value < 0.0 { -front } else { front }
}

/// The number in the middle of a bin: within 1/128 of each that is in it.
fn middle(bin: i32) -> f64 {
    if bin == 0 {
        return 0.0;
    }
    let bits = u64::from(bin.unsigned_abs()) << BIN_SHIFT | 1 << (BIN_SHIFT - 1);
    f64::from_bits(bits).copysign(f64::from(bin))
}

/// Rounded to four digits: more would promise too much.
fn shortened(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;

    use super::*;

    const PERCENTS: [f64; 8] = [0.0, 0.1, 25.0, 50.0, 95.0, 99.0, 99.9, 100.0];

    /// The quantile of sorted values, by its definition.
    fn exact(values: &[f64], percent: f64) -> f64 {
        let share = |index: usize| (index + 1) as f64 * 100.0 / values.len() as f64;
        let index = (0..values.len()).find(|index| share(*index) >= percent - 1e-9);
        values[index.unwrap_or(values.len() - 1)]
    }

    fn value(rng: &mut Rng, kind: u8) -> f64 {
        match kind {
            0 => f64::from(rng.u16(..)) / 64.0,
            1 => (rng.f64() * 20.0).exp(),
            2 => (rng.f64() - 0.5) * 1e-3,
            3 => f64::from(rng.u8(..)) - 128.0,
            _ => (rng.f64() * 10.0 - 5.0).exp() * if rng.bool() { 1.0 } else { -1.0 },
        }
    }

    #[test]
    fn quantiles_are_within_one_percent_of_exact_ones_in_whatever_parts_values_come() {
        let mut rng = Rng::with_seed(1);
        for round in 0..60 {
            let count = [1, 2, 3, 100, 256, 257, 20_000][rng.usize(..7)];
            let kind = rng.u8(..5);
            let mut values: Vec<f64> = (0..count).map(|_| value(&mut rng, kind)).collect();
            let mut parts = vec![Sketch::default(); rng.usize(1..4)];
            let places = parts.len();
            values.iter().for_each(|value| parts[rng.usize(..places)].add(*value));
            let mut whole = Sketch::default();
            values.iter().for_each(|value| whole.add(*value));
            let mut merged = Sketch::default();
            parts.iter().for_each(|part| merged.merge(part));
            assert_eq!(merged, whole, "round {round}");
            assert_eq!(merged.total(), count as u64);
            values.sort_by(f64::total_cmp);
            for percent in PERCENTS {
                let (found, right) = (merged.quantile(percent).unwrap(), exact(&values, percent));
                let context = format!("round {round}, {count} values, {percent}: {found} {right}");
                if count <= FEW_MAX {
                    assert_eq!(found, right, "{context}");
                }
                assert!((found - right).abs() <= right.abs() * 0.01, "{context}");
            }
        }
    }

    #[test]
    fn bins_ascend_with_their_values_over_the_whole_range_of_numbers() {
        let mut rng = Rng::with_seed(2);
        let mut values: Vec<f64> = (0..100_000).map(|_| f64::from_bits(rng.u64(..))).collect();
        values.extend([0.0, f64::MIN_POSITIVE, f64::MAX, f64::MIN, -f64::MIN_POSITIVE]);
        values.retain(|value| value.is_finite());
        values.sort_by(f64::total_cmp);
        assert!(values.is_sorted_by_key(|value| bin(*value)));
        for value in values.iter().filter(|value| value.abs() >= f64::MIN_POSITIVE) {
            let found = shortened(middle(bin(*value)));
            let error = (found / value - 1.0).abs();
            assert!(error <= 0.01 || found.is_infinite(), "{value} {found}");
        }
        assert_eq!(middle(bin(0.0)), 0.0);
    }

    #[test]
    fn memory_is_bounded_and_the_greatest_values_stay_exact() {
        let mut sketch = Sketch::default();
        let value = |power: i32, part: u8| 2_f64.powi(power) * (1.0 + f64::from(part) / 4.0);
        for power in -900..900 {
            (0..4).for_each(|part| sketch.add(value(power, part)));
            sketch.add(-value(power, 0));
        }
        assert!(sketch.bytes() <= 3 * 16 * BINS_MAX, "{}", sketch.bytes());
        assert_eq!(sketch.total(), 9000);
        let near =
            |percent, right: f64| (sketch.quantile(percent).unwrap() / right - 1.0).abs() <= 0.01;
        assert!(near(100.0, value(899, 3)) && near(0.0, -value(899, 0)));
        assert!(near(99.0, value(899 - 22, 1)), "{:?}", sketch.quantile(99.0));
        let middle = sketch.quantile(50.0).unwrap();
        assert!(middle > 0.0, "none changes its sign: {middle}");
    }

    #[test]
    fn what_is_no_number_is_left_out() {
        let mut sketch = Sketch::default();
        [f64::NAN, f64::INFINITY, f64::NEG_INFINITY].iter().for_each(|value| sketch.add(*value));
        assert_eq!((sketch.total(), sketch.quantile(50.0)), (0, None));
        sketch.add(-0.0);
        assert_eq!(sketch.quantile(50.0).map(f64::is_sign_positive), Some(true));
    }
}
