//! Unix-domain sockets (AF_UNIX), from sock_diag's `unix_diag` or `/proc/net/unix`.
//!
//! For layouts, see `include/uapi/linux/unix_diag.h`, and `unix_seq_show` in `net/unix/af_unix.c` and proc(5) for the
//! columns of the text table.

use std::collections::HashMap;
use std::io;
use std::net::Ipv4Addr;
use std::num::{NonZeroU32, NonZeroU64};

use netstat_model::{
    Detail, Extras, Fact, Family, Memory, Protocol, Socket, SocketFacts, State, UnixKind, UnixName, UnixPeer, Why,
};

use super::extra;
use super::inet::SOCK_DIAG_BY_FAMILY;
use super::packet::only_memory;
use super::proc_net::BadLine;
use crate::linux::netlink::attributes::{Attributes, number, u32_at};
use crate::linux::netlink::{Connection, Dump, malformed};

/// `AF_UNIX` (`linux/socket.h`).
const AF_UNIX: u8 = 1;
/// `UDIAG_SHOW_*`.
const SHOW_NAME: u32 = 1;
const SHOW_PEER: u32 = 4;
const SHOW_RQLEN: u32 = 0x10;
const SHOW_MEMINFO: u32 = 0x20;
const SHOW_UID: u32 = 0x40;
/// Attributes of an answer.
const UNIX_DIAG_NAME: u16 = 0;
const UNIX_DIAG_PEER: u16 = 2;
const UNIX_DIAG_RQLEN: u16 = 4;
const UNIX_DIAG_MEMINFO: u16 = 5;
const UNIX_DIAG_UID: u16 = 7;
/// `TCP_LISTEN` (`net/tcp_states.h`), which unix_diag uses as well.
const LISTENING: u8 = 10;
/// `sizeof(struct unix_diag_msg)`.
const MESSAGE: usize = 16;
/// `SOCK_STREAM`, `SOCK_DGRAM`, `SOCK_SEQPACKET` (`linux/net.h`).
const SOCK_STREAM: u32 = 1;
const SOCK_DGRAM: u32 = 2;
const SOCK_SEQPACKET: u32 = 5;

/// Whether a message, which may contain descriptors (SCM_RIGHTS), waits in a queue in the calling thread's network
/// namespace.
///
/// A message counts as unread bytes of its receiver (`unix_inq_len`) and as memory of its sender, so an empty message
/// is noticed as well while its sender is open.
///
/// # Errors
/// Returns the error of the kernel (`ENOENT` if the module is missing), or `InvalidData` for a malformed answer.
pub(in crate::linux) fn messages_wait() -> io::Result<bool> {
    let mut waits = false;
    let dump = Connection::sock_diag()?.dump(SOCK_DIAG_BY_FAMILY, &request(SHOW_RQLEN | SHOW_MEMINFO), |answer| {
        waits |= has_message(answer)?;
        Ok(())
    })?;
    // A dump that was interrupted by changes proves nothing.
    Ok(waits || dump == Dump::Interrupted)
}

