//! Random variates made of integers, additions and multiplications alone, so that the same seed
//! gives the same values on every platform; the standard library's `ln` and `exp` do not promise
//! that.

use fastrand::Rng;

/// Draws an index with given weights in constant time (Walker's alias method, as told by
/// M. D. Vose, "A linear algorithm for generating random numbers with a given distribution", 1991).
#[derive(Clone, Debug)]
pub(crate) struct Alias {
    /// For each index the chance, out of 2^32, to stay, and the index to take otherwise.
    cells: Vec<(u32, u32)>,
}

impl Alias {
    /// A distribution with these weights; at least one must be above zero.
    pub(crate) fn new(weights: impl Iterator<Item = f64>) -> Self {
        let mut shares: Vec<f64> = weights.collect();
        let scale = shares.len() as f64 / shares.iter().sum::<f64>();
        shares.iter_mut().for_each(|share| *share *= scale);
        let (mut small, mut large): (Vec<usize>, Vec<usize>) =
            (0..shares.len()).partition(|index| share(&shares, *index) < 1.0);
        let mut cells = vec![(u32::MAX, 0); shares.len()];
        while let (Some(poor), Some(rich)) = (small.pop(), large.last().copied()) {
            let kept = share(&shares, poor);
            if let Some(cell) = cells.get_mut(poor) {
                *cell = (fraction_of_u32(kept), index_u32(rich));
            }
            if let Some(left) = shares.get_mut(rich) {
                *left -= 1.0 - kept;
                if *left < 1.0 {
                    large.pop();
                    small.push(rich);
                }
            }
        }
        Self { cells }
    }

    /// A distribution over `count` ranks in which rank `r` has the weight `1 / (r + offset)`.
    pub(crate) fn zipf(count: u32, offset: u32) -> Self {
        Self::new((0..count).map(|rank| 1.0 / (f64::from(rank) + f64::from(offset))))
    }

    /// An index, 0 to the number of weights less one.
    pub(crate) fn draw(&self, random: &mut Rng) -> u32 {
        let bits = random.u64(..);
        let low = bits & u64::from(u32::MAX);
        let index = (low * self.cells.len() as u64) >> 32;
        let cell = usize::try_from(index).ok().and_then(|index| self.cells.get(index));
        match cell {
            Some((stay, other)) if (bits >> 32) >= u64::from(*stay) => *other,
            _ => u32::try_from(index).unwrap_or(0),
        }
    }
}

fn share(shares: &[f64], index: usize) -> f64 {
    shares.get(index).copied().unwrap_or(0.0)
}

fn index_u32(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

/// Fractions of 1 in units of 2^-32; 1 becomes the largest value.
#[expect(clippy::cast_possible_truncation, reason = "the conversion saturates, as documented")]
fn fraction_of_u32(fraction: f64) -> u32 {
    (fraction * 4_294_967_296.0) as u32
}

/// A value with mean 0 and deviation 1, close to normal and never beyond 3.5: the sum of four
/// uniform ones.
fn normal(random: &mut Rng) -> f64 {
    let bits = random.u64(..);
    let sum: u64 = (0..4).map(|lane| bits >> (16 * lane) & 0xFFFF).sum();
    // Four uniform variates on [0, 2^16) have mean 2^17 and deviation 2^16 / sqrt(3).
    (sum as f64 - 131_070.0) * (1.732_050_807_568_877_2 / 65_536.0)
}

/// A log-normal value with this median; `sigma` is the deviation of its binary logarithm.
pub(crate) fn log_normal(random: &mut Rng, median: u32, sigma: f64) -> u64 {
    to_u64(f64::from(median) * exp2(sigma * normal(random)))
}

/// An exponential value with mean 1.
pub(crate) fn exponential(random: &mut Rng) -> f64 {
    // -ln(u) for u = 2^-zeros * mantissa / 2, mantissa in [1, 2).
    let bits = random.u64(..) | 1;
    let zeros = bits.leading_zeros();
    let mantissa = 1.0 + ((bits << zeros << 1) >> 12) as f64 / 4_503_599_627_370_496.0;
    core::f64::consts::LN_2 * (f64::from(zeros) + 1.0 - log2_of_mantissa(mantissa))
}

/// The binary logarithm of a number from 1 to 2, within 0.001, exact at both ends.
fn log2_of_mantissa(mantissa: f64) -> f64 {
    let x = mantissa - 1.0;
    x * (1.436_6 + x * (-0.669_8 + x * (0.313_8 - x * 0.080_6)))
}

/// Two to the power of `x`, within a thousandth of the value.
fn exp2(x: f64) -> f64 {
    let whole = x.floor();
    let rest = x - whole;
    let mantissa = 1.0 + rest * (0.695_6 + rest * (0.226_2 + rest * 0.078_2));
    let power = if whole < 0.0 { 0.5 } else { 2.0 };
    (0..to_u64(whole.abs()).min(64)).fold(mantissa, |value, _| value * power)
}

/// The whole part; negative values become 0.
#[expect(clippy::cast_possible_truncation, reason = "the conversion saturates, as documented")]
#[expect(clippy::cast_sign_loss, reason = "the conversion saturates, as documented")]
pub(crate) fn to_u64(value: f64) -> u64 {
    value as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_come_as_often_as_their_weights_say() {
        let alias = Alias::new([1.0, 0.0, 2.0, 5.0].into_iter());
        let mut random = Rng::with_seed(1);
        let mut counts = [0_u32; 4];
        for _ in 0..80_000 {
            counts[alias.draw(&mut random) as usize] += 1;
        }
        for (count, expected) in counts.into_iter().zip([10_000_u32, 0, 20_000, 50_000]) {
            assert!(count.abs_diff(expected) <= expected / 20, "{counts:?}");
        }
    }

    #[test]
    fn variates_have_the_moments_they_claim() {
        let mut random = Rng::with_seed(2);
        let n = 100_000;
        let mean = (0..n).map(|_| exponential(&mut random)).sum::<f64>() / f64::from(n);
        assert!((mean - 1.0).abs() < 0.02, "{mean}");
        let mut values: Vec<_> = (0..n).map(|_| log_normal(&mut random, 1000, 1.0)).collect();
        values.sort_unstable();
        assert!(values[50_000].abs_diff(1000) < 20, "{}", values[50_000]);
        // One deviation above the median is a doubling.
        assert!(values[84_134].abs_diff(2000) < 80, "{}", values[84_134]);
    }

    #[test]
    fn approximations_are_as_close_as_they_claim() {
        for step in 0..=1000 {
            let x = f64::from(step) / 1000.0;
            assert!((log2_of_mantissa(1.0 + x) - (1.0 + x).log2()).abs() < 0.001, "{x}");
            assert!((exp2(x * 20.0 - 10.0) / (x * 20.0 - 10.0).exp2() - 1.0).abs() < 0.001, "{x}");
        }
    }
}
