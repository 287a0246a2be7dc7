//! Where the bytes come from does not matter.
