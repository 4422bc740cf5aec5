//! What shells are offered at any place of any line: one answer a line, nothing that a terminal obeys.
#![no_main]

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| {
    let (place, line) = input;
    let words = line.split(|byte| *byte == 0).map(|word| OsString::from_vec(word.to_vec()));
    let words = std::iter::once(OsString::from("netstat")).chain(words).collect();
    let answer = netstat::fuzzing::completions(place / 12, words, usize::from(place % 12));
    assert!(!answer.chars().any(|c| c.is_control() && c != '\n' && c != '\t'), "{answer:?}");
});
