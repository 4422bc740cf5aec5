//! What a ClickHouse answers: any bytes give rows, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netstat_fleet::fuzzing::answer;

fuzz_target!(|bytes: &[u8]| {
    answer(bytes, None);
    answer(bytes, Some("abcdefghijklmnop"));
});
