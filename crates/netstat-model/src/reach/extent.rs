//! The reach of a listener, determined from its address, the interface it is bound to, the addresses of this computer,
//! VRFs and local routes. Packet filters are handled separately ([`crate::packet_filter`]).

use std::net::IpAddr;

use crate::reach::{is_loopback, is_public};
use crate::route::{Interface, InterfaceAddress, PolicyRule, Prefix, RuleAction};
use crate::{Fact, Family, Protocol, Socket, State, Why, text};

/// From where a port can be reached, as far as this computer decides. Lists, monitor, inspect and audit all use this
/// scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Extent {
    /// Only from this computer, or only from within the socket's network namespace.
    Here,
    /// From directly connected networks, and from wherever a router forwards packets.
    Networks,
    /// From the whole Internet.
    Anywhere,
    /// The reach cannot be determined, for this reason.
    Unknown(Why),
}

impl Extent {
    /// Returns the name used in JSON and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Extent::Here => "here",
            Extent::Networks => "networks",
            Extent::Anywhere => "anywhere",
            Extent::Unknown(_) => "unknown",
        }
    }

    /// Returns a few plain words that follow "reachable from".
    pub const fn words(self) -> &'static str {
        match self {
            Extent::Here => "this computer only",
            Extent::Networks => "connected networks",
            Extent::Anywhere => "anywhere",
            Extent::Unknown(_) => "an unknown extent",
        }
    }
}

/// Whether sockets that are not bound to a VRF also receive packets that arrive in one (`net.ipv4.tcp_l3mdev_accept`
/// and the like, Documentation/networking/vrf.rst).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct VrfAccept {
    /// The setting for TCP sockets.
    pub tcp: Fact<bool>,
    /// The setting for UDP sockets.
    pub udp: Fact<bool>,
    /// The setting for raw sockets.
    pub raw: Fact<bool>,
}

/// The configuration of one network namespace that determines who reaches its sockets.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LocalNetwork {
    /// The interfaces.
    pub interfaces: Fact<Vec<Interface>>,
    /// The addresses of the interfaces.
    pub addresses: Fact<Vec<InterfaceAddress>>,
    /// Networks whose addresses are all treated as local: local routes other than those of the interfaces' addresses
    /// (`ip route add local 192.0.2.0/24 dev lo`).
    pub local_routes: Fact<Vec<Prefix>>,
    /// The policy rules that select a routing table.
    pub rules: Fact<Vec<PolicyRule>>,
    /// Whether sockets outside VRFs receive packets that arrive in one.
    pub vrf_accept: VrfAccept,
}

impl LocalNetwork {
    /// Creates a namespace in which everything is unknown for the reason `why`.
    pub const fn unknown(why: Why) -> Self {
        LocalNetwork {
            interfaces: Fact::Unknown(why),
            addresses: Fact::Unknown(why),
            local_routes: Fact::Unknown(why),
            rules: Fact::Unknown(why),
            vrf_accept: VrfAccept {
                tcp: Fact::Unknown(why),
                udp: Fact::Unknown(why),
                raw: Fact::Unknown(why),
            },
        }
    }
}

/// Whether `socket` receives from anyone: a TCP listener, or a UDP or similar socket without a peer.
pub fn waits(socket: &Socket) -> bool {
    match socket.protocol() {
        Protocol::Tcp | Protocol::Mptcp | Protocol::Sctp | Protocol::Dccp => socket.state() == State::Listening,
        Protocol::Udp | Protocol::UdpLite => !socket.is_connected() && socket.local().port != 0,
        _ => false,
    }
}

impl LocalNetwork {
    /// Returns the interface with this index.
    pub fn interface(&self, index: u32) -> Option<&Interface> {
        let interfaces = self.interfaces.as_ref().known()?;
        interfaces.iter().find(|interface| interface.index.get() == index)
    }

