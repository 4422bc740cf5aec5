//! Routes, addresses and interfaces of a network namespace made for the purpose, compared with `ip -json`.
#![cfg(target_os = "linux")]

mod namespace;
mod oracle;

use std::io::Write;
use std::process::{Command, Stdio};

use namespace::{inside, sh, works};
use netstat_model::route::{Route, RouteKind, TABLE_LOCAL, TABLE_MAIN, TableSelection};
use netstat_model::{Fact, Why};
use netstat_os::linux::routes::{addresses, interfaces, listing, own_addresses, routes};
use netstat_testkit::skip;

/// Two ends of a cable, both up, addresses on one.
const CABLE: &str = "
    ip link set lo up
    ip link add left type veth peer name right
    ip link set left up
    ip link set right up
    ip addr add 10.1.0.1/24 dev left
    ip addr add 10.1.0.9/24 dev left
    ip addr add 10.7.0.1 peer 10.7.0.2 dev left
";
/// Addresses at once usable, without duplicate address detection.
const CABLE_V6: &str = "ip addr add fd00:1::1/64 dev left nodad";

/// Lays the cable, or says what cannot be had.
fn cable(test: &str) -> bool {
    if !works("ip link add probe type veth peer name probed && ip link del probe") {
        skip(test, "this kernel has no veth interfaces");
        return false;
    }
    sh(CABLE);
    true
}

/// Whether IPv6 addresses can be had.
fn with_v6(test: &str) -> bool {
    let has = works(CABLE_V6);
    if !has {
        skip(test, "no IPv6 here");
    }
    has
}

fn both(selection: TableSelection) -> [Vec<Route>; 2] {
    let lists = routes(selection).unwrap();
    for list in &lists {
        assert_eq!(list.limits, []);
    }
    lists.map(|list| list.rows)
}

/// Compares every table, row for row. The kernel adds routes of its own a second after a link comes up (duplicate address
/// detection), so a comparison counts only if nothing changed around it.
fn agrees_with_ip() {
    let names = oracle::Names::of(&interfaces().unwrap().rows);
    for _ in 0..20 {
        let [v4, v6] = both(TableSelection::All);
        let theirs = ["-4", "-6"].map(|family| oracle::routes(&format!("ip -N -d -j {family} route show table all")));
        if both(TableSelection::All) != [v4.clone(), v6.clone()] {
            continue;
        }
        assert!(!v4.is_empty());
        assert_eq!([names.ours(&v4), names.ours(&v6)], theirs);
        return;
    }
    panic!("the routes of a namespace of its own never stand still");
}

