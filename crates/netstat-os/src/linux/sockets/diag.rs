//! Sockets through netlink's sock_diag: the binary dump.
//!
//! Layouts and numbers: `include/uapi/linux/netlink.h`, `sock_diag.h`, `inet_diag.h`; `sock_diag(7)`.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU64;

use netstat_model::{Extra, Fact, Family, Protocol, Socket, SocketFacts, State, Why};
use rustix::fd::OwnedFd;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};

use super::StateSet;

/// `TCPDIAG_GETSOCK`: the older request; one dump walks the TCP table once for both families.
const TCPDIAG_GETSOCK: u16 = 18;
/// `SOCK_DIAG_BY_FAMILY`: the newer request, one family and protocol each.
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 1;
/// `NLM_F_REQUEST | NLM_F_ROOT | NLM_F_MATCH`.
const DUMP_FLAGS: u16 = 0x301;
/// `NLM_F_DUMP_INTR`: the table changed in a way that makes the dump inconsistent.
const NLM_F_DUMP_INTR: u16 = 0x10;
const HEADER: usize = 16;
/// `sizeof(struct inet_diag_msg)`.
const DIAG_MESSAGE: usize = 72;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const IPPROTO_TCP: u8 = 6;
const IPPROTO_UDP: u8 = 17;
/// Attribute of a request: a program of `bytecode` that chooses sockets in the kernel.
const INET_DIAG_REQ_BYTECODE: u16 = 1;
/// Attributes of an answer, and bit `n - 1` of the request's `idiag_ext` to ask for attribute `n`.
const INET_DIAG_TOS: u16 = 5;
const INET_DIAG_TCLASS: u16 = 6;
const EXTENSIONS: u8 = 1 << (INET_DIAG_TOS - 1) | 1 << (INET_DIAG_TCLASS - 1);
/// `idiag_timer` of a TIME_WAIT socket.
const TIMER_TIME_WAIT: u8 = 3;
/// `TCP_TIMEWAIT_LEN` (`include/net/tcp.h`): how long TIME_WAIT lasts, in milliseconds.
const TIME_WAIT_MS: u64 = 60_000;
/// The kernel fills at most 32 KiB a message batch (`netlink_dump`); more gains nothing.
const BATCH: usize = 32 * 1024;

/// What one dump asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    /// TCP, both families in one walk.
    Tcp,
    /// TCP over IPv4.
    Tcp4,
    /// TCP over IPv6.
    Tcp6,
    /// UDP over IPv4.
    Udp4,
    /// UDP over IPv6.
    Udp6,
}

impl Table {
    fn protocol(self) -> Protocol {
        match self {
            Table::Tcp | Table::Tcp4 | Table::Tcp6 => Protocol::Tcp,
            Table::Udp4 | Table::Udp6 => Protocol::Udp,
        }
    }
}

/// What is asked of the kernel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'a> {
    pub(super) table: Table,
    /// Only sockets in these states.
    pub(super) states: StateSet,
    /// Only the sockets that this program of [`super::bytecode`] takes. Its length is at most `u16::MAX - 4`.
    pub(super) program: Option<&'a [u8]>,
    /// Whether [`Extra`] is wanted.
    pub(super) extra: bool,
}

/// How a dump ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dump {
    /// Whole and consistent, as far as the kernel says.
    Complete,
    /// The kernel marked it as interrupted by a change.
    Interrupted,
}

/// A sock_diag connection to the kernel, with its buffer.
#[derive(Debug)]
pub(super) struct Diag {
    socket: OwnedFd,
    buffer: Vec<u8>,
    sequence: u32,
}

impl Diag {
    /// Opens the netlink socket.
    ///
    /// # Errors
    /// What `socket(2)` says: no netlink in this kernel, or refused by a security policy.
    pub(super) fn open() -> io::Result<Self> {
        let socket = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            Some(netlink::SOCK_DIAG),
        )?;
        Ok(Diag {
            socket,
            buffer: vec![0; BATCH],
            sequence: 0,
        })
    }

    /// Dumps a table; every socket that `question` asks for goes to `found`.
    ///
    /// # Errors
    /// What the kernel answered (`EPERM`, `ENOENT` where the module is missing, `EINVAL` for a program it does not know all
    /// operations of), or a malformed answer as `InvalidData`.
    pub(super) fn dump(&mut self, question: &Question<'_>, found: &mut dyn FnMut(Socket)) -> io::Result<Dump> {
        self.sequence = self.sequence.wrapping_add(1);
        let request = request(question, self.sequence);
        let (table, extra) = (question.table, question.extra);
        let kernel = netlink::SocketAddrNetlink::new(0, 0);
        retry(|| rustix::net::sendto(&self.socket, &request, SendFlags::empty(), &kernel))?;
        let mut outcome = Dump::Complete;
        loop {
            let (length, _) = retry(|| rustix::net::recv(&self.socket, &mut self.buffer[..], RecvFlags::empty()))?;
            match parse_batch(&self.buffer[..length], self.sequence, table, extra, found)? {
                Batch {
                    done: true,
                    interrupted,
                } => {
                    return Ok(if interrupted { Dump::Interrupted } else { outcome });
                }
                Batch { interrupted: true, .. } => outcome = Dump::Interrupted,
                Batch { .. } => {}
            }
        }
    }
}

