//! `--local` and `--foreign`: one side of a socket.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::error::{FilterError, Mistake};
use super::list;
use super::{Network, Ports};
use crate::Endpoint;

/// The accepted values of one side of a socket; anything is accepted if there are none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sides {
    sides: Vec<Side>,
}

/// An address, a network or a host name, a port or a range of ports, or both.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Side {
    place: Place,
    zone: Option<Zone>,
    /// One range; empty accepts any port, also none.
    ports: Ports,
}

/// The interface after `%`: the zone of a link-local address (RFC 4007), or the interface that a socket is bound to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Zone {
    /// The interface as typed: a name or an index.
    name: String,
    /// The interface index; `None` until the name is resolved.
    index: Option<u32>,
}

impl Zone {
    fn read(name: &str, word: &str) -> Result<Zone, FilterError> {
        // The kernel accepts interface names without spaces, slashes and colons (dev_valid_name).
        let plain = !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_graphic())
            && !name.contains(['/', ':', '%', '[', ']', ',']);
        match plain {
            true => Ok(Zone {
                name: name.to_owned(),
                index: name.parse().ok(),
            }),
            false => Err(FilterError::new(word, Mistake::Interface)),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Place {
    Anywhere,
    Network(Network),
    /// A host name in lower case, and the addresses found for it.
    Host(String, Vec<IpAddr>),
}

impl Sides {
    /// Whether everything is accepted.
    pub fn is_empty(&self) -> bool {
        self.sides.is_empty()
    }

    /// Adds every item of `other` that is not present yet.
    pub fn add(&mut self, other: Sides) {
        for side in other.sides {
            if !self.sides.contains(&side) {
                self.sides.push(side);
            }
        }
    }

    /// Returns an iterator over the items.
    pub fn iter(&self) -> impl Iterator<Item = &Side> {
        self.sides.iter()
    }

    /// Whether `end` matches one of the items, or there are none.
    pub fn matches(&self, end: &Endpoint) -> bool {
        self.is_empty() || self.sides.iter().any(|side| side.matches(end))
    }

    /// Returns the host names in the list, in lower case and without duplicates.
    pub fn hosts(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.sides.iter().filter_map(Side::host).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Returns the interface names in the list that are not resolved yet.
    pub(super) fn zones(&self) -> impl Iterator<Item = &str> {
        let zones = self.sides.iter().filter_map(|side| side.zone.as_ref());
        zones.filter(|zone| zone.index.is_none()).map(|zone| zone.name.as_str())
    }

    /// Sets the index of the interface `name`. Until then the name matches nothing.
    pub(super) fn resolve_zone(&mut self, name: &str, index: u32) {
        for zone in self.sides.iter_mut().filter_map(|side| side.zone.as_mut()) {
            if zone.name == name {
                zone.index = Some(index);
            }
        }
    }

    /// Sets the addresses of the host `name`. Until then the name matches nothing.
    pub fn resolve(&mut self, name: &str, found: &[IpAddr]) {
        for side in &mut self.sides {
            if let Place::Host(host, addresses) = &mut side.place
                && host == name
            {
                *addresses = found.iter().map(IpAddr::to_canonical).collect();
            }
        }
    }
}

impl Side {
    /// Returns the networks that are accepted; `None` if every address is, and also sides without one. Empty for a host
    /// name that has not been resolved.
    pub fn networks(&self) -> Option<Vec<Network>> {
        match &self.place {
            Place::Anywhere => None,
            Place::Network(network) => Some(vec![*network]),
            Place::Host(_, addresses) => Some(addresses.iter().copied().map(Network::host).collect()),
        }
    }

    /// Returns the ports that are accepted; empty if any port is.
    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    fn host(&self) -> Option<&str> {
        match &self.place {
            Place::Host(name, _) => Some(name),
            _ => None,
        }
    }

    fn matches(&self, end: &Endpoint) -> bool {
        let place = match &self.place {
            Place::Anywhere => true,
            Place::Network(network) => network.contains(end.address),
            Place::Host(_, addresses) => addresses.contains(&end.address.to_canonical()),
        };
        let zone = self.zone.as_ref().is_none_or(|zone| zone.index == Some(end.scope));
        place && zone && (self.ports.is_empty() || self.ports.contains(end.port))
    }

    /// Parses `ADDRESS`, `NETWORK`, `NAME`, `:PORTS`, or one of the first three followed by `:PORTS`. IPv6 with a port
    /// is written in brackets.
    fn read(word: &str) -> Result<Side, FilterError> {
        let ports = |word: &str| Ports::range(word).map(|range| Ports::join(vec![range]));
        if word.contains('%') {
            return Side::read_zoned(word);
        }
        if let Some(range) = word.strip_prefix(':')
            && !range.starts_with(':')
        {
            return Ok(Side {
                zone: None,
                place: Place::Anywhere,
                ports: ports(range)?,
            });
        }
        if let Some(inner) = word.strip_prefix('[') {
            let (place, rest) = inner
                .split_once(']')
                .ok_or_else(|| FilterError::new(word, Mistake::Side))?;
            // The prefix length of a network may be inside the brackets or after them.
            let (length, range) = match rest.split_once(':') {
                Some((length, range)) => (length, Some(range)),
                None => (rest, None),
            };
            if !(length.is_empty() || length.starts_with('/')) {
                return Err(FilterError::new(word, Mistake::Side));
            }
            return Ok(Side {
                zone: None,
                place: Place::Network(format!("{place}{length}").parse()?),
                ports: range.map(ports).transpose()?.unwrap_or_default(),
            });
        }
        // Two or more colons: an IPv6 address without a port.
        if word.bytes().filter(|byte| *byte == b':').count() > 1 {
            return Ok(Side {
                zone: None,
                place: Place::Network(word.parse()?),
                ports: Ports::default(),
            });
        }
        let (place, range) = match word.split_once(':') {
            Some((place, range)) => (place, Some(range)),
            None => (word, None),
        };
        Ok(Side {
            zone: None,
            place: Place::read(place)?,
            ports: range.map(ports).transpose()?.unwrap_or_default(),
        })
    }

    /// Parses an address with an interface: `fe80::1%eth0`, `[fe80::1%eth0]:80`, `[fe80::1]%eth0:80`,
    /// `192.0.2.1%eth0:80`.
    fn read_zoned(word: &str) -> Result<Side, FilterError> {
        let wrong = || FilterError::new(word, Mistake::Interface);
        let (before, after) = word.split_once('%').ok_or_else(wrong)?;
        let (address, zone, rest) = match before.strip_prefix('[') {
            Some(inner) => match inner.strip_suffix(']') {
                Some(address) => (
                    address,
                    after.split(':').next().unwrap_or_default(),
                    after.split_once(':').map(|(_, rest)| rest),
                ),
                None => {
                    let (zone, rest) = after.split_once(']').ok_or_else(wrong)?;
                    let rest = match rest {
                        "" => None,
                        rest => Some(rest.strip_prefix(':').ok_or_else(wrong)?),
                    };
                    (inner, zone, rest)
                }
            },
            None => match after.split_once(':') {
                Some((zone, rest)) => (before, zone, Some(rest)),
                None => (before, after, None),
            },
        };
        let ports = rest.map(|rest| Ports::range(rest).map(|range| Ports::join(vec![range])));
        let address: IpAddr = address.parse().map_err(|_| FilterError::new(word, Mistake::Address))?;
        Ok(Side {
            place: Place::Network(Network::host(address)),
            zone: Some(Zone::read(zone, word)?),
            ports: ports.transpose()?.unwrap_or_default(),
        })
    }
}

impl Place {
    fn read(word: &str) -> Result<Place, FilterError> {
        // No top-level domain is a number (RFC 3696, 2), so whatever ends in one was meant to be an address.
        let name = word.strip_suffix('.').unwrap_or(word);
        let last = name.rsplit('.').next().unwrap_or_default();
        if word.contains(['/', '%']) || last.bytes().all(|byte| byte.is_ascii_digit()) {
            return match word.is_empty() {
                true => Err(FilterError::new(word, Mistake::Side)),
                false => word.parse().map(Place::Network),
            };
        }
        // RFC 1123, 2.1, and the underscore, which occurs in names on local networks.
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        if name.len() > 253 || !name.split('.').all(label) {
            return Err(FilterError::new(word, Mistake::Host));
        }
        Ok(Place::Host(name.to_ascii_lowercase(), Vec::new()))
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let zone = self
            .zone
            .as_ref()
            .map_or_else(String::new, |zone| format!("%{}", zone.name));
        match &self.place {
            Place::Anywhere => {}
            Place::Network(network) if network.address().is_ipv6() && !self.ports.is_empty() => {
                write!(f, "[{network}{zone}]")?;
            }
            Place::Network(network) => write!(f, "{network}{zone}")?,
            Place::Host(name, _) => f.write_str(name)?,
        }
        match self.ports.is_empty() {
            true => Ok(()),
            false => write!(f, ":{}", self.ports),
        }
    }
}

impl fmt::Display for Sides {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        list(f, self.sides.iter())
    }
}

impl FromStr for Sides {
    type Err = FilterError;

    /// Parses one or more items separated by commas.
    fn from_str(list: &str) -> Result<Sides, FilterError> {
        let mut sides = Sides::default();
        for word in list.split(',') {
            sides.add(Sides {
                sides: vec![Side::read(word)?],
            });
        }
        Ok(sides)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn end(text: &str) -> Endpoint {
        let end: std::net::SocketAddr = text.parse().unwrap();
        Endpoint {
            address: end.ip(),
            port: end.port(),
            scope: 0,
        }
    }

    #[test]
    fn side_matches_address_network_and_port() {
        for (word, side, wanted) in [
            ("203.0.113.7", "203.0.113.7:443", true),
            ("203.0.113.7", "[::ffff:203.0.113.7]:443", true),
            ("203.0.113.7:443", "203.0.113.7:443", true),
            ("203.0.113.7:443", "203.0.113.7:80", false),
            ("10.0.0.0/8:1-1023", "10.9.9.9:22", true),
            ("10.0.0.0/8:1-1023", "10.9.9.9:2222", false),
            (":8000-8010", "[2001:db8::1]:8005", true),
            (":8000-8010", "[2001:db8::1]:80", false),
            ("2001:db8::1", "[2001:db8::1]:80", true),
            ("[2001:db8::1]:80", "[2001:db8::1]:80", true),
            ("[2001:db8::]/32:80", "[2001:db8:1::1]:80", true),
            ("[2001:db8::/32]:80", "[2001:db8:1::1]:81", false),
            ("::1", "[::1]:1", true),
            ("192.0.2.1,:22", "192.0.2.9:22", true),
            ("example.org", "192.0.2.9:22", false),
        ] {
            let sides: Sides = word.parse().unwrap();
            assert_eq!(sides.matches(&end(side)), wanted, "{word} {side}");
        }
    }

    #[test]
    fn side_with_zone_matches_interface_of_that_number() {
        let on = |scope| Endpoint {
            scope,
            ..end("[fe80::1]:80")
        };
        for word in ["fe80::1%3", "[fe80::1%3]:80", "[fe80::1]%3:80"] {
            let sides: Sides = word.parse().unwrap();
            assert_eq!(
                [0, 2, 3].map(|scope| sides.matches(&on(scope))),
                [false, false, true],
                "{word}"
            );
            assert_eq!(sides.zones().count(), 0);
        }
        let mut sides: Sides = "[fe80::1%lan0]:80,192.0.2.1%lan1:80-90".parse().unwrap();
        assert_eq!(sides.zones().collect::<Vec<_>>(), ["lan0", "lan1"]);
        assert!(!sides.matches(&on(3)));
        sides.resolve_zone("lan0", 3);
        assert!(sides.matches(&on(3)) && !sides.matches(&on(4)));
        assert_eq!(sides.to_string(), "[fe80::1%lan0]:80,192.0.2.1%lan1:80-90");
        for word in [
            "fe80::1%",
            "%lan0",
            "10.0.0.0/8%lan0",
            "[fe80::1%lan0",
            "example.org%lan0",
            "fe80::1%a/b",
        ] {
            assert!(word.parse::<Sides>().is_err(), "{word}");
        }
    }

    #[test]
    fn side_with_host_name_matches_once_resolved() {
        let mut sides: Sides = "WWW.Example.org.:443,www.example.org".parse().unwrap();
        assert_eq!(sides.hosts(), ["www.example.org"]);
        sides.resolve("www.example.org", &["::ffff:192.0.2.9".parse().unwrap()]);
        assert!(sides.matches(&end("192.0.2.9:80")));
        assert!(!sides.matches(&end("192.0.2.8:443")));
        assert_eq!(sides.to_string(), "www.example.org:443,www.example.org");
    }

    #[test]
    fn side_that_is_malformed_is_refused_with_reason() {
        for (word, why) in [
            ("", "is no address, network, port or host name"),
            (",", "is no address, network, port or host name"),
            ("1.2.3", "is no IP address"),
            ("1.2.3.4.5", "is no IP address"),
            ("1.2.3.4:0", "is no port from 1 to 65535"),
            (":http", "is no port and no range of ports"),
            (":", "is no port and no range of ports"),
            ("a b", "is no host name"),
            ("example..org", "is no host name"),
            ("[2001:db8::1", "is no address, network, port or host name"),
            ("[2001:db8::1]x", "is no address, network, port or host name"),
            ("2001:db8::1::2", "is no IP address"),
            ("10.0.0.0/40", "has no prefix length from 0 to 32 (IPv4) or 128 (IPv6)"),
            ("80", "is no IP address"),
        ] {
            assert_eq!(word.parse::<Sides>().unwrap_err().why(), why, "{word}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text: String, alike in "[0-9a-z:./,%\\[\\]-]{0,40}") {
            for text in [text, alike] {
                if let Ok(sides) = text.parse::<Sides>() {
                    prop_assert_eq!(sides.to_string().parse(), Ok(sides));
                }
            }
        }
    }
}