#[test]
fn every_kind_of_route_agrees_with_ip() {
    let test = "every_kind_of_route_agrees_with_ip";
    inside(test, || {
        if !cable(test) {
            return;
        }
        sh("
            ip route add default via 10.1.0.2 metric 100
            ip route add 20.0.0.0/8 nexthop via 10.1.0.2 nexthop via 10.1.0.3 weight 256
            ip route add 31.0.0.0/8 dev right tos 0x10
            ip route add 32.0.0.0/8 via 10.1.0.4 proto static src 10.1.0.9 metric 5 mtu 1300
            ip route add 32.0.0.0/8 via 10.1.0.5 metric 4294967295
            ip route add 33.0.0.0/32 dev left scope link
            ip route add blackhole 50.0.0.0/8
            ip route add unreachable 51.0.0.0/8
            ip route add prohibit 52.0.0.0/8
            ip route add throw 53.0.0.0/8 table 100
            ip route add 54.0.0.0/8 via 10.1.0.3 table 4294967000
        ");
        if with_v6(test) {
            sh("
                ip route add 30.0.0.0/8 via inet6 fd00:1::9
                ip -6 route add default via fe80::99 dev left pref high
                ip -6 route add 2001:db8::/32 nexthop via fd00:1::3 nexthop via fd00:1::4 weight 3
                ip -6 route add 2001:db9::/32 via fd00:1::3 metric 7 proto static
                ip -6 route add unreachable 2001:dbc::/32
                ip -6 route add blackhole 2001:dbd::/32
                ip -6 route add 2001:dbe::/128 dev left table 100
            ");
            // Needs CONFIG_IPV6_SUBTREES.
            if !works("ip -6 route add 2001:dba::/32 from 2001:dbb::/48 via fd00:1::3") {
                skip(test, "this kernel has no source-specific routes");
            }
        }
        agrees_with_ip();

        let [v4, _] = both(TableSelection::default());
        assert!(v4.iter().all(|route| route.table == TABLE_MAIN));
        let kinds: Vec<RouteKind> = v4
            .iter()
            .filter(|r| r.kind != RouteKind::Unicast)
            .map(|r| r.kind)
            .collect();
        assert_eq!(
            kinds,
            [RouteKind::Blackhole, RouteKind::Unreachable, RouteKind::Prohibit]
        );
        let persistent: Vec<String> = v4
            .iter()
            .filter(|r| r.is_persistent())
            .map(|r| r.destination.address.to_string())
            .collect();
        assert_eq!(persistent, ["32.0.0.0"]);

        let [policy, _] = both(TableSelection::One(100));
        assert_eq!(policy.iter().map(|r| r.kind).collect::<Vec<_>>(), [RouteKind::Throw]);
        let [local, _] = both(TableSelection::One(TABLE_LOCAL));
        assert!(local.iter().any(|r| r.kind == RouteKind::Broadcast) && local.iter().all(|r| r.table == TABLE_LOCAL));
        assert_eq!(both(TableSelection::One(77)), [vec![], vec![]]);
    });
}

#[test]
fn next_hop_objects_are_followed() {
    let test = "next_hop_objects_are_followed";
    inside(test, || {
        if !cable(test) {
            return;
        }
        if !works("ip nexthop add id 5 via 10.1.0.7 dev left") {
            return skip(test, "no next-hop objects here");
        }
        sh("
            ip nexthop add id 6 via 10.1.0.8 dev left
            ip nexthop add id 7 group 5/6,2
            ip nexthop add id 8 blackhole
            ip route add 40.0.0.0/8 nhid 7
            ip route add 41.0.0.0/8 nhid 8
            ip route add 42.0.0.0/8 nhid 5
        ");
        agrees_with_ip();
        let [told, _] = both(TableSelection::default());
        if !works("echo 0 > /proc/sys/net/ipv4/nexthop_compat_mode") {
            return skip(test, "nexthop_compat_mode cannot be set here");
        }
        // Now the kernel names the object only; what is made of it must not differ, but for the loopback of the blackhole.
        let [terse, _] = both(TableSelection::default());
        assert_eq!(terse.len(), told.len());
        for (terse, told) in terse.iter().zip(&told) {
            assert_eq!((terse.kind, terse.destination), (told.kind, told.destination));
            if told.kind == RouteKind::Unicast {
                assert_eq!(terse.next_hops, told.next_hops);
            }
        }
    });
}

#[test]
fn ipv6_switched_off_is_empty_and_no_failure() {
    let test = "ipv6_switched_off_is_empty_and_no_failure";
    inside(test, || {
        sh("ip link set lo up");
        if !works("echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6") {
            return skip(test, "IPv6 cannot be switched off here");
        }
        let listing = listing(TableSelection::All);
        assert_eq!(listing.ipv6, Fact::Known(vec![]));
        assert!(listing.ipv4.known().is_some_and(|routes| !routes.is_empty()));
        assert_eq!(listing.limits, []);
    });
}

#[test]
fn interfaces_and_addresses_agree_with_ip() {
    let test = "interfaces_and_addresses_agree_with_ip";
    inside(test, || {
        if !cable(test) {
            return;
        }
        with_v6(test);
        sh("ip link set left mtu 1400");
        let before = interfaces().unwrap();
        assert_eq!(before.limits, []);
        assert_eq!(oracle::our_links(&before.rows), oracle::links());
        let addresses = addresses().unwrap();
        let mut ours: Vec<_> = addresses.rows.iter().map(oracle::our_address).collect();
        ours.sort();
        assert_eq!(ours, oracle::addresses());
        let own = own_addresses().unwrap();
        assert!(
            own.contains(&"10.7.0.1".parse().unwrap()),
            "own end of a point-to-point address"
        );
        assert!(!own.contains(&"10.7.0.2".parse().unwrap()), "the peer is not the host");

        // Last, because `ip` would print the escape as it is, which is no JSON.
        sh("ip link set left alias \"$(printf 'up\\033[1mlink')\"");
        let interfaces = interfaces().unwrap();
        let left = interfaces
            .rows
            .iter()
            .find(|interface| interface.name == b"left")
            .unwrap();
        assert_eq!(left.alias.as_deref(), Some(&b"up\x1b[1mlink"[..]));
        assert_eq!(left.kind.as_deref(), Some(&b"veth"[..]));
        assert!(!left.is_physical());
        assert!(interfaces.rows.last().unwrap().is_loopback());
    });
}

#[test]
fn a_hundred_thousand_routes() {
    const COUNT: u32 = 100_000;
    let test = "a_hundred_thousand_routes";
    inside(test, || {
        if !cable(test) {
            return;
        }
        let mut batch = Command::new("ip")
            .args(["-batch", "-"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = Vec::new();
        // Backwards, so that the order is not that of the making.
        for number in (0..COUNT).rev() {
            let [_, a, b, c] = number.to_be_bytes();
            writeln!(lines, "route add {}.{b}.{c}.0/24 via 10.1.0.2", 20 + u32::from(a)).unwrap();
        }
        batch.stdin.take().unwrap().write_all(&lines).unwrap();
        assert!(batch.wait().unwrap().success());

        let [v4, _] = both(TableSelection::default());
        let made: Vec<_> = v4
            .iter()
            .filter(|route| route.destination.length == 24 && !is_cable(route))
            .collect();
        assert_eq!(made.len() as u32, COUNT);
        assert!(
            made.windows(2)
                .all(|pair| pair[0].destination.address < pair[1].destination.address)
        );
    });
}

fn is_cable(route: &Route) -> bool {
    route.destination.address.to_string() == "10.1.0.0"
}

#[test]
fn without_netlink_every_part_says_why() {
    // In a process of its own: no descriptor is left for the socket.
    let test = "without_netlink_every_part_says_why";
    inside(test, || {
        let used = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
        let limits = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        let none_left = rustix::process::Rlimit {
            current: Some(0),
            ..limits
        };
        assert!(used > 0);
        rustix::process::setrlimit(rustix::process::Resource::Nofile, none_left).unwrap();
        let listing = listing(TableSelection::default());
        rustix::process::setrlimit(rustix::process::Resource::Nofile, limits).unwrap();
        assert_eq!(listing.interfaces, Fact::Unknown(Why::Failed));
        assert_eq!(listing.ipv4, Fact::Unknown(Why::Failed));
        assert_eq!(listing.ipv6, Fact::Unknown(Why::Failed));
        assert_eq!(listing.limits.len(), 1);
        assert_eq!(listing.limits[0].what, "interfaces and routes are missing");
        assert!(
            listing.limits[0].why.contains("Too many open files"),
            "{}",
            listing.limits[0].why
        );
    });
}