impl Diag {
    /// Whether the very connection `socket` still exists and belongs to a descriptor as before: asked for by its addresses and
    /// cookie, some microseconds.
    ///
    /// Only for connected TCP sockets: of several listeners or UDP sockets on one port the kernel looks up but one.
    ///
    /// # Errors
    /// What the kernel answered but for "no such socket", or a malformed answer as `InvalidData`.
    pub(super) fn exists(&mut self, socket: &Socket) -> io::Result<bool> {
        self.sequence = self.sequence.wrapping_add(1);
        let body = exact_body(socket);
        let request = message(SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, self.sequence, &body);
        let kernel = netlink::SocketAddrNetlink::new(0, 0);
        retry(|| rustix::net::sendto(&self.socket, &request, SendFlags::empty(), &kernel))?;
        let mut exists = false;
        let (length, _) = retry(|| rustix::net::recv(&self.socket, &mut self.buffer[..], RecvFlags::empty()))?;
        match parse_batch(&self.buffer[..length], self.sequence, Table::Tcp, false, &mut |found| {
            exists |= found.inode() == socket.inode()
        }) {
            Ok(_) => Ok(exists),
            // ENOENT: nobody at these addresses; ESTALE: somebody else.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESTALE)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// `struct inet_diag_req_v2` for one socket: family, protocol, ext, pad, states, id.
fn exact_body(socket: &Socket) -> Vec<u8> {
    let (local, foreign) = (socket.local(), socket.foreign());
    let family = if socket.family() == Family::V4 {
        AF_INET
    } else {
        AF_INET6
    };
    let mut body = vec![family, IPPROTO_TCP, 0, 0];
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
    // INET_DIAG_NOCOOKIE is all ones.
    let cookie = socket.cookie().map_or(u64::MAX, u64::from);
    body.extend((cookie as u32).to_ne_bytes());
    body.extend(((cookie >> 32) as u32).to_ne_bytes());
    body
}

/// Repeats a call that a signal interrupted.
fn retry<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(rustix::io::Errno::INTR) => {}
            other => return other.map_err(io::Error::from),
        }
    }
}

/// The request message for `question`.
fn request(question: &Question<'_>, sequence: u32) -> Vec<u8> {
    let extensions = if question.extra { EXTENSIONS } else { 0 };
    let states = question.states.bits().to_ne_bytes();
    let mut body = Vec::with_capacity(128);
    let kind = match question.table {
        Table::Tcp => {
            // struct inet_diag_req: family, src_len, dst_len, ext, id (48 bytes), states, dbs. The kernel ignores the family.
            body.extend([0, 0, 0, extensions]);
            body.extend([0; 48]);
            body.extend(states);
            body.extend([0; 4]);
            TCPDIAG_GETSOCK
        }
        Table::Tcp4 | Table::Tcp6 | Table::Udp4 | Table::Udp6 => {
            // struct inet_diag_req_v2: family, protocol, ext, pad, states, id (48 bytes).
            let family = match question.table {
                Table::Tcp6 | Table::Udp6 => AF_INET6,
                _ => AF_INET,
            };
            let protocol = match question.table {
                Table::Tcp | Table::Tcp4 | Table::Tcp6 => IPPROTO_TCP,
                Table::Udp4 | Table::Udp6 => IPPROTO_UDP,
            };
            body.extend([family, protocol, extensions, 0]);
            body.extend(states);
            body.extend([0; 48]);
            SOCK_DIAG_BY_FAMILY
        }
    };
    if let Some(program) = question.program {
        // Both requests end at a multiple of 4, where an attribute may begin; every program is one too.
        body.extend((4 + program.len() as u16).to_ne_bytes());
        body.extend(INET_DIAG_REQ_BYTECODE.to_ne_bytes());
        body.extend(program);
    }
    message(kind, DUMP_FLAGS, sequence, &body)
}

