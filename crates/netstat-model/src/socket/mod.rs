//! Sockets: their addresses, states and optional details.

mod detail;
mod extra;
mod kinds;
mod state_time;
mod tcp;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::{NonZeroU32, NonZeroU64};

use crate::{Fact, Why};

pub use detail::{Detail, PacketKind, UnixKind, UnixName, UnixPeer, VsockAddress, VsockKind, netlink_name};
pub use extra::{CongestionControl, Extra, Extras, Memory, Mptcp, ShortName, Timer, TimerKind, UpperLayer};
pub use kinds::{Family, Protocol, State};
pub use state_time::{StateTime, TimeFrom};
pub use tcp::{CongestionPhase, TcpInfo, TcpMetric, TcpOptions, TcpUnit};

/// One side of a socket: an address and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Endpoint {
    /// The address; `0.0.0.0` or `::` if this side is not bound or not connected.
    pub address: IpAddr,
    /// The port, 0 to 65535; 0 if this side is not bound or not connected.
    pub port: u16,
    /// The interface index that completes a link-local IPv6 address (RFC 4007); 0 if none is needed or known.
    pub scope: u32,
}

/// A socket.
///
/// The type is compact on purpose: a million sockets must fit into less than 100 MB, so optional facts are packed and
/// read through methods.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(into = "WrittenSocket", from = "WrittenSocket"))]
pub struct Socket {
    local: u128,
    foreign: u128,
    cookie: Option<NonZeroU64>,
    apart: Option<Box<Apart>>,
    local_port: u16,
    foreign_port: u16,
    interface: u32,
    /// The inode, or the process id if `by_process` is set.
    holder: u32,
    user: u32,
    receive_queue: u32,
    send_queue: u32,
    namespace: u32,
    protocol: Protocol,
    family: Family,
    state: State,
    /// Whether the system reports the owning process in the socket's own row, as Windows does.
    by_process: bool,
}

const _: () = assert!(size_of::<Socket>() <= 80, "a million sockets must fit into 100 MB");

/// The value of `Socket::user` if it was not reported: `(uid_t)-1` is not a valid user (POSIX chown(2), kernel
/// `INVALID_UID`).
const NO_USER: u32 = u32::MAX;

/// The value of `Socket::send_queue` if it was not reported; the kernel's queues stay far below it (`net.core.wmem_max`
/// is an int).
const NO_QUEUE: u32 = u32::MAX;

/// The facts a collector has about a socket; see [`Socket::new`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SocketFacts {
    /// The protocol the socket uses.
    pub protocol: Protocol,
    /// The address family.
    pub family: Family,
    /// The state; see [`State`] for its meaning for UDP.
    pub state: State,
    /// The local address, of the family given in `family`.
    pub local: IpAddr,
    /// The local port; 0 if the socket is not bound.
    pub local_port: u16,
    /// The foreign address; unspecified if the socket is not connected.
    pub foreign: IpAddr,
    /// The foreign port; 0 if the socket is not connected.
    pub foreign_port: u16,
    /// The index of the interface the socket is bound to; 0 if it is not bound to one.
    pub interface: u32,
    /// The inode in the kernel's socket file system; 0 if the socket has no file descriptor.
    pub inode: u32,
    /// The id of the user who created the socket; `None` if not reported.
    pub user: Option<u32>,
    /// The kernel's cookie, unique since boot; `None` if not reported.
    pub cookie: Option<NonZeroU64>,
    /// For a listener, the number of connections waiting to be accepted; otherwise the bytes received and not yet read
    /// by the program.
    pub receive_queue: u32,
    /// For a listener, the limit of its accept queue (the backlog); otherwise the bytes sent and not yet acknowledged.
    /// `None` if not reported.
    pub send_queue: Option<u32>,
}

/// The parts of a [`Socket`] that few sockets have, boxed so that the others stay small.
#[derive(Clone, Debug, Default, PartialEq)]
struct Apart {
    detail: Option<Detail>,
    extra: Extra,
}

