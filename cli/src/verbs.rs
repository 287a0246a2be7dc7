//! What the command can do: one module a verb, with its flags on top.

pub(crate) mod completions;
pub(crate) mod diff;
pub(crate) mod errors;
pub(crate) mod export;
pub(crate) mod hist;
pub(crate) mod import;
pub(crate) mod inflight;
pub(crate) mod ingest;
pub(crate) mod man;
pub(crate) mod monitor;
pub(crate) mod records;
pub(crate) mod repair;
pub(crate) mod run;
#[cfg(feature = "serve")]
pub(crate) mod serve;
pub(crate) mod stats;
pub(crate) mod tail;
pub(crate) mod top;
pub(crate) mod trace;
pub(crate) mod verify;
pub(crate) mod wait;
pub(crate) mod workers;
