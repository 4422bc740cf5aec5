//! Sockets of rarer kinds: raw, ping, packet and MPTCP.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, Protocol, SocketFlags, SocketType, eth, ipproto, socket_with};

fn socket(family: AddressFamily, kind: SocketType, protocol: Protocol) -> io::Result<OwnedFd> {
    Ok(socket_with(family, kind, SocketFlags::CLOEXEC, Some(protocol))?)
}

/// Creates a raw socket for ICMP (protocol 1) or, if `v6` is set, for ICMPv6 (58). Requires CAP_NET_RAW.
pub fn raw(v6: bool) -> io::Result<OwnedFd> {
    match v6 {
        false => socket(AddressFamily::INET, SocketType::RAW, ipproto::ICMP),
        true => socket(AddressFamily::INET6, SocketType::RAW, ipproto::ICMPV6),
    }
}

/// Creates a socket that allows `ping` without privileges (icmp(7)), bound to an IPv4 address; the port is the
/// identifier of its echo requests. Fails if `ping_group_range` cannot be set.
pub fn ping(local: SocketAddr) -> io::Result<OwnedFd> {
    std::fs::write("/proc/sys/net/ipv4/ping_group_range", "0 0")?;
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, ipproto::ICMP)?;
    rustix::net::bind(&socket, &local)?;
    Ok(socket)
}

/// Creates two packet sockets: one for all frames with their header, and one for LLDP (EtherType 0x88cc) without.
/// Requires CAP_NET_RAW.
pub fn packet() -> io::Result<[OwnedFd; 2]> {
    Ok([
        socket(AddressFamily::PACKET, SocketType::RAW, eth::ALL)?,
        socket(AddressFamily::PACKET, SocketType::DGRAM, eth::LLDP)?,
    ])
}

/// Creates an MPTCP listener at this IPv4 address, a client and the accepted end. Fails if the kernel has no MPTCP.
pub fn mptcp(local: SocketAddr) -> io::Result<[OwnedFd; 3]> {
    let new = || socket(AddressFamily::INET, SocketType::STREAM, ipproto::MPTCP);
    let listener = new()?;
    rustix::net::bind(&listener, &local)?;
    rustix::net::listen(&listener, 5)?;
    let client = new()?;
    rustix::net::connect(&client, &rustix::net::getsockname(&listener)?)?;
    let accepted = rustix::net::accept(&listener)?;
    Ok([listener, client, accepted])
}
