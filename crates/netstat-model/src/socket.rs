//! One socket as the kernel knows it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::{NonZeroU32, NonZeroU64};

use crate::{Fact, Why};

/// The transport protocol of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Protocol {
    /// Transmission Control Protocol (RFC 9293).
    Tcp,
    /// User Datagram Protocol (RFC 768).
    Udp,
}

impl Protocol {
    /// `TCP` or `UDP`, as the Proto column shows it.
    pub const fn name(self) -> &'static str {
        match self {
            Protocol::Tcp => "TCP",
            Protocol::Udp => "UDP",
        }
    }
}

/// The address family a socket was made for. An IPv6 socket may carry IPv4-mapped addresses (RFC 4291, 2.5.5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Family {
    /// AF_INET.
    V4,
    /// AF_INET6.
    V6,
}

/// The state of a TCP connection (RFC 9293, 3.3.2), with the names `netstat` has always printed, plus `BOUND` for a port
/// that is taken but neither listens nor connects. A UDP socket has no state in the protocol: `Established` there means that
/// it is connected to a peer, `Closed` that it is not (as Linux keeps it).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum State {
    /// ESTABLISHED.
    Established,
    /// SYN-SENT.
    SynSent,
    /// SYN-RECEIVED.
    SynReceived,
    /// FIN-WAIT-1.
    FinWait1,
    /// FIN-WAIT-2.
    FinWait2,
    /// TIME-WAIT.
    TimeWait,
    /// CLOSED.
    Closed,
    /// CLOSE-WAIT.
    CloseWait,
    /// LAST-ACK.
    LastAck,
    /// LISTEN.
    Listening,
    /// CLOSING.
    Closing,
    /// Bound to a port; neither listening nor connecting.
    Bound,
}

impl State {
    /// Every state, in the order of the Windows documentation's list.
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

    /// The word in the State column.
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

/// One side of a socket: address and port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// The address. `0.0.0.0` or `::` where the side is not bound or not connected.
    pub address: IpAddr,
    /// The port, 0 to 65535; 0 where the side is not bound or not connected.
    pub port: u16,
    /// The interface index that completes a link-local IPv6 address (RFC 4007); 0 where none is needed or known.
    pub scope: u32,
}

/// One socket. Compact on purpose: a million of these must fit beside each other in less than 100 MB, so the optional
/// facts are packed and read through methods.
#[derive(Clone, Debug, PartialEq)]
pub struct Socket {
    local: u128,
    foreign: u128,
    cookie: Option<NonZeroU64>,
    extra: Option<Box<Extra>>,
    local_port: u16,
    foreign_port: u16,
    interface: u32,
    inode: u32,
    user: u32,
    receive_queue: u32,
    send_queue: u32,
    protocol: Protocol,
    family: Family,
    state: State,
}

const _: () = assert!(size_of::<Socket>() <= 80, "a million sockets must fit into 100 MB");

/// `Socket::user` when it was not told: `(uid_t)-1` is no user (POSIX chown(2), kernel `INVALID_UID`).
const NO_USER: u32 = u32::MAX;

/// `Socket::send_queue` when it was not told; the kernel's queues stay far below it (`net.core.wmem_max` is an int).
const NO_QUEUE: u32 = u32::MAX;

/// What a collector knows of a socket; see [`Socket::new`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketFacts {
    /// Transport protocol.
    pub protocol: Protocol,
    /// Address family.
    pub family: Family,
    /// State; see [`State`] for UDP.
    pub state: State,
    /// Local address; of the family named above.
    pub local: IpAddr,
    /// Local port.
    pub local_port: u16,
    /// Foreign address; unspecified when not connected.
    pub foreign: IpAddr,
    /// Foreign port; 0 when not connected.
    pub foreign_port: u16,
    /// Index of the interface the socket is bound to; 0 when it is bound to none.
    pub interface: u32,
    /// Inode of the descriptor in the kernel's socket file system; 0 when no descriptor belongs to the socket.
    pub inode: u32,
    /// User id of the socket's maker; `None` when not told.
    pub user: Option<u32>,
    /// The kernel's cookie, unique since boot; `None` when not told.
    pub cookie: Option<NonZeroU64>,
    /// For a listener: connections waiting to be accepted. Else: bytes received and not yet read by the program.
    pub receive_queue: u32,
    /// For a listener: the limit of that queue (backlog). Else: bytes sent and not yet acknowledged. `None`: not told.
    pub send_queue: Option<u32>,
}

/// Facts that are read only when the question needs them.
#[derive(Clone, Debug, PartialEq)]
pub struct Extra {
    /// Milliseconds since the connection came into its state.
    pub time_in_state: Fact<u64>,
    /// The type-of-service (IPv4) or traffic-class (IPv6) byte of outgoing packets; its upper six bits are the DSCP (RFC 2474).
    pub tos: Fact<u8>,
}

