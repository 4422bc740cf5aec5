//! `netstat record` and `netstat history` as whole programs: killed at any moment, without disk space, without
//! privileges.
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, SystemTime};

use netstat_model::{Direction, EventOrigin, Fact, Family, Protocol, State};
use netstat_record::{NewFlow, NewProcess, Writer, millis};
use netstat_testkit::{dns, own_namespace, skip};
use serde_json::Value;

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn netstat() -> Command {
    Command::new(env!("CARGO_BIN_EXE_netstat"))
}

/// Starts a recorder and waits until it observes events.
fn record(store: &Path) -> Running {
    record_with(store, &[])
}

fn record_with(store: &Path, words: &[&str]) -> Running {
    let mut child = netstat()
        .args(["record", "--own-namespace", "--verbose", "--store"])
        .arg(store)
        .args(words)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    let err = child.stderr.as_mut().unwrap();
    while !first.contains("recording into") {
        let mut byte = [0];
        assert_eq!(err.read(&mut byte).unwrap(), 1, "it has ended: {first}");
        first.push(byte[0] as char);
    }
    Running(child)
}

fn history(store: &Path, words: &[&str]) -> Output {
    netstat()
        .args(["history", "--store"])
        .arg(store)
        .args(words)
        .output()
        .unwrap()
}

