//! Alert rules, and the words they are written in.
//!
//! ```text
//! MEASURE > VALUE [recover VALUE] [over TIME] [for TIME] [keep_firing TIME] [min HITS] [by section]
//!
//! rate > 10                              requests per second, on average over the window
//! error_ratio > 5% recover 1% min 100    the share of 5xx, if there were 100 requests
//! p99 > 500ms by section over 5m         a quantile of latency, for each section
//! rate < 0.5 for 1m                      too little traffic
//! ```

use std::fmt;

use thiserror::Error;

/// What makes an alert fire and recover.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// The rule as written, for messages.
    pub text: String,
    /// What is measured over the window.
    pub measure: Measure,
    /// On which side of the threshold it fires.
    pub side: Side,
    /// The level at which it does not yet fire: exactly there the state is held.
    pub threshold: f64,
    /// The level beyond which it recovers, again not exactly there.
    pub recover: f64,
    /// The window in seconds.
    pub window_s: u32,
    /// It fires after so many seconds in a row beyond the threshold; 0 and 1 are the same.
    pub for_s: u32,
    /// It recovers after so many seconds in a row on the other side; 0 and 1 are the same.
    pub keep_firing_s: u32,
    /// With fewer hits in the window nothing is measured, which counts as recovered.
    pub hits_min: u64,
    /// Whether each section has an alert of its own.
    pub by_section: bool,
}

/// What is measured over a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Measure {
    /// Requests per second. The divisor is always the whole window.
    Rate,
    /// Responses with status 500 to 599 per second.
    ErrorRate,
    /// The share of responses with status 500 to 599.
    ErrorRatio,
    /// The share of responses with status 400 to 499.
    ClientErrorRatio,
    /// Bytes of responses per second.
    ByteRate,
    /// Requests per second that were given up without a response. Only stores tell.
    UnansweredRate,
    /// Responses per second that came without a request. Only stores tell.
    OrphanRate,
    /// A quantile of latency in microseconds: so many of a thousand requests took no longer.
    Latency {
        /// 500 is the median.
        permille: u16,
    },
}

/// A side of a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// `>`.
    Above,
    /// `<`. Not before a whole window has been seen.
    Below,
}

/// Why a text is no rule.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum RuleError {
    /// A word that is not expected there.
    #[error("alert {rule:?}: expected {expected}, found {found:?}")]
    Unexpected {
        /// The rule as written.
        rule: String,
        /// What may stand there.
        expected: &'static str,
        /// What stands there, empty at the end.
        found: String,
    },
    /// The recovery level lies on the far side of the threshold.
    #[error("alert {rule:?}: it would recover while it fires; recover must lie {expected}")]
    Recover {
        /// The rule as written.
        rule: String,
        /// Where it must lie.
        expected: &'static str,
    },
    /// Too little traffic in a section.
    #[error(
        "alert {rule:?}: a section without requests is not seen, so `<` cannot be watched by section"
    )]
    BelowBySection {
        /// The rule as written.
        rule: String,
    },
}

/// The longest window and duration: a day.
const SECONDS_MAX: u32 = 86_400;

impl Rule {
    /// The seed's alert: high traffic.
    pub fn high_traffic(threshold: f64, window_s: u32) -> Self {
        Self {
            text: format!("rate > {threshold}"),
            measure: Measure::Rate,
            side: Side::Above,
            threshold,
            recover: threshold,
            window_s: window_s.clamp(1, SECONDS_MAX),
            for_s: 0,
            keep_firing_s: 0,
            hits_min: 0,
            by_section: false,
        }
    }

    /// Reads a rule; its window is `window_s` unless it says `over`.
    ///
    /// # Errors
    ///
    /// [`RuleError`] names the word that is wrong and what may stand there.
    pub fn parse(text: &str, window_s: u32) -> Result<Self, RuleError> {
        let mut words = Words { rule: text, rest: text };
        let measure = measure(words.next()).ok_or_else(|| words.unexpected(MEASURES))?;
        let side = match words.next() {
            ">" => Side::Above,
            "<" => Side::Below,
            _ => return Err(words.unexpected("> or <; exactly at the threshold the state is held")),
        };
        let threshold = words.value(measure)?;
        let mut rule = Self { measure, side, ..Self::high_traffic(threshold, window_s) };
        text.trim().clone_into(&mut rule.text);
        loop {
            match words.next() {
                "" => break,
                "recover" => rule.recover = words.value(measure)?,
                "over" => rule.window_s = words.seconds()?.max(1),
                "for" => rule.for_s = words.seconds()?,
                "keep_firing" => rule.keep_firing_s = words.seconds()?,
                "min" => rule.hits_min = words.hits()?,
                "by" if words.next() == "section" => rule.by_section = true,
                "by" => return Err(words.unexpected("section")),
                _ => {
                    return Err(words.unexpected(
                        "recover, over, for, keep_firing, min, by section, or the end",
                    ));
                }
            }
        }
        rule.check()
    }

