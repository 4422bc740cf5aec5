//! Tries whether ports can be bound, which probes the kernel's port tables without listing sockets.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use netstat_model::Protocol;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt};

use crate::PortTries;

/// Binds a socket to each of `ports` on the unspecified address, never listens, and closes it at once. With `v6`, the
/// socket is IPv6-only, so that an IPv4 socket with the same port does not matter.
///
/// `SO_REUSEADDR` is not set, so the kernel refuses the port whatever uses it, and whichever address that is bound to
/// (`inet_csk_get_port`, `udp_lib_get_port`).
pub(super) fn try_ports(protocol: Protocol, v6: bool, ports: &[u16]) -> PortTries {
    let mut tries = PortTries::default();
    for &port in ports {
        match try_port(protocol, v6, port) {
            Ok(()) => {}
            Err(Errno::ADDRINUSE) => tries.taken.push(port),
            Err(Errno::ACCESS) => tries.forbidden += 1,
            Err(_) => tries.failed += 1,
        }
    }
    tries
}

fn try_port(protocol: Protocol, v6: bool, port: u16) -> Result<(), Errno> {
    let kind = match protocol {
        Protocol::Tcp => SocketType::STREAM,
        Protocol::Udp => SocketType::DGRAM,
        // Protocols without ports, or whose ports cannot be bound with a plain socket.
        _ => return Err(Errno::PROTONOSUPPORT),
    };
    if port == 0 {
        // The kernel would choose a port.
        return Err(Errno::INVAL);
    }
    let (family, address): (_, SocketAddr) = match v6 {
        true => (AddressFamily::INET6, (Ipv6Addr::UNSPECIFIED, port).into()),
        false => (AddressFamily::INET, (Ipv4Addr::UNSPECIFIED, port).into()),
    };
    let socket = socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
    if v6 {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    bind(&socket, &address)
}
