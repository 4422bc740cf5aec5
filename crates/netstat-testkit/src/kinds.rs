//! Sockets of the rarer kinds: RAW, of ping, PACKET and MPTCP.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, Protocol, SocketFlags, SocketType, eth, ipproto, socket_with};

fn socket(family: AddressFamily, kind: SocketType, protocol: Protocol) -> io::Result<OwnedFd> {
    Ok(socket_with(family, kind, SocketFlags::CLOEXEC, Some(protocol))?)
}

/// A raw socket of ICMP (protocol 1), or of ICMPv6 (58) where `v6`. Needs CAP_NET_RAW.
pub fn raw(v6: bool) -> io::Result<OwnedFd> {
    match v6 {
        false => socket(AddressFamily::INET, SocketType::RAW, ipproto::ICMP),
        true => socket(AddressFamily::INET6, SocketType::RAW, ipproto::ICMPV6),
    }
}

/// A socket by which `ping` works without privilege (icmp(7)), bound to an IPv4 address; the port is the identifier of its echo
/// requests. Fails where `ping_group_range` cannot be set.
pub fn ping(local: SocketAddr) -> io::Result<OwnedFd> {
    std::fs::write("/proc/sys/net/ipv4/ping_group_range", "0 0")?;
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, ipproto::ICMP)?;
    rustix::net::bind(&socket, &local)?;
    Ok(socket)
}

/// Two packet sockets: one for every frame with its header, one for LLDP (EtherType 0x88cc) without. Needs CAP_NET_RAW.
pub fn packet() -> io::Result<[OwnedFd; 2]> {
    Ok([
        socket(AddressFamily::PACKET, SocketType::RAW, eth::ALL)?,
        socket(AddressFamily::PACKET, SocketType::DGRAM, eth::LLDP)?,
    ])
}

/// A listener of MPTCP at this IPv4 address, a client and the accepted end. Fails where the kernel has no MPTCP.
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
