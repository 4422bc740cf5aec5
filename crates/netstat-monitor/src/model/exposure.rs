//! How far a listener can be reached from, judging by its address.

use std::net::IpAddr;

use netstat_model::reach::{is_loopback, is_public};

use crate::sample::SocketRow;

/// Returns how far the address of a listener can be reached from, with a number that increases with the reach. A
/// firewall may still be in between.
pub fn reachable_from(row: &SocketRow) -> (u8, &'static str) {
    let address = row.local.address.to_canonical();
    if is_loopback(address) {
        return (0, "this computer");
    }
    if address.is_unspecified() {
        return (5, "every network");
    }
    if address.is_multicast() {
        return (2, "a multicast group");
    }
    let link = match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    match (link, is_public(address)) {
        (true, _) => (1, "its link"),
        (_, false) => (3, "private networks"),
        (_, true) => (4, "the Internet"),
    }
}
