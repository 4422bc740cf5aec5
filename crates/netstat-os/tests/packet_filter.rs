//! What the rules of nftables are said to come to, and what they do to real connections from another network namespace.
#![cfg(target_os = "linux")]

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use netstat_model::packet_filter::{Arrival, Condition, FilterPath, FilterVerdict};
use netstat_os::{Firewall, Native};
use netstat_testkit::namespace::{in_network, tool};
use netstat_testkit::{have, own_namespace, skip};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};

const PORT: u16 = 2200;
const HERE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// The interface here that leads to the others.
const INTERFACE: &[u8] = b"near0";
/// Where the others come from.
const SENDERS: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 77, 0, 2), Ipv4Addr::new(10, 78, 0, 2)];

/// Another computer: a network namespace at the end of a cable.
struct Other(Child);

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(words: &str) {
    let mut words = words.split(' ');
    let done = tool(words.next().unwrap()).args(words).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

impl Other {
    fn connected() -> Other {
        let child = Command::new("unshare")
            .args(["--net", "cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let other = Other(child);
        let own = std::fs::read_link("/proc/thread-self/ns/net").unwrap();
        netstat_testkit::namespace::eventually(
            || std::fs::read_link(other.file()).is_ok_and(|theirs| theirs != own),
            || "the other namespace did not come up".to_owned(),
        );
        let pid = other.0.id();
        run(&format!("ip link add near0 type veth peer name far0 netns {pid}"));
        run("ip address add 10.77.0.1/24 dev near0");
        run("ip link set near0 up");
        run("ip route add 10.78.0.0/24 dev near0");
        in_network(&other.file(), || {
            run("ip address add 10.77.0.2/24 dev far0");
            run("ip address add 10.78.0.2/24 dev far0");
            run("ip link set far0 up");
        });
        other
    }

    fn file(&self) -> PathBuf {
        format!("/proc/{}/ns/net", self.0.id()).into()
    }

    /// Whether a connection from `sender` comes about. Who is expected to get through may take his time.
    fn reaches(&self, sender: Ipv4Addr, expected: bool) -> bool {
        in_network(&self.file(), || {
            let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::NONBLOCK, None).unwrap();
            bind(&socket, &SocketAddrV4::new(sender, 0)).unwrap();
            let _ = connect(&socket, &SocketAddrV4::new(HERE, PORT));
            let limit = Timespec {
                tv_sec: if expected { 10 } else { 0 },
                tv_nsec: 200_000_000,
            };
            let mut descriptors = [PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::OUT)];
            let answered = poll(&mut descriptors, Some(&limit)).unwrap() > 0;
            answered && rustix::net::sockopt::socket_error(&socket).is_ok_and(|error| error.is_ok())
        })
    }
}

/// Whether what is known of a packet from `sender` to the listening port fits; `None` when a condition is about something else.
fn fits(way: &FilterPath, sender: Ipv4Addr) -> Option<bool> {
    let mut all = true;
    for condition in way {
        all &= match condition {
            Condition::Sender(network, is) => network.contains(IpAddr::V4(sender)) == *is,
            Condition::Address(network, is) => network.contains(IpAddr::V4(HERE)) == *is,
            Condition::Interface(name, is) => (name == INTERFACE) == *is,
            Condition::Other(_) => return None,
        };
    }
    Some(all)
}

fn foretold(passage: &FilterVerdict, sender: Ipv4Addr) -> Option<bool> {
    let any = |ways: &[FilterPath]| {
        let fitting: Option<Vec<bool>> = ways.iter().map(|way| fits(way, sender)).collect();
        fitting.map(|fitting| fitting.contains(&true))
    };
    match passage {
        FilterVerdict::Everybody => Some(true),
        FilterVerdict::Nobody => Some(false),
        FilterVerdict::Only(ways) => any(ways),
        FilterVerdict::AllBut(ways) => any(ways).map(|any| !any),
        FilterVerdict::Depends(_) | FilterVerdict::Unknown(_) => None,
    }
}

/// Gives `rules` to the kernel in place of those before; why not, where it does not take them.
fn rules(rules: &str) -> Result<(), String> {
    let mut nft = tool("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A block within another ends with its line.
    let text = format!("flush ruleset\n{rules}\n").replace("} }", "}\n}");
    nft.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let done = nft.wait_with_output().unwrap();
    let why = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(!why.contains("syntax error"), "{text}\n{why}");
    if done.status.success() { Ok(()) } else { Err(why) }
}

/// Whether all filters may be read. The list of the older iptables' tables is the initial namespace's root's only.
fn all_readable(test: &str) -> bool {
    let readable = Native::default().packet_filter().iptables.why().is_none();
    if !readable {
        skip(
            test,
            "the tables of the older iptables may not be read in a user namespace",
        );
    }
    readable
}

/// A base chain on the way in.
fn input(policy: &str, rules: &str) -> String {
    format!("table inet t {{ chain in {{ type filter hook input priority 0; policy {policy}; {rules} }} }}")
}

#[test]
fn what_is_said_of_rules_is_what_they_do() {
    own_namespace!();
    if !have("nft") || !have("ip") || !have("unshare") {
        return;
    }
    if let Err(why) = rules(&input("accept", "")) {
        return skip("what_is_said_of_rules_is_what_they_do", &why);
    }
    if !all_readable("what_is_said_of_rules_is_what_they_do") {
        return;
    }
    let other = Other::connected();
    let _listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).unwrap();
    let arrival = Arrival {
        protocol: 6,
        port: PORT,
        address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    };
    let cases: Vec<(String, &str)> = vec![
        (String::new(), "everybody"),
        (input("accept", ""), "everybody"),
        (input("drop", ""), "nobody"),
        (input("drop", "tcp dport 2200 accept;"), "everybody"),
        (input("drop", "tcp dport 2201 accept;"), "nobody"),
        (input("drop", "udp dport 2200 accept;"), "nobody"),
        (input("drop", "tcp dport { 22, 2100-2300 } counter accept;"), "everybody"),
        (input("drop", "tcp dport { 22, 2201-2300 } accept;"), "nobody"),
        (input("drop", "tcp dport != { 22, 80 } accept;"), "everybody"),
        (input("accept", "tcp dport 2200 drop;"), "nobody"),
        (input("accept", "tcp dport 2200 reject with tcp reset;"), "nobody"),
        (input("accept", "tcp dport 1-2199 drop; tcp dport > 2300 drop; tcp dport != 2200 drop;"), "everybody"),
        (input("accept", "tcp dport >= 2200 drop;"), "nobody"),
        (input("drop", "iif lo accept; iifname \"lo\" accept; ct state established,related accept;"), "nobody"),
        (input("accept", "ct state invalid drop; ct state new tcp dport 2200 drop;"), "nobody"),
        (
            input("drop", "ct state vmap { established : accept, related : accept, invalid : drop }; tcp dport vmap { 80 : drop, 2200 : accept };"),
            "everybody",
        ),
        (
            input("drop", "tcp flags & (fin|syn|rst|ack) == syn ct state new tcp dport 2200 accept;"),
            "everybody",
        ),
        (input("drop", "meta nfproto ipv6 accept; meta l4proto udp accept;"), "nobody"),
        (input("drop", "meta l4proto { tcp, udp } th dport 2200 accept;"), "everybody"),
        (input("drop", "ip protocol tcp accept;"), "everybody"),
        ("table ip6 t { chain in { type filter hook input priority 0; policy drop; } }".into(), "everybody"),
        ("table ip t { chain in { type filter hook input priority 0; policy drop; } }".into(), "nobody"),
        (
            "table ip raw { chain pre { type filter hook prerouting priority -300; tcp dport 2200 drop; } }".into(),
            "nobody",
        ),
        (input("drop", "ip saddr 10.78.0.0/24 tcp dport 2200 accept;"), "only from 10.78.0.0/24"),
        (input("drop", "ip saddr 10.78.0.2 accept;"), "only from 10.78.0.2"),
        (input("drop", "ip saddr & 255.254.0.0 == 10.76.0.0 accept;"), "only from 10.76.0.0/15"),
        (input("accept", "ip saddr 10.77.0.0/16 tcp dport 2200 drop;"), "all but from 10.77.0.0/16"),
        (input("drop", "ip saddr != 10.77.0.0/16 accept;"), "only not from 10.77.0.0/16"),
        (input("drop", "iifname \"near0\" tcp dport 2200 accept;"), "only over near0"),
        (input("drop", "iifname != \"near0\" accept;"), "only not over near0"),
        (input("drop", "iifname \"near0\" ip saddr 10.78.0.0/24 accept;"), "only over near0 and from 10.78.0.0/24"),
        (input("drop", "ip daddr 10.77.0.1 tcp dport 2200 accept;"), "only to 10.77.0.1"),
        (input("drop", "ip daddr 10.77.0.9 accept;"), "only to 10.77.0.9"),
        (
            "table inet t { set good { type ipv4_addr; flags interval; elements = { 10.78.0.0/24 } }
             chain in { type filter hook input priority 0; policy drop; ip saddr @good accept; } }"
                .into(),
            "only from 10.78.0.0/24",
        ),
        (
            "table inet t { chain in { type filter hook input priority 0; policy drop; jump more; tcp dport 2200 drop; }
             chain more { tcp dport 2201 accept; ip protocol tcp goto last; accept; }
             chain last { tcp dport 2200 return; accept; } }"
                .into(),
            "nobody",
        ),
        (
            "table inet t { chain in { type filter hook input priority 0; policy drop; ip saddr 10.78.0.0/24 jump more; }
             chain more { tcp dport 2200 accept; } }"
                .into(),
            "only from 10.78.0.0/24",
        ),
        (
            "table inet a { chain in { type filter hook input priority 0; policy accept; ip saddr 10.77.0.0/24 drop; } }
             table inet b { chain in { type filter hook input priority 1; policy accept; ip saddr 10.78.0.0/24 drop; } }"
                .into(),
            "all but from 10.77.0.0/24, from 10.78.0.0/24",
        ),
        (
            "table inet a { chain in { type filter hook input priority 0; policy accept; } }
             table inet b { chain in { type filter hook input priority 1; policy drop; } }"
                .into(),
            "nobody",
        ),
        // These are not worked out to the end, and say so.
        (input("drop", "limit rate 1000/second accept;"), "only how many come (limit)"),
        (input("drop", "ip saddr { 10.78.0.2, 10.79.0.0/16 } accept;"), "only the sender's address"),
        (input("drop", "ip saddr . tcp dport { 10.78.0.2 . 2200 } accept;"), "only the sender's address"),
        (input("accept", "ip saddr 10.78.0.0/24 accept; ip saddr 10.0.0.0/8 drop;"), "depends on from 10.78.0.0/24, from 10.0.0.0/8"),
        (
            "table netdev t { chain in { type filter hook ingress device \"near0\" priority 0; policy drop; } }".into(),
            "all but the interface of an ingress chain",
        ),
    ];
    let mut not_taken = 0;
    for (text, expected) in &cases {
        if let Err(why) = rules(text) {
            skip(
                "what_is_said_of_rules_is_what_they_do",
                &format!("this kernel does not take {text:?}: {why}"),
            );
            not_taken += 1;
            continue;
        }
        let passage = Native::default().packet_filter().evaluate(arrival);
        assert_eq!(words(&passage), *expected, "{text}");
        for sender in SENDERS {
            if let Some(foretold) = foretold(&passage, sender) {
                assert_eq!(other.reaches(sender, foretold), foretold, "{sender} at {text}");
            }
        }
    }
    assert!(
        not_taken < cases.len() / 2,
        "{not_taken} of {} were not taken",
        cases.len()
    );
}

