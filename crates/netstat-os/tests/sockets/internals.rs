//! The internals of TCP, compared with `ss -i` on a connection at rest.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;

use netstat_model::{Extras, Fact, Socket, State, TcpMetric, TimerKind, UpperLayer, Why};
use netstat_os::linux::sockets::SocketReader;
use netstat_os::{SocketAsk, SocketList};
use netstat_testkit::trouble::without_netlink;
use netstat_testkit::{have, own_namespace};
use rustix::net::sockopt;

use super::{every_kind, of, read, ss, without_net_admin};

/// The two ends of a connection over which data went both ways.
fn connection(listener: &TcpListener) -> (TcpStream, TcpStream) {
    let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut far, _) = listener.accept().unwrap();
    let mut buffer = vec![0; 40_000];
    near.write_all(&buffer).unwrap();
    far.read_exact(&mut buffer).unwrap();
    far.write_all(&buffer[..700]).unwrap();
    near.read_exact(&mut buffer[..700]).unwrap();
    (near, far)
}

fn with(extra: Extras) -> SocketAsk {
    SocketAsk { extra, ..every_kind() }
}

/// The word behind `name:` in a line of `ss`.
fn word<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.split_whitespace()
        .find_map(|word| word.strip_prefix(name)?.strip_prefix(':'))
}

/// Milliseconds with a fraction, as `ss` prints microseconds: three digits that count.
fn same_time(microseconds: u64, shown: &str) -> bool {
    let shown: f64 = shown.parse().unwrap();
    let ours = microseconds as f64 / 1000.0;
    (ours - shown).abs() <= shown.abs() / 100.0
}

/// All that moves with the clock alone.
fn at_rest(socket: &Socket) -> Vec<Fact<u64>> {
    let moves = [
        TcpMetric::LastDataSent,
        TcpMetric::LastDataReceived,
        TcpMetric::LastAckReceived,
        TcpMetric::BusyTime,
    ];
    TcpMetric::ALL
        .into_iter()
        .filter(|figure| !moves.contains(figure))
        .map(|figure| socket.tcp(figure))
        .collect()
}

#[test]
fn socket_figures_agree_with_ss() {
    own_namespace!();
    if !have("ss") {
        return;
    }
    let mut reader = SocketReader::new("/proc");
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let listener = TcpListener::bind(address).unwrap();
        let (near, far) = connection(&listener);
        sockopt::set_socket_keepalive(&near, true).unwrap();
        let tos = match near.local_addr().unwrap().is_ipv4() {
            true => netstat_testkit::actors::set_tos(&near, 0xb8),
            false => netstat_testkit::actors::set_traffic_class(&near, 0xb8),
        };
        tos.unwrap();
        for end in [&near, &far] {
            let port = end.local_addr().unwrap().port();
            let peer = end.peer_addr().unwrap().port();
            let question = format!("-tOHnmoie --tos sport = :{port} and dport = :{peer}");
            let mut compared = false;
            for _ in 0..20 {
                let before = read(&mut reader, &with(Extras::ALL));
                let line = ss(&question);
                let after = read(&mut reader, &with(Extras::ALL));
                let socket = of(&after, end);
                if at_rest(of(&before, end)) != at_rest(socket) {
                    continue;
                }
                assert_eq!(line.lines().count(), 1, "{line}");
                agrees(socket, &line);
                compared = true;
                break;
            }
            assert!(compared, "the connection never rests");
        }
        let list = read(&mut reader, &with(Extras::BASIC));
        let near_socket = of(&list, &near);
        assert_eq!(near_socket.fact(|extra| extra.tos), Fact::Known(0xb8));
        let timer = near_socket.fact(|extra| extra.timer).known().unwrap();
        assert_eq!(timer.kind, TimerKind::KeepAlive);
        // tcp(7): tcp_keepalive_time is two hours.
        assert!((7_100_000..=7_200_000).contains(&timer.expires_ms), "{timer:?}");
    }
}

