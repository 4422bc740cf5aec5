//! The parsers of counters: /proc/net/snmp, netstat, snmp6 and dev, and the link dump of rtnetlink.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netstat_os::linux::counters::{links, procdev, snmp};

fuzz_target!(|data: &[u8]| {
    // What is printed must be safe for a terminal, so names must come out escaped.
    for parsed in [snmp::pairs(data), snmp::snmp6(data)] {
        assert!(parsed.trouble.is_some() || !parsed.groups.is_empty());
        for group in &parsed.groups {
            assert!(!group.name.chars().any(char::is_control));
            assert!(group.counters.iter().all(|counter| !counter.name.chars().any(char::is_control)));
        }
    }
    let _ = procdev::parse(data);
    let mut found = Vec::new();
    let _ = links::decode(data, 0, &mut false, &mut found);
});
