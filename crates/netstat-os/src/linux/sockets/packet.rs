//! Packet sockets, from sock_diag's `packet_diag` or `/proc/net/packet`.
//!
//! For layouts, see `include/uapi/linux/packet_diag.h`, and `packet_seq_show` in `net/packet/af_packet.c` for the
//! columns of the text table.

use std::io;
use std::net::Ipv4Addr;
use std::num::NonZeroU64;

use netstat_model::{
    Detail, Extra, Extras, Fact, Family, Memory, PacketKind, Protocol, Socket, SocketFacts, State, Why,
};

use super::extra;
use super::inet::SOCK_DIAG_BY_FAMILY;
use super::proc_net::BadLine;
use crate::linux::netlink::attributes::{Attributes, number, u16_at, u32_at};
use crate::linux::netlink::{Connection, Dump, malformed};

/// `AF_PACKET` (`linux/socket.h`).
const AF_PACKET: u8 = 17;
/// `PACKET_SHOW_INFO | PACKET_SHOW_MEMINFO`.
const SHOW: u32 = 0x11;
/// Attributes of an answer.
const PACKET_DIAG_INFO: u16 = 0;
const PACKET_DIAG_UID: u16 = 5;
const PACKET_DIAG_MEMINFO: u16 = 6;
/// `sizeof(struct packet_diag_msg)`.
const MESSAGE: usize = 16;
/// `SOCK_DGRAM`, `SOCK_PACKET` (`linux/net.h`).
const SOCK_DGRAM: u8 = 2;
const SOCK_PACKET: u8 = 10;

/// Dumps all packet sockets.
///
/// # Errors
/// Returns the error of the kernel (`ENOENT` if the module is missing), or `InvalidData` for a malformed answer.
pub(super) fn dump(diag: &mut Connection, extras: Extras, mut found: impl FnMut(Socket)) -> io::Result<Dump> {
    // struct packet_diag_req: family, protocol, pad, inode, show, cookie.
    let mut body = vec![AF_PACKET, 0, 0, 0, 0, 0, 0, 0];
    body.extend(SHOW.to_ne_bytes());
    body.extend([0; 8]);
    diag.dump(SOCK_DIAG_BY_FAMILY, &body, |answer| {
        found(parse(answer, extras)?);
        Ok(())
    })
}

/// Decodes one `struct packet_diag_msg` with its attributes.
pub(super) fn parse(answer: &[u8], extras: Extras) -> io::Result<Socket> {
    let Some((message, attributes)) = answer.split_first_chunk::<MESSAGE>() else {
        return Err(malformed("a packet socket's message is too short"));
    };
    let number_at = |at| u32_at(message, at).unwrap_or_default();
    let (mut interface, mut user, mut memory) = (0, None, None);
    for attribute in Attributes(attributes) {
        let attribute = attribute?;
        match attribute.kind {
            // struct packet_diag_info begins with the index of the interface.
            PACKET_DIAG_INFO => interface = number(attribute.value)?,
            PACKET_DIAG_UID => user = Some(number(attribute.value)?),
            PACKET_DIAG_MEMINFO => memory = extra::memory(attribute.value),
            _ => {}
        }
    }
    let cookie = u64::from(number_at(8)) | u64::from(number_at(12)) << 32;
    let row = Row {
        kind: message[1],
        ethertype: u16_at(message, 2).unwrap_or_default(),
        interface,
        inode: number_at(4),
        user,
        cookie: NonZeroU64::new(cookie),
        memory,
    };
    Ok(row.socket(extras, Why::NotSupported))
}

/// The data that both sources have.
struct Row {
    kind: u8,
    ethertype: u16,
    interface: u32,
    inode: u32,
    user: Option<u32>,
    cookie: Option<NonZeroU64>,
    memory: Option<Memory>,
}

impl Row {
    /// Converts to a socket; `no_memory` is the reason if its memory was not reported.
    fn socket(&self, extras: Extras, no_memory: Why) -> Socket {
        let nowhere = Ipv4Addr::UNSPECIFIED.into();
        let kind = match self.kind {
            SOCK_DGRAM => PacketKind::Datagram,
            SOCK_PACKET => PacketKind::Old,
            // SOCK_RAW: there are no other types (packet_create).
            _ => PacketKind::Raw,
        };
        let socket = Socket::new(&SocketFacts {
            protocol: Protocol::Packet,
            family: Family::Packet,
            state: State::Closed,
            local: nowhere,
            local_port: 0,
            foreign: nowhere,
            foreign_port: 0,
            interface: self.interface,
            inode: self.inode,
            user: self.user,
            cookie: self.cookie,
            // As for other sockets: unread bytes, with the kernel's overhead.
            receive_queue: self.memory.map_or(0, |memory| memory.receive),
            send_queue: self.memory.map(|memory| memory.transmit),
        })
        .with_detail(Detail::Packet {
            kind,
            ethertype: self.ethertype,
        });
        match extras.is_empty() {
            true => socket,
            false => socket.with_extra(only_memory(extras, Fact::from_option(self.memory, no_memory))),
        }
    }
}

