//! The filters other than states and ports, compared with `ss` and its own filters on the same sockets, and with what
//! the test created.
#![cfg(target_os = "linux")]

use std::net::{TcpListener, TcpStream, UdpSocket};

use netstat_testkit::actors::{self, Actor};
use netstat_testkit::listing;
use netstat_testkit::oracle::{self, Row};
use netstat_testkit::peer::Family;
use netstat_testkit::states::AllStates;
use netstat_testkit::{Netstat, have, own_namespace};
use serde_json::Value;

fn netstat() -> Netstat {
    Netstat::new(env!("CARGO_BIN_EXE_netstat"))
}

#[track_caller]
fn rows(words: &str) -> Vec<Row> {
    let outcome = netstat().run(words.split_whitespace());
    let mut rows = listing::rows(&listing::list(outcome.success()));
    rows.sort_unstable();
    rows
}

#[track_caller]
fn json(words: &str) -> Vec<Value> {
    let outcome = netstat().run(words.split_whitespace());
    let document: Value = serde_json::from_str(outcome.success()).unwrap();
    document["rows"].as_array().unwrap().clone()
}

#[test]
fn local_and_foreign_filters_agree_with_ss() {
    own_namespace!();
    if !have("ss") {
        return;
    }
    let _v4 = AllStates::make(Family::V4).unwrap();
    let _v6 = AllStates::make(Family::V6).unwrap();
    let _udp = actors::udp_sockets().unwrap();
    let _connections = actors::connections(5).unwrap();
    let near = Family::V4.near();
    let near6 = Family::V6.near();
    let (far, far6) = (Family::V4.far(1), Family::V6.far(1));
    for (words, filter) in [
        (format!("--local {near}"), format!("src = {near}")),
        (format!("--local [{near6}]"), format!("src = [{near6}]")),
        (format!("--foreign {far}/24"), format!("dst = {far}/24")),
        (format!("--foreign {far6}"), format!("dst = [{far6}]")),
        ("--foreign 127.0.0.0/8".to_owned(), "dst = 127.0.0.0/8".to_owned()),
        (
            "--local :1024-65535 --foreign 127.0.0.0/8".to_owned(),
            "sport >= :1024 and dst = 127.0.0.0/8".to_owned(),
        ),
    ] {
        // Older versions of `ss` have no name for a state that is only bound.
        let shown = rows(&format!("-an {words}"));
        let filter: Vec<&str> = ["state", "all"].into_iter().chain(filter.split(' ')).collect();
        let mut expected = oracle::rows(&oracle::ss_filtered(&filter));
        expected.sort_unstable();
        assert_eq!(shown, expected, "{words}");
        assert!(!shown.is_empty(), "{words}");
    }
}

#[test]
fn foreign_filter_for_ipv4_matches_mapped_addresses() {
    own_namespace!();
    let _mapped = actors::mapped().unwrap();
    let plain = json("-an --json --columns family,mapped --foreign 127.0.0.1");
    let mapped = json("-an --json --columns family,mapped --foreign ::ffff:127.0.0.1");
    assert_eq!(plain, mapped);
    assert!(plain.iter().any(|row| row["mapped"] == true), "{plain:?}");
    assert!(plain.iter().any(|row| row["family"] == "IPv4"), "{plain:?}");
}

#[test]
fn filter_by_host_name_matches_its_addresses() {
    own_namespace!();
    let _listener = TcpListener::bind("127.0.0.1:80").unwrap();
    let _other = TcpListener::bind("0.0.0.0:81").unwrap();
    let named = rows("-an --local localhost:80");
    assert_eq!(named, rows("-an --local 127.0.0.1:80"));
    assert_eq!(named.len(), 1);
    let outcome = netstat().run(["-an", "--foreign", "no-such-host.invalid", "--dns-timeout", "5"]);
    assert_eq!((outcome.status.code(), outcome.stdout.as_str()), (Some(1), ""));
    assert!(
        outcome
            .stderr
            .starts_with("netstat: no address of \"no-such-host.invalid\" found: "),
        "{}",
        outcome.stderr
    );
    assert_eq!(outcome.stderr.lines().count(), 1);
}

