#![no_main]
//! See `rtrace_tests::fuzz::trace`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| rtrace_tests::fuzz::trace(
    data,
    &rtrace_tests::fuzz::FOLDER
));
