//! `-g` compared with the kernel's own tables and `ip maddress`.
#![cfg(target_os = "linux")]

use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};

use netstat_testkit::namespace::{have, tool};
use netstat_testkit::{Netstat, own_namespace, skip};
use serde_json::Value;

#[test]
fn multicast_groups_are_those_that_sockets_joined() {
    own_namespace!();
    let netstat = Netstat::new(env!("CARGO_BIN_EXE_netstat"));
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    if socket
        .join_multicast_v4(&Ipv4Addr::new(224, 0, 0, 251), &Ipv4Addr::LOCALHOST)
        .is_err()
    {
        skip("multicast groups", "no multicast over the loopback here");
        return;
    }
    let v6 = UdpSocket::bind("[::]:0").unwrap();
    let joined = v6
        .join_multicast_v6(&"ff02::fb".parse::<Ipv6Addr>().unwrap(), 1)
        .is_ok();
    let text = netstat.run(["-gn"]).success().to_owned();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[..3],
        [
            "IPv6/IPv4 Group Memberships",
            "Interface       RefCnt Group",
            "--------------- ------ ---------------------"
        ]
    );
    assert!(lines.contains(&"lo              1      224.0.0.251"), "{text}");
    assert!(!joined || lines.contains(&"lo              1      ff02::fb"), "{text}");
    let document: Value = serde_json::from_str(netstat.run(["-g", "--json"]).success()).unwrap();
    let groups = document["groups"].as_array().unwrap();
    assert_eq!(groups.len(), lines.len() - 3);
    if have("ip") {
        let output = tool("ip").args(["maddress", "show", "dev", "lo"]).output().unwrap();
        let shown = String::from_utf8(output.stdout).unwrap();
        for group in groups {
            assert!(shown.contains(group["group"].as_str().unwrap()), "{group} {shown}");
        }
    }
    let refusal = netstat.run(["-g", "--csv"]);
    assert!(refusal.refusal().contains("-g has --json"), "{refusal:#?}");
}
