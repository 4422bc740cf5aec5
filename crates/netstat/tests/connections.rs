//! The connection list compared with sockets created for the test, with `ss`, and with `/proc/net`.
#![cfg(target_os = "linux")]

use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6, TcpListener, TcpStream, UdpSocket};

use netstat_testkit::listing::{self, HEADING, Line};
use netstat_testkit::oracle::{self, End, Row, TcpState};
use netstat_testkit::peer::Family;
use netstat_testkit::states::AllStates;
use netstat_testkit::{Netstat, actors, have, kernel_has, netlink, own_namespace};

fn netstat() -> Netstat {
    Netstat::new(env!("CARGO_BIN_EXE_netstat"))
}

/// Returns the list for these arguments; stderr must be empty.
#[track_caller]
fn list(words: &[&str]) -> Vec<Line> {
    let outcome = netstat().run(words);
    let lines = listing::list(outcome.success());
    assert_eq!(outcome.stderr, "", "{words:?}");
    lines
}

#[track_caller]
fn rows(words: &[&str]) -> Vec<Row> {
    listing::rows(&list(words))
}

fn bound_state_is_reported() -> bool {
    kernel_has("a look at ports that are only bound", 6, 8)
}

fn only(rows: &[Row], keep: impl Fn(&Row) -> bool) -> Vec<Row> {
    rows.iter().copied().filter(keep).collect()
}

#[test]
fn list_shows_every_state_of_both_families_in_order() {
    own_namespace!();
    let v4 = AllStates::make(Family::V4).unwrap();
    let v6 = AllStates::make(Family::V6).unwrap();
    let made = [v4.rows(), v6.rows()].concat();
    let connections = |row: &Row| row.state != Some(TcpState::Listening) && row.state != Some(TcpState::Bound);
    assert_eq!(rows(&["-an"]), only(&made, |row| row.state != Some(TcpState::Bound)));
    assert_eq!(rows(&["-n"]), only(&made, connections));
    if bound_state_is_reported() {
        assert_eq!(rows(&["-qn"]), made);
        assert_eq!(rows(&["-anq"]), made);
        assert_eq!(rows(&["-nq", "-p", "TCP"]), v4.rows());
        assert_eq!(rows(&["-nq", "-p", "TCPv6"]), v6.rows());
    }
}

#[test]
fn list_agrees_with_ss_and_proc_row_for_row() {
    own_namespace!();
    let _v4 = AllStates::make(Family::V4).unwrap();
    let _v6 = AllStates::make(Family::V6).unwrap();
    let _load = actors::connections(150).unwrap();
    let _twins = (
        actors::reuseport_twins(Family::V4).unwrap(),
        actors::reuseport_twins(Family::V6).unwrap(),
    );
    let _mapped = actors::mapped().unwrap();
    let _udp = actors::udp_sockets().unwrap();
    let shown = rows(&["-an"]);
    assert!(shown.len() > 330, "{}", shown.len());
    assert!(shown.is_sorted(), "{shown:#?}");
    assert_eq!(shown, oracle::rows(&oracle::proc_net()));
    if have("ss") {
        assert_eq!(
            shown,
            only(&oracle::rows(&oracle::ss()), |row| row.state != Some(TcpState::Bound))
        );
    }
}

#[test]
fn list_is_ordered_by_number_not_by_text() {
    own_namespace!();
    let at = |address: &str| TcpListener::bind(address).unwrap();
    let _kept = [
        "127.0.0.10:80",
        "127.0.0.9:9000",
        "127.0.0.9:443",
        "127.0.0.9:1024",
        "127.0.0.100:80",
    ]
    .map(at);
    let locals: Vec<String> = rows(&["-an"]).iter().map(|row| row.local.to_string()).collect();
    assert_eq!(
        locals,
        [
            "127.0.0.9:443",
            "127.0.0.9:1024",
            "127.0.0.9:9000",
            "127.0.0.10:80",
            "127.0.0.100:80"
        ]
    );
}

#[test]
fn list_columns_have_the_classic_positions() {
    own_namespace!();
    let listener = TcpListener::bind("127.0.0.1:80").unwrap();
    let caller = TcpStream::connect("127.0.0.1:80").unwrap();
    let port = caller.local_addr().unwrap().port();
    let outcome = netstat().run(["-an"]);
    let expected = format!(
        "{HEADING}\n{}\n{}\n{}\n",
        "  TCP    127.0.0.1:80           0.0.0.0:0              LISTENING",
        format_args!(
            "  TCP    127.0.0.1:80           {:<21}  ESTABLISHED",
            format!("127.0.0.1:{port}")
        ),
        format_args!(
            "  TCP    {:<21}  127.0.0.1:80           ESTABLISHED",
            format!("127.0.0.1:{port}")
        ),
    );
    assert_eq!(outcome.success(), expected);
    for (words, title) in [("-ano", "PID"), ("-and", "DSCP"), ("-ani", "Time in State (ms)")] {
        let outcome = netstat().run([words]);
        let heading = outcome.success().lines().nth(3).unwrap();
        assert_eq!(heading.find(title), Some(71), "{words}: {heading}");
        assert_eq!(heading.len(), 71 + title.len(), "{words}: {heading}");
        for row in outcome.success().lines().skip(4) {
            assert!(
                row.as_bytes()[70] == b' ' && row.as_bytes()[71] != b' ',
                "{words}: {row}"
            );
        }
    }
    drop(listener);
}

