//! What `inspect`, `audit` and the time in a state take from a record: with a running recorder, with made-up histories,
//! and with unusable records.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use netstat_model::{Direction, EventOrigin, Fact, Family, Protocol, State, Why};
use netstat_record::{NewFlow, NewProcess, Writer, millis};
use netstat_testkit::actors::Actor;
use netstat_testkit::{Needs, Netstat, eventually, own_namespace, skip};
use serde_json::Value;

const DAY: Duration = Duration::from_secs(86_400);

fn netstat() -> Netstat {
    Netstat::new(env!("CARGO_BIN_EXE_netstat"))
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a recorder and waits until it observes events; `None` if this method is not permitted.
fn record(store: &Path, how: &str) -> Option<Running> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_netstat"))
        .args(["record", "--own-namespace", "--verbose", "--events", how, "--store"])
        .arg(store)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    let err = child.stderr.as_mut().unwrap();
    while !first.contains("recording into") {
        let mut byte = [0];
        if err.read(&mut byte).unwrap() == 0 {
            child.wait().unwrap();
            return None;
        }
        first.push(byte[0] as char);
    }
    Some(Running(child))
}

#[track_caller]
fn valid(schema: &str, value: &Value) {
    let path = format!("{}/../../docs/schema/netstat.{schema}.json", env!("CARGO_MANIFEST_DIR"));
    let schema: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let validator = jsonschema::options()
        .should_validate_formats(true)
        .build(&schema)
        .unwrap();
    let errors: Vec<String> = validator
        .iter_errors(value)
        .map(|error| format!("{error} at {}", error.instance_path))
        .collect();
    assert_eq!(errors, [""; 0], "{value:#}");
}

/// Returns the only card about `word`.
#[track_caller]
fn card(store: &Path, word: &str) -> Value {
    let store = store.to_str().unwrap();
    let outcome = netstat().run(["inspect", "--sample", "0", "--json", "--store", store, word]);
    let document: Value = serde_json::from_str(outcome.success()).unwrap();
    valid("inspect", &document);
    assert_eq!(document["cards"].as_array().unwrap().len(), 1, "{document:#}");
    document["cards"][0].clone()
}