fn rows(store: &Path, words: &[&str]) -> Vec<Value> {
    let output = history(store, &[words, &["--ndjson"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn is_whole(store: &Path) {
    let connection = rusqlite::Connection::open(store).unwrap();
    let said: String = connection
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(said, "ok");
}

/// Connects, exchanges data and closes this many times.
fn churn(listener: &TcpListener, count: usize) {
    for _ in 0..count {
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        client.write_all(b"hello").unwrap();
        server.read_exact(&mut [0; 5]).unwrap();
    }
}

fn wait_for(what: &str, mut is: impl FnMut() -> bool) {
    for _ in 0..200 {
        if is() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{what} did not happen");
}

fn terminate(running: &mut Running) -> i32 {
    let pid = rustix::process::Pid::from_child(&running.0);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    running.0.wait().unwrap().code().unwrap()
}

#[test]
fn record_ends_cleanly_on_sigterm_and_history_has_its_rows() {
    own_namespace!();
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("record.db");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let mut running = record(&store);
    wait_for("the first rows", || {
        store.exists() && !history(&store, &["--csv"]).stdout.is_empty()
    });
    churn(&listener, 30);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(terminate(&mut running), 0);
    let to = format!("127.0.0.1:{port}");
    let out = rows(&store, &["--foreign", &to]);
    assert_eq!(out.len(), 30);
    for row in &out {
        assert_eq!(row["closed"], true);
        if row["learned"] == "trace" {
            assert_eq!(
                (row["pid"].as_u64(), row["sent"].as_u64()),
                (Some(std::process::id().into()), Some(5))
            );
            assert_eq!(row["direction"], "out");
        } else {
            assert_eq!(row["learned"], "netlink");
        }
    }
    let groups = rows(&store, &["--foreign", &to, "--group", "foreign_port"]);
    assert_eq!((groups.len(), groups[0]["count"].as_u64()), (1, Some(30)));
    assert_eq!(rows(&store, &["--port", &port, "--top", "7"]).len(), 7);
    assert!(rows(&store, &["--foreign", "203.0.113.7"]).is_empty());
    is_whole(&store);
}

#[test]
fn record_killed_at_any_moment_stays_whole_and_goes_on() {
    own_namespace!();
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("record.db");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = listener.local_addr().unwrap().to_string();
    let mut before = 0;
    for round in 0..8u64 {
        let mut running = record(&store);
        churn(&listener, 50);
        wait_for("the rows of this round", || {
            rows(&store, &["--foreign", &to]).len() >= before + 50
        });
        // At a different point within each second.
        std::thread::sleep(Duration::from_millis(37 * round));
        churn(&listener, 20);
        running.0.kill().unwrap();
        running.0.wait().unwrap();
        is_whole(&store);
        let now = rows(&store, &["--foreign", &to]).len();
        assert!(now >= before + 50, "round {round}: {before} then {now}");
        before = now;
    }
    // The listener is a single row throughout.
    let listening = rows(&store, &["--listening", "--port", to.rsplit_once(':').unwrap().1]);
    assert_eq!(listening.len(), 1, "{listening:?}");
}

#[test]
fn second_recorder_of_a_store_says_so_and_stops() {
    own_namespace!();
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("record.db");
    let _running = record(&store);
    let output = netstat()
        .args(["record", "--for", "1s", "--store"])
        .arg(&store)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("another recorder is writing to it") && text.lines().count() == 1,
        "{text}"
    );
}

#[test]
fn record_on_a_full_device_pauses_and_notes_a_gap() {
    own_namespace!();
    let folder = tempfile::tempdir().unwrap();
    let small = folder.path().join("small");
    std::fs::create_dir(&small).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=8m", "small"])
        .arg(&small)
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        return skip("a_full_device", "no tmpfs can be mounted here");
    }
    let store = small.join("record.db");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut running = record(&store);
    let err = running.0.stderr.take().unwrap();
    let said = std::thread::spawn(move || {
        let mut text = String::new();
        let _ = std::io::BufReader::new(err).read_to_string(&mut text);
        text
    });
    wait_for("the first rows", || {
        store.exists() && !history(&store, &["--csv"]).stdout.is_empty()
    });
    // There is no space left for anything.
    let ballast = small.join("ballast");
    let mut file = std::fs::File::create(&ballast).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    churn(&listener, 2000);
    std::thread::sleep(Duration::from_millis(2500));
    assert!(running.0.try_wait().unwrap().is_none(), "it waits for room");
    drop(file);
    std::fs::remove_file(&ballast).unwrap();
    std::thread::sleep(Duration::from_millis(5000));
    churn(&listener, 5);
    std::thread::sleep(Duration::from_millis(1500));
    let status = terminate(&mut running);
    let text = said.join().unwrap();
    assert_eq!(status, 0, "{text}");
    assert!(text.contains("paused") && text.contains("recording again"), "{text}");
    let gaps = rows(&store, &["--gaps"]);
    assert!(
        gaps.iter()
            .any(|gap| gap["reason"].as_str().unwrap().contains("no room")),
        "{gaps:?}"
    );
    let to = listener.local_addr().unwrap().to_string();
    assert!(rows(&store, &["--foreign", &to]).len() >= 5);
    is_whole(&store);
    let _ = Command::new("umount").arg(&small).status();
}

#[test]
fn history_and_record_errors_are_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let none = folder.path().join("none.db");
    let none = none.to_str().unwrap();
    for (words, status, said) in [
        (&["history", "--store", none][..], 1, "there is no record yet"),
        (
            &["history", "--since", "tomorrow"],
            2,
            "--since \"tomorrow\" is not a time; for example: 2026-11-28, ",
        ),
        (&["history", "--group", "nothing"], 2, "is no column"),
        (&["record", "--keep", "0"], 2, "is not a duration longer than 0"),
        (&["record", "--max-size", "1KB"], 2, "is not a size of at least 1MB"),
    ] {
        let output = netstat().args(words).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(status), "{text}");
        assert!(text.contains(said) && text.lines().count() == 1, "{words:?}: {text}");
    }
}

#[test]
fn record_killed_keeps_bytes_of_open_connections_at_last_heartbeat() {
    own_namespace!();
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("record.db");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = listener.local_addr().unwrap().to_string();
    let mut running = record_with(&store, &["--heartbeat", "1s"]);
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    let figures = || {
        let rows = rows(&store, &["--foreign", &to]);
        let number = |name: &str| rows.first().and_then(|row| row[name].as_u64());
        (number("sent"), number("received"), number("rtt").is_some())
    };
    for (part, sent) in [(5u64, 5u64), (70_000, 70_005)] {
        let bytes = vec![7; part as usize];
        client.write_all(&bytes).unwrap();
        server.read_exact(&mut vec![0; part as usize]).unwrap();
        server.write_all(b"ok").unwrap();
        client.read_exact(&mut [0; 2]).unwrap();
        let received = if sent == 5 { 2 } else { 4 };
        wait_for("a heartbeat with the bytes", || {
            figures() == (Some(sent), Some(received), true)
        });
    }
    running.0.kill().unwrap();
    running.0.wait().unwrap();
    assert_eq!(figures(), (Some(70_005), Some(4), true));
    let row = rows(&store, &["--foreign", &to]).remove(0);
    assert_eq!(
        (row["closed"].as_bool(), row["state"].as_str()),
        (Some(false), Some("ESTABLISHED"))
    );
    is_whole(&store);
    // The next recorder reports since when nothing was recorded, and completes the same row.
    let mut running = record_with(&store, &["--heartbeat", "1s"]);
    client.write_all(b"last").unwrap();
    server.read_exact(&mut [0; 4]).unwrap();
    // With polling, it must have seen the connection once before it ends.
    wait_for("a heartbeat of the second", || figures().0 == Some(70_009));
    drop(client);
    drop(server);
    wait_for("the end", || rows(&store, &["--foreign", &to])[0]["closed"] == true);
    assert_eq!(terminate(&mut running), 0);
    let ended = rows(&store, &["--foreign", &to]);
    assert_eq!((ended.len(), ended[0]["sent"].as_u64()), (1, Some(70_009)));
}

#[test]
fn history_shows_time_without_recorder_as_a_gap() {
    own_namespace!();
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("record.db");
    let begun = std::time::Instant::now();
    for pause in [2_200, 0] {
        let output = netstat()
            .args(["record", "--own-namespace", "--for", "1s", "--store"])
            .arg(&store)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{text}");
        std::thread::sleep(Duration::from_millis(pause));
    }
    assert!(begun.elapsed() >= Duration::from_secs(2), "--for lasts so long");
    let gaps = rows(&store, &["--gaps"]);
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!(gaps[0]["reason"], "no recorder was at work");
    let told = history(&store, &["--csv"]);
    let told = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(told.contains("1 gap in this time"), "{told}");
}

/// As an ordinary user, whoever runs the tests: records to the user's own state directory what polling and netlink
/// messages show.
#[test]
fn record_without_privilege_uses_the_state_directory_of_the_user() {
    own_namespace!();
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    std::fs::create_dir(&state).unwrap();
    let root = rustix::process::geteuid().is_root();
    let mapped = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    // In a user namespace with a single user, there is no other user to switch to: root there is an ordinary user
    // outside, but counts as root.
    if root && !mapped.split_whitespace().any(|number| number == "4294967295") {
        return skip("without_privilege", "there is no other user in this namespace");
    }
    let mut program = Path::new(env!("CARGO_BIN_EXE_netstat")).to_owned();
    if root {
        // The other user may not have access to the directory in which the program was built.
        let copy = folder.path().join("netstat");
        std::fs::copy(&program, &copy).unwrap();
        program = copy;
        for path in [folder.path(), &program] {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o777)).unwrap();
    }
    let run = |words: &[&str]| {
        let mut command = Command::new(&program);
        command.args(words).env("XDG_STATE_HOME", &state).current_dir("/");
        if root {
            command.uid(65_534).gid(65_534);
        }
        command
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let mut recorder = run(&["record", "--for", "4s", "--own-namespace", "--verbose"]);
    let mut recorder = recorder.stderr(Stdio::piped()).spawn().unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let said = {
        let mut text = String::new();
        recorder.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        text
    };
    assert_eq!(recorder.wait().unwrap().code(), Some(0), "{said}");
    assert!(said.contains("by polling"), "{said}");
    drop(client);
    let store = state.join("netstat/record.db");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&store), mode(store.parent().unwrap())), (0o600, 0o700));
    let output = run(&["history", "--port", &port, "--ndjson"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let found: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // The listener and both ends of the connection.
    assert_eq!(found.len(), 3, "{text}");
    assert!(found.iter().all(|row| row["learned"] == "poll"), "{text}");
}

const HOUR: i64 = 3_600_000;

/// Creates a store with 60 connections of the last 60 hours: curl to two hosts, ssh to one, a server; each longer and
/// larger than the previous one.
fn made_up(store: &Path) -> i64 {
    let now = millis(SystemTime::now());
    let mut writer = Writer::open(store, b"mill", "5e0fd2f6-6d1c-4a2a-9b64-0d7e2d1a9c01").unwrap();
    let mut batch = writer.batch().unwrap();
    for at in 0..60i64 {
        let (program, pid) = [("curl", 70), ("curl", 71), ("ssh", 80), ("nginx", 90)][(at % 4) as usize];
        let facts = NewProcess {
            path: Some(format!("/usr/bin/{program}").into_bytes()),
            name: program.as_bytes().to_vec(),
            unit: None,
            container: None,
            command: None,
            ..NewProcess::default()
        };
        let process = batch.process(pid, Some(5), &facts).unwrap();
        let foreign: IpAddr = if at % 4 == 1 {
            [198, 51, 100, 7]
        } else {
            [203, 0, 113, 7]
        }
        .into();
        let flow = NewFlow {
            first: now - (60 - at) * HOUR,
            span: 1_000 * at as u64,
            closed: true,
            begun: true,
            protocol: Protocol::Tcp,
            family: Family::V4,
            local: ([10, 0, 0, 7].into(), 40_000 + at as u16),
            foreign: (foreign, if at % 4 == 2 { 22 } else { 443 }),
            direction: if program == "nginx" {
                Direction::Incoming
            } else {
                Direction::Outgoing
            },
            state: State::FinWait2,
            origin: EventOrigin::Trace,
            process: Some(process),
            user: Fact::Known(0),
            namespace: Fact::Known(4_026_531_840),
            sent: Fact::Known(100 * at as u64),
            received: Fact::Known(1_000 * ((at * 7) % 60) as u64),
            retransmits: Fact::Known(0),
            rtt: Fact::Known(300),
            asked_name: None,
        };
        batch.insert(&flow, None).unwrap();
    }
    batch.commit().unwrap();
    now
}

#[test]
fn history_sorted_and_grouped_agrees_with_its_rows() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("record.db");
    made_up(&store);
    let every = rows(&store, &["--since", "all"]);
    assert_eq!(every.len(), 60);
    assert_eq!(rows(&store, &[]).len(), 24, "the last day if nothing is said");
    let number = |row: &Value, name: &str| row[name].as_u64().unwrap();
    let longest = rows(&store, &["--since", "all", "--sort", "-duration", "--top", "3"]);
    assert_eq!(
        longest.iter().map(|row| number(row, "duration")).collect::<Vec<_>>(),
        [59_000, 58_000, 57_000]
    );
    let biggest = rows(
        &store,
        &[
            "--since",
            "all",
            "--sort",
            "-bytes",
            "--top",
            "1",
            "--columns",
            "bytes,local_port",
        ],
    );
    let most = every
        .iter()
        .map(|row| number(row, "sent") + number(row, "received"))
        .max()
        .unwrap();
    assert_eq!(number(&biggest[0], "bytes"), most);
    for columns in [
        "program",
        "foreign",
        "foreign_address",
        "pid",
        "program,foreign_port",
        "foreign,direction,pid",
    ] {
        // Computed from the rows.
        let mut sums: BTreeMap<String, [u64; 3]> = BTreeMap::new();
        let listed = format!("{columns},sent,received");
        for row in rows(&store, &["--since", "all", "--columns", &listed]) {
            let key: Vec<String> = columns.split(',').map(|column| row[column].to_string()).collect();
            let sum = sums.entry(key.join(" ")).or_default();
            sum[0] += 1;
            sum[1] += number(&row, "sent");
            sum[2] += number(&row, "received");
        }
        let groups = rows(&store, &["--since", "all", "--group", columns]);
        let told: BTreeMap<String, [u64; 3]> = groups
            .iter()
            .map(|row| {
                let key: Vec<String> = columns.split(',').map(|column| row[column].to_string()).collect();
                (
                    key.join(" "),
                    ["count", "sent", "received"].map(|name| number(row, name)),
                )
            })
            .collect();
        assert_eq!((told.len(), told), (groups.len(), sums), "{columns}");
        let counts: Vec<u64> = groups.iter().map(|row| number(row, "count")).collect();
        assert!(counts.is_sorted_by(|a, b| a >= b), "{columns}: {counts:?}");
        let sorted = rows(
            &store,
            &["--since", "all", "--group", columns, "--sort", "-sent", "--top", "2"],
        );
        let sent: Vec<u64> = sorted.iter().map(|row| number(row, "sent")).collect();
        let mut expected: Vec<u64> = groups.iter().map(|row| number(row, "sent")).collect();
        expected.sort_unstable_by(|a, b| b.cmp(a));
        assert_eq!(sent, expected[..2.min(expected.len())], "{columns}");
    }
}

