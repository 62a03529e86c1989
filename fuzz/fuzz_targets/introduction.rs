#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| torque_fuzz_targets::introduction(data));
