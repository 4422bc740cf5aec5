//! The reach of addresses, and of listeners.

mod extent;

use std::net::IpAddr;

pub use extent::{Extent, LocalNetwork, VrfAccept, waits};

/// Whether `address` is a loopback address: 127.0.0.0/8 (RFC 1122, 3.2.1.3) or `::1` (RFC 4291, 2.5.3), also in
/// IPv4-mapped form.
pub fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// Whether `address` is public, so that packets to it leave for the Internet. The following are not public:
/// unspecified, loopback, link-local (169.254.0.0/16, RFC 3927; fe80::/10, RFC 4291), private (10.0.0.0/8,
/// 172.16.0.0/12, 192.168.0.0/16, RFC 1918; fc00::/7, RFC 4193), the address space shared by providers (100.64.0.0/10,
/// RFC 6598), "this network" (0.0.0.0/8, RFC 791), broadcast, and multicast that stays within a site. An IPv4-mapped
/// address is treated as its IPv4 address.
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            let shared = first == 100 && second & 0xc0 == 64;
            // Administratively scoped (RFC 2365), and link-local 224.0.0.0/24 (RFC 5771).
            let site_multicast = first == 239 || v4.octets()[..3] == [224, 0, 0];
            !(first == 0
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_private()
                || v4.is_broadcast()
                || shared
                || site_multicast)
        }
        IpAddr::V6(v6) => {
            // Scopes up to organization-local (RFC 4291, 2.7).
            let site_multicast = v6.is_multicast() && v6.octets()[1] & 0x0f <= 8;
            !(v6.is_unspecified()
                || v6.is_loopback()
                || v6.is_unicast_link_local()
                || v6.is_unique_local()
                || site_multicast)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_addresses_are_told_from_private_ones() {
        for (address, public) in [
            ("203.0.113.7", true),
            ("8.8.8.8", true),
            ("2001:db8::1", true),
            ("172.15.255.255", true),
            ("172.32.0.0", true),
            ("100.63.0.1", true),
            ("100.128.0.1", true),
            ("224.0.1.1", true),
            ("ff0e::1", true),
            ("0.0.0.0", false),
            ("0.1.2.3", false),
            ("10.0.0.1", false),
            ("127.255.0.1", false),
            ("169.254.1.1", false),
            ("172.16.0.1", false),
            ("192.168.1.1", false),
            ("100.64.0.1", false),
            ("100.127.255.255", false),
            ("224.0.0.251", false),
            ("239.255.255.250", false),
            ("255.255.255.255", false),
            ("::", false),
            ("::1", false),
            ("fe80::1", false),
            ("fd00::1", false),
            ("ff02::fb", false),
            ("::ffff:10.0.0.1", false),
            ("::ffff:203.0.113.7", true),
        ] {
            assert_eq!(is_public(address.parse().unwrap()), public, "{address}");
        }
    }
}
