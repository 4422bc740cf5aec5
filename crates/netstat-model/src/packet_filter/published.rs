//! Ports that packet filter rules forward (`dnat`, `redirect`): reachable although no socket is bound to them.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::condition::{Condition, FilterPath, Translated};
use super::evaluator::Arrival;
use super::rules::Step;
use super::{Chain, PacketFilter};
use crate::{Fact, Network, Why};

/// The maximum number of different ports that are evaluated. Each requires a walk through all rules.
const MOST_PORTS: usize = 4096;

/// The IP protocol numbers that are evaluated: TCP and UDP (IANA "Assigned Internet Protocol Numbers").
const PROTOCOLS: [u8; 2] = [6, 17];

/// A port or a range of ports that is forwarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The IP protocol number.
    pub protocol: u8,
    /// Whether it is IPv6; otherwise it is IPv4.
    pub v6: bool,
    /// The inclusive range of ports.
    pub ports: (u16, u16),
    /// The destination addresses that it applies to; `None` for all.
    pub address: Option<Network>,
    /// The new destination.
    pub to: Translated,
    /// Further conditions, such as an inbound interface or a source network. Escape before printing.
    pub conditions: FilterPath,
}

/// All forwarded ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublishedPorts {
    /// The ports, ordered by protocol and number.
    pub ports: Vec<Published>,
    /// The reason, in plain words, why there may be more; `None` if the list is complete.
    pub incomplete: Option<&'static str>,
}

impl PacketFilter {
    /// Returns the ports that rules forward for packets from other computers.
    pub fn published(&self) -> PublishedPorts {
        let mut found = PublishedPorts::default();
        let (chains, rules) = match (&self.nftables, &self.rules) {
            (Fact::Known(chains), Fact::Known(rules)) => (chains, rules),
            (Fact::Unknown(Why::NotSupported), _) => {
                found.incomplete = self.unread();
                return found;
            }
            _ => {
                found.incomplete = Some("the rules of nftables cannot be read");
                return found;
            }
        };
        found.incomplete = self.unread();
        if !chains.iter().any(Chain::may_translate) {
            return found;
        }
        let mut begins = BTreeSet::from([1u16]);
        for step in rules.chains.iter().flat_map(|chain| &chain.rules).flatten() {
            boundaries(step, &mut begins);
        }
        for set in &rules.sets {
            for element in &set.elements {
                if let Ok(port) = <[u8; 2]>::try_from(element.key.as_slice()) {
                    let port = u16::from_be_bytes(port);
                    begins.insert(port.max(1));
                    begins.extend(port.checked_add(1));
                }
            }
        }
        if begins.len() > MOST_PORTS {
            found.incomplete = Some("there are too many rules to work them all out");
        }
        let begins: Vec<u16> = begins.into_iter().take(MOST_PORTS).collect();
        for protocol in PROTOCOLS {
            for address in [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)] {
                self.published_to(protocol, address, &begins, &mut found);
            }
        }
        found
    }

    /// Returns a reason if the older iptables has such rules, which are not read.
    fn unread(&self) -> Option<&'static str> {
        match &self.iptables {
            Fact::Known(tables) if tables.iter().any(|table| table == b"nat") => {
                Some("the rules of the older iptables are not read")
            }
            Fact::Known(_) => None,
            Fact::Unknown(_) => Some("whether the older iptables is in use cannot be read"),
        }
    }

    /// Evaluates the first port of each range within which no rule makes a difference.
    fn published_to(&self, protocol: u8, address: IpAddr, begins: &[u16], found: &mut PublishedPorts) {
        let mut before: Vec<usize> = Vec::new();
        for (place, &port) in begins.iter().enumerate() {
            let last = begins.get(place + 1).map_or(u16::MAX, |next| next - 1);
            let (translations, unclear) = self.translate(Arrival {
                protocol,
                port,
                address,
            });
            if unclear && found.incomplete.is_none() {
                found.incomplete = Some("some rules are not worked out");
            }
            let these: Vec<Published> = translations
                .into_iter()
                .map(|(mut way, to)| {
                    let to_address = way
                        .iter()
                        .position(|condition| matches!(condition, Condition::Address(_, true)));
                    let network = to_address
                        .map(|place| way.remove(place))
                        .and_then(|condition| match condition {
                            Condition::Address(network, _) => Some(network),
                            _ => None,
                        });
                    Published {
                        protocol,
                        v6: address.is_ipv6(),
                        ports: (port, last),
                        address: network,
                        to,
                        conditions: way,
                    }
                })
                .collect();
            // A range that continues the previous one is merged with it.
            let same = |old: &Published, new: &Published| {
                old.ports.1.checked_add(1) == Some(new.ports.0)
                    && Published {
                        ports: new.ports,
                        ..old.clone()
                    } == *new
            };
            let goes_on = before.len() == these.len()
                && !these.is_empty()
                && before
                    .iter()
                    .zip(&these)
                    .all(|(&old, new)| same(&found.ports[old], new));
            if goes_on {
                for &old in &before {
                    found.ports[old].ports.1 = last;
                }
                continue;
            }
            before = (found.ports.len()..found.ports.len() + these.len()).collect();
            found.ports.extend(these);
        }
    }
}

/// Collects the ports at which a rule may begin or cease to match.
fn boundaries(step: &Step, begins: &mut BTreeSet<u16>) {
    let mut range = |low: u16, high: u16| {
        begins.insert(low.max(1));
        begins.extend(high.checked_add(1));
    };
    let port = |value: &[u8]| <[u8; 2]>::try_from(value).ok().map(u16::from_be_bytes);
    match step {
        Step::Compare { value, .. } => {
            if let Some(port) = port(value) {
                range(port, port);
            }
        }
        Step::Range { low, high, .. } => {
            if let (Some(low), Some(high)) = (port(low), port(high)) {
                range(low, high);
            }
        }
        Step::Port { low, high, .. } => range(*low, *high),
        _ => {}
    }
}
