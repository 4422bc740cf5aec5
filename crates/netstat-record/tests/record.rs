//! Tests that what goes into a record comes out of it: events, batches, restarts, clocks, limits, older versions.
#![cfg(target_os = "linux")]

use std::net::IpAddr;
use std::num::NonZeroU64;
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use netstat_model::{
    Direction, Endpoint, Event, EventKind, EventOrigin, EventOwner, Fact, Family, Filter, Moment, Protocol, ShortName,
    State, Transfer, Why,
};
use netstat_record::{Flow, NewProcess, Novelty, Question, Reader, Recorder, Retention, StoreError, Writer, millis};

const BOOT: &str = "5e0fd2f6-6d1c-4a2a-9b64-0d7e2d1a9c01";
const SECOND: u64 = 1_000_000_000;
/// The time of day when the simulated computer started.
const START: u64 = 1_700_000_000;

fn wall(since_boot: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(START) + Duration::from_nanos(since_boot)
}

fn endpoint(address: &str, port: u16) -> Endpoint {
    Endpoint {
        address: address.parse().unwrap(),
        port,
        scope: 0,
    }
}

/// Returns an event of a connection by curl to 203.0.113.7:443.
fn event(kind: EventKind, cookie: u64, since_boot: u64) -> Event {
    Event {
        kind,
        at: Moment {
            wall: wall(since_boot),
            since_boot,
        },
        origin: EventOrigin::Trace,
        cookie: NonZeroU64::new(cookie),
        inode: None,
        protocol: Protocol::Tcp,
        family: Family::V4,
        local: endpoint("10.0.0.7", 40_000 + (cookie % 20_000) as u16),
        foreign: endpoint("203.0.113.7", 443),
        state: match kind {
            EventKind::Closed => State::Closed,
            _ => State::Established,
        },
        before: (kind == EventKind::Closed).then_some(State::FinWait2),
        direction: Direction::Outgoing,
        interface: 0,
        namespace: Fact::Known(4_026_531_840),
        owner: Fact::Known(EventOwner {
            pid: 77,
            start_ticks: Fact::Known(5000),
            name: ShortName::new(b"curl"),
        }),
        user: Fact::Known(1000),
        cgroup: Fact::Unknown(Why::NotKept),
        opened: Fact::Known(since_boot),
        sent: Fact::Known(100),
        received: Fact::Known(2000),
        retransmits: Fact::Known(1),
        rtt: Fact::Known(300),
    }
}

fn describe(owner: &EventOwner, _: Fact<u64>) -> NewProcess {
    NewProcess {
        path: Some(b"/usr/bin/curl".to_vec()),
        name: owner.name.as_bytes().to_vec(),
        unit: Some(b"backup.service".to_vec()),
        container: None,
        command: Some(7),
        ..NewProcess::default()
    }
}

fn recorder(path: &Path) -> Recorder {
    Recorder::new(Writer::open(path, b"mill", BOOT).unwrap()).unwrap()
}

fn flows(path: &Path, question: &Question) -> Vec<Flow> {
    let mut found = Vec::new();
    Reader::open(path)
        .unwrap()
        .flows(question, &mut |flow| {
            found.push(flow);
            ControlFlow::Continue(())
        })
        .unwrap();
    found
}

fn all(path: &Path) -> Vec<Flow> {
    flows(path, &Question::default())
}

