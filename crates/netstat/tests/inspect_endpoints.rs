//! What `netstat inspect` finds for an endpoint, and what it reports about sockets with problems, with real sockets on
//! real interfaces.
#![cfg(target_os = "linux")]

use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use netstat_testkit::actors::Actor;
use netstat_testkit::namespace::{eventually, have, tool};
use netstat_testkit::{Needs, Netstat, Outcome, own_namespace, skip};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, ipproto, listen, socket_with, sockopt};
use serde_json::Value;

fn netstat(words: &[&str]) -> Outcome {
    Netstat::new(env!("CARGO_BIN_EXE_netstat")).run(words)
}

fn inspect(words: &[&str]) -> Outcome {
    netstat(&[&["inspect", "--sample", "0"], words].concat())
}

fn cards(words: &[&str]) -> Vec<Value> {
    let outcome = inspect(&[&["--json"], words].concat());
    let document: Value = serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {outcome:#?}"));
    document["cards"].as_array().unwrap().clone()
}

/// Returns the process ids of the cards for a target.
fn pids(words: &[&str]) -> Vec<u64> {
    cards(words)
        .iter()
        .map(|card| card["process"]["pid"].as_u64().unwrap_or(0))
        .collect()
}

fn ip(words: &str) -> bool {
    tool("ip").args(words.split(' ')).status().unwrap().success()
}

/// Creates a veth pair with these names, up and without duplicate address detection; returns whether that succeeded.
fn link(name: &str, other: &str) -> bool {
    have("ip")
        && ip(&format!("link add {name} type veth peer name {other}"))
        && ip(&format!("link set {name} up"))
        && ip(&format!("link set {other} up"))
}

/// Returns a TCP socket that is not inherited by programs started later.
fn stream(family: AddressFamily) -> OwnedFd {
    socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, Some(ipproto::TCP)).unwrap()
}

/// Returns a listener on `[::]` that accepts IPv4, too, unless `only`.
fn wildcard_v6(only: bool) -> TcpListener {
    let made = stream(AddressFamily::INET6);
    sockopt::set_ipv6_v6only(&made, only).unwrap();
    bind(&made, &SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0)).unwrap();
    listen(&made, 5).unwrap();
    made.into()
}

#[test]
fn endpoint_finds_the_wildcard_listener_that_answers_there() {
    own_namespace!(Needs::PROCESSES);
    let (v4, dual, v6) = (
        TcpListener::bind("0.0.0.0:0").unwrap(),
        wildcard_v6(false),
        wildcard_v6(true),
    );
    let [v4_port, dual_port, v6_port] = [&v4, &dual, &v6].map(|one| one.local_addr().unwrap().port());
    let specific = TcpListener::bind(("127.0.0.9", dual_port));
    let dual_takes_v4 = specific.is_err();
    assert!(
        dual_takes_v4,
        "the kernel itself says that [::]:{dual_port} has the port of IPv4, too"
    );
    let holders = [v4, dual, v6].map(|socket| Actor::named("server").hold(socket));
    let [v4, dual, v6] = holders.each_ref().map(|holder| u64::from(holder.pid()));
    for (target, expected) in [
        (format!("127.0.0.1:{v4_port}"), vec![v4]),
        (format!("127.8.8.8:{v4_port}"), vec![v4]),
        (format!("localhost:{v4_port}"), vec![v4]),
        (format!("http://localhost:{v4_port}/x"), vec![v4]),
        (format!("[::1]:{v4_port}"), vec![]),
        (format!("127.0.0.1:{dual_port}"), vec![dual]),
        (format!("0.0.0.0:{dual_port}"), vec![dual]),
        (format!("[::1]:{dual_port}"), vec![dual]),
        (format!("[::ffff:127.0.0.1]:{dual_port}"), vec![dual]),
        (format!("127.0.0.1:{v6_port}"), vec![]),
        (format!("[::1]:{v6_port}"), vec![v6]),
    ] {
        let connected = |address: &str| TcpStream::connect(address).is_ok();
        if target.starts_with(['1', '[']) && !target.contains("ffff") {
            assert_eq!(connected(&target), !expected.is_empty(), "{target}");
        }
        let outcome = inspect(&[&target]);
        let status = outcome.status.code();
        assert_eq!(status, Some(i32::from(expected.is_empty())), "{target} {outcome:#?}");
        if !expected.is_empty() {
            // Closed connections without a process may follow.
            assert_eq!(pids(&[&target])[..1], expected, "{target}");
        }
    }
    // If nothing answers, the only listener on the port is shown, and a note says so.
    let outcome = inspect(&[&format!("127.0.0.1:{v6_port}")]);
    assert!(outcome.stdout.starts_with("server ["), "{outcome:#?}");
    assert!(
        outcome.stderr.contains(&format!(
            "port {v6_port} is served at [::]:{v6_port} only: shown instead"
        )),
        "{outcome:#?}"
    );
    // The two kinds of IPv6 wildcard listeners are shown differently.
    let text = |port: u16| inspect(&[&format!("tcp:{port}")]).stdout;
    assert!(text(dual_port).contains(&format!("TCP [::]:{dual_port}  LISTENING  IPv4 and IPv6")));
    assert!(text(v6_port).contains(&format!("TCP [::]:{v6_port}  LISTENING  IPv6 only")));
}

