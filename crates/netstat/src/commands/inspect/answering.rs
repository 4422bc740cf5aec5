//! Resolves endpoints to sockets: those that answer there, and those connected there.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netstat_model::reach::{LocalNetwork, is_loopback, waits};
use netstat_model::{Fact, Family, Protocol, Socket};

use super::endpoint::{Endpoint, Host, LookedUp};
use super::search::World;

/// An endpoint whose host has been resolved to addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ends {
    /// The addresses; `None` for any address.
    addresses: Option<Vec<IpAddr>>,
    zone: Option<String>,
    /// The interface that was named instead of an address; it is the zone of any link-local ones.
    interface: Option<String>,
    port: u16,
}

impl Ends {
    /// Creates an endpoint with one address and port.
    pub(super) fn of(address: IpAddr, port: u16) -> Ends {
        Ends {
            addresses: Some(vec![address]),
            zone: None,
            interface: None,
            port,
        }
    }

    /// The addresses; `None` for any address.
    pub(super) fn addresses(&self) -> Option<&[IpAddr]> {
        self.addresses.as_deref()
    }

    /// Whether the endpoint means this computer in a way that also applies within other network namespaces.
    fn is_here(&self) -> bool {
        let own = |address: &IpAddr| is_loopback(*address) || address.is_unspecified();
        self.addresses.as_ref().is_none_or(|all| all.iter().all(own))
    }
}

