//! Missing or failing parts of the environment: pipes, disks, `/proc`, netlink, IPv6, processes that come and go.
#![cfg(target_os = "linux")]

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use netstat_testkit::actors::{self, Actor};
use netstat_testkit::command::outcome;
use netstat_testkit::oracle::{self, TcpState};
use netstat_testkit::peer::Family;
use netstat_testkit::states::AllStates;
use netstat_testkit::{Needs, Netstat, Outcome, kernel_has, listing, own_namespace, trouble};

fn netstat() -> Netstat {
    Netstat::new(env!("CARGO_BIN_EXE_netstat"))
}

#[track_caller]
fn no_panic(outcome: &Outcome) {
    assert!(!outcome.stderr.contains("panicked"), "{outcome:#?}");
    assert!(outcome.status.code().is_some(), "{outcome:#?}");
}

/// Checks that the outcome is a failure with status 1, one reason and no data; returns the reason.
#[track_caller]
fn failure(outcome: &Outcome) -> &str {
    no_panic(outcome);
    assert_eq!(outcome.status.code(), Some(1), "{outcome:#?}");
    assert!(!outcome.stderr.trim().is_empty(), "{outcome:#?}");
    &outcome.stderr
}

#[test]
fn closed_pipe_ends_the_program_quietly() {
    own_namespace!();
    // About 160 KB: more than the capacity of a pipe.
    let _load = actors::connections(1000).unwrap();
    for words in [&["-an"][..], &["-ano"], &["-an", "1", "--count", "3"]] {
        let mut child = netstat()
            .command(words)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "");
        drop(lines);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{words:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{words:?}");
    }
}

#[test]
fn pipe_closed_from_the_start_ends_the_program_quietly() {
    own_namespace!();
    for words in [&["-an"][..], &["-e"], &["-s"], &["-r"], &["--help"], &["--version"]] {
        let mut command = Command::new("sh");
        let script = "( sleep 0.2; \"$0\" \"$@\"; echo status $? >&2 ) | true";
        command.args(["-c", script]).arg(netstat().path()).args(words);
        let outcome = outcome(&mut command);
        assert_eq!(outcome.stderr, "status 0\n", "{words:?}");
    }
}

#[test]
fn full_disk_is_a_failure_with_its_reason() {
    own_namespace!();
    let _load = actors::connections(5).unwrap();
    for words in [
        &["-an"][..],
        &["-anob"],
        &["-e"],
        &["-s"],
        &["-r"],
        &["-c"],
        &["--help"],
    ] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = netstat()
            .command(words)
            .stdout(full)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{words:?}: {said}");
        assert!(said.contains("No space left on device"), "{words:?}: {said}");
        assert!(!said.contains("panicked"), "{words:?}: {said}");
    }
}

#[test]
fn closed_stdout_causes_no_panic() {
    own_namespace!();
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$0\" -an >&-"]).arg(netstat().path());
    no_panic(&outcome(&mut command));
}

#[test]
fn list_without_proc_is_whole_with_unknown_owners() {
    own_namespace!();
    let made = AllStates::make(Family::V4).unwrap();
    let told = oracle::rows(&oracle::proc_net());
    let blind = trouble::without_proc(&netstat());
    let plain = blind.run(["-an"]);
    assert_eq!(listing::rows(&listing::list(plain.success())), told);
    no_panic(&plain);

    let owners = blind.run(["-anob"]);
    no_panic(&owners);
    let lines = listing::list(owners.success());
    assert_eq!(listing::rows(&lines), told);
    for line in &lines {
        let expected = if line.row.state == Some(TcpState::TimeWait) {
            "0"
        } else {
            "-"
        };
        assert_eq!(line.extra, [expected], "{line:?}");
    }
    assert!(owners.stderr.contains("/proc"), "{}", owners.stderr);
    drop(made);
}

#[test]
fn counters_without_proc_fail_with_the_reason() {
    own_namespace!();
    let blind = trouble::without_proc(&netstat());
    let outcome = blind.run(["-s"]);
    no_panic(&outcome);
    assert!(outcome.stderr.contains("/proc/"), "{outcome:#?}");
    no_panic(&blind.run(["-e"]));
    no_panic(&blind.run(["-r"]));
}

#[test]
fn owners_with_hidepid_are_said_to_be_hidden_not_guessed() {
    own_namespace!(Needs::PROCESSES);
    let mine = TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = TcpListener::bind("127.0.0.2:0").unwrap();
    let holder = Actor::named("own").unprivileged().hold(socket);
    let outcome = trouble::with_hidepid(&netstat().unprivileged()).run(["-anob"]);
    no_panic(&outcome);
    let lines = listing::list(outcome.success());
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0].extra, ["-"]);
    assert_eq!(lines[0].below, [" Can not obtain ownership information"]);
    assert_eq!(lines[1].extra, [holder.pid().to_string()]);
    assert_eq!(lines[1].below.last().unwrap(), " [own]");
    let summary = "1 of 2 owners unknown: 1 not permitted";
    assert_eq!(outcome.stderr.matches(summary).count(), 1, "{}", outcome.stderr);
    drop(mine);
}

#[test]
fn all_namespaces_with_hidden_processes_says_what_may_be_missing() {
    own_namespace!(Needs::PROCESSES);
    let hidden = trouble::with_hidepid(&netstat().unprivileged()).run(["-an", "--all-namespaces"]);
    no_panic(&hidden);
    let line = "network namespaces of other users' processes may be missing: /proc is mounted with hidepid";
    assert!(hidden.stderr.contains(line), "{}", hidden.stderr);
}

