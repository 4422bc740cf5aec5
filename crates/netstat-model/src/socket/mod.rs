//! One socket as the kernel knows it.

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

/// One side of a socket: address and port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
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
    /// The inode; with `by_process` the process id.
    holder: u32,
    user: u32,
    receive_queue: u32,
    send_queue: u32,
    namespace: u32,
    protocol: Protocol,
    family: Family,
    state: State,
    /// Whether the system names the process that holds the socket in the socket's own row, as Windows does.
    by_process: bool,
}

const _: () = assert!(size_of::<Socket>() <= 80, "a million sockets must fit into 100 MB");

/// `Socket::user` when it was not reported: `(uid_t)-1` is not a user (POSIX chown(2), kernel `INVALID_UID`).
const NO_USER: u32 = u32::MAX;

/// `Socket::send_queue` when it was not reported; the kernel's queues stay far below it (`net.core.wmem_max` is an int).
const NO_QUEUE: u32 = u32::MAX;

/// What a collector knows of a socket; see [`Socket::new`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SocketFacts {
    /// What it speaks.
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
    /// User id of the socket's maker; `None` when not reported.
    pub user: Option<u32>,
    /// The kernel's cookie, unique since boot; `None` when not reported.
    pub cookie: Option<NonZeroU64>,
    /// For a listener: connections waiting to be accepted. Else: bytes received and not yet read by the program.
    pub receive_queue: u32,
    /// For a listener: the limit of that queue (backlog). Else: bytes sent and not yet acknowledged. `None`: not reported.
    pub send_queue: Option<u32>,
}

/// What few sockets have, kept apart from the many.
#[derive(Clone, Debug, Default, PartialEq)]
struct Apart {
    detail: Option<Detail>,
    extra: Extra,
}

/// [`Socket`] as it is written.
#[cfg(feature = "serde")]
#[derive(serde::Serialize, serde::Deserialize)]
struct WrittenSocket {
    facts: SocketFacts,
    namespace: u32,
    detail: Option<Detail>,
    extra: Option<Extra>,
    /// The process id of the row, on systems that have it there.
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

    /// The same socket with the facts that were asked for on top.
    pub fn with_extra(mut self, extra: Extra) -> Self {
        match &mut self.apart {
            Some(apart) => apart.extra = extra,
            // Made in one go: there may be a million of them.
            none => *none = Some(Box::new(Apart { detail: None, extra })),
        }
        self
    }

    /// The same socket with what its kind needs beside addresses.
    pub fn with_detail(mut self, detail: Detail) -> Self {
        self.apart.get_or_insert_default().detail = Some(detail);
        self
    }

    /// The same socket, seen in the namespace with this index; see [`Socket::namespace`].
    pub fn in_namespace(mut self, index: u32) -> Self {
        self.namespace = index;
        self
    }

