//! Policy rules, next hops and `-r --to`, compared with the kernel and `ip route get`.
#![cfg(target_os = "linux")]

use std::process::Command;

use netstat_testkit::own_namespace;
use serde_json::Value;

/// Runs `ip` with these arguments; panics if it fails.
fn ip(arguments: &str) -> String {
    let output = Command::new("ip")
        .args(arguments.split_whitespace())
        .output()
        .expect("ip of iproute2");
    let failed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "ip {arguments}: {failed}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn netstat(arguments: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_netstat"))
        .args(arguments.split_whitespace())
        .output()
        .expect("netstat");
    let failed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "netstat {arguments}: {failed}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn has_ip() -> bool {
    let found = Command::new("ip").arg("-V").output().is_ok();
    if !found {
        netstat_testkit::skip("policy_routes", "iproute2 is not installed");
    }
    found
}

/// Sets up two uplinks, a source address on `lo`, and the rules and routes of wg-quick(8).
fn set_up() {
    ip("link set lo up");
    for (link, address) in [("up0", "192.0.2.1/24"), ("up1", "198.51.100.1/24")] {
        ip(&format!("link add {link} type veth peer name {link}p"));
        ip(&format!("link set {link} up"));
        ip(&format!("link set {link}p up"));
        ip(&format!("addr add {address} dev {link}"));
    }
    ip("addr add 203.0.113.11/32 dev lo");
    ip("route add default src 203.0.113.11 nexthop via 192.0.2.254 dev up0 nexthop via 198.51.100.254 dev up1");
    ip("link add wg0 type veth peer name wg0p");
    ip("addr add 10.0.8.2/32 dev wg0");
    ip("link set wg0 up");
    ip("link set wg0p up");
    ip("route add default dev wg0 table 51820");
    ip("rule add not fwmark 51820 table 51820");
    ip("rule add table main suppress_prefixlength 0");
}

#[test]
fn policy_rules_are_listed_before_the_tables() {
    own_namespace!();
    if !has_ip() {
        return;
    }
    assert!(
        !netstat("-rn").contains("Policy Rules"),
        "the usual rules are not worth a section"
    );
    set_up();
    let text = netstat("-rn");
    let (rules, tables) = text.split_once("IPv4 Route Table").expect("tables");
    for rule in [
        "       0  from all lookup local",
        "   32764  from all lookup main suppress_prefixlength 0",
        "   32765  not from all fwmark 0xca6c lookup 51820",
    ] {
        assert!(rules.contains(rule), "{rule}\n{text}");
    }
    // The preferred source is an address of lo; each hop shows its own interface.
    for row in ["192.0.2.254        192.0.2.1 ", "198.51.100.254     198.51.100.1 "] {
        assert!(tables.contains(row), "{row}\n{text}");
    }
    let json: Value = serde_json::from_str(&netstat("-r --json")).expect("JSON");
    let rules = json["routes"]["rules"].as_array().expect("rules");
    let marked = rules.iter().find(|rule| rule["priority"] == 32_765).expect("the rule");
    assert_eq!(
        (&marked["inverted"], &marked["mark"]),
        (&Value::Bool(true), &51_820.into())
    );
    let suppressing = rules.iter().find(|rule| rule["priority"] == 32_764).expect("the rule");
    assert_eq!(suppressing["suppress_prefix_length"], 0);
}

#[test]
fn encapsulated_route_names_its_segments() {
    own_namespace!();
    if !has_ip() {
        return;
    }
    set_up();
    let add = "-6 route add 2001:db8:5::/48 encap seg6 mode encap segs 2001:db8:9::1,2001:db8:9::2 dev up0";
    if !Command::new("ip")
        .args(add.split_whitespace())
        .status()
        .is_ok_and(|status| status.success())
    {
        netstat_testkit::skip("encapsulated_route", "this kernel has no SRv6");
        return;
    }
    let text = netstat("-rn");
    let row = text
        .lines()
        .find(|line| line.contains("2001:db8:5::/48"))
        .expect("the route");
    assert!(
        row.ends_with("seg6 mode encap segs 2001:db8:9::1,2001:db8:9::2"),
        "{row}"
    );
}

#[test]
fn route_to_agrees_with_ip_route_get() {
    own_namespace!();
    if !has_ip() {
        return;
    }
    set_up();
    ip("route add unreachable 100.64.0.0/10");
    // In the user namespace of an ordinary user, this user id is not mapped.
    let add = "rule add uidrange 4242-4242 table main priority 50";
    let with_user = Command::new("ip").args(add.split_whitespace()).output();
    let with_user = with_user.is_ok_and(|output| output.status.success());
    ip("rule add from 192.0.2.1 table main priority 60");
    ip("-6 addr add 2001:db8::1/64 dev up0 nodad");
    ip("-6 route add 2001:db8:77::/48 via 2001:db8::2");
    for (packet, rule) in [
        ("203.0.113.5", 32_765),
        ("203.0.113.5 mark 51820", 32_766),
        ("192.0.2.77", 32_764),
        ("127.0.0.1", 0),
        ("203.0.113.11", 0),
        ("203.0.113.5 from 192.0.2.1", 60),
        ("203.0.113.5 uid 4242", 50),
        ("2001:db8:77::9", 32_766),
        ("2001:db8::1", 0),
    ] {
        if packet.contains("uid") && !with_user {
            continue;
        }
        let (to, rest) = packet.split_once(' ').unwrap_or((packet, ""));
        let switches = rest
            .replace("mark", "--mark")
            .replace("from", "--from")
            .replace("uid", "--uid");
        let json: Value = serde_json::from_str(&netstat(&format!("-r --json --to {to} {switches}"))).expect("JSON");
        let way = &json["route_to"];
        let get = ip(&format!("route get {packet}"));
        let word = |name: &str| {
            let mut words = get.split_whitespace();
            words
                .find(|word| *word == name)
                .and_then(|_| words.next())
                .map(str::to_owned)
        };
        assert_eq!(
            way["interface"].as_str(),
            word("dev").as_deref(),
            "{packet}: {get}{way}"
        );
        assert_eq!(way["gateway"].as_str(), word("via").as_deref(), "{packet}: {get}{way}");
        assert_eq!(
            way["source"].as_str(),
            word("src").or_else(|| word("from")).as_deref(),
            "{packet}: {get}{way}"
        );
        if let Some(table) = word("table") {
            let named = [
                way["table"].to_string(),
                way["table_name"].as_str().unwrap_or_default().to_owned(),
            ];
            assert!(named.contains(&table), "{packet}: {get}{way}");
        }
        assert_eq!(way["rule"]["priority"], rule, "{packet}: {way}");
    }
    let text = netstat("-r --to 203.0.113.5");
    for line in [
        "  Rule       32765: not from all fwmark 0xca6c lookup 51820",
        "  Table      51820",
        "  Route      0.0.0.0/0",
        "  Gateway    On-link",
        "  Source     10.0.8.2",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    let refused = netstat("-r --to 100.64.1.1 --mark 51820");
    assert!(refused.contains("None: unreachable"), "{refused}");
}