#[test]
fn record_without_proc_records_and_says_what_is_unknown() {
    own_namespace!();
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("record.db");
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let words = [
        "record",
        "--own-namespace",
        "--for",
        "1",
        "--store",
        store.to_str().unwrap(),
    ];
    let outcome = trouble::without_proc(&netstat()).run(words);
    no_panic(&outcome);
    outcome.success();
    assert!(outcome.stderr.contains("the id of this boot"), "{}", outcome.stderr);
    let port = socket.local_addr().unwrap().port().to_string();
    let history = netstat().run([
        "history",
        "--store",
        store.to_str().unwrap(),
        "--ndjson",
        "--port",
        &port,
    ]);
    assert_eq!(history.success().lines().count(), 1, "{history:#?}");
}

#[test]
fn list_and_tables_without_ipv6_are_otherwise_whole() {
    own_namespace!();
    for what in ["all", "default", "lo"] {
        std::fs::write(format!("/proc/sys/net/ipv6/conf/{what}/disable_ipv6"), "1").unwrap();
    }
    let _load = actors::connections(3).unwrap();
    let outcome = netstat().run(["-an"]);
    assert_eq!(
        listing::rows(&listing::list(outcome.success())),
        oracle::rows(&oracle::proc_net())
    );
    assert_eq!(outcome.stderr, "");
    for words in ["-e", "-s", "-r"] {
        assert!(!netstat().run([words]).success().is_empty());
    }
}

#[test]
fn list_with_netlink_refused_has_the_same_rows_from_proc() {
    own_namespace!();
    let _v4 = AllStates::make(Family::V4).unwrap();
    let _v6 = AllStates::make(Family::V6).unwrap();
    let _udp = actors::udp_sockets().unwrap();
    let _mapped = actors::mapped().unwrap();
    let _twins = actors::reuseport_twins(Family::V4).unwrap();
    let full = listing::list(netstat().run(["-ano"]).success());
    let Some(outcome) = trouble::without_netlink(|| netstat().run(["-ano"])) else {
        return;
    };
    no_panic(&outcome);
    let shown = listing::list(outcome.success());
    assert_eq!(listing::rows(&shown), oracle::rows(&oracle::proc_net()));
    assert_eq!(shown, full, "the same rows with the same owners");
    // What cannot be seen this way is reported with the reason.
    let outcome = trouble::without_netlink(|| netstat().run(["-anq"])).unwrap();
    assert_eq!(listing::rows(&listing::list(outcome.success())), listing::rows(&full));
    assert!(outcome.stderr.contains("netlink"), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("BOUND") || outcome.stderr.contains("bound"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn list_without_netlink_and_proc_fails_with_the_reason() {
    own_namespace!();
    let blind = trouble::without_proc(&netstat());
    let Some(outcome) = trouble::without_netlink(|| blind.run(["-an"])) else {
        return;
    };
    failure(&outcome);
    assert!(!outcome.stdout.contains("TCP"), "{}", outcome.stdout);
    assert!(
        outcome.stderr.contains("netlink") && outcome.stderr.contains("/proc"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn routes_with_netlink_refused_fail_with_the_reason() {
    own_namespace!();
    let Some(outcome) = trouble::without_netlink(|| netstat().run(["-r"])) else {
        return;
    };
    let reason = failure(&outcome);
    assert!(
        reason.contains("netlink") && reason.contains("not permitted"),
        "{reason}"
    );
}

#[test]
fn list_while_processes_come_and_go_stays_right() {
    own_namespace!(Needs::PROCESSES);
    let _load = actors::connections(20).unwrap();
    let listener = TcpListener::bind("127.0.0.9:0").unwrap();
    let holder = Actor::named("steady").hold(listener);
    let mut churn = Command::new("sh")
        .args(["-c", "while :; do ( : ) & ( : ) & ( : ) & wait; done"])
        .spawn()
        .unwrap();
    let end = Instant::now() + Duration::from_secs(3);
    let mut looks = 0;
    while looks < 5 || Instant::now() < end {
        looks += 1;
        let outcome = netstat().run(["-anob"]);
        no_panic(&outcome);
        let lines = listing::list(outcome.success());
        // Two ends of each connection, and the listener of the holder.
        assert_eq!(lines.len(), 41);
        let steady = lines.last().unwrap();
        assert_eq!(steady.extra, [holder.pid().to_string()]);
        assert_eq!(outcome.stderr, "");
    }
    churn.kill().unwrap();
    churn.wait().unwrap();
}

#[test]
fn list_with_few_file_descriptors_is_whole() {
    own_namespace!();
    let _load = actors::connections(20).unwrap();
    let bounded = netstat().behind(["sh", "-c", "ulimit -n 16 && exec \"$@\"", "sh"]);
    let outcome = bounded.run(["-anob"]);
    no_panic(&outcome);
    assert_eq!(listing::list(outcome.success()).len(), 40);
}

#[test]
fn bound_ports_of_tcp_are_listed_or_said_to_be_missing() {
    own_namespace!();
    let made = AllStates::make(Family::V6).unwrap();
    let outcome = netstat().run(["-nq", "-p", "tcpv6"]);
    let shown = listing::rows(&listing::list(outcome.success()));
    if kernel_has("a look at ports that are only bound", 6, 8) {
        assert_eq!(shown, made.rows());
    } else {
        assert!(
            outcome.stderr.contains("bound") || outcome.stderr.contains("BOUND"),
            "{}",
            outcome.stderr
        );
    }
}
