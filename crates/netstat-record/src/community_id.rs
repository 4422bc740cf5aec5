//! Community ID: an identifier of connections shared with Zeek, Suricata and Elastic.
//!
//! Version 1 with seed 0: <https://github.com/corelight/community-id-spec>.

use std::net::IpAddr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use netstat_model::Protocol;
use sha1::{Digest, Sha1};

use crate::flow::Flow;

/// Returns the Community ID of a connection between two sides; `None` if there is no foreign side, and for protocols
/// other than TCP and UDP.
pub fn community_id(protocol: Protocol, local: (IpAddr, u16), foreign: (IpAddr, u16)) -> Option<String> {
    // The protocol numbers of RFC 790.
    let number = match protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
        _ => return None,
    };
    let (local, foreign) = ((local.0.to_canonical(), local.1), (foreign.0.to_canonical(), foreign.1));
    if foreign.1 == 0 || foreign.0.is_unspecified() {
        return None;
    }
    let (smaller, larger) = if local < foreign {
        (local, foreign)
    } else {
        (foreign, local)
    };
    let mut hash = Sha1::new();
    hash.update([0, 0]);
    for (address, _) in [smaller, larger] {
        match address {
            IpAddr::V4(v4) => hash.update(v4.octets()),
            IpAddr::V6(v6) => hash.update(v6.octets()),
        }
    }
    hash.update([number, 0]);
    hash.update(smaller.1.to_be_bytes());
    hash.update(larger.1.to_be_bytes());
    Some(format!("1:{}", BASE64_STANDARD.encode(hash.finalize())))
}

impl Flow {
    /// Returns the Community ID of the flow; `None` for a listener.
    pub fn community_id(&self) -> Option<String> {
        community_id(self.protocol, self.local, self.foreign)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn community_id_from_either_side_matches_specification_examples() {
        // The baseline of the specification's repository: TCP, UDP, IPv6.
        for (protocol, one, other, id) in [
            (
                Protocol::Tcp,
                ("128.232.110.120", 34_855),
                ("66.35.250.204", 80),
                "1:LQU9qZlK+B5F3KDmev6m5PMibrg=",
            ),
            (
                Protocol::Udp,
                ("192.168.1.52", 54_585),
                ("8.8.8.8", 53),
                "1:d/FP5EW3wiY1vCndhwleRRKHowQ=",
            ),
        ] {
            let side = |(address, port): (&str, u16)| (address.parse().unwrap(), port);
            let (one, other) = (side(one), side(other));
            assert_eq!(community_id(protocol, one, other).as_deref(), Some(id));
            assert_eq!(community_id(protocol, other, one).as_deref(), Some(id));
        }
    }

    #[test]
    fn community_id_of_mapped_address_equals_ipv4_and_of_listener_is_none() {
        let side = |address: &str, port| (address.parse().unwrap(), port);
        let plain = community_id(Protocol::Tcp, side("192.0.2.1", 1), side("192.0.2.2", 2));
        let mapped = community_id(Protocol::Tcp, side("::ffff:192.0.2.1", 1), side("::ffff:192.0.2.2", 2));
        assert_eq!(plain, mapped);
        assert_eq!(
            community_id(Protocol::Tcp, side("0.0.0.0", 22), side("0.0.0.0", 0)),
            None
        );
    }
}
