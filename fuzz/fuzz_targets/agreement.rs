//! Fuzzes [`logq_fuzz::agreement`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| logq_fuzz::agreement(data));