/// Starts `sleep`, a small program, with `socket` as its standard input.
fn sleeper(socket: impl Into<OwnedFd>) -> Running {
    let running = Running(
        Command::new("sleep")
            .arg("600")
            .stdin(Stdio::from(socket.into()))
            .stdout(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let own = fs::read_link("/proc/self/exe").unwrap();
    let exe = format!("/proc/{}/exe", running.0.id());
    eventually(
        || fs::read_link(&exe).is_ok_and(|path| path != own),
        || "sleep did not start".to_owned(),
    );
    running
}

/// Joins a wrapped text to one line.
fn flowing(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A made-up record of a program.
struct Past {
    writer: Writer,
    facts: NewProcess,
}

impl Past {
    fn of(store: &Path, program: &Path) -> Past {
        Past {
            writer: Writer::open(store, b"mill", "00000000-0000-0000-0000-000000000001").unwrap(),
            facts: NewProcess {
                path: Some(program.to_str().unwrap().into()),
                name: b"made-up".to_vec(),
                unit: None,
                container: None,
                command: None,
                ..NewProcess::default()
            },
        }
    }

    /// Adds a connection this long ago: to `foreign`, or a listener on port `local`.
    fn flow(&mut self, ago: Duration, direction: Direction, local: u16, foreign: ([u8; 4], u16)) {
        let mut batch = self.writer.batch().unwrap();
        let process = batch.process(7, Some(1), &self.facts).unwrap();
        let flow = NewFlow {
            first: millis(SystemTime::now() - ago),
            span: 200,
            closed: true,
            begun: true,
            protocol: Protocol::Tcp,
            family: Family::V4,
            local: ([192, 0, 2, 1].into(), local),
            foreign: (foreign.0.into(), foreign.1),
            direction,
            state: State::Established,
            origin: EventOrigin::Trace,
            process: Some(process),
            user: Fact::Known(0),
            namespace: Fact::Unknown(Why::NotAsked),
            sent: Fact::Known(100),
            received: Fact::Known(100),
            retransmits: Fact::Unknown(Why::NotAsked),
            rtt: Fact::Unknown(Why::NotAsked),
            asked_name: None,
        };
        batch.insert(&flow, None).unwrap();
        batch.commit().unwrap();
    }

    /// Adds connections and listeners of another program on each of the last `days` days.
    fn busy(&mut self, days: u32) {
        let own = self.facts.path.replace(b"/usr/bin/other".to_vec());
        for day in (1..=days).rev() {
            let ago = DAY * day - Duration::from_secs(3_600);
            self.flow(ago, Direction::Outgoing, 40_000, ([198, 51, 100, 1], 443));
            self.flow(ago, Direction::Listening, 80, ([0; 4], 0));
        }
        self.facts.path = own;
    }
}

#[test]
fn card_shows_since_when() {
    own_namespace!();
    let directory = tempfile::tempdir().unwrap();
    for (how, exact) in [("trace", true), ("poll", false)] {
        let store = directory.path().join(format!("{how}.db"));
        let Some(recorder) = record(&store, how) else {
            skip("card_shows_since_when", "tracepoints may not be used here");
            continue;
        };
        let before = SystemTime::now();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let _server = listener.accept().unwrap();
        let own = client.local_addr().unwrap().port();
        let holder = sleeper(client);
        let word = format!("pid:{}", holder.0.id());
        let place = store.to_str().unwrap();
        eventually(
            || {
                let rows = netstat().run(["history", "--ndjson", "--store", place, "--local", &format!(":{own}")]);
                rows.stdout.contains("ESTABLISHED")
            },
            || "the recorder has not written it".to_owned(),
        );
        let seen = card(&store, &word);
        let socket = &seen["sockets"][0];
        assert_eq!(socket["first_seen_exact"], exact, "{how}: {socket:#}");
        let first: jiff::Timestamp = socket["first_seen"].as_str().unwrap().parse().unwrap();
        let first = SystemTime::from(first);
        let slack = Duration::from_millis(50);
        assert!(
            first + slack >= before && first <= SystemTime::now(),
            "{how}: {first:?} is not after {before:?}"
        );
        let text = netstat().run(["inspect", "--sample", "0", "--store", store.to_str().unwrap(), &word]);
        let wanted = if exact { "open for " } else { "open for at least " };
        assert!(text.success().contains(wanted), "{}", text.stdout);
        assert!(text.stdout.contains("first seen"), "{}", text.stdout);
        // Without a running recorder, the clock could have been set unnoticed.
        drop(recorder);
        assert_eq!(card(&store, &word)["sockets"][0]["first_seen_exact"], false);
    }
}

#[test]
fn card_shows_what_its_program_did_before() {
    own_namespace!(Needs::PROCESSES);
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("record.db");
    netstat_testkit::netlink::add_address(netstat_testkit::netlink::LOOPBACK, [203, 0, 113, 9].into(), 32).unwrap();
    let listener = TcpListener::bind("203.0.113.9:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let port = listener.local_addr().unwrap().port();
    let holder = sleeper(client);
    let program = fs::read_link(format!("/proc/{}/exe", holder.0.id())).unwrap();
    let mut past = Past::of(&store, &program);
    past.busy(12);
    past.flow(3 * DAY, Direction::Outgoing, 40_000, ([203, 0, 113, 7], 443));
    past.flow(2 * DAY, Direction::Outgoing, 40_001, ([203, 0, 113, 8], port));
    past.flow(DAY, Direction::Outgoing, 40_002, ([198, 51, 100, 7], 25));
    drop(past);
    let seen = card(&store, &format!("pid:{}", holder.0.id()));
    let seen = &seen["past"];
    let days = |moment: &Value| {
        let moment: jiff::Timestamp = moment.as_str().unwrap_or_else(|| panic!("{seen:#}")).parse().unwrap();
        (SystemTime::now().duration_since(moment.into()).unwrap().as_secs_f64() / DAY.as_secs_f64()).round()
    };
    assert_eq!((days(&seen["program"]), days(&seen["record_begins"])), (3.0, 12.0));
    let networks = seen["networks"].as_array().unwrap();
    assert_eq!((networks.len(), days(&networks[0]["first"])), (1, 3.0), "{seen:#}");
    assert_eq!(networks[0]["network"], "203.0.113.0/24");
    let ports = seen["foreign_ports"].as_array().unwrap();
    assert_eq!((ports.len(), days(&ports[0]["first"])), (1, 2.0), "{seen:#}");
    let word = format!("pid:{}", holder.0.id());
    let text = netstat().run(["inspect", "--sample", "0", "--store", store.to_str().unwrap(), &word]);
    let text = flowing(text.success());
    let wanted = format!(
        "first seen {} on the network 3 days ago; calling 203.0.113.0/24 3 days ago; calling port {port} 2 days ago (the record begins 11 days ago)",
        program.file_name().unwrap().to_str().unwrap()
    );
    assert!(text.contains(&wanted), "{text}");
}

#[test]
fn a_record_that_cannot_be_used_breaks_nothing() {
    own_namespace!(Needs::PROCESSES);
    let directory = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let _holder = sleeper(listener);
    let inspect = |store: &Path| {
        let outcome = netstat().run(["inspect", "--sample", "0", "--store", store.to_str().unwrap(), &port]);
        outcome.success();
        outcome
    };
    let damaged = directory.path().join("damaged.db");
    fs::write(&damaged, [7; 8_192]).unwrap();
    let older = directory.path().join("older.db");
    drop(Past::of(&older, Path::new("/usr/bin/other")));
    // PRAGMA user_version: https://www.sqlite.org/fileformat.html, 1.3.
    let file = File::options().write(true).open(&older).unwrap();
    file.write_all_at(&1u32.to_be_bytes(), 60).unwrap();
    for (store, word) in [(&damaged, "not a netstat record"), (&older, "older version 1")] {
        let outcome = inspect(store);
        assert!(outcome.stderr.contains(word), "{}", outcome.stderr);
        let text = flowing(&outcome.stdout);
        assert!(text.contains("when it was first seen: the history"), "{text}");
        let seen = card(store, &port);
        assert!(
            seen["past"].is_null() && seen["unknown"]["past"].as_str().unwrap().contains(word),
            "{seen:#}"
        );
    }
    let none = inspect(&directory.path().join("none.db"));
    let none = flowing(&none.stdout);
    assert!(none.contains("when it was first seen: there is no history"), "{none}");
    // That there is no record in the default place is not worth reporting.
    let quiet = Command::new(env!("CARGO_BIN_EXE_netstat"))
        .args(["inspect", "--sample", "0", &port])
        .env("HOME", directory.path())
        .output()
        .unwrap();
    let quiet = String::from_utf8(quiet.stderr).unwrap();
    assert!(!quiet.contains("history"), "{quiet}");
    fs::set_permissions(&older, fs::Permissions::from_mode(0o000)).unwrap();
    if File::open(&older).is_err() {
        let outcome = inspect(&older);
        let text = flowing(&outcome.stdout);
        assert!(text.contains("may be read by its owner only"), "{text}");
    } else {
        skip(
            "a_record_that_cannot_be_used_breaks_nothing",
            "who may read everything is refused nothing",
        );
    }
}

#[test]
fn audit_new_reports_only_new_findings() {
    own_namespace!(Needs::PROCESSES);
    let directory = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("0.0.0.0:4444").unwrap();
    let actor = Actor::named("novice").hold(listener);
    let audit = |days: u32, first: Duration, listens: Duration| {
        let store = directory.path().join(format!("{days}-{}.db", first.as_secs()));
        let mut past = Past::of(&store, actor.program());
        past.busy(days);
        past.flow(first, Direction::Outgoing, 40_000, ([203, 0, 113, 7], 443));
        past.flow(listens, Direction::Listening, 4444, ([0; 4], 0));
        drop(past);
        let outcome = netstat().run([
            "audit",
            "--json",
            "--no-digests",
            "--min",
            "info",
            "--store",
            store.to_str().unwrap(),
        ]);
        let document: Value = serde_json::from_str(outcome.success()).unwrap();
        valid("audit", &document);
        document
    };
    let new = |document: &Value| -> Vec<(String, String)> {
        let findings = document["findings"].as_array().unwrap();
        let new = findings.iter().filter(|finding| finding["rule"] == "new-on-network");
        new.map(|finding| {
            assert_eq!(finding["pid"], actor.pid());
            let text = |name: &str| finding[name].as_str().unwrap().to_owned();
            (text("severity"), text("headline"))
        })
        .collect()
    };
    let minutes = Duration::from_secs(180);
    let document = audit(9, minutes, minutes);
    let headline = "is new: it was never on the network before the last day".to_owned();
    assert_eq!(new(&document), [("low".to_owned(), headline)], "{document:#}");
    let finding = &document["findings"]
        .as_array()
        .unwrap()
        .iter()
        .find(|finding| finding["pid"] == actor.pid())
        .unwrap();
    assert!(!finding["first_seen"].is_null(), "{finding:#}");
    assert_eq!(finding["first_seen_or_earlier"], false);
    let headline = "listens on port 4444, as it never did before the last day".to_owned();
    let document = audit(9, 8 * DAY, minutes);
    assert_eq!(new(&document), [("low".to_owned(), headline)]);
    // Known for long, or a record that is too recent to tell.
    assert_eq!(new(&audit(9, 6 * DAY, 5 * DAY)), []);
    assert_eq!(new(&audit(5, minutes, minutes)), []);
}

/// Provides an empty place for the record: the default place is below `/var/lib`, over which an empty directory is
/// mounted in this namespace.
fn empty_state() -> bool {
    let mounted = Command::new("mount").args(["-t", "tmpfs", "none", "/var/lib"]).status();
    let mounted = mounted.is_ok_and(|status| status.success());
    if !mounted {
        skip(
            &netstat_testkit::namespace::current_test(),
            "no file system may be mounted",
        );
    }
    mounted
}

/// Returns the row of the socket with these ports.
fn row(rows: &[Value], local: u16, foreign: u16) -> &Value {
    rows.iter()
        .find(|row| row["local_port"] == local && row["foreign_port"] == foreign)
        .unwrap_or_else(|| panic!("no {local} -> {foreign} in {rows:#?}"))
}

#[test]
fn time_in_state_without_record_is_what_was_seen() {
    own_namespace!(Needs::PROCESSES);
    if !empty_state() {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let _server = listener.accept().unwrap();
    let own = client.local_addr().unwrap().port();
    // The side that closes first remains in TIME_WAIT.
    let first = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let gone = first.local_addr().unwrap().port();
    let second = listener.accept().unwrap().0;
    drop(first);
    drop(second);
    let once = netstat().run(["-ani", "--json"]);
    let once: Value = serde_json::from_str(once.success()).unwrap();
    valid("sockets", &once);
    let rows = once["rows"].as_array().unwrap();
    let ended = row(rows, gone, port);
    assert_eq!(
        (
            &ended["state"],
            &ended["time_in_state_exact"],
            &ended["time_in_state_how"]
        ),
        (&"TIME_WAIT".into(), &true.into(), &"kernel".into())
    );
    assert!(ended["time_in_state"].as_u64().unwrap() < 30_000, "{ended:#}");
    // A single sample says nothing about the others.
    assert!(row(rows, own, port)["time_in_state"].is_null(), "{once:#}");
    let began = std::time::Instant::now();
    let looks = netstat().run(["-ani", "--ndjson", "1", "--count", "3"]);
    let rows: Vec<Value> = looks
        .success()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    rows.iter().for_each(|row| valid("sockets-line", row));
    let most = began.elapsed().as_millis() as u64;
    let times: Vec<Option<u64>> = rows
        .iter()
        .filter(|row| row["local_port"] == own && row["foreign_port"] == port)
        .inspect(|row| {
            assert!(
                row["time_in_state"].is_null() || row["time_in_state_exact"] == false,
                "{row:#}"
            )
        })
        .map(|row| row["time_in_state"].as_u64())
        .collect();
    assert_eq!((times.len(), times[0]), (3, None), "{times:?}");
    let (second, third) = (times[1].unwrap(), times[2].unwrap());
    // The prints are a second apart; a busy machine may skip one.
    assert!(
        second >= 900 && third > second + 900 && third <= most,
        "{times:?} of {most}"
    );
    let text = netstat().run(["-ni", "1", "--count", "2"]);
    assert!(text.success().contains(" >="), "{}", text.stdout);
    assert!(
        text.stderr.contains(">= is at least that, - is unknown"),
        "{}",
        text.stderr
    );
    let table = netstat().run([
        "-n",
        "--columns",
        "local,time_in_state,time_in_state_how",
        "1",
        "--count",
        "2",
    ]);
    assert!(table.success().contains(" >="), "{}", table.stdout);
    let csv = netstat().run(["-n", "--csv", "--columns", "local,time_in_state", "1", "--count", "2"]);
    assert!(!csv.success().contains(">="), "{}", csv.stdout);
}

#[test]
fn the_time_in_a_state_comes_from_the_record() {
    own_namespace!();
    if !empty_state() {
        return;
    }
    let store = Path::new("/var/lib/netstat/record.db");
    for (how, exact) in [("trace", true), ("poll", false)] {
        let Some(_recorder) = record(store, how) else {
            skip(
                "the_time_in_a_state_comes_from_the_record",
                "tracepoints may not be used here",
            );
            continue;
        };
        let before = std::time::Instant::now();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let _server = listener.accept().unwrap();
        let own = client.local_addr().unwrap().port();
        let look = || -> Vec<Value> {
            let outcome = netstat().run(["-ani", "-p", "TCP", "--json"]);
            let document: Value = serde_json::from_str(outcome.success()).unwrap();
            document["rows"].as_array().unwrap().clone()
        };
        let mut rows = Vec::new();
        eventually(
            || {
                rows = look();
                let known = |local, foreign| !row(&rows, local, foreign)["time_in_state"].is_null();
                known(port, 0) && known(port, own) && known(own, port)
            },
            || "the recorder has not written all".to_owned(),
        );
        let most = before.elapsed().as_millis() as u64;
        // It is known exactly when the listener began to listen and the incoming connection was completed, but not when
        // the outgoing one was.
        for (local, foreign, exact) in [(port, 0, exact), (port, own, exact), (own, port, false)] {
            let row = row(&rows, local, foreign);
            assert_eq!(
                (&row["time_in_state_exact"], &row["time_in_state_how"]),
                (&exact.into(), &"record".into()),
                "{how} {row:#}"
            );
            assert!(
                row["time_in_state"].as_u64().unwrap() <= most + 50,
                "{how}: {most} {row:#}"
            );
        }
    }
}
