//! AF_XDP sockets, from sock_diag's `xdp_diag`.
//!
//! For layouts, see `include/uapi/linux/xdp_diag.h`.

use std::io;
use std::net::Ipv4Addr;
use std::num::NonZeroU64;

use netstat_model::{Detail, Extras, Fact, Family, Protocol, Socket, SocketFacts, State, Why};

use super::extra;
use super::inet::SOCK_DIAG_BY_FAMILY;
use super::packet::only_memory;
use crate::linux::netlink::attributes::{Attributes, number, u32_at};
use crate::linux::netlink::{Connection, Dump, malformed};

/// `AF_XDP` (`linux/socket.h`).
const AF_XDP: u8 = 44;
/// `XDP_SHOW_INFO | XDP_SHOW_MEMINFO`.
const SHOW: u32 = 1 | 8;
/// Attributes of an answer.
const XDP_DIAG_INFO: u16 = 1;
const XDP_DIAG_UID: u16 = 2;
const XDP_DIAG_MEMINFO: u16 = 8;
/// `sizeof(struct xdp_diag_msg)`.
const MESSAGE: usize = 16;

/// Dumps all sockets of AF_XDP.
///
/// # Errors
/// Returns the error of the kernel (`ENOENT` if the module is missing), or `InvalidData` for a malformed answer.
pub(super) fn dump(diag: &mut Connection, extras: Extras, mut found: impl FnMut(Socket)) -> io::Result<Dump> {
    // struct xdp_diag_req: family, protocol, pad, inode, show, cookie.
    let mut body = vec![AF_XDP, 0, 0, 0, 0, 0, 0, 0];
    body.extend(SHOW.to_ne_bytes());
    body.extend([0; 8]);
    diag.dump(SOCK_DIAG_BY_FAMILY, &body, |answer| {
        found(parse(answer, extras)?);
        Ok(())
    })
}

/// Decodes one `struct xdp_diag_msg` with its attributes.
pub(super) fn parse(answer: &[u8], extras: Extras) -> io::Result<Socket> {
    let Some((message, attributes)) = answer.split_first_chunk::<MESSAGE>() else {
        return Err(malformed("an XDP socket's message is too short"));
    };
    let number_at = |at| u32_at(message, at).unwrap_or_default();
    let (mut interface, mut queue, mut user, mut memory) = (0, None, None, None);
    for attribute in Attributes(attributes) {
        let attribute = attribute?;
        match attribute.kind {
            // struct xdp_diag_info: the index of the interface, and the queue.
            XDP_DIAG_INFO => {
                interface = number(attribute.value)?;
                queue = u32_at(attribute.value, 4).filter(|_| interface != 0);
            }
            XDP_DIAG_UID => user = Some(number(attribute.value)?),
            XDP_DIAG_MEMINFO => memory = extra::memory(attribute.value),
            _ => {}
        }
    }
    let nowhere = Ipv4Addr::UNSPECIFIED.into();
    let cookie = u64::from(number_at(8)) | u64::from(number_at(12)) << 32;
    let socket = Socket::new(&SocketFacts {
        protocol: Protocol::Xdp,
        family: Family::Xdp,
        state: State::Closed,
        local: nowhere,
        local_port: 0,
        foreign: nowhere,
        foreign_port: 0,
        interface,
        inode: number_at(4),
        user,
        cookie: NonZeroU64::new(cookie),
        receive_queue: memory.map_or(0, |memory| memory.receive),
        send_queue: memory.map(|memory| memory.transmit),
    })
    .with_detail(Detail::Xdp { queue });
    Ok(match extras.is_empty() {
        true => socket,
        false => socket.with_extra(only_memory(extras, Fact::from_option(memory, Why::NotSupported))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::netlink::testing::body;
    use proptest::prelude::*;

    #[test]
    fn message_is_read_field_by_field() {
        let mut head = vec![AF_XDP, 3, 0, 0];
        for number in [4711u32, 9, 1] {
            head.extend(number.to_ne_bytes());
        }
        let info = [2u32.to_ne_bytes(), 5u32.to_ne_bytes()].concat();
        let message = body(&head, &[(XDP_DIAG_INFO, &info), (XDP_DIAG_UID, &33u32.to_ne_bytes())]);
        let socket = parse(&message, Extras::ALL).unwrap();
        assert_eq!(socket.detail(), Some(&Detail::Xdp { queue: Some(5) }));
        assert_eq!(socket.interface().unwrap().get(), 2);
        assert_eq!((socket.inode().unwrap().get(), socket.user()), (4711, Fact::Known(33)));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = parse(&bytes, Extras::ALL);
        }
    }
}