#[test]
fn short_connection_is_one_row_with_all_facts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/record.db");
    let mut recorder = recorder(&path);
    recorder.observe(&event(EventKind::Opened, 1, 10 * SECOND), &mut describe);
    let mut closed = event(EventKind::Closed, 1, 11 * SECOND);
    closed.opened = Fact::Known(10 * SECOND);
    recorder.observe(&closed, &mut describe);
    assert_eq!(recorder.flush(12 * SECOND, wall(12 * SECOND)).unwrap().rows, 1);
    let found = all(&path);
    assert_eq!(found.len(), 1);
    let flow = &found[0];
    assert_eq!(flow.first, millis(wall(10 * SECOND)));
    assert_eq!((flow.duration(), flow.closed, flow.begun), (1000, true, true));
    assert_eq!(
        (flow.local.1, flow.foreign),
        (40_001, ("203.0.113.7".parse().unwrap(), 443))
    );
    assert_eq!(
        (flow.direction, flow.state, flow.origin),
        (Direction::Outgoing, State::FinWait2, EventOrigin::Trace)
    );
    assert_eq!((flow.sent, flow.received), (Fact::Known(100), Fact::Known(2000)));
    assert_eq!(
        (flow.retransmits, flow.rtt, flow.user),
        (Fact::Known(1), Fact::Known(300), Fact::Known(1000))
    );
    assert_eq!(flow.namespace, Fact::Known(4_026_531_840));
    let process = flow.process.as_ref().unwrap();
    assert_eq!(
        (process.pid, process.start_ticks, process.command),
        (77, Some(5000), Some(7))
    );
    assert_eq!(process.program.path.as_deref(), Some(&b"/usr/bin/curl"[..]));
    assert_eq!(process.unit.as_deref(), Some(&b"backup.service"[..]));
    assert_eq!(
        (flow.boot.host.as_slice(), flow.boot.boot_id.as_str()),
        (&b"mill"[..], BOOT)
    );
    for file in std::fs::read_dir(path.parent().unwrap()).unwrap() {
        let mode = file.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn long_connection_over_heartbeats_and_restarts_stays_one_row() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.db");
    let mut first = recorder(&path);
    first.observe(&event(EventKind::Opened, 1, 10 * SECOND), &mut describe);
    first.settle().unwrap();
    for second in 11..200 {
        first.flush(second * SECOND, wall(second * SECOND)).unwrap();
    }
    let found = all(&path);
    assert_eq!((found.len(), found[0].closed), (1, false));
    assert!(found[0].duration() >= 120_000, "{}", found[0].duration());
    // As after kill -9: nothing is written at the end.
    drop(first);
    let mut second = recorder(&path);
    let mut present = event(EventKind::Present, 1, 300 * SECOND);
    present.opened = Fact::Unknown(Why::NotKept);
    second.observe(&present, &mut describe);
    second.settle().unwrap();
    second.flush(301 * SECOND, wall(301 * SECOND)).unwrap();
    let mut closed = event(EventKind::Closed, 1, 310 * SECOND);
    closed.opened = Fact::Unknown(Why::NotKept);
    second.observe(&closed, &mut describe);
    second.flush(311 * SECOND, wall(311 * SECOND)).unwrap();
    let found = all(&path);
    assert_eq!((found.len(), found[0].closed, found[0].duration()), (1, true, 300_000));
}

#[test]
fn flow_ended_between_two_recorders_is_not_left_open() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.db");
    let mut first = recorder(&path);
    first.observe(&event(EventKind::Opened, 1, 10 * SECOND), &mut describe);
    first.flush(12 * SECOND, wall(12 * SECOND)).unwrap();
    let refused = Writer::open(&path, b"mill", BOOT).unwrap_err().to_string();
    assert!(refused.contains("another recorder"), "{refused}");
    drop(first);
    let mut second = recorder(&path);
    second.settle().unwrap();
    drop(second);
    let writer = Writer::open(&path, b"mill", BOOT).unwrap();
    assert!(writer.left_open().unwrap().is_empty());
    assert!(!all(&path)[0].closed, "nobody saw its end");
}

#[test]
fn flow_owner_reported_after_close_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.db");
    let mut recorder = recorder(&path);
    let mut opened = event(EventKind::Opened, 5, 10 * SECOND);
    opened.direction = Direction::Incoming;
    let owner = std::mem::replace(&mut opened.owner, Fact::Unknown(Why::NotYet));
    recorder.observe(&opened, &mut describe);
    let mut closed = event(EventKind::Closed, 5, 10 * SECOND + 1_000_000);
    (closed.direction, closed.owner) = (Direction::Incoming, Fact::Unknown(Why::NotYet));
    recorder.observe(&closed, &mut describe);
    recorder.flush(11 * SECOND, wall(11 * SECOND)).unwrap();
    let mut taken = event(EventKind::Accepted, 5, 12 * SECOND);
    (taken.direction, taken.owner, taken.state) = (Direction::Incoming, owner, State::Closed);
    recorder.observe(&taken, &mut describe);
    recorder.flush(13 * SECOND, wall(13 * SECOND)).unwrap();
    let found = all(&path);
    assert_eq!((found.len(), found[0].closed, found[0].duration()), (1, true, 1));
    assert_eq!(found[0].process.as_ref().unwrap().pid, 77);
}

#[test]
fn udp_socket_with_changed_peer_is_new_flow_with_own_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.db");
    let mut recorder = recorder(&path);
    let udp = |kind, at: u64, host: &str, sent| {
        let mut event = event(kind, 3, at * SECOND);
        event.protocol = Protocol::Udp;
        event.foreign = endpoint(host, 53);
        event.opened = Fact::Known(10 * SECOND);
        event.sent = Fact::Known(sent);
        event
    };
    recorder.observe(&udp(EventKind::Opened, 10, "203.0.113.1", 30), &mut describe);
    recorder.observe(&udp(EventKind::Changed, 20, "203.0.113.2", 70), &mut describe);
    recorder.observe(&udp(EventKind::Closed, 30, "203.0.113.2", 100), &mut describe);
    recorder.flush(31 * SECOND, wall(31 * SECOND)).unwrap();
    let told: Vec<(IpAddr, Fact<u64>)> = all(&path).iter().map(|flow| (flow.foreign.0, flow.sent)).collect();
    let expected = [("203.0.113.1", 30), ("203.0.113.2", 70)];
    assert_eq!(
        told,
        expected.map(|(host, sent)| (host.parse().unwrap(), Fact::Known(sent)))
    );
}

