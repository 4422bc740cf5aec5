//! The texts and links below `/proc/PID` of one process: any bytes give values.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netstat_os::linux::process::{
    parse_arguments, parse_cgroup_path, parse_descriptor, parse_environment, parse_executable_mappings, parse_memory,
    parse_namespace,
    parse_status,
};

fuzz_target!(|text: &[u8]| {
    parse_status(text);
    let _ = parse_memory(text);
    parse_descriptor(text);
    parse_namespace(text);
    assert!(parse_arguments(text).iter().map(Vec::len).sum::<usize>() <= text.len());
    assert!(parse_environment(text).iter().map(Vec::len).sum::<usize>() <= text.len());
    assert!(parse_cgroup_path(text).is_none_or(|path| path.len() <= text.len()));
    assert!(parse_executable_mappings(text).len() <= text.len());
});
