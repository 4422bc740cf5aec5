//! Protocols, address families and states of sockets.

/// The protocol a socket uses, in the order in which listings show them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Protocol {
    /// Transmission Control Protocol (RFC 9293).
    Tcp,
    /// User Datagram Protocol (RFC 768).
    Udp,
    /// Raw IP: whole packets of one protocol above IP, and the sockets by which `ping` works without privileges
    /// ([`Detail::Ping`](super::Detail::Ping)). The port is the number of that protocol (1 ICMP, 58 ICMPv6: IANA,
    /// Protocol Numbers).
    Raw,
    /// Multipath TCP (RFC 8684): the connection as its program sees it. The TCP connections that it consists of are
    /// listed separately as [`Protocol::Tcp`].
    Mptcp,
    /// Frames of a network interface (Linux AF_PACKET, `packet(7)`).
    Packet,
    /// Communication within this computer (AF_UNIX, `unix(7)`).
    Unix,
    /// Lightweight User Datagram Protocol (RFC 3828).
    UdpLite,
    /// Stream Control Transmission Protocol (RFC 9260). Each association is a row of its own beside that of its
    /// listener.
    Sctp,
    /// Datagram Congestion Control Protocol (RFC 4340).
    Dccp,
    /// Communication between a virtual machine and its host (Linux AF_VSOCK, `vsock(7)`).
    Vsock,
    /// Communication between a program and the kernel (Linux AF_NETLINK, `netlink(7)`).
    Netlink,
    /// Frames of one queue of a network interface, bypassing the kernel's network stack (Linux AF_XDP).
    Xdp,
}

impl Protocol {
    /// Every protocol, in order.
    pub const ALL: [Protocol; 12] = [
        Protocol::Tcp,
        Protocol::Udp,
        Protocol::Raw,
        Protocol::Mptcp,
        Protocol::Packet,
        Protocol::Unix,
        Protocol::UdpLite,
        Protocol::Sctp,
        Protocol::Dccp,
        Protocol::Vsock,
        Protocol::Netlink,
        Protocol::Xdp,
    ];

    /// Returns the name in the Proto column: `TCP`, `UDP` and so on.
    pub const fn name(self) -> &'static str {
        match self {
            Protocol::Tcp => "TCP",
            Protocol::Udp => "UDP",
            Protocol::Raw => "RAW",
            Protocol::Mptcp => "MPTCP",
            Protocol::Packet => "PACKET",
            Protocol::Unix => "UNIX",
            Protocol::UdpLite => "UDPLITE",
            Protocol::Sctp => "SCTP",
            Protocol::Dccp => "DCCP",
            Protocol::Vsock => "VSOCK",
            Protocol::Netlink => "NETLINK",
            Protocol::Xdp => "XDP",
        }
    }

    /// Whether sockets of this protocol have IP addresses.
    pub const fn is_ip(self) -> bool {
        !matches!(
            self,
            Protocol::Packet | Protocol::Unix | Protocol::Vsock | Protocol::Netlink | Protocol::Xdp
        )
    }

    /// Whether sockets of this protocol have states. For the others, [`State`] only tells whether they are connected.
    pub const fn has_states(self) -> bool {
        matches!(
            self,
            Protocol::Tcp | Protocol::Mptcp | Protocol::Unix | Protocol::Sctp | Protocol::Dccp | Protocol::Vsock
        )
    }

    /// Whether sockets of this protocol have ports at which programs reach each other. The ports of `Raw` are protocol
    /// numbers instead.
    pub const fn has_ports(self) -> bool {
        matches!(
            self,
            Protocol::Tcp | Protocol::Udp | Protocol::Mptcp | Protocol::UdpLite | Protocol::Sctp | Protocol::Dccp
        )
    }
}

/// The address family of a socket. An IPv6 socket may carry IPv4-mapped addresses (RFC 4291, 2.5.5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Family {
    /// IPv4 (AF_INET).
    V4,
    /// IPv6 (AF_INET6).
    V6,
    /// AF_PACKET: no IP address. See [`Detail::Packet`](super::Detail::Packet).
    Packet,
    /// AF_UNIX: no IP address. See [`Detail::Unix`](super::Detail::Unix).
    Unix,
    /// AF_VSOCK: no IP address. See [`Detail::Vsock`](super::Detail::Vsock).
    Vsock,
    /// AF_NETLINK: no IP address. See [`Detail::Netlink`](super::Detail::Netlink).
    Netlink,
    /// AF_XDP: no IP address. See [`Detail::Xdp`](super::Detail::Xdp).
    Xdp,
}

impl Family {
    /// Returns the name: `IPv4`, `IPv6`, `packet`, `unix`, `vsock`, `netlink` or `xdp`.
    pub const fn name(self) -> &'static str {
        match self {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
            Family::Packet => "packet",
            Family::Unix => "unix",
            Family::Vsock => "vsock",
            Family::Netlink => "netlink",
            Family::Xdp => "xdp",
        }
    }
}

/// The state of a TCP connection (RFC 9293, 3.3.2), with the names that `netstat` has always printed, and `Bound` for a
/// port that is taken but neither listens nor connects.
///
/// UDP has no states: for a UDP socket, `Established` means that it is connected to a peer, and `Closed` that it is
/// not, as Linux reports it. The same holds for raw sockets. AF_UNIX and MPTCP sockets can also be listening.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum State {
    /// ESTABLISHED: the connection is open.
    Established,
    /// SYN-SENT: a connection request was sent and has not been answered.
    SynSent,
    /// SYN-RECEIVED: a connection request was received and answered, but the answer is not acknowledged yet.
    SynReceived,
    /// FIN-WAIT-1: this side has closed, and the peer has not acknowledged that yet.
    FinWait1,
    /// FIN-WAIT-2: this side has closed and the peer has acknowledged that, but has not closed itself.
    FinWait2,
    /// TIME-WAIT: both sides have closed, and the connection is kept for late segments.
    TimeWait,
    /// CLOSED: there is no connection.
    Closed,
    /// CLOSE-WAIT: the peer has closed, but this side has not.
    CloseWait,
    /// LAST-ACK: both sides have closed, the peer first, and its acknowledgement is missing.
    LastAck,
    /// LISTEN: the socket waits for connection requests.
    Listening,
    /// CLOSING: both sides have closed at the same time, and the peer's acknowledgement is missing.
    Closing,
    /// Bound to a port, but neither listening nor connecting.
    Bound,
}

impl State {
    /// Every state, in the order in which the Windows documentation lists them.
    pub const ALL: [State; 12] = [
        State::Listening,
        State::Established,
        State::TimeWait,
        State::CloseWait,
        State::SynSent,
        State::SynReceived,
        State::FinWait1,
        State::FinWait2,
        State::LastAck,
        State::Closing,
        State::Closed,
        State::Bound,
    ];

    /// Returns the name in the State column.
    pub const fn name(self) -> &'static str {
        match self {
            State::Established => "ESTABLISHED",
            State::SynSent => "SYN_SENT",
            State::SynReceived => "SYN_RECEIVED",
            State::FinWait1 => "FIN_WAIT_1",
            State::FinWait2 => "FIN_WAIT_2",
            State::TimeWait => "TIME_WAIT",
            State::Closed => "CLOSED",
            State::CloseWait => "CLOSE_WAIT",
            State::LastAck => "LAST_ACK",
            State::Listening => "LISTENING",
            State::Closing => "CLOSING",
            State::Bound => "BOUND",
        }
    }
}
