//! The bodies of the fuzz targets.
//!
//! Each takes any bytes and panics where the format crate breaks a promise. Checksums keep random
//! bytes away from everything behind them, so that most bodies put right checksums into their input
//! first: a hostile writer does the same.

mod sections;
mod segment;

pub use sections::{agreement, records};
pub use segment::{block, file_header, resync};

/// A fuzz target: takes any bytes, panics on a broken promise.
pub type Target = fn(&[u8]);

/// All targets by the names of their seed folders and binaries.
pub const TARGETS: [(&str, Target); 5] = [
    ("agreement", agreement),
    ("block", block),
    ("file_header", file_header),
    ("records", records),
    ("resync", resync),
];
