//! Statistics and routes after known traffic and with known routes, in a separate network namespace.
#![cfg(target_os = "linux")]

use std::net::{TcpListener, TcpStream, UdpSocket};

use netstat_testkit::namespace::tool;
use netstat_testkit::peer::{DEVICE, Family, Peer};
use netstat_testkit::{Netstat, actors, eventually, have, netlink, own_namespace};

fn netstat() -> Netstat {
    Netstat::new(env!("CARGO_BIN_EXE_netstat"))
}

/// Returns the lines of the block with this title, without title, blank lines and indentation.
#[track_caller]
fn block<'a>(text: &'a str, title: &str) -> Vec<&'a str> {
    let mut lines = text.lines().skip_while(|line| *line != title);
    assert!(lines.next().is_some(), "{title} in\n{text}");
    assert_eq!(lines.next(), Some(""), "a blank line after {title}");
    lines.take_while(|line| !line.is_empty()).collect()
}

/// Returns what follows ` = ` after `label`.
#[track_caller]
fn figure(lines: &[&str], label: &str) -> String {
    let find = |line: &&str| {
        line.split_once(" = ")
            .filter(|(name, _)| name.trim() == label)
            .map(|(_, value)| value.to_owned())
    };
    lines
        .iter()
        .find_map(find)
        .unwrap_or_else(|| panic!("{label} in {lines:#?}"))
}

#[test]
fn statistics_count_datagrams_one_by_one() {
    own_namespace!();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    let receiver = UdpSocket::bind("127.0.0.1:7000").unwrap();
    for _ in 0..5 {
        sender.send_to(b"kept", "127.0.0.1:7000").unwrap();
        receiver.recv(&mut [0; 8]).unwrap();
    }
    for _ in 0..3 {
        sender.send_to(b"lost", "127.0.0.1:7001").unwrap();
    }
    let outcome = netstat().run(["-s"]);
    let text = outcome.success();
    assert_eq!(
        block(text, "UDP Statistics for IPv4"),
        [
            "  Datagrams Received    = 5",
            "  No Ports              = 3",
            "  Receive Errors        = 0",
            "  Datagrams Sent        = 8",
        ]
    );
    assert_eq!(
        figure(&block(text, "UDP Statistics for IPv6"), "Datagrams Received"),
        "0"
    );
    // Each datagram to a closed port is answered by one message, sent and received here.
    let icmp = block(text, "ICMPv4 Statistics");
    assert_eq!(
        &icmp[..4],
        [
            "                            Received    Sent",
            "  Messages                  3           3",
            "  Errors                    0           0",
            "  Destination Unreachable   3           3",
        ]
    );
    let ip = block(text, "IPv4 Statistics");
    assert_eq!(ip[0], "  Packets Received                   = 11");
    assert_eq!(figure(&ip, "Output Requests"), "11");
}

#[test]
fn statistics_count_connections_by_family() {
    own_namespace!();
    let _v4 = actors::connections(3).unwrap();
    let listener = TcpListener::bind("[::1]:0").unwrap();
    let _v6 = (
        TcpStream::connect(listener.local_addr().unwrap()).unwrap(),
        listener.accept().unwrap(),
    );
    let outcome = netstat().run(["-s"]);
    let text = outcome.success();
    let both = block(text, "TCP Statistics");
    // Both ends of each connection are here.
    assert_eq!(figure(&both, "Current Connections"), "6");
    assert_eq!(figure(&both, "Active Opens"), "4");
    assert_eq!(figure(&both, "Passive Opens"), "4");
    assert_eq!(figure(&both, "Failed Connection Attempts"), "0");
    let v6 = block(text, "TCP Statistics for IPv6");
    assert_eq!(figure(&v6, "Current Connections"), "2");
    assert_eq!(figure(&v6, "Segments Sent"), "-");
    // A refused connection.
    drop(listener);
    assert!(TcpStream::connect("127.0.0.1:9").is_err());
    let again = netstat().run(["-s", "-p", "tcp"]);
    assert_eq!(
        figure(&block(again.success(), "TCP Statistics"), "Failed Connection Attempts"),
        "1"
    );
}

