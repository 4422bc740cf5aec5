//! New findings as they appear: `audit --watch` and `record --audit`.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use netstat_testkit::{Needs, eventually, own_namespace};
use serde_json::Value;

use crate::kit::{Running, netstat, open, sleep_at};

/// A running watch, and the lines that it prints.
struct Watching {
    child: Child,
    lines: Receiver<String>,
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn watching(home: &std::path::Path, words: &[&str]) -> Watching {
    let mut child = netstat()
        .command(words)
        .env("HOME", home)
        .env_remove("XDG_CONFIG_HOME")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (sender, lines) = channel();
    let out = BufReader::new(child.stdout.take().unwrap());
    std::thread::spawn(move || {
        for line in out.lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    Watching { child, lines }
}

impl Watching {
    /// Returns the first line that contains `part`.
    #[track_caller]
    fn line_with(&self, part: &str) -> String {
        /// Far longer than an examination takes on a busy machine.
        const PATIENCE: Duration = Duration::from_secs(60);
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(part) => return line,
                Ok(_) => {}
                Err(error) => panic!("no line with {part}: {error}"),
            }
        }
    }
}

#[test]
fn new_finding_is_printed_once_and_given_to_the_program() {
    own_namespace!(Needs::PROCESSES);
    if !netstat_testkit::namespace::real_root() {
        // The owner of the directories above the program is not mapped in a user namespace, so the program is refused.
        let test = "new_finding_is_printed_once_and_given_to_the_program";
        netstat_testkit::skip(test, "the owner of / has no number in a user namespace: needs root");
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let shared = tempfile::tempdir_in("/dev/shm").unwrap();
    let out = home.path().join("out");
    let program = home.path().join("alert");
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o700).open(&program).unwrap();
    write!(file, "#!/bin/sh\ncat >> {}\n", out.display()).unwrap();
    drop(file);
    let first = Running::with(&mut sleep_at(&shared.path().join("first")), open());
    let words = [
        "audit",
        "--watch",
        "--json",
        "--no-digests",
        "--exec",
        program.to_str().unwrap(),
    ];
    let watching = watching(home.path(), &words);
    let line: Value = serde_json::from_str(&watching.line_with("odd-place")).unwrap();
    assert_eq!(
        (&line["pid"], &line["schema"]),
        (&first.pid().into(), &"netstat.finding".into())
    );
    let second = Running::with(&mut sleep_at(&shared.path().join("second")), open());
    let line: Value = serde_json::from_str(&watching.line_with("odd-place")).unwrap();
    assert_eq!(line["pid"], second.pid());
    let schema = include_str!("../../../../docs/schema/netstat.finding.json");
    let schema = jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap();
    let errors: Vec<String> = schema.iter_errors(&line).map(|error| error.to_string()).collect();
    assert_eq!(errors, [""; 0], "{line:#}");
    for key in [
        "id",
        "headline",
        "evidence",
        "verify",
        "network",
        "next",
        "command_line",
    ] {
        assert!(!line[key].is_null(), "{key}: {line:#}");
    }
    eventually(
        || {
            std::fs::read_to_string(&out)
                .is_ok_and(|text| text.lines().filter(|line| line.contains("odd-place")).count() == 2)
        },
        || format!("{:?}", std::fs::read_to_string(&out)),
    );
}

#[test]
fn record_with_audit_prints_findings() {
    own_namespace!(Needs::PROCESSES);
    let home = tempfile::tempdir().unwrap();
    let shared = tempfile::tempdir_in("/dev/shm").unwrap();
    let store = home.path().join("record.db");
    let words = ["record", "--audit", "--store", store.to_str().unwrap()];
    let watching = watching(home.path(), &words);
    let running = Running::with(&mut sleep_at(&shared.path().join("x")), open());
    let line = watching.line_with("odd-place");
    assert!(line.contains(&format!("(PID {}) [0.0.0.0:", running.pid())), "{line}");
    assert!(line.contains("high: /dev/shm/"), "{line}");
}

#[test]
fn alert_options_without_watch_are_refused() {
    for words in [
        &["audit", "--exec", "/bin/true"][..],
        &["record", "--journald"],
        &["audit", "--watch", "--exec", "true"],
        &["audit", "--watch", "--new"],
    ] {
        let outcome = netstat().run(words);
        assert!(!outcome.refusal().is_empty(), "{outcome:?}");
    }
}
