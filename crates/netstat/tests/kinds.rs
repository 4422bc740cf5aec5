//! RAW, PACKET, UNIX and MPTCP sockets in the list, compared with `ss`.
#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};

use netstat_testkit::listing::HEADING;
use netstat_testkit::{Netstat, actors, have, kinds, namespace, oracle, own_namespace, skip};
use serde_json::Value;

fn netstat() -> Netstat {
    Netstat::new(env!("CARGO_BIN_EXE_netstat"))
}

/// Returns the rows of the classic list for these arguments. Some kernels have no `raw_diag`, in which case the list
/// says so.
#[track_caller]
fn classic(words: &[&str]) -> Vec<String> {
    let outcome = netstat().run(words);
    let told = |line: &str| line.starts_with("netstat: interfaces and cookies of RAW sockets over IPv");
    assert!(outcome.stderr.lines().all(told), "{outcome:#?}");
    let rows = outcome.success().strip_prefix(HEADING).expect("the classic heading");
    rows.lines().skip(1).map(|row| row.trim_end().to_owned()).collect()
}

/// Returns the rows of the JSON document for these arguments.
#[track_caller]
fn json(words: &[&str]) -> Vec<Value> {
    let outcome = netstat().run([words, &["--json"]].concat());
    let document: Value = serde_json::from_str(outcome.success()).unwrap();
    document["rows"].as_array().unwrap().clone()
}

fn inodes(rows: &[Value]) -> BTreeSet<u64> {
    rows.iter().filter_map(|row| row["inode"].as_u64()).collect()
}

/// Returns the inodes in the output of `ss`: after `ino:`, or, for AF_UNIX, in a separate column.
fn ss_inodes(words: &str) -> BTreeSet<u64> {
    let output = namespace::tool("ss").args(words.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words
            .iter()
            .find_map(|word| word.strip_prefix("ino:"))
            .or_else(|| words.iter().rev().nth(2).copied())
            .and_then(|number| number.parse().ok())
    };
    text.lines().filter_map(line).filter(|inode| *inode != 0).collect()
}

#[test]
fn raw_sockets() {
    own_namespace!();
    let (v4, v6) = (kinds::raw(false).unwrap(), kinds::raw(true).unwrap());
    assert_eq!(classic(&["-np", "RAW"]), ["  RAW    0.0.0.0:1              *:*"]);
    assert_eq!(classic(&["-np", "raw6"]), ["  RAW    [::]:58                *:*"]);
    let pid = std::process::id();
    assert_eq!(
        classic(&["-nop", "RAW"]),
        [format!(
            "  RAW    0.0.0.0:1              *:*                                    {pid}"
        )]
    );
    let rows = json(&["-n", "-p", "RAW"]);
    assert_eq!(rows.len(), 1);
    assert_eq!(
        (&rows[0]["protocol"], &rows[0]["local_port"]),
        (&"RAW".into(), &1.into())
    );
    assert!(rows[0]["state"].is_null());
    let mut all = inodes(&rows);
    all.append(&mut inodes(&json(&["-n", "-p", "RAW6"])));
    assert_eq!(all, BTreeSet::from([oracle::inode(&v4), oracle::inode(&v6)]));
    if have("ss") {
        // Without raw_diag, ss reports no inodes for them.
        let output = namespace::tool("ss").arg("-wanHO").output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 2);
    }
    // Protocol numbers are not ports, and there are no states.
    assert!(!netstat().run(["-np", "RAW", "--port", "1"]).success().contains("RAW "));
    let outcome = netstat().run(["-np", "RAW", "--state", "LISTENING"]);
    assert!(outcome.stderr.contains("RAW has no states"), "{outcome:#?}");
    let _ping = match kinds::ping("127.0.0.1:4242".parse().unwrap()) {
        Ok(ping) => ping,
        Err(error) => return skip("sockets of ping", &error.to_string()),
    };
    assert_eq!(
        classic(&["-np", "RAW"]),
        [
            "  RAW    0.0.0.0:1              *:*",
            "  RAW    127.0.0.1:1            *:*"
        ]
    );
    let rows = json(&["-n", "-p", "RAW"]);
    assert!(
        rows.iter()
            .any(|row| row["kind"].as_str().is_some_and(|kind| kind.contains("ping"))),
        "{rows:?}"
    );
}

