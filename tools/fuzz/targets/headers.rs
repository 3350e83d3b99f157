#![no_main]
//! See `rtrace_tests::fuzz::headers`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| rtrace_tests::fuzz::headers(
    data,
    &rtrace_tests::fuzz::FOLDER
));
