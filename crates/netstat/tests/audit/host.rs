//! Inconsistencies between the kernel's views of the whole computer.

use std::net::{TcpListener, UdpSocket};

use netstat_testkit::{Needs, own_namespace};

use crate::kit::{audit, netstat, of_host, quick};

#[test]
fn socket_views_that_agree_are_no_finding() {
    own_namespace!(Needs::PROCESSES);
    let _listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let _udp = UdpSocket::bind("[::]:0").unwrap();
    let document = quick();
    assert!(of_host(&document, "views-differ").is_empty(), "{document:#}");
    assert!(of_host(&document, "hidden-owner").is_empty(), "{document:#}");
    assert!(!document["unexamined"].to_string().contains("views"), "{document:#}");
}

#[test]
fn socket_hidden_from_one_view_is_reported() {
    own_namespace!(Needs::PROCESSES);
    let hidden = TcpListener::bind("0.0.0.0:31337").unwrap();
    let _shown = TcpListener::bind("0.0.0.0:8080").unwrap();
    // Imitates a rootkit: a copy of the file without the line of the port (7A69 in hexadecimal), visible only to this
    // one process, which then becomes the program under test.
    let script = "for t in tcp6 udp udp6 raw raw6 icmp icmp6; do cat /proc/net/$t >$1/$t; done; grep -v ':7A69 ' /proc/net/tcp >$1/tcp; \
                  mount --bind $1 /proc/$$/task/$$/net && shift && exec \"$@\"";
    let views = tempfile::tempdir().unwrap();
    let fooled = netstat().behind(["sh", "-c", script, "fool", views.path().to_str().unwrap()]);
    let outcome = fooled.run(["audit", "--json", "--no-digests"]);
    let document: serde_json::Value = serde_json::from_str(outcome.success()).unwrap();
    let found = of_host(&document, "views-differ");
    assert_eq!(found.len(), 1, "{document:#}");
    assert_eq!(found[0]["severity"], "critical");
    assert!(
        found[0]["headline"]
            .as_str()
            .unwrap()
            .contains("sock_diag shows TCP 0.0.0.0:31337"),
        "{found:#?}"
    );
    drop(hidden);
}

#[test]
fn port_probe_of_listed_ports_is_no_finding() {
    own_namespace!(Needs::PROCESSES);
    let _listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let _udp = UdpSocket::bind("[::]:0").unwrap();
    // Bound, but neither listening nor connected.
    let bound = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM, None).unwrap();
    rustix::net::bind(&bound, &std::net::SocketAddr::from(([127, 0, 0, 1], 31_337))).unwrap();
    let document = audit(&["--no-digests", "--probe-ports"]);
    let found = of_host(&document, "taken-port");
    if netstat_testkit::kernel_has("a list of bound ports", 6, 8) {
        assert!(found.is_empty(), "{found:#?}");
    } else {
        assert!(
            found.iter().all(|finding| finding["severity"] == "medium"),
            "{found:#?}"
        );
    }
}
