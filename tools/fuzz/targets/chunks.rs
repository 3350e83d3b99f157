#![no_main]
//! See `rtrace_tests::fuzz::chunks`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| rtrace_tests::fuzz::chunks(
    data,
    &rtrace_tests::fuzz::FOLDER
));
