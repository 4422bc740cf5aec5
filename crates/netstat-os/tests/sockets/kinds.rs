//! RAW, PACKET, UNIX and MPTCP.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};

use netstat_model::{
    Detail, Extras, Fact, FoundBy, Owner, PacketKind, Protocol, Socket, State, TcpMetric, UnixKind, UpperLayer,
};
use netstat_os::linux::sockets::SocketReader;
use netstat_os::{Native, OwnerSource, OwnersAsk, SocketAsk, System};
use netstat_testkit::trouble::without_netlink;
use netstat_testkit::{have, oracle, own_namespace, skip};
use rustix::net::{AddressFamily, SocketFlags, SocketType, eth, ipproto, socket_with};

use super::{every_kind, everything, of, read, ss};

fn socket(family: AddressFamily, kind: SocketType, protocol: rustix::net::Protocol) -> std::io::Result<OwnedFd> {
    Ok(socket_with(family, kind, SocketFlags::CLOEXEC, Some(protocol))?)
}

/// Binds a packet socket to the loopback interface.
fn bind_to_loopback(socket: &OwnedFd) {
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: 0x88ccu16.to_be(),
        sll_ifindex: 1,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let size = size_of::<libc::sockaddr_ll>() as u32;
    // SAFETY: `address` is a whole sockaddr_ll of `size` bytes that outlives the call.
    let bound = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), size) };
    assert_eq!(bound, 0, "{}", std::io::Error::last_os_error());
}

/// What the text tables tell too.
fn text_tables() -> SocketAsk {
    SocketAsk {
        mptcp4: false,
        mptcp6: false,
        ..every_kind()
    }
}

/// How many lines `ss` prints.
fn count(words: &str) -> usize {
    ss(words).lines().filter(|line| !line.trim().is_empty()).count()
}

fn of_protocol(sockets: &[Socket], protocol: Protocol) -> usize {
    sockets.iter().filter(|socket| socket.protocol() == protocol).count()
}

