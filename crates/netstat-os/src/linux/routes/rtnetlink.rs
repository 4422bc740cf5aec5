//! Dumps tables from the kernel's routing subsystem (`NETLINK_ROUTE`): netlink(7), rtnetlink(7).

use std::net::IpAddr;
use std::os::fd::OwnedFd;

use netstat_model::Why;
use netstat_model::route::RouteQuery;
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use crate::linux::netlink::attributes::{AF_INET, AF_INET6, Messages, u32_at};

/// `NLM_F_REQUEST | NLM_F_DUMP` (linux/netlink.h).
const REQUEST_DUMP: u16 = 0x301;
/// `NLM_F_REQUEST` alone: one answer.
const REQUEST: u16 = 0x1;
/// `NLM_F_DUMP_INTR`: the table changed while it was dumped.
const DUMP_INTERRUPTED: u16 = 0x10;
/// `NLMSG_NOOP`.
const NOOP: u16 = 1;
/// `NLMSG_ERROR`.
const ERROR: u16 = 2;
/// `NLMSG_DONE`.
const DONE: u16 = 3;

/// The initial buffer size in bytes. The kernel sends dumps in pieces of up to 32 KiB if the reader's buffer allows it
/// (`netlink_recvmsg`). A single large link may need more; the buffer then grows.
const BUFFER: usize = 64 * 1024;
/// The maximum buffer size in bytes. No valid message is larger.
const BUFFER_MAX: usize = 64 * 1024 * 1024;
/// How many times a dump that was interrupted by a change is read before the result is used as it is.
const ATTEMPTS: u32 = 3;

/// A request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// `RTM_GETLINK`.
    Links,
    /// `RTM_GETADDR`, every family.
    Addresses,
    /// `RTM_GETROUTE` of a family, limited to one table if the kernel can filter.
    Routes {
        /// `AF_INET` or `AF_INET6`.
        family: u8,
        /// The requested table; `None` for all.
        table: Option<u32>,
    },
    /// `RTM_GETNEXTHOP`.
    NextHops,
    /// `RTM_GETRULE` of a family.
    Rules {
        /// `AF_INET` or `AF_INET6`.
        family: u8,
    },
    /// `RTM_GETROUTE` for one packet.
    Way {
        /// The packet.
        query: RouteQuery,
        /// Whether to return the route that matches (`RTM_F_FIB_MATCH`, since Linux 4.15 for IPv4) instead of the
        /// result for the packet.
        matched: bool,
    },
}

impl Question {
    /// Returns the message types of the request and of its answers (linux/rtnetlink.h).
    const fn types(self) -> (u16, u16) {
        match self {
            Question::Links => (18, 16),
            Question::Addresses => (22, 20),
            Question::Routes { .. } | Question::Way { .. } => (26, 24),
            Question::Rules { .. } => (34, 32),
            Question::NextHops => (106, 104),
        }
    }

