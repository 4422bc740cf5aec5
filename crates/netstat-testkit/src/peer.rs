//! The far end of TCP connections, under full control of the test.
//!
//! The kernel's segments leave through a virtual interface whose other end belongs to no host; a packet socket receives
//! them there. Answers are sent through a raw IP socket to the kernel's side, so they arrive over loopback. The kernel
//! does not notice that there is no host at the far addresses, and whatever the peer withholds keeps its socket in a
//! state.
//!
//! This needs CAP_NET_RAW and CAP_NET_ADMIN in the network namespace, which [`crate::own_namespace!`] provides.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType};

use crate::netlink;

/// The FIN flag (RFC 9293, 3.1).
pub const FIN: u8 = 1;
/// The SYN flag (RFC 9293, 3.1).
pub const SYN: u8 = 2;
/// The RST flag (RFC 9293, 3.1).
pub const RST: u8 = 4;
/// The ACK flag (RFC 9293, 3.1).
pub const ACK: u8 = 16;

/// The protocol number of TCP (IANA protocol numbers).
const IPPROTO_TCP: u8 = 6;
/// EtherTypes (IEEE 802 numbers at IANA), which are also the protocols of packet sockets.
const ETH_P_IP: u16 = 0x0800;
const ETH_P_IPV6: u16 = 0x86DD;
/// The first sequence number of the far end, an arbitrary value.
const FIRST: u32 = 0x1000_0000;
/// How long to wait for a segment from the kernel.
const PATIENCE: Duration = Duration::from_secs(10);

/// The interface that leads to the far addresses.
pub const DEVICE: &str = "near0";
const OTHER_END: &str = "far0";

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4
    V4,
    /// IPv6
    V6,
}

impl Family {
    /// Returns the kernel's own address (documentation ranges: RFC 5737, RFC 3849).
    pub fn near(self) -> IpAddr {
        match self {
            Family::V4 => Ipv4Addr::new(192, 0, 2, 1).into(),
            Family::V6 => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
        }
    }

    /// Returns a far address, whose last byte is `host`.
    pub fn far(self, host: u8) -> IpAddr {
        match self {
            Family::V4 => Ipv4Addr::new(198, 51, 100, host).into(),
            Family::V6 => Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, host.into()).into(),
        }
    }

    fn far_prefix(self) -> u8 {
        match self {
            Family::V4 => 24,
            Family::V6 => 64,
        }
    }

    pub(crate) fn raw(self) -> AddressFamily {
        match self {
            Family::V4 => AddressFamily::INET,
            Family::V6 => AddressFamily::INET6,
        }
    }
}

/// A TCP segment.
#[derive(Clone, PartialEq, Eq)]
pub struct Segment {
    /// The sender.
    pub from: SocketAddr,
    /// The receiver.
    pub to: SocketAddr,
    /// The sequence number.
    pub sequence: u32,
    /// The acknowledgement number, which is meaningful with [`ACK`].
    pub acknowledgement: u32,
    /// The flags: [`SYN`], [`ACK`], [`FIN`], [`RST`] and so on.
    pub flags: u8,
    /// The payload.
    pub data: Vec<u8>,
}

impl Segment {
    /// Returns the amount by which the segment advances the sequence number: SYN and FIN count as a byte each (RFC
    /// 9293, 3.4).
    fn span(&self) -> u32 {
        self.data.len() as u32 + u32::from(self.flags & SYN != 0) + u32::from(self.flags & FIN != 0)
    }

    /// Encodes the segment without an IP header but with its checksum (RFC 9293, 3.1; IPv6: RFC 8200, 8.1).
    fn encode(&self) -> Vec<u8> {
        let mut tcp = Vec::with_capacity(20 + self.data.len());
        tcp.extend(self.from.port().to_be_bytes());
        tcp.extend(self.to.port().to_be_bytes());
        tcp.extend(self.sequence.to_be_bytes());
        tcp.extend(if self.flags & ACK != 0 { self.acknowledgement } else { 0 }.to_be_bytes());
        // Header length of 5 words, the flags, and the largest window without scaling; checksum and urgent pointer
        // follow.
        tcp.extend([5 << 4, self.flags, 0xff, 0xff, 0, 0, 0, 0]);
        tcp.extend(&self.data);
        let mut pseudo = Vec::with_capacity(40);
        pseudo.extend(octets(self.from.ip()));
        pseudo.extend(octets(self.to.ip()));
        // IPv4 has zero, protocol and a 16-bit length here, IPv6 a 32-bit length, three zeros and the protocol. As a
        // sum of 16-bit words, both are the same for lengths below 65,536.
        pseudo.extend([0, IPPROTO_TCP]);
        pseudo.extend((tcp.len() as u16).to_be_bytes());
        let sum = checksum(&[&pseudo, &tcp]);
        tcp[16..18].copy_from_slice(&sum.to_be_bytes());
        tcp
    }