    /// Returns the interface with the name `name`, or whose index `name` is.
    pub fn interface_called(&self, name: &[u8]) -> Option<&Interface> {
        let interfaces = self.interfaces.as_ref().known()?;
        let number = std::str::from_utf8(name).ok().and_then(|name| name.parse().ok());
        interfaces.iter().find(|interface| interface.name == name).or_else(|| {
            interfaces
                .iter()
                .find(|interface| Some(interface.index.get()) == number)
        })
    }

    /// Whether `address` belongs to this namespace: a loopback address, an address of an interface, or one covered by a
    /// local route.
    pub fn owns(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let addresses = self.addresses.as_ref().known().map_or(&[][..], Vec::as_slice);
        is_loopback(address) || addresses.iter().any(|own| own.address == address) || self.is_routed_here(address)
    }

    fn is_routed_here(&self, address: IpAddr) -> bool {
        let routes = self.local_routes.as_ref().known().map_or(&[][..], Vec::as_slice);
        routes.iter().any(|route| route.holds(address))
    }

    /// Returns the name of an interface, safe to print.
    pub fn name_of(&self, index: u32) -> String {
        self.interface(index).map_or_else(
            || format!("interface {index}"),
            |found| text::escape(&found.name).into_owned(),
        )
    }

    /// Returns the VRF that an interface belongs to or is.
    fn vrf_of(&self, index: u32) -> Option<u32> {
        let interface = self.interface(index)?;
        match interface.is_vrf() {
            true => Some(index),
            // If a bridge is between a port and the VRF, only the bridge has addresses.
            false => {
                let master = self.interface(interface.master?.get())?;
                master.is_vrf().then_some(master.index.get())
            }
        }
    }

    /// Whether `socket` receives packets that arrive on the interface with this index, as far as device binding decides
    /// (the kernel's `inet_bound_dev_eq`).
    pub fn takes_from(&self, socket: &Socket, index: u32) -> bool {
        let vrf = self.vrf_of(index);
        match socket.interface().map(u32::from) {
            Some(bound) => bound == index || vrf == Some(bound),
            None => vrf.is_none() || self.accepts_from_vrfs(socket.protocol()),
        }
    }

    fn accepts_from_vrfs(&self, protocol: Protocol) -> bool {
        let accept = match protocol {
            Protocol::Udp | Protocol::UdpLite => self.vrf_accept.udp,
            Protocol::Raw => self.vrf_accept.raw,
            _ => self.vrf_accept.tcp,
        };
        accept == Fact::Known(true)
    }

    /// Returns the reach of `socket`, and a description of it that follows "from" and is safe to print. `elsewhere` is
    /// the escaped name of its network namespace if that is not the caller's.
    pub fn extent(&self, socket: &Socket, elsewhere: Option<&str>) -> (Extent, String) {
        let address = socket.local().address.to_canonical();
        if is_loopback(address) {
            return (
                Extent::Here,
                match elsewhere {
                    Some(name) => format!("programs in the network namespace {name} only"),
                    None => "this computer only (loopback)".to_owned(),
                },
            );
        }
        let addresses = match (&self.interfaces, &self.addresses) {
            (Fact::Known(_), Fact::Known(addresses)) => addresses,
            (Fact::Unknown(why), _) | (_, Fact::Unknown(why)) => {
                return (
                    Extent::Unknown(*why),
                    match elsewhere {
                        Some(name) => format!(
                            "the network namespace {name} and whatever is forwarded into it; its addresses: {}",
                            why.words()
                        ),
                        None => format!("an unknown extent: the interfaces are {}", why.words()),
                    },
                );
            }
        };
        let (extent, mut words) = match address.is_unspecified() {
            true => self.of_wildcard(socket, addresses),
            false => self.of_address(socket, address, addresses),
        };
        if let Some(name) = elsewhere {
            words.push_str(&format!("; in the network namespace {name}"));
        }
        if extent != Extent::Here {
            words.push_str(self.dropping_rules(address));
        }
        (extent, words)
    }