#[test]
fn clock_jump_is_recorded_as_gap_and_changes_no_duration() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.db");
    let mut recorder = recorder(&path);
    recorder.observe(&event(EventKind::Opened, 1, 10 * SECOND), &mut describe);
    recorder.flush(11 * SECOND, wall(11 * SECOND)).unwrap();
    let hour = Duration::from_secs(3600);
    recorder.flush(12 * SECOND, wall(12 * SECOND) - hour).unwrap();
    let mut closed = event(EventKind::Closed, 1, 20 * SECOND);
    closed.at.wall = wall(20 * SECOND) - hour;
    recorder.observe(&closed, &mut describe);
    recorder.flush(21 * SECOND, wall(21 * SECOND) - hour).unwrap();
    recorder.flush(22 * SECOND, wall(22 * SECOND) + hour).unwrap();
    let found = all(&path);
    assert_eq!((found.len(), found[0].duration()), (1, 10_000));
    let gaps = Reader::open(&path).unwrap().gaps(None, None).unwrap();
    let reasons: Vec<&str> = gaps.iter().map(|gap| gap.reason.as_str()).collect();
    assert_eq!(reasons.len(), 2, "{reasons:?}");
    assert!(reasons.contains(&"the clock was set back by 3600.0 s"), "{reasons:?}");
    assert!(
        reasons.contains(&"the clock was set forward by 7200.0 s"),
        "{reasons:?}"
    );
    assert!(gaps.iter().all(|gap| gap.until - gap.since >= 3_600_000));
}

#[test]
fn retention_removes_old_and_excess_flows_but_keeps_open_ones() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.db");
    let mut recorder = recorder(&path);
    for cookie in 1..=30_000 {
        recorder.observe(&event(EventKind::Opened, cookie, cookie * SECOND / 100), &mut describe);
        if cookie > 1 {
            let mut closed = event(EventKind::Closed, cookie, cookie * SECOND / 100 + 1);
            closed.opened = Fact::Known(cookie * SECOND / 100);
            recorder.observe(&closed, &mut describe);
        }
        if recorder.waiting() >= 5_000 {
            let now = cookie * SECOND / 100 + 1;
            recorder.flush(now, wall(now)).unwrap();
        }
    }
    recorder.flush(301 * SECOND, wall(301 * SECOND)).unwrap();
    assert_eq!(all(&path).len(), 30_000);
    let keep = Retention {
        keep: Some(101_000),
        max_size: None,
    };
    while recorder.retain(keep).unwrap() > 0 {}
    let left = all(&path);
    // The flows of the last 101 seconds, and the one that is still open.
    assert_eq!(left.len(), 10_000 + 1 + 1, "{}", left.len());
    assert!(left[0].first < left[1].first - 100_000 && !left[0].closed);
    let small = Retention {
        keep: None,
        max_size: Some(300_000),
    };
    while recorder.retain(small).unwrap() > 0 {}
    assert!(all(&path).len() < 10_000);
    // Processes that were removed are created again.
    recorder.observe(&event(EventKind::Closed, 40_000, 302 * SECOND), &mut describe);
    recorder.flush(303 * SECOND, wall(303 * SECOND)).unwrap();
    assert!(all(&path).last().unwrap().process.is_some());
}

