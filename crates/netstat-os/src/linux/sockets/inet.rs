//! TCP, UDP, RAW and MPTCP sockets from sock_diag over netlink, the binary interface.
//!
//! For layouts and constants, see `include/uapi/linux/sock_diag.h`, `inet_diag.h` and `sock_diag(7)`.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU64;

use netstat_model::{Extras, Family, Protocol, Socket, SocketFacts, State};

use super::StateSet;
use super::extra::{self, TIMER_TIME_WAIT};
use crate::linux::netlink::attributes::{AF_INET, AF_INET6, Attributes};
use crate::linux::netlink::{Connection, Dump, malformed, push_attribute};

/// `TCPDIAG_GETSOCK`: the older request. One dump iterates over the TCP table once for both families.
const TCPDIAG_GETSOCK: u16 = 18;
/// `SOCK_DIAG_BY_FAMILY`: the newer request, for one family and protocol.
pub(super) const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// `SOCK_DESTROY`: closes a socket on behalf of its program (Linux 4.5, `CONFIG_INET_DIAG_DESTROY`).
const SOCK_DESTROY: u16 = 21;
/// `sizeof(struct inet_diag_msg)`.
const DIAG_MESSAGE: usize = 72;
const IPPROTO_TCP: u8 = 6;
const IPPROTO_UDP: u8 = 17;
const IPPROTO_RAW: u8 = 255;
const IPPROTO_DCCP: u8 = 33;
const IPPROTO_SCTP: u8 = 132;
const IPPROTO_UDPLITE: u8 = 136;
const IPPROTO_MPTCP: u32 = 262;
/// Attributes of a request: a filter program ([`super::bytecode`]), and a protocol number above 255.
const INET_DIAG_REQ_BYTECODE: u16 = 1;
const INET_DIAG_REQ_PROTOCOL: u16 = 3;
/// Attribute of an answer: the peer addresses of an SCTP association.
const INET_DIAG_PEERS: u16 = 13;

/// The table that a dump reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    /// TCP of both families in one pass.
    Tcp,
    /// TCP of one family.
    Tcp4,
    Tcp6,
    /// UDP of one family.
    Udp4,
    Udp6,
    /// Raw sockets of one family, without ping sockets.
    Raw4,
    Raw6,
    /// MPTCP of one family.
    Mptcp4,
    Mptcp6,
    /// One of the other transport protocols, of one family.
    Further4(Protocol),
    Further6(Protocol),
}

impl Table {
    pub(super) fn protocol(self) -> Protocol {
        match self {
            Table::Tcp | Table::Tcp4 | Table::Tcp6 => Protocol::Tcp,
            Table::Udp4 | Table::Udp6 => Protocol::Udp,
            Table::Raw4 | Table::Raw6 => Protocol::Raw,
            Table::Mptcp4 | Table::Mptcp6 => Protocol::Mptcp,
            Table::Further4(protocol) | Table::Further6(protocol) => protocol,
        }
    }

    fn family(self) -> u8 {
        match self {
            Table::Tcp | Table::Tcp4 | Table::Udp4 | Table::Raw4 | Table::Mptcp4 | Table::Further4(_) => AF_INET,
            Table::Tcp6 | Table::Udp6 | Table::Raw6 | Table::Mptcp6 | Table::Further6(_) => AF_INET6,
        }
    }
}

/// Returns `sdiag_protocol`. 0 for MPTCP, whose number has nine bits and is sent in an attribute; a kernel that does
/// not know the attribute finds no protocol 0.
fn protocol_number(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Tcp => IPPROTO_TCP,
        Protocol::Udp => IPPROTO_UDP,
        Protocol::Raw => IPPROTO_RAW,
        Protocol::UdpLite => IPPROTO_UDPLITE,
        Protocol::Sctp => IPPROTO_SCTP,
        Protocol::Dccp => IPPROTO_DCCP,
        // The others belong to other families.
        _ => 0,
    }
}

