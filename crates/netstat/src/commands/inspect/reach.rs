//! Who can reach a port: by the address it is bound to, the interfaces there are, and the namespace it is in.

use std::net::IpAddr;

use netstat_model::packet_filter::{FilterVerdict, PacketFilter};
use netstat_model::reach::{is_loopback, is_public};
use netstat_model::route::{Interface, InterfaceAddress, Prefix};
use netstat_model::{Fact, Family, Protocol, Socket, State, Why, text};

use netstat_audit::passage;

/// From how far away a port can be reached, as far as this computer decides it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Extent {
    /// Only from within this computer, or from within the network namespace it is in.
    Here,
    /// From directly connected networks, and from wherever a router lets through.
    Networks,
    /// From the whole Internet.
    Anywhere,
    /// It cannot be told.
    Unknown(Why),
}

impl Extent {
    /// One word for it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Extent::Here => "here",
            Extent::Networks => "networks",
            Extent::Anywhere => "anywhere",
            Extent::Unknown(_) => "unknown",
        }
    }
}

/// A port at which a process waits, and who can reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reach {
    /// The protocol.
    pub(crate) protocol: Protocol,
    /// The address it is bound to.
    pub(crate) address: IpAddr,
    /// The port.
    pub(crate) port: u16,
    /// From how far.
    pub(crate) extent: Extent,
    /// The same in words, to follow "from"; safe to print.
    pub(crate) words: String,
    /// The families of packets that it takes.
    pub(crate) takes: Vec<Family>,
    /// What packet filters make of those who come from outside, for each family; empty where they were not asked.
    pub(crate) passages: Vec<(Family, FilterVerdict)>,
}

impl Reach {
    /// Asks `filter` who gets through to it.
    pub(crate) fn ask(&mut self, filter: &PacketFilter) {
        // Packets within this computer are seldom filtered, and another namespace has filters of its own.
        if !matches!(self.extent, Extent::Networks | Extent::Anywhere) {
            return;
        }
        self.passages = passage::ask(filter, self.protocol, (self.address, self.port), &self.takes);
    }
}

/// What this computer's network looks like.
#[derive(Debug)]
pub(crate) struct Network {
    /// Its interfaces.
    pub(crate) interfaces: Fact<Vec<Interface>>,
    /// Their addresses.
    pub(crate) addresses: Fact<Vec<InterfaceAddress>>,
}

/// Whether `socket` waits for whoever comes: TCP that listens, and UDP or MPTCP's likes without a peer.
pub(crate) fn waits(socket: &Socket) -> bool {
    match socket.protocol() {
        Protocol::Tcp | Protocol::Mptcp => socket.state() == State::Listening,
        Protocol::Udp => !socket.is_connected() && socket.local().port != 0,
        Protocol::Sctp | Protocol::Dccp => socket.state() == State::Listening,
        Protocol::UdpLite => !socket.is_connected() && socket.local().port != 0,
        _ => false,
    }
}

impl Network {
    /// Who can reach `socket`; `elsewhere` is the name of its network namespace when it is not the caller's.
    pub(crate) fn reach(&self, socket: &Socket, elsewhere: Option<&str>) -> Reach {
        let (extent, words) = self.extent(socket, elsewhere);
        Reach {
            protocol: socket.protocol(),
            address: socket.local().address,
            port: socket.local().port,
            extent,
            words,
            takes: passage::takes(socket),
            passages: Vec::new(),
        }
    }

