//! Ports that the packet filter forwards: their description, and the sockets behind them.

use std::net::{IpAddr, SocketAddr};

use netstat_model::packet_filter::{Arrival, FilterVerdict, PacketFilter, Published};
use netstat_model::reach::{LocalNetwork, is_loopback, waits};
use netstat_model::{Fact, Family, Protocol, Socket};

/// Returns the protocol of a published port.
pub fn protocol(published: &Published) -> Protocol {
    match published.protocol {
        17 => Protocol::Udp,
        _ => Protocol::Tcp,
    }
}

/// Returns the address family of a published port.
pub fn family(published: &Published) -> Family {
    if published.v6 { Family::V6 } else { Family::V4 }
}

/// Whether the rule applies to addresses of this computer, in the namespace of `network`. Rules may also forward
/// traffic that only passes through.
pub fn is_here(published: &Published, network: &LocalNetwork) -> bool {
    let Some(asked) = published.address else { return true };
    let addresses = network.addresses.as_ref().known().map_or(&[][..], Vec::as_slice);
    let mut beyond = addresses.iter().filter(|own| !is_loopback(own.address));
    // Without the addresses it is not known; showing a port too many is better than missing an open one.
    network.addresses.as_ref().known().is_none()
        || beyond.any(|own| asked.contains(own.address))
        || network.owns(asked.address()) && !is_loopback(asked.address())
}

/// Formats the published ports, with the address if the rule applies to one only: `18089`, `8000-8010`, `192.0.2.1:53`,
/// `*`.
pub fn ports(published: &Published) -> String {
    let ports = match published.ports {
        (1, u16::MAX) => "*".to_owned(),
        (low, high) if low == high => low.to_string(),
        (low, high) => format!("{low}-{high}"),
    };
    match published.address {
        Some(network) if network.address().is_ipv6() => format!("[{network}]:{ports}"),
        Some(network) => format!("{network}:{ports}"),
        None => format!("{}:{ports}", if published.v6 { "[::]" } else { "0.0.0.0" }),
    }
}

/// Formats the destination: `172.17.0.2:80`.
pub fn destination(published: &Published) -> String {
    let to = &published.to;
    let port = match (to.port, published.ports) {
        (Some(port), _) => port.to_string(),
        (None, (low, high)) if low == high => low.to_string(),
        (None, _) => "the same port".to_owned(),
    };
    match (to.known, to.here, to.address) {
        (false, ..) => "a destination that the rules choose each time".to_owned(),
        (_, true, _) => format!("port {port} of this computer"),
        (_, _, Some(address)) => match port.parse() {
            Ok(port) => SocketAddr::new(address, port).to_string(),
            Err(_) => format!("{address}, {port}"),
        },
        (_, _, None) => format!("port {port} of the same address"),
    }
}

/// Describes the remaining conditions of the rule in a sentence; empty if there are none. Safe to print.
pub fn conditions(published: &Published) -> String {
    let shown: Vec<String> = published.conditions.iter().map(ToString::to_string).collect();
    match shown.is_empty() {
        true => String::new(),
        false => format!("if it comes {}", shown.join(" and ")),
    }
}

/// Returns the destination port of packets to `port`, which is one of the published ports.
fn new_port(published: &Published, port: u16) -> u16 {
    published.to.port.unwrap_or(port)
}

/// Returns the indices in `sockets` of those that receive the packets of a published port. They may be in any namespace
/// that has the destination address. Empty if the destination is another computer.
///
/// `networks` holds the namespaces in the order of [`Socket::namespace`].
pub fn behind(published: &Published, port: u16, sockets: &[Socket], networks: &[LocalNetwork]) -> Vec<usize> {
    if !published.to.known {
        return Vec::new();
    }
    let port = new_port(published, port);
    let answers = |socket: &Socket| {
        let local = socket.local();
        let address = local.address.to_canonical();
        if !waits(socket) || local.port != port || !speaks(socket, published) || !takes(socket, published.v6) {
            return false;
        }
        match published.to.address {
            // Redirected packets are sent to the address of the interface that they arrived on.
            None => socket.namespace() == 0 && !is_loopback(address),
            Some(to) => {
                let owns = networks
                    .get(socket.namespace() as usize)
                    .is_some_and(|network| owns(network, to, socket));
                owns && (address.is_unspecified() || address == to)
            }
        }
    };
    let places = sockets.iter().enumerate().filter(|(_, socket)| answers(socket));
    places.map(|(place, _)| place).collect()
}

/// Whether `to` is an address of the socket's namespace. A loopback address is that of this computer's own namespace.
fn owns(network: &LocalNetwork, to: IpAddr, socket: &Socket) -> bool {
    match is_loopback(to) {
        true => socket.namespace() == 0,
        false => network.owns(to),
    }
}

fn speaks(socket: &Socket, published: &Published) -> bool {
    match published.protocol {
        17 => socket.protocol() == Protocol::Udp,
        _ => matches!(socket.protocol(), Protocol::Tcp | Protocol::Mptcp),
    }
}

fn takes(socket: &Socket, v6: bool) -> bool {
    match (socket.family(), v6) {
        (Family::V4, v6) => !v6,
        (Family::V6, true) => true,
        (Family::V6, false) => socket.fact(|extra| extra.v6_only) != Fact::Known(true),
        _ => false,
    }
}

/// Returns how the packet filters treat traffic from outside that arrives at a published port and is forwarded to its
/// destination.
pub fn passage(filter: &PacketFilter, published: &Published) -> FilterVerdict {
    let port = new_port(published, published.ports.0);
    let arrival = |address| Arrival {
        protocol: published.protocol,
        port,
        address,
    };
    match published.to.address {
        Some(address) if !is_loopback(address) => filter.evaluate_forwarded(arrival(address)),
        Some(address) => filter.evaluate(arrival(address)),
        None if published.v6 => filter.evaluate(arrival(std::net::Ipv6Addr::UNSPECIFIED.into())),
        None => filter.evaluate(arrival(std::net::Ipv4Addr::UNSPECIFIED.into())),
    }
}