#[test]
fn history_timelines_novelties_plots_and_documents_are_printed() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("record.db");
    made_up(&store);
    let text = |words: &[&str]| {
        let output = history(&store, words);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let line = text(&["--since", "all", "--follow", "ssh"]);
    assert_eq!(line.matches("-> 203.0.113.7:22").count(), 15, "{line}");
    assert!(!line.contains("443") && line.contains("ssh 80"), "{line}");
    let by_pid = text(&["--since", "all", "--follow", "90"]);
    assert_eq!(
        by_pid.matches("<- 203.0.113.7:443 to 10.0.0.7:").count(),
        15,
        "{by_pid}"
    );
    // The first ones of curl are 60 hours old, the first one of ssh 58 hours.
    let new = |since: &str| rows(&store, &["--new", "--since", since]);
    assert!(new("1d").is_empty());
    let all = new("all");
    let told = |program: &str, what: &str| {
        let found = all
            .iter()
            .filter(|row| row["program"] == program && row["what"] == what);
        found.map(|row| row["value"].to_string()).collect::<Vec<_>>()
    };
    assert_eq!(told("curl", "first to network").len(), 2);
    assert_eq!(told("ssh", "first to port").len(), 1);
    assert_eq!(told("nginx", "first on the network").len(), 1);
    assert!(
        told("nginx", "first to port").is_empty(),
        "it is called, it does not call"
    );
    let recent: Vec<Value> = new("3540m");
    assert!(
        recent
            .iter()
            .all(|row| row["program"] != "curl" || row["value"] == "198.51.100.0/24"),
        "{recent:?}"
    );
    let plot = text(&["--since", "all", "--plot"]);
    assert_eq!(plot.lines().count(), 24);
    let counts = plot
        .lines()
        .map(|line| line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap());
    assert_eq!(counts.sum::<u64>(), 60);
    let document: Value = serde_json::from_str(&text(&["--since", "all", "--json"])).unwrap();
    assert_eq!(document["schema"], "netstat.history");
    assert_eq!(document["rows"].as_array().unwrap().len(), 60);
    let csv = text(&[
        "--since",
        "all",
        "--columns",
        "program,foreign",
        "--csv",
        "--sort",
        "first",
        "--top",
        "2",
    ]);
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(
        lines,
        ["program,foreign", "curl,203.0.113.7:443", "curl,198.51.100.7:443"]
    );
}

