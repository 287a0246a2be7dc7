//! The words people ask logs with, read into values: times, levels, types, processes, requests,
//! fields, expressions.
//!
//! Everything here looks at nothing but text: no file, no clock, no environment. The command and
//! the server read the same words, so a question means the same in both.
//!
//! | | |
//! |---|---|
//! | times | [`when`]: `14:02`, `yesterday`, `3h ago`, `2026-02`, `run-1` |
//! | levels, types, processes, requests | [`words`] |
//! | addresses | [`Network`] |
//! | the fields of records, and their values | [`FieldPath`], [`FieldValue`] |
//! | questions about records | [`Expression`]: `status >= 500 and data.user.id = 7` |
//! | the members of a JSON object, as text | [`object_members()`] |
//! | stretches of time, for histograms | [`Buckets`] |
//! | text to search for | [`Grep`] |
//! | the known word nearest to a misspelt one | [`nearest()`] |
//!
//! # Example
//!
//! ```
//! use jiff::tz::TimeZone;
//! use logq_query::{when, words};
//!
//! let context = when::Context {
//!     now: "2026-02-03T15:00:00Z".parse()?,
//!     zone: TimeZone::UTC,
//!     since: None,
//!     marks: None,
//! };
//! assert_eq!(when::parse_instant("14:02", &context)?, "2026-02-03T14:02:00Z".parse()?);
//!
//! let levels = words::levels("error")?;
//! assert!(levels.contains(logq_format::Level::Critical));
//!
//! let message = words::levels("eror").unwrap_err().to_string();
//! assert!(message.contains("did you mean \"ERROR\"?"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod buckets;
pub mod expression;
pub mod field;
mod grep;
mod lookup;
mod nearest;
mod network;
mod refusal;
pub mod when;
pub mod words;

pub use buckets::{Buckets, BucketsError, Width};
pub use expression::{BlockFacts, Expression, ExpressionError, Verdict};
pub use field::{FieldPath, FieldValue, Known};
pub use grep::{Grep, GrepOptions};
pub use lookup::object_members;
pub use nearest::nearest;
pub use network::{Network, NetworkError};
pub use refusal::columns;

/// Property tests take the same cases in every run; a failure names the seed of its case.
#[cfg(test)]
fn seeded() -> proptest::test_runner::Config {
    use proptest::test_runner::{Config, RngSeed};
    Config { rng_seed: RngSeed::Fixed(0x106), failure_persistence: None, ..Config::default() }
}
