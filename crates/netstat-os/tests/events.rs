//! Events of real sockets: every one told, and never under a stranger's name.
#![cfg(target_os = "linux")]

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use netstat_model::{Direction, Event, EventKind, EventOrigin, Fact, Protocol, State};
use netstat_os::{EventSource, EventWay, Events, EventsAsk, Native};
use netstat_testkit::{own_namespace, skip};

/// What a copy of this program is to do.
const ROLE: &str = "EVENTS_ROLE";
/// Connections that each client makes.
const EACH: usize = 300;
const CLIENTS: usize = 4;
/// Programs that do nothing but keep the processors busy, so that packets arrive while they run.
const BYSTANDERS: usize = 6;

/// A copy of this program with a role; killed when dropped.
struct Actor(Child);

impl Drop for Actor {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Actor {
    fn start(test: &str, role: &str) -> Actor {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .env(ROLE, role)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Actor(child)
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Ends its standard input, waits, and reads the ports it printed.
    fn ports(mut self) -> (u32, Vec<u16>) {
        drop(self.0.stdin.take());
        let mut text = String::new();
        self.0.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        let ports = text.lines().filter_map(|line| line.strip_prefix("port ")?.parse().ok());
        (self.pid(), ports.collect())
    }
}

/// Plays the role this copy was started for, if it was for one.
fn play() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    let mut words = role.split(' ');
    match words.next() {
        Some("busy") => loop {
            std::hint::spin_loop();
        },
        Some("client") => {
            let server: SocketAddr = words.next().unwrap().parse().unwrap();
            let count: usize = words.next().unwrap().parse().unwrap();
            let mut told = String::from("\n");
            for number in 0..count {
                let mut stream = TcpStream::connect(server).unwrap();
                told.push_str(&format!("port {}\n", stream.local_addr().unwrap().port()));
                // Some speak, some only come and go.
                if number % 3 != 0 {
                    stream.write_all(&[b'x'; 100]).unwrap();
                    stream.shutdown(std::net::Shutdown::Write).unwrap();
                    let mut answer = Vec::new();
                    stream.read_to_end(&mut answer).unwrap();
                    assert_eq!(answer.len(), 50);
                }
            }
            print!("{told}");
        }
        Some("server") => {
            let listener = TcpListener::bind(words.next().unwrap()).unwrap();
            let count: usize = words.next().unwrap().parse().unwrap();
            // The harness has begun a line.
            println!("\nport {}", listener.local_addr().unwrap().port());
            for _ in 0..count {
                let (mut stream, _) = listener.accept().unwrap();
                let mut heard = Vec::new();
                stream.read_to_end(&mut heard).unwrap();
                if !heard.is_empty() {
                    stream.write_all(&[b'y'; 50]).unwrap();
                }
            }
            std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
        }
        other => panic!("{other:?}"),
    }
    std::process::exit(0);
}

/// A watch that has already shown what was there; `None` when the way is not allowed here.
fn watch(way: EventWay) -> Option<Box<dyn EventSource>> {
    let ask = EventsAsk {
        way,
        interval: Duration::from_millis(50),
        latency: Duration::from_millis(5),
        ..EventsAsk::default()
    };
    let mut source = match Native::default().events(&ask) {
        Ok(source) => source,
        Err(refused) => {
            skip(
                &format!("{:?} {way:?}", std::thread::current().name()),
                &refused.to_string(),
            );
            return None;
        }
    };
    source.next(Duration::ZERO, &mut |_| {}).unwrap();
    Some(source)
}

/// Collects events until `enough` of them, at most 30 seconds: what the kernel does not tell is found out within 13.
fn collect(source: &mut dyn EventSource, mut enough: impl FnMut(&[Event]) -> bool) -> Vec<Event> {
    let mut events = Vec::new();
    let end = Instant::now() + Duration::from_secs(30);
    while !enough(&events) && Instant::now() < end {
        source
            .next(Duration::from_millis(20), &mut |event| events.push(event))
            .unwrap();
    }
    events
}

fn pid(event: &Event) -> Option<u32> {
    event.owner.known().map(|owner| owner.pid)
}

struct Crowd {
    server: u32,
    port: u16,
    /// The client behind each port.
    clients: HashMap<u16, u32>,
}

/// Lets clients talk to a server among busy bystanders, and collects what is told meanwhile.
fn churn(test: &str, address: &str, source: &mut dyn EventSource) -> (Crowd, Vec<Event>) {
    // A port tells the client: on loopback the kernel gives one in TIME_WAIT to another after a second (`ip-sysctl`).
    std::fs::write("/proc/sys/net/ipv4/tcp_tw_reuse", "0").unwrap();
    let _busy: Vec<Actor> = (0..BYSTANDERS).map(|_| Actor::start(test, "busy")).collect();
    let mut server = Actor::start(test, &format!("server {address} {}", CLIENTS * EACH));
    let mut first = String::new();
    let mut out = std::io::BufReader::new(server.0.stdout.take().unwrap());
    while !first.starts_with("port ") {
        first.clear();
        assert!(
            std::io::BufRead::read_line(&mut out, &mut first).unwrap() > 0,
            "the server has ended"
        );
    }
    let port: u16 = first["port ".len()..].trim().parse().unwrap();
    let host = address.rsplit_once(':').unwrap().0;
    let clients: Vec<Actor> = (0..CLIENTS)
        .map(|_| Actor::start(test, &format!("client {host}:{port} {EACH}")))
        .collect();
    let ends = |events: &[Event]| {
        let closed = |event: &&Event| event.kind == EventKind::Closed && event.foreign.port != 0;
        events.iter().filter(closed).count() >= 2 * CLIENTS * EACH
    };
    let events = collect(source, ends);
    let mut behind = HashMap::new();
    for client in clients {
        let (pid, ports) = client.ports();
        assert_eq!(ports.len(), EACH);
        behind.extend(ports.into_iter().map(|port| (port, pid)));
    }
    let crowd = Crowd {
        server: server.pid(),
        port,
        clients: behind,
    };
    (crowd, events)
}

/// The pid that `event` must have, by the ports.
fn right(crowd: &Crowd, event: &Event) -> Option<u32> {
    if event.local.port == crowd.port {
        Some(crowd.server)
    } else if event.foreign.port == crowd.port {
        crowd.clients.get(&event.local.port).copied()
    } else {
        None
    }
}

fn every_connection(test: &str, address: &str) {
    let Some(mut source) = watch(EventWay::Trace) else {
        return;
    };
    assert_eq!(source.origin(), EventOrigin::Trace);
    let (crowd, events) = churn(test, address, &mut *source);
    let mut ends = HashMap::new();
    let mut repaired = 0;
    for event in &events {
        let Some(right) = right(&crowd, event) else { continue };
        if let Some(pid) = pid(event) {
            assert_eq!(pid, right, "{event:?}");
        }
        if event.kind == EventKind::Closed && event.foreign.port != 0 {
            assert_eq!(pid(event), Some(right), "no owner at the end: {event:?}");
            let outgoing = event.local.port != crowd.port;
            let direction = if outgoing {
                Direction::Outgoing
            } else {
                Direction::Incoming
            };
            assert_eq!(event.direction, direction, "{event:?}");
            let spoken = if outgoing { (100, 50) } else { (50, 100) };
            let mut sent = 0;
            if event.origin == EventOrigin::Trace {
                sent = event.sent.known().unwrap();
                let both = (sent, event.received.known().unwrap());
                assert!(both == spoken || both == (0, 0), "{event:?}");
            } else {
                // The kernel told nothing, and a look found out.
                repaired += 1;
            }
            assert!(
                event
                    .duration()
                    .known()
                    .is_some_and(|time| time < Duration::from_secs(30))
            );
            let key = (event.local.port, event.foreign.port);
            assert!(ends.insert(key, sent).is_none(), "told twice: {event:?}");
        }
    }
    for &port in crowd.clients.keys() {
        for key in [(port, crowd.port), (crowd.port, port)] {
            let of_it = |event: &&Event| (event.local.port, event.foreign.port) == key;
            let told: Vec<&Event> = events.iter().filter(of_it).collect();
            assert!(ends.contains_key(&key), "the end of {key:?} is missing: {told:#?}");
        }
    }
    assert_eq!(ends.len(), 2 * CLIENTS * EACH);
    let spoken = ends.values().filter(|&&sent| sent > 0).count();
    assert!(
        (0..=repaired).contains(&(2 * CLIENTS * EACH * 2 / 3 - spoken)),
        "{spoken} spoke"
    );
    // Rare, never unsaid.
    assert!(repaired <= CLIENTS * EACH / 100, "{repaired} ends were not told");
    let lost = source.lost();
    let untold = repaired as u64;
    assert_eq!((lost.events, lost.gaps, lost.owners, lost.untold), (0, 0, 0, untold));
    let opened = |direction| {
        let one = |event: &&Event| {
            event.kind == EventKind::Opened && event.direction == direction && right(&crowd, event).is_some()
        };
        events.iter().filter(one).count()
    };
    assert_eq!(opened(Direction::Outgoing), CLIENTS * EACH, "each with its port");
    assert_eq!(opened(Direction::Incoming), CLIENTS * EACH);
    let listens = events.iter().find(|event| event.kind == EventKind::Listening).unwrap();
    assert_eq!((pid(listens), listens.local.port), (Some(crowd.server), crowd.port));
}

#[test]
fn every_ipv4_connection_has_its_own_owner() {
    play();
    own_namespace!();
    every_connection("every_ipv4_connection_has_its_own_owner", "127.0.0.1:0");
}

#[test]
fn every_ipv6_connection_has_its_own_owner() {
    play();
    own_namespace!();
    every_connection("every_ipv6_connection_has_its_own_owner", "[::1]:0");
}

#[test]
fn without_tracepoints_every_end_is_reported_and_no_owner_is_wrong() {
    play();
    own_namespace!();
    let test = "without_tracepoints_every_end_is_reported_and_no_owner_is_wrong";
    let Some(mut source) = watch(EventWay::Netlink) else {
        return;
    };
    assert!(!source.limits().is_empty());
    let (crowd, events) = churn(test, "127.0.0.1:0", &mut *source);
    let mut ends = 0;
    for event in &events {
        let Some(right) = right(&crowd, event) else { continue };
        if let Some(pid) = pid(event) {
            assert_eq!(pid, right, "{event:?}");
        }
        if event.kind == EventKind::Closed && event.foreign.port != 0 {
            ends += 1;
            if event.origin == EventOrigin::Destroyed {
                assert!(
                    event.sent.known().is_some_and(|sent| [0, 50, 100].contains(&sent)),
                    "{event:?}"
                );
            }
        }
    }
    assert_eq!(ends, 2 * CLIENTS * EACH);
}

#[test]
fn fin_of_the_peer_is_not_counted_as_received_byte() {
    own_namespace!();
    let Some(mut source) = watch(EventWay::Netlink) else {
        return;
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    client.write_all(&[b'x'; 1234]).unwrap();
    server.read_exact(&mut [0; 1234]).unwrap();
    drop(client);
    let of_server = |event: &Event| event.local.port == port && event.foreign.port != 0;
    let events = collect(&mut *source, |events| {
        events
            .iter()
            .any(|event| of_server(event) && event.state == State::CloseWait)
    });
    assert!(
        events
            .iter()
            .any(|event| of_server(event) && event.state == State::CloseWait)
    );
    drop(server);
    let events = collect(&mut *source, |events| {
        events
            .iter()
            .any(|event| of_server(event) && event.kind == EventKind::Closed)
    });
    let closed = events
        .iter()
        .find(|event| of_server(event) && event.kind == EventKind::Closed)
        .unwrap();
    assert_eq!(
        (closed.origin, closed.received),
        (EventOrigin::Destroyed, Fact::Known(1234))
    );
}

#[test]
fn polling_reports_connection_that_stays_open() {
    own_namespace!();
    let Some(mut source) = watch(EventWay::Poll) else {
        return;
    };
    assert_eq!(source.origin(), EventOrigin::Poll);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let events = collect(&mut *source, |events| events.len() >= 3);
    assert!(
        events
            .iter()
            .all(|event| pid(event).is_none_or(|pid| pid == std::process::id()))
    );
    let listens = events.iter().find(|event| event.kind == EventKind::Listening).unwrap();
    assert_eq!((listens.local.port, pid(listens)), (port, Some(std::process::id())));
    let client = |event: &&Event| event.foreign.port == port && event.kind == EventKind::Opened;
    assert_eq!(pid(events.iter().find(client).unwrap()), Some(std::process::id()));
    drop(stream);
    let events = collect(&mut *source, |events| {
        events
            .iter()
            .any(|event| event.kind == EventKind::Closed && event.foreign.port == port)
    });
    let closed = events.iter().find(|event| event.kind == EventKind::Closed).unwrap();
    assert_eq!(closed.origin, EventOrigin::Poll);
}

#[test]
fn udp_is_reported_from_first_use_with_its_bytes() {
    own_namespace!();
    let Some(mut source) = watch(EventWay::Trace) else {
        return;
    };
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(server.local_addr().unwrap()).unwrap();
    let own = client.local_addr().unwrap().port();
    client.send(b"hello").unwrap();
    client.send(b"you").unwrap();
    let (_, from) = server.recv_from(&mut [0; 9]).unwrap();
    server.send_to(b"yes", from).unwrap();
    client.recv(&mut [0; 9]).unwrap();
    drop(client);
    drop(silent);
    let events = collect(&mut *source, |events| {
        events
            .iter()
            .any(|event| event.kind == EventKind::Closed && event.local.port == own)
    });
    let mine: Vec<&Event> = events.iter().filter(|event| event.local.port == own).collect();
    assert_eq!((mine[0].kind, mine[0].protocol), (EventKind::Opened, Protocol::Udp));
    assert_eq!(mine[0].foreign.port, server.local_addr().unwrap().port());
    assert_eq!(pid(mine[0]), Some(std::process::id()));
    let closed = mine.last().unwrap();
    assert_eq!((closed.sent, closed.received), (Fact::Known(8), Fact::Known(3)));
    assert_eq!(pid(closed), Some(std::process::id()));
    assert_eq!(
        events.iter().filter(|event| event.kind == EventKind::Opened).count(),
        2,
        "the silent one is not told"
    );
}

#[test]
fn socket_older_than_watch_is_present_and_closes_with_its_owner() {
    own_namespace!();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let (taken, _) = listener.accept().unwrap();
    for way in [EventWay::Trace, EventWay::Netlink, EventWay::Poll] {
        let Ok(mut source) = Native::default().events(&EventsAsk {
            way,
            ..EventsAsk::default()
        }) else {
            skip("present", &format!("{way:?}"));
            continue;
        };
        let mut present = Vec::new();
        source.next(Duration::ZERO, &mut |event| present.push(event)).unwrap();
        assert_eq!(present.len(), 3, "{present:?}");
        assert!(present.iter().all(|event| event.kind == EventKind::Present));
        assert!(present.iter().all(|event| pid(event) == Some(std::process::id())));
        if way == EventWay::Trace {
            drop((listener.try_clone().unwrap(), taken.try_clone().unwrap()));
            let again = TcpListener::bind("127.0.0.1:0").unwrap();
            drop(again);
            let events = collect(&mut *source, |events| events.len() >= 2);
            assert_eq!(events[0].kind, EventKind::Listening);
            assert_eq!(
                (events[1].kind, events[1].before),
                (EventKind::Closed, Some(State::Listening))
            );
        }
    }
    let Some(mut source) = watch(EventWay::Trace) else {
        return;
    };
    drop((stream, taken));
    let events = collect(&mut *source, |events| events.len() >= 2);
    assert!(
        events
            .iter()
            .all(|event| event.kind == EventKind::Closed && pid(event) == Some(std::process::id()))
    );
}

#[test]
fn unanswered_attempt_is_reported_with_its_port() {
    own_namespace!();
    let Some(mut source) = watch(EventWay::Trace) else {
        return;
    };
    // A route to nowhere: packets go out of the loopback and nobody answers (RFC 5737, TEST-NET-3).
    let added = Command::new("ip")
        .args(["route", "add", "203.0.113.0/24", "dev", "lo"])
        .status();
    if !added.is_ok_and(|status| status.success()) {
        return skip("an attempt", "ip(8) cannot add a route");
    }
    let to: SocketAddr = "203.0.113.7:4444".parse().unwrap();
    let attempt = std::thread::spawn(move || TcpStream::connect_timeout(&to, Duration::from_millis(700)).is_err());
    let events = collect(&mut *source, |events| events.len() >= 2);
    assert!(attempt.join().unwrap());
    assert_eq!((events[0].kind, events[0].state), (EventKind::Opened, State::SynSent));
    assert_ne!(events[0].local.port, 0);
    assert_eq!((events[0].foreign.address, events[0].foreign.port), (to.ip(), 4444));
    let end = &events[1];
    assert_eq!(
        (end.kind, end.foreign.port, end.before),
        (EventKind::Closed, 4444, Some(State::SynSent))
    );
    assert_eq!(pid(end), Some(std::process::id()));
}