/// A passage in one line.
fn words(passage: &FilterVerdict) -> String {
    let list = |ways: &[FilterPath]| {
        let one = |way: &FilterPath| way.iter().map(Condition::to_string).collect::<Vec<_>>().join(" and ");
        ways.iter().map(one).collect::<Vec<_>>().join(", ")
    };
    match passage {
        FilterVerdict::Everybody => "everybody".to_owned(),
        FilterVerdict::Nobody => "nobody".to_owned(),
        FilterVerdict::Only(ways) => format!("only {}", list(ways)),
        FilterVerdict::AllBut(ways) => format!("all but {}", list(ways)),
        FilterVerdict::Depends(ways) => format!("depends on {}", list(ways)),
        FilterVerdict::Unknown(why) => format!("unknown: {why}"),
    }
}

/// The rules that the newer iptables makes, with its old matches handed on to the kernel.
#[test]
fn rules_of_iptables_are_read() {
    own_namespace!();
    if !have("iptables-nft") || !have("ip") || !have("unshare") {
        return;
    }
    let given = |words: &str| tool("iptables-nft").args(words.split(' ')).output().unwrap();
    let first = given("-P INPUT DROP");
    if !first.status.success() {
        return skip("rules_of_iptables_are_read", &String::from_utf8_lossy(&first.stderr));
    }
    if !all_readable("rules_of_iptables_are_read") {
        return;
    }
    let other = Other::connected();
    let _listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).unwrap();
    let arrival = Arrival {
        protocol: 6,
        port: PORT,
        address: IpAddr::V4(HERE),
    };
    let expect = |rule: &str, expected: &str| {
        if !rule.is_empty() {
            let done = given(rule);
            assert!(
                done.status.success(),
                "{rule}: {}",
                String::from_utf8_lossy(&done.stderr)
            );
        }
        let passage = Native::default().packet_filter().evaluate(arrival);
        assert_eq!(words(&passage), expected, "{rule}");
        for sender in SENDERS {
            if let Some(foretold) = foretold(&passage, sender) {
                assert_eq!(other.reaches(sender, foretold), foretold, "{sender} at {rule}");
            }
        }
    };
    expect("", "nobody");
    expect(
        "-A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
        "nobody",
    );
    expect("-A INPUT -i lo -j ACCEPT", "nobody");
    expect("-A INPUT -p udp --dport 2200 -j ACCEPT", "nobody");
    expect(
        "-A INPUT -p tcp --dport 2200 -s 10.78.0.0/24 -m comment --comment good -j ACCEPT",
        "only from 10.78.0.0/24",
    );
    expect(
        "-A INPUT -p tcp --dport 2200 -m conntrack --ctstate NEW -j ACCEPT",
        "everybody",
    );
    expect(
        "-I INPUT -m addrtype --dst-type LOCAL -s 10.77.0.0/24 -j REJECT",
        "all but from 10.77.0.0/24",
    );
}

