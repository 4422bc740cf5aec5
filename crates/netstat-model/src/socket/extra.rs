//! Facts about a socket that are read only on demand.

use std::ops::BitOr;

use super::TcpInfo;
use crate::{Fact, Why};

/// A set of groups of [`Extra`] facts to read. Each group costs the system some work for every socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Extras(u8);

impl Extras {
    /// No group, which is all that a plain listing needs.
    pub const NONE: Extras = Extras(0);
    /// [`Extra::time_in_state`], `tos`, `timer`, `mark`, `cgroup` and `v6_only`: cheap for the kernel to report.
    pub const BASIC: Extras = Extras(1);
    /// [`Extra::tcp`], `upper_layer` and `mptcp`.
    pub const TCP: Extras = Extras(2);
    /// [`Extra::congestion`].
    pub const CONGESTION: Extras = Extras(4);
    /// [`Extra::memory`].
    pub const MEMORY: Extras = Extras(8);
    /// Every group.
    pub const ALL: Extras = Extras(15);

    /// Whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether the set contains every group of `other`.
    pub const fn contains(self, other: Extras) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns the groups of both sets.
    pub const fn union(self, other: Extras) -> Extras {
        Extras(self.0 | other.0)
    }
}

impl BitOr for Extras {
    type Output = Extras;

    fn bitor(self, other: Extras) -> Extras {
        self.union(other)
    }
}

impl FromIterator<Extras> for Extras {
    fn from_iter<I: IntoIterator<Item = Extras>>(groups: I) -> Extras {
        groups.into_iter().fold(Extras::NONE, Extras::union)
    }
}

/// Facts that are read only on demand. By default every one is unknown because it was not asked for.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Extra {
    /// Milliseconds since the connection entered its state.
    pub time_in_state: Fact<u64>,
    /// The type-of-service (IPv4) or traffic-class (IPv6) byte of outgoing packets; its upper six bits are the DSCP
    /// (RFC 2474).
    pub tos: Fact<u8>,
    /// The timer that is running.
    pub timer: Fact<Timer>,
    /// The mark of the socket's packets, used by routing and filter rules (Linux `SO_MARK`); 0 means no mark.
    pub mark: Fact<u32>,
    /// The id of the control group in which the socket was created (Linux cgroup v2: the inode of its directory).
    pub cgroup: Fact<u64>,
    /// Whether an IPv6 socket refuses IPv4 (`IPV6_V6ONLY`, RFC 3493, 5.3).
    pub v6_only: Fact<bool>,
    /// The name of the congestion control algorithm.
    pub congestion: Fact<CongestionControl>,
    /// The memory that the socket uses.
    pub memory: Fact<Memory>,
    /// The upper-layer protocol that the kernel runs on top of the connection.
    pub upper_layer: Fact<UpperLayer>,
    /// The internals of the connection. For MPTCP, the metrics that it keeps for all subflows together.
    pub tcp: Fact<Box<TcpInfo>>,
    /// Facts that only MPTCP connections have.
    pub mptcp: Fact<Mptcp>,
}

impl Default for Extra {
    fn default() -> Self {
        const WHY: Why = Why::NotAsked;
        Extra {
            time_in_state: Fact::Unknown(WHY),
            tos: Fact::Unknown(WHY),
            timer: Fact::Unknown(WHY),
            mark: Fact::Unknown(WHY),
            cgroup: Fact::Unknown(WHY),
            v6_only: Fact::Unknown(WHY),
            congestion: Fact::Unknown(WHY),
            memory: Fact::Unknown(WHY),
            upper_layer: Fact::Unknown(WHY),
            tcp: Fact::Unknown(WHY),
            mptcp: Fact::Unknown(WHY),
        }
    }
}

/// The timer that is running on a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Timer {
    /// What happens when the timer expires.
    pub kind: TimerKind,
    /// Milliseconds until the timer expires; 0 for [`TimerKind::Off`].
    pub expires_ms: u32,
    /// How often the timer has expired in a row: retransmissions for [`TimerKind::Retransmit`], probes for
    /// [`TimerKind::KeepAlive`] and [`TimerKind::Persist`].
    pub count: u8,
}

