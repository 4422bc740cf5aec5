//! Any bytes as `/etc/services`: no panic, and every name can be printed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netstat_model::{Protocol, text};
use netstat_names::Services;

fuzz_target!(|content: &[u8]| {
    let services = Services::with_file(content);
    // Every port that the content may speak of.
    for digits in content.split(|byte| !byte.is_ascii_digit()) {
        let Some(port) = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()) else {
            continue;
        };
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let Some(name) = services.name(protocol, port) else {
                continue;
            };
            assert_eq!(text::escape_str(name), name);
            assert!(name.parse::<u16>().is_err());
            let _ = services.description(protocol, port);
        }
    }
});
