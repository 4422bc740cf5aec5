//! Counters against known traffic, in network namespaces of their own.
//!
//! Each test runs itself again below `unshare`: as root in a new network namespace, as a user in a new user namespace as
//! well. Where that or a tool is not to be had, the test says so on stderr and passes.
#![cfg(target_os = "linux")]

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};

use netstat_model::Fact;
use netstat_model::counters::{
    Block, BlockSet, InterfaceCounters, InterfaceMetric, InterfaceStatistics, Metric, ProtocolStatistics,
};
use netstat_os::linux::counters::{Wanted, interface_statistics, protocol_statistics};
use netstat_testkit::skip;

const INSIDE: &str = "NETSTAT_TEST_INSIDE_NAMESPACE";

/// Runs the test `name` of this file in a namespace. True inside; outside it has run and succeeded, or was skipped.
fn inside_namespace(name: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let flags = if rustix::process::geteuid().is_root() {
        "-n"
    } else {
        "-Urn"
    };
    let works = Command::new("unshare")
        .args([flags, "ip", "link", "set", "lo", "up"])
        .stderr(Stdio::null())
        .status();
    if !works.is_ok_and(|status| status.success()) {
        skip(
            name,
            &format!("`unshare {flags}` or `ip` is not permitted or not installed here"),
        );
        return false;
    }
    let this = std::env::current_exe().unwrap();
    let status = Command::new("unshare")
        .arg(flags)
        .arg(this)
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .status()
        .unwrap();
    assert!(status.success(), "{name} failed inside its namespace");
    false
}

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status().unwrap();
    assert!(status.success(), "ip {arguments}");
}

fn protocols() -> ProtocolStatistics {
    let (statistics, limits) = protocol_statistics(
        Path::new("/proc"),
        Wanted {
            blocks: BlockSet::ALL,
            further: true,
        },
    );
    assert_eq!(limits, []);
    statistics
}

fn interfaces() -> InterfaceStatistics {
    let (statistics, limits) = interface_statistics(Path::new("/proc"));
    assert_eq!(limits, []);
    statistics
}

/// What was added to a classic row between two readings: received (or the only value), sent.
fn added(before: &ProtocolStatistics, after: &ProtocolStatistics, block: Block, id: &str) -> (u64, u64) {
    let (before, after) = (before.get(block, id).unwrap(), after.get(block, id).unwrap());
    let minus = |before: Fact<u64>, after: Fact<u64>| after.known().unwrap() - before.known().unwrap();
    let sent = if after.sent.why().is_none() {
        minus(before.sent, after.sent)
    } else {
        0
    };
    (minus(before.received, after.received), sent)
}

const TO_OPEN_PORT: u64 = 23;
/// Below the kernel's limit of ICMP errors at once (net.ipv4.icmp_msgs_burst is 50).
const TO_CLOSED_PORT: u64 = 7;
const CONNECTIONS: u64 = 11;
const REFUSED: u64 = 3;

/// Datagrams to an open and to a closed port, connections taken and refused.
fn traffic(host: std::net::IpAddr) {
    let any = SocketAddr::new(host, 0);
    let open = UdpSocket::bind(any).unwrap();
    let sender = UdpSocket::bind(any).unwrap();
    for _ in 0..TO_OPEN_PORT {
        sender.send_to(b"datagram", open.local_addr().unwrap()).unwrap();
    }
    // Linux counts a datagram as received when the program takes it.
    for _ in 0..TO_OPEN_PORT {
        open.recv_from(&mut [0; 16]).unwrap();
    }
    let closed = open.local_addr().unwrap();
    drop(open);
    for _ in 0..TO_CLOSED_PORT {
        sender.send_to(b"datagram", closed).unwrap();
    }
    let listener = TcpListener::bind(any).unwrap();
    for _ in 0..CONNECTIONS {
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        drop((client, server));
    }
    let closed = listener.local_addr().unwrap();
    drop(listener);
    for _ in 0..REFUSED {
        assert_eq!(
            TcpStream::connect(closed).unwrap_err().kind(),
            ErrorKind::ConnectionRefused
        );
    }
}

