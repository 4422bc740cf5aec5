//! The kernel's messages about destroyed sockets: netlink groups of sock_diag, open to every user, for the caller's network
//! namespace.
//!
//! Layouts and numbers: `include/uapi/linux/sock_diag.h` (`enum sknetlink_groups`), `inet_diag.h`, `tcp.h` (`struct tcp_info`);
//! `net/core/sock_diag.c` (`sock_diag_broadcast_destroy`).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU64;

use crate::linux::sockets::has_diag;
use netstat_model::{Direction, Endpoint, Event, EventKind, EventOrigin, Fact, Family, Moment, Protocol, State, Why};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, netlink, sockopt};

/// `SKNLGRP_INET_TCP_DESTROY`, `_INET_UDP_`, `_INET6_TCP_`, `_INET6_UDP_`.
const TCP_GROUPS: [u32; 2] = [1, 3];
const UDP_GROUPS: [u32; 2] = [2, 4];
const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// `struct nlmsghdr`.
const HEADER: usize = 16;
/// `struct inet_diag_msg`.
const MESSAGE: usize = 72;
/// Attributes: `struct tcp_info`, and the protocol in a byte.
const INET_DIAG_INFO: u16 = 2;
const INET_DIAG_PROTOCOL: u16 = 10;
const IPPROTO_TCP: u8 = 6;
const IPPROTO_UDP: u8 = 17;
/// Room for messages not read yet: a message takes some 500 bytes, and more of its bookkeeping.
const RECEIVE_BYTES: usize = 8 << 20;

/// A subscription.
#[derive(Debug)]
pub(super) struct Destroyed {
    socket: OwnedFd,
    buffer: Vec<u8>,
    tells_udp: bool,
}