#[test]
fn list_long_address_is_never_cut() {
    own_namespace!();
    let long: Ipv6Addr = "2001:db8:1111:2222:3333:4444:5555:6666".parse().unwrap();
    netlink::add_address(netlink::LOOPBACK, long.into(), 128).unwrap();
    let _listener = TcpListener::bind((long, 65_000)).unwrap();
    let udp = UdpSocket::bind((long, 65_001)).unwrap();
    udp.connect((long, 65_002)).unwrap();
    let outcome = netstat().run(["-an"]);
    let shown: Vec<&str> = outcome.success().lines().skip(4).map(str::trim_end).collect();
    assert_eq!(
        shown,
        [
            "  TCP    [2001:db8:1111:2222:3333:4444:5555:6666]:65000  [::]:0                 LISTENING",
            "  UDP    [2001:db8:1111:2222:3333:4444:5555:6666]:65001  [2001:db8:1111:2222:3333:4444:5555:6666]:65002",
        ]
    );
}

#[test]
fn udp_socket_shows_a_peer_only_if_connected() {
    own_namespace!();
    let sockets = actors::udp_sockets().unwrap();
    let _tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let shown = rows(&["-an"]);
    for socket in &sockets {
        let local = End::from(socket.local_addr().unwrap());
        let foreign = socket.peer_addr().map_or(End::none(local.address), End::from);
        let wanted = Row {
            udp: true,
            v6: local.address.is_ipv6(),
            local,
            foreign,
            state: None,
        };
        assert_eq!(
            shown.iter().filter(|row| **row == wanted).count(),
            1,
            "{wanted:?} in {shown:#?}"
        );
    }
    assert_eq!(shown.len(), 5);
    let text = netstat().run(["-an"]);
    assert_eq!(text.success().matches("*:*").count(), 2);
    // Without -a there are no UDP sockets, unless UDP is named.
    assert_eq!(rows(&["-n"]), []);
    let udp = |v6: bool| only(&shown, |row| row.udp && row.v6 == v6);
    assert_eq!(rows(&["-n", "-p", "udp"]), udp(false));
    assert_eq!(rows(&["-an", "-p", "UDPv6"]), udp(true));
}

#[test]
fn sockets_sharing_a_port_are_two_rows() {
    own_namespace!();
    for family in [Family::V4, Family::V6] {
        let twins = actors::reuseport_twins(family).unwrap();
        let at = End::from(twins[0].local_addr().unwrap());
        let shown = rows(&["-an"]);
        assert_eq!(shown.len(), 2);
        assert_eq!(shown[0], shown[1]);
        assert_eq!(shown[0].local, at);
    }
}

#[test]
fn mapped_addresses_are_listed_among_ipv6() {
    own_namespace!();
    let (listener, caller, accepted) = actors::mapped().unwrap();
    let port = listener.local_addr().unwrap().port();
    let shown = rows(&["-an"]);
    assert_eq!(shown.len(), 3);
    assert_eq!(shown[0].local, End::from(caller.local_addr().unwrap()));
    assert!(!shown[0].v6);
    assert_eq!(shown[1].local.to_string(), format!("[::]:{port}"));
    assert_eq!(shown[2].local, End::from(accepted.local_addr().unwrap()));
    assert_eq!(shown[2].foreign, End::from(accepted.peer_addr().unwrap()));
    let outcome = netstat().run(["-an"]);
    assert!(
        outcome.success().contains(&format!("[::ffff:127.0.0.1]:{port}")),
        "{}",
        outcome.stdout
    );
    assert_eq!(rows(&["-an", "-p", "tcpv6"]).len(), 2);
}

