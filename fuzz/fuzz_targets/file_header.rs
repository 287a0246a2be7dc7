//! Fuzzes [`logq_fuzz::file_header`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| logq_fuzz::file_header(data));