impl Destroyed {
    /// Subscribes to the ends of UDP sockets, and with `tcp` to those of TCP connections.
    ///
    /// # Errors
    /// What `socket(2)`, `bind(2)` and `setsockopt(2)` say; the kernel module that sends the messages is missing.
    pub(super) fn open(tcp: bool) -> io::Result<Self> {
        // Without the modules a subscription succeeds, and nothing ever comes.
        let tells_udp = has_diag(Protocol::Udp);
        match (tcp, tells_udp) {
            (true, _) if !has_diag(Protocol::Tcp) => return Err(missing("tcp_diag")),
            (false, false) => return Err(missing("udp_diag")),
            _ => {}
        }
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let protocol = Some(netlink::SOCK_DIAG);
        let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol)?;
        // More than the system's limit needs a privilege; without it, as much as is allowed.
        if sockopt::set_socket_recv_buffer_size_force(&socket, RECEIVE_BYTES).is_err() {
            sockopt::set_socket_recv_buffer_size(&socket, RECEIVE_BYTES)?;
        }
        let tcp: &[u32] = if tcp { &TCP_GROUPS } else { &[] };
        let groups = tcp
            .iter()
            .chain(&UDP_GROUPS)
            .fold(0, |bits, group| bits | 1 << (group - 1));
        rustix::net::bind(&socket, &netlink::SocketAddrNetlink::new(0, groups))?;
        Ok(Destroyed {
            socket,
            buffer: vec![0; 32 * 1024],
            tells_udp,
        })
    }

    /// Whether the ends of UDP sockets are among the messages.
    pub(super) fn tells_udp(&self) -> bool {
        self.tells_udp
    }

    /// The descriptor, to wait for.
    pub(super) fn descriptor(&self) -> &OwnedFd {
        &self.socket
    }

    /// Shows every message that is there; `at` is now. Returns how often the kernel had no room for one.
    ///
    /// # Errors
    /// What `recv(2)` says.
    pub(super) fn drain(&mut self, at: Moment, visit: &mut dyn FnMut(Event)) -> io::Result<u64> {
        let mut gaps = 0;
        loop {
            match rustix::net::recv(&self.socket, &mut self.buffer[..], RecvFlags::empty()) {
                Ok((length, _)) => events(&self.buffer[..length], at, visit),
                Err(Errno::AGAIN) => return Ok(gaps),
                Err(Errno::INTR) => {}
                Err(Errno::NOBUFS) => gaps += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn missing(module: &str) -> io::Error {
    io::Error::other(format!("the kernel module {module} is not loaded and cannot be loaded"))
}

/// Shows the sockets of the messages in `rest`; what is no such message is passed over.
pub(super) fn events(mut rest: &[u8], at: Moment, visit: &mut dyn FnMut(Event)) {
    while let Some(header) = rest.first_chunk::<HEADER>() {
        let length = number(&header[..4]) as usize;
        if length < HEADER || length > rest.len() {
            return;
        }
        if number(&header[4..6]) == u64::from(SOCK_DIAG_BY_FAMILY)
            && let Some(event) = event(&rest[HEADER..length], at)
        {
            visit(event);
        }
        rest = &rest[length.next_multiple_of(4).min(rest.len())..];
    }
}

/// A number of at most 8 bytes in the machine's order.
pub(super) fn number(bytes: &[u8]) -> u64 {
    let mut long = [0; 8];
    let from = if cfg!(target_endian = "little") {
        0
    } else {
        8 - bytes.len()
    };
    long[from..from + bytes.len()].copy_from_slice(bytes);
    u64::from_ne_bytes(long)
}

/// One `struct inet_diag_msg` with its attributes.
fn event(body: &[u8], at: Moment) -> Option<Event> {
    let (message, attributes) = body.split_first_chunk::<MESSAGE>()?;
    let protocol = match *attribute(attributes, INET_DIAG_PROTOCOL)?.first()? {
        IPPROTO_TCP => Protocol::Tcp,
        IPPROTO_UDP => Protocol::Udp,
        _ => return None,
    };
    let family = match message[0] {
        2 => Family::V4,
        10 => Family::V6,
        _ => return None,
    };
    let interface = number(&message[40..44]) as u32;
    let endpoint = |port: usize, address: usize| {
        let address = match family {
            Family::V6 => IpAddr::V6(Ipv6Addr::from(
                <[u8; 16]>::try_from(&message[address..address + 16]).ok()?,
            )),
            _ => IpAddr::V4(Ipv4Addr::from(
                <[u8; 4]>::try_from(&message[address..address + 4]).ok()?,
            )),
        };
        let scoped = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
        Some(Endpoint {
            address,
            port: u16::from_be_bytes([message[port], message[port + 1]]),
            scope: if scoped { interface } else { 0 },
        })
    };
    // Fields of struct tcp_info, which only grows at its end; an older kernel's is shorter.
    let info = attribute(attributes, INET_DIAG_INFO).unwrap_or_default();
    let lacking = match protocol {
        Protocol::Tcp => Why::NotSupported,
        _ => Why::NotApplicable,
    };
    let figure = |at: usize, bytes: usize| match info.get(at..at + bytes) {
        Some(bytes) => Fact::Known(number(bytes)),
        None => Fact::Unknown(lacking),
    };
    let sent = match (figure(200, 8), figure(208, 8)) {
        (Fact::Known(sent), Fact::Known(again)) => Fact::Known(sent.saturating_sub(again)),
        _ => Fact::Unknown(lacking),
    };
    Some(Event {
        kind: EventKind::Closed,
        at,
        origin: EventOrigin::Destroyed,
        cookie: NonZeroU64::new(number(&message[44..52])),
        inode: None,
        protocol,
        family,
        local: endpoint(4, 8)?,
        foreign: endpoint(6, 24)?,
        state: State::Closed,
        before: None,
        direction: Direction::Unknown,
        interface,
        namespace: Fact::Unknown(Why::NotAsked),
        owner: Fact::Unknown(Why::Gone),
        user: Fact::Known(number(&message[64..68]) as u32),
        cgroup: Fact::Unknown(Why::Gone),
        opened: Fact::Unknown(Why::NotKept),
        sent,
        received: received(figure(128, 8), figure(152, 4)),
        retransmits: figure(100, 4).map(|number| number as u32),
        rtt: figure(68, 4).map(|number| number as u32),
    })
}

/// Payload bytes received, from `tcpi_bytes_received` and `tcpi_data_segs_in` of a connection that has ended. The kernel counts the
/// peer's FIN as a byte, and does not tell here whether it came; where no segment had data, it is the only byte.
fn received(bytes: Fact<u64>, segments: Fact<u64>) -> Fact<u64> {
    match (bytes, segments) {
        (Fact::Known(1), Fact::Known(0)) => Fact::Known(0),
        _ => bytes,
    }
}

/// The value of the first attribute of type `wanted`.
fn attribute(mut rest: &[u8], wanted: u16) -> Option<&[u8]> {
    while let Some(header) = rest.first_chunk::<4>() {
        let length = number(&header[..2]) as usize;
        if length < 4 || length > rest.len() {
            return None;
        }
        if number(&header[2..]) == u64::from(wanted) {
            return Some(&rest[4..length]);
        }
        rest = &rest[length.next_multiple_of(4).min(rest.len())..];
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::SystemTime;

    const NOW: Moment = Moment {
        wall: SystemTime::UNIX_EPOCH,
        since_boot: 7,
    };

    fn message(protocol: u8, info: &[u8]) -> Vec<u8> {
        let mut body = vec![0; MESSAGE];
        body[..4].copy_from_slice(&[2, 7, 0, 0]);
        body[4..8].copy_from_slice(&[0x9c, 0x40, 1, 0xbb]);
        body[8..12].copy_from_slice(&[10, 0, 0, 1]);
        body[24..28].copy_from_slice(&[10, 0, 0, 2]);
        body[44..52].copy_from_slice(&0x1_0000_0009u64.to_ne_bytes());
        body[64..68].copy_from_slice(&33u32.to_ne_bytes());
        body.extend([5, 0, 10, 0, protocol, 0, 0, 0]);
        if !info.is_empty() {
            body.extend(((4 + info.len()) as u16).to_ne_bytes());
            body.extend(INET_DIAG_INFO.to_ne_bytes());
            body.extend(info);
        }
        let mut whole = ((HEADER + body.len()) as u32).to_ne_bytes().to_vec();
        whole.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
        whole.extend([0; 10]);
        whole.extend(body);
        whole
    }

    fn read(bytes: &[u8]) -> Vec<Event> {
        let mut found = Vec::new();
        events(bytes, NOW, &mut |event| found.push(event));
        found
    }

    #[test]
    fn the_end_of_a_connection_is_read() {
        let mut info = vec![0; 216];
        info[68..72].copy_from_slice(&250u32.to_ne_bytes());
        info[100..104].copy_from_slice(&2u32.to_ne_bytes());
        info[128..136].copy_from_slice(&900u64.to_ne_bytes());
        info[200..208].copy_from_slice(&500u64.to_ne_bytes());
        info[208..216].copy_from_slice(&100u64.to_ne_bytes());
        let found = read(&message(IPPROTO_TCP, &info));
        let end = &found[0];
        assert_eq!((end.kind, end.protocol), (EventKind::Closed, Protocol::Tcp));
        assert_eq!((end.local.port, end.foreign.port), (40_000, 443));
        assert_eq!(end.foreign.address, IpAddr::from([10, 0, 0, 2]));
        assert_eq!(end.cookie.unwrap().get(), 0x1_0000_0009);
        assert_eq!((end.sent, end.received), (Fact::Known(400), Fact::Known(900)));
        assert_eq!((end.retransmits, end.rtt), (Fact::Known(2), Fact::Known(250)));
        assert_eq!((end.user, end.owner), (Fact::Known(33), Fact::Unknown(Why::Gone)));
    }

    #[test]
    fn fin_without_data_is_no_received_byte() {
        let mut info = vec![0; 216];
        info[128..136].copy_from_slice(&1u64.to_ne_bytes());
        assert_eq!(read(&message(IPPROTO_TCP, &info))[0].received, Fact::Known(0));
        // One byte of data, of which nobody can say that it is a FIN.
        info[152..156].copy_from_slice(&1u32.to_ne_bytes());
        assert_eq!(read(&message(IPPROTO_TCP, &info))[0].received, Fact::Known(1));
    }

    #[test]
    fn facts_missing_on_older_kernels_or_udp_are_unknown() {
        let found = read(&message(IPPROTO_TCP, &[0; 104]));
        assert_eq!(found[0].sent, Fact::Unknown(Why::NotSupported));
        assert_eq!(found[0].retransmits, Fact::Known(0));
        let found = read(&message(IPPROTO_UDP, &[]));
        assert_eq!(found[0].received, Fact::Unknown(Why::NotApplicable));
        assert!(read(&message(136, &[])).is_empty(), "UDP-Lite");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>, info in proptest::collection::vec(any::<u8>(), 0..240), cut in 0usize..400) {
            read(&bytes);
            let whole = message(IPPROTO_TCP, &info);
            read(&whole[..cut.min(whole.len())]);
        }
    }
}
