//! What the tests share: records, segments made of them, and a way to read them back.

pub(crate) mod kinds;
pub(crate) mod reading;
pub(crate) mod records;
pub(crate) mod segment;