impl World<'_> {
    /// Returns the network of a namespace; `None` if it is unknown.
    pub(super) fn network(&self, namespace: u32) -> Option<&LocalNetwork> {
        self.networks.get(namespace as usize)
    }

    /// Resolves the host of an endpoint: an interface, this computer by its name, or a name that was looked up.
    pub(super) fn ends(&self, end: &Endpoint, looked_up: &LookedUp) -> Ends {
        let addresses = match &end.host {
            Host::Any => None,
            Host::Address(address) => Some(vec![*address]),
            Host::Loopback => Some(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]),
            Host::Named(name) => Some(self.named(name, looked_up)),
        };
        let interface = match &end.host {
            Host::Named(name) => {
                let network = self.network(0);
                network
                    .and_then(|network| network.interface_called(name.as_bytes()))
                    .map(|_| name.clone())
            }
            _ => None,
        };
        Ends {
            addresses,
            zone: end.zone.clone(),
            interface,
            port: end.port,
        }
    }

    fn named(&self, name: &str, looked_up: &LookedUp) -> Vec<IpAddr> {
        let own = self.network(0).and_then(|network| network.addresses.as_ref().known());
        let own = || own.map_or(&[][..], Vec::as_slice).iter();
        let interface = self
            .network(0)
            .and_then(|network| network.interface_called(name.as_bytes()));
        if let Some(interface) = interface {
            let index = interface.index.get();
            return own()
                .filter(|own| own.interface == index)
                .map(|own| own.address)
                .collect();
        }
        if name.as_bytes().eq_ignore_ascii_case(self.computer) {
            let addresses: Vec<IpAddr> = own().map(|own| own.address).collect();
            let beyond: Vec<IpAddr> = addresses.iter().copied().filter(|own| !is_loopback(*own)).collect();
            return if beyond.is_empty() { addresses } else { beyond };
        }
        looked_up.get(name).cloned().unwrap_or_default()
    }

    /// Returns the sockets that answer at an endpoint or are connected there, in ascending order. The kernel prefers a
    /// listener with the exact address to a wildcard listener, so the latter is omitted if there is one of the former.
    pub(super) fn find_endpoint(&self, protocol: Option<Protocol>, ends: &Ends) -> Vec<usize> {
        let sockets = || {
            self.sockets
                .iter()
                .enumerate()
                .filter(|(_, socket)| fits(socket, protocol))
        };
        let exact = |socket: &Socket| {
            self.is_at(socket, socket.local(), ends)
                || (socket.is_connected() && self.is_at(socket, socket.foreign(), ends))
        };
        let mut found: Vec<usize> = sockets()
            .filter(|(_, socket)| exact(socket))
            .map(|(place, _)| place)
            .collect();
        for address in ends.addresses.iter().flatten() {
            found.extend(self.wildcards(protocol, *address, ends));
        }
        if ends.is_here() && found.iter().any(|&place| self.sockets[place].namespace() == 0) {
            found.retain(|&place| self.sockets[place].namespace() == 0);
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Returns the wildcard listeners that answer at `address`.
    fn wildcards(&self, protocol: Option<Protocol>, address: IpAddr, ends: &Ends) -> Vec<usize> {
        let taken = |socket: &Socket| {
            let same = |other: &&Socket| {
                waits(other)
                    && other.protocol() == socket.protocol()
                    && other.namespace() == socket.namespace()
                    && other.local().port == ends.port
                    && other.local().address.to_canonical() == address
                    && other.interface() == socket.interface()
            };
            self.sockets.iter().any(|other| same(&other))
        };
        let answers = |socket: &Socket| {
            waits(socket)
                && socket.local().port == ends.port
                && socket.local().address.to_canonical().is_unspecified()
                && takes(socket, address)
                && self.zone_fits(socket, 0, ends)
                && self.arrives(socket, address)
                && !taken(socket)
        };
        let sockets = self.sockets.iter().enumerate();
        sockets
            .filter(|(_, socket)| fits(socket, protocol) && answers(socket))
            .map(|(place, _)| place)
            .collect()
    }

    /// Whether a packet to `address` can reach `socket`, which is bound to the wildcard address.
    fn arrives(&self, socket: &Socket, address: IpAddr) -> bool {
        let Some(network) = self.network(socket.namespace()) else {
            return false;
        };
        let bound = socket.interface().map(u32::from);
        // A connection to the unspecified address goes to this computer.
        if is_loopback(address) || address.is_unspecified() {
            let to_loopback = |index| {
                network
                    .interface(index)
                    .is_some_and(|interface| interface.is_loopback())
            };
            return bound.is_none_or(to_loopback);
        }
        let addresses = network.addresses.as_ref().known().map_or(&[][..], Vec::as_slice);
        match addresses.iter().find(|own| own.address == address) {
            Some(own) => network.takes_from(socket, own.interface),
            None => bound.is_none() && network.owns(address),
        }
    }

    /// Returns the sockets of a connection between two endpoints, seen from either end.
    pub(super) fn find_connection(&self, protocol: Option<Protocol>, one: &Ends, other: &Ends) -> Vec<usize> {
        let is = |socket: &Socket, near: &Ends, far: &Ends| {
            self.is_at(socket, socket.local(), near) && self.is_at(socket, socket.foreign(), far)
        };
        let sockets = self
            .sockets
            .iter()
            .enumerate()
            .filter(|(_, socket)| fits(socket, protocol));
        let ends = sockets.filter(|(_, socket)| is(socket, one, other) || is(socket, other, one));
        ends.map(|(place, _)| place).collect()
    }

    /// Returns the sockets with an address in a zone, on either side.
    pub(super) fn find_zoned(&self, address: IpAddr, zone: &str) -> Vec<usize> {
        let is = |socket: &Socket, side: netstat_model::Endpoint| {
            side.address.to_canonical() == address && self.has_zone(socket, side.scope, zone)
        };
        let sockets = self
            .sockets
            .iter()
            .enumerate()
            .filter(|(_, socket)| socket.protocol().is_ip());
        sockets
            .filter(|(_, socket)| is(socket, socket.local()) || (socket.is_connected() && is(socket, socket.foreign())))
            .map(|(place, _)| place)
            .collect()
    }

    /// Returns the sockets of an interface: those bound to it, or with one of its addresses.
    pub(super) fn find_interface(&self, name: &str) -> Vec<usize> {
        let of_namespace = |namespace: u32| {
            let network = self.network(namespace)?;
            let index = network.interface_called(name.as_bytes())?.index.get();
            let addresses = network.addresses.as_ref().known().map_or(&[][..], Vec::as_slice);
            let own: Vec<IpAddr> = addresses
                .iter()
                .filter(|own| own.interface == index)
                .map(|own| own.address)
                .collect();
            Some((index, own))
        };
        let mut known: BTreeMap<u32, Option<(u32, Vec<IpAddr>)>> = BTreeMap::new();
        let mut found = Vec::new();
        for (place, socket) in self.sockets.iter().enumerate() {
            let namespace = socket.namespace();
            let Some((index, own)) = known.entry(namespace).or_insert_with(|| of_namespace(namespace)) else {
                continue;
            };
            let bound = socket.interface().is_some_and(|bound| bound.get() == *index);
            let local = socket.local();
            let addressed = socket.protocol().is_ip()
                && own.contains(&local.address.to_canonical())
                && (local.scope == 0 || local.scope == *index);
            if bound || addressed {
                found.push(place);
            }
        }
        found
    }

    fn is_at(&self, socket: &Socket, side: netstat_model::Endpoint, ends: &Ends) -> bool {
        let address = side.address.to_canonical();
        side.port == ends.port
            && ends
                .addresses
                .as_ref()
                .is_none_or(|addresses| addresses.contains(&address))
            && self.zone_fits(socket, side.scope, ends)
            && (side.scope == 0
                || ends
                    .interface
                    .as_ref()
                    .is_none_or(|interface| self.has_zone(socket, side.scope, interface)))
    }

    fn zone_fits(&self, socket: &Socket, scope: u32, ends: &Ends) -> bool {
        ends.zone.as_ref().is_none_or(|zone| self.has_zone(socket, scope, zone))
    }

    /// Whether `zone` is the name or index of the zone of an address, or of the device that the socket is bound to.
    fn has_zone(&self, socket: &Socket, scope: u32, zone: &str) -> bool {
        let bound = socket.interface().map_or(0, u32::from);
        let network = self.network(socket.namespace());
        [scope, bound].into_iter().filter(|&index| index != 0).any(|index| {
            let name = network.and_then(|network| network.interface(index));
            name.is_some_and(|interface| interface.name == zone.as_bytes()) || index.to_string() == zone
        })
    }
}

/// Whether `socket` has ports of this protocol; an MPTCP socket has a TCP port.
fn fits(socket: &Socket, protocol: Option<Protocol>) -> bool {
    let own = socket.protocol();
    own.is_ip()
        && own.has_ports()
        && protocol.is_none_or(|asked| own == asked || (asked == Protocol::Tcp && own == Protocol::Mptcp))
}

/// Whether a socket bound to the wildcard address accepts packets to `address`.
fn takes(socket: &Socket, address: IpAddr) -> bool {
    match (address.is_ipv4(), socket.family()) {
        (true, Family::V4) | (false, Family::V6) => true,
        (true, _) => socket.fact(|extra| extra.v6_only) != Fact::Known(true),
        (false, _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::search::tests::{read, socket_of};
    use super::*;
    use netstat_model::route::{Interface, InterfaceAddress, Scope};
    use netstat_model::{Extra, NoOwner, OwnersBuilder, State, Why};
    use std::num::NonZeroU32;

    fn network(interfaces: &[(u32, &str)], addresses: &[(u32, &str)]) -> LocalNetwork {
        let interface = |&(index, name): &(u32, &str)| Interface {
            index: NonZeroU32::new(index).unwrap(),
            name: name.into(),
            alias: None,
            kind: None,
            driver: Fact::Unknown(Why::NotApplicable),
            product: Fact::Unknown(Why::NotApplicable),
            hardware_type: 1,
            link_address: Vec::new(),
            flags: if name == "lo" { 9 } else { 1 },
            mtu: Fact::Known(1500),
            master: None,
        };
        let address = |&(interface, address): &(u32, &str)| InterfaceAddress {
            interface,
            address: address.parse().unwrap(),
            peer: None,
            prefix_length: 24,
            scope: Scope::UNIVERSE,
            flags: 0,
        };
        LocalNetwork {
            interfaces: Fact::Known(interfaces.iter().map(interface).collect()),
            addresses: Fact::Known(addresses.iter().map(address).collect()),
            ..LocalNetwork::unknown(Why::NotAsked)
        }
    }

    fn v6_only(socket: Socket) -> Socket {
        socket.with_extra(Extra {
            v6_only: Fact::Known(true),
            ..Extra::default()
        })
    }

    /// Returns what a target finds among some sockets of two namespaces.
    fn found(word: &str) -> Vec<usize> {
        let waiting = |local, port, interface| socket_of(State::Listening, (local, port), ("0.0.0.0", 0), interface);
        let sockets = [
            waiting("0.0.0.0", 80, 0),
            waiting("::", 81, 0),
            v6_only(waiting("::", 82, 0)),
            waiting("127.0.0.1", 83, 0),
            waiting("0.0.0.0", 83, 0),
            waiting("0.0.0.0", 84, 3),
            waiting("fe80::1", 85, 2),
            waiting("fe80::1", 85, 3),
            socket_of(State::Established, ("192.0.2.1", 80), ("203.0.113.7", 50000), 0),
            socket_of(
                State::Established,
                ("::ffff:192.0.2.1", 81),
                ("::ffff:203.0.113.7", 50001),
                0,
            ),
            waiting("0.0.0.0", 80, 0).in_namespace(1),
            waiting("127.0.0.1", 86, 0).in_namespace(1),
        ];
        let networks = [
            network(
                &[(1, "lo"), (2, "eth0"), (3, "eth1")],
                &[
                    (1, "127.0.0.1"),
                    (2, "192.0.2.1"),
                    (2, "2001:db8::1"),
                    (3, "198.51.100.1"),
                ],
            ),
            network(&[(1, "lo"), (2, "eth0")], &[(2, "172.17.0.2")]),
        ];
        let world = World {
            sockets: &sockets,
            owners: &OwnersBuilder::default().finish(NoOwner::Unheld),
            processes: &[],
            networks: &networks,
            computer: b"home",
        };
        world.find(&read(word).kind, &LookedUp::new()).sockets
    }

    #[test]
    fn endpoint_target_finds_the_socket_that_answers_there() {
        for (word, expected) in [
            ("127.0.0.1:80", &[0][..]),
            ("localhost:80", &[0]),
            ("http://localhost/", &[0]),
            ("[::1]:80", &[]),
            ("127.0.0.1:81", &[1]),
            ("[::1]:81", &[1]),
            ("[::ffff:127.0.0.1]:81", &[1]),
            ("127.0.0.1:82", &[]),
            ("[::1]:82", &[2]),
            ("0.0.0.0:81", &[1]),
            ("*:81", &[1, 9]),
            ("127.0.0.1:83", &[3]),
            ("192.0.2.1:83", &[4]),
            ("192.0.2.1:84", &[]),
            ("198.51.100.1:84", &[5]),
            ("0.0.0.0%eth1:84", &[5]),
            ("eth1:84", &[5]),
            ("[fe80::1]:85", &[6, 7]),
            ("[fe80::1%eth0]:85", &[6]),
            ("[fe80::1%3]:85", &[7]),
            ("[fe80::1]%eth1:85", &[7]),
            ("fe80::1%eth1", &[7]),
            ("192.0.2.1:80", &[0, 8]),
            ("home:80", &[0, 8]),
            ("203.0.113.7:80", &[]),
            ("203.0.113.7:50001", &[9]),
            ("192.0.2.1:81->203.0.113.7:50001", &[9]),
            ("203.0.113.7:50000->192.0.2.1:80", &[8]),
            ("TCP 192.0.2.1:80 203.0.113.7:50000 ESTABLISHED", &[8]),
            ("LISTEN 0 128 0.0.0.0:80 0.0.0.0:*", &[0]),
            ("172.17.0.2:80", &[10]),
            ("127.0.0.1:86", &[11]),
            ("udp:127.0.0.1:80", &[]),
            ("eth1", &[5, 7]),
        ] {
            assert_eq!(found(word), expected, "{word}");
        }
    }
}
