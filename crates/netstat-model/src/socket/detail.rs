//! Details of sockets other than plain TCP and UDP, in addition to addresses and ports.

use std::num::NonZeroU32;
use std::sync::Arc;

/// The details that identify a socket other than plain TCP and UDP.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Detail {
    /// A socket that sends and receives ICMP echo only (Linux: `ping` without privileges, `icmp(7)`).
    Ping {
        /// The identifier of its echo requests (RFC 792, RFC 4443); 0 if none is assigned.
        identifier: u16,
    },
    /// An AF_PACKET socket. [`Socket::interface`](super::Socket::interface) is the interface it is bound to.
    Packet {
        /// Whether frames are received with their link-layer header (`SOCK_RAW`) or without (`SOCK_DGRAM`).
        kind: PacketKind,
        /// The protocol of the frames it receives: an EtherType (IEEE 802, for example 0x0800 for IPv4) or one of
        /// Linux's own numbers (`if_ether.h`; 3 means all protocols); 0 if it receives none.
        ethertype: u16,
    },
    /// An AF_UNIX socket.
    Unix {
        /// The socket type.
        kind: UnixKind,
        /// The name the socket is bound to.
        name: UnixName,
        /// The socket at the other end; `None` if it is not connected.
        peer: Option<UnixPeer>,
    },
    /// An AF_VSOCK socket.
    Vsock {
        /// The socket type.
        kind: VsockKind,
        /// The address of this socket.
        local: VsockAddress,
        /// The address of the other side; `None` if the socket is not connected.
        peer: Option<VsockAddress>,
    },
    /// An AF_NETLINK socket.
    Netlink {
        /// The netlink protocol, a number from `linux/netlink.h` that selects a part of the kernel.
        protocol: u8,
        /// The netlink port id; 0 for the kernel's own socket.
        port: u32,
    },
    /// An AF_XDP socket. [`Socket::interface`](super::Socket::interface) is its interface.
    Xdp {
        /// The queue of the interface; `None` if the socket is not bound to one.
        queue: Option<u32>,
    },
}

impl Detail {
    /// Whether the socket is connected to another one.
    pub const fn has_peer(&self) -> bool {
        matches!(
            self,
            Detail::Unix { peer: Some(_), .. } | Detail::Vsock { peer: Some(_), .. }
        )
    }
}

/// The address of an AF_VSOCK socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct VsockAddress {
    /// The context id of the machine: 2 is the host (`VMADDR_CID_HOST`), `u32::MAX` is any.
    pub cid: u32,
    /// The port, of 32 bits; `u32::MAX` if none is assigned.
    pub port: u32,
}

impl VsockAddress {
    /// Returns the address as `2:1024`, with `*` in place of any machine or an unassigned port: `*:1024`, `*:*`.
    pub fn shown(self) -> String {
        let part = |number: u32| match number {
            u32::MAX => "*".to_owned(),
            number => number.to_string(),
        };
        format!("{}:{}", part(self.cid), part(self.port))
    }
}

/// The type of an AF_VSOCK socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum VsockKind {
    /// A stream of bytes.
    Stream,
    /// Datagrams, without a connection.
    Datagram,
    /// Messages with boundaries, in order, over a connection.
    SequencedPacket,
}

impl VsockKind {
    /// Returns the name: `stream`, `dgram` or `seqpacket`.
    pub const fn name(self) -> &'static str {
        match self {
            VsockKind::Stream => "stream",
            VsockKind::Datagram => "dgram",
            VsockKind::SequencedPacket => "seqpacket",
        }
    }
}

/// Returns the name that `ss` gives to a netlink protocol (`linux/netlink.h`), or `None` if the number has no name.
pub fn netlink_name(protocol: u8) -> Option<&'static str> {
    Some(match protocol {
        0 => "rtnl",
        2 => "usersock",
        3 => "fw",
        4 => "tcpdiag",
        5 => "nflog",
        6 => "xfrm",
        7 => "selinux",
        8 => "iscsi",
        9 => "audit",
        10 => "fiblookup",
        11 => "connector",
        12 => "nft",
        14 => "dec-rt",
        15 => "uevent",
        16 => "genl",
        18 => "scsi-trans",
        19 => "ecryptfs",
        20 => "rdma",
        21 => "crypto",
        22 => "smc",
        _ => return None,
    })
}

/// The type of an AF_PACKET socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum PacketKind {
    /// Frames with their link-layer header (`SOCK_RAW`).
    Raw,
    /// Frames without their link-layer header (`SOCK_DGRAM`).
    Datagram,
    /// The obsolete `SOCK_PACKET`.
    Old,
}

impl PacketKind {
    /// Returns the name: `raw`, `dgram` or `packet`.
    pub const fn name(self) -> &'static str {
        match self {
            PacketKind::Raw => "raw",
            PacketKind::Datagram => "dgram",
            PacketKind::Old => "packet",
        }
    }
}

/// The type of an AF_UNIX socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum UnixKind {
    /// A stream of bytes.
    Stream,
    /// Datagrams, without a connection.
    Datagram,
    /// Messages with boundaries, in order, over a connection.
    SequencedPacket,
}

impl UnixKind {
    /// Returns the name: `stream`, `dgram` or `seqpacket`.
    pub const fn name(self) -> &'static str {
        match self {
            UnixKind::Stream => "stream",
            UnixKind::Datagram => "dgram",
            UnixKind::SequencedPacket => "seqpacket",
        }
    }
}

/// The name of an AF_UNIX socket. A program chooses it: escape before printing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum UnixName {
    /// A file. The path is as the program gave it: it may be relative, and the file may have been removed.
    Path(#[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))] Arc<[u8]>),
    /// A name in Linux's abstract namespace, without a file: any bytes, without the leading NUL.
    Abstract(#[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))] Arc<[u8]>),
    /// The socket is not bound to a name.
    Unnamed,
}

impl UnixName {
    /// Creates a name from the bytes of `sun_path`, in which a leading NUL marks an abstract name.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        match bytes {
            [] => UnixName::Unnamed,
            [0, name @ ..] => UnixName::Abstract(name.into()),
            // Bytes after the first NUL do not belong to the path (unix(7)).
            path => UnixName::Path(path.split(|&byte| byte == 0).next().unwrap_or_default().into()),
        }
    }

    /// Returns the name to show: `/run/x.sock`, or `@name` for an abstract name; `None` if the socket is unnamed.
    /// Escape before printing.
    pub fn shown(&self) -> Option<Vec<u8>> {
        match self {
            UnixName::Path(path) => Some(path.to_vec()),
            UnixName::Abstract(name) => Some([b"@", &name[..]].concat()),
            UnixName::Unnamed => None,
        }
    }
}

/// The socket at the other end of an AF_UNIX socket.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct UnixPeer {
    /// The inode of the peer, which may be in another network namespace.
    pub inode: NonZeroU32,
    /// The name of the peer; [`UnixName::Unnamed`] as well if the peer was not seen.
    pub name: UnixName,
}
