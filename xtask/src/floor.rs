//! The floor of a list: the minimum work that can answer the question, as a reference for `bench`.
//!
//! It sends the request to the kernel, counts the rows and prints one line. Nothing is decoded, stored, sorted or
//! shown. The floor for owners is the example `iterator_floor` of `netstat-os`.

use anyhow::{Context, Result, bail};
use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

/// `TCPDIAG_GETSOCK` in `<linux/inet_diag.h>`: the older request, which accepts the family `AF_UNSPEC`.
const TCPDIAG_GETSOCK: u16 = 18;
/// `NLM_F_REQUEST | NLM_F_DUMP` of `<linux/netlink.h>`.
const REQUEST_DUMP: u16 = 0x001 | 0x300;
/// `NLMSG_ERROR` and `NLMSG_DONE` of `<linux/netlink.h>`.
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// `struct nlmsghdr`: length, type, flags, sequence, port: 16 bytes.
const HEADER: usize = 16;
/// `struct inet_diag_req`: four bytes, a 48-byte socket id, the state mask, `idiag_dbs`: 60 bytes.
const REQUEST: usize = 60;
/// Offset of `idiag_states` in `struct inet_diag_req`.
const STATES: usize = 52;

/// States 1 (`TCP_ESTABLISHED`) to 11 (`TCP_CLOSING`) in `<net/tcp_states.h>`, which `-a` shows. State 13 (bound only)
/// is left out, because it would make the kernel iterate over a third table.
const ALL_STATES: u32 = 0xffe;

/// The kernel fills at most 32 KiB per batch of messages (dumps limited by `NLMSG_GOODSIZE`); twice that size never
/// truncates.
const BUFFER: usize = 64 * 1024;

/// The dump floor: one dump of all TCP sockets of both families with the older request, whose rows are counted.
///
/// # Errors
/// Returns an error if netlink is refused, or the answer is not a dump.
pub(crate) fn dump() -> Result<()> {
    let socket = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        Some(netlink::SOCK_DIAG),
    )
    .context("netlink socket")?;
    let kernel = SocketAddrNetlink::new(0, 0);

    let mut request = [0u8; HEADER + REQUEST];
    let length = request.len() as u32;
    request[0..4].copy_from_slice(&length.to_ne_bytes());
    request[4..6].copy_from_slice(&TCPDIAG_GETSOCK.to_ne_bytes());
    request[6..8].copy_from_slice(&REQUEST_DUMP.to_ne_bytes());
    request[8..12].copy_from_slice(&1u32.to_ne_bytes());
    // The family is 0, AF_UNSPEC: both families in one pass.
    request[HEADER + STATES..HEADER + STATES + 4].copy_from_slice(&ALL_STATES.to_ne_bytes());
    rustix::net::sendto(&socket, &request, SendFlags::empty(), &kernel).context("asking for the dump")?;

    let mut buffer = vec![0u8; BUFFER];
    let mut rows = 0u64;
    loop {
        let got = match rustix::net::recv(&socket, &mut buffer[..], RecvFlags::empty()) {
            Ok((got, _)) => got,
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error).context("reading the dump"),
        };
        match count(&buffer[..got], &mut rows)? {
            Progress::More => {}
            Progress::Done => break,
        }
    }
    println!("{rows} TCP sockets");
    Ok(())
}

/// Whether the dump continues after a batch.
#[derive(Debug, PartialEq)]
enum Progress {
    More,
    Done,
}

/// Counts the rows in a batch of messages.
fn count(mut batch: &[u8], rows: &mut u64) -> Result<Progress> {
    while batch.len() >= HEADER {
        let length = u32::from_ne_bytes([batch[0], batch[1], batch[2], batch[3]]) as usize;
        if length < HEADER || length > batch.len() {
            bail!("a message says it is {length} bytes long, {} are left", batch.len());
        }
        match u16::from_ne_bytes([batch[4], batch[5]]) {
            NLMSG_DONE => return Ok(Progress::Done),
            NLMSG_ERROR => {
                let code = batch
                    .get(HEADER..HEADER + 4)
                    .map_or(0, |b| i32::from_ne_bytes([b[0], b[1], b[2], b[3]]));
                bail!(
                    "the kernel answered {}",
                    std::io::Error::from_raw_os_error(code.saturating_neg())
                );
            }
            _ => *rows += 1,
        }
        // Messages are aligned to four bytes, but the last one may lack the padding.
        batch = &batch[length.next_multiple_of(4).min(batch.len())..];
    }
    Ok(Progress::More)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = ((HEADER + body.len()) as u32).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend(body);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn rows_are_counted_until_the_end_marker() {
        let mut rows = 0;
        let two = [message(18, &[1; 5]), message(18, &[])].concat();
        assert_eq!(count(&two, &mut rows).unwrap(), Progress::More);
        let last = [message(18, &[]), message(NLMSG_DONE, &[0; 4])].concat();
        assert_eq!(count(&last, &mut rows).unwrap(), Progress::Done);
        assert_eq!(rows, 3);
    }

    #[test]
    fn count_error_message_is_error_with_its_reason() {
        let refused = message(NLMSG_ERROR, &(-13i32).to_ne_bytes());
        let text = count(&refused, &mut 0).unwrap_err().to_string();
        assert!(text.contains("ermission denied"), "{text}");
        assert!(count(&message(NLMSG_ERROR, &i32::MIN.to_ne_bytes()), &mut 0).is_err());
    }

    #[test]
    fn count_wrong_message_length_is_error() {
        for length in [0u32, 15, 17, u32::MAX] {
            let mut bytes = message(18, &[]);
            bytes[0..4].copy_from_slice(&length.to_ne_bytes());
            assert!(count(&bytes, &mut 0).is_err(), "{length}");
        }
    }
}
