//! Acknowledged findings, and findings that are new since the last run.

use std::path::Path;
use std::process::Command;

use netstat_testkit::outcome;
use netstat_testkit::{Needs, own_namespace};
use serde_json::Value;

use crate::kit::{Running, findings, netstat, open, sleep_at};

/// Returns `netstat audit` with its configuration and record below `home`.
fn audit(home: &Path, words: &[&str]) -> Command {
    let mut command = netstat().command([&["audit", "--no-digests"], words].concat());
    command
        .env("HOME", home)
        .env_remove("XDG_CONFIG_HOME")
        .env_remove("SUDO_UID");
    command
}

fn document(home: &Path, baseline: &Path, words: &[&str]) -> Value {
    let baseline = baseline.to_str().unwrap();
    let words = [&["--json", "--baseline", baseline], words].concat();
    serde_json::from_str(outcome(&mut audit(home, &words)).success()).unwrap()
}

fn of<'a>(document: &'a Value, pid: u32, rule: &str) -> Vec<&'a Value> {
    findings(document)
        .filter(|finding| finding["pid"] == pid && finding["rule"] == rule)
        .collect()
}

#[test]
fn acknowledged_finding_is_counted_and_comes_back_with_another_program() {
    own_namespace!(Needs::PROCESSES);
    let shared = tempfile::tempdir_in("/dev/shm").unwrap();
    let home = tempfile::tempdir().unwrap();
    let baseline = home.path().join("accepted.toml");
    let path = shared.path().join("x");
    let socket = open();
    let running = Running::with(&mut sleep_at(&path), socket.try_clone().unwrap());
    std::fs::write(&baseline, "# Kept by us.\n").unwrap();
    let before = document(home.path(), &baseline, &[]);
    let found = of(&before, running.pid(), "odd-place");
    assert_eq!((found.len(), before["acknowledged"].as_u64()), (1, Some(0)));
    let id = found[0]["id"].as_str().unwrap();
    let file = baseline.to_str().unwrap();
    // Limited to this process, because the test program itself may cause findings where it was built.
    let pid = running.pid().to_string();
    let status = |words: &[&str]| {
        let words = [words, &["--pid", &pid]].concat();
        outcome(&mut audit(home.path(), &words)).status.code()
    };
    assert_eq!(status(&["--fail-on", "high", "--baseline", file]), Some(3));

    let words = [
        "--baseline",
        file,
        "--acknowledge",
        id,
        "--why",
        "a test",
        "--until",
        "2999-12-31",
    ];
    let said = outcome(&mut audit(home.path(), &words));
    assert!(said.success().contains("acknowledged: "), "{said:?}");
    let text = std::fs::read_to_string(&baseline).unwrap();
    for part in [
        "# Kept by us.",
        "why = \"a test\"",
        "until = \"2999-12-31\"",
        "sha256 = \"",
        id,
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let after = document(home.path(), &baseline, &[]);
    assert_eq!(of(&after, running.pid(), "odd-place"), Vec::<&Value>::new());
    assert_eq!(after["acknowledged"], 1);
    assert_eq!(status(&["--fail-on", "high", "--baseline", file]), Some(0));
    let all = document(home.path(), &baseline, &["--all"]);
    assert_eq!(of(&all, running.pid(), "odd-place")[0]["acknowledged"], "a test");
    let said = outcome(&mut audit(home.path(), &["--baseline", file, "--pid", &pid]));
    assert!(
        said.success().contains("1 finding acknowledged (--all shows them)"),
        "{said:?}"
    );

    // The same path and port with different content.
    drop(running);
    let mut command = sleep_at(&path);
    let mut content = std::fs::read(&path).unwrap();
    content.push(0);
    std::fs::write(&path, content).unwrap();
    let other = Running::with(&mut command, socket);
    let changed = document(home.path(), &baseline, &[]);
    assert_eq!(of(&changed, other.pid(), "odd-place").len(), 1);
    let said = outcome(&mut audit(home.path(), &["--baseline", file]));
    assert!(said.success().contains("the program has changed since"), "{said:?}");
}

#[test]
fn audit_new_reports_only_findings_absent_at_last_run() {
    own_namespace!(Needs::PROCESSES);
    let shared = tempfile::tempdir_in("/dev/shm").unwrap();
    let home = tempfile::tempdir().unwrap();
    let store = home.path().join("record.db");
    let store = store.to_str().unwrap();
    let first = Running::with(&mut sleep_at(&shared.path().join("x")), open());
    let new = || -> Value {
        let words = ["--json", "--new", "--store", store];
        serde_json::from_str(outcome(&mut audit(home.path(), &words)).success()).unwrap()
    };
    let seen = new();
    assert_eq!(of(&seen, first.pid(), "odd-place")[0]["new"], true);
    let second = Running::with(&mut sleep_at(&shared.path().join("y")), open());
    let seen = new();
    assert!(of(&seen, first.pid(), "odd-place").is_empty(), "{seen:#}");
    assert_eq!(of(&seen, second.pid(), "odd-place").len(), 1);
    assert!(findings(&new()).next().is_none());
}

#[test]
fn baseline_that_others_may_change_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::tempdir().unwrap();
    let baseline = home.path().join("b.toml");
    std::fs::write(&baseline, "").unwrap();
    std::fs::set_permissions(&baseline, std::fs::Permissions::from_mode(0o666)).unwrap();
    let words = ["--baseline", baseline.to_str().unwrap()];
    let said = outcome(&mut audit(home.path(), &words));
    assert_eq!(said.status.code(), Some(1));
    assert!(said.stderr.contains("others may write to it"), "{said:?}");
    let said = outcome(&mut audit(home.path(), &["--acknowledge", "12345678"]));
    assert!(said.refusal().contains("--why"), "{said:?}");
    let said = outcome(&mut audit(home.path(), &["--baseline", "/nowhere/b.toml"]));
    assert_eq!(said.status.code(), Some(1));
    let words = ["--acknowledge", "nothing", "--why", "x", "--pid", "1"];
    let said = outcome(&mut audit(home.path(), &words));
    assert!(said.stderr.contains("no finding has the id"), "{said:?}");
}
