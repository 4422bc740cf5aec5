//! Other looks at the same sockets: the text tables, ports that can be taken, interfaces that hear everything.

use std::collections::BTreeSet;
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};

use netstat_model::{Protocol, Socket, State};
use netstat_os::{Integrity, Native, PortTries, SocketAsk, SocketList, System};
use netstat_testkit::own_namespace;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, eth, socket_with};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

/// Every TCP and UDP socket that both views know.
fn ask() -> SocketAsk {
    SocketAsk {
        tcp4: true,
        tcp6: true,
        udp4: true,
        udp6: true,
        tcp_states: State::ALL.into_iter().filter(|state| *state != State::Bound).collect(),
        ..SocketAsk::default()
    }
}

/// A socket that is bound and no more.
fn bound(kind: SocketType, address: SocketAddr) -> (OwnedFd, u16) {
    let family = if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let socket = socket_with(family, kind, SocketFlags::CLOEXEC, None).unwrap();
    bind(&socket, &address).unwrap();
    let own = SocketAddr::try_from(rustix::net::getsockname(&socket).unwrap()).unwrap();
    (socket, own.port())
}

fn any(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn netlink_and_text_views_show_same_sockets() {
    own_namespace!();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let _far = listener.accept().unwrap();
    let _v6 = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).unwrap();
    let _udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let _udp6 = UdpSocket::bind("[::]:0").unwrap();
    let mut system = Native::default();
    let (mut first, mut second) = (SocketList::default(), SocketList::default());
    system.sockets(&ask(), &mut first);
    system.sockets_as_text(&ask(), &mut second).unwrap();
    let key = |socket: &Socket| {
        let (local, foreign) = (socket.local(), socket.foreign());
        let ends = (local.address, local.port, foreign.address, foreign.port);
        (socket.protocol(), ends, socket.state() as u8, socket.inode())
    };
    let keys = |list: &SocketList| list.sockets.iter().map(key).collect::<BTreeSet<_>>();
    assert_eq!(first.sockets.len(), 6, "{first:?}");
    assert_eq!(keys(&first), keys(&second));
    // The second view is another source, not the same again, and does not count as a fallback.
    assert!(first.sockets.iter().all(|socket| socket.cookie().is_some()));
    assert!(second.sockets.iter().all(|socket| socket.cookie().is_none()));
    assert!(!second.fell_back && second.limits.is_empty(), "{second:?}");
    // What is asked for is chosen here too.
    let port = near.local_addr().unwrap().port();
    let one = SocketAsk {
        ports: port.to_string().parse().unwrap(),
        udp4: false,
        ..ask()
    };
    system.sockets_as_text(&one, &mut second).unwrap();
    assert_eq!(second.sockets.len(), 2, "{second:?}");
}

#[test]
fn try_ports_in_use_are_reported_as_taken() {
    own_namespace!();
    let mut system = Native::default();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let listening = listener.local_addr().unwrap().port();
    // Bound to one address only, and bound without listening: no listing of /proc/net has the latter.
    let (_bound, only_bound) = bound(SocketType::STREAM, any("127.0.0.2:0"));
    let (_bound6, only_v6) = bound(SocketType::STREAM, any("[::1]:0"));
    let (_datagrams, udp) = bound(SocketType::DGRAM, any("127.0.0.1:0"));
    // Nothing else lives in this namespace.
    let free = (1024..)
        .find(|port| ![listening, only_bound, only_v6, udp].contains(port))
        .unwrap();
    let all = [free, listening, only_bound, only_v6, udp, free];

    let tries = |taken: &[u16]| PortTries {
        taken: taken.to_vec(),
        forbidden: 0,
        failed: 0,
    };
    assert_eq!(
        system.try_ports(Protocol::Tcp, false, &all),
        tries(&[listening, only_bound])
    );
    assert_eq!(system.try_ports(Protocol::Tcp, true, &all), tries(&[only_v6]));
    assert_eq!(system.try_ports(Protocol::Udp, false, &all), tries(&[udp]));
    assert_eq!(system.try_ports(Protocol::Udp, true, &all), tries(&[]));
    // A kernel that lists such ports is to have listed it.
    let mut list = SocketList::default();
    let everything = SocketAsk {
        tcp_states: State::ALL.to_vec(),
        ..ask()
    };
    system.sockets(&everything, &mut list);
    let listed = list.sockets.iter().any(|socket| socket.local().port == only_bound);
    assert_eq!(listed, system.lists_bound_ports());
    // Nothing of it stays.
    assert_eq!(system.try_ports(Protocol::Tcp, false, &[free, free]), tries(&[]));
    assert_eq!(system.try_ports(Protocol::Tcp, false, &[0]).failed, 1);
    assert_eq!(system.try_ports(Protocol::Raw, false, &all).failed, 6);
}

#[test]
fn try_ports_without_permission_are_forbidden_and_not_taken() {
    own_namespace!();
    let before = capabilities(None).unwrap();
    let mut less = before;
    less.effective -= CapabilitySet::NET_BIND_SERVICE;
    set_capabilities(None, less).unwrap();
    let tries = Native::default().try_ports(Protocol::Tcp, false, &[80, 443, 20_000]);
    set_capabilities(None, before).unwrap();
    assert_eq!((tries.forbidden, tries.failed, &tries.taken[..]), (2, 0, &[][..]));
}

/// Has a packet socket hear everything on the loopback interface (packet(7)).
fn hear_everything(socket: &OwnedFd) {
    let request = libc::packet_mreq {
        mr_ifindex: 1,
        mr_type: libc::PACKET_MR_PROMISC as u16,
        mr_alen: 0,
        mr_address: [0; 8],
    };
    let size = size_of::<libc::packet_mreq>() as u32;
    let (level, option) = (libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP);
    // SAFETY: `request` is a whole packet_mreq of `size` bytes that outlives the call.
    let set = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const request).cast(), size) };
    assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
}

#[test]
fn an_interface_that_hears_everything() {
    own_namespace!();
    let mut system = Native::default();
    assert_eq!(system.promiscuous(), Ok(Vec::new()));
    let open = || {
        let protocol = Some(eth::ALL);
        socket_with(AddressFamily::PACKET, SocketType::RAW, SocketFlags::CLOEXEC, protocol).unwrap()
    };
    let (first, second) = (open(), open());
    // A packet socket alone hears what is meant for this computer.
    assert_eq!(system.promiscuous(), Ok(Vec::new()));
    hear_everything(&first);
    hear_everything(&second);
    assert_eq!(system.promiscuous(), Ok(vec![(b"lo".to_vec(), 2)]));
    drop(second);
    assert_eq!(system.promiscuous(), Ok(vec![(b"lo".to_vec(), 1)]));
    drop(first);
    assert_eq!(system.promiscuous(), Ok(Vec::new()));
}
