//! Netlink connections to the kernel: netlink(7).

pub(in crate::linux) mod attributes;
#[cfg(test)]
pub(in crate::linux) mod testing;

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::retry_on_intr;
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};

use attributes::{Malformed, Messages, u32_at};

/// `NLM_F_REQUEST` (linux/netlink.h), and with `NLM_F_ACK`, and with `NLM_F_DUMP`.
const REQUEST: u16 = 1;
const ACKNOWLEDGE: u16 = 5;
const DUMP: u16 = 0x301;
/// `NLM_F_DUMP_INTR`: the table changed in a way that makes the dump inconsistent.
const DUMP_INTERRUPTED: u16 = 0x10;
/// `NLMSG_ERROR`, `NLMSG_DONE`, and `NLMSG_MIN_TYPE`; types below it are reserved for control messages.
const ERROR: u16 = 2;
const DONE: u16 = 3;
const FIRST_ANSWER: u16 = 0x10;
/// Size of `nlmsghdr` in bytes.
const HEADER: usize = 16;
/// The kernel fills at most 32 KiB with a batch of messages (`netlink_dump`), so a larger buffer gains nothing.
const BATCH: usize = 32 * 1024;

/// How a dump ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::linux) enum Dump {
    /// It is complete and consistent, as far as the kernel reports.
    Complete,
    /// The kernel reported that it was interrupted by a change.
    Interrupted,
}

/// A netlink socket with its buffer. It stays in the network namespace in which it was opened, regardless of which
/// thread uses it.
#[derive(Debug)]
pub(in crate::linux) struct Connection {
    socket: OwnedFd,
    buffer: Vec<u8>,
    sequence: u32,
}

impl Connection {
    /// Opens a connection to the kernel's socket tables (`NETLINK_SOCK_DIAG`, sock_diag(7)).
    ///
    /// # Errors
    /// Returns the error of socket(2): the kernel has no netlink, or a security policy refuses it.
    pub(in crate::linux) fn sock_diag() -> io::Result<Self> {
        Connection::open(Some(netlink::SOCK_DIAG))
    }

    /// Opens a connection to the kernel's packet filters (`NETLINK_NETFILTER`, netlink(7)).
    ///
    /// # Errors
    /// Same as for [`Connection::sock_diag`].
    pub(in crate::linux) fn netfilter() -> io::Result<Self> {
        Connection::open(Some(netlink::NETFILTER))
    }

    /// Opens a connection to the kernel's links and addresses (`NETLINK_ROUTE`, rtnetlink(7)).
    ///
    /// # Errors
    /// Same as for [`Connection::sock_diag`].
    pub(in crate::linux) fn route() -> io::Result<Self> {
        // Protocol 0.
        Connection::open(None)
    }

    /// Opens a connection to the kernel subsystems without a netlink protocol of their own (`NETLINK_GENERIC`).
    ///
    /// # Errors
    /// Same as for [`Connection::sock_diag`].
    pub(in crate::linux) fn generic() -> io::Result<Self> {
        Connection::open(Some(netlink::GENERIC))
    }

    fn open(protocol: Option<Protocol>) -> io::Result<Self> {
        let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
        Ok(Connection {
            socket,
            buffer: vec![0; BATCH],
            sequence: 0,
        })
    }