#[test]
fn flow_query_by_filter_and_time_finds_matching_flows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.db");
    let mut recorder = recorder(&path);
    for cookie in 1..=50u64 {
        let mut closed = event(EventKind::Closed, cookie, cookie * 3600 * SECOND);
        closed.foreign = endpoint(&format!("198.51.100.{}", cookie % 5), 443);
        closed.opened = Fact::Known((cookie * 3600 - if cookie == 40 { 30 * 3600 } else { 1 }) * SECOND);
        recorder.observe(&closed, &mut describe);
    }
    recorder.flush(51 * 3600 * SECOND, wall(51 * 3600 * SECOND)).unwrap();
    let ask = |words: &str, since: Option<u64>, until: Option<u64>| {
        let at = |hours: u64| millis(wall(hours * 3600 * SECOND));
        let question = Question {
            since: since.map(at),
            until: until.map(at),
            filter: words.parse::<Filter>().unwrap(),
            ..Question::default()
        };
        flows(&path, &question).len()
    };
    assert_eq!(ask("", None, None), 50);
    assert_eq!(ask("--foreign 198.51.100.3", None, None), 10);
    assert_eq!(ask("--foreign 198.51.100.3/32:443 --program curl", None, None), 10);
    assert_eq!(ask("--foreign 198.51.100.0/30", None, None), 40);
    assert_eq!(ask("--foreign 192.0.2.1", None, None), 0);
    assert_eq!(ask("--program wget", None, None), 0);
    assert_eq!(ask("--pid 77 --foreign :443", None, None), 50);
    // The flow that lasted 30 hours began at 10 and is in every hour until 40.
    assert_eq!(ask("", Some(20), Some(20)), 2);
    assert_eq!(ask("", Some(45), None), 6);
    assert_eq!(ask("--foreign 198.51.100.0/24", Some(20), Some(20)), 2);
    let mut reader = Reader::open(&path).unwrap();
    let seen = reader.first_seen(Some(b"/usr/bin/curl"), b"curl").unwrap();
    assert_eq!(seen[0].what, Novelty::Program);
    assert!(seen.iter().any(|sighting| sighting.what == Novelty::Port(443)));
    assert!(
        seen.iter()
            .any(|sighting| sighting.what == Novelty::Network("198.51.100.0/24".parse().unwrap()))
    );
    assert!(reader.first_seen(Some(b"/usr/bin/wget"), b"wget").unwrap().is_empty());
    assert!(reader.novelties(millis(wall(60 * 3600 * SECOND))).unwrap().is_empty());
}

#[test]
fn record_of_version_1_is_migrated() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.db");
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch(include_str!("fixtures/version1.sql")).unwrap();
    drop(old);
    assert!(matches!(Reader::open(&path), Err(StoreError::Older(_, 1))));
    drop(Writer::open(&path, b"mill", BOOT).unwrap());
    let found = all(&path);
    assert_eq!(found.len(), 3);
    let flow = found.iter().find(|flow| flow.id == 1).unwrap();
    assert_eq!((flow.foreign.1, flow.sent, flow.closed), (443, Fact::Known(500), true));
    assert_eq!(flow.process.as_ref().unwrap().program.shown(), b"curl");
    let mut reader = Reader::open(&path).unwrap();
    assert_eq!(reader.gaps(None, None).unwrap()[0].lost, Some(12));
    let seen = reader.first_seen(Some(b"/usr/bin/curl"), b"curl").unwrap();
    let what: Vec<(Novelty, i64)> = seen.iter().map(|one| (one.what, one.first)).collect();
    assert_eq!(what.len(), 4, "{what:?}");
    assert!(what.contains(&(Novelty::Network("2001:db8::/48".parse().unwrap()), 1_700_000_100_000)));
    assert!(what.contains(&(Novelty::Network("203.0.113.0/24".parse().unwrap()), 1_700_000_000_000)));
    let listens = reader.first_seen(None, b"sshd").unwrap();
    assert!(listens.iter().any(|one| one.what == Novelty::Listens(22)));
}

#[test]
fn outgoing_flows_get_asked_names_and_are_found_by_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.db");
    let mut recorder = recorder(&path);
    recorder.observe(&event(EventKind::Accepted, 1, 10 * SECOND), &mut describe);
    recorder.observe(&event(EventKind::Closed, 2, 11 * SECOND), &mut describe);
    let incoming = Event {
        direction: Direction::Incoming,
        ..event(EventKind::Closed, 3, 12 * SECOND)
    };
    recorder.observe(&incoming, &mut describe);
    let mut asked = Vec::new();
    recorder.name_flows(&mut |address, first| {
        asked.push((address.to_string(), first));
        Some(std::sync::Arc::from(&b"www.example.org"[..]))
    });
    let moments = [10, 11].map(|second| ("203.0.113.7".to_owned(), millis(wall(second * SECOND))));
    asked.sort();
    assert_eq!(asked, moments);
    recorder.flush(13 * SECOND, wall(13 * SECOND)).unwrap();
    // A known name is kept when the row is written again.
    recorder.observe(&event(EventKind::Closed, 1, 20 * SECOND), &mut describe);
    recorder.flush(21 * SECOND, wall(21 * SECOND)).unwrap();
    let named = |names: &str| {
        let question = Question {
            names: names.parse().unwrap(),
            ..Question::default()
        };
        let found = flows(&path, &question);
        let name = |flow: &Flow| flow.asked_name.as_deref() == Some(&b"www.example.org"[..]);
        assert!(found.iter().all(name), "{found:?}");
        found.len()
    };
    for (names, count) in [("*.example.org", 2), ("WWW.example.org,other", 2), ("example.org", 0)] {
        assert_eq!(named(names), count, "{names}");
    }
    let incoming = all(&path)
        .into_iter()
        .find(|flow| flow.direction == Direction::Incoming);
    assert_eq!(incoming.unwrap().asked_name, None);
}

