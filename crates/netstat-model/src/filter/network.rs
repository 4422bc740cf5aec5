//! Blocks of IP addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::error::{FilterError, Mistake};

/// A block of IP addresses in CIDR notation (RFC 4632; RFC 4291, 2.3). An IPv4-mapped block is treated as its IPv4
/// block, so that every address has one form only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Network {
    /// The first address: the bits after the prefix are 0.
    address: IpAddr,
    /// The prefix length: 0 to 32 for IPv4, 0 to 128 for IPv6.
    length: u8,
}

/// The prefix length of IPv4-mapped addresses (RFC 4291, 2.5.5.2).
const MAPPED: u8 = 96;

impl Network {
    /// Creates the block given by the `length` leading bits of `address`; `None` if the address has fewer bits.
    pub fn new(address: IpAddr, length: u8) -> Option<Network> {
        match address {
            IpAddr::V4(v4) if length <= 32 => {
                let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
                let address = IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask));
                Some(Network { address, length })
            }
            IpAddr::V6(v6) if length <= 128 => {
                if let Some(v4) = v6.to_ipv4_mapped()
                    && length >= MAPPED
                {
                    return Network::new(IpAddr::V4(v4), length - MAPPED);
                }
                let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
                let address = IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask));
                Some(Network { address, length })
            }
            _ => None,
        }
    }

    /// Creates the block that contains only `address`.
    pub fn host(address: IpAddr) -> Network {
        let address = address.to_canonical();
        let length = if address.is_ipv4() { 32 } else { 128 };
        Network { address, length }
    }

    /// Returns the first address of the block.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Returns the prefix length: 0 to 32 (IPv4) or 128 (IPv6).
    pub fn length(&self) -> u8 {
        self.length
    }

    /// Whether the block contains `address`. An IPv4-mapped address is treated as its IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(block), IpAddr::V4(address)) => {
                let different = u64::from(block.to_bits() ^ address.to_bits());
                different >> (32 - self.length) == 0
            }
            (IpAddr::V6(block), IpAddr::V6(address)) => {
                let different = block.to_bits() ^ address.to_bits();
                different.checked_shr(128 - u32::from(self.length)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }

    fn is_host(&self) -> bool {
        self.length == if self.address.is_ipv4() { 32 } else { 128 }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_host() {
            true => write!(f, "{}", self.address),
            false => write!(f, "{}/{}", self.address, self.length),
        }
    }
}

impl FromStr for Network {
    type Err = FilterError;

    /// Parses `ADDRESS` or `ADDRESS/LENGTH`.
    fn from_str(word: &str) -> Result<Network, FilterError> {
        if word.contains('%') {
            return Err(FilterError::new(word, Mistake::Zone));
        }
        let (address, length) = match word.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (word, None),
        };
        let address: IpAddr = address.parse().map_err(|_| FilterError::new(word, Mistake::Address))?;
        let Some(length) = length else {
            return Ok(Network::host(address));
        };
        let digits = (1..=3).contains(&length.len()) && length.bytes().all(|byte| byte.is_ascii_digit());
        digits
            .then(|| length.parse().ok())
            .flatten()
            .and_then(|length| Network::new(address, length))
            .ok_or_else(|| FilterError::new(word, Mistake::PrefixLength))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn network_contains_only_addresses_of_its_block() {
        for (block, address, inside) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("0.0.0.0/0", "203.0.113.7", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::/0", "2001:db8::1", true),
            ("::/0", "203.0.113.7", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::", false),
            ("203.0.113.7", "203.0.113.7", true),
            ("203.0.113.7", "203.0.113.8", false),
            ("::ffff:192.0.2.0/120", "192.0.2.200", true),
            ("::ffff:192.0.2.0/120", "192.0.3.200", false),
        ] {
            let block: Network = block.parse().unwrap();
            assert_eq!(block.contains(address.parse().unwrap()), inside, "{block} {address}");
        }
    }

    #[test]
    fn network_text_keeps_only_prefix_bits_and_errors_say_why() {
        for (typed, shown) in [
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("10.1.2.3/32", "10.1.2.3"),
            ("::ffff:10.1.2.3/104", "10.0.0.0/8"),
            ("::ffff:10.1.2.3", "10.1.2.3"),
            ("2001:DB8::1/64", "2001:db8::/64"),
        ] {
            assert_eq!(typed.parse::<Network>().unwrap().to_string(), shown);
        }
        for (wrong, why) in [
            ("10.0.0.0/33", "has no prefix length"),
            ("10.0.0.0/", "has no prefix length"),
            ("10.0.0.0/+8", "has no prefix length"),
            ("10.0.0/8", "is no IP address"),
            ("fe80::1%eth0", "names a zone"),
            ("", "is no IP address"),
        ] {
            let error = wrong.parse::<Network>().unwrap_err();
            assert!(error.why().starts_with(why), "{error}");
        }
    }

    proptest! {
        #[test]
        fn printed_and_read_it_is_the_same(bits: u128, v4: bool, length in 0..=128u8) {
            let address = if v4 { IpAddr::V4(Ipv4Addr::from_bits(bits as u32)) } else { IpAddr::V6(Ipv6Addr::from_bits(bits)) };
            if let Some(network) = Network::new(address, length) {
                prop_assert!(network.contains(address));
                prop_assert_eq!(network.to_string().parse(), Ok(network));
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text: String, alike in "[0-9a-f:./%]{0,24}") {
            let _ = text.parse::<Network>();
            let _ = alike.parse::<Network>();
        }
    }
}