#[test]
fn packet_sockets() {
    own_namespace!();
    let made = kinds::packet().unwrap();
    let rows = classic(&["-np", "PACKET"]);
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert!(rows.iter().any(|row| row.starts_with("  PACKET  all:*")), "{rows:?}");
    assert!(rows.iter().any(|row| row.starts_with("  PACKET  lldp:*")), "{rows:?}");
    let found = inodes(&json(&["-n", "-p", "PACKET"]));
    assert_eq!(found, made.iter().map(oracle::inode).collect());
    if have("ss") {
        assert_eq!(found, ss_inodes("-0aenHO"));
    }
}

#[test]
fn unix_sockets() {
    own_namespace!();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    let client = UnixStream::connect(&path).unwrap();
    let (server, _) = listener.accept().unwrap();
    // The creator of a socket chooses its name: this one would clear the screen.
    let name = SocketAddr::from_abstract_name(b"\x1b[2J\n").unwrap();
    let datagram = UnixDatagram::bind_addr(&name).unwrap();
    let rows = classic(&["-anp", "UNIX"]);
    let has = |start: &str, end: &str| rows.iter().any(|row| row.starts_with(start) && row.ends_with(end));
    let shown = path.display().to_string();
    assert!(has(&format!("  UNIX   {shown}"), "LISTENING"), "{rows:?}");
    assert!(has(&format!("  UNIX   {shown}"), "ESTABLISHED"), "{rows:?}");
    let words = |row: &String| row.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let peer = ["UNIX", "none", shown.as_str(), "ESTABLISHED"];
    assert!(rows.iter().any(|row| words(row) == peer), "the client's peer: {rows:?}");
    assert!(has(r"  UNIX   @\e[2J\n", ""), "{rows:?}");
    assert!(rows.iter().all(|row| !row.contains('\x1b')));
    let rows = json(&["-an", "-p", "UNIX"]);
    let found = inodes(&rows);
    let made = [
        oracle::inode(&listener),
        oracle::inode(&client),
        oracle::inode(&server),
        oracle::inode(&datagram),
    ];
    assert!(made.iter().all(|inode| found.contains(inode)), "{rows:?}");
    let own = rows.iter().find(|row| row["inode"] == made[3]).unwrap();
    assert_eq!(own["local"], "@\u{1b}[2J\n");
    if have("ss") {
        // The line break in a name splits a line of ss in two.
        drop(datagram);
        assert_eq!(inodes(&json(&["-an", "-p", "UNIX"])), ss_inodes("-xanHO"));
    }
    let listening = classic(&["-lnp", "UNIX"]);
    assert_eq!(listening.len(), 1, "{listening:?}");
}

#[test]
fn mptcp_sockets_are_listed_with_their_states() {
    own_namespace!();
    let _made = match kinds::mptcp("127.0.0.1:8080".parse().unwrap()) {
        Ok(made) => made,
        Err(error) => return skip("MPTCP", &error.to_string()),
    };
    let rows = classic(&["-anp", "MPTCP"]);
    assert_eq!(
        rows[0],
        "  MPTCP  127.0.0.1:8080         0.0.0.0:0              LISTENING"
    );
    assert_eq!(rows.len(), 3, "{rows:?}");
    assert!(rows[1..].iter().all(|row| row.ends_with("ESTABLISHED")), "{rows:?}");
    let rows = json(&[
        "-an",
        "-p",
        "MPTCP",
        "--columns",
        "local,inode,mptcp_token,mptcp_subflows",
    ]);
    if have("ss") {
        assert_eq!(inodes(&rows), ss_inodes("-MaenHO"));
    }
    // Its subflow is a TCP connection that names its owner.
    let paths = json(&["-n", "-p", "TCP", "--columns", "local,ulp,mptcp_token"]);
    for path in &paths {
        assert_eq!(path["ulp"], "mptcp");
    }
    assert_eq!(paths.len(), 2);
}

#[test]
fn raw_packet_and_unix_sockets_are_listed_with_their_owners() {
    own_namespace!();
    let raw = kinds::raw(false).unwrap();
    let [packet, _] = kinds::packet().unwrap();
    let (unix, other) = UnixStream::pair().unwrap();
    for (protocol, socket) in [("RAW", raw), ("PACKET", packet), ("UNIX", unix.into())] {
        let inode = oracle::inode(&socket);
        let holder = actors::Actor::named(protocol.to_lowercase()).hold(socket);
        let rows = json(&["-an", "-p", protocol, "--columns", "inode,pid,program,owner_how"]);
        let row = rows.iter().find(|row| row["inode"] == inode).unwrap();
        assert_eq!(row["pid"], holder.pid(), "{row}");
        assert_eq!(row["program"], protocol.to_lowercase().as_str(), "{row}");
        assert!(matches!(row["owner_how"].as_str(), Some("walk" | "iterator")), "{row}");
    }
    drop(other);
}

