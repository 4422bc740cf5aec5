use super::*;
use netstat_model::{Extras, Ports};
use std::net::{TcpListener, TcpStream, UdpSocket};

/// A listener, both ends of a connection to it, and other listeners.
fn sockets(address: &str) -> (TcpListener, [TcpStream; 2], Vec<TcpListener>) {
    let listener = TcpListener::bind(address).unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (far, _) = listener.accept().unwrap();
    let others = (0..8).map(|_| TcpListener::bind(address).unwrap()).collect();
    (listener, [near, far], others)
}

/// Everything that the kernel lists, before any filtering by this program.
fn told(table: Table, states: StateSet, ports: &str) -> Vec<Socket> {
    let ask = SocketAsk {
        ports: ports.parse().unwrap(),
        ..SocketAsk::default()
    };
    told_by(table, states, &bytecode::for_ask(&ask).unwrap())
}

fn told_by(table: Table, states: StateSet, program: &[u8]) -> Vec<Socket> {
    let question = Question {
        table,
        states,
        program: Some(program),
        extras: Extras::NONE,
    };
    let mut told = Vec::new();
    let mut diag = Connection::sock_diag().unwrap();
    inet::dump(&mut diag, &question, |socket| told.push(socket)).unwrap();
    told
}

#[test]
fn kernel_returns_only_chosen_sockets() {
    for (address, own, other) in [
        ("127.0.0.1:0", Table::Tcp4, Table::Tcp6),
        ("[::1]:0", Table::Tcp6, Table::Tcp4),
    ] {
        let Ok(_) = TcpListener::bind(address) else {
            netstat_testkit::skip(
                "kernel_returns_only_chosen_sockets",
                &format!("no address {address} here"),
            );
            continue;
        };
        let (listener, [near, _far], _others) = sockets(address);
        let server = listener.local_addr().unwrap().port();
        let client = near.local_addr().unwrap().port();
        let every = StateSet::of(State::ALL);
        let has = |found: &[Socket], port: u16, state: State, connected: bool| {
            let is = |socket: &&Socket| {
                socket.local().port == port && socket.state() == state && socket.is_connected() == connected
            };
            found.iter().filter(is).count()
        };
        for table in [Table::Tcp, own] {
            let range = format!("{server}-{server},{}-65535", u16::MAX);
            for ports in [server.to_string(), range, format!("1,{server}")] {
                let found = told(table, every, &ports);
                assert_eq!(has(&found, server, State::Listening, false), 1, "{ports} {found:?}");
                assert_eq!(has(&found, server, State::Established, true), 1, "{ports} {found:?}");
                assert_eq!(has(&found, client, State::Established, true), 1, "{ports} {found:?}");
                let ports: Ports = ports.parse().unwrap();
                assert!(found.iter().all(|socket| ports.matches(socket)), "{found:?}");
            }
            let found = told(table, StateSet::of([State::Listening]), &server.to_string());
            assert_eq!(has(&found, server, State::Listening, false), found.len(), "{found:?}");
        }
        // Others may use the same port there, but not these sockets.
        let elsewhere = told(other, every, &server.to_string());
        assert!(elsewhere.iter().all(|socket| socket.family() != family_of(address)));
    }
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = udp.local_addr().unwrap().port();
    let found = told(Table::Udp4, StateSet::ALL, &port.to_string());
    assert!(
        !found.is_empty() && found.iter().all(|socket| socket.local().port == port),
        "{found:?}"
    );
}

/// The kernel accepts programs with addresses and does not report sockets that they reject.
#[test]
fn kernel_returns_only_chosen_addresses() {
    // Elsewhere other processes may use the same ports.
    netstat_testkit::own_namespace!();
    let (listener, [near, _far], _others) = sockets("127.0.0.1:0");
    let other = TcpListener::bind("127.0.0.2:0").unwrap();
    let server = listener.local_addr().unwrap().port();
    let client = near.local_addr().unwrap().port();
    let own = other.local_addr().unwrap().port();
    let at = |found: &[Socket], port: u16| found.iter().filter(|socket| socket.local().port == port).count();
    for (local, foreign, expected) in [
        ("127.0.0.1", "", [true, true, true, false]),
        ("127.0.0.2/31", "", [false, false, false, true]),
        ("127.0.0.0/8", "", [true, true, true, true]),
        ("", "127.0.0.0/8", [false, true, true, false]),
        ("", &format!("127.0.0.1:{server}"), [false, false, true, false]),
        (
            "10.0.0.0/8,127.0.0.1",
            &format!("192.0.2.1,:{client}"),
            [false, true, false, false],
        ),
        ("::1", "", [false, false, false, false]),
    ] {
        let sides = |word: &str| match word {
            "" => Sides::default(),
            word => word.parse().unwrap(),
        };
        let ask = SocketAsk {
            local: sides(local),
            foreign: sides(foreign),
            ..SocketAsk::default()
        };
        let program = bytecode::for_ask(&ask).unwrap();
        for table in [Table::Tcp, Table::Tcp4] {
            let found = told_by(table, StateSet::of(State::ALL), &program);
            assert!(
                found.iter().all(|socket| ends_wanted(&ask, socket)),
                "{local} {foreign}: {found:?}"
            );
            let listening = found
                .iter()
                .any(|socket| socket.local().port == server && socket.state() == State::Listening);
            let accepted = found
                .iter()
                .any(|socket| socket.local().port == server && socket.state() == State::Established);
            let told = [listening, accepted, at(&found, client) == 1, at(&found, own) == 1];
            assert_eq!(told, expected, "{local} {foreign}");
        }
    }
}

fn family_of(address: &str) -> Family {
    if address.starts_with('[') {
        Family::V6
    } else {
        Family::V4
    }
}

/// A kernel that does not know an operation returns EINVAL, as this one does for an operation that no kernel knows.
#[test]
fn program_refused_by_kernel_falls_back_to_whole_list() {
    let (listener, [near, _far], _others) = sockets("127.0.0.1:0");
    let ask = SocketAsk {
        tcp4: true,
        tcp_states: vec![State::Listening, State::Established],
        ports: listener.local_addr().unwrap().port().to_string().parse().unwrap(),
        ..SocketAsk::default()
    };
    let unknown = [250, 8, 12, 0, 0, 0, 0, 0];
    let states = StateSet::of(ask.tcp_states.iter().copied());
    let mut reader = Space::new(Path::new("/nonexistent"));
    let mut list = SocketList::default();
    let question = Question {
        table: Table::Tcp4,
        states,
        program: Some(&unknown),
        extras: Extras::NONE,
    };
    let mut dump = |diag: &mut Connection, found: Found<'_>| inet::dump(diag, &question, found);
    let refusal = reader.dump_whole(&ask, &mut list, &mut dump).unwrap_err();
    assert_eq!(refusal.raw_os_error(), Some(libc::EINVAL));
    reader
        .dump_chosen(Table::Tcp4, states, Some(&unknown), &ask, &mut list)
        .unwrap();
    let mut expected = SocketList::default();
    reader.read(&ask, &mut expected);
    assert!(!expected.fell_back && !expected.failed, "{expected:?}");
    let key = |list: &SocketList| {
        let mut cookies: Vec<_> = list.sockets.iter().map(Socket::cookie).collect();
        cookies.sort_unstable();
        cookies
    };
    let client = near.local_addr().unwrap().port();
    assert!(expected.sockets.iter().any(|socket| socket.local().port == client));
    assert_eq!(key(&list), key(&expected));
}