#[test]
fn history_without_options_is_a_summary_of_the_last_day() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("record.db");
    made_up(&store);
    let text = |words: &[&str]| {
        let output = history(&store, words);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let summary = text(&[]);
    assert!(summary.contains("24 connections: "), "{summary}");
    for part in [
        "Connections each hour, 1 at most",
        "Top programs",
        "  curl  ",
        "Most talkative peers",
        "203.0.113.7",
        "New in this time\n  none\n",
        "Gaps, in which connections may be missing\n  none\n",
    ] {
        assert!(summary.contains(part), "{part}: {summary}");
    }
    assert_eq!(text(&["--summary"]), summary);
    assert!(text(&["--summary", "--since", "all"]).contains("60 connections: "));
    assert!(text(&["--summary", "--program", "ssh", "--since", "all"]).contains("15 connections: "));
}

#[test]
fn history_table_is_for_people_and_machines_get_exact_values() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("record.db");
    made_up(&store);
    let zoned = |zone: &str, words: &[&str]| {
        let output = netstat()
            .env("TZ", zone)
            .args(["history", "--store"])
            .arg(&store)
            .args(words)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let table = zoned("XYZ-3", &["--since", "all"]);
    let heading = table.lines().next().unwrap();
    assert!(
        heading.starts_with("First (XYZ)") && heading.contains("Duration"),
        "{heading}"
    );
    let firsts: Vec<&str> = table.lines().skip(1).map(|line| &line[..19]).collect();
    assert!(
        firsts.len() == 60 && firsts.is_sorted_by(|a, b| a >= b),
        "the newest first: {firsts:?}"
    );
    assert!(table.contains(" kB") || table.contains(" B"), "{table}");
    let newest = &rows(&store, &["--since", "all", "--top", "1"])[0];
    let utc = newest["first"].as_str().unwrap();
    assert!(
        utc.ends_with('Z') && newest["duration"].is_u64() && newest["sent"].is_u64(),
        "{newest}"
    );
    let local: jiff::Timestamp = utc.parse().unwrap();
    let shifted = local + jiff::SignedDuration::from_hours(3);
    assert_eq!(firsts[0], shifted.strftime("%Y-%m-%d %H:%M:%S").to_string());
    // A time zone by name, if this computer has the time zone database.
    if Path::new("/usr/share/zoneinfo/Asia/Kolkata").exists() {
        let heading = zoned("Asia/Kolkata", &["--since", "all", "--top", "1"]);
        assert!(heading.starts_with("First (IST)"), "{heading}");
    } else {
        netstat_testkit::skip("the zone Asia/Kolkata", "there is no /usr/share/zoneinfo");
    }
}