/// A netlink message: `struct nlmsghdr` and its body.
fn message(kind: u16, flags: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(HEADER + body.len());
    message.extend(((HEADER + body.len()) as u32).to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend(sequence.to_ne_bytes());
    message.extend([0; 4]);
    message.extend(body);
    message
}

/// What a batch of messages said besides its sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Batch {
    done: bool,
    interrupted: bool,
}

/// Reads one batch of netlink messages; sockets go to `found`. Answers to another request are passed over.
fn parse_batch(
    mut rest: &[u8],
    sequence: u32,
    table: Table,
    extra: bool,
    found: &mut dyn FnMut(Socket),
) -> io::Result<Batch> {
    let mut batch = Batch::default();
    while let Some(header) = rest.first_chunk::<HEADER>() {
        let length = u32_at(header, 0) as usize;
        if length < HEADER || length > rest.len() {
            return Err(malformed("a netlink message is longer than what was received"));
        }
        let (kind, flags) = (u16_at(header, 4), u16_at(header, 6));
        let body = &rest[HEADER..length];
        rest = &rest[length.next_multiple_of(4).min(rest.len())..];
        if u32_at(header, 8) != sequence {
            continue;
        }
        batch.interrupted |= flags & NLM_F_DUMP_INTR != 0;
        match kind {
            NLMSG_DONE => {
                batch.done = true;
                // Since Linux 4.16 the end of a dump carries its error, if any.
                if let Some(code) = body.first_chunk::<4>()
                    && i32::from_ne_bytes(*code) < 0
                {
                    return Err(io::Error::from_raw_os_error(-i32::from_ne_bytes(*code)));
                }
                return Ok(batch);
            }
            NLMSG_ERROR => {
                let code = body.first_chunk::<4>().map_or(0, |code| i32::from_ne_bytes(*code));
                return Err(if code < 0 {
                    io::Error::from_raw_os_error(-code)
                } else {
                    malformed("an error message without an error")
                });
            }
            TCPDIAG_GETSOCK | SOCK_DIAG_BY_FAMILY => {
                if let Some(socket) = parse_socket(body, table, extra)? {
                    found(socket);
                }
            }
            _ => {}
        }
    }
    Ok(batch)
}

/// One `struct inet_diag_msg` with its attributes. `None` for an address family that is not shown.
fn parse_socket(body: &[u8], table: Table, extra: bool) -> io::Result<Option<Socket>> {
    let Some((message, attributes)) = body.split_first_chunk::<DIAG_MESSAGE>() else {
        return Err(malformed("a socket message is too short"));
    };
    let family = match message[0] {
        AF_INET => Family::V4,
        AF_INET6 => Family::V6,
        _ => return Ok(None),
    };
    let address = |at: usize| match family {
        Family::V4 | Family::Packet | Family::Unix => IpAddr::V4(Ipv4Addr::from(array(message, at))),
        Family::V6 => IpAddr::V6(Ipv6Addr::from(array::<16>(message, at))),
    };
    let protocol = table.protocol();
    let Some(state) = super::state(protocol, message[1]) else {
        return Ok(None);
    };
    let timer = message[2];
    let inode = u32_at(message, 68);
    let cookie = u64::from(u32_at(message, 44)) | u64::from(u32_at(message, 48)) << 32;
    // TIME_WAIT (also in its FIN_WAIT_2 form) and SYN_RECEIVED are small objects of the kernel that carry no user: the field
    // is 0 there (inet_twsk_diag_fill, inet_req_diag_fill), which must not read as root.
    let small = timer == TIMER_TIME_WAIT || state == State::SynReceived || state == State::TimeWait;
    let facts = SocketFacts {
        protocol,
        family,
        state,
        local: address(8),
        local_port: u16::from_be_bytes(array(message, 4)),
        foreign: address(24),
        foreign_port: u16::from_be_bytes(array(message, 6)),
        interface: u32_at(message, 40),
        inode,
        user: (!small).then(|| u32_at(message, 64)),
        cookie: NonZeroU64::new(cookie),
        receive_queue: u32_at(message, 56),
        send_queue: Some(u32_at(message, 60)),
    };
    let socket = Socket::new(&facts);
    if !extra {
        return Ok(Some(socket));
    }
    let wanted = if family == Family::V4 {
        INET_DIAG_TOS
    } else {
        INET_DIAG_TCLASS
    };
    let tos = Fact::from_option(
        attribute(attributes, wanted).and_then(|value| value.first().copied()),
        Why::NotKept,
    );
    let left = u64::from(u32_at(message, 52));
    let time_in_state = match state {
        // The timer is started anew when the peer repeats its FIN (RFC 9293, 3.10.7.4), so does this figure.
        State::TimeWait if timer == TIMER_TIME_WAIT && left <= TIME_WAIT_MS => Fact::Known(TIME_WAIT_MS - left),
        _ => Fact::Unknown(Why::NotKept),
    };
    Ok(Some(socket.with_extra(Extra {
        tos,
        time_in_state,
        ..Extra::default()
    })))
}