/// Whether a `struct unix_diag_msg` with its attributes shows a message that was sent or waits to be read.
fn has_message(answer: &[u8]) -> io::Result<bool> {
    let Some((message, attributes)) = answer.split_first_chunk::<MESSAGE>() else {
        return Err(malformed("a unix socket's message is too short"));
    };
    // The queue of a listener contains connections, each of which is a separate socket in the dump.
    let is_listener = message[2] == LISTENING;
    for attribute in Attributes(attributes) {
        let attribute = attribute?;
        let waits = match attribute.kind {
            UNIX_DIAG_RQLEN => !is_listener && u32_at(attribute.value, 0).is_some_and(|unread| unread > 0),
            UNIX_DIAG_MEMINFO => extra::memory(attribute.value).is_some_and(|memory| memory.transmit > 0),
            _ => false,
        };
        if waits {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Builds `struct unix_diag_req`: family, protocol, pad, states, inode, show, cookie.
fn request(show: u32) -> Vec<u8> {
    let mut body = vec![AF_UNIX, 0, 0, 0];
    body.extend(u32::MAX.to_ne_bytes());
    body.extend([0; 4]);
    body.extend(show.to_ne_bytes());
    body.extend([0; 8]);
    body
}

/// Dumps all Unix-domain sockets. The names of their peers are not filled in; see [`name_peers`].
///
/// # Errors
/// Returns the error of the kernel (`ENOENT` if the module is missing), or `InvalidData` for a malformed answer.
pub(super) fn dump(diag: &mut Connection, extras: Extras, mut found: impl FnMut(Socket)) -> io::Result<Dump> {
    let memory = if extras.contains(Extras::MEMORY) {
        SHOW_MEMINFO
    } else {
        0
    };
    let show = SHOW_NAME | SHOW_PEER | SHOW_RQLEN | SHOW_UID | memory;
    diag.dump(SOCK_DIAG_BY_FAMILY, &request(show), |answer| {
        if let Some(socket) = parse(answer, extras)? {
            found(socket);
        }
        Ok(())
    })
}

/// Decodes one `struct unix_diag_msg` with its attributes; `None` for an unknown socket type.
pub(super) fn parse(answer: &[u8], extras: Extras) -> io::Result<Option<Socket>> {
    let Some((message, attributes)) = answer.split_first_chunk::<MESSAGE>() else {
        return Err(malformed("a unix socket's message is too short"));
    };
    let number_at = |at| u32_at(message, at).unwrap_or_default();
    let state = match message[2] {
        1 => State::Established,
        2 => State::SynSent,
        LISTENING => State::Listening,
        _ => State::Closed,
    };
    let cookie = u64::from(number_at(8)) | u64::from(number_at(12)) << 32;
    let mut row = Row {
        kind: message[1].into(),
        state,
        inode: number_at(4),
        cookie: NonZeroU64::new(cookie),
        name: UnixName::Unnamed,
        peer: None,
        queues: None,
        user: None,
        memory: None,
    };
    for attribute in Attributes(attributes) {
        let attribute = attribute?;
        let value = attribute.value;
        match attribute.kind {
            UNIX_DIAG_NAME => row.name = UnixName::from_bytes(value),
            UNIX_DIAG_PEER => row.peer = NonZeroU32::new(number(value)?),
            UNIX_DIAG_RQLEN => row.queues = u32_at(value, 0).zip(u32_at(value, 4)),
            UNIX_DIAG_MEMINFO => row.memory = extra::memory(value),
            UNIX_DIAG_UID => row.user = Some(number(value)?),
            _ => {}
        }
    }
    Ok(row.socket(extras))
}

/// The data that both sources have.
struct Row {
    kind: u32,
    state: State,
    inode: u32,
    cookie: Option<NonZeroU64>,
    name: UnixName,
    peer: Option<NonZeroU32>,
    /// The bytes not yet read, and the bytes not yet taken by the peer. For a listener: the connections that wait, and
    /// their limit.
    queues: Option<(u32, u32)>,
    user: Option<u32>,
    memory: Option<Memory>,
}

impl Row {
    fn socket(self, extras: Extras) -> Option<Socket> {
        let kind = match self.kind {
            SOCK_STREAM => UnixKind::Stream,
            SOCK_DGRAM => UnixKind::Datagram,
            SOCK_SEQPACKET => UnixKind::SequencedPacket,
            _ => return None,
        };
        let nowhere = Ipv4Addr::UNSPECIFIED.into();
        let socket = Socket::new(&SocketFacts {
            protocol: Protocol::Unix,
            family: Family::Unix,
            state: self.state,
            local: nowhere,
            local_port: 0,
            foreign: nowhere,
            foreign_port: 0,
            interface: 0,
            inode: self.inode,
            user: self.user,
            cookie: self.cookie,
            receive_queue: self.queues.map_or(0, |queues| queues.0),
            send_queue: self.queues.map(|queues| queues.1),
        })
        .with_detail(Detail::Unix {
            kind,
            name: self.name,
            peer: self.peer.map(|inode| UnixPeer {
                inode,
                name: UnixName::Unnamed,
            }),
        });
        Some(match extras.is_empty() {
            true => socket,
            false => socket.with_extra(only_memory(extras, Fact::from_option(self.memory, Why::NotSupported))),
        })
    }
}

/// Fills in the names of those peers that are in the list.
pub(super) fn name_peers(sockets: &mut [Socket]) {
    let mut names = HashMap::new();
    for socket in &*sockets {
        if let (Some(inode), Some(Detail::Unix { name, .. })) = (socket.inode(), socket.detail())
            && *name != UnixName::Unnamed
        {
            names.insert(inode, name.clone());
        }
    }
    for socket in sockets {
        if let Some(Detail::Unix { peer: Some(peer), .. }) = socket.detail_mut()
            && let Some(name) = names.get(&peer.inode)
        {
            peer.name = name.clone();
        }
    }
}

/// Parses the whole text table and passes each socket to `found`. The table contains no peers, queues or users.
///
/// A path may contain anything, including newlines, which the kernel does not escape. Lines that cannot be parsed are
/// skipped, so that one program cannot hide the sockets of all others.
///
/// # Errors
/// Returns the first line that cannot be parsed; the sockets in all other lines have been passed to `found`.
pub fn parse_table(table: &[u8], extras: Extras, found: &mut dyn FnMut(Socket)) -> Result<(), BadLine> {
    let mut bad = Ok(());
    // The first line contains the headings.
    for (index, line) in table.split(|&byte| byte == b'\n').enumerate().skip(1) {
        if line.is_empty() {
            continue;
        }
        match parse_line(line) {
            Some(row) => {
                if let Some(socket) = row.socket(extras) {
                    found(socket);
                }
            }
            None => bad = bad.and(Err(BadLine { line: index + 1 })),
        }
    }
    bad
}

/// Parses `Num: RefCount Protocol Flags Type St Inode Path`, of which all but the inode are hexadecimal. `@` stands for
/// the NUL bytes of an abstract name; an unnamed socket has nothing after the inode.
fn parse_line(line: &[u8]) -> Option<Row> {
    /// `__SO_ACCEPTCON` (`include/uapi/linux/net.h`): the socket is listening.
    const LISTENS: u32 = 1 << 16;
    let mut rest = line;
    let mut field = || {
        rest = rest.trim_ascii_start();
        let end = rest.iter().position(|&byte| byte == b' ').unwrap_or(rest.len());
        let (field, after) = rest.split_at(end);
        rest = after;
        std::str::from_utf8(field).ok().filter(|field| !field.is_empty())
    };
    let hexadecimal = |field: &str| u32::from_str_radix(field, 16).ok();
    field()?.strip_suffix(':')?;
    field()?;
    field()?;
    let flags = hexadecimal(field()?)?;
    let kind = hexadecimal(field()?)?;
    let state = hexadecimal(field()?)?;
    let inode = field()?.parse().ok()?;
    // A single blank separates it from the inode; the path may begin with further ones.
    let name = match rest.strip_prefix(b" ").unwrap_or(rest) {
        [] => UnixName::Unnamed,
        [b'@', name @ ..] => UnixName::Abstract(name.into()),
        path => UnixName::Path(path.into()),
    };
    Some(Row {
        kind,
        // enum socket_state (include/uapi/linux/net.h): 2 is connecting, 3 connected.
        state: match state {
            _ if flags & LISTENS != 0 => State::Listening,
            2 => State::SynSent,
            3 => State::Established,
            _ => State::Closed,
        },
        inode,
        cookie: None,
        name,
        peer: None,
        queues: None,
        user: None,
        memory: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_in_a_queue_waits_until_it_is_read() {
        netstat_testkit::own_namespace!();
        use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
        assert!(!messages_wait().unwrap(), "nothing was sent");
        // A connection that waits for accept(2) is not a message.
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let _listener = UnixListener::bind(&path).unwrap();
        let _client = UnixStream::connect(&path).unwrap();
        assert!(!messages_wait().unwrap(), "a connection");
        // An empty message counts, too, because it may contain descriptors.
        for message in [&b"x"[..], b""] {
            let (sender, receiver) = UnixDatagram::pair().unwrap();
            sender.send(message).unwrap();
            assert!(messages_wait().unwrap(), "{message:?}");
            receiver.recv(&mut [0; 1]).unwrap();
            assert!(!messages_wait().unwrap(), "{message:?} was read");
        }
    }
    use crate::linux::netlink::testing::body;
    use proptest::prelude::*;

    fn message(kind: u8, state: u8, inode: u32, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut head = vec![AF_UNIX, kind, state, 0];
        head.extend(inode.to_ne_bytes());
        head.extend([5, 0, 0, 0, 0, 0, 0, 0]);
        body(&head, attributes)
    }

    fn names(socket: &Socket) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
        match socket.detail() {
            Some(Detail::Unix { name, peer, .. }) => (name.shown(), peer.as_ref().and_then(|peer| peer.name.shown())),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_message_is_read_field_by_field() {
        let queues: Vec<u8> = [3u32, 128].iter().flat_map(|n| n.to_ne_bytes()).collect();
        let listener = message(
            1,
            10,
            77,
            &[
                (UNIX_DIAG_NAME, b"/run/x\0"),
                (UNIX_DIAG_RQLEN, &queues),
                (UNIX_DIAG_UID, &33u32.to_ne_bytes()),
            ],
        );
        let socket = parse(&listener, Extras::NONE).unwrap().unwrap();
        assert_eq!((socket.protocol(), socket.state()), (Protocol::Unix, State::Listening));
        assert_eq!((socket.receive_queue(), socket.send_queue()), (3, Fact::Known(128)));
        assert_eq!((socket.inode().unwrap().get(), socket.user()), (77, Fact::Known(33)));
        assert_eq!(socket.cookie().unwrap().get(), 5);
        assert_eq!(names(&socket), (Some(b"/run/x".to_vec()), None));
        assert!(!socket.is_connected());
        assert_eq!(parse(&message(9, 7, 1, &[]), Extras::NONE).unwrap(), None);
    }

    #[test]
    fn name_peers_gives_client_the_name_of_server() {
        let server = message(
            1,
            1,
            10,
            &[(UNIX_DIAG_NAME, b"\0bus"), (UNIX_DIAG_PEER, &11u32.to_ne_bytes())],
        );
        let client = message(1, 1, 11, &[(UNIX_DIAG_PEER, &10u32.to_ne_bytes())]);
        let mut sockets: Vec<Socket> = [server, client]
            .iter()
            .map(|bytes| parse(bytes, Extras::NONE).unwrap().unwrap())
            .collect();
        name_peers(&mut sockets);
        assert_eq!(names(&sockets[0]), (Some(b"@bus".to_vec()), None));
        assert_eq!(names(&sockets[1]), (None, Some(b"@bus".to_vec())));
    }

    #[test]
    fn the_text_table_is_read() {
        let table = "Num       RefCount Protocol Flags    Type St Inode Path\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 20001 /run/a b\n\
            of a path\n\
            0000000000000000: 00000003 00000000 00000000 0001 03 20002\n\
            0000000000000000: 00000002 00000000 00000000 0002 01 20003 @abs\n";
        let mut sockets = Vec::new();
        let read = parse_table(table.as_bytes(), Extras::NONE, &mut |socket| sockets.push(socket));
        assert_eq!(read, Err(BadLine { line: 3 }));
        let rows: Vec<_> = sockets.iter().map(|socket| (socket.state(), names(socket).0)).collect();
        assert_eq!(
            rows,
            [
                (State::Listening, Some(b"/run/a b".to_vec())),
                (State::Established, None),
                (State::Closed, Some(b"@abs".to_vec()))
            ]
        );
        assert_eq!(sockets[0].send_queue(), Fact::Unknown(Why::NotKept));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>, text in "[0-9a-f :@\n]{0,200}") {
            let _ = parse(&bytes, Extras::ALL);
            let _ = parse_table(&bytes, Extras::ALL, &mut |_| {});
            let _ = parse_table(format!("h\n{text}").as_bytes(), Extras::ALL, &mut |_| {});
        }
    }
}
