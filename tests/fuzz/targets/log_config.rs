#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| supervise_tree_fuzz::log_config::check(bytes));
