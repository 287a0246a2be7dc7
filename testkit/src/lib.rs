//! What the tests and benches of logq share: data to write and models to compare with.
//!
//! | | |
//! |---|---|
//! | realistic traffic of a cluster, record by record | [`traffic`] |
//! | the same traffic as other programs log it | [`access_log`] |
//! | the same traffic as one encoded segment | [`segment`] |
//! | a small segment of a great many records | [`bomb`] |
//! | random histories of a cluster, with all that can go wrong | [`cluster`] |
//! | the files of the Node package `super-server-logs` | [`node_logs`] |
//! | whether the claims of a segment are true | [`claims`] |
//! | a reader that decodes everything, as a model | [`naive`] |
//! | what a traffic monitor must say, by brute force | [`monitor_oracle`] |
//! | questions of `--where`, with naive answers | [`question`] |
//!
//! Nothing here depends on the writer or the reader, so that neither is tested against itself.
//! Everything is a function of a seed: the same seed gives the same bytes on every platform.

pub mod access_log;
pub mod bomb;
pub mod claims;
pub mod cluster;
pub mod monitor_oracle;
pub mod naive;
pub mod node_logs;
pub mod question;
pub mod segment;
pub mod traffic;