    /// Returns a description that fits after "asking for".
    pub(super) const fn words(self) -> &'static str {
        match self {
            Question::Links => "interfaces",
            Question::Addresses => "addresses",
            Question::Routes {
                family: crate::linux::netlink::attributes::AF_INET,
                ..
            } => "IPv4 routes",
            Question::Routes { .. } => "IPv6 routes",
            Question::NextHops => "next-hop objects",
            Question::Rules { .. } => "policy rules",
            Question::Way { .. } => "the way of a packet",
        }
    }

    /// Whether the answer is a dump that ends with a message of its own, and not a single message.
    const fn is_dump(self) -> bool {
        !matches!(self, Question::Way { .. })
    }

    /// Builds the request message. Strict checking requires the header of the family, with all other fields 0.
    fn message(self, sequence: u32) -> Vec<u8> {
        /// `RTA_TABLE`.
        const TABLE: u16 = 15;
        /// `IFLA_EXT_MASK`.
        const EXT_MASK: u16 = 29;
        /// `RTEXT_FILTER_SKIP_STATS`: collecting per-CPU counters takes most of the kernel's time for a link.
        const SKIP_STATS: u32 = 8;
        let mut body = match self {
            Question::Links => vec![0; 16],
            Question::Addresses | Question::NextHops => vec![0; 8],
            Question::Routes { family, .. } | Question::Rules { family } => {
                let mut header = vec![0; 12];
                header[0] = family;
                header
            }
            Question::Way { query, matched } => way(&query, matched),
        };
        match self {
            Question::Routes { table: Some(table), .. } => push(&mut body, TABLE, &table.to_ne_bytes()),
            Question::Links => push(&mut body, EXT_MASK, &SKIP_STATS.to_ne_bytes()),
            _ => {}
        }
        let mut message = Vec::with_capacity(16 + body.len());
        // At most 16 + 80 bytes.
        message.extend((16 + body.len() as u32).to_ne_bytes());
        message.extend(self.types().0.to_ne_bytes());
        message.extend(if self.is_dump() { REQUEST_DUMP } else { REQUEST }.to_ne_bytes());
        message.extend(sequence.to_ne_bytes());
        message.extend(0u32.to_ne_bytes());
        message.extend(body);
        message
    }
}

/// Builds the body of a request for one packet: `rtmsg` and its attributes.
fn way(query: &RouteQuery, matched: bool) -> Vec<u8> {
    /// `RTM_F_LOOKUP_TABLE`: report the table that the result is from.
    const LOOKUP_TABLE: u32 = 0x1000;
    /// `RTM_F_FIB_MATCH`.
    const FIB_MATCH: u32 = 0x2000;
    /// `RTA_DST`, `RTA_SRC`, `RTA_MARK`, `RTA_UID`.
    const KINDS: [u16; 4] = [1, 2, 16, 25];
    let octets = |address: IpAddr| match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let (family, bits) = match query.to {
        IpAddr::V4(_) => (AF_INET, 32),
        IpAddr::V6(_) => (AF_INET6, 128),
    };
    let mut body = vec![0; 12];
    body[..3].copy_from_slice(&[family, bits, if query.from.is_some() { bits } else { 0 }]);
    // IPv6 always reports the table, and its strict check refuses the flag (inet6_rtm_valid_getroute_req).
    let named = if family == AF_INET { LOOKUP_TABLE } else { 0 };
    let flags = if matched { named | FIB_MATCH } else { named };
    body[8..].copy_from_slice(&flags.to_ne_bytes());
    push(&mut body, KINDS[0], &octets(query.to));
    if let Some(from) = query.from {
        push(&mut body, KINDS[1], &octets(from));
    }
    if query.mark != 0 {
        push(&mut body, KINDS[2], &query.mark.to_ne_bytes());
    }
    if let Some(uid) = query.uid {
        push(&mut body, KINDS[3], &uid.to_ne_bytes());
    }
    body
}

/// Appends an attribute. The length of its value must be a multiple of 4 bytes.
fn push(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    // Addresses and numbers: at most 16 bytes.
    body.extend((4 + value.len() as u16).to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value);
}

/// The error of a request to the kernel's routing subsystem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{step} {about}: {errno}")]
pub struct NetlinkError {
    step: &'static str,
    about: &'static str,
    errno: Errno,
}

impl NetlinkError {
    /// Returns the reason in the form that the model uses.
    pub fn why(&self) -> Why {
        match self.errno {
            Errno::PERM | Errno::ACCESS => Why::NotPermitted,
            Errno::AFNOSUPPORT | Errno::PROTONOSUPPORT | Errno::OPNOTSUPP | Errno::NOSYS => Why::NotSupported,
            _ => Why::Failed,
        }
    }

    /// Returns the error number of the kernel.
    pub fn errno(&self) -> i32 {
        self.errno.raw_os_error()
    }

