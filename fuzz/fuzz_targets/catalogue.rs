//! Fuzzes [`logq_fuzz::catalogue`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| logq_fuzz::catalogue(data));
