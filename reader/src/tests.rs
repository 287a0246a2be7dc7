//! Tests of the whole reader.

mod cluster;
mod damage;
mod equivalence;
mod sources;
mod told;