    /// Dumps a table and passes each answer to `take`, without its header.
    ///
    /// # Errors
    /// Returns the error of the kernel or of `take`, or `InvalidData` for a malformed answer. After an error, the rest
    /// of the dump may remain in the socket, so open a new connection.
    pub(in crate::linux) fn dump(
        &mut self,
        kind: u16,
        body: &[u8],
        mut take: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<Dump> {
        self.send(kind, DUMP, body)?;
        let mut outcome = Dump::Complete;
        loop {
            let batch = self.receive(&mut take)?;
            if batch.interrupted {
                outcome = Dump::Interrupted;
            }
            if batch.done {
                return Ok(outcome);
            }
        }
    }

    /// Requests one object, which the kernel returns in one datagram.
    ///
    /// # Errors
    /// Same as for [`Connection::dump`].
    pub(in crate::linux) fn ask(
        &mut self,
        kind: u16,
        body: &[u8],
        mut take: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        self.send(kind, REQUEST, body)?;
        self.receive(&mut take).map(drop)
    }

    /// Sends a command to the kernel and waits for its acknowledgement.
    ///
    /// # Errors
    /// Returns the error of the kernel.
    pub(in crate::linux) fn order(&mut self, kind: u16, body: &[u8]) -> io::Result<()> {
        self.send(kind, ACKNOWLEDGE, body)?;
        while !self.receive(&mut |_| Ok(()))?.done {}
        Ok(())
    }

    fn send(&mut self, kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let message = message(kind, flags, self.sequence, body);
        // An unconnected netlink socket sends to port 0, which is the kernel.
        retry_on_intr(|| rustix::net::send(&self.socket, &message, SendFlags::empty()))?;
        Ok(())
    }

    fn receive(&mut self, take: &mut impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<Batch> {
        let (_, length) = retry_on_intr(|| rustix::net::recv(&self.socket, &mut self.buffer[..], RecvFlags::TRUNC))?;
        match self.buffer.get(..length) {
            Some(batch) if length > 0 => read(batch, self.sequence, take),
            _ => Err(malformed("a batch of netlink messages that is cut off or empty")),
        }
    }
}

/// The control information in a batch of messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Batch {
    done: bool,
    interrupted: bool,
}

/// Reads one batch of messages. Answers to another request are ignored.
fn read(batch: &[u8], sequence: u32, take: &mut impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<Batch> {
    let mut seen = Batch::default();
    for message in Messages(batch) {
        let message = message?;
        if message.sequence != sequence {
            continue;
        }
        seen.interrupted |= message.flags & DUMP_INTERRUPTED != 0;
        match message.kind {
            // Since Linux 4.16, the end of a dump contains its error code, if any; an error code of 0 is an
            // acknowledgement.
            DONE | ERROR => {
                let code = u32_at(message.payload, 0).map_or(0, u32::cast_signed);
                if code < 0 {
                    return Err(io::Error::from_raw_os_error(code.saturating_neg()));
                }
                seen.done = true;
                return Ok(seen);
            }
            FIRST_ANSWER.. => take(message.payload)?,
            _ => {}
        }
    }
    Ok(seen)
}

/// Builds a netlink message: `struct nlmsghdr` and the body, which has at most a few hundred bytes.
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

/// Appends an attribute to a request; `value` has at most `u16::MAX - 4` bytes.
pub(in crate::linux) fn push_attribute(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    body.extend((4 + value.len() as u16).to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value);
    body.resize(attributes::aligned(body.len()), 0);
}

pub(in crate::linux) fn malformed(what: &'static str) -> io::Error {
    Malformed(what).into()
}

impl From<Malformed> for io::Error {
    fn from(malformed: Malformed) -> Self {
        io::Error::new(io::ErrorKind::InvalidData, malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read_all(batch: &[u8]) -> (io::Result<Batch>, Vec<Vec<u8>>) {
        let mut answers = Vec::new();
        let batch = read(batch, 5, &mut |answer| {
            answers.push(answer.to_vec());
            Ok(())
        });
        (batch, answers)
    }

    #[test]
    fn read_reports_errors_and_interruptions() {
        let (batch, _) = read_all(&message(ERROR, 0, 5, &(-1i32).to_ne_bytes()));
        assert_eq!(batch.unwrap_err().raw_os_error(), Some(1));
        let done = |interrupted| Batch {
            done: true,
            interrupted,
        };
        for (kind, flags, batch) in [
            (DONE, DUMP_INTERRUPTED, done(true)),
            (DONE, 0, done(false)),
            (ERROR, 0, done(false)),
        ] {
            let (read, _) = read_all(&message(kind, flags, 5, &0i32.to_ne_bytes()));
            assert_eq!(read.unwrap(), batch);
        }
    }

    #[test]
    fn read_skips_answers_to_older_request() {
        let batch = [message(20, 2, 4, b"old!"), message(20, 2, 5, b"this")].concat();
        let (batch, answers) = read_all(&batch);
        assert_eq!((batch.unwrap(), answers), (Batch::default(), vec![b"this".to_vec()]));
        let cut = message(20, 2, 5, b"this");
        let (batch, _) = read_all(&cut[..18]);
        assert_eq!(batch.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>, body: Vec<u8>, kind: u16) {
            let _ = read_all(&bytes);
            let _ = read_all(&message(kind, 2, 5, &body));
        }
    }
}