/// The value of the first attribute of type `wanted`.
fn attribute(mut rest: &[u8], wanted: u16) -> Option<&[u8]> {
    while let Some(header) = rest.first_chunk::<4>() {
        let length = usize::from(u16_at(header, 0));
        if length < 4 || length > rest.len() {
            return None;
        }
        if u16_at(header, 2) == wanted {
            return Some(&rest[4..length]);
        }
        rest = &rest[length.next_multiple_of(4).min(rest.len())..];
    }
    None
}

/// `N` bytes at `at`; the callers' offsets are constants inside fixed-size arrays.
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes(array(bytes, at))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(array(bytes, at))
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A listening IPv4 socket as the kernel lays it out.
    fn listener() -> Vec<u8> {
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

    fn parse(bytes: &[u8]) -> (io::Result<Batch>, Vec<Socket>) {
        let mut sockets = Vec::new();
        let batch = parse_batch(bytes, 5, Table::Tcp, true, &mut |socket| sockets.push(socket));
        (batch, sockets)
    }

    #[test]
    fn a_socket_message_is_read_field_by_field() {
        let mut body = listener();
        body.extend([5, 0, 5, 0, 0xb8, 0, 0, 0]);
        let mut bytes = message(TCPDIAG_GETSOCK, 2, 5, &body);
        bytes.extend(message(NLMSG_DONE, 2, 5, &0i32.to_ne_bytes()));
        let (batch, sockets) = parse(&bytes);
        assert_eq!(
            batch.unwrap(),
            Batch {
                done: true,
                interrupted: false
            }
        );
        let socket = &sockets[0];
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
    }

    #[test]
    fn user_of_time_wait_is_unknown_not_root() {
        let mut body = listener();
        body[1] = 6;
        body[2] = TIMER_TIME_WAIT;
        body[52..56].copy_from_slice(&45_000u32.to_ne_bytes());
        body[64..72].fill(0);
        let (_, sockets) = parse(&message(TCPDIAG_GETSOCK, 2, 5, &body));
        assert_eq!(sockets[0].state(), State::TimeWait);
        assert_eq!(sockets[0].user(), Fact::Unknown(Why::NotKept));
        assert_eq!(sockets[0].inode(), None);
        assert_eq!(sockets[0].time_in_state(), Fact::Known(15_000));
    }

    #[test]
    fn a_program_follows_the_request() {
        for (table, fixed) in [(Table::Tcp, 60), (Table::Tcp4, 56), (Table::Udp6, 56)] {
            let mut question = Question {
                table,
                states: StateSet(0x402),
                program: None,
                extra: false,
            };
            let plain = request(&question, 9);
            assert_eq!(plain.len(), HEADER + fixed, "{table:?}");
            question.program = Some(&[7, 8, 9, 10, 11, 12, 13, 14]);
            let chosen = request(&question, 9);
            assert_eq!(u32_at(&chosen, 0) as usize, chosen.len());
            assert_eq!(chosen[4..plain.len()], plain[4..]);
            let attribute = &chosen[plain.len()..];
            assert_eq!(
                (u16_at(attribute, 0), u16_at(attribute, 2)),
                (12, INET_DIAG_REQ_BYTECODE)
            );
            assert_eq!(attribute[4..], [7, 8, 9, 10, 11, 12, 13, 14]);
        }
    }

    #[test]
    fn errors_and_interruptions_are_told() {
        let (batch, _) = parse(&message(NLMSG_ERROR, 0, 5, &(-1i32).to_ne_bytes()));
        assert_eq!(batch.unwrap_err().raw_os_error(), Some(1));
        let (batch, _) = parse(&message(NLMSG_DONE, NLM_F_DUMP_INTR, 5, &0i32.to_ne_bytes()));
        assert_eq!(
            batch.unwrap(),
            Batch {
                done: true,
                interrupted: true
            }
        );
        let (batch, sockets) = parse(&message(TCPDIAG_GETSOCK, 2, 4, &listener()));
        assert_eq!(
            (batch.unwrap(), sockets.len()),
            (Batch::default(), 0),
            "an answer to an older request"
        );
        let (batch, _) = parse(&message(TCPDIAG_GETSOCK, 2, 5, &listener()[..40]));
        assert_eq!(batch.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>, body: Vec<u8>) {
            let _ = parse(&bytes);
            let _ = parse(&message(TCPDIAG_GETSOCK, 2, 5, &body));
        }
    }
}