/// Returns the facts of a socket that has none except its memory.
pub(super) fn only_memory(extras: Extras, memory: Fact<Memory>) -> Extra {
    let mut extra = Extra::default();
    if extras.contains(Extras::BASIC) {
        extra.time_in_state = Fact::Unknown(Why::NotApplicable);
        extra.timer = Fact::Unknown(Why::NotApplicable);
        extra.tos = Fact::Unknown(Why::NotApplicable);
        extra.v6_only = Fact::Unknown(Why::NotApplicable);
        // The kernel keeps them, but reports them only for IP sockets.
        extra.mark = Fact::Unknown(Why::NotSupported);
        extra.cgroup = Fact::Unknown(Why::NotSupported);
    }
    if extras.contains(Extras::TCP) {
        extra.tcp = Fact::Unknown(Why::NotApplicable);
        extra.mptcp = Fact::Unknown(Why::NotApplicable);
        extra.upper_layer = Fact::Unknown(Why::NotApplicable);
    }
    if extras.contains(Extras::CONGESTION) {
        extra.congestion = Fact::Unknown(Why::NotApplicable);
    }
    if extras.contains(Extras::MEMORY) {
        extra.memory = memory;
    }
    extra
}

/// Parses the whole text table and passes each socket to `found`.
///
/// # Errors
/// Returns the first line that cannot be parsed; the sockets in the lines before it have been passed to `found`.
pub fn parse_table(table: &[u8], extras: Extras, found: &mut dyn FnMut(Socket)) -> Result<(), BadLine> {
    // The first line contains the headings.
    for (index, line) in table.split(|&byte| byte == b'\n').enumerate().skip(1) {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let row = parse_line(line).ok_or(BadLine { line: index + 1 })?;
        found(row.socket(extras, Why::NotSupported));
    }
    Ok(())
}

/// Parses `sk RefCnt Type Proto Iface R Rmem User Inode`; Proto is hexadecimal.
fn parse_line(line: &[u8]) -> Option<Row> {
    let line = std::str::from_utf8(line).ok()?;
    let mut fields = line.split_ascii_whitespace().skip(2);
    let kind = fields.next()?.parse().ok()?;
    let ethertype = u16::from_str_radix(fields.next()?, 16).ok()?;
    // An unbound socket shows -1 or 0.
    let interface: i64 = fields.next()?.parse().ok()?;
    let mut fields = fields.skip(2);
    Some(Row {
        kind,
        ethertype,
        interface: u32::try_from(interface.max(0)).ok()?,
        user: Some(fields.next()?.parse().ok()?),
        inode: fields.next()?.parse().ok()?,
        cookie: None,
        memory: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::netlink::testing::body;
    use proptest::prelude::*;

    #[test]
    fn a_message_is_read_field_by_field() {
        let mut head = vec![AF_PACKET, 3];
        head.extend(3u16.to_ne_bytes());
        head.extend(4711u32.to_ne_bytes());
        head.extend([9, 0, 0, 0, 1, 0, 0, 0]);
        let info: Vec<u8> = [2u32, 0, 0, 0, 0, 0].iter().flat_map(|n| n.to_ne_bytes()).collect();
        let memory: Vec<u8> = (10..19u32).flat_map(u32::to_ne_bytes).collect();
        let message = body(
            &head,
            &[
                (PACKET_DIAG_INFO, &info),
                (PACKET_DIAG_UID, &33u32.to_ne_bytes()),
                (PACKET_DIAG_MEMINFO, &memory),
            ],
        );
        let socket = parse(&message, Extras::ALL).unwrap();
        assert_eq!(socket.protocol(), Protocol::Packet);
        assert_eq!(
            socket.detail(),
            Some(&Detail::Packet {
                kind: PacketKind::Raw,
                ethertype: 3
            })
        );
        assert_eq!(socket.interface().unwrap().get(), 2);
        assert_eq!((socket.inode().unwrap().get(), socket.user()), (4711, Fact::Known(33)));
        assert_eq!(socket.cookie().unwrap().get(), 0x1_0000_0009);
        assert_eq!((socket.receive_queue(), socket.send_queue()), (10, Fact::Known(12)));
        assert_eq!(socket.fact(|extra| extra.memory).known().unwrap().drops, Some(18));
    }

    #[test]
    fn the_text_table_is_read() {
        let table = "sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n\
            0000000000000000 3      3    0003   2     1 0      0      17424\n\
            0000000000000000 3      2    88cc   0     1 256    101    17425\n";
        let mut sockets = Vec::new();
        parse_table(table.as_bytes(), Extras::NONE, &mut |socket| sockets.push(socket)).unwrap();
        let shown: Vec<_> = sockets
            .iter()
            .map(|socket| {
                (
                    socket.inode().unwrap().get(),
                    socket.interface().map(u32::from),
                    socket.user().known(),
                )
            })
            .collect();
        assert_eq!(shown, [(17424, Some(2), Some(0)), (17425, None, Some(101))]);
        let datagram = Detail::Packet {
            kind: PacketKind::Datagram,
            ethertype: 0x88cc,
        };
        assert_eq!(sockets[1].detail(), Some(&datagram));
        assert_eq!(
            parse_table(b"h\nrubbish\n", Extras::NONE, &mut |_| {}),
            Err(BadLine { line: 2 })
        );
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>, text in "[0-9a-f \n-]{0,200}") {
            let _ = parse(&bytes, Extras::ALL);
            let _ = parse_table(&bytes, Extras::ALL, &mut |_| {});
            let _ = parse_table(format!("h\n{text}").as_bytes(), Extras::ALL, &mut |_| {});
        }
    }
}
