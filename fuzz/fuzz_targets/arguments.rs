//! Any command line: never a panic, and a refusal is one printable line. Words are divided by NUL bytes, as in a process.
#![no_main]

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use libfuzzer_sys::fuzz_target;
use netstat::registry::parse;

fuzz_target!(|line: &[u8]| {
    let words = line.split(|byte| *byte == 0).map(|word| OsString::from_vec(word.to_vec()));
    if let Err(error) = parse(words) {
        let error = error.to_string();
        assert!(!error.is_empty() && !error.chars().any(char::is_control), "{error:?}");
    }
});
