//! Tests of the whole reader.

mod catalogue;
mod cluster;
mod cursors;
mod damage;
mod equivalence;
mod expression;
mod follow;
mod groups;
mod pruning;
mod sections;
mod sources;
mod streams;
mod told;
mod visit;