    /// Encodes the segment with an IP header, for a raw socket that sends whole packets.
    fn packet(&self) -> Vec<u8> {
        let tcp = self.encode();
        let mut packet = match self.from {
            // The kernel fills in total length, identification and checksum (raw(7)).
            SocketAddr::V4(_) => vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, IPPROTO_TCP, 0, 0],
            SocketAddr::V6(_) => {
                let length = (tcp.len() as u16).to_be_bytes();
                vec![0x60, 0, 0, 0, length[0], length[1], IPPROTO_TCP, 64]
            }
        };
        packet.extend(octets(self.from.ip()));
        packet.extend(octets(self.to.ip()));
        packet.extend(tcp);
        packet
    }

    /// Decodes an IP packet; `None` if it does not contain a whole TCP segment.
    fn decode(packet: &[u8]) -> Option<Segment> {
        let (from, to, tcp) = match packet.first()? >> 4 {
            4 if *packet.get(9)? == IPPROTO_TCP => {
                let length = usize::from(u16::from_be_bytes([*packet.get(2)?, *packet.get(3)?]));
                let header = usize::from(packet[0] & 15) * 4;
                let from: [u8; 4] = packet.get(12..16)?.try_into().ok()?;
                let to: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
                (IpAddr::from(from), IpAddr::from(to), packet.get(header..length)?)
            }
            // The kernel adds no extension headers to these segments.
            6 if *packet.get(6)? == IPPROTO_TCP => {
                let length = usize::from(u16::from_be_bytes([*packet.get(4)?, *packet.get(5)?]));
                let from: [u8; 16] = packet.get(8..24)?.try_into().ok()?;
                let to: [u8; 16] = packet.get(24..40)?.try_into().ok()?;
                (IpAddr::from(from), IpAddr::from(to), packet.get(40..40 + length)?)
            }
            _ => return None,
        };
        let header: [u8; 20] = tcp.get(..20)?.try_into().ok()?;
        let port = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        let number = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        Some(Segment {
            from: SocketAddr::new(from, port(0)),
            to: SocketAddr::new(to, port(2)),
            sequence: number(4),
            acknowledgement: number(8),
            flags: header[13],
            data: tcp.get(usize::from(header[12] >> 4) * 4..)?.to_vec(),
        })
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [(SYN, "SYN"), (FIN, "FIN"), (RST, "RST"), (ACK, "ACK")];
        let flags: Vec<_> = names
            .iter()
            .filter(|(bit, _)| self.flags & bit != 0)
            .map(|(_, name)| *name)
            .collect();
        write!(
            f,
            "{}>{} {} seq={:#x} ack={:#x}",
            self.from,
            self.to,
            flags.join("+"),
            self.sequence,
            self.acknowledgement
        )?;
        write!(f, " {} bytes", self.data.len())
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// Computes the Internet checksum (RFC 1071) over several pieces, all of which must have an even length except the
/// last.
fn checksum(pieces: &[&[u8]]) -> u16 {
    let mut sum: u32 = 0;
    for pair in pieces.iter().flat_map(|piece| piece.chunks(2)) {
        sum += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// A connection as seen from the far end.
#[derive(Clone, Debug)]
pub struct Flow {
    /// The kernel's side.
    pub near: SocketAddr,
    /// The peer's side.
    pub far: SocketAddr,
    /// The next sequence number that the peer sends.
    pub next: u32,
    /// The next sequence number expected from the kernel, which the peer acknowledges.
    pub expected: u32,
}

impl Flow {
    /// Creates a connection on which nothing has been sent.
    pub fn new(near: SocketAddr, far: SocketAddr) -> Flow {
        Flow {
            near,
            far,
            next: FIRST,
            expected: 0,
        }
    }
}

/// The far end of any number of connections of one family.
#[derive(Debug)]
pub struct Peer {
    hears: OwnedFd,
    speaks: OwnedFd,
    /// Segments that were received but not waited for yet.
    heard: std::cell::RefCell<Vec<Segment>>,
    family: Family,
}

impl Peer {
    /// Configures the network namespace (interface, near address, route to the far addresses) and starts to listen.
    pub fn new(family: Family) -> io::Result<Peer> {
        let device = match netlink::index_of(DEVICE) {
            Ok(index) => index,
            Err(_) => {
                netlink::veth(DEVICE, OTHER_END)?;
                netlink::link_up(netlink::index_of(OTHER_END)?, true)?;
                let index = netlink::index_of(DEVICE)?;
                netlink::link_up(index, true)?;
                index
            }
        };
        let single = if family == Family::V4 { 32 } else { 128 };
        netlink::add_address(netlink::LOOPBACK, family.near(), single)?;
        netlink::add_route(family.far(0), family.far_prefix(), device)?;
        let kind = if family == Family::V4 { ETH_P_IP } else { ETH_P_IPV6 };
        // It is not bound, so it receives on every interface; a packet is inbound once, at the far end.
        let hears = rustix::net::socket_with(
            AddressFamily::PACKET,
            SocketType::DGRAM,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            protocol(kind.to_be().into()),
        )?;
        // IPPROTO_RAW sends whole packets with their header, in both families (raw(7), ipv6(7)).
        let speaks = rustix::net::socket_with(family.raw(), SocketType::RAW, SocketFlags::CLOEXEC, protocol(255))?;
        Ok(Peer {
            hears,
            speaks,
            heard: Default::default(),
            family,
        })
    }

    /// Returns the address family of this peer.
    pub fn family(&self) -> Family {
        self.family
    }

    /// Waits for the kernel's next segment on this connection that has all of `flags`, and records its end in `flow`.
    ///
    /// # Panics
    /// Panics if none arrives within 10 seconds, and shows what arrived instead.
    pub fn wait(&self, flow: &mut Flow, flags: u8) -> Segment {
        let end = Instant::now() + crate::namespace::patience(PATIENCE);
        loop {
            let mut heard = self.heard.borrow_mut();
            let wanted = |s: &Segment| s.from == flow.near && s.to == flow.far && s.flags & flags == flags;
            if let Some(at) = heard.iter().position(wanted) {
                let segment = heard.remove(at);
                flow.expected = segment.sequence.wrapping_add(segment.span());
                return segment;
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "no segment with flags {flags:#x} on {flow:?} within {PATIENCE:?}; heard {heard:?}"
            );
            let mut poll = [PollFd::new(&self.hears, PollFlags::IN)];
            let timeout = Timespec {
                tv_sec: left.as_secs() as i64,
                tv_nsec: left.subsec_nanos().into(),
            };
            rustix::event::poll(&mut poll, Some(&timeout)).expect("a packet socket can be polled");
            let mut packet = [0u8; 65_536];
            if let Ok((length, _)) = rustix::net::recv(&self.hears, &mut packet[..], RecvFlags::empty()) {
                heard.extend(Segment::decode(&packet[..length]));
            }
        }
    }

    /// Sends a segment on the connection, in sequence, that acknowledges everything the kernel sent.
    pub fn send(&self, flow: &mut Flow, flags: u8) {
        self.send_acknowledging(flow, flags, flow.expected);
    }

    /// Like [`Peer::send`], with a given acknowledgement number.
    pub fn send_acknowledging(&self, flow: &mut Flow, flags: u8, acknowledgement: u32) {
        let segment = Segment {
            from: flow.far,
            to: flow.near,
            sequence: flow.next,
            acknowledgement,
            flags,
            data: Vec::new(),
        };
        flow.next = flow.next.wrapping_add(segment.span());
        // The port of a raw socket's destination is the protocol or 0 (raw(7), ipv6(7)).
        let to = SocketAddr::new(flow.near.ip(), 0);
        rustix::net::sendto(&self.speaks, &segment.packet(), SendFlags::empty(), &to).expect("a raw socket sends");
    }

    /// Opens a connection from the kernel's side, up to a socket that has sent its SYN to `far`.
    pub fn dial(&self, far: SocketAddr) -> io::Result<(OwnedFd, Flow)> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(self.family.raw(), SocketType::STREAM, flags, None)?;
        rustix::net::bind(&socket, &SocketAddr::new(self.family.near(), 0))?;
        match rustix::net::connect(&socket, &far) {
            Err(rustix::io::Errno::INPROGRESS) => {}
            other => return Err(io::Error::other(format!("a connect without answer: {other:?}"))),
        }
        let near = local_address(&socket)?;
        let mut flow = Flow::new(near, far);
        self.wait(&mut flow, SYN);
        Ok((socket, flow))
    }

    /// Opens a connection from the kernel's side with a complete handshake, so that the socket is ESTABLISHED.
    pub fn connect(&self, far: SocketAddr) -> io::Result<(OwnedFd, Flow)> {
        let (socket, mut flow) = self.dial(far)?;
        self.send(&mut flow, SYN | ACK);
        self.wait(&mut flow, ACK);
        Ok((socket, flow))
    }
}

/// Returns the local address of a socket.
pub fn local_address(socket: &impl AsFd) -> io::Result<SocketAddr> {
    SocketAddr::try_from(rustix::net::getsockname(socket)?).map_err(io::Error::from)
}

fn protocol(number: u32) -> Option<Protocol> {
    std::num::NonZeroU32::new(number).map(Protocol::from_raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_matches_rfc_1071_example() {
        // RFC 1071, 3: the sum of these words is ddf2 with carries folded.
        assert_eq!(
            checksum(&[&[0x00, 0x01, 0xf2, 0x03], &[0xf4, 0xf5, 0xf6, 0xf7]]),
            !0xddf2
        );
    }

    #[test]
    fn tcp_segment_encoded_and_decoded_is_unchanged() {
        for (from, to) in [
            ("192.0.2.1:1", "198.51.100.1:80"),
            ("[2001:db8::1]:1", "[2001:db8:ffff::1]:80"),
        ] {
            let segment = Segment {
                from: from.parse().unwrap(),
                to: to.parse().unwrap(),
                sequence: 0xdead_beef,
                acknowledgement: 7,
                flags: ACK | FIN,
                data: b"odd".to_vec(),
            };
            let mut packet = segment.packet();
            let length = packet.len() as u16;
            if packet[0] >> 4 == 4 {
                packet[2..4].copy_from_slice(&length.to_be_bytes());
            }
            assert_eq!(Segment::decode(&packet), Some(segment));
        }
        assert_eq!(Segment::decode(&[0x45; 30]), None);
    }
}
