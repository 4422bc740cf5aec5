//! Everything that comes from the kernel's routing side: a datagram of messages, each given to every parser.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netstat_os::linux::routes::{Messages, parse_address, parse_link, parse_names, parse_next_hop, parse_promiscuity, parse_route};

fuzz_target!(|bytes: &[u8]| {
    let payloads = Messages(bytes).filter_map(Result::ok).map(|message| message.payload);
    // The bytes themselves, too: a fuzzer finds parsers sooner than it finds message headers.
    for payload in payloads.chain([bytes]) {
        let _ = parse_route(payload);
        let _ = parse_link(payload);
        let _ = parse_address(payload);
        let _ = parse_next_hop(payload);
        let _ = parse_promiscuity(payload);
    }
    parse_names(bytes, &mut Default::default());
});