#[test]
fn pasted_lines_of_listings_find_their_sockets() {
    own_namespace!(Needs::PROCESSES);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let client = TcpStream::connect(at).unwrap();
    let from = client.local_addr().unwrap();
    let (accepted, _) = listener.accept().unwrap();
    let server = Actor::named("server").hold(listener);
    let worker = Actor::named("worker").hold(accepted);
    let caller = Actor::named("caller").hold(client);
    let [server, worker, caller] = [server.pid(), worker.pid(), caller.pid()].map(u64::from);
    let mut connection = vec![worker, caller];
    connection.sort_unstable();
    let sorted = |words: &[&str]| {
        let mut found = pids(words);
        found.sort_unstable();
        found
    };
    let listing = netstat(&["-an", "-p", "tcp"]).stdout;
    let line = |word: &str| listing.lines().find(|line| line.contains(word)).unwrap().to_owned();
    // The listener comes first, followed by what is connected there.
    assert_eq!(pids(&[&line("LISTENING")])[0], server);
    assert_eq!(sorted(&[&line("ESTABLISHED")]), connection);
    // A shell splits a line that was not quoted.
    let split = line("LISTENING");
    assert_eq!(pids(&split.split_whitespace().collect::<Vec<_>>())[0], server);
    assert_eq!(sorted(&[&format!("{from}->{at}")]), connection);
    if have("ss") {
        let ss = String::from_utf8(tool("ss").arg("-tanH").output().unwrap().stdout).unwrap();
        let line = |word: &str| ss.lines().find(|line| line.starts_with(word)).unwrap().to_owned();
        assert_eq!(pids(&[&line("LISTEN")])[0], server, "{ss}");
        assert_eq!(sorted(&[&line("ESTAB")]), connection, "{ss}");
    }
    assert_eq!(pids(&[&at.to_string()])[0], server);
}

#[test]
fn equal_link_local_addresses_are_distinguished_by_zone() {
    own_namespace!(Needs::PROCESSES);
    if !link("lan0", "lan0p") || !link("lan1", "lan1p") {
        skip("zones of link-local addresses", "no veth links here");
        return;
    }
    let held = ["lan0", "lan1"].map(|name| {
        assert!(ip(&format!("-6 address add fe80::1/64 dev {name} nodad")));
        let index = netstat_testkit::netlink::index_of(name).unwrap();
        let address = std::net::SocketAddrV6::new("fe80::1".parse().unwrap(), 9090, 0, index);
        let holder = Actor::named("server").hold(TcpListener::bind(address).unwrap());
        (name, index, holder)
    });
    for (name, index, holder) in &held {
        let pid = u64::from(holder.pid());
        for target in [
            format!("[fe80::1%{name}]:9090"),
            format!("[fe80::1%{index}]:9090"),
            format!("[fe80::1]%{name}:9090"),
            format!("fe80::1%{name}"),
            format!("{name}:9090"),
            (*name).to_owned(),
        ] {
            assert_eq!(pids(&[&target]), [pid], "{target}");
        }
        let text = inspect(&[&format!("pid:{pid}")]).stdout;
        assert!(
            text.contains(&format!("TCP [fe80::1%{name}]:9090  LISTENING")),
            "{text}"
        );
        assert!(text.contains(&format!("from fe80::/64 ({name})")), "{text}");
        // The output of a list is accepted as a target.
        let listing = netstat(&["-ano", "--port", "9090"]).stdout;
        let row = listing.lines().find(|line| line.ends_with(&pid.to_string())).unwrap();
        let local = row.split_whitespace().nth(1).unwrap();
        assert_eq!(pids(&[local]), [pid], "{local}");
        for local in [
            local.to_owned(),
            format!("[fe80::1%{name}]:9090"),
            format!("fe80::1%{name}"),
        ] {
            let chosen = netstat(&["-ano", "--local", &local]);
            let rows: Vec<&str> = chosen.success().lines().filter(|line| line.contains("TCP")).collect();
            assert_eq!(rows, [row], "{local}");
        }
    }
    let outcome = netstat(&["-an", "--local", "fe80::1%nosuch"]);
    assert!(outcome.refusal().contains("nosuch"), "{outcome:#?}");
}

