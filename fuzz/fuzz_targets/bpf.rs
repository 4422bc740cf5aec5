//! The types of a kernel and the objects of our programs for it, with any bytes changed: fitted or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netstat_os::fuzzing::{btf, object};

const OBJECTS: [(&[u8], &str, &str); 2] = [
    (
        include_bytes!("../../crates/netstat-os/bpf/events.bpf.o"),
        "tp_btf/inet_sock_set_state",
        "btf_trace_inet_sock_set_state",
    ),
    (
        include_bytes!("../../crates/netstat-os/bpf/events.bpf.o"),
        "fexit/inet_csk_accept",
        "inet_csk_accept",
    ),
];

fuzz_target!(|input: (Vec<(u32, u8)>, &[u8])| {
    let (changes, types) = input;
    btf(types);
    // A header that leads to the rest: magic, version, flags, length, types, strings (linux/btf.h).
    let half = u32::try_from(types.len() / 2).unwrap_or(0);
    let numbers = [24, 0, half, half, half];
    let mut whole = vec![0x9f, 0xeb, 1, 0];
    numbers.iter().for_each(|number: &u32| whole.extend_from_slice(&number.to_le_bytes()));
    whole.extend_from_slice(types);
    btf(&whole);
    for (original, section, attach_to) in OBJECTS {
        let mut bytes = original.to_vec();
        for (at, byte) in &changes {
            let at = *at as usize % bytes.len();
            bytes[at] = *byte;
        }
        object(&bytes, &whole, section, attach_to);
    }
});
