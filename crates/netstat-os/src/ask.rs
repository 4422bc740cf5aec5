//! The requests for sockets, metrics and port probes, and their results.

use netstat_model::{Extras, Limit, Namespace, Ports, Protocol, Sides, Socket, State};

/// Selects sockets. The conditions are evaluated in the kernel where it can filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SocketAsk {
    /// TCP over IPv4.
    pub tcp4: bool,
    /// TCP over IPv6.
    pub tcp6: bool,
    /// UDP over IPv4.
    pub udp4: bool,
    /// UDP over IPv6.
    pub udp6: bool,
    /// RAW over IPv4: raw sockets and ping sockets.
    pub raw4: bool,
    /// RAW over IPv6.
    pub raw6: bool,
    /// MPTCP over IPv4.
    pub mptcp4: bool,
    /// MPTCP over IPv6.
    pub mptcp6: bool,
    /// Packet sockets (AF_PACKET).
    pub packet: bool,
    /// Unix-domain sockets (AF_UNIX).
    pub unix: bool,
    /// Further socket types, from [`SocketAsk::FURTHER`].
    pub further: Vec<Protocol>,
    /// Whether the types in `further` are read only if the kernel already has such sockets, without reporting a limit
    /// for types that it does not support.
    pub further_where_present: bool,
    /// The TCP and MPTCP states to include. Sockets of other protocols are included in any state.
    pub tcp_states: Vec<State>,
    /// Only sockets with one of these ports on either side; all if empty.
    pub ports: Ports,
    /// Only sockets whose local side matches one of these; all if empty.
    pub local: Sides,
    /// Only sockets whose foreign side matches one of these; all if empty.
    pub foreign: Sides,
    /// The groups of [`netstat_model::Extra`] to read.
    pub extra: Extras,
    /// Whether to start counting the bytes of TCP connections, if the system does not count them by itself (Windows,
    /// which does so for an elevated caller). They belong to [`Extras::TCP`], without which this has no effect.
    pub count_bytes: bool,
    /// Whether to include every network namespace that can be found, and not only the caller's own.
    pub all_namespaces: bool,
}

impl SocketAsk {
    /// Selects sockets of every type and state in the caller's own network namespace, without extras.
    pub fn everything() -> Self {
        SocketAsk {
            tcp4: true,
            tcp6: true,
            udp4: true,
            udp6: true,
            raw4: true,
            raw6: true,
            mptcp4: true,
            mptcp6: true,
            packet: true,
            unix: true,
            tcp_states: State::ALL.to_vec(),
            ..SocketAsk::default()
        }
    }
}

impl SocketAsk {
    /// The socket types that [`SocketAsk::further`] may contain.
    pub const FURTHER: [Protocol; 6] = [
        Protocol::UdpLite,
        Protocol::Sctp,
        Protocol::Dccp,
        Protocol::Vsock,
        Protocol::Netlink,
        Protocol::Xdp,
    ];

    /// Those of them that connect computers, or a virtual machine and its host.
    pub const TRANSPORTS: [Protocol; 4] = [Protocol::UdpLite, Protocol::Sctp, Protocol::Dccp, Protocol::Vsock];
}

/// Selects metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MetricsAsk {
    /// Whether to include the metrics of every process; those of the computer are always read.
    pub processes: bool,
}

/// The sockets found, and what could not be seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SocketList {
    /// The sockets, in no particular order.
    pub sockets: Vec<Socket>,
    /// The namespaces that [`Socket::namespace`] refers to; empty if only the caller's own was requested.
    pub namespaces: Vec<Namespace>,
    /// What is missing or less detailed than requested.
    pub limits: Vec<Limit>,
    /// Whether a whole group that was requested could not be read from any source.
    pub failed: bool,
    /// Whether the slower source with fewer details was used.
    pub fell_back: bool,
}

impl SocketList {
    /// Clears the list, but keeps its allocations.
    pub fn clear(&mut self) {
        self.sockets.clear();
        self.namespaces.clear();
        self.limits.clear();
        self.failed = false;
        self.fell_back = false;
    }
}

/// The result of trying ports; see [`Integrity::try_ports`](crate::Integrity::try_ports).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortTries {
    /// The ports that are in use, in the order in which they were tried.
    pub taken: Vec<u16>,
    /// How many could not be tried for lack of privileges: on Linux those below `net.ipv4.ip_unprivileged_port_start`.
    pub forbidden: u32,
    /// How many could not be tried for another reason, such as a missing protocol family.
    pub failed: u32,
}