/// What happens when a timer expires (`idiag_timer`, `sock_diag(7)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum TimerKind {
    /// Nothing: no timer is running.
    Off,
    /// A segment is retransmitted.
    Retransmit,
    /// A probe checks whether the peer is still there, or a connection in FIN_WAIT_2 is given up.
    KeepAlive,
    /// TIME_WAIT ends.
    TimeWait,
    /// A probe checks whether the peer's window has opened.
    Persist,
}

impl TimerKind {
    /// Returns the name that Linux programs use: `off`, `on`, `keepalive`, `timewait` or `persist`.
    pub const fn name(self) -> &'static str {
        match self {
            TimerKind::Off => "off",
            TimerKind::Retransmit => "on",
            TimerKind::KeepAlive => "keepalive",
            TimerKind::TimeWait => "timewait",
            TimerKind::Persist => "persist",
        }
    }
}

/// A short name reported by the kernel, at most 15 bytes. Kernel modules choose it: escape before printing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(into = "WrittenName", from = "WrittenName"))]
pub struct ShortName([u8; 16]);

impl ShortName {
    /// Creates a name from `name`, cut at the first NUL and to 15 bytes.
    pub fn new(name: &[u8]) -> Self {
        let mut kept = [0; 16];
        for (place, &byte) in kept[..15].iter_mut().zip(name.iter().take_while(|&&byte| byte != 0)) {
            *place = byte;
        }
        ShortName(kept)
    }

    /// Returns the bytes of the name, without a NUL.
    pub fn as_bytes(&self) -> &[u8] {
        let length = self.0.iter().position(|&byte| byte == 0).unwrap_or(self.0.len());
        &self.0[..length]
    }
}

/// Serialized as a list with one text, so that a known name cannot be mistaken for a reason why there is none.
#[cfg(feature = "serde")]
#[derive(serde::Serialize, serde::Deserialize)]
struct WrittenName(#[serde(with = "crate::wire::text")] Vec<u8>, ());

#[cfg(feature = "serde")]
impl From<ShortName> for WrittenName {
    fn from(name: ShortName) -> Self {
        WrittenName(name.as_bytes().to_vec(), ())
    }
}

#[cfg(feature = "serde")]
impl From<WrittenName> for ShortName {
    fn from(written: WrittenName) -> Self {
        ShortName::new(&written.0)
    }
}

impl std::fmt::Debug for ShortName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(self.as_bytes()))
    }
}

/// The name of a congestion control algorithm: `cubic`, `bbr`.
pub type CongestionControl = ShortName;

/// The memory that a socket uses, in bytes (Linux `SK_MEMINFO_*`, `sock_diag.h`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Memory {
    /// Received and not yet read by the program, including the kernel's overhead.
    pub receive: u32,
    /// The limit of `receive` (`SO_RCVBUF`).
    pub receive_limit: u32,
    /// Passed to the network stack and not yet sent.
    pub transmit: u32,
    /// The limit of the data waiting to be sent (`SO_SNDBUF`).
    pub send_limit: u32,
    /// Reserved in advance for further data.
    pub forward: u32,
    /// Waiting to be sent or acknowledged, including the kernel's overhead.
    pub queued: u32,
    /// Used for options and socket filters.
    pub options: u32,
    /// Received while the socket was locked by the program.
    pub backlog: u32,
    /// Packets (not bytes) dropped because a buffer was full, since the socket was created. `None` if the running
    /// kernel does not report it (before Linux 4.6).
    pub drops: Option<u32>,
}

/// The upper-layer protocol that the kernel runs on top of a TCP connection (Linux `tcp_ulp`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum UpperLayer {
    /// None.
    None,
    /// The connection is a subflow of an MPTCP connection, which the token identifies on this side.
    Mptcp {
        /// The token of the MPTCP connection (RFC 8684, 3.2), the same as [`Mptcp::token`].
        token: u32,
    },
    /// Another one, such as `tls`.
    Other(ShortName),
}

/// Facts that only an MPTCP connection has (RFC 8684; Linux `struct mptcp_info`, `include/uapi/linux/mptcp.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Mptcp {
    /// The connection's token on this side (RFC 8684, 3.2); its subflows carry the same token in [`UpperLayer::Mptcp`].
    pub token: u32,
    /// The number of TCP connections in addition to the first one.
    pub subflows: u8,
    /// The number of all TCP connections that it consists of.
    pub subflows_total: Fact<u8>,
    /// Whether the connection has fallen back to plain TCP.
    pub fallback: bool,
}