#[test]
fn history_empty_answers_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("record.db");
    made_up(&store);
    for (words, said) in [
        (&["--gaps"][..], "no gaps in this time"),
        (&["--new"], "nothing new in this time"),
        (&["--follow", "nobody.py"], "no connection matches"),
        (&["--program", "nobody"], "no connection matches"),
        (&["--beacons", "--port", "22"], "a beacon needs 12 calls over 2 hours"),
    ] {
        let output = history(&store, words);
        let (out, err) = (
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        );
        assert!(
            output.status.success() && out.is_empty() && err.contains(said),
            "{words:?}: {out}{err}"
        );
    }
}

#[test]
fn history_plots_are_bars_or_a_picture() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("record.db");
    made_up(&store);
    let picture = folder.path().join("plot.svg");
    let counted = |words: &[&str]| -> u64 {
        let output = history(&store, &[&["--since", "all"], words].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let counts = text.lines().map(|line| line.split_whitespace().nth(2).unwrap_or("0"));
        counts.map(|count| count.parse::<u64>().unwrap()).sum()
    };
    assert_eq!(counted(&["--plot", "hour"]), 60);
    assert_eq!(counted(&["--plot", "minute"]), 60);
    let bytes = history(&store, &["--since", "all", "--plot", "day", "--of", "bytes"]);
    assert!(String::from_utf8(bytes.stdout).unwrap().contains(" kB"));
    let drawn = history(
        &store,
        &["--since", "all", "--plot", "hour", "--svg", picture.to_str().unwrap()],
    );
    assert!(drawn.status.success() && drawn.stdout.is_empty());
    let drawn = std::fs::read_to_string(&picture).unwrap();
    assert_eq!(drawn.matches("<title>").count(), 60, "one bar for each hour: {drawn}");
}

