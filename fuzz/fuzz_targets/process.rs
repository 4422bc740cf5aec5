//! The texts of `/proc/PID/stat` and `/proc/PID/cgroup`: any bytes give values or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netstat_model::Component;
use netstat_os::linux::owners::{components, parse_stat};

fuzz_target!(|text: &[u8]| {
    if let Ok(stat) = parse_stat(text) {
        // The name is the part between the first opening and the last closing parenthesis.
        assert!(stat.comm.len() + 2 <= text.len());
    }
    for component in components(text) {
        match &component {
            Component::Unit { name, .. } => assert!(!name.is_empty() && name.len() < 256),
            Component::Container { id, .. } => assert!(!id.is_empty()),
            Component::Service { .. } | Component::Package { .. } => panic!("{component:?} is of Windows"),
        }
    }
});