/// The serialized form of [`Socket`].
#[cfg(feature = "serde")]
#[derive(serde::Serialize, serde::Deserialize)]
struct WrittenSocket {
    facts: SocketFacts,
    namespace: u32,
    detail: Option<Detail>,
    extra: Option<Extra>,
    /// The process id from the socket's row, on systems that report it there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    process: Option<u32>,
}

#[cfg(feature = "serde")]
impl From<Socket> for WrittenSocket {
    fn from(socket: Socket) -> Self {
        WrittenSocket {
            facts: SocketFacts {
                protocol: socket.protocol,
                family: socket.family,
                state: socket.state,
                local: socket.local().address,
                local_port: socket.local_port,
                foreign: socket.foreign().address,
                foreign_port: socket.foreign_port,
                interface: socket.interface,
                inode: socket.inode().map_or(0, u32::from),
                user: socket.user().known(),
                cookie: socket.cookie,
                receive_queue: socket.receive_queue,
                send_queue: socket.send_queue().known(),
            },
            namespace: socket.namespace,
            process: socket.row_process(),
            extra: socket.extra().cloned(),
            detail: socket.apart.and_then(|apart| apart.detail),
        }
    }
}

#[cfg(feature = "serde")]
impl From<WrittenSocket> for Socket {
    fn from(written: WrittenSocket) -> Self {
        let mut socket = Socket::new(&written.facts).in_namespace(written.namespace);
        if let Some(process) = written.process {
            socket = socket.held_by_process(process);
        }
        if let Some(detail) = written.detail {
            socket = socket.with_detail(detail);
        }
        match written.extra {
            Some(extra) => socket.with_extra(extra),
            None => socket,
        }
    }
}

/// Returns the address as a number. IPv4 addresses occupy the low 32 bits, so that addresses of both families compare
/// as numbers.
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

impl Socket {
    /// Creates a socket from its facts. An address of a family other than `facts.family` is converted: IPv4 is
    /// zero-extended, IPv6 is truncated to its low 32 bits.
    pub fn new(facts: &SocketFacts) -> Self {
        Socket {
            local: number(facts.local),
            foreign: number(facts.foreign),
            cookie: facts.cookie,
            apart: None,
            local_port: facts.local_port,
            foreign_port: facts.foreign_port,
            interface: facts.interface,
            holder: facts.inode,
            by_process: false,
            user: facts.user.unwrap_or(NO_USER),
            receive_queue: facts.receive_queue,
            send_queue: facts.send_queue.unwrap_or(NO_QUEUE),
            namespace: 0,
            protocol: facts.protocol,
            family: facts.family,
            state: facts.state,
        }
    }

    /// Returns the socket with the optional facts `extra`.
    pub fn with_extra(mut self, extra: Extra) -> Self {
        match &mut self.apart {
            Some(apart) => apart.extra = extra,
            // Built in one step because a listing may do this a million times.
            none => *none = Some(Box::new(Apart { detail: None, extra })),
        }
        self
    }

    /// Returns the socket with the details of its kind.
    pub fn with_detail(mut self, detail: Detail) -> Self {
        self.apart.get_or_insert_default().detail = Some(detail);
        self
    }

    /// Returns the socket as seen in the network namespace with this index; see [`Socket::namespace`].
    pub fn in_namespace(mut self, index: u32) -> Self {
        self.namespace = index;
        self
    }

    /// Returns the socket with its owner set to process `pid`, or to none if `pid` is 0, for systems that report the
    /// owner in the socket's own row. Such a socket has no inode.
    pub fn held_by_process(mut self, pid: u32) -> Self {
        self.holder = pid;
        self.by_process = true;
        self
    }

    /// Returns the protocol.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Returns the address family.
    pub fn family(&self) -> Family {
        self.family
    }

