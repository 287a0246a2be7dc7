//! Fuzzes [`logq_fuzz::alert_rule`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| logq_fuzz::alert_rule(data));
