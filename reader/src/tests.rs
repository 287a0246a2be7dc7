//! Tests of the whole reader.

mod cluster;
mod cursors;
mod damage;
mod equivalence;
mod expression;
mod follow;
mod groups;
mod sources;
mod streams;
mod told;