    fn extent(&self, socket: &Socket, elsewhere: Option<&str>) -> (Extent, String) {
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
        if let Some(name) = elsewhere {
            return (
                Extent::Unknown(Why::NotAsked),
                format!("the network namespace {name} and whatever is forwarded into it; its addresses were not read"),
            );
        }
        let (interfaces, addresses) = match (&self.interfaces, &self.addresses) {
            (Fact::Known(interfaces), Fact::Known(addresses)) => (interfaces, addresses),
            (Fact::Unknown(why), _) | (_, Fact::Unknown(why)) => {
                return (
                    Extent::Unknown(*why),
                    format!("an unknown extent: the interfaces are {}", why.words()),
                );
            }
        };
        let name = |index: u32| {
            let interface = interfaces.iter().find(|interface| interface.index.get() == index);
            interface.map_or_else(
                || format!("interface {index}"),
                |found| text::escape(&found.name).into_owned(),
            )
        };
        let bound = socket.interface().map(u32::from);
        if !address.is_unspecified() {
            return specific(address, addresses, name);
        }
        let takes_v4 = socket.family() == Family::V4 || socket.fact(|extra| extra.v6_only) != Fact::Known(true);
        let takes_v6 = socket.family() == Family::V6;
        let mut own: Vec<&InterfaceAddress> = addresses
            .iter()
            .filter(|own| !is_loopback(own.address))
            .filter(|own| if own.address.is_ipv4() { takes_v4 } else { takes_v6 })
            .filter(|own| bound.is_none_or(|bound| own.interface == bound))
            .filter(|own| {
                let interface = interfaces
                    .iter()
                    .find(|interface| interface.index.get() == own.interface);
                interface.is_none_or(Interface::is_up)
            })
            .collect();
        let only = bound.map_or_else(String::new, |bound| format!(" (bound to {})", name(bound)));
        if own.is_empty() {
            let beyond = if bound.is_some() { "there" } else { "beyond loopback" };
            return (
                Extent::Here,
                format!("this computer only: it has no address {beyond} now{only}"),
            );
        }
        // The farthest-reaching in front; link-local ones say least.
        own.sort_by_key(|own| (!is_public(own.address), is_link_local(own.address)));
        if is_public(own[0].address) {
            let words = format!(
                "anywhere: {} has the public address {}{only}",
                name(own[0].interface),
                own[0].address
            );
            return (Extent::Anywhere, words);
        }
        if own.iter().any(|own| !is_link_local(own.address)) {
            own.retain(|own| !is_link_local(own.address));
        }
        let mut listed: Vec<String> = own.iter().map(|own| network_of(own, &name)).collect();
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
}

/// Who can reach a port bound to one address.
fn specific(address: IpAddr, addresses: &[InterfaceAddress], name: impl Fn(u32) -> String) -> (Extent, String) {
    let own = addresses.iter().find(|own| own.address == address);
    match own {
        _ if address.is_multicast() => (
            Extent::Networks,
            format!("whoever sends to the group {address} on a network that it has joined"),
        ),
        Some(own) if is_public(address) => (
            Extent::Anywhere,
            format!("anywhere: {address} of {} is public", name(own.interface)),
        ),
        Some(own) => (
            Extent::Networks,
            format!(
                "{}; from farther away only through a router that forwards it",
                network_of(own, &name)
            ),
        ),
        None => (
            Extent::Here,
            format!("nobody now: no interface has the address {address}"),
        ),
    }
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

/// `192.168.1.0/24 (eth0)`.
fn network_of(own: &InterfaceAddress, name: &impl Fn(u32) -> String) -> String {
    let network = Prefix::covering(own.peer.unwrap_or(own.address), own.prefix_length);
    format!("{}/{} ({})", network.address, network.length, name(own.interface))
}

#[cfg(test)]
mod tests {
    use super::*;
    use netstat_model::route::Scope;
    use netstat_model::{Extra, SocketFacts};
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
        }
    }

    fn network(addresses: &[(u32, &str, u8)]) -> Network {
        let address = |&(interface, address, prefix_length): &(u32, &str, u8)| InterfaceAddress {
            interface,
            address: address.parse().unwrap(),
            peer: None,
            prefix_length,
            scope: Scope::UNIVERSE,
            flags: 0,
        };
        Network {
            interfaces: Fact::Known(vec![
                interface(1, "lo", 9),
                interface(2, "eth0", 1),
                interface(3, "wan", 1),
                interface(4, "off", 0),
            ]),
            addresses: Fact::Known(addresses.iter().map(address).collect()),
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
    fn the_address_decides() {
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
            let reach = network(addresses).reach(&listener(address, interface), None);
            assert_eq!((reach.extent, reach.words.as_str()), (extent, words), "{address}");
        }
    }

    #[test]
    fn version_6_alone_leaves_out_version_4() {
        let socket = listener("::", 0).with_extra(Extra {
            v6_only: Fact::Known(true),
            ..Extra::default()
        });
        let reach = network(&HOME).reach(&socket, None);
        assert_eq!(
            reach.words,
            "fe80::/64 (eth0); from farther away only through a router that forwards it"
        );
        assert_eq!(network(&HOME[..3]).reach(&socket, None).extent, Extent::Here);
    }

    #[test]
    fn another_namespace_is_not_judged_by_our_addresses() {
        let reach = network(&HOME).reach(&listener("0.0.0.0", 0), Some("web"));
        assert_eq!(reach.extent, Extent::Unknown(Why::NotAsked));
        let reach = network(&HOME).reach(&listener("127.0.0.1", 0), Some("web"));
        assert_eq!(
            (reach.extent, reach.words.as_str()),
            (Extent::Here, "programs in the network namespace web only")
        );
    }

    #[test]
    fn unreadable_interfaces_leave_it_open() {
        let network = Network {
            interfaces: Fact::Unknown(Why::NotPermitted),
            addresses: Fact::Unknown(Why::NotPermitted),
        };
        let reach = network.reach(&listener("0.0.0.0", 0), None);
        assert_eq!(reach.extent, Extent::Unknown(Why::NotPermitted));
    }
}
