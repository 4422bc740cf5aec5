//! `netstat snapshot` and `--replay`: a real listener in a separate namespace is written, replayed elsewhere and
//! compared.
#![cfg(target_os = "linux")]

use std::net::{TcpListener, TcpStream};

use netstat_testkit::{Netstat, own_namespace};

fn netstat() -> Netstat {
    Netstat::new(env!("CARGO_BIN_EXE_netstat"))
}

#[track_caller]
fn stdout(words: &[&str]) -> String {
    netstat().run(words).success().to_owned()
}

#[test]
fn snapshot_replayed_prints_what_the_computer_did() {
    own_namespace!();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("snapshot.json");
    let file = path.to_str().unwrap();
    netstat().run(["snapshot", "--output", file]).success();
    for words in ["-ano", "-anb", "-r", "-s", "-e", "-c", "-q --wide", "-ano --csv"] {
        let words: Vec<&str> = words.split(' ').collect();
        let live = stdout(&words);
        let replayed = stdout(&[&["--replay", file], &words[..]].concat());
        assert_eq!(replayed, live, "{words:?}");
    }
    assert!(stdout(&["--replay", file, "-an"]).contains(&port));
    drop((client, listener));
    // The replay shows the content of the file, not the present state.
    assert!(stdout(&["--replay", file, "-ano"]).contains(&format!("127.0.0.1:{port}")));
    assert!(stdout(&["inspect", &port, "--replay", file]).contains(&port));

    let again = netstat().run(["snapshot", "--output", file]);
    assert_eq!(again.status.code(), Some(1), "{}", again.stderr);
    assert!(again.stderr.contains("it exists already"), "{}", again.stderr);
}

#[test]
fn replay_of_a_file_that_is_no_snapshot_gives_one_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.json");
    std::fs::write(&path, "{}").unwrap();
    let refused = netstat().run(["--replay", path.to_str().unwrap(), "-an"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        refused.stderr.contains("it is not a snapshot of netstat"),
        "{}",
        refused.stderr
    );
    assert_eq!(refused.stderr.lines().count(), 1);
}
