//! The host's own address that represents an interface in the row of a route.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::net::Ipv4Addr;

use super::{InterfaceAddress, NextHop, Prefix, Route};

/// Determines the IPv4 source address of packets that this host sends by a route, as far as it follows from the
/// interface. This is what Linux does in `fib_info_update_nhc_saddr` and `inet_select_addr` (net/ipv4). After it has
/// been built, each query costs a few lookups, regardless of the number of addresses.
#[derive(Debug)]
pub struct OutgoingAddresses {
    /// Maps an interface and a network to the position in `list` of the first primary address in that network.
    networks: HashMap<(u32, Prefix), usize>,
    /// Maps an interface to what is known about its addresses.
    interfaces: HashMap<u32, PerInterface>,
    list: Vec<InterfaceAddress>,
    /// Every address with the index of its interface.
    own: HashSet<(u32, Ipv4Addr)>,
}

#[derive(Debug, Default)]
struct PerInterface {
    /// Positions in `list` of primary addresses: the first one of each scope.
    first_of_scope: Vec<usize>,
    /// The prefix lengths in use, without duplicates.
    lengths: Vec<u8>,
    /// The position of the first address of any kind.
    first: usize,
}

impl OutgoingAddresses {
    /// Builds the lookup from the IPv4 addresses in `addresses`, which must be in the system's order.
    pub fn new(addresses: &[InterfaceAddress]) -> Self {
        let list: Vec<InterfaceAddress> = addresses.iter().filter(|a| a.address.is_ipv4()).copied().collect();
        let mut networks = HashMap::new();
        let mut interfaces: HashMap<u32, PerInterface> = HashMap::new();
        for (place, address) in list.iter().enumerate() {
            let per = interfaces.entry(address.interface).or_insert_with(|| PerInterface {
                first: place,
                ..PerInterface::default()
            });
            if address.is_secondary() {
                continue;
            }
            if per
                .first_of_scope
                .iter()
                .all(|&known| list[known].scope != address.scope)
            {
                per.first_of_scope.push(place);
            }
            let network = address.network();
            if !per.lengths.contains(&network.length) {
                per.lengths.push(network.length);
            }
            networks.entry((address.interface, network)).or_insert(place);
        }
        let own = list.iter().filter_map(|one| match one.address {
            IpAddr::V4(address) => Some((one.interface, address)),
            IpAddr::V6(_) => None,
        });
        OutgoingAddresses {
            own: own.collect(),
            networks,
            interfaces,
            list,
        }
    }

    /// Returns the source address for packets that take `hop` of `route`. It is the route's preferred source if that is
    /// an address of the interface; otherwise an address of the interface in the gateway's network; otherwise the first
    /// address of the interface whose scope covers the route's; otherwise its first address. `None` if the interface
    /// has no IPv4 address.
    pub fn of(&self, route: &Route, hop: &NextHop) -> Option<Ipv4Addr> {
        let interface = hop.interface?.get();
        // A preferred source that belongs to another interface, such as `lo`, tells nothing about the outgoing
        // interface.
        if let Some(IpAddr::V4(preferred)) = route.preferred_source
            && self.own.contains(&(interface, preferred))
        {
            return Some(preferred);
        }
        let per = self.interfaces.get(&interface)?;
        let near = hop.gateway.filter(IpAddr::is_ipv4).and_then(|gateway| {
            let at = |&length: &u8| self.networks.get(&(interface, Prefix::covering(gateway, length)));
            per.lengths.iter().filter_map(at).min()
        });
        let reaching = || {
            per.first_of_scope
                .iter()
                .find(|&&place| self.list[place].scope <= route.scope)
        };
        let place = near.or_else(reaching).copied().unwrap_or(per.first);
        match self.list[place].address {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{NextHops, RouteKind, RouteProtocol, Scope, TABLE_MAIN};
    use super::*;
    use std::num::NonZeroU32;

    fn address(interface: u32, address: &str, prefix_length: u8, scope: Scope, flags: u32) -> InterfaceAddress {
        InterfaceAddress {
            interface,
            address: address.parse().unwrap(),
            peer: None,
            prefix_length,
            scope,
            flags,
        }
    }

    fn ask(outgoing: &OutgoingAddresses, interface: u32, gateway: Option<&str>, scope: Scope) -> Option<String> {
        let hop = NextHop {
            gateway: gateway.map(|text| text.parse().unwrap()),
            interface: NonZeroU32::new(interface),
            weight: 1,
            flags: 0,
            encapsulation: None,
        };
        let route = Route {
            destination: Prefix::covering("203.0.113.0".parse().unwrap(), 24),
            source: None,
            kind: RouteKind::Unicast,
            protocol: RouteProtocol::BOOT,
            scope,
            tos: 0,
            preference: None,
            table: TABLE_MAIN,
            metric: 0,
            preferred_source: None,
            next_hop_object: None,
            next_hops: NextHops::One(hop.clone()),
        };
        outgoing.of(&route, &hop).map(|address| address.to_string())
    }

    #[test]
    fn outgoing_address_is_nearest_to_gateway_then_of_wide_scope_then_any() {
        let outgoing = OutgoingAddresses::new(&[
            address(2, "169.254.7.7", 16, Scope::LINK, 0),
            address(2, "10.0.0.5", 24, Scope::UNIVERSE, 0),
            address(2, "10.0.0.6", 24, Scope::UNIVERSE, 1),
            address(2, "10.9.0.5", 16, Scope::UNIVERSE, 0),
            address(3, "127.0.0.1", 8, Scope::HOST, 0),
            address(3, "::1", 128, Scope::HOST, 0),
            address(4, "fe80::1", 64, Scope::LINK, 0),
        ]);
        assert_eq!(
            ask(&outgoing, 2, Some("10.9.3.1"), Scope::UNIVERSE).as_deref(),
            Some("10.9.0.5")
        );
        assert_eq!(
            ask(&outgoing, 2, Some("10.0.0.1"), Scope::UNIVERSE).as_deref(),
            Some("10.0.0.5")
        );
        assert_eq!(
            ask(&outgoing, 2, Some("192.0.2.1"), Scope::UNIVERSE).as_deref(),
            Some("10.0.0.5")
        );
        assert_eq!(ask(&outgoing, 2, None, Scope::LINK).as_deref(), Some("169.254.7.7"));
        assert_eq!(
            ask(&outgoing, 2, Some("fe80::9"), Scope::UNIVERSE).as_deref(),
            Some("10.0.0.5")
        );
        assert_eq!(ask(&outgoing, 3, None, Scope::UNIVERSE).as_deref(), Some("127.0.0.1"));
        assert_eq!(ask(&outgoing, 4, None, Scope::UNIVERSE), None);
        assert_eq!(ask(&outgoing, 9, None, Scope::UNIVERSE), None);
        assert_eq!(ask(&outgoing, 0, None, Scope::UNIVERSE), None);
    }

    #[test]
    fn outgoing_address_to_point_to_point_peer_is_that_of_the_link() {
        let mut link = address(5, "10.1.1.1", 32, Scope::UNIVERSE, 0);
        link.peer = Some("10.2.2.2".parse().unwrap());
        let outgoing = OutgoingAddresses::new(&[address(5, "10.3.3.3", 24, Scope::UNIVERSE, 0), link]);
        assert_eq!(
            ask(&outgoing, 5, Some("10.2.2.2"), Scope::UNIVERSE).as_deref(),
            Some("10.1.1.1")
        );
    }
}
