//! The text tables of `/proc/net` and the answers of sock_diag must never panic, whatever stands in them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netstat_model::{Extras, Family, Protocol};
use netstat_os::linux::sockets::{packet, parse_answer, proc_net, unix};

fuzz_target!(|bytes: &[u8]| {
    for (protocol, family) in [(Protocol::Tcp, Family::V4), (Protocol::Tcp, Family::V6), (Protocol::Udp, Family::V6)] {
        let _ = proc_net::parse(bytes, protocol, family, Extras::ALL, &mut |_| {});
    }
    let _ = proc_net::parse_ping(bytes, Family::V4, Extras::ALL, &mut |_| {});
    let _ = packet::parse_table(bytes, Extras::ALL, &mut |_| {});
    let _ = unix::parse_table(bytes, Extras::ALL, &mut |_| {});
    for protocol in Protocol::ALL {
        let _ = parse_answer(bytes, protocol, Extras::ALL);
    }
});
