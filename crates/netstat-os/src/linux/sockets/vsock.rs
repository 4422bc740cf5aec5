//! VSOCK sockets, which connect a virtual machine with its host, from sock_diag's `vsock_diag`.
//!
//! For layouts, see `include/uapi/linux/vm_sockets_diag.h`. The states in the kernel's `net/vmw_vsock/af_vsock.c` have
//! the numbers of TCP states.

use std::io;
use std::net::Ipv4Addr;
use std::num::NonZeroU64;

use netstat_model::{Detail, Extras, Fact, Family, Protocol, Socket, SocketFacts, State, VsockAddress, VsockKind, Why};

use super::inet::SOCK_DIAG_BY_FAMILY;
use super::packet::only_memory;
use crate::linux::netlink::attributes::u32_at;
use crate::linux::netlink::{Connection, Dump, malformed};

/// `AF_VSOCK` (`linux/socket.h`).
const AF_VSOCK: u8 = 40;
/// `sizeof(struct vsock_diag_msg)`.
const MESSAGE: usize = 32;
/// `SOCK_DGRAM`, `SOCK_SEQPACKET` (`linux/net.h`).
const SOCK_DGRAM: u8 = 2;
const SOCK_SEQPACKET: u8 = 5;
/// `VMADDR_CID_ANY`, `VMADDR_PORT_ANY`.
const ANY: u32 = u32::MAX;

/// Dumps all sockets of AF_VSOCK.
///
/// # Errors
/// Returns the error of the kernel (`ENOENT` if the module is missing), or `InvalidData` for a malformed answer.
pub(super) fn dump(diag: &mut Connection, extras: Extras, mut found: impl FnMut(Socket)) -> io::Result<Dump> {
    // struct vsock_diag_req: family, protocol, pad, states, inode, show, cookie.
    let mut body = vec![AF_VSOCK, 0, 0, 0];
    body.extend(u32::MAX.to_ne_bytes());
    body.extend([0; 16]);
    diag.dump(SOCK_DIAG_BY_FAMILY, &body, |answer| {
        found(parse(answer, extras)?);
        Ok(())
    })
}

/// Decodes one `struct vsock_diag_msg`.
pub(super) fn parse(answer: &[u8], extras: Extras) -> io::Result<Socket> {
    let Some((message, _)) = answer.split_first_chunk::<MESSAGE>() else {
        return Err(malformed("a VSOCK socket's message is too short"));
    };
    let number = |at| u32_at(message, at).unwrap_or_default();
    let local = VsockAddress {
        cid: number(4),
        port: number(8),
    };
    let peer = VsockAddress {
        cid: number(12),
        port: number(16),
    };
    let kind = match message[1] {
        SOCK_DGRAM => VsockKind::Datagram,
        SOCK_SEQPACKET => VsockKind::SequencedPacket,
        _ => VsockKind::Stream,
    };
    let state = super::state(Protocol::Vsock, message[2]).unwrap_or(State::Closed);
    let is_connected = !matches!(state, State::Listening | State::Closed) && peer.port != ANY;
    let nowhere = Ipv4Addr::UNSPECIFIED.into();
    let cookie = u64::from(number(24)) | u64::from(number(28)) << 32;
    let socket = Socket::new(&SocketFacts {
        protocol: Protocol::Vsock,
        family: Family::Vsock,
        state,
        local: nowhere,
        local_port: 0,
        foreign: nowhere,
        foreign_port: 0,
        interface: 0,
        inode: number(20),
        user: None,
        cookie: NonZeroU64::new(cookie),
        receive_queue: 0,
        send_queue: None,
    })
    .with_detail(Detail::Vsock {
        kind,
        local,
        peer: is_connected.then_some(peer),
    });
    Ok(match extras.is_empty() {
        true => socket,
        false => socket.with_extra(only_memory(extras, Fact::Unknown(Why::NotSupported))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(kind: u8, state: u8, numbers: [u32; 7]) -> Vec<u8> {
        let mut bytes = vec![AF_VSOCK, kind, state, 0];
        bytes.extend(numbers.iter().flat_map(|number| number.to_ne_bytes()));
        bytes
    }

    #[test]
    fn message_is_read_field_by_field() {
        let listener = parse(&message(1, 10, [ANY, 8095, ANY, ANY, 4711, 9, 1]), Extras::ALL).unwrap();
        assert_eq!(
            (listener.protocol(), listener.state()),
            (Protocol::Vsock, State::Listening)
        );
        assert_eq!(listener.inode().unwrap().get(), 4711);
        assert_eq!(listener.cookie().unwrap().get(), 0x1_0000_0009);
        assert!(!listener.is_connected());
        let Some(Detail::Vsock { local, peer: None, .. }) = listener.detail() else {
            panic!("{:?}", listener.detail());
        };
        assert_eq!(local.shown(), "*:8095");
        let connected = parse(&message(5, 1, [3, 1024, 2, 70_000, 7, 0, 0]), Extras::NONE).unwrap();
        let expected = Detail::Vsock {
            kind: VsockKind::SequencedPacket,
            local: VsockAddress { cid: 3, port: 1024 },
            peer: Some(VsockAddress { cid: 2, port: 70_000 }),
        };
        assert_eq!(connected.detail(), Some(&expected));
        assert!(connected.is_connected());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = parse(&bytes, Extras::ALL);
        }
    }
}
