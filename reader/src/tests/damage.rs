//! Damage is told beside the records.