    /// The same socket on a system that names the holder in the socket's own row: process `pid`, or 0 for none. It has no inode.
    pub fn held_by_process(mut self, pid: u32) -> Self {
        self.holder = pid;
        self.by_process = true;
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
            Family::V6 => IpAddr::V6(Ipv6Addr::from_bits(number)),
            _ => IpAddr::V4(Ipv4Addr::from_bits(number as u32)),
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

    /// The local side. Of a kind without IP addresses ([`Protocol::is_ip`]): unspecified; see [`Socket::detail`].
    pub fn local(&self) -> Endpoint {
        Endpoint {
            address: self.address(self.local),
            port: self.local_port,
            scope: self.scope(self.local),
        }
    }

    /// The foreign side; unspecified address and port 0 when the socket is not connected, or of a kind without IP addresses.
    pub fn foreign(&self) -> Endpoint {
        Endpoint {
            address: self.address(self.foreign),
            port: self.foreign_port,
            scope: self.scope(self.foreign),
        }
    }

    /// Whether the socket has a peer.
    pub fn is_connected(&self) -> bool {
        self.foreign != 0 || self.foreign_port != 0 || self.detail().is_some_and(Detail::has_peer)
    }

    /// The state, where the socket's kind has states: TCP, MPTCP, and AF_UNIX where it listens or is connected.
    pub fn shown_state(&self) -> Option<State> {
        match self.protocol {
            Protocol::Tcp | Protocol::Mptcp | Protocol::Sctp | Protocol::Dccp => Some(self.state),
            Protocol::Unix | Protocol::Vsock if self.state != State::Closed => Some(self.state),
            _ => None,
        }
    }

    /// Which of the network namespaces looked into it was seen in: an index into the list that came with it; 0 where only one was
    /// asked for.
    pub fn namespace(&self) -> u32 {
        self.namespace
    }

    /// What a socket of a rarer kind is beside its addresses.
    pub fn detail(&self) -> Option<&Detail> {
        self.apart.as_ref()?.detail.as_ref()
    }

    /// [`Socket::detail`], to complete it.
    pub fn detail_mut(&mut self) -> Option<&mut Detail> {
        self.apart.as_mut()?.detail.as_mut()
    }

    /// Index of the interface the socket is bound to; `None` when it is bound to none.
    pub fn interface(&self) -> Option<NonZeroU32> {
        NonZeroU32::new(self.interface)
    }

    /// Inode of the descriptor in the kernel's socket file system; `None` when no descriptor belongs to the socket
    /// (TIME_WAIT, SYN_RECEIVED, not yet accepted, closed by its program).
    pub fn inode(&self) -> Option<NonZeroU32> {
        NonZeroU32::new(self.holder).filter(|_| !self.by_process)
    }

    /// The process id in the socket's own row (Windows: `dwOwningPid`), 0 for none; `None` on systems that keep none there.
    pub fn row_process(&self) -> Option<u32> {
        self.by_process.then_some(self.holder)
    }

    /// What [`Owners`](crate::Owners) finds the holders by: the inode, or the process id where the row has one. `None` when nothing
    /// holds the socket.
    pub fn holder_key(&self) -> Option<NonZeroU32> {
        NonZeroU32::new(self.holder)
    }

    /// User id of the socket's maker.
    pub fn user(&self) -> Fact<u32> {
        if self.user == NO_USER {
            Fact::Unknown(Why::NotKept)
        } else {
            Fact::Known(self.user)
        }
    }

    /// A number that stands for this socket alone since boot. Linux: the kernel's own. Windows gives none, so one is formed from the
    /// addresses, the process and the time of creation.
    pub fn cookie(&self) -> Option<NonZeroU64> {
        self.cookie
    }

    /// For a listener: connections waiting to be accepted. Else: bytes received and not yet read.
    pub fn receive_queue(&self) -> u32 {
        self.receive_queue
    }

    /// [`Socket::receive_queue`], unknown on systems that keep none with the socket's row (Windows).
    pub fn known_receive_queue(&self) -> Fact<u32> {
        match self.by_process {
            true => Fact::Unknown(Why::NotKept),
            false => Fact::Known(self.receive_queue),
        }
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
        self.apart.as_ref().map(|apart| &apart.extra)
    }

    /// One fact of [`Extra`]: `socket.fact(|extra| extra.mark)`.
    pub fn fact<T>(&self, read: impl FnOnce(&Extra) -> Fact<T>) -> Fact<T> {
        match self.extra() {
            Some(extra) => read(extra),
            None => Fact::Unknown(Why::NotAsked),
        }
    }

    /// One figure of the connection's internals, in its [`TcpMetric::unit`].
    pub fn tcp(&self, figure: TcpMetric) -> Fact<u64> {
        match self.extra().map(|extra| &extra.tcp) {
            Some(Fact::Known(info)) => info.get(figure),
            Some(Fact::Unknown(why)) => Fact::Unknown(*why),
            None => Fact::Unknown(Why::NotAsked),
        }
    }

    /// The differentiated services code point (0 to 63) of outgoing packets (RFC 2474).
    pub fn dscp(&self) -> Fact<u8> {
        self.fact(|extra| extra.tos).map(|tos| tos >> 2)
    }

    /// Milliseconds since the connection came into its state.
    pub fn time_in_state(&self) -> Fact<u64> {
        self.fact(|extra| extra.time_in_state)
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

    /// What rows with equal [`Socket::order_key`] are ordered by: few, so it may cost more.
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
    fn names_of_unix_sockets() {
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
    fn what_is_kept_apart_comes_back() {
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
    fn figures_have_names_of_their_own() {
        let mut names: Vec<&str> = TcpMetric::ALL.into_iter().map(TcpMetric::name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), TcpMetric::ALL.len());
    }

    #[test]
    fn a_short_name_is_cut() {
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
    fn without_addresses_the_name_orders() {
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
