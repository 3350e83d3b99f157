#![no_main]
//! See `rtrace_tests::fuzz::session`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| rtrace_tests::fuzz::session(
    data,
    &rtrace_tests::fuzz::FOLDER
));
