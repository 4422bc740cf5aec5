//! Details of sockets of other kinds than plain TCP and UDP, beside addresses and ports.

use std::num::NonZeroU32;
use std::sync::Arc;

/// What belongs to the identity of a socket of a rarer kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Detail {
    /// A socket that sends and receives ICMP echo only (Linux: `ping` without privilege, `icmp(7)`).
    Ping {
        /// The identifier of its echo requests (RFC 792, RFC 4443); 0 while it has none.
        identifier: u16,
    },
    /// Of AF_PACKET. The interface that it is bound to is [`Socket::interface`](super::Socket::interface).
    Packet {
        /// Whether it gets frames with their link-layer header (`SOCK_RAW`) or without (`SOCK_DGRAM`).
        kind: PacketKind,
        /// The protocol of the frames it gets: an EtherType (IEEE 802, for example 0x0800 for IPv4) or one of Linux's own
        /// numbers (`if_ether.h`; 3 is all protocols); 0 while it gets none.
        ethertype: u16,
    },
    /// Of AF_UNIX.
    Unix {
        /// How data flows.
        kind: UnixKind,
        /// The name it is bound to.
        name: UnixName,
        /// The socket at the other end.
        peer: Option<UnixPeer>,
    },
    /// Of AF_VSOCK.
    Vsock {
        /// Whether it keeps the borders of messages.
        kind: VsockKind,
        /// The side of this socket.
        local: VsockAddress,
        /// The other side, where it is connected.
        peer: Option<VsockAddress>,
    },
    /// Of AF_NETLINK.
    Netlink {
        /// Which part of the kernel it speaks with: a number of `linux/netlink.h`.
        protocol: u8,
        /// Its address there; 0 for the kernel's own socket.
        port: u32,
    },
    /// Of AF_XDP. The interface is [`Socket::interface`](super::Socket::interface).
    Xdp {
        /// The queue of the interface; `None` while it is bound to none.
        queue: Option<u32>,
    },
}

impl Detail {
    /// Whether there is a socket at the other end.
    pub const fn has_peer(&self) -> bool {
        matches!(
            self,
            Detail::Unix { peer: Some(_), .. } | Detail::Vsock { peer: Some(_), .. }
        )
    }
}

/// The address of a socket of AF_VSOCK.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct VsockAddress {
    /// The machine: 2 is the host (`VMADDR_CID_HOST`), `u32::MAX` any.
    pub cid: u32,
    /// The port, of 32 bits; `u32::MAX` while none is taken.
    pub port: u32,
}

impl VsockAddress {
    /// `2:1024`, `*:1024` for any machine, `*:*`.
    pub fn shown(self) -> String {
        let part = |number: u32| match number {
            u32::MAX => "*".to_owned(),
            number => number.to_string(),
        };
        format!("{}:{}", part(self.cid), part(self.port))
    }
}

/// How data flows through a socket of AF_VSOCK.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum VsockKind {
    /// A stream of bytes.
    Stream,
    /// Single messages, without a connection.
    Datagram,
    /// Single messages in order, over a connection.
    SequencedPacket,
}

impl VsockKind {
    /// `stream`, `dgram` or `seqpacket`.
    pub const fn name(self) -> &'static str {
        match self {
            VsockKind::Stream => "stream",
            VsockKind::Datagram => "dgram",
            VsockKind::SequencedPacket => "seqpacket",
        }
    }
}

/// The part of the kernel behind a netlink protocol (`linux/netlink.h`), as `ss` calls it; `None` for a number that
/// has no name.
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

/// How a packet socket gives frames to its program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum PacketKind {
    /// With the link-layer header.
    Raw,
    /// Without it.
    Datagram,
    /// Obsolete (`SOCK_PACKET`).
    Old,
}

impl PacketKind {
    /// `raw`, `dgram` or `packet`.
    pub const fn name(self) -> &'static str {
        match self {
            PacketKind::Raw => "raw",
            PacketKind::Datagram => "dgram",
            PacketKind::Old => "packet",
        }
    }
}

/// How data flows through a socket of AF_UNIX.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum UnixKind {
    /// A stream of bytes.
    Stream,
    /// Single messages, without a connection.
    Datagram,
    /// Single messages in order, over a connection.
    SequencedPacket,
}

impl UnixKind {
    /// `stream`, `dgram` or `seqpacket`.
    pub const fn name(self) -> &'static str {
        match self {
            UnixKind::Stream => "stream",
            UnixKind::Datagram => "dgram",
            UnixKind::SequencedPacket => "seqpacket",
        }
    }
}

/// The name of a socket of AF_UNIX. Chosen by a program: escape before printing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum UnixName {
    /// A file. The path as the program gave it: it may be relative, and the file may be gone.
    Path(#[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))] Arc<[u8]>),
    /// In a space of names without files (Linux): any bytes, without the leading NUL.
    Abstract(#[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))] Arc<[u8]>),
    /// Bound to no name.
    Unnamed,
}

impl UnixName {
    /// The name in the form of `sun_path`: a NUL in front means abstract.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        match bytes {
            [] => UnixName::Unnamed,
            [0, name @ ..] => UnixName::Abstract(name.into()),
            // Bytes behind the first NUL are none of the path (unix(7)).
            path => UnixName::Path(path.split(|&byte| byte == 0).next().unwrap_or_default().into()),
        }
    }

    /// `/run/x.sock`, `@name` for an abstract one; `None` without a name. Escape before printing.
    pub fn shown(&self) -> Option<Vec<u8>> {
        match self {
            UnixName::Path(path) => Some(path.to_vec()),
            UnixName::Abstract(name) => Some([b"@", &name[..]].concat()),
            UnixName::Unnamed => None,
        }
    }
}

/// The socket at the other end of one of AF_UNIX.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct UnixPeer {
    /// Its inode. The peer may be in another network namespace.
    pub inode: NonZeroU32,
    /// Its name, where the peer was seen too.
    pub name: UnixName,
}