fn agrees(socket: &Socket, line: &str) {
    let known = |figure: TcpMetric| {
        let fact = socket.tcp(figure);
        fact.known().unwrap_or_else(|| panic!("{figure:?}: {fact:?} in {line}"))
    };
    for (figure, name) in [
        (TcpMetric::Cwnd, "cwnd"),
        (TcpMetric::SendMss, "mss"),
        (TcpMetric::PathMtu, "pmtu"),
        (TcpMetric::ReceiveMss, "rcvmss"),
        (TcpMetric::AdvertisedMss, "advmss"),
        (TcpMetric::BytesSent, "bytes_sent"),
        (TcpMetric::BytesAcked, "bytes_acked"),
        (TcpMetric::BytesReceived, "bytes_received"),
        (TcpMetric::SegmentsOut, "segs_out"),
        (TcpMetric::SegmentsIn, "segs_in"),
        (TcpMetric::DataSegmentsOut, "data_segs_out"),
        (TcpMetric::DataSegmentsIn, "data_segs_in"),
        (TcpMetric::Delivered, "delivered"),
        (TcpMetric::ReceiveSpace, "rcv_space"),
        (TcpMetric::SendWindow, "snd_wnd"),
        (TcpMetric::Unacked, "unacked"),
        (TcpMetric::RetransmitsInFlight, "retrans"),
        (TcpMetric::Lost, "lost"),
        (TcpMetric::BytesRetransmitted, "bytes_retrans"),
        (TcpMetric::DuplicateSacks, "dsack_dups"),
        (TcpMetric::ReorderingSeen, "reord_seen"),
        (TcpMetric::OutOfOrder, "rcv_ooopack"),
    ] {
        // What is 0 is left out there.
        match word(line, name) {
            Some(shown) => assert_eq!(
                known(figure).to_string(),
                shown.split('/').next().unwrap(),
                "{name} in {line}"
            ),
            None => assert!(matches!(socket.tcp(figure).known(), Some(0) | None), "{name} in {line}"),
        }
    }
    // An older `ss` does not print these.
    for (figure, name) in [(TcpMetric::ReceiveWindow, "rcv_wnd"), (TcpMetric::Rehashes, "rehash")] {
        if let Some(shown) = word(line, name) {
            assert_eq!(known(figure).to_string(), shown, "{name} in {line}");
        }
    }
    // `busy:8ms rwnd_limited:4ms(50.0%)`, rounded down.
    for (figure, name) in [
        (TcpMetric::BusyTime, "busy"),
        (TcpMetric::ReceiveWindowLimited, "rwnd_limited"),
        (TcpMetric::SendBufferLimited, "sndbuf_limited"),
    ] {
        let shown = word(line, name).map_or("0", |shown| shown.split("ms").next().unwrap_or(shown));
        let shown: u64 = shown.parse().unwrap();
        assert!(known(figure) / 1000 >= shown, "{name} in {line}");
    }
    // The usual reordering of 3 is left out there.
    let reordering = word(line, "reordering").unwrap_or("3");
    assert_eq!(known(TcpMetric::Reordering).to_string(), reordering, "{line}");
    let (rtt, variance) = word(line, "rtt").unwrap().split_once('/').unwrap();
    assert!(same_time(known(TcpMetric::Rtt), rtt), "{line}");
    assert!(same_time(known(TcpMetric::RttVariance), variance), "{line}");
    assert!(
        same_time(known(TcpMetric::MinRtt), word(line, "minrtt").unwrap()),
        "{line}"
    );
    assert!(same_time(known(TcpMetric::Rto), word(line, "rto").unwrap()), "{line}");
    let info = socket.extra().unwrap().tcp.as_ref().known().unwrap();
    let (sent, received) = word(line, "wscale").unwrap().split_once(',').unwrap();
    let scales = info.window_scales.known().unwrap();
    assert_eq!(
        (scales.0.to_string().as_str(), scales.1.to_string().as_str()),
        (sent, received)
    );
    let options = info.options.known().unwrap();
    let has = |word: &str| line.split_whitespace().any(|own| own == word);
    assert_eq!(
        (options.timestamps, options.sack, options.ecn),
        (has("ts"), has("sack"), has("ecn")),
        "{line}"
    );
    assert_eq!(info.app_limited, Fact::Known(has("app_limited")), "{line}");
    let congestion = socket.fact(|extra| extra.congestion).known().unwrap();
    assert!(has(std::str::from_utf8(congestion.as_bytes()).unwrap()), "{line}");
    // skmem:(r0,rb131072,t0,tb2626560,f0,w0,o0,bl0,d0)
    let memory = socket.fact(|extra| extra.memory).known().unwrap();
    let shown = format!(
        "skmem:(r{},rb{},t{},tb{},f{},w{},o{},bl{},d{})",
        memory.receive,
        memory.receive_limit,
        memory.transmit,
        memory.send_limit,
        memory.forward,
        memory.queued,
        memory.options,
        memory.backlog,
        memory.drops.unwrap()
    );
    assert!(has(&shown), "{shown} in {line}");
    let name = if socket.local().address.is_ipv4() {
        "tos"
    } else {
        "tclass"
    };
    if let Some(tos) = word(line, name) {
        let own = socket.fact(|extra| extra.tos).known().unwrap();
        // 0 stands without its mark there.
        assert_eq!(if own == 0 { "0".to_owned() } else { format!("{own:#x}") }, tos);
    }
    match socket.fact(|extra| extra.timer).known().unwrap() {
        timer if timer.kind == TimerKind::Off => assert!(!line.contains("timer:"), "{line}"),
        timer => assert!(
            line.contains(&format!("timer:({},", timer.kind.name())),
            "{timer:?} {line}"
        ),
    }
}