#[test]
fn foreign_file_or_newer_record_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.db");
    std::fs::write(
        &path,
        "no database at all, but long enough to be looked at as one ".repeat(20),
    )
    .unwrap();
    assert!(Writer::open(&path, b"mill", BOOT).is_err());
    assert!(Reader::open(&path).is_err());
    let path = folder.path().join("foreign.db");
    rusqlite::Connection::open(&path)
        .unwrap()
        .execute_batch("CREATE TABLE t(x)")
        .unwrap();
    assert!(matches!(
        Writer::open(&path, b"mill", BOOT),
        Err(StoreError::Foreign(..))
    ));
    let path = folder.path().join("newer.db");
    drop(Writer::open(&path, b"mill", BOOT).unwrap());
    rusqlite::Connection::open(&path)
        .unwrap()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    assert!(matches!(
        Writer::open(&path, b"mill", BOOT),
        Err(StoreError::Newer(_, 99))
    ));
    assert!(matches!(
        Reader::open(&folder.path().join("none.db")),
        Err(StoreError::Absent(_))
    ));
}

/// Returns what a connection has transferred so far.
fn progress(cookie: u64, sent: u64) -> Transfer {
    Transfer {
        cookie,
        state: State::CloseWait,
        sent: Fact::Known(sent),
        received: Fact::Known(sent * 2),
        retransmits: Fact::Known(4),
        rtt: Fact::Unknown(Why::NotSupported),
    }
}

#[test]
fn heartbeat_updates_bytes_of_open_connection() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.db");
    let mut recorder = recorder(&path).with_heartbeat(Duration::from_secs(10));
    let mut listener = event(EventKind::Listening, 9, 99 * SECOND);
    listener.direction = Direction::Listening;
    recorder.observe(&listener, &mut describe);
    recorder.observe(&event(EventKind::Opened, 1, 100 * SECOND), &mut describe);
    recorder.flush(101 * SECOND, wall(101 * SECOND)).unwrap();
    assert!(
        recorder.wants_progress(105 * SECOND).is_empty(),
        "not before the interval"
    );
    recorder.flush(105 * SECOND, wall(105 * SECOND)).unwrap();
    let asked = recorder.wants_progress(112 * SECOND);
    assert_eq!(asked.into_iter().collect::<Vec<_>>(), [1], "a listener moves nothing");
    // Sockets that are not in the record change nothing.
    recorder.refresh(&[progress(1, 5_000), progress(77, 1)]);
    recorder.flush(112 * SECOND, wall(112 * SECOND)).unwrap();
    assert!(recorder.wants_progress(113 * SECOND).is_empty(), "it has been told");
    // As after kill -9.
    drop(recorder);
    let found = all(&path);
    assert_eq!(found.len(), 2);
    let flow = found.iter().find(|flow| flow.direction == Direction::Outgoing).unwrap();
    assert_eq!((flow.duration(), flow.closed), (12_000, false));
    assert_eq!((flow.sent, flow.received), (Fact::Known(5_000), Fact::Known(10_000)));
    assert_eq!((flow.retransmits, flow.state), (Fact::Known(4), State::CloseWait));
    assert_eq!(flow.rtt, Fact::Known(300), "what is not told keeps its last value");
}

#[test]
fn datagram_byte_counts_of_open_socket_are_updated_and_never_shrink() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.db");
    let datagrams = Event {
        protocol: Protocol::Udp,
        sent: Fact::Unknown(Why::NotAsked),
        received: Fact::Unknown(Why::NotAsked),
        ..event(EventKind::Opened, 1, 10 * SECOND)
    };
    let counted = |path: &Path| {
        let flow = all(path).remove(0);
        (flow.sent, flow.received)
    };
    let mut recorder = recorder(&path).with_heartbeat(Duration::from_secs(1));
    recorder.observe(&datagrams, &mut describe);
    recorder.flush(11 * SECOND, wall(11 * SECOND)).unwrap();
    assert!(recorder.is_due(13 * SECOND));
    recorder.refresh_datagrams(&|cookie| Fact::Known((500 * cookie, 7)));
    recorder.flush(13 * SECOND, wall(13 * SECOND)).unwrap();
    assert_eq!(counted(&path), (Fact::Known(500), Fact::Known(7)));
    drop(recorder);
    // The next recorder counts from its own start.
    let mut again = self::recorder(&path).with_heartbeat(Duration::from_secs(1));
    let present = Event {
        opened: Fact::Unknown(Why::NotKept),
        ..Event {
            kind: EventKind::Present,
            at: Moment {
                wall: wall(20 * SECOND),
                since_boot: 20 * SECOND,
            },
            ..datagrams
        }
    };
    again.observe(&present, &mut describe);
    again.flush(21 * SECOND, wall(21 * SECOND)).unwrap();
    again.refresh_datagrams(&|_| Fact::Known((20, 0)));
    again.flush(30 * SECOND, wall(30 * SECOND)).unwrap();
    assert_eq!(counted(&path), (Fact::Known(500), Fact::Known(7)));
}

