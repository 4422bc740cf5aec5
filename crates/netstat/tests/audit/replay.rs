//! Situations that only a rootkit causes, on a computer in memory: a socket that no process holds, a port that no list
//! shows.

use std::time::SystemTime;

use netstat::args::Parsed;
use netstat::context::{Context, Outcome, Screen};
use netstat::registry;
use netstat_model::{Family, NoOwner, OwnersBuilder, Protocol, Socket, SocketFacts, State};
use netstat_os::{Replay, SocketList};

/// Returns a computer with one listener on port 31337 that no process holds, for `reason`.
fn computer(reason: NoOwner) -> Replay {
    let any = std::net::Ipv4Addr::UNSPECIFIED.into();
    let socket = Socket::new(&SocketFacts {
        protocol: Protocol::Tcp,
        family: Family::V4,
        state: State::Listening,
        local: any,
        local_port: 31_337,
        foreign: any,
        foreign_port: 0,
        interface: 0,
        inode: 11,
        user: Some(0),
        cookie: std::num::NonZeroU64::new(1),
        receive_queue: 0,
        send_queue: Some(0),
    });
    Replay {
        superuser: true,
        sockets: vec![SocketList {
            sockets: vec![socket],
            ..SocketList::default()
        }],
        owners: OwnersBuilder::default().finish(reason),
        ..Replay::default()
    }
}

fn audit(computer: &mut Replay, words: &[&str]) -> (String, Outcome) {
    let all = ["audit", "--no-digests"]
        .iter()
        .chain(words)
        .map(std::ffi::OsString::from);
    let Ok(Parsed::Command(command, matches)) = registry::parse(all) else {
        panic!("{words:?}");
    };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let outcome = (command.run)(
        &matches,
        &mut Context {
            system: computer,
            out: &mut out,
            err: &mut err,
            terminal: false,
            screen: Screen::default(),
            now: &mut || SystemTime::UNIX_EPOCH,
            wait_until: &mut |_| {},
        },
    );
    (String::from_utf8(out).unwrap(), outcome.unwrap())
}

#[test]
fn socket_without_holder_is_reported_unless_it_has_a_reason() {
    let (text, outcome) = audit(&mut computer(NoOwner::Hidden), &["--fail-on", "high"]);
    assert!(
        text.contains("HIGH  nobody holds TCP 0.0.0.0:31337 LISTENING"),
        "{text}"
    );
    assert_eq!(outcome, Outcome::Status(3));
    // Sockets of the kernel itself or of another namespace are not findings.
    for reason in [NoOwner::Kernel, NoOwner::OtherNamespace, NoOwner::InFlight] {
        let (text, outcome) = audit(&mut computer(reason), &["--fail-on", "high"]);
        assert!(!text.contains("nobody holds"), "{reason:?}: {text}");
        assert_eq!(outcome, Outcome::Printed);
    }
}

#[test]
fn port_taken_but_not_listed_is_reported_by_the_probe() {
    let mut computer = computer(NoOwner::Kernel);
    // The listed port is taken, too, as it should be.
    computer.taken_ports = vec![(Protocol::Tcp, false, 31_337), (Protocol::Udp, true, 5_000)];
    let (text, _) = audit(&mut computer, &["--probe-ports"]);
    assert!(
        text.contains("HIGH  UDP port 5000 over IPv6 is taken, and no list shows by whom"),
        "{text}"
    );
    assert!(!text.contains("TCP port 31337"), "{text}");
    let (text, _) = audit(&mut computer, &[]);
    assert!(!text.contains("is taken"), "nothing is tried unasked: {text}");
}

/// Set in the child process that is killed if it reads files or the network of the real computer.
const BLIND: &str = "NETSTAT_TEST_BLIND";

#[test]
fn audit_replay_does_not_read_the_machine() {
    use std::os::unix::process::ExitStatusExt;
    const TEST: &str = "audit_replay_does_not_read_the_machine";
    if std::env::var_os(BLIND).is_some() {
        let looked = netstat_testkit::trouble::blind(|| {
            let (text, _) = audit(&mut computer(NoOwner::Hidden), &[]);
            assert!(text.contains("nobody holds TCP 0.0.0.0:31337"), "{text}");
            let (json, _) = audit(&mut computer(NoOwner::Hidden), &["--json"]);
            assert!(json.contains("31337"), "{json}");
        });
        // Checks that the filter works: reading a file ends the process.
        if looked.is_some() && std::env::var_os(BLIND).is_some_and(|what| what == "file") {
            netstat_testkit::trouble::blind(|| std::fs::read("/proc/self/stat"));
        }
        return;
    }
    let child = |what: &str| {
        std::process::Command::new(std::env::current_exe().unwrap())
            .args([&format!("replay::{TEST}"), "--exact", "--nocapture"])
            .env(BLIND, what)
            .output()
            .unwrap()
    };
    let output = child("audit");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{:?} {said}",
        output.status
    );
    if said.contains("skipped") {
        return;
    }
    assert_eq!(child("file").status.signal(), Some(31), "SIGSYS");
}