#[test]
fn extra_groups_not_asked_for_are_not_read() {
    own_namespace!();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (near, _far) = connection(&listener);
    let mut reader = SocketReader::new("/proc");
    assert!(of(&read(&mut reader, &every_kind()), &near).extra().is_none());
    for group in [Extras::BASIC, Extras::TCP, Extras::CONGESTION, Extras::MEMORY] {
        let list = read(&mut reader, &with(group));
        let extra = of(&list, &near).extra().unwrap().clone();
        let asked = |why: Option<Why>| why != Some(Why::NotAsked);
        for (own, asked) in [
            (Extras::BASIC, asked(extra.tos.why())),
            (Extras::BASIC, asked(extra.timer.why())),
            (Extras::TCP, asked(extra.tcp.why())),
            (Extras::TCP, asked(extra.upper_layer.why())),
            (Extras::CONGESTION, asked(extra.congestion.why())),
            (Extras::MEMORY, asked(extra.memory.why())),
        ] {
            assert_eq!(asked, own == group, "{own:?} when {group:?} was asked for: {extra:?}");
        }
    }
}

#[test]
fn facts_that_socket_cannot_have_are_not_applicable() {
    own_namespace!();
    let listener = TcpListener::bind("[::]:0").unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    // The side that closes first is left in TIME_WAIT.
    let port = listener.local_addr().unwrap().port();
    let first = TcpStream::connect(("::1", port)).unwrap();
    let (second, _) = listener.accept().unwrap();
    let port = first.local_addr().unwrap().port();
    drop(first);
    drop(second);
    let mut reader = SocketReader::new("/proc");
    let list = read(&mut reader, &with(Extras::ALL));
    let listening = of(&list, &listener);
    assert_eq!(listening.tcp(TcpMetric::Rtt), Fact::Unknown(Why::NotApplicable));
    assert_eq!(listening.fact(|extra| extra.v6_only), Fact::Known(false));
    assert!(listening.fact(|extra| extra.congestion).known().is_some());
    let datagram = of(&list, &udp);
    assert_eq!(datagram.tcp(TcpMetric::Rtt), Fact::Unknown(Why::NotApplicable));
    assert_eq!(datagram.fact(|extra| extra.timer), Fact::Unknown(Why::NotApplicable));
    assert_eq!(datagram.fact(|extra| extra.memory).known().unwrap().drops, Some(0));
    let ended = list
        .sockets
        .iter()
        .find(|socket| socket.local().port == port && socket.state() == State::TimeWait)
        .unwrap();
    assert_eq!(
        ended.fact(|extra| extra.timer).known().unwrap().kind,
        TimerKind::TimeWait
    );
    assert_eq!(ended.tcp(TcpMetric::Rtt), Fact::Unknown(Why::NotApplicable));
    assert_eq!(ended.fact(|extra| extra.memory), Fact::Unknown(Why::NotApplicable));
}