#[test]
fn many_open_flows_are_updated_in_rounds_and_all_at_clean_stop() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.db");
    let mut recorder = recorder(&path).with_heartbeat(Duration::from_secs(10));
    for cookie in 1..=21_000 {
        recorder.observe(&event(EventKind::Opened, cookie, 100 * SECOND), &mut describe);
    }
    recorder.flush(101 * SECOND, wall(101 * SECOND)).unwrap();
    let rows: Vec<u64> = (112..117)
        .map(|second| recorder.flush(second * SECOND, wall(second * SECOND)).unwrap().rows)
        .collect();
    assert_eq!(rows, [20_000, 1_000, 0, 0, 0]);
    assert!(all(&path).iter().all(|flow| flow.duration() >= 12_000));
    let stopped = recorder.stop(120 * SECOND, wall(120 * SECOND)).unwrap();
    assert_eq!(stopped.rows, 21_000);
    assert!(all(&path).iter().all(|flow| flow.duration() == 20_000 && !flow.closed));
}

/// Creates a store with flows to eight addresses by six processes, one each second. There are gaps in the ids, and the
/// first stretches are gone.
fn sparse(path: &Path) {
    let mut writer = Writer::open(path, b"mill", BOOT).unwrap();
    drop(writer.batch().unwrap());
    drop(writer);
    let direct = rusqlite::Connection::open(path).unwrap();
    // The next row gets the id after the largest one, which simulates a recorder that has run for long.
    let jump = |number: i64| {
        direct
            .execute(
                "INSERT INTO flow(id, first, span, boot, local, local_port, remote, remote_port, kind) VALUES(?1, 0, 0, 1, 0, 0, 0, 0, 0)",
                [number - 1],
            )
            .unwrap();
    };
    let mut second = 100;
    for start in [3 * 65_536 - 20, 5 * 65_536 + 7, 5 * 65_536 + 900, 9 * 65_536 - 40] {
        jump(start);
        let mut recorder = recorder(path);
        for cookie in 0..80u64 {
            second += 1;
            let mut closed = event(EventKind::Closed, 10_000 + second, second * SECOND);
            closed.opened = Fact::Known((second - 1) * SECOND);
            closed.foreign = endpoint(&format!("198.51.100.{}", cookie % 8), 443);
            closed.owner = Fact::Known(EventOwner {
                pid: 70 + (cookie % 6) as u32,
                start_ticks: Fact::Known(5000),
                name: ShortName::new(b"curl"),
            });
            recorder.observe(&closed, &mut describe);
        }
        recorder.flush(second * SECOND, wall(second * SECOND)).unwrap();
        direct.execute("DELETE FROM flow WHERE id = ?1", [start - 1]).unwrap();
    }
}

/// A query that uses an index finds the same flows as a scan of all.
#[test]
fn indexed_query_finds_same_flows_as_full_scan() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.db");
    sparse(&path);
    let everything = all(&path);
    assert_eq!(everything.len(), 320);
    let numbers: Vec<i64> = everything.iter().map(|flow| flow.id >> 16).collect();
    assert_eq!((numbers.first(), numbers.last()), (Some(&2), Some(&9)));
    let compare = |everything: &[Flow]| {
        let mut found = 0;
        for words in [
            "--foreign 198.51.100.3",
            "--foreign 198.51.100.0/30",
            "--foreign 198.51.100.2,198.51.100.7",
            "--pid 72",
            "--pid 70,71,73",
            "--program curl",
            "--program wget",
            "--foreign 198.51.100.4 --pid 72",
        ] {
            let filter: Filter = words.parse().unwrap();
            for (since, until) in [
                (None, None),
                (Some(150), None),
                (None, Some(230)),
                (Some(200), Some(205)),
            ] {
                let at = |second: Option<u64>| second.map(|second| millis(wall(second * SECOND)));
                let question = Question {
                    since: at(since),
                    until: at(until),
                    filter: filter.clone(),
                    ..Question::default()
                };
                let wanted: Vec<i64> = everything
                    .iter()
                    .filter(|flow| question.since.is_none_or(|since| flow.last >= since))
                    .filter(|flow| question.until.is_none_or(|until| flow.first <= until))
                    .filter(|flow| filter.wants(*flow) && filter.wants_holders(*flow))
                    .map(|flow| flow.id)
                    .collect();
                let told: Vec<i64> = flows(&path, &question).iter().map(|flow| flow.id).collect();
                assert_eq!(told, wanted, "{words} {since:?} {until:?}");
                found += told.len();
            }
        }
        found
    };
    assert!(compare(&everything) > 1_000);
    // When the oldest flows are removed, their stretches are too.
    let mut writer = Writer::open(&path, b"mill", BOOT).unwrap();
    let keep = Retention {
        keep: Some(170_000),
        max_size: None,
    };
    while writer.retain(keep, millis(wall(420 * SECOND))).unwrap() > 0 {}
    drop(writer);
    let left = all(&path);
    assert_eq!(left.len(), 171);
    assert!(compare(&left) > 300);
    let direct = rusqlite::Connection::open(&path).unwrap();
    let mut stretches = direct.prepare("SELECT number FROM stretch ORDER BY number").unwrap();
    let stretches: Vec<i64> = stretches
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(stretches, [5, 8, 9]);
}

