//! The text tables of `/proc/net` must never panic, whatever stands in them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netstat_model::{Family, Protocol};
use netstat_os::linux::sockets::proc_net;

fuzz_target!(|table: &[u8]| {
    for (protocol, family) in [(Protocol::Tcp, Family::V4), (Protocol::Tcp, Family::V6), (Protocol::Udp, Family::V6)] {
        let _ = proc_net::parse(table, protocol, family, true, &mut |_| {});
    }
});
