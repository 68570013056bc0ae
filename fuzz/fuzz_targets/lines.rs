#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| inventory_fuzz_targets::run("lines", data));