    /// Returns a note if policy rules drop packets, and an empty text otherwise.
    fn dropping_rules(&self, address: IpAddr) -> &'static str {
        let rules = self.rules.as_ref().known().map_or(&[][..], Vec::as_slice);
        let drops = |rule: &PolicyRule| {
            matches!(
                rule.action,
                RuleAction::Blackhole | RuleAction::Unreachable | RuleAction::Prohibit
            )
        };
        let concerned = |rule: &&PolicyRule| address.is_unspecified() || rule.ipv4 == address.is_ipv4();
        match rules.iter().filter(concerned).any(drops) {
            true => "; policy rules drop some packets (netstat -r shows the rules)",
            false => "",
        }
    }

    /// Describes the interface or VRF that the socket is bound to, for the end of a description.
    fn binding(&self, socket: &Socket) -> String {
        match socket.interface().map(u32::from) {
            Some(bound) if self.interface(bound).is_some_and(Interface::is_vrf) => {
                format!(" (bound to the VRF {})", self.name_of(bound))
            }
            Some(bound) => format!(" (bound to {})", self.name_of(bound)),
            None => String::new(),
        }
    }

    fn of_wildcard(&self, socket: &Socket, addresses: &[InterfaceAddress]) -> (Extent, String) {
        let takes_v4 = socket.family() == Family::V4 || socket.fact(|extra| extra.v6_only) != Fact::Known(true);
        let takes_v6 = socket.family() == Family::V6;
        let takes = |address: IpAddr| if address.is_ipv4() { takes_v4 } else { takes_v6 };
        let usable = |own: &&InterfaceAddress| {
            !is_loopback(own.address)
                && takes(own.address)
                && self.interface(own.interface).is_none_or(Interface::is_up)
        };
        let (own, closed): (Vec<&InterfaceAddress>, Vec<&InterfaceAddress>) = addresses
            .iter()
            .filter(usable)
            .partition(|own| self.takes_from(socket, own.interface));
        let only = self.binding(socket);
        let routed = match socket.interface() {
            None => self.local_routes.as_ref().known().map_or(&[][..], Vec::as_slice),
            Some(_) => &[],
        };
        let routed: Vec<&Prefix> = routed.iter().filter(|route| takes(route.address)).collect();
        if own.is_empty() && routed.is_empty() {
            let vrf = closed.iter().find_map(|own| self.vrf_of(own.interface));
            let beyond = if only.is_empty() { "beyond loopback" } else { "there" };
            let mut words = format!("this computer only: it has no address {beyond} now{only}");
            if let (true, Some(vrf)) = (only.is_empty(), vrf) {
                words = self.kept_from_vrf(socket, vrf);
            }
            return (Extent::Here, words);
        }
        self.through(own, &routed, &only)
    }

    /// Explains that packets of a VRF do not reach a socket that is not bound to it.
    fn kept_from_vrf(&self, socket: &Socket, vrf: u32) -> String {
        let switch = match socket.protocol() {
            Protocol::Udp | Protocol::UdpLite => "udp_l3mdev_accept",
            _ => "tcp_l3mdev_accept",
        };
        format!(
            "this computer only: its other addresses are in the VRF {}, which it is not bound to (net.ipv4.{switch} is off)",
            self.name_of(vrf)
        )
    }

    /// Returns the reach given by these addresses and routes, at least one of which must be present.
    fn through(&self, mut own: Vec<&InterfaceAddress>, routed: &[&Prefix], only: &str) -> (Extent, String) {
        // Addresses that reach farthest come first; link-local ones tell least.
        own.sort_by_key(|own| (!is_public(own.address), is_link_local(own.address)));
        if let Some(first) = own.first().filter(|own| is_public(own.address)) {
            let words = format!(
                "anywhere: {} has the public address {}{only}",
                self.name_of(first.interface),
                first.address
            );
            return (Extent::Anywhere, words);
        }
        if let Some(route) = routed.iter().find(|route| is_public(route.address)) {
            let words = format!(
                "anywhere: a local route takes in the public {}/{}{only}",
                route.address, route.length
            );
            return (Extent::Anywhere, words);
        }
        if own.iter().any(|own| !is_link_local(own.address)) {
            own.retain(|own| !is_link_local(own.address));
        }
        let mut listed: Vec<String> = own.iter().map(|own| self.network_of(own)).collect();
        listed.extend(
            routed
                .iter()
                .map(|route| format!("{}/{} (local route)", route.address, route.length)),
        );
        listed.dedup();
        const MOST: usize = 3;
        let more = listed.len().saturating_sub(MOST);
        listed.truncate(MOST);
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        (
            Extent::Networks,
            format!(
                "{}{more}{only}; from farther away only through a router that forwards it",
                listed.join(", ")
            ),
        )
    }

    /// Returns the reach of a port bound to one address.
    fn of_address(&self, socket: &Socket, address: IpAddr, addresses: &[InterfaceAddress]) -> (Extent, String) {
        if address.is_multicast() {
            return (
                Extent::Networks,
                format!("whoever sends to the group {address} on a network that it has joined"),
            );
        }
        let only = self.binding(socket);
        let bound = socket.interface().map(u32::from);
        let mut candidates = addresses.iter().filter(|own| own.address == address);
        // The same link-local address can be on several interfaces.
        let own = candidates
            .clone()
            .find(|own| bound == Some(own.interface))
            .or_else(|| candidates.next());
        let Some(own) = own else {
            return self.of_unassigned(address, &only);
        };
        if self
            .interface(own.interface)
            .is_some_and(|interface| !interface.is_up())
        {
            let words = format!(
                "this computer only: {} with the address {address} is down",
                self.name_of(own.interface)
            );
            return (Extent::Here, words);
        }
        match bound {
            // A computer answers on every interface for each of its addresses, so the interface decides.
            Some(bound) if bound != own.interface && self.vrf_of(own.interface) != Some(bound) => {
                if self.interface(bound).is_some_and(Interface::is_loopback) {
                    return (Extent::Here, format!("this computer only{only}"));
                }
                let extent = if is_public(address) {
                    Extent::Anywhere
                } else {
                    Extent::Networks
                };
                (
                    extent,
                    format!(
                        "whoever sends to {address} over {}, which has another address{only}",
                        self.name_of(bound)
                    ),
                )
            }
            None if !self.takes_from(socket, own.interface) => {
                let vrf = self.vrf_of(own.interface).unwrap_or_default();
                (Extent::Here, self.kept_from_vrf(socket, vrf))
            }
            _ if is_public(address) => (
                Extent::Anywhere,
                format!("anywhere: {address} of {} is public{only}", self.name_of(own.interface)),
            ),
            _ => {
                // A zone already names the interface that the socket is bound to.
                let only = if bound == Some(own.interface) { "" } else { &only };
                (
                    Extent::Networks,
                    format!(
                        "{}{only}; from farther away only through a router that forwards it",
                        self.network_of(own)
                    ),
                )
            }
        }
    }

    /// Returns the reach of a port bound to an address that no interface has.
    fn of_unassigned(&self, address: IpAddr, only: &str) -> (Extent, String) {
        match self.is_routed_here(address) {
            true if is_public(address) => (
                Extent::Anywhere,
                format!("anywhere: a local route takes in the public {address}{only}"),
            ),
            true => (
                Extent::Networks,
                format!("whoever is routed to {address}, which a local route takes in{only}"),
            ),
            false => (
                Extent::Here,
                format!("nobody now: no interface has the address {address}"),
            ),
        }
    }

    /// Returns the network of an address and its interface: `192.168.1.0/24 (eth0)`.
    fn network_of(&self, own: &InterfaceAddress) -> String {
        let network = Prefix::covering(own.peer.unwrap_or(own.address), own.prefix_length);
        format!(
            "{}/{} ({})",
            network.address,
            network.length,
            self.name_of(own.interface)
        )
    }
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::Scope;
    use crate::{Extra, SocketFacts};
    use std::num::NonZeroU32;

    fn interface(index: u32, name: &str, flags: u32) -> Interface {
        Interface {
            index: NonZeroU32::new(index).unwrap(),
            name: name.into(),
            alias: None,
            kind: None,
            driver: Fact::Unknown(Why::NotApplicable),
            product: Fact::Unknown(Why::NotApplicable),
            hardware_type: 1,
            link_address: Vec::new(),
            flags,
            mtu: Fact::Known(1500),
            master: None,
        }
    }

    fn network(addresses: &[(u32, &str, u8)]) -> LocalNetwork {
        let address = |&(interface, address, prefix_length): &(u32, &str, u8)| InterfaceAddress {
            interface,
            address: address.parse().unwrap(),
            peer: None,
            prefix_length,
            scope: Scope::UNIVERSE,
            flags: 0,
        };
        LocalNetwork {
            interfaces: Fact::Known(vec![
                interface(1, "lo", 9),
                interface(2, "eth0", 1),
                interface(3, "wan", 1),
                interface(4, "off", 0),
            ]),
            addresses: Fact::Known(addresses.iter().map(address).collect()),
            ..LocalNetwork::unknown(Why::NotAsked)
        }
    }

    fn listener(address: &str, interface: u32) -> Socket {
        let address: IpAddr = address.parse().unwrap();
        Socket::new(&SocketFacts {
            protocol: Protocol::Tcp,
            family: if address.is_ipv4() { Family::V4 } else { Family::V6 },
            state: State::Listening,
            local: address,
            local_port: 80,
            foreign: address,
            foreign_port: 0,
            interface,
            inode: 1,
            user: None,
            cookie: None,
            receive_queue: 0,
            send_queue: None,
        })
    }

    const HOME: [(u32, &str, u8); 5] = [
        (1, "127.0.0.1", 8),
        (1, "::1", 128),
        (2, "192.168.1.5", 24),
        (2, "fe80::1", 64),
        (4, "203.0.113.9", 24),
    ];

    #[test]
    fn extent_of_listener_follows_its_address_and_interface() {
        let mut server = HOME.to_vec();
        server.push((3, "203.0.113.7", 29));
        for (addresses, address, interface, extent, words) in [
            (&HOME[..], "127.0.0.1", 0, Extent::Here, "this computer only (loopback)"),
            (
                &HOME[..],
                "::ffff:127.0.0.1",
                0,
                Extent::Here,
                "this computer only (loopback)",
            ),
            (
                &HOME[..],
                "0.0.0.0",
                0,
                Extent::Networks,
                "192.168.1.0/24 (eth0); from farther away only through a router that forwards it",
            ),
            (
                &HOME[..],
                "::",
                0,
                Extent::Networks,
                "192.168.1.0/24 (eth0); from farther away only through a router that forwards it",
            ),
            (
                &HOME[..],
                "192.168.1.5",
                0,
                Extent::Networks,
                "192.168.1.0/24 (eth0); from farther away only through a router that forwards it",
            ),
            (
                &HOME[..],
                "fe80::1",
                2,
                Extent::Networks,
                "fe80::/64 (eth0); from farther away only through a router that forwards it",
            ),
            (
                &HOME[..2],
                "0.0.0.0",
                0,
                Extent::Here,
                "this computer only: it has no address beyond loopback now",
            ),
            (
                &server[..],
                "0.0.0.0",
                0,
                Extent::Anywhere,
                "anywhere: wan has the public address 203.0.113.7",
            ),
            (
                &server[..],
                "0.0.0.0",
                2,
                Extent::Networks,
                "192.168.1.0/24 (eth0) (bound to eth0); from farther away only through a router that forwards it",
            ),
            (
                &server[..],
                "203.0.113.7",
                0,
                Extent::Anywhere,
                "anywhere: 203.0.113.7 of wan is public",
            ),
            (
                &server[..],
                "198.51.100.1",
                0,
                Extent::Here,
                "nobody now: no interface has the address 198.51.100.1",
            ),
        ] {
            let (found, said) = network(addresses).extent(&listener(address, interface), None);
            assert_eq!((found, said.as_str()), (extent, words), "{address}");
        }
    }

    #[test]
    fn extent_of_ipv6_only_listener_leaves_out_ipv4_networks() {
        let socket = listener("::", 0).with_extra(Extra {
            v6_only: Fact::Known(true),
            ..Extra::default()
        });
        let (_, words) = network(&HOME).extent(&socket, None);
        assert_eq!(
            words,
            "fe80::/64 (eth0); from farther away only through a router that forwards it"
        );
        assert_eq!(network(&HOME[..3]).extent(&socket, None).0, Extent::Here);
    }

    #[test]
    fn extent_in_other_namespace_follows_its_own_addresses() {
        let unread = LocalNetwork::unknown(Why::NotPermitted);
        let (extent, words) = unread.extent(&listener("0.0.0.0", 0), Some("web"));
        assert_eq!(extent, Extent::Unknown(Why::NotPermitted));
        assert!(words.contains("its addresses: not permitted"), "{words}");
        let (extent, words) = network(&HOME).extent(&listener("127.0.0.1", 0), Some("web"));
        assert_eq!(
            (extent, words.as_str()),
            (Extent::Here, "programs in the network namespace web only")
        );
        let (extent, words) = network(&HOME).extent(&listener("0.0.0.0", 0), Some("web"));
        assert_eq!(extent, Extent::Networks);
        assert!(words.ends_with("; in the network namespace web"), "{words}");
    }

    #[test]
    fn extent_with_unreadable_interfaces_is_unknown() {
        let network = LocalNetwork::unknown(Why::NotPermitted);
        let (extent, _) = network.extent(&listener("0.0.0.0", 0), None);
        assert_eq!(extent, Extent::Unknown(Why::NotPermitted));
    }

    /// `wan` has a public address and is in the VRF `red` (index 9).
    fn with_vrf(accept: bool) -> LocalNetwork {
        let mut network = network(&[(3, "203.0.113.7", 29)]);
        let Fact::Known(interfaces) = &mut network.interfaces else {
            unreachable!()
        };
        interfaces[2].master = NonZeroU32::new(9);
        let mut red = interface(9, "red", 1);
        red.kind = Some(b"vrf".to_vec());
        interfaces.push(red);
        network.vrf_accept.tcp = Fact::Known(accept);
        network
    }

    #[test]
    fn extent_in_vrf_without_l3mdev_accept_needs_socket_of_vrf() {
        for address in ["0.0.0.0", "203.0.113.7"] {
            let (extent, words) = with_vrf(false).extent(&listener(address, 0), None);
            assert_eq!(extent, Extent::Here);
            assert!(
                words.contains("in the VRF red") && words.contains("net.ipv4.tcp_l3mdev_accept is off"),
                "{words}"
            );
            for (interface, accept) in [(0, true), (9, false), (3, false)] {
                let (extent, words) = with_vrf(accept).extent(&listener(address, interface), None);
                assert_eq!(extent, Extent::Anywhere, "{address} {interface} {words}");
            }
            assert_eq!(with_vrf(true).extent(&listener("0.0.0.0", 2), None).0, Extent::Here);
        }
    }

    #[test]
    fn extent_with_local_route_takes_in_its_addresses() {
        let mut network = network(&HOME[..1]);
        let route = Prefix::covering("198.51.100.0".parse().unwrap(), 24);
        network.local_routes = Fact::Known(vec![route]);
        for address in ["0.0.0.0", "198.51.100.9"] {
            let (extent, words) = network.extent(&listener(address, 0), None);
            assert_eq!(extent, Extent::Anywhere, "{words}");
            assert!(words.contains("a local route takes in"), "{words}");
        }
        assert!(network.owns("198.51.100.9".parse().unwrap()));
        assert!(!network.owns("198.51.101.9".parse().unwrap()));
    }

    #[test]
    fn extent_of_socket_bound_to_loopback_or_on_down_interface_is_here() {
        let (extent, words) = network(&HOME).extent(&listener("192.168.1.5", 1), None);
        assert_eq!(
            (extent, words.as_str()),
            (Extent::Here, "this computer only (bound to lo)")
        );
        let (extent, words) = network(&HOME).extent(&listener("203.0.113.9", 0), None);
        assert_eq!(extent, Extent::Here, "off is down");
        assert!(words.contains("off with the address 203.0.113.9 is down"), "{words}");
    }
}
