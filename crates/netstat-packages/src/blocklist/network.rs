//! Addresses and networks, as written in lists.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network: an address and a prefix length. A single address has the full length. The bits after the prefix are zero,
/// and an IPv4-mapped address (RFC 4291, 2.5.5.2) is stored as IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Network {
    address: IpAddr,
    length: u8,
}

/// Why a network is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Special(pub(super) &'static str);

/// Ranges that every machine communicates with, from the special-purpose registries of IANA (RFC 6890). A network that
/// contains one of them entirely comes from a list of unroutable addresses.
const RESERVED: &[(IpAddr, u8)] = &[
    (v4(0, 0, 0, 0), 8),
    (v4(10, 0, 0, 0), 8),
    (v4(100, 64, 0, 0), 10),
    (v4(127, 0, 0, 0), 8),
    (v4(169, 254, 0, 0), 16),
    (v4(172, 16, 0, 0), 12),
    (v4(192, 168, 0, 0), 16),
    (v4(224, 0, 0, 0), 4),
    (v6(0), 128),
    (v6(1), 128),
    (v6(0xfc00 << 112), 7),
    (v6(0xfe80 << 112), 10),
    (v6(0xff00 << 112), 8),
];

/// Ranges of which no address can belong to a remote machine.
const NEVER: &[(IpAddr, u8)] = &[
    (v4(0, 0, 0, 0), 8),
    (v4(127, 0, 0, 0), 8),
    (v4(224, 0, 0, 0), 4),
    (v4(255, 255, 255, 255), 32),
    (v6(0xff00 << 112), 8),
];

const fn v4(a: u8, b: u8, c: u8, d: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

const fn v6(bits: u128) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from_bits(bits))
}

impl Network {
    /// Creates the network of `address` with a prefix of `length` bits; `None` if the length exceeds that of the
    /// address.
    pub fn new(address: IpAddr, length: u8) -> Option<Network> {
        match address {
            IpAddr::V4(v4) => (length <= 32).then(|| Network {
                address: Ipv4Addr::from_bits(v4.to_bits() & mask_v4(length)).into(),
                length,
            }),
            IpAddr::V6(v6) if length > 128 || (length >= 96 && v6.to_ipv4_mapped().is_some()) => {
                Network::new(v6.to_ipv4_mapped()?.into(), length.checked_sub(96)?)
            }
            IpAddr::V6(v6) => Some(Network {
                address: Ipv6Addr::from_bits(v6.to_bits() & mask_v6(length)).into(),
                length,
            }),
        }
    }

    /// Creates the network that contains only this address.
    pub fn host(address: IpAddr) -> Network {
        let address = address.to_canonical();
        Network {
            address,
            length: full(address),
        }
    }

    /// Returns the first address.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Returns the prefix length in bits, up to 32 or 128.
    pub fn length(&self) -> u8 {
        self.length
    }

    /// Whether the network contains the address, which may be IPv4-mapped.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => other.to_bits() & mask_v4(self.length) == own.to_bits(),
            (IpAddr::V6(own), IpAddr::V6(other)) => other.to_bits() & mask_v6(self.length) == own.to_bits(),
            _ => false,
        }
    }

    /// Returns why the network is of no use in a block list; `None` if it is useful.
    pub(super) fn special(&self) -> Option<Special> {
        let covers = |(address, length): &(IpAddr, u8)| self.length <= *length && self.contains(*address);
        let within = |(address, length): &(IpAddr, u8)| {
            Network::new(*address, *length)
                .is_some_and(|network| network.length <= self.length && network.contains(self.address))
        };
        if RESERVED.iter().any(covers) {
            Some(Special("covers a whole range of private, local or reserved addresses"))
        } else if NEVER.iter().any(within) {
            Some(Special("can be no foreign address"))
        } else {
            None
        }
    }

    /// Parses `ADDRESS`, `ADDRESS/LENGTH` or `ADDRESS/NETMASK`.
    pub(super) fn parse(word: &str) -> Result<Network, &'static str> {
        let Some((address, length)) = word.split_once('/') else {
            return address(word).map(Network::host);
        };
        let address = address_of(address)?;
        let length = match length.parse::<u8>() {
            // A sign is not allowed, although `parse` accepts one.
            Ok(length) if length_digits(word) => length,
            _ => match length.parse::<Ipv4Addr>().map(|mask| mask.to_bits()) {
                Ok(mask) if mask.leading_ones() + mask.trailing_zeros() == 32 || mask == 0 => mask.leading_ones() as u8,
                _ => return Err("no prefix length behind the slash"),
            },
        };
        Network::new(address, length).ok_or("prefix longer than the address")
    }

    /// Returns the networks that together cover the addresses from `first` to `last`: at most 62 for IPv4, 254 for
    /// IPv6.
    pub(super) fn range(first: IpAddr, last: IpAddr) -> Result<Vec<Network>, &'static str> {
        let (mut from, to, bits) = match (first.to_canonical(), last.to_canonical()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (u128::from(a.to_bits()), u128::from(b.to_bits()), 32),
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits(), 128),
            _ => return Err("range of two families"),
        };
        if from > to {
            return Err("range that ends before it begins");
        }
        let mut networks = Vec::new();
        loop {
            // Find the largest block that begins here and does not exceed the range.
            let mut size = from.trailing_zeros().min(bits);
            while size > 0 && (size == 128 || from + ((1 << size) - 1) > to) {
                if size == 128 && to == u128::MAX {
                    break;
                }
                size -= 1;
            }
            let address = match bits {
                32 => Ipv4Addr::from_bits(from as u32).into(),
                _ => Ipv6Addr::from_bits(from).into(),
            };
            networks.extend(Network::new(address, (bits - size) as u8));
            let step = if size == 128 { None } else { from.checked_add(1 << size) };
            match step {
                Some(next) if next <= to => from = next,
                _ => return Ok(networks),
            }
        }
    }
}