#[test]
fn a_port_is_asked_for_by_its_own_family() {
    own_namespace!();
    if !have("nft") {
        return;
    }
    let both = "table inet t { chain in { type filter hook input priority 0; policy drop;
        ip saddr 10.0.0.0/8 accept; ip6 saddr fd00::/8 udp dport 53 accept;
        ip6 saddr { fd00:1::/32 } udp dport 53 accept; } }";
    if let Err(why) = rules(both) {
        return skip("a_port_is_asked_for_by_its_own_family", &why);
    }
    if !all_readable("a_port_is_asked_for_by_its_own_family") {
        return;
    }
    let filter = Native::default().packet_filter();
    let ask = |protocol, address: &str| {
        let address: SocketAddr = address.parse().unwrap();
        let (port, address) = (address.port(), address.ip());
        words(&filter.evaluate(Arrival {
            protocol,
            port,
            address,
        }))
    };
    assert_eq!(ask(17, "[::]:53"), "only from fd00::/8, from fd00:1::/32");
    assert_eq!(ask(6, "[::]:53"), "nobody");
    assert_eq!(ask(17, "0.0.0.0:53"), "only from 10.0.0.0/8");
    assert_eq!(ask(17, "[::ffff:192.0.2.1]:53"), "only from 10.0.0.0/8");
}