/// Creates a socket of this kind; `None` if the kernel does not support it.
fn made(family: i32, kind: i32, protocol: i32) -> Option<std::os::fd::OwnedFd> {
    use rustix::net::{AddressFamily, Protocol, SocketType, socket};
    let protocol = std::num::NonZeroU32::new(u32::try_from(protocol).unwrap()).map(Protocol::from_raw);
    let family = AddressFamily::from_raw(u16::try_from(family).unwrap());
    socket(family, SocketType::from_raw(u32::try_from(kind).unwrap()), protocol).ok()
}

#[test]
fn udplite_socket_is_listed_with_its_owner() {
    own_namespace!();
    let Some(socket) = made(2, 2, 136) else {
        return skip("udplite_socket_is_listed_with_its_owner", "no UDP-Lite here");
    };
    rustix::net::bind(&socket, &"127.0.0.1:8095".parse::<std::net::SocketAddr>().unwrap()).unwrap();
    let row = "  UDPLITE  127.0.0.1:8095         *:*";
    assert_eq!(classic(&["-anp", "udplite"]), [row]);
    // They are listed even if not named, and can be found by port.
    assert_eq!(classic(&["-an"]), [row]);
    assert_eq!(classic(&["-an", "--port", "8095"]), [row]);
    let other = netstat().run(["-an", "--port", "8096"]);
    assert!(!other.success().contains("UDPLITE"), "{other:#?}");
    let rows = json(&["-anop", "udp-lite"]);
    assert_eq!(
        (&rows[0]["protocol"], &rows[0]["local_port"]),
        (&"UDPLITE".into(), &8095.into())
    );
    assert_eq!(rows[0]["pid"], std::process::id());
    let exposed = made(2, 2, 136).unwrap();
    rustix::net::bind(&exposed, &"0.0.0.0:8097".parse::<std::net::SocketAddr>().unwrap()).unwrap();
    let outcome = netstat().run(["-n", "--exposed"]);
    assert!(
        outcome.success().contains("0.0.0.0:8097") && !outcome.stdout.contains("8095"),
        "{outcome:#?}"
    );
    let outcome = netstat().run(["inspect", "udplite:8095", "--sample", "0"]);
    assert!(
        outcome.stdout.contains("UDPLITE") && outcome.stdout.contains("8095"),
        "{outcome:#?}"
    );
}

#[test]
fn netlink_sockets_agree_with_ss() {
    own_namespace!();
    if !have("ss") {
        return skip("netlink_sockets_agree_with_ss", "no ss here");
    }
    use rustix::net::{AddressFamily, SocketType, netlink};
    let protocol = Some(netlink::KOBJECT_UEVENT);
    let socket = rustix::net::socket(AddressFamily::NETLINK, SocketType::RAW, protocol).unwrap();
    let address = netlink::SocketAddrNetlink::new(0, 0);
    rustix::net::bind(&socket, &address).unwrap();
    let rows = json(&["-anop", "netlink"]);
    let own: Vec<&Value> = rows.iter().filter(|row| row["pid"] == std::process::id()).collect();
    assert_eq!(own.len(), 1, "{rows:?}");
    assert!(own[0]["local"].as_str().unwrap().starts_with("uevent:"), "{own:?}");
    assert_eq!(own[0]["kind"], "uevent");
    let theirs = ss_inodes("-f netlink -ane");
    assert!(
        theirs.is_empty() || theirs.contains(&own[0]["inode"].as_u64().unwrap()),
        "{theirs:?}"
    );
    // The kernel's own sockets are recognized as such.
    let outcome = netstat().run(["-ano", "-p", "netlink"]);
    assert!(outcome.stderr.contains("of the kernel itself"), "{outcome:#?}");
}

#[test]
fn kind_that_the_kernel_lacks_is_named() {
    own_namespace!();
    let protocols = std::fs::read_to_string("/proc/net/protocols").unwrap();
    for (name, sign) in [
        ("sctp", "SCTP"),
        ("dccp", "DCCP"),
        ("vsock", "AF_VSOCK"),
        ("xdp", "XDP"),
    ] {
        let outcome = netstat().run(["-anp", name]);
        let is_known = protocols.lines().any(|line| line.starts_with(&format!("{sign} ")));
        let told = format!("there are no {} sockets", name.to_uppercase());
        assert_eq!(outcome.stderr.contains(&told), !is_known, "{outcome:#?}");
    }
    // Nothing is reported about kinds that were not named.
    assert_eq!(netstat().run(["-an"]).stderr, "");
}
