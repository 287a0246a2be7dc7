//! Fuzzes [`logq_fuzz::expression`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| logq_fuzz::expression(data));