    fn check(self) -> Result<Self, RuleError> {
        let (is_inside, expected) = match self.side {
            Side::Above => (self.recover <= self.threshold, "at or below the threshold"),
            Side::Below => (self.recover >= self.threshold, "at or above the threshold"),
        };
        if !is_inside {
            return Err(RuleError::Recover { rule: self.text, expected });
        }
        if self.by_section && self.side == Side::Below {
            return Err(RuleError::BelowBySection { rule: self.text });
        }
        Ok(self)
    }
}

const MEASURES: &str = "rate, error_rate, error_ratio, client_error_ratio, byte_rate, unanswered_rate, orphan_rate, p50, p90, p95, p99 or p999";

fn measure(word: &str) -> Option<Measure> {
    Some(match word {
        "rate" => Measure::Rate,
        "error_rate" => Measure::ErrorRate,
        "error_ratio" => Measure::ErrorRatio,
        "client_error_ratio" => Measure::ClientErrorRatio,
        "byte_rate" => Measure::ByteRate,
        "unanswered_rate" => Measure::UnansweredRate,
        "orphan_rate" => Measure::OrphanRate,
        "p50" => Measure::Latency { permille: 500 },
        "p90" => Measure::Latency { permille: 900 },
        "p95" => Measure::Latency { permille: 950 },
        "p99" => Measure::Latency { permille: 990 },
        "p999" => Measure::Latency { permille: 999 },
        _ => return None,
    })
}

/// The words of a rule; signs need no spaces around them.
struct Words<'a> {
    rule: &'a str,
    rest: &'a str,
}

impl<'a> Words<'a> {
    /// The next word, empty at the end.
    fn next(&mut self) -> &'a str {
        let text = self.rest.trim_start();
        let is_sign = |c: char| matches!(c, '<' | '>' | '=' | '!');
        let end = if text.starts_with(is_sign) {
            text.find(|c| !is_sign(c))
        } else {
            text.find(|c: char| c.is_whitespace() || is_sign(c))
        };
        let (word, rest) = text.split_at_checked(end.unwrap_or(text.len())).unwrap_or((text, ""));
        self.rest = rest;
        word
    }

    /// The word just read is not what it should be.
    fn unexpected(&self, expected: &'static str) -> RuleError {
        let read = self.rule.get(..self.rule.len() - self.rest.len()).unwrap_or_default();
        let found = read.split_whitespace().next_back().unwrap_or_default().to_owned();
        RuleError::Unexpected { rule: self.rule.to_owned(), expected, found }
    }

    fn value(&mut self, measure: Measure) -> Result<f64, RuleError> {
        let word = self.next();
        let (value, expected) = match measure {
            Measure::Rate | Measure::ErrorRate | Measure::UnansweredRate | Measure::OrphanRate => {
                (number(word), "a number per second")
            }
            Measure::ErrorRatio | Measure::ClientErrorRatio => {
                (ratio(word), "a share, such as 0.05 or 5%")
            }
            Measure::ByteRate => (bytes(word), "bytes per second, such as 500k or 10M"),
            Measure::Latency { .. } => (latency(word), "a duration, such as 500ms or 1.5s"),
        };
        value.ok_or_else(|| self.unexpected(expected))
    }

    fn seconds(&mut self) -> Result<u32, RuleError> {
        let word = self.next();
        let unit = |suffix| word.strip_suffix(suffix).and_then(|digits| digits.parse::<u32>().ok());
        let seconds = unit("s")
            .or_else(|| unit("m").and_then(|minutes| minutes.checked_mul(60)))
            .or_else(|| unit("h").and_then(|hours| hours.checked_mul(3600)))
            .or_else(|| word.parse().ok());
        seconds
            .filter(|seconds| *seconds <= SECONDS_MAX)
            .ok_or_else(|| self.unexpected("a time up to 24h, such as 30s or 5m"))
    }

    fn hits(&mut self) -> Result<u64, RuleError> {
        let word = self.next();
        word.parse().map_err(|_| self.unexpected("a number of requests"))
    }
}