#[test]
fn raw_and_ping_sockets_are_listed() {
    own_namespace!();
    let v4 = socket(AddressFamily::INET, SocketType::RAW, ipproto::ICMP).unwrap();
    let v6 = socket(AddressFamily::INET6, SocketType::RAW, ipproto::ICMPV6).unwrap();
    let odd = socket(AddressFamily::INET, SocketType::RAW, ipproto::GRE).unwrap();
    rustix::net::bind(&odd, &"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap()).unwrap();
    let mut reader = SocketReader::new("/proc");
    let list = everything(&mut reader);
    for (made, port, local) in [(&v4, 1, "0.0.0.0"), (&v6, 58, "::"), (&odd, 47, "127.0.0.1")] {
        let found = of(&list, made);
        assert_eq!((found.protocol(), found.local().port), (Protocol::Raw, port));
        assert_eq!(found.local().address.to_string(), local);
        assert!(found.detail().is_none() && found.shown_state().is_none() && !found.is_connected());
    }
    assert_eq!(of_protocol(&list.sockets, Protocol::Raw), 3);
    if have("ss") {
        assert_eq!(count("-waHn"), 3);
    }
    // Protocol numbers are no ports.
    let with_port = SocketAsk {
        ports: "1,47,58".parse().unwrap(),
        ..every_kind()
    };
    assert_eq!(of_protocol(&read(&mut reader, &with_port).sockets, Protocol::Raw), 0);
    // icmp(7): who may ping without privilege; a mapping of one user may know no other.
    if std::fs::write("/proc/sys/net/ipv4/ping_group_range", "0 0").is_err() {
        return skip("sockets of ping", "ping_group_range cannot be set here");
    }
    let ping = socket(AddressFamily::INET, SocketType::DGRAM, ipproto::ICMP).unwrap();
    rustix::net::bind(&ping, &"127.0.0.1:4242".parse::<std::net::SocketAddr>().unwrap()).unwrap();
    let ping6 = socket(AddressFamily::INET6, SocketType::DGRAM, ipproto::ICMPV6).unwrap();
    rustix::net::bind(&ping6, &"[::1]:4243".parse::<std::net::SocketAddr>().unwrap()).unwrap();
    let list = everything(&mut reader);
    for (made, port, identifier) in [(&ping, 1, 4242), (&ping6, 58, 4243)] {
        let found = of(&list, made);
        assert_eq!((found.protocol(), found.local().port), (Protocol::Raw, port));
        assert_eq!(found.detail(), Some(&Detail::Ping { identifier }));
        assert!(found.local().address.is_loopback());
    }
}

#[test]
fn packet_sockets() {
    own_namespace!();
    let all = socket(AddressFamily::PACKET, SocketType::RAW, eth::ALL).unwrap();
    let one = socket(AddressFamily::PACKET, SocketType::DGRAM, eth::LLDP).unwrap();
    bind_to_loopback(&one);
    let check = |list: &[Socket]| {
        let find = |made: &OwnedFd| {
            let inode = oracle::inode(made);
            let is = |socket: &&Socket| socket.inode().is_some_and(|own| u64::from(own.get()) == inode);
            list.iter().find(is).unwrap().clone()
        };
        for (made, kind, ethertype, interface) in [
            (&all, PacketKind::Raw, 3, None),
            (&one, PacketKind::Datagram, 0x88cc, Some(1)),
        ] {
            let found = find(made);
            assert_eq!(found.protocol(), Protocol::Packet);
            assert_eq!(found.detail(), Some(&Detail::Packet { kind, ethertype }));
            assert_eq!(found.interface().map(u32::from), interface);
            assert_eq!(found.user(), Fact::Known(0));
        }
        assert_eq!(of_protocol(list, Protocol::Packet), 2);
    };
    let list = everything(&mut SocketReader::new("/proc"));
    check(&list.sockets);
    assert!(of(&list, &all).cookie().is_some());
    if have("ss") {
        assert_eq!(count("-0aHn"), 2);
    }
    if let Some(list) = without_netlink(|| read(&mut SocketReader::new("/proc"), &text_tables())) {
        check(&list.sockets);
        let told = |limit: &netstat_model::Limit| limit.what == "queues and cookies of PACKET sockets are missing";
        assert!(list.limits.iter().any(told), "{:?}", list.limits);
    }
}

#[test]
fn unix_sockets() {
    own_namespace!();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a b\n\x1bx");
    let listener = UnixListener::bind(&path).unwrap();
    let client = UnixStream::connect(&path).unwrap();
    let (server, _) = listener.accept().unwrap();
    let waiting = UnixStream::connect(&path).unwrap();
    let name = SocketAddr::from_abstract_name(b"netstat\0test").unwrap();
    let datagram = UnixDatagram::bind_addr(&name).unwrap();
    let (one, other) = UnixStream::pair().unwrap();
    (&one).write_all(b"seven b").unwrap();
    let file = path.as_os_str().as_encoded_bytes();
    let names = |socket: &Socket| match socket.detail() {
        Some(Detail::Unix { kind, name, peer }) => (
            *kind,
            name.shown(),
            peer.as_ref().map(|peer| u64::from(peer.inode.get())),
            peer.as_ref().and_then(|peer| peer.name.shown()),
        ),
        other => panic!("{other:?}"),
    };
    let list = everything(&mut SocketReader::new("/proc"));
    let path_shown = Some(file.to_vec());
    assert_eq!(
        names(of(&list, &listener)),
        (UnixKind::Stream, path_shown.clone(), None, None)
    );
    assert_eq!(of(&list, &listener).shown_state(), Some(State::Listening));
    assert_eq!(
        of(&list, &listener).receive_queue(),
        1,
        "one connection waits to be accepted"
    );
    assert_eq!(
        names(of(&list, &client)),
        (UnixKind::Stream, None, Some(oracle::inode(&server)), path_shown.clone())
    );
    assert_eq!(
        names(of(&list, &server)),
        (UnixKind::Stream, path_shown.clone(), Some(oracle::inode(&client)), None)
    );
    assert_eq!(of(&list, &server).shown_state(), Some(State::Established));
    assert_eq!(
        names(of(&list, &datagram)),
        (UnixKind::Datagram, Some(b"@netstat\0test".to_vec()), None, None)
    );
    assert_eq!(names(of(&list, &one)).2, Some(oracle::inode(&other)));
    assert_eq!(of(&list, &other).receive_queue(), 7);
    assert!(of(&list, &one).is_connected() && !of(&list, &datagram).is_connected());
    if have("ss") {
        // One line each; an accepted connection that waits has no inode, and names may hold anything but a line end there.
        let lines = ss("-xaHnO");
        for inode in [oracle::inode(&client), oracle::inode(&datagram), oracle::inode(&one)] {
            assert!(lines.contains(&format!(" {inode} ")), "{inode} in {lines}");
        }
    }
    if let Some(list) = without_netlink(|| read(&mut SocketReader::new("/proc"), &text_tables())) {
        // The line end in the path parts its row in two; the others are there.
        assert_eq!(names(of(&list, &datagram)).1, Some(b"@netstat@test".to_vec()));
        assert_eq!(of(&list, &client).state(), State::Established);
        let told = |limit: &netstat_model::Limit| limit.what.starts_with("peers, queues, users and cookies of UNIX");
        assert!(list.limits.iter().any(told), "{:?}", list.limits);
    }
    drop(waiting);
}

/// A listener, a client and the accepted end, all of MPTCP; `None` where the kernel has none.
fn mptcp() -> Option<[OwnedFd; 3]> {
    let new = || socket(AddressFamily::INET, SocketType::STREAM, ipproto::MPTCP);
    let listener = match new() {
        Ok(listener) => listener,
        Err(error) => {
            skip("MPTCP", &error.to_string());
            return None;
        }
    };
    rustix::net::bind(&listener, &"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap()).unwrap();
    rustix::net::listen(&listener, 5).unwrap();
    let client = new().unwrap();
    rustix::net::connect(&client, &rustix::net::getsockname(&listener).unwrap()).unwrap();
    let accepted = rustix::net::accept(&listener).unwrap();
    Some([listener, client, accepted])
}

#[test]
fn mptcp_connection_is_listed_beside_its_path() {
    own_namespace!();
    let Some([listener, client, accepted]) = mptcp() else {
        return;
    };
    let mut client = std::fs::File::from(client);
    let mut accepted = std::fs::File::from(accepted);
    client.write_all(&[1; 3000]).unwrap();
    accepted.read_exact(&mut [0; 3000]).unwrap();
    let ask = SocketAsk {
        extra: Extras::ALL,
        ..every_kind()
    };
    let list = read(&mut SocketReader::new("/proc"), &ask);
    assert_eq!(of(&list, &listener).shown_state(), Some(State::Listening));
    let found = of(&list, &client);
    assert_eq!(
        (found.protocol(), found.shown_state()),
        (Protocol::Mptcp, Some(State::Established))
    );
    let info = found.fact(|extra| extra.mptcp).known().unwrap();
    assert!(info.token != 0 && !info.fallback);
    if netstat_testkit::kernel_has("bytes of MPTCP connections", 6, 5) {
        assert_eq!(found.tcp(TcpMetric::BytesSent), Fact::Known(3000));
        assert_eq!(of(&list, &accepted).tcp(TcpMetric::BytesReceived), Fact::Known(3000));
        assert_eq!(info.subflows_total, Fact::Known(1));
    }
    // Its one path is beside it, with the same addresses, inode and token.
    let path = list
        .sockets
        .iter()
        .find(|socket| socket.protocol() == Protocol::Tcp && socket.local() == found.local())
        .unwrap();
    assert_eq!(path.foreign(), found.foreign());
    assert_eq!(path.inode(), found.inode());
    assert_eq!(
        path.fact(|extra| extra.upper_layer),
        Fact::Known(UpperLayer::Mptcp { token: info.token })
    );
    if have("ss") {
        assert_eq!(count("-MaHnO"), of_protocol(&list.sockets, Protocol::Mptcp));
        let line = ss("-MaHnOi state established");
        assert!(line.contains(&format!("token:{:x}", info.token)), "{line}");
    }
}

#[test]
fn owners_of_raw_packet_unix_and_mptcp_sockets_are_found() {
    own_namespace!();
    let mut made = vec![
        socket(AddressFamily::INET, SocketType::RAW, ipproto::ICMP).unwrap(),
        socket(AddressFamily::PACKET, SocketType::RAW, eth::ALL).unwrap(),
    ];
    let (one, other) = UnixStream::pair().unwrap();
    made.extend([one.into(), other.into()]);
    made.extend(mptcp().into_iter().flatten());
    let mut system = Native::default();
    let mut list = netstat_os::SocketList::default();
    system.sockets(&every_kind(), &mut list);
    let inodes: BTreeSet<u64> = made.iter().map(oracle::inode).collect();
    let own = |socket: &&Socket| {
        socket
            .inode()
            .is_some_and(|inode| inodes.contains(&u64::from(inode.get())))
    };
    let sockets: Vec<Socket> = list.sockets.iter().filter(own).cloned().collect();
    for source in [OwnerSource::Walk, OwnerSource::Iterator] {
        let ask = OwnersAsk {
            source,
            ..OwnersAsk::default()
        };
        let found = match system.owners(&sockets, &ask) {
            Ok(found) => found,
            Err(refused) => {
                skip("the iterator", &refused.to_string());
                continue;
            }
        };
        for socket in &sockets {
            match found.owners.of(socket) {
                Owner::Held(holders) => assert_eq!(holders.first().pid, std::process::id(), "{socket:?}"),
                other => panic!("{other:?} of {socket:?}"),
            }
            let how = match source {
                OwnerSource::Iterator => FoundBy::Iterator,
                _ => FoundBy::Walk,
            };
            assert_eq!(found.owners.found_by(socket), Fact::Known(how));
        }
    }
}