/// The parameters of a dump.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'a> {
    pub(super) table: Table,
    /// Selects the sockets in these states.
    pub(super) states: StateSet,
    /// A filter program of [`super::bytecode`], of at most `u16::MAX - 4` bytes; `None` to select all.
    pub(super) program: Option<&'a [u8]>,
    /// The requested groups of [`netstat_model::Extra`].
    pub(super) extras: Extras,
}

/// Dumps a table, and passes every socket that `question` selects to `found`.
///
/// # Errors
/// Returns the error of the kernel (`EPERM`, `ENOENT` if the module is missing, `EINVAL` for a program with unknown
/// operations), or `InvalidData` for a malformed answer.
pub(super) fn dump(diag: &mut Connection, question: &Question<'_>, mut found: impl FnMut(Socket)) -> io::Result<Dump> {
    let (kind, body) = request(question);
    let (protocol, extras) = (question.table.protocol(), question.extras);
    diag.dump(kind, &body, |answer| {
        if let Some(socket) = parse(answer, protocol, extras)? {
            found(socket);
        }
        Ok(())
    })
}

/// Whether exactly the connection `socket` still exists and still belongs to a file. It is looked up by its addresses
/// and cookie, which takes some microseconds.
///
/// Only for connected TCP sockets, because the kernel looks up only one of several listeners or UDP sockets on the same
/// port.
///
/// # Errors
/// Returns the error of the kernel, except for "no such socket", or `InvalidData` for a malformed answer.
pub(super) fn exists(diag: &mut Connection, socket: &Socket) -> io::Result<bool> {
    let mut exists = false;
    let answer = diag.ask(SOCK_DIAG_BY_FAMILY, &exact_body(socket), |answer| {
        let found = parse(answer, socket.protocol(), Extras::NONE)?;
        exists |= found.is_some_and(|found| found.inode() == socket.inode());
        Ok(())
    });
    match answer {
        Ok(()) => Ok(exists),
        // ENOENT: no socket has these addresses; ESTALE: another one has them.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESTALE)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes the kernel close exactly `socket`, identified by its addresses and cookie.
///
/// # Errors
/// Returns the error of the kernel.
pub(super) fn destroy(diag: &mut Connection, socket: &Socket) -> io::Result<()> {
    diag.order(SOCK_DESTROY, &exact_body(socket))
}

/// Builds `struct inet_diag_req_v2` for one socket: family, protocol, ext, pad, states, id.
fn exact_body(socket: &Socket) -> Vec<u8> {
    let (local, foreign) = (socket.local(), socket.foreign());
    let family = match socket.family() {
        Family::V6 => AF_INET6,
        _ => AF_INET,
    };
    let mut body = vec![family, protocol_number(socket.protocol()), 0, 0];
    if socket.protocol() == Protocol::Raw {
        // struct inet_diag_req_raw: the protocol number is in `pad`.
        body[3] = local.port as u8;
    }
    body.extend(u32::MAX.to_ne_bytes());
    body.extend(local.port.to_be_bytes());
    body.extend(foreign.port.to_be_bytes());
    for address in [local.address, foreign.address] {
        let mut bytes = [0; 16];
        match address {
            IpAddr::V4(v4) => bytes[..4].copy_from_slice(&v4.octets()),
            IpAddr::V6(v6) => bytes = v6.octets(),
        }
        body.extend(bytes);
    }
    body.extend(socket.interface().map_or(0, u32::from).to_ne_bytes());
    // INET_DIAG_NOCOOKIE has all bits set.
    let cookie = socket.cookie().map_or(u64::MAX, u64::from);
    body.extend((cookie as u32).to_ne_bytes());
    body.extend(((cookie >> 32) as u32).to_ne_bytes());
    if socket.protocol() == Protocol::Mptcp {
        push_attribute(&mut body, INET_DIAG_REQ_PROTOCOL, &IPPROTO_MPTCP.to_ne_bytes());
    }
    body
}

/// Returns the message type and body of the request for `question`.
fn request(question: &Question<'_>) -> (u16, Vec<u8>) {
    let extensions = extra::extensions(question.extras);
    let states = question.states.bits().to_ne_bytes();
    let table = question.table;
    let mut body = Vec::with_capacity(128);
    let kind = match table {
        Table::Tcp => {
            // struct inet_diag_req: family, src_len, dst_len, ext, id (48 bytes), states, dbs. The kernel ignores the
            // family.
            body.extend([0, 0, 0, extensions]);
            body.extend([0; 48]);
            body.extend(states);
            body.extend([0; 4]);
            TCPDIAG_GETSOCK
        }
        _ => {
            // struct inet_diag_req_v2: family, protocol, ext, pad, states, id (48 bytes).
            body.extend([table.family(), protocol_number(table.protocol()), extensions, 0]);
            body.extend(states);
            body.extend([0; 48]);
            SOCK_DIAG_BY_FAMILY
        }
    };
    // The size of both requests is a multiple of 4, so attributes can follow.
    if table.protocol() == Protocol::Mptcp {
        push_attribute(&mut body, INET_DIAG_REQ_PROTOCOL, &IPPROTO_MPTCP.to_ne_bytes());
    }
    if let Some(program) = question.program {
        push_attribute(&mut body, INET_DIAG_REQ_BYTECODE, program);
    }
    (kind, body)
}

/// Decodes one `struct inet_diag_msg` with its attributes. `None` for an address family or a state that is not shown.
pub(super) fn parse(answer: &[u8], protocol: Protocol, extras: Extras) -> io::Result<Option<Socket>> {
    let Some((message, attributes)) = answer.split_first_chunk::<DIAG_MESSAGE>() else {
        return Err(malformed("a socket message is too short"));
    };
    let v4 = |at: usize| IpAddr::V4(Ipv4Addr::from(array(message, at)));
    let v6 = |at: usize| IpAddr::V6(Ipv6Addr::from(array::<16>(message, at)));
    let (family, local, foreign) = match message[0] {
        AF_INET => (Family::V4, v4(8), v4(24)),
        AF_INET6 => (Family::V6, v6(8), v6(24)),
        _ => return Ok(None),
    };
    let state = match protocol {
        Protocol::Sctp => sctp_state(message, attributes)?,
        _ => super::state(protocol, message[1]),
    };
    let Some(state) = state else {
        return Ok(None);
    };
    let cookie = u64::from(u32_at(message, 44)) | u64::from(u32_at(message, 48)) << 32;
    let small = is_small(message, state);
    let facts = SocketFacts {
        protocol,
        family,
        state,
        local,
        local_port: u16::from_be_bytes(array(message, 4)),
        foreign,
        foreign_port: u16::from_be_bytes(array(message, 6)),
        interface: u32_at(message, 40),
        inode: u32_at(message, 68),
        user: (!small).then(|| u32_at(message, 64)),
        cookie: NonZeroU64::new(cookie),
        receive_queue: u32_at(message, 56),
        send_queue: Some(u32_at(message, 60)),
    };
    let socket = Socket::new(&facts);
    if extras.is_empty() {
        return Ok(Some(socket));
    }
    let about = extra::About {
        protocol,
        family,
        state,
        small,
        timer: message[2],
        repetitions: message[3],
        expires: u32_at(message, 52),
    };
    Ok(Some(socket.with_extra(extra::parse(&about, attributes, extras)?)))
}

/// Returns the state of an SCTP socket or association. `None` for the socket of an association if its message adds
/// nothing to that of the association, which follows (`sctp_sock_dump` in the kernel's net/sctp/diag.c).
fn sctp_state(message: &[u8; DIAG_MESSAGE], attributes: &[u8]) -> io::Result<Option<State>> {
    let mut is_association = false;
    for attribute in Attributes(attributes) {
        is_association |= attribute?.kind == INET_DIAG_PEERS;
    }
    if is_association {
        // `enum sctp_state` in include/net/sctp/constants.h: closed, cookie wait, cookie echoed, established, shutdown
        // pending, sent, received, acknowledged. They are mapped to the corresponding states of TCP.
        return Ok(Some(match message[1] {
            0 => State::Closed,
            1 | 2 => State::SynSent,
            3 => State::Established,
            4 => State::FinWait1,
            5 => State::FinWait2,
            6 => State::CloseWait,
            7 => State::LastAck,
            _ => return Ok(None),
        }));
    }
    Ok(match (message[1], message[6..8] == [0, 0]) {
        (10, _) => Some(State::Listening),
        (_, true) => Some(State::Bound),
        (_, false) => None,
    })
}

/// Whether a message describes a minimal object of the kernel: TIME_WAIT (also in the substate FIN_WAIT_2) and
/// SYN_RECEIVED. Such an object has no user; the field is 0 (inet_twsk_diag_fill, inet_req_diag_fill), which must not
/// be mistaken for root.
fn is_small(message: &[u8; DIAG_MESSAGE], state: State) -> bool {
    message[2] == TIMER_TIME_WAIT || state == State::SynReceived || state == State::TimeWait
}

/// Returns `N` bytes at offset `at`; all callers use constant offsets within a message.
fn array<const N: usize>(message: &[u8; DIAG_MESSAGE], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&message[at..at + N]);
    out
}

fn u32_at(message: &[u8; DIAG_MESSAGE], at: usize) -> u32 {
    u32::from_ne_bytes(array(message, at))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::linux::netlink::attributes::u16_at;
    use crate::linux::netlink::testing::attribute;
    use netstat_model::{Fact, Why};
    use proptest::prelude::*;

    /// A listening IPv4 socket in the kernel's format.
    pub(in crate::linux::sockets) fn listener() -> Vec<u8> {
        let mut body = vec![AF_INET, 10, 0, 0];
        body.extend(443u16.to_be_bytes());
        body.extend([0; 2]);
        body.extend([10, 1, 2, 3]);
        body.extend([0; 28]);
        body.extend(7u32.to_ne_bytes());
        body.extend(0x1234u32.to_ne_bytes());
        body.extend(1u32.to_ne_bytes());
        body.extend(0u32.to_ne_bytes());
        body.extend(2u32.to_ne_bytes());
        body.extend(128u32.to_ne_bytes());
        body.extend(33u32.to_ne_bytes());
        body.extend(98765u32.to_ne_bytes());
        assert_eq!(body.len(), DIAG_MESSAGE);
        body
    }

    fn parse_one(body: &[u8]) -> Socket {
        parse(body, Protocol::Tcp, Extras::ALL).unwrap().unwrap()
    }

    #[test]
    fn socket_message_is_read_field_by_field() {
        let mut body = listener();
        body.extend(attribute(5, &[0xb8]));
        let socket = parse_one(&body);
        assert_eq!(socket.state(), State::Listening);
        assert_eq!(socket.local().address, IpAddr::from([10, 1, 2, 3]));
        assert_eq!(socket.local().port, 443);
        assert!(!socket.is_connected());
        assert_eq!(socket.interface().unwrap().get(), 7);
        assert_eq!(socket.cookie().unwrap().get(), 0x1_0000_1234);
        assert_eq!((socket.receive_queue(), socket.send_queue()), (2, Fact::Known(128)));
        assert_eq!(socket.user(), Fact::Known(33));
        assert_eq!(socket.inode().unwrap().get(), 98765);
        assert_eq!(socket.dscp(), Fact::Known(46));
        let plain = parse(&body, Protocol::Tcp, Extras::NONE).unwrap().unwrap();
        assert!(plain.extra().is_none());
    }

    #[test]
    fn user_of_time_wait_is_unknown_not_root() {
        let mut body = listener();
        body[1] = 6;
        body[2] = TIMER_TIME_WAIT;
        body[52..56].copy_from_slice(&45_000u32.to_ne_bytes());
        body[64..72].fill(0);
        let socket = parse_one(&body);
        assert_eq!(socket.state(), State::TimeWait);
        assert_eq!(socket.user(), Fact::Unknown(Why::NotKept));
        assert_eq!(socket.inode(), None);
        assert_eq!(socket.time_in_state(), Fact::Known(15_000));
    }

    #[test]
    fn request_is_followed_by_its_attributes() {
        let program = [7, 8, 9, 10, 11, 12, 13, 14];
        for (table, fixed, protocol) in [
            (Table::Tcp, 60, 0),
            (Table::Tcp4, 56, 6),
            (Table::Udp6, 56, 17),
            (Table::Raw4, 56, 255),
            (Table::Mptcp6, 56, 0),
        ] {
            let mut question = Question {
                table,
                states: StateSet(0x402),
                program: None,
                extras: Extras::NONE,
            };
            let (_, plain) = request(&question);
            assert_eq!(plain[1], protocol, "{table:?}");
            question.program = Some(&program);
            let (_, chosen) = request(&question);
            assert_eq!(chosen[..plain.len()], plain[..]);
            let attributes = Attributes(&chosen[fixed..]).map(|attribute| attribute.unwrap());
            let attributes: Vec<(u16, &[u8])> = attributes.map(|own| (own.kind, own.value)).collect();
            let own = (INET_DIAG_REQ_BYTECODE, &program[..]);
            let mptcp = IPPROTO_MPTCP.to_ne_bytes();
            match table {
                Table::Mptcp6 => assert_eq!(attributes, [(INET_DIAG_REQ_PROTOCOL, &mptcp[..]), own]),
                _ => assert_eq!(attributes, [own]),
            }
        }
    }

    #[test]
    fn exact_request_has_addresses_ports_interface_and_cookie() {
        let body = exact_body(&parse_one(&listener()));
        assert_eq!(body.len(), 56);
        assert_eq!(body[..4], [AF_INET, IPPROTO_TCP, 0, 0]);
        assert_eq!(body[8..12], [1, 187, 0, 0]);
        assert_eq!(body[12..16], [10, 1, 2, 3]);
        assert_eq!(u16_at(&body, 44), Some(7));
        assert_eq!(body[48..], [0x1234u32.to_ne_bytes(), 1u32.to_ne_bytes()].concat());
    }

    #[test]
    fn sctp_association_has_its_own_states() {
        let sctp = |state: u8, peer: u16, peers: bool| {
            let mut body = listener();
            body[1] = state;
            body[6..8].copy_from_slice(&peer.to_be_bytes());
            if peers {
                body.extend(attribute(INET_DIAG_PEERS, &[0; 128]));
            }
            parse(&body, Protocol::Sctp, Extras::NONE)
                .unwrap()
                .map(|socket| socket.state())
        };
        assert_eq!(sctp(10, 0, false), Some(State::Listening));
        assert_eq!(sctp(7, 0, false), Some(State::Bound));
        // The socket of an association reports nothing that the association does not.
        assert_eq!(sctp(1, 40_000, false), None);
        assert_eq!(sctp(3, 40_000, true), Some(State::Established));
        assert_eq!(sctp(1, 40_000, true), Some(State::SynSent));
        assert_eq!(sctp(6, 40_000, true), Some(State::CloseWait));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(body: Vec<u8>, protocol in 0..Protocol::ALL.len(), first in 0..20u8, state in 0..16u8) {
            let protocol = Protocol::ALL[protocol];
            let _ = parse(&body, protocol, Extras::ALL);
            let mut long = listener();
            (long[0], long[1]) = (first, state);
            long.extend(&body);
            let _ = parse(&long, protocol, Extras::ALL);
        }
    }
}
