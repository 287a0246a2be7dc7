//! Traffic watched: lines of access logs go in, summaries, series and alerts come out.
//!
//! This crate is a pure fold. It opens no file and no socket, starts no thread and reads no clock: a
//! replay depends on nothing but the bytes, however they are cut into pieces and in whatever order
//! sources are read. Whoever follows growing files tells it how late it is, and writes what it says
//! to wherever it shall go.
//!
//! ```text
//!  bytes -> Input ----------------------------> Monitor ------------------------> Output
//!           Lines, Format, LineParser -> Hit     clock, tracks, intervals, alerts    render
//! ```
//!
//! | from the outside in | |
//! |---|---|
//! | one source: pieces of bytes, rotation, truncation, its end | [`Input`] |
//! | the same on several cores | [`Input::push_spread`], [`Task`], [`Batch`] |
//! | a store: requests and responses as records, paired | [`Slice`], [`Exchange`], [`Leg`] |
//! | all sources: time, seconds, intervals, alerts | [`Monitor`], [`Options`] |
//! | when alerts fire | [`Rule`], [`Rule::parse`] |
//! | what is said | [`Output`], [`Summary`], [`Transition`], [`Point`] |
//! | as lines of text, in the seed's words | [`render`] |
//! | going on in a later run | [`Monitor::save`], [`Saved`], [`Monitor::restore`], [`Exchange::save`] |
//! | what was wrong | [`Report`], [`InputError`], [`Explanation`] |
//! | how lines are written | [`Format`], [`LineParser`], [`Template`] |
//! | one request | [`Hit`], [`Target`] |
//! | counting in bounded memory | [`Sketch`], [`TopList`] |
//! | the series that a store keeps, written and read | [`series`] |
//!
//! # Time
//!
//! A source's lines may be out of order by the lateness, 5 seconds. When its newest line is of second
//! E, the seconds before E - 5 are complete; when that holds for all sources, they are closed one by
//! one. At the closing of a second its average over the window is compared: above the threshold an
//! alert fires, below it recovers, exactly there nothing changes. The divisor is always the whole
//! window. What is said is never taken back: a late line counts in all that is still to come.
//!
//! A line far ahead waits until others confirm it, so that one wrong year does not close everything.
//! After a gap the seconds in between are closed as well, so a recovery has the second in which the
//! average fell. At the end of the input nothing is said of the time after the last line.
//!
//! # Example
//!
//! ```
//! use logq_monitor::render::{self, Style};
//! use logq_monitor::{Input, InputOptions, Monitor, Options, Rule};
//!
//! let rules = vec![Rule::high_traffic(1.0, 3), Rule::parse("error_ratio > 50%", 3)?];
//! let mut monitor = Monitor::new(Options { rules, ..Options::default() });
//! let mut input = Input::new(monitor.open("access.csv"), InputOptions::default());
//!
//! let log = r#""remotehost","rfc931","authuser","date","request","status","bytes"
//! "10.0.0.2","-","apache",1549573860,"GET /api/user HTTP/1.0",200,1000
//! "10.0.0.4","-","apache",1549573861,"GET /api/user HTTP/1.0",200,2000
//! "10.0.0.4","-","apache",1549573861,"GET /report HTTP/1.0",404,50
//! "10.0.0.1","-","apache",1549573861,"GET /api/help HTTP/1.0",200,1000
//! "10.0.0.1","-","apache",1549573866,"GET /api/help HTTP/1.0",200,1000
//! "#;
//! let mut lines = vec![render::started("access.csv").to_string()];
//! for piece in log.as_bytes().chunks(100) {
//!     input.push(piece, &mut monitor)?;
//! }
//! input.finish(&mut monitor)?;
//! monitor.end();
//! let rules = monitor.options().rules.clone();
//! for output in monitor.drain() {
//!     lines.extend(render::output(&output, &rules, Style::SEED).map(|line| line.to_string()));
//! }
//! assert_eq!(
//!     lines,
//!     [
//!         "INFO Start monitoring access.csv",
//!         "ERROR High traffic generated an alert - hits = 1.33 requests per second, triggered at 1549573861",
//!         "SUCCESS Traffic has stabilized - hits = 0.00 requests per second, recovered at 1549573864",
//!         "INFO 1549573866\t1010.00\t/api",
//!     ]
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod alert;
mod bucket;
mod clock;
mod escape;
mod exchange;
mod hashing;
mod hit;
mod input;
mod interval;
mod lines;
mod monitor;
mod options;
mod output;
mod parse;
pub mod render;
mod report;
mod rule;
mod saved;
pub mod series;
mod sketch;
mod statuses;
mod tally;
mod top;
mod track;

pub use self::alert::Change;
pub use self::bucket::Counts;
pub use self::clock::SourceId;
pub use self::exchange::{
    BlockOfSteps, Exchange, ExchangeOptions, Leg, Needs, OpenRequest, Slice, Told,
};
pub use self::hit::{Hit, NAME_BYTES_MAX, Target};
pub use self::input::{Batch, Input, InputError, InputOptions, Task};
pub use self::interval::{Summary, TopLists};
pub use self::lines::{EXCERPT_BYTES, Line, Lines};
pub use self::monitor::{Monitor, Saved};
pub use self::options::{Align, Limits, Lists, Options};
pub use self::output::{Output, Point, Transition};
pub use self::parse::detect::{Explanation, FailedLine};
pub use self::parse::{Format, LineParser, ParseError, Parsed, Reason, Template, TemplateError};
pub use self::report::{BadLine, BadLines, EXAMPLES, Example, Report, Stray};
pub use self::rule::{Measure, Rule, RuleError, Side};
pub use self::sketch::Sketch;
pub use self::top::{TopEntry, TopList};