#[test]
fn known_traffic_over_ipv4_is_counted() {
    if !inside_namespace("known_traffic_over_ipv4_is_counted") {
        return;
    }
    ip("link set lo up");
    let before = protocols();
    traffic(Ipv4Addr::LOCALHOST.into());
    let after = protocols();
    let added = |block, id| added(&before, &after, block, id);
    assert_eq!(added(Block::Udpv4, "datagrams_received").0, TO_OPEN_PORT);
    assert_eq!(added(Block::Udpv4, "datagrams_sent").0, TO_OPEN_PORT + TO_CLOSED_PORT);
    assert_eq!(added(Block::Udpv4, "no_ports").0, TO_CLOSED_PORT);
    assert_eq!(added(Block::Udpv4, "receive_errors").0, 0);
    assert_eq!(added(Block::Icmpv4, "messages"), (TO_CLOSED_PORT, TO_CLOSED_PORT));
    assert_eq!(
        added(Block::Icmpv4, "destination_unreachable"),
        (TO_CLOSED_PORT, TO_CLOSED_PORT)
    );
    assert_eq!(added(Block::Icmpv4, "echos"), (0, 0));
    assert_eq!(added(Block::Tcpv4, "active_opens").0, CONNECTIONS + REFUSED);
    assert_eq!(added(Block::Tcpv4, "passive_opens").0, CONNECTIONS);
    assert_eq!(added(Block::Tcpv4, "failed_connection_attempts").0, REFUSED);
    let packets = added(Block::Ipv4, "packets_received").0;
    assert_eq!(packets, added(Block::Ipv4, "received_packets_delivered").0);
    assert_eq!(packets, added(Block::Ipv4, "output_requests").0);
    let tcp = added(Block::Tcpv4, "segments_received").0;
    assert_eq!(packets, tcp + TO_OPEN_PORT + 2 * TO_CLOSED_PORT);
    assert_eq!(added(Block::Udpv6, "datagrams_sent").0, 0);

    // A thread that has entered another namespace sees that one's counters.
    let elsewhere = std::thread::spawn(|| {
        // SAFETY: only the network namespace of this thread changes; no memory or descriptor table is unshared.
        unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) }.unwrap();
        protocols()
    });
    let elsewhere = elsewhere.join().unwrap();
    assert_eq!(
        elsewhere.get(Block::Udpv4, "datagrams_sent").unwrap().received,
        Fact::Known(0)
    );
    assert_eq!(
        interfaces().sum().get(InterfaceMetric::Bytes).received,
        Fact::Known(0),
        "loopback is left out"
    );
}

#[test]
fn known_traffic_over_ipv6_is_counted() {
    if !inside_namespace("known_traffic_over_ipv6_is_counted") {
        return;
    }
    ip("link set lo up");
    if UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        return skip("known_traffic_over_ipv6_is_counted", "there is no IPv6 here");
    }
    let before = protocols();
    traffic(Ipv6Addr::LOCALHOST.into());
    let after = protocols();
    let added = |block, id| added(&before, &after, block, id);
    assert_eq!(added(Block::Udpv6, "datagrams_received").0, TO_OPEN_PORT);
    assert_eq!(added(Block::Udpv6, "datagrams_sent").0, TO_OPEN_PORT + TO_CLOSED_PORT);
    assert_eq!(added(Block::Udpv6, "no_ports").0, TO_CLOSED_PORT);
    assert_eq!(
        added(Block::Icmpv6, "destination_unreachable"),
        (TO_CLOSED_PORT, TO_CLOSED_PORT)
    );
    // Both families together.
    assert_eq!(added(Block::Tcpv4, "active_opens").0, CONNECTIONS + REFUSED);
    assert_eq!(added(Block::Tcpv4, "passive_opens").0, CONNECTIONS);
    assert_eq!(added(Block::Udpv4, "datagrams_sent").0, 0);
    assert!(added(Block::Ipv6, "packets_received").0 >= TO_OPEN_PORT + 2 * TO_CLOSED_PORT);
}

/// Every counter that nstat(8) knows, each read between two readings of ours.
#[test]
fn all_counters_agree_with_nstat() {
    if !inside_namespace("all_counters_agree_with_nstat") {
        return;
    }
    ip("link set lo up");
    traffic(Ipv4Addr::LOCALHOST.into());
    let before = named(&protocols());
    let history = tempfile::tempdir().unwrap();
    let nstat = Command::new("nstat")
        .args(["--ignore", "--noupdate", "--zeros"])
        .env("NSTAT_HISTORY", history.path().join("history"))
        .output();
    let output = match nstat {
        Ok(output) if output.status.success() => String::from_utf8(output.stdout).unwrap(),
        other => {
            return skip(
                "all_counters_agree_with_nstat",
                &format!("nstat did not run: {other:?}"),
            );
        }
    };
    let after = named(&protocols());
    let mut compared = 0;
    for line in output.lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split_whitespace();
        let (Some(name), Some(value)) = (words.next(), words.next()) else {
            panic!("nstat wrote {line:?}")
        };
        let value: u64 = value.parse().unwrap();
        let (low, high) = (before.get(name), after.get(name));
        match (low.or(high), high) {
            // A message type may be seen for the first time in between.
            (Some(&first), Some(&last)) => {
                let first = if low.is_some() { first } else { 0 };
                assert!((first..=last).contains(&value), "{name}: {first} <= {value} <= {last}");
                compared += 1;
            }
            // nstat makes up names of its own for files we do not read (sctp, softnet).
            _ => assert!(
                !["Ip", "Icmp", "Tcp", "Udp"].iter().any(|group| name.starts_with(group)),
                "{name} is missing"
            ),
        }
    }
    assert!(compared > 200, "only {compared} counters compared");
    eprintln!("{compared} counters agree with nstat");
}