    /// Returns the state; see [`State`] for its meaning for UDP.
    pub fn state(&self) -> State {
        self.state
    }

    fn address(&self, number: u128) -> IpAddr {
        match self.family {
            // The cast loses nothing: for these families `number` started from 32 bits.
            Family::V6 => IpAddr::V6(Ipv6Addr::from_bits(number)),
            _ => IpAddr::V4(Ipv4Addr::from_bits(number as u32)),
        }
    }

    /// Returns the scope of an address: the interface the socket is bound to, for link-local addresses only.
    fn scope(&self, number: u128) -> u32 {
        // fe80::/10 (RFC 4291, 2.5.6).
        if self.family == Family::V6 && number >> 118 == 0xfe80 >> 6 {
            self.interface
        } else {
            0
        }
    }

    /// Returns the local address and port. The address is unspecified for protocols without IP addresses
    /// ([`Protocol::is_ip`]); see [`Socket::detail`] for those.
    pub fn local(&self) -> Endpoint {
        Endpoint {
            address: self.address(self.local),
            port: self.local_port,
            scope: self.scope(self.local),
        }
    }

    /// Returns the foreign address and port. The address is unspecified and the port 0 if the socket is not connected
    /// or its protocol has no IP addresses.
    pub fn foreign(&self) -> Endpoint {
        Endpoint {
            address: self.address(self.foreign),
            port: self.foreign_port,
            scope: self.scope(self.foreign),
        }
    }

    /// Whether the socket is connected to a peer.
    pub fn is_connected(&self) -> bool {
        self.foreign != 0 || self.foreign_port != 0 || self.detail().is_some_and(Detail::has_peer)
    }

    /// Returns the state as listings show it; `None` if the protocol has no states, or for an AF_UNIX or vsock socket
    /// that neither listens nor is connected.
    pub fn shown_state(&self) -> Option<State> {
        match self.protocol {
            Protocol::Tcp | Protocol::Mptcp | Protocol::Sctp | Protocol::Dccp => Some(self.state),
            Protocol::Unix | Protocol::Vsock if self.state != State::Closed => Some(self.state),
            _ => None,
        }
    }

    /// Returns the network namespace the socket was seen in, as an index into the list of namespaces that accompanies
    /// the listing; 0 if only one namespace was queried.
    pub fn namespace(&self) -> u32 {
        self.namespace
    }

    /// Returns the details of a socket other than plain TCP and UDP; `None` if it has none.
    pub fn detail(&self) -> Option<&Detail> {
        self.apart.as_ref()?.detail.as_ref()
    }

    /// Returns [`Socket::detail`] for modification.
    pub fn detail_mut(&mut self) -> Option<&mut Detail> {
        self.apart.as_mut()?.detail.as_mut()
    }

    /// Returns the index of the interface the socket is bound to; `None` if it is not bound to one.
    pub fn interface(&self) -> Option<NonZeroU32> {
        NonZeroU32::new(self.interface)
    }

    /// Returns the inode in the kernel's socket file system; `None` if the socket has no file descriptor (TIME_WAIT,
    /// SYN_RECEIVED, not yet accepted, or closed by its program).
    pub fn inode(&self) -> Option<NonZeroU32> {
        NonZeroU32::new(self.holder).filter(|_| !self.by_process)
    }

    /// Returns the process id in the socket's own row (Windows: `dwOwningPid`), 0 for none; `None` on systems that do
    /// not report it there.
    pub fn row_process(&self) -> Option<u32> {
        self.by_process.then_some(self.holder)
    }

    /// Returns the key by which [`Owners`](crate::Owners) looks up the holders: the inode, or the process id if the row
    /// has one. `None` if nothing holds the socket.
    pub fn holder_key(&self) -> Option<NonZeroU32> {
        NonZeroU32::new(self.holder)
    }