    /// Returns why the kernel would not send such a packet: the errors that result from routes and rules (`fib_props`,
    /// net/ipv4/fib_semantics.c). `None` for other errors.
    pub(super) fn refusal(&self) -> Option<&'static str> {
        match self.errno {
            Errno::NETUNREACH => Some("network unreachable: no route matches"),
            Errno::HOSTUNREACH => Some("unreachable: a route or rule refuses it"),
            Errno::ACCESS => Some("prohibited by a route or rule"),
            Errno::INVAL => {
                Some("invalid: a blackhole route or rule drops it, or the source address is not one of this computer")
            }
            _ => None,
        }
    }

    /// Whether the kernel reports that there is no such table.
    pub(super) fn is_absent(&self) -> bool {
        self.errno == Errno::NOENT
    }

    /// Creates the error for a socket that could not be opened.
    pub(super) fn opening(errno: Errno) -> Self {
        NetlinkError {
            step: "opening",
            about: "the netlink socket",
            errno,
        }
    }
}

/// The result of a dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dump<T> {
    /// What the collector produced from the messages.
    pub(super) value: T,
    /// Whether the table changed during every attempt, so that rows may be missing or duplicated.
    pub(super) changed: bool,
}

/// Transports requests and answers: a netlink socket, or a script in tests.
pub(super) trait Carrier {
    /// Sends one request.
    fn send(&mut self, message: &[u8]) -> Result<(), Errno>;
    /// Receives one datagram and returns its full length, which may exceed the buffer.
    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize, Errno>;
    /// Abandons a dump that is in progress.
    fn restart(&mut self) -> Result<(), Errno>;
}

/// A `NETLINK_ROUTE` socket.
#[derive(Debug)]
pub(super) struct RouteSocket(OwnedFd);

impl RouteSocket {
    fn open() -> Result<Self, Errno> {
        // Protocol 0 is NETLINK_ROUTE.
        let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
        // Without it (before Linux 4.20), the kernel sends all tables and the reader filters.
        super::socket_option::set_strict_checking(&socket);
        Ok(RouteSocket(socket))
    }
}

impl Carrier for RouteSocket {
    fn send(&mut self, message: &[u8]) -> Result<(), Errno> {
        // An unconnected netlink socket sends to port 0, which is the kernel.
        retry_on_intr(|| rustix::net::send(&self.0, message, SendFlags::empty())).map(drop)
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize, Errno> {
        let (_, length) = retry_on_intr(|| rustix::net::recv(&self.0, &mut *buffer, RecvFlags::TRUNC))?;
        Ok(length)
    }

    fn restart(&mut self) -> Result<(), Errno> {
        *self = RouteSocket::open()?;
        Ok(())
    }
}

/// Dumps tables one after the other over a carrier.
#[derive(Debug)]
pub(super) struct Dumper<C> {
    carrier: C,
    buffer: Vec<u8>,
    sequence: u32,
}

/// The result of one attempt.
enum Attempt {
    Clean,
    Changed,
    /// A datagram of this size in bytes did not fit.
    TooLarge(usize),
}

impl Dumper<RouteSocket> {
    /// Opens a netlink socket in the caller's network namespace.
    pub(super) fn open() -> Result<Self, NetlinkError> {
        RouteSocket::open().map(Dumper::over).map_err(NetlinkError::opening)
    }
}

impl<C: Carrier> Dumper<C> {
    fn over(carrier: C) -> Self {
        Dumper {
            carrier,
            buffer: vec![0; BUFFER],
            sequence: 0,
        }
    }

    /// Sends `question` and collects the answer. Each attempt starts with a fresh `start()`, to which `take` adds the
    /// payload of each message. A table that changes while it is read is read again, at most three times in total.
    pub(super) fn dump<T>(
        &mut self,
        question: Question,
        start: impl Fn() -> T,
        mut take: impl FnMut(&mut T, &[u8]),
    ) -> Result<Dump<T>, NetlinkError> {
        let failed = |errno| NetlinkError {
            step: "asking for",
            about: question.words(),
            errno,
        };
        let mut attempts = 0;
        loop {
            let mut value = start();
            let attempt = self.attempt(question, &mut value, &mut take).map_err(|errno| {
                // The next request must not receive the rest of this answer. If this fails, the next request will
                // report it.
                let _ = self.carrier.restart();
                failed(errno)
            })?;
            match attempt {
                Attempt::Clean => return Ok(Dump { value, changed: false }),
                Attempt::Changed => {
                    attempts += 1;
                    if attempts == ATTEMPTS {
                        return Ok(Dump { value, changed: true });
                    }
                }
                Attempt::TooLarge(length) => {
                    if length > BUFFER_MAX {
                        return Err(failed(Errno::MSGSIZE));
                    }
                    self.buffer.resize(length.next_power_of_two(), 0);
                    self.carrier.restart().map_err(failed)?;
                }
            }
        }
    }