fn number(word: &str) -> Option<f64> {
    let is_plain = word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    word.parse().ok().filter(|_| is_plain)
}

fn ratio(word: &str) -> Option<f64> {
    let ratio = match word.strip_suffix('%') {
        Some(percent) => number(percent)? / 100.0,
        None => number(word)?,
    };
    Some(ratio).filter(|ratio| *ratio <= 1.0)
}

fn bytes(word: &str) -> Option<f64> {
    let scaled = |suffix, factor| Some(number(word.strip_suffix(suffix)?)? * factor);
    scaled("k", 1e3).or_else(|| scaled("M", 1e6)).or_else(|| scaled("G", 1e9)).or(number(word))
}

/// In microseconds; a bare number is in none.
fn latency(word: &str) -> Option<f64> {
    let scaled = |suffix, factor| Some(number(word.strip_suffix(suffix)?)? * factor);
    scaled("ms", 1e3).or_else(|| scaled("us", 1.0)).or_else(|| scaled("s", 1e6))
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rate => "rate",
            Self::ErrorRate => "error_rate",
            Self::ErrorRatio => "error_ratio",
            Self::ClientErrorRatio => "client_error_ratio",
            Self::ByteRate => "byte_rate",
            Self::UnansweredRate => "unanswered_rate",
            Self::OrphanRate => "orphan_rate",
            Self::Latency { permille: 500 } => "p50",
            Self::Latency { permille: 900 } => "p90",
            Self::Latency { permille: 950 } => "p95",
            Self::Latency { permille: 990 } => "p99",
            Self::Latency { permille: 999 } => "p999",
            Self::Latency { permille } => return write!(f, "p{permille}/1000"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_with_their_clauses() {
        let base = Rule::high_traffic(10.0, 120);
        let check = |text: &str, expected: Rule| {
            let expected = Rule { text: text.to_owned(), ..expected };
            assert_eq!(Rule::parse(text, 120), Ok(expected));
        };
        check("rate > 10", base.clone());
        check("rate>10", base.clone());
        let below =
            Rule { threshold: 0.5, recover: 2.0, side: Side::Below, for_s: 60, ..base.clone() };
        check("rate < 0.5 for 1m recover 2", below);
        check(
            "error_ratio > 5% recover 1% min 100 keep_firing 30",
            Rule {
                measure: Measure::ErrorRatio,
                threshold: 0.05,
                recover: 0.01,
                hits_min: 100,
                keep_firing_s: 30,
                ..base.clone()
            },
        );
        check(
            "p99 > 500ms by section over 1h",
            Rule {
                measure: Measure::Latency { permille: 990 },
                threshold: 500_000.0,
                recover: 500_000.0,
                window_s: 3600,
                by_section: true,
                ..base.clone()
            },
        );
        check(
            "byte_rate > 1.5M",
            Rule { measure: Measure::ByteRate, threshold: 1.5e6, recover: 1.5e6, ..base },
        );
    }

    #[test]
    fn what_is_no_rule_says_what_is_expected() {
        for (text, expected) in [
            (
                "",
                "expected rate, error_rate, error_ratio, client_error_ratio, byte_rate, unanswered_rate, orphan_rate, p50, p90, p95, p99 or p999, found \"\"",
            ),
            ("rates > 5", "found \"rates\""),
            (
                "rate >= 5",
                "expected > or <; exactly at the threshold the state is held, found \">=\"",
            ),
            ("rate > five", "expected a number per second, found \"five\""),
            ("rate > -5", "expected a number per second, found \"-5\""),
            ("rate > inf", "expected a number per second, found \"inf\""),
            ("rate > NaN", "expected a number per second, found \"NaN\""),
            ("error_ratio > 5", "expected a share, such as 0.05 or 5%, found \"5\""),
            ("p99 > 500", "expected a duration, such as 500ms or 1.5s, found \"500\""),
            ("rate > 5 over 25h", "expected a time up to 24h, such as 30s or 5m, found \"25h\""),
            ("rate > 5 by url", "expected section, found \"url\""),
            ("rate > 5 and more", "found \"and\""),
            ("rate > 5 recover 6", "recover must lie at or below the threshold"),
            ("rate < 5 recover 4", "recover must lie at or above the threshold"),
            ("rate < 5 by section", "cannot be watched by section"),
        ] {
            let error = Rule::parse(text, 120).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