#[test]
fn link_local_addresses_show_their_interface() {
    own_namespace!();
    netlink::veth("left", "right").unwrap();
    for (name, address) in [("left", "fe80::1:1"), ("right", "fe80::2:2")] {
        let index = netlink::index_of(name).unwrap();
        netlink::link_up(index, true).unwrap();
        netlink::add_address(index, address.parse().unwrap(), 64).unwrap();
    }
    let scope = netlink::index_of("left").unwrap();
    assert_ne!(scope, netlink::LOOPBACK);
    let at = |port: u16| SocketAddr::V6(SocketAddrV6::new("fe80::1:1".parse().unwrap(), port, 0, scope));
    let _udp = UdpSocket::bind(at(1900)).unwrap();
    let listener = TcpListener::bind(at(4000)).unwrap();
    let caller = TcpStream::connect(at(4000)).unwrap();
    let (_accepted, _) = listener.accept().unwrap();
    let shown = rows(&["-an"]);
    let caller = End::from(caller.local_addr().unwrap());
    let tcp = |local: End, foreign: End, state| Row {
        udp: false,
        v6: true,
        local,
        foreign,
        state: Some(state),
    };
    let mut expected = vec![
        tcp(at(4000).into(), End::none(caller.address), TcpState::Listening),
        tcp(at(4000).into(), caller, TcpState::Established),
        tcp(caller, at(4000).into(), TcpState::Established),
        Row {
            udp: true,
            v6: true,
            local: at(1900).into(),
            foreign: End::none(caller.address),
            state: None,
        },
    ];
    expected.sort();
    expected
        .iter()
        .for_each(|row| assert!(row.local.scope == scope || row.foreign.scope == scope));
    assert_eq!(shown, expected);
    let text = netstat().run(["-an", "-p", "UDPv6"]);
    assert!(
        text.success().contains(&format!("  UDP    [fe80::1:1%{scope}]:1900")),
        "{}",
        text.stdout
    );
}

#[test]
fn linux_switches_choose_the_rows_they_do_on_linux() {
    own_namespace!();
    let _v4 = AllStates::make(Family::V4).unwrap();
    let _v6 = AllStates::make(Family::V6).unwrap();
    let _udp = actors::udp_sockets().unwrap();
    let all = rows(&["-an"]);
    assert_eq!(rows(&["-tan"]), only(&all, |row| !row.udp));
    assert_eq!(rows(&["-uan"]), only(&all, |row| row.udp));
    assert_eq!(rows(&["-tuan"]), all);
    assert_eq!(
        rows(&["-tln"]),
        only(&all, |row| row.state == Some(TcpState::Listening))
    );
    let outcome = netstat().run(["-tulpn"]);
    let text = outcome.success();
    let heading = text.lines().nth(3).unwrap();
    assert!(heading.ends_with("PID/Program"), "{heading}");
    let lines = listing::list(text);
    let pid = std::process::id();
    let own = lines.iter().filter(|line| {
        line.extra
            .first()
            .is_some_and(|owner| owner.starts_with(&format!("{pid}/")))
    });
    let listening = only(&all, |row| row.state == Some(TcpState::Listening)).len();
    assert!(own.count() >= listening, "{text}");
}

#[test]
fn dscp_column_shows_code_point_of_outgoing_packets() {
    own_namespace!();
    let v4 = UdpSocket::bind("127.0.0.1:0").unwrap();
    let v6 = TcpListener::bind("[::1]:0").unwrap();
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    // Expedited forwarding (RFC 3246) is code point 46, AF41 (RFC 2597) is 34; both are above the two ECN bits.
    netstat_testkit::actors::set_tos(&v4, 46 << 2).unwrap();
    netstat_testkit::actors::set_traffic_class(&v6, 34 << 2).unwrap();
    let shown = list(&["-and"]);
    let dscp = |address: SocketAddr| {
        let line = shown.iter().find(|line| line.row.local == address.into()).unwrap();
        line.extra.concat()
    };
    assert_eq!(dscp(plain.local_addr().unwrap()), "0");
    assert_eq!(dscp(v6.local_addr().unwrap()), "34");
    // The kernel reports the TOS of UDP sockets like that of TCP sockets.
    assert_eq!(dscp(v4.local_addr().unwrap()), "46");
}

#[test]
fn time_in_state_column_is_a_number_or_unknown() {
    own_namespace!();
    let _made = AllStates::make(Family::V4).unwrap();
    let outcome = netstat().run(["-ani"]);
    for line in listing::list(outcome.success()) {
        let time = line.extra.concat();
        // Everything here is younger than a minute, the maximum duration of a test.
        assert!(
            time == "-" || time.parse::<u64>().is_ok_and(|ms| ms < 60_000),
            "{line:?}"
        );
    }
    // The reason why a column is empty is reported exactly once.
    assert_eq!(
        outcome.stdout.contains(" -\n"),
        outcome.stderr.lines().count() == 1,
        "{}",
        outcome.stderr
    );
}

#[test]
fn list_without_sockets_shows_the_heading_alone() {
    own_namespace!();
    let outcome = netstat().run(["-an"]);
    assert_eq!(outcome.success(), format!("{HEADING}\n"));
    assert_eq!(outcome.stderr, "");
}
