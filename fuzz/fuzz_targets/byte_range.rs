//! Fuzzes [`logq_fuzz::byte_range`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| logq_fuzz::byte_range(data));
