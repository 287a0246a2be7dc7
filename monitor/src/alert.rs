//! The alert machine: one value a second goes in, transitions come out.
//!
//! ```text
//!            beyond the threshold for `for_s` seconds in a row
//!   quiet  ------------------------------------------------------>  firing
//!          <------------------------------------------------------
//!            beyond `recover` on the other side for `keep_firing_s` seconds in a row
//! ```
//!
//! Exactly at a level the state is held: above fires, below recovers.

use crate::bucket::Sum;
use crate::rule::{Measure, Rule, Side};

/// The state of one rule, for all traffic or for one section.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Machine {
    is_firing: bool,
    /// Seconds in a row that would change the state.
    run: u32,
}

/// A change of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The alert fires.
    Fired,
    /// It has recovered.
    Recovered,
}

impl Machine {
    pub(crate) fn new(is_firing: bool, run: u32) -> Self {
        Self { is_firing, run }
    }

    /// Seconds in a row that would change the state.
    pub(crate) fn run(self) -> u32 {
        self.run
    }

    pub(crate) fn is_firing(self) -> bool {
        self.is_firing
    }

    /// Nothing is remembered.
    pub(crate) fn is_fresh(self) -> bool {
        self == Self::default()
    }

    /// Whether any number of further seconds with this value changes nothing.
    pub(crate) fn is_settled(mut self, rule: &Rule, value: Option<f64>) -> bool {
        let before = self;
        self.step(rule, value).is_none() && self == before
    }

    /// Takes the value of a second; `None` where there was nothing to measure.
    pub(crate) fn step(&mut self, rule: &Rule, value: Option<f64>) -> Option<Change> {
        let (is_due, seconds) = match self.is_firing {
            false => (value.is_some_and(|value| fires(rule, value)), rule.for_s),
            true => (value.is_none_or(|value| recovers(rule, value)), rule.keep_firing_s),
        };
        self.run = if is_due { self.run + 1 } else { 0 };
        if !is_due || self.run < seconds {
            return None;
        }
        *self = Self { is_firing: !self.is_firing, run: 0 };
        Some(if self.is_firing { Change::Fired } else { Change::Recovered })
    }
}

fn fires(rule: &Rule, value: f64) -> bool {
    match rule.side {
        Side::Above => value > rule.threshold,
        Side::Below => value < rule.threshold,
    }
}

fn recovers(rule: &Rule, value: f64) -> bool {
    match rule.side {
        Side::Above => value < rule.recover,
        Side::Below => value > rule.recover,
    }
}

/// The value of a rule over its window; `None` where there is nothing to measure.
///
/// A sum that equals the threshold times the window gives exactly the threshold: divisions of
/// floating-point numbers are rounded correctly.
pub(crate) fn value(rule: &Rule, sum: &Sum) -> Option<f64> {
    let counts = &sum.counts;
    let window_s = f64::from(rule.window_s);
    let share = |count: u64| (counts.hits > 0).then(|| count as f64 / counts.hits as f64);
    if counts.hits < rule.hits_min {
        return None;
    }
    match rule.measure {
        Measure::Rate => Some(counts.hits as f64 / window_s),
        Measure::ErrorRate => Some(counts.errors() as f64 / window_s),
        Measure::ErrorRatio => share(counts.errors()),
        Measure::ClientErrorRatio => share(counts.client_errors()),
        Measure::ByteRate => Some(counts.bytes as f64 / window_s),
        Measure::UnansweredRate => Some(counts.unanswered as f64 / window_s),
        Measure::OrphanRate => Some(counts.orphans as f64 / window_s),
        Measure::Latency { permille } => sum.latencies.quantile_us(permille).map(|us| us as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The transitions of a rule over values of consecutive seconds; `x` is nothing to measure.
    fn check(rule: &str, values: &str, expected: &str) {
        let rule = Rule::parse(rule, 10).unwrap();
        let mut machine = Machine::default();
        let shown: Vec<&str> = values
            .split(' ')
            .map(|value| match machine.step(&rule, value.parse().ok()) {
                None => ".",
                Some(Change::Fired) => "F",
                Some(Change::Recovered) => "R",
            })
            .collect();
        assert_eq!(shown.join(" "), expected, "{rule:?}: {values}");
    }

    #[test]
    fn at_the_threshold_the_state_is_held() {
        check("rate > 10", "9 10 10.01 10 11 10 9.99 10 9", ". . F . . . R . .");
        check("rate < 5", "5 4 5 4 6 5 4", ". F . . R . F");
    }

    #[test]
    fn between_the_levels_the_state_is_held() {
        check("rate > 10 recover 5", "11 8 5 4 8 11", "F . . R . F");
    }

    #[test]
    fn short_excursions_change_nothing() {
        check("rate > 10 for 3s", "11 11 10 11 11 11 9", ". . . . . F R");
        check("rate > 10 keep_firing 2s", "11 9 10 9 9 9", "F . . . R .");
        check("rate > 10 for 1s keep_firing 1s", "11 9", "F R");
    }

    #[test]
    fn nothing_to_measure_never_fires_and_recovers() {
        check("error_ratio > 5%", "x 0.06 x x 0.06", ". F R . F");
        check("rate > 10 for 2s", "11 x 11 11", ". . . F");
    }

    #[test]
    fn a_sum_at_the_threshold_is_at_the_threshold() {
        for window in 1..=300 {
            for sum in 1..=300_u64 {
                let exact = sum as f64 / f64::from(window);
                let rule = Rule::high_traffic(exact, window);
                let mut at = Sum::default();
                at.counts.hits = sum;
                assert_eq!(Machine::default().step(&rule, value(&rule, &at)), None);
                at.counts.hits += 1;
                let fired = Machine::default().step(&rule, value(&rule, &at));
                assert_eq!(fired, Some(Change::Fired));
            }
        }
    }
}
