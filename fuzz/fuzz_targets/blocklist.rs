//! Any bytes as a block list: no panic, everything is counted, and what is named can be printed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netstat_model::text;
use netstat_packages::blocklist::BlockList;

fuzz_target!(|content: &[u8]| {
    let mut list = BlockList::default();
    let report = list.add("fuzz", content);
    assert!(report.first.len() <= report.bad + report.special);
    assert!(report.first.iter().all(|bad| text::escape_str(&bad.text) == bad.text));
    let report = list.add("again", content);
    assert_eq!((report.networks, report.names), (0, 0), "the same list has nothing new");
    // Every address that the content may speak of.
    for word in content.split(|byte| !byte.is_ascii_hexdigit() && !b".:".contains(byte)) {
        let Some(address) = std::str::from_utf8(word).ok().and_then(|word| word.parse().ok()) else {
            continue;
        };
        if let Some(hit) = list.find(address, Some(443)) {
            assert!(hit.network.is_some_and(|network| network.contains(address)));
            let label = hit.label.unwrap_or_default();
            assert_eq!(text::escape_str(label), label);
        }
    }
});
