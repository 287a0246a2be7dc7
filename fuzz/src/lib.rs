//! The bodies of the fuzz targets.
//!
//! Each takes any bytes and panics where the code that reads them breaks a promise. Checksums keep random
//! bytes away from everything behind them, so that most bodies put right checksums into their input
//! first: a hostile writer does the same.
//!
//! `cargo test` replays the seeds and needs nothing but a stable compiler. To fuzz, build the targets
//! with libFuzzer and the coverage that guides it, also on a stable compiler, and give a target a
//! folder for what it finds besides the seeds:
//!
//! ```text
//! export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Ccodegen-units=1
//!     -Cllvm-args=-sanitizer-coverage-level=4
//!     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
//!     -Cllvm-args=-sanitizer-coverage-pc-table
//!     -Cllvm-args=-sanitizer-coverage-trace-compares"
//! host=x86_64-unknown-linux-gnu
//! cargo build --release --features libfuzzer --bins --target $host
//! mkdir -p corpus/block
//! target/$host/release/block corpus/block seeds/block -max_total_time=60 -max_len=4096
//! ```
//!
//! What a target finds becomes a seed, so that the replay keeps it found.

mod access_log;
mod byte_range;
mod catalogue;
mod expression;
// `live` itself would bring a server's dependencies, half a minute of compiling.
#[path = "../../live/src/model.rs"]
pub mod model;
mod node_logs;
#[path = "../../live/src/range/mod.rs"]
pub mod range;
mod sections;
mod segment;

pub use access_log::{access_log, alert_rule};
pub use byte_range::byte_range;
pub use catalogue::catalogue;
pub use expression::expression;
pub use node_logs::node_logs;
pub use sections::{agreement, records};
pub use segment::{block, file_header, resync};

/// A fuzz target: takes any bytes, panics on a broken promise.
pub type Target = fn(&[u8]);

/// All targets by the names of their seed folders and binaries.
pub const TARGETS: [(&str, Target); 11] = [
    ("access_log", access_log),
    ("agreement", agreement),
    ("alert_rule", alert_rule),
    ("block", block),
    ("byte_range", byte_range),
    ("catalogue", catalogue),
    ("expression", expression),
    ("file_header", file_header),
    ("node_logs", node_logs),
    ("records", records),
    ("resync", resync),
];
