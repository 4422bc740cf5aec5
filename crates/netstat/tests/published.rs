//! Who can reach a port: ports that the packet filter forwards, VRFs and local routes, all real, verified by a
//! connection from outside, and then compared with the list and `inspect`.
#![cfg(target_os = "linux")]

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use netstat_testkit::actors::Actor;
use netstat_testkit::namespace::{eventually, have, in_network, tool};
use netstat_testkit::{Needs, Netstat, Outcome, own_namespace, skip};
use serde_json::Value;

fn netstat(words: &[&str]) -> Outcome {
    Netstat::new(env!("CARGO_BIN_EXE_netstat")).run(words)
}

fn ip(words: &str) -> bool {
    tool("ip").args(words.split(' ')).status().unwrap().success()
}

/// A network namespace that lives as long as a process in it.
struct Space(Child);

impl Space {
    fn new() -> Space {
        let child = Command::new("unshare").args(["--net", "sleep", "600"]).spawn().unwrap();
        let space = Space(child);
        let own = fs::read_link("/proc/self/ns/net").unwrap();
        eventually(
            || {
                let exe = fs::read_link(format!("/proc/{}/exe", space.0.id())).unwrap_or_default();
                exe.ends_with("sleep") && fs::read_link(space.file()).is_ok_and(|other| other != own)
            },
            || "the namespace did not come up".to_owned(),
        );
        space
    }

    fn file(&self) -> PathBuf {
        format!("/proc/{}/ns/net", self.0.id()).into()
    }

