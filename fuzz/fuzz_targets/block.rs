//! Fuzzes [`logq_fuzz::block`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| logq_fuzz::block(data));
