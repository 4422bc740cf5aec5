//! Netlink sockets, which connect programs with the kernel, from sock_diag's `netlink_diag`.
//!
//! For layouts, see `include/uapi/linux/netlink_diag.h`.

use std::io;
use std::net::Ipv4Addr;
use std::num::NonZeroU64;

use netstat_model::{Detail, Extras, Fact, Family, Protocol, Socket, SocketFacts, State, Why};

use super::extra;
use super::inet::SOCK_DIAG_BY_FAMILY;
use super::packet::only_memory;
use crate::linux::netlink::attributes::{Attributes, u32_at};
use crate::linux::netlink::{Connection, Dump, malformed};

/// `AF_NETLINK` (`linux/socket.h`).
const AF_NETLINK: u8 = 16;
/// `NDIAG_PROTO_ALL`, `NDIAG_SHOW_MEMINFO`, `NETLINK_DIAG_MEMINFO`.
const EVERY_PROTOCOL: u8 = 255;
const SHOW_MEMINFO: u32 = 1;
const MEMINFO: u16 = 0;
/// `sizeof(struct netlink_diag_msg)`.
const MESSAGE: usize = 28;

/// Dumps all netlink sockets.
///
/// # Errors
/// Returns the error of the kernel (`ENOENT` if the module is missing), or `InvalidData` for a malformed answer.
pub(super) fn dump(diag: &mut Connection, extras: Extras, mut found: impl FnMut(Socket)) -> io::Result<Dump> {
    // struct netlink_diag_req: family, protocol, pad, inode, show, cookie.
    let mut body = vec![AF_NETLINK, EVERY_PROTOCOL, 0, 0, 0, 0, 0, 0];
    body.extend(SHOW_MEMINFO.to_ne_bytes());
    body.extend([0; 8]);
    diag.dump(SOCK_DIAG_BY_FAMILY, &body, |answer| {
        found(parse(answer, extras)?);
        Ok(())
    })
}

/// Decodes one `struct netlink_diag_msg` with its attributes.
pub(super) fn parse(answer: &[u8], extras: Extras) -> io::Result<Socket> {
    let Some((message, attributes)) = answer.split_first_chunk::<MESSAGE>() else {
        return Err(malformed("a netlink socket's message is too short"));
    };
    let number = |at| u32_at(message, at).unwrap_or_default();
    let mut memory = None;
    for attribute in Attributes(attributes) {
        let attribute = attribute?;
        if attribute.kind == MEMINFO {
            memory = extra::memory(attribute.value);
        }
    }
    let nowhere = Ipv4Addr::UNSPECIFIED.into();
    let cookie = u64::from(number(20)) | u64::from(number(24)) << 32;
    let socket = Socket::new(&SocketFacts {
        protocol: Protocol::Netlink,
        family: Family::Netlink,
        state: State::Closed,
        local: nowhere,
        local_port: 0,
        foreign: nowhere,
        foreign_port: 0,
        interface: 0,
        inode: number(16),
        user: None,
        cookie: NonZeroU64::new(cookie),
        receive_queue: memory.map_or(0, |memory| memory.receive),
        send_queue: memory.map(|memory| memory.transmit),
    })
    .with_detail(Detail::Netlink {
        protocol: message[2],
        port: number(4),
    });
    Ok(match extras.is_empty() {
        true => socket,
        false => socket.with_extra(only_memory(extras, Fact::from_option(memory, Why::NotSupported))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn message_is_read_field_by_field() {
        let mut bytes = vec![AF_NETLINK, 3, 15, 7];
        for number in [812u32, 0, 0, 4711, 9, 1] {
            bytes.extend(number.to_ne_bytes());
        }
        let socket = parse(&bytes, Extras::NONE).unwrap();
        let expected = Detail::Netlink {
            protocol: 15,
            port: 812,
        };
        assert_eq!(
            (socket.detail(), socket.inode().unwrap().get()),
            (Some(&expected), 4711)
        );
        assert_eq!(socket.cookie().unwrap().get(), 0x1_0000_0009);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = parse(&bytes, Extras::ALL);
        }
    }
}
