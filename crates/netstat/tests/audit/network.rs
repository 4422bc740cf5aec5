//! Rules about what programs do on the network.

use std::fs;
use std::net::{TcpListener, TcpStream};

use netstat_testkit::{Needs, eventually, own_namespace, skip};
use rustix::net::{AddressFamily, Protocol, SocketFlags, SocketType, socket_with};

use crate::kit::{
    Running, audit, dpkg, have, of_host, open, pair, program, public_address, quick, severities, sleep, sleep_at,
};

fn special(family: AddressFamily, kind: SocketType, protocol: u32) -> std::os::fd::OwnedFd {
    let protocol = std::num::NonZeroU32::new(protocol).map(Protocol::from_raw);
    socket_with(family, kind, SocketFlags::CLOEXEC, protocol).unwrap()
}

#[test]
fn programs_that_capture_packets_are_reported() {
    own_namespace!(Needs::PROCESSES);
    if !dpkg() {
        return;
    }
    // All frames (ETH_P_ALL), in network byte order.
    let all = u32::from(3u16.to_be());
    let directory = tempfile::tempdir().unwrap();
    let frames = Running::with(
        &mut sleep_at(&directory.path().join("spy")),
        special(AddressFamily::PACKET, SocketType::RAW, all),
    );
    let packaged = Running::with(&mut sleep(), special(AddressFamily::PACKET, SocketType::RAW, all));
    let echo = Running::with(
        &mut sleep_at(&directory.path().join("knock")),
        special(AddressFamily::INET, SocketType::RAW, 1),
    );
    let plain = Running::with(&mut sleep(), open());
    let document = quick();
    let of = |running: &Running| severities(&document, running.pid(), "sniffer");
    assert_eq!(of(&frames), ["high"]);
    assert_eq!(of(&packaged), ["medium"]);
    assert_eq!(of(&echo), ["high"]);
    assert_eq!(of(&plain), [] as [&str; 0]);
}

#[test]
fn an_interface_that_hears_everything() {
    own_namespace!(Needs::PROCESSES);
    if !have("ip") {
        return;
    }
    assert!(of_host(&quick(), "promiscuous").is_empty());
    let status = netstat_testkit::namespace::tool("ip")
        .args(["link", "set", "lo", "promisc", "on"])
        .status()
        .unwrap();
    assert!(status.success());
    let document = quick();
    let found = of_host(&document, "promiscuous");
    assert_eq!(found.len(), 1, "{document:#}");
    assert_eq!(found[0]["severity"], "low");
}

#[test]
fn well_known_port_served_by_another_program_is_reported() {
    own_namespace!(Needs::PROCESSES);
    if !dpkg() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let at = |port: u16| TcpListener::bind(("0.0.0.0", port)).unwrap();
    let other = Running::with(&mut sleep_at(&directory.path().join("server")), at(22));
    let named = Running::with(&mut sleep_at(&directory.path().join("named")), at(53));
    let shell = Running::with(
        std::process::Command::new(program("sh")).args(["-c", "sleep 600; :"]),
        at(25),
    );
    let high = Running::with(&mut sleep_at(&directory.path().join("web")), at(8080));
    let document = quick();
    let of = |running: &Running| severities(&document, running.pid(), "odd-port");
    assert_eq!(of(&other), ["medium"]);
    assert_eq!(of(&named), [] as [&str; 0]);
    assert_eq!(of(&shell), ["medium"]);
    assert_eq!(of(&high), [] as [&str; 0]);
}

#[test]
fn database_open_to_everyone_is_reported() {
    own_namespace!(Needs::PROCESSES);
    let directory = tempfile::tempdir().unwrap();
    let redis = |address: &str, name: &str| {
        let at = directory.path().join(name);
        fs::create_dir(&at).unwrap();
        Running::with(
            &mut sleep_at(&at.join("redis-server")),
            TcpListener::bind((address, 6379)).unwrap(),
        )
    };
    let near = redis("127.0.0.1", "near");
    assert_eq!(severities(&quick(), near.pid(), "open-port"), [] as [&str; 0]);
    drop(near);
    let open = redis("0.0.0.0", "open");
    assert_eq!(severities(&quick(), open.pid(), "open-port"), ["medium"]);
}

#[test]
fn a_root_listener_without_a_unit() {
    own_namespace!(Needs::PROCESSES);
    let cgroup = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    if [".service", "docker", "kubepods", "libpod", "crio"]
        .iter()
        .any(|mark| cgroup.contains(mark))
    {
        return skip(
            "a_root_listener_without_a_unit",
            "the tests run in a unit or container themselves",
        );
    }
    let running = Running::with(&mut sleep(), open());
    let of = || severities(&quick(), running.pid(), "no-unit").len();
    let before = fs::read_to_string("/proc/1/comm").unwrap();
    assert_eq!(of(), 0, "no service manager runs here");
    // The init process of this namespace is this test.
    fs::write("/proc/1/comm", "systemd").unwrap();
    let user = !netstat_testkit::namespace::real_root();
    // In a user namespace, root has no special privileges, but the reader is in the same namespace.
    assert_eq!(of(), 1, "user namespace: {user}");
    fs::write("/proc/1/comm", before.trim()).unwrap();
}

#[test]
fn connections_to_addresses_on_a_block_list_are_reported() {
    own_namespace!(Needs::PROCESSES);
    let public = public_address();
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("list.netset");
    fs::write(&list, format!("# bad\n198.51.100.0/24\n{public} ; SBL1\n")).unwrap();
    let listener = TcpListener::bind((public, 4444)).unwrap();
    let called = TcpStream::connect((public, 4444)).unwrap();
    let (_accepted, _) = listener.accept().unwrap();
    let caller = Running::with(&mut sleep(), called);
    let innocent = Running::with(&mut sleep(), pair("127.0.0.1").0);
    let words = ["--no-digests", "--blocklist", list.to_str().unwrap()];
    let document = audit(&words);
    assert_eq!(severities(&document, caller.pid(), "block-list"), ["high"]);
    assert_eq!(severities(&document, innocent.pid(), "block-list"), [] as [&str; 0]);
    // The other end accepted the connection, as servers do.
    assert_eq!(severities(&document, std::process::id(), "block-list"), ["medium"]);
    assert_eq!(severities(&quick(), caller.pid(), "block-list"), [] as [&str; 0]);
}

#[test]
fn connection_to_block_list_is_reported_after_it_ended() {
    own_namespace!(Needs::PROCESSES);
    let public = public_address();
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("list");
    fs::write(&list, format!("{public}\n")).unwrap();
    let (one, other) = pair(public);
    one.shutdown(std::net::Shutdown::Write).unwrap();
    drop(other);
    drop(one);
    let words = ["--no-digests", "--blocklist", list.to_str().unwrap()];
    eventually(
        || !of_host(&audit(&words), "block-list-ownerless").is_empty(),
        || format!("{:#}", audit(&words)),
    );
}