fn length_digits(word: &str) -> bool {
    word.rsplit('/')
        .next()
        .is_some_and(|length| length.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Returns the netmask of an IPv4 prefix.
pub(super) fn mask_v4(length: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(length.min(32))).unwrap_or(0)
}

/// Returns the netmask of an IPv6 prefix.
pub(super) fn mask_v6(length: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(length.min(128))).unwrap_or(0)
}

fn full(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

pub(super) use address_of as address;

/// Parses a bare address.
pub(super) fn address_of(word: &str) -> Result<IpAddr, &'static str> {
    word.parse().map_err(|_| "no address or network")
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.length == full(self.address) {
            write!(f, "{}", self.address)
        } else {
            write!(f, "{}/{}", self.address, self.length)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(word: &str) -> String {
        Network::parse(word).map_or_else(str::to_owned, |network| network.to_string())
    }

    #[test]
    fn network_in_each_notation_is_read_or_refused_with_reason() {
        for (word, network) in [
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.77/24", "192.0.2.0/24"),
            ("192.0.2.1/32", "192.0.2.1"),
            ("192.0.2.0/255.255.255.128", "192.0.2.0/25"),
            ("2001:db8::1/32", "2001:db8::/32"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
            ("::/0", "::/0"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("192.0.2.0/33", "prefix longer than the address"),
            ("::/129", "prefix longer than the address"),
            ("::ffff:192.0.2.0/129", "prefix longer than the address"),
            ("192.0.2.0/", "no prefix length behind the slash"),
            ("192.0.2.0/+8", "no prefix length behind the slash"),
            ("192.0.2.0/255.0.255.0", "no prefix length behind the slash"),
            ("192.0.2", "no address or network"),
            ("192.0.2.256", "no address or network"),
            ("", "no address or network"),
        ] {
            assert_eq!(shown(word), network, "{word}");
        }
    }

    #[test]
    fn network_that_every_machine_talks_to_is_special() {
        let special = |word: &str| Network::parse(word).unwrap().special().is_some();
        for word in [
            "10.0.0.0/8",
            "0.0.0.0/0",
            "192.168.0.0/16",
            "8.0.0.0/5",
            "127.0.0.1",
            "0.0.0.0",
            "224.0.0.251",
            "::/0",
            "::1",
            "fe80::/10",
            "fc00::/7",
            "ff02::1",
            "255.255.255.255",
            "::ffff:127.0.0.1",
        ] {
            assert!(special(word), "{word}");
        }
        // Narrower networks are listed on purpose.
        for word in [
            "10.1.2.3",
            "192.168.7.0/24",
            "203.0.113.0/24",
            "1.0.0.0/8",
            "fe80::1",
            "fd00::/8",
            "2001:db8::/32",
        ] {
            assert!(!special(word), "{word}");
        }
    }

    #[test]
    fn address_range_becomes_networks() {
        let shown = |first: &str, last: &str| -> Vec<String> {
            Network::range(first.parse().unwrap(), last.parse().unwrap())
                .unwrap()
                .iter()
                .map(Network::to_string)
                .collect()
        };
        assert_eq!(shown("192.0.2.0", "192.0.2.255"), ["192.0.2.0/24"]);
        assert_eq!(
            shown("192.0.2.1", "192.0.2.4"),
            ["192.0.2.1", "192.0.2.2/31", "192.0.2.4"]
        );
        assert_eq!(shown("0.0.0.0", "255.255.255.255"), ["0.0.0.0/0"]);
        assert_eq!(shown("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), ["::/0"]);
        assert_eq!(shown("2001:db8::", "2001:db8::1"), ["2001:db8::/127"]);
        assert!(Network::range("192.0.2.2".parse().unwrap(), "192.0.2.1".parse().unwrap()).is_err());
        assert!(Network::range("192.0.2.2".parse().unwrap(), "::1".parse().unwrap()).is_err());
    }

    proptest! {
        #[test]
        fn network_of_any_text_never_panics(word: String) {
            let _ = Network::parse(&word);
        }

        #[test]
        fn network_printed_reads_back_unchanged(bits: u128, length in 0..=128u8, v4: bool) {
            let network = match v4 {
                true => Network::new(Ipv4Addr::from_bits(bits as u32).into(), length % 33),
                false => Network::new(Ipv6Addr::from_bits(bits).into(), length),
            }.unwrap();
            prop_assert_eq!(Network::parse(&network.to_string()), Ok(network));
        }

        #[test]
        fn address_range_is_covered_exactly_once(first: u32, length in 0..5000u32, probe in 0..7000u32) {
            let last = first.saturating_add(length);
            let networks = Network::range(Ipv4Addr::from_bits(first).into(), Ipv4Addr::from_bits(last).into()).unwrap();
            let probe = first.wrapping_sub(1000).wrapping_add(probe);
            let times = networks.iter().filter(|network| network.contains(Ipv4Addr::from_bits(probe).into())).count();
            prop_assert_eq!(times, usize::from((first..=last).contains(&probe)));
        }

        #[test]
        fn address_range_of_ipv6_gives_at_most_254_networks(first: u128, last: u128) {
            if let Ok(networks) = Network::range(Ipv6Addr::from_bits(first).into(), Ipv6Addr::from_bits(last).into()) {
                prop_assert!(networks.len() <= 254);
            }
        }
    }
}
