//! `netstat record` on a computer in memory reads nothing of the real computer.
#![cfg(target_os = "linux")]

use std::num::NonZeroU64;
use std::time::{Duration, UNIX_EPOCH};

use netstat::args::Parsed;
use netstat::context::{Context, Outcome, Screen};
use netstat::registry;
use netstat_model::{
    Direction, Endpoint, Event, EventKind, EventOrigin, EventOwner, Fact, Family, Moment, Protocol, ShortName, State,
    Why,
};
use netstat_os::Replay;
use netstat_testkit::{own_namespace, skip, tool};

const SECOND: u64 = 1_000_000_000;
/// When the computer in memory booted: 2023-11-14, 22:13:20 UTC.
const START: u64 = 1_700_000_000;

fn moment(since_boot: u64) -> Moment {
    Moment {
        wall: UNIX_EPOCH + Duration::from_secs(START) + Duration::from_nanos(since_boot),
        since_boot,
    }
}

/// Returns an event of a connection to 203.0.113.7:443.
fn event(kind: EventKind, since_boot: u64) -> Event {
    let endpoint = |address: &str, port| Endpoint {
        address: address.parse().unwrap(),
        port,
        scope: 0,
    };
    let is_closed = kind == EventKind::Closed;
    Event {
        kind,
        at: moment(since_boot),
        origin: EventOrigin::Trace,
        cookie: NonZeroU64::new(9),
        inode: None,
        protocol: Protocol::Tcp,
        family: Family::V4,
        local: endpoint("10.0.0.7", 40_000),
        foreign: endpoint("203.0.113.7", 443),
        state: if is_closed { State::Closed } else { State::Established },
        before: is_closed.then_some(State::FinWait2),
        direction: Direction::Outgoing,
        interface: 0,
        namespace: Fact::Known(4_026_531_840),
        owner: Fact::Known(EventOwner {
            // A process of the real computer has this PID, too.
            pid: 1,
            start_ticks: Fact::Known(5000),
            name: ShortName::new(b"remembered"),
        }),
        user: Fact::Known(1000),
        cgroup: Fact::Unknown(Why::NotKept),
        opened: Fact::Known(10 * SECOND),
        sent: Fact::Known(100),
        received: Fact::Known(2000),
        retransmits: Fact::Known(0),
        rtt: Fact::Known(300),
    }
}

fn run(system: &mut Replay, words: &[&str]) -> (String, String) {
    let Ok(Parsed::Command(command, matches)) = registry::parse(words.iter().map(std::ffi::OsString::from)) else {
        panic!("{words:?}");
    };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let outcome = (command.run)(
        &matches,
        &mut Context {
            system,
            out: &mut out,
            err: &mut err,
            terminal: false,
            screen: Screen::default(),
            now: &mut || moment(20 * SECOND).wall,
            wait_until: &mut |_| {},
        },
    );
    let err = String::from_utf8(err).unwrap();
    assert!(matches!(outcome, Ok(Outcome::Printed)), "{words:?}: {err}");
    (String::from_utf8(out).unwrap(), err)
}

#[test]
fn record_replay_has_the_events_of_the_replay_only() {
    own_namespace!();
    // Without a process list, nothing of the real computer can enter the record.
    let covered = tool("mount").args(["-t", "tmpfs", "none", "/proc"]).status();
    if !covered.is_ok_and(|status| status.success()) {
        skip(
            "record_replay_has_the_events_of_the_replay_only",
            "/proc cannot be covered here",
        );
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("record.db");
    let store = store.to_str().unwrap();
    let mut computer = Replay {
        clock: netstat_os::ReplayClock::at(moment(10 * SECOND)),
        boot_id: Some("5e0fd2f6-6d1c-4a2a-9b64-0d7e2d1a9c01".to_owned()),
        computer_name: b"mill".to_vec(),
        superuser: true,
        events: vec![
            vec![event(EventKind::Opened, 10 * SECOND)],
            vec![event(EventKind::Closed, 11 * SECOND)],
        ],
        ..Replay::default()
    };
    run(&mut computer, &["record", "--store", store, "--for", "5s"]);
    let (out, _) = run(
        &mut computer,
        &["history", "--store", store, "--json", "--since", "2023-11-14"],
    );
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(document["host"], "mill", "{out}");
    let flows = document["rows"].as_array().expect(&out);
    assert_eq!(flows.len(), 1, "{out}");
    assert_eq!(flows[0]["foreign_address"], "203.0.113.7", "{out}");
    assert_eq!(flows[0]["program"], "remembered", "{out}");
    assert_eq!(flows[0]["first"], "2023-11-14T22:13:30.000Z", "{out}");
}