    fn ip(&self, words: &str) -> bool {
        let pid = self.0.id().to_string();
        let mut nsenter = Command::new("nsenter");
        nsenter.args(["-t", &pid, "-n", "ip"]).args(words.split(' '));
        nsenter.status().unwrap().success()
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Sets up this computer between a stranger (198.51.100.2) and a container (172.31.0.2); `None` if that is not
/// possible.
fn between() -> Option<(Space, Space)> {
    if !(have("ip") && have("nft") && have("nsenter") && have("unshare")) {
        skip("published ports", "needs ip, nft, nsenter and unshare");
        return None;
    }
    let (stranger, container) = (Space::new(), Space::new());
    let (outside, inside) = (stranger.0.id(), container.0.id());
    if !ip(&format!("link add ext type veth peer name eth0 netns {outside}"))
        || !ip(&format!("link add br0 type veth peer name eth0 netns {inside}"))
    {
        skip("published ports", "no veth links here");
        return None;
    }
    for (own, mask, other, space) in [
        ("ext", "198.51.100.1/24", "198.51.100.2/24", &stranger),
        ("br0", "172.31.0.1/24", "172.31.0.2/24", &container),
    ] {
        assert!(ip(&format!("link set {own} up")) && ip(&format!("address add {mask} dev {own}")));
        assert!(space.ip("link set lo up") && space.ip("link set eth0 up"));
        assert!(space.ip(&format!("address add {other} dev eth0")));
    }
    assert!(container.ip("route add default via 172.31.0.1"));
    if fs::write("/proc/sys/net/ipv4/ip_forward", "1").is_err() {
        skip("published ports", "forwarding cannot be switched on here");
        return None;
    }
    Some((stranger, container))
}

fn nft(rules: &str) -> bool {
    let mut child = tool("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), rules.as_bytes()).unwrap();
    child.wait().unwrap().success()
}

/// Whether the stranger can connect to this address.
fn connects(stranger: &Space, to: &str) -> bool {
    let to: SocketAddr = to.parse().unwrap();
    in_network(&stranger.file(), || {
        TcpStream::connect_timeout(&to, Duration::from_secs(3)).is_ok()
    })
}

fn published() -> Vec<Value> {
    let outcome = netstat(&["--exposed", "-n", "--json"]);
    let document: Value = serde_json::from_str(outcome.success()).unwrap();
    let path = format!("{}/../../docs/schema/netstat.sockets.json", env!("CARGO_MANIFEST_DIR"));
    let schema: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let validator = jsonschema::options()
        .should_validate_formats(true)
        .build(&schema)
        .unwrap();
    let errors: Vec<String> = validator
        .iter_errors(&document)
        .map(|error| error.to_string())
        .collect();
    assert_eq!(errors, [""; 0], "{document:#}");
    document["published"].as_array().unwrap().clone()
}

#[test]
fn port_handed_on_by_dnat_is_exposed_with_its_container() {
    own_namespace!(Needs::PROCESSES);
    let Some((stranger, container)) = between() else { return };
    let listener = in_network(&container.file(), || TcpListener::bind("0.0.0.0:80").unwrap());
    let server = Actor::named("webserver").hold(listener);
    assert!(!connects(&stranger, "198.51.100.1:18089"));
    assert_eq!(published(), [Value::Null; 0]);
    assert!(nft(
        "table ip nat { chain pre { type nat hook prerouting priority -100; tcp dport 18089 dnat to 172.31.0.2:80; }; }"
    ));
    assert!(connects(&stranger, "198.51.100.1:18089"));
    let rows = published();
    assert_eq!(rows.len(), 1, "{rows:#?}");
    assert_eq!(
        (&rows[0]["protocol"], &rows[0]["first_port"], &rows[0]["last_port"]),
        (&"TCP".into(), &18089.into(), &18089.into())
    );
    assert_eq!(
        (&rows[0]["to_address"], &rows[0]["to_port"]),
        (&"172.31.0.2".into(), &80.into())
    );
    assert_eq!(rows[0]["served_by"][0]["pid"], server.pid());
    assert_eq!(rows[0]["served_by"][0]["program"], "webserver");
    let text = netstat(&["--exposed", "-n"]).stdout;
    let row = text.lines().find(|line| line.contains("18089")).unwrap();
    assert!(
        row.starts_with(&format!(
            "  TCP    0.0.0.0:18089          172.31.0.2:80          webserver [{}] in ",
            server.pid()
        )),
        "{text}"
    );
    // Filters apply to published ports as they do to sockets.
    for (filter, shown) in [
        (["--port", "18089"], true),
        (["--port", "80"], false),
        (["--program", "webserver"], true),
        (["--program", "other"], false),
        (["-p", "udp"], false),
    ] {
        let text = netstat(&[&["--exposed", "-n"][..], &filter].concat()).stdout;
        assert_eq!(text.contains("18089"), shown, "{filter:?} {text}");
    }
    for target in ["18089", "tcp:18089", "198.51.100.1:18089"] {
        let outcome = netstat(&["inspect", "--sample", "0", target]);
        assert_eq!(outcome.status.code(), Some(0), "{outcome:#?}");
        let text = outcome.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            text.contains(&format!(
                "published TCP 0.0.0.0:18089 is handed on to 172.31.0.2:80 (NAT), served by webserver [{}]",
                server.pid()
            )),
            "{target} {text}"
        );
        assert!(
            text.contains("published by NAT at TCP 0.0.0.0:18089"),
            "{target} {text}"
        );
    }
    let outcome = netstat(&["inspect", "--sample", "0", "udp:18089"]);
    assert_eq!(outcome.status.code(), Some(1), "{outcome:#?}");
    // Restrictions by filters on the path are reported.
    assert!(nft(
        "table inet guard { chain way { type filter hook forward priority 0; policy drop; ip saddr 10.0.0.0/8 accept; }; }"
    ));
    assert!(!connects(&stranger, "198.51.100.1:18089"));
    let outcome = netstat(&["--exposed", "-n"]);
    if outcome
        .stderr
        .contains("whether the older iptables is in use cannot be read")
    {
        assert!(outcome.stdout.contains("cannot be told"), "{outcome:#?}");
        skip(
            "packet filters in front of published ports",
            "the tables of the older iptables may not be read in a user namespace",
        );
        return;
    }
    assert!(
        outcome
            .stdout
            .contains("packet filters let in only what comes from 10.0.0.0/8"),
        "{outcome:#?}"
    );
}

#[test]
fn nat_ranges_maps_and_redirections_are_followed() {
    own_namespace!(Needs::PROCESSES);
    let Some((stranger, _container)) = between() else {
        return;
    };
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = Actor::named("local").hold(listener);
    let rules = format!(
        "table ip nat {{
            map ports {{ type inet_service : ipv4_addr; elements = {{ 7001 : 172.31.0.2, 7002 : 172.31.0.3 }}; }}
            chain own {{ tcp dport 9000-9004 dnat to 172.31.0.2; }}
            chain pre {{
                type nat hook prerouting priority -100;
                tcp dport 18090 redirect to :{port};
                tcp dport {{ 8080, 8443 }} dnat to 172.31.0.2:80;
                fib daddr type local jump own;
                dnat to tcp dport map @ports;
                udp dport 53 iifname \"ext\" dnat to 172.31.0.2:5353;
                ip daddr 203.0.113.9 tcp dport 25 dnat to 172.31.0.2:25;
            }};
        }}"
    );
    if !nft(&rules) {
        skip("published ports by maps", "this nft or kernel refuses the rules");
        return;
    }
    assert!(connects(&stranger, "198.51.100.1:18090"));
    let rows = published();
    let row = |port: u16| {
        let found: Vec<&Value> = rows.iter().filter(|row| row["first_port"] == port).collect();
        assert_eq!(found.len(), 1, "{port} {rows:#?}");
        found[0].clone()
    };
    let to = |port: u16| {
        let row = row(port);
        (
            row["last_port"].clone(),
            row["to_address"].clone(),
            row["to_port"].clone(),
        )
    };
    assert_eq!(to(18090), (18090.into(), Value::Null, port.into()));
    assert_eq!(row(18090)["to_here"], true);
    assert_eq!(row(18090)["served_by"][0]["pid"], server.pid());
    for port in [8080u16, 8443] {
        assert_eq!(to(port), (port.into(), "172.31.0.2".into(), 80.into()));
    }
    assert_eq!(to(9000), (9004.into(), "172.31.0.2".into(), Value::Null));
    assert_eq!(to(7001), (7001.into(), "172.31.0.2".into(), Value::Null));
    assert_eq!(to(7002), (7002.into(), "172.31.0.3".into(), Value::Null));
    assert_eq!(row(53)["protocol"], "UDP");
    assert_eq!(row(53)["conditions"], serde_json::json!(["over ext"]));
    // 203.0.113.9 is not an address of this computer, so such packets are only forwarded.
    assert!(rows.iter().all(|row| row["first_port"] != 25), "{rows:#?}");
}

