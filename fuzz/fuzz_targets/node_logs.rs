//! Fuzzes [`logq_fuzz::node_logs`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| logq_fuzz::node_logs(data));