/// Counters under nstat's names: group and name in one word.
fn named(statistics: &ProtocolStatistics) -> HashMap<String, u64> {
    let mut named = HashMap::new();
    for group in &statistics.groups {
        for counter in &group.counters {
            if let Fact::Known(Metric::Counter(value)) = counter.value {
                named.insert(format!("{}{}", group.name, counter.name), value);
            } else if let Fact::Known(Metric::Gauge(value @ 0..)) = counter.value {
                named.insert(format!("{}{}", group.name, counter.name), value.cast_unsigned());
            }
        }
    }
    named
}

#[test]
fn interfaces_agree_with_ip_and_with_what_was_sent() {
    if !inside_namespace("interfaces_agree_with_ip_and_with_what_was_sent") {
        return;
    }
    ip("link set lo up");
    // Without IPv6 nothing but the test sends.
    let quiet = std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1").is_ok();
    if !Command::new("ip")
        .args("link add va type veth peer name vb".split(' '))
        .status()
        .unwrap()
        .success()
    {
        return skip(
            "interfaces_agree_with_ip_and_with_what_was_sent",
            "no veth pair can be made here",
        );
    }
    ip("link set va up");
    ip("link set vb up");
    ip("addr add 10.99.0.1/24 dev va");
    ip("neigh add 10.99.0.2 lladdr 02:00:00:00:00:02 dev va nud permanent");
    let before = interfaces();
    let socket = UdpSocket::bind("10.99.0.1:0").unwrap();
    for _ in 0..20 {
        socket.send_to(&[7; 100], "10.99.0.2:9").unwrap();
    }
    // Over loopback, which must not be counted.
    UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .send_to(&[7; 1000], "127.0.0.1:9")
        .unwrap();
    let after = interfaces();
    let added = |name: &str, figure| {
        let (before, after) = (
            of(&before, name).traffic.get(figure),
            of(&after, name).traffic.get(figure),
        );
        let minus = |a: Fact<u64>, b: Fact<u64>| b.known().unwrap() - a.known().unwrap();
        (minus(before.received, after.received), minus(before.sent, after.sent))
    };
    if quiet {
        // Ethernet, IPv4 and UDP headers: 14, 20 and 8 bytes.
        assert_eq!(added("va", InterfaceMetric::Bytes), (0, 20 * 142));
        assert_eq!(added("vb", InterfaceMetric::Bytes), (20 * 142, 0));
        assert_eq!(added("va", InterfaceMetric::AllPackets), (0, 20));
        let bytes =
            |statistics: &InterfaceStatistics| statistics.sum().get(InterfaceMetric::Bytes).sent.known().unwrap();
        assert_eq!(bytes(&after) - bytes(&before), 20 * 142);
    }
    assert_eq!(of(&after, "lo").loopback, Fact::Known(true));
    assert!(matches!(of(&after, "va").mac, Fact::Known(_)));

    let json = Command::new("ip").args(["-s", "-s", "-j", "link"]).output().unwrap();
    let json = String::from_utf8(json.stdout).unwrap();
    let last = interfaces();
    for name in ["lo", "va", "vb"] {
        for (figure, key) in [
            (InterfaceMetric::Bytes, "bytes"),
            (InterfaceMetric::AllPackets, "packets"),
            (InterfaceMetric::Errors, "errors"),
        ] {
            let (low, high) = (
                of(&after, name).traffic.get(figure),
                of(&last, name).traffic.get(figure),
            );
            let (received, sent) = (json_number(&json, name, "rx", key), json_number(&json, name, "tx", key));
            assert!(
                (low.received.known()..=high.received.known()).contains(&Some(received)),
                "{name} {key} {received}"
            );
            assert!(
                (low.sent.known()..=high.sent.known()).contains(&Some(sent)),
                "{name} {key} {sent}"
            );
        }
    }
}

fn of<'a>(statistics: &'a InterfaceStatistics, name: &str) -> &'a InterfaceCounters {
    let Fact::Known(interfaces) = &statistics.interfaces else {
        panic!("interfaces are readable")
    };
    interfaces
        .iter()
        .find(|interface| *interface.name == *name.as_bytes())
        .unwrap()
}

/// The number `key` of `"rx":{...}` or `"tx":{...}` of the link `name` in the output of `ip -s -j link`.
fn json_number(json: &str, name: &str, way: &str, key: &str) -> u64 {
    let after = |text: &'static str, from: &str, what: &str| -> usize {
        from.find(what).unwrap_or_else(|| panic!("no {what} in {text}")) + what.len()
    };
    let link = &json[after("ip's output", json, &format!("\"ifname\":\"{name}\""))..];
    let way = &link[after("the link", link, &format!("\"{way}\":{{"))..];
    let number = &way[after("the counters", way, &format!("\"{key}\":"))..];
    number
        .split(|c: char| !c.is_ascii_digit())
        .next()
        .unwrap()
        .parse()
        .unwrap()
}
