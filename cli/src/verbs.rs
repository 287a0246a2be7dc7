//! What the command can do: one module a verb, with its flags on top.

pub(crate) mod completions;
pub(crate) mod import;
pub(crate) mod ingest;
pub(crate) mod man;
pub(crate) mod records;
pub(crate) mod run;
pub(crate) mod stats;