#[test]
fn record_limits_remove_what_is_too_old_or_too_much() {
    own_namespace!();
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("record.db");
    made_up(&store);
    let run = |words: &[&str]| {
        let output = netstat()
            .args(["record", "--own-namespace", "--store"])
            .arg(&store)
            .args(words)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    run(&["--for", "1.5s", "--keep", "10h"]);
    let left = rows(&store, &["--since", "all", "--foreign", "203.0.113.7,198.51.100.7"]);
    // The first of these began ten hours ago and ended after that.
    assert_eq!(left.len(), 10, "{left:?}");
    // About 4 MB, of which 2 MB may remain: the oldest connections are deleted, and the file shrinks.
    let mut writer = Writer::open(&store, b"mill", "5e0fd2f6-6d1c-4a2a-9b64-0d7e2d1a9c01").unwrap();
    let now = millis(SystemTime::now());
    let mut batch = writer.batch().unwrap();
    for at in 0..50_000i64 {
        let flow = NewFlow {
            first: now - 50_000 + at,
            span: 0,
            closed: true,
            begun: true,
            protocol: Protocol::Tcp,
            family: Family::V4,
            local: ([10, 0, 0, 7].into(), 40_000),
            foreign: ([192, 0, 2, (at % 250) as u8].into(), 443),
            direction: Direction::Outgoing,
            state: State::FinWait2,
            origin: EventOrigin::Trace,
            process: None,
            user: Fact::Known(0),
            namespace: Fact::Known(4_026_531_840),
            sent: Fact::Known(1),
            received: Fact::Known(1),
            retransmits: Fact::Known(0),
            rtt: Fact::Known(300),
            asked_name: None,
        };
        batch.insert(&flow, None).unwrap();
    }
    batch.commit().unwrap();
    drop(writer);
    let before = std::fs::metadata(&store).unwrap().len();
    assert!(before > 3_000_000, "{before}");
    run(&["--for", "5s", "--max-size", "2MB"]);
    let after = std::fs::metadata(&store).unwrap().len();
    assert!(after <= 2_000_000, "{before} then {after}");
    let left = rows(
        &store,
        &["--since", "all", "--foreign", "192.0.2.0/24", "--group", "protocol"],
    );
    let count = left[0]["count"].as_u64().unwrap();
    assert!((5_000..40_000).contains(&count), "{count}");
    assert!(
        rows(&store, &["--since", "all", "--foreign", "203.0.113.7"]).is_empty(),
        "the oldest go first"
    );
    is_whole(&store);
}

#[test]
fn record_keeps_a_name_asked_by_dns_and_history_finds_it() {
    own_namespace!();
    dns::serve_address(Ipv4Addr::new(127, 0, 0, 77)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("record.db");
    let listener = TcpListener::bind("127.0.0.77:80").unwrap();
    let recorder = record(&store);
    dns::ask_for("Files.example.org").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let names = || {
        let out = history(
            &store,
            &["--name", "*.example.org", "--columns", "foreign,asked_name", "--csv"],
        );
        String::from_utf8(out.stdout).unwrap()
    };
    let row = "127.0.0.77:80,files.example.org";
    wait_for("a row with the name", || names().contains(row));
    let other = history(&store, &["--name", "*.example.net", "--csv"]);
    assert_eq!(String::from_utf8(other.stdout).unwrap().lines().count(), 1);
    let port = client.local_addr().unwrap().port();
    let word = format!("127.0.0.1:{port}->127.0.0.77:80");
    let card = netstat()
        .args(["inspect", "--sample", "0", "--store"])
        .arg(&store)
        .arg(&word)
        .output()
        .unwrap();
    let card = String::from_utf8(card.stdout).unwrap();
    assert!(
        card.contains("127.0.0.77:80 (asked for as files.example.org)"),
        "{card}"
    );
    drop(recorder);
}

#[test]
fn record_with_no_dns_names_keeps_none() {
    own_namespace!();
    dns::serve_address(Ipv4Addr::new(127, 0, 0, 77)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("record.db");
    let listener = TcpListener::bind("127.0.0.77:80").unwrap();
    let _recorder = record_with(&store, &["--no-dns-names"]);
    dns::ask_for("files.example.org").unwrap();
    let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let rows = || {
        let out = history(&store, &["--columns", "foreign,asked_name", "--csv"]);
        String::from_utf8(out.stdout).unwrap()
    };
    wait_for("a row without a name", || rows().contains("127.0.0.77:80,\r\n"));
}

#[test]
fn record_bytes_of_an_open_udp_socket_stand_in_its_row() {
    own_namespace!();
    let test = "record_bytes_of_an_open_udp_socket_stand_in_its_row";
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("record.db");
    let _recorder = record_with(&store, &["--heartbeat", "1s"]);
    let receiver = UdpSocket::bind("127.0.0.1:2078").unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    sender.connect(receiver.local_addr().unwrap()).unwrap();
    for _ in 0..50 {
        sender.send(&[7; 1_000]).unwrap();
        receiver.recv(&mut [0; 2_000]).unwrap();
    }
    let rows = || -> Vec<Value> {
        let out = history(&store, &["--foreign", "127.0.0.1:2078", "--ndjson"]);
        let text = String::from_utf8(out.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    wait_for("the row", || !rows().is_empty());
    if rows()[0]["learned"] != "trace" {
        return skip(test, "tracepoints may not be used here");
    }
    // The first heartbeat after the traffic includes all of it; without the tracepoints of sends, it remains unknown.
    let last = |row: &Value| row["last"].as_str().unwrap_or_default().to_owned();
    let before = last(&rows()[0]);
    wait_for("two heartbeats", || last(&rows()[0]) > before);
    let between = last(&rows()[0]);
    wait_for("two heartbeats", || last(&rows()[0]) > between);
    let row = rows().remove(0);
    if row["sent"].is_null() {
        return skip(test, "no tracepoints for sends and receives here");
    }
    assert_eq!(
        (&row["closed"], &row["sent"]),
        (&Value::Bool(false), &Value::from(50_000)),
        "{row}"
    );
}
