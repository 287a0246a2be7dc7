//! Fuzzes [`logq_fuzz::access_log`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| logq_fuzz::access_log(data));