#[test]
fn sockets_on_one_port_are_distinguished_by_bound_device() {
    own_namespace!(Needs::PROCESSES);
    if !link("t0", "t0p") || !link("t1", "t1p") {
        skip("sockets bound to a device", "no veth links here");
        return;
    }
    assert!(ip("address add 192.168.70.1/24 dev t0") && ip("address add 203.0.113.1/24 dev t1"));
    let made = ["t0", "t1"].map(|device| {
        let made = stream(AddressFamily::INET);
        sockopt::set_socket_reuseaddr(&made, true).unwrap();
        netstat_testkit::netlink::bind_to_device(&made, device).unwrap();
        bind(&made, &"0.0.0.0:8090".parse::<SocketAddr>().unwrap()).unwrap();
        listen(&made, 5).unwrap();
        Actor::named("tenant").hold(TcpListener::from(made))
    });
    let [one, two] = made.each_ref().map(|holder| u64::from(holder.pid()));
    assert_eq!(pids(&["192.168.70.1:8090"]), [one]);
    assert_eq!(pids(&["203.0.113.1:8090"]), [two]);
    assert_eq!(pids(&["0.0.0.0%t1:8090"]), [two]);
    let text = inspect(&[&format!("pid:{one}")]).stdout;
    assert!(text.contains("TCP 0.0.0.0%t0:8090  LISTENING"), "{text}");
    assert!(text.contains("from 192.168.70.0/24 (t0) (bound to t0)"), "{text}");
    let reach = |pid: u64| cards(&[&format!("pid:{pid}")])[0]["reach"][0]["from"].clone();
    assert_eq!((reach(one), reach(two)), ("networks".into(), "anywhere".into()));
    let listing = netstat(&["-an"]).stdout;
    for device in ["t0", "t1"] {
        assert!(
            listing.contains(&format!("  TCP    0.0.0.0%{device}:8090")),
            "{listing}"
        );
    }
    assert!(ip("link set t1 down"));
    let text = inspect(&[&format!("pid:{two}")]).stdout;
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        text.contains("problem nobody reaches it: the interface t1 that it is bound to is down"),
        "{text}"
    );
}

#[test]
fn listener_with_full_accept_queue_says_so_in_first_card() {
    own_namespace!(Needs::PROCESSES);
    let made = stream(AddressFamily::INET);
    bind(&made, &"127.0.0.1:0".parse::<SocketAddr>().unwrap()).unwrap();
    listen(&made, 3).unwrap();
    let listener = TcpListener::from(made);
    let at = listener.local_addr().unwrap();
    let clients: Vec<_> = (0..12)
        .map(|_| {
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            let client = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).unwrap();
            let _ = connect(&client, &at);
            client
        })
        .collect();
    let server = Actor::named("server").hold(listener);
    let callers: Vec<_> = clients
        .into_iter()
        .map(|client| Actor::named("caller").hold(client))
        .collect();
    let port = at.port().to_string();
    eventually(
        || {
            inspect(&[&format!("tcp:{port}")])
                .stdout
                .contains("the accept queue is full")
        },
        || inspect(&[&format!("tcp:{port}")]).stdout,
    );
    let text = inspect(&[&format!("tcp:{port}")]).stdout;
    assert!(text.starts_with(&format!("server [{}]", server.pid())), "{text}");
    let first = text.split("\n\n").next().unwrap();
    let first = first.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(first.contains(&format!("listens TCP {at} LISTENING")), "{first}");
    assert!(
        first.contains("problem the accept queue is full: 4 connections wait to be accepted, the limit is 3"),
        "{first}"
    );
    let card = &cards(&[&format!("tcp:{port}")])[0];
    assert!(
        card["sockets"][0]["problems"][0].as_str().unwrap().contains("is full"),
        "{card}"
    );
    drop(callers);
}

#[test]
fn listener_whose_address_is_gone_is_reported_unreachable() {
    own_namespace!(Needs::PROCESSES);
    if !link("near", "far") {
        skip("an address that goes", "no veth links here");
        return;
    }
    assert!(ip("address add 192.168.77.5/24 dev near"));
    let listener = TcpListener::bind("192.168.77.5:0").unwrap();
    let at = listener.local_addr().unwrap();
    let server = Actor::named("server").hold(listener);
    let problems = |target: &str| cards(&[target])[0]["sockets"][0]["problems"].clone();
    assert_eq!(problems(&at.to_string()), serde_json::json!([]));
    assert!(ip("address del 192.168.77.5/24 dev near"));
    assert_eq!(
        problems(&at.to_string()),
        serde_json::json!(["nobody reaches it: no interface has the address 192.168.77.5"])
    );
    drop(server);
}

#[test]
fn unknown_name_with_one_similar_name_shows_that_one() {
    own_namespace!(Needs::PROCESSES);
    let holder = Actor::named("cachemaster").hold(TcpListener::bind("127.0.0.1:0").unwrap());
    let outcome = inspect(&["cachem"]);
    assert_eq!(outcome.status.code(), Some(1));
    assert!(
        outcome.stdout.starts_with(&format!("cachemaster [{}]", holder.pid())),
        "{outcome:#?}"
    );
    assert!(
        outcome
            .stderr
            .contains("the only similar name is cachemaster: shown instead"),
        "{outcome:#?}"
    );
    let other = Actor::named("cachemirror").hold(TcpListener::bind("127.0.0.1:0").unwrap());
    let outcome = inspect(&["cachem"]);
    assert_eq!(
        (outcome.status.code(), outcome.stdout.as_str()),
        (Some(1), ""),
        "{outcome:#?}"
    );
    assert!(
        outcome.stderr.contains("near: cachemaster, cachemirror"),
        "{outcome:#?}"
    );
    drop(other);
}
