//! What a listing asks of the system, and what comes back.

use netstat_model::{Extras, Limit, Namespace, Ports, Protocol, Sides, Socket, State};

/// Which sockets a question needs. Pushed into the kernel where it can filter.
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
    /// RAW over IPv4: raw sockets, and those of `ping`.
    pub raw4: bool,
    /// RAW over IPv6.
    pub raw6: bool,
    /// MPTCP over IPv4.
    pub mptcp4: bool,
    /// MPTCP over IPv6.
    pub mptcp6: bool,
    /// Packet sockets (AF_PACKET).
    pub packet: bool,
    /// Sockets within this computer (AF_UNIX).
    pub unix: bool,
    /// Further kinds, of [`SocketAsk::FURTHER`].
    pub further: Vec<Protocol>,
    /// Whether those of `further` are read only where the kernel has any, and nothing is said of those that it lacks.
    pub further_where_present: bool,
    /// The TCP and MPTCP states wanted. Sockets of the others are wanted whatever their state.
    pub tcp_states: Vec<State>,
    /// Only sockets with one of these ports on either side; empty: all.
    pub ports: Ports,
    /// Only sockets whose local side is one of these; empty: all.
    pub local: Sides,
    /// Only sockets whose foreign side is one of these; empty: all.
    pub foreign: Sides,
    /// Which groups of [`netstat_model::Extra`] are wanted.
    pub extra: Extras,
    /// Whether the bytes of TCP connections are to be counted from now on where the system does not count by itself (Windows, which does
    /// so for an elevated caller). They are among [`Extras::TCP`], without which this means nothing.
    pub count_bytes: bool,
    /// Whether every network namespace that can be found is looked into, not only the caller's.
    pub all_namespaces: bool,
}

impl SocketAsk {
    /// Every socket of every kind and state in the caller's own network, without extras.
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
    /// The kinds that [`SocketAsk::further`] may name.
    pub const FURTHER: [Protocol; 6] = [
        Protocol::UdpLite,
        Protocol::Sctp,
        Protocol::Dccp,
        Protocol::Vsock,
        Protocol::Netlink,
        Protocol::Xdp,
    ];

    /// Those of them that programs use between computers, or between a virtual machine and its host.
    pub const TRANSPORTS: [Protocol; 4] = [Protocol::UdpLite, Protocol::Sctp, Protocol::Dccp, Protocol::Vsock];
}

/// Which figures a question needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MetricsAsk {
    /// Those of every process; those of the computer as a whole are always read.
    pub processes: bool,
}

/// The sockets found, and what could not be seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SocketList {
    /// In no order.
    pub sockets: Vec<Socket>,
    /// The namespaces that [`Socket::namespace`] counts; empty where only the caller's own was asked for.
    pub namespaces: Vec<Namespace>,
    /// What is missing or weaker than asked.
    pub limits: Vec<Limit>,
    /// Whether a whole group that was asked for could not be read in any way.
    pub failed: bool,
    /// Whether the slower source with fewer facts was used.
    pub fell_back: bool,
}

impl SocketList {
    /// Empties the list; the memory stays for the next read.
    pub fn clear(&mut self) {
        self.sockets.clear();
        self.namespaces.clear();
        self.limits.clear();
        self.failed = false;
        self.fell_back = false;
    }
}

/// What came of trying ports; see [`System::try_ports`](crate::System::try_ports).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortTries {
    /// Ports that something holds, in the order in which they were tried.
    pub taken: Vec<u16>,
    /// How many could not be tried for lack of privilege: on Linux, those below `net.ipv4.ip_unprivileged_port_start`.
    pub forbidden: u32,
    /// How many could not be tried for another reason, as without the protocol family.
    pub failed: u32,
}
