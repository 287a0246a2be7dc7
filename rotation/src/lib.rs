//! Rotation and retention: which segment is written to, and which ones are deleted.
//!
//! This crate holds the contract; nothing in it is callable yet. A store works without it: loggers
//! create the first segment, and join a new one where they must (see `logq-writer`).
//!
//! # The contract
//!
//! One manager watches a store and keeps it within its limits without ever moving data:
//!
//! * A segment is **rotated** once its size exceeds `log_size_limit / granularity` or its age
//!   exceeds `log_age_limit / granularity`. The new segment is created under the directory lock, as
//!   `logq-directory` does it, with a dictionary trained from the segment before.
//! * Whole segments are **deleted**, the oldest first, so that the store stays within both limits,
//!   give or take one part in `granularity`. A segment is deleted only once every writer has left
//!   it, unless the disk is nearly full.
//! * Order is the segment number, never the time in the name, so that steps of the wall clock
//!   neither hide nor reorder anything.
//! * A second manager on the same store is refused; the first one holds a lock that ends with it.
//! * A manager that ends between any two steps leaves a valid store.
//!
//! | limit | default |
//! |---|---|
//! | `log_size_limit` | 2 GiB |
//! | `log_age_limit` | 1 year |
//! | `granularity` | 20 |
//! | `poll_interval` | 5 s |