#[test]
fn nat_rules_of_iptables_on_nftables_are_followed() {
    own_namespace!(Needs::PROCESSES);
    let Some((stranger, container)) = between() else { return };
    let works = |words: &str| {
        have("iptables-nft")
            && tool("iptables-nft")
                .args(words.split(' '))
                .stderr(Stdio::null())
                .status()
                .unwrap()
                .success()
    };
    let listener = in_network(&container.file(), || TcpListener::bind("0.0.0.0:80").unwrap());
    let server = Actor::named("webserver").hold(listener);
    // Like Docker does it.
    let made = works("-t nat -N DOCKER")
        && works("-t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER")
        && works("-t nat -A DOCKER -i br0 -j RETURN")
        && works("-t nat -A DOCKER ! -i br0 -p tcp -m tcp --dport 18091 -j DNAT --to-destination 172.31.0.2:80")
        && works("-t nat -A DOCKER -p tcp --dport 18092 -j REDIRECT --to-ports 18093");
    if !made {
        skip("published ports of iptables", "iptables-nft does not work here");
        return;
    }
    assert!(connects(&stranger, "198.51.100.1:18091"));
    let rows = published();
    assert_eq!(rows.len(), 2, "{rows:#?}");
    assert_eq!(
        (&rows[0]["first_port"], &rows[0]["to_address"], &rows[0]["to_port"]),
        (&18091.into(), &"172.31.0.2".into(), &80.into()),
        "{rows:#?}"
    );
    assert_eq!(rows[0]["conditions"], serde_json::json!(["not over br0"]));
    assert_eq!(rows[0]["served_by"][0]["pid"], server.pid());
    assert_eq!(
        (&rows[1]["to_here"], &rows[1]["to_port"]),
        (&true.into(), &18093.into())
    );
}

#[test]
fn nat_rules_that_cannot_be_read_are_said_to_be_missing() {
    own_namespace!();
    let outcome = Netstat::new(env!("CARGO_BIN_EXE_netstat"))
        .unprivileged()
        .run(["--exposed", "-n"]);
    if !outcome
        .stderr
        .contains("ports published by NAT may be missing: the rules of nftables cannot be read")
    {
        // Without nf_tables in the kernel, there are no rules to miss.
        let own = netstat(&["--exposed", "-n"]);
        assert!(!own.stderr.contains("may be missing"), "{outcome:#?} {own:#?}");
        skip("unreadable rules", "this kernel has no nftables");
    }
}