/// SO_MARK, socket(7).
fn mark(socket: &TcpStream, mark: u32) {
    let size = size_of::<u32>() as u32;
    // SAFETY: `mark` is `size` bytes that outlive the call.
    let set = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MARK,
            (&raw const mark).cast(),
            size,
        )
    };
    assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
}

#[test]
fn privileged_facts_without_net_admin_are_not_permitted() {
    own_namespace!();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (near, _far) = connection(&listener);
    mark(&near, 77);
    let mut reader = SocketReader::new("/proc");
    let list = read(&mut reader, &with(Extras::ALL));
    let socket = of(&list, &near);
    assert_eq!(socket.fact(|extra| extra.mark), Fact::Known(77));
    assert_eq!(socket.fact(|extra| extra.upper_layer), Fact::Known(UpperLayer::None));
    let list = without_net_admin(|| read(&mut SocketReader::new("/proc"), &with(Extras::ALL)));
    let socket = of(&list, &near);
    assert_eq!(socket.fact(|extra| extra.mark), Fact::Unknown(Why::NotPermitted));
    assert_eq!(socket.fact(|extra| extra.upper_layer), Fact::Unknown(Why::NotPermitted));
    assert!(socket.tcp(TcpMetric::Rtt).known().is_some());
}

#[test]
fn sockets_read_one_by_one_equal_those_of_list() {
    own_namespace!();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let near: Vec<_> = (0..20)
        .map(|_| std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap())
        .collect();
    let _udp = std::net::UdpSocket::bind("[::1]:0").unwrap();
    let ask = SocketAsk {
        tcp4: true,
        tcp6: true,
        udp4: true,
        udp6: true,
        tcp_states: State::ALL.to_vec(),
        extra: Extras::TCP,
        ..SocketAsk::default()
    };
    let sorted = |mut sockets: Vec<Socket>| {
        sockets.sort_by_key(Socket::cookie);
        sockets
    };
    for netlink in [true, false] {
        let work = || {
            let mut reader = SocketReader::new("/proc");
            let mut list = SocketList::default();
            reader.read(&ask, &mut list);
            let (whole, limits) = (std::mem::take(&mut list.sockets), list.limits.clone());
            let mut one_by_one = Vec::new();
            reader.each(&ask, &mut list, &mut |socket| one_by_one.push(socket));
            assert!(list.sockets.is_empty());
            assert_eq!(list.limits, limits);
            assert_eq!(one_by_one.len(), whole.len());
            if netlink {
                assert!(whole.len() > 2 * near.len());
                // Clocks of the connections have gone on.
                let plain = |socket: &Socket| (socket.cookie(), socket.local(), socket.foreign(), socket.state());
                let (whole, one_by_one) = (sorted(whole), sorted(one_by_one));
                assert!(whole.iter().map(plain).eq(one_by_one.iter().map(plain)));
                let rtt = |socket: &Socket| socket.tcp(TcpMetric::Rtt);
                assert!(whole.iter().map(rtt).eq(one_by_one.iter().map(rtt)));
            }
        };
        match netlink {
            true => work(),
            // Where it cannot be taken away, that is said.
            false => drop(without_netlink(work)),
        }
    }
}
