//! `netstat record` and `netstat history` as whole programs: killed at any moment, without room, without privilege.
#![cfg(target_os = "linux")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use netstat_testkit::{own_namespace, skip};
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

/// A recorder that watches already.
fn record(store: &Path) -> Running {
    let mut child = netstat()
        .args(["record", "--own-namespace", "--verbose", "--store"])
        .arg(store)
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

/// Connects, speaks and ends so many times.
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
fn what_was_recorded_is_answered_and_sigterm_is_a_clean_end() {
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
fn killed_at_any_moment_it_is_whole_and_goes_on() {
    own_namespace!();
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("record.db");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = listener.local_addr().unwrap().to_string();
    let mut before = 0;
    for round in 0..8u64 {
        let mut running = record(&store);
        churn(&listener, 50);
        std::thread::sleep(Duration::from_millis(1300 + 37 * round));
        churn(&listener, 20);
        running.0.kill().unwrap();
        running.0.wait().unwrap();
        is_whole(&store);
        let now = rows(&store, &["--foreign", &to]).len();
        // All but those of the last second.
        assert!(now >= before + 50, "round {round}: {before} then {now}");
        before = now;
    }
    // The listener is one row through all of it.
    let listening = rows(&store, &["--listening", "--port", to.rsplit_once(':').unwrap().1]);
    assert_eq!(listening.len(), 1, "{listening:?}");
}

#[test]
fn the_second_recorder_says_so_and_stops() {
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
fn a_full_device_pauses_and_what_was_lost_is_a_gap() {
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
    // No room is left for anything.
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
fn wrong_words_and_missing_records_are_told_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let none = folder.path().join("none.db");
    let none = none.to_str().unwrap();
    for (words, status, said) in [
        (&["history", "--store", none][..], 1, "there is no record yet"),
        (
            &["history", "--since", "yesterday"],
            2,
            "--since \"yesterday\" is no moment",
        ),
        (&["history", "--group", "nothing"], 2, "is no column"),
        (&["record", "--keep", "30"], 2, "is no length of time"),
        (&["record", "--max-size", "1KB"], 2, "is no size"),
    ] {
        let output = netstat().args(words).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(status), "{text}");
        assert!(text.contains(said) && text.lines().count() == 1, "{words:?}: {text}");
    }
}