/// Returns the reach of the only port on which a process listens, according to `inspect` and to the list.
fn reach(pid: u32) -> (String, String) {
    let outcome = netstat(&["inspect", "--sample", "0", "--json", &format!("pid:{pid}")]);
    let document: Value = serde_json::from_str(outcome.success()).unwrap();
    let reach = &document["cards"][0]["reach"][0];
    let outcome = netstat(&[
        "-an",
        "--columns",
        "pid,reachable_from",
        "--json",
        "--pid",
        &pid.to_string(),
    ]);
    let list: Value = serde_json::from_str(outcome.success()).unwrap();
    assert_eq!(list["rows"][0]["reachable_from"], reach["from"], "{outcome:#?}");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&reach["from"]), text(&reach["words"]))
}

#[test]
fn listener_bound_to_a_vrf_is_reached_there() {
    own_namespace!(Needs::PROCESSES);
    if !(have("ip") && have("nsenter") && have("unshare")) {
        skip("reach in a VRF", "needs ip, nsenter and unshare");
        return;
    }
    let stranger = Space::new();
    if !ip("link add red type vrf table 10") {
        skip("reach in a VRF", "this kernel has no VRF");
        return;
    }
    assert!(ip("link set red up"));
    assert!(ip(&format!(
        "link add v0 type veth peer name eth0 netns {}",
        stranger.0.id()
    )));
    assert!(ip("link set v0 master red") && ip("address add 203.0.113.1/24 dev v0") && ip("link set v0 up"));
    assert!(stranger.ip("address add 203.0.113.2/24 dev eth0") && stranger.ip("link set eth0 up"));
    let bound = |port: u16, device: Option<&str>| {
        let flags = rustix::net::SocketFlags::CLOEXEC;
        let family = rustix::net::AddressFamily::INET;
        let made = rustix::net::socket_with(family, rustix::net::SocketType::STREAM, flags, None).unwrap();
        if let Some(device) = device {
            netstat_testkit::netlink::bind_to_device(&made, device).unwrap();
        }
        rustix::net::bind(&made, &SocketAddr::from(([0, 0, 0, 0], port))).unwrap();
        rustix::net::listen(&made, 5).unwrap();
        Actor::named("server").hold(TcpListener::from(made))
    };
    let (outside, inside) = (bound(8001, None), bound(8002, Some("red")));
    assert!(!connects(&stranger, "203.0.113.1:8001"));
    assert!(connects(&stranger, "203.0.113.1:8002"));
    let (from, words) = reach(outside.pid());
    assert_eq!(from, "here", "{words}");
    assert!(words.contains("in the VRF red, which it is not bound to"), "{words}");
    let (from, words) = reach(inside.pid());
    assert_eq!(from, "anywhere", "{words}");
    assert!(words.contains("bound to the VRF red"), "{words}");
    if fs::write("/proc/sys/net/ipv4/tcp_l3mdev_accept", "1").is_ok() {
        assert!(connects(&stranger, "203.0.113.1:8001"));
        let (from, words) = reach(outside.pid());
        assert_eq!(from, "anywhere", "{words}");
    }
}

#[test]
fn listener_at_an_address_of_a_local_route_is_reached() {
    own_namespace!(Needs::PROCESSES);
    if !(have("ip") && have("nsenter") && have("unshare")) {
        skip("reach by a local route", "needs ip, nsenter and unshare");
        return;
    }
    let stranger = Space::new();
    if !ip(&format!(
        "link add v0 type veth peer name eth0 netns {}",
        stranger.0.id()
    )) {
        skip("reach by a local route", "no veth links here");
        return;
    }
    assert!(ip("address add 192.168.5.1/24 dev v0") && ip("link set v0 up"));
    assert!(stranger.ip("address add 192.168.5.2/24 dev eth0") && stranger.ip("link set eth0 up"));
    assert!(ip("route add local 203.0.113.0/24 dev lo") && stranger.ip("route add 203.0.113.0/24 via 192.168.5.1"));
    let server = Actor::named("server").hold(TcpListener::bind("203.0.113.77:8003").unwrap());
    assert!(connects(&stranger, "203.0.113.77:8003"));
    let (from, words) = reach(server.pid());
    assert_eq!(from, "anywhere", "{words}");
    assert!(
        words.contains("a local route takes in the public 203.0.113.77"),
        "{words}"
    );
}