#[test]
fn filters_by_process_program_and_user_choose_rows() {
    own_namespace!();
    let web = Actor::named("webd").hold(TcpListener::bind("127.0.0.1:80").unwrap());
    let mail = Actor::named("maild").hold(TcpListener::bind("127.0.0.1:25").unwrap());
    let own = TcpListener::bind("127.0.0.1:99").unwrap();
    let ports = |words: &str| -> Vec<u64> {
        json(&format!("-lt --json {words}"))
            .iter()
            .map(|row| row["local_port"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(ports(""), [25, 80, 99]);
    assert_eq!(ports(&format!("--pid {}", web.pid())), [80]);
    assert_eq!(ports(&format!("--pid {},{}", web.pid(), mail.pid())), [25, 80]);
    assert_eq!(ports("--program webd"), [80]);
    assert_eq!(ports("--program WEB?,mail*"), [25, 80]);
    assert_eq!(ports(&format!("--program {}", mail.program().display())), [25]);
    assert_eq!(ports("--program nobody"), [0u64; 0]);
    assert_eq!(
        ports(&format!("--program *d --port 80,99 --pid {}", mail.pid())),
        [0u64; 0]
    );
    // All sockets were created by this test.
    let rows = json("-lt --json --columns uid,user");
    let (id, name) = (rows[0]["uid"].to_string(), rows[0]["user"].as_str().unwrap().to_owned());
    assert_eq!(ports(&format!("--user {id}")), [25, 80, 99]);
    assert_eq!(ports(&format!("--user {name}")), [25, 80, 99]);
    assert_eq!(ports("--user 54321"), [0u64; 0]);
    // A narrow query shows the same owners as the whole list.
    let whole = json("-lto --json");
    let one = json(&format!("-lto --json --pid {}", web.pid()));
    assert_eq!(one.len(), 1);
    assert!(whole.iter().any(|row| row["pid"] == one[0]["pid"]));
    drop(own);
}

#[test]
fn filters_listening_and_exposed_choose_by_reach() {
    own_namespace!();
    let _loopback = TcpListener::bind("127.0.0.1:80").unwrap();
    let _open = TcpListener::bind("0.0.0.0:81").unwrap();
    let _open6 = TcpListener::bind("[::]:82").unwrap();
    let _udp = UdpSocket::bind("0.0.0.0:53").unwrap();
    let _local_udp = UdpSocket::bind("[::1]:54").unwrap();
    let _near = TcpStream::connect("127.0.0.1:80").unwrap();
    let ports = |words: &str| -> Vec<u16> {
        let mut ports: Vec<u16> = rows(words).iter().map(|row| row.local.port).collect();
        ports.sort_unstable();
        ports
    };
    assert_eq!(ports("-n --listening"), [53, 54, 80, 81, 82]);
    assert_eq!(ports("-n --exposed"), [53, 81, 82]);
    assert_eq!(ports("-n --exposed -t"), [81, 82]);
    assert_eq!(ports("-nu --exposed"), [53]);
    assert_eq!(ports("-n --established --local :80"), [80]);
    assert_eq!(ports("-an --public"), [0u16; 0]);
}

#[test]
fn filter_wrong_values_are_usage_errors_that_name_them() {
    for (words, message) in [
        (
            "--foreign 10.0.0.0/33",
            "--foreign \"10.0.0.0/33\" has no prefix length from 0 to 32 (IPv4) or 128 (IPv6); for example: --foreign 203.0.113.7,",
        ),
        (
            "--local 1.2.3.4.5",
            "--local \"1.2.3.4.5\" is no IP address; for example: ",
        ),
        (
            "--pid 0",
            "--pid \"0\" is no process id from 1 to 4294967295; for example: --pid 700,4321",
        ),
        (
            "--pid 7,x",
            "--pid \"7,x\" holds \"x\", which is no process id from 1 to 4294967295; for example: ",
        ),
        (
            "--program a,,b",
            "--program \"a,,b\" holds \"\", which is no pattern; for example: --program 'ssh*,nginx'",
        ),
        (
            "--user a:b",
            "--user \"a:b\" is no user name or id; for example: --user root,1000",
        ),
        (
            "--user no-such-user",
            "--user \"no-such-user\" is no user of this system; for example: --user root,1000",
        ),
        (
            "--columns progam",
            "--columns \"progam\" is no column; did you mean program? --columns help lists them",
        ),
        ("--sort nonsense", "--sort \"nonsense\" is no column; "),
        ("--top 0", "--top \"0\" is not a whole number of 1 or more"),
        ("--color red", "--color \"red\" is not one of auto, always, never"),
        ("--json --csv", "--json and --csv do not go together: choose one format"),
        ("--changes", "--changes needs an interval: netstat -a --changes 5"),
        (
            "--wide --group state",
            "--wide and --group do not go together: both choose the columns",
        ),
        ("--sort count", "--sort count needs --group: "),
        (
            "--group state --sort pid",
            "--sort pid is none of the columns of --group: count,state",
        ),
    ] {
        let outcome = netstat().run(words.split_whitespace());
        assert_eq!(
            (outcome.status.code(), outcome.stdout.as_str()),
            (Some(2), ""),
            "{words}"
        );
        assert!(
            outcome.stderr.starts_with(&format!("netstat: {message}")),
            "{words}: {}",
            outcome.stderr
        );
        assert_eq!(outcome.stderr.lines().count(), 1, "{words}");
    }
}