#[test]
fn retention_removes_processes_without_flows_though_older_one_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.db");
    let mut recorder = recorder(&path);
    // A server that never ends, followed by a thousand short-lived programs.
    recorder.observe(&event(EventKind::Listening, 1, SECOND), &mut describe);
    for cookie in 2..=1_001 {
        let mut closed = event(EventKind::Closed, cookie, cookie * SECOND);
        closed.owner = Fact::Known(EventOwner {
            pid: 1_000 + cookie as u32,
            start_ticks: Fact::Known(cookie),
            name: ShortName::new(b"curl"),
        });
        recorder.observe(&closed, &mut describe);
    }
    recorder.flush(1_001 * SECOND, wall(1_001 * SECOND)).unwrap();
    let count = |table: &str| -> i64 {
        let direct = rusqlite::Connection::open(&path).unwrap();
        let text = format!("SELECT count(*) FROM {table}");
        direct.query_row(&text, [], |row| row.get(0)).unwrap()
    };
    assert_eq!((count("flow"), count("process")), (1_001, 1_001));
    let keep = Retention {
        keep: Some(100_000),
        max_size: None,
    };
    while recorder.retain(keep).unwrap() > 0 {}
    assert_eq!((count("flow"), count("process")), (102, 102));
    assert!(all(&path).iter().any(|flow| flow.process.as_ref().unwrap().pid == 77));
}

#[test]
fn record_of_version_2_is_migrated() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.db");
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch(include_str!("fixtures/version2.sql")).unwrap();
    drop(old);
    assert!(matches!(Reader::open(&path), Err(StoreError::Older(_, 2))));
    let mut recorder = recorder(&path);
    let found = all(&path);
    assert_eq!(found.iter().map(|flow| flow.id).collect::<Vec<_>>(), [3, 1, 70_002]);
    // The sightings of version 2 are unchanged.
    let seen = Reader::open(&path)
        .unwrap()
        .first_seen(Some(b"/usr/bin/curl"), b"curl")
        .unwrap();
    assert_eq!(seen.iter().map(|one| one.first).min(), Some(1_600_000_000_000));
    // New rows can be added, and all are found through the new index.
    recorder.observe(&event(EventKind::Closed, 5, 10 * SECOND), &mut describe);
    recorder.flush(11 * SECOND, wall(11 * SECOND)).unwrap();
    let ask = |since: Option<i64>| {
        let question = Question {
            since,
            until: None,
            filter: "--foreign 203.0.113.7".parse().unwrap(),
            ..Question::default()
        };
        flows(&path, &question).iter().map(|flow| flow.id).collect::<Vec<_>>()
    };
    assert_eq!(ask(None), [1, 70_003, 70_002]);
    assert_eq!(ask(Some(1_700_000_090_000)), [70_002]);
}

