//! Tests of the whole reader: answers compared with those of a model that decodes everything.

mod cluster;
mod damage;
mod equivalence;
mod model;
mod sources;
