//! Chains, rules and sets of nftables, socket units of systemd and containers of Docker: any bytes give values or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netstat_packages::activation::parse_socket_unit;
use netstat_packages::containers::parse_docker_container;
use netstat_os::linux::packet_filter::{parse_chain, parse_elements, parse_rule, parse_set};

fuzz_target!(|bytes: &[u8]| {
    let _ = parse_chain(bytes);
    let _ = parse_rule(bytes);
    let _ = parse_set(bytes);
    let _ = parse_elements(bytes, &mut Vec::new());
    let _ = parse_docker_container(bytes);
    assert!(parse_socket_unit("x.socket", bytes).listens.len() <= bytes.len());
});