    fn attempt<T>(
        &mut self,
        question: Question,
        value: &mut T,
        take: &mut impl FnMut(&mut T, &[u8]),
    ) -> Result<Attempt, Errno> {
        self.sequence = self.sequence.wrapping_add(1);
        self.carrier.send(&question.message(self.sequence))?;
        let answer = question.types().1;
        let mut changed = false;
        loop {
            let length = self.carrier.receive(&mut self.buffer)?;
            let Some(batch) = self.buffer.get(..length) else {
                return Ok(Attempt::TooLarge(length));
            };
            if batch.is_empty() {
                return Err(Errno::BADMSG);
            }
            for message in Messages(batch) {
                let message = message.map_err(|_| Errno::BADMSG)?;
                // A late message of an abandoned dump.
                if message.sequence != self.sequence {
                    continue;
                }
                changed |= message.flags & DUMP_INTERRUPTED != 0;
                match message.kind {
                    NOOP => {}
                    DONE | ERROR => match u32_at(message.payload, 0).map_or(0, u32::cast_signed) {
                        // DONE may contain the error that ended the dump; ERROR with code 0 is an acknowledgement.
                        0 if message.kind == ERROR => {}
                        code @ -4095..=-1 => return Err(Errno::from_raw_os_error(-code)),
                        // The kernel's error numbers end there (MAX_ERRNO).
                        ..-4095 => return Err(Errno::BADMSG),
                        _ => return Ok(if changed { Attempt::Changed } else { Attempt::Clean }),
                    },
                    kind if kind == answer => {
                        take(value, message.payload);
                        if !question.is_dump() {
                            return Ok(Attempt::Clean);
                        }
                    }
                    _ => {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::netlink::testing::message;
    use std::collections::VecDeque;

    /// Answers each request with the next script. A sequence number of 0 is replaced by that of the request.
    #[derive(Default)]
    struct Script {
        answers: VecDeque<Vec<Vec<u8>>>,
        pending: VecDeque<Vec<u8>>,
        requests: Vec<Vec<u8>>,
        restarts: usize,
    }

    impl Carrier for Script {
        fn send(&mut self, request: &[u8]) -> Result<(), Errno> {
            self.requests.push(request.to_vec());
            self.pending = self.answers.pop_front().expect("a script for each request").into();
            for datagram in &mut self.pending {
                if datagram.len() >= 12 && datagram[8..12] == [0; 4] {
                    datagram[8..12].copy_from_slice(&request[8..12]);
                }
            }
            Ok(())
        }

        fn receive(&mut self, buffer: &mut [u8]) -> Result<usize, Errno> {
            let datagram = self.pending.pop_front().expect("no reading past the end of the dump");
            let fits = datagram.len().min(buffer.len());
            buffer[..fits].copy_from_slice(&datagram[..fits]);
            Ok(datagram.len())
        }

        fn restart(&mut self) -> Result<(), Errno> {
            self.restarts += 1;
            Ok(())
        }
    }

    type Bodies = Vec<Vec<u8>>;

    fn run(answers: Vec<Bodies>) -> (Result<Dump<Bodies>, NetlinkError>, Script) {
        let mut dumper = Dumper::over(Script {
            answers: answers.into(),
            ..Script::default()
        });
        let result = dumper.dump(
            Question::Routes {
                family: 2,
                table: Some(254),
            },
            Vec::new,
            |all: &mut Vec<_>, body| {
                all.push(body.to_vec());
            },
        );
        (result, dumper.carrier)
    }

    fn row(flags: u16, body: &[u8]) -> Vec<u8> {
        message(24, flags, 0, body)
    }

    fn done(code: i32) -> Vec<u8> {
        message(DONE, 2, 0, &code.to_ne_bytes())
    }

    #[test]
    fn dump_returns_rows_until_done() {
        let (got, script) = run(vec![vec![row(2, b"aaaa"), row(2, b"bbbb"), done(0)]]);
        assert_eq!(
            got.unwrap(),
            Dump {
                value: vec![b"aaaa".to_vec(), b"bbbb".to_vec()],
                changed: false
            }
        );
        let request = &script.requests[0];
        assert_eq!(request.len(), 16 + 12 + 8);
        assert_eq!(request[4..8], [26, 0, 1, 3]);
        assert_eq!(request[16], 2);
        assert_eq!(u32_at(request, 32), Some(254));
    }

    #[test]
    fn dump_interrupted_by_change_is_repeated() {
        let (got, script) = run(vec![vec![row(0x12, b"old!"), done(0)], vec![row(2, b"new!"), done(0)]]);
        assert_eq!(
            got.unwrap(),
            Dump {
                value: vec![b"new!".to_vec()],
                changed: false
            }
        );
        assert_eq!(script.requests.len(), 2);
    }

    #[test]
    fn dump_of_table_that_keeps_changing_is_marked_changed() {
        let changing = |body: &[u8]| vec![row(2, body), message(DONE, 0x12, 0, &[0; 4])];
        let (got, script) = run(vec![changing(b"1111"), changing(b"2222"), changing(b"3333")]);
        assert_eq!(
            got.unwrap(),
            Dump {
                value: vec![b"3333".to_vec()],
                changed: true
            }
        );
        assert_eq!(script.requests.len(), 3);
    }

    #[test]
    fn dump_error_keeps_its_number() {
        let (got, _) = run(vec![vec![message(ERROR, 0, 0, &(-1i32).to_ne_bytes())]]);
        let error = got.unwrap_err();
        assert_eq!((error.errno(), error.why()), (1, Why::NotPermitted));
        assert_eq!(
            error.to_string(),
            "asking for IPv4 routes: Operation not permitted (os error 1)"
        );
        let (got, _) = run(vec![vec![row(2, b"aaaa"), done(-2)]]);
        assert!(got.unwrap_err().is_absent());
        let (got, _) = run(vec![vec![vec![1, 2, 3, 4, 5]]]);
        assert_eq!(got.unwrap_err().errno, Errno::BADMSG);
        let (got, _) = run(vec![vec![message(ERROR, 0, 0, &i32::MIN.to_ne_bytes())]]);
        assert!(got.is_err());
    }

    #[test]
    fn dump_skips_messages_of_other_kinds() {
        let stray = message(24, 0, 77, b"lost");
        let (got, _) = run(vec![vec![
            stray,
            message(NOOP, 0, 0, &[]),
            message(ERROR, 0, 0, &[0; 4]),
            message(16, 0, 0, b"link"),
            row(2, b"mine"),
            done(0),
        ]]);
        assert_eq!(got.unwrap().value, vec![b"mine".to_vec()]);
    }

    #[test]
    fn dump_of_large_datagram_gets_larger_buffer() {
        let large = vec![7; BUFFER + 100];
        let (got, script) = run(vec![vec![row(2, &large)], vec![row(2, &large), done(0)]]);
        assert_eq!(got.unwrap().value, vec![large]);
        assert_eq!(script.restarts, 1);
    }

    #[test]
    fn dump_of_links_is_answered_by_kernel() {
        let mut dumper = Dumper::open().unwrap();
        let links = dumper.dump(Question::Links, || 0, |count, _| *count += 1).unwrap();
        assert!(links.value >= 1, "every network namespace has a loopback");
    }
}