/// IPv4 addresses are kept as a number in the low 32 bits, so that both families compare as numbers.
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

impl Socket {
    /// Packs the facts of one socket. Addresses of the other family than `facts.family` are converted (mapped or cut).
    pub fn new(facts: &SocketFacts) -> Self {
        Socket {
            local: number(facts.local),
            foreign: number(facts.foreign),
            cookie: facts.cookie,
            extra: None,
            local_port: facts.local_port,
            foreign_port: facts.foreign_port,
            interface: facts.interface,
            inode: facts.inode,
            user: facts.user.unwrap_or(NO_USER),
            receive_queue: facts.receive_queue,
            send_queue: facts.send_queue.unwrap_or(NO_QUEUE),
            protocol: facts.protocol,
            family: facts.family,
            state: facts.state,
        }
    }

    /// The same socket with the facts that were asked for on top.
    pub fn with_extra(mut self, extra: Extra) -> Self {
        self.extra = Some(Box::new(extra));
        self
    }

    /// Transport protocol.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Address family.
    pub fn family(&self) -> Family {
        self.family
    }

    /// State; see [`State`] for UDP.
    pub fn state(&self) -> State {
        self.state
    }

    fn address(&self, number: u128) -> IpAddr {
        match self.family {
            // `number` put it there from 32 bits.
            Family::V4 => IpAddr::V4(Ipv4Addr::from_bits(number as u32)),
            Family::V6 => IpAddr::V6(Ipv6Addr::from_bits(number)),
        }
    }

    /// The scope of an address: the bound interface, for link-local addresses only.
    fn scope(&self, number: u128) -> u32 {
        // fe80::/10 (RFC 4291, 2.5.6).
        if self.family == Family::V6 && number >> 118 == 0xfe80 >> 6 {
            self.interface
        } else {
            0
        }
    }

    /// The local side.
    pub fn local(&self) -> Endpoint {
        Endpoint {
            address: self.address(self.local),
            port: self.local_port,
            scope: self.scope(self.local),
        }
    }

    /// The foreign side; unspecified address and port 0 when the socket is not connected.
    pub fn foreign(&self) -> Endpoint {
        Endpoint {
            address: self.address(self.foreign),
            port: self.foreign_port,
            scope: self.scope(self.foreign),
        }
    }

    /// Whether the socket has a peer.
    pub fn is_connected(&self) -> bool {
        self.foreign != 0 || self.foreign_port != 0
    }

    /// Index of the interface the socket is bound to; `None` when it is bound to none.
    pub fn interface(&self) -> Option<NonZeroU32> {
        NonZeroU32::new(self.interface)
    }

    /// Inode of the descriptor in the kernel's socket file system; `None` when no descriptor belongs to the socket
    /// (TIME_WAIT, SYN_RECEIVED, not yet accepted, closed by its program).
    pub fn inode(&self) -> Option<NonZeroU32> {
        NonZeroU32::new(self.inode)
    }

    /// User id of the socket's maker.
    pub fn user(&self) -> Fact<u32> {
        if self.user == NO_USER {
            Fact::Unknown(Why::NotKept)
        } else {
            Fact::Known(self.user)
        }
    }

    /// The kernel's number for this socket, unique since boot.
    pub fn cookie(&self) -> Option<NonZeroU64> {
        self.cookie
    }

    /// For a listener: connections waiting to be accepted. Else: bytes received and not yet read.
    pub fn receive_queue(&self) -> u32 {
        self.receive_queue
    }

    /// For a listener: the limit of its accept queue. Else: bytes sent and not yet acknowledged.
    pub fn send_queue(&self) -> Fact<u32> {
        if self.send_queue == NO_QUEUE {
            Fact::Unknown(Why::NotKept)
        } else {
            Fact::Known(self.send_queue)
        }
    }

    /// The facts read on demand, if they were asked for.
    pub fn extra(&self) -> Option<&Extra> {
        self.extra.as_deref()
    }

    /// The differentiated services code point (0 to 63) of outgoing packets (RFC 2474).
    pub fn dscp(&self) -> Fact<u8> {
        match self.extra() {
            Some(extra) => extra.tos.map(|tos| tos >> 2),
            None => Fact::Unknown(Why::NotAsked),
        }
    }

    /// Milliseconds since the connection came into its state.
    pub fn time_in_state(&self) -> Fact<u64> {
        match self.extra() {
            Some(extra) => extra.time_in_state,
            None => Fact::Unknown(Why::NotAsked),
        }
    }

    /// What rows are ordered by within a group: local address, local port, foreign address, foreign port as numbers.
    pub(crate) fn order_key(&self) -> (Protocol, Family, u128, u16, u128, u16, u32) {
        (
            self.protocol,
            self.family,
            self.local,
            self.local_port,
            self.foreign,
            self.foreign_port,
            self.interface,
        )
    }
}