    /// Returns the id of the user who created the socket.
    pub fn user(&self) -> Fact<u32> {
        if self.user == NO_USER {
            Fact::Unknown(Why::NotKept)
        } else {
            Fact::Known(self.user)
        }
    }

    /// Returns a number that identifies this socket uniquely since boot; `None` if not reported. On Linux it is the
    /// kernel's socket cookie. Windows has none, so it is derived there from the addresses, the process and the
    /// creation time.
    pub fn cookie(&self) -> Option<NonZeroU64> {
        self.cookie
    }

    /// Returns the number of connections waiting to be accepted for a listener, and the number of bytes received and
    /// not yet read for any other socket.
    pub fn receive_queue(&self) -> u32 {
        self.receive_queue
    }

    /// Returns [`Socket::receive_queue`], but unknown on systems that do not report it with the socket
    /// (Windows).
    pub fn known_receive_queue(&self) -> Fact<u32> {
        match self.by_process {
            true => Fact::Unknown(Why::NotKept),
            false => Fact::Known(self.receive_queue),
        }
    }

    /// Returns the limit of the accept queue for a listener, and the number of bytes sent and not yet acknowledged for
    /// any other socket.
    pub fn send_queue(&self) -> Fact<u32> {
        if self.send_queue == NO_QUEUE {
            Fact::Unknown(Why::NotKept)
        } else {
            Fact::Known(self.send_queue)
        }
    }

    /// Returns the facts that are read on demand; `None` if none were requested.
    pub fn extra(&self) -> Option<&Extra> {
        self.apart.as_ref().map(|apart| &apart.extra)
    }

    /// Returns one fact of [`Extra`], for example `socket.fact(|extra| extra.mark)`.
    pub fn fact<T>(&self, read: impl FnOnce(&Extra) -> Fact<T>) -> Fact<T> {
        match self.extra() {
            Some(extra) => read(extra),
            None => Fact::Unknown(Why::NotAsked),
        }
    }

    /// Returns one metric of the TCP connection, in its [`TcpMetric::unit`].
    pub fn tcp(&self, figure: TcpMetric) -> Fact<u64> {
        match self.extra().map(|extra| &extra.tcp) {
            Some(Fact::Known(info)) => info.get(figure),
            Some(Fact::Unknown(why)) => Fact::Unknown(*why),
            None => Fact::Unknown(Why::NotAsked),
        }
    }

    /// Returns the differentiated services code point of outgoing packets (RFC 2474), 0 to 63.
    pub fn dscp(&self) -> Fact<u8> {
        self.fact(|extra| extra.tos).map(|tos| tos >> 2)
    }

    /// Returns the milliseconds since the connection entered its state.
    pub fn time_in_state(&self) -> Fact<u64> {
        self.fact(|extra| extra.time_in_state)
    }

    /// Returns the key by which rows are sorted within a group: local address, local port, foreign address and foreign
    /// port as numbers.
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