#[test]
fn record_of_version_3_is_migrated() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.db");
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch(include_str!("fixtures/version3.sql")).unwrap();
    drop(old);
    assert!(matches!(Reader::open(&path), Err(StoreError::Older(_, 3))));
    let mut recorder = recorder(&path);
    let before = all(&path);
    assert_eq!(before.len(), 3);
    assert!(before.iter().all(|flow| flow.asked_name.is_none()));
    let process = before.iter().find_map(|flow| flow.process.clone()).unwrap();
    assert_eq!(
        (process.script.as_deref(), process.container_name.as_deref()),
        (None, None)
    );
    // A script and a container's name are stored and can be used in queries.
    let mut scripted = |owner: &EventOwner, _: Fact<u64>| NewProcess {
        path: Some(b"/usr/bin/python3.11".to_vec()),
        name: owner.name.as_bytes().to_vec(),
        script: Some(b"/srv/srv.py".to_vec()),
        container: Some(b"docker 0123456789ab".to_vec()),
        container_name: Some(b"web".to_vec()),
        ..NewProcess::default()
    };
    recorder.observe(&event(EventKind::Closed, 5, 10 * SECOND), &mut scripted);
    recorder.flush(11 * SECOND, wall(11 * SECOND)).unwrap();
    let by_script = Question {
        scripts: "srv.py".parse().unwrap(),
        ..Question::default()
    };
    let by_program = Question {
        filter: "--program srv.py".parse().unwrap(),
        newest_first: true,
        ..Question::default()
    };
    for question in [by_script, by_program] {
        let found = flows(&path, &question);
        assert_eq!(found.len(), 1, "{question:?}");
        let process = found[0].process.clone().unwrap();
        assert_eq!(process.script.as_deref(), Some(&b"/srv/srv.py"[..]));
        assert_eq!(process.container_name.as_deref(), Some(&b"web"[..]));
    }
    let newest = Question {
        newest_first: true,
        ..Question::default()
    };
    let firsts: Vec<i64> = flows(&path, &newest).iter().map(|flow| flow.first).collect();
    assert!(firsts.len() == 4 && firsts.is_sorted_by(|a, b| a >= b), "{firsts:?}");
}

#[test]
fn time_between_two_recorders_is_recorded_as_gap() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.db");
    let mut first = recorder(&path).with_heartbeat(Duration::from_secs(10));
    for second in 10..=100 {
        first.flush(second * SECOND, wall(second * SECOND)).unwrap();
    }
    drop(first);
    let mut second = recorder(&path);
    second.flush(500 * SECOND, wall(500 * SECOND)).unwrap();
    second.stop(505 * SECOND, wall(505 * SECOND)).unwrap();
    drop(second);
    // Half a second later: connections of that time are missing as well.
    let mut third = recorder(&path);
    third
        .flush(505 * SECOND + SECOND / 2, wall(505 * SECOND + SECOND / 2))
        .unwrap();
    drop(third);
    let gaps = Reader::open(&path).unwrap().gaps(None, None).unwrap();
    let told: Vec<(i64, i64, &str)> = gaps
        .iter()
        .map(|gap| (gap.since, gap.until, gap.reason.as_str()))
        .collect();
    let at = |second: u64| millis(wall(second * SECOND));
    let reason = "no recorder was at work";
    assert_eq!(told, [(at(100), at(500), reason), (at(505), at(505) + 500, reason)]);
}

#[test]
fn more_open_flows_than_fit_memory_are_one_row_each() {
    const MANY: u64 = 34_000;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.db");
    let mut recorder = recorder(&path);
    for cookie in 1..=MANY {
        recorder.observe(&event(EventKind::Opened, cookie, 100 * SECOND), &mut describe);
        if recorder.waiting() >= 5_000 {
            recorder.flush(101 * SECOND, wall(101 * SECOND)).unwrap();
        }
    }
    recorder.flush(101 * SECOND, wall(101 * SECOND)).unwrap();
    assert!(
        recorder.open_flows() < MANY as usize,
        "the rest stands in the store only"
    );
    for cookie in 1..=MANY {
        let mut closed = event(EventKind::Closed, cookie, 110 * SECOND);
        closed.opened = Fact::Known(100 * SECOND);
        recorder.observe(&closed, &mut describe);
        if recorder.waiting() >= 5_000 {
            recorder.flush(111 * SECOND, wall(111 * SECOND)).unwrap();
        }
    }
    recorder.stop(111 * SECOND, wall(111 * SECOND)).unwrap();
    let found = all(&path);
    assert_eq!(found.len() as u64, MANY);
    assert!(
        found
            .iter()
            .all(|flow| flow.closed && flow.duration() == 10_000 && flow.process.is_some())
    );
    assert!(Reader::open(&path).unwrap().gaps(None, None).unwrap().is_empty());
}

/// If a store cannot be written to for long, what does not fit into memory is lost and counted.
#[test]
fn events_lost_while_store_is_not_written_are_counted() {
    const MANY: u64 = 40_000;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.db");
    let mut recorder = recorder(&path);
    for cookie in 1..=MANY {
        recorder.observe(&event(EventKind::Opened, cookie, 100 * SECOND), &mut describe);
        recorder.observe(&event(EventKind::Closed, cookie, 100 * SECOND), &mut describe);
    }
    recorder.flush(101 * SECOND, wall(101 * SECOND)).unwrap();
    let kept = all(&path).len() as u64;
    assert!(kept < MANY, "{kept}");
    let gaps = Reader::open(&path).unwrap().gaps(None, None).unwrap();
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!(gaps[0].lost, Some(MANY - kept));
    assert!(gaps[0].reason.contains("memory"), "{gaps:?}");
}