#[test]
fn statistics_of_a_protocol_print_its_block_and_connections() {
    own_namespace!();
    let _listener = TcpListener::bind("127.0.0.1:80").unwrap();
    let titles = |words: &[&str]| {
        let outcome = netstat().run(words);
        let titles = outcome
            .success()
            .lines()
            .filter(|line| line.contains("Statistics") || line.starts_with("Active"));
        titles.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(
        titles(&["-s", "-p", "udp", "-n"]),
        ["UDP Statistics for IPv4", "Active Connections"]
    );
    assert_eq!(
        titles(&["-s", "-p", "udpv6", "-n"]),
        ["UDP Statistics for IPv6", "Active Connections"]
    );
    assert_eq!(
        titles(&["-s", "-p", "tcp", "-n"]),
        ["TCP Statistics", "Active Connections"]
    );
    assert_eq!(titles(&["-s", "-p", "ip"]), ["IPv4 Statistics"]);
    assert_eq!(titles(&["-sp", "ICMPv6"]), ["ICMPv6 Statistics"]);
    assert_eq!(titles(&["-an", "-e", "-s"]).first().unwrap(), "Interface Statistics");
    assert_eq!(titles(&["-an", "-e", "-s"]).last().unwrap(), "Active Connections");
    assert_eq!(titles(&["-s"]).len(), 8);
}

/// Returns the totals of all interfaces except loopback in `/proc/net/dev`: received bytes and packets, sent bytes and
/// packets.
fn device_sums() -> [u64; 4] {
    let text = std::fs::read_to_string("/proc/self/net/dev").unwrap();
    let mut sums = [0; 4];
    for line in text
        .lines()
        .skip(2)
        .filter(|line| !line.trim_start().starts_with("lo:"))
    {
        let figures: Vec<u64> = line
            .split_once(':')
            .unwrap()
            .1
            .split_whitespace()
            .map(|f| f.parse().unwrap())
            .collect();
        for (sum, at) in sums.iter_mut().zip([0, 1, 8, 9]) {
            *sum += figures[at];
        }
    }
    sums
}

#[test]
fn interface_statistics_sum_without_loopback() {
    own_namespace!();
    let _peer = Peer::new(Family::V4).unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.send_to(&[0; 500], "127.0.0.1:9").unwrap();
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    for _ in 0..100 {
        socket.send_to(&[0; 1000], (Family::V4.far(1), 9)).unwrap();
    }
    // New interfaces send IPv6 packets occasionally, so compare only if there were none in between.
    let mut text = String::new();
    eventually(
        || {
            let before = device_sums();
            text = netstat().run(["-e"]).success().to_owned();
            before == device_sums()
        },
        || "no quiet moment".into(),
    );
    let [received, packets_in, sent, packets_out] = device_sums();
    assert!(sent >= 100 * 1028 && packets_out >= 100, "{sent} {packets_out}");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        &lines[..4],
        [
            "Interface Statistics",
            "",
            "                           Received            Sent",
            ""
        ]
    );
    assert_eq!(lines[4], format!("{:<20} {received:>14} {sent:>15}", "Bytes"));
    let row = |label: &str| {
        let line = lines.iter().find(|line| line.starts_with(label));
        let words = line.unwrap_or_else(|| panic!("{label} in\n{text}")).split_whitespace();
        let mut figures = words.rev().map(|word| word.parse::<u64>().ok());
        let (sent, received) = (figures.next().unwrap(), figures.next().unwrap());
        [received, sent]
    };
    let (unicast, other) = (row("Unicast packets"), row("Non-unicast packets"));
    for (at, packets) in [packets_in, packets_out].into_iter().enumerate() {
        // Not every device counts its multicast packets separately; otherwise the total of all packets is shown.
        match unicast[at].zip(other[at]) {
            Some((unicast, other)) => assert_eq!(unicast + other, packets, "{text}"),
            None => assert_eq!(row("Packets of all kinds")[at], Some(packets), "{text}"),
        }
    }
}

#[test]
fn routes_are_printed_in_the_classic_columns() {
    own_namespace!();
    if !have("ip") {
        return;
    }
    let _peer = Peer::new(Family::V4).unwrap();
    let index = netlink::index_of(DEVICE).unwrap();
    netlink::add_address(index, "203.0.113.7".parse().unwrap(), 25).unwrap();
    for words in [
        "route add default via 203.0.113.1 metric 30",
        "route add 10.0.0.0/8 via 203.0.113.2 metric 7 proto static",
        "route add 10.9.0.0/16 dev near0 metric 4000000000",
        "-6 route add 2001:db8:77::/48 via fe80::9 dev near0 metric 5",
        "-6 route add 2001:db8:1111:2222:3333:4444:5555:6666/128 via fe80::9 dev near0 metric 6",
    ] {
        let output = tool("ip").args(words.split(' ')).output().unwrap();
        assert!(
            output.status.success(),
            "ip {words}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let outcome = netstat().run(["-r"]);
    let text = outcome.success();
    for row in [
        "Network Destination        Netmask          Gateway       Interface  Metric",
        "          0.0.0.0          0.0.0.0      203.0.113.1      203.0.113.7     30",
        "         10.0.0.0        255.0.0.0      203.0.113.2      203.0.113.7      7",
        "      203.0.113.0  255.255.255.128          On-link      203.0.113.7      0",
        " If Metric Network Destination      Gateway",
        &format!("{index:>3}      5 2001:db8:77::/48         fe80::9"),
    ] {
        assert!(text.lines().any(|line| line == row), "{row}\nin\n{text}");
    }
    // Too wide for its column: shifted, not cut.
    assert!(
        text.lines().any(
            |line| line.starts_with("         10.9.0.0      255.255.0.0          On-link")
                && line.ends_with("4000000000")
        ),
        "{text}"
    );
    // Too wide for its place: the gateway is on the next line.
    let long = format!("{index:>3}      6 2001:db8:1111:2222:3333:4444:5555:6666/128");
    let mut lines = text.lines().skip_while(|line| *line != long);
    assert!(lines.next().is_some(), "{long}\nin\n{text}");
    assert_eq!(lines.next(), Some("                                    fe80::9"));
    let rule = "=".repeat(75);
    assert_eq!(text.lines().next(), Some(rule.as_str()));
    // Persistent routes are those that an administrator's program has marked as static.
    let (_, persistent) = text.split_once("Persistent Routes:").unwrap();
    assert!(
        persistent
            .lines()
            .take_while(|line| *line != rule)
            .any(|line| line.contains("10.0.0.0")),
        "{text}"
    );
    assert_eq!(outcome.stderr, "");
}