    /// Returns the key that sorts rows with equal [`Socket::order_key`]. Few rows need it, so it may cost more.
    pub(crate) fn further_order_key(&self) -> (Option<&Detail>, u32, Option<NonZeroU64>) {
        (self.detail(), self.namespace, self.cookie)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(protocol: Protocol, family: Family) -> Socket {
        Socket::new(&SocketFacts {
            protocol,
            family,
            state: State::Closed,
            local: Ipv4Addr::UNSPECIFIED.into(),
            local_port: 0,
            foreign: Ipv4Addr::UNSPECIFIED.into(),
            foreign_port: 0,
            interface: 0,
            inode: 0,
            user: None,
            cookie: None,
            receive_queue: 0,
            send_queue: None,
        })
    }

    fn named(name: &[u8], inode: u32) -> Socket {
        plain(Protocol::Unix, Family::Unix).with_detail(Detail::Unix {
            kind: UnixKind::Stream,
            name: UnixName::from_bytes(name),
            peer: NonZeroU32::new(inode).map(|inode| UnixPeer {
                inode,
                name: UnixName::Unnamed,
            }),
        })
    }

    #[test]
    fn unix_socket_name_is_shown_as_path_or_abstract_name() {
        for (bytes, shown) in [
            (&b"/run/x.sock"[..], Some(&b"/run/x.sock"[..])),
            (b"/run/x\0rest", Some(b"/run/x")),
            (b"\0bus\0name", Some(b"@bus\0name")),
            (b"\0", Some(b"@")),
            (b"", None),
        ] {
            assert_eq!(UnixName::from_bytes(bytes).shown().as_deref(), shown, "{bytes:?}");
        }
    }

    #[test]
    fn socket_extra_facts_read_back_are_unchanged() {
        let socket = named(b"/run/x", 7).in_namespace(3);
        assert_eq!(socket.fact(|extra| extra.mark), Fact::Unknown(Why::NotAsked));
        assert_eq!(socket.tcp(TcpMetric::Rtt), Fact::Unknown(Why::NotAsked));
        let mut info = TcpInfo::unknown(Why::NotSupported);
        info.set(TcpMetric::BytesSent, Fact::Known(u64::MAX));
        info.set(TcpMetric::Rtt, Fact::Known(250));
        info.set(TcpMetric::Cwnd, Fact::Known(1 << 40));
        info.set(TcpMetric::Ssthresh, Fact::Unknown(Why::Unlimited));
        let socket = socket.with_extra(Extra {
            mark: Fact::Known(9),
            tcp: Fact::Known(Box::new(info)),
            ..Extra::default()
        });
        assert_eq!(socket.fact(|extra| extra.mark), Fact::Known(9));
        for (figure, fact) in [
            (TcpMetric::BytesSent, Fact::Known(u64::MAX)),
            (TcpMetric::Rtt, Fact::Known(250)),
            (TcpMetric::Cwnd, Fact::Unknown(Why::Failed)),
            (TcpMetric::Ssthresh, Fact::Unknown(Why::Unlimited)),
            (TcpMetric::ReceiveSpace, Fact::Unknown(Why::NotSupported)),
        ] {
            assert_eq!(socket.tcp(figure), fact, "{figure:?}");
        }
        assert_eq!(socket.namespace(), 3);
        assert!(socket.is_connected() && socket.detail().is_some());
        assert_eq!(socket.shown_state(), None);
    }

    #[test]
    fn tcp_metrics_have_unique_names() {
        let mut names: Vec<&str> = TcpMetric::ALL.into_iter().map(TcpMetric::name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), TcpMetric::ALL.len());
    }

    #[test]
    fn short_name_too_long_is_cut() {
        for (given, kept) in [
            ("bbr", "bbr"),
            ("cubic\0x", "cubic"),
            ("0123456789abcdefg", "0123456789abcde"),
            ("", ""),
        ] {
            assert_eq!(ShortName::new(given.as_bytes()).as_bytes(), kept.as_bytes());
        }
    }

    #[test]
    fn sort_classic_sockets_without_addresses_are_sorted_by_name() {
        let mut sockets = vec![
            named(b"/run/b", 1),
            named(b"\0a", 2),
            plain(Protocol::Packet, Family::Packet),
            named(b"/run/a", 3).in_namespace(1),
            named(b"/run/a", 3),
            plain(Protocol::Tcp, Family::V6),
        ];
        crate::sort_classic(&mut sockets);
        let shown = |socket: &Socket| match socket.detail() {
            Some(Detail::Unix { name, .. }) => String::from_utf8(name.shown().unwrap()).unwrap(),
            _ => socket.protocol().name().to_owned(),
        };
        let order: Vec<String> = sockets.iter().map(shown).collect();
        assert_eq!(order, ["TCP", "PACKET", "/run/a", "/run/a", "/run/b", "@a"]);
        assert_eq!((sockets[2].namespace(), sockets[3].namespace()), (0, 1));
    }
}
